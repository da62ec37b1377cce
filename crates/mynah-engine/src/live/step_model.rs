//! What the serving engine needs of a model: one step over pieces of many sequences.

use std::any::Any;

use mynah_models::Segment;

use crate::error::Result;

/// A model with a paged key/value cache that reads pieces of many sequences in one step.
///
/// The engine owns the plan (which page and which slot belongs to whom), the model owns the memory. Results of
/// a sequence may not depend on what else is in the step, on its pages' numbers, or on how its tokens were cut
/// into steps; this is what makes a request's text the same alone and in a batch.
pub trait StepModel: Any + Send {
    /// The number of token ids, V.
    fn vocab_size(&self) -> usize;

    /// The most positions of one sequence, prompt and completion together.
    fn context_length(&self) -> usize;

    /// Positions that one page holds, P.
    fn page_tokens(&self) -> usize;

    /// How many pages there are; their numbers are 0..page_count.
    fn page_count(&self) -> usize;

    /// How many sequences can have recurrent state at once; read only when
    /// [`has_recurrent_state`](Self::has_recurrent_state).
    fn slot_count(&self) -> usize;

    /// Whether layers carry state from token to token beside the pages (Mamba). Such a sequence cannot begin
    /// with another one's pages and cannot take a token back, so it shares no prefix and is never speculated on.
    fn has_recurrent_state(&self) -> bool;

    /// Reads all segments; `logits` is cleared and gets one row of V for each token that wants one, in the
    /// order of the segments.
    ///
    /// # Errors
    /// When the model cannot run; what the segments' sequences had in the cache is then lost.
    fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> Result<()>;

    /// Copies keys and values of a whole page.
    ///
    /// # Errors
    /// When a number is out of range.
    fn copy_page(&mut self, from: u32, to: u32) -> Result<()>;

    /// Sets the recurrent state of a slot to that of an empty sequence.
    ///
    /// # Errors
    /// When the number is out of range.
    fn clear_slot(&mut self, slot: u32) -> Result<()>;
}

/// Token ids and their bytes, and which ids end a text. The caller has the tokenizer.
pub trait Codec: Send + Sync {
    /// The number of token ids the tokenizer knows; a model may have more (padding).
    fn vocab_size(&self) -> usize;

    /// The bytes of a token; for a special token its name, such as `<|end|>`. Empty for unknown ids.
    fn bytes(&self, id: u32) -> &[u8];

    /// Whether the token is special: not part of the text unless a request asks to see it.
    fn is_special(&self, id: u32) -> bool;

    /// Tokens that end a completion.
    fn end_ids(&self) -> &[u32];

    /// The ids of a text, or of a piece of one, without special tokens.
    fn encode(&self, text: &str) -> Vec<u32>;
}
