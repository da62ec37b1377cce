//! The vocabulary of a GGUF file, turned into the parts of a `tokenizer.json`.
//!
//! GGUF says less than a `tokenizer.json`: the kind of model, the tokens, and for byte-level BPE a name for
//! how text is split. The rest is known of each kind, and here it becomes the parts that Hugging Face's
//! converters would have written, so that both files of a model give the same ids.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::file::{Added, Model, Parts, Vocab};
use super::gguf_splits;
use crate::error::{Error, Result};
use crate::format::{self, MergeText};

/// Most work (the sum of the squared lengths of all tokens) for finding the merges of a scored vocabulary.
const MERGES_COST_MAX: u64 = 1 << 31;
/// The mark that SentencePiece puts for a space.
const SPACE_MARK: &str = "▁";

/// The keys `tokenizer.ggml.*` of a GGUF file, as they are there.
#[derive(Clone, Debug, Default)]
pub struct GgufVocabulary {
    /// `model`: `gpt2` (byte-level BPE), `llama` (SentencePiece BPE), `bert` (WordPiece) or `t5` (Unigram).
    pub model: String,
    /// `pre`: how text is split, for `gpt2`.
    pub pre: Option<String>,
    /// `tokens`, by id.
    pub tokens: Vec<String>,
    /// `scores`, by id, for `llama` and `t5`.
    pub scores: Vec<f32>,
    /// `token_type`, by id (see [`GgufTokenType`]); may be empty.
    pub token_types: Vec<i32>,
    /// `merges`, for `gpt2`.
    pub merges: Vec<String>,
    /// `bos_token_id`; for `bert` that of `[CLS]`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `seperator_token_id` (sic).
    pub separator: Option<u32>,
    /// `padding_token_id`.
    pub padding: Option<u32>,
    /// `add_bos_token`.
    pub add_bos: Option<bool>,
    /// `add_eos_token`.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`, for `llama` and `t5`.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`, for `t5`.
    pub remove_extra_whitespaces: Option<bool>,
    /// `precompiled_charsmap`, for `t5`; may be empty.
    pub precompiled_charsmap: Vec<u8>,
}

/// What GGUF says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum GgufTokenType {
    /// Found in text.
    Normal = 1,
    /// Stands for what no token covers.
    Unknown = 2,
    /// Marks structure: special.
    Control = 3,
    /// Added by a user: found in text before the model sees it.
    UserDefined = 4,
    /// A place held free.
    Unused = 5,
    /// A single byte, such as `<0x0A>`.
    Byte = 6,
}

impl GgufTokenType {
    fn from_number(number: i32) -> Option<Self> {
        let all = [Self::Normal, Self::Unknown, Self::Control, Self::UserDefined, Self::Unused, Self::Byte];
        all.into_iter().find(|kind| *kind as i32 == number)
    }
}

impl GgufVocabulary {
    pub(super) fn into_parts(self) -> Result<Parts> {
        self.check()?;
        let parts = match self.model.as_str() {
            "gpt2" => self.byte_level(),
            "llama" => self.sentence_piece(),
            "bert" => self.word_piece(),
            "t5" => self.unigram(),
            other => {
                return Err(Error::unsupported(format!(
                    "GGUF tokenizer model {other:?} is not supported, only gpt2, llama, bert and t5"
                )));
            }
        }?;
        parts.check()?;
        Ok(parts)
    }

