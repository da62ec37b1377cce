//! The object model, the builtin types and the exceptions of Python programs.
//!
//! **Key decision: one file knows what a [`Value`] is.** [`object`] holds the tagging, headers, reference counts and
//! the collector; everything else sees `Value`, payload types in Rust and `Vm`. So the representation can change
//! without touching a builtin, and builtins are safe Rust: interior mutability is `RefCell`, and no borrow is held
//! while Python code may run.
//!
//! **Types are tables of methods, not of slots.** `a + b` on anything but small ints, floats and strings looks
//! `__add__` up on the type (one probe of the method cache, keyed by the type's version) and calls it; native methods
//! and Python methods are found the same way, so inheritance, monkey patching and `super()` need no second mechanism.
//! The exception is the step of iterators ([`types::NextFn`]).
//!
//! How to add things:
//! - a method: a row `(name, parameters, function)` in the type's table ([`args`]);
//! - a builtin type: a row in [`registry`], a payload with [`object::Payload`], a file with `init`;
//! - a native module: a function `fn(&Vm) -> PyResult` that gives a module (`Vm::native_module_object`), registered by
//!   name (`Vm::register_module`), with types of its own by `Vm::new_type` and state in `Vm::state`.
//!
//! Errors are values ([`vm::PyResult`]); a limit that was hit is an exception that nothing catches
//! (`Vm::terminate`). The interpreter and the compiler are connected from outside ([`vm::Engine`]), the outside world
//! through [`host::Host`].
//!
//! Rejected: atomically counted or traced objects (CPython's `__del__` timing would go); a table of slot functions
//! beside the method tables (two truths to keep in step); NaN boxing (63-bit integers are twice as fast in modular
//! arithmetic).

mod annotations;
pub mod args;
mod attr;
pub mod builtins;
pub mod bytes;
pub mod class;
mod code_object;
pub mod containers;
pub mod descriptors;
pub mod dict;
pub mod exceptions;
pub mod frame;
pub mod function;
pub mod generator;
pub mod generic;
mod groups;
pub mod host;
pub mod iterators;
pub mod module;
pub mod names;
pub mod native;
pub mod numbers;
pub mod object;
mod object_type;
pub mod ops;
pub mod range;
pub mod registers;
pub mod registry;
pub mod shape;
pub mod str;
mod suggest;
pub mod template;
pub mod traceback;
pub mod types;
pub mod unicode;
pub mod vm;
pub mod weakref;

pub use args::Method;
pub use object::{Kind, Payload, Value, new_object};
pub use vm::{Args, PyResult, Raised, Vm};

/// `int(f)` for formatting.
pub(crate) fn numbers_to_int(vm: &Vm, f: f64) -> PyResult {
    numbers::to_int(vm, f)
}
