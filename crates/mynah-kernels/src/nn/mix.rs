//! Sums with gates and factors: value embeddings, smear, residual mixing.

use super::check::{rows_of, same_len};
use super::math::dot;
use super::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// Values that one task takes at least.
const GRAIN: usize = 16 * 1024;

/// y = v + gate·ve, with one gate per group of `dim` values (a head).
pub fn gated_add_forward(v: &[f32], gate: &[f32], ve: &[f32], dim: usize, y: &mut [f32]) {
    let groups = rows_of("gated_add_forward", v.len(), dim);
    same_len("gated_add_forward v, ve, y", &[v.len(), ve.len(), y.len()]);
    same_len("gated_add_forward groups, gate", &[groups, gate.len()]);
    let y = Shared::new(y);
    pool::run_ranges(groups, GRAIN.div_ceil(dim), |groups| {
        let at = groups.start * dim..groups.end * dim;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let y = unsafe { y.slice(at.clone()) };
        gated(&v[at.clone()], &gate[groups], &ve[at], dim, y);
    });
}

kernel! { fn gated(v: &[f32], gate: &[f32], ve: &[f32], dim: usize, y: &mut [f32]) = gated_body }

#[inline(always)]
fn gated_body<S: Simd>(s: S, v: &[f32], gate: &[f32], ve: &[f32], dim: usize, y: &mut [f32]) {
    let groups = v.chunks_exact(dim).zip(ve.chunks_exact(dim)).zip(y.chunks_exact_mut(dim));
    for (((v, ve), y), &gate) in groups.zip(gate) {
        add_scaled(s, v, gate, ve, y);
    }
}

/// y = x + factor·z.
#[inline(always)]
fn add_scaled<S: Simd>(s: S, x: &[f32], factor: f32, z: &[f32], y: &mut [f32]) {
    let factor = s.splat(factor);
    let mut i = 0;
    while i < x.len() {
        s.store_at(y, i, s.mul_add(factor, s.load_at(z, i), s.load_at(x, i)));
        i += S::LANES;
    }
}

/// dgate = Σ dy·ve and dve = gate·dy; the gradient of `v` is `dy` itself.
pub fn gated_add_backward(
    gate: &[f32],
    ve: &[f32],
    dy: &[f32],
    dim: usize,
    dgate: &mut [f32],
    dve: &mut [f32],
) {
    let groups = rows_of("gated_add_backward", dy.len(), dim);
    same_len("gated_add_backward ve, dy, dve", &[ve.len(), dy.len(), dve.len()]);
    same_len("gated_add_backward groups, gate, dgate", &[groups, gate.len(), dgate.len()]);
    let (dgate, dve) = (Shared::new(dgate), Shared::new(dve));
    pool::run_ranges(groups, GRAIN.div_ceil(dim), |groups| {
        let at = groups.start * dim..groups.end * dim;
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let (dgate, dve) = unsafe { (dgate.slice(groups.clone()), dve.slice(at.clone())) };
        gated_backward(&gate[groups], &ve[at.clone()], &dy[at], dim, dgate, dve);
    });
}

kernel! {
    fn gated_backward(
        gate: &[f32],
        ve: &[f32],
        dy: &[f32],
        dim: usize,
        dgate: &mut [f32],
        dve: &mut [f32],
    ) = gated_backward_body
}

#[inline(always)]
fn gated_backward_body<S: Simd>(
    s: S,
    gate: &[f32],
    ve: &[f32],
    dy: &[f32],
    dim: usize,
    dgate: &mut [f32],
    dve: &mut [f32],
) {
    let groups = ve.chunks_exact(dim).zip(dy.chunks_exact(dim)).zip(dve.chunks_exact_mut(dim));
    for (((ve, dy), dve), (&gate, dgate)) in groups.zip(gate.iter().zip(dgate)) {
        let gate = s.splat(gate);
        let mut sum = s.splat(0.0);
        let mut i = 0;
        while i < dim {
            let d = s.load_at(dy, i);
            sum = s.mul_add(d, s.load_at(ve, i), sum);
            s.store_at(dve, i, s.mul(gate, d));
            i += S::LANES;
        }
        *dgate = s.sum(sum);
    }
}

/// y[b,t] = x[b,t] + gate[b,t]·x[b,t−1]; position 0 is copied and its gate ignored. Shapes: x, y (B, T, dim),
/// gate (B, T).
pub fn shift_gated_add_forward(x: &[f32], gate: &[f32], tokens: usize, dim: usize, y: &mut [f32]) {
    let rows = rows_of("shift_gated_add_forward", x.len(), dim);
    rows_of("shift_gated_add_forward tokens", rows, tokens);
    same_len("shift_gated_add_forward x, y", &[x.len(), y.len()]);
    same_len("shift_gated_add_forward rows, gate", &[rows, gate.len()]);
    let y = Shared::new(y);
    pool::run_ranges(rows, GRAIN.div_ceil(dim), |rows| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let y = unsafe { y.slice(rows.start * dim..rows.end * dim) };
        shifted(x, gate, tokens, dim, rows.start, y);
    });
}

kernel! {
    fn shifted(x: &[f32], gate: &[f32], tokens: usize, dim: usize, first: usize, y: &mut [f32]) = shifted_body
}

#[inline(always)]
fn shifted_body<S: Simd>(
    s: S,
    x: &[f32],
    gate: &[f32],
    tokens: usize,
    dim: usize,
    first: usize,
    y: &mut [f32],
) {
    for (row, y) in (first..).zip(y.chunks_exact_mut(dim)) {
        let now = &x[row * dim..][..dim];
        if row % tokens == 0 {
            y.copy_from_slice(now);
        } else {
            add_scaled(s, now, gate[row], &x[(row - 1) * dim..][..dim], y);
        }
    }
}

