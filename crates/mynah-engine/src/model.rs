//! What generation needs of a language model and of a tokenizer: two small traits, so that neither is known
//! here in more detail than this.

use crate::error::Result;

/// A language model that reads tokens and says what may come next.
pub trait Model {
    /// The number of token ids, V.
    fn vocab_size(&self) -> usize;

    /// The most tokens that one row may have, prompt and answer together.
    fn context_length(&self) -> usize;

    /// Reads prompts of any lengths ≥ 1, one a row, and gives the rows and their logits (rows, V) for the
    /// next token.
    ///
    /// # Errors
    /// When the model cannot run.
    fn start(&self, prompts: &[&[u32]]) -> Result<(Box<dyn Rows + '_>, Vec<f32>)>;
}

/// Rows of text in the middle of being written, with the model's cache for them.
pub trait Rows {
    /// Keeps these rows in this order. An index may repeat: that row is then copied.
    ///
    /// # Errors
    /// When the cache cannot be built.
    fn select(&mut self, rows: &[usize]) -> Result<()>;

    /// Adds one token to each row and gives the logits (rows, V) for the next.
    ///
    /// # Errors
    /// When the model cannot run.
    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>>;
}

/// Text and token ids into each other; the caller has the tokenizer.
pub trait TextCodec {
    /// The bytes of a token; empty for special tokens, which are not text.
    fn bytes(&self, id: u32) -> &[u8];

    /// The ids of a text without special tokens.
    fn encode(&self, text: &str) -> Vec<u32>;
}
