//! Nemotron-H (arXiv 2504.03624): each layer is one part, most of them Mamba-2 mixers; attention knows no positions.

use crate::config::{
    Activation, DecoderConfig, Layer, Mamba, MixtureOfExperts, Mlp, Norm, Op, Part, SharedExpert,
};
use crate::error::Result;
use crate::families::common::{Sizes, activation, expert_counts};
use crate::families::experts::sigmoid_router;
use crate::families::{Names, Request};
use crate::files::json::Json;

pub(crate) fn nemotron_h(request: &Request<'_>) -> Result<(DecoderConfig, Names)> {
    let json = request.json;
    let kinds = kinds(json)?;
    let sizes = Sizes::read(&Request { layers: Some(kinds.len()), ..*request })?;
    let eps = if json.has("layer_norm_epsilon") { "layer_norm_epsilon" } else { "rms_norm_eps" };
    let eps = json.positive_or(eps, 1e-5)? as f32;
    let norm = Norm::rms(eps);
    let mut layers = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let op = match kind {
            Kind::Mamba => Op::Mamba(mamba(json, eps)?),
            Kind::Attention => Op::Attention(sizes.attention(None)),
            Kind::Mlp => Op::Mlp(mlp(json, "intermediate_size")?),
            Kind::Experts => Op::MixtureOfExperts(experts(request)?),
        };
        layers.push(Layer { parts: vec![Part { norm_in: Some(norm), op, norm_out: None }] });
    }
    Ok((sizes.decoder(request, Vec::new(), norm, layers), names(request)))
}

#[derive(Clone, Copy)]
enum Kind {
    Mamba,
    Attention,
    Mlp,
    Experts,
}

/// The kinds of layers, from the list of transformers 5 or from the letters of the published files.
fn kinds(json: &Json) -> Result<Vec<Kind>> {
    for key in ["layers_block_type", "layer_types"] {
        let Some(types) = json.texts_if(key)? else { continue };
        return types
            .iter()
            .map(|kind| match kind.as_str() {
                "linear_attention" | "mamba" => Ok(Kind::Mamba),
                "full_attention" | "attention" => Ok(Kind::Attention),
                "mlp" => Ok(Kind::Mlp),
                "moe" => Ok(Kind::Experts),
                _ => Err(json.unsupported(key, "linear_attention, full_attention, mlp, moe")),
            })
            .collect();
    }
    let key = "hybrid_override_pattern";
    let letters = json.text_if(key)?.ok_or_else(|| json.missing(key))?;
    letters
        .chars()
        .map(|letter| match letter {
            'M' => Ok(Kind::Mamba),
            '*' => Ok(Kind::Attention),
            '-' => Ok(Kind::Mlp),
            'E' => Ok(Kind::Experts),
            _ => Err(json.unsupported(key, "the letters M, *, - and E")),
        })
        .collect()
}

fn mamba(json: &Json, norm_eps: f32) -> Result<Mamba> {
    let heads = json.len("mamba_num_heads")?;
    let groups = json.len_if("n_groups")?.unwrap_or(8);
    if !heads.is_multiple_of(groups) {
        return Err(json.wrong("n_groups", &groups.into(), &format!("a divisor of the {heads} heads")));
    }
    if activation(json, "mamba_hidden_act", Activation::Silu)? != Activation::Silu {
        return Err(json.unsupported("mamba_hidden_act", "silu"));
    }
    let bias = json.flag("use_bias", false)? || json.flag("mamba_proj_bias", false)?;
    Ok(Mamba {
        heads,
        head_dim: json.len_if("mamba_head_dim")?.unwrap_or(64),
        groups,
        state: json.len_if("ssm_state_size")?.unwrap_or(128),
        taps: json.len_if("conv_kernel")?.unwrap_or(4),
        time_step: time_step(json)?,
        norm_eps,
        conv_bias: json.flag("use_conv_bias", true)?,
        bias,
    })
}

/// The bounds of the time step; the upper one is usually infinite.
fn time_step(json: &Json) -> Result<(f32, f32)> {
    let key = "time_step_limit";
    let Some(value) = json.value(key) else { return Ok((0.0, f32::INFINITY)) };
    let bound = |value: &serde_json::Value| match value.as_str() {
        Some("Infinity" | "inf") => Some(f32::INFINITY),
        _ => value.as_f64().map(|bound| bound as f32),
    };
    // Written by transformers as {"__float__": "Infinity"} where it has to be strict JSON.
    let bound = |value: &serde_json::Value| bound(value.get("__float__").unwrap_or(value));
    match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => match (bound(low), bound(high)) {
            (Some(low), Some(high)) if low >= 0.0 && high >= low => Ok((low, high)),
            _ => Err(json.wrong(key, value, "two bounds from 0 on")),
        },
        _ => Err(json.wrong(key, value, "two bounds from 0 on")),
    }
}

fn mlp(json: &Json, key: &str) -> Result<Mlp> {
    let activation = activation(json, "mlp_hidden_act", Activation::ReluSquare)?;
    Ok(Mlp { hidden: json.len(key)?, activation, gated: false, bias: json.flag("mlp_bias", false)? })
}

fn experts(request: &Request<'_>) -> Result<MixtureOfExperts> {
    let json = request.json;
    if json.has("moe_latent_size") {
        return Err(json.unsupported("moe_latent_size", "null"));
    }
    let (experts, chosen) = expert_counts(json, "n_routed_experts")?;
    let shared = match json.count_if("n_shared_experts")? {
        Some(0) => None,
        _ => Some(SharedExpert { mlp: mlp(json, "moe_shared_expert_intermediate_size")?, gated: false }),
    };
    Ok(MixtureOfExperts {
        experts,
        chosen,
        // The experts themselves have no biases.
        expert: Mlp { bias: false, ..mlp(json, "moe_intermediate_size")? },
        router: sigmoid_router(request, experts)?,
        router_bias: false,
        shared,
    })
}

fn names(request: &Request<'_>) -> Names {
    let model = (request.has)("model.embeddings.weight");
    let pick = |published: &'static str, new: &'static str| if model { new } else { published };
    Names {
        embedding: pick("backbone.embeddings", "model.embeddings"),
        layer: pick("backbone.layers.{}.", "model.layers.{}."),
        final_norm: pick("backbone.norm_f", "model.norm_f"),
        mixer_norm: "norm",
        mlp_norm: "norm",
        query: "mixer.q_proj",
        key: "mixer.k_proj",
        value: "mixer.v_proj",
        output: "mixer.o_proj",
        mlp: "mixer.",
        router: "mixer.gate",
        router_choice_bias: "mixer.gate.e_score_correction_bias",
        expert: "mixer.experts.{}.",
        shared_expert: "mixer.shared_experts.",
        mamba: "mixer.",
        ..Names::LLAMA
    }
}
