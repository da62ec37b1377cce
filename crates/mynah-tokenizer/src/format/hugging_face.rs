//! `tokenizer.json`, as Hugging Face's `tokenizers` reads and writes it.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{byte_level, read_text};
use crate::error::{Error, Result};
use crate::pattern::{self, Pattern};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Merge, Tokens, VOCABULARY_SIZE_MAX, WholeChunks};

pub(crate) fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    mynah_base::write_atomic(path, |file| write(tokenizer, file))
        .map_err(|error| Error::io("write this tokenizer file", path, &error))
}

/// Writes the file's text.
pub(crate) fn write(tokenizer: &Tokenizer, file: &mut dyn Write) -> std::io::Result<()> {
    let vocabulary = tokenizer.vocabulary();
    let ids = || 0..vocabulary.len() as u32;
    let added: Vec<Value> = ids()
        .filter(|&id| vocabulary.is_special(id))
        .map(|id| {
            json!({
                "id": id, "content": String::from_utf8_lossy(vocabulary.token(id)), "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true
            })
        })
        .collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let head = [
        ("version", json!("1.0")),
        ("truncation", Value::Null),
        ("padding", Value::Null),
        ("added_tokens", json!(added)),
        ("normalizer", Value::Null),
        (
            "pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": tokenizer.pattern().source()},
                 "behavior": "Isolated", "invert": false},
                byte_level
            ]}),
        ),
        ("post_processor", Value::Null),
        ("decoder", byte_level),
    ];
    let model = [
        ("type", json!("BPE")),
        ("dropout", Value::Null),
        ("unk_token", Value::Null),
        ("continuing_subword_prefix", Value::Null),
        ("end_of_word_suffix", Value::Null),
        ("fuse_unk", json!(false)),
        ("byte_fallback", json!(false)),
        ("ignore_merges", json!(vocabulary.whole_chunks() == WholeChunks::Always)),
    ];
    // Written by hand around the two long lists, so that the file is one token and one merge a line.
    writeln!(file, "{{")?;
    for (name, value) in head {
        writeln!(file, "  \"{name}\": {value},")?;
    }
    writeln!(file, "  \"model\": {{")?;
    for (name, value) in model {
        writeln!(file, "    \"{name}\": {value},")?;
    }
    writeln!(file, "    \"vocab\": {{")?;
    let mut comma = "";
    for id in ids().filter(|&id| !vocabulary.is_special(id)) {
        write!(file, "{comma}      {}: {id}", quoted(vocabulary.token(id)))?;
        comma = ",\n";
    }
    writeln!(file, "\n    }},\n    \"merges\": [")?;
    comma = "";
    for merge in vocabulary.merges() {
        let [left, right] = [merge.left, merge.right].map(|id| quoted(vocabulary.token(id)));
        write!(file, "{comma}      [{left}, {right}]")?;
        comma = ",\n";
    }
    writeln!(file, "\n    ]\n  }}\n}}")
}

/// A token as a JSON string.
fn quoted(token: &[u8]) -> String {
    Value::String(byte_level::write(token)).to_string()
}

pub(crate) fn load(path: &Path) -> Result<Tokenizer> {
    parse(&read_text(path)?).map_err(|error| error.in_file(path))
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

/// The part of the model that a BPE needs, and what must be off.
#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: Entries,
    #[serde(default)]
    merges: Vec<MergeText>,
}

/// A JSON object as a list, so that a name given twice is seen.
struct Entries(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of token → id")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(List)
    }
}

/// Older files write a merge as one string with a space, newer ones as a pair.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum MergeText {
    Joined(String),
    Pair(String, String),
}

fn parse(text: &str) -> Result<Tokenizer> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| Error::format(format!("not a tokenizer.json of a BPE: {error}")))?;
    check_model(&file.model)?;
    if !file.normalizer.is_null() {
        return Err(Error::unsupported(format!(
            "normalizer {} is not supported, only none",
            type_of(&file.normalizer)
        )));
    }
    let pattern = read_pre_tokenizer(&file.pre_tokenizer)?;
    let tokens = read_tokens(&file)?;
    let ids: HashMap<&[u8], u32> = (tokens.tokens.iter().zip(0..))
        .filter(|&(_, id)| !tokens.special[id as usize])
        .map(|(token, id)| (token.as_slice(), id))
        .collect();
    let merges = read_merges(&file.model.merges, &ids)?;
    let whole = if file.model.ignore_merges { WholeChunks::Always } else { WholeChunks::WhereMerged };
    Tokenizer::from_parts(tokens, merges, whole, pattern)
}

fn check_model(model: &Model) -> Result<()> {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let refused = if model.kind.as_deref().is_some_and(|kind| kind != "BPE") {
        format!("model {}", model.kind.as_deref().unwrap_or_default())
    } else if model.dropout.is_some_and(|p| p != 0.0) {
        "BPE with dropout".to_string()
    } else if is_set(&model.continuing_subword_prefix) {
        "BPE with continuing_subword_prefix".to_string()
    } else if is_set(&model.end_of_word_suffix) {
        "BPE with end_of_word_suffix".to_string()
    } else if model.byte_fallback {
        "BPE with byte_fallback".to_string()
    } else {
        return Ok(());
    };
    Err(Error::unsupported(format!("{refused} is not supported, only byte-level BPE")))
}

