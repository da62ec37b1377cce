//! Hot weights: what a version of the weights is, what changed between two, and how many servers go from one to
//! the next without a dropped token, all of them or none.
//!
//! The key decision is that a version is named by its content. A [`manifest`] lists every chunk's digest under one
//! signed root; whatever carries the bytes (a peer, a disk, a broadcast, somebody who lies) is not trusted, because
//! each receiver checks every chunk against the manifest before it says that it is ready. The second is that the
//! update protocol is a pure state machine, which does no input or output and reads no clock: the same code runs
//! behind HTTP, behind MPI and in the simulator, which breaks everything around it from a seed.
//!
//! Rejected: copying into live parameters (a failure halfway leaves weights that nobody trained), verification on
//! one rank only, checksums per file (a change of one element sends the file again), and a consensus protocol
//! among the servers (the decision about weights belongs to whoever holds the coordinator's log).
//!
//! This crate knows no HTTP, no MPI, no model and no tensor arithmetic: it moves bytes and decides.

pub mod delta;
mod dtype;
mod error;
mod hash;
pub mod host;
pub mod manifest;
pub mod plan;
pub mod protocol;
pub mod simulate;
pub mod source;
pub mod transport;
mod wire;

pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use hash::Hash;
pub use manifest::Manifest;
pub use plan::Plan;
