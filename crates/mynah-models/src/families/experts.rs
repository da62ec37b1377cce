//! Families with mixtures of experts: Mixtral, Qwen2-MoE, Qwen3-MoE, MiniMax-M2, GPT-OSS, GLM-4-MoE.

use crate::config::{
    Activation, DecoderConfig, Layer, MixtureOfExperts, Mlp, Norm, Op, Pairs, QueryKeyNorm, Router,
    SharedExpert,
};
use crate::error::Result;
use crate::families::common::{
    Sizes, Windows, activation, expert_counts, gated_mlp, layer, rms, rope, windows,
};
use crate::families::llama::{head_norm, llama_pairs, qwen_windows};
use crate::families::{Names, Request};

/// Mixtral (arXiv 2401.04088).
pub(crate) fn mixtral(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let (experts, chosen) = expert_counts(json, "num_local_experts")?;
    let experts = MixtureOfExperts {
        experts,
        chosen,
        expert: gated_mlp(json, false)?,
        router: Router::Softmax { normalise: true },
        router_bias: false,
        shared: None,
    };
    let windows = windows(json, sizes.layers, Windows::All)?;
    let layers = windows
        .into_iter()
        .map(|window| {
            let attention = crate::config::Attention { window, ..sizes.attention(Some(0)) };
            layer(attention, Op::MixtureOfExperts(experts), norm)
        })
        .collect();
    let ropes = vec![rope(request, sizes.head_dim, llama_pairs(request))?];
    Ok((sizes.decoder(request, ropes, norm, layers), block_sparse_names(request)))
}

/// `block_sparse_moe` with matrices w1 (gate), w2 (down) and w3 (up).
fn block_sparse_names(request: &Request<'_>) -> Names {
    if request.gguf {
        return Names::LLAMA;
    }
    Names {
        router: "block_sparse_moe.gate",
        expert: "block_sparse_moe.experts.{}.",
        expert_parts: ("w1", "w3", "w2"),
        ..Names::LLAMA
    }
}

/// Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671): a shared expert behind a gate.
pub(crate) fn qwen2_moe(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let hidden = json.len("shared_expert_intermediate_size")?;
    let activation = activation(json, "hidden_act", Activation::Silu)?;
    let shared = SharedExpert { mlp: Mlp { hidden, activation, gated: true, bias: false }, gated: true };
    qwen_moe(request, Some(shared), false, json.flag("qkv_bias", true)?)
}

/// Qwen3-MoE (arXiv 2505.09388).
pub(crate) fn qwen3_moe(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let bias = request.json.flag("attention_bias", false)?;
    qwen_moe(request, None, true, bias)
}

fn qwen_moe(
    request: &Request<'_>,
    shared: Option<SharedExpert>,
    third: bool,
    bias: bool,
) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    // transformers 5 writes the second name.
    let key = if json.has("num_experts") { "num_experts" } else { "num_local_experts" };
    let (experts, chosen) = expert_counts(json, key)?;
    let activation = activation(json, "hidden_act", Activation::Silu)?;
    let mlp = |hidden: usize| Mlp { hidden, activation, gated: true, bias: false };
    let moe = MixtureOfExperts {
        experts,
        chosen,
        expert: mlp(json.len("moe_intermediate_size")?),
        router: Router::Softmax { normalise: json.flag("norm_topk_prob", false)? },
        router_bias: false,
        shared,
    };
    let every = json.len_if("decoder_sparse_step")?.unwrap_or(1);
    let dense = json.numbers_if("mlp_only_layers")?.unwrap_or_default();
    let windows = qwen_windows(request)?;
    let mut layers = Vec::with_capacity(sizes.layers);
    for (number, window) in windows.into_iter().enumerate() {
        let mut attention = sizes.attention(Some(0));
        attention.window = window;
        attention.input_bias = bias;
        attention.output_bias = bias && third;
        if third {
            attention.query_key_norm = head_norm(norm);
        }
        let sparse = !dense.contains(&(number as f64)) && (number + 1).is_multiple_of(every);
        let feed_forward =
            if sparse { Op::MixtureOfExperts(moe) } else { Op::Mlp(mlp(json.len("intermediate_size")?)) };
        layers.push(layer(attention, feed_forward, norm));
    }
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), Names::LLAMA))
}

