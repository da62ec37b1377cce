//! Embedding models of the BERT family (arXiv 1810.04805, 1907.11692, 1911.02116): tokens in, one vector out.

use std::path::Path;

use mynah_kernels::gemm::{MatMut, MatRef, Store, gemm};
use mynah_kernels::{nn, pool};
use serde_json::Value;

use crate::compute::dot;
use crate::compute::fit;
use crate::compute::linear::Linear;
use crate::compute::mlp::{MlpWeights, activate};
use crate::compute::norm::NormWeights;
use crate::config::{Activation, Mlp, Norm};
use crate::error::{Error, Result};
use crate::families::{Names, common};
use crate::files::json::Json;
use crate::files::{Kept, Weights, hub};
use crate::load::{Loader, Piece};
use crate::options::{LoadOptions, with_threads};
use crate::step::Scratch;

/// Tokens that go through the model at a time, to bound its buffers; texts are never cut.
const TOKENS_AT_A_TIME: usize = 4096;

/// How the vectors of the tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first one's.
    First,
    /// The greatest value of each channel.
    Greatest,
}

/// What an embedding model computes.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedderConfig {
    /// The name of the architecture in the model's file.
    pub architecture: String,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest text in tokens.
    pub context_length: usize,
    /// Length of the vector.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Heads of each.
    pub heads: usize,
    /// The feed-forward part of each.
    pub mlp: Mlp,
    /// The norm behind each part.
    pub norm: Norm,
    /// The row of the table of positions that the first token has.
    pub first_position: usize,
    /// How the vectors of the tokens become one.
    pub pooling: Pooling,
    /// Whether the vector is made to have length 1.
    pub normalise: bool,
}

#[derive(Debug)]
struct Layer {
    input: Linear,
    output: Linear,
    attention_norm: NormWeights,
    mlp: MlpWeights,
    mlp_norm: NormWeights,
}

/// An embedding model that is ready to run.
#[derive(Debug)]
pub struct Embedder {
    config: EmbedderConfig,
    threads: Option<usize>,
    words: Kept,
    positions: Kept,
    /// The vector of the only kind of text there is.
    kind: Vec<f32>,
    norm: NormWeights,
    layers: Vec<Layer>,
    scratch: Scratch,
}

impl Embedder {
    /// Loads a model: a folder in the form of Hugging Face or sentence-transformers, or `org/name` in the hub cache.
    /// Without settings of sentence-transformers the vector is the mean, made to have length 1.
    ///
    /// # Errors
    /// As [`Decoder::open`](crate::Decoder::open).
    pub fn open(path_or_id: &str, options: &LoadOptions) -> Result<Self> {
        let path = hub::resolve(path_or_id)?;
        with_threads(options.threads, || Self::open_path(&path, options))
    }

