//! The last linear layer and cross-entropy together, in chunks of rows, so that the (N, V) logits never
//! exist: for each chunk the logits, then the softmax and its gradient in their place, then the products
//! that give dx and dw.

use super::check::same_len;
use super::math;
use super::scratch::{self, padded, take};
use super::simd::{Simd, kernel};
use super::softmax::{exponentials, greatest, scale_row, sum_first};
use super::types::{CrossEntropyShape, LossScale};
use crate::gemm::{MatMut, MatRef, Store, gemm};
use crate::pool::{self, Shared};

/// Logits of a chunk: 32 MiB. Each chunk reads all of w and adds to all of dw, so few large chunks win as
/// long as the logits stay in the last cache.
const CHUNK_LOGITS: usize = 8 << 20;
/// Rows of a chunk at most; more gain nothing.
const CHUNK_ROWS: usize = 256;
/// Up to this cap c the softmax needs no maximum: e^(z − c) cannot underflow for |z| ≤ c.
const CAP_WITHOUT_MAX: f32 = 40.0;

/// Loss of each row, −log softmax(cap(x·Wᵀ))[target], for x (N, d) and w (V, d); 0 where the target is −1.
pub fn linear_cross_entropy_forward(
    shape: &CrossEntropyShape,
    x: &[f32],
    w: &[f32],
    targets: &[i64],
    losses: &mut [f32],
) {
    shape.check(x.len(), w.len(), targets, losses.len());
    losses.fill(0.0);
    each_chunk(shape, x, w, targets, losses, |_| None, |_| {});
}

/// Losses as [`linear_cross_entropy_forward`], and the gradients of the scaled sum of them: `dx` (N, d) is
/// overwritten, `dw` (V, d) is overwritten or, with `accumulate`, added to.
#[expect(clippy::too_many_arguments, reason = "the tensors of the formula, each needed")]
pub fn linear_cross_entropy(
    shape: &CrossEntropyShape,
    x: &[f32],
    w: &[f32],
    targets: &[i64],
    scale: LossScale<'_, f32>,
    losses: &mut [f32],
    dx: &mut [f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let rows = shape.check(x.len(), w.len(), targets, losses.len());
    same_len("linear_cross_entropy x, dx", &[x.len(), dx.len()]);
    same_len("linear_cross_entropy w, dw", &[w.len(), dw.len()]);
    if let LossScale::Rows(scales) = scale {
        same_len("linear_cross_entropy rows, scales", &[rows, scales.len()]);
    }
    let counted = targets.iter().filter(|&&target| target >= 0).count();
    let (dim, vocab) = (shape.dim, shape.vocab);
    losses.fill(0.0);
    for (dx, &target) in dx.chunks_exact_mut(dim).zip(targets) {
        if target < 0 {
            dx.fill(0.0);
        }
    }
    let mut fresh = !accumulate;
    if fresh && counted == 0 {
        dw.fill(0.0);
    }
    each_chunk(
        shape,
        x,
        w,
        targets,
        losses,
        |row| Some(scale.of(row, counted)),
        |chunk| {
            let count = chunk.rows.len();
            let gradient = MatRef::new(chunk.logits, count, vocab);
            let inputs = MatRef::new(chunk.x, count, dim);
            gemm(gradient, MatRef::new(w, vocab, dim), MatMut::new(chunk.dx, count, dim), Store::Overwrite);
            for (&row, from) in chunk.rows.iter().zip(chunk.dx.chunks_exact(dim)) {
                dx[row * dim..][..dim].copy_from_slice(from);
            }
            let store = if fresh { Store::Overwrite } else { Store::Accumulate };
            gemm(gradient.t(), inputs, MatMut::new(dw, vocab, dim), store);
            fresh = false;
        },
    );
}

/// A chunk of counted rows whose logits have become their gradient.
struct Chunk<'a> {
    rows: &'a [usize],
    x: &'a [f32],
    dx: &'a mut [f32],
    logits: &'a [f32],
}

