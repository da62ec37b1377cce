//! Inference: a decoder of any family over a paged key/value cache, and the files it comes in.
//!
//! The key decision is that a step takes pieces of many sequences at once ([`Segment`]): prompts that are being
//! read and sequences that write one token each are the same thing to the model, so that continuous batching
//! and chunked prefill need no second code path. Rejected: one cache object a sequence, because sequences with a
//! common beginning could then not share pages.
//!
//! A family is data. [`DecoderConfig`] says layer by layer what is computed, a table of names says where the
//! tensors are, and one [`Decoder`] runs them all. Rejected: a struct a family, because fifteen copies of the
//! same loop rot fifteen times; and a graph of ops, because its reader would have to run it to see the model.
//!
//! A sequence's logits do not depend on what else is in the batch, nor on how its prompt was cut, to the bit.

mod adapter;
mod cache;
mod compute;
mod config;
mod decoder;
mod embedder;
mod error;
mod extras;
mod families;
mod files;
mod load;
mod model;
mod options;
mod random;
mod segment;
mod step;

pub use config::{
    Activation, Attention, DecoderConfig, Extras, Layer, Mamba, MixtureOfExperts, Mlp, Norm, NormKind, Op,
    Pairs, Part, QueryKeyNorm, Rope, Router, SharedExpert,
};
pub use decoder::Decoder;
pub use embedder::{Embedder, EmbedderConfig, Pooling};
pub use error::{Error, ErrorKind, Result};
pub use files::gguf::{GgufHeader, GgufValue};
pub use files::hub::resolve;
pub use model::Model;
pub use mynah_kernels::paged::KvFormat;
pub use options::{LoadOptions, Quantize};
pub use random::{RANDOM_SHAPES, RandomShape, write_random_model};
pub use segment::{Logits, Segment};
