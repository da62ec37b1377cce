//! What a step reads: consecutive tokens of one sequence.

/// For which tokens of a segment the logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// For none: a prompt that goes on in the next step.
    None,
    /// For the last token: what may come next.
    Last,
    /// For every token: scoring, and checking drafted tokens.
    All,
}

/// Consecutive tokens of one sequence in a step.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The tokens, at least one.
    pub tokens: &'a [u32],
    /// The position of the first token; keys and values of all positions before it are in `pages`.
    pub start: usize,
    /// `pages[i]` holds the positions from i·P to (i+1)·P − 1 for pages of P tokens; enough for all tokens
    /// of the segment. Only full pages may be shared with other sequences.
    pub pages: &'a [u32],
    /// The sequence's place for recurrent state; models without such state do not read it.
    pub slot: u32,
    /// The weights to compute with, by the number they were installed under; a model begins with 0.
    pub weights: u32,
    /// The low-rank adapter to apply, by the number it was loaded under.
    pub adapter: Option<u32>,
    /// The logits that are wanted.
    pub logits: Logits,
}

impl Segment<'_> {
    /// How many rows of logits it gets.
    pub fn rows(&self) -> usize {
        match self.logits {
            Logits::None => 0,
            Logits::Last => 1,
            Logits::All => self.tokens.len(),
        }
    }
}
