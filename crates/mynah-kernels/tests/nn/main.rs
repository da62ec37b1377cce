//! The fused network kernels against their reference twins, on every instruction set and with several
//! thread counts; the twins' gradients against finite differences in double precision.

mod attention;
mod bench;
mod cross_entropy;
mod mix;
mod norm;
mod optimizer;
mod support;
mod vector;
