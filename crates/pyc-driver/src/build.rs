//! One executable of a program: its modules and those that it reaches, behind a prebuilt stub.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyc_front::Mode;
use pyc_host::{Entry, Error, Manifest, PackWriter};
use pyc_ir::{Code, Const, Field, Intrinsic, Op};
use pyc_native::Compiler;
use pyc_runtime::native;

use crate::tier::{Tier, has_loop};
use crate::{library, read_source};

/// What a built program may do, and what it carries besides what its imports name.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Capabilities, as `--allow` takes them.
    pub allow: Vec<String>,
    /// Everything is allowed.
    pub trusted: bool,
    /// Wall time.
    pub time_ms: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Steps.
    pub steps: Option<u64>,
    /// Bytes of output.
    pub output_bytes: Option<u64>,
    /// Modules that the program imports by names made at run time.
    pub include: Vec<String>,
    /// Which functions get machine code: none, all that can have it, or those with loops and what these and
    /// recursive ones call.
    pub tier: Tier,
    /// Machine code also for the library's modules that are reached.
    pub native_library: bool,
}

/// The prebuilt executables, and where they came from.
#[derive(Clone, Debug, Default)]
pub struct Stubs {
    /// Without the compiler, without the modules of [`pyc_stdlib::FULL_MODULES`] and [`pyc_stdlib::LIBRARY_MODULES`].
    pub mini: Cow<'static, [u8]>,
    /// Without the compiler and without the modules of [`pyc_stdlib::FULL_MODULES`].
    pub small: Cow<'static, [u8]>,
    /// With all.
    pub full: Cow<'static, [u8]>,
}

impl Stubs {
    /// Reads them from a folder with `pyc-stub-mini`, `pyc-stub-small` and `pyc-stub-full`, as `cargo xtask stub` makes it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(folder: &Path) -> Result<Stubs, Error> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map(Cow::Owned).map_err(|e| {
                let path = path.display();
                Error::new(format!("cannot read the stub '{path}': {e}; `cargo xtask stub` builds it"))
            })
        };
        Ok(Stubs {
            mini: read("pyc-stub-mini")?,
            small: read("pyc-stub-small")?,
            full: read("pyc-stub-full")?,
        })
    }
}

/// A built program.
#[derive(Clone, Debug)]
pub struct Built {
    /// The executable.
    pub bytes: Vec<u8>,
    /// Its manifest.
    pub manifest: Manifest,
    /// Names of the modules, sorted.
    pub modules: Vec<String>,
    /// Why the stub with the compiler or with all native modules was taken; nothing: a smaller one was.
    pub full_because: Option<String>,
    /// Modules of the program that import by name at run time.
    pub dynamic: Vec<String>,
    /// Imports of the program's own modules that nothing answers: importing module, wanted module.
    pub missing: Vec<(String, String)>,
    /// Bytes of machine code.
    pub native_bytes: u64,
}

/// A module that is carried.
struct Module {
    filename: String,
    package: bool,
    library: bool,
    text: Cow<'static, str>,
    code: Arc<Code>,
}

