//! Figures of packing: `packing_figures VOCABULARY COLS PATH…` trains a tokenizer on the first documents of a corpus, packs one
//! epoch into rows and says how much was cut.

use std::sync::Arc;

use mynah_data::{Corpus, CorpusOptions, LoaderOptions, PackedLoader, Place, Split};
use mynah_tokenizer::{TrainOptions, Trainer};

/// Documents that the tokenizer is trained on.
const DOCUMENTS: usize = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [vocabulary, cols, paths @ ..] = arguments.as_slice() else {
        return Err("usage: packing_figures VOCABULARY COLS PATH…".into());
    };
    let corpus = Corpus::open(paths, CorpusOptions::default())?;
    let mut trainer =
        Trainer::new(TrainOptions { vocab_size: vocabulary.parse()?, ..TrainOptions::default() })?;
    for document in corpus.documents(Place::default()).take(DOCUMENTS) {
        trainer.feed(&document?.text);
    }
    let tokenizer = Arc::new(trainer.finish()?.0);
    let start = std::time::Instant::now();
    let options = LoaderOptions { repeat: false, ..LoaderOptions::training(1, cols.parse()?, 1) };
    let mut loader = PackedLoader::new(corpus, tokenizer, Split::Train, options)?;
    while loader.next_batch()?.is_some() {}
    let stats = loader.stats();
    println!(
        "{} documents, {} rows, {} tokens; {} cuts ({:.2} a row), added <|bos|> {:.3}% of all; {:.1} s",
        stats.documents,
        stats.rows,
        stats.tokens,
        stats.cuts,
        stats.cuts as f64 / stats.rows as f64,
        100.0 * stats.cuts as f64 / stats.tokens as f64,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
