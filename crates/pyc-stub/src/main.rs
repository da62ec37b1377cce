//! The executable that a built program is appended to: it runs what it finds at its own end.
//!
//! **Key decision: three of them, built ahead.** The smallest has neither compiler nor the modules that short programs do
//! without; the feature `library` adds these but for those with big tables, `full` all of it. `mynah py build` copies
//! the one that the program needs and appends its modules, so the
//! user's machine needs no compiler and no linker, and the same program gives the same bytes everywhere. What the
//! program may do stands in the manifest behind it; there are no options, since its arguments are the program's.
//!
//! Rejected: linking objects at build time (a linker on the user's machine, and paths in the result).

use std::process::ExitCode;

use pyc_runtime::vm::CompileFn;

/// Counts what a limit on memory bounds.
#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

#[cfg(feature = "full")]
const COMPILER: Option<CompileFn> = Some(pyc_driver::compile);
#[cfg(not(feature = "full"))]
const COMPILER: Option<CompileFn> = None;

fn main() -> ExitCode {
    pyc_runtime::object::one_arena();
    let Err(error) = pyc_host::run_self(COMPILER);
    eprintln!("error: {error}");
    ExitCode::from(2)
}
