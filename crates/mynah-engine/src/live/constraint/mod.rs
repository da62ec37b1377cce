//! What a completion must match: which tokens may come next.

mod grammar;
mod schema;

use std::fmt;

use serde_json::Value;

pub use grammar::GrammarCompiler;
pub use schema::bounded_schema;

use crate::error::Result;

/// A set of token ids, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
    len: usize,
}

impl TokenMask {
    /// The empty set for ids below `len`.
    pub fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(32)], len }
    }

    /// Removes all ids.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds an id; one outside the vocabulary is ignored.
    pub fn allow(&mut self, id: u32) {
        if (id as usize) < self.len {
            self.words[id as usize / 32] |= 1 << (id % 32);
        }
    }

    /// Whether the id is in the set.
    pub fn allows(&self, id: u32) -> bool {
        (id as usize) < self.len && self.words[id as usize / 32] >> (id % 32) & 1 == 1
    }

    /// Whether no id is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Takes over bits of another owner, 32 ids a word from the lowest bit; words beyond the vocabulary and
    /// missing ones count as zeros.
    pub fn copy_from(&mut self, words: &[u32]) {
        self.clear();
        let shared = words.len().min(self.words.len());
        self.words[..shared].copy_from_slice(&words[..shared]);
        if !self.len.is_multiple_of(32)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % 32)) - 1;
        }
    }

    /// Sets the logits of all other ids to −∞.
    pub fn apply(&self, logits: &mut [f32]) {
        for (chunk, &word) in logits.chunks_mut(32).zip(&self.words) {
            match word {
                0 => chunk.fill(f32::NEG_INFINITY),
                u32::MAX => {}
                _ => {
                    for (bit, logit) in chunk.iter_mut().enumerate() {
                        if word >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
        if logits.len() > self.words.len() * 32 {
            logits[self.words.len() * 32..].fill(f32::NEG_INFINITY);
        }
    }
}

/// Says which tokens may come next in one completion.
///
/// The engine calls [`mask`](Self::mask) on another thread while the model computes the logits that the mask is for,
/// and [`commit`](Self::commit) with the token that was chosen. When [`is_finished`](Self::is_finished) the
/// completion ends.
pub trait Constraint: Send {
    /// Sets `mask` to the tokens that may come next. End tokens belong to it where the completion may end.
    ///
    /// # Errors
    /// When the constraint cannot go on; the request fails.
    fn mask(&mut self, mask: &mut TokenMask) -> Result<()>;

    /// Takes the token that was chosen.
    ///
    /// # Errors
    /// When the token is not one that may come.
    fn commit(&mut self, token: u32) -> Result<()>;

    /// Whether the completion is complete and nothing may follow.
    fn is_finished(&self) -> bool;

    /// Tokens that must come next whatever the model says, as far as they are known; may be empty. They are read
    /// together in one step, like drafted ones.
    fn forced(&mut self) -> Vec<u32> {
        Vec::new()
    }

    /// A second one in the same state, for the next sample of a request.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// Where a request's constraint comes from.
///
/// Texts are matched whole: the completion is the JSON value, the match, one of the choices, and nothing else. A Lark
/// grammar may name special tokens (`<|call|>`) and contain JSON schemas (`%json { … }`; see [`bounded_schema`]), which
/// is how tool calls are enforced.
pub enum ConstraintSource {
    /// Any JSON object.
    JsonObject,
    /// A JSON value that is valid under this schema.
    JsonSchema(Value),
    /// A text that matches as a whole.
    Regex(String),
    /// A text of this grammar, in llguidance's form of Lark.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// One made by the caller.
    Custom(Box<dyn Constraint>),
}

impl fmt::Debug for ConstraintSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JsonObject => f.write_str("JsonObject"),
            Self::JsonSchema(schema) => write!(f, "JsonSchema({schema})"),
            Self::Regex(pattern) => write!(f, "Regex({pattern:?})"),
            Self::Lark(grammar) => write!(f, "Lark({grammar:?})"),
            Self::Choice(choices) => write!(f, "Choice({choices:?})"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_leaves_only_its_ids() {
        let mut mask = TokenMask::new(70);
        for id in [0, 31, 32, 69, 70, 4_000_000] {
            mask.allow(id);
        }
        let mut logits: Vec<f32> = vec![1.0; 75];
        mask.apply(&mut logits);
        let left: Vec<usize> = (0..75).filter(|&id| logits[id] == 1.0).collect();
        assert_eq!(left, [0, 31, 32, 69]);
        assert!(mask.allows(69) && !mask.allows(70) && !mask.is_empty());
        mask.copy_from(&[u32::MAX; 9]);
        assert!((0..70).all(|id| mask.allows(id)) && !mask.allows(70));
        mask.copy_from(&[2]);
        assert!(mask.allows(1) && !mask.allows(32));
        mask.clear();
        assert!(mask.is_empty());
    }
}
