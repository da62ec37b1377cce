//! Models in GGUF give the logits of the models they were made from.

mod common;

use common::{difference, golden, open, run, testdata};

#[test]
fn logits_are_those_of_the_original() {
    for name in ["llama3", "gemma2", "phi3_long", "qwen3_moe"] {
        let golden = golden(&testdata().join("families").join(name).join("golden.safetensors"));
        let mut decoder = open(&testdata().join("gguf").join(format!("{name}.gguf")));
        let pages: Vec<u32> = (0..10).collect();
        let logits = run(&mut decoder, &golden.tokens, &[7], &pages, 0);
        let apart = difference(&logits, &golden.logits);
        println!("{name}: {apart:e}");
        assert!(apart <= 1e-4, "{name}: differs by {apart}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(testdata().join("gguf/llama3.gguf")).unwrap();
    let at = bytes.windows(5).position(|part| part == b"llama").unwrap();
    let mut changed = bytes.clone();
    changed[at..at + 5].copy_from_slice(b"rwkv6");
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, changed).unwrap();
    let open = |path: &std::path::Path| {
        mynah_models::Decoder::open(path.to_str().unwrap(), &common::options()).unwrap_err().to_string()
    };
    let error = open(&path);
    assert!(error.contains("architecture rwkv6 is not supported in GGUF; supported are llama"), "{error}");
    // A folder with nothing but a GGUF file is that file.
    assert_eq!(open(folder.path()), error);
}
