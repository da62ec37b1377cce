//! The decoder: weights, the cache of all sequences, and a step through it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mynah_kernels::nn;

use crate::adapter::{Adapter, Adapters, missing};
use crate::cache::Cache;
use crate::compute::fit;
use crate::compute::mamba::MambaState;
use crate::config::{DecoderConfig, Op};
use crate::error::{Error, Result};
use crate::files::Kept;
use crate::model::{Model, OpWeights};
use crate::options::{LoadOptions, with_threads};
use crate::segment::{Logits, Segment};
use crate::step::{Scratch, Step};

/// More pages than this are a mistake.
const PAGES_MAX: usize = 1 << 24;
/// Positions the cache has by default.
const CACHE_TOKENS: usize = 16_384;

/// The residual stream and what becomes of it, kept from step to step.
#[derive(Debug, Default)]
struct Stream {
    /// (rows, width), as all of these.
    x: Vec<f32>,
    normed: Vec<f32>,
    out: Vec<f32>,
}

/// A model that is ready to run, with its cache.
///
/// It holds one set of weights under the number 0, and further ones while they are exchanged
/// ([`install`](Self::install)); each segment says which it is computed with.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    /// By number, at least one.
    models: BTreeMap<u32, Arc<Model>>,
    threads: Option<usize>,
    cache: Cache,
    /// One a Mamba mixer.
    states: Vec<MambaState>,
    slots: usize,
    adapters: Adapters,
    /// How many were ever loaded: the number of the last one.
    adapters_loaded: u32,
    stream: Stream,
    scratch: Scratch,
}

impl Decoder {
    /// Loads a model, as [`Model::open`], and gives it a cache.
    ///
    /// # Errors
    /// As [`Model::open`], and for a cache that cannot be.
    pub fn open(path_or_id: &str, options: &LoadOptions) -> Result<Self> {
        Self::new(Arc::new(Model::open(path_or_id, options)?), options)
    }

    /// Gives a loaded model a cache.
    ///
    /// # Errors
    /// When the options' pages, slots or context cannot be.
    pub fn new(model: Arc<Model>, options: &LoadOptions) -> Result<Self> {
        let config = model.config.clone();
        let (pages, page_tokens) = cache_size(&config, options)?;
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
            models: BTreeMap::from([(0, model)]),
            threads: options.threads,
            cache,
            states,
            slots: options.max_slots,
            adapters: Adapters::new(),
            adapters_loaded: 0,
            stream: Stream::default(),
            scratch: Scratch::default(),
        })
    }

    /// Takes further weights of the same form under a number, for [`Segment::weights`]. It takes no longer than to
    /// move a pointer. Adapters stay; they add to whichever weights a segment names.
    ///
    /// # Errors
    /// When the number is taken, or the weights are of another form; nothing has changed then.
    pub fn install(&mut self, number: u32, model: Arc<Model>) -> Result<()> {
        self.model().check_like(&model)?;
        if self.models.contains_key(&number) {
            return Err(Error::input(format!("weights {number} are there already")));
        }
        self.models.insert(number, model);
        Ok(())
    }

    /// Takes weights out again and gives them back: whoever drops the last reference waits for the memory to be
    /// freed.
    ///
    /// # Errors
    /// When they are not there, or are the last ones.
    pub fn remove(&mut self, number: u32) -> Result<Arc<Model>> {
        if self.models.len() == 1 && self.models.contains_key(&number) {
            return Err(Error::input(format!("weights {number} are the only ones")));
        }
        self.models.remove(&number).ok_or_else(|| not_installed(number))
    }

    /// The weights under a number.
    pub fn weights(&self, number: u32) -> Option<&Arc<Model>> {
        self.models.get(&number)
    }

    /// Any of the weights: all have one form.
    fn model(&self) -> &Model {
        self.models.values().next().expect("a decoder has weights")
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
        self.model().step_bytes()
    }

    /// Multiplications by weights that a token costs; attention comes on top.
    pub fn multiplications_per_token(&self) -> usize {
        self.model().multiplications_per_token()
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
        if self.model().gguf {
            return Err(Error::unsupported(
                "adapters fit models in safetensors; the matrices of this GGUF model are in another order",
            ));
        }
        let adapter = Adapter::open(folder, &self.model().modules)?;
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
        let Some(first) = segments.first() else { return Ok(()) };
        let is_one = segments.iter().all(|segment| segment.weights == first.weights);
        with_threads(self.threads, || {
            if is_one { self.run(segments, logits) } else { self.run_each(segments, logits) }
        });
        Ok(())
    }

    /// Runs segments of several weights, one after the other, and puts the rows in order.
    fn run_each(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) {
        let mut starts = Vec::with_capacity(segments.len());
        let mut rows = 0;
        for segment in segments {
            starts.push(rows);
            rows += segment.rows();
        }
        let vocab_size = self.config.vocab_size;
        logits.resize(rows * vocab_size, 0.0);
        let numbers: BTreeSet<u32> = segments.iter().map(|segment| segment.weights).collect();
        let mut part = Vec::new();
        for number in numbers {
            let chosen = |place: &usize| segments[*place].weights == number;
            let places: Vec<usize> = (0..segments.len()).filter(chosen).collect();
            let own: Vec<Segment<'_>> = places.iter().map(|&place| segments[place]).collect();
            part.clear();
            self.run(&own, &mut part);
            let mut rest = &part[..];
            for place in places {
                let (rows, others) = rest.split_at(segments[place].rows() * vocab_size);
                logits[starts[place] * vocab_size..][..rows.len()].copy_from_slice(rows);
                rest = others;
            }
        }
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
            if !self.models.contains_key(&segment.weights) {
                return fail(not_installed(segment.weights).to_string());
            }
            if let Some(adapter) = segment.adapter
                && !self.adapters.contains_key(&adapter)
            {
                return fail(format!("adapter {adapter} is not loaded"));
            }
        }
        Ok(())
    }

    /// Runs segments of one set of weights, at least one.
    fn run(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) {
        let Self { config, models, cache, states, adapters, scratch, .. } = self;
        let model = &*models[&segments[0].weights];
        let step = Step::new(segments, cache.page_tokens, &config.ropes, adapters);
        let width = config.width;
        let Stream { mut x, mut normed, mut out } = std::mem::take(&mut self.stream);
        embed(config, &model.embedding, model.positions.as_ref(), &step, &mut x);
        if let Some(norm) = &model.embedding_norm {
            norm.apply(&x, width, &mut normed);
            std::mem::swap(&mut x, &mut normed);
        }
        let extras = &model.extras;
        extras.smear(config, &model.embedding, model.embedding_norm.as_ref(), &step, cache, &mut x);
        let first = if extras.first_lambdas.is_some() { x.clone() } else { Vec::new() };
        let mut middle = Vec::new();
        let wanted = wanted_rows(segments);
        let narrow = Step::of_rows(wanted.len(), &config.ropes, adapters);
        let mut step = &step;
        for (number, parts) in model.layers.iter().enumerate() {
            extras.mix(number, &mut x, &first);
            for (place, part) in parts.iter().enumerate() {
                // Behind the last part that looks at other rows only the wanted rows go on.
                if model.last_mixer == Some((number, place)) && segments.iter().all(|s| s.adapter.is_none()) {
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
            model.final_norm.apply(&x, width, &mut normed);
            model.head.apply(&normed, wanted.len(), logits, &mut scratch.multiply);
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

/// The error of a number that no weights have.
fn not_installed(number: u32) -> Error {
    Error::input(format!("no weights are installed under the number {number}"))
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
