//! The shape of a GPT and its switches.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Channels of the residual stream that the value-embedding gate reads.
pub const VALUE_GATE_CHANNELS: usize = 12;
/// Channels of the residual stream that the smear gate reads.
pub const SMEAR_GATE_CHANNELS: usize = 24;
/// Short attention windows are rounded up to whole tiles of this many positions.
const WINDOW_TILE: usize = 128;

/// The nonlinearity between the two matrices of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)² (Primer, arXiv 2109.08668).
    ReluSquare,
    /// GELU in its tanh form.
    Gelu,
    /// x·σ(x).
    Silu,
}

/// How the residual stream is normalised before each block part and before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Divide by the root mean square.
    Rms,
    /// Subtract the mean, then divide by the root mean square.
    Layer,
    /// Leave as it is.
    None,
}

/// Everything that decides what a GPT computes. The default of each switch is the published recipe; an
/// ablation turns one off. Written to `config.json` beside the weights; an unknown field is refused,
/// because a switch that is not understood means a model that would compute something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GptConfig {
    /// Longest text in tokens (T).
    pub sequence_len: usize,
    /// Number of distinct tokens (V).
    pub vocab_size: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Query heads (H).
    pub n_head: usize,
    /// Key/value heads; divides `n_head` (grouped-query attention, arXiv 2305.13245).
    pub n_kv_head: usize,
    /// Width of the residual stream (C).
    pub n_embd: usize,
    /// Attention windows by layer, repeated: `L` sees everything before it, `S` a short window. The last
    /// layer is always `L`.
    pub window_pattern: String,
    /// Positions an `S` layer looks back; by default a quarter of `sequence_len` in whole tiles of 128.
    pub short_window: Option<usize>,
    /// Rotary position embeddings (arXiv 2104.09864); without them the model sees no positions.
    pub rotary: bool,
    /// Base of the rotary frequencies.
    pub rotary_base: f64,
    /// RMS norm of queries and keys after the rotation.
    pub qk_norm: bool,
    /// Factor on queries and on keys after their norm.
    pub qk_scale: f32,
    /// Nonlinearity of the feed-forward part.
    pub activation: Activation,
    /// Whether the output head shares the token embedding.
    pub tied_embeddings: bool,
    /// Normalisation of the residual stream.
    pub norm: Norm,
    /// Whether each norm has a learned gain per channel.
    pub norm_gain: bool,
    /// Whether the linear layers of the blocks have biases.
    pub biases: bool,
    /// Normalise the token embedding before the first block.
    pub embedding_norm: bool,
    /// Value embeddings with a sigmoid gate on alternate layers, the last one included (arXiv 2410.17897).
    pub value_embeddings: bool,
    /// A learned factor on the residual stream before each block.
    pub residual_lambdas: bool,
    /// A learned share of the first embedding mixed in before each block.
    pub x0_lambdas: bool,
    /// Mix the previous token's embedding into each token.
    pub smear: bool,
    /// Subtract a learned share of the middle layer's output before the head.
    pub backout: bool,
    /// Smooth limit c of the logits, c·tanh(z/c).
    pub softcap: Option<f32>,
}

impl Default for GptConfig {
    fn default() -> Self {
        Self {
            sequence_len: 2048,
            vocab_size: 32_768,
            n_layer: 12,
            n_head: 6,
            n_kv_head: 6,
            n_embd: 768,
            window_pattern: "SSSL".to_string(),
            short_window: None,
            rotary: true,
            rotary_base: 100_000.0,
            qk_norm: true,
            qk_scale: 1.2,
            activation: Activation::ReluSquare,
            tied_embeddings: false,
            norm: Norm::Rms,
            norm_gain: false,
            biases: false,
            embedding_norm: true,
            value_embeddings: true,
            residual_lambdas: true,
            x0_lambdas: true,
            smear: true,
            backout: true,
            softcap: Some(15.0),
        }
    }
}

