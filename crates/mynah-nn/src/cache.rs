//! Inference with remembered keys and values.
//!
//! Each row has its own cache and its own length, so rows of different lengths share a batch without
//! padding: the new tokens of all rows form one matrix (N, C) for everything that works token by token,
//! and only attention looks at rows. All buffers are kept from call to call; a decoding step allocates
//! the logits it returns, and now and then a longer cache.

use mynah_kernels::gemm::{Map, MatMut, MatRef, Store, gemm, gemm_map};
use mynah_kernels::{nn, pool};
use mynah_tensor::Tensor;

use crate::config::{Activation, GptConfig, Norm, SMEAR_GATE_CHANNELS, VALUE_GATE_CHANNELS};
use crate::error::{Error, Result};
use crate::gpt::{Block, Gpt, Linear, NORM_EPS, VALUE_GATE_RANGE, attention_scale};

/// The keys, values and positions of a batch of rows, for [`Gpt::forward_cached`].
#[derive(Clone)]
pub struct KeyValueCache {
    rows: Vec<Row>,
    layers: usize,
    kv_dim: usize,
    width: usize,
    scratch: Scratch,
}

#[derive(Clone, Default)]
struct Row {
    /// Tokens so far; the position of the next one.
    len: usize,
    /// Per layer (len, Hkv·D).
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    /// The last token's embedding before smearing (C); empty at the start.
    previous: Vec<f32>,
}

/// Buffers of one pass, over N new tokens of all rows.
#[derive(Clone, Default)]
struct Scratch {
    ids: Vec<i64>,
    x: Vec<f32>,
    x0: Vec<f32>,
    middle: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    value_embedding: Vec<f32>,
    rotated: Vec<f32>,
    attended: Vec<f32>,
    hidden: Vec<f32>,
    activated: Vec<f32>,
    gate: Vec<f32>,
    inverse: Vec<f32>,
}

impl KeyValueCache {
    /// An empty cache of `rows` rows for models of this configuration.
    pub fn new(config: &GptConfig, rows: usize) -> Self {
        let (layers, kv_dim, width) = (config.n_layer, config.kv_dim(), config.n_embd);
        let row = Row { keys: vec![Vec::new(); layers], values: vec![Vec::new(); layers], ..Row::default() };
        Self { rows: vec![row; rows], layers, kv_dim, width, scratch: Scratch::default() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Tokens that row `row` has seen.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn len(&self, row: usize) -> usize {
        self.rows[row].len
    }

    /// Whether no row has seen a token.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.len == 0)
    }

    /// Bytes of keys and values held.
    pub fn size_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.len * 2 * self.layers * self.kv_dim * size_of::<f32>()).sum()
    }

    /// A cache of `copies` rows that all continue from this one's single row: one prefill, many samples.
    ///
    /// # Errors
    /// When this cache does not have exactly one row.
    pub fn fork(&self, copies: usize) -> Result<Self> {
        if self.rows.len() != 1 {
            return Err(Error::input(format!(
                "fork takes a cache of 1 row, this has {}; use select",
                self.rows.len()
            )));
        }
        self.select(&vec![0; copies])
    }

    /// A cache with the given rows of this one, in this order, repeated where asked.
    ///
    /// # Errors
    /// When a row does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        let rows = rows
            .iter()
            .map(|&row| {
                self.rows.get(row).cloned().ok_or_else(|| {
                    Error::input(format!("select: row {row} of a cache of {} rows", self.rows.len()))
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows, scratch: Scratch::default(), ..*self })
    }

    /// Forgets all tokens, keeps the memory.
    pub fn reset(&mut self) {
        for row in &mut self.rows {
            row.len = 0;
            row.previous.clear();
            row.keys.iter_mut().chain(&mut row.values).for_each(Vec::clear);
        }
    }
}

impl std::fmt::Debug for KeyValueCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths: Vec<usize> = self.rows.iter().map(|row| row.len).collect();
        f.debug_struct("KeyValueCache").field("layers", &self.layers).field("lengths", &lengths).finish()
    }
}

