//! The softmax of one tile of scores, forward and backward.

use crate::nn::math::{self, dot};
use crate::nn::simd::{Simd, kernel};
use crate::nn::tile::Band;

/// Running maximum and sum of each query of a tile of N.
pub(super) struct OnlineSoftmax<const N: usize> {
    pub(super) max: [f32; N],
    pub(super) sum: [f32; N],
    /// What the last step multiplied the sums before it by.
    pub(super) factor: [f32; N],
}

impl<const N: usize> OnlineSoftmax<N> {
    pub(super) fn new() -> Self {
        OnlineSoftmax { max: [f32::NEG_INFINITY; N], sum: [0.0; N], factor: [1.0; N] }
    }

    /// Turns the scores of the next tile of keys into e^(scale·score − max), zero outside the band as far as
    /// a register tile may read, and updates maximum, sum and factor of each row.
    pub(super) fn step(
        &mut self,
        scores: &mut [f32],
        row_len: usize,
        rows: usize,
        cols: usize,
        band: Band,
        scale: f32,
    ) {
        step(scores, row_len, rows, cols, band, scale, &mut self.max, &mut self.sum, &mut self.factor);
    }
}

kernel! {
    fn step(
        scores: &mut [f32],
        row_len: usize,
        rows: usize,
        cols: usize,
        band: Band,
        scale: f32,
        max: &mut [f32],
        sum: &mut [f32],
        factor: &mut [f32],
    ) = step_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn step_body<S: Simd>(
    s: S,
    scores: &mut [f32],
    row_len: usize,
    rows: usize,
    cols: usize,
    band: Band,
    scale: f32,
    max: &mut [f32],
    sum: &mut [f32],
    factor: &mut [f32],
) {
    let factors = s.splat(scale);
    for (row, scores) in scores.chunks_exact_mut(row_len).enumerate().take(rows) {
        let valid = band.columns(row..row + 1, cols);
        let (first, last) = clear_edges(s, scores, &valid, f32::NEG_INFINITY);
        factor[row] = 1.0;
        if valid.is_empty() {
            continue;
        }
        let mut greatest = s.splat(f32::NEG_INFINITY);
        let mut i = first;
        while i < last {
            greatest = s.max(s.mul(s.load_at(scores, i), factors), greatest);
            i += S::LANES;
        }
        let new_max = max[row].max(s.greatest(greatest));
        let minus_max = s.splat(-new_max);
        let mut total = s.splat(0.0);
        let mut i = first;
        while i < last {
            let p = math::exp(s, s.mul_add(s.load_at(scores, i), factors, minus_max));
            total = s.add(total, p);
            s.store_at(scores, i, p);
            i += S::LANES;
        }
        factor[row] = (max[row] - new_max).exp();
        sum[row] = sum[row] * factor[row] + s.sum(total);
        max[row] = new_max;
    }
}

/// Prepares a row for whole vectors: values of the first and last vector outside `valid` become `filler`, and
/// the vectors before and after them 0, because a register tile reads up to 5 columns beyond a row's own.
/// Returns the range of whole vectors.
#[inline(always)]
fn clear_edges<S: Simd>(
    s: S,
    row: &mut [f32],
    valid: &std::ops::Range<usize>,
    filler: f32,
) -> (usize, usize) {
    const { assert!(S::TILE.0 <= S::LANES) };
    let first = valid.start / S::LANES * S::LANES;
    let last = valid.end.next_multiple_of(S::LANES);
    if valid.is_empty() {
        // Near the edge of a tile the neighbours may still read here.
        let first = first.saturating_sub(S::LANES);
        let last = (last + S::LANES).min(row.len());
        row[first..last].fill(0.0);
        return (0, 0);
    }
    if first >= S::LANES {
        s.store_at(row, first - S::LANES, s.splat(0.0));
    }
    if last < row.len() {
        s.store_at(row, last, s.splat(0.0));
    }
    row[first..valid.start].fill(filler);
    row[valid.end..last].fill(filler);
    (first, last)
}

kernel! {
    /// From scores and dP of a tile: P = e^(scale·score − lse) and dS = scale·P·(dP − delta), in place; zero
    /// outside the band as far as a register tile may read.
    pub(super) fn probabilities(
        scores: &mut [f32],
        dp: &mut [f32],
        row_len: usize,
        cols: usize,
        band: Band,
        scale: f32,
        lse: &[f32],
        delta: &[f32],
    ) = probabilities_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn probabilities_body<S: Simd>(
    s: S,
    scores: &mut [f32],
    dp: &mut [f32],
    row_len: usize,
    cols: usize,
    band: Band,
    scale: f32,
    lse: &[f32],
    delta: &[f32],
) {
    let factor = s.splat(scale);
    let tile = scores.chunks_exact_mut(row_len).zip(dp.chunks_exact_mut(row_len));
    for (row, ((scores, dp), (&lse, &delta))) in tile.zip(lse.iter().zip(delta)).enumerate() {
        let valid = band.columns(row..row + 1, cols);
        let (first, last) = clear_edges(s, scores, &valid, f32::NEG_INFINITY);
        clear_edges(s, dp, &valid, 0.0);
        let (minus_lse, delta) = (s.splat(-lse), s.splat(delta));
        let mut i = first;
        while i < last {
            let p = math::exp(s, s.mul_add(s.load_at(scores, i), factor, minus_lse));
            s.store_at(scores, i, p);
            let ds = s.mul(s.mul(p, factor), s.sub(s.load_at(dp, i), delta));
            s.store_at(dp, i, ds);
            i += S::LANES;
        }
    }
}

kernel! {
    /// Σ a·b of each pair of rows of `dim` values.
    pub(super) fn dot_rows(
        a: &[f32],
        a_stride: usize,
        b: &[f32],
        b_stride: usize,
        dim: usize,
        sums: &mut [f32],
    ) = dot_rows_body
}

#[inline(always)]
fn dot_rows_body<S: Simd>(
    s: S,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    b_stride: usize,
    dim: usize,
    sums: &mut [f32],
) {
    for (row, sum) in sums.iter_mut().enumerate() {
        *sum = dot(s, &a[row * a_stride..][..dim], &b[row * b_stride..][..dim]);
    }
}
