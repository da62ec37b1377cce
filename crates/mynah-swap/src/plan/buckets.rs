//! What is sent, cut into buckets by who needs it.

use super::{Bucket, Piece, PlanOptions};
use crate::manifest::{Grid, Tensor};
use crate::{Manifest, Result};

/// Chunks of one tensor that follow each other and go to the same ranks.
struct Run {
    ranks: u64,
    /// The first tensor of the quantisation group, or the tensor itself.
    unit: u32,
    piece: Piece,
}

pub(super) fn pack(to: &Manifest, wanted: &[Vec<u32>], options: &PlanOptions) -> Result<Vec<Bucket>> {
    let units = units(to);
    let mut runs: Vec<Run> = Vec::new();
    for (index, chunks) in wanted.iter().enumerate().filter(|(_, chunks)| !chunks.is_empty()) {
        let tensor = &to.tensors()[index];
        let grid = Grid::of(tensor, to.head().chunk_bytes);
        let cut =
            cut_axis(&tensor.name, options).map(|axis| Cut::new(tensor, axis, options.ranks)).transpose()?;
        let everyone = all_ranks(options.ranks);
        for &chunk in chunks {
            let range = grid.range(u64::from(chunk));
            let ranks = cut.as_ref().map_or(everyone, |cut| cut.ranks_of(range.start, range.end));
            let size_bytes = range.end - range.start;
            match runs.last_mut() {
                Some(run)
                    if run.ranks == ranks
                        && run.piece.tensor == index as u32
                        && run.piece.first_chunk + run.piece.count == chunk =>
                {
                    run.piece.count += 1;
                    run.piece.size_bytes += size_bytes;
                }
                _ => {
                    let piece = Piece { tensor: index as u32, first_chunk: chunk, count: 1, size_bytes };
                    runs.push(Run { ranks, unit: units[index], piece });
                }
            }
        }
    }
    runs.sort_by_key(|run| (run.ranks, run.unit, run.piece.tensor, run.piece.first_chunk));
    let mut buckets = Vec::new();
    let mut open = Bucket { ranks: 0, pieces: Vec::new(), size_bytes: 0 };
    let mut rest = runs.as_slice();
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|run| (run.ranks, run.unit) == (first.ranks, first.unit)).count();
        let (unit, after) = rest.split_at(same);
        rest = after;
        let unit_bytes: u64 = unit.iter().map(|run| run.piece.size_bytes).sum();
        let fits = open.size_bytes.saturating_add(unit_bytes) <= options.bucket_bytes_max;
        // What belongs together stays together where one bucket can hold it.
        if open.ranks != first.ranks || (!fits && unit_bytes <= options.bucket_bytes_max) {
            flush(&mut buckets, &mut open);
        }
        open.ranks = first.ranks;
        for run in unit {
            add(&mut buckets, &mut open, to, run.piece, options.bucket_bytes_max);
        }
    }
    flush(&mut buckets, &mut open);
    Ok(buckets)
}

fn flush(buckets: &mut Vec<Bucket>, open: &mut Bucket) {
    let ranks = open.ranks;
    let full = std::mem::replace(open, Bucket { ranks, pieces: Vec::new(), size_bytes: 0 });
    if !full.pieces.is_empty() {
        buckets.push(full);
    }
}

/// Adds a piece, opening new buckets where it does not fit.
fn add(buckets: &mut Vec<Bucket>, open: &mut Bucket, to: &Manifest, piece: Piece, cap: u64) {
    if open.size_bytes + piece.size_bytes <= cap {
        open.size_bytes += piece.size_bytes;
        open.pieces.push(piece);
        return;
    }
    let grid = Grid::of(&to.tensors()[piece.tensor as usize], to.head().chunk_bytes);
    let mut part = Piece { count: 0, size_bytes: 0, ..piece };
    for chunk in piece.first_chunk..piece.first_chunk + piece.count {
        let range = grid.range(u64::from(chunk));
        let size_bytes = range.end - range.start;
        if open.size_bytes + part.size_bytes + size_bytes > cap {
            close(open, part);
            flush(buckets, open);
            part = Piece { first_chunk: chunk, count: 0, size_bytes: 0, ..piece };
        }
        part.count += 1;
        part.size_bytes += size_bytes;
    }
    close(open, part);
}

