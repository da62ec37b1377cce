//! The GPT: parameters by name, and the formulas from token ids to the loss.

use mynah_base::Rng;
use mynah_tensor::{Reduction, Tensor, no_grad, ops};

use crate::config::{Activation, GptConfig, Norm, ParamCounts, SMEAR_GATE_CHANNELS, VALUE_GATE_CHANNELS};
use crate::error::{Error, Result};
use crate::init::{self, Init};

/// Epsilon of every norm: that of f32, as PyTorch's `rms_norm` has by default.
pub(crate) const NORM_EPS: f32 = f32::EPSILON;
/// Largest value of the value-embedding gate.
pub(crate) const VALUE_GATE_RANGE: f32 = 3.0;

/// A linear layer: `weight` is (out, in).
#[derive(Clone)]
pub(crate) struct Linear {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

/// One transformer block.
pub(crate) struct Block {
    pub norm_attention: Option<Tensor>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub attention_out: Linear,
    /// (n_kv_head, 12)
    pub value_gate: Option<Tensor>,
    /// (V, kv_dim)
    pub value_embedding: Option<Tensor>,
    pub norm_mlp: Option<Tensor>,
    pub mlp_in: Linear,
    pub mlp_out: Linear,
}

/// A GPT with its weights.
///
/// Tensors are shared handles: an optimizer that holds them trains this model.
pub struct Gpt {
    pub(crate) config: GptConfig,
    /// (V, C)
    pub(crate) embedding: Tensor,
    pub(crate) norm_embedding: Option<Tensor>,
    /// (1, 24)
    pub(crate) smear_gate: Option<Tensor>,
    pub(crate) smear_lambda: Option<Tensor>,
    pub(crate) blocks: Vec<Block>,
    /// (n_layer)
    pub(crate) residual_lambdas: Option<Tensor>,
    /// (n_layer)
    pub(crate) x0_lambdas: Option<Tensor>,
    pub(crate) backout_lambda: Option<Tensor>,
    pub(crate) norm_final: Option<Tensor>,
    /// (V, C); `None` when tied
    pub(crate) head: Option<Tensor>,
    /// (T, D/2) each; `None` without rotary embeddings
    pub(crate) rotary: Option<(Tensor, Tensor)>,
    named: Vec<(String, Tensor)>,
}

impl std::fmt::Debug for Gpt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpt").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Answers a parameter's name, shape and beginning with its tensor.
type Source<'a> = dyn FnMut(&str, &[usize], Init) -> Result<Tensor> + 'a;

/// Makes or loads one parameter after another and keeps the list of names.
struct Builder<'a, 's> {
    source: &'a mut Source<'s>,
    named: Vec<(String, Tensor)>,
}

impl Builder<'_, '_> {
    fn param(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let tensor = (self.source)(name, shape, init)?.requires_grad_()?;
        self.named.push((name.to_string(), tensor.clone()));
        Ok(tensor)
    }

    fn param_if(&mut self, on: bool, name: &str, shape: &[usize], init: Init) -> Result<Option<Tensor>> {
        on.then(|| self.param(name, shape, init)).transpose()
    }

    fn linear(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        bias: bool,
        init: Init,
    ) -> Result<Linear> {
        let weight = self.param(&format!("{name}.weight"), &[outputs, inputs], init)?;
        let bias = self.param_if(bias, &format!("{name}.bias"), &[outputs], Init::Constant(0.0))?;
        Ok(Linear { weight, bias })
    }
}

impl Gpt {
    /// A model with freshly drawn weights. The same generator state gives the same weights, whatever the
    /// number of threads.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: GptConfig, rng: &mut Rng) -> Result<Self> {
        let seed = rng.next_u64();
        let mut index = 0;
        Self::build(config, &mut |_, shape, init| {
            index += 1;
            Ok(Tensor::from_vec(init::draw(seed, index, shape, init), shape)?)
        })
    }

    /// A model whose weights come from `values`, called with each parameter's name and shape.
    ///
    /// # Errors
    /// When the configuration cannot work, and whatever `values` answers.
    pub fn from_values(
        config: GptConfig,
        mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        Self::build(config, &mut |name, shape, _| Ok(Tensor::from_vec(values(name, shape)?, shape)?))
    }

