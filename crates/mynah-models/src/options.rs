//! How a model is loaded.

/// How a model is loaded; `LoadOptions::default()` serves one user with short texts.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Longest sequence wanted; at most what the model allows, which is also the default. Models whose
    /// rotation depends on it (LongRoPE) are set up for this length.
    pub context_length: Option<usize>,
    /// Positions in a page of the cache.
    pub page_tokens: usize,
    /// Pages of the cache; by default enough for 16,384 positions or one sequence of full length, whichever
    /// is less.
    pub cache_pages: Option<usize>,
    /// Sequences with recurrent state at a time; models without such state take no memory for it.
    pub max_slots: usize,
    /// Compute threads; by default those of the process.
    pub threads: Option<usize>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { context_length: None, page_tokens: 32, cache_pages: None, max_slots: 16, threads: None }
    }
}
