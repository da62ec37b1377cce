//! Syntax tree to register IR.
//!
//! **Key decision: one walk, with registers numbered at the end.** A [`unit`] is one code object being made. Locals,
//! cells and temporaries have their own number ranges while ops are emitted, because comprehensions add locals
//! (PEP 709) in the middle; `finish` packs them. Temporaries form a stack: an expression leaves its value in the
//! topmost one, or is a local that is read in place. A local is known to be bound along straight lines of the
//! program, so most reads need no check.
//!
//! `finally` bodies and `__exit__` calls are repeated on every way out of their block, as CPython does; the guarded
//! ranges are cut around those copies. Conditions are lowered as jumps, never as values.
//!
//! Rejected: lowering to a tree of blocks first (nothing here needs the graph; the list with labels is what the
//! interpreter wants).

mod expr;
mod func;
mod literals;
mod names;
mod pattern;
mod protect;
mod stmt;
mod tree;
mod unit;

use std::sync::Arc;

use pyc_front::{Module, SyntaxError};
use pyc_ir::Code;

pub use tree::{Field, Node, tree};

/// Lowers a parsed module.
///
/// # Errors
/// The syntax errors that only show here (`break` outside a loop), and code too large for the IR.
pub fn lower(module: &Module) -> Result<Arc<Code>, Box<SyntaxError>> {
    unit::Lower::new(module).module()
}
