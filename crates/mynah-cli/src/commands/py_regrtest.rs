//! `mynah py test --regrtest`: CPython's own tests in our interpreter.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use pyc_driver::regrtest::{
    Counts, JUDGED, Options, Ratchet, Status, Test, find_tests, markdown_table, run_module, run_worker,
    stdlib_table,
};

use crate::failure::{Failure, Result};

/// The word of the hidden command that runs one module in a process of its own.
pub(super) const WORKER: &str = "regrtest-worker";

/// What of `mynah py test` is about CPython's own tests.
#[derive(Args)]
#[command(next_help_heading = "CPython's own tests")]
pub struct Regrtest {
    /// Run these test modules of an installed CPython (`all`: those that docs/results.md lists)
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with_all = ["paths", "only", "fail_fast", "jobs", "junit"])]
    regrtest: Vec<String>,
    /// The CPython whose tests are read
    #[arg(long, default_value = "python3", value_name = "PYTHON", requires = "regrtest")]
    python: PathBuf,
    /// Seconds a test method may take
    #[arg(long, default_value_t = 20, value_name = "S", requires = "regrtest")]
    method_time: u64,
    /// Compare with this file of passes by module; fewer than there fail
    #[arg(long, value_name = "FILE", requires = "regrtest")]
    ratchet: Option<PathBuf>,
    /// Write the passes to the file named by --ratchet instead
    #[arg(long, requires = "ratchet")]
    update: bool,
    /// Put the table into this file, between the lines `<!-- regrtest -->` and `<!-- /regrtest -->`
    #[arg(long, value_name = "FILE", requires = "regrtest")]
    table: Option<PathBuf>,
    /// Write a table of the library's modules with the passes of --ratchet into this file
    #[arg(long, value_name = "FILE", requires = "ratchet")]
    library_table: Option<PathBuf>,
}

impl Regrtest {
    /// Whether any are asked for.
    pub fn is_asked(&self) -> bool {
        !self.regrtest.is_empty()
    }
}

/// Runs the modules; the process ends with 1 when the ratchet names a loss.
pub fn run(options: &Regrtest, json: bool) -> Result<()> {
    let fail = |e: pyc_driver::Error| Failure::new(e.to_string());
    if !options.python.is_file() && Command::new(&options.python).arg("--version").output().is_err() {
        println!("skipped: there is no CPython '{}', whose tests would be run", options.python.display());
        return Ok(());
    }
    let (tests, version) = find_tests(&options.python).map_err(fail)?;
    let mut bounds = Options::new(tests);
    bounds.method_time = std::time::Duration::from_secs(options.method_time.max(1));
    let exe = std::env::current_exe()
        .map_err(|e| Failure::new(format!("cannot find this program's own file: {e}")))?;
    let worker = |arguments: &[String]| {
        let mut command = Command::new(&exe);
        command.args(["py", WORKER]).args(arguments);
        command
    };
    let all = options.regrtest.iter().any(|n| n == "all");
    let names: Vec<&str> =
        if all { JUDGED.to_vec() } else { options.regrtest.iter().map(String::as_str).collect() };
    let mut rows = Vec::new();
    for name in names {
        let list = run_module(name, &bounds, &worker).map_err(fail)?;
        for test in &list {
            show(test, json);
        }
        rows.push((name.to_string(), Counts::of(&list)));
    }
    let table = markdown_table(&rows);
    let heading = format!("Tests of CPython {version}, run with the library of CPython 3.14.\n\n{table}");
    if !json {
        println!("{heading}");
    }
    if let Some(file) = &options.table {
        replace_section(file, &heading)?;
    }
    let Some(file) = &options.ratchet else { return Ok(()) };
    keep(file, &version, &rows, options.update)?;
    match &options.library_table {
        Some(table) => write_library_table(table, &options.python, file),
        None => Ok(()),
    }
}

fn show(test: &Test, json: bool) {
    if json {
        let line = serde_json::json!({
            "module": test.module, "test": test.id, "status": test.status.name(), "why": test.why,
            "place": test.place, "seconds": test.seconds,
        });
        println!("{line}");
    } else if matches!(test.status, Status::Failed | Status::Error) {
        println!("{} {}: {} ({})", test.status.name(), test.id, test.why, test.place);
    }
}

/// Compares with the ratchet, or writes it.
fn keep(file: &Path, version: &str, rows: &[(String, Counts)], update: bool) -> Result<()> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut ratchet = Ratchet::parse(&text).map_err(|e| Failure::new(e.to_string()))?;
    if update {
        ratchet.version = version.to_string();
        for (name, counts) in rows {
            ratchet.modules.insert(name.clone(), (counts.passed, counts.run()));
        }
        return std::fs::write(file, ratchet.text())
            .map_err(|e| Failure::io("cannot write the ratchet", file, &e));
    }
    if ratchet.version != version {
        println!(
            "skipped: the ratchet is for the tests of CPython {}, these are of {version}",
            ratchet.version
        );
        return Ok(());
    }
    let losses = ratchet.losses(rows);
    if losses.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("fewer tests pass than '{}' says: {}", file.display(), losses.join("; "))))
}

/// Puts text between the two markers of a file.
fn replace_section(file: &Path, text: &str) -> Result<()> {
    const BEGIN: &str = "<!-- regrtest -->";
    const END: &str = "<!-- /regrtest -->";
    let old = std::fs::read_to_string(file).map_err(|e| Failure::io("cannot read the file", file, &e))?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(Failure::new(format!("'{}' has no lines '{BEGIN}' and '{END}'", file.display())));
    };
    let new = format!("{before}{BEGIN}\n{text}\n{END}{after}");
    std::fs::write(file, new).map_err(|e| Failure::io("cannot write the file", file, &e))
}

/// One module in this process.
pub(super) fn work(arguments: &[String]) -> Result<()> {
    let code = run_worker(arguments).map_err(|e| Failure::new(e.to_string()))?;
    std::process::exit(i32::from(code));
}

/// The modules of the library, and how many of their tests pass.
fn write_library_table(table: &Path, python: &Path, ratchet: &Path) -> Result<()> {
    let fail = |e: pyc_driver::Error| Failure::new(e.to_string());
    let text =
        std::fs::read_to_string(ratchet).map_err(|e| Failure::io("cannot read the ratchet", ratchet, &e))?;
    let text = stdlib_table(python, &Ratchet::parse(&text).map_err(fail)?).map_err(fail)?;
    std::fs::write(table, text).map_err(|e| Failure::io("cannot write the table", table, &e))
}
