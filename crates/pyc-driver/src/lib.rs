//! Running Python programs: finding modules, granting capabilities, setting limits, and the embedding API.
//!
//! **Key decision: nothing ambient.** A program reaches the outside only through [`ProgramHost`], which checks each
//! operation against the [`Capabilities`] it was given; the runtime below knows no files. What is denied raises
//! PermissionError with the capability's name, so that the user can grant exactly that.
//!
//! The Python part of the standard library is read from the published crate `rustpython-pylib` when this crate is
//! built, packed into the binary, and compiled when a program imports it.
//!
//! [`Program`] compiles once; each [`Instance`] is an isolated Python with its own modules and limits, in which
//! functions are called any number of times.
//!
//! Rejected: one shared interpreter with per-program globals (state leaks through modules and types).

mod capabilities;
mod embed;
mod error;
mod host;
mod library;
mod run;

pub use capabilities::Capabilities;
pub use embed::{HostFunction, Instance, Program};
pub use error::Error;
pub use host::ProgramHost;
pub use pyc_runtime::host::Limits;
pub use run::{Options, Outcome, Source, run, run_captured};
