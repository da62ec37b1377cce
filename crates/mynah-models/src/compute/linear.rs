//! Linear layers.
//!
//! A row's result does not depend on how many rows there are, to the bit: that is a promise of
//! [`Matrix::matmul`]. So a sequence computes the same alone and in any batch.

use mynah_kernels::quant::{Matrix, Scratch};

use crate::compute::fit;

/// A linear layer.
#[derive(Debug)]
pub(crate) struct Linear {
    /// The weights, (outputs, inputs).
    pub matrix: Matrix,
    /// One value an output.
    pub bias: Option<Vec<f32>>,
    /// The places of the projections that were fused into this one: name in the layer, first output, outputs.
    pub spans: Vec<Span>,
    /// The number of this layer in its model.
    pub index: usize,
}

/// One of the projections fused into a [`Linear`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its module's name, for example `model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// Its first output.
    pub start: usize,
    /// Its number of outputs.
    pub len: usize,
}

impl Linear {
    /// y (rows, outputs) = x·Wᵀ + b.
    pub(crate) fn apply(&self, x: &[f32], rows: usize, y: &mut Vec<f32>, scratch: &mut Scratch) {
        let outputs = self.matrix.rows();
        fit(y, rows * outputs);
        if rows == 0 {
            return;
        }
        self.matrix.matmul(x, y, scratch);
        if let Some(bias) = &self.bias {
            for y in y.chunks_exact_mut(outputs) {
                y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
    }
}
