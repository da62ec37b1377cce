//! What a decoder computes, as data: the same code runs every family.
//!
//! A model is a list of layers, a layer a list of parts, and a part adds
//! `scale · norm_out(op(norm_in(x)))` to the residual stream. Families differ in the values below and in the
//! names of their tensors, which are kept elsewhere.

/// A normalisation over the last axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Root mean square or layer norm.
    pub kind: NormKind,
    /// Added to the mean square.
    pub eps: f32,
    /// Added to the gain as it is stored: 1 where files store the gain less 1 (Gemma).
    pub gain_offset: f32,
    /// Whether there is a learned gain.
    pub gain: bool,
    /// Whether there is a learned bias.
    pub bias: bool,
}

/// The statistics of a [`Norm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / √(mean(x²) + eps) (arXiv 1910.07467).
    Rms,
    /// (x − mean) / √(variance + eps) (arXiv 1607.06450).
    Layer,
    /// x.
    None,
}

impl Norm {
    /// A root-mean-square norm with a gain.
    pub fn rms(eps: f32) -> Self {
        Self { kind: NormKind::Rms, eps, gain_offset: 0.0, gain: true, bias: false }
    }

    /// A layer norm with gain and bias.
    pub fn layer(eps: f32) -> Self {
        Self { kind: NormKind::Layer, eps, gain_offset: 0.0, gain: true, bias: true }
    }
}

/// Rotary position embeddings (arXiv 2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Channels of a head that are rotated, the first ones; even.
    pub dims: usize,
    /// Which channels form a pair.
    pub pairs: Pairs,
    /// Radians a position for each pair; negative where the recipe turns the other way.
    pub frequencies: Vec<f32>,
    /// Factor on cosines and sines (YaRN, arXiv 2309.00071, and LongRoPE, arXiv 2402.13753).
    pub magnitude: f32,
}

/// How channels are paired for the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// i with i + dims/2.
    Halves,
    /// 2i with 2i + 1.
    Neighbours,
}

/// A norm of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryKeyNorm {
    /// The norm.
    pub norm: Norm,
    /// Over all heads at once instead of each head alone.
    pub whole: bool,
    /// After the rotation instead of before it.
    pub after_rope: bool,
    /// Factor on the result.
    pub scale: f32,
}

/// Attention with grouped queries (arXiv 2305.13245).
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Which of [`DecoderConfig::ropes`] turns queries and keys.
    pub rope: Option<usize>,
    /// Positions a token sees, its own included; `None` is all.
    pub window: Option<usize>,
    /// Factor on q·k.
    pub scale: f32,
    /// Smooth limit c of the scores, c·tanh(s/c) (Gemma 2).
    pub softcap: Option<f32>,
    /// A learned score a head that takes part in the softmax and gives nothing (GPT-OSS).
    pub sinks: bool,
    /// Norm of queries and keys.
    pub query_key_norm: Option<QueryKeyNorm>,
    /// Biases of the query, key and value projections.
    pub input_bias: bool,
    /// Bias of the output projection.
    pub output_bias: bool,
    /// A learned embedding of the token added to the values through a gate that reads this many channels
    /// (arXiv 2410.17897, as in our GPT).
    pub value_embedding: Option<usize>,
}

/// The nonlinearity of a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x·σ(x).
    Silu,
    /// x·Φ(x).
    Gelu,
    /// GELU with the tanh approximation.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    ReluSquare,
    /// GPT-OSS: g·σ(alpha·g)·(u + 1) with g ≤ limit and |u| ≤ limit; gated only.
    ClampedSwiglu {
        /// Factor in the sigmoid.
        alpha: f32,
        /// Bound of both halves.
        limit: f32,
    },
}

/// A feed-forward part of two matrices, or three with a gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mlp {
    /// Channels between the matrices.
    pub hidden: usize,
    /// The nonlinearity; with a gate it is applied to the gate, which then multiplies (arXiv 2002.05202).
    pub activation: Activation,
    /// Whether there is a gate.
    pub gated: bool,
    /// Whether the matrices have biases.
    pub bias: bool,
}

