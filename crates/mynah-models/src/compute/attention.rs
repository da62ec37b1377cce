//! Attention over the paged cache.
//!
//! Each query of each head is computed alone: its scores, their softmax, the weighted sum of values. So the
//! result does not depend on how a prompt was cut or on what else is in the batch.

use mynah_kernels::pool;

use crate::cache::LayerCache;
use crate::compute::linear::Linear;
use crate::compute::norm::NormWeights;
use crate::compute::{dot, fit, sigmoid};
use crate::config::Attention;
use crate::files::Kept;
use crate::step::{Scratch, Step};

/// The weights of an attention part.
#[derive(Debug)]
pub(crate) struct AttentionWeights {
    pub config: Attention,
    /// Queries, keys and values in one matrix, in this order.
    pub input: Linear,
    pub output: Linear,
    pub query_norm: Option<NormWeights>,
    pub key_norm: Option<NormWeights>,
    /// One score a head.
    pub sinks: Option<Vec<f32>>,
    pub value_embedding: Option<ValueEmbedding>,
    /// Which layer of the cache holds its keys and values.
    pub cache_layer: usize,
}

/// Our GPT's value embedding: a table (vocabulary, kv_heads · head_dim) and its gate (kv_heads, channels).
#[derive(Debug)]
pub(crate) struct ValueEmbedding {
    pub table: Kept,
    pub gate: Vec<f32>,
    pub channels: usize,
    /// Largest value of the gate.
    pub range: f32,
}

impl AttentionWeights {
    /// out = attention(x), having added the keys and values of these rows to the cache.
    pub(crate) fn forward(
        &self,
        step: &Step<'_>,
        x: &[f32],
        cache: &mut LayerCache,
        scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) {
        let c = &self.config;
        let (q_len, kv_len) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let row_len = q_len + 2 * kv_len;
        let Scratch { a: qkv, b: attended, c: spare, d: normed, multiply } = scratch;
        step.linear(&self.input, x, qkv, multiply);
        if let Some(values) = &self.value_embedding {
            values.add(step, x, qkv, row_len, q_len + kv_len, c.head_dim);
        }
        for (row, qkv) in qkv.chunks_exact_mut(row_len).enumerate() {
            let (q, kv) = qkv.split_at_mut(q_len);
            let k = &mut kv[..kv_len];
            for (heads, norm) in [(q, &self.query_norm), (k, &self.key_norm)] {
                let after = c.query_key_norm.is_some_and(|norm| norm.after_rope);
                if !after {
                    self.normalise(heads, norm, normed, spare);
                }
                if let Some(rope) = c.rope {
                    step.angles[rope].turn(&step.ropes[rope], row, c.head_dim, heads);
                }
                if after {
                    self.normalise(heads, norm, normed, spare);
                }
            }
        }
        for place in &step.rows {
            let kv = &qkv[place.row * row_len + q_len..][..2 * kv_len];
            cache.write(place.page, place.offset, &kv[..kv_len], &kv[kv_len..]);
        }
        fit(attended, step.rows.len() * q_len);
        // One task: the query heads of a row that share keys.
        let group = c.heads / c.kv_heads;
        let (cache, qkv) = (&*cache, &*qkv);
        pool::run_chunks_mut(attended, group * c.head_dim, |task, out| {
            let (row, kv_head) = (task / c.kv_heads, task % c.kv_heads);
            let queries = &qkv[row * row_len + kv_head * group * c.head_dim..][..group * c.head_dim];
            self.attend(step, row, kv_head, queries, cache, out);
        });
        step.linear(&self.output, attended, out, multiply);
    }

    fn normalise(
        &self,
        heads: &mut [f32],
        norm: &Option<NormWeights>,
        normed: &mut Vec<f32>,
        spare: &mut Vec<f32>,
    ) {
        let (Some(weights), Some(config)) = (norm, &self.config.query_key_norm) else { return };
        let width = if config.whole { heads.len() } else { self.config.head_dim };
        weights.apply(heads, width, normed, spare);
        if config.scale == 1.0 {
            heads.copy_from_slice(normed);
        } else {
            heads.iter_mut().zip(normed).for_each(|(head, normed)| *head = *normed * config.scale);
        }
    }

    /// The heads of one group for one row.
    fn attend(
        &self,
        step: &Step<'_>,
        row: usize,
        kv_head: usize,
        queries: &[f32],
        cache: &LayerCache,
        out: &mut [f32],
    ) {
        let c = &self.config;
        let pages = step.segments[step.rows[row].segment].pages;
        let end = step.positions[row] + 1;
        let start = c.window.map_or(0, |window| end.saturating_sub(window));
        let mut scores = vec![0.0f32; end - start];
        let heads = queries.chunks_exact(c.head_dim).zip(out.chunks_exact_mut(c.head_dim));
        for (head, (query, out)) in heads.enumerate() {
            cache.for_keys(pages, start..end, kv_head, |at, key| scores[at] = dot(query, key) * c.scale);
            if let Some(cap) = c.softcap {
                scores.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
            }
            let group = c.heads / c.kv_heads;
            let sink = self.sinks.as_ref().map(|sinks| sinks[kv_head * group + head]);
            let greatest = scores.iter().copied().fold(sink.unwrap_or(f32::NEG_INFINITY), f32::max);
            let mut sum = sink.map_or(0.0, |sink| (sink - greatest).exp());
            for score in &mut scores {
                *score = (*score - greatest).exp();
                sum += *score;
            }
            out.fill(0.0);
            cache.for_values(pages, start..end, kv_head, |at, value| {
                let weight = scores[at];
                out.iter_mut().zip(value).for_each(|(out, v)| *out += weight * v);
            });
            let inverse = 1.0 / sum;
            out.iter_mut().for_each(|out| *out *= inverse);
        }
    }
}

impl ValueEmbedding {
    /// v += range·σ(W x[:channels])·table[token].
    fn add(&self, step: &Step<'_>, x: &[f32], qkv: &mut [f32], row_len: usize, at: usize, head_dim: usize) {
        let width = x.len() / step.rows.len();
        let table = self.table.tensor();
        let mut embedding = vec![0.0; row_len - at];
        let rows = x.chunks_exact(width).zip(qkv.chunks_exact_mut(row_len)).zip(&step.tokens);
        for ((x, qkv), &token) in rows {
            table.read_row(token as usize, &mut embedding);
            let heads = qkv[at..].chunks_exact_mut(head_dim).zip(embedding.chunks_exact(head_dim));
            for ((value, embedding), gate) in heads.zip(self.gate.chunks_exact(self.channels)) {
                let gate = self.range * sigmoid(dot(&x[..self.channels], gate));
                value.iter_mut().zip(embedding).for_each(|(v, e)| *v += gate * e);
            }
        }
    }
}
