//! Files of weights: where they are, what is in them, and their values.

pub(crate) mod blocks;
mod bytes;
pub(crate) mod gguf;
pub(crate) mod hub;
pub(crate) mod json;
mod safetensors;
mod tensor;
pub(crate) mod weights;

pub(crate) use bytes::Bytes;
pub(crate) use tensor::{DType, Tensor};
pub(crate) use weights::{Kept, Weights};
