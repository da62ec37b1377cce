//! A model of a few lines: the logits are a hash of all tokens so far, read back from its pages. It panics when
//! the engine breaks the contract of pages, slots and positions.

use std::collections::HashSet;

use mynah_models::{Logits, Segment};

use crate::error::{Error, ErrorKind, Result};
use crate::live::{Codec, StepModel};

/// Ids 0..256 are bytes, then special tokens.
pub const END: u32 = 256;
pub const CALL: u32 = 257;
pub const VOCAB: usize = 260;

/// What a position of the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    position: usize,
    /// Of all tokens up to this one, the adapter and the weights.
    hash: u64,
}

#[derive(Clone)]
pub struct Toy {
    pub context: usize,
    pub page_tokens: usize,
    pub recurrent_slots: Option<usize>,
    /// Only these ids, when there are any; END is likely then, so that completions end by themselves.
    pub alphabet: Vec<u32>,
    /// The step that fails, and the one that panics.
    pub fails_at: Option<usize>,
    pub panics_at: Option<usize>,
    pub steps: usize,
    /// The largest step so far, in tokens.
    pub step_tokens_max: usize,
    pages: Vec<Vec<Option<Cell>>>,
    slots: Vec<Option<Cell>>,
}

fn mix(a: u64, b: u64) -> u64 {
    let mut z = (a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Toy {
    pub fn new(pages: usize, page_tokens: usize) -> Self {
        Self {
            context: 256,
            page_tokens,
            recurrent_slots: None,
            alphabet: Vec::new(),
            fails_at: None,
            panics_at: None,
            steps: 0,
            step_tokens_max: 0,
            pages: vec![vec![None; page_tokens]; pages],
            slots: Vec::new(),
        }
    }

    pub fn recurrent(mut self, slots: usize) -> Self {
        self.recurrent_slots = Some(slots);
        self.slots = vec![None; slots];
        self
    }

    /// Text of a few letters only, so that equal pieces come again and again.
    pub fn with_alphabet(mut self, alphabet: &[u8]) -> Self {
        self.alphabet = alphabet.iter().map(|&byte| u32::from(byte)).chain([END]).collect();
        self
    }

    fn begin(adapter: Option<u32>) -> u64 {
        mix(7, adapter.map_or(0, |adapter| u64::from(adapter) + 1))
    }

    /// What a token leaves in the cache.
    fn next(hash: u64, token: u32, weights: u32) -> u64 {
        mix(hash, u64::from(token) | u64::from(weights) << 32)
    }

    /// The logits after these tokens, all read with the weights 0.
    pub fn logits(&self, tokens: &[u32], adapter: Option<u32>) -> Vec<f32> {
        let hash = tokens.iter().fold(Self::begin(adapter), |hash, &token| Self::next(hash, token, 0));
        let mut row = Vec::new();
        self.row(hash, &mut row);
        row
    }

    fn row(&self, hash: u64, logits: &mut Vec<f32>) {
        let value = |id: u32| (mix(hash, u64::from(id) + 1_000_000) >> 40) as f32 / (1 << 24) as f32 * 5.0;
        if self.alphabet.is_empty() {
            logits.extend((0..VOCAB as u32).map(|id| if id < 257 { value(id) } else { value(id) - 4.0 }));
        } else {
            let at = logits.len();
            logits.resize(at + VOCAB, -20.0);
            for &id in &self.alphabet {
                logits[at + id as usize] = value(id);
            }
        }
    }

    fn read(&mut self, segment: &Segment<'_>) -> u64 {
        let mut hash = Self::begin(segment.adapter);
        if let Some(slots) = self.recurrent_slots {
            assert!((segment.slot as usize) < slots, "slot {} of {slots}", segment.slot);
            match self.slots[segment.slot as usize] {
                Some(cell) => {
                    assert_eq!(cell.position + 1, segment.start, "recurrent state of another position");
                    hash = cell.hash;
                }
                None => assert_eq!(segment.start, 0, "no recurrent state"),
            }
            return hash;
        }
        for position in 0..segment.start {
            let page = segment.pages[position / self.page_tokens] as usize;
            let cell = self.pages[page][position % self.page_tokens];
            let cell = cell.unwrap_or_else(|| panic!("position {position} was never written"));
            assert_eq!(cell.position, position, "page {page} holds other positions");
            hash = cell.hash;
        }
        hash
    }
}

impl StepModel for Toy {
    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn context_length(&self) -> usize {
        self.context
    }

    fn page_tokens(&self) -> usize {
        self.page_tokens
    }

    fn page_count(&self) -> usize {
        self.pages.len()
    }

    fn slot_count(&self) -> usize {
        self.recurrent_slots.unwrap_or(0)
    }

    fn has_recurrent_state(&self) -> bool {
        self.recurrent_slots.is_some()
    }

    fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> Result<()> {
        self.steps += 1;
        assert_ne!(self.panics_at, Some(self.steps), "the toy panics as it was told");
        if self.fails_at == Some(self.steps) {
            return Err(Error::new(ErrorKind::Model, "the toy fails as it was told"));
        }
        assert!(!segments.is_empty());
        let tokens = segments.iter().map(|segment| segment.tokens.len()).sum();
        self.step_tokens_max = self.step_tokens_max.max(tokens);
        let mut written = HashSet::new();
        let mut slots = HashSet::new();
        logits.clear();
        for segment in segments {
            assert!(!segment.tokens.is_empty());
            let end = segment.start + segment.tokens.len();
            assert!(end <= self.context, "position {end} is beyond the context");
            assert_eq!(segment.pages.len(), end.div_ceil(self.page_tokens));
            let distinct: HashSet<u32> = segment.pages.iter().copied().collect();
            assert_eq!(distinct.len(), segment.pages.len(), "a page twice in a sequence");
            for &page in &segment.pages[segment.start / self.page_tokens..] {
                assert!(written.insert(page), "page {page} is written by two sequences");
            }
            assert!(self.recurrent_slots.is_none() || slots.insert(segment.slot), "a slot twice in a step");
            let mut hash = self.read(segment);
            for (position, &token) in (segment.start..).zip(segment.tokens) {
                hash = Self::next(hash, token, segment.weights);
                let page = segment.pages[position / self.page_tokens] as usize;
                let cell = Some(Cell { position, hash });
                self.pages[page][position % self.page_tokens] = cell;
                if self.recurrent_slots.is_some() {
                    self.slots[segment.slot as usize] = cell;
                }
                let wanted = match segment.logits {
                    Logits::None => false,
                    Logits::Last => position + 1 == end,
                    Logits::All => true,
                };
                if wanted {
                    self.row(hash, logits);
                }
            }
        }
        for segment in segments {
            let read_only = &segment.pages[..segment.start / self.page_tokens];
            assert!(read_only.iter().all(|page| !written.contains(page)), "a page is read and written");
        }
        Ok(())
    }

    fn copy_page(&mut self, from: u32, to: u32) -> Result<()> {
        self.pages[to as usize] = self.pages[from as usize].clone();
        Ok(())
    }

    fn clear_slot(&mut self, slot: u32) -> Result<()> {
        self.slots[slot as usize] = None;
        Ok(())
    }
}

pub struct ToyCodec(Vec<Vec<u8>>);

impl ToyCodec {
    pub fn new() -> Self {
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let special = ["<|end|>", "<|call|>", "<|a|>", "<|b|>"].map(|name| name.as_bytes().to_vec());
        Self(bytes.chain(special).collect())
    }
}

impl Codec for ToyCodec {
    fn vocab_size(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.0.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn is_special(&self, id: u32) -> bool {
        id >= 256
    }

    fn end_ids(&self) -> &[u32] {
        &[END]
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }
}
