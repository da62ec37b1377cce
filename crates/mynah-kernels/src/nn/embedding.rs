//! Rows of a table by their numbers, and the gradient as the rows that were touched.

use super::check::{ids_below, rows_of, same_len, volume};
use super::simd::{Simd, kernel};
use super::types::SparseRows;
use crate::pool::{self, Shared};

/// Values that one task takes at least.
const GRAIN: usize = 16 * 1024;

/// Row `ids[i]` of the (vocab, dim) table for each i.
pub fn embedding_forward(table: &[f32], dim: usize, ids: &[i64], out: &mut [f32]) {
    let vocab = rows_of("embedding_forward table", table.len(), dim);
    same_len("embedding_forward ids·dim, out", &[volume("ids·dim", &[ids.len(), dim]), out.len()]);
    ids_below("embedding_forward", ids, vocab);
    let out = Shared::new(out);
    pool::run_ranges(ids.len(), GRAIN.div_ceil(dim), |at| {
        // SAFETY: `run_ranges` hands out disjoint ranges.
        let out = unsafe { out.slice(at.start * dim..at.end * dim) };
        for (out, &id) in out.chunks_exact_mut(dim).zip(&ids[at]) {
            out.copy_from_slice(&table[id as usize * dim..][..dim]);
        }
    });
}

/// Sum of the rows of `dy` for each id that occurs, ids ascending; rows are added in the order of occurrence.
/// `grad` is overwritten and its memory reused.
pub fn embedding_backward(ids: &[i64], dy: &[f32], dim: usize, grad: &mut SparseRows<f32>) {
    assert!(dim > 0, "embedding_backward: row length is 0");
    ids_below("embedding_backward", ids, usize::MAX);
    same_len("embedding_backward ids·dim, dy", &[volume("ids·dim", &[ids.len(), dim]), dy.len()]);
    let mut order: Vec<(i64, usize)> = ids.iter().copied().zip(0..).collect();
    order.sort_unstable();
    grad.ids.clear();
    // Where in `order` each id begins, and the end.
    let mut starts = Vec::new();
    for (i, &(id, _)) in order.iter().enumerate() {
        if grad.ids.last() != Some(&id) {
            grad.ids.push(id);
            starts.push(i);
        }
    }
    starts.push(order.len());
    grad.rows.resize(grad.ids.len() * dim, 0.0);
    let rows = Shared::new(&mut grad.rows);
    pool::run_ranges(grad.ids.len(), GRAIN.div_ceil(dim), |ids| {
        for i in ids {
            // SAFETY: each id is in one range only.
            let sum = unsafe { rows.slice(i * dim..(i + 1) * dim) };
            let (&(_, first), rest) = order[starts[i]..starts[i + 1]].split_first().expect("an id occurs");
            sum.copy_from_slice(&dy[first * dim..][..dim]);
            for &(_, row) in rest {
                add(&dy[row * dim..][..dim], sum);
            }
        }
    });
}

kernel! { fn add(x: &[f32], sum: &mut [f32]) = add_body }

#[inline(always)]
fn add_body<S: Simd>(s: S, x: &[f32], sum: &mut [f32]) {
    let mut i = 0;
    while i < x.len() {
        s.store_at(sum, i, s.add(s.load_at(sum, i), s.load_at(x, i)));
        i += S::LANES;
    }
}