impl Gpt {
    /// Feeds each row its new tokens and returns the logits after each row's last one, (rows, V) with the
    /// softcap applied. Rows may get different numbers of tokens: a prompt to prefill, one token to decode,
    /// or none, which leaves the row as it is and its logits 0.
    ///
    /// # Errors
    /// When the cache is of another model or number of rows, a token is not in the vocabulary, or a row
    /// would exceed the context. Refused input leaves the cache as it was.
    pub fn forward_cached(&self, tokens: &[&[u32]], cache: &mut KeyValueCache) -> Result<Vec<f32>> {
        self.check_cached(tokens, cache)?;
        // Taken out of the cache so that rows and buffers can be borrowed apart.
        let mut scratch = std::mem::take(&mut cache.scratch);
        let result = self.run_cached(tokens, cache, &mut scratch);
        cache.scratch = scratch;
        if result.is_ok() {
            for (row, new) in cache.rows.iter_mut().zip(tokens) {
                row.len += new.len();
            }
        } else {
            let kv_dim = cache.kv_dim;
            for row in &mut cache.rows {
                let kept = row.len * kv_dim;
                row.keys.iter_mut().chain(&mut row.values).for_each(|part| part.truncate(kept));
            }
        }
        result
    }

    fn check_cached(&self, tokens: &[&[u32]], cache: &KeyValueCache) -> Result<()> {
        let config = &self.config;
        if (cache.layers, cache.kv_dim, cache.width) != (config.n_layer, config.kv_dim(), config.n_embd) {
            return Err(Error::input(
                "the key/value cache was made for another model; make it with this model's config",
            ));
        }
        if tokens.len() != cache.rows.len() {
            return Err(Error::input(format!(
                "tokens for {} rows, but the cache has {}",
                tokens.len(),
                cache.rows.len()
            )));
        }
        for (index, (new, row)) in tokens.iter().zip(&cache.rows).enumerate() {
            if row.len + new.len() > config.sequence_len {
                return Err(Error::input(format!(
                    "row {index}: {} tokens and {} new ones exceed the model's context of {}; shorten the prompt or start anew",
                    row.len,
                    new.len(),
                    config.sequence_len
                )));
            }
            if let Some(token) = new.iter().find(|&&token| token as usize >= config.vocab_size) {
                return Err(Error::input(format!(
                    "row {index}: token {token} is not in the vocabulary of {}; the tokenizer does not match the model",
                    config.vocab_size
                )));
            }
        }
        Ok(())
    }

    fn run_cached(&self, tokens: &[&[u32]], cache: &mut KeyValueCache, s: &mut Scratch) -> Result<Vec<f32>> {
        let config = &self.config;
        let (c, v) = (config.n_embd, config.vocab_size);
        let n: usize = tokens.iter().map(|new| new.len()).sum();
        let mut logits = vec![0f32; tokens.len() * v];
        if n == 0 {
            return Ok(logits);
        }
        s.ids.clear();
        s.ids.extend(tokens.iter().flat_map(|new| new.iter().map(|&token| i64::from(token))));
        fit(&mut s.x, n * c);
        self.embedding.with_f32(|table| nn::embedding_forward(table, c, &s.ids, &mut s.x))?;
        if config.embedding_norm {
            norm(config, &s.x, &self.norm_embedding, &mut s.normed, &mut s.inverse)?;
            std::mem::swap(&mut s.x, &mut s.normed);
        }
        self.smear_cached(tokens, cache, s)?;
        s.x0.clone_from(&s.x);
        for (layer, block) in self.blocks.iter().enumerate() {
            self.mix_cached(layer, s)?;
            norm(config, &s.x, &block.norm_attention, &mut s.normed, &mut s.inverse)?;
            self.attention_cached(layer, block, tokens, cache, s)?;
            norm(config, &s.x, &block.norm_mlp, &mut s.normed, &mut s.inverse)?;
            self.mlp_cached(block, n, s)?;
            if layer == config.backout_layer() {
                s.middle.clone_from(&s.x);
            }
        }
        if let Some(lambda) = &self.backout_lambda {
            let lambda = element(lambda, 0)?;
            s.x.iter_mut().zip(&s.middle).for_each(|(x, middle)| *x -= lambda * middle);
        }
        // Only each row's last token goes through the head, the model's largest matrix.
        let mut rows = Vec::new();
        let mut at = 0;
        for (row, new) in tokens.iter().enumerate() {
            at += new.len();
            if !new.is_empty() {
                s.x.copy_within((at - 1) * c..at * c, rows.len() * c);
                rows.push(row);
            }
        }
        s.x.truncate(rows.len() * c);
        norm(config, &s.x, &self.norm_final, &mut s.normed, &mut s.inverse)?;
        fit(&mut s.hidden, rows.len() * v);
        self.head_weight().with_f32(|w| {
            let (x, w) = (MatRef::new(&s.normed, rows.len(), c), MatRef::new(w, v, c).t());
            gemm(x, w, MatMut::new(&mut s.hidden, rows.len(), v), Store::Overwrite);
        })?;
        if let Some(cap) = config.softcap {
            s.hidden.iter_mut().for_each(|z| *z /= cap);
            fit(&mut s.activated, s.hidden.len());
            nn::tanh(&s.hidden, &mut s.activated);
            s.activated.iter_mut().for_each(|z| *z *= cap);
            std::mem::swap(&mut s.hidden, &mut s.activated);
        }
        for (&row, values) in rows.iter().zip(s.hidden.chunks_exact(v)) {
            logits[row * v..][..v].copy_from_slice(values);
        }
        Ok(logits)
    }

