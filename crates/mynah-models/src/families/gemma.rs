//! Gemma 1 to 3 (arXiv 2403.08295, 2408.00118, 2503.19786), text only.

use crate::config::{Activation, DecoderConfig, Mlp, Norm, Op, Pairs};
use crate::error::Result;
use crate::families::common::{
    Sizes, Windows, activation, layer, plain_rope, rms, rope, rope_settings, sandwich, scaled_rope, windows,
};
use crate::families::llama::head_norm;
use crate::families::{Names, Request};

/// Norms behind each part have names of their own.
const SANDWICH: Names = Names {
    mixer_norm_out: "post_attention_layernorm",
    mlp_norm: "pre_feedforward_layernorm",
    mlp_norm_out: "post_feedforward_layernorm",
    ..Names::LLAMA
};

pub(crate) fn gemma(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let sizes = Sizes::read(request)?;
    let norm = gemma_norm(request)?;
    // The first files say "gelu" and mean its tanh form.
    let mlp =
        gemma_mlp(request, if request.json.has("hidden_activation") { "hidden_activation" } else { "" })?;
    let mut attention = sizes.attention(Some(0));
    attention.input_bias = request.json.flag("attention_bias", false)?;
    attention.output_bias = attention.input_bias;
    let layers = vec![layer(attention, Op::Mlp(mlp), norm); sizes.layers];
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((finish(request, &sizes, sizes.decoder(request, ropes, norm, layers))?, Names::LLAMA))
}

pub(crate) fn gemma2(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let sizes = Sizes::read(request)?;
    let windows = windows(request.json, sizes.layers, Windows::AllButEvery(2))?;
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    build(request, &sizes, &windows, ropes, false)
}

/// Layers with a window turn by a base of their own, without scaling.
pub(crate) fn gemma3(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let every = json.len_if("sliding_window_pattern")?.unwrap_or(6);
    let windows = windows(json, sizes.layers, Windows::AllButEvery(every))?;
    let base = |settings: Option<&crate::files::json::Json>, key: &str, default: f64| match settings {
        Some(settings) if settings.has("rope_theta") => settings.positive_or("rope_theta", default),
        _ => json.positive_or(key, default),
    };
    let global = rope_settings(json, Some("full_attention"))?;
    let global_base = base(global.as_ref(), "rope_theta", 1_000_000.0)?;
    let global = scaled_rope(request, global.as_ref(), sizes.head_dim, global_base, Pairs::Halves)?;
    let local = match json.object_if("rope_parameters")? {
        Some(kinds) => kinds.object_if("sliding_attention")?,
        None => None,
    };
    let local_base = base(local.as_ref(), "rope_local_base_freq", 10_000.0)?;
    let local = match &local {
        Some(settings) => scaled_rope(request, Some(settings), sizes.head_dim, local_base, Pairs::Halves)?,
        None => plain_rope(json, sizes.head_dim, local_base, Pairs::Halves)?,
    };
    build(request, &sizes, &windows, vec![global, local], true)
}

fn build(
    request: &Request<'_>,
    sizes: &Sizes,
    windows: &[Option<usize>],
    ropes: Vec<crate::config::Rope>,
    third: bool,
) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    if json.flag("use_bidirectional_attention", false)? {
        return Err(json.unsupported("use_bidirectional_attention", "false"));
    }
    let norm = gemma_norm(request)?;
    let mlp = gemma_mlp(request, "hidden_activation")?;
    let scalar = json.positive_or("query_pre_attn_scalar", 256.0)?;
    let default_cap = if third { None } else { Some(50.0) };
    let softcap = cap(request, "attn_logit_softcapping", default_cap)?;
    let layers = windows
        .iter()
        .map(|&window| {
            let mut attention = sizes.attention(Some(usize::from(third && window.is_some())));
            attention.window = window;
            attention.scale = (1.0 / scalar.sqrt()) as f32;
            attention.softcap = softcap;
            if third {
                attention.query_key_norm = head_norm(norm);
            }
            sandwich(attention, Op::Mlp(mlp), norm)
        })
        .collect();
    let mut config = sizes.decoder(request, ropes, norm, layers);
    config.logit_softcap = cap(request, "final_logit_softcapping", if third { None } else { Some(30.0) })?;
    for part in config.layers.iter_mut().flat_map(|layer| &mut layer.parts) {
        if let Op::Attention(attention) = &mut part.op {
            attention.input_bias = json.flag("attention_bias", false)?;
            attention.output_bias = attention.input_bias;
        }
    }
    Ok((finish(request, sizes, config)?, SANDWICH))
}

/// A soft limit: absent takes the family's, null is none.
fn cap(request: &Request<'_>, key: &str, default: Option<f32>) -> Result<Option<f32>> {
    if request.json.is_null(key) {
        return Ok(None);
    }
    Ok(request.json.positive_if(key)?.map(|cap| cap as f32).or(default))
}

fn gemma_norm(request: &Request<'_>) -> Result<Norm> {
    // GGUF files hold the gain itself.
    let gain_offset = if request.gguf { 0.0 } else { 1.0 };
    Ok(Norm { gain_offset, ..rms(request.json)? })
}

fn gemma_mlp(request: &Request<'_>, key: &str) -> Result<Mlp> {
    let activation = activation(request.json, key, Activation::GeluTanh)?;
    Ok(Mlp { hidden: request.json.len("intermediate_size")?, activation, gated: true, bias: false })
}

/// Embeddings grow by √width.
fn finish(request: &Request<'_>, sizes: &Sizes, mut config: DecoderConfig) -> Result<DecoderConfig> {
    config.embedding_scale = (sizes.width as f32).sqrt();
    config.tied_head = request.json.flag("tie_word_embeddings", true)? || !(request.has)("lm_head.weight");
    Ok(config)
}
