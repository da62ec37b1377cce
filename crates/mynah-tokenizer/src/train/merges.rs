//! The merges of some counted chunks, learned step by step.
//!
//! All unique chunks lie in one array with a place for every byte. A token is written at the places of
//! its first and of its last byte, so that from a token's start its right neighbour is found by its
//! length, and its left neighbour by the id just before it. For each pair a list holds the places where
//! it began when it first arose; a pair can only arise in the step that makes the younger of its two
//! tokens, so the list never misses one, and a place that has changed since is recognised by its ids.
//! One step therefore costs the occurrences of its pair, not the length of the chunks they are in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::count::Counter;
use crate::threads;
use crate::vocabulary::Merge;

/// Between chunks.
const EDGE: u32 = u32::MAX;
/// Where a token began that is now the inside of a longer one.
const GONE: u32 = u32::MAX - 1;

/// The unique chunks.
struct Text {
    /// By place: the id of the token that begins or ends there.
    ids: Vec<u32>,
    /// By place: the chunk.
    chunk_of: Vec<u32>,
    /// By chunk: how often it occurs.
    counts: Vec<u64>,
}

/// A pair that occurs, or did.
#[derive(Default)]
struct Pair {
    count: u64,
    /// Where it began when it arose, ascending.
    places: Vec<u32>,
}

/// What one step does to the pairs with one neighbour. The pairs that end: (neighbour, left) or (right,
/// neighbour); those that arise: (neighbour, new) or (new, neighbour).
#[derive(Default)]
struct Neighbour {
    ended: u64,
    arisen: u64,
    places: Vec<u32>,
    touched: bool,
}

/// The pairs' hash is one multiplication: the keys are ids that we hand out ourselves.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("pairs are hashed as one u64");
    }
    fn write_u64(&mut self, key: u64) {
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        self.0 ^= self.0 >> 32;
    }
}

type PairMap = HashMap<u64, u32, BuildHasherDefault<PairHasher>>;

fn pair_key(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

/// Learns up to `merges_max` merges; fewer when no pair is left. The result does not depend on `threads`.
pub(super) fn learn(counter: Counter, merges_max: usize, threads: usize) -> Vec<Merge> {
    let mut text = Text::new(counter);
    let mut pairs: Vec<Pair> = Vec::new();
    let mut index = PairMap::default();
    // The most frequent pair first, on a tie the smaller one. Counts only fall after a pair has arisen,
    // so an entry may promise too much but never too little: it is refreshed when it comes to the top.
    let mut heap: BinaryHeap<(u64, Reverse<u64>, u32)> = BinaryHeap::new();
    for (key, pair) in text.first_pairs(threads) {
        index.insert(key, pairs.len() as u32);
        heap.push((pair.count, Reverse(key), pairs.len() as u32));
        pairs.push(pair);
    }
    let mut lengths: Vec<u32> = vec![1; 256];
    let mut lefts: Vec<Neighbour> = (0..256).map(|_| Neighbour::default()).collect();
    let mut rights: Vec<Neighbour> = (0..256).map(|_| Neighbour::default()).collect();
    let mut merges = Vec::new();
    while merges.len() < merges_max {
        let Some((promised, Reverse(key), slot)) = heap.pop() else { break };
        let count = pairs[slot as usize].count;
        if count == 0 {
            continue;
        }
        if count != promised {
            heap.push((count, Reverse(key), slot));
            continue;
        }
        let (left, right) = ((key >> 32) as u32, key as u32);
        let new = lengths.len() as u32;
        lengths.push(lengths[left as usize] + lengths[right as usize]);
        lefts.push(Neighbour::default());
        rights.push(Neighbour::default());
        merges.push(Merge { left, right, into: new });

        let places = std::mem::take(&mut pairs[slot as usize].places);
        pairs[slot as usize].count = 0;
        index.remove(&key);
        let mut step = Step { left, right, new, lefts: &mut lefts, rights: &mut rights, touched: Vec::new() };
        step.merge_all(&mut text, &lengths, &places);

        let touched = std::mem::take(&mut step.touched);
        for (side, id) in touched {
            let (neighbour, ended, arisen) = match side {
                Side::Left => (&mut lefts[id as usize], pair_key(id, left), pair_key(id, new)),
                Side::Right => (&mut rights[id as usize], pair_key(right, id), pair_key(new, id)),
            };
            let Neighbour { ended: ended_count, arisen: arisen_count, places, .. } =
                std::mem::take(neighbour);
            // The merged pair itself is absent: all of it ended.
            if ended_count > 0
                && let Some(&slot) = index.get(&ended)
            {
                let pair = &mut pairs[slot as usize];
                pair.count -= ended_count;
                if pair.count == 0 {
                    pair.places = Vec::new();
                    index.remove(&ended);
                }
            }
            if arisen_count > 0 {
                let slot = pairs.len() as u32;
                index.insert(arisen, slot);
                heap.push((arisen_count, Reverse(arisen), slot));
                pairs.push(Pair { count: arisen_count, places });
            }
        }
    }
    merges
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

struct Step<'s> {
    left: u32,
    right: u32,
    new: u32,
    /// By id of the neighbour on that side.
    lefts: &'s mut [Neighbour],
    rights: &'s mut [Neighbour],
    touched: Vec<(Side, u32)>,
}

impl Step<'_> {
    /// Merges the pair at those of the places where it still is, from left to right.
    fn merge_all(&mut self, text: &mut Text, lengths: &[u32], places: &[u32]) {
        let Step { left, right, new, .. } = *self;
        let (left_length, right_length) = (lengths[left as usize] as usize, lengths[right as usize] as usize);
        let ids = &mut text.ids;
        for &place in places {
            let start = place as usize;
            let middle = start + left_length;
            if ids[start] != left || ids[middle] != right {
                continue;
            }
            let after = middle + right_length;
            let count = text.counts[text.chunk_of[start] as usize];
            let (before_id, after_id) = (ids[start - 1], ids[after]);
            if before_id != EDGE {
                let neighbour = touch(self.lefts, &mut self.touched, Side::Left, before_id);
                neighbour.arisen += count;
                neighbour.places.push((start - lengths[before_id as usize] as usize) as u32);
                if before_id == new {
                    // Its pair with our left token arose earlier in this very step.
                    self.rights[left as usize].arisen -= count;
                } else {
                    neighbour.ended += count;
                }
            }
            if after_id != EDGE {
                let neighbour = touch(self.rights, &mut self.touched, Side::Right, after_id);
                neighbour.arisen += count;
                neighbour.places.push(place);
                neighbour.ended += count;
            }
            ids[middle] = GONE;
            ids[start] = new;
            ids[after - 1] = new;
        }
    }
}

