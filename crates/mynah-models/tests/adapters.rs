//! Low-rank adapters against `peft`, mixed in one batch with the bare model.

mod common;

use common::{difference, golden, open, run, testdata};
use mynah_models::{Decoder, Logits, Segment};

/// The logits of each segment of a step over whole prompts.
fn together(decoder: &mut Decoder, tokens: &[u32], adapters: &[Option<u32>]) -> Vec<Vec<f32>> {
    let pages: Vec<Vec<u32>> = (0..adapters.len() as u32).map(|i| vec![2 * i, 2 * i + 1]).collect();
    let segments: Vec<Segment<'_>> = adapters
        .iter()
        .zip(&pages)
        .map(|(&adapter, pages)| Segment {
            tokens,
            start: 0,
            pages,
            slot: 0,
            weights: 0,
            adapter,
            logits: Logits::All,
        })
        .collect();
    let mut logits = Vec::new();
    decoder.step(&segments, &mut logits).unwrap();
    logits.chunks_exact(tokens.len() * decoder.vocab_size()).map(<[f32]>::to_vec).collect()
}

#[test]
fn adapters_run_beside_the_bare_model() {
    for name in ["qwen3", "phi3_short"] {
        let bare = golden(&testdata().join("families").join(name).join("golden.safetensors"));
        let folder = testdata().join("adapters").join(name);
        let adapted = golden(&folder.join("golden.safetensors"));
        assert!(difference(&bare.logits, &adapted.logits) > 0.1, "{name}: the adapter does nothing");
        let mut decoder = open(&testdata().join("families").join(name));
        let alone = run(&mut decoder, &bare.tokens, &[24], &[0, 1], 0);
        let adapter = decoder.load_adapter(&folder).unwrap();
        let second = decoder.load_adapter(&folder).unwrap();
        assert_ne!(adapter, second);
        let rows = together(&mut decoder, &bare.tokens, &[None, Some(adapter), None, Some(second)]);
        assert!(rows[0] == alone && rows[2] == alone, "{name}: the bare model changed");
        assert!(rows[1] == rows[3]);
        let apart = difference(&rows[1], &adapted.logits);
        println!("{name}: {apart:e}");
        assert!(apart <= 1e-4, "{name}: differs by {apart}");
        decoder.unload_adapter(adapter).unwrap();
        let error = decoder.unload_adapter(adapter).unwrap_err().to_string();
        assert_eq!(error, format!("adapter {adapter} is not loaded"));
        assert!(together(&mut decoder, &bare.tokens, &[Some(second)])[0] == rows[3]);
    }
}

#[test]
fn adapters_that_do_not_fit_are_named() {
    let mut decoder = open(&testdata().join("families/mixtral"));
    let error = decoder.load_adapter(&testdata().join("adapters/phi3_short")).unwrap_err().to_string();
    assert!(error.contains("mlp.gate_up_proj, which this model does not have"), "{error}");
    let error = decoder.load_adapter(&testdata().join("adapters")).unwrap_err().to_string();
    assert!(error.contains("adapter_config.json"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let source = testdata().join("adapters/qwen3");
    let config = std::fs::read_to_string(source.join("adapter_config.json")).unwrap();
    std::fs::copy(source.join("adapter_model.safetensors"), folder.path().join("adapter_model.safetensors"))
        .unwrap();
    let mut decoder = open(&testdata().join("families/qwen3"));
    for (from, to, expect) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora = true is not supported"),
        ("\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", "peft_type = \"IA3\""),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias = \"all\""),
        ("\"lora_alpha\": 6", "\"lora_alpha\": \"six\"", "lora_alpha is \"six\""),
    ] {
        assert!(config.contains(from));
        std::fs::write(folder.path().join("adapter_config.json"), config.replace(from, to)).unwrap();
        let error = decoder.load_adapter(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let mut gguf = open(&testdata().join("gguf/llama3.gguf"));
    assert!(gguf.load_adapter(&source).unwrap_err().to_string().contains("GGUF"));
}
