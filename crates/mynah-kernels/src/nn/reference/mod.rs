//! Readable twins of the fused kernels: one plain loop per formula, generic over `f32` and `f64`.
//!
//! They are the oracle of the fast versions, and the code that runs for `f64` (gradient checks). Their
//! arguments are those of the fast functions, so a caller can swap one for the other.

mod attention;
mod cross_entropy;
mod elementwise;
mod embedding;
mod mix;
mod norm;
mod optimizer;

pub use attention::{attention_backward, attention_decode, attention_forward};
pub use cross_entropy::{
    argmax_rows, linear_cross_entropy, linear_cross_entropy_forward, log_softmax_backward_rows,
    log_softmax_rows, softmax_backward_rows, softmax_rows,
};
pub use elementwise::{
    exp, gelu, gelu_backward, log, relu_square_backward, relu_square_forward, sigmoid, sigmoid_backward,
    silu, silu_backward, tanh, tanh_backward,
};
pub use embedding::{embedding_backward, embedding_forward};
pub use mix::{
    gated_add_backward, gated_add_forward, scaled_sum_backward, scaled_sum_forward, shift_gated_add_backward,
    shift_gated_add_forward,
};
pub use norm::{rms_norm_backward, rms_norm_forward, rope_norm_backward, rope_norm_forward};
pub(crate) use optimizer::POLAR_EXPRESS;
pub use optimizer::{adamw_step, adamw_step_rows, muon_step, polar_express};
