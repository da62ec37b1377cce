use crate::float::Float;
use crate::nn::check::{ids_below, rows_of, same_len, volume};
use crate::nn::types::SparseRows;
use std::collections::BTreeMap;

/// Row `ids[i]` of the (vocab, dim) table for each i.
pub fn embedding_forward<T: Float>(table: &[T], dim: usize, ids: &[i64], out: &mut [T]) {
    let vocab = rows_of("embedding_forward table", table.len(), dim);
    same_len("embedding_forward ids·dim, out", &[volume("ids·dim", &[ids.len(), dim]), out.len()]);
    ids_below("embedding_forward", ids, vocab);
    for (out, &id) in out.chunks_exact_mut(dim).zip(ids) {
        out.copy_from_slice(&table[id as usize * dim..][..dim]);
    }
}

/// Sum of the rows of `dy` for each id that occurs, ids ascending; addition in the order of occurrence.
pub fn embedding_backward<T: Float>(ids: &[i64], dy: &[T], dim: usize, grad: &mut SparseRows<T>) {
    assert!(dim > 0, "embedding_backward: row length is 0");
    ids_below("embedding_backward", ids, usize::MAX);
    same_len("embedding_backward ids·dim, dy", &[volume("ids·dim", &[ids.len(), dim]), dy.len()]);
    let mut sums: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for (&id, dy) in ids.iter().zip(dy.chunks_exact(dim)) {
        let sum = sums.entry(id).or_insert_with(|| vec![T::ZERO; dim]);
        for (sum, &dy) in sum.iter_mut().zip(dy) {
            *sum += dy;
        }
    }
    grad.ids.clear();
    grad.rows.clear();
    for (id, sum) in sums {
        grad.ids.push(id);
        grad.rows.extend_from_slice(&sum);
    }
}
