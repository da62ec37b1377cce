//! Keys and values of all sequences, in pages.

use std::ops::Range;

use crate::config::{DecoderConfig, Op};

/// The keys and values of one attention part: pages of (heads, tokens, head_dim).
#[derive(Debug)]
pub(crate) struct LayerCache {
    keys: Vec<f32>,
    values: Vec<f32>,
    kv_heads: usize,
    head_dim: usize,
    page_tokens: usize,
}

impl LayerCache {
    fn page_len(&self) -> usize {
        self.kv_heads * self.page_tokens * self.head_dim
    }

    /// Puts the key and the value of one token, (heads, head_dim) each, into a page.
    pub(crate) fn write(&mut self, page: usize, offset: usize, key: &[f32], value: &[f32]) {
        let (d, start) = (self.head_dim, page * self.page_len());
        for head in 0..self.kv_heads {
            let at = start + (head * self.page_tokens + offset) * d;
            self.keys[at..at + d].copy_from_slice(&key[head * d..][..d]);
            self.values[at..at + d].copy_from_slice(&value[head * d..][..d]);
        }
    }

    /// Calls `each(i, key)` for position `positions.start + i` of a sequence.
    pub(crate) fn for_keys(
        &self,
        pages: &[u32],
        positions: Range<usize>,
        head: usize,
        each: impl FnMut(usize, &[f32]),
    ) {
        self.for_rows(&self.keys, pages, positions, head, each);
    }

    /// Calls `each(i, value)` for position `positions.start + i` of a sequence.
    pub(crate) fn for_values(
        &self,
        pages: &[u32],
        positions: Range<usize>,
        head: usize,
        each: impl FnMut(usize, &[f32]),
    ) {
        self.for_rows(&self.values, pages, positions, head, each);
    }

    fn for_rows(
        &self,
        data: &[f32],
        pages: &[u32],
        positions: Range<usize>,
        head: usize,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        let (d, tokens) = (self.head_dim, self.page_tokens);
        let mut position = positions.start;
        while position < positions.end {
            let (page, offset) = (pages[position / tokens] as usize, position % tokens);
            let count = (tokens - offset).min(positions.end - position);
            let at = page * self.page_len() + (head * tokens + offset) * d;
            for (i, row) in data[at..at + count * d].chunks_exact(d).enumerate() {
                each(position - positions.start + i, row);
            }
            position += count;
        }
    }
}

/// The paged cache of a model.
#[derive(Debug)]
pub(crate) struct Cache {
    pub layers: Vec<LayerCache>,
    /// The tokens in the pages, for models that look at the token before.
    tokens: Vec<u32>,
    pub pages: usize,
    pub page_tokens: usize,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(config: &DecoderConfig, pages: usize, page_tokens: usize) -> Self {
        let layers = config.parts().filter_map(|part| match &part.op {
            Op::Attention(attention) => {
                let (kv_heads, head_dim) = (attention.kv_heads, attention.head_dim);
                let len = pages * page_tokens * kv_heads * head_dim;
                Some(LayerCache {
                    keys: vec![0.0; len],
                    values: vec![0.0; len],
                    kv_heads,
                    head_dim,
                    page_tokens,
                })
            }
            _ => None,
        });
        let layers = layers.collect();
        let tokens = if config.extras.smear.is_some() { vec![0; pages * page_tokens] } else { Vec::new() };
        Self { layers, tokens, pages, page_tokens }
    }

    /// Notes the token at a place.
    pub(crate) fn write_token(&mut self, page: usize, offset: usize, token: u32) {
        if let Some(place) = self.tokens.get_mut(page * self.page_tokens + offset) {
            *place = token;
        }
    }

    /// The token at a place.
    pub(crate) fn token(&self, page: usize, offset: usize) -> u32 {
        self.tokens.get(page * self.page_tokens + offset).copied().unwrap_or(0)
    }

    /// Copies all that a page holds.
    pub(crate) fn copy_page(&mut self, from: usize, to: usize) {
        for layer in &mut self.layers {
            let len = layer.page_len();
            layer.keys.copy_within(from * len..(from + 1) * len, to * len);
            layer.values.copy_within(from * len..(from + 1) * len, to * len);
        }
        let n = self.page_tokens;
        if !self.tokens.is_empty() {
            self.tokens.copy_within(from * n..(from + 1) * n, to * n);
        }
    }

    /// Bytes that a page takes over all layers.
    pub(crate) fn page_bytes(config: &DecoderConfig, page_tokens: usize) -> usize {
        let values: usize = config
            .parts()
            .map(|part| match &part.op {
                Op::Attention(attention) => 2 * attention.kv_heads * attention.head_dim,
                _ => 0,
            })
            .sum();
        values * page_tokens * size_of::<f32>()
    }
}
