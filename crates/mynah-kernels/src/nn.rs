//! The fused kernels of the network: everything of a training step that is not a plain matrix product.
//!
//! Each kernel is a function over row-major slices with a generic twin of the same arguments in
//! [`reference`]: the twin is the oracle of the fast version and the code that runs for `f64`. Kernels
//! come in pairs, `*_forward` and `*_backward`, and save only what the gradient needs.
//!
//! Vector code is written once over the small SIMD layer in `simd` and compiled for each instruction set.
//! Sums over many rows are cut into chunks of a fixed size and added in order, so that results do not
//! depend on the number of threads.
//!
//! Wrong lengths are a programmer's error and panic at entry with the lengths found.

mod check;
pub mod reference;
mod types;

pub use reference::*;
pub use types::{
    AdamW, AttentionShape, CrossEntropyShape, DecodeShape, LossScale, Muon, MuonMatrix, RopeNorm, Rows,
    RowsMut, SparseRows, muon_second_len,
};

/// One Muon step of many matrices, of any shapes.
pub fn muon_step_many(config: &Muon, matrices: &mut [MuonMatrix<'_, f32>]) {
    for matrix in matrices {
        muon_step(config, matrix);
    }
}

/// Number of targets that count: those that are not −1.
pub fn count_targets(targets: &[i64]) -> usize {
    targets.iter().filter(|&&target| target >= 0).count()
}
