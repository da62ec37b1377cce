//! The beginning and the end of a run.

use std::sync::Arc;

use pyc_ir::Code;
use pyc_runtime::host::Limits;
use pyc_runtime::module::ModuleData;
use pyc_runtime::vm::CompileFn;
use pyc_runtime::{PyResult, Value, Vm};

use crate::error::Error;
use crate::host::ProgramHost;

/// Native stack for Python frames; only what is used is ever committed.
pub const STACK_BYTES: usize = 512 << 20;

/// The exit code of a program that a limit ended.
pub const LIMIT_EXIT: u8 = 124;

/// Runs `body` in a thread with a stack of [`STACK_BYTES`].
///
/// # Errors
/// When the thread cannot be started, or panics.
pub fn on_stack<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).name("python".into()).spawn(body);
    let worker = worker
        .map_err(|e| Error::new(format!("cannot start a thread with a stack of {STACK_BYTES} bytes: {e}")))?;
    worker
        .join()
        .map_err(|_| Error::new("the interpreter failed inside; this is a bug, please report the program"))
}

/// A VM with interpreter and native modules; without a compiler, `compile`, `exec` and `eval` of text are refused.
pub fn prepare(
    host: Box<ProgramHost>,
    limits: Limits,
    stack_bytes: usize,
    compiler: Option<CompileFn>,
) -> Vm {
    let vm = Vm::new(host, limits);
    vm.stack_bytes.set(stack_bytes);
    pyc_interp::install(&vm);
    if let Some(compiler) = compiler {
        vm.set_compiler(compiler);
    }
    pyc_stdlib::install(&vm);
    vm
}

/// Runs code as `__main__`.
///
/// # Errors
/// The exception that left it.
pub fn run_main(vm: &Vm, code: &Arc<Code>, filename: &str) -> PyResult<()> {
    let module = main_module(vm, filename)?;
    let Some(data) = module.get::<ModuleData>() else { return Ok(()) };
    let globals = data.dict.clone();
    let code = vm.code(code.clone());
    (vm.engine().run)(vm, &code, &globals, &globals, &[]).map(drop)
}

/// The module `__main__`, in `sys.modules`.
///
/// # Errors
/// What storing it raises.
pub fn main_module(vm: &Vm, filename: &str) -> PyResult {
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
pub fn finish(vm: &Vm, result: PyResult<()>) -> u8 {
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