fn type_of(value: &Value) -> &str {
    value["type"].as_str().unwrap_or("of unknown type")
}

/// The split pattern of a `ByteLevel` pre-tokenizer, or of a `Split` followed by one.
fn read_pre_tokenizer(value: &Value) -> Result<Pattern> {
    let is_byte_level = |value: &Value, use_regex: bool| {
        type_of(value) == "ByteLevel"
            && value["add_prefix_space"].as_bool() == Some(false)
            && value["use_regex"].as_bool().unwrap_or(true) == use_regex
    };
    if is_byte_level(value, true) {
        return Ok(pattern::GPT2);
    }
    let unsupported = |what: String| {
        Error::unsupported(format!(
            "pre_tokenizer {what} is not supported, only ByteLevel (without add_prefix_space) or a Split by a \
             regular expression (behavior Isolated, not inverted) followed by it (without use_regex)"
        ))
    };
    let steps = match type_of(value) {
        "Sequence" => value["pretokenizers"].as_array().map(Vec::as_slice).unwrap_or_default(),
        "ByteLevel" => return Err(unsupported(value.to_string())),
        other => return Err(unsupported(other.to_string())),
    };
    match steps {
        [byte_level] if is_byte_level(byte_level, true) => Ok(pattern::GPT2),
        [split, byte_level] if type_of(split) == "Split" && is_byte_level(byte_level, false) => {
            let source = split["pattern"]["Regex"].as_str();
            let isolated = split["behavior"].as_str() == Some("Isolated") && split["invert"] != json!(true);
            match source {
                Some(source) if isolated => pattern::custom(source),
                _ => Err(unsupported(format!("{split}"))),
            }
        }
        steps => {
            let kinds: Vec<&str> = steps.iter().map(type_of).collect();
            Err(unsupported(format!("Sequence of [{}]", kinds.join(", "))))
        }
    }
}

/// All tokens by id, with no hole.
fn read_tokens(file: &File) -> Result<Tokens> {
    let entries = &file.model.vocab.0;
    let count = entries.len() + file.added_tokens.len();
    let mut slots: Vec<Option<(Vec<u8>, bool)>> = Vec::new();
    let mut put = |id: u32, token: Vec<u8>, special: bool| -> Result<()> {
        let place = id as usize;
        // Without a hole no id can reach the number of entries.
        if place >= count || place >= VOCABULARY_SIZE_MAX {
            return Err(Error::format(format!(
                "id {id} is too large for {count} tokens: ids must have no holes"
            )));
        }
        if slots.len() <= place {
            slots.resize(place + 1, None);
        }
        match slots[place].replace((token, special)) {
            None => Ok(()),
            Some((before, _)) => {
                Err(Error::format(format!("two tokens have id {id}, one of them {}", before.escape_ascii())))
            }
        }
    };
    // Some files list an added token in the vocabulary too.
    let mut added: HashMap<(&str, u32), ()> = HashMap::new();
    for token in &file.added_tokens {
        if !token.special {
            return Err(Error::unsupported(format!(
                "added token {:?} is not special, but matched in ordinary text: that is not supported",
                token.content
            )));
        }
        put(token.id, token.content.as_bytes().to_vec(), true)?;
        added.insert((token.content.as_str(), token.id), ());
    }
    for (name, id) in entries.iter().filter(|(name, id)| !added.contains_key(&(name.as_str(), *id))) {
        let token = byte_level::read(name).ok_or_else(|| {
            Error::unsupported(format!("token {name:?} is not written in byte-level characters"))
        })?;
        put(*id, token, false)?;
    }
    let mut tokens = Tokens::default();
    for (id, slot) in slots.into_iter().enumerate() {
        let (token, special) =
            slot.ok_or_else(|| Error::format(format!("no token has id {id}: the ids must have no holes")))?;
        tokens.tokens.push(token);
        tokens.special.push(special);
    }
    Ok(tokens)
}

/// Merges in byte-level characters → merges of ids.
pub(crate) fn read_merges(merges: &[MergeText], ids: &HashMap<&[u8], u32>) -> Result<Vec<Merge>> {
    let read = |(rank, merge): (usize, &MergeText)| {
        let (left, right) = match merge {
            MergeText::Joined(joined) => joined
                .split_once(' ')
                .ok_or_else(|| Error::format(format!("merge {rank} {joined:?} is not `left right`")))?,
            MergeText::Pair(left, right) => (left.as_str(), right.as_str()),
        };
        let bytes = |name: &str| {
            byte_level::read(name).ok_or_else(|| {
                Error::format(format!("merge {rank}: {name:?} is not in byte-level characters"))
            })
        };
        let id = |token: &[u8]| {
            ids.get(token).copied().ok_or_else(|| {
                Error::format(format!("merge {rank}: {} is not a token", token.escape_ascii()))
            })
        };
        let (left, right) = (bytes(left)?, bytes(right)?);
        Ok(Merge { left: id(&left)?, right: id(&right)?, into: id(&[left, right].concat())? })
    };
    merges.iter().enumerate().map(read).collect()
}