    /// x_t += λ·σ(W x_t[:24])·x_(t−1), with the row's last embedding as the first one's predecessor.
    fn smear_cached(&self, tokens: &[&[u32]], cache: &mut KeyValueCache, s: &mut Scratch) -> Result<()> {
        let (Some(gate), Some(lambda)) = (&self.smear_gate, &self.smear_lambda) else { return Ok(()) };
        let c = self.config.n_embd;
        let lambda = element(lambda, 0)?;
        // Each token needs its predecessor's value from before smearing.
        s.normed.clone_from(&s.x);
        gate.with_f32(|gate| {
            let mut at = 0;
            for (row, new) in cache.rows.iter_mut().zip(tokens) {
                for t in at..at + new.len() {
                    let x = &mut s.x[t * c..][..c];
                    let previous = if t > at { &s.normed[(t - 1) * c..][..c] } else { &row.previous };
                    if !previous.is_empty() {
                        let z: f32 = x[..SMEAR_GATE_CHANNELS].iter().zip(gate).map(|(x, w)| x * w).sum();
                        let g = lambda / (1.0 + (-z).exp());
                        x.iter_mut().zip(previous).for_each(|(x, previous)| *x += g * previous);
                    }
                }
                at += new.len();
                if !new.is_empty() {
                    row.previous.clear();
                    row.previous.extend_from_slice(&s.normed[(at - 1) * c..at * c]);
                }
            }
        })?;
        Ok(())
    }

    fn mix_cached(&self, layer: usize, s: &mut Scratch) -> Result<()> {
        let a = self.residual_lambdas.as_ref().map_or(Ok(1.0), |lambdas| element(lambdas, layer))?;
        let b = self.x0_lambdas.as_ref().map_or(Ok(0.0), |lambdas| element(lambdas, layer))?;
        s.x.iter_mut().zip(&s.x0).for_each(|(x, x0)| *x = a * *x + b * x0);
        Ok(())
    }

