//! The engine for everything that our encoder does not do exactly: Hugging Face's `tokenizers`.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab as NameIds};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    AddedToken, AddedVocabulary, DecoderWrapper, Model as _, ModelWrapper, NormalizerWrapper, OffsetType,
    PostProcessorWrapper, PreTokenizer as _, PreTokenizerWrapper, TokenizerImpl,
};

use super::decoding::{Plan, TokenTable};
use super::file::{Added, Kind, Model, Parts, Vocab};
use crate::error::{Error, ErrorKind, Result};
use crate::format::MergeText;
use crate::vocabulary::VOCABULARY_SIZE_MAX;

type Pipeline =
    TokenizerImpl<ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// A tokenizer run by `tokenizers`.
pub(super) struct Full {
    pipeline: Pipeline,
    /// The added tokens once more, with the special ones taken for text.
    literal: AddedVocabulary,
    vocab_size: usize,
}

/// Runs a piece of `tokenizers`, whose panics on bad input become errors.
pub(super) fn guarded<T>(what: &str, run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    let unsupported = |message: &str| Error::unsupported(format!("{what}: {message}"));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unsupported(&error.to_string())),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            Err(unsupported(message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("cannot be used")))
        }
    }
}

/// A part of the file as `tokenizers` reads it, or nothing for null.
fn part<T: serde::de::DeserializeOwned>(name: &str, value: &Value) -> Result<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    // By way of text: some parts borrow from what they are read from.
    let text = value.to_string();
    guarded(name, || Ok(Some(serde_json::from_str(&text)?)))
}

impl Full {
    pub(super) fn new(parts: Parts) -> Result<Self> {
        let Parts { added, normalizer, pre_tokenizer, decoder, model, .. } = parts;
        if model.dropout.is_some_and(|p| p != 0.0) {
            return Err(Error::unsupported("BPE with dropout is not supported: its ids are random"));
        }
        let id_max = match &model.vocab {
            Vocab::Ids(entries) => entries.iter().map(|&(_, id)| id as usize + 1).max().unwrap_or(0),
            Vocab::Scores(entries) => entries.len(),
        };
        let normalizer: Option<NormalizerWrapper> = part("normalizer", &normalizer)?;
        let pre_tokenizer: Option<PreTokenizerWrapper> = part("pre_tokenizer", &pre_tokenizer)?;
        let decoder: Option<DecoderWrapper> = part("decoder", &decoder)?;
        let kind = model.kind()?;
        let model = guarded("model", || build_model(kind, model))?;
        let pipeline = guarded("tokenizer", || {
            let mut pipeline = Pipeline::new(model);
            pipeline.with_normalizer(normalizer)?;
            pipeline.with_pre_tokenizer(pre_tokenizer).with_decoder(decoder);
            pipeline.add_tokens(added.into_iter().map(added_token))?;
            Ok(pipeline)
        })?;
        let mut literal = pipeline.get_added_vocabulary().clone();
        literal.set_encode_special_tokens(true);
        let added_max = literal.get_vocab().values().map(|&id| id as usize + 1).max().unwrap_or(0);
        let vocab_size = id_max.max(added_max);
        if vocab_size > VOCABULARY_SIZE_MAX {
            return Err(Error::unsupported(format!(
                "ids up to {vocab_size}: more than {VOCABULARY_SIZE_MAX} are not supported"
            )));
        }
        Ok(Self { pipeline, literal, vocab_size })
    }

    /// The bytes of all tokens.
    pub(super) fn table(&self, decoder: &Value) -> Result<TokenTable> {
        let plan = Plan::new(decoder)?;
        let special = |id: u32| {
            let added = self.literal.get_added_tokens_decoder().get(&id);
            added.filter(|token| token.special).map(|token| token.content.clone())
        };
        let names = (0..self.vocab_size as u32).map(|id| match special(id) {
            Some(name) => (name, true),
            None => (self.pipeline.id_to_token(id).unwrap_or_default(), false),
        });
        TokenTable::of_names(names, plan)
    }

    pub(super) fn added_ids(&self) -> HashMap<String, u32> {
        self.literal.get_vocab().iter().map(|(name, &id)| (name.clone(), id)).collect()
    }

    pub(super) fn encode(&self, text: &str, literal: bool) -> Result<Vec<u32>> {
        let added = if literal { &self.literal } else { self.pipeline.get_added_vocabulary() };
        guarded("this text cannot be encoded", || {
            let mut pieces = added.extract_and_normalize(self.pipeline.get_normalizer(), text);
            if let Some(pre_tokenizer) = self.pipeline.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut pieces)?;
            }
            self.pipeline.get_model().tokenize_in_pretokenized(&mut pieces, None)?;
            Ok(pieces.into_encoding(None, 0, OffsetType::None)?.get_ids().to_vec())
        })
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        guarded("these ids cannot be decoded", || self.pipeline.decode(ids, skip_special))
    }
}

fn added_token(token: Added) -> AddedToken {
    AddedToken::from(token.content, token.special)
        .single_word(token.single_word)
        .lstrip(token.lstrip)
        .rstrip(token.rstrip)
        .normalized(token.normalized)
}

fn build_model(kind: Kind, model: Model) -> tokenizers::Result<ModelWrapper> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Format, message).into());
    let (ids, scores): (NameIds, Vec<(String, f64)>) = match model.vocab {
        Vocab::Ids(entries) => (entries.into_iter().collect(), Vec::new()),
        Vocab::Scores(entries) => (NameIds::default(), entries),
    };
    match kind {
        Kind::Unigram => Ok(Unigram::from(scores, model.unk_id, model.byte_fallback)?.into()),
        Kind::WordPiece => {
            let prefix = model.continuing_subword_prefix.unwrap_or_else(|| String::from("##"));
            let built = WordPiece::builder()
                .vocab(ids)
                .unk_token(model.unk_token.unwrap_or_else(|| String::from("[UNK]")))
                .continuing_subword_prefix(prefix)
                .max_input_chars_per_word(model.max_input_chars_per_word.unwrap_or(100));
            Ok(built.build()?.into())
        }
        Kind::WordLevel => {
            let unknown = model.unk_token.unwrap_or_else(|| String::from("<unk>"));
            Ok(WordLevel::builder().vocab(ids).unk_token(unknown).build()?.into())
        }
        Kind::Bpe => {
            let mut merges = Vec::new();
            for merge in model.merges.unwrap_or_default() {
                merges.push(match merge {
                    MergeText::Pair(left, right) => (left, right),
                    MergeText::Joined(joined) => match joined.split_once(' ') {
                        _ if joined.starts_with("#version") => continue,
                        Some((left, right)) if !right.contains(' ') => (left.to_string(), right.to_string()),
                        _ => return refuse(format!("merge {joined:?} is not `left right`")),
                    },
                });
            }
            let mut builder = BPE::builder()
                .vocab_and_merges(ids, merges)
                .fuse_unk(model.fuse_unk)
                .byte_fallback(model.byte_fallback)
                .ignore_merges(model.ignore_merges);
            if let Some(unknown) = model.unk_token {
                builder = builder.unk_token(unknown);
            }
            if let Some(prefix) = model.continuing_subword_prefix {
                builder = builder.continuing_subword_prefix(prefix);
            }
            if let Some(suffix) = model.end_of_word_suffix {
                builder = builder.end_of_word_suffix(suffix);
            }
            Ok(builder.build()?.into())
        }
    }
}
