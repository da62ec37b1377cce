//! Running a program as a command does.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyc_host::{Capabilities, Error, ProgramHost, STACK_BYTES, finish, on_stack, prepare, run_main};
use pyc_runtime::host::Limits;
use pyc_runtime::{PyResult, Vm};

use crate::compile::compile;
use crate::library::Library;
use crate::tier::Tier;

/// What to run.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Text, as after `-c`.
    Text(String),
}

impl Source {
    /// Reads a file now; nothing is opened later.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(self) -> Result<Source, Error> {
        match self {
            Source::File(path) => Ok(Source::Text(read_source(&path)?)),
            text @ Source::Text(_) => Ok(text),
        }
    }
}

/// How to run it.
#[derive(Debug, Default)]
pub struct Options {
    /// What it may do outside.
    pub capabilities: Capabilities,
    /// Its bounds.
    pub limits: Limits,
    /// `sys.argv` after the program's name.
    pub arguments: Vec<String>,
    /// What runs functions.
    pub tier: Tier,
}

/// The text of a program's file; `-` is standard input.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read_source(path: &Path) -> Result<String, Error> {
    let fail = |e: std::io::Error| Error::new(format!("cannot read '{}': {e}", path.display()));
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(fail)?;
        bytes
    } else {
        std::fs::read(path).map_err(fail)?
    };
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::new(format!("'{}' is not UTF-8 (byte {at}); save it as UTF-8", path.display()))
    })
}

/// Runs a program to its end and gives its exit code. Tracebacks go to stderr.
///
/// # Errors
/// When the file cannot be read.
pub fn run(source: &Source, options: Options) -> Result<u8, Error> {
    let (text, filename, search) = match source {
        Source::Text(text) => (text.clone(), "<string>".to_string(), vec![PathBuf::from(".")]),
        Source::File(path) => {
            let folder = path.parent().map_or(PathBuf::from("."), Path::to_path_buf);
            (read_source(path)?, path.display().to_string(), vec![folder])
        }
    };
    on_stack(move || {
        let Options { capabilities, limits, arguments, tier } = options;
        let host = ProgramHost::new(capabilities, search.clone(), Arc::new(Library));
        let vm = prepare(Box::new(host), limits, STACK_BYTES - (4 << 20), Some(compile));
        crate::tier::install(&vm, tier);
        let _entered = vm.enter();
        let mut argv = vec![if filename == "<string>" { "-c".to_string() } else { filename.clone() }];
        argv.extend(arguments);
        let path: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
        match vm.import("sys") {
            Ok(_) => pyc_stdlib::set_arguments(&vm, &argv, &path),
            Err(error) => return finish(&vm, Err(error)),
        }
        let result = run_text(&vm, &text, &filename);
        finish(&vm, result)
    })
}

/// Runs text as `__main__`.
pub(crate) fn run_text(vm: &Vm, text: &str, filename: &str) -> PyResult<()> {
    if filename != "<string>" {
        vm.remember_source(filename, text);
    }
    match crate::compile::lower(text, filename, pyc_front::Mode::Module) {
        Ok(code) => run_main(vm, &code, filename),
        Err(error) => Err(crate::compile::syntax_error(vm, &error)),
    }
}

/// How a captured run ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What it wrote to stdout.
    pub output: String,
    /// What it wrote to stderr.
    pub errors: String,
    /// Its exit code.
    pub exit: u8,
    /// Blocks of memory that objects still held after the instance had ended: what leaked.
    pub leaked_blocks: usize,
    /// Steps that it took: the same in every tier, on every machine. 0 where a worker ran it.
    pub steps: u64,
}

/// Runs a text as a program and collects its output; for tests and comparisons.
///
/// # Errors
/// When the interpreter itself fails.
pub fn run_captured(text: &str, filename: &str, options: Options) -> Result<Outcome, Error> {
    let (text, filename) = (text.to_string(), filename.to_string());
    on_stack(move || {
        let mut host = ProgramHost::new(options.capabilities, Vec::new(), Arc::new(Library));
        let [out, err] = host.capture();
        let (exit, steps) = {
            let vm = prepare(Box::new(host), options.limits, STACK_BYTES - (4 << 20), Some(compile));
            crate::tier::install(&vm, options.tier);
            let _entered = vm.enter();
            let result = vm.import("sys").map(drop).and_then(|()| {
                let mut argv = vec![filename.clone()];
                argv.extend(options.arguments);
                pyc_stdlib::set_arguments(&vm, &argv, &[]);
                run_text(&vm, &text, &filename)
            });
            (finish(&vm, result), vm.steps())
        };
        let leaked_blocks = pyc_runtime::object::live_blocks();
        let text = |sink: std::rc::Rc<std::cell::RefCell<Vec<u8>>>| {
            String::from_utf8_lossy(&sink.take()).into_owned()
        };
        Outcome { output: text(out), errors: text(err), exit, leaked_blocks, steps }
    })
}
