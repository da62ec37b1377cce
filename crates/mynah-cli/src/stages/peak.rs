//! The machine's peak, to say how much of it training uses.

use std::time::Instant;

use mynah_kernels::gemm::{MatMut, MatRef, Store, gemm};

/// Side of the square matrices: large enough for full speed, a few milliseconds each.
const SIDE: usize = 768;
const ROUNDS: usize = 6;

/// Floating-point operations a second of the fastest of a few matrix multiplies on all threads. The share of
/// this that a training step reaches is what the progress line calls MFU.
pub fn flops() -> f64 {
    let a = vec![0.5f32; SIDE * SIDE];
    let b = vec![0.25f32; SIDE * SIDE];
    let mut c = vec![0.0f32; SIDE * SIDE];
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        gemm(
            MatRef::new(&a, SIDE, SIDE),
            MatRef::new(&b, SIDE, SIDE),
            MatMut::new(&mut c, SIDE, SIDE),
            Store::Overwrite,
        );
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (SIDE * SIDE * SIDE) as f64 / best
}
