//! `mynah py build | inspect | check | stdlib`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::py::Grants;
use crate::failure::{Failure, Result};

/// What a release build of this program carries; empty in other builds.
const STUB_MINI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pyc-stub-mini"));
const STUB_SMALL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pyc-stub-small"));
const STUB_FULL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pyc-stub-full"));
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pyc-library.pack"));

/// Makes the compiled library known, where it is carried; without it modules are compiled when they are imported.
pub fn install_library() {
    if !LIBRARY.is_empty()
        && let Err(error) = pyc_driver::install_library(LIBRARY)
    {
        eprintln!("warning: {error}; modules are compiled instead");
    }
}

fn from_driver(error: pyc_driver::Error) -> Failure {
    Failure::new(error.to_string())
}

/// Options of `mynah py build`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py build app.py -o app --allow fs.read=data,clock --max-memory 256000000
  ./app

The executable holds the program, the modules that it imports, and what it may do; nothing can be
granted to it later. The same program gives the same bytes, whatever folder it is built in.")]
pub struct Build {
    /// The program
    file: PathBuf,
    /// The executable
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    grants: Grants,
    /// Modules that the program imports by names made at run time
    #[arg(long, value_name = "MODULE,...", value_delimiter = ',')]
    include: Vec<String>,
    /// Which functions get machine code: interp (none), native (all that can have it), auto (those with loops, and what
    /// these and recursive functions call). Machine code is not quicker for every program yet, so the default is none
    #[arg(long, value_name = "TIER", default_value = "interp")]
    tier: String,
    /// With --tier native or auto: machine code also for the modules of the library that the program reaches
    #[arg(long)]
    native_library: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The executables that programs are appended to: a folder that the environment names, those carried, or those beside
/// this program.
fn stubs() -> Result<pyc_driver::Stubs> {
    if let Some(folder) = std::env::var_os("MYNAH_PY_STUBS") {
        return pyc_driver::Stubs::read(Path::new(&folder)).map_err(from_driver);
    }
    if !STUB_MINI.is_empty() && !STUB_SMALL.is_empty() && !STUB_FULL.is_empty() {
        let (mini, small, full) = (STUB_MINI.into(), STUB_SMALL.into(), STUB_FULL.into());
        return Ok(pyc_driver::Stubs { mini, small, full });
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("stub")));
    match beside.filter(|folder| folder.is_dir()) {
        Some(folder) => pyc_driver::Stubs::read(&folder).map_err(from_driver),
        None => Err(Failure::new("this build of mynah carries no stubs to append programs to")
            .advice("use a release build, or make them with `cargo xtask stub` and name their folder in MYNAH_PY_STUBS")),
    }
}

/// Builds; nothing is written when something is wrong.
pub fn build(build: &Build) -> Result<()> {
    let options = pyc_driver::BuildOptions {
        allow: build.grants.allow.clone(),
        trusted: build.grants.trusted,
        time_ms: build.grants.time()?.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        memory_bytes: build.grants.max_memory,
        steps: build.grants.max_steps,
        output_bytes: build.grants.max_output,
        include: build.include.clone(),
        tier: build.tier.parse().map_err(from_driver)?,
        native_library: build.native_library,
    };
    if build.native_library && options.tier == pyc_driver::Tier::Interp {
        return Err(Failure::new("--native-library asks for machine code, and --tier interp for none")
            .advice("add --tier native or --tier auto"));
    }
    let built = pyc_driver::build(&build.file, &options, &stubs()?).map_err(from_driver)?;
    write_executable(&build.output, &built.bytes)?;
    for (module, wanted) in &built.missing {
        eprintln!(
            "warning: {module} imports {wanted}, which is neither beside the program nor in the library"
        );
    }
    for module in &built.dynamic {
        eprintln!("note: {module} imports by name at run time; name such modules with --include");
    }
    if build.json {
        println!(
            "{}",
            json!({
                "file": build.output, "size_bytes": built.bytes.len(), "modules": built.modules,
                "source_hash": built.manifest.source_hash, "runtime_hash": built.manifest.runtime_hash,
                "tier": built.manifest.tier, "native_bytes": built.native_bytes,
                "full_runtime_because": built.full_because, "missing": built.missing, "dynamic": built.dynamic,
            })
        );
    } else {
        println!("{}: {} bytes, {} modules", build.output.display(), built.bytes.len(), built.modules.len());
    }
    Ok(())
}

/// Writes beside the target and renames, so that a running or older program is never half replaced.
fn write_executable(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let name = path.file_name().ok_or_else(|| Failure::new("the output names no file").at_path(path))?;
    let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&beside)?;
        file.write_all(bytes)?;
        drop(file);
        std::fs::rename(&beside, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        Failure::io("cannot write the executable", path, &e)
    })
}

