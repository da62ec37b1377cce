//! The interpreter over the register IR.
//!
//! **Key decision: the simplest loop that is fast.** One `match` over ops that already hold their operands' registers;
//! small integers, floats and comparisons are done in place; attribute, method and global lookups go through inline
//! caches (type version, shape, place in the namespace). A Python call is a Rust call of `exec::run` with a
//! window on the register stack: no heap frame, arguments move from the caller's registers into the callee's.
//! Generators keep their registers on the heap and run in the same loop.
//!
//! Exceptions are values; a handler is found in the code's table, so code that raises nothing pays nothing.
//! Steps are counted where loops turn, functions start and iterators advance: the same count on every machine.
//!
//! This crate has no `unsafe`: registers and objects are reached through pyc-runtime's primitives.
//!
//! Rejected: threaded code and tail calls (not stable Rust); quickening ops in place (the code is shared between
//! instances).

mod access;
mod build;
mod call;
mod exec;
mod names;
mod operators;
mod pattern;
mod raising;
mod steps;
mod suspend;

use pyc_runtime::Vm;
use pyc_runtime::vm::Engine;

/// Connects the interpreter to an instance.
pub fn install(vm: &Vm) {
    vm.set_engine(Engine {
        call: call::call_function,
        resume: call::resume,
        step: call::step,
        call_window: call::from_window,
        call_names: call::with_names,
        run: call::run_code,
    });
}
