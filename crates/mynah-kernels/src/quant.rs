//! Weights of an inference model: float or block-quantised matrices, laid out for the kernels at load, and
//! their products with the rows of a step.
//!
//! The key decision is that a weight matrix is rearranged once, when it is loaded: sixteen rows are interleaved
//! so that one vector load brings four columns of each, every row has a lane of its own, and no sum crosses
//! lanes. The values stay exactly those of the file: a block format keeps its integer codes and its scales, in
//! about as many bytes. Rejected: widening all weights to int8 or f32 (a decoding step takes as long as reading
//! the weights does, so bytes are time), and computing on the file's own layout, which needs a sum over
//! lanes for each block of each row.
//!
//! With quantised weights the rows of a step are quantised too, each group of 32 values to int8 with an f32
//! scale ([`Group`](blocks::Group) says what is computed); dot products are exact in integers and groups are
//! added in order in f32. With float weights the sums run over the columns in order, in f32. So every
//! element of a result is one chain of operations that depends on its row of x and its row of weights alone:
//! the bits are the same for one row or many, for any thread count, and on every instruction set with
//! fused multiply-add (the portable path computes the same through the library function).

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod buffer;
#[cfg(target_arch = "x86_64")]
mod codes;
mod format;
mod layout;
mod matrix;
mod multiply;
mod portable;
pub mod reference;

pub(crate) use buffer::Buffer;
pub use format::Format;
pub use matrix::Matrix;
pub use multiply::Scratch;
