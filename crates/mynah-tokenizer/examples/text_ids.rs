//! Any model's tokenizer by hand, for `golden/check_text_peers.py` and for a first look:
//!
//! `text_ids FILE` reads texts, one JSON string a line, from standard input and answers each with a line
//! of JSON: the ids with special tokens read, with them taken for text, those of a document, and the
//! document's text again.
//! `text_ids FILE bench` measures: the load, and the encoding of those texts.

use std::error::Error;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use mynah_tokenizer::TextTokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, is_bench) = match arguments.as_slice() {
        [path] => (path, false),
        [path, word] if word == "bench" => (path, true),
        _ => return Err("text_ids FILE [bench]".into()),
    };
    let start = Instant::now();
    let tokenizer = TextTokenizer::load_hugging_face(Path::new(path))?;
    let load_s = start.elapsed().as_secs_f64();
    let texts = std::io::stdin()
        .lock()
        .lines()
        .map(|line| -> Result<String, Box<dyn Error>> { Ok(serde_json::from_str(&line?)?) });
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    if is_bench {
        let size_mb = texts.iter().map(String::len).sum::<usize>() as f64 / 1e6;
        let start = Instant::now();
        let ids = texts.iter().map(|text| tokenizer.encode(text)).collect::<Result<Vec<_>, _>>()?;
        let encode_s = start.elapsed().as_secs_f64();
        let count: usize = ids.iter().map(Vec::len).sum();
        writeln!(
            out,
            "{tokenizer:?}: load {:.0} ms, {count} ids, {:.2} MB/s",
            load_s * 1e3,
            size_mb / encode_s
        )?;
        return Ok(out.flush()?);
    }
    for text in texts {
        let document = tokenizer.encode_document(&text)?;
        let line = (
            tokenizer.encode_with_special(&text)?,
            tokenizer.encode(&text)?,
            tokenizer.decode_without_special(&document)?,
            document,
        );
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
    }
    Ok(out.flush()?)
}
