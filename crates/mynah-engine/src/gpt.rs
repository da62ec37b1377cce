//! Our GPT with its key/value cache as a [`Model`].

use mynah_nn::{Gpt, KeyValueCache};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, Rows};

/// A GPT, ready to generate.
#[derive(Clone, Copy)]
pub struct GptModel<'a>(pub &'a Gpt);

impl Model for GptModel<'_> {
    fn vocab_size(&self) -> usize {
        self.0.config().vocab_size
    }

    fn context_length(&self) -> usize {
        self.0.config().sequence_len
    }

    fn start(&self, prompts: &[&[u32]]) -> Result<(Box<dyn Rows + '_>, Vec<f32>)> {
        let mut cache = KeyValueCache::new(self.0.config(), prompts.len());
        let logits = self.0.forward_cached(prompts, &mut cache).map_err(model_error)?;
        Ok((Box::new(GptRows { model: self.0, cache, slots: (0..prompts.len()).collect() }), logits))
    }
}

/// Rows in a cache. Rows that have ended stay in the cache, fed with nothing, until they are a quarter of
/// it: each compaction copies the rows that stay.
struct GptRows<'a> {
    model: &'a Gpt,
    cache: KeyValueCache,
    /// For each row its place in the cache, rising where rows have only ended.
    slots: Vec<usize>,
}

impl Rows for GptRows<'_> {
    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let mut slots = Vec::with_capacity(rows.len());
        for &row in rows {
            let slot = self.slots.get(row).copied().ok_or_else(|| {
                let message = format!("row {row} was asked for, but there are {}", self.slots.len());
                Error::new(ErrorKind::Model, message)
            })?;
            slots.push(slot);
        }
        let only_ended = slots.is_sorted_by(|a, b| a < b);
        if only_ended && slots.len() * 4 > self.cache.rows() * 3 {
            self.slots = slots;
        } else {
            self.cache = self.cache.select(&slots).map_err(model_error)?;
            self.slots = (0..slots.len()).collect();
        }
        Ok(())
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut new: Vec<&[u32]> = vec![&[]; self.cache.rows()];
        for (&slot, token) in self.slots.iter().zip(tokens) {
            new[slot] = std::slice::from_ref(token);
        }
        let mut logits = self.model.forward_cached(&new, &mut self.cache).map_err(model_error)?;
        let vocab_size = self.model.config().vocab_size;
        for (row, &slot) in self.slots.iter().enumerate() {
            if row != slot {
                logits.copy_within(slot * vocab_size..(slot + 1) * vocab_size, row * vocab_size);
            }
        }
        logits.truncate(self.slots.len() * vocab_size);
        Ok(logits)
    }
}

fn model_error(error: mynah_nn::Error) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}