fn close(open: &mut Bucket, part: Piece) {
    if part.count > 0 {
        open.size_bytes += part.size_bytes;
        open.pieces.push(part);
    }
}

/// For each tensor the first one of its quantisation group.
fn units(to: &Manifest) -> Vec<u32> {
    let mut firsts = std::collections::HashMap::new();
    let unit = |(index, tensor): (usize, &Tensor)| match &tensor.group {
        Some(group) => *firsts.entry(group.clone()).or_insert(index as u32),
        None => index as u32,
    };
    to.tensors().iter().enumerate().map(unit).collect()
}

fn all_ranks(ranks: u32) -> u64 {
    u64::MAX >> (64 - ranks)
}

/// The axis along which a tensor is cut among the ranks.
pub(super) fn cut_axis(name: &str, options: &PlanOptions) -> Option<u8> {
    if options.ranks == 1 {
        return None;
    }
    let fitting = options.cuts.iter().filter(|rule| fits(&rule.pattern, name));
    fitting.max_by_key(|rule| (rule.pattern.len(), &rule.pattern)).map(|rule| rule.axis)
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// How the bytes of a tensor fall to the ranks when it is cut along an axis.
struct Cut {
    ranks: u32,
    /// Bytes from one index along the axis to the next.
    step_bytes: u64,
    /// Bytes after which the axis starts again.
    period_bytes: u64,
    /// Index of the tensor's first slice in the whole.
    offset: u64,
    /// Extent of the whole.
    extent: u64,
}

impl Cut {
    fn new(tensor: &Tensor, axis: u8, ranks: u32) -> Result<Self> {
        let at = usize::from(axis);
        let Some(&held) = tensor.shape.get(at) else {
            return Err(crate::Error::argument(format!(
                "{} has {} dimensions and cannot be cut along axis {axis}",
                tensor.label(),
                tensor.shape.len()
            )));
        };
        let (offset, extent) = match tensor.part {
            Some(part) if part.axis == axis => (part.offset, part.extent),
            _ => (0, held),
        };
        let outer: u64 = tensor.shape[..at].iter().product::<u64>().max(1);
        let period_bytes = tensor.size_bytes / outer;
        // Blocks along the last axis make steps smaller than a byte count; such a cut is told by whole blocks.
        let step_bytes = (period_bytes / held.max(1)).max(1);
        if extent < u64::from(ranks) {
            return Err(crate::Error::argument(format!(
                "{} cannot be cut along axis {axis} of extent {extent} among {ranks} ranks",
                tensor.label()
            )));
        }
        Ok(Self { ranks, step_bytes, period_bytes, offset, extent })
    }

    /// The ranks that need some of these bytes.
    fn ranks_of(&self, start: u64, end: u64) -> u64 {
        if end - start >= self.period_bytes {
            return self.between(0, self.period_bytes);
        }
        let from = start % self.period_bytes;
        let to = from + (end - start);
        if to <= self.period_bytes {
            self.between(from, to)
        } else {
            self.between(from, self.period_bytes) | self.between(0, to - self.period_bytes)
        }
    }

    /// The same within one period.
    fn between(&self, from: u64, to: u64) -> u64 {
        let first = self.rank_of(from / self.step_bytes);
        let last = self.rank_of((to - 1) / self.step_bytes);
        (all_ranks(last + 1) >> first) << first
    }

    /// The rank whose share, from extent·r/n up to extent·(r+1)/n, holds this index of the tensor.
    fn rank_of(&self, index: u64) -> u32 {
        let index = u128::from((self.offset + index).min(self.extent - 1));
        (((index + 1) * u128::from(self.ranks) - 1) / u128::from(self.extent)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expect) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("*", "", true),
            ("*.q.weight", "layers.0.q.weight", true),
            ("*.q.weight", "layers.0.qq.weight", false),
            ("l*.q*.w", "layers.q.q.w", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
    }
}
