//! The gated unit of a feed-forward part (Shazeer 2020, arXiv 2002.05202).

use super::GRAIN;
use crate::nn::check::rows_of;
use crate::nn::math;
use crate::nn::simd::{Simd, kernel};
use crate::pool::{self, Shared};

/// What is applied to the gate, before it is multiplied with the other half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// g · sigmoid(g): SwiGLU.
    Silu,
    /// GELU in its tanh form: GeGLU.
    GeluTanh,
    /// max(g, 0): ReGLU.
    Relu,
    /// g · sigmoid(alpha · g) of g cut at limit, times (u + 1) of u cut to ± limit: GPT-OSS.
    Clamped {
        /// Factor inside the sigmoid.
        alpha: f32,
        /// The greatest gate, and the greatest magnitude of the other half.
        limit: f32,
    },
}

/// out = gate(g) · u for rows of x that hold g, then u, of `width` values each: rows of 2 · width to rows of width.
///
/// # Panics
/// If lengths do not belong together.
pub fn gate_rows(gate: Gate, x: &[f32], width: usize, out: &mut [f32]) {
    let rows = rows_of("gate_rows out", out.len(), width);
    assert_eq!(x.len(), 2 * out.len(), "gate_rows: {rows} rows of 2·{width}");
    let out = Shared::new(out);
    pool::run_ranges(rows, GRAIN.div_ceil(width), |rows| {
        for row in rows {
            let (g, u) = x[2 * row * width..][..2 * width].split_at(width);
            // SAFETY: each row is in one range only.
            gate_row(gate, g, u, unsafe { out.slice(row * width..(row + 1) * width) });
        }
    });
}

kernel! { fn gate_row(gate: Gate, g: &[f32], u: &[f32], out: &mut [f32]) = gate_row_body }

#[inline(always)]
fn gate_row_body<S: Simd>(s: S, gate: Gate, g: &[f32], u: &[f32], out: &mut [f32]) {
    macro_rules! each {
        (|$g:ident, $u:ident| $value:expr) => {
            for i in (0..out.len()).step_by(S::LANES) {
                let ($g, $u) = (s.load_at(g, i), s.load_at(u, i));
                s.store_at(out, i, $value);
            }
        };
    }
    match gate {
        Gate::Silu => each!(|g, u| s.mul(s.mul(g, math::sigmoid(s, g)), u)),
        Gate::GeluTanh => {
            each!(|g, u| s.mul(s.mul(g, math::sigmoid(s, math::gelu_inner_twice(s, g))), u))
        }
        Gate::Relu => each!(|g, u| s.mul(s.max(s.splat(0.0), g), u)),
        Gate::Clamped { alpha, limit } => each!(|g, u| {
            // The constant goes first so that a NaN survives.
            let g = s.min(s.splat(limit), g);
            let u = s.min(s.splat(limit), s.max(s.splat(-limit), u));
            let open = math::sigmoid(s, s.mul(s.splat(alpha), g));
            s.mul(s.mul(g, open), s.add(u, s.splat(1.0)))
        }),
    }
}