/// Computes the losses of all counted rows; where `factor` gives a factor, the logits become the gradient of
/// factor·loss. Calls `done` after each chunk.
fn each_chunk(
    shape: &CrossEntropyShape,
    x: &[f32],
    w: &[f32],
    targets: &[i64],
    losses: &mut [f32],
    factor: impl Fn(usize) -> Option<f32> + Sync,
    mut done: impl FnMut(Chunk<'_>),
) {
    let (dim, vocab) = (shape.dim, shape.vocab);
    let counted: Vec<usize> = (0..targets.len()).filter(|&row| targets[row] >= 0).collect();
    let size = chunk_rows(vocab).min(counted.len());
    let weights = MatRef::new(w, vocab, dim);
    scratch::with(2 * padded(size * dim) + padded(size * vocab), |mut space| {
        let inputs = take(&mut space, size * dim);
        let dx = take(&mut space, size * dim);
        let logits = take(&mut space, size * vocab);
        for rows in counted.chunks(size.max(1)) {
            // Gathering costs little beside the products and lets ignored rows cost nothing.
            for (&row, to) in rows.iter().zip(inputs.chunks_exact_mut(dim)) {
                to.copy_from_slice(&x[row * dim..][..dim]);
            }
            let inputs = &inputs[..rows.len() * dim];
            let logits = &mut logits[..rows.len() * vocab];
            let product = MatMut::new(logits, rows.len(), vocab);
            gemm(MatRef::new(inputs, rows.len(), dim), weights.t(), product, Store::Overwrite);
            let losses = Shared::new(losses);
            pool::run_chunks_mut(logits, vocab, |i, logits| {
                let row = rows[i];
                let loss = loss_row(logits, targets[row] as usize, shape.softcap, factor(row));
                // SAFETY: each counted row is one chunk.
                let place = unsafe { losses.slice(row..row + 1) };
                place[0] = loss;
            });
            done(Chunk { rows, x: inputs, dx: &mut dx[..rows.len() * dim], logits });
        }
    });
}

fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_LOGITS / vocab.max(1)).clamp(16, CHUNK_ROWS)
}

kernel! {
    /// The loss of one row of logits, which are overwritten: by the gradient of factor·loss if there is a
    /// factor, else by anything.
    fn loss_row(logits: &mut [f32], target: usize, softcap: Option<f32>, factor: Option<f32>) -> f32 =
        loss_row_body
}

#[inline(always)]
fn loss_row_body<S: Simd>(
    s: S,
    logits: &mut [f32],
    target: usize,
    softcap: Option<f32>,
    factor: Option<f32>,
) -> f32 {
    match softcap {
        Some(cap) => capped(s, logits, target, cap, factor),
        None => plain(s, logits, target, factor),
    }
}

#[inline(always)]
fn plain<S: Simd>(s: S, z: &mut [f32], target: usize, factor: Option<f32>) -> f32 {
    let max = greatest(s, z);
    let at_target = z[target];
    let sum = exponentials(s, z, max);
    if let Some(factor) = factor {
        scale_row(s, z, factor / sum);
        z[target] -= factor;
    }
    max + sum.ln() - at_target
}

#[inline(always)]
fn capped<S: Simd>(s: S, z: &mut [f32], target: usize, cap: f32, factor: Option<f32>) -> f32 {
    // t = tanh(z/c) takes the place of z; the capped logit is c·t, which the gradient needs as 1 − t².
    let inverse = s.splat(1.0 / cap);
    let cap_vector = s.splat(cap);
    let mut max = cap;
    if cap > CAP_WITHOUT_MAX {
        let mut i = 0;
        while i < z.len() {
            s.store_at(z, i, math::tanh(s, s.mul(s.load_at(z, i), inverse)));
            i += S::LANES;
        }
        max = cap * greatest(s, z);
    }
    let minus_max = s.splat(-max);
    let mut sum = s.splat(0.0);
    let mut rest = 0.0;
    let mut i = 0;
    while i < z.len() {
        let mut t = s.load_at(z, i);
        if cap <= CAP_WITHOUT_MAX {
            t = math::tanh(s, s.mul(t, inverse));
            s.store_at(z, i, t);
        }
        let e = math::exp(s, s.mul_add(t, cap_vector, minus_max));
        if i + S::LANES <= z.len() {
            sum = s.add(sum, e);
        } else {
            rest = sum_first(s, e, z.len() - i);
        }
        i += S::LANES;
    }
    let sum = s.sum(sum) + rest;
    let at_target = z[target];
    if let Some(factor) = factor {
        let (scale, one) = (s.splat(factor / sum), s.splat(1.0));
        let mut i = 0;
        while i < z.len() {
            let t = s.load_at(z, i);
            let p = s.mul(math::exp(s, s.mul_add(t, cap_vector, minus_max)), scale);
            s.store_at(z, i, s.mul(p, s.neg_mul_add(t, t, one)));
            i += S::LANES;
        }
        z[target] -= factor * (1.0 - at_target * at_target);
    }
    max + sum.ln() - cap * at_target
}
