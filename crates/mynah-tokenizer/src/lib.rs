//! Byte-level byte-pair encoding, from raw text to the ids a chat model is trained on.
//!
//! A tokenizer here is three things: a split [`pattern`] that cuts text into chunks, a list of ranked
//! merges that never cross a chunk's edge, and special tokens that user text can never produce. The
//! [`Trainer`] learns the merges, the [`Tokenizer`] applies them, [`chat`] lays out conversations.
//!
//! The key decision is to do each job where it is cheap. Chunks repeat, so training works on unique
//! chunks with counts and encoding asks a small cache before it merges anything. The named patterns are
//! cut by hand-written code over the same Unicode tables that the regular expression engine uses; the
//! engine itself serves only patterns that users bring, and is the oracle in the tests. Rejected: the
//! engine on the hot path (15 times slower at splitting), merging by the text of two tokens instead of by their ids
//! (the same result for every vocabulary that merging can reach, see `vocabulary`), and a scheme of our
//! own on disk: what we save, Hugging Face's and OpenAI's libraries load.
//!
//! The tokenizers of other people's models, of whatever kind, are behind one type, [`TextTokenizer`]; see
//! [`text`] for what is done by our own code there and what is not.
//!
//! Everything from outside (files, text, conversations) is checked and refused with an [`Error`] that
//! says what, where and what to do.

mod cache;
pub mod chat;
mod compression;
mod error;
mod format;
mod merge;
pub mod pattern;
mod special;
mod split;
mod tailed;
pub mod text;
mod threads;
mod tokenizer;
mod train;
mod unicode;
mod vocabulary;

pub use compression::{Compression, compression};
pub use error::{Error, ErrorKind, Result};
pub use format::{FILE_SIZE_MAX, HUGGING_FACE_FILE, TIKTOKEN_FILE};
pub use pattern::Pattern;
pub use special::Special;
pub use text::{EncodedPair, GgufTokenType, GgufVocabulary, TextStream, TextTokenizer};
pub use tokenizer::Tokenizer;
pub use train::{TrainOptions, TrainReport, Trainer};
pub use vocabulary::VOCABULARY_SIZE_MAX;

/// Vocabulary size, special tokens included, when nobody asks for another.
pub const DEFAULT_VOCABULARY_SIZE: usize = 32_768;
