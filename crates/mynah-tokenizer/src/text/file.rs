//! A `tokenizer.json`, or what stands for one, taken apart.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::MergeText;
use crate::pattern;
use crate::vocabulary::VOCABULARY_SIZE_MAX;

/// Most added tokens; the largest in use have about seven thousand.
const ADDED_TOKENS_MAX: usize = 1 << 17;
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 1 << 16;

/// The parts of a tokenizer. The small ones stay JSON until someone knows what to make of them.
#[derive(Deserialize)]
pub(super) struct Parts {
    #[serde(default, rename = "added_tokens", deserialize_with = "null_is_default")]
    pub added: Vec<Added>,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub decoder: Value,
    pub model: Model,
}

/// A token that is looked for in the text before the model sees it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Added {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    /// Whether it is looked for in the normalised text.
    #[serde(default)]
    pub normalized: bool,
    #[serde(default)]
    pub special: bool,
}

/// The model, of any kind.
#[derive(Default, Deserialize)]
pub(super) struct Model {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub dropout: Option<f64>,
    pub unk_token: Option<String>,
    pub unk_id: Option<usize>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    pub max_input_chars_per_word: Option<usize>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub fuse_unk: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub byte_fallback: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub ignore_merges: bool,
    pub vocab: Vocab,
    pub merges: Option<Vec<MergeText>>,
}

/// The vocabulary: names with ids, or (for Unigram) names with scores by id.
pub(super) enum Vocab {
    Ids(Vec<(String, u32)>),
    Scores(Vec<(String, f64)>),
}

impl Default for Vocab {
    fn default() -> Self {
        Self::Ids(Vec::new())
    }
}

/// The kinds of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bpe,
    Unigram,
    WordPiece,
    WordLevel,
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Vocab;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of token → id, or a list of [token, score]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Vocab::Ids(entries))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(Vocab::Scores(entries))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Vocab {
    fn check(&self) -> Result<()> {
        let (count, id_max, longest) = match self {
            Self::Ids(entries) => (
                entries.len(),
                entries.iter().map(|&(_, id)| id as usize).max().unwrap_or(0),
                entries.iter().max_by_key(|(name, _)| name.len()).map(|(name, _)| name),
            ),
            Self::Scores(entries) => {
                (entries.len(), 0, entries.iter().max_by_key(|(name, _)| name.len()).map(|(name, _)| name))
            }
        };
        if count > VOCABULARY_SIZE_MAX || id_max >= VOCABULARY_SIZE_MAX {
            return Err(Error::unsupported(format!(
                "{count} tokens with ids up to {id_max}: more than {VOCABULARY_SIZE_MAX} are not supported"
            )));
        }
        match longest {
            Some(name) if name.len() > TOKEN_BYTES_MAX => {
                Err(Error::format(format!("a token has {} bytes: {name}", name.len())))
            }
            _ => Ok(()),
        }
    }
}

impl Parts {
    pub(super) fn parse(json: &str) -> Result<Self> {
        let parts: Self = serde_json::from_str(json)
            .map_err(|error| Error::format(format!("not a tokenizer.json: {error}")))?;
        parts.check()?;
        Ok(parts)
    }

    /// Refuses what is too large to be a tokenizer.
    pub(super) fn check(&self) -> Result<()> {
        if self.added.len() > ADDED_TOKENS_MAX {
            return Err(Error::unsupported(format!(
                "{} added tokens, more than the {ADDED_TOKENS_MAX} that are supported",
                self.added.len()
            )));
        }
        for token in &self.added {
            if token.id as usize >= VOCABULARY_SIZE_MAX || token.content.len() > TOKEN_BYTES_MAX {
                return Err(Error::format(format!(
                    "added token {:?} with id {} is not one that a tokenizer could have",
                    token.content, token.id
                )));
            }
        }
        let parts = [&self.normalizer, &self.pre_tokenizer, &self.post_processor, &self.decoder];
        parts.into_iter().try_for_each(check_expressions)?;
        self.model.vocab.check()
    }
}

/// Refuses regular expressions of absurd length anywhere in a part; `pattern` says what absurd is.
fn check_expressions(part: &Value) -> Result<()> {
    match part {
        Value::Array(entries) => entries.iter().try_for_each(check_expressions),
        Value::Object(entries) => entries.iter().try_for_each(|(key, entry)| match entry {
            Value::String(source) if key == "Regex" => pattern::check_source(source),
            entry => check_expressions(entry),
        }),
        _ => Ok(()),
    }
}

impl Model {
    /// The kind: what the file says, or what old files that do not say it must mean.
    pub(super) fn kind(&self) -> Result<Kind> {
        match (self.kind.as_deref(), &self.vocab) {
            (Some("BPE"), Vocab::Ids(_)) => Ok(Kind::Bpe),
            (Some("Unigram"), Vocab::Scores(_)) => Ok(Kind::Unigram),
            (Some("WordPiece"), Vocab::Ids(_)) => Ok(Kind::WordPiece),
            (Some("WordLevel"), Vocab::Ids(_)) => Ok(Kind::WordLevel),
            (Some("BPE" | "Unigram" | "WordPiece" | "WordLevel"), _) => {
                Err(Error::format("the vocabulary is written as another kind of model has it"))
            }
            (Some(other), _) => Err(Error::unsupported(format!(
                "model {other} is not supported, only BPE, Unigram, WordPiece and WordLevel"
            ))),
            (None, Vocab::Scores(_)) => Ok(Kind::Unigram),
            (None, Vocab::Ids(_)) if self.merges.is_some() => Ok(Kind::Bpe),
            (None, Vocab::Ids(_)) if self.max_input_chars_per_word.is_some() => Ok(Kind::WordPiece),
            (None, Vocab::Ids(_)) => Ok(Kind::WordLevel),
        }
    }
}

/// The `type` of a part.
pub(super) fn type_of(part: &Value) -> &str {
    part["type"].as_str().unwrap_or_default()
}

/// A part's steps: those of a `Sequence` under `list`, itself alone otherwise, none for null.
pub(super) fn steps<'v>(part: &'v Value, list: &str) -> Vec<&'v Value> {
    match type_of(part) {
        "Sequence" => {
            let inner = part[list].as_array().map(Vec::as_slice).unwrap_or_default();
            inner.iter().flat_map(|step| steps(step, list)).collect()
        }
        _ if part.is_null() => Vec::new(),
        _ => vec![part],
    }
}
