//! Matrix multiplication.

mod matrix;
mod reference;

pub use matrix::{Map, MatMut, MatRef, Store};
pub use reference::{gemm_map_reference, gemm_reference};

/// c = a · b, finished as `store` says. Shapes: a (m, k), b (k, n), c (m, n).
pub fn gemm(a: MatRef<'_, f32>, b: MatRef<'_, f32>, c: MatMut<'_, f32>, store: Store<'_, f32>) {
    gemm_map(a, Map::Identity, b, Map::Identity, c, store);
}

/// [`gemm`] of `map_a(a)` and `map_b(b)`, the maps applied while the operands are read.
pub fn gemm_map(
    a: MatRef<'_, f32>,
    map_a: Map,
    b: MatRef<'_, f32>,
    map_b: Map,
    c: MatMut<'_, f32>,
    store: Store<'_, f32>,
) {
    gemm_map_reference(a, map_a, b, map_b, c, store);
}

/// c = a · b where the product is known to be symmetric (x·xᵀ, xᵀ·x, or a·a with a = aᵀ): one triangle
/// is computed and mirrored. Shapes: a (n, k), b (k, n), c (n, n); a matrix in `store` must be symmetric.
pub fn gemm_symmetric(a: MatRef<'_, f32>, b: MatRef<'_, f32>, c: MatMut<'_, f32>, store: Store<'_, f32>) {
    gemm(a, b, c, store);
}

/// [`gemm`] in double precision.
pub fn gemm_f64(a: MatRef<'_, f64>, b: MatRef<'_, f64>, c: MatMut<'_, f64>, store: Store<'_, f64>) {
    gemm_reference(a, b, c, store);
}
