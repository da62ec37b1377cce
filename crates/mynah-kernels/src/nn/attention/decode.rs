//! Attention of new queries over a cache.

use super::{Band, DecodeShape, Keys, QUERY_TILE, Rows, Shared, UNLIMITED, pool, scratch};
use crate::nn::math::{self, dot};
use crate::nn::simd::{Simd, kernel};

/// From this many queries on, packing the keys for tile products pays.
const PACKED_FROM: usize = 8;

/// New queries (queries, H, D) against a cache of keys and values whose rows 0..start+queries are filled:
/// the query at position i sees keys i − window ≤ j ≤ i. Output (queries, H, D).
pub fn attention_decode(shape: &DecodeShape, q: &[f32], k: Rows<'_, f32>, v: Rows<'_, f32>, out: &mut [f32]) {
    shape.check(q.len(), (k.data.len(), k.stride), (v.data.len(), v.stride), out.len());
    let (dim, width) = (shape.head_dim, shape.heads * shape.head_dim);
    if shape.queries * width == 0 {
        return;
    }
    let out = Shared::new(out);
    let group = shape.heads / shape.kv_heads;
    if shape.queries < PACKED_FROM {
        pool::run(shape.queries * shape.heads, |task| {
            let (i, head) = (task / shape.heads, task % shape.heads);
            let position = shape.start + i;
            let first = shape.window.map_or(0, |window| position.saturating_sub(window));
            let at = head / group * dim;
            // SAFETY: each query and head is one task.
            let out = unsafe { out.slice(task * dim..(task + 1) * dim) };
            scratch::with(position + 1 - first, |scores| {
                let rows = |rows: &Rows<'_, f32>| first * rows.stride + at;
                let (k_rows, v_rows) = (&k.data[rows(&k)..], &v.data[rows(&v)..]);
                let scale = shape.scale as f32;
                attend_one(&q[task * dim..][..dim], k_rows, k.stride, v_rows, v.stride, scale, scores, out);
            });
        });
        return;
    }
    let window = shape.window.map_or(UNLIMITED, |window| window.min(UNLIMITED as usize) as isize);
    let start = shape.start as isize;
    let tiles = shape.queries.div_ceil(QUERY_TILE);
    let parts = (2 * pool::threads()).div_ceil(shape.kv_heads).clamp(1, tiles);
    pool::run(shape.kv_heads * parts, |task| {
        let (kv, part) = (task / parts, task % parts);
        let queries =
            tiles * part / parts * QUERY_TILE..(tiles * (part + 1) / parts * QUERY_TILE).min(shape.queries);
        let keys = Keys {
            band: Band { low: start - window, high: start },
            scale: shape.scale as f32,
            dim,
            count: shape.start + shape.queries,
            k: Rows::new(&k.data[kv * dim..], k.stride),
            v: Rows::new(&v.data[kv * dim..], v.stride),
        };
        keys.with_packed(queries.clone(), |packed| {
            for head in kv * group..(kv + 1) * group {
                packed.attend(Rows::new(&q[head * dim..], width), queries.clone(), |i, row, factor, _| {
                    let at = i * width + head * dim;
                    // SAFETY: only this task has this head and query.
                    let out = unsafe { out.slice(at..at + dim) };
                    for (out, &value) in out.iter_mut().zip(row) {
                        *out = value * factor;
                    }
                });
            }
        });
    });
}

kernel! {
    fn attend_one(
        q: &[f32],
        k: &[f32],
        k_stride: usize,
        v: &[f32],
        v_stride: usize,
        scale: f32,
        scores: &mut [f32],
        out: &mut [f32],
    ) = attend_one_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn attend_one_body<S: Simd>(
    s: S,
    q: &[f32],
    k: &[f32],
    k_stride: usize,
    v: &[f32],
    v_stride: usize,
    scale: f32,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let dim = q.len();
    let mut max = f32::NEG_INFINITY;
    for (j, score) in scores.iter_mut().enumerate() {
        *score = scale * dot(s, q, &k[j * k_stride..][..dim]);
        max = max.max(*score);
    }
    let mut sum = 0.0;
    for j in (0..scores.len()).step_by(S::LANES) {
        let p = math::exp(s, s.sub(s.load_at(scores, j), s.splat(max)));
        s.store_at(scores, j, p);
    }
    for &p in scores.iter() {
        sum += p;
    }
    // Columns in blocks of four vectors, so that the sums stay in registers over all keys.
    let factor = s.splat(1.0 / sum);
    let mut col = 0;
    while col < dim {
        let mut sums = [s.splat(0.0); 4];
        for (j, &p) in scores.iter().enumerate() {
            let row = &v[j * v_stride..][..dim];
            let p = s.splat(p);
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = s.mul_add(p, s.load_at(row, col + n * S::LANES), *sum);
            }
        }
        for (n, &sum) in sums.iter().enumerate() {
            s.store_at(out, col + n * S::LANES, s.mul(sum, factor));
        }
        col += 4 * S::LANES;
    }
}
