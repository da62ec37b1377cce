//! From a model's files to a model that answers.

use std::path::{Path, PathBuf};

use mynah_base::time::now_ms;
use mynah_chat::ToolFormat;
use mynah_engine::live::{Engine, EngineOptions, StepModel};
use mynah_models::{Decoder, Embedder, LoadOptions};

use super::embedder::ServedEmbedder;
use super::meter::Meter;
use super::model::ServedModel;
use super::parts::{self, Parts};
use crate::error::{Error, ErrorKind, Result};

/// Kinds of models that make embeddings.
const EMBEDDERS: [&str; 3] = ["bert", "roberta", "xlm-roberta"];

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct ModelSource {
    /// A folder, a GGUF file, or `org/name` in the hub cache.
    pub model: String,
    /// What clients call it; by default the last part of `model`.
    pub name: Option<String>,
    /// Folder of the tokenizer, where it is not beside the weights.
    pub tokenizer: Option<PathBuf>,
    /// How tool calls are written; by default what the chat template shows.
    pub tool_parser: Option<String>,
    /// A small model of the same vocabulary that guesses tokens.
    pub draft_model: Option<String>,
    /// Context, cache, rounding, threads.
    pub load: LoadOptions,
    /// Batches, queues, guessing.
    pub engine: EngineOptions,
}

impl ModelSource {
    /// Loads the model and starts its engine.
    ///
    /// # Errors
    /// `Model` when a file is missing, damaged or of a kind that is not supported.
    pub fn load(&self) -> Result<ServedModel> {
        let folder = mynah_models::resolve(&self.model).map_err(model_error)?;
        let parts = Parts::find(&folder, self.tokenizer.as_deref())?;
        let tool_format = match &self.tool_parser {
            None => parts.tool_format,
            Some(name) => ToolFormat::from_name(name).map_err(model_error)?,
        };
        let decoder = Decoder::open(&self.model, &self.load).map_err(model_error)?;
        let draft = match &self.draft_model {
            None => None,
            Some(model) => {
                let draft = Decoder::open(model, &self.load).map_err(model_error)?;
                Some(Box::new(draft) as Box<dyn StepModel>)
            }
        };
        let tokens = parts.tokens.clone();
        let engine = Engine::start_with_draft(Box::new(decoder), draft, tokens, self.engine.clone())
            .map_err(model_error)?;
        Ok(ServedModel {
            name: self.name.clone().unwrap_or_else(|| name_of(&self.model)),
            created_s: now_ms() / 1_000,
            engine,
            tokens: parts.tokens,
            prompter: parts.prompter,
            tool_format,
            thinking: parts.thinking,
            adapter: None,
            meter: Meter::default(),
        })
    }

    /// Whether the model is one that makes embeddings.
    ///
    /// # Errors
    /// `Model` when it is not found or its settings are damaged.
    pub fn is_embedder(&self) -> Result<bool> {
        let folder = mynah_models::resolve(&self.model).map_err(model_error)?;
        let config = parts::json(&folder.join("config.json"))?.unwrap_or_default();
        Ok(config["model_type"].as_str().is_some_and(|kind| EMBEDDERS.contains(&kind)))
    }

    /// Loads a model that makes embeddings.
    ///
    /// # Errors
    /// `Model` when a file is missing, damaged or of a kind that is not supported.
    pub fn load_embedder(&self) -> Result<ServedEmbedder> {
        let folder = mynah_models::resolve(&self.model).map_err(model_error)?;
        let embedder = Embedder::open(&self.model, &self.load).map_err(model_error)?;
        Ok(ServedEmbedder {
            name: self.name.clone().unwrap_or_else(|| name_of(&self.model)),
            created_s: now_ms() / 1_000,
            tokens: Parts::find(&folder, self.tokenizer.as_deref())?.tokens,
            embedder,
        })
    }
}

fn model_error(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}

/// The last part of a path or id.
fn name_of(model: &str) -> String {
    let path = Path::new(model);
    let name = path.file_name().or_else(|| path.components().next_back().map(|part| part.as_os_str()));
    name.map_or_else(|| model.to_string(), |name| name.to_string_lossy().into_owned())
}
