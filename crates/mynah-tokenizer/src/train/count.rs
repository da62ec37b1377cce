//! Unique chunks and how often each occurs.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use crate::cache::Cache;
use crate::pattern::Pattern;

/// What a unique chunk costs besides its bytes, roughly.
const OVERHEAD_BYTES: usize = 32;
const EMPTY: u128 = 0;

/// Secret factors of the hash, drawn once per process, so that no text can make its chunks collide.
static SECRETS: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let draw = || RandomState::new().build_hasher().finish();
    [draw(), draw()]
});

/// Chunk → count. Chunks of up to 15 bytes, nearly all, are their own 128-bit keys in an open-addressed
/// table; the others live in a plain map.
pub(super) struct Counter {
    keys: Vec<u128>,
    counts: Vec<u64>,
    short: usize,
    long: HashMap<Box<[u8]>, u64>,
    /// Bytes of all unique chunks.
    bytes: usize,
    secrets: [u64; 2],
}

impl Default for Counter {
    fn default() -> Self {
        let places = 1 << 12;
        Self {
            keys: vec![EMPTY; places],
            counts: vec![0; places],
            short: 0,
            long: HashMap::new(),
            bytes: 0,
            secrets: *SECRETS,
        }
    }
}

fn key_length(key: u128) -> usize {
    (key >> 120) as usize
}

impl Counter {
    /// Counts the chunks of a document.
    pub(super) fn add_text(&mut self, pattern: &Pattern, text: &str) {
        let bytes = text.as_bytes();
        pattern.for_each_chunk(text, |start, end| match Cache::key(bytes, start, end) {
            Some(key) => self.add_short(key, 1),
            None => self.add_long(&bytes[start..end], 1),
        });
    }

    /// Adds the counts of another counter.
    pub(super) fn add_counter(&mut self, other: Counter) {
        if self.len() == 0 {
            *self = other;
            return;
        }
        for (key, count) in other.keys.into_iter().zip(other.counts) {
            if key != EMPTY {
                self.add_short(key, count);
            }
        }
        for (chunk, count) in other.long {
            self.add_long(&chunk, count);
        }
    }

    #[inline(always)]
    fn place(&self, key: u128) -> usize {
        let [low, high] = self.secrets;
        let wide = u128::from(key as u64 ^ low) * u128::from((key >> 64) as u64 ^ high);
        ((wide >> 64) as u64 ^ wide as u64) as usize & (self.keys.len() - 1)
    }

    #[inline(always)]
    fn add_short(&mut self, key: u128, count: u64) {
        let mut place = self.place(key);
        loop {
            let found = self.keys[place];
            if found == key {
                self.counts[place] += count;
                return;
            }
            if found == EMPTY {
                break;
            }
            place = (place + 1) & (self.keys.len() - 1);
        }
        self.insert_new(place, key, count);
    }

    #[cold]
    fn insert_new(&mut self, place: usize, key: u128, count: u64) {
        self.keys[place] = key;
        self.counts[place] = count;
        self.short += 1;
        self.bytes += key_length(key);
        if self.short * 2 > self.keys.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let places = self.keys.len() * 2;
        let keys = std::mem::replace(&mut self.keys, vec![EMPTY; places]);
        let counts = std::mem::replace(&mut self.counts, vec![0; places]);
        for (key, count) in keys.into_iter().zip(counts) {
            if key == EMPTY {
                continue;
            }
            let mut place = self.place(key);
            while self.keys[place] != EMPTY {
                place = (place + 1) & (places - 1);
            }
            self.keys[place] = key;
            self.counts[place] = count;
        }
    }

    #[cold]
    fn add_long(&mut self, chunk: &[u8], count: u64) {
        if let Some(known) = self.long.get_mut(chunk) {
            *known += count;
        } else {
            self.bytes += chunk.len();
            self.long.insert(chunk.into(), count);
        }
    }

    /// Number of unique chunks.
    pub(super) fn len(&self) -> usize {
        self.short + self.long.len()
    }

    /// Calls `each` with every unique chunk and its count, in no order.
    pub(super) fn for_each(self, mut each: impl FnMut(&[u8], u64)) {
        for (key, count) in self.keys.into_iter().zip(self.counts).filter(|(key, _)| *key != EMPTY) {
            each(&key.to_le_bytes()[..key_length(key)], count);
        }
        for (chunk, count) in self.long {
            each(&chunk, count);
        }
    }

    /// Bytes of all unique chunks.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.bytes
    }

    /// If the chunks cost more than `bytes_max`, keeps only the most frequent half (by cost; among equals
    /// the shorter, then the first in order of bytes) and returns how many were forgotten.
    pub(super) fn forget_rarest(&mut self, bytes_max: usize) -> u64 {
        if self.bytes + self.len() * OVERHEAD_BYTES <= bytes_max {
            return 0;
        }
        let before = self.len();
        let mut chunks: Vec<(u64, Box<[u8]>)> = Vec::with_capacity(before);
        std::mem::take(self).for_each(|chunk, count| chunks.push((count, chunk.into())));
        chunks.sort_unstable_by(|(n, a), (m, b)| m.cmp(n).then(a.len().cmp(&b.len())).then(a.cmp(b)));
        let mut budget = bytes_max / 2;
        for (count, chunk) in chunks {
            let Some(left) = budget.checked_sub(chunk.len() + OVERHEAD_BYTES) else { break };
            budget = left;
            match Cache::key(&chunk, 0, chunk.len()) {
                Some(key) => self.add_short(key, count),
                None => self.add_long(&chunk, count),
            }
        }
        (before - self.len()) as u64
    }
}
