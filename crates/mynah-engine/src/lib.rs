//! Generation: a prompt's ids go in, sampled text comes out, with tools answered on the way.
//!
//! The key decision is that the engine knows token ids only. A model is anything that implements [`Model`]
//! (a prefill of prompts, then one token a row at a time; [`GptModel`] wraps ours); text comes in and goes out through
//! [`TextCodec`]. So the engine is tested with models whose every logit is known, depends on no tokenizer,
//! and stays synchronous: the caller owns threads and channels.
//!
//! Rejected: a scheduler that lets new prompts into a running batch. Chat has one row and grading knows all
//! its prompts beforehand; rows only ever leave a batch ([`Rows::select`]).
//!
//! A row draws from its own random stream, so it gives the same text alone and in any batch. A tool call is
//! a state of the row ([`Part`]): the tokens of the result are forced in, count to the context, and are
//! marked as not sampled. The [`calculator`] is the one tool so far.

pub mod calculator;
mod error;
mod generate;
mod gpt;
pub mod live;
mod model;
mod row;
mod sampler;
mod text;

pub use error::{Error, ErrorKind, Result};
pub use generate::{Generator, OnPiece, Request};
pub use gpt::GptModel;
pub use model::{Model, Rows, TextCodec};
pub use row::{Completion, Finish, Limits, Part, Piece, Tool, ToolTokens};
pub use sampler::{Sampler, SamplingOptions, greatest, row_rng};
pub use text::TextStream;
