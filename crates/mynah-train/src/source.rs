//! Where batches come from.

use std::sync::Arc;

use mynah_data::{Batch, Corpus, LoaderOptions, LoaderState, PackedLoader, Place, SftLoader, Split};
use mynah_tokenizer::{Special, Tokenizer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::eval::windows;

/// An endless stream of batches whose position can be saved.
pub trait BatchSource {
    /// The next batch.
    ///
    /// # Errors
    /// When the data cannot be read or has come to its end.
    fn next_batch(&mut self) -> Result<Batch>;

    /// The position after the last batch given, exact: a source that is restored to it gives the same
    /// batches from there on.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn state(&self) -> Result<Value>;

    /// Goes to a saved position.
    ///
    /// # Errors
    /// When the position belongs to other data.
    fn restore(&mut self, state: &Value) -> Result<()>;

    /// The position for people: `epoch 2`.
    fn describe(&self) -> String {
        String::new()
    }
}

/// The training part of a corpus, packed.
pub struct PackedSource {
    corpus: Corpus,
    tokenizer: Arc<Tokenizer>,
    options: LoaderOptions,
    loader: PackedLoader,
}

impl PackedSource {
    /// Batches from the beginning of the training part.
    ///
    /// # Errors
    /// As [`PackedLoader::new`].
    pub fn new(corpus: Corpus, tokenizer: Arc<Tokenizer>, options: LoaderOptions) -> Result<Self> {
        let loader = PackedLoader::new(corpus.clone(), tokenizer.clone(), Split::Train, options);
        Ok(Self { corpus, tokenizer, options, loader: loader.map_err(data_error)? })
    }

    /// The loader, for its counts.
    pub fn loader(&self) -> &PackedLoader {
        &self.loader
    }
}

impl BatchSource for PackedSource {
    fn next_batch(&mut self) -> Result<Batch> {
        self.loader.next_batch().map_err(data_error)?.ok_or_else(ended)
    }

    fn state(&self) -> Result<Value> {
        save(&self.loader.state())
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let state: LoaderState = load(state)?;
        let (corpus, tokenizer) = (self.corpus.clone(), self.tokenizer.clone());
        let loader = PackedLoader::resume(corpus, tokenizer, Split::Train, self.options, &state);
        self.loader = loader.map_err(data_error)?;
        Ok(())
    }

    fn describe(&self) -> String {
        epoch(self.loader.epoch())
    }
}

impl BatchSource for SftLoader {
    fn next_batch(&mut self) -> Result<Batch> {
        SftLoader::next_batch(self).ok_or_else(ended)
    }

    fn state(&self) -> Result<Value> {
        save(&SftLoader::state(self))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.seek(&load(state)?).map_err(data_error)
    }

    fn describe(&self) -> String {
        epoch(SftLoader::state(self).epoch)
    }
}

/// Validation batches of a corpus, about `tokens_max` tokens: documents one after the other, each after
/// `<|bos|>`, every token once ([`windows`]). `part` is a part of the training corpus, or nothing for a
/// corpus that is for validation alone. Empty when that part has no text.
///
/// # Errors
/// When the corpus cannot be read.
pub fn validation_batches(
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
        let text = document.map_err(data_error)?.text;
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
    Ok(windows(&ids, rows, cols))
}

/// The first time through is not worth a word.
fn epoch(number: u64) -> String {
    if number == 0 { String::new() } else { format!("epoch {}", number + 1) }
}

fn save(state: &impl Serialize) -> Result<Value> {
    serde_json::to_value(state)
        .map_err(|e| Error::new(ErrorKind::Data, format!("cannot save the position of the data: {e}")))
}

fn load<T: DeserializeOwned>(state: &Value) -> Result<T> {
    T::deserialize(state).map_err(|e| {
        let message = format!("the checkpoint has no position for this kind of data: {e}");
        Error::new(ErrorKind::Checkpoint, message)
    })
}

fn ended() -> Error {
    Error::new(ErrorKind::Data, "the training data ended; let the loader repeat it")
}

fn data_error(error: mynah_data::Error) -> Error {
    Error::new(ErrorKind::Data, error.to_string())
}