/// dx[t] = dy[t] + gate[t+1]·dy[t+1] and dgate[t] = Σ dy[t]·x[t−1] (zero at position 0).
pub fn shift_gated_add_backward(
    x: &[f32],
    gate: &[f32],
    dy: &[f32],
    tokens: usize,
    dim: usize,
    dx: &mut [f32],
    dgate: &mut [f32],
) {
    let rows = rows_of("shift_gated_add_backward", x.len(), dim);
    rows_of("shift_gated_add_backward tokens", rows, tokens);
    same_len("shift_gated_add_backward x, dy, dx", &[x.len(), dy.len(), dx.len()]);
    same_len("shift_gated_add_backward rows, gate, dgate", &[rows, gate.len(), dgate.len()]);
    let (dx, dgate) = (Shared::new(dx), Shared::new(dgate));
    pool::run_ranges(rows, GRAIN.div_ceil(dim), |rows| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let (dx, dgate) = unsafe { (dx.slice(rows.start * dim..rows.end * dim), dgate.slice(rows.clone())) };
        shifted_backward(x, gate, dy, tokens, dim, rows.start, dx, dgate);
    });
}

kernel! {
    fn shifted_backward(
        x: &[f32],
        gate: &[f32],
        dy: &[f32],
        tokens: usize,
        dim: usize,
        first: usize,
        dx: &mut [f32],
        dgate: &mut [f32],
    ) = shifted_backward_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn shifted_backward_body<S: Simd>(
    s: S,
    x: &[f32],
    gate: &[f32],
    dy: &[f32],
    tokens: usize,
    dim: usize,
    first: usize,
    dx: &mut [f32],
    dgate: &mut [f32],
) {
    for ((row, dx), dgate) in (first..).zip(dx.chunks_exact_mut(dim)).zip(dgate) {
        let now = &dy[row * dim..][..dim];
        if (row + 1) % tokens == 0 {
            dx.copy_from_slice(now);
        } else {
            add_scaled(s, now, gate[row + 1], &dy[(row + 1) * dim..][..dim], dx);
        }
        *dgate = if row % tokens == 0 { 0.0 } else { dot(s, now, &x[(row - 1) * dim..][..dim]) };
    }
}

/// y = a·x + b·z.
pub fn scaled_sum_forward(a: f32, x: &[f32], b: f32, z: &[f32], y: &mut [f32]) {
    same_len("scaled_sum_forward x, z, y", &[x.len(), z.len(), y.len()]);
    let y = Shared::new(y);
    pool::run_ranges(x.len(), GRAIN, |at| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let y = unsafe { y.slice(at.clone()) };
        scaled(a, &x[at.clone()], b, &z[at], y);
    });
}

kernel! { fn scaled(a: f32, x: &[f32], b: f32, z: &[f32], y: &mut [f32]) = scaled_body }

#[inline(always)]
fn scaled_body<S: Simd>(s: S, a: f32, x: &[f32], b: f32, z: &[f32], y: &mut [f32]) {
    let (a, b) = (s.splat(a), s.splat(b));
    let mut i = 0;
    while i < x.len() {
        s.store_at(y, i, s.mul_add(a, s.load_at(x, i), s.mul(b, s.load_at(z, i))));
        i += S::LANES;
    }
}

/// dx = a·dy, dz = b·dy; returns (da, db) = (Σ dy·x, Σ dy·z).
pub fn scaled_sum_backward(
    a: f32,
    x: &[f32],
    b: f32,
    z: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dz: &mut [f32],
) -> (f32, f32) {
    same_len("scaled_sum_backward", &[x.len(), z.len(), dy.len(), dx.len(), dz.len()]);
    let (dx, dz) = (Shared::new(dx), Shared::new(dz));
    // Chunks of a fixed size, summed in order: the same sum whatever the number of threads.
    let sums = pool::run_map(x.len().div_ceil(GRAIN), |chunk| {
        let at = chunk * GRAIN..((chunk + 1) * GRAIN).min(x.len());
        // SAFETY: chunks do not overlap, and each is used once.
        let (dx, dz) = unsafe { (dx.slice(at.clone()), dz.slice(at.clone())) };
        scaled_backward(a, &x[at.clone()], b, &z[at.clone()], &dy[at], dx, dz)
    });
    let total = sums.iter().fold((0.0, 0.0), |(da, db), &(a, b)| (da + f64::from(a), db + f64::from(b)));
    (total.0 as f32, total.1 as f32)
}

kernel! {
    fn scaled_backward(
        a: f32,
        x: &[f32],
        b: f32,
        z: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dz: &mut [f32],
    ) -> (f32, f32) = scaled_backward_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn scaled_backward_body<S: Simd>(
    s: S,
    a: f32,
    x: &[f32],
    b: f32,
    z: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dz: &mut [f32],
) -> (f32, f32) {
    let (a, b) = (s.splat(a), s.splat(b));
    let (mut da, mut db) = (s.splat(0.0), s.splat(0.0));
    let mut i = 0;
    while i < x.len() {
        let d = s.load_at(dy, i);
        da = s.mul_add(d, s.load_at(x, i), da);
        db = s.mul_add(d, s.load_at(z, i), db);
        s.store_at(dx, i, s.mul(a, d));
        s.store_at(dz, i, s.mul(b, d));
        i += S::LANES;
    }
    (s.sum(da), s.sum(db))
}
