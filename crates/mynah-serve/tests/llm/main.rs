//! The model server over a socket, with a model whose every answer is known.

mod answers;
mod common;
mod refusals;
