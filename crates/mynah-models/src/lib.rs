//! Inference: a decoder of any family over a paged key/value cache.
//!
//! The key decision is that a step takes pieces of many sequences at once ([`Segment`]): prompts that are being
//! read and sequences that write one token each are the same thing to the model, so that continuous batching
//! and chunked prefill need no second code path. Rejected: one cache object a sequence, because sequences with a
//! common beginning could then not share pages.

mod segment;

pub use segment::{Logits, Segment};
