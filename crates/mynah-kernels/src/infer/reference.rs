//! The readable twins, in f64.

use super::activation::Gate;
use super::rope::{Pairs, Turn};

/// [`rms_norm_rows`](super::rms_norm_rows).
pub fn rms_norm_rows(x: &[f64], width: usize, eps: f64, gain: Option<&[f32]>) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
        let gain = |i: usize| gain.map_or(1.0, |gain| f64::from(gain[i]));
        x.iter().enumerate().map(|(i, x)| gain(i) * x / (mean + eps).sqrt()).collect()
    };
    x.chunks_exact(width).flat_map(row).collect()
}

/// [`rope_rows`](super::rope_rows) of one head of row `row`.
pub fn rope_head(turn: &Turn<'_>, row: usize, head: &[f64]) -> Vec<f64> {
    let mut out = head.to_vec();
    for i in 0..turn.half {
        let (a, b) = match turn.pairs {
            Pairs::Halves => (i, i + turn.half),
            Pairs::Neighbours => (2 * i, 2 * i + 1),
        };
        let (cos, sin) = (f64::from(turn.cos[row * turn.half + i]), f64::from(turn.sin[row * turn.half + i]));
        out[a] = head[a] * cos - head[b] * sin;
        out[b] = head[b] * cos + head[a] * sin;
    }
    out
}

/// One value of [`gate_rows`](super::gate_rows).
pub fn gate(gate: Gate, g: f64, u: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match gate {
        Gate::Silu => g * sigmoid(g) * u,
        Gate::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g * g * g);
            0.5 * g * (1.0 + inner.tanh()) * u
        }
        Gate::Relu => g.max(0.0) * u,
        Gate::Clamped { alpha, limit } => {
            let (alpha, limit) = (f64::from(alpha), f64::from(limit));
            let (g, u) = (g.min(limit), u.clamp(-limit, limit));
            g * sigmoid(alpha * g) * (u + 1.0)
        }
    }
}

/// [`top_k`](super::top_k) by sorting everything; for values without NaN.
pub fn top_k(x: &[f32], k: usize) -> Vec<u32> {
    let mut places: Vec<u32> = (0..x.len() as u32).collect();
    places.sort_by(|&a, &b| x[b as usize].partial_cmp(&x[a as usize]).expect("no NaN"));
    places.truncate(k);
    places
}
