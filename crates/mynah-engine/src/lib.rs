//! Generation: a prompt's ids go in, sampled text comes out, with tools answered on the way.
//!
//! The key decision is that the engine knows token ids only. A model is anything that implements [`Model`]
//! (a prefill of equally long prompts, then one token a row at a time); text comes in and goes out through
//! [`TextCodec`]. So the engine is tested with models whose every logit is known, depends on no tokenizer,
//! and stays synchronous: the caller owns threads and channels.
//!
//! All rows of a batch have the same length in the cache. Prompts of different lengths share a batch all the
//! same ([`Generator::answer_all`]): the batch starts with as much as its shortest prompt has, and the
//! longer ones are fed the rest token by token while the shorter ones already answer. A cache with a length
//! per row was rejected: it makes every attention kernel more complex and for short questions gains nothing.
//!
//! A row draws from its own random stream, so it gives the same text alone and in any batch. A tool call is
//! a state of the row ([`Part`]): the tokens of the result are forced in, count to the context, and are
//! marked as not sampled. The [`calculator`] is the one tool so far.

pub mod calculator;
mod error;
mod generate;
mod model;
mod row;
mod sampler;
mod text;

pub use error::{Error, ErrorKind, Result};
pub use generate::{Generator, OnPiece, Request};
pub use model::{Model, Rows, TextCodec};
pub use row::{Completion, Finish, Limits, Part, Piece, Tool, ToolTokens};
pub use sampler::{Sampler, SamplingOptions, greatest, row_rng};
pub use text::TextStream;
