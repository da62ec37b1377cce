//! What a post-processor puts around a text, or around and between two.
//!
//! Whatever a post-processor is made of, all it does to ids is to put others around them. So it is asked
//! once, at load, with a stand-in for each text.

use serde_json::Value;
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Token};

use super::EncodedPair;
use super::full::guarded;
use crate::error::{Error, Result};

/// Ids that no vocabulary reaches.
const FIRST: u32 = u32::MAX;
const SECOND: u32 = u32::MAX - 1;
/// Most ids around a text.
const SLOTS_MAX: usize = 1_024;

/// Where the texts and the ids around them go, with the segment of each.
pub(super) struct Template {
    single: Vec<(u32, u32)>,
    pair: Option<Vec<(u32, u32)>>,
}

impl Template {
    /// The template of a `post_processor`.
    pub(super) fn new(post_processor: &Value) -> Result<Self> {
        if post_processor.is_null() {
            return Ok(Self { single: vec![(FIRST, 0)], pair: Some(vec![(FIRST, 0), (SECOND, 1)]) });
        }
        let text = post_processor.to_string();
        let ask = |is_pair: bool| {
            guarded("post_processor", || {
                let processor: PostProcessorWrapper = serde_json::from_str(&text)?;
                let stand_in = |id, type_id| {
                    Encoding::from_tokens(vec![Token::new(id, String::from("x"), (0, 1))], type_id)
                };
                let second = is_pair.then(|| stand_in(SECOND, 1));
                let encoding = processor.process(stand_in(FIRST, 0), second, true)?;
                let slots: Vec<(u32, u32)> =
                    encoding.get_ids().iter().copied().zip(encoding.get_type_ids().iter().copied()).collect();
                Ok(slots)
            })
        };
        let single = ask(false)?;
        if single.len() > SLOTS_MAX {
            return Err(Error::unsupported(format!("post_processor adds {} tokens to a text", single.len())));
        }
        Ok(Self { single, pair: ask(true).ok().filter(|slots| slots.len() <= SLOTS_MAX) })
    }

    /// One id before a text.
    pub(super) fn prefix(id: u32) -> Self {
        Self { single: vec![(id, 0), (FIRST, 0)], pair: None }
    }

    pub(super) fn single(&self, ids: &[u32]) -> Vec<u32> {
        fill(&self.single, ids, &[]).ids
    }

    pub(super) fn pair(&self, first: &[u32], second: &[u32]) -> Result<EncodedPair> {
        match &self.pair {
            Some(slots) => Ok(fill(slots, first, second)),
            None => Err(Error::unsupported("this model's tokenizer does not say how to join two texts")),
        }
    }
}

fn fill(slots: &[(u32, u32)], first: &[u32], second: &[u32]) -> EncodedPair {
    let mut pair = EncodedPair { ids: Vec::new(), type_ids: Vec::new() };
    for (id, type_id) in slots {
        match *id {
            FIRST => pair.ids.extend_from_slice(first),
            SECOND => pair.ids.extend_from_slice(second),
            id => pair.ids.push(id),
        }
        pair.type_ids.resize(pair.ids.len(), *type_id);
    }
    pair
}
