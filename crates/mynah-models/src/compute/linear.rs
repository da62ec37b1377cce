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
    /// The number of this layer in its model.
    pub index: usize,
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
