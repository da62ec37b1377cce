//! placeholder
pub mod checkpoint;
mod error;
pub mod metrics;
pub mod sink;
pub use error::*;
