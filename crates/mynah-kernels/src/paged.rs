//! Attention over a paged key/value cache: queries of several sequences, each with its list of pages.
//!
//! The key decision is the layout of a page ([`PagedKv`]): keys lie transposed, so that a vector holds one
//! dimension of consecutive keys, and values lie by token. The cache itself is then what a tile product
//! packs its operands into; prompt and decoding step run the same kernel and nothing is packed. Rejected: keys by
//! token, whose scores are sums over lanes for a single query and need packing for many.
//!
//! A query's result is one chain of operations that depends on its position and on its sequence alone. Keys are taken
//! in blocks of [`BLOCK`] at absolute positions, in each of which the softmax is rescaled (FlashAttention-2,
//! Dao 2023, arXiv 2307.08691); blocks are gathered in spans of [`SPAN`] positions that begin afresh and are merged
//! in order, so that a long sequence can be shared between threads (flash decoding). A query has
//! the same bits alone, in a batch, in a prompt cut anywhere, and with any number of threads.

mod attend;
mod cache;
pub mod reference;
mod span;

pub use attend::{PagedAttention, PagedSegment, paged_attention};
pub use cache::{KvFormat, PagedKv};

/// Keys between two rescalings of the softmax: a multiple of every vector.
const BLOCK: usize = 128;

/// Positions of a span, a multiple of [`BLOCK`].
const SPAN: usize = 4096;

/// Keys of a unit: pages hold whole ones.
const UNIT: usize = 16;
