//! Attention in tiles, after FlashAttention-2 (Dao 2023, arXiv 2307.08691): scores exist only for one tile of
//! queries and keys at a time; the softmax is rescaled from tile to tile; the backward pass computes the
//! probabilities again from the saved logarithm of each denominator.
//!
//! A task is one sequence and one key head (with all query heads that share it), so that no two tasks
//! write the same dk or dv. The mask is a band, whose edges are skipped in steps of the register tile.

use super::scratch::{self, padded, take};
use super::tile::{Band, Limits, Product, UNLIMITED, multiply, pack_rows, pack_transposed, strip_width};
use super::types::{AttentionShape, DecodeShape, Rows, RowsMut};
use crate::pool::{self, Shared};
use std::ops::Range;

mod decode;
mod softmax;

pub use decode::attention_decode;
use softmax::{OnlineSoftmax, dot_rows, probabilities};

/// Queries of a tile. 64 to 128 measure the same; fewer rows leave the register tile's edges.
const QUERY_TILE: usize = 64;
/// Keys of a tile, a multiple of every strip width.
const KEY_TILE: usize = 128;

impl AttentionShape {
    fn band(&self) -> Band {
        let window = self.window.map_or(UNLIMITED, |window| window.min(UNLIMITED as usize) as isize);
        Band { low: -window, high: if self.causal { 0 } else { window } }
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Attention of (B,T,H,D) queries over (B,T,Hkv,D) keys and values; `lse` is (B,H,T), the logarithm of each
/// query's softmax denominator, which the gradient needs. Rows are tokens; each buffer has its own stride.
pub fn attention_forward(
    shape: &AttentionShape,
    q: Rows<'_, f32>,
    k: Rows<'_, f32>,
    v: Rows<'_, f32>,
    out: RowsMut<'_, f32>,
    lse: &mut [f32],
) {
    let (width, key_width) = (shape.query_width(), shape.key_width());
    shape.check(
        "attention_forward",
        &[
            ("q", q.data.len(), q.stride, width),
            ("k", k.data.len(), k.stride, key_width),
            ("v", v.data.len(), v.stride, key_width),
            ("out", out.data.len(), out.stride, width),
        ],
        lse.len(),
    );
    let (tokens, dim) = (shape.tokens, shape.head_dim);
    let units = shape.batch * shape.kv_heads;
    if units * tokens * dim * shape.heads == 0 {
        return;
    }
    // With fewer sequences and heads than threads, queries are split too. Tiles lie at the same places
    // whatever the split, so the results are the same.
    let tiles = tokens.div_ceil(QUERY_TILE);
    let parts = (2 * pool::threads()).div_ceil(units).clamp(1, tiles);
    let (out_data, out_stride) = (Shared::new(out.data), out.stride);
    let lse = Shared::new(lse);
    pool::run(units * parts, |task| {
        let (unit, part) = (task / parts, task % parts);
        let (b, kv) = (unit / shape.kv_heads, unit % shape.kv_heads);
        let queries =
            tiles * part / parts * QUERY_TILE..(tiles * (part + 1) / parts * QUERY_TILE).min(tokens);
        let keys = Keys {
            band: shape.band(),
            scale: shape.scale as f32,
            dim,
            count: tokens,
            k: Rows::new(&k.data[b * tokens * k.stride + kv * dim..], k.stride),
            v: Rows::new(&v.data[b * tokens * v.stride + kv * dim..], v.stride),
        };
        keys.with_packed(queries.clone(), |packed| {
            for head in kv * shape.group()..(kv + 1) * shape.group() {
                let q = Rows::new(&q.data[b * tokens * q.stride + head * dim..], q.stride);
                packed.attend(q, queries.clone(), |i, row, factor, log_sum| {
                    let at = (b * tokens + i) * out_stride + head * dim;
                    let at_lse = (b * shape.heads + head) * tokens + i;
                    // SAFETY: only this task has this sequence, head and query.
                    let (out, lse) = unsafe { (out_data.slice(at..at + dim), lse.slice(at_lse..at_lse + 1)) };
                    lse[0] = log_sum;
                    for (out, &value) in out.iter_mut().zip(row) {
                        *out = value * factor;
                    }
                });
            }
        });
    });
}

/// The keys and values of one sequence and head, and what a query may see of them.
struct Keys<'a> {
    band: Band,
    scale: f32,
    dim: usize,
    count: usize,
    k: Rows<'a, f32>,
    v: Rows<'a, f32>,
}

/// [`Keys`] packed for tile products, from key `first` on.
struct Packed<'a> {
    keys: &'a Keys<'a>,
    first: usize,
    len: usize,
    transposed: &'a [f32],
    values: &'a [f32],
}

