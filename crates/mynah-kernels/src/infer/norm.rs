//! RMS norm with its gain, and with the addition that comes before it.

use super::GRAIN;
use crate::nn::check::{rows_of, same_len};
use crate::nn::math::dot;
use crate::nn::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// y = gain · x / √(mean(x²) + eps) for each row of `width` values; without a gain just the norm.
///
/// # Panics
/// If lengths do not belong together.
pub fn rms_norm_rows(x: &[f32], width: usize, eps: f32, gain: Option<&[f32]>, y: &mut [f32]) {
    let rows = check("rms_norm_rows", x.len(), width, gain, y.len());
    let y = Shared::new(y);
    pool::run_ranges(rows, GRAIN.div_ceil(width), |rows| {
        let values = rows.start * width..rows.end * width;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let y = unsafe { y.slice(values.clone()) };
        normalise(&x[values], width, eps, gain, y);
    });
}

/// x += delta, then y = gain · x / √(mean(x²) + eps): the end of one residual block and the beginning of the next.
///
/// # Panics
/// If lengths do not belong together.
pub fn add_rms_norm_rows(
    x: &mut [f32],
    delta: &[f32],
    width: usize,
    eps: f32,
    gain: Option<&[f32]>,
    y: &mut [f32],
) {
    let rows = check("add_rms_norm_rows", x.len(), width, gain, y.len());
    same_len("add_rms_norm_rows x, delta", &[x.len(), delta.len()]);
    let (x, y) = (Shared::new(x), Shared::new(y));
    pool::run_ranges(rows, GRAIN.div_ceil(width), |rows| {
        let values = rows.start * width..rows.end * width;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let (x, y) = unsafe { (x.slice(values.clone()), y.slice(values.clone())) };
        add(x, &delta[values]);
        normalise(x, width, eps, gain, y);
    });
}

#[track_caller]
fn check(what: &str, x: usize, width: usize, gain: Option<&[f32]>, y: usize) -> usize {
    same_len(&format!("{what} x, y"), &[x, y]);
    if let Some(gain) = gain {
        same_len(&format!("{what} width, gain"), &[width, gain.len()]);
    }
    rows_of(what, x, width)
}

kernel! { fn add(x: &mut [f32], delta: &[f32]) = add_body }

#[inline(always)]
fn add_body<S: Simd>(s: S, x: &mut [f32], delta: &[f32]) {
    for i in (0..x.len()).step_by(S::LANES) {
        s.store_at(x, i, s.add(s.load_at(x, i), s.load_at(delta, i)));
    }
}

kernel! { fn normalise(x: &[f32], width: usize, eps: f32, gain: Option<&[f32]>, y: &mut [f32]) = normalise_body }

#[inline(always)]
fn normalise_body<S: Simd>(s: S, x: &[f32], width: usize, eps: f32, gain: Option<&[f32]>, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let factor = s.splat(1.0 / (dot(s, x, x) / width as f32 + eps).sqrt());
        for i in (0..width).step_by(S::LANES) {
            let normed = s.mul(s.load_at(x, i), factor);
            s.store_at(y, i, gain.map_or(normed, |gain| s.mul(normed, s.load_at(gain, i))));
        }
    }
}
