//! Softmax, its logarithm and argmax of each row.

use super::check::{rows_of, same_len};
use super::math::{self, dot};
use super::simd::{Simd, kernel};
use crate::pool::{self, Shared};
use std::ops::Range;

/// Values that one task takes at least.
const GRAIN: usize = 16 * 1024;

/// Calls `row(at, y[at])` for each row of `cols`, rows in parallel.
fn each_row(cols: usize, y: &mut [f32], row: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let rows = y.len() / cols;
    let y = Shared::new(y);
    pool::run_ranges(rows, GRAIN.div_ceil(cols), |rows| {
        for at in rows.map(|row| row * cols..(row + 1) * cols) {
            // SAFETY: each row is in one range only.
            row(at.clone(), unsafe { y.slice(at) });
        }
    });
}

/// y = softmax of each row of `cols`.
pub fn softmax_rows(x: &[f32], cols: usize, y: &mut [f32]) {
    rows_of("softmax_rows", x.len(), cols);
    same_len("softmax_rows x, y", &[x.len(), y.len()]);
    each_row(cols, y, |at, y| softmax(&x[at], y));
}

kernel! { fn softmax(x: &[f32], y: &mut [f32]) = softmax_body }

#[inline(always)]
fn softmax_body<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    y.copy_from_slice(x);
    let sum = exponentials(s, y, greatest(s, x));
    scale_row(s, y, 1.0 / sum);
}

/// y = log softmax of each row of `cols`.
pub fn log_softmax_rows(x: &[f32], cols: usize, y: &mut [f32]) {
    rows_of("log_softmax_rows", x.len(), cols);
    same_len("log_softmax_rows x, y", &[x.len(), y.len()]);
    each_row(cols, y, |at, y| log_softmax(&x[at], y));
}

kernel! { fn log_softmax(x: &[f32], y: &mut [f32]) = log_softmax_body }

#[inline(always)]
fn log_softmax_body<S: Simd>(s: S, x: &[f32], y: &mut [f32]) {
    let max = greatest(s, x);
    y.copy_from_slice(x);
    let lse = s.splat(max + exponentials(s, y, max).ln());
    let mut i = 0;
    while i < y.len() {
        s.store_at(y, i, s.sub(s.load_at(x, i), lse));
        i += S::LANES;
    }
}

/// The greatest value of a row.
#[inline(always)]
pub(crate) fn greatest<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut max = s.splat(f32::NEG_INFINITY);
    let mut i = 0;
    while i + S::LANES <= x.len() {
        max = s.max(s.load_at(x, i), max);
        i += S::LANES;
    }
    x[i..].iter().fold(s.greatest(max), |max, &x| max.max(x))
}

/// x ← e^(x − max); returns the sum.
#[inline(always)]
pub(crate) fn exponentials<S: Simd>(s: S, x: &mut [f32], max: f32) -> f32 {
    let shift = s.splat(max);
    let mut sum = s.splat(0.0);
    let mut rest = 0.0;
    let mut i = 0;
    while i < x.len() {
        let e = math::exp(s, s.sub(s.load_at(x, i), shift));
        s.store_at(x, i, e);
        if i + S::LANES <= x.len() {
            sum = s.add(sum, e);
        } else {
            rest = sum_first(s, e, x.len() - i);
        }
        i += S::LANES;
    }
    s.sum(sum) + rest
}

/// Sum of the first `n` lanes.
#[inline(always)]
pub(crate) fn sum_first<S: Simd>(s: S, v: S::F, n: usize) -> f32 {
    let mut lanes = [0.0; 16];
    s.store_at(&mut lanes[..n], 0, v);
    lanes.iter().sum()
}

/// x ← factor·x.
#[inline(always)]
pub(crate) fn scale_row<S: Simd>(s: S, x: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    let mut i = 0;
    while i < x.len() {
        s.store_at(x, i, s.mul(s.load_at(x, i), factor));
        i += S::LANES;
    }
}

/// dx = y·(dy − Σ dy·y) of each row, from the saved output `y`.
pub fn softmax_backward_rows(y: &[f32], dy: &[f32], cols: usize, dx: &mut [f32]) {
    rows_of("softmax_backward_rows", y.len(), cols);
    same_len("softmax_backward_rows y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    each_row(cols, dx, |at, dx| softmax_backward(&y[at.clone()], &dy[at], dx));
}

kernel! { fn softmax_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) = softmax_backward_body }

#[inline(always)]
fn softmax_backward_body<S: Simd>(s: S, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let mean = s.splat(dot(s, y, dy));
    let mut i = 0;
    while i < y.len() {
        s.store_at(dx, i, s.mul(s.load_at(y, i), s.sub(s.load_at(dy, i), mean)));
        i += S::LANES;
    }
}

/// dx = dy − e^y·Σ dy of each row, from the saved output `y` (log-probabilities).
pub fn log_softmax_backward_rows(y: &[f32], dy: &[f32], cols: usize, dx: &mut [f32]) {
    rows_of("log_softmax_backward_rows", y.len(), cols);
    same_len("log_softmax_backward_rows y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    each_row(cols, dx, |at, dx| log_softmax_backward(&y[at.clone()], &dy[at], dx));
}

kernel! { fn log_softmax_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) = log_softmax_backward_body }

#[inline(always)]
fn log_softmax_backward_body<S: Simd>(s: S, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let mut sum = s.splat(0.0);
    let mut i = 0;
    while i < y.len() {
        sum = s.add(sum, s.load_at(dy, i));
        i += S::LANES;
    }
    let sum = s.splat(s.sum(sum));
    let mut i = 0;
    while i < y.len() {
        let p = math::exp(s, s.load_at(y, i));
        s.store_at(dx, i, s.neg_mul_add(p, sum, s.load_at(dy, i)));
        i += S::LANES;
    }
}

/// Index of the first greatest value of each row; a NaN never wins.
pub fn argmax_rows(x: &[f32], cols: usize, out: &mut [i64]) {
    let rows = rows_of("argmax_rows", x.len(), cols);
    same_len("argmax_rows rows, out", &[rows, out.len()]);
    pool::run_chunks_mut(out, GRAIN.div_ceil(cols), |chunk, out| {
        let first = chunk * GRAIN.div_ceil(cols);
        for (row, out) in (first..).zip(out) {
            *out = argmax(&x[row * cols..(row + 1) * cols]) as i64;
        }
    });
}

kernel! { fn argmax(x: &[f32]) -> usize = argmax_body }

#[inline(always)]
fn argmax_body<S: Simd>(s: S, x: &[f32]) -> usize {
    // `greatest` keeps its second operand beside a NaN, so NaN drops out of the maximum.
    let max = greatest(s, x);
    x.iter().position(|&x| x == max).unwrap_or(0)
}
