//! The decoder: what is loaded, and a step through it.

use std::path::Path;

use mynah_kernels::nn;

use crate::adapter::{Adapter, Adapters, Modules, missing};
use crate::cache::Cache;
use crate::compute::attention::AttentionWeights;
use crate::compute::experts::ExpertWeights;
use crate::compute::fit;
use crate::compute::linear::Linear;
use crate::compute::mamba::{MambaState, MambaWeights};
use crate::compute::mlp::MlpWeights;
use crate::compute::norm::NormWeights;
use crate::config::{DecoderConfig, Op, Part};
use crate::error::{Error, Result};
use crate::extras::ExtraWeights;
use crate::families::{self, Plan, ours};
use crate::files::json::Json;
use crate::files::{Kept, Weights, gguf, hub};
use crate::load::{Loader, Piece, check_layers};
use crate::options::{LoadOptions, Quantize, with_threads};
use crate::segment::{Logits, Segment};
use crate::step::{Scratch, Step};

/// More pages than this are a mistake.
const PAGES_MAX: usize = 1 << 24;
/// Positions the cache has by default.
const CACHE_TOKENS: usize = 16_384;

/// The weights of one part.
#[derive(Debug)]
struct PartWeights {
    norm_in: Option<NormWeights>,
    op: OpWeights,
    norm_out: Option<NormWeights>,
}

#[derive(Debug)]
enum OpWeights {
    Attention(AttentionWeights),
    Mlp(MlpWeights),
    Experts(ExpertWeights),
    Mamba(MambaWeights),
}

/// The residual stream and what becomes of it, kept from step to step.
#[derive(Debug, Default)]
struct Stream {
    /// (rows, width), as all of these.
    x: Vec<f32>,
    normed: Vec<f32>,
    out: Vec<f32>,
}

/// A model that is ready to run, with its cache.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    /// It comes from a GGUF file.
    gguf: bool,
    threads: Option<usize>,
    /// (vocabulary, width), read row by row where it lies in its file.
    embedding: Kept,
    embedding_norm: Option<NormWeights>,
    positions: Option<Kept>,
    layers: Vec<Vec<PartWeights>>,
    extras: ExtraWeights,
    final_norm: NormWeights,
    head: Linear,
    cache: Cache,
    /// One a Mamba mixer.
    states: Vec<MambaState>,
    slots: usize,
    /// What adapters may change.
    modules: Modules,
    adapters: Adapters,
    /// How many were ever loaded: the number of the last one.
    adapters_loaded: u32,
    /// The place of the first part behind the last one that looks at other rows, if it is in the last layer.
    last_mixer: Option<(usize, usize)>,
    stream: Stream,
    scratch: Scratch,
}

impl Decoder {
    /// Loads a model: a folder in the form of Hugging Face or of a checkpoint of ours, a GGUF file, or `org/name`
    /// in the hub cache. Nothing is downloaded.
    ///
    /// # Errors
    /// When it is not found, not supported, damaged, or does not fit together; the message names the file, the
    /// tensor or setting, and what to do.
    pub fn open(path_or_id: &str, options: &LoadOptions) -> Result<Self> {
        let path = hub::resolve(path_or_id)?;
        with_threads(options.threads, || Self::open_path(&path, options))
    }

    fn open_path(path: &Path, options: &LoadOptions) -> Result<Self> {
        let gguf = if path.is_file() {
            Some(path.to_path_buf())
        } else if path.join("config.json").is_file() {
            None
        } else {
            hub::first_gguf(path)
        };
        if let Some(path) = gguf {
            let (header, weights) = gguf::read(&path)?;
            let (plan, weights) = families::gguf::describe(&path, &header, weights, options.context_length)?;
            return Self::build(plan, true, &weights, options);
        }
        let json = Json::read(&path.join("config.json"))?;
        let weights = Weights::open_folder(path)?.unnest();
        let plan = if ours::is_ours(&json) {
            ours::describe(path, options.context_length)?
        } else {
            families::describe(&json, options.context_length, &|name| weights.has(name), false)?
        };
        Self::build(plan, false, &weights, options)
    }

