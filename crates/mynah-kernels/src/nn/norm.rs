//! RMS norm, and rotary embedding with QK-norm in one pass.

use super::check::{rows_of, same_len};
use super::math::dot;
use super::simd::{Simd, kernel};
use super::types::RopeNorm;
use crate::pool::{self, Shared};

/// Values that one task takes at least.
const GRAIN: usize = 16 * 1024;

/// y = x / √(mean(x²) + eps) for each row of `dim`; `inv_rms` gets one factor a row for the gradient.
pub fn rms_norm_forward(x: &[f32], dim: usize, eps: f32, y: &mut [f32], inv_rms: &mut [f32]) {
    let rows = rows_of("rms_norm_forward", x.len(), dim);
    same_len("rms_norm_forward x, y", &[x.len(), y.len()]);
    same_len("rms_norm_forward rows, inv_rms", &[rows, inv_rms.len()]);
    let (y, inv_rms) = (Shared::new(y), Shared::new(inv_rms));
    pool::run_ranges(rows, GRAIN.div_ceil(dim), |rows| {
        let values = rows.start * dim..rows.end * dim;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let (y, inv_rms) = unsafe { (y.slice(values.clone()), inv_rms.slice(rows)) };
        forward(&x[values], dim, eps, y, inv_rms);
    });
}

kernel! { fn forward(x: &[f32], dim: usize, eps: f32, y: &mut [f32], inv_rms: &mut [f32]) = forward_body }

#[inline(always)]
fn forward_body<S: Simd>(s: S, x: &[f32], dim: usize, eps: f32, y: &mut [f32], inv_rms: &mut [f32]) {
    for ((x, y), inv) in x.chunks_exact(dim).zip(y.chunks_exact_mut(dim)).zip(inv_rms) {
        *inv = 1.0 / (dot(s, x, x) / dim as f32 + eps).sqrt();
        scale(s, x, *inv, y);
    }
}

/// dx = inv · (dy − y · mean(dy · y)), from the saved output and factors; `accumulate` adds to `dx`.
pub fn rms_norm_backward(
    y: &[f32],
    inv_rms: &[f32],
    dy: &[f32],
    dim: usize,
    dx: &mut [f32],
    accumulate: bool,
) {
    let rows = rows_of("rms_norm_backward", y.len(), dim);
    same_len("rms_norm_backward y, dy, dx", &[y.len(), dy.len(), dx.len()]);
    same_len("rms_norm_backward rows, inv_rms", &[rows, inv_rms.len()]);
    let dx = Shared::new(dx);
    pool::run_ranges(rows, GRAIN.div_ceil(dim), |rows| {
        let values = rows.start * dim..rows.end * dim;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let dx = unsafe { dx.slice(values.clone()) };
        backward(&y[values.clone()], &inv_rms[rows], &dy[values], dim, dx, accumulate);
    });
}

kernel! {
    fn backward(y: &[f32], inv_rms: &[f32], dy: &[f32], dim: usize, dx: &mut [f32], accumulate: bool) =
        backward_body
}

#[inline(always)]
fn backward_body<S: Simd>(
    s: S,
    y: &[f32],
    inv_rms: &[f32],
    dy: &[f32],
    dim: usize,
    dx: &mut [f32],
    accumulate: bool,
) {
    let rows = y.chunks_exact(dim).zip(dy.chunks_exact(dim)).zip(dx.chunks_exact_mut(dim));
    for (((y, dy), dx), &inv) in rows.zip(inv_rms) {
        let mean = s.splat(dot(s, y, dy) / dim as f32);
        let inv = s.splat(inv);
        let mut i = 0;
        while i < dim {
            let inner = s.neg_mul_add(s.load_at(y, i), mean, s.load_at(dy, i));
            let base = if accumulate { s.load_at(dx, i) } else { s.splat(0.0) };
            s.store_at(dx, i, s.mul_add(inner, inv, base));
            i += S::LANES;
        }
    }
}

#[inline(always)]
fn scale<S: Simd>(s: S, x: &[f32], factor: f32, y: &mut [f32]) {
    let factor = s.splat(factor);
    let mut i = 0;
    while i < x.len() {
        s.store_at(y, i, s.mul(s.load_at(x, i), factor));
        i += S::LANES;
    }
}

/// Rotation, then RMS norm over the head, then scale, reading rows `x_row_stride` apart: see [`RopeNorm`].
/// `y` is (rows, H, D); `inv_rms` is (rows, H) and used only with the norm on.
pub fn rope_norm_forward(
    config: &RopeNorm<'_, f32>,
    x: &[f32],
    x_row_stride: usize,
    y: &mut [f32],
    inv_rms: &mut [f32],
) {
    let rows = config.check_forward(x.len(), x_row_stride, y.len(), inv_rms.len());
    let width = config.heads * config.head_dim;
    let inv_len = if config.norm_eps.is_some() { config.heads } else { 0 };
    let (y, inv_rms) = (Shared::new(y), Shared::new(inv_rms));
    pool::run_ranges(rows, GRAIN.div_ceil(width.max(1)), |rows| {
        for row in rows {
            // SAFETY: each row is in one range only.
            let (y, inv_rms) = unsafe {
                (y.slice(row * width..(row + 1) * width), inv_rms.slice(row * inv_len..(row + 1) * inv_len))
            };
            rope_row(config, row, &x[row * x_row_stride..][..width], y, inv_rms);
        }
    });
}

