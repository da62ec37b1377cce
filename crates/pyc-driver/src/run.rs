//! Running a program as a command does.

use std::path::{Path, PathBuf};

use pyc_front::Mode;
use pyc_runtime::host::Limits;
use pyc_runtime::module::ModuleData;
use pyc_runtime::{PyResult, Raised, Value, Vm};

use crate::capabilities::Capabilities;
use crate::error::Error;
use crate::host::ProgramHost;

/// What to run.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Text, as after `-c`.
    Text(String),
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
}

/// Native stack for Python frames; only what is used is ever committed.
const STACK_BYTES: usize = 512 << 20;

/// The exit code of a program that a limit ended.
const LIMIT_EXIT: u8 = 124;

/// Runs a program to its end and gives its exit code. Tracebacks go to stderr.
///
/// # Errors
/// When the file cannot be read.
pub fn run(source: &Source, options: Options) -> Result<u8, Error> {
    let (text, filename, search) = match source {
        Source::Text(text) => (text.clone(), "<string>".to_string(), vec![PathBuf::from(".")]),
        Source::File(path) => {
            let bytes = std::fs::read(path)
                .map_err(|e| Error::new(format!("cannot read '{}': {e}", path.display())))?;
            let text = String::from_utf8(bytes).map_err(|e| {
                Error::new(format!(
                    "'{}' is not UTF-8 (byte {}); save it as UTF-8",
                    path.display(),
                    e.utf8_error().valid_up_to()
                ))
            })?;
            let folder = path.parent().map_or(PathBuf::from("."), Path::to_path_buf);
            (text, path.display().to_string(), vec![folder])
        }
    };
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).name("python".into()).spawn(move || {
        let Options { capabilities, limits, arguments } = options;
        let host = ProgramHost::new(capabilities, search.clone());
        let vm = prepare(Box::new(host), limits, STACK_BYTES - (4 << 20));
        let _entered = vm.enter();
        let mut argv = vec![if filename == "<string>" { "-c".to_string() } else { filename.clone() }];
        argv.extend(arguments);
        let path: Vec<String> = search.iter().map(|p| p.display().to_string()).collect();
        match vm.import("sys") {
            Ok(_) => pyc_stdlib::set_arguments(&vm, &argv, &path),
            Err(error) => return finish(&vm, Err(error)),
        }
        let result = run_main(&vm, &text, &filename);
        finish(&vm, result)
    });
    let worker = worker
        .map_err(|e| Error::new(format!("cannot start a thread with a stack of {STACK_BYTES} bytes: {e}")))?;
    worker
        .join()
        .map_err(|_| Error::new("the interpreter failed inside; this is a bug, please report the program"))
}

/// A VM with interpreter, compiler and native modules.
pub(crate) fn prepare(host: Box<ProgramHost>, limits: Limits, stack_bytes: usize) -> Vm {
    let vm = Vm::new(host, limits);
    vm.stack_bytes.set(stack_bytes);
    pyc_interp::install(&vm);
    vm.set_compiler(compile);
    pyc_stdlib::install(&vm);
    vm
}

/// Compiles text to a code object, or raises SyntaxError.
fn compile(vm: &Vm, text: &str, filename: &str, mode: &str, _flags: u32) -> PyResult {
    let mode = match mode {
        "eval" => Mode::Expression,
        "single" => Mode::Interactive,
        _ => Mode::Module,
    };
    let source = pyc_front::Source::new(filename, text);
    let lowered = pyc_front::parse(source, mode).and_then(|module| pyc_lower::lower(&module));
    match lowered {
        Ok(code) => Ok(vm.code(code)),
        Err(error) => Err(syntax_error(vm, &error)),
    }
}

fn syntax_error(vm: &Vm, error: &pyc_front::SyntaxError) -> Raised {
    let ty = match error.kind {
        "IndentationError" => &vm.exc.indentation_error,
        "TabError" => &vm.exc.tab_error,
        _ => &vm.exc.syntax_error,
    };
    let number = |n: u32| Value::from_len(n as usize);
    let info = vm.tuple(vec![
        vm.str(&error.filename),
        number(error.line),
        number(error.column),
        error.text.as_ref().map_or(Value::NONE, |t| vm.str(t)),
        number(error.end_line),
        number(error.end_column),
    ]);
    match vm.call_pos(ty, &[vm.str(&error.message), info]) {
        Ok(made) => Raised(made),
        Err(other) => other,
    }
}

