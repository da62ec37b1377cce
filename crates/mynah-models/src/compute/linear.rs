//! Linear layers: the one place that knows how matrices of weights are held and multiplied.
//!
//! A row's result does not depend on how many rows there are: the packed product sums every element in an
//! order that depends on the inner length alone. So a sequence computes the same alone and in any batch.

use mynah_kernels::gemm::{MatMut, MatRef, PackedB, Store, gemm_packed};

use crate::compute::fit;

/// A matrix of weights (outputs, inputs).
#[derive(Debug)]
pub(crate) struct Matrix {
    packed: PackedB,
}

impl Matrix {
    /// Takes weights (outputs, inputs), row-major.
    pub(crate) fn new(values: &[f32], outputs: usize, inputs: usize) -> Self {
        Self { packed: PackedB::new(MatRef::new(values, outputs, inputs).t()) }
    }

    /// Rows of the weights.
    pub(crate) fn outputs(&self) -> usize {
        self.packed.cols()
    }

    /// Columns of the weights.
    pub(crate) fn inputs(&self) -> usize {
        self.packed.rows()
    }

    /// y (rows, outputs) = x (rows, inputs) · Wᵀ.
    pub(crate) fn multiply(&self, x: &[f32], rows: usize, y: &mut [f32]) {
        let x = MatRef::new(x, rows, self.inputs());
        gemm_packed(x, &self.packed, MatMut::new(y, rows, self.outputs()), Store::Overwrite);
    }
}

/// A linear layer.
#[derive(Debug)]
pub(crate) struct Linear {
    /// The weights.
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
    pub(crate) fn apply(&self, x: &[f32], rows: usize, y: &mut Vec<f32>) {
        let outputs = self.matrix.outputs();
        fit(y, rows * outputs);
        if rows == 0 {
            return;
        }
        self.matrix.multiply(x, rows, y);
        if let Some(bias) = &self.bias {
            for y in y.chunks_exact_mut(outputs) {
                y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
    }
}