/// How a router turns its scores into weights of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Router {
    /// Softmax over all experts, then the largest; made to sum to 1 if asked.
    Softmax {
        /// Divide the chosen weights by their sum.
        normalise: bool,
    },
    /// The largest scores, then softmax over them.
    SoftmaxOfChosen,
    /// Sigmoid; a learned bias takes part in the choice but not in the weight (arXiv 2408.15664).
    Sigmoid {
        /// Experts are chosen only from the best groups.
        groups: usize,
        /// How many groups stay.
        groups_chosen: usize,
        /// Divide the chosen weights by their sum.
        normalise: bool,
        /// Factor on the weights.
        scale: f32,
    },
}

/// A mixture of experts (arXiv 1701.06538).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixtureOfExperts {
    /// Number of experts.
    pub experts: usize,
    /// Experts a token goes through.
    pub chosen: usize,
    /// What an expert is.
    pub expert: Mlp,
    /// The router.
    pub router: Router,
    /// Whether the router's matrix has a bias.
    pub router_bias: bool,
    /// An expert that every token goes through.
    pub shared: Option<SharedExpert>,
}

/// The expert that every token goes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedExpert {
    /// What it is.
    pub mlp: Mlp,
    /// Whether a learned sigmoid gate multiplies it (Qwen2-MoE).
    pub gated: bool,
}

/// A Mamba-2 mixer (arXiv 2405.21060).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mamba {
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Groups that share B and C.
    pub groups: usize,
    /// Size of the state of a channel.
    pub state: usize,
    /// Taps of the causal convolution.
    pub taps: usize,
    /// Bounds of the time step.
    pub time_step: (f32, f32),
    /// Epsilon of the gated norm, which works on groups of channels.
    pub norm_eps: f32,
    /// Whether the convolution has a bias.
    pub conv_bias: bool,
    /// Whether the projections have biases.
    pub bias: bool,
}

impl Mamba {
    /// Channels of the mixer.
    pub fn inner(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Channels that go through the convolution: x, B and C.
    pub fn conv_channels(&self) -> usize {
        self.inner() + 2 * self.groups * self.state
    }
}

/// What a part does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Attention.
    Attention(Attention),
    /// A feed-forward part.
    Mlp(Mlp),
    /// A mixture of experts.
    MixtureOfExperts(MixtureOfExperts),
    /// A state-space mixer.
    Mamba(Mamba),
}

/// One addition to the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Norm before the op.
    pub norm_in: Option<Norm>,
    /// The op.
    pub op: Op,
    /// Norm of what the op gives, before it is added.
    pub norm_out: Option<Norm>,
}

/// The parts of one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    /// In order.
    pub parts: Vec<Part>,
}

/// What only our own GPT has; see `mynah_nn::GptConfig`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extras {
    /// Mix the previous token's embedding into each token, by a gate that reads this many channels.
    pub smear: Option<usize>,
    /// A learned factor on the stream before each layer.
    pub residual_lambdas: bool,
    /// A learned share of the first embedding mixed in before each layer.
    pub first_lambdas: bool,
    /// After which layer the stream is kept, to subtract a learned share of it before the head.
    pub backout: Option<usize>,
}

/// A whole decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// The name of the architecture in the model's file.
    pub architecture: String,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence.
    pub context_length: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// Factor on the embedding.
    pub embedding_scale: f32,
    /// Norm of the embedding.
    pub embedding_norm: Option<Norm>,
    /// Rows of the table of learned positions.
    pub learned_positions: Option<usize>,
    /// The rotations that layers refer to.
    pub ropes: Vec<Rope>,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Norm before the head.
    pub final_norm: Norm,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Whether the head has a bias.
    pub head_bias: bool,
    /// Smooth limit of the logits.
    pub logit_softcap: Option<f32>,
    /// What only our own GPT has.
    pub extras: Extras,
}

impl DecoderConfig {
    /// Every part, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.layers.iter().flat_map(|layer| &layer.parts)
    }

    /// Whether a sequence has state besides its pages.
    pub fn has_recurrent_state(&self) -> bool {
        self.parts().any(|part| matches!(part.op, Op::Mamba(_)))
    }
}
