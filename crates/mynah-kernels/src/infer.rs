//! The small kernels of a forward pass without gradients, each fused with what comes right before or after it.
//! Rows are independent: the bits of a row do not depend on how many there are. Twins are in [`reference`].

mod activation;
mod logits;
mod norm;
pub mod reference;
mod rope;

pub use activation::{Gate, gate_rows};
pub use logits::{softcap, top_k};
pub use norm::{add_rms_norm_rows, rms_norm_rows};
pub use rope::{Pairs, Turn, rope_rows};

/// Values that one task takes at least: less is not worth waking a thread.
const GRAIN: usize = 16 * 1024;