    fn build(plan: Plan, gguf: bool, weights: &Weights, options: &LoadOptions) -> Result<Self> {
        let Plan { config, names, extra_layers } = plan;
        let (pages, page_tokens) = cache_size(&config, options)?;
        check_layers(weights, names.layer.trim_end_matches("{}."), config.layers.len(), extra_layers)?;
        let (width, vocab_size) = (config.width, config.vocab_size);
        let embedding = weights.keep(&format!("{}.weight", names.embedding))?;
        embedding.tensor().expect(&[vocab_size, width])?;
        let mut loader = Loader::new(weights, &names, width, vocab_size, options.quantize);
        let embedding_norm =
            config.embedding_norm.map(|norm| loader.norm(norm, names.embedding_norm, width)).transpose()?;
        let positions = match config.learned_positions {
            Some(rows) => {
                let kept = weights.keep(&format!("{}.weight", names.positions))?;
                kept.tensor().expect(&[rows, width])?;
                Some(kept)
            }
            None => None,
        };
        let mut layers = Vec::with_capacity(config.layers.len());
        for (number, layer) in config.layers.iter().enumerate() {
            let prefix = names.layer_prefix(number);
            let mut parts = Vec::with_capacity(layer.parts.len());
            for part in &layer.parts {
                let (norm_in, norm_out) = match part.op {
                    Op::Attention(_) | Op::Mamba(_) => (names.mixer_norm, names.mixer_norm_out),
                    Op::Mlp(_) | Op::MixtureOfExperts(_) => (names.mlp_norm, names.mlp_norm_out),
                };
                let norm = |norm: Option<_>, name: &str| {
                    norm.map(|norm| loader.norm(norm, &format!("{prefix}{name}"), width)).transpose()
                };
                let (norm_in, norm_out) = (norm(part.norm_in, norm_in)?, norm(part.norm_out, norm_out)?);
                let op = match &part.op {
                    Op::Attention(attention) => OpWeights::Attention(loader.attention(attention, &prefix)?),
                    Op::Mlp(mlp) => OpWeights::Mlp(loader.mlp(mlp, &format!("{prefix}{}", names.mlp))?),
                    Op::MixtureOfExperts(experts) => OpWeights::Experts(loader.experts(experts, &prefix)?),
                    Op::Mamba(mamba) => OpWeights::Mamba(loader.mamba(mamba, &prefix)?),
                };
                parts.push(PartWeights { norm_in, op, norm_out });
            }
            layers.push(parts);
        }
        let extras = ExtraWeights::load(&loader, &config)?;
        let final_norm = loader.norm(config.final_norm, names.final_norm, width)?;
        // Four bits are too few for the head, which adapters do not change either.
        loader.adaptable = false;
        loader.quantize = options.quantize.map(|_| Quantize::Q8);
        let head = if config.tied_head { names.embedding } else { names.head };
        let head = loader.linear(&[Piece::whole(head.to_string(), vocab_size)], width, config.head_bias)?;
        let last_mixer = last_mixer(&config);
        let cache = Cache::new(&config, options.cache_format, pages, page_tokens)?;
        let states = config
            .parts()
            .filter_map(|part| match &part.op {
                Op::Mamba(mamba) => Some(MambaState::new(mamba, options.max_slots)),
                _ => None,
            })
            .collect();
        Ok(Self {
            config,
            gguf,
            threads: options.threads,
            embedding,
            embedding_norm,
            positions,
            layers,
            extras,
            final_norm,
            head,
            cache,
            states,
            modules: loader.modules,
            adapters: Adapters::new(),
            adapters_loaded: 0,
            slots: options.max_slots,
            last_mixer,
            stream: Stream::default(),
            scratch: Scratch::default(),
        })
    }

    /// What the model computes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Number of tokens: the length of a row of logits.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// Longest sequence.
    pub fn context_length(&self) -> usize {
        self.config.context_length
    }

    /// Positions in a page.
    pub fn page_tokens(&self) -> usize {
        self.cache.page_tokens
    }

