//! Python source to what lowering needs: a syntax tree, the scope of every name, or one syntax error.
//!
//! **Key decision: the parser is a published crate, everything that decides what a program means is here.**
//! Only this crate and pyc-lower know the parser's tree. Its error messages are its own, so [`parse`] maps them
//! to CPython's type, message and place ([`SyntaxError`]); scopes follow CPython's symbol table in two passes:
//! collect what each block binds and uses, then decide from the outside in who owns a name ([`Scopes`]).
//! Comprehensions are scopes without a frame of their own (PEP 709): their names become registers of the
//! enclosing code.
//!
//! Scopes are found again by the address of their syntax node: the tree is never changed after parsing, and a
//! second numbering pass over it would only be one more thing to keep in step.
//!
//! Rejected: a parser of our own (a year of grammar details that users would meet as bugs).

mod analyze;
mod asserts;
mod collect;
mod errors;
mod hints;
mod parse;
mod scope;
mod source;
mod words;

pub use asserts::show_asserts;
pub use errors::SyntaxError;
pub use parse::{Mode, Module, parse, parse_tree};
pub use scope::{Place, Scope, ScopeId, ScopeKind, Scopes, Symbol, mangle, node_key};
pub use source::Source;
