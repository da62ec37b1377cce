//! The formats in which models write tool calls, their names, and how to tell which one a model uses.

use crate::error::{Error, ErrorKind, Result};

/// How a model writes its tool calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolFormat {
    /// `<tool_call>{"name":…,"arguments":{…}}</tool_call>`: Hermes 2 and 3, Qwen 2.5 and 3.
    Hermes,
    /// `<tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>`: Qwen3-Coder, Nemotron 3, and with
    /// `<seed:tool_call>` Seed-OSS.
    Qwen3Coder,
    /// `{"name":…,"parameters":{…}}`, perhaps after `<|python_tag|>`: Llama 3.1, 3.2, 3.3.
    Llama3Json,
    /// `[name(key="value"), …]`, perhaps between `<|python_start|>` and `<|python_end|>`: Llama 4, Llama 3.2 small; between
    /// `<|tool_call_start|>` and `<|tool_call_end|>`, also as JSON: LFM2.
    Pythonic,
    /// `[TOOL_CALLS][{"name":…,"arguments":{…}}]` or `[TOOL_CALLS]NAME[ARGS]{…}`: Mistral.
    Mistral,
    /// `<minimax:tool_call><invoke name="NAME"><parameter name="KEY">…</parameter></invoke></minimax:tool_call>`.
    MinimaxM2,
    /// `<TOOLCALL>[{"name":…,"arguments":{…}}]</TOOLCALL>`: Nemotron Nano 2 and Super.
    Nemotron,
    /// `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>…</arg_value></tool_call>`: GLM-4.5 and newer; also GLM-4's
    /// function name on a line before its JSON.
    Glm4,
    /// `<|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>`: Kimi K2.
    KimiK2,
    /// `<｜tool▁call▁begin｜>…<｜tool▁sep｜>…<｜tool▁call▁end｜>`: DeepSeek V3, R1 and V3.1; also V3.2's `<｜DSML｜invoke …>`.
    DeepseekV3,
    /// Gemma: `tool_code` and JSON blocks, FunctionGemma's `<start_function_call>` and Gemma 4's `<|tool_call>`.
    Gemma,
    /// Harmony channels: `<|channel|>commentary to=functions.NAME<|message|>{…}<|call|>`: GPT-OSS.
    GptOss,
    /// `<|python_start|>12 * 7<|python_end|>`: the models that this product trains, which know one tool, `python`.
    Mynah,
    /// No tool calls: all is text.
    #[default]
    None,
}

/// Every format with its name for `--tool-parser`, and the other names people know it by.
const NAMES: [(ToolFormat, &str, &[&str]); 14] = [
    (ToolFormat::Hermes, "hermes", &["qwen", "qwen25", "qwen2_5", "qwen3"]),
    (ToolFormat::Qwen3Coder, "qwen3_coder", &["qwen3_xml", "nemotron3"]),
    (ToolFormat::Llama3Json, "llama3_json", &["llama3", "llama", "llama4_json"]),
    (ToolFormat::Pythonic, "pythonic", &["llama4_pythonic", "llama4", "lfm2"]),
    (ToolFormat::Mistral, "mistral", &[]),
    (ToolFormat::MinimaxM2, "minimax_m2", &["minimax"]),
    (ToolFormat::Nemotron, "nemotron", &["nemotron_json"]),
    (ToolFormat::Glm4, "glm4", &["glm45", "glm47", "glm"]),
    (ToolFormat::KimiK2, "kimi_k2", &["kimi"]),
    (ToolFormat::DeepseekV3, "deepseek_v3", &["deepseek", "deepseek_v31", "deepseek_v32", "deepseek_r1"]),
    (ToolFormat::Gemma, "gemma", &["gemma3", "gemma4", "functiongemma"]),
    (ToolFormat::GptOss, "gpt_oss", &["harmony", "openai"]),
    (ToolFormat::Mynah, "mynah", &[]),
    (ToolFormat::None, "none", &[]),
];