#[inline]
fn touch<'n>(
    neighbours: &'n mut [Neighbour],
    touched: &mut Vec<(Side, u32)>,
    side: Side,
    id: u32,
) -> &'n mut Neighbour {
    let neighbour = &mut neighbours[id as usize];
    if !neighbour.touched {
        neighbour.touched = true;
        touched.push((side, id));
    }
    neighbour
}

impl Text {
    fn new(counter: Counter) -> Self {
        let places = counter.chunk_bytes() + counter.len() + 1;
        let mut text = Text {
            ids: Vec::with_capacity(places),
            chunk_of: Vec::with_capacity(places),
            counts: Vec::with_capacity(counter.len()),
        };
        text.ids.push(EDGE);
        text.chunk_of.push(0);
        counter.for_each(|chunk, count| text.push(chunk, count));
        text
    }

    fn push(&mut self, chunk: &[u8], count: u64) {
        if chunk.len() < 2 {
            return;
        }
        self.ids.extend(chunk.iter().map(|&byte| u32::from(byte)));
        self.ids.push(EDGE);
        self.chunk_of.resize(self.ids.len(), self.counts.len() as u32);
        self.counts.push(count);
    }

    /// The pairs of bytes, each thread on its own part of the text.
    fn first_pairs(&self, threads: usize) -> impl Iterator<Item = (u64, Pair)> {
        let places = self.ids.len() - 1;
        let part = places.div_ceil(threads).max(1);
        let (parts, _) = threads::map(
            threads,
            threads,
            || (),
            |(), number| {
                let mut pairs: Vec<Pair> = Vec::new();
                pairs.resize_with(1 << 16, Pair::default);
                for place in (number * part).min(places)..((number + 1) * part).min(places) {
                    let (left, right) = (self.ids[place], self.ids[place + 1]);
                    if left != EDGE && right != EDGE {
                        let pair = &mut pairs[((left << 8) | right) as usize];
                        pair.count += self.counts[self.chunk_of[place] as usize];
                        pair.places.push(place as u32);
                    }
                }
                pairs
            },
        );
        let mut parts = parts.into_iter();
        let mut pairs = parts.next().unwrap_or_default();
        for part in parts {
            for (pair, other) in pairs.iter_mut().zip(part) {
                pair.count += other.count;
                pair.places.extend_from_slice(&other.places);
            }
        }
        let keyed = pairs.into_iter().enumerate();
        keyed.filter(|(_, pair)| pair.count > 0).map(|(at, pair)| {
            let at = at as u32;
            (pair_key(at >> 8, at & 0xFF), pair)
        })
    }
}
