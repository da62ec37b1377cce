//! Python from Rust: compile once, call many times, isolated instances.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use pyc_front::Mode;
use pyc_host::{Capabilities, Error, ProgramHost, main_module, prepare};
use pyc_ir::Code;
use pyc_runtime::function::Flavor;
use pyc_runtime::host::Limits;
use pyc_runtime::module::ModuleData;
use pyc_runtime::{PyResult, Raised, Value, Vm};

use crate::compile::{compile, lower};
use crate::library::Library;

/// A compiled program; cheap to share between threads.
#[derive(Clone, Debug)]
pub struct Program {
    code: Arc<Code>,
    text: Arc<str>,
    filename: String,
}

/// A function of the host that programs can call: name, parameters as in pyc-runtime's `args`, code.
pub type HostFunction = pyc_runtime::Method;

impl Program {
    /// Compiles a text; `filename` is what tracebacks say.
    ///
    /// # Errors
    /// The syntax error, with its place.
    pub fn compile(text: &str, filename: &str) -> Result<Program, Error> {
        let code = lower(text, filename, Mode::Module).map_err(|e| Error::new(e.to_string()))?;
        Ok(Program { code, text: text.into(), filename: filename.to_string() })
    }
}

/// An isolated Python in which one program has run.
pub struct Instance {
    vm: Vm,
    output: [Rc<std::cell::RefCell<Vec<u8>>>; 2],
    globals: Value,
}

/// Native stack that an instance may use; the calling thread must have it.
const STACK_BYTES: usize = 1 << 20;

impl Instance {
    /// Runs the program's top level with these capabilities and limits; `functions` are its builtins beside the
    /// usual ones. Output is captured.
    ///
    /// # Errors
    /// The exception that left the program, with its traceback, or the limit that ended it.
    pub fn new(
        program: &Program,
        capabilities: Capabilities,
        limits: Limits,
        functions: &[HostFunction],
    ) -> Result<Instance, Error> {
        let mut host = ProgramHost::new(capabilities, Vec::<PathBuf>::new(), Arc::new(Library));
        let output = host.capture();
        let vm = prepare(Box::new(host), limits, STACK_BYTES, Some(compile));
        crate::tier::install(&vm, crate::tier::Tier::Interp);
        let mut instance = Instance { vm, output, globals: Value::NONE };
        let globals = {
            let vm = &instance.vm;
            let _entered = vm.enter();
            let start = || -> PyResult {
                vm.import("sys")?;
                let owner = vm.intern("builtins");
                for (name, params, function) in functions {
                    vm.set_builtin(name, vm.native(name, params, *function, Flavor::Function, owner.clone()));
                }
                let module = main_module(vm, &program.filename)?;
                vm.remember_source(&program.filename, &program.text);
                let globals = module.get::<ModuleData>().map_or(Value::NONE, |d| d.dict.clone());
                let code = vm.code(program.code.clone());
                (vm.engine().run)(vm, &code, &globals, &globals, &[])?;
                Ok(globals)
            };
            start().map_err(|e| describe(vm, &e))?
        };
        instance.globals = globals;
        Ok(instance)
    }

    /// Calls a function of the program. `arguments` makes the values, `result` reads the answer.
    ///
    /// # Errors
    /// The exception that left the function, or the limit that ended it.
    pub fn call<T>(
        &self,
        name: &str,
        arguments: impl FnOnce(&Vm) -> Vec<Value>,
        result: impl FnOnce(&Vm, &Value) -> PyResult<T>,
    ) -> Result<T, Error> {
        let vm = &self.vm;
        let _entered = vm.enter();
        let key = vm.intern(name);
        let Some(function) = vm.dict_get_name(&self.globals, &key) else {
            return Err(Error::new(format!("the program defines no '{name}'")));
        };
        let arguments = arguments(vm);
        let answer = vm.call_pos(&function, &arguments).and_then(|value| result(vm, &value));
        drop((arguments, function));
        answer.map_err(|e| describe(vm, &e))
    }

    /// `f(list[str]) -> list[float]`, as reward functions are.
    ///
    /// # Errors
    /// As [`Instance::call`]; also when the answer is no list of numbers.
    pub fn call_texts(&self, name: &str, texts: &[&str]) -> Result<Vec<f64>, Error> {
        self.call(
            name,
            |vm| vec![vm.list(texts.iter().map(|t| vm.str(t)).collect())],
            |vm, value| vm.to_vec(value)?.iter().map(|v| vm.to_f64(v)).collect(),
        )
    }

    /// What the program has written to stdout and stderr since the last call, stdout first.
    pub fn take_output(&self) -> String {
        let _entered = self.vm.enter();
        pyc_stdlib::flush_standard(&self.vm);
        self.output.iter().map(|o| String::from_utf8_lossy(&o.take()).into_owned()).collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _entered = self.vm.enter();
        self.globals = Value::NONE;
    }
}

fn describe(vm: &Vm, error: &Raised) -> Error {
    match vm.limits.hit.borrow().clone() {
        Some(limit) => Error::new(limit),
        None => Error::new(vm.format_exception(&error.0).trim_end().to_string()),
    }
}
