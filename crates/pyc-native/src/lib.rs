//! Machine code from the register IR, through Cranelift.
//!
//! **Key decision: no speculation that has to be undone.** A value in a machine register is a lane: a tag and a
//! float. The tag is the value as the runtime represents it, or a mark that the float is meant; so numbers are unboxed
//! without anybody having promised that they are numbers, a wrong guess costs a predicted branch, and no guard ever
//! needs the frame to be rebuilt for the interpreter. A forward analysis over sets of tags ([`types`]) finds where the
//! set is a single tag; there the checks, the reference counts and the tag itself go away, and a loop over floats is a
//! loop over machine floats.
//!
//! **An inner loop that computes has a second version** ([`versions`]): what a float constant or a `range()` suggests
//! about its registers is checked once at the loop's entry, and inside there are no more checks. Where a sum overflows
//! or a register changes its type the version is left for the same op of the general code, with the same registers.
//!
//! **Every op has the interpreter behind it.** Subscripts, slices, displays, iteration, formatting and operators on
//! anything have a helper of the runtime that takes lanes (`containers.rs`, `iteration.rs`, `arithmetic.rs`). What is
//! left writes the registers that the op names to a window on the machine stack and calls the interpreter for this one op
//! (`step.rs`), then reads them back. So each op behaves, raises and counts steps as in the interpreter because it is
//! the interpreter's, and the first version of this compiler could run every program. The quick paths (`ops.rs`,
//! `arithmetic.rs`, `access.rs`, `attributes.rs`, `calls.rs`) are then an optimisation each, and a wrong one is a bug in
//! one place.
//!
//! Temporaries of the IR are written once and read once, so an op that takes one owns the reference: most references
//! are moved, few counted. An exception is a call that gave tag 0: control goes to the handler as along any other
//! edge, or to one block that drops what the registers hold.
//!
//! **One form of code for both uses.** Code is position-independent and has no relocations: the address of the VM is
//! the first argument, everything else is loaded from there (see `pyc_runtime::native`). [`Machine`] is bytes and
//! offsets; equal code gives equal bytes on every machine, since no feature beyond the architecture's first version is
//! used. A loader maps the bytes and needs nothing of this crate.
//!
//! Calls between compiled functions go straight from machine code to machine code, with the arguments as arguments
//! and floats returned unboxed (`calls.rs`). The callee is found through the function object that the program loaded at
//! this moment, so rebinding a name or a method needs no invalidation. A class whose instances `object.__new__` makes
//! gets its instance and then its `__init__` called in the same way; defaults, keywords, bound methods and native
//! functions are one call of the runtime with the arguments in the window. A global that holds the running function
//! itself needs no reference on its way to the call, and when such a function begins with a comparison of a parameter
//! with a number and a return, its caller does that without a frame. Some builtins (`len`, `abs`, `list.append`, …) are
//! done in place as long as the name still means them (`builtins.rs`).
//!
//! Attributes and methods are found through the interpreter's inline caches (`attributes.rs`): the type's version and
//! the instance's shape are compared, then the value is loaded from its place. The interpreter fills the caches when
//! the quick path fails, so that both tiers know the same. A method is called without a bound method, a getter without
//! the property's machinery, `super().name` without an object for `super()`.
//!
//! **A generator's registers** lie in the interpreter's heap frame while it is suspended and in machine registers while
//! it runs ([`generators`]); its entry jumps by the place where it stopped. **A module's variables** stay entries of its
//! dict; the caches of the ops that read them know the places ([`names`]).
//!
//! What stays in the interpreter: modules without a loop (they run once), class bodies, coroutines and asynchronous
//! generators, functions that look at their own frame (`locals()`, `exec`), and functions of thousands of ops. What
//! differs: an unboxed float has no identity (`is` compares bits, and two containers that got the same one hold two
//! objects), and functions' frames seen from below (`sys._getframe(1).f_locals`) have no variables.
//!
//! Only for x86-64 on Unix so far: how a pair of an integer and a float is returned is written down for its calling
//! convention. Elsewhere [`Compiler::new`] gives nothing and the interpreter runs all.
//!
//! Rejected: two versions of every function (code size; outside of loops a predicted check costs little); profiles (a
//! program built ahead of time has none); one function for each set of argument types (code size; the checks that it
//! saves are predicted).

mod access;
mod arithmetic;
mod attributes;
mod builtins;
mod calls;
mod compile;
mod containers;
mod generators;
mod handlers;
mod iteration;
mod lanes;
mod names;
mod ops;
mod step;
mod types;
mod versions;

pub use compile::{Compiler, Machine, compilable};
