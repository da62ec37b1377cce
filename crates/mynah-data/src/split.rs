//! Which part a document belongs to.
//!
//! The digest of a document's text decides, so the answer is the same on every machine, in any order of files and
//! whatever else is in the corpus, and two copies of a document never stand on both sides.

use serde::{Deserialize, Serialize};

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What it is measured on, never trained on.
    Validation,
}

/// The share of documents that go to validation where nothing else is asked for: enough of a small corpus to measure on.
pub const VALIDATION_FRACTION: f64 = 0.03;

/// A number in [0, 1) that depends on the text alone; documents below the fraction are for validation.
pub fn position(text: &str) -> f64 {
    let digest = blake3::hash(text.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}