    fn open_path(path: &Path, options: &LoadOptions) -> Result<Self> {
        let json = Json::read(&path.join("config.json"))?;
        let config = describe(path, &json, options.context_length)?;
        let weights = Weights::open_folder(path)?.rename(|name| {
            let bare =
                ["bert.", "roberta.", "xlm_roberta."].iter().find_map(|prefix| name.strip_prefix(prefix));
            // TensorFlow's names of gain and bias, in the oldest files.
            let bare = bare.unwrap_or(name);
            bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        });
        let width = config.width;
        let words = weights.keep("embeddings.word_embeddings.weight")?;
        words.tensor().expect(&[config.vocab_size, width])?;
        let positions = weights.keep("embeddings.position_embeddings.weight")?;
        let rows = json.len("max_position_embeddings")?;
        positions.tensor().expect(&[rows, width])?;
        let kinds = weights.get("embeddings.token_type_embeddings.weight")?;
        kinds.expect(&[json.len_if("type_vocab_size")?.unwrap_or(2), width])?;
        let mut kind = vec![0.0; width];
        kinds.expect_floats()?;
        kinds.read_row(0, &mut kind);
        let mut loader = Loader::new(&weights, &Names::LLAMA, width, config.vocab_size, options.quantize);
        let norm = loader.norm(config.norm, "embeddings.LayerNorm", width)?;
        let mut layers = Vec::with_capacity(config.layers);
        for number in 0..config.layers {
            let at = format!("encoder.layer.{number}.");
            let piece = |name: &str, outputs: usize| Piece::whole(format!("{at}{name}"), outputs);
            let own = ["query", "key", "value"].map(|name| piece(&format!("attention.self.{name}"), width));
            let hidden = config.mlp.hidden;
            layers.push(Layer {
                input: loader.linear(&own, width, true)?,
                output: loader.linear(&[piece("attention.output.dense", width)], width, true)?,
                attention_norm: loader.norm(
                    config.norm,
                    &format!("{at}attention.output.LayerNorm"),
                    width,
                )?,
                mlp: MlpWeights {
                    config: config.mlp,
                    input: loader.linear(&[piece("intermediate.dense", hidden)], width, true)?,
                    output: loader.linear(&[piece("output.dense", width)], hidden, true)?,
                },
                mlp_norm: loader.norm(config.norm, &format!("{at}output.LayerNorm"), width)?,
            });
        }
        let (threads, scratch) = (options.threads, Scratch::default());
        Ok(Self { config, threads, words, positions, kind, norm, layers, scratch })
    }

    /// What the model computes.
    pub fn config(&self) -> &EmbedderConfig {
        &self.config
    }

    /// The vectors of texts, (texts, width), into `out` (cleared first). Tokens are as the model's tokenizer gives them,
    /// its special ones included. A text's vector does not depend on the other texts.
    ///
    /// # Errors
    /// When a text is empty, too long, or has a token beyond the vocabulary.
    pub fn embed(&mut self, texts: &[&[u32]], out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        for (number, text) in texts.iter().enumerate() {
            let fail = |what: String| Err(Error::input(format!("text {number}: {what}")));
            if text.is_empty() {
                return fail("it has no tokens".to_string());
            }
            if text.len() > self.config.context_length {
                let most = self.config.context_length;
                return fail(format!("{} tokens exceed the model's {most}; shorten the text", text.len()));
            }
            if let Some(token) = text.iter().find(|&&token| token as usize >= self.config.vocab_size) {
                return fail(format!("token {token} is not in the vocabulary of {}", self.config.vocab_size));
            }
        }
        with_threads(self.threads, || {
            let mut rest = texts;
            while !rest.is_empty() {
                let mut tokens = 0;
                let count = rest
                    .iter()
                    .take_while(|text| {
                        tokens += text.len();
                        tokens <= TOKENS_AT_A_TIME
                    })
                    .count()
                    .max(1);
                self.run(&rest[..count], out);
                rest = &rest[count..];
            }
        });
        Ok(())
    }

    fn run(&mut self, texts: &[&[u32]], out: &mut Vec<f32>) {
        let width = self.config.width;
        let rows: usize = texts.iter().map(|text| text.len()).sum();
        let mut x = vec![0.0; rows * width];
        let (words, positions) = (self.words.tensor(), self.positions.tensor());
        let mut position = vec![0.0; width];
        let places = texts.iter().flat_map(|text| text.iter().enumerate());
        for (x, (place, &token)) in x.chunks_exact_mut(width).zip(places) {
            words.read_row(token as usize, x);
            positions.read_row(place + self.config.first_position, &mut position);
            let parts = position.iter().zip(&self.kind);
            x.iter_mut().zip(parts).for_each(|(x, (position, kind))| *x += position + kind);
            self.norm.apply_to(x);
        }
        let mut y = Vec::new();
        for layer in &self.layers {
            let Scratch { a: hidden, b: mixed, multiply, .. } = &mut self.scratch;
            layer.input.apply(&x, rows, hidden, multiply);
            attend(texts, self.config.heads, width, hidden, mixed);
            layer.output.apply(mixed, rows, &mut y, multiply);
            add_norm(&mut x, &y, width, &layer.attention_norm);
            layer.mlp.input.apply(&x, rows, hidden, multiply);
            activate(&self.config.mlp, hidden, mixed);
            layer.mlp.output.apply(mixed, rows, &mut y, multiply);
            add_norm(&mut x, &y, width, &layer.mlp_norm);
        }
        let mut first = 0;
        for text in texts {
            let rows = &x[first * width..][..text.len() * width];
            first += text.len();
            let start = out.len();
            out.extend_from_slice(&rows[..width]);
            let vector = &mut out[start..];
            pool_rows(self.config.pooling, rows, vector);
            if self.config.normalise {
                let length = dot(vector, vector).sqrt().max(1e-12);
                vector.iter_mut().for_each(|x| *x /= length);
            }
        }
    }
}

