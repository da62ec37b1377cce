//! Bits per byte of a text.

use mynah_data::{Corpus, Place, Split};
use mynah_nn::Gpt;
use mynah_tokenizer::{Special, Tokenizer};
use mynah_train::eval::{self, Measured};

use crate::failure::{Failure, Result};

/// Tokens that go through the model at once, at least: enough to keep all threads busy.
const PASS_TOKENS: usize = 4096;

/// What was measured, and on how many documents.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextMeasure {
    pub measured: Measured,
    pub documents: u64,
    pub replaced: u64,
    pub skipped: u64,
}

/// Measures a model on the documents of a corpus, each on its own after `<|bos|>`, in windows of the model's
/// context; every token counts once. `part` restricts it to one part of the corpus, `tokens_max` ends early.
///
/// # Errors
/// When the corpus cannot be read, has no text in that part, or the model fails.
pub fn text(
    gpt: &Gpt,
    tokenizer: &Tokenizer,
    corpus: &Corpus,
    part: Option<Split>,
    tokens_max: u64,
) -> Result<TextMeasure> {
    let token_bytes = tokenizer.token_bytes();
    let bos = tokenizer.special(Special::Bos);
    let mut total = TextMeasure::default();
    let mut documents = corpus.documents(Place::default());
    for document in documents.by_ref() {
        let text = document?.text;
        if part.is_some_and(|part| corpus.split_of(&text) != part) {
            continue;
        }
        let mut ids = vec![bos];
        ids.extend(tokenizer.encode_ordinary(&text));
        let cols = (ids.len() - 1).clamp(1, gpt.config().sequence_len);
        let batches = eval::windows(&ids, PASS_TOKENS.div_ceil(cols), cols);
        let measured = eval::bits_per_byte(gpt, &batches, &token_bytes)?;
        total.measured.nats += measured.nats;
        total.measured.bytes += measured.bytes;
        total.measured.tokens += measured.tokens;
        total.documents += 1;
        if total.measured.tokens >= tokens_max {
            break;
        }
    }
    total.replaced = documents.counts().replaced;
    total.skipped = documents.counts().skipped;
    if total.measured.bytes == 0 {
        return Err(Failure::new("there is no text to measure on").advice("give a file that has some"));
    }
    Ok(total)
}
