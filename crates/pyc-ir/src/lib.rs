//! The register IR of Python programs: what the front end lowers to, what the interpreter runs and what
//! native code is made from.
//!
//! **Key decision: one list of ops over registers, cut into blocks, with linear temporaries.** A function's
//! registers are its locals, then its cells, then temporaries. Ops read locals in place, so `a + b` is one op.
//! A temporary is written once and read once: the op that reads it *takes* it, which gives every object the
//! lifetime that CPython's value stack gives it (`__del__` and weak references run when they do there), and
//! gives native code moves instead of reference counts. A block is a range of the list and ends in an op that
//! leaves it; so the list is at the same time the graph and what the interpreter walks.
//!
//! Every op has a source range, because tracebacks underline expressions. A [`Code`] can only be made by
//! [`CodeParts::finish`], which verifies it: every register, constant, name and target an op mentions exists.
//! The interpreter relies on that and checks nothing again.
//!
//! [`encode`] and [`decode`] are the packed form, for the library that the product carries and for built programs.
//!
//! Rejected: a stack machine (twice the ops, each with stack traffic); SSA as the only form (the interpreter
//! would have to undo it, and generators and handlers keep registers alive in memory anyway: SSA is built from
//! this form where it pays, in native code); constants as operands (a branch in every operand read).

mod code;
mod op;
mod pack;
mod text;
mod verify;

pub use code::{Code, CodeFlags, CodeParts, Const, Handler, Position};
pub use op::{
    BinaryOp, CompareOp, Conversion, Field, Intrinsic, NO_REG, Op, Reg, Role, Special, Target, UnaryOp,
};
pub use pack::{TABLE_NUMBER, decode, encode};
pub use text::{parse, print};
pub use verify::IrError;
