//! Three loops: what every faster form must agree with.

use super::matrix::{Map, MatMut, MatRef, Store, check_product};
use crate::float::Float;

/// c = a · b, finished as `store` says, by the definition.
pub fn gemm_reference<T: Float>(a: MatRef<'_, T>, b: MatRef<'_, T>, c: MatMut<'_, T>, store: Store<'_, T>) {
    gemm_map_reference(a, Map::Identity, b, Map::Identity, c, store);
}

/// c = map_a(a) · map_b(b), finished as `store` says, by the definition.
pub fn gemm_map_reference<T: Float>(
    a: MatRef<'_, T>,
    map_a: Map,
    b: MatRef<'_, T>,
    map_b: Map,
    mut c: MatMut<'_, T>,
    store: Store<'_, T>,
) {
    check_product(&a, &b, &c, &store);
    let (row_stride, col_stride) = (c.row_stride(), c.col_stride());
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let mut sum = T::ZERO;
            for p in 0..a.cols() {
                sum += map_a.apply(a.at(i, p)) * map_b.apply(b.at(p, j));
            }
            let at = i * row_stride + j * col_stride;
            let place = &mut c.data_mut()[at];
            *place = store.finish(sum, *place, at);
        }
    }
}
