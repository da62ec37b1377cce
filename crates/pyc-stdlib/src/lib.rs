//! The native modules of the standard library.
//!
//! **Key decision: a module is a file with a function `module(&Vm) -> PyResult` and a row in [`MODULES`].** It makes the
//! module object on first import, with functions as rows `(name, parameters, function)` and types by `Vm::new_type`.
//! Nothing here opens a file or reads a clock: that goes through `Vm::host`, where capabilities are checked.
//!
//! Only what pure Python cannot do, or not quickly enough, is native; the rest of the library is Python and comes
//! from a published crate (see pyc-driver).
//!
//! Rejected: one module per crate (thirty crates that change together).

mod collections_module;
mod contextvars_module;
mod functools_module;
mod itertools_module;
mod math_module;
mod operator_module;
mod small;
mod sre_engine;
mod sre_module;
mod streams;
mod sys_module;
mod time_module;

use pyc_runtime::{PyResult, Vm};

/// Makes a module object.
pub type Maker = fn(&Vm) -> PyResult;

/// Name and maker of every native module.
pub const MODULES: &[(&str, Maker)] = &[
    ("_abc", small::abc_module),
    ("_collections", collections_module::module),
    ("_contextvars", contextvars_module::module),
    ("_functools", functools_module::module),
    ("_operator", operator_module::module),
    ("_weakref", small::weakref_module),
    ("_sre", sre_module::module),
    ("_thread", small::thread_module),
    ("_string", small::string_module),
    ("_signal", small::signal_module),
    ("atexit", small::atexit_module),
    ("errno", small::errno_module),
    ("gc", small::gc_module),
    ("itertools", itertools_module::module),
    ("marshal", small::marshal_module),
    ("math", math_module::module),
    ("sys", sys_module::module),
    ("time", time_module::module),
];

pub use streams::flush_standard;
pub use sys_module::set_arguments;

/// Makes all native modules known to an instance.
pub fn install(vm: &Vm) {
    for (name, make) in MODULES {
        vm.register_module(name, *make);
    }
}