/// Compiles a program and what it reaches, and appends both to a stub.
///
/// # Errors
/// Syntax errors, files that cannot be read, capabilities that do not exist.
pub fn build(file: &Path, options: &BuildOptions, stubs: &Stubs) -> Result<Built, Error> {
    let folder = file.parent().map_or(PathBuf::from("."), Path::to_path_buf);
    let name = file.file_name().map_or("program".into(), |n| n.to_string_lossy().into_owned());
    let mut reach = Reach { folder, ..Reach::default() };
    let text = read_source(file)?;
    let code = lower(&text, &name)?;
    let main = Module { filename: name.clone(), package: false, library: false, text: text.into(), code };
    reach.follow("__main__", main)?;
    for wanted in &options.include {
        if !reach.want("--include", false, wanted)? {
            return Err(Error::new(format!("--include {wanted}: there is no such module")));
        }
    }
    reach.finish()?;
    let full_because = reach.full_because();
    let stub = match (&full_because, reach.needs_library()) {
        (Some(_), _) => &stubs.full,
        (None, true) => &stubs.small,
        (None, false) => &stubs.mini,
    };
    let mut manifest = Manifest {
        filename: name,
        source_hash: reach.source_hash(),
        runtime_hash: blake3::hash(stub).to_hex().to_string(),
        tier: options.tier.name().into(),
        trusted: options.trusted,
        allow: options
            .allow
            .iter()
            .flat_map(|list| list.split(','))
            .map(|item| item.trim().to_string())
            .collect(),
        time_ms: options.time_ms,
        memory_bytes: options.memory_bytes,
        steps: options.steps,
        output_bytes: options.output_bytes,
    };
    manifest.allow.retain(|item| !item.is_empty());
    if let Some(item) = manifest.allow.iter().find(|item| item.contains('\n')) {
        return Err(Error::new(format!("the capability {item:?} has a line break")));
    }
    // What does not exist is told now, not when the program starts.
    manifest.capabilities()?;
    let mut writer = PackWriter::default();
    let mut modules = Vec::new();
    let mut machine = MachineCode::new(options, &reach)?;
    for (name, module) in &reach.modules {
        let entry = Entry::new(name, &module.filename, module.package, module.library);
        writer.add(entry, &module.code, &module.text, |of| machine.section(module, of))?;
        modules.push(name.clone());
    }
    let native_bytes = machine.bytes;
    let bytes = pyc_host::attach(stub, &writer.finish(&manifest.print()));
    let (dynamic, missing) = (reach.dynamic, reach.missing);
    Ok(Built { bytes, manifest, modules, full_because, dynamic, missing, native_bytes })
}

/// Makes the sections with machine code.
struct MachineCode {
    compiler: Option<Compiler>,
    library: bool,
    /// Where not all functions are compiled: names of those that loops and recursive functions call.
    hot: Option<HashSet<Box<str>>>,
    bytes: u64,
}

impl MachineCode {
    fn new(options: &BuildOptions, reach: &Reach) -> Result<MachineCode, Error> {
        let compiler = match options.tier {
            Tier::Interp => None,
            _ => Some(Compiler::new().ok_or_else(|| {
                Error::new("there is no machine code for this processor yet; build with --tier interp")
            })?),
        };
        let hot = (options.tier == Tier::Auto).then(|| {
            let own = reach.modules.values().filter(|m| options.native_library || !m.library);
            let pieces = own.flat_map(|m| native::pieces(&m.code));
            let hot = pieces.filter(|code| has_loop(code) || code.names.contains(&code.name));
            hot.flat_map(|code| code.names.clone()).collect()
        });
        Ok(MachineCode { compiler, library: options.native_library, hot, bytes: 0 })
    }

    /// A module's section; empty where it has none.
    fn section(&mut self, module: &Module, of: u64) -> Vec<u8> {
        let Some(compiler) = &mut self.compiler else { return Vec::new() };
        if module.library && !self.library {
            return Vec::new();
        }
        let pieces = native::pieces(&module.code);
        let chosen: Vec<usize> = (0..pieces.len())
            .filter(|at| {
                let piece = &pieces[*at];
                match &self.hot {
                    _ if has_loop(piece) => true,
                    // What runs once is not worth it.
                    _ if !piece.flags.function => false,
                    Some(hot) => hot.contains(&piece.name),
                    None => true,
                }
            })
            .collect();
        let codes: Vec<&Code> = chosen.iter().map(|at| &*pieces[*at]).collect();
        let machine = compiler.compile(&codes);
        if machine.entries.is_empty() {
            return Vec::new();
        }
        let entries: Vec<_> = machine.entries.iter().map(|(at, places)| (chosen[*at], *places)).collect();
        // More than a section holds stays with the interpreter.
        let section = native::section(machine.layout, of, &entries, &machine.bytes).unwrap_or_default();
        self.bytes += section.len() as u64;
        section
    }
}

fn lower(text: &str, filename: &str) -> Result<Arc<Code>, Error> {
    crate::compile::lower(text, filename, Mode::Module).map_err(|e| Error::new(e.to_string()))
}

/// Imports being followed. Modules are kept by name, so that their order in the result is always the same.
///
/// The program's own modules count with all that they hold. Of the library's, a function counts when something that
/// counts mentions its name (as a name, an attribute or a string): a module of the library imports much in functions
/// that few programs call. A name made at run time escapes this; `include` is for that.
#[derive(Default)]
struct Reach {
    folder: PathBuf,
    modules: BTreeMap<String, Module>,
    /// Code whose imports were not looked at yet, and its module.
    open: Vec<(String, Arc<Code>)>,
    /// Names that something mentions.
    mentioned: HashSet<Box<str>>,
    /// Functions of the library that nothing mentions so far, by name.
    idle: HashMap<Box<str>, Vec<(String, Arc<Code>)>>,
    missing: Vec<(String, String)>,
    dynamic: Vec<String>,
    /// A native module or the use of the compiler, by who wants it.
    needs: BTreeMap<String, String>,
}