impl GptConfig {
    /// Checks that such a model can be built.
    ///
    /// # Errors
    /// One line that names the field, its value and what it must be.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("sequence_len", self.sequence_len),
            ("vocab_size", self.vocab_size),
            ("n_layer (the depth)", self.n_layer),
            ("n_head", self.n_head),
            ("n_kv_head", self.n_kv_head),
            ("n_embd", self.n_embd),
        ];
        // Wide enough for any model a machine could hold, and products of two still fit in 64 bits.
        const LARGEST: usize = 1 << 28;
        for (name, value) in positive {
            if value == 0 || value > LARGEST {
                return Err(Error::config(format!(
                    "model config: {name} is {value}; it must be 1 to {LARGEST}"
                )));
            }
        }
        if self.n_layer > 10_000 {
            return Err(Error::config(format!(
                "model config: n_layer is {}; at most 10000 layers work",
                self.n_layer
            )));
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            return Err(Error::config(format!(
                "model config: n_embd {} is not divisible by n_head {}; choose n_embd = n_head × head size",
                self.n_embd, self.n_head
            )));
        }
        if !self.n_head.is_multiple_of(self.n_kv_head) {
            return Err(Error::config(format!(
                "model config: n_head {} is not divisible by n_kv_head {}; each key/value head serves a whole group",
                self.n_head, self.n_kv_head
            )));
        }
        if self.rotary && !self.head_dim().is_multiple_of(2) {
            return Err(Error::config(format!(
                "model config: head size {} (n_embd / n_head) is odd, rotary embeddings rotate pairs; make it even or set rotary to false",
                self.head_dim()
            )));
        }
        if self.window_pattern.is_empty() || !self.window_pattern.chars().all(|c| "SLsl".contains(c)) {
            return Err(Error::config(format!(
                "model config: window_pattern is {:?}; it must be letters S (short) and L (full), for example SSSL",
                self.window_pattern
            )));
        }
        if self.norm_gain && self.norm == Norm::None {
            return Err(Error::config(
                "model config: norm_gain is true but norm is none; a gain belongs to a norm",
            ));
        }
        let least = [
            (self.smear, "smear", SMEAR_GATE_CHANNELS),
            (self.value_embeddings, "value_embeddings", VALUE_GATE_CHANNELS),
        ];
        for (on, name, channels) in least {
            if on && self.n_embd < channels {
                return Err(Error::config(format!(
                    "model config: {name} reads {channels} channels but n_embd is {}; widen the model or set {name} to false",
                    self.n_embd
                )));
            }
        }
        let finite = [
            ("rotary_base", self.rotary_base),
            ("qk_scale", f64::from(self.qk_scale)),
            ("softcap", f64::from(self.softcap.unwrap_or(1.0))),
        ];
        for (name, value) in finite {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(format!(
                    "model config: {name} is {value}; it must be a positive number"
                )));
            }
        }
        Ok(())
    }

    /// Channels of one head (D).
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// Channels of all key/value heads together.
    pub fn kv_dim(&self) -> usize {
        self.n_kv_head * self.head_dim()
    }

    /// Whether a layer has a value embedding: every second one, counted so that the last has.
    pub fn has_value_embedding(&self, layer: usize) -> bool {
        self.value_embeddings && layer % 2 == (self.n_layer - 1) % 2
    }

    /// How many positions before its own a layer sees; `None` is all of them.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let last = layer + 1 == self.n_layer;
        let letters = self.window_pattern.as_bytes();
        let letter = letters[layer % letters.len()].to_ascii_uppercase();
        if last || letter == b'L' {
            return None;
        }
        let short = self
            .short_window
            .unwrap_or_else(|| (self.sequence_len.div_ceil(4)).div_ceil(WINDOW_TILE) * WINDOW_TILE);
        // A window that reaches the start from everywhere is no window.
        (short + 1 < self.sequence_len).then_some(short)
    }

    /// The layer whose output is subtracted before the head.
    pub fn backout_layer(&self) -> usize {
        self.n_layer / 2
    }

    /// Parameter counts by group, from the shapes alone.
    pub fn num_params(&self) -> ParamCounts {
        let (c, kv, v) = (self.n_embd, self.kv_dim(), self.vocab_size);
        let mut counts = ParamCounts { embedding: v * c, ..ParamCounts::default() };
        if !self.tied_embeddings {
            counts.head = v * c;
        }
        for layer in 0..self.n_layer {
            counts.matrices += 2 * c * c + 2 * c * kv + 8 * c * c;
            if self.has_value_embedding(layer) {
                counts.value_embeddings += v * kv;
                counts.matrices += self.n_kv_head * VALUE_GATE_CHANNELS;
            }
            if self.biases {
                counts.scalars += c + 2 * kv + c + 4 * c + c;
            }
            if self.norm_gain {
                counts.scalars += 2 * c;
            }
        }
        counts.scalars += usize::from(self.residual_lambdas) * self.n_layer
            + usize::from(self.x0_lambdas) * self.n_layer
            + usize::from(self.smear) * (SMEAR_GATE_CHANNELS + 1)
            + usize::from(self.backout)
            + usize::from(self.norm_gain) * (c + usize::from(self.embedding_norm) * c);
        counts
    }

    /// Floating-point operations a token costs in training, forward and backward: 6 per matrix weight that
    /// multiplies the token, and 12·H·D a position attended to (the PaLM paper's count, arXiv 2204.02311,
    /// appendix B).
    pub fn flops_per_token(&self) -> f64 {
        let counts = self.num_params();
        let smear = if self.smear { SMEAR_GATE_CHANNELS } else { 0 };
        let weights = counts.matrices + self.vocab_size * self.n_embd + smear;
        let attended: usize = (0..self.n_layer)
            .map(|layer| self.window(layer).unwrap_or(self.sequence_len).min(self.sequence_len))
            .sum();
        6.0 * weights as f64 + 12.0 * self.n_embd as f64 * attended as f64
    }
}

