//! What belongs to a model besides its weights: tokenizer, chat template, end tokens. Each model has them in its own
//! files; here is known which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mynah_chat::{CHATML, Conversation, RenderOptions, Template, Thinking, TokenTexts, ToolFormat};
use mynah_engine::live::Codec;
use mynah_models::{GgufHeader, GgufValue};
use mynah_tokenizer::{GgufVocabulary, TextTokenizer, Tokenizer};
use serde_json::Value;

use super::model::{Prompt, Prompter, Tokens};
use super::own::{OwnPrompter, OwnTokens};
use crate::error::{Error, ErrorKind, Result};

/// A settings file of a model may not be larger.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The token that only tokenizers of our own models have.
const OWN_TOKEN: &str = "<|assistant_start|>";

/// A model's tokenizer and chat format.
pub(super) struct Parts {
    pub(super) tokens: Arc<dyn Tokens>,
    pub(super) prompter: Option<Arc<dyn Prompter>>,
    pub(super) tool_format: ToolFormat,
    pub(super) thinking: Option<Thinking>,
}

impl Parts {
    /// Finds them beside the weights; `tokenizer` names the tokenizer's folder where it lies elsewhere.
    ///
    /// # Errors
    /// `Model` when a file is missing, damaged or not supported.
    pub(super) fn find(model: &Path, tokenizer: Option<&Path>) -> Result<Parts> {
        if let Some(header) = gguf_header(model)? {
            return Parts::of_gguf(&header);
        }
        let folder = tokenizer.map_or_else(|| beside(model), Path::to_path_buf);
        let file = folder.join("tokenizer.json");
        if !file.is_file() {
            return Err(model_error(format!(
                "{}: there is no tokenizer.json; name the tokenizer's folder with --tokenizer",
                folder.display()
            )));
        }
        let text = TextTokenizer::load_hugging_face(&file).map_err(model_error)?;
        if text.id_of(OWN_TOKEN).is_some() {
            let own = Tokenizer::load(&folder).map_err(model_error)?;
            return Ok(Parts {
                tokens: Arc::new(OwnTokens::new(own.clone())),
                prompter: Some(Arc::new(OwnPrompter(own))),
                tool_format: ToolFormat::Mynah,
                thinking: None,
            });
        }
        let settings = json(&folder.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
        let config = json(&model.join("config.json"))?.unwrap_or(Value::Null);
        let generation = json(&model.join("generation_config.json"))?.unwrap_or(Value::Null);
        let texts = TokenTexts {
            bos: token_text(&settings["bos_token"]),
            eos: token_text(&settings["eos_token"]),
            unk: token_text(&settings["unk_token"]),
            pad: token_text(&settings["pad_token"]),
            others: Vec::new(),
        };
        let mut ends = ids(&generation["eos_token_id"]);
        ends.extend(ids(&config["eos_token_id"]));
        ends.extend(texts.eos.as_deref().and_then(|eos| text.id_of(eos)));
        let template = template(&folder, &settings, &texts)?;
        let kind = config["model_type"].as_str().unwrap_or_default().to_string();
        Ok(Parts::of(text, template, texts, ends, &kind))
    }

    fn of_gguf(header: &GgufHeader) -> Result<Parts> {
        let metadata = header.metadata();
        let text = |key: &str| metadata.get(key).and_then(GgufValue::as_text).map(str::to_string);
        let count =
            |key: &str| metadata.get(key).and_then(GgufValue::as_count).and_then(|n| u32::try_from(n).ok());
        let vocabulary = vocabulary(metadata);
        let token = |id: Option<u32>| id.and_then(|id| vocabulary.tokens.get(id as usize).cloned());
        let (bos, eos) = (count("tokenizer.ggml.bos_token_id"), count("tokenizer.ggml.eos_token_id"));
        let texts = TokenTexts {
            bos: token(bos),
            eos: token(eos),
            unk: token(count("tokenizer.ggml.unknown_token_id")),
            pad: token(count("tokenizer.ggml.padding_token_id")),
            others: Vec::new(),
        };
        let ends: Vec<u32> =
            ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"]
                .into_iter()
                .filter_map(count)
                .collect();
        let tokenizer = TextTokenizer::from_gguf(vocabulary).map_err(model_error)?;
        let template = match text("tokenizer.chat_template") {
            None => None,
            Some(source) => Some(Template::new(&source, texts.clone()).map_err(model_error)?),
        };
        let kind = text("general.architecture").unwrap_or_default();
        Ok(Parts::of(tokenizer, template, texts, ends, &kind))
    }

    fn of(
        tokenizer: TextTokenizer,
        template: Option<Template>,
        texts: TokenTexts,
        mut ends: Vec<u32>,
        kind: &str,
    ) -> Parts {
        // Models of conversations whose files lack a template are told by their tokens.
        let template = template.or_else(|| {
            let is_chatml =
                tokenizer.id_of("<|im_start|>").is_some() && tokenizer.id_of("<|im_end|>").is_some();
            is_chatml.then(|| Template::new(CHATML, texts).ok()).flatten()
        });
        let source = template.as_ref().map(|template| template.source().to_string()).unwrap_or_default();
        let tool_format = ToolFormat::detect(&source, kind);
        for name in tool_format.stop_texts() {
            ends.extend(tokenizer.id_of(name));
        }
        // The end of a turn in templates that have one beside the end of the text.
        for name in ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"] {
            ends.extend(tokenizer.id_of(name).filter(|_| source.contains(name)));
        }
        ends.sort_unstable();
        ends.dedup();
        let tokens = Arc::new(TextTokens { tokenizer, end_ids: ends });
        let prompter = template.map(|template| {
            Arc::new(TemplatePrompter { template, tokens: Arc::clone(&tokens) }) as Arc<dyn Prompter>
        });
        let thinking = if prompter.is_some() { Thinking::detect(&source) } else { None };
        Parts { tokens, prompter, tool_format, thinking }
    }
}

