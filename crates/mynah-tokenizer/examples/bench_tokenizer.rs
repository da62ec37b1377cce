//! Worker of the tokenizer benchmarks (`cargo xtask bench tok-train`, `tok-encode`).
//!
//! Prints one JSON line when ready; then runs each case that it reads from standard input and answers
//! with the seconds it took. Settings: `--files PATH…` (.txt is one document, .jsonl one a line from its
//! field `text`; without it a text is generated), `--vocab N`, `--threads N`, `--ranks FILE` (else the
//! encoder's merges are trained on the same text first), `--pattern NAME`, `--small`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mynah_base::Rng;
use mynah_tokenizer::{Tokenizer, TrainOptions, Trainer, pattern};

struct Settings {
    files: Vec<PathBuf>,
    vocab_size: usize,
    threads: usize,
    ranks: Option<PathBuf>,
    pattern: pattern::Pattern,
    small: bool,
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings {
        files: Vec::new(),
        vocab_size: 32_768,
        threads: 1,
        ranks: None,
        pattern: pattern::GPT4_2,
        small: false,
    };
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--vocab" => settings.vocab_size = value()?.parse()?,
            "--threads" => settings.threads = value()?.parse()?,
            "--ranks" => settings.ranks = Some(value()?.into()),
            "--pattern" => settings.pattern = pattern::by_name(&value()?)?,
            "--small" => settings.small = true,
            "--files" => {
                while let Some(path) = arguments.next_if(|next| !next.starts_with("--")) {
                    settings.files.push(path.into());
                }
            }
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    if settings.small {
        settings.vocab_size = settings.vocab_size.min(512);
    }
    Ok(settings)
}

fn documents(settings: &Settings) -> Result<Vec<String>, Box<dyn Error>> {
    if settings.files.is_empty() {
        return Ok(generated(if settings.small { 20 } else { 2_000 }));
    }
    let mut documents = Vec::new();
    for path in &settings.files {
        documents.extend(read(path)?);
    }
    Ok(documents)
}

fn read(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return Ok(vec![text]);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line)?;
            Ok(value["text"].as_str().ok_or("a line has no field `text`")?.to_string())
        })
        .collect()
}

/// Text of seeded nonsense words whose frequencies fall as in a language. `xtask/peers/tok_train.py` and
/// `tok_encode.py` do not make it: they are given the same files.
fn generated(documents: usize) -> Vec<String> {
    let mut rng = Rng::new(1);
    let syllables =
        ["ka", "lo", "mi", "ren", "sta", "tu", "vel", "ing", "er", "on", "qua", "ße", "né", "shi"];
    let words: Vec<String> = (0..20_000)
        .map(|_| (0..1 + rng.index(4)).map(|_| *rng.choose(&syllables)).collect::<Vec<_>>().concat())
        .collect();
    let mut document = |_| {
        let mut text = String::new();
        for _ in 0..1_000 {
            let place = (words.len() as f64).powf(rng.uniform()) as usize - 1;
            text.push_str(&words[place.min(words.len() - 1)]);
            text.push_str(rng.choose::<&str>(&[" ", " ", " ", " ", ", ", ". ", "\n", " 12 "]));
        }
        text
    };
    (0..documents).map(&mut document).collect()
}

fn train(settings: &Settings, documents: &[String]) -> Result<Tokenizer, Box<dyn Error>> {
    let mut trainer = Trainer::new(TrainOptions {
        vocab_size: settings.vocab_size,
        pattern: settings.pattern.clone(),
        threads: Some(settings.threads),
        ..TrainOptions::default()
    })?;
    documents.iter().for_each(|document| trainer.feed(document));
    Ok(trainer.finish()?.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let documents = documents(&settings)?;
    let bytes: usize = documents.iter().map(String::len).sum();
    let tokenizer = match &settings.ranks {
        Some(path) => Tokenizer::load_tiktoken(path, settings.pattern.clone())?,
        None => train(&settings, &documents)?,
    };
    println!(
        "{}",
        serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": ["train", "encode"],
            "documents": documents.len(), "bytes": bytes, "threads": settings.threads})
    );
    for case in std::io::stdin().lock().lines() {
        let case = case?;
        let start = Instant::now();
        let result = match case.trim() {
            "train" => train(&settings, &documents)?.vocab_size(),
            // Document by document, as the peer is called; batches only where threads are to share.
            "encode" if settings.threads <= 1 => {
                documents.iter().map(|document| tokenizer.encode_ordinary(document).len()).sum()
            }
            "encode" => tokenizer.encode_batch_on(settings.threads, &documents).iter().map(Vec::len).sum(),
            other => return Err(format!("no case {other:?}: train or encode").into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{}",
            serde_json::json!({"case": case.trim(), "seconds": seconds, "work": bytes, "unit": "byte",
                "result": result})
        );
        std::io::stdout().flush()?;
    }
    println!("{}", serde_json::json!({"peak_rss_bytes": peak_rss_bytes()}));
    Ok(())
}

/// From the kernel's account of this process; 0 where there is none.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