impl Keys<'_> {
    /// Packs the keys and values that `queries` see.
    fn with_packed(&self, queries: Range<usize>, body: impl FnOnce(&Packed<'_>)) {
        let seen = self.band.columns(queries, self.count);
        let first = seen.start / KEY_TILE * KEY_TILE;
        let len = seen.end - first;
        let width = strip_width();
        let transposed_len = len.next_multiple_of(width) * self.dim;
        let values_len = self.dim.next_multiple_of(width) * len;
        scratch::with(padded(transposed_len) + padded(values_len), |mut space| {
            let transposed = take(&mut space, transposed_len);
            let values = take(&mut space, values_len);
            let (k, v) = (&self.k.data[first * self.k.stride..], &self.v.data[first * self.v.stride..]);
            pack_transposed(k, self.k.stride, len, self.dim, transposed);
            pack_rows(v, self.v.stride, len, self.dim, values);
            body(&Packed { keys: self, first, len, transposed, values });
        });
    }
}

impl Packed<'_> {
    /// Calls `emit(query, row, factor, lse)` for each query; the output is row · factor.
    fn attend(&self, q: Rows<'_, f32>, queries: Range<usize>, mut emit: impl FnMut(usize, &[f32], f32, f32)) {
        let Keys { band, scale, dim, count, .. } = *self.keys;
        let width = strip_width();
        let row_len = padded(dim);
        scratch::with(QUERY_TILE * (KEY_TILE + row_len), |mut space| {
            let scores = take(&mut space, QUERY_TILE * KEY_TILE);
            let sums = take(&mut space, QUERY_TILE * row_len);
            for first in queries.clone().step_by(QUERY_TILE) {
                let rows = QUERY_TILE.min(queries.end - first);
                let seen = band.columns(first..first + rows, count);
                let mut softmax = OnlineSoftmax::<QUERY_TILE>::new();
                sums[..rows * row_len].fill(0.0);
                for key in (seen.start / KEY_TILE * KEY_TILE..seen.end).step_by(KEY_TILE) {
                    let cols = KEY_TILE.min(seen.end - key);
                    let band = band.at(first, key);
                    let at = key - self.first;
                    multiply(Product {
                        rows,
                        depth: dim,
                        cols,
                        a: &q.data[first * q.stride..],
                        a_row: q.stride,
                        a_step: 1,
                        b: &self.transposed[at * dim..],
                        b_strip: dim * width,
                        c: scores,
                        c_row: KEY_TILE,
                        limits: Limits::Columns(band),
                    });
                    softmax.step(scores, KEY_TILE, rows, cols, band, scale);
                    multiply(Product {
                        rows,
                        depth: cols,
                        cols: dim,
                        a: scores,
                        a_row: KEY_TILE,
                        a_step: 1,
                        b: &self.values[at * width..],
                        b_strip: self.len * width,
                        c: sums,
                        c_row: row_len,
                        limits: Limits::Depth(band, Some(&softmax.factor)),
                    });
                }
                for row in 0..rows {
                    let sum = softmax.sum[row];
                    emit(first + row, &sums[row * row_len..][..dim], 1.0 / sum, softmax.max[row] + sum.ln());
                }
            }
        });
    }
}

