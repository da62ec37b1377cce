//! Data: files in, token batches out.
//!
//! The way of a document: a [`Corpus`] finds files (text, JSON Lines, Parquet) and streams their documents, each in
//! the [`Split`] that its digest says; a [`PackedLoader`] tokenizes them and packs them into rows. Conversations come
//! from [`chat::load`] and go through an [`SftLoader`]. Both give out [`Batch`]es and a small state from which
//! the very same batches go on. Where there are no files, [`builtin`] makes a corpus to learn from, [`tasks`]
//! asks held-out questions about it and grades the answers, and [`fetch`] downloads public sets.
//!
//! The key decision is that position decides everything and nothing is remembered: a document's part comes
//! from its digest, a built-in item from its number, a batch from the window it is cut from. So memory stays bounded,
//! resuming is exact, and no index has to be kept beside the data. Rejected: memory-mapped token files (a
//! second copy of the data on disk, and stale once the tokenizer changes), Arrow's readers for one column of Parquet, and
//! an asynchronous downloader.
//!
//! What comes from outside is bounded, checked and refused with an [`Error`] that says what, where and what to do.

pub mod builtin;
pub mod chat;
mod corpus;
mod error;
pub mod fetch;
pub mod grammar;
mod loader;
mod packing;
mod sft;
mod split;
pub mod tasks;

pub use corpus::{Corpus, CorpusOptions, Counts, Document, Documents, Place, SplitDocuments};
pub use error::{Error, ErrorKind, Result};
pub use loader::{Batch, LoaderOptions, LoaderState, PackedLoader};
pub use packing::PackStats;
pub use sft::{SftLoader, SftState};
pub use split::{Split, VALIDATION_FRACTION};
