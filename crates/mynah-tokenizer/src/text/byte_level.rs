//! Byte-level BPE on our own encoder, for the files whose every part it does exactly.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, normalizers::NFC};

use super::added::{Matcher, Piece};
use super::decoding::{Plan, TokenTable};
use super::file::{Added, Kind, Parts, Vocab, steps, type_of};
use crate::error::{ErrorKind, Result};
use crate::format;
use crate::pattern::{self, Pattern};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Tokens, WholeChunks};

/// What stands where a file has no token, or one that no text can reach. Special tokens are not indexed,
/// so it is never found.
const NO_TOKEN: &[u8] = b"\0";

/// An encoder and what comes before it.
pub(super) struct ByteLevel {
    /// Added tokens matched in the text as written, then those matched in the normalised text.
    matchers: [Matcher; 2],
    is_nfc: bool,
    /// Cuts before that of the encoder itself.
    cuts: Vec<Pattern>,
    encoder: Tokenizer,
    added: HashMap<String, u32>,
}

impl ByteLevel {
    /// The encoder of these parts, or `None` when it would not give the ids that `tokenizers` does.
    pub(super) fn new(parts: &Parts) -> Result<Option<Self>> {
        let is_nfc = match steps(&parts.normalizer, "normalizers").as_slice() {
            [] => false,
            [step] if type_of(step) == "NFC" => true,
            _ => return Ok(None),
        };
        if !has_plain_model(parts) || !ids_are_as_stated(parts) || type_of(&parts.decoder) != "ByteLevel" {
            return Ok(None);
        }
        let Some(mut cuts) = read_cuts(&parts.pre_tokenizer)? else { return Ok(None) };
        let Some(last) = cuts.pop() else { return Ok(None) };
        let encoder = match encoder(parts, last) {
            Ok(encoder) => encoder,
            // Our encoder is strict about what it can do exactly; the other engine may still do it.
            Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Unsupported) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let [as_written, normalized] = [false, true].map(|normalized| {
            parts.added.iter().filter(|token| token.normalized == normalized).cloned().collect::<Vec<Added>>()
        });
        let spellings: Vec<String> = as_written.iter().map(|token| token.content.clone()).collect();
        let normal_spellings: Vec<String> =
            normalized.iter().map(|token| normal_form(is_nfc, &token.content)).collect();
        if has_repeats(&spellings) || has_repeats(&normal_spellings) {
            return Ok(None);
        }
        let matchers = [Matcher::new(as_written, &spellings)?, Matcher::new(normalized, &normal_spellings)?];
        let added = parts.added.iter().map(|token| (token.content.clone(), token.id)).collect();
        Ok(Some(Self { matchers, is_nfc, cuts, encoder, added }))
    }

    /// One of ours, in which all special tokens are matched as written.
    pub(super) fn of_ours(encoder: Tokenizer) -> Self {
        let special = (0..encoder.vocab_size() as u32).filter(|&id| encoder.is_special(id));
        let mut added = HashMap::new();
        for id in special {
            let name = String::from_utf8_lossy(encoder.token(id).unwrap_or_default()).into_owned();
            added.entry(name).or_insert(id);
        }
        let tokens: Vec<Added> = added
            .iter()
            .map(|(name, &id)| Added {
                id,
                content: name.clone(),
                single_word: false,
                lstrip: false,
                rstrip: false,
                normalized: false,
                special: true,
            })
            .collect();
        let spellings: Vec<String> = tokens.iter().map(|token| token.content.clone()).collect();
        let none = || Matcher::new(Vec::new(), &[]);
        let matchers = [Matcher::new(tokens, &spellings), none()]
            .map(|matcher| matcher.expect("a dozen short names make a small automaton"));
        Self { matchers, is_nfc: false, cuts: Vec::new(), encoder, added }
    }

    /// The bytes of all tokens.
    pub(super) fn table(&self, parts: &Parts) -> Result<TokenTable> {
        let Vocab::Ids(entries) = &parts.model.vocab else { return Ok(TokenTable::of_bytes([])) };
        let mut names = vec![(String::new(), false); self.encoder.vocab_size()];
        for (name, id) in entries {
            names[*id as usize].0.clone_from(name);
        }
        for token in &parts.added {
            let is_changed = token.normalized && !token.special;
            let name =
                if is_changed { normal_form(self.is_nfc, &token.content) } else { token.content.clone() };
            names[token.id as usize] = (name, token.special);
        }
        TokenTable::of_names(names.into_iter(), Plan::new(&parts.decoder)?)
    }

    pub(super) fn added_ids(&self) -> HashMap<String, u32> {
        self.added.clone()
    }

    pub(super) fn encode(&self, text: &str, literal: bool) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        let [as_written, normalized] = &self.matchers;
        as_written.cut(text, literal, |piece| {
            let text = match piece {
                Piece::Token(id) => {
                    ids.push(id);
                    return Ok(());
                }
                Piece::Text(text) => text,
            };
            let normal;
            let text = if self.is_nfc && !text.is_ascii() {
                normal = normal_form(true, text);
                &normal
            } else {
                text
            };
            normalized.cut(text, literal, |piece| {
                match piece {
                    Piece::Token(id) => ids.push(id),
                    Piece::Text(text) => self.encoder.encode_cut(&self.cuts, text, &mut ids),
                }
                Ok(())
            })
        })?;
        Ok(ids)
    }
}