/// `vector` holds the first row.
fn pool_rows(pooling: Pooling, rows: &[f32], vector: &mut [f32]) {
    let width = vector.len();
    let others = rows.chunks_exact(width).skip(1);
    match pooling {
        Pooling::First => {}
        Pooling::Greatest => {
            others.for_each(|row| vector.iter_mut().zip(row).for_each(|(v, x)| *v = v.max(*x)));
        }
        Pooling::Mean => {
            others.for_each(|row| vector.iter_mut().zip(row).for_each(|(v, x)| *v += x));
            let count = (rows.len() / width) as f32;
            vector.iter_mut().for_each(|v| *v /= count);
        }
    }
}

/// x = norm(x + y).
fn add_norm(x: &mut [f32], y: &[f32], width: usize, norm: &NormWeights) {
    for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        norm.apply_to(x);
    }
}

/// Every token of a text sees all of it. qkv is (rows, 3·width), out (rows, width).
fn attend(texts: &[&[u32]], heads: usize, width: usize, qkv: &[f32], out: &mut Vec<f32>) {
    let head_dim = width / heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let starts: Vec<usize> = texts
        .iter()
        .scan(0, |first, text| {
            *first += text.len();
            Some(*first - text.len())
        })
        .collect();
    let results = pool::run_map(texts.len() * heads, |task| {
        let (text, head) = (task / heads, task % heads);
        let count = texts[text].len();
        let rows = &qkv[starts[text] * 3 * width..];
        let part = |which: usize| {
            let data = &rows[which * width + head * head_dim..];
            MatRef::with_strides(data, count, head_dim, 3 * width, 1)
        };
        let mut scores = vec![0.0; count * count];
        gemm(part(0), part(1).t(), MatMut::new(&mut scores, count, count), Store::Overwrite);
        scores.iter_mut().for_each(|score| *score *= scale);
        let mut shares = vec![0.0; count * count];
        nn::softmax_rows(&scores, count, &mut shares);
        let mut result = vec![0.0; count * head_dim];
        let shares = MatRef::new(&shares, count, count);
        gemm(shares, part(2), MatMut::new(&mut result, count, head_dim), Store::Overwrite);
        result
    });
    let rows: usize = texts.iter().map(|text| text.len()).sum();
    fit(out, rows * width);
    for (task, result) in results.iter().enumerate() {
        let (text, head) = (task / heads, task % heads);
        let out = out[starts[text] * width..].chunks_exact_mut(width);
        for (out, result) in out.zip(result.chunks_exact(head_dim)) {
            out[head * head_dim..][..head_dim].copy_from_slice(result);
        }
    }
}

