//! Data: files in, token batches out.
//!
//! draft

pub mod builtin;
mod corpus;
mod error;
mod split;
pub mod tasks;

pub use corpus::{Corpus, CorpusOptions, Counts, Document, Documents, Place, SplitDocuments};
pub use error::{Error, ErrorKind, Result};
pub use split::{Split, VALIDATION_FRACTION};
