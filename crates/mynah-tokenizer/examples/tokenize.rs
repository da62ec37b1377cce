//! The tokenizer by hand, for `golden/check_peers.py` and for a first look:
//!
//! `tokenize train OUT_DIR VOCAB PATTERN` reads documents, one JSON string a line, from standard input;
//! `tokenize encode DIR` (or `FILE.tiktoken PATTERN`) answers each with a JSON array of its ids.
//! PATTERN is a name or a regular expression.

use std::error::Error;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use mynah_tokenizer::{Pattern, Tokenizer, TrainOptions, Trainer, pattern};

const USAGE: &str = "tokenize train OUT_DIR VOCAB PATTERN | encode DIR | encode FILE.tiktoken PATTERN";

fn pattern_of(text: &str) -> Result<Pattern, Box<dyn Error>> {
    Ok(pattern::by_name(text).or_else(|_| pattern::custom(text))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let documents = std::io::stdin()
        .lock()
        .lines()
        .map(|line| -> Result<String, Box<dyn Error>> { Ok(serde_json::from_str(&line?)?) });
    let tokenizer = match arguments.as_slice() {
        ["train", out, vocab_size, pattern] => {
            let vocab_size = vocab_size.parse()?;
            let pattern = pattern_of(pattern)?;
            let mut trainer = Trainer::new(TrainOptions { vocab_size, pattern, ..TrainOptions::default() })?;
            for document in documents {
                trainer.feed(&document?);
            }
            let (tokenizer, report) = trainer.finish()?;
            tokenizer.save(Path::new(out))?;
            println!("{report:?}");
            return Ok(());
        }
        ["encode", dir] => Tokenizer::load(Path::new(dir))?,
        ["encode", file, pattern] => Tokenizer::load_tiktoken(Path::new(file), pattern_of(pattern)?)?,
        _ => return Err(USAGE.into()),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for document in documents {
        writeln!(out, "{}", serde_json::to_string(&tokenizer.encode_ordinary(&document?))?)?;
    }
    Ok(out.flush()?)
}