/// Runs text as `__main__`.
pub(crate) fn run_main(vm: &Vm, text: &str, filename: &str) -> PyResult<()> {
    if filename != "<string>" {
        vm.remember_source(filename, text);
    }
    let module = main_module(vm, filename)?;
    let code = compile(vm, text, filename, "exec", 0)?;
    let Some(data) = module.get::<ModuleData>() else { return Ok(()) };
    let globals = data.dict.clone();
    (vm.engine().run)(vm, &code, &globals, &globals, &[]).map(drop)
}

/// The module `__main__`, in `sys.modules`.
pub(crate) fn main_module(vm: &Vm, filename: &str) -> PyResult {
    let module = vm.new_module("__main__");
    if filename != "<string>" {
        vm.module_set(&module, "__file__", vm.str(filename));
    }
    vm.module_set(&module, "__annotations__", vm.dict());
    vm.module_set(&module, "__builtins__", vm.loaded_module("builtins").unwrap_or(Value::NONE));
    vm.dict_set(&vm.modules, vm.intern("__main__"), module.clone())?;
    Ok(module)
}

/// Shows what an uncaught exception says and gives the exit code.
fn finish(vm: &Vm, result: PyResult<()>) -> u8 {
    let mut result = result;
    if let Some(limit) = vm.limits.hit.borrow().clone() {
        pyc_stdlib::flush_standard(vm);
        let _ = vm.host.write(2, format!("error: {limit}\n").as_bytes());
        return LIMIT_EXIT;
    }
    if let Some(module) = vm.loaded_module("atexit")
        && let Ok(run) = vm.get_attr_str(&module, "_run_exitfuncs")
        && let Err(error) = vm.call_pos(&run, &[])
        && result.is_ok()
    {
        result = Err(error);
    }
    let code = match result {
        Ok(()) => 0,
        Err(error) if vm.is_exception(&error, &vm.exc.system_exit) => exit_code(vm, &error.0),
        Err(error) => {
            pyc_stdlib::flush_standard(vm);
            report(vm, &error.0);
            1
        }
    };
    pyc_stdlib::flush_standard(vm);
    code
}

/// Shows an uncaught exception through `sys.excepthook`.
fn report(vm: &Vm, exception: &Value) {
    let sys = vm.sys.borrow().clone();
    let hook = vm.dict_get_name(&sys, &vm.intern("excepthook"));
    let traceback = vm.get_attr(exception, &vm.names.__traceback__).unwrap_or(Value::NONE);
    let shown =
        hook.map(|hook| vm.call_pos(&hook, &[vm.type_of(exception).clone(), exception.clone(), traceback]));
    if !matches!(shown, Some(Ok(_))) {
        let text = vm.format_exception(exception);
        vm.write_stderr(&text);
    }
}

fn exit_code(vm: &Vm, exception: &Value) -> u8 {
    let code = vm.get_attr(exception, &vm.names.code).unwrap_or(Value::NONE);
    let code = if code.is_none() {
        vm.exception_args(exception).first().cloned().unwrap_or(Value::NONE)
    } else {
        code
    };
    if code.is_none() {
        return 0;
    }
    if let Some(n) = vm.as_i64(&code) {
        return n as u8;
    }
    pyc_stdlib::flush_standard(vm);
    let text = vm.str_text(&code).unwrap_or_default();
    vm.write_stderr(&format!("{text}\n"));
    1
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
}

/// Runs a text as a program and collects its output; for tests and comparisons.
///
/// # Errors
/// When the interpreter itself fails.
pub fn run_captured(text: &str, filename: &str, options: Options) -> Result<Outcome, Error> {
    let (text, filename) = (text.to_string(), filename.to_string());
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let mut host = ProgramHost::new(options.capabilities, Vec::new());
        let [out, err] = host.capture();
        let exit = {
            let vm = prepare(Box::new(host), options.limits, STACK_BYTES - (4 << 20));
            let _entered = vm.enter();
            let result = vm.import("sys").map(drop).and_then(|()| {
                let mut argv = vec![filename.clone()];
                argv.extend(options.arguments);
                pyc_stdlib::set_arguments(&vm, &argv, &[]);
                run_main(&vm, &text, &filename)
            });
            finish(&vm, result)
        };
        let text = |sink: std::rc::Rc<std::cell::RefCell<Vec<u8>>>| {
            String::from_utf8_lossy(&sink.take()).into_owned()
        };
        Outcome { output: text(out), errors: text(err), exit }
    });
    let worker = worker.map_err(|e| Error::new(e.to_string()))?;
    worker
        .join()
        .map_err(|_| Error::new("the interpreter failed inside; this is a bug, please report the program"))
}
