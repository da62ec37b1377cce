//! Model families, their optimizers, scaling rules and files.
//!
//! The key decision: a model is a plain struct of named tensors and a function that reads like the
//! formulas, [`Gpt::loss`]. There is no layer trait and no module tree; a second family will be a second
//! struct. Every piece of the recipe is a switch of [`GptConfig`], so an ablation is a configuration and
//! not a branch of the code.
//!
//! Rejected: deriving inference from the training path. Training wants gradients and whole batches,
//! decoding wants no allocation and one token a row, so [`KeyValueCache`] has its own path over the same
//! kernels, and a test holds the two together token for token. Rejected too: optimizer state beside each
//! parameter. It lives in [`Optimizer`], by name, so that a checkpoint of it is a flat list of tensors.
//!
//! Files are safetensors with the parameter names of the nanochat recipe, so weights move between
//! PyTorch and here in both directions.

mod cache;
pub mod checkpoint;
mod config;
pub mod derive;
mod error;
mod gpt;
mod init;
mod optim;
pub mod safetensors;

pub use cache::KeyValueCache;
pub use config::{Activation, GptConfig, Norm, ParamCounts, SMEAR_GATE_CHANNELS, VALUE_GATE_CHANNELS};
pub use error::{Error, ErrorKind, Result};
pub use gpt::Gpt;
pub use mynah_tensor::Reduction;
pub use optim::{Algorithm, MuonSettings, Optimizer, ParamGroup, Rates, StatePolicy};