/// Parameters by the group that trains them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParamCounts {
    /// Token embedding.
    pub embedding: usize,
    /// Value embeddings.
    pub value_embeddings: usize,
    /// Output head (0 when tied).
    pub head: usize,
    /// Matrices of the blocks.
    pub matrices: usize,
    /// Everything small: lambdas, smear gate, biases, gains.
    pub scalars: usize,
}

impl ParamCounts {
    /// All parameters.
    pub fn total(&self) -> usize {
        self.embedding + self.value_embeddings + self.head + self.matrices + self.scalars
    }

    /// The count that scaling rules go by: matrices and head.
    pub fn scaling(&self) -> usize {
        self.matrices + self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> GptConfig {
        GptConfig {
            sequence_len: 256,
            vocab_size: 64,
            n_layer: 4,
            n_head: 4,
            n_kv_head: 2,
            n_embd: 32,
            ..GptConfig::default()
        }
    }

    #[test]
    fn refuses_what_cannot_work_and_says_why() {
        let check = |change: fn(&mut GptConfig), expect: &str| {
            let mut config = tiny();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        };
        tiny().validate().unwrap();
        check(|c| c.n_layer = 0, "n_layer (the depth) is 0");
        check(|c| c.vocab_size = 0, "vocab_size is 0");
        check(|c| c.n_embd = 30, "n_embd 30 is not divisible by n_head 4");
        check(|c| c.n_kv_head = 3, "n_head 4 is not divisible by n_kv_head 3");
        check(|c| c.n_embd = 36, "head size 9");
        check(|c| c.window_pattern = "SXL".into(), "\"SXL\"");
        check(|c| c.window_pattern = String::new(), "window_pattern");
        check(|c| c.n_embd = 16, "smear reads 24 channels but n_embd is 16");
        check(|c| c.softcap = Some(0.0), "softcap is 0");
        check(|c| c.qk_scale = f32::NAN, "qk_scale is NaN");
    }

    #[test]
    fn windows_follow_the_pattern() {
        let mut config = GptConfig { n_layer: 9, sequence_len: 2048, ..tiny() };
        let short = Some(512);
        assert_eq!(
            (0..9).map(|l| config.window(l)).collect::<Vec<_>>(),
            [short, short, short, None, short, short, short, None, None]
        );
        config.sequence_len = 600; // a quarter is 150, rounded up to 256
        assert_eq!(config.window(0), Some(256));
        config.sequence_len = 100; // the tile is longer than the text
        assert_eq!(config.window(0), None);
        config.short_window = Some(5);
        assert_eq!(config.window(0), Some(5));
    }

    #[test]
    fn unknown_switches_are_refused() {
        assert!(serde_json::from_str::<GptConfig>(r#"{"n_layer": 3}"#).is_ok());
        let error = serde_json::from_str::<GptConfig>(r#"{"mixture_of_experts": true}"#).unwrap_err();
        assert!(error.to_string().contains("mixture_of_experts"));
    }
}
