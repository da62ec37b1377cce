//! Generation: a prompt's ids go in, sampled text comes out, with tools answered on the way.
//!
//! There are two engines over one sampler and one text stream. [`Generator`] answers known prompts in one call, for
//! chat in the terminal, for grading and for training; tools are answered in the middle of a row. [`live`] serves:
//! requests come and go while it runs, share memory, and are told of every token.
//!
//! The key decision is that both know token ids only. A model is anything that implements [`Model`] (a prefill of
//! prompts, then one token a row at a time; [`GptModel`] wraps ours) or [`live::StepModel`] (pieces of many sequences
//! in one step, over pages); text goes through [`TextCodec`] or [`live::Codec`]. So the engines are tested with models
//! whose every logit is known, depend on no tokenizer, and stay synchronous.
//!
//! Rejected: one engine for both. Grading knows all its prompts beforehand and wants its rows back together; pages,
//! queues and a thread would only be in its way. And for the generator, a scheduler that lets new prompts into a
//! running batch: its rows only ever leave it ([`Rows::select`]).
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
