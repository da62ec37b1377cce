//! What every other crate of the lab needs and nobody wants to write twice: seeded random numbers,
//! file writes that are whole or absent, the clock, and texts and numbers as people and other programs read them.
//!
//! The key decision is exactness. [`Rng`] is our own small generator with a saveable state instead of a
//! crate whose stream may change between versions: the same seed must give the same model for the
//! whole life of a checkpoint. [`write_atomic`] is the only way the product replaces a file.

mod atomic;
mod rng;
pub mod text;
pub mod time;
pub mod units;

pub use atomic::{sync_dir, write_atomic};
pub use rng::Rng;