fn describe(path: &Path, json: &Json, context_length: Option<usize>) -> Result<EmbedderConfig> {
    let kind = json.text_if("model_type")?.unwrap_or_default();
    let rows = json.len("max_position_embeddings")?;
    let first_position = match kind {
        "bert" => 0,
        // Positions begin behind that of padding.
        "roberta" | "xlm-roberta" => json.count_if("pad_token_id")?.unwrap_or(1) + 1,
        _ => return Err(json.unsupported("model_type", "bert, roberta, xlm-roberta")),
    };
    if json.text_if("position_embedding_type")?.is_some_and(|kind| kind != "absolute") {
        return Err(json.unsupported("position_embedding_type", "absolute"));
    }
    let (width, heads) = (json.len("hidden_size")?, json.len("num_attention_heads")?);
    if !width.is_multiple_of(heads) {
        return Err(json.wrong("hidden_size", &Value::from(width), &format!("divisible by {heads} heads")));
    }
    if first_position >= rows {
        return Err(json.wrong("max_position_embeddings", &Value::from(rows), "more than pad_token_id + 1"));
    }
    let mut most = rows - first_position;
    let settings = path.join("sentence_bert_config.json");
    if settings.is_file()
        && let Some(length) = Json::read(&settings)?.len_if("max_seq_length")?
    {
        most = most.min(length);
    }
    let (pooling, normalise) = pooling(path)?;
    Ok(EmbedderConfig {
        architecture: kind.to_string(),
        vocab_size: json.len("vocab_size")?,
        context_length: context_length.map_or(most, |wanted| wanted.min(most)),
        width,
        layers: common::layer_count(json, "num_hidden_layers")?,
        heads,
        mlp: Mlp {
            hidden: json.len("intermediate_size")?,
            activation: common::activation(json, "hidden_act", Activation::Gelu)?,
            gated: false,
            bias: true,
        },
        norm: Norm::layer(json.positive_or("layer_norm_eps", 1e-12)? as f32),
        first_position,
        pooling,
        normalise,
    })
}

/// What sentence-transformers does behind the model, from `modules.json`.
fn pooling(path: &Path) -> Result<(Pooling, bool)> {
    let list = path.join("modules.json");
    if !list.is_file() {
        let settings = path.join("1_Pooling").join("config.json");
        return Ok(if settings.is_file() { (read_pooling(&settings)?, true) } else { (Pooling::Mean, true) });
    }
    let json = Json::read_list(&list)?;
    let (mut pooling, mut normalise) = (Pooling::Mean, false);
    for module in json {
        let kind = module.text_if("type")?.unwrap_or_default().to_string();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Normalize" => normalise = true,
            "Pooling" => {
                let folder = module.text_if("path")?.unwrap_or("1_Pooling");
                if folder.contains(['/', '\\']) || folder == ".." {
                    return Err(module.unsupported("path", "a folder in the model's"));
                }
                pooling = read_pooling(&path.join(folder).join("config.json"))?;
            }
            _ => return Err(module.unsupported("type", "Transformer, Pooling, Normalize")),
        }
    }
    Ok((pooling, normalise))
}

fn read_pooling(path: &Path) -> Result<Pooling> {
    let json = Json::read(path)?;
    if let Some(mode) = json.text_if("pooling_mode")? {
        return match mode {
            "mean" => Ok(Pooling::Mean),
            "cls" => Ok(Pooling::First),
            "max" => Ok(Pooling::Greatest),
            _ => Err(json.unsupported("pooling_mode", "mean, cls, max")),
        };
    }
    let modes = [
        ("pooling_mode_mean_tokens", Some(Pooling::Mean)),
        ("pooling_mode_cls_token", Some(Pooling::First)),
        ("pooling_mode_max_tokens", Some(Pooling::Greatest)),
        ("pooling_mode_mean_sqrt_len_tokens", None),
        ("pooling_mode_weightedmean_tokens", None),
        ("pooling_mode_lasttoken", None),
    ];
    let mut chosen = None;
    for (key, pooling) in modes {
        if json.flag(key, false)? {
            if pooling.is_none() || chosen.is_some() {
                return Err(json.unsupported(key, "one of mean, cls and max alone"));
            }
            chosen = pooling;
        }
    }
    chosen.ok_or_else(|| json.missing("pooling_mode_mean_tokens"))
}
