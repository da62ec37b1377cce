//! Weight formats and their products against the readable twins, per instruction set and thread count.

#[path = "../nn/support.rs"]
#[allow(dead_code)]
mod support;

mod bench;
mod bytes;
mod formats;
mod matmul;
