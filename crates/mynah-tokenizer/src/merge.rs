//! Byte-pair encoding of one chunk: always merge the neighbours of lowest rank, leftmost first.
//!
//! Short chunks keep their parts in an array and look at all of it for every merge, which is the fastest
//! there; long ones keep a linked list and a heap, so that n bytes take n·log n steps and a megabyte
//! without a break is no attack.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::vocabulary::Vocabulary;

/// Chunks of up to this many bytes take the array. On runs of English letters the two cross near 200
/// bytes; far below that, since longer chunks are rare and a smaller array is cheaper for all the others.
const SHORT_BYTES_MAX: usize = 64;
const NO_PAIR: u32 = u32::MAX;
const NONE: usize = usize::MAX;

/// Buffers that a thread keeps between chunks.
#[derive(Default)]
pub(crate) struct Scratch {
    long: Vec<Part>,
    heap: BinaryHeap<Reverse<(u32, usize)>>,
}

/// A token in the linked list of a long chunk, stored where its first byte was.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    /// The rank at which this part and the next merge; `NO_PAIR` if never, or if this part is gone.
    rank: u32,
    previous: usize,
    next: usize,
}

/// Appends the ids of `chunk`.
pub(crate) fn encode(vocabulary: &Vocabulary, chunk: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
    let byte_id = |byte| vocabulary.byte_id(byte);
    let pair = |left, right| vocabulary.pair(left, right);
    // Two copies of the loop, so that the usual vocabulary, whose ranks are its ids, looks nothing up.
    match vocabulary.ranked_into() {
        None => encode_with(chunk, byte_id, pair, |rank| rank, scratch, ids),
        Some(into) => encode_with(chunk, byte_id, pair, |rank| into[rank as usize], scratch, ids),
    }
}

/// As [`encode`], for any source of ids, of the ranks of pairs, and of the token that a rank merges into.
pub(crate) fn encode_with(
    chunk: &[u8],
    byte_id: impl Fn(u8) -> u32,
    pair: impl Fn(u32, u32) -> u32,
    into: impl Fn(u32) -> u32,
    scratch: &mut Scratch,
    ids: &mut Vec<u32>,
) {
    match chunk {
        [] => {}
        [byte] => ids.push(byte_id(*byte)),
        _ if chunk.len() <= SHORT_BYTES_MAX => encode_short(chunk, byte_id, pair, into, ids),
        _ => encode_long(chunk, byte_id, pair, into, scratch, ids),
    }
}

fn encode_short(
    chunk: &[u8],
    byte_id: impl Fn(u8) -> u32,
    pair: impl Fn(u32, u32) -> u32,
    into: impl Fn(u32) -> u32,
    ids: &mut Vec<u32>,
) {
    let mut parts = [0u32; SHORT_BYTES_MAX];
    // ranks[i] belongs to parts i and i + 1; the last part has none.
    let mut ranks = [NO_PAIR; SHORT_BYTES_MAX];
    let mut length = chunk.len();
    for (part, &byte) in parts.iter_mut().zip(chunk) {
        *part = byte_id(byte);
    }
    for i in 0..length - 1 {
        ranks[i] = pair(parts[i], parts[i + 1]);
    }
    loop {
        let mut lowest = NO_PAIR;
        let mut at = 0;
        for (i, &rank) in ranks[..length - 1].iter().enumerate() {
            if rank < lowest {
                lowest = rank;
                at = i;
            }
        }
        if lowest == NO_PAIR {
            break;
        }
        let merged = into(lowest);
        parts[at] = merged;
        parts.copy_within(at + 2..length, at + 1);
        ranks.copy_within(at + 2..length, at + 1);
        length -= 1;
        ranks[at] = if at + 1 < length { pair(merged, parts[at + 1]) } else { NO_PAIR };
        if at > 0 {
            ranks[at - 1] = pair(parts[at - 1], merged);
        }
    }
    ids.extend_from_slice(&parts[..length]);
}

fn encode_long(
    chunk: &[u8],
    byte_id: impl Fn(u8) -> u32,
    pair: impl Fn(u32, u32) -> u32,
    into: impl Fn(u32) -> u32,
    scratch: &mut Scratch,
    ids: &mut Vec<u32>,
) {
    let Scratch { long: parts, heap } = scratch;
    parts.clear();
    heap.clear();
    parts.extend(chunk.iter().enumerate().map(|(i, &byte)| Part {
        id: byte_id(byte),
        rank: NO_PAIR,
        previous: i.wrapping_sub(1),
        next: if i + 1 < chunk.len() { i + 1 } else { NONE },
    }));
    for i in 0..parts.len() - 1 {
        parts[i].rank = pair(parts[i].id, parts[i + 1].id);
        if parts[i].rank != NO_PAIR {
            heap.push(Reverse((parts[i].rank, i)));
        }
    }
    while let Some(Reverse((rank, at))) = heap.pop() {
        if parts[at].rank != rank {
            // Left over from before a neighbour merged.
            continue;
        }
        let gone = parts[at].next;
        let after = parts[gone].next;
        parts[gone].rank = NO_PAIR;
        let merged = into(rank);
        parts[at].id = merged;
        parts[at].next = after;
        parts[at].rank = NO_PAIR;
        if after != NONE {
            parts[after].previous = at;
            parts[at].rank = pair(merged, parts[after].id);
            if parts[at].rank != NO_PAIR {
                heap.push(Reverse((parts[at].rank, at)));
            }
        }
        let before = parts[at].previous;
        if before != NONE {
            parts[before].rank = pair(parts[before].id, merged);
            if parts[before].rank != NO_PAIR {
                heap.push(Reverse((parts[before].rank, before)));
            }
        }
    }
    let mut at = 0;
    while at != NONE {
        ids.push(parts[at].id);
        at = parts[at].next;
    }
    // A single huge chunk should not hold its memory for the rest of the process.
    if parts.capacity() > 1 << 16 {
        *scratch = Scratch::default();
    }
}
