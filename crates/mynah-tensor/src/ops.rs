//! The operations. General ones are methods of [`Tensor`]; those the language model is built of are free
//! functions here, each one fused kernel forward and one backward.
//!
//! Every public function below this module has its row in the op table ([`crate::table`]).

mod attention;
mod binary;
mod compare;
mod convert;
mod embedding;
mod gate;
mod index;
mod join;
mod linear;
mod loss;
mod matmul;
mod norm;
mod reduce;
mod softmax;
mod unary;
mod view;

pub use attention::attention;
pub use embedding::embedding;
pub use gate::{gated_add, scaled_sum, shift_gated_add};
pub use join::{cat, stack};
pub use linear::{linear, mlp_relu_square};
pub use loss::{Reduction, cross_entropy, linear_cross_entropy};
pub use norm::{relu_square, rms_norm, rope_norm};