    /// Pages of the cache.
    pub fn page_count(&self) -> usize {
        self.cache.pages
    }

    /// Places for recurrent state.
    pub fn slot_count(&self) -> usize {
        self.slots
    }

    /// Whether a sequence has state besides its pages: its pages cannot then serve another sequence, and its
    /// slot must be cleared before the next one.
    pub fn has_recurrent_state(&self) -> bool {
        self.config.has_recurrent_state()
    }

    /// Bytes of weights that a step of one token reads: divided by the memory's bandwidth, the least time it takes.
    pub fn step_bytes(&self) -> usize {
        self.per_token(|linear| linear.matrix.size_bytes())
    }

    /// Multiplications by weights that a token costs; attention comes on top.
    pub fn multiplications_per_token(&self) -> usize {
        self.per_token(|linear| linear.matrix.rows() * linear.matrix.cols())
    }

    /// A sum over the matrices that a token goes through.
    fn per_token(&self, of: impl Fn(&Linear) -> usize) -> usize {
        let parts = self.layers.iter().flatten().map(|part| match &part.op {
            OpWeights::Attention(attention) => of(&attention.input) + of(&attention.output),
            OpWeights::Mlp(mlp) => of(&mlp.input) + of(&mlp.output),
            OpWeights::Mamba(mamba) => of(&mamba.input) + of(&mamba.output),
            OpWeights::Experts(moe) => {
                let all: usize = moe.experts.iter().map(|(input, output)| of(input) + of(output)).sum();
                let shared = moe.shared.as_ref().map_or(0, |mlp| of(&mlp.input) + of(&mlp.output));
                let gate = moe.shared_gate.as_ref().map_or(0, &of);
                of(&moe.router) + all / moe.config.experts * moe.config.chosen + shared + gate
            }
        });
        parts.sum::<usize>() + of(&self.head)
    }

    /// Forgets the recurrent state of a slot. A segment that starts at position 0 does the same.
    ///
    /// # Errors
    /// When there is no such slot.
    pub fn clear_slot(&mut self, slot: u32) -> Result<()> {
        if slot as usize >= self.slots {
            return Err(Error::input(format!("slot {slot} of {} slots", self.slots)));
        }
        self.states.iter_mut().for_each(|state| state.clear(slot as usize));
        Ok(())
    }

    /// Copies a page, so that two sequences with a common beginning can go on apart.
    ///
    /// # Errors
    /// When there is no such page.
    pub fn copy_page(&mut self, from: u32, to: u32) -> Result<()> {
        if let Some(page) = [from, to].into_iter().find(|&page| page as usize >= self.cache.pages) {
            return Err(Error::input(format!("page {page} of {} pages", self.cache.pages)));
        }
        self.cache.copy_page(from, to);
        Ok(())
    }

    /// Loads a low-rank adapter in PEFT's form and returns its number, for [`Segment::adapter`]. Numbers are never
    /// used twice. Keys and values in the cache belong to the adapter they were made with.
    ///
    /// # Errors
    /// When files are missing or damaged, or the adapter changes what cannot be changed in this model.
    pub fn load_adapter(&mut self, folder: &Path) -> Result<u32> {
        if self.gguf {
            return Err(Error::unsupported(
                "adapters fit models in safetensors; the matrices of this GGUF model are in another order",
            ));
        }
        let adapter = Adapter::open(folder, &self.modules)?;
        self.adapters_loaded += 1;
        self.adapters.insert(self.adapters_loaded, adapter);
        Ok(self.adapters_loaded)
    }

