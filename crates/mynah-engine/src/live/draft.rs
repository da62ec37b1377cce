//! A small model that guesses for the large one.

use std::collections::HashMap;

use mynah_models::{Logits, Segment};

use super::pages::PagePool;
use super::step_model::StepModel;
use crate::error::{Error, ErrorKind, Result};
use crate::sampler::greatest;

/// A sequence for which guesses are wanted.
pub(super) struct Wanted<'a> {
    /// The number under which they are given.
    pub number: usize,
    /// Which sequence, the same number in all steps.
    pub sequence: u64,
    /// All that is certain of it.
    pub tokens: &'a [u32],
    /// How many.
    pub count: usize,
}

/// What the small model has read of a sequence.
#[derive(Default)]
struct Reading {
    tokens: Vec<u32>,
    pages: Vec<u32>,
    /// When it was last wanted.
    used: u64,
}

/// The small model with a cache of its own. It always guesses its most likely token.
pub(super) struct Drafter {
    model: Box<dyn StepModel>,
    pool: PagePool,
    readings: HashMap<u64, Reading>,
    logits: Vec<f32>,
    /// The most tokens of one step while it catches up.
    step_tokens: usize,
    clock: u64,
}

impl Drafter {
    /// # Errors
    /// [`ErrorKind::Option`] when the model has another vocabulary, or state that it cannot take back.
    pub fn new(model: Box<dyn StepModel>, vocab_size: usize, step_tokens: usize) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Option, message));
        if model.vocab_size() != vocab_size {
            return refuse(format!(
                "the draft model has {} token ids, the model {vocab_size}; they must have the same tokenizer",
                model.vocab_size()
            ));
        }
        if model.has_recurrent_state() {
            return refuse("a model with recurrent layers cannot be the draft model".to_string());
        }
        if model.page_tokens() == 0 {
            return refuse("the draft model has pages of 0 tokens".to_string());
        }
        let pool = PagePool::new(model.page_count());
        Ok(Self { model, pool, readings: HashMap::new(), logits: Vec::new(), step_tokens, clock: 0 })
    }

    /// The sequence is over.
    pub fn forget(&mut self, sequence: u64) {
        if let Some(reading) = self.readings.remove(&sequence) {
            reading.pages.into_iter().for_each(|page| self.pool.release(page));
        }
    }

    /// Guesses for each sequence that it has caught up with; (number, tokens).
    ///
    /// # Errors
    /// When the model fails; everything read is then forgotten.
    pub fn propose(&mut self, wants: &[Wanted<'_>]) -> Result<Vec<(usize, Vec<u32>)>> {
        self.clock += 1;
        let result = self.guess(wants);
        if result.is_err() {
            let all: Vec<u64> = self.readings.keys().copied().collect();
            all.into_iter().for_each(|sequence| self.forget(sequence));
        }
        result
    }

    fn guess(&mut self, wants: &[Wanted<'_>]) -> Result<Vec<(usize, Vec<u32>)>> {
        let mut guesses: Vec<(usize, Vec<u32>)> = Vec::new();
        // The sequences that are read in the next step, with their tokens to read.
        let mut active: Vec<(&Wanted<'_>, Vec<u32>)> = Vec::new();
        let mut left = self.step_tokens;
        for want in wants {
            if want.tokens.len() + want.count > self.model.context_length() {
                continue;
            }
            if !self.prepare(want) {
                continue;
            }
            let Some(reading) = self.readings.get(&want.sequence) else { continue };
            let unread = &want.tokens[reading.tokens.len()..];
            let count = unread.len().min(left);
            if count > 0 {
                left -= count;
                active.push((want, unread[..count].to_vec()));
            }
        }
        while !active.is_empty() {
            let chosen = self.read(&active)?;
            let mut next = Vec::new();
            for ((want, _), id) in active.into_iter().zip(chosen) {
                let read = self.readings.get(&want.sequence).map_or(0, |reading| reading.tokens.len());
                // Still catching up: it will be asked again in the next step.
                if read < want.tokens.len() {
                    continue;
                }
                let at = guesses.iter().position(|(number, _)| *number == want.number);
                let at = at.unwrap_or_else(|| {
                    guesses.push((want.number, Vec::new()));
                    guesses.len() - 1
                });
                guesses[at].1.push(id);
                if guesses[at].1.len() < want.count {
                    next.push((want, vec![id]));
                }
            }
            active = next;
        }
        Ok(guesses)
    }

    /// Keeps of what was read what is still right, and gets the pages; false when there are too few.
    fn prepare(&mut self, want: &Wanted<'_>) -> bool {
        let reading = self.readings.entry(want.sequence).or_default();
        reading.used = self.clock;
        // The last token is read again if need be: its logits are wanted.
        let limit = want.tokens.len() - 1;
        let equal = reading.tokens.iter().zip(&want.tokens[..limit]).take_while(|(a, b)| a == b).count();
        reading.tokens.truncate(equal);
        let needed = (want.tokens.len() + want.count).div_ceil(self.model.page_tokens());
        loop {
            let reading = &self.readings[&want.sequence];
            if reading.pages.len() >= needed {
                return true;
            }
            if let Some(page) = self.pool.take() {
                if let Some(reading) = self.readings.get_mut(&want.sequence) {
                    reading.pages.push(page);
                }
                continue;
            }
            let idle = self.readings.iter().filter(|(_, reading)| reading.used < self.clock);
            match idle.map(|(&sequence, reading)| (reading.used, sequence)).min() {
                Some((_, sequence)) => self.forget(sequence),
                None => {
                    self.forget(want.sequence);
                    return false;
                }
            }
        }
    }

    /// One step of the model; the most likely token after each.
    fn read(&mut self, active: &[(&Wanted<'_>, Vec<u32>)]) -> Result<Vec<u32>> {
        let segments: Vec<Segment<'_>> = active
            .iter()
            .map(|(want, tokens)| {
                let reading = &self.readings[&want.sequence];
                let start = reading.tokens.len();
                let pages = (start + tokens.len()).div_ceil(self.model.page_tokens());
                Segment {
                    tokens,
                    start,
                    pages: &reading.pages[..pages],
                    slot: 0,
                    weights: 0,
                    adapter: None,
                    logits: Logits::Last,
                }
            })
            .collect();
        self.model.step(&segments, &mut self.logits)?;
        for (want, tokens) in active {
            if let Some(reading) = self.readings.get_mut(&want.sequence) {
                reading.tokens.extend_from_slice(tokens);
            }
        }
        let rows = self.logits.chunks_exact(self.model.vocab_size());
        if rows.len() != active.len() {
            return Err(Error::new(ErrorKind::Model, "the draft model gave logits of a wrong number"));
        }
        rows.map(|row| greatest(row).map(|(id, _)| id)).collect()
    }
}