    fn check(&self) -> Result<()> {
        let count = self.tokens.len();
        if count == 0 {
            return Err(Error::format("the GGUF file has no tokens"));
        }
        for (name, length) in [("scores", self.scores.len()), ("token_type", self.token_types.len())] {
            if length != 0 && length != count {
                return Err(Error::format(format!("{count} tokens, but {length} entries in {name}")));
            }
        }
        if let Some(number) =
            self.token_types.iter().find(|&&kind| GgufTokenType::from_number(kind).is_none())
        {
            return Err(Error::format(format!("token_type {number} is not one of 1 to 6")));
        }
        let named = [
            ("bos_token_id", self.bos),
            ("eos_token_id", self.eos),
            ("unknown_token_id", self.unknown),
            ("seperator_token_id", self.separator),
            ("padding_token_id", self.padding),
        ];
        for (name, id) in named {
            if id.is_some_and(|id| id as usize >= count) {
                return Err(Error::format(format!(
                    "{name} is {} in a vocabulary of {count} tokens",
                    id.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    fn kind(&self, id: usize) -> GgufTokenType {
        if self.token_types.is_empty() {
            let is_named = [self.bos, self.eos, self.separator, self.padding].contains(&Some(id as u32));
            return if is_named { GgufTokenType::Control } else { GgufTokenType::Normal };
        }
        GgufTokenType::from_number(self.token_types[id]).unwrap_or(GgufTokenType::Normal)
    }

    /// Control tokens as special ones, and those that users added.
    fn added(&self) -> Vec<Added> {
        let wanted = |id: usize| match self.kind(id) {
            GgufTokenType::Control | GgufTokenType::Unknown => Some(true),
            GgufTokenType::UserDefined => Some(false),
            _ => None,
        };
        let token = |id: usize| {
            let special = wanted(id)?;
            Some(Added {
                id: id as u32,
                content: self.tokens[id].clone(),
                single_word: false,
                lstrip: false,
                rstrip: false,
                normalized: false,
                special,
            })
        };
        (0..self.tokens.len()).filter_map(token).filter(|token| !token.content.is_empty()).collect()
    }

    fn name(&self, id: Option<u32>) -> Option<String> {
        id.and_then(|id| self.tokens.get(id as usize)).cloned()
    }

    fn entries(&self) -> Vec<(String, u32)> {
        self.tokens.iter().cloned().zip(0..).collect()
    }

    fn byte_level(&self) -> Result<Parts> {
        let splits = gguf_splits::by_name(self.pre.as_deref().unwrap_or("default"))?;
        Ok(Parts {
            added: self.added(),
            normalizer: if splits.is_nfc { json!({"type": "NFC"}) } else { Value::Null },
            pre_tokenizer: splits.pre_tokenizer,
            post_processor: self.around(splits.add_bos, false)?,
            decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                            "use_regex": true}),
            model: Model {
                kind: Some(String::from("BPE")),
                ignore_merges: splits.ignore_merges,
                vocab: Vocab::Ids(self.entries()),
                merges: Some(self.merges.iter().cloned().map(MergeText::Joined).collect()),
                ..Model::default()
            },
        })
    }

    fn sentence_piece(&self) -> Result<Parts> {
        let adds_space = self.add_space_prefix.unwrap_or(true);
        let mut normalizers =
            vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK})];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if adds_space {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE_MARK}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Ok(Parts {
            added: self.added(),
            normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
            pre_tokenizer: Value::Null,
            post_processor: self.around(true, false)?,
            decoder: json!({"type": "Sequence", "decoders": decoders}),
            model: Model {
                kind: Some(String::from("BPE")),
                unk_token: self.name(self.unknown.or(Some(0))),
                fuse_unk: true,
                byte_fallback: true,
                vocab: Vocab::Ids(self.entries()),
                merges: Some(self.merges_by_score()?),
                ..Model::default()
            },
        })
    }

    /// The merges of a vocabulary with scores: every pair of tokens whose joined text is a token, that of
    /// the highest score first, as Hugging Face's converter lists them.
    fn merges_by_score(&self) -> Result<Vec<MergeText>> {
        if self.scores.len() != self.tokens.len() {
            return Err(Error::format("a GGUF vocabulary of kind llama needs scores"));
        }
        let cost: u64 = self.tokens.iter().map(|token| (token.len() as u64).pow(2)).sum();
        if cost > MERGES_COST_MAX {
            return Err(Error::unsupported("the tokens are too long to find their merges"));
        }
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
        let mut merges = Vec::new();
        for (id, token) in self.tokens.iter().enumerate() {
            // What text may not produce must not come out of merging either.
            if !matches!(self.kind(id), GgufTokenType::Normal | GgufTokenType::UserDefined) {
                continue;
            }
            let first = merges.len();
            for (cut, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(cut);
                if let (Some(&left_id), Some(&right_id)) = (ids.get(left), ids.get(right)) {
                    merges.push((id, left, right, (left_id, right_id)));
                }
            }
            merges[first..].sort_by_key(|merge| merge.3);
        }
        merges.sort_by(|a, b| {
            let lengths = |left: &str, right: &str| Reverse((left.chars().count(), right.chars().count()));
            let by_score = self.scores[b.0].total_cmp(&self.scores[a.0]);
            by_score.then_with(|| lengths(a.1, a.2).cmp(&lengths(b.1, b.2)))
        });
        let pair = |left: &str, right: &str| MergeText::Pair(left.to_string(), right.to_string());
        Ok(merges.into_iter().map(|(_, left, right, _)| pair(left, right)).collect())
    }

    fn word_piece(&self) -> Result<Parts> {
        // GGUF marks the beginning of a word, WordPiece what goes on within one.
        let plain = |id: usize, token: &str| match self.kind(id) {
            GgufTokenType::Normal => match token.strip_prefix(SPACE_MARK) {
                Some(word) => word.to_string(),
                None => format!("##{token}"),
            },
            _ => token.to_string(),
        };
        let entries: Vec<(String, u32)> =
            self.tokens.iter().enumerate().map(|(id, token)| (plain(id, token), id as u32)).collect();
        let find = |id: Option<u32>, name: &str| {
            let known = || entries.iter().find(|(token, _)| token == name).map(|&(_, id)| id);
            id.or_else(known)
                .ok_or_else(|| Error::format(format!("a GGUF vocabulary of kind bert has no {name}")))
        };
        let begin = find(self.bos, "[CLS]")?;
        let end = find(self.separator.or(self.eos), "[SEP]")?;
        let unknown = find(self.unknown, "[UNK]")?;
        let post_processor = json!({"type": "BertProcessing", "sep": [self.tokens[end as usize], end],
                                    "cls": [self.tokens[begin as usize], begin]});
        Ok(Parts {
            added: self.added(),
            normalizer: json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                               "strip_accents": null, "lowercase": true}),
            pre_tokenizer: json!({"type": "BertPreTokenizer"}),
            post_processor,
            decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            model: Model {
                kind: Some(String::from("WordPiece")),
                unk_token: Some(self.tokens[unknown as usize].clone()),
                vocab: Vocab::Ids(entries),
                ..Model::default()
            },
        })
    }

    fn unigram(&self) -> Result<Parts> {
        if self.scores.len() != self.tokens.len() {
            return Err(Error::format("a GGUF vocabulary of kind t5 needs scores"));
        }
        let mut normalizers = Vec::new();
        if !self.precompiled_charsmap.is_empty() {
            let map = format::base64_encode(&self.precompiled_charsmap);
            normalizers.push(json!({"type": "Precompiled", "precompiled_charsmap": map}));
        }
        if self.remove_extra_whitespaces.unwrap_or(true) {
            normalizers.push(json!({"type": "Strip", "strip_left": false, "strip_right": true}));
            normalizers
                .push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE_MARK}));
        }
        let scheme = if self.add_space_prefix.unwrap_or(true) { "always" } else { "never" };
        let meta =
            json!({"type": "Metaspace", "replacement": SPACE_MARK, "prepend_scheme": scheme, "split": true});
        let scored = self.tokens.iter().cloned().zip(self.scores.iter().map(|&score| f64::from(score)));
        let has_bytes = (0..self.tokens.len()).any(|id| self.kind(id) == GgufTokenType::Byte);
        Ok(Parts {
            added: self.added(),
            normalizer: match normalizers.is_empty() {
                true => Value::Null,
                false => json!({"type": "Sequence", "normalizers": normalizers}),
            },
            pre_tokenizer: meta.clone(),
            post_processor: self.around(false, true)?,
            decoder: meta,
            model: Model {
                kind: Some(String::from("Unigram")),
                unk_id: Some(self.unknown.unwrap_or(2) as usize),
                byte_fallback: has_bytes,
                vocab: Vocab::Scores(scored.collect()),
                ..Model::default()
            },
        })
    }

    /// A post-processor with the tokens that begin and end a text; `usual` is what goes where the file
    /// does not say.
    fn around(&self, usual_bos: bool, usual_eos: bool) -> Result<Value> {
        let mut special = serde_json::Map::new();
        let mut marker = |wanted: Option<bool>, usual: bool, id: Option<u32>, key: &str| match (
            wanted.unwrap_or(usual),
            id,
        ) {
            (false, _) => Ok(None),
            (true, None) if wanted.is_none() => Ok(None),
            (true, None) => {
                Err(Error::format(format!("add_{key}_token is set, but there is no {key} token")))
            }
            (true, Some(id)) => {
                let name = self.tokens[id as usize].clone();
                special.insert(name.clone(), json!({"id": name, "ids": [id], "tokens": [name]}));
                Ok(Some(name))
            }
        };
        let begin = marker(self.add_bos, usual_bos, self.bos, "bos")?;
        let end = marker(self.add_eos, usual_eos, self.eos, "eos")?;
        if special.is_empty() {
            return Ok(Value::Null);
        }
        let text = |sequence: &str, type_id: u32| {
            let mut pieces = Vec::new();
            let mark = |name: &String| json!({"SpecialToken": {"id": name, "type_id": type_id}});
            pieces.extend(begin.iter().map(mark));
            pieces.push(json!({"Sequence": {"id": sequence, "type_id": type_id}}));
            pieces.extend(end.iter().map(mark));
            pieces
        };
        let pair = [text("A", 0), text("B", 1)].concat();
        Ok(
            json!({"type": "TemplateProcessing", "single": text("A", 0), "pair": pair, "special_tokens": special}),
        )
    }
}