/// Options of `mynah py inspect`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py inspect ./app --json")]
pub struct Inspect {
    /// An executable that `mynah py build` made
    file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Tells what is in an executable.
pub fn inspect(inspect: &Inspect) -> Result<()> {
    let found = pyc_driver::inspect(&inspect.file).map_err(from_driver)?;
    let m = &found.manifest;
    if inspect.json {
        let modules: Vec<_> = found
            .pack
            .entries()
            .iter()
            .map(|e| {
                json!({
                    "name": e.name, "file": e.filename, "library": e.library, "code_bytes": e.code_bytes(),
                    "source_bytes": e.source_bytes, "native_bytes": e.native_bytes(),
                    "native_functions": found.native.get(&e.name).map_or(0, |n| n.0),
                })
            })
            .collect();
        println!(
            "{}",
            json!({
                "program": m.filename, "source_hash": m.source_hash, "runtime_hash": m.runtime_hash,
                "runtime_unchanged": found.runtime_unchanged, "tier": m.tier, "trusted": m.trusted,
                "allow": m.allow,
                "limits": {
                    "time_ms": m.time_ms, "memory_bytes": m.memory_bytes, "steps": m.steps,
                    "output_bytes": m.output_bytes,
                },
                "size_bytes": found.size_bytes, "runtime_bytes": found.runtime_bytes, "modules": modules,
            })
        );
        return Ok(());
    }
    println!("program       {}", m.filename);
    println!("source hash   {}", m.source_hash);
    let changed = if found.runtime_unchanged { "" } else { "  (the executable in front is another one)" };
    println!("runtime hash  {}{changed}", m.runtime_hash);
    println!("tier          {}", m.tier);
    let allow = if m.trusted { "everything".to_string() } else { m.allow.join(", ") };
    println!("allowed       {}", if allow.is_empty() { "nothing" } else { &allow });
    for (name, limit) in [
        ("time, ms", m.time_ms),
        ("memory, bytes", m.memory_bytes),
        ("steps", m.steps),
        ("output, bytes", m.output_bytes),
    ] {
        if let Some(limit) = limit {
            println!("limit         {name}: {limit}");
        }
    }
    println!("size          {} bytes, {} of them the runtime", found.size_bytes, found.runtime_bytes);
    println!("modules       {}", found.pack.entries().len());
    for entry in found.pack.entries() {
        let kind = if entry.library { "library" } else { "program" };
        let native = match found.native.get(&entry.name) {
            Some((count, bytes)) => format!(", {bytes} of machine code for {count} functions"),
            None => String::new(),
        };
        println!("  {:30} {kind}  {:>8} bytes of code{native}", entry.name, entry.code_bytes());
    }
    Ok(())
}

/// Options of `mynah py check`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py check src/*.py --json

Ends with 1 when something was found.")]
pub struct Check {
    /// Programs and modules
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON object for each finding
    #[arg(long)]
    json: bool,
}

/// Checks files.
pub fn check(check: &Check) -> Result<()> {
    let mut count = 0;
    for file in &check.files {
        for finding in pyc_driver::check(file).map_err(from_driver)? {
            count += 1;
            if check.json {
                println!(
                    "{}",
                    json!({
                        "file": finding.file, "line": finding.line, "column": finding.column, "kind": finding.kind,
                        "message": finding.message, "excerpt": finding.excerpt,
                    })
                );
            } else {
                println!(
                    "{}:{}:{}: {}: {}",
                    finding.file, finding.line, finding.column, finding.kind, finding.message
                );
                for line in finding.excerpt.lines() {
                    println!("    {line}");
                }
            }
        }
    }
    if count > 0 { std::process::exit(1) } else { Ok(()) }
}

/// Options of `mynah py stdlib`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py stdlib --import --json")]
pub struct Stdlib {
    /// Also try to import each
    #[arg(long)]
    import: bool,
    /// One JSON object for each module
    #[arg(long)]
    json: bool,
}

/// Lists modules.
pub fn stdlib(stdlib: &Stdlib) -> Result<()> {
    for module in pyc_driver::library_modules() {
        let failed = if stdlib.import { import(&module.name)? } else { None };
        let kind = if module.native { "native" } else { "python" };
        if stdlib.json {
            let mut line = json!({ "module": module.name, "kind": kind });
            if stdlib.import {
                line["imports"] = json!(failed.is_none());
                line["error"] = json!(failed);
            }
            println!("{line}");
        } else {
            let failed = failed.map_or(String::new(), |e| format!("  {e}"));
            println!("{:40} {kind}{failed}", module.name);
        }
    }
    Ok(())
}

/// Why a module cannot be imported.
fn import(name: &str) -> Result<Option<String>> {
    let mut limits = pyc_driver::Limits::default();
    limits.time = Some(std::time::Duration::from_secs(20));
    let capabilities = pyc_driver::Capabilities { clock: true, random: true, ..Default::default() };
    let options = pyc_driver::Options { capabilities, limits, ..Default::default() };
    let outcome =
        pyc_driver::run_captured(&format!("import {name}\n"), "import.py", options).map_err(from_driver)?;
    let last = outcome.errors.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("it ended").to_string();
    Ok((outcome.exit != 0).then_some(last))
}