impl ToolFormat {
    /// Every format.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(format, _, _)| *format)
    }

    /// Its name, as `--tool-parser` takes it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(format, _, _)| *format == self).map_or("none", |(_, name, _)| name)
    }

    /// The format of this name; `-` and `.` count as `_`.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] with the known names.
    pub fn from_name(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase().replace(['-', '.'], "_");
        let found =
            NAMES.iter().find(|(_, name, others)| *name == wanted || others.contains(&wanted.as_str()));
        found.map(|(format, _, _)| *format).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name, _)| *name).collect();
            Error::new(ErrorKind::Name, format!("unknown tool parser '{name}'; known: {}", names.join(", ")))
        })
    }

    /// The format of a model, by the marks its chat template writes, or else by its `model_type` (config.json).
    ///
    /// The template decides where it can: fine-tunes keep the type of the model they come from, but bring the template
    /// they were trained with. A template without a word of tools gives [`ToolFormat::None`] unless the type is one whose
    /// models write calls on their own.
    pub fn detect(template: &str, model_type: &str) -> Self {
        let has = |mark: &str| template.contains(mark);
        let kind = model_type.to_ascii_lowercase().replace(['-', '.'], "_");
        match () {
            () if has("<|channel|>") && has("<|message|>") => Self::GptOss,
            () if has("minimax:tool_call") => Self::MinimaxM2,
            () if has("<TOOLCALL>") => Self::Nemotron,
            () if has("<|tool_call_begin|>") => Self::KimiK2,
            () if has("<｜tool▁call▁begin｜>") || has("｜DSML｜") => Self::DeepseekV3,
            () if has("<arg_key>") => Self::Glm4,
            () if has("<function=") && has("<parameter=") => Self::Qwen3Coder,
            () if has("[TOOL_CALLS]") => Self::Mistral,
            () if has("<start_function_call>") || has("<|tool_call>") => Self::Gemma,
            () if has("<|python_start|>") || has("<|tool_call_start|>") => Self::Pythonic,
            () if has("<tool_call>") => Self::Hermes,
            () if has("<|python_tag|>") || (has("<|start_header_id|>") && has("tools")) => Self::Llama3Json,
            () if has("<start_of_turn>") || kind.starts_with("gemma") => Self::Gemma,
            () if has("<|observation|>") || kind.starts_with("glm4") => Self::Glm4,
            () if kind == "gpt_oss" => Self::GptOss,
            () if kind.starts_with("minimax") => Self::MinimaxM2,
            () if kind.starts_with("llama4") => Self::Pythonic,
            () => Self::None,
        }
    }

    /// Marks that end the model's turn after a call, where the model's `eos_token_id` may not list them. The server
    /// should stop at them when they are tokens of the model.
    pub fn stop_texts(self) -> &'static [&'static str] {
        match self {
            Self::GptOss => &["<|call|>", "<|return|>"],
            Self::Llama3Json => &["<|eom_id|>", "<|eot_id|>"],
            Self::Pythonic => &["<|eom|>", "<|eot|>"],
            Self::Glm4 => &["<|observation|>", "<|user|>"],
            Self::Gemma => &["<start_function_response>", "<|tool_response>"],
            _ => &[],
        }
    }

    /// The mark that ends a call and that the answer has to stop at, as soon as tools are offered: what the tool returned
    /// comes next, in the same turn.
    pub fn call_end(self) -> Option<&'static str> {
        (self == Self::Mynah).then_some(crate::parser::CODE_END)
    }

    /// An id for a call that the model gave none. Most clients take any text; Mistral's templates take nine letters and
    /// digits only, and Kimi's expect the function's name and the number of the call in the conversation.
    ///
    /// `number` counts the calls of the conversation from 0; `random` makes ids of different requests differ.
    pub fn call_id(self, name: &str, number: usize, random: u64) -> String {
        match self {
            Self::KimiK2 => format!("functions.{name}:{number}"),
            Self::Mistral => crate::fixes::mistral_call_id(&format!("{random:016x}{number}")),
            _ => format!("call_{random:016x}{number:x}"),
        }
    }
}