    /// Gives an adapter's memory back.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn unload_adapter(&mut self, adapter: u32) -> Result<()> {
        self.adapters.remove(&adapter).map(|_| ()).ok_or_else(|| missing(adapter))
    }

    /// Runs pieces of sequences through the model: their keys and values go into their pages, and `logits`
    /// (cleared first) gets one row of [`vocab_size`](Self::vocab_size) values for each token asked for, in order.
    /// A row does not depend on what else is in the step.
    ///
    /// # Errors
    /// When a segment does not fit the model; nothing has changed then.
    pub fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        self.check(segments)?;
        if !segments.is_empty() {
            with_threads(self.threads, || self.run(segments, logits));
        }
        Ok(())
    }

    fn check(&self, segments: &[Segment<'_>]) -> Result<()> {
        let (vocabulary, context) = (self.config.vocab_size, self.config.context_length);
        let page_tokens = self.cache.page_tokens;
        for (number, segment) in segments.iter().enumerate() {
            let fail = |what: String| Err(Error::input(format!("segment {number}: {what}")));
            let count = segment.tokens.len();
            if count == 0 {
                return fail("it has no tokens".to_string());
            }
            if segment.start >= context || count > context - segment.start {
                return fail(format!(
                    "{count} tokens from position {} on exceed the context of {context}; shorten the text",
                    segment.start
                ));
            }
            if let Some(token) = segment.tokens.iter().find(|&&token| token as usize >= vocabulary) {
                return fail(format!(
                    "token {token} is not in the vocabulary of {vocabulary}; the tokenizer does not match the model"
                ));
            }
            let needed = (segment.start + count).div_ceil(page_tokens);
            if segment.pages.len() < needed {
                return fail(format!("it has {} pages but needs {needed}", segment.pages.len()));
            }
            if let Some(page) =
                segment.pages[..needed].iter().find(|&&page| page as usize >= self.cache.pages)
            {
                return fail(format!("page {page} of {} pages", self.cache.pages));
            }
            if self.has_recurrent_state() && segment.slot as usize >= self.slots {
                return fail(format!("slot {} of {} slots", segment.slot, self.slots));
            }
            if let Some(adapter) = segment.adapter
                && !self.adapters.contains_key(&adapter)
            {
                return fail(format!("adapter {adapter} is not loaded"));
            }
        }
        Ok(())
    }

    fn run(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) {
        let Self { config, layers, cache, states, adapters, scratch, .. } = self;
        let step = Step::new(segments, cache.page_tokens, &config.ropes, adapters);
        let width = config.width;
        let Stream { mut x, mut normed, mut out } = std::mem::take(&mut self.stream);
        embed(config, &self.embedding, self.positions.as_ref(), &step, &mut x);
        if let Some(norm) = &self.embedding_norm {
            norm.apply(&x, width, &mut normed);
            std::mem::swap(&mut x, &mut normed);
        }
        let extras = &self.extras;
        extras.smear(config, &self.embedding, self.embedding_norm.as_ref(), &step, cache, &mut x);
        let first = if extras.first_lambdas.is_some() { x.clone() } else { Vec::new() };
        let mut middle = Vec::new();
        let wanted = wanted_rows(segments);
        let narrow = Step::of_rows(wanted.len(), &config.ropes, adapters);
        let mut step = &step;
        for (number, parts) in layers.iter().enumerate() {
            extras.mix(number, &mut x, &first);
            for (place, part) in parts.iter().enumerate() {
                // Behind the last part that looks at other rows only the wanted rows go on.
                if self.last_mixer == Some((number, place)) && segments.iter().all(|s| s.adapter.is_none()) {
                    gather(&x, &wanted, width, &mut out);
                    std::mem::swap(&mut x, &mut out);
                    step = &narrow;
                }
                if step.tokens.is_empty() {
                    continue;
                }
                let input = match &part.norm_in {
                    Some(norm) => {
                        norm.apply(&x, width, &mut normed);
                        &normed
                    }
                    None => &x,
                };
                match &part.op {
                    OpWeights::Attention(attention) => {
                        let cache = &mut cache.layers[attention.cache_layer];
                        attention.forward(step, input, cache, scratch, &mut out);
                    }
                    OpWeights::Mlp(mlp) => mlp.forward(step, input, scratch, &mut out),
                    OpWeights::Experts(experts) => experts.forward(step, input, scratch, &mut out),
                    OpWeights::Mamba(mamba) => {
                        mamba.forward(step, input, &mut states[mamba.number], scratch, &mut out);
                    }
                }
                if let Some(norm) = &part.norm_out {
                    norm.apply(&out, width, &mut normed);
                    std::mem::swap(&mut out, &mut normed);
                }
                x.iter_mut().zip(&out).for_each(|(x, y)| *x += y);
            }
            if config.extras.backout == Some(number) {
                middle.clone_from(&x);
            }
        }
        if let Some(share) = extras.backout {
            x.iter_mut().zip(&middle).for_each(|(x, middle)| *x -= share * middle);
        }
        if !wanted.is_empty() {
            if step.tokens.len() > wanted.len() {
                gather(&x, &wanted, width, &mut out);
                std::mem::swap(&mut x, &mut out);
            }
            self.final_norm.apply(&x, width, &mut normed);
            self.head.apply(&normed, wanted.len(), logits, &mut scratch.multiply);
            if let Some(cap) = config.logit_softcap {
                logits.iter_mut().for_each(|z| *z /= cap);
                fit(&mut out, logits.len());
                nn::tanh(logits, &mut out);
                logits.iter_mut().zip(&out).for_each(|(z, tanh)| *z = cap * tanh);
            }
        }
        self.stream = Stream { x, normed, out };
    }
}

