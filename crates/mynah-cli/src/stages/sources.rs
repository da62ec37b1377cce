//! The loaders of mynah-data as the training loop wants to see them.

use std::sync::Arc;

use mynah_data::{Batch, Corpus, LoaderOptions, SftLoader};
use mynah_tokenizer::Tokenizer;
use mynah_tokenizer::chat::Conversation;
use mynah_train::PackedSource;

use crate::failure::Result;

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
) -> Result<PackedSource> {
    let options = LoaderOptions::training(rows, cols, seed);
    Ok(PackedSource::new(corpus.clone(), Arc::new(tokenizer.clone()), options)?)
}

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
) -> Result<SftLoader> {
    Ok(SftLoader::new(conversations, tokenizer, LoaderOptions::training(rows, cols, seed))?)
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
