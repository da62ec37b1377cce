//! Tests of the tokenizer's public face.

mod chat;
mod data;
mod files;
mod golden;
mod round_trip;
mod text;
mod train;
mod worker;

use std::path::{Path, PathBuf};

use mynah_base::Rng;
use mynah_tokenizer::{Tokenizer, TrainOptions, TrainReport, Trainer, pattern};

/// Characters and words that meet each other's edges: contractions, marks, line ends, spaces of all kinds.
const PIECES: &[&str] = &[
    "a",
    "Bird",
    " sings",
    " the",
    "the",
    "ing",
    "'",
    "'s",
    "'S",
    "'ſ",
    "'LL",
    "'\u{212A}",
    "’s",
    "1",
    "12",
    "345678",
    "½",
    "٣",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " \n",
    "\u{a0}",
    "\u{2003}",
    "\u{85}",
    "\u{3000}",
    "\0",
    "\u{1c}",
    "\u{200b}",
    "!",
    "...",
    " ?!",
    "é",
    "e\u{301}",
    "ß",
    "中文",
    " 日本",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "\u{fe0f}",
    "ﬆ",
    "नमस्ते",
    "\u{10ffff}",
    "\u{fffd}",
    "\u{d7ff}",
    "\u{e000}",
    "<|bos|>",
    "<|user_end|>",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "==================================================================================================",
];

fn fuzzed(rng: &mut Rng, pieces_max: usize) -> String {
    let length = rng.index(pieces_max + 1);
    (0..length)
        .map(|_| {
            if rng.chance(0.9) {
                (*rng.choose(PIECES)).to_string()
            } else {
                char::from_u32(rng.below(0x11_0000) as u32).unwrap_or('x').to_string()
            }
        })
        .collect()
}

fn train_with(documents: &[impl AsRef<str>], options: TrainOptions) -> (Tokenizer, TrainReport) {
    let mut trainer = Trainer::new(options).unwrap();
    documents.iter().for_each(|document| trainer.feed(document.as_ref()));
    trainer.finish().unwrap()
}

/// A tokenizer with a few hundred merges from fuzzed text.
fn small(pattern: pattern::Pattern) -> Tokenizer {
    let mut rng = Rng::new(11);
    let documents: Vec<String> = (0..200).map(|_| fuzzed(&mut rng, 40)).collect();
    train_with(&documents, TrainOptions { vocab_size: 600, pattern, ..TrainOptions::default() }).0
}

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn golden_json(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(golden_path(name)).unwrap()).unwrap()
}
