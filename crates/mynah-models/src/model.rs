//! The weights of a decoder: what is loaded from files, without the memory of any sequence.

use std::path::Path;

use crate::adapter::Modules;
use crate::compute::attention::AttentionWeights;
use crate::compute::experts::ExpertWeights;
use crate::compute::linear::Linear;
use crate::compute::mamba::MambaWeights;
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

/// The weights of one part.
#[derive(Debug)]
pub(crate) struct PartWeights {
    pub norm_in: Option<NormWeights>,
    pub op: OpWeights,
    pub norm_out: Option<NormWeights>,
}

#[derive(Debug)]
pub(crate) enum OpWeights {
    Attention(AttentionWeights),
    Mlp(MlpWeights),
    Experts(ExpertWeights),
    Mamba(MambaWeights),
}

/// The weights of a model and what to compute with them. Nothing in it changes, so that threads share it: a
/// [`Decoder`](crate::Decoder) runs it, and takes others of the same form beside it while it runs.
#[derive(Debug)]
pub struct Model {
    pub(crate) config: DecoderConfig,
    /// It comes from a GGUF file.
    pub(crate) gguf: bool,
    /// (vocabulary, width), read row by row where it lies in its file.
    pub(crate) embedding: Kept,
    pub(crate) embedding_norm: Option<NormWeights>,
    pub(crate) positions: Option<Kept>,
    pub(crate) layers: Vec<Vec<PartWeights>>,
    pub(crate) extras: ExtraWeights,
    pub(crate) final_norm: NormWeights,
    pub(crate) head: Linear,
    /// What adapters may change.
    pub(crate) modules: Modules,
    /// The place of the first part behind the last one that looks at other rows, if it is in the last layer.
    pub(crate) last_mixer: Option<(usize, usize)>,
}

impl Model {
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
        Ok(Self {
            config,
            gguf,
            embedding,
            embedding_norm,
            positions,
            layers,
            extras,
            final_norm,
            head,
            modules: loader.modules,
            last_mixer,
        })
    }

    /// What the model computes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Refuses weights that cannot take this one's place: another configuration, or matrices cut otherwise.
    pub(crate) fn check_like(&self, other: &Model) -> Result<()> {
        let has_form = other.config == self.config && other.gguf == self.gguf;
        if has_form && other.modules.keys().eq(self.modules.keys()) {
            return Ok(());
        }
        let (new, old) = (&other.config, &self.config);
        let what = if new.architecture != old.architecture {
            format!("they are a {}, the model is a {}", new.architecture, old.architecture)
        } else if new.layers.len() != old.layers.len() || new.width != old.width {
            let (layers, width) = (new.layers.len(), new.width);
            let of = (old.layers.len(), old.width);
            format!("they have {layers} layers of width {width}, the model {} of {}", of.0, of.1)
        } else if new.vocab_size != old.vocab_size {
            format!("they know {} tokens, the model {}", new.vocab_size, old.vocab_size)
        } else {
            "their configuration is not the model's".to_string()
        };
        Err(Error::input(format!("these weights cannot take the place of the model's: {what}")))
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
