//! How a model is loaded.

use mynah_kernels::paged::KvFormat;
use mynah_kernels::pool;

/// What float weights are rounded to while they are loaded. Weights in the blocks of GGUF stay as they are, and the
/// four-bit floats of GPT-OSS are held exactly in 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantize {
    /// 8.5 bits a weight (ggml's Q8_0).
    Q8,
    /// 4.5 bits a weight (ggml's Q4_0); the output head, which suffers most, as [`Quantize::Q8`].
    Q4,
}

/// How a model is loaded; `LoadOptions::default()` serves one user with short texts.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Longest sequence wanted; at most what the model allows, which is also the default. Models whose
    /// rotation depends on it (LongRoPE) are set up for this length.
    pub context_length: Option<usize>,
    /// Positions in a page of the cache, a multiple of 16.
    pub page_tokens: usize,
    /// Pages of the cache; by default enough for 16,384 positions or one sequence of full length, whichever
    /// is less.
    pub cache_pages: Option<usize>,
    /// How keys and values are kept.
    pub cache_format: KvFormat,
    /// Sequences with recurrent state at a time; models without such state take no memory for it.
    pub max_slots: usize,
    /// Rounding of the matrices; routers, norms and embeddings stay as they are.
    pub quantize: Option<Quantize>,
    /// Compute threads; by default those of the process.
    pub threads: Option<usize>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            context_length: None,
            page_tokens: 32,
            cache_pages: None,
            cache_format: KvFormat::F32,
            max_slots: 16,
            quantize: None,
            threads: None,
        }
    }
}

/// Runs `body` with this number of compute threads.
pub(crate) fn with_threads<R>(threads: Option<usize>, body: impl FnOnce() -> R) -> R {
    match threads {
        Some(count) => pool::with_threads(count, body),
        None => body(),
    }
}
