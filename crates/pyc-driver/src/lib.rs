//! Running, building and embedding Python programs.
//!
//! Below this crate a program is code; here is what makes code from text. The Python part of the standard library is
//! read from the published crate `rustpython-pylib` when this crate is built. The product carries it compiled as well
//! ([`pack_library`], [`install_library`]), so that importing is decoding; without that pack a module is compiled when
//! it is first imported, and shared by all instances of the process.
//!
//! [`Program`] compiles once; each [`Instance`] is an isolated Python with its own modules and limits, in which
//! functions are called any number of times. [`build`] makes one executable of a program.
//!
//! Rejected: one shared interpreter with per-program globals (state leaks through modules and types); a cache of
//! compiled programs on disk (compiling is quicker than 100,000 lines a second, and a cache would be one more thing
//! that a program without granted files touches).

mod bench;
mod build;
mod compile;
mod embed;
mod inspect;
mod library;
pub mod regrtest;
mod run;
mod session;
mod syntax_tree;
mod testing;
mod tier;
mod worker;

pub use bench::{Measured, Runner, bench};
pub use build::{BuildOptions, Built, Stubs, build};
pub use compile::compile;
pub use embed::{HostFunction, Instance, Program};
pub use inspect::{Finding, Inspection, LibraryModule, check, inspect, library_modules};
pub use library::{install_library, pack_library};
pub use pyc_host::{Capabilities, Entry, Error, Limits, Manifest, Pack, ProgramHost, on_stack, run_pack};
pub use run::{Options, Outcome, Source, read_source, run, run_captured};
pub use session::{Pushed, Session};
pub use testing::{Outcome as TestOutcome, Report, TestOptions, discover, junit, run_tests};
pub use tier::Tier;
pub use worker::{CAN_CONFINE, Worker, confine};
