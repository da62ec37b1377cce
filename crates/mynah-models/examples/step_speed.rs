//! How fast a model loads, reads prompts and writes tokens:
//! `cargo run --release -p mynah-models --example step_speed -- PATH [q8|q4] [sequences]`.
//!
//! Prints one line of JSON: rates in tokens a second, memory in MB (where the system says).

use std::time::Instant;

use mynah_models::{Decoder, LoadOptions, Logits, Quantize, Segment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of a model is missing")?;
    let quantize = match arguments.next().as_deref() {
        Some("q8") => Some(Quantize::Q8),
        Some("q4") => Some(Quantize::Q4),
        _ => None,
    };
    let sequences: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let options = LoadOptions {
        quantize,
        cache_pages: Some(40 * sequences as usize),
        context_length: Some(1024),
        ..LoadOptions::default()
    };
    let start = Instant::now();
    let mut decoder = Decoder::open(&path, &options)?;
    let load_s = start.elapsed().as_secs_f64();
    let pages: Vec<Vec<u32>> = (0..sequences).map(|i| (i * 40..(i + 1) * 40).collect()).collect();
    let vocabulary = decoder.vocab_size() as u32;
    let prompt: Vec<u32> = (0..512).map(|i| (i * 7919 + 13) % vocabulary).collect();
    let mut logits = Vec::new();
    let mut read = |decoder: &mut Decoder, slot: u32| {
        let pages = &pages[slot as usize];
        let segment = Segment {
            tokens: &prompt,
            start: 0,
            pages,
            slot,
            weights: 0,
            adapter: None,
            logits: Logits::Last,
        };
        decoder.step(&[segment], &mut logits)
    };
    read(&mut decoder, 0)?;
    let start = Instant::now();
    for slot in 0..sequences {
        read(&mut decoder, slot)?;
    }
    let prefill = 512.0 * f64::from(sequences) / start.elapsed().as_secs_f64();
    let steps = 48;
    let start = Instant::now();
    for step in 0..steps {
        let token = [step as u32 % vocabulary];
        let segments: Vec<Segment<'_>> = pages
            .iter()
            .zip(0..)
            .map(|(pages, slot)| Segment {
                tokens: &token,
                start: 512 + step,
                pages,
                slot,
                weights: 0,
                adapter: None,
                logits: Logits::Last,
            })
            .collect();
        decoder.step(&segments, &mut logits)?;
    }
    let decode = (steps * sequences as usize) as f64 / start.elapsed().as_secs_f64();
    let memory = |key: &str| -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb / 1024)
    };
    println!(
        "{{\"load_s\": {load_s:.3}, \"prefill_512\": {prefill:.1}, \"decode\": {decode:.1}, \"read_gb_s\": {:.2}, \
         \"rss_mb\": {}, \"rss_peak_mb\": {}}}",
        decode / f64::from(sequences) * decoder.step_bytes() as f64 / 1e9,
        memory("VmRSS").unwrap_or(0),
        memory("VmHWM").unwrap_or(0)
    );
    Ok(())
}