kernel! {
    fn rope_row(config: &RopeNorm<'_, f32>, row: usize, x: &[f32], y: &mut [f32], inv_rms: &mut [f32]) =
        rope_row_body
}

#[inline(always)]
fn rope_row_body<S: Simd>(
    s: S,
    config: &RopeNorm<'_, f32>,
    row: usize,
    x: &[f32],
    y: &mut [f32],
    inv_rms: &mut [f32],
) {
    let dim = config.head_dim;
    let rotation = config.rotation(row);
    for (head, (x, y)) in x.chunks_exact(dim).zip(y.chunks_exact_mut(dim)).enumerate() {
        // A rotation does not change the norm, so both happen in one pass over the head.
        let mut factor = config.scale;
        if let Some(eps) = config.norm_eps {
            let inv = 1.0 / (dot(s, x, x) / dim as f32 + eps).sqrt();
            inv_rms[head] = inv;
            factor *= inv;
        }
        let Some((cos, sin)) = rotation else {
            scale(s, x, factor, y);
            continue;
        };
        rotate(s, x, cos, sin, factor, y);
    }
}

/// y₁ = (x₁·c + x₂·s)·f, y₂ = (x₂·c − x₁·s)·f on the halves of a head.
#[inline(always)]
fn rotate<S: Simd>(s: S, x: &[f32], cos: &[f32], sin: &[f32], factor: f32, y: &mut [f32]) {
    let half = x.len() / 2;
    let (x1, x2) = x.split_at(half);
    let (y1, y2) = y.split_at_mut(half);
    let factor = s.splat(factor);
    let mut i = 0;
    while i < half {
        let c = s.mul(s.load_at(cos, i), factor);
        let n = s.mul(s.load_at(sin, i), factor);
        let (a, b) = (s.load_at(x1, i), s.load_at(x2, i));
        s.store_at(y1, i, s.mul_add(a, c, s.mul(b, n)));
        s.store_at(y2, i, s.neg_mul_add(a, n, s.mul(b, c)));
        i += S::LANES;
    }
}

/// Gradient of [`rope_norm_forward`] from its output `y` (y and `inv_rms` are read only with the norm on);
/// writes `dx` in rows `dx_row_stride` apart.
pub fn rope_norm_backward(
    config: &RopeNorm<'_, f32>,
    y: &[f32],
    inv_rms: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dx_row_stride: usize,
) {
    let rows = config.check_backward(y.len(), inv_rms.len(), dy.len(), dx.len(), dx_row_stride);
    let width = config.heads * config.head_dim;
    let dx = Shared::new(dx);
    pool::run_ranges(rows, GRAIN.div_ceil(width.max(1)), |rows| {
        for row in rows {
            // SAFETY: each row is in one range only, and rows do not overlap.
            let dx = unsafe { dx.slice(row * dx_row_stride..row * dx_row_stride + width) };
            let at = row * width..(row + 1) * width;
            if config.norm_eps.is_some() {
                let inv_rms = &inv_rms[row * config.heads..(row + 1) * config.heads];
                rope_row_backward(config, row, &y[at.clone()], inv_rms, &dy[at], dx);
            } else {
                rope_row_backward(config, row, &[], &[], &dy[at], dx);
            }
        }
    });
}

kernel! {
    fn rope_row_backward(
        config: &RopeNorm<'_, f32>,
        row: usize,
        y: &[f32],
        inv_rms: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) = rope_row_backward_body
}

#[inline(always)]
fn rope_row_backward_body<S: Simd>(
    s: S,
    config: &RopeNorm<'_, f32>,
    row: usize,
    y: &[f32],
    inv_rms: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let dim = config.head_dim;
    let rotation = config.rotation(row);
    for (head, (dy, dx)) in dy.chunks_exact(dim).zip(dx.chunks_exact_mut(dim)).enumerate() {
        // Before the rotation is undone: inv·(s·dy − (y/s)·mean(dy·y)) = factor·(dy − mean·y).
        let (mut factor, mut mean) = (config.scale, 0.0);
        let mut y_head = dy;
        if config.norm_eps.is_some() {
            y_head = &y[head * dim..][..dim];
            mean = dot(s, y_head, dy) / dim as f32 / (config.scale * config.scale);
            factor *= inv_rms[head];
        }
        let (factor, mean) = (s.splat(factor), s.splat(mean));
        let half = if rotation.is_some() { dim / 2 } else { dim };
        let (dy1, dy2) = dy.split_at(half);
        let (y1, y2) = y_head.split_at(half);
        let (dx1, dx2) = dx.split_at_mut(half);
        let mut i = 0;
        while i < half {
            let a = s.mul(factor, s.neg_mul_add(mean, s.load_at(y1, i), s.load_at(dy1, i)));
            if let Some((cos, sin)) = rotation {
                let b = s.mul(factor, s.neg_mul_add(mean, s.load_at(y2, i), s.load_at(dy2, i)));
                let (c, n) = (s.load_at(cos, i), s.load_at(sin, i));
                s.store_at(dx1, i, s.neg_mul_add(b, n, s.mul(a, c)));
                s.store_at(dx2, i, s.mul_add(a, n, s.mul(b, c)));
            } else {
                s.store_at(dx1, i, a);
            }
            i += S::LANES;
        }
    }
}
