//! Phi-3, GLM-4 and GPT-2.

use crate::config::{Activation, Attention, DecoderConfig, Layer, Mlp, Norm, Op, Pairs};
use crate::error::Result;
use crate::families::common::{
    Sizes, Windows, activation, gated_mlp, layer, layer_count, rms, rope, sandwich, windows,
};
use crate::families::{Names, Request};
use crate::files::json::Json;

/// Phi-3 and Phi-4-mini (arXiv 2404.14219): fused projections, LongRoPE.
pub(crate) fn phi3(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let mlp = gated_mlp(json, false)?;
    let layers = windows(json, sizes.layers, Windows::All)?
        .into_iter()
        .map(|window| {
            let attention = Attention { window, ..sizes.attention(Some(0)) };
            layer(attention, Op::Mlp(mlp), norm)
        })
        .collect();
    let names = Names { query_key_value: "self_attn.qkv_proj", gate_up: "gate_up_proj", ..Names::LLAMA };
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}

/// GLM-4 of 9 B parameters (arXiv 2406.12793) as `GlmForCausalLM`.
pub(crate) fn glm(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    glm_layers(request, layer, Names { gate_up: "gate_up_proj", ..Names::LLAMA })
}

/// GLM-4-0414: a norm before and behind each part.
pub(crate) fn glm4(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let names = Names {
        gate_up: "gate_up_proj",
        mixer_norm_out: "post_self_attn_layernorm",
        mlp_norm_out: "post_mlp_layernorm",
        ..Names::LLAMA
    };
    glm_layers(request, sandwich, names)
}

fn glm_layers(
    request: &Request<'_>,
    layer: fn(Attention, Op, Norm) -> Layer,
    names: Names,
) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = Norm::rms(json.positive_or("rms_norm_eps", 1.5625e-7)? as f32);
    let mlp = gated_mlp(json, false)?;
    let mut attention = sizes.attention(Some(0));
    attention.input_bias = json.flag("attention_bias", true)?;
    let layers = vec![layer(attention, Op::Mlp(mlp), norm); sizes.layers];
    let ropes = vec![rope(&Request { rotary_share: 0.5, ..*request }, sizes.head_dim, Pairs::Neighbours)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}

/// GPT-2 (the 2019 report): learned positions, matrices stored the other way round.
pub(crate) fn gpt2(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    for key in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
        if json.flag(key, false)? {
            return Err(json.unsupported(key, "false"));
        }
    }
    let rows = json.len("n_positions")?;
    let sizes = gpt2_sizes(request, json, rows)?;
    let norm = Norm::layer(json.positive_or("layer_norm_epsilon", 1e-5)? as f32);
    let hidden = json.len_if("n_inner")?.unwrap_or(4 * sizes.width);
    let activation = activation(json, "activation_function", Activation::GeluTanh)?;
    let mut attention = Attention { input_bias: true, output_bias: true, ..sizes.attention(None) };
    if !json.flag("scale_attn_weights", true)? {
        attention.scale = 1.0;
    }
    let mlp = Mlp { hidden, activation, gated: false, bias: true };
    let layers = vec![layer(attention, Op::Mlp(mlp), norm); sizes.layers];
    let mut config = sizes.decoder(request, Vec::new(), norm, layers);
    config.learned_positions = Some(rows);
    config.tied_head = json.flag("tie_word_embeddings", true)? || !(request.has)("lm_head.weight");
    Ok((config, gpt2_names(request)))
}

fn gpt2_sizes(request: &Request<'_>, json: &Json, rows: usize) -> Result<Sizes> {
    let (width, heads) = (json.len("n_embd")?, json.len("n_head")?);
    if !width.is_multiple_of(heads) {
        return Err(json.wrong("n_embd", &width.into(), &format!("divisible by {heads} heads")));
    }
    Ok(Sizes {
        width,
        layers: layer_count(json, "n_layer")?,
        heads,
        kv_heads: heads,
        head_dim: width / heads,
        vocab_size: json.len("vocab_size")?,
        context_length: request.context_length.map_or(rows, |wanted| wanted.min(rows)),
    })
}

/// Old files have no `transformer.` before their names.
fn gpt2_names(request: &Request<'_>) -> Names {
    let bare = (request.has)("wte.weight");
    let pick = |with: &'static str, without: &'static str| if bare { without } else { with };
    Names {
        embedding: pick("transformer.wte", "wte"),
        positions: pick("transformer.wpe", "wpe"),
        layer: pick("transformer.h.{}.", "h.{}."),
        final_norm: pick("transformer.ln_f", "ln_f"),
        mixer_norm: "ln_1",
        mlp_norm: "ln_2",
        query_key_value: "attn.c_attn",
        output: "attn.c_proj",
        up: "c_fc",
        down: "c_proj",
        transposed: !request.gguf,
        ..Names::LLAMA
    }
}
