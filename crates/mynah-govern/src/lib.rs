//! What a ledger's runs are worth: compared, gated, validated, repaired, promoted, reported.

pub mod compare;
mod error;
pub mod stats;

pub use error::{Error, ErrorKind, Result};