    /// Adds the attention of `s.normed` to `s.x`, and its keys and values to the cache.
    fn attention_cached(
        &self,
        layer: usize,
        block: &Block,
        tokens: &[&[u32]],
        cache: &mut KeyValueCache,
        s: &mut Scratch,
    ) -> Result<()> {
        let config = &self.config;
        let (c, kv, d, n) = (config.n_embd, config.kv_dim(), config.head_dim(), s.ids.len());
        project(&s.normed, n, &block.query, &mut s.query)?;
        project(&s.normed, n, &block.key, &mut s.key)?;
        project(&s.normed, n, &block.value, &mut s.value)?;
        if let (Some(gate), Some(table)) = (&block.value_gate, &block.value_embedding) {
            let heads = config.n_kv_head;
            fit(&mut s.gate, n * heads);
            fit(&mut s.value_embedding, n * kv);
            table.with_f32(|table| nn::embedding_forward(table, kv, &s.ids, &mut s.value_embedding))?;
            gate.with_f32(|w| {
                let x = MatRef::with_strides(&s.normed, n, VALUE_GATE_CHANNELS, c, 1);
                let w = MatRef::new(w, heads, VALUE_GATE_CHANNELS).t();
                gemm(x, w, MatMut::new(&mut s.gate, n, heads), Store::Overwrite);
            })?;
            s.gate.iter_mut().for_each(|z| *z = VALUE_GATE_RANGE / (1.0 + (-*z).exp()));
            for ((v, ve), gate) in
                s.value.chunks_exact_mut(d).zip(s.value_embedding.chunks_exact(d)).zip(&s.gate)
            {
                v.iter_mut().zip(ve).for_each(|(v, ve)| *v += gate * ve);
            }
        }
        self.rotate_cached(config.n_head, tokens, cache, &mut s.query, &mut s.rotated, &mut s.inverse)?;
        self.rotate_cached(config.n_kv_head, tokens, cache, &mut s.key, &mut s.rotated, &mut s.inverse)?;

        let mut at = 0;
        for (row, new) in cache.rows.iter_mut().zip(tokens) {
            let part = at * kv..(at + new.len()) * kv;
            row.keys[layer].extend_from_slice(&s.key[part.clone()]);
            row.values[layer].extend_from_slice(&s.value[part]);
            at += new.len();
        }
        fit(&mut s.attended, n * c);
        let attend = |row: &Row, queries: &[f32], out: &mut [f32]| {
            let shape = nn::DecodeShape {
                queries: queries.len() / c,
                start: row.len,
                heads: config.n_head,
                kv_heads: config.n_kv_head,
                head_dim: d,
                window: config.window(layer),
                scale: attention_scale(config),
            };
            let (keys, values) = (nn::Rows::new(&row.keys[layer], kv), nn::Rows::new(&row.values[layer], kv));
            nn::attention_decode(&shape, queries, keys, values, out);
        };
        if tokens.len() > 1 && tokens.iter().all(|new| new.len() == 1) {
            let (rows, queries) = (&cache.rows, &s.query);
            pool::run_chunks_mut(&mut s.attended, c, |row, out| {
                attend(&rows[row], &queries[row * c..][..c], out)
            });
        } else {
            let mut at = 0;
            for (row, new) in cache.rows.iter().zip(tokens).filter(|(_, new)| !new.is_empty()) {
                let part = at * c..(at + new.len()) * c;
                attend(row, &s.query[part.clone()], &mut s.attended[part]);
                at += new.len();
            }
        }
        add_projection(&s.attended, n, &block.attention_out, &mut s.x)
    }

    /// Rotates and normalises queries or keys (N, heads, D) at their rows' positions.
    fn rotate_cached(
        &self,
        heads: usize,
        tokens: &[&[u32]],
        cache: &KeyValueCache,
        values: &mut Vec<f32>,
        rotated: &mut Vec<f32>,
        inverse: &mut Vec<f32>,
    ) -> Result<()> {
        let config = &self.config;
        let (d, n) = (config.head_dim(), values.len() / (heads * config.head_dim()));
        fit(rotated, n * heads * d);
        fit(inverse, n * heads);
        let mut rotate = |tables: Option<(&[f32], &[f32])>| {
            let mut at = 0;
            for (row, new) in cache.rows.iter().zip(tokens).filter(|(_, new)| !new.is_empty()) {
                let shape = nn::RopeNorm {
                    tokens: new.len(),
                    heads,
                    head_dim: d,
                    tables,
                    pos0: row.len,
                    norm_eps: config.qk_norm.then_some(NORM_EPS),
                    scale: config.qk_scale,
                };
                let part = at * heads * d..(at + new.len()) * heads * d;
                let inverse =
                    if config.qk_norm { &mut inverse[at * heads..(at + new.len()) * heads] } else { &mut [] };
                nn::rope_norm_forward(&shape, &values[part.clone()], heads * d, &mut rotated[part], inverse);
                at += new.len();
            }
        };
        match &self.rotary {
            Some((cos, sin)) => cos.with_f32(|cos| sin.with_f32(|sin| rotate(Some((cos, sin)))))??,
            None => rotate(None),
        }
        std::mem::swap(values, rotated);
        Ok(())
    }

