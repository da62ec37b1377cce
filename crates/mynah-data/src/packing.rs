//! Best-fit packing: pieces of text into rows of one length, nearly without loss.
//!
//! A row is filled with the longest piece that still fits, again and again. When none fits, the longest piece of all is cut:
//! its beginning fills the row, and its rest becomes a piece of its own, which begins again with `<|bos|>`, so
//! that no row ever begins in the dark. Nothing is thrown away. The longest is cut because it is the
//! likeliest to be longer than a row, and then has to be cut anyway. (Looking for two pieces that fill a row exactly saved
//! 1% of the cuts of the built-in corpus: not worth its lines.)

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// What packing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackStats {
    /// Rows filled.
    pub rows: u64,
    /// Ids put into rows.
    pub tokens: u64,
    /// Documents taken in.
    pub documents: u64,
    /// Cuts of a document; each costs one more `<|bos|>` and the context before it.
    pub cuts: u64,
    /// Ids of the rows that are padding.
    pub padding: u64,
}

impl PackStats {
    /// Adds another packing's figures.
    pub fn add(&mut self, other: &PackStats) {
        self.rows += other.rows;
        self.tokens += other.tokens;
        self.documents += other.documents;
        self.cuts += other.cuts;
        self.padding += other.padding;
    }
}

/// Pieces by length, those of one length in the order in which they came.
#[derive(Default)]
struct Pieces {
    by_length: BTreeMap<usize, VecDeque<Vec<u32>>>,
}

impl Pieces {
    fn put(&mut self, piece: Vec<u32>) {
        self.by_length.entry(piece.len()).or_default().push_back(piece);
    }

    /// The longest piece of at most `room` ids.
    fn take_fitting(&mut self, room: usize) -> Option<Vec<u32>> {
        let length = *self.by_length.range(..=room).next_back()?.0;
        self.take(length)
    }

    fn take_longest(&mut self) -> Option<Vec<u32>> {
        let length = *self.by_length.last_key_value()?.0;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Option<Vec<u32>> {
        let queue = self.by_length.get_mut(&length)?;
        let piece = queue.pop_front();
        if queue.is_empty() {
            self.by_length.remove(&length);
        }
        piece
    }
}

/// Packs pieces, each beginning with `bos`, into rows of exactly `row_length` ids. What is left in the end is too
/// little for a row, and comes back as the second value.
pub fn pack_exactly(
    pieces: Vec<Vec<u32>>,
    row_length: usize,
    bos: u32,
    stats: &mut PackStats,
) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let mut left_tokens: usize = pieces.iter().map(Vec::len).sum();
    let mut waiting = Pieces::default();
    pieces.into_iter().filter(|piece| !piece.is_empty()).for_each(|piece| waiting.put(piece));
    let mut rows = Vec::with_capacity(left_tokens / row_length.max(1));
    while left_tokens >= row_length {
        let mut row: Vec<u32> = Vec::with_capacity(row_length);
        while row.len() < row_length {
            let room = row_length - row.len();
            if let Some(piece) = waiting.take_fitting(room) {
                left_tokens -= piece.len();
                row.extend(piece);
                continue;
            }
            // Longer than the room, or it would have fitted; there is one, for enough ids are left.
            let Some(mut piece) = waiting.take_longest() else { break };
            let mut rest = piece.split_off(room);
            rest.insert(0, bos);
            left_tokens = left_tokens - room + 1;
            stats.cuts += 1;
            row.extend(piece);
            waiting.put(rest);
        }
        rows.push(row);
    }
    stats.rows += rows.len() as u64;
    stats.tokens += (rows.len() * row_length) as u64;
    let mut left = Vec::new();
    while let Some(piece) = waiting.take_longest() {
        left.push(piece);
    }
    (rows, left)
}

/// Packs things of the given lengths into rows of at most `row_length` without cutting any: each row takes
/// the longest one that is left and then the longest ones that fit. Returns the things' numbers by row. Those longer
/// than a row get one of their own (the caller truncates).
pub fn pack_whole(lengths: &[usize], row_length: usize, stats: &mut PackStats) -> Vec<Vec<usize>> {
    let mut waiting: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for (number, &length) in lengths.iter().enumerate() {
        waiting.entry(length.min(row_length)).or_default().push_back(number);
    }
    let mut rows = Vec::new();
    while !waiting.is_empty() {
        let (mut row, mut room) = (Vec::new(), row_length);
        while let Some((&length, _)) = waiting.range(..=room).next_back() {
            if let Some(queue) = waiting.get_mut(&length) {
                row.extend(queue.pop_front());
                if queue.is_empty() {
                    waiting.remove(&length);
                }
            }
            room -= length;
        }
        stats.padding += room as u64;
        rows.push(row);
    }
    stats.rows += rows.len() as u64;
    stats.tokens += (rows.len() * row_length) as u64;
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use mynah_base::Rng;

    const BOS: u32 = 9_999;

    fn pieces(rng: &mut Rng, count: usize, longest: usize) -> Vec<Vec<u32>> {
        let mut next = 0;
        (0..count)
            .map(|_| {
                let mut piece = vec![BOS];
                for _ in 0..rng.index(longest) {
                    piece.push(next);
                    next += 1;
                }
                piece
            })
            .collect()
    }

    #[test]
    fn no_id_is_lost_or_doubled_and_rows_begin_with_bos() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let row_length = 2 + rng.index(40);
            let count = rng.index(60);
            let pieces = pieces(&mut rng, count, 100);
            let expect: usize = pieces.iter().flatten().filter(|&&id| id != BOS).count();
            let mut stats = PackStats::default();
            let (rows, left) = pack_exactly(pieces, row_length, BOS, &mut stats);
            assert!(rows.iter().all(|row| row.len() == row_length && row[0] == BOS), "seed {seed}");
            assert!(left.iter().all(|piece| piece[0] == BOS));
            assert!(left.iter().map(Vec::len).sum::<usize>() < row_length);
            let mut ids: Vec<u32> =
                rows.iter().chain(&left).flatten().copied().filter(|&id| id != BOS).collect();
            ids.sort_unstable();
            assert_eq!(ids, (0..expect as u32).collect::<Vec<_>>(), "seed {seed}");
            // An id's successor in its row is its successor in the document, or a new piece.
            for pair in rows.iter().flat_map(|row| row.windows(2)) {
                assert!(pair[1] == BOS || pair[0] == BOS || pair[1] == pair[0] + 1, "seed {seed} {pair:?}");
            }
        }
    }

    #[test]
    fn fitting_pieces_are_not_cut() {
        let piece = |length: usize| vec![BOS; length];
        let mut stats = PackStats::default();
        let lengths = [3, 7, 5, 5, 4, 6];
        let (rows, left) = pack_exactly(lengths.map(piece).to_vec(), 10, BOS, &mut stats);
        assert_eq!((rows.len(), left.len(), stats.cuts), (3, 0, 0));
    }

    #[test]
    fn whole_packing_keeps_every_number_once_within_the_row() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let lengths: Vec<usize> = (0..rng.index(80)).map(|_| 1 + rng.index(30)).collect();
            let mut stats = PackStats::default();
            let rows = pack_whole(&lengths, 32, &mut stats);
            assert!(rows.iter().all(|row| row.iter().map(|&n| lengths[n]).sum::<usize>() <= 32));
            let mut numbers: Vec<usize> = rows.concat();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..lengths.len()).collect::<Vec<_>>());
            let used: usize = lengths.iter().sum();
            assert_eq!(stats.tokens - stats.padding, used as u64);
        }
    }
}
