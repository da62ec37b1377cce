//! What surrounds a running Python program: its capabilities, the world outside, the modules it finds, its end.
//!
//! **Key decision: nothing ambient.** A program reaches the outside only through [`ProgramHost`], which checks each
//! operation against the [`Capabilities`] it was given; the runtime below knows no files. What is denied raises
//! PermissionError with the capability's name, so that the user can grant exactly that.
//!
//! **A program without the compiler is this crate and those below it.** Modules come as code ([`Pack`]), so that a
//! built program carries neither parser nor lowering unless it compiles text itself; pyc-driver, which compiles,
//! stands above. The same form of pack holds a built program and the library that the product carries.
//!
//! Rejected: a cargo feature that removes the compiler from pyc-driver (what a built program holds would be seen in
//! no crate graph).

mod capabilities;
mod error;
mod host;
mod manifest;
mod network;
mod pack;
mod processes;
mod program;
mod start;

pub use capabilities::{Capabilities, Endpoint};
pub use error::Error;
pub use host::{Modules, ProgramHost};
pub use manifest::Manifest;
pub use pack::{Entry, Pack, PackWriter};
pub use program::{attach, find, run_pack, run_self};
pub use pyc_runtime::host::Limits;
pub use start::{LIMIT_EXIT, STACK_BYTES, finish, main_module, on_stack, prepare, run_main};
