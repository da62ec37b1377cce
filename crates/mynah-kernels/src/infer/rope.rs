//! Rotary embedding in place, with a table row for each row.

use super::GRAIN;
use crate::nn::RowsMut;
use crate::nn::check::{same_len, strided};
use crate::nn::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// Which values of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// i and i + half, as GPT-NeoX and the Hugging Face models have it.
    Halves,
    /// 2i and 2i + 1, as the original and GLM have it.
    Neighbours,
}

/// The heads of a row and how they turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Heads at the beginning of a row.
    pub heads: usize,
    /// Values of a head; those beyond 2 · `half` stay.
    pub head_dim: usize,
    /// Pairs of a head.
    pub half: usize,
    /// Which values are a pair.
    pub pairs: Pairs,
    /// Cosines, (rows, half).
    pub cos: &'a [f32],
    /// Sines, (rows, half).
    pub sin: &'a [f32],
}

/// (a, b) ← (a·cos − b·sin, b·cos + a·sin) for each pair of each head of each row (Su et al. 2021, section 3.2).
///
/// # Panics
/// If lengths do not belong together.
pub fn rope_rows(turn: &Turn<'_>, rows: usize, x: RowsMut<'_, f32>) {
    let width = turn.heads * turn.head_dim;
    assert!(2 * turn.half <= turn.head_dim, "rope_rows: {} pairs in a head of {}", turn.half, turn.head_dim);
    same_len("rope_rows rows·half, cos, sin", &[rows * turn.half, turn.cos.len(), turn.sin.len()]);
    strided("rope_rows x", x.data.len(), rows, width, x.stride);
    let (stride, data) = (x.stride, Shared::new(x.data));
    pool::run_ranges(rows, GRAIN.div_ceil(width.max(1)), |rows| {
        for row in rows {
            // SAFETY: each row is in one range only.
            let x = unsafe { data.slice(row * stride..row * stride + width) };
            let table = row * turn.half..(row + 1) * turn.half;
            turn_row(turn, &turn.cos[table.clone()], &turn.sin[table], x);
        }
    });
}

kernel! { fn turn_row(turn: &Turn<'_>, cos: &[f32], sin: &[f32], x: &mut [f32]) = turn_row_body }

#[inline(always)]
fn turn_row_body<S: Simd>(s: S, turn: &Turn<'_>, cos: &[f32], sin: &[f32], x: &mut [f32]) {
    for head in x.chunks_exact_mut(turn.head_dim) {
        match turn.pairs {
            Pairs::Halves => {
                let (first, second) = head[..2 * turn.half].split_at_mut(turn.half);
                for i in (0..turn.half).step_by(S::LANES) {
                    let (a, b) = (s.load_at(first, i), s.load_at(second, i));
                    let (c, n) = (s.load_at(cos, i), s.load_at(sin, i));
                    s.store_at(first, i, s.neg_mul_add(b, n, s.mul(a, c)));
                    s.store_at(second, i, s.mul_add(a, n, s.mul(b, c)));
                }
            }
            // Left to the compiler: the shuffles of pairs are its business.
            Pairs::Neighbours => {
                let pairs = head[..2 * turn.half].as_chunks_mut::<2>().0.iter_mut();
                for ((pair, c), n) in pairs.zip(cos).zip(sin) {
                    let [a, b] = *pair;
                    *pair = [a * c - b * n, b * c + a * n];
                }
            }
        }
    }
}