fn normal_form(is_nfc: bool, text: &str) -> String {
    if !is_nfc || text.is_ascii() {
        return text.to_string();
    }
    // The tables of the other engine, so that both engines agree on every character.
    let mut normal = NormalizedString::from(text);
    match NFC.normalize(&mut normal) {
        Ok(()) => normal.get().to_string(),
        Err(_) => text.to_string(),
    }
}

fn has_repeats(spellings: &[String]) -> bool {
    let mut seen = std::collections::HashSet::new();
    !spellings.iter().all(|spelling| !spelling.is_empty() && seen.insert(spelling))
}

/// Whether the model is a BPE with nothing that our encoder lacks.
fn has_plain_model(parts: &Parts) -> bool {
    let model = &parts.model;
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    matches!(model.kind(), Ok(Kind::Bpe))
        && model.dropout.is_none_or(|p| p == 0.0)
        && !is_set(&model.continuing_subword_prefix)
        && !is_set(&model.end_of_word_suffix)
        && !model.byte_fallback
}

/// Whether the added tokens get the ids that the file states: those of the same name in the vocabulary,
/// and else the next ones after it, in order.
fn ids_are_as_stated(parts: &Parts) -> bool {
    let Vocab::Ids(entries) = &parts.model.vocab else { return false };
    let wanted: HashMap<&str, usize> =
        parts.added.iter().enumerate().map(|(index, token)| (token.content.as_str(), index)).collect();
    if wanted.len() != parts.added.len() {
        return false;
    }
    let mut known: Vec<Option<u32>> = vec![None; parts.added.len()];
    for (name, id) in entries {
        if let Some(&index) = wanted.get(name.as_str()) {
            known[index] = Some(*id);
        }
    }
    let mut next = entries.len() as u32;
    parts.added.iter().zip(known).all(|(token, known)| {
        let id = known.unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        id == token.id
    })
}

/// The cuts of a pre-tokenizer that ends in `ByteLevel`, or `None` if it has other steps.
fn read_cuts(pre_tokenizer: &Value) -> Result<Option<Vec<Pattern>>> {
    let all = steps(pre_tokenizer, "pretokenizers");
    let Some((last, before)) = all.split_last() else { return Ok(None) };
    if type_of(last) != "ByteLevel" || last["add_prefix_space"].as_bool() != Some(false) {
        return Ok(None);
    }
    let mut cuts = Vec::new();
    for step in before {
        match type_of(step) {
            "Split" => {
                let source = match (&step["pattern"]["Regex"], &step["pattern"]["String"]) {
                    (Value::String(regex), Value::Null) => regex.clone(),
                    (Value::Null, Value::String(text)) if !text.is_empty() => regex_syntax::escape(text),
                    _ => return Ok(None),
                };
                cuts.push(match (step["behavior"].as_str(), step["invert"].as_bool()) {
                    (Some("Isolated"), _) => pattern::custom(&source)?,
                    (Some("Removed"), Some(true)) => pattern::matches_only(&source)?,
                    _ => return Ok(None),
                });
            }
            "Digits" if step["individual_digits"].as_bool() == Some(true) => {
                cuts.push(pattern::custom(r"\p{N}")?);
            }
            "Digits" => cuts.push(pattern::custom(r"\p{N}+")?),
            _ => return Ok(None),
        }
    }
    if last["use_regex"].as_bool().unwrap_or(true) {
        cuts.push(pattern::GPT2);
    }
    Ok(Some(cuts))
}

fn encoder(parts: &Parts, pattern: Pattern) -> Result<Tokenizer> {
    let Vocab::Ids(entries) = &parts.model.vocab else {
        return Err(crate::error::Error::format("a BPE without ids"));
    };
    let id_max = entries.iter().map(|&(_, id)| id).chain(parts.added.iter().map(|token| token.id)).max();
    let count = id_max.map_or(0, |id| id as usize + 1);
    let mut tokens = Tokens { tokens: vec![NO_TOKEN.to_vec(); count], special: vec![true; count] };
    for (name, id) in entries {
        let place = *id as usize;
        if !tokens.special[place] {
            return Err(crate::error::Error::format(format!(
                "two tokens have id {id}, one of them {name:?}"
            )));
        }
        // A name in other characters is out of reach: the text that comes here has none of them.
        if let Some(bytes) = format::read_byte_level(name).filter(|bytes| !bytes.is_empty()) {
            tokens.tokens[place] = bytes;
            tokens.special[place] = false;
        }
    }
    let ids: HashMap<&[u8], u32> = (tokens.tokens.iter().zip(0..))
        .filter(|&(_, id)| !tokens.special[id as usize])
        .map(|(token, id)| (token.as_slice(), id))
        .collect();
    let merges = format::read_merges(parts.model.merges.as_deref().unwrap_or_default(), &ids)?;
    let whole = if parts.model.ignore_merges { WholeChunks::Always } else { WholeChunks::WhereMerged };
    Tokenizer::foreign(tokens, merges, whole, pattern)
}
