//! Weights between processes without a copy more than there must be: sealed shared memory between the processes of
//! one machine, and broadcasts between the ranks of an MPI job.
//!
//! The key decision is that neither is trusted. Whoever gets weights from here checks every chunk against the
//! manifest before anybody uses them, as with bytes from a socket; the [update protocol](mynah_swap::protocol) decides
//! as it does over TCP. What is special is only how the bytes come.
//!
//! [`shared`]: the version is written once, into memory that is then sealed by the kernel: nobody can write, cut or
//! extend it any more, also not the writer. Its descriptor goes over a Unix socket, and every server maps the same
//! pages. `mpi` (feature `mpi`): a C shim of a dozen functions, compiled with MPI's own wrapper, whose error handlers
//! return instead of aborting. One thread calls MPI; broadcasts are non-blocking and double-buffered, so that sending,
//! hashing and applying overlap; who waits, sleeps.
//!
//! Rejected: a file in `/dev/shm` (whoever may read it may often write it, and it outlives its users), bindings made
//! from MPI's header (they need libclang and have no error handlers), the server as an MPI rank (one dead rank ends
//! the job).
//!
//! This crate is an island of `unsafe`: mappings and foreign calls, each with its argument.

#[cfg(feature = "mpi")]
pub mod mpi;
#[cfg(target_os = "linux")]
pub mod shared;

pub use mynah_swap::{Error, ErrorKind, Result};