/// What a piece of code asks for, without the functions inside.
#[derive(Default)]
struct Asks {
    /// Level, name, names after `from`.
    imports: Vec<(usize, String, Vec<String>)>,
    compiler: Option<&'static str>,
    typing: bool,
    dynamic: bool,
}

impl Asks {
    /// Reads ops up to a line: what a module of the library does as a program counts for nobody.
    fn read(code: &Code, line_max: u32) -> Asks {
        let mut asks = Asks::default();
        for (op, position) in code.ops.iter().zip(&code.positions) {
            if position.line > line_max {
                continue;
            }
            match *op {
                Op::Import { name, from, level, .. } => {
                    let from = match &code.consts[usize::from(from)] {
                        Const::Tuple(items) => items
                            .iter()
                            .filter_map(
                                |item| if let Const::Str(s) = item { Some(s.to_string()) } else { None },
                            )
                            .collect(),
                        _ => Vec::new(),
                    };
                    asks.imports.push((usize::from(level), code.names[usize::from(name)].to_string(), from));
                }
                Op::LoadGlobal { name, .. } | Op::LoadName { name, .. } => {
                    match &*code.names[usize::from(name)] {
                        "exec" => asks.compiler = Some("exec"),
                        "eval" => asks.compiler = Some("eval"),
                        "compile" => asks.compiler = Some("compile"),
                        "__import__" | "import_module" => asks.dynamic = true,
                        _ => {}
                    }
                }
                Op::LoadAttr { name, .. } | Op::LoadMethod { name, .. } => {
                    asks.dynamic |= &*code.names[usize::from(name)] == "import_module";
                }
                Op::Intrinsic { which, .. } => {
                    asks.typing |=
                        !matches!(which, Intrinsic::Print | Intrinsic::Interpolation | Intrinsic::Template);
                }
                _ => {}
            }
        }
        asks
    }
}

/// The name that an op has as an operand.
fn op_name(op: &Op) -> Option<usize> {
    let mut found = None;
    op.fields(|_, field| {
        if let Field::Name(name) = field {
            found = Some(usize::from(name));
        }
    });
    found
}

/// The line of a module's last part, for when it is run as a program.
fn program_line(text: &str) -> u32 {
    let at = text.lines().position(|l| {
        l.starts_with("if __name__ == \"__main__\"") || l.starts_with("if __name__ == '__main__'")
    });
    at.map_or(u32::MAX, |at| at as u32)
}

impl Reach {
    fn follow(&mut self, name: &str, module: Module) -> Result<(), Error> {
        self.open.push((name.to_string(), module.code.clone()));
        self.modules.insert(name.to_string(), module);
        // What the runtime itself imports: warnings are written by the library's module.
        if name == "__main__" {
            self.want("the runtime", true, "warnings")?;
        }
        Ok(())
    }

    /// Something that counts mentions a name: idle functions of that name count, too.
    fn mention(&mut self, name: &str) {
        if self.mentioned.insert(name.into())
            && let Some(functions) = self.idle.remove(name)
        {
            self.open.extend(functions);
        }
    }