/// MiniMax-M2: sigmoid router with a bias for the choice, norm over all heads of queries and of keys.
pub(crate) fn minimax_m2(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let (experts, chosen) = expert_counts(json, "num_local_experts")?;
    if let Some(kind) = json.text_if("scoring_func")?
        && kind != "sigmoid"
    {
        return Err(json.unsupported("scoring_func", "sigmoid"));
    }
    if let Some(kind) = json.text_if("qk_norm_type")?
        && kind != "per_layer"
    {
        return Err(json.unsupported("qk_norm_type", "per_layer"));
    }
    let moe = MixtureOfExperts {
        experts,
        chosen,
        expert: gated_mlp(json, false)?,
        router: Router::Sigmoid { groups: 1, groups_chosen: 1, normalise: true, scale: 1.0 },
        router_bias: false,
        shared: None,
    };
    let mut attention = sizes.attention(Some(0));
    if json.flag("use_qk_norm", true)? {
        attention.query_key_norm = Some(QueryKeyNorm { norm, whole: true, after_rope: false, scale: 1.0 });
    }
    let layers = vec![layer(attention, Op::MixtureOfExperts(moe), norm); sizes.layers];
    let names = Names {
        router_choice_bias: "block_sparse_moe.e_score_correction_bias",
        ..block_sparse_names(request)
    };
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}

/// GLM-4.5 and its relatives (arXiv 2508.06471).
pub(crate) fn glm4_moe(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm = rms(json)?;
    let (experts, chosen) = expert_counts(json, "n_routed_experts")?;
    let activation = activation(json, "hidden_act", Activation::Silu)?;
    let mlp = |hidden: usize| Mlp { hidden, activation, gated: true, bias: false };
    let hidden = json.len("moe_intermediate_size")?;
    let shared = json.len_if("n_shared_experts")?.unwrap_or(1);
    let moe = MixtureOfExperts {
        experts,
        chosen,
        expert: mlp(hidden),
        router: sigmoid_router(request, experts)?,
        router_bias: false,
        shared: Some(SharedExpert { mlp: mlp(hidden * shared), gated: false }),
    };
    let dense = json.count_if("first_k_dense_replace")?.unwrap_or(1);
    let bias = json.flag("attention_bias", false)?;
    let normed = json.flag("use_qk_norm", false)?;
    let mut layers: Vec<Layer> = Vec::with_capacity(sizes.layers);
    for number in 0..sizes.layers {
        let mut attention = sizes.attention(Some(0));
        attention.input_bias = bias;
        if normed {
            attention.query_key_norm = head_norm(norm);
        }
        let feed_forward = if number < dense {
            Op::Mlp(mlp(json.len("intermediate_size")?))
        } else {
            Op::MixtureOfExperts(moe)
        };
        layers.push(layer(attention, feed_forward, norm));
    }
    let names = Names {
        router_choice_bias: "mlp.gate.e_score_correction_bias",
        shared_expert: "mlp.shared_experts.",
        ..Names::LLAMA
    };
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}

/// The router of DeepSeek-V3 and those who took it over.
pub(crate) fn sigmoid_router(request: &Request<'_>, experts: usize) -> Result<Router> {
    let json = request.json;
    let groups = json.len_if("n_group")?.unwrap_or(1);
    let groups_chosen = json.len_if("topk_group")?.unwrap_or(1);
    if !experts.is_multiple_of(groups)
        || groups_chosen > groups
        || experts / groups < 2 && groups > groups_chosen
    {
        return Err(
            json.unsupported("n_group", "a divisor of the number of experts, with two or more in a group")
        );
    }
    Ok(Router::Sigmoid {
        groups,
        groups_chosen,
        normalise: json.flag("norm_topk_prob", true)?,
        scale: json.positive_or("routed_scaling_factor", 1.0)? as f32,
    })
}

/// GPT-OSS (arXiv 2508.10925): sinks, alternating windows, biases everywhere.
pub(crate) fn gpt_oss(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let sizes = Sizes::read(request)?;
    let norm: Norm = rms(json)?;
    let (experts, chosen) = expert_counts(json, "num_local_experts")?;
    let activation = Activation::ClampedSwiglu {
        alpha: json.positive_or("swiglu_alpha", 1.702)? as f32,
        limit: json.positive_or("swiglu_limit", 7.0)? as f32,
    };
    let moe = MixtureOfExperts {
        experts,
        chosen,
        expert: Mlp { hidden: json.len("intermediate_size")?, activation, gated: true, bias: true },
        router: Router::SoftmaxOfChosen,
        router_bias: true,
        shared: None,
    };
    let bias = json.flag("attention_bias", true)?;
    let layers = windows(json, sizes.layers, Windows::AllButEvery(2))?
        .into_iter()
        .map(|window| {
            let mut attention = sizes.attention(Some(0));
            attention.window = window;
            attention.sinks = true;
            attention.input_bias = bias;
            attention.output_bias = bias;
            layer(attention, Op::MixtureOfExperts(moe), norm)
        })
        .collect();
    let names = Names {
        sinks: "self_attn.sinks",
        router: "mlp.router",
        experts_interleaved: "mlp.experts.gate_up_proj",
        experts_down: "mlp.experts.down_proj",
        ..Names::LLAMA
    };
    let ropes = vec![rope(request, sizes.head_dim, Pairs::Halves)?];
    Ok((sizes.decoder(request, ropes, norm, layers), names))
}
