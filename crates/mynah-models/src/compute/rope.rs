//! Rotary position embeddings.

use crate::compute::fit;
use crate::config::{Pairs, Rope};

/// Cosines and sines of one rotation for the rows of a step, (rows, dims/2) each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Angles {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Angles {
    /// Computes them for the rows at these positions.
    pub(crate) fn compute(&mut self, rope: &Rope, positions: &[usize]) {
        let half = rope.frequencies.len();
        fit(&mut self.cos, positions.len() * half);
        fit(&mut self.sin, positions.len() * half);
        let rows = self.cos.chunks_exact_mut(half).zip(self.sin.chunks_exact_mut(half));
        for ((cos, sin), &position) in rows.zip(positions) {
            for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(&rope.frequencies) {
                // In f32 as the original implementations have it.
                let (s, c) = (position as f32 * frequency).sin_cos();
                (*cos, *sin) = (c * rope.magnitude, s * rope.magnitude);
            }
        }
    }

    /// Turns the heads of one row: `heads` holds whole heads of `head_dim` channels.
    pub(crate) fn turn(&self, rope: &Rope, row: usize, head_dim: usize, heads: &mut [f32]) {
        let half = rope.frequencies.len();
        let (cos, sin) = (&self.cos[row * half..][..half], &self.sin[row * half..][..half]);
        for head in heads.chunks_exact_mut(head_dim) {
            match rope.pairs {
                Pairs::Halves => {
                    let (first, second) = head[..2 * half].split_at_mut(half);
                    for (((a, b), c), s) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                    }
                }
                Pairs::Neighbours => {
                    for ((pair, c), s) in head[..2 * half].as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin)
                    {
                        let [a, b] = *pair;
                        *pair = [a * c - b * s, b * c + a * s];
                    }
                }
            }
        }
    }
}