/// Gradients of [`attention_forward`] from its inputs, output and `lse`; overwrites dq, dk and dv.
#[expect(clippy::too_many_arguments, reason = "the tensors of the formula, each needed")]
pub fn attention_backward(
    shape: &AttentionShape,
    q: Rows<'_, f32>,
    k: Rows<'_, f32>,
    v: Rows<'_, f32>,
    out: Rows<'_, f32>,
    lse: &[f32],
    dout: Rows<'_, f32>,
    dq: RowsMut<'_, f32>,
    dk: RowsMut<'_, f32>,
    dv: RowsMut<'_, f32>,
) {
    let (width, key_width) = (shape.query_width(), shape.key_width());
    shape.check(
        "attention_backward",
        &[
            ("q", q.data.len(), q.stride, width),
            ("k", k.data.len(), k.stride, key_width),
            ("v", v.data.len(), v.stride, key_width),
            ("out", out.data.len(), out.stride, width),
            ("dout", dout.data.len(), dout.stride, width),
            ("dq", dq.data.len(), dq.stride, width),
            ("dk", dk.data.len(), dk.stride, key_width),
            ("dv", dv.data.len(), dv.stride, key_width),
        ],
        lse.len(),
    );
    let (tokens, dim) = (shape.tokens, shape.head_dim);
    if shape.batch * shape.heads * tokens * dim == 0 {
        return;
    }
    let (dq_stride, dk_stride, dv_stride) = (dq.stride, dk.stride, dv.stride);
    let (dq, dk, dv) = (Shared::new(dq.data), Shared::new(dk.data), Shared::new(dv.data));
    pool::run(shape.batch * shape.kv_heads, |task| {
        let (b, kv) = (task / shape.kv_heads, task % shape.kv_heads);
        let view = |rows: &Rows<'_, f32>, head: usize| b * tokens * rows.stride + head * dim;
        let put = |to: &Shared<f32>, stride: usize, head: usize, from: &[f32]| {
            for (i, from) in from.chunks_exact(padded(dim)).enumerate().take(tokens) {
                let at = (b * tokens + i) * stride + head * dim;
                // SAFETY: only this task has this sequence and these heads.
                unsafe { to.slice(at..at + dim) }.copy_from_slice(&from[..dim]);
            }
        };
        let mut backward = Backward::new(shape.band(), shape.scale as f32, tokens, dim);
        scratch::with(backward.space(), |space| {
            let mut space = backward.divide(space);
            backward.begin(
                &mut space,
                Rows::new(&k.data[view(&k, kv)..], k.stride),
                Rows::new(&v.data[view(&v, kv)..], v.stride),
            );
            for head in kv * shape.group()..(kv + 1) * shape.group() {
                backward.add_head(
                    &mut space,
                    Rows::new(&q.data[view(&q, head)..], q.stride),
                    Rows::new(&out.data[view(&out, head)..], out.stride),
                    Rows::new(&dout.data[view(&dout, head)..], dout.stride),
                    &lse[(b * shape.heads + head) * tokens..][..tokens],
                );
                put(&dq, dq_stride, head, space.dq);
            }
            put(&dk, dk_stride, kv, space.dk);
            put(&dv, dv_stride, kv, space.dv);
        });
    });
}

/// The backward pass of one sequence and key head.
struct Backward {
    band: Band,
    scale: f32,
    tokens: usize,
    dim: usize,
    width: usize,
}