fn model_error(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Model, error.to_string())
}

/// The header, when the model is a GGUF file or a folder with one and nothing else.
fn gguf_header(model: &Path) -> Result<Option<GgufHeader>> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    let file = if model.is_file() {
        Some(model.to_path_buf())
    } else if model.join("config.json").is_file() {
        None
    } else {
        let entries =
            std::fs::read_dir(model).map_err(|error| model_error(format!("{}: {error}", model.display())))?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_gguf(path)).collect();
        files.sort();
        files.into_iter().next()
    };
    file.map(|file| GgufHeader::open(&file).map_err(model_error)).transpose()
}

/// The tokenizer's folder: that of the model, or one beside it as our own runs have it.
fn beside(model: &Path) -> PathBuf {
    let own = [
        Some(model.to_path_buf()),
        Some(model.join("tokenizer")),
        model.parent().map(|p| p.join("tokenizer")),
    ];
    let found = own.into_iter().flatten().find(|folder| folder.join("tokenizer.json").is_file());
    found.unwrap_or_else(|| model.to_path_buf())
}

/// A settings file; nothing when there is none.
pub(super) fn json(path: &Path) -> Result<Option<Value>> {
    let Ok(meta) = std::fs::metadata(path) else { return Ok(None) };
    if meta.len() > FILE_BYTES_MAX {
        return Err(model_error(format!(
            "{}: {} bytes are too many for this file",
            path.display(),
            meta.len()
        )));
    }
    let read = |error: &dyn std::fmt::Display| model_error(format!("{}: {error}", path.display()));
    let text = std::fs::read(path).map_err(|error| read(&error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| read(&error))
}

/// A token's text: as it is, or as the older form with its properties.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_string)
}

