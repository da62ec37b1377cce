//! The loaders of mynah-data as the training loop wants to see them.

use std::sync::Arc;

use mynah_data::{Batch, Corpus, LoaderOptions, PackedLoader, Place, SftLoader, Split};
use mynah_tokenizer::chat::Conversation;
use mynah_tokenizer::{Special, Tokenizer};
use mynah_train::{BatchSource, Error, ErrorKind, eval};
use serde_json::Value;

use crate::failure::Result;

/// Packed documents without end.
pub struct TextSource {
    corpus: Corpus,
    tokenizer: Arc<Tokenizer>,
    options: LoaderOptions,
    loader: PackedLoader,
}

/// Batches of the training part of a corpus.
///
/// # Errors
/// When the corpus does not fill one batch.
pub fn text(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    rows: usize,
    cols: usize,
    seed: u64,
) -> Result<TextSource> {
    let options = LoaderOptions::training(rows, cols, seed);
    let tokenizer = Arc::new(tokenizer.clone());
    let loader = PackedLoader::new(corpus.clone(), Arc::clone(&tokenizer), Split::Train, options)?;
    Ok(TextSource { corpus: corpus.clone(), tokenizer, options, loader })
}

impl BatchSource for TextSource {
    fn next_batch(&mut self) -> mynah_train::Result<Batch> {
        self.loader.next_batch().map_err(of_data)?.ok_or_else(no_batch)
    }

    fn state(&self) -> mynah_train::Result<Value> {
        serde_json::to_value(self.loader.state()).map_err(of_json)
    }

    fn restore(&mut self, state: &Value) -> mynah_train::Result<()> {
        let state = serde_json::from_value(state.clone()).map_err(of_json)?;
        let (corpus, tokenizer) = (self.corpus.clone(), Arc::clone(&self.tokenizer));
        self.loader =
            PackedLoader::resume(corpus, tokenizer, Split::Train, self.options, &state).map_err(of_data)?;
        Ok(())
    }

    fn describe(&self) -> String {
        epoch(self.loader.epoch())
    }
}

/// Packed conversations without end.
pub struct ChatSource(SftLoader);

/// Batches of conversations.
///
/// # Errors
/// When none of them has an answer within the context.
pub fn chat(
    conversations: &[Conversation],
    tokenizer: &Tokenizer,
    rows: usize,
    cols: usize,
    seed: u64,
) -> Result<ChatSource> {
    Ok(ChatSource(SftLoader::new(conversations, tokenizer, LoaderOptions::training(rows, cols, seed))?))
}

impl ChatSource {
    /// About how many batches go through all conversations once.
    pub fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    /// Conversations that were left out: no answer within the context.
    pub fn skipped(&self) -> u64 {
        self.0.skipped()
    }
}

impl BatchSource for ChatSource {
    fn next_batch(&mut self) -> mynah_train::Result<Batch> {
        self.0.next_batch().ok_or_else(no_batch)
    }

    fn state(&self) -> mynah_train::Result<Value> {
        serde_json::to_value(self.0.state()).map_err(of_json)
    }

    fn restore(&mut self, state: &Value) -> mynah_train::Result<()> {
        let state = serde_json::from_value(state.clone()).map_err(of_json)?;
        self.0.seek(&state).map_err(of_data)
    }

    fn describe(&self) -> String {
        epoch(self.0.state().epoch)
    }
}

/// The first time through is not worth a word.
fn epoch(number: u64) -> String {
    if number == 0 { String::new() } else { format!("epoch {}", number + 1) }
}

/// Batches of validation text, about `tokens_max` tokens: documents one after the other, each after
/// `<|bos|>`, every token once.
///
/// # Errors
/// When the corpus cannot be read.
pub fn text_batches(
    corpus: &Corpus,
    part: Option<Split>,
    tokenizer: &Tokenizer,
    rows: usize,
    cols: usize,
    tokens_max: usize,
) -> Result<Vec<Batch>> {
    let bos = tokenizer.special(Special::Bos);
    let mut ids = Vec::new();
    for document in corpus.documents(Place::default()) {
        let text = document?.text;
        if part.is_some_and(|part| corpus.split_of(&text) != part) {
            continue;
        }
        ids.push(bos);
        ids.extend(tokenizer.encode_ordinary(&text));
        if ids.len() > tokens_max {
            ids.truncate(tokens_max + 1);
            break;
        }
    }
    Ok(eval::windows(&ids, rows, cols))
}

/// Batches of held-out conversations, about `tokens_max` tokens; none when there are no conversations.
///
/// # Errors
/// When none of them has an answer within the context.
pub fn chat_batches(
    conversations: &[Conversation],
    tokenizer: &Tokenizer,
    cols: usize,
    tokens_max: usize,
) -> Result<Vec<Batch>> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let mut loader = SftLoader::new(conversations, tokenizer, LoaderOptions::validation(1, cols))?;
    let rows_max = tokens_max.div_ceil(cols);
    Ok(std::iter::from_fn(|| loader.next_batch()).take(rows_max).collect())
}

fn of_data(error: mynah_data::Error) -> Error {
    Error::new(ErrorKind::Data, error.to_string())
}

fn of_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Checkpoint, format!("the saved position of the data is damaged: {error}"))
}

fn no_batch() -> Error {
    Error::new(ErrorKind::Data, "the data ended")
}
