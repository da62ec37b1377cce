//! AdamW in one pass over parameter, gradient and moments.

use super::check::{ids_ascend, rows_of, same_len, volume};
use super::simd::{Simd, kernel};
use super::types::AdamW;
use crate::pool::{self, Shared};

/// Values that one task takes at least.
const GRAIN: usize = 16 * 1024;

/// Moments smaller than this become zero. Rows of tokens that do not occur decay by β₁ a step and would reach the
/// subnormal numbers after some hundred steps, where every operation costs a hundred cycles; a first moment of
/// 1e-30 over any usual eps moves no parameter.
const TINY: f32 = 1e-30;

/// The same for second moments, whose root meets eps.
const TINY_SQUARE: f32 = 1e-36;

/// One AdamW step: p ← p(1 − lr·wd); m, v moments; p ← p − lr/bias₁ · m / (√(v/bias₂) + eps).
pub fn adamw_step(config: &AdamW, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    same_len("adamw_step p, g, m, v", &[p.len(), g.len(), m.len(), v.len()]);
    let factors = Factors::new(config);
    let (p, m, v) = (Shared::new(p), Shared::new(m), Shared::new(v));
    pool::run_ranges(g.len(), GRAIN, |at| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let (p, m, v) = unsafe { (p.slice(at.clone()), m.slice(at.clone()), v.slice(at.clone())) };
        step(&factors, Some(&g[at]), p, m, v);
    });
}

/// [`adamw_step`] of a (vocab, dim) table whose gradient is zero outside the rows `ids` (ascending, unique);
/// `rows` holds their gradients. The result is that of the dense step, bit for bit.
pub fn adamw_step_rows(
    config: &AdamW,
    dim: usize,
    p: &mut [f32],
    ids: &[i64],
    rows: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    let vocab = rows_of("adamw_step_rows p", p.len(), dim);
    same_len("adamw_step_rows p, m, v", &[p.len(), m.len(), v.len()]);
    same_len("adamw_step_rows ids·dim, rows", &[volume("ids·dim", &[ids.len(), dim]), rows.len()]);
    ids_ascend("adamw_step_rows", ids, vocab);
    let factors = Factors::new(config);
    let (p, m, v) = (Shared::new(p), Shared::new(m), Shared::new(v));
    pool::run_ranges(vocab, GRAIN.div_ceil(dim), |range| {
        let part = |from: usize, to: usize| {
            let at = from * dim..to * dim;
            // SAFETY: `run_ranges` hands out disjoint ranges, and parts of one range follow each other.
            unsafe { (p.slice(at.clone()), m.slice(at.clone()), v.slice(at)) }
        };
        let mut done = range.start;
        let first = ids.partition_point(|&id| (id as usize) < range.start);
        for (i, &id) in (first..).zip(&ids[first..]) {
            let id = id as usize;
            if id >= range.end {
                break;
            }
            let (p, m, v) = part(done, id);
            step(&factors, None, p, m, v);
            let (p, m, v) = part(id, id + 1);
            step(&factors, Some(&rows[i * dim..(i + 1) * dim]), p, m, v);
            done = id + 1;
        }
        let (p, m, v) = part(done, range.end);
        step(&factors, None, p, m, v);
    });
}

/// What a step multiplies and adds, from its settings in double precision.
struct Factors {
    decay: f32,
    momentum: f32,
    variance: f32,
    /// 1 / √bias₂.
    root: f32,
    eps: f32,
    /// −lr / bias₁.
    rate: f32,
}

impl Factors {
    fn new(config: &AdamW) -> Self {
        let bias = |beta: f64| 1.0 - beta.powf(config.step as f64);
        Factors {
            decay: (1.0 - config.lr * config.weight_decay) as f32,
            momentum: (1.0 - config.beta1) as f32,
            variance: (1.0 - config.beta2) as f32,
            root: (1.0 / bias(config.beta2).sqrt()) as f32,
            eps: config.eps as f32,
            rate: (-config.lr / bias(config.beta1)) as f32,
        }
    }
}

kernel! { fn step(factors: &Factors, g: Option<&[f32]>, p: &mut [f32], m: &mut [f32], v: &mut [f32]) = step_body }

#[inline(always)]
fn step_body<S: Simd>(
    s: S,
    factors: &Factors,
    g: Option<&[f32]>,
    p: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    let (decay, rate) = (s.splat(factors.decay), s.splat(factors.rate));
    let (momentum, variance) = (s.splat(factors.momentum), s.splat(factors.variance));
    let (root, eps) = (s.splat(factors.root), s.splat(factors.eps));
    let mut i = 0;
    while i < p.len() {
        let gradient = g.map_or(s.splat(0.0), |g| s.load_at(g, i));
        let old = s.load_at(m, i);
        let first = s.mul_add(momentum, s.sub(gradient, old), old);
        let old = s.load_at(v, i);
        let second = s.mul_add(variance, s.sub(s.mul(gradient, gradient), old), old);
        let first = s.select(s.less(s.abs(first), s.splat(TINY)), s.splat(0.0), first);
        let second = s.select(s.less(second, s.splat(TINY_SQUARE)), s.splat(0.0), second);
        s.store_at(m, i, first);
        s.store_at(v, i, second);
        let denominator = s.mul_add(s.sqrt(second), root, eps);
        let update = s.mul(rate, s.div(first, denominator));
        s.store_at(p, i, s.mul_add(s.load_at(p, i), decay, update));
        i += S::LANES;
    }
}
