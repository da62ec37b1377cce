//! Which tier runs a function.

use std::cell::RefCell;
use std::str::FromStr;

use pyc_ir::Code;
use pyc_native::Compiler;
use pyc_runtime::Vm;
use pyc_runtime::function::CodeData;
use pyc_runtime::native::Blob;

use pyc_host::Error;

/// How functions are run. Modules, class bodies, generators and coroutines are always interpreted, as is everything
/// on processors without machine code of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// All in the interpreter.
    #[default]
    Interp,
    /// Each function of the program becomes machine code when it is first called; those of the library when they are
    /// called often.
    Native,
    /// Functions become machine code when that pays: those with loops at their first call, others after a number of
    /// calls.
    Auto,
}

/// Calls after which a function without loops is compiled in [`Tier::Auto`].
const CALLS: u32 = 30;
/// Calls after which a function of the standard library is compiled: most are only called while importing.
const LIBRARY_CALLS: u32 = 300;

impl Tier {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Interp => "interp",
            Tier::Native => "native",
            Tier::Auto => "auto",
        }
    }
}

impl FromStr for Tier {
    type Err = Error;
    fn from_str(text: &str) -> Result<Tier, Error> {
        match text {
            "interp" => Ok(Tier::Interp),
            "native" => Ok(Tier::Native),
            "auto" => Ok(Tier::Auto),
            other => Err(Error::new(format!("there is no tier '{other}'; take interp, native or auto"))),
        }
    }
}

thread_local! {
    static COMPILER: RefCell<Option<Compiler>> = const { RefCell::new(None) };
}

fn compile(_vm: &Vm, code: &CodeData) -> Option<Blob> {
    let machine = COMPILER.with(|compiler| {
        let mut compiler = compiler.borrow_mut();
        if compiler.is_none() {
            *compiler = Compiler::new();
        }
        compiler.as_mut().map(|c| c.compile(&[&code.ir]))
    })?;
    if machine.entries.is_empty() {
        return None;
    }
    machine.load().ok()
}

pub(crate) fn has_loop(code: &Code) -> bool {
    code.ops.iter().enumerate().any(|(at, op)| op.target().is_some_and(|target| target as usize <= at))
}

fn of_library(code: &Code) -> bool {
    code.filename.starts_with("<library>/")
}

/// Connects the tier to an instance.
pub(crate) fn install(vm: &Vm, tier: Tier) {
    match tier {
        Tier::Interp => {}
        Tier::Native => vm.set_native_compiler(compile, |code| match code {
            code if !code.flags.function => u32::from(has_loop(code) && !of_library(code)),
            code if of_library(code) => LIBRARY_CALLS,
            _ => 1,
        }),
        Tier::Auto => vm.set_native_compiler(compile, |code| match code {
            code if !code.flags.function => u32::from(has_loop(code) && !of_library(code)),
            code if of_library(code) => LIBRARY_CALLS,
            code if has_loop(code) => 1,
            _ => CALLS,
        }),
    }
}
