//! Tensors with strided views, gradients, and the operations a language model is made of.
//!
//! The key decision is one concrete [`Tensor`]: the element type is a value ([`DType`]), kernels are
//! chosen at run time, and there is no backend parameter to carry through every signature. What an
//! operation is called, takes and means stands in one table ([`table`]) that drives tests, benchmarks and
//! documentation, and later the Python interface.
//!
//! Gradients are PyTorch's: operations on tensors that require a gradient leave nodes behind, and
//! `backward()` walks them newest first, without recursion, freeing what each node kept. Where a kernel can
//! add into an existing gradient, it gets that buffer (`linear` multiplies straight into the parameter's
//! gradient). Memory comes from free lists ([`memory`]), so that from its second step on a training loop
//! allocates nothing.
//!
//! Everything a user can get wrong is an [`Error`] that names the operation, the shapes and the types, and
//! says what to do. Rejected: generic tensors `Tensor<T, D>` (their error messages, and conversions
//! everywhere); a lazy graph (every error would surface far from its line); reference-counted buffers
//! copied on write (optimizers must update in place).
//!
//! ```
//! use mynah_tensor::{DType, Tensor, ops};
//!
//! let w = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], &[2, 2])?.requires_grad_()?;
//! let x = Tensor::ones(&[1, 2], DType::F32)?;
//! ops::linear(&x, &w)?.sum(&[], false)?.backward()?;
//! assert_eq!(w.grad()?.unwrap().to_vec::<f32>()?, [1.0, 1.0, 1.0, 1.0]);
//! # Ok::<(), mynah_tensor::Error>(())
//! ```

mod autograd;
mod create;
mod dims;
mod dtype;
mod error;
mod kernels;
mod layout;
pub mod memory;
pub mod ops;
mod rows;
mod storage;
pub mod table;
mod tensor;

pub use autograd::{grad_enabled, no_grad};
pub use dims::MAX_RANK;
pub use dtype::{DType, Element};
pub use error::{Error, ErrorKind, Result};
pub use half::{bf16, f16};
pub use ops::Reduction;
pub use rows::RowGrad;
pub use tensor::Tensor;
