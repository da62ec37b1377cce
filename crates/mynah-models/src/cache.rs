//! Keys and values of all sequences, in pages.

use mynah_kernels::paged::{KvFormat, PagedKv};

use crate::config::{DecoderConfig, Op};
use crate::error::{Error, Result};

/// The paged cache of a model.
#[derive(Debug)]
pub(crate) struct Cache {
    pub layers: Vec<PagedKv>,
    /// The tokens in the pages, for models that look at the token before.
    tokens: Vec<u32>,
    pub pages: usize,
    pub page_tokens: usize,
}

impl Cache {
    /// An empty cache.
    ///
    /// # Errors
    /// When sizes are impossible or there is not enough memory.
    pub(crate) fn new(
        config: &DecoderConfig,
        format: KvFormat,
        pages: usize,
        page_tokens: usize,
    ) -> Result<Self> {
        let mut layers = Vec::new();
        for part in config.parts() {
            if let Op::Attention(attention) = &part.op {
                let layer = PagedKv::new(format, attention.kv_heads, attention.head_dim, page_tokens, pages);
                layers.push(layer.map_err(|error| Error::config(format!("the cache: {error}")))?);
            }
        }
        let tokens = if config.extras.smear.is_some() { vec![0; pages * page_tokens] } else { Vec::new() };
        Ok(Self { layers, tokens, pages, page_tokens })
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
    pub(crate) fn copy_page(&mut self, from: u32, to: u32) {
        for layer in &mut self.layers {
            layer.copy_page(from, to);
        }
        let n = self.page_tokens;
        let (from, to) = (from as usize, to as usize);
        if !self.tokens.is_empty() {
            self.tokens.copy_within(from * n..(from + 1) * n, to * n);
        }
    }
}