/// Packed operands and sums of a [`Backward`].
struct Space<'a> {
    k_transposed: &'a mut [f32],
    v_transposed: &'a mut [f32],
    k: &'a mut [f32],
    q: &'a mut [f32],
    dout: &'a mut [f32],
    /// Σ out·dout of each query.
    delta: &'a mut [f32],
    p: &'a mut [f32],
    ds: &'a mut [f32],
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl Backward {
    fn new(band: Band, scale: f32, tokens: usize, dim: usize) -> Self {
        Backward { band, scale, tokens, dim, width: strip_width() }
    }

    /// Lengths of the buffers of [`Space`] in its order.
    fn lens(&self) -> [usize; 11] {
        let transposed = self.tokens.next_multiple_of(self.width) * self.dim;
        let packed = self.dim.next_multiple_of(self.width) * self.tokens;
        let tile = QUERY_TILE * KEY_TILE;
        let sums = self.tokens * padded(self.dim);
        [transposed, transposed, packed, packed, packed, self.tokens, tile, tile, sums, sums, sums]
    }

    fn space(&self) -> usize {
        self.lens().iter().map(|&len| padded(len)).sum()
    }

    fn divide<'a>(&self, mut space: &'a mut [f32]) -> Space<'a> {
        let [k_transposed, v_transposed, k, q, dout, delta, p, ds, dq, dk, dv] =
            self.lens().map(|len| take(&mut space, len));
        Space { k_transposed, v_transposed, k, q, dout, delta, p, ds, dq, dk, dv }
    }

    fn begin(&self, space: &mut Space<'_>, k: Rows<'_, f32>, v: Rows<'_, f32>) {
        pack_transposed(k.data, k.stride, self.tokens, self.dim, space.k_transposed);
        pack_transposed(v.data, v.stride, self.tokens, self.dim, space.v_transposed);
        pack_rows(k.data, k.stride, self.tokens, self.dim, space.k);
        space.dk.fill(0.0);
        space.dv.fill(0.0);
    }

    /// Overwrites `space.dq` and adds to `space.dk` and `space.dv` for one query head.
    fn add_head(
        &mut self,
        space: &mut Space<'_>,
        q: Rows<'_, f32>,
        out: Rows<'_, f32>,
        dout: Rows<'_, f32>,
        lse: &[f32],
    ) {
        let Backward { band, scale, tokens, dim, width } = *self;
        let row_len = padded(dim);
        pack_rows(q.data, q.stride, tokens, dim, space.q);
        pack_rows(dout.data, dout.stride, tokens, dim, space.dout);
        dot_rows(out.data, out.stride, dout.data, dout.stride, dim, space.delta);
        space.dq.fill(0.0);
        for first in (0..tokens).step_by(QUERY_TILE) {
            let rows = QUERY_TILE.min(tokens - first);
            let seen = band.columns(first..first + rows, tokens);
            for key in (seen.start / KEY_TILE * KEY_TILE..seen.end).step_by(KEY_TILE) {
                let cols = KEY_TILE.min(seen.end - key);
                let band = band.at(first, key);
                // Scores and dP = dO·Vᵀ of the tile, then P and dS in their place.
                let score = |a: Rows<'_, f32>, b: &[f32], c: &mut [f32]| {
                    multiply(Product {
                        rows,
                        depth: dim,
                        cols,
                        a: &a.data[first * a.stride..],
                        a_row: a.stride,
                        a_step: 1,
                        b: &b[key * dim..],
                        b_strip: dim * width,
                        c,
                        c_row: KEY_TILE,
                        limits: Limits::Columns(band),
                    });
                };
                score(q, space.k_transposed, space.p);
                score(dout, space.v_transposed, space.ds);
                let (lse, delta) = (&lse[first..first + rows], &space.delta[first..first + rows]);
                probabilities(space.p, space.ds, KEY_TILE, cols, band, scale, lse, delta);
                // dQ += dS·K.
                multiply(Product {
                    rows,
                    depth: cols,
                    cols: dim,
                    a: space.ds,
                    a_row: KEY_TILE,
                    a_step: 1,
                    b: &space.k[key * width..],
                    b_strip: tokens * width,
                    c: &mut space.dq[first * row_len..],
                    c_row: row_len,
                    limits: Limits::Depth(band, None),
                });
                // dV += Pᵀ·dO and dK += dSᵀ·Q.
                let add = |a: &[f32], b: &[f32], c: &mut [f32]| {
                    multiply(Product {
                        rows: cols,
                        depth: rows,
                        cols: dim,
                        a,
                        a_row: 1,
                        a_step: KEY_TILE,
                        b: &b[first * width..],
                        b_strip: tokens * width,
                        c: &mut c[key * row_len..],
                        c_row: row_len,
                        limits: Limits::Depth(band.transposed(), None),
                    });
                };
                add(space.p, space.dout, space.dv);
                add(space.ds, space.q, space.dk);
            }
        }
    }
}
