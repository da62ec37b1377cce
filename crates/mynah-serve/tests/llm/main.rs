//! The model server over a socket, with a model whose every answer is known.

mod adapters;
mod answers;
mod common;
mod embeddings;
mod fleet;
mod refusals;
mod responses;
mod server_tools;
mod weights;
mod weights_durable;
mod weights_swaps;
mod weights_trial;
mod weights_verbs;
