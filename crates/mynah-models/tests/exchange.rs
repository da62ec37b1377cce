//! Weights exchanged under a running decoder: two versions in one batch, each as if it were alone.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{golden, open, options, run, testdata};
use mynah_models::{Decoder, Logits, Model, Segment};

/// A copy of a model whose every hundredth value has another sign.
fn changed(family: &Path, to: &Path) {
    for entry in std::fs::read_dir(family).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if path.file_name().is_some_and(|name| name == "model.safetensors") {
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            // The last byte of a value has its sign.
            bytes[8 + header..].iter_mut().skip(3).step_by(400).for_each(|byte| *byte ^= 0x80);
        }
        std::fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

fn model(path: &Path) -> Arc<Model> {
    Arc::new(Model::open(path.to_str().unwrap(), &options()).unwrap())
}

/// All logits of one prompt under each of these weights, in one step.
fn together(decoder: &mut Decoder, tokens: &[u32], weights: &[u32]) -> Vec<Vec<f32>> {
    let pages: Vec<Vec<u32>> = (0..weights.len() as u32).map(|i| vec![2 * i, 2 * i + 1]).collect();
    let segments: Vec<Segment<'_>> = weights
        .iter()
        .zip(&pages)
        .zip(0..)
        .map(|((&weights, pages), slot)| Segment {
            tokens,
            start: 0,
            pages,
            slot,
            weights,
            adapter: None,
            logits: Logits::All,
        })
        .collect();
    let mut logits = Vec::new();
    decoder.step(&segments, &mut logits).unwrap();
    logits.chunks_exact(tokens.len() * decoder.vocab_size()).map(<[f32]>::to_vec).collect()
}

#[test]
fn two_versions_run_in_one_batch() {
    for name in ["qwen3", "gemma3", "mixtral", "nemotron_h"] {
        let family = testdata().join("families").join(name);
        let tokens = golden(&family.join("golden.safetensors")).tokens;
        let folder = tempfile::tempdir().unwrap();
        changed(&family, folder.path());
        let old = run(&mut open(&family), &tokens, &[tokens.len()], &[0, 1], 0);
        let new = run(&mut open(folder.path()), &tokens, &[tokens.len()], &[0, 1], 0);
        assert_ne!(old, new, "{name}");
        let mut decoder = open(&family);
        decoder.install(4, model(folder.path())).unwrap();
        let rows = together(&mut decoder, &tokens, &[4, 0, 4]);
        assert!(rows[0] == new && rows[1] == old && rows[2] == new, "{name}: versions are mixed");
        let removed = decoder.remove(0).unwrap();
        let mut logits = Vec::new();
        let segment = Segment {
            tokens: &tokens,
            start: 0,
            pages: &[0, 1],
            slot: 0,
            weights: 0,
            adapter: None,
            logits: Logits::Last,
        };
        let error = decoder.step(&[segment], &mut logits).unwrap_err().to_string();
        assert!(error.contains("no weights are installed under the number 0"), "{error}");
        // The way back needs no file.
        decoder.install(5, removed).unwrap();
        assert!(together(&mut decoder, &tokens, &[5])[0] == old);
    }
}

#[test]
fn weights_of_another_form_are_refused() {
    let families = testdata().join("families");
    let mut decoder = open(&families.join("qwen3"));
    let error = decoder.install(1, model(&families.join("llama"))).unwrap_err().to_string();
    assert!(error.contains("cannot take the place"), "{error}");
    let error = decoder.install(0, model(&families.join("qwen3"))).unwrap_err().to_string();
    assert_eq!(error, "weights 0 are there already");
    let error = decoder.remove(0).unwrap_err().to_string();
    assert_eq!(error, "weights 0 are the only ones");
    let error = decoder.remove(3).unwrap_err().to_string();
    assert_eq!(error, "no weights are installed under the number 3");
}
