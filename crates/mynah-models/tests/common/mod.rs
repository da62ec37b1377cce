//! What the tests of this crate share: goldens, and ways to run a prompt.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use mynah_models::{Decoder, LoadOptions, Logits, Segment};
use mynah_nn::safetensors::TensorFile;

pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// A prompt and the logits after each of its tokens.
pub struct Golden {
    pub tokens: Vec<u32>,
    pub logits: Vec<f32>,
}

pub fn golden(path: &Path) -> Golden {
    let mut file = TensorFile::open(path).unwrap();
    let shape = |name: &str| file.entries()[name].shape.clone();
    let (tokens, logits) = (shape("tokens"), shape("logits"));
    let tokens = file.read_f32("tokens", &tokens).unwrap().iter().map(|&token| token as u32).collect();
    Golden { tokens, logits: file.read_f32("logits", &logits).unwrap() }
}

/// Small pages, so that a short prompt takes several.
pub fn options() -> LoadOptions {
    LoadOptions {
        page_tokens: 16,
        cache_pages: Some(40),
        max_slots: 3,
        threads: Some(2),
        ..LoadOptions::default()
    }
}

pub fn open(path: &Path) -> Decoder {
    open_with(path, &options())
}

pub fn open_with(path: &Path, options: &LoadOptions) -> Decoder {
    Decoder::open(path.to_str().unwrap(), options).unwrap()
}

/// The logits after each token when the prompt is read in pieces of these lengths (the last repeats).
pub fn run(decoder: &mut Decoder, tokens: &[u32], pieces: &[usize], pages: &[u32], slot: u32) -> Vec<f32> {
    let (mut all, mut logits, mut start) = (Vec::new(), Vec::new(), 0);
    let mut pieces = pieces.iter().copied().chain(std::iter::repeat(*pieces.last().unwrap()));
    while start < tokens.len() {
        let len = pieces.next().unwrap().min(tokens.len() - start);
        let segment = Segment {
            tokens: &tokens[start..start + len],
            start,
            pages,
            slot,
            weights: 0,
            adapter: None,
            logits: Logits::All,
        };
        decoder.step(&[segment], &mut logits).unwrap();
        all.extend_from_slice(&logits);
        start += len;
    }
    all
}

/// The greatest difference, which must not be NaN.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| {
        let d = (a - b).abs();
        if d.is_nan() { f32::INFINITY } else { most.max(d) }
    })
}
