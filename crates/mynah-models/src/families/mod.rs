//! From a model's own description to ours: one small function a family.
//!
//! A family is settings (which [`DecoderConfig`] a `config.json` stands for) and names (where its tensors are).
//! A value that would change what is computed and is not known here is an error that names it.

pub(crate) mod common;
mod experts;
mod gemma;
pub(crate) mod gguf;
mod llama;
mod nemotron;
mod others;
pub(crate) mod ours;

use serde_json::Value;

use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::files::json::Json;

/// The names of a family's tensors. Names in a layer follow the layer's prefix; an empty name is no tensor.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Of the token embedding, without `.weight`.
    pub embedding: &'static str,
    /// Of the learned positions, without `.weight`.
    pub positions: &'static str,
    pub embedding_norm: &'static str,
    /// Prefix of a layer, `{}` being its number.
    pub layer: &'static str,
    pub final_norm: &'static str,
    pub head: &'static str,
    /// Norms before and after attention (or a Mamba mixer) and the feed-forward part.
    pub mixer_norm: &'static str,
    pub mixer_norm_out: &'static str,
    pub mlp_norm: &'static str,
    pub mlp_norm_out: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    /// Where query, key and value are one tensor.
    pub query_key_value: &'static str,
    pub output: &'static str,
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    /// A whole tensor's name.
    pub sinks: &'static str,
    /// Prefix of the feed-forward part.
    pub mlp: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    /// Where gate and up are one tensor.
    pub gate_up: &'static str,
    pub down: &'static str,
    pub router: &'static str,
    /// A whole tensor's name.
    pub router_choice_bias: &'static str,
    /// Prefix of an expert, `{}` being its number.
    pub expert: &'static str,
    /// Gate, up and down of an expert.
    pub expert_parts: (&'static str, &'static str, &'static str),
    /// One tensor for all experts: the parts' names are then whole names in the layer.
    pub experts_stacked: bool,
    /// One tensor for gates and ups of all experts in turn, by its whole name.
    pub experts_interleaved: &'static str,
    /// The matching tensor of all down matrices.
    pub experts_down: &'static str,
    /// Prefix of the shared expert.
    pub shared_expert: &'static str,
    pub shared_parts: (&'static str, &'static str, &'static str),
    pub shared_gate: &'static str,
    /// Prefix of a Mamba mixer.
    pub mamba: &'static str,
    /// Matrices are (inputs, outputs) in the files.
    pub transposed: bool,
}

impl Names {
    /// The names of Llama, which most families share.
    pub(crate) const LLAMA: Self = Self {
        embedding: "model.embed_tokens",
        positions: "",
        embedding_norm: "",
        layer: "model.layers.{}.",
        final_norm: "model.norm",
        head: "lm_head",
        mixer_norm: "input_layernorm",
        mixer_norm_out: "",
        mlp_norm: "post_attention_layernorm",
        mlp_norm_out: "",
        query: "self_attn.q_proj",
        key: "self_attn.k_proj",
        value: "self_attn.v_proj",
        query_key_value: "",
        output: "self_attn.o_proj",
        query_norm: "self_attn.q_norm",
        key_norm: "self_attn.k_norm",
        sinks: "",
        mlp: "mlp.",
        gate: "gate_proj",
        up: "up_proj",
        gate_up: "",
        down: "down_proj",
        router: "mlp.gate",
        router_choice_bias: "",
        expert: "mlp.experts.{}.",
        expert_parts: ("gate_proj", "up_proj", "down_proj"),
        experts_stacked: false,
        experts_interleaved: "",
        experts_down: "",
        shared_expert: "mlp.shared_expert.",
        shared_parts: ("gate_proj", "up_proj", "down_proj"),
        shared_gate: "mlp.shared_expert_gate",
        mamba: "",
        transposed: false,
    };

    /// The prefix of layer `layer`.
    pub(crate) fn layer_prefix(&self, layer: usize) -> String {
        self.layer.replace("{}", &layer.to_string())
    }
}

/// A model as described by its files.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub config: DecoderConfig,
    pub names: Names,
    /// Layers behind the last that are only there to guess tokens further ahead; they are not used.
    pub extra_layers: usize,
}

