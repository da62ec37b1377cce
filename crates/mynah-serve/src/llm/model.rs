//! The models that a server answers with.

use std::sync::Arc;

use mynah_chat::{Conversation, RenderOptions, Thinking, ToolFormat};
use mynah_engine::live::{Codec, EngineHandle};

use super::adapter::Adapter;
use super::embedder::ServedEmbedder;
use super::meter::Meter;

/// Text into ids and back, as the model's tokenizer does it.
pub trait Tokens: Codec {
    /// The id of a special token by its name.
    fn id_of(&self, name: &str) -> Option<u32>;

    /// The ids of a bare prompt: with what the tokenizer puts before every text (a beginning-of-text token).
    ///
    /// # Errors
    /// One line, when the tokenizer has no token for something in the text.
    fn prompt_of_text(&self, text: &str) -> std::result::Result<Vec<u32>, String>;
}

/// How a conversation becomes the model's prompt.
pub trait Prompter: Send + Sync {
    /// The prompt, ending where the answer begins.
    ///
    /// # Errors
    /// One line that says what the model's format cannot express.
    fn prompt(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> std::result::Result<Prompt, String>;
}

/// A prompt, ready for the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Its ids.
    pub ids: Vec<u32>,
    /// Whether it ends inside the model's reasoning, which the answer then goes on with.
    pub in_reasoning: bool,
}

/// All that a server answers with.
#[derive(Default)]
pub struct Models {
    /// Models that write text, and their adapters.
    pub generators: Vec<ServedModel>,
    /// Models that make embeddings.
    pub embedders: Vec<ServedEmbedder>,
}

impl From<Vec<ServedModel>> for Models {
    fn from(generators: Vec<ServedModel>) -> Models {
        Models { generators, embedders: Vec::new() }
    }
}

/// A model with everything that an answer needs.
#[derive(Clone)]
pub struct ServedModel {
    /// What clients call it, or one of its adapters.
    pub name: String,
    /// When it was loaded, seconds since the Unix epoch.
    pub created_s: i64,
    /// Who computes.
    pub engine: EngineHandle,
    /// Its tokenizer.
    pub tokens: Arc<dyn Tokens>,
    /// Its chat format; none for a model that only continues text.
    pub prompter: Option<Arc<dyn Prompter>>,
    /// How it writes tool calls.
    pub tool_format: ToolFormat,
    /// How it writes what it thinks; none for a model that does not.
    pub thinking: Option<Thinking>,
    /// The adapter that the name stands for.
    pub adapter: Option<Adapter>,
    /// Where its answers are timed; the adapters of a model share one.
    pub meter: Meter,
}

impl ServedModel {
    /// Whether it is known how the model writes tool calls.
    pub fn can_call(&self) -> bool {
        self.tool_format != ToolFormat::None
    }

    /// How an answer is taken apart. Without tools, what looks like a call is text; the channels of GPT-OSS are there all
    /// the same.
    pub(crate) fn format(&self, has_tools: bool) -> ToolFormat {
        match self.tool_format {
            ToolFormat::GptOss => ToolFormat::GptOss,
            other if has_tools => other,
            _ => ToolFormat::None,
        }
    }
}