    /// Looks at the imports of everything that counts.
    fn finish(&mut self) -> Result<(), Error> {
        loop {
            self.follow_open()?;
            // What native functions import.
            for (mention, module) in [("strptime", "_strptime"), ("__reduce_ex__", "copyreg")] {
                if self.mentioned.contains(mention) {
                    self.want("the runtime", true, module)?;
                }
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn follow_open(&mut self) -> Result<(), Error> {
        while let Some((name, code)) = self.open.pop() {
            let module = &self.modules[&name];
            let (own, package) = (!module.library, module.package);
            let line_max = if own { u32::MAX } else { program_line(&module.text) };
            let asks = Asks::read(&code, line_max);
            if let Some(function) = asks.compiler {
                self.needs.entry("the compiler".into()).or_insert_with(|| format!("{name} uses {function}"));
            }
            if asks.typing {
                self.want(&name, true, "typing")?;
            }
            if asks.dynamic && own && !self.dynamic.contains(&name) {
                self.dynamic.push(name.clone());
            }
            for (level, wanted, from) in asks.imports {
                // Only to show a warning in full does its module import others, and it does without them.
                if matches!(&*name, "warnings" | "_py_warnings") && code.flags.function {
                    continue;
                }
                let Some(full) = absolute(&name, package, level, &wanted) else { continue };
                if !self.want(&name, !own, &full)? {
                    continue;
                }
                for item in from {
                    // An attribute or a submodule; the latter is there when a file is.
                    self.want(&name, true, &format!("{full}.{item}"))?;
                }
            }
            for op in &code.ops {
                let binds =
                    matches!(op, Op::StoreName { .. } | Op::StoreGlobal { .. } | Op::StoreAttr { .. });
                if !binds && let Some(name) = op_name(op) {
                    self.mention(&code.names[name]);
                }
            }
            // A module's own texts are `__all__` and messages.
            let texts = own || code.flags.function;
            for constant in &code.consts {
                match constant {
                    Const::Str(text) if texts => self.mention(text),
                    Const::Tuple(items) if texts => {
                        for item in items {
                            if let Const::Str(text) = item {
                                self.mention(text);
                            }
                        }
                    }
                    Const::Code(inner) => {
                        let special = inner.name.starts_with('<') || inner.name.starts_with("__");
                        if own || special || !inner.flags.function || self.mentioned.contains(&inner.name) {
                            self.open.push((name.clone(), inner.clone()));
                        } else {
                            self.idle
                                .entry(inner.name.clone())
                                .or_default()
                                .push((name.clone(), inner.clone()));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Adds a module and the packages above it; false when there is none.
    fn want(&mut self, who: &str, quiet: bool, name: &str) -> Result<bool, Error> {
        if let Some((parent, _)) = name.rsplit_once('.') {
            if !self.want(who, quiet, parent)? {
                return Ok(false);
            }
            // `from native import name` names no module.
            if self.modules.get(parent).is_some_and(|m| !m.package) || !self.modules.contains_key(parent) {
                return Ok(false);
            }
        }
        if self.modules.contains_key(name) {
            return Ok(true);
        }
        if is_native(name) {
            self.needs.entry(name.to_string()).or_insert_with(|| who.to_string());
            return Ok(true);
        }
        if let Some(module) = self.in_folder(name)? {
            self.follow(name, module)?;
            return Ok(true);
        }
        if let (Some((text, package)), Some(Ok(code))) = (library::find(name), library::code(name)) {
            let filename = library::filename(name, package);
            self.follow(name, Module { filename, package, library: true, text: text.into(), code })?;
            return Ok(true);
        }
        if !quiet {
            self.missing.push((who.to_string(), name.to_string()));
        }
        Ok(false)
    }

    /// A module of the program's own.
    fn in_folder(&self, name: &str) -> Result<Option<Module>, Error> {
        let path = name.replace('.', "/");
        for (filename, package) in [(format!("{path}/__init__.py"), true), (format!("{path}.py"), false)] {
            let file = self.folder.join(&filename);
            if file.is_file() {
                let text = read_source(&file)?;
                let code = lower(&text, &filename)?;
                return Ok(Some(Module { filename, package, library: false, text: text.into(), code }));
            }
        }
        Ok(None)
    }

    fn full_because(&self) -> Option<String> {
        let full =
            |name: &String| name == "the compiler" || pyc_stdlib::FULL_MODULES.contains(&name.as_str());
        self.needs.iter().find(|(name, _)| full(name)).map(|(name, who)| format!("{name}: {who}"))
    }

    /// Whether something imports native modules of the middle stub, or may: by names that are made at run time.
    fn needs_library(&self) -> bool {
        !self.dynamic.is_empty()
            || self.needs.keys().any(|name| pyc_stdlib::LIBRARY_MODULES.contains(&name.as_str()))
    }

    fn source_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, module) in self.modules.iter().filter(|(_, m)| !m.library) {
            for part in [name.as_str(), &module.filename, &module.text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Whether the library has a module, native or not.
pub(crate) fn is_module(name: &str) -> bool {
    is_native(name) || library::find(name).is_some()
}

/// Absolute imports of a file's code, with their lines.
pub(crate) fn own_imports(code: &Code) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for (op, position) in code.ops.iter().zip(&code.positions) {
        if let Op::Import { name, level: 0, .. } = *op {
            found.push((code.names[usize::from(name)].to_string(), position.line));
        }
    }
    for constant in &code.consts {
        if let Const::Code(inner) = constant {
            found.extend(own_imports(inner));
        }
    }
    found
}

fn is_native(name: &str) -> bool {
    name == "builtins" || pyc_stdlib::MODULES.iter().any(|(native, _)| *native == name)
}

/// The full name of an import; nothing when it leads out of the packages.
fn absolute(module: &str, package: bool, level: usize, name: &str) -> Option<String> {
    if level == 0 {
        return Some(name.to_string());
    }
    let up = level - usize::from(package);
    let mut base = module;
    for _ in 0..up {
        base = base.rsplit_once('.')?.0;
    }
    Some(if name.is_empty() { base.to_string() } else { format!("{base}.{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_imports_are_resolved() {
        let check = |module, package, level, name, expect: Option<&str>| {
            assert_eq!(absolute(module, package, level, name).as_deref(), expect);
        };
        check("a.b", false, 0, "x", Some("x"));
        check("a.b", false, 1, "c", Some("a.c"));
        check("a.b", true, 1, "c", Some("a.b.c"));
        check("a.b.c", false, 2, "", Some("a"));
        check("a", false, 1, "c", None);
    }

    fn program(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let main = folder.path().join(files[0].0);
        (folder, main)
    }

    fn stubs() -> Stubs {
        Stubs { mini: b"mini"[..].into(), small: b"small"[..].into(), full: b"full"[..].into() }
    }

    #[test]
    fn what_is_reached_is_packed_and_nothing_else() {
        let files = [
            ("app.py", "import pkg.one\nimport nowhere\nprint(pkg.one.x)\n"),
            ("pkg/__init__.py", ""),
            ("pkg/one.py", "from . import two\nx = two.y\n"),
            ("pkg/two.py", "y = 1\n"),
            ("pkg/unused.py", "1 +\n"),
        ];
        let (_folder, main) = program(&files);
        let built = build(&main, &BuildOptions::default(), &stubs()).unwrap();
        assert_eq!(built.modules, ["__main__", "_py_warnings", "pkg", "pkg.one", "pkg.two", "warnings"]);
        assert_eq!(built.missing, [("__main__".to_string(), "nowhere".to_string())]);
        assert_eq!(built.full_because, None);
        assert!(built.bytes.starts_with(b"mini"));
        let (_other, elsewhere) = program(&files);
        assert_eq!(build(&elsewhere, &BuildOptions::default(), &stubs()).unwrap().bytes, built.bytes);
    }

    #[test]
    fn native_modules_come_where_they_are_imported() {
        for (text, stub) in [
            ("import math, time, sys\n", "mini"),
            ("import itertools\n", "small"),
            ("__import__('it' + 'ertools')\n", "small"),
            ("import unicodedata\n", "full"),
        ] {
            let (_folder, main) = program(&[("app.py", text)]);
            let built = build(&main, &BuildOptions::default(), &stubs()).unwrap();
            assert!(built.bytes.starts_with(stub.as_bytes()), "{text}");
        }
    }

    #[test]
    fn the_compiler_comes_where_it_is_used() {
        let (_folder, main) = program(&[("app.py", "print(eval('1'))\n")]);
        let built = build(&main, &BuildOptions::default(), &stubs()).unwrap();
        assert_eq!(built.full_because.as_deref(), Some("the compiler: __main__ uses eval"));
        assert!(built.bytes.starts_with(b"full"));
    }

    #[test]
    fn what_is_wrong_is_told_at_build_time() {
        let (_folder, main) = program(&[("app.py", "import other\n"), ("other.py", "def f(:\n")]);
        let error = build(&main, &BuildOptions::default(), &stubs()).unwrap_err().to_string();
        assert!(error.starts_with("other.py:1:"), "{error}");
        let (_folder, main) = program(&[("app.py", "")]);
        let options = BuildOptions { allow: vec!["fly".into()], ..BuildOptions::default() };
        assert!(build(&main, &options, &stubs()).unwrap_err().to_string().contains("fly"));
        let options = BuildOptions { include: vec!["nowhere".into()], ..BuildOptions::default() };
        assert!(build(&main, &options, &stubs()).unwrap_err().to_string().contains("nowhere"));
    }
}
