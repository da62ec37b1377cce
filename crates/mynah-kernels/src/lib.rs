//! The numeric kernels of the lab: plain functions over slices, each in up to three forms (AVX-512,
//! AVX2, what the compiler makes of portable Rust) beside a readable reference that they are tested
//! against, and the pool of compute threads they run on.
//!
//! The key decision is that vector code is chosen at run time, once, by [`cpu::isa`]: one binary runs on
//! any x86-64 or arm64 machine and still uses what it finds. Rejected: building for the host
//! (`-C target-cpu=native` makes a binary that dies elsewhere); a portable vector type over all
//! instruction sets (the kernels that matter differ in tile shape, not in spelling); a BLAS library
//! (it cannot fuse an epilogue into the product, and it is not ours to fix).
//!
//! This crate is the unsafe island of the lab. The public functions are safe: they check every length
//! and stride first and panic with a message when the caller's sizes do not belong together, for only
//! a programming error can cause that; sizes and bytes that come from files are refused with an [`Error`].
//! Nothing in here knows of tensors.
//!
//! Results do not depend on timing: each output element is computed by one task in a fixed order.

pub mod cpu;
mod error;
pub mod float;
pub mod gemm;
pub mod infer;
mod mapped;
pub mod nn;
pub mod paged;
pub mod pool;
pub mod probe;
pub mod quant;

pub use error::{Error, ErrorKind, Result};
pub use mapped::MappedFile;
