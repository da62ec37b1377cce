//! Llama and its nearest relatives: Mistral, Qwen2, Qwen3, OLMo 2.

use crate::config::{DecoderConfig, Layer, Norm, Op, Pairs, Part, QueryKeyNorm};
use crate::error::Result;
use crate::families::common::{Sizes, Windows, gated_mlp, layer, rms, rope, windows};
use crate::families::{Names, Request};

/// What differs between the relatives.
struct Variant {
    windows: Vec<Option<usize>>,
    input_bias: bool,
    output_bias: bool,
    mlp_bias: bool,
    head_norm: bool,
}

/// Llama 1 to 3 (arXiv 2307.09288, 2407.21783).
pub(crate) fn llama(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    if json.count_if("pretraining_tp")?.is_some_and(|parts| parts > 1) {
        return Err(json.unsupported("pretraining_tp", "1"));
    }
    let layers = Sizes::read(request)?.layers;
    let bias = json.flag("attention_bias", false)?;
    let variant = Variant {
        windows: vec![None; layers],
        input_bias: bias,
        output_bias: bias,
        mlp_bias: json.flag("mlp_bias", false)?,
        head_norm: false,
    };
    build(request, variant)
}

/// Mistral (arXiv 2310.06825).
pub(crate) fn mistral(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let layers = Sizes::read(request)?.layers;
    let windows = windows(request.json, layers, Windows::All)?;
    build(
        request,
        Variant { windows, input_bias: false, output_bias: false, mlp_bias: false, head_norm: false },
    )
}

/// Qwen2 and Qwen2.5 (arXiv 2407.10671).
pub(crate) fn qwen2(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let windows = qwen_windows(request)?;
    build(
        request,
        Variant { windows, input_bias: true, output_bias: false, mlp_bias: false, head_norm: false },
    )
}

/// Qwen3 (arXiv 2505.09388): no biases, but norms of queries and keys.
pub(crate) fn qwen3(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let bias = request.json.flag("attention_bias", false)?;
    let windows = qwen_windows(request)?;
    build(request, Variant { windows, input_bias: bias, output_bias: bias, mlp_bias: false, head_norm: true })
}

/// OLMo 2 (arXiv 2501.00656): norms behind the parts instead of before them, and over all queries and keys.
pub(crate) fn olmo2(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let bias = json.flag("attention_bias", false)?;
    let mut attention = sizes.attention(Some(0));
    (attention.input_bias, attention.output_bias) = (bias, bias);
    attention.query_key_norm = Some(QueryKeyNorm { norm, whole: true, after_rope: false, scale: 1.0 });
    let part = |op: Op| Part { norm_in: None, op, norm_out: Some(norm) };
    let parts = vec![part(Op::Attention(attention)), part(Op::Mlp(gated_mlp(json, false)?))];
    let layers = vec![Layer { parts }; sizes.layers];
    let names = Names {
        mixer_norm_out: "post_attention_layernorm",
        mlp_norm_out: "post_feedforward_layernorm",
        ..Names::LLAMA
    };
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}

/// Windows only where `use_sliding_window` says so, from layer `max_window_layers` on.
pub(crate) fn qwen_windows(request: &Request<'_>) -> Result<Vec<Option<usize>>> {
    let json = request.json;
    let layers = Sizes::read(request)?.layers;
    if !json.flag("use_sliding_window", false)? {
        return Ok(vec![None; layers]);
    }
    windows(json, layers, Windows::From(json.count_if("max_window_layers")?.unwrap_or(layers)))
}

/// The norm of each head of queries and keys.
pub(crate) fn head_norm(norm: Norm) -> Option<QueryKeyNorm> {
    Some(QueryKeyNorm { norm, whole: false, after_rope: false, scale: 1.0 })
}

/// Converters to GGUF reorder the channels of Llama's heads (and only theirs).
pub(crate) fn llama_pairs(request: &Request<'_>) -> Pairs {
    let reordered = matches!(request.architecture, "LlamaForCausalLM" | "MixtralForCausalLM");
    if request.gguf && reordered { Pairs::Neighbours } else { Pairs::Halves }
}

fn build(request: &Request<'_>, variant: Variant) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let mlp = gated_mlp(json, variant.mlp_bias)?;
    let layers = variant
        .windows
        .iter()
        .map(|&window| {
            let mut attention = sizes.attention(Some(0));
            attention.window = window;
            attention.input_bias = variant.input_bias;
            attention.output_bias = variant.output_bias;
            if variant.head_norm {
                attention.query_key_norm = head_norm(norm);
            }
            layer(attention, Op::Mlp(mlp), norm)
        })
        .collect();
    let ropes = vec![rope(request, sizes.head_dim, llama_pairs(request))?];
    Ok((sizes.decoder(request, ropes, norm, layers), Names::LLAMA))
}
