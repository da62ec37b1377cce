//! Our own GPT, as mynah-nn writes it.

use std::path::Path;

use mynah_nn::{GptConfig, SMEAR_GATE_CHANNELS, VALUE_GATE_CHANNELS, checkpoint};

use crate::config::{
    Activation, Attention, DecoderConfig, Extras, Layer, Mlp, Norm, NormKind, Op, Pairs, Part, QueryKeyNorm,
    Rope,
};
use crate::error::{Error, ErrorKind, Result};
use crate::families::{Names, Plan};
use crate::files::json::Json;

const NAMES: Names = Names {
    embedding: "transformer.wte",
    embedding_norm: "transformer.norm_e",
    layer: "transformer.h.{}.",
    final_norm: "transformer.norm_f",
    mixer_norm: "norm_attn",
    mlp_norm: "norm_mlp",
    query: "attn.c_q",
    key: "attn.c_k",
    value: "attn.c_v",
    output: "attn.c_proj",
    up: "c_fc",
    down: "c_proj",
    ..Names::LLAMA
};

/// Whether this is the configuration of a checkpoint of ours.
pub(crate) fn is_ours(json: &Json) -> bool {
    !json.has("architectures") && !json.has("model_type") && json.has("n_embd") && json.has("sequence_len")
}

/// Describes the checkpoint in a folder, having compared its files with its manifest.
pub(crate) fn describe(folder: &Path, context_length: Option<usize>) -> Result<Plan> {
    let fail = |error: mynah_nn::Error| {
        let kind = match error.kind() {
            mynah_nn::ErrorKind::Io => ErrorKind::Io,
            mynah_nn::ErrorKind::Config => ErrorKind::Config,
            mynah_nn::ErrorKind::Mismatch => ErrorKind::Mismatch,
            _ => ErrorKind::Format,
        };
        Error::new(kind, error.to_string())
    };
    checkpoint::verify(folder, &[checkpoint::CONFIG_FILE, checkpoint::MODEL_FILE]).map_err(fail)?;
    let config = checkpoint::load_config(folder).map_err(fail)?;
    Ok(Plan { config: convert(&config, context_length), names: NAMES, extra_layers: 0 })
}

fn convert(config: &GptConfig, context_length: Option<usize>) -> DecoderConfig {
    let kind = match config.norm {
        mynah_nn::Norm::Rms => NormKind::Rms,
        mynah_nn::Norm::Layer => NormKind::Layer,
        mynah_nn::Norm::None => NormKind::None,
    };
    let eps = f32::EPSILON;
    let norm = Norm { kind, eps, gain_offset: 0.0, gain: config.norm_gain, bias: false };
    let head_norm = Norm {
        kind: if config.qk_norm { NormKind::Rms } else { NormKind::None },
        eps,
        gain_offset: 0.0,
        gain: false,
        bias: false,
    };
    let activation = match config.activation {
        mynah_nn::Activation::ReluSquare => Activation::ReluSquare,
        mynah_nn::Activation::Gelu => Activation::GeluTanh,
        mynah_nn::Activation::Silu => Activation::Silu,
    };
    let mlp = Mlp { hidden: 4 * config.n_embd, activation, gated: false, bias: config.biases };
    let head_dim = config.head_dim();
    let part = |op: Op| Part { norm_in: Some(norm), op, norm_out: None };
    let layers = (0..config.n_layer)
        .map(|layer| {
            let attention = Attention {
                heads: config.n_head,
                kv_heads: config.n_kv_head,
                head_dim,
                rope: config.rotary.then_some(0),
                // Ours counts the positions before a token's own.
                window: config.window(layer).map(|window| window + 1),
                scale: (1.0 / (head_dim as f64).sqrt()) as f32,
                softcap: None,
                sinks: false,
                query_key_norm: Some(QueryKeyNorm {
                    norm: head_norm,
                    whole: false,
                    after_rope: true,
                    scale: config.qk_scale,
                }),
                input_bias: config.biases,
                output_bias: config.biases,
                value_embedding: config.has_value_embedding(layer).then_some(VALUE_GATE_CHANNELS),
            };
            Layer { parts: vec![part(Op::Attention(attention)), part(Op::Mlp(mlp))] }
        })
        .collect();
    // The recipe turns the other way than Llama does.
    let base = config.rotary_base as f32;
    let frequencies = (0..head_dim / 2).map(|i| -1.0 / base.powf((2 * i) as f32 / head_dim as f32)).collect();
    let rope = Rope { dims: head_dim, pairs: Pairs::Halves, frequencies, magnitude: 1.0 };
    DecoderConfig {
        architecture: "mynah".to_string(),
        vocab_size: config.vocab_size,
        context_length: context_length.map_or(config.sequence_len, |wanted| wanted.min(config.sequence_len)),
        width: config.n_embd,
        embedding_scale: 1.0,
        embedding_norm: config.embedding_norm.then_some(norm),
        learned_positions: None,
        ropes: if config.rotary { vec![rope] } else { Vec::new() },
        layers,
        final_norm: norm,
        tied_head: config.tied_embeddings,
        head_bias: false,
        logit_softcap: config.softcap,
        extras: Extras {
            smear: config.smear.then_some(SMEAR_GATE_CHANNELS),
            residual_lambdas: config.residual_lambdas,
            first_lambdas: config.x0_lambdas,
            backout: config.backout.then(|| config.backout_layer()),
        },
    }
}
