//! Attention over the paged cache.

use mynah_kernels::nn::{Rows, RowsMut};
use mynah_kernels::paged::{PagedAttention, PagedKv, paged_attention};
use mynah_kernels::pool;

use crate::compute::linear::Linear;
use crate::compute::norm::NormWeights;
use crate::compute::{dot, fit, sigmoid};
use crate::config::Attention;
use crate::files::Kept;
use crate::step::{Scratch, Step};

/// Values of queries, keys and values that one task turns at least.
const GRAIN: usize = 1 << 14;

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
        cache: &mut PagedKv,
        scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) {
        let c = &self.config;
        let (q_len, kv_len) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let row_len = q_len + 2 * kv_len;
        let Scratch { a: qkv, b: attended, multiply, .. } = scratch;
        step.linear(&self.input, x, qkv, multiply);
        if let Some(values) = &self.value_embedding {
            values.add(step, x, qkv, row_len, q_len + kv_len, c.head_dim);
        }
        let rows = GRAIN.div_ceil(row_len);
        pool::run_chunks_mut(qkv, rows * row_len, |task, qkv| {
            for (i, qkv) in qkv.chunks_exact_mut(row_len).enumerate() {
                let (q, kv) = qkv.split_at_mut(q_len);
                self.place(step, task * rows + i, q, &self.query_norm);
                self.place(step, task * rows + i, &mut kv[..kv_len], &self.key_norm);
            }
        });
        let (keys, values) = (&qkv[q_len..], &qkv[q_len + kv_len..]);
        cache.write(&step.places, Rows::new(keys, row_len), Rows::new(values, row_len));
        fit(attended, step.tokens.len() * q_len);
        let config = PagedAttention {
            heads: c.heads,
            scale: c.scale,
            window: c.window,
            softcap: c.softcap,
            sinks: self.sinks.as_deref(),
        };
        let queries = Rows::new(qkv, row_len);
        paged_attention(&config, cache, &step.paged, queries, RowsMut::new(attended, q_len));
        step.linear(&self.output, attended, out, multiply);
    }

    /// Norm and rotation of the queries or the keys of one row.
    fn place(&self, step: &Step<'_>, row: usize, heads: &mut [f32], norm: &Option<NormWeights>) {
        let after = self.config.query_key_norm.is_some_and(|norm| norm.after_rope);
        if !after {
            self.normalise(heads, norm);
        }
        if let Some(rope) = self.config.rope {
            step.angles[rope].turn(&step.ropes[rope], row, self.config.head_dim, heads);
        }
        if after {
            self.normalise(heads, norm);
        }
    }

    fn normalise(&self, heads: &mut [f32], norm: &Option<NormWeights>) {
        let (Some(weights), Some(config)) = (norm, &self.config.query_key_norm) else { return };
        let width = if config.whole { heads.len() } else { self.config.head_dim };
        heads.chunks_exact_mut(width).for_each(|heads| weights.apply_to(heads));
        if config.scale != 1.0 {
            heads.iter_mut().for_each(|x| *x *= config.scale);
        }
    }
}

impl ValueEmbedding {
    /// v += range·σ(W x[:channels])·table[token].
    fn add(&self, step: &Step<'_>, x: &[f32], qkv: &mut [f32], row_len: usize, at: usize, head_dim: usize) {
        let width = x.len() / step.tokens.len();
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
