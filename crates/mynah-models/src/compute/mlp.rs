//! Feed-forward parts.

use mynah_kernels::{nn, pool};

use crate::compute::fit;
use crate::compute::linear::Linear;
use crate::config::{Activation, Mlp};
use crate::step::{Scratch, Step};

/// The weights of a feed-forward part.
#[derive(Debug)]
pub(crate) struct MlpWeights {
    pub config: Mlp,
    /// Gate and up in one matrix, in this order; without a gate just up.
    pub input: Linear,
    pub output: Linear,
}

impl MlpWeights {
    /// out = mlp(x).
    pub(crate) fn forward(&self, step: &Step<'_>, x: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let Scratch { a: hidden, b: activated, multiply, .. } = scratch;
        step.linear(&self.input, x, hidden, multiply);
        activate(&self.config, hidden, activated);
        step.linear(&self.output, activated, out, multiply);
    }
}

/// The nonlinearity, with the gate if there is one: rows of `hidden` or twice `hidden` values to rows of `hidden`.
pub(crate) fn activate(config: &Mlp, input: &mut [f32], output: &mut Vec<f32>) {
    let width = config.hidden;
    if !config.gated {
        fit(output, input.len());
        plain(config.activation, input, output);
        return;
    }
    fit(output, input.len() / 2);
    let input = &*input;
    // Rows in tasks of some tens of thousands of values.
    let rows = (1usize << 15).div_ceil(width);
    pool::run_chunks_mut(output, rows * width, |task, output| {
        let input = &input[task * rows * 2 * width..];
        for (row, output) in output.chunks_exact_mut(width).enumerate() {
            let (gate, up) = input[row * 2 * width..][..2 * width].split_at(width);
            if let Activation::ClampedSwiglu { alpha, limit } = config.activation {
                for ((out, g), u) in output.iter_mut().zip(gate).zip(up) {
                    let (g, u) = (g.min(limit), u.clamp(-limit, limit));
                    *out = g / (1.0 + (-alpha * g).exp()) * (u + 1.0);
                }
                continue;
            }
            plain(config.activation, gate, output);
            output.iter_mut().zip(up).for_each(|(out, u)| *out *= u);
        }
    });
}

fn plain(activation: Activation, x: &[f32], y: &mut [f32]) {
    match activation {
        Activation::Silu => nn::silu(x, y),
        Activation::GeluTanh => nn::gelu(x, y),
        Activation::ReluSquare => nn::relu_square_forward(x, y),
        Activation::Relu => y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0)),
        Activation::Gelu => y.iter_mut().zip(x).for_each(|(y, x)| *y = gelu(*x)),
        Activation::ClampedSwiglu { .. } => unreachable!("the configuration was checked to have a gate"),
    }
}

/// x·Φ(x), Φ from the complementary error function.
pub(crate) fn gelu(x: f32) -> f32 {
    (f64::from(x) * 0.5 * erfc(-f64::from(x) / std::f64::consts::SQRT_2)) as f32
}

/// 2/√π · ∫ₓ^∞ exp(−t²) dt: the series around 0, the continued fraction beyond (Abramowitz and Stegun,
/// 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    let z = x.abs();
    let square = (-z * z).exp();
    let tail = if z < 2.5 {
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        1.0 - 2.0 / std::f64::consts::PI.sqrt() * square * sum
    } else {
        let fraction = (1..=40).rev().fold(z, |rest, k| z + f64::from(k) / 2.0 / rest);
        square / fraction / std::f64::consts::PI.sqrt()
    };
    if x < 0.0 { 2.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_at_known_points() {
        // Abramowitz and Stegun, table 7.1, and DLMF 7.
        let known = [(0.0, 1.0), (0.5, 0.479_500_122_186_953_5), (1.0, 0.157_299_207_050_285_13)];
        for (x, expected) in known {
            assert!((erfc(x) - expected).abs() < 1e-14, "{x}");
            assert!((erfc(-x) - (2.0 - expected)).abs() < 1e-14, "-{x}");
        }
        assert!((erfc(3.0) - 2.209_049_699_858_544e-5).abs() < 1e-18);
        assert!((erfc(2.5) - 4.069_520_174_449_589e-4).abs() < 1e-16);
        assert_eq!(gelu(0.0), 0.0);
    }
}