/// One id or a list of them.
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(items) => items.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// The chat template: a file of its own, or in the tokenizer's settings, one or several by name.
fn template(folder: &Path, settings: &Value, texts: &TokenTexts) -> Result<Option<Template>> {
    let own = folder.join("chat_template.jinja");
    if own.is_file() {
        let source = std::fs::read_to_string(&own)
            .map_err(|error| model_error(format!("{}: {error}", own.display())))?;
        return Template::new(&source, texts.clone()).map(Some).map_err(model_error);
    }
    let from_file = json(&folder.join("chat_template.json"))?;
    let value = from_file.as_ref().map_or(&settings["chat_template"], |file| &file["chat_template"]);
    match value {
        Value::String(source) => Template::new(source, texts.clone()).map(Some).map_err(model_error),
        Value::Array(items) => {
            let named: Vec<(&str, &str)> = items
                .iter()
                .filter_map(|item| Some((item["name"].as_str()?, item["template"].as_str()?)))
                .collect();
            Template::from_named(named, texts.clone()).map(Some).map_err(model_error)
        }
        _ => Ok(None),
    }
}

fn vocabulary(metadata: &BTreeMap<String, GgufValue>) -> GgufVocabulary {
    let key = |name: &str| metadata.get(&format!("tokenizer.ggml.{name}"));
    let text = |name: &str| key(name).and_then(GgufValue::as_text).unwrap_or_default().to_string();
    let count = |name: &str| key(name).and_then(GgufValue::as_count).and_then(|n| u32::try_from(n).ok());
    let list = |name: &str| key(name).and_then(GgufValue::as_list).unwrap_or_default();
    let texts = |name: &str| list(name).iter().map(|v| v.as_text().unwrap_or_default().to_string()).collect();
    let flag = |name: &str| match key(name) {
        Some(GgufValue::Flag(flag)) => Some(*flag),
        _ => None,
    };
    GgufVocabulary {
        model: text("model"),
        pre: key("pre").and_then(GgufValue::as_text).map(str::to_string),
        tokens: texts("tokens"),
        scores: list("scores")
            .iter()
            .map(|value| match value {
                GgufValue::Float(score) => *score as f32,
                _ => 0.0,
            })
            .collect(),
        token_types: list("token_type")
            .iter()
            .map(|value| value.as_count().and_then(|kind| i32::try_from(kind).ok()).unwrap_or_default())
            .collect(),
        merges: texts("merges"),
        bos: count("bos_token_id"),
        eos: count("eos_token_id"),
        unknown: count("unknown_token_id"),
        separator: count("separator_token_id"),
        padding: count("padding_token_id"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        add_space_prefix: flag("add_space_prefix"),
        remove_extra_whitespaces: flag("remove_extra_whitespaces"),
        precompiled_charsmap: bytes(key("precompiled_charsmap")),
    }
}

/// A list of small numbers.
fn bytes(value: Option<&GgufValue>) -> Vec<u8> {
    let items = value.and_then(GgufValue::as_list).unwrap_or_default();
    items.iter().filter_map(|item| item.as_count().and_then(|byte| u8::try_from(byte).ok())).collect()
}

/// Any tokenizer as the engine wants it.
struct TextTokens {
    tokenizer: TextTokenizer,
    end_ids: Vec<u32>,
}

impl Codec for TextTokens {
    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.bytes(id)
    }

    fn is_special(&self, id: u32) -> bool {
        self.tokenizer.is_special(id)
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text).unwrap_or_default()
    }
}

impl Tokens for TextTokens {
    fn id_of(&self, name: &str) -> Option<u32> {
        self.tokenizer.id_of(name)
    }

    fn prompt_of_text(&self, text: &str) -> std::result::Result<Vec<u32>, String> {
        self.tokenizer.encode_document(text).map_err(|error| error.to_string())
    }
}

/// A chat template with its tokenizer.
struct TemplatePrompter {
    template: Template,
    tokens: Arc<TextTokens>,
}

impl Prompter for TemplatePrompter {
    fn prompt(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> std::result::Result<Prompt, String> {
        if !conversation.tools.is_empty() && !self.template.capabilities(true).tools {
            return Err("this model's chat template knows no tools; send none".to_string());
        }
        let text = self.template.render(conversation, options).map_err(|error| error.to_string())?;
        let ids = self.tokens.tokenizer.encode_with_special(&text).map_err(|error| error.to_string())?;
        let in_reasoning = Thinking::detect(self.template.source())
            .is_some_and(|thinking| thinking.after_prompt(&text).is_open);
        Ok(Prompt { ids, in_reasoning })
    }
}