    /// Adds the feed-forward part of `s.normed` to `s.x`.
    fn mlp_cached(&self, block: &Block, n: usize, s: &mut Scratch) -> Result<()> {
        project(&s.normed, n, &block.mlp_in, &mut s.hidden)?;
        if self.config.activation == Activation::ReluSquare && block.mlp_out.bias.is_none() {
            let (outputs, inputs) = (block.mlp_out.weight.shape()[0], block.mlp_out.weight.shape()[1]);
            block.mlp_out.weight.with_f32(|w| {
                let (x, w) = (MatRef::new(&s.hidden, n, inputs), MatRef::new(w, outputs, inputs).t());
                let out = MatMut::new(&mut s.x, n, outputs);
                gemm_map(x, Map::ReluSquare, w, Map::Identity, out, Store::Accumulate);
            })?;
            return Ok(());
        }
        fit(&mut s.activated, s.hidden.len());
        match self.config.activation {
            Activation::ReluSquare => nn::relu_square_forward(&s.hidden, &mut s.activated),
            Activation::Gelu => nn::gelu(&s.hidden, &mut s.activated),
            Activation::Silu => nn::silu(&s.hidden, &mut s.activated),
        }
        add_projection(&s.activated, n, &block.mlp_out, &mut s.x)
    }
}

/// Gives a buffer this length; what it held is of no interest.
fn fit(buffer: &mut Vec<f32>, len: usize) {
    buffer.resize(len, 0.0);
}

fn element(tensor: &Tensor, index: usize) -> Result<f32> {
    Ok(tensor.with_f32(|values| values[index])?)
}

/// out = x·Wᵀ + b, x being (n, in).
fn project(x: &[f32], n: usize, layer: &Linear, out: &mut Vec<f32>) -> Result<()> {
    fit(out, n * layer.weight.shape()[0]);
    multiply(x, n, layer, out, Store::Overwrite)
}

/// out += x·Wᵀ + b.
fn add_projection(x: &[f32], n: usize, layer: &Linear, out: &mut [f32]) -> Result<()> {
    multiply(x, n, layer, out, Store::Accumulate)
}

fn multiply(x: &[f32], n: usize, layer: &Linear, out: &mut [f32], store: Store<'_, f32>) -> Result<()> {
    let (outputs, inputs) = (layer.weight.shape()[0], layer.weight.shape()[1]);
    layer.weight.with_f32(|w| {
        let (x, w) = (MatRef::new(x, n, inputs), MatRef::new(w, outputs, inputs).t());
        gemm(x, w, MatMut::new(out, n, outputs), store);
    })?;
    if let Some(bias) = &layer.bias {
        bias.with_f32(|bias| {
            for row in out.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        })?;
    }
    Ok(())
}

/// y = norm(x) over rows of C channels.
fn norm(
    config: &GptConfig,
    x: &[f32],
    gain: &Option<Tensor>,
    y: &mut Vec<f32>,
    inverse: &mut Vec<f32>,
) -> Result<()> {
    let c = config.n_embd;
    fit(y, x.len());
    fit(inverse, x.len() / c);
    match config.norm {
        Norm::Rms => nn::rms_norm_forward(x, c, NORM_EPS, y, inverse),
        Norm::Layer => {
            let mut centred = x.to_vec();
            for row in centred.chunks_exact_mut(c) {
                let mean = row.iter().sum::<f32>() / c as f32;
                row.iter_mut().for_each(|x| *x -= mean);
            }
            nn::rms_norm_forward(&centred, c, NORM_EPS, y, inverse);
        }
        Norm::None => y.copy_from_slice(x),
    }
    if let Some(gain) = gain {
        gain.with_f32(|gain| {
            for row in y.chunks_exact_mut(c) {
                row.iter_mut().zip(gain).for_each(|(y, g)| *y *= g);
            }
        })?;
    }
    Ok(())
}