    /// Takes another model's weights, in place: whoever holds the parameters (an optimizer) holds the new values.
    ///
    /// # Errors
    /// When the other has another configuration, or a parameter is in use at this moment.
    pub fn copy_weights(&self, from: &Gpt) -> Result<()> {
        if self.config != from.config {
            return Err(Error::mismatch("the weights are of a model of another configuration"));
        }
        // Equal configurations make equal lists.
        for ((_, to), (_, from)) in self.named.iter().zip(&from.named) {
            from.with_f32(|values| to.with_f32_mut(|to| to.copy_from_slice(values)))??;
        }
        Ok(())
    }

    fn build(config: GptConfig, source: &mut Source<'_>) -> Result<Self> {
        config.validate()?;
        let mut build = Builder { source, named: Vec::new() };
        let (c, kv, v, n) = (config.n_embd, config.kv_dim(), config.vocab_size, config.n_layer);
        let gain = config.norm_gain;
        // A shared table also serves as head, where 0.8 would give wild first logits.
        let embedding_std = if config.tied_embeddings { 0.001 } else { 0.8 };
        let embedding = build.param("transformer.wte.weight", &[v, c], Init::Normal(embedding_std))?;
        let norm_embedding = build.param_if(
            gain && config.embedding_norm,
            "transformer.norm_e.weight",
            &[c],
            Init::Constant(1.0),
        )?;
        // √3 gives a uniform distribution the standard deviation 1/√C.
        let bound = 3f64.sqrt() / (c as f64).sqrt();
        let uniform = Init::Uniform(-bound, bound);
        let gate = Init::Uniform(0.0, 0.02);
        let mut blocks = Vec::new();
        for layer in 0..n {
            let at = format!("transformer.h.{layer}");
            let has_value = config.has_value_embedding(layer);
            blocks.push(Block {
                norm_attention: build.param_if(
                    gain,
                    &format!("{at}.norm_attn.weight"),
                    &[c],
                    Init::Constant(1.0),
                )?,
                query: build.linear(&format!("{at}.attn.c_q"), c, c, config.biases, uniform)?,
                key: build.linear(&format!("{at}.attn.c_k"), kv, c, config.biases, uniform)?,
                value: build.linear(&format!("{at}.attn.c_v"), kv, c, config.biases, uniform)?,
                attention_out: build.linear(
                    &format!("{at}.attn.c_proj"),
                    c,
                    c,
                    config.biases,
                    Init::Constant(0.0),
                )?,
                value_gate: build.param_if(
                    has_value,
                    &format!("{at}.attn.ve_gate.weight"),
                    &[config.n_kv_head, VALUE_GATE_CHANNELS],
                    gate,
                )?,
                value_embedding: build.param_if(
                    has_value,
                    &format!("value_embeds.{layer}.weight"),
                    &[v, kv],
                    uniform,
                )?,
                norm_mlp: build.param_if(
                    gain,
                    &format!("{at}.norm_mlp.weight"),
                    &[c],
                    Init::Constant(1.0),
                )?,
                mlp_in: build.linear(
                    &format!("{at}.mlp.c_fc"),
                    4 * c,
                    c,
                    config.biases,
                    Init::Uniform(-0.4 * bound, 0.4 * bound),
                )?,
                mlp_out: build.linear(
                    &format!("{at}.mlp.c_proj"),
                    c,
                    4 * c,
                    config.biases,
                    Init::Constant(0.0),
                )?,
            });
        }
        let norm_final = build.param_if(gain, "transformer.norm_f.weight", &[c], Init::Constant(1.0))?;
        let head = build.param_if(!config.tied_embeddings, "lm_head.weight", &[v, c], Init::Normal(0.001))?;
        let residual_lambdas =
            build.param_if(config.residual_lambdas, "resid_lambdas", &[n], Init::Ramp(1.15, 1.05))?;
        let x0_lambdas = build.param_if(config.x0_lambdas, "x0_lambdas", &[n], Init::Ramp(0.20, 0.05))?;
        let smear_gate =
            build.param_if(config.smear, "smear_gate.weight", &[1, SMEAR_GATE_CHANNELS], gate)?;
        let smear_lambda = build.param_if(config.smear, "smear_lambda", &[1], Init::Constant(0.0))?;
        let backout_lambda = build.param_if(config.backout, "backout_lambda", &[1], Init::Constant(0.2))?;
        let named = build.named;
        let rotary = config.rotary.then(|| rotary_tables(&config)).transpose()?;
        Ok(Self {
            config,
            embedding,
            norm_embedding,
            smear_gate,
            smear_lambda,
            blocks,
            residual_lambdas,
            x0_lambdas,
            backout_lambda,
            norm_final,
            head,
            rotary,
            named,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }

    /// Every parameter with its name, as in the recipe's state dict.
    pub fn named_parameters(&self) -> &[(String, Tensor)] {
        &self.named
    }

    /// Parameter counts by group.
    pub fn num_params(&self) -> ParamCounts {
        self.config.num_params()
    }

    /// Floating-point operations of training on one token; see [`GptConfig::flops_per_token`].
    pub fn flops_per_token(&self) -> f64 {
        self.config.flops_per_token()
    }

    /// Drops all gradients.
    pub fn zero_grad(&self) {
        self.named.iter().for_each(|(_, tensor)| tensor.zero_grad());
    }

    /// Cross-entropy of predicting `targets` from `ids`, both (B, T) of i64; a target of −1 is ignored.
    /// `Reduction::None` gives (B, T) losses in nats.
    ///
    /// # Errors
    /// When shapes differ, T exceeds the context, or an id is not in the vocabulary.
    pub fn loss(&self, ids: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor> {
        if targets.shape() != ids.shape() {
            return Err(Error::input(format!(
                "loss: ids have shape {:?}, targets {:?}; they must be equal",
                ids.shape(),
                targets.shape()
            )));
        }
        let x = self.trunk(ids)?;
        Ok(ops::linear_cross_entropy(&x, self.head_weight(), targets, self.config.softcap, reduction)?)
    }

    /// Logits (B, T, V) for ids (B, T), softcap applied.
    ///
    /// # Errors
    /// When T exceeds the context or an id is not in the vocabulary.
    pub fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let logits = ops::linear(&self.trunk(ids)?, self.head_weight())?;
        match self.config.softcap {
            Some(cap) => Ok(logits.div_scalar(f64::from(cap))?.tanh()?.mul_scalar(f64::from(cap))?),
            None => Ok(logits),
        }
    }

    pub(crate) fn head_weight(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Token ids (B, T) to the normalised stream before the head (B, T, C).
    fn trunk(&self, ids: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let &[_, t] = ids.shape() else {
            return Err(Error::input(format!(
                "the model takes ids of shape (batch, tokens), found {:?}",
                ids.shape()
            )));
        };
        if t == 0 || t > config.sequence_len {
            return Err(Error::input(format!(
                "{t} tokens a row do not fit the context of 1 to {} tokens; cut the text or train with a longer sequence_len",
                config.sequence_len
            )));
        }
        let mut x = ops::embedding(&self.embedding, ids)?; // (B, T, C)
        if config.embedding_norm {
            x = self.norm(&x, &self.norm_embedding)?;
        }
        if let (Some(gate), Some(lambda)) = (&self.smear_gate, &self.smear_lambda) {
            // g = λ·σ(W x[:24]), (B, T); position 0 has no predecessor.
            let gate = ops::linear(&x.narrow(2, 0, SMEAR_GATE_CHANNELS)?, gate)?
                .squeeze(2)?
                .sigmoid()?
                .mul(lambda)?;
            x = ops::shift_gated_add(&x, &gate)?;
        }
        let x0 = x.clone();
        let mut middle = None;
        for (layer, block) in self.blocks.iter().enumerate() {
            x = self.mix_residual(layer, &x, &x0)?;
            x = self.block(layer, block, x, ids)?;
            if layer == config.backout_layer() {
                middle = Some(x.clone());
            }
        }
        if let (Some(lambda), Some(middle)) = (&self.backout_lambda, &middle) {
            x = ops::scaled_sum(&one()?, &x, &lambda.neg()?, middle)?;
        }
        self.norm(&x, &self.norm_final)
    }

    /// x ← resid_lambda·x + x0_lambda·x0.
    fn mix_residual(&self, layer: usize, x: &Tensor, x0: &Tensor) -> Result<Tensor> {
        let at = |lambdas: &Tensor| lambdas.narrow(0, layer, 1);
        Ok(match (&self.residual_lambdas, &self.x0_lambdas) {
            (Some(a), Some(b)) => ops::scaled_sum(&at(a)?, x, &at(b)?, x0)?,
            (None, Some(b)) => ops::scaled_sum(&one()?, x, &at(b)?, x0)?,
            (Some(a), None) => x.mul(&at(a)?)?,
            (None, None) => x.clone(),
        })
    }

    fn block(&self, layer: usize, block: &Block, x: Tensor, ids: &Tensor) -> Result<Tensor> {
        let normed = self.norm(&x, &block.norm_attention)?;
        let x = x.add(&self.attention(layer, block, &normed, ids)?)?;
        let normed = self.norm(&x, &block.norm_mlp)?;
        Ok(x.add(&self.mlp(block, &normed)?)?)
    }

    fn attention(&self, layer: usize, block: &Block, x: &Tensor, ids: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let (b, t, d) = (x.shape()[0], x.shape()[1], config.head_dim());
        let heads = |x: Tensor, heads: usize| x.reshape(&[b, t, heads, d].map(|size| size as isize));
        let q = heads(linear(x, &block.query)?, config.n_head)?;
        let k = heads(linear(x, &block.key)?, config.n_kv_head)?;
        let mut v = heads(linear(x, &block.value)?, config.n_kv_head)?;
        if let (Some(gate), Some(table)) = (&block.value_gate, &block.value_embedding) {
            let gate = ops::linear(&x.narrow(2, 0, VALUE_GATE_CHANNELS)?, gate)?
                .sigmoid()?
                .mul_scalar(f64::from(VALUE_GATE_RANGE))?; // (B, T, Hkv)
            let values = heads(ops::embedding(table, ids)?, config.n_kv_head)?;
            v = ops::gated_add(&v, &gate, &values)?;
        }
        let tables = self.rotary.as_ref().map(|(cos, sin)| (cos, sin));
        let q = ops::rope_norm(&q, tables, 0, config.qk_norm, f64::from(config.qk_scale))?;
        let k = ops::rope_norm(&k, tables, 0, config.qk_norm, f64::from(config.qk_scale))?;
        let y = ops::attention(&q, &k, &v, config.window(layer), attention_scale(config))?;
        linear(&y.reshape(&[b, t, config.n_embd].map(|size| size as isize))?, &block.attention_out)
    }

    fn mlp(&self, block: &Block, x: &Tensor) -> Result<Tensor> {
        if self.config.activation == Activation::ReluSquare && !self.config.biases {
            return Ok(ops::mlp_relu_square(x, &block.mlp_in.weight, &block.mlp_out.weight)?);
        }
        let hidden = linear(x, &block.mlp_in)?;
        let hidden = match self.config.activation {
            Activation::ReluSquare => ops::relu_square(&hidden)?,
            Activation::Gelu => hidden.gelu()?,
            Activation::Silu => hidden.silu()?,
        };
        linear(&hidden, &block.mlp_out)
    }

    fn norm(&self, x: &Tensor, gain: &Option<Tensor>) -> Result<Tensor> {
        let y = match self.config.norm {
            Norm::Rms => ops::rms_norm(x, f64::from(NORM_EPS))?,
            Norm::Layer => ops::rms_norm(&x.sub(&x.mean(&[-1], true)?)?, f64::from(NORM_EPS))?,
            Norm::None => x.clone(),
        };
        match gain {
            Some(gain) => Ok(y.mul(gain)?),
            None => Ok(y),
        }
    }
}

/// x·Wᵀ + b.
fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    let y = ops::linear(x, &layer.weight)?;
    match &layer.bias {
        Some(bias) => Ok(y.add(bias)?),
        None => Ok(y),
    }
}

fn one() -> Result<Tensor> {
    Ok(Tensor::from_vec(vec![1f32], &[1])?)
}

/// The factor on q·k.
pub(crate) fn attention_scale(config: &GptConfig) -> f64 {
    1.0 / (config.head_dim() as f64).sqrt()
}

/// Cosines and sines of position × base^(−2i/D), (T, D/2) each, computed as the recipe does, in f32.
fn rotary_tables(config: &GptConfig) -> Result<(Tensor, Tensor)> {
    let (t, d) = (config.sequence_len, config.head_dim());
    let frequencies: Vec<f32> =
        (0..d / 2).map(|i| 1.0 / (config.rotary_base as f32).powf((2 * i) as f32 / d as f32)).collect();
    let angles: Vec<f32> = (0..t).flat_map(|at| frequencies.iter().map(move |f| at as f32 * f)).collect();
    let cos = angles.iter().map(|a| a.cos()).collect();
    let sin = angles.iter().map(|a| a.sin()).collect();
    no_grad(|| Ok((Tensor::from_vec(cos, &[t, d / 2])?, Tensor::from_vec(sin, &[t, d / 2])?)))
}
