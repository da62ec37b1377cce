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

mod adamw;
mod attention;
pub(crate) mod check;
mod cross_entropy;
mod embedding;
pub(crate) mod math;
mod mix;
mod muon;
mod norm;
pub mod reference;
pub(crate) mod scratch;
pub(crate) mod simd;
mod softmax;
mod tile;
mod types;
mod vector;

pub use adamw::{adamw_step, adamw_step_rows};
pub use attention::{attention_backward, attention_decode, attention_forward};
pub use cross_entropy::{linear_cross_entropy, linear_cross_entropy_forward};
pub use embedding::{embedding_backward, embedding_forward};
pub use mix::{
    gated_add_backward, gated_add_forward, scaled_sum_backward, scaled_sum_forward, shift_gated_add_backward,
    shift_gated_add_forward,
};
pub use muon::{muon_step, muon_step_many};
pub use norm::{rms_norm_backward, rms_norm_forward, rope_norm_backward, rope_norm_forward};
pub use softmax::{
    argmax_rows, log_softmax_backward_rows, log_softmax_rows, softmax_backward_rows, softmax_rows,
};
pub use types::{
    AdamW, AttentionShape, CrossEntropyShape, DecodeShape, LossScale, Muon, MuonMatrix, RopeNorm, Rows,
    RowsMut, SparseRows, muon_second_len,
};
pub use vector::{
    exp, gelu, gelu_backward, log, relu_square_backward, relu_square_forward, sigmoid, sigmoid_backward,
    silu, silu_backward, tanh, tanh_backward,
};

/// Number of targets that count: those that are not −1.
pub fn count_targets(targets: &[i64]) -> usize {
    targets.iter().filter(|&&target| target >= 0).count()
}
