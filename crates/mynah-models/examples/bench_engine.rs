//! Our side of `cargo xtask bench engine`: prompts and decoding of a model with random weights.
//!
//! Flags: `--models DIR` (made there where they are missing: both sides read the same files), `--threads N`, `--small`. A
//! case is FORMAT-WHAT, where WHAT is `decode` (one sequence writes tokens), `prefill-512` (a prompt of 512 tokens is
//! read) or `streams-8` (eight sequences write together). Logits are computed for the last token of each sequence.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mynah_kernels::{cpu, pool};
use mynah_models::{
    Decoder, KvFormat, LoadOptions, Logits, Quantize, RandomShape, Segment, write_random_model,
};

const CASES: &[&str] = &[
    "q8_0-decode",
    "q8_0-prefill-512",
    "q8_0-streams-8",
    "q4_0-decode",
    "q4_0-prefill-512",
    "q4_0-streams-8",
];
/// Pages of a sequence: room for 640 positions.
const PAGES: u32 = 20;
/// Positions a sequence has before it writes.
const BEFORE: usize = 16;
const STREAMS: u32 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments, std::io::stdin().lock(), std::io::stdout().lock())
}

/// The worker: answers each line of `input`.
pub fn run(arguments: &[String], input: impl BufRead, mut output: impl Write) -> Result<(), Box<dyn Error>> {
    let small = arguments.iter().any(|flag| flag == "--small");
    let value =
        |name: &str| arguments.iter().position(|flag| flag == name).and_then(|i| arguments.get(i + 1));
    if let Some(threads) = value("--threads").and_then(|text| text.parse().ok()) {
        pool::set_threads(threads);
    }
    let folder = PathBuf::from(value("--models").ok_or("--models DIR is missing")?);
    let shape = RandomShape::named(if small { "tiny" } else { "0.35b" }).ok_or("no such shape")?;
    let mut models = Vec::new();
    for (name, quantize) in [("q8_0", Quantize::Q8), ("q4_0", Quantize::Q4)] {
        let path = made(&folder, shape, name, quantize)?;
        let options = LoadOptions {
            cache_pages: Some((PAGES * STREAMS) as usize),
            context_length: Some(1024),
            // As the peer's, and as `mynah serve` has it.
            cache_format: KvFormat::F16,
            ..LoadOptions::default()
        };
        models.push((name, Decoder::open(&path.to_string_lossy(), &options)?));
    }
    let mut say = |line: String| writeln!(output, "{line}").and_then(|()| output.flush());
    let names: Vec<String> = CASES.iter().map(|name| format!("\"{name}\"")).collect();
    let version = format!("{} {}", env!("CARGO_PKG_VERSION"), cpu::isa().name());
    say(format!("{{\"ready\":true,\"version\":\"{version}\",\"cases\":[{}]}}", names.join(",")))?;
    for line in input.lines() {
        let line = line?;
        let case = line.trim();
        let (format, what) = case.split_once('-').ok_or("a case is FORMAT-WHAT")?;
        let (_, decoder) = models.iter_mut().find(|(name, _)| *name == format).ok_or("no such format")?;
        let (seconds, work) = measure(decoder, what, small)?;
        say(format!("{{\"case\":\"{case}\",\"seconds\":{seconds:e},\"work\":{work},\"unit\":\"token\"}}"))?;
    }
    say("{}".to_string())?;
    Ok(())
}

/// The model's file, written if it is not there.
fn made(
    folder: &Path,
    shape: &RandomShape,
    name: &str,
    quantize: Quantize,
) -> Result<PathBuf, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("random-{}-{name}.gguf", shape.name));
    if !path.is_file() {
        write_random_model(&path, shape, Some(quantize))?;
    }
    Ok(path)
}

/// Seconds, and the tokens of that time.
fn measure(decoder: &mut Decoder, what: &str, small: bool) -> Result<(f64, usize), Box<dyn Error>> {
    let pages: Vec<Vec<u32>> = (0..STREAMS).map(|i| (i * PAGES..(i + 1) * PAGES).collect()).collect();
    let tokens: Vec<u32> = (0..512).map(|i| i * 37 % (decoder.vocab_size() as u32 - 300) + 300).collect();
    let mut logits = Vec::new();
    let mut step = |sequences: u32, start: usize, tokens: &[u32]| {
        let segment = |slot: u32| Segment {
            tokens,
            start,
            pages: &pages[slot as usize],
            slot: 0,
            weights: 0,
            adapter: None,
            logits: Logits::Last,
        };
        let segments: Vec<Segment<'_>> = (0..sequences).map(segment).collect();
        decoder.step(&segments, &mut logits)
    };
    let sequences = match what {
        "prefill-512" => {
            let begin = Instant::now();
            step(1, 0, &tokens)?;
            return Ok((begin.elapsed().as_secs_f64(), tokens.len()));
        }
        "decode" => 1,
        "streams-8" => STREAMS,
        _ => return Err(format!("no case is called '{what}'").into()),
    };
    step(sequences, 0, &tokens[..BEFORE])?;
    let count = if small { 2 } else { 32 };
    let begin = Instant::now();
    for (position, token) in (BEFORE..).zip(&tokens[..count]) {
        step(sequences, position, std::slice::from_ref(token))?;
    }
    Ok((begin.elapsed().as_secs_f64(), count * sequences as usize))
}