/// Rows `rows` of x one after the other.
fn gather(x: &[f32], rows: &[usize], width: usize, out: &mut Vec<f32>) {
    out.clear();
    rows.iter().for_each(|&row| out.extend_from_slice(&x[row * width..][..width]));
}

/// The embeddings of the step's tokens, (rows, width).
fn embed(config: &DecoderConfig, table: &Kept, positions: Option<&Kept>, step: &Step<'_>, x: &mut Vec<f32>) {
    fit(x, step.tokens.len() * config.width);
    let table = table.tensor();
    for (x, &token) in x.chunks_exact_mut(config.width).zip(&step.tokens) {
        table.read_row(token as usize, x);
        if config.embedding_scale != 1.0 {
            x.iter_mut().for_each(|x| *x *= config.embedding_scale);
        }
    }
    if let Some(positions) = positions {
        let table = positions.tensor();
        let mut row = vec![0.0; config.width];
        for (x, &position) in x.chunks_exact_mut(config.width).zip(&step.positions) {
            table.read_row(position, &mut row);
            x.iter_mut().zip(&row).for_each(|(x, p)| *x += p);
        }
    }
}

/// The rows whose logits are wanted.
fn wanted_rows(segments: &[Segment<'_>]) -> Vec<usize> {
    let mut rows = Vec::new();
    let mut start = 0;
    for segment in segments {
        let end = start + segment.tokens.len();
        match segment.logits {
            Logits::None => {}
            Logits::Last => rows.push(end - 1),
            Logits::All => rows.extend(start..end),
        }
        start = end;
    }
    rows
}

/// Behind which part of the last layer no row looks at another.
fn last_mixer(config: &DecoderConfig) -> Option<(usize, usize)> {
    let last = config.layers.len().checked_sub(1)?;
    if config.extras.backout == Some(last) {
        return None;
    }
    let mixes = |part: &Part| matches!(part.op, Op::Attention(_) | Op::Mamba(_));
    let first = config.layers[last].parts.iter().rposition(mixes).map_or(0, |at| at + 1);
    (first < config.layers[last].parts.len()).then_some((last, first))
}

/// Pages and their size, checked.
fn cache_size(config: &DecoderConfig, options: &LoadOptions) -> Result<(usize, usize)> {
    let page_tokens = options.page_tokens;
    if page_tokens == 0 || page_tokens > 1 << 16 || !page_tokens.is_multiple_of(16) {
        return Err(Error::config(format!(
            "page_tokens is {page_tokens}; it must be a multiple of 16 up to 65536"
        )));
    }
    let pages =
        options.cache_pages.unwrap_or_else(|| config.context_length.min(CACHE_TOKENS).div_ceil(page_tokens));
    if pages == 0 || pages > PAGES_MAX {
        return Err(Error::config(format!("cache_pages is {pages}; it must be 1 to {PAGES_MAX}")));
    }
    if options.context_length == Some(0) {
        return Err(Error::config("context_length is 0; it must be at least 1"));
    }
    Ok((pages, page_tokens))
}
