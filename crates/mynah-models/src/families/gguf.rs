//! GGUF's metadata as the `config.json` it was made from, and its tensors under the names of that model.
//!
//! So each family is described once. What converters change on the way is known here: Llama's queries and keys
//! are reordered so that neighbours are turned together, Gemma's gains have their 1 added, and Llama 3's and
//! Phi-3's rotation factors are tensors.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::families::{self, Names, Plan};
use crate::files::Weights;
use crate::files::gguf::{GgufHeader, GgufValue};
use crate::files::json::Json;

/// A family's name in GGUF and in `config.json`.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("llama", "LlamaForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
    ("qwen2moe", "Qwen2MoeForCausalLM"),
    ("qwen3", "Qwen3ForCausalLM"),
    ("qwen3moe", "Qwen3MoeForCausalLM"),
    ("gemma", "GemmaForCausalLM"),
    ("gemma2", "Gemma2ForCausalLM"),
    ("gemma3", "Gemma3ForCausalLM"),
    ("phi3", "Phi3ForCausalLM"),
    ("glm4", "Glm4ForCausalLM"),
];

/// Settings that only change their names.
const SETTINGS: &[(&str, &str)] = &[
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("context_length", "max_position_embeddings"),
    ("rope.freq_base", "rope_theta"),
    ("rope.dimension_count", "rotary_dim"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("expert_count", "num_local_experts"),
    ("expert_used_count", "num_experts_per_tok"),
    ("expert_feed_forward_length", "moe_intermediate_size"),
    ("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
];

/// Tensors outside of layers.
const GLOBAL: &[(&str, &str)] =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// Tensors in layers, where a family does not have others ([`layer_name`]).
const LAYER: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("ffn_gate_inp", "mlp.gate"),
    ("ffn_gate_exps", "mlp.experts.gate_proj"),
    ("ffn_up_exps", "mlp.experts.up_proj"),
    ("ffn_down_exps", "mlp.experts.down_proj"),
    ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_expert.up_proj"),
    ("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    ("ffn_gate_inp_shexp", "mlp.shared_expert_gate"),
];

/// Describes the model of a GGUF file and gives its tensors their names.
///
/// # Errors
/// When the architecture or a setting is not supported.
pub(crate) fn describe(
    path: &Path,
    header: &GgufHeader,
    weights: Weights,
    context_length: Option<usize>,
) -> Result<(Plan, Weights)> {
    let metadata = header.metadata();
    let text = |key: &str| metadata.get(key).and_then(GgufValue::as_text);
    let architecture = text("general.architecture")
        .ok_or_else(|| Error::format(path, "it does not say its general.architecture"))?
        .to_string();
    if let Some(parts) = metadata.get("split.count").and_then(GgufValue::as_count).filter(|&n| n > 1) {
        return Err(Error::unsupported(format!(
            "{}: one of {parts} parts of a model; parts are not read, join them with `llama-gguf-split --merge`",
            path.display()
        )));
    }
    let Some((_, name)) = ARCHITECTURES.iter().find(|(name, _)| *name == architecture) else {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
        return Err(Error::unsupported(format!(
            "{}: architecture {architecture} is not supported in GGUF; supported are {}",
            path.display(),
            known.join(", ")
        )));
    };
    let settings = settings(path, header, &weights, &architecture, name)?;
    let weights = weights.rename(|name| rename(&architecture, name));
    let json = Json::new(path, settings);
    let plan = families::describe(&json, context_length, &|name| weights.has(name), true)?;
    let names = Names {
        experts_stacked: true,
        expert_parts: ("mlp.experts.gate_proj", "mlp.experts.up_proj", "mlp.experts.down_proj"),
        ..plan.names
    };
    Ok((Plan { names, ..plan }, weights))
}

fn settings(
    path: &Path,
    header: &GgufHeader,
    weights: &Weights,
    architecture: &str,
    name: &str,
) -> Result<Map<String, Value>> {
    let metadata = header.metadata();
    let value = |key: &str| metadata.get(&format!("{architecture}.{key}")).and_then(plain);
    let mut settings = Map::new();
    for (key, ours) in SETTINGS {
        if let Some(value) = value(key) {
            settings.insert((*ours).to_string(), value);
        }
    }
    let mixtral = architecture == "llama" && settings.contains_key("num_local_experts");
    let name = if mixtral { "MixtralForCausalLM" } else { name };
    settings.insert("architectures".to_string(), json!([name]));
    // The table says how many tokens there are; the metadata often does not.
    let rows = weights.get("token_embd.weight")?.shape.first().copied().unwrap_or(0);
    settings.insert("vocab_size".to_string(), json!(rows));
    if let (Some(key), Some(value)) = (value("attention.key_length"), value("attention.value_length"))
        && key != value
    {
        return Err(Error::unsupported(format!(
            "{}: keys of {key} and values of {value} channels are not supported; equal lengths are",
            path.display()
        )));
    }
    if let Some(share) = rope_scaling(&value, weights, &settings)? {
        settings.insert("rope_scaling".to_string(), share);
    }
    let number = |key: &str| settings.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (layers, width, heads) =
        (number("num_hidden_layers"), number("hidden_size"), number("num_attention_heads"));
    match architecture {
        // Converters leave the scale out; the largest models scale by the width of a head's share.
        "gemma2" | "gemma3" => {
            let largest = layers == if architecture == "gemma2" { 46 } else { 62 };
            let scalar = if largest && heads > 0 { width / heads } else { number("head_dim").max(1) };
            settings.insert("query_pre_attn_scalar".to_string(), json!(scalar));
        }
        "qwen2moe" | "qwen3moe" => {
            settings.insert("norm_topk_prob".to_string(), json!(architecture == "qwen3moe"));
        }
        _ => {}
    }
    if architecture == "qwen3" || architecture == "qwen2" {
        settings.remove("sliding_window");
    }
    // Biases are there where their tensors are.
    settings.insert("mlp_bias".to_string(), json!(weights.has("blk.0.ffn_down.bias")));
    let bias = weights.has("blk.0.attn_q.bias");
    if !matches!(architecture, "qwen2" | "qwen2moe") {
        settings.insert("attention_bias".to_string(), json!(bias));
    }
    Ok(settings)
}

/// The scaling of the rotation, from settings or from tensors of factors.
fn rope_scaling(
    value: &dyn Fn(&str) -> Option<Value>,
    weights: &Weights,
    settings: &Map<String, Value>,
) -> Result<Option<Value>> {
    let most = settings.get("max_position_embeddings").cloned().unwrap_or(Value::Null);
    let original = value("rope.scaling.original_context_length").unwrap_or(most);
    if weights.has("rope_factors_short.weight") {
        let factors = |name: &str| weights.get(name)?.to_f32();
        return Ok(Some(json!({
            "rope_type": "longrope",
            "short_factor": factors("rope_factors_short.weight")?,
            "long_factor": factors("rope_factors_long.weight")?,
            "original_max_position_embeddings": original,
            "attention_factor": value("rope.scaling.attn_factor"),
        })));
    }
    if weights.has("rope_freqs.weight") {
        let factors = weights.get("rope_freqs.weight")?.to_f32()?;
        return Ok(Some(json!({
            "rope_type": "longrope",
            "short_factor": factors,
            "long_factor": factors,
            "attention_factor": 1.0,
        })));
    }
    let kind = value("rope.scaling.type");
    match kind.as_ref().and_then(Value::as_str) {
        None | Some("none") => Ok(None),
        Some(_) => Ok(Some(json!({
            "rope_type": kind,
            "factor": value("rope.scaling.factor"),
            "original_max_position_embeddings": original,
            "attention_factor": value("rope.scaling.attn_factor"),
        }))),
    }
}

fn plain(value: &GgufValue) -> Option<Value> {
    Some(match value {
        GgufValue::Unsigned(n) => json!(n),
        GgufValue::Signed(n) => json!(n),
        // Stored as f32: the shortest decimal that is that f32, as the original file had it.
        GgufValue::Float(f) => json!((*f as f32).to_string().parse::<f64>().unwrap_or(*f)),
        GgufValue::Flag(flag) => json!(flag),
        GgufValue::Text(text) => json!(text),
        // One value for all layers, or a list of equal ones.
        GgufValue::List(values) => {
            let first = values.first()?;
            return values.iter().all(|value| value == first).then(|| plain(first)).flatten();
        }
    })
}

/// The name of a tensor in the model that the file was made from.
fn rename(architecture: &str, name: &str) -> String {
    let (module, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let find = |table: &[(&str, &str)], module: &str| {
        table.iter().find(|(theirs, _)| *theirs == module).map(|(_, ours)| (*ours).to_string())
    };
    if let Some((number, part)) = module.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        let ours = layer_name(architecture, part).map(str::to_string).or_else(|| find(LAYER, part));
        return match ours {
            Some(ours) => format!("model.layers.{number}.{ours}.{kind}"),
            None => name.to_string(),
        };
    }
    match find(GLOBAL, module) {
        Some(ours) => format!("{ours}.{kind}"),
        None => name.to_string(),
    }
}

/// What a family calls by other names than Llama.
fn layer_name(architecture: &str, part: &str) -> Option<&'static str> {
    Some(match (architecture, part) {
        ("gemma2" | "gemma3", "ffn_norm") => "pre_feedforward_layernorm",
        ("gemma2" | "gemma3", "post_attention_norm") => "post_attention_layernorm",
        ("gemma2" | "gemma3", "post_ffw_norm") => "post_feedforward_layernorm",
        ("glm4", "post_attention_norm") => "post_self_attn_layernorm",
        ("glm4", "post_ffw_norm") => "post_mlp_layernorm",
        ("glm4" | "phi3", "ffn_up") => "mlp.gate_up_proj",
        _ => return None,
    })
}
