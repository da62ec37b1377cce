//! What a caller can say about one rendering.

use serde_json::{Map, Value};

/// The texts of the model's special tokens, which templates print (`special_tokens_map` in transformers). A token that
/// the model lacks is left out, and the template sees it as undefined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenTexts {
    /// `bos_token`
    pub bos: Option<String>,
    /// `eos_token`
    pub eos: Option<String>,
    /// `unk_token`
    pub unk: Option<String>,
    /// `pad_token`
    pub pad: Option<String>,
    /// Others by their names in templates, such as `cls_token`.
    pub others: Vec<(String, String)>,
}

impl TokenTexts {
    pub(super) fn put_into(&self, variables: &mut Map<String, Value>) {
        let named = [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("unk_token", &self.unk),
            ("pad_token", &self.pad),
        ];
        for (name, text) in named {
            if let Some(text) = text {
                variables.insert(name.to_string(), Value::String(text.clone()));
            }
        }
        for (name, text) in &self.others {
            variables.insert(name.clone(), Value::String(text.clone()));
        }
    }
}

/// A moment as a clock on the wall shows it, for templates that print the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix_s: i64,
    /// What the local clock shows more than UTC.
    pub utc_offset_s: i32,
}

/// How to render.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Ends the prompt with the beginning of the assistant's turn. On by default.
    pub add_generation_prompt: bool,
    /// Leaves the last message open, so that the model goes on with it; no generation prompt then.
    pub continue_final_message: bool,
    /// Sets `enable_thinking` and `thinking` for templates that have such a switch.
    pub enable_thinking: Option<bool>,
    /// More variables for the template (`chat_template_kwargs`); they win over everything but messages and tools.
    pub kwargs: Map<String, Value>,
    /// What `strftime_now` prints. Without it the function is undefined, which templates test for.
    pub now: Option<Now>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            add_generation_prompt: true,
            continue_final_message: false,
            enable_thinking: None,
            kwargs: Map::new(),
            now: None,
        }
    }
}