/// What a family is made from.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The settings, of the language model where there are several.
    pub json: &'a Json,
    /// The name of the architecture.
    pub architecture: &'a str,
    /// The longest context that is wanted, where the user said so.
    pub context_length: Option<usize>,
    /// Whether there is a tensor of this name.
    pub has: &'a dyn Fn(&str) -> bool,
    /// The settings come from a GGUF file, whose tensors have been given our names.
    pub gguf: bool,
    /// The number of layers where the usual setting does not say it.
    pub layers: Option<usize>,
    /// The share of a head's channels that is rotated where the settings do not say it.
    pub rotary_share: f64,
}

type Describe = fn(&Request<'_>) -> Result<(DecoderConfig, Names)>;

/// The families by the names their files have for them.
const FAMILIES: &[(&str, Describe)] = &[
    ("LlamaForCausalLM", llama::llama),
    ("MistralForCausalLM", llama::mistral),
    ("Mistral3ForConditionalGeneration", llama::mistral),
    ("MixtralForCausalLM", experts::mixtral),
    ("Qwen2ForCausalLM", llama::qwen2),
    ("Qwen2MoeForCausalLM", experts::qwen2_moe),
    ("Qwen3ForCausalLM", llama::qwen3),
    ("Qwen3MoeForCausalLM", experts::qwen3_moe),
    ("GemmaForCausalLM", gemma::gemma),
    ("Gemma2ForCausalLM", gemma::gemma2),
    ("Gemma3ForCausalLM", gemma::gemma3),
    ("Gemma3ForConditionalGeneration", gemma::gemma3),
    ("Phi3ForCausalLM", others::phi3),
    ("GlmForCausalLM", others::glm),
    ("Glm4ForCausalLM", others::glm4),
    ("Glm4MoeForCausalLM", experts::glm4_moe),
    ("Olmo2ForCausalLM", llama::olmo2),
    ("MiniMaxM2ForCausalLM", experts::minimax_m2),
    ("NemotronHForCausalLM", nemotron::nemotron_h),
    ("GPT2LMHeadModel", others::gpt2),
    ("GptOssForCausalLM", experts::gpt_oss),
];

/// What the published files of models for text and pictures leave out, since it is their library's default.
fn nested_defaults(architecture: &str) -> Vec<(&'static str, Value)> {
    match architecture {
        "Gemma3ForConditionalGeneration" => vec![
            ("vocab_size", Value::from(262_208)),
            ("num_attention_heads", Value::from(8)),
            ("num_key_value_heads", Value::from(4)),
            ("head_dim", Value::from(256)),
            ("max_position_embeddings", Value::from(131_072)),
        ],
        _ => Vec::new(),
    }
}

/// Describes the model of a `config.json`.
///
/// # Errors
/// When the architecture or one of its settings is not supported.
pub(crate) fn describe(
    json: &Json,
    context_length: Option<usize>,
    has: &dyn Fn(&str) -> bool,
    gguf: bool,
) -> Result<Plan> {
    let architectures = json.texts_if("architectures")?.unwrap_or_default();
    let Some(architecture) = architectures.first() else {
        return Err(Error::unsupported(format!(
            "{}: it names no architecture; expected \"architectures\": [...] as in Hugging Face models, or a checkpoint of our own",
            json.path().display()
        )));
    };
    let Some((_, family)) = FAMILIES.iter().find(|(name, _)| name == architecture) else {
        let known: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
        return Err(Error::unsupported(format!(
            "{}: architecture {architecture} is not supported; supported are {}",
            json.path().display(),
            known.join(", ")
        )));
    };
    if let Some(quantized) = json.object_if("quantization_config")? {
        // Only this one changes nothing but the storage of tensors that are known here.
        if quantized.text_if("quant_method")? != Some("mxfp4") {
            return Err(quantized.unsupported(
                "quant_method",
                "mxfp4 (for others take the unquantised model or a GGUF file)",
            ));
        }
    }
    let nested = json.object_if("text_config")?.map(|json| json.or(&nested_defaults(architecture)));
    let request = Request {
        json: nested.as_ref().unwrap_or(json),
        architecture,
        context_length,
        has,
        gguf,
        layers: None,
        rotary_share: 1.0,
    };
    let (config, names) = family(&request)?;
    let extra = |key: &str| request.json.count_if(key);
    let extra_layers = extra("num_nextn_predict_layers")?.or(extra("num_mtp_modules")?).unwrap_or(0);
    Ok(Plan { config, names, extra_layers })
}
