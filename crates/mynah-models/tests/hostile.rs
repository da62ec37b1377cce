//! Files from strangers: each damage is an error that names file and fault, and none is a panic.

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::{difference, golden, open, options, run, testdata};
use mynah_base::Rng;
use mynah_models::{Decoder, Embedder, ErrorKind, KvFormat, LoadOptions, Logits, Quantize, Segment};

fn family(name: &str) -> std::path::PathBuf {
    testdata().join("families").join(name)
}

/// A copy of a golden model in a folder of its own.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(family(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn refusal(path: &Path) -> String {
    Decoder::open(path.to_str().unwrap(), &options()).unwrap_err().to_string()
}

/// Changes `config.json` by text.
fn with_config(name: &str, from: &str, to: &str) -> String {
    let folder = copy(name);
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(&path, text.replace(from, to)).unwrap();
    refusal(folder.path())
}

#[test]
fn settings_that_cannot_work_are_named() {
    let check = |name: &str, from: &str, to: &str, expect: &str| {
        let error = with_config(name, from, to);
        assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        assert!(error.contains("config.json") || error.contains("safetensors"), "{error} names no file");
    };
    check("llama", "LlamaForCausalLM", "RwkvForCausalLM", "architecture RwkvForCausalLM is not supported");
    check(
        "llama",
        "\"hidden_size\": 32",
        "\"hidden_size\": 64",
        "has shape [96, 32], the configuration needs [96, 64]",
    );
    check("llama", "\"hidden_size\": 32", "\"hidden_size\": 1e300", "hidden_size is");
    check("llama", "\"hidden_size\": 32", "\"hidden_size\": 999999999999", "hidden_size is 999999999999");
    check("llama", "\"vocab_size\": 96", "\"vocab_size\": 200000000", "has shape");
    check("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "the weights have 2 layers");
    check("llama", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "the weights have 2 layers");
    check("llama", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads is 3");
    check(
        "llama",
        "\"hidden_act\": \"silu\"",
        "\"hidden_act\": \"mish\"",
        "hidden_act = \"mish\" is not supported",
    );
    check("llama", "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": NaN", "rms_norm_eps is \"NaN\"");
    check("llama", "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": -1", "rms_norm_eps is -1");
    check(
        "llama3",
        "\"rope_type\": \"llama3\"",
        "\"rope_type\": \"dynamic\"",
        "rope_parameters.rope_type = \"dynamic\"",
    );
    check("qwen2", "\"factor\": 4.0", "\"factor\": Infinity", "rope_parameters.factor is \"Infinity\"");
    check("mixtral", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9", "num_experts_per_tok is 9");
    check(
        "llama",
        "\"model_type\"",
        "\"quantization_config\": {\"quant_method\": \"awq\"}, \"model_type\"",
        "quantization_config.quant_method = \"awq\" is not supported",
    );
    check("nemotron_h", "\"mamba_num_heads\": 4", "\"mamba_num_heads\": 5", "n_groups is 2");
}

#[test]
fn damaged_weights_are_named() {
    let folder = copy("llama");
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let error = refusal(folder.path());
    assert!(error.contains("model.safetensors") && error.contains("copy the file again"), "{error}");
    fs::write(&path, &whole[..4]).unwrap();
    assert!(refusal(folder.path()).contains("not a safetensors file"));
    fs::remove_file(&path).unwrap();
    let error = Decoder::open(folder.path().to_str().unwrap(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("neither model.safetensors nor"), "{error}");
    let missing = String::from_utf8_lossy(&whole).replacen("model.norm.weight", "model.nerm.weight", 1);
    assert!(missing.contains("nerm"));
    let at = whole.windows(17).position(|part| part == b"model.norm.weight").unwrap();
    let mut renamed = whole.clone();
    renamed[at + 7] = b'e';
    fs::write(&path, renamed).unwrap();
    let error = refusal(folder.path());
    assert!(error.contains("tensor model.norm.weight is missing"), "{error}");
}

/// The tensors of a golden in two files with an index.
fn shard(folder: &Path) {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let mut map = serde_json::Map::new();
    for (number, keep) in [(1, 0), (2, 1)] {
        let name = format!("model-0000{number}-of-00002.safetensors");
        let (mut part, mut data) = (serde_json::Map::new(), Vec::new());
        for (i, (tensor, entry)) in header.iter().filter(|(name, _)| *name != "__metadata__").enumerate() {
            if i % 2 != keep {
                continue;
            }
            let place = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
            let start = data.len();
            data.extend_from_slice(&bytes[8 + header_len + place(0)..8 + header_len + place(1)]);
            let mut entry = entry.clone();
            entry["data_offsets"] = serde_json::json!([start, data.len()]);
            part.insert(tensor.clone(), entry);
            map.insert(tensor.clone(), name.clone().into());
        }
        let text = serde_json::to_vec(&part).unwrap();
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(data);
        fs::write(folder.join(name), file).unwrap();
    }
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn shards_are_one_model_and_all_must_be_there() {
    let folder = copy("qwen3");
    shard(folder.path());
    // What else lies in downloaded folders does not matter.
    for junk in [".DS_Store", "._model-00001-of-00002.safetensors", "README.md", "pytorch_model.bin"] {
        fs::write(folder.path().join(junk), "junk").unwrap();
    }
    let golden = golden(&family("qwen3").join("golden.safetensors"));
    let pages: Vec<u32> = (0..10).collect();
    let logits = run(&mut open(folder.path()), &golden.tokens, &[24], &pages, 0);
    assert!(difference(&logits, &golden.logits) <= 1e-4);
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    let error = refusal(folder.path());
    assert!(error.contains("model-00002-of-00002.safetensors: this file of"), "{error}");
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "../../etc/passwd"}}"#).unwrap();
    assert!(refusal(folder.path()).contains("is not the name of a file in this folder"));
}

#[test]
fn steps_that_do_not_fit_are_refused() {
    let mut decoder = open(&family("nemotron_h"));
    assert!(decoder.has_recurrent_state());
    let pages: Vec<u32> = (0..40).collect();
    let tokens = [5u32; 70];
    let good = Segment {
        tokens: &tokens[..3],
        start: 0,
        pages: &pages,
        slot: 0,
        weights: 0,
        adapter: None,
        logits: Logits::Last,
    };
    let mut logits = Vec::new();
    let mut check = |segment: Segment<'_>, expect: &str| {
        let error = decoder.step(&[good, segment], &mut logits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(expect), "{error} should contain {expect}");
    };
    check(Segment { tokens: &[], ..good }, "segment 1: it has no tokens");
    check(Segment { tokens: &[96], ..good }, "token 96 is not in the vocabulary of 96");
    check(Segment { tokens: &tokens, ..good }, "exceed the context of 64");
    check(Segment { start: usize::MAX, ..good }, "exceed the context of 64");
    check(Segment { start: 30, pages: &pages[..2], ..good }, "it has 2 pages but needs 3");
    check(Segment { pages: &[40], ..good }, "page 40 of 40 pages");
    check(Segment { slot: 3, ..good }, "slot 3 of 3 slots");
    check(Segment { adapter: Some(1), ..good }, "adapter 1 is not loaded");
    decoder.step(&[good], &mut logits).unwrap();
    assert_eq!(logits.len(), decoder.vocab_size());
    assert!(decoder.copy_page(0, 40).is_err() && decoder.clear_slot(3).is_err());
    decoder.step(&[], &mut logits).unwrap();
    assert!(logits.is_empty());
    for options in [
        LoadOptions { page_tokens: 0, ..options() },
        LoadOptions { page_tokens: 20, ..options() },
        LoadOptions { cache_pages: Some(0), ..options() },
        LoadOptions { cache_pages: Some(usize::MAX), ..options() },
        LoadOptions { context_length: Some(0), ..options() },
    ] {
        assert!(Decoder::open(family("llama").to_str().unwrap(), &options).is_err(), "{options:?}");
    }
}

#[test]
fn mutated_files_never_panic() {
    let mut rng = Rng::new(3);
    let check = |path: &Path, what: &str| {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut decoder) = Decoder::open(path.to_str().unwrap(), &options()) {
                let (pages, mut logits) = ([0, 1], Vec::new());
                let segment = Segment {
                    tokens: &[1, 2],
                    start: 0,
                    pages: &pages,
                    slot: 0,
                    weights: 0,
                    adapter: None,
                    logits: Logits::All,
                };
                // It may be another model now, but it is one.
                let _ = decoder.step(&[segment], &mut logits);
            }
        }));
        assert!(outcome.is_ok(), "{what} panics");
    };
    for name in ["llama3", "gemma3", "nemotron_h", "gpt_oss"] {
        let folder = copy(name);
        let config = fs::read(folder.path().join("config.json")).unwrap();
        let weights = fs::read(folder.path().join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize + 8;
        for round in 0..60 {
            let (mut config, mut weights) = (config.clone(), weights.clone());
            if round % 2 == 0 {
                mutate(&mut config, &mut rng);
            } else {
                let mut front = weights[..header].to_vec();
                mutate(&mut front, &mut rng);
                weights.splice(..header, front);
            }
            fs::write(folder.path().join("config.json"), config).unwrap();
            fs::write(folder.path().join("model.safetensors"), weights).unwrap();
            check(folder.path(), &format!("{name}, round {round}"));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    for name in ["llama3", "qwen3_moe"] {
        let whole = fs::read(testdata().join("gguf").join(format!("{name}.gguf"))).unwrap();
        for round in 0..60 {
            let mut bytes = whole.clone();
            let mut front = bytes[..3000].to_vec();
            mutate(&mut front, &mut rng);
            bytes.splice(..3000, front);
            fs::write(&path, bytes).unwrap();
            check(&path, &format!("{name}.gguf, round {round}"));
        }
    }
}

#[test]
fn mutated_adapters_and_embedders_never_panic() {
    let mut rng = Rng::new(4);
    let folder = tempfile::tempdir().unwrap();
    let mut decoder = open(&family("qwen3"));
    let source = testdata().join("adapters/qwen3");
    let files = ["adapter_config.json", "adapter_model.safetensors"];
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(source.join(file)).unwrap()).collect();
    for round in 0..60 {
        for (i, file) in files.iter().enumerate() {
            let mut bytes = whole[i].clone();
            if round % 2 == i {
                mutate(&mut bytes, &mut rng);
            }
            fs::write(folder.path().join(file), bytes).unwrap();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(adapter) = decoder.load_adapter(folder.path()) {
                let (pages, mut logits) = ([0, 1], Vec::new());
                let (adapter, logits_of) = (Some(adapter), Logits::All);
                let segment = Segment {
                    tokens: &[1, 2],
                    start: 0,
                    pages: &pages,
                    slot: 0,
                    weights: 0,
                    adapter,
                    logits: logits_of,
                };
                decoder.step(&[segment], &mut logits).unwrap();
                decoder.unload_adapter(adapter.unwrap()).unwrap();
            }
        }));
        assert!(outcome.is_ok(), "adapter, round {round}");
    }
    let source = testdata().join("embedders/bert");
    let files = ["config.json", "modules.json", "1_Pooling/config.json", "model.safetensors"];
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(source.join(file)).unwrap()).collect();
    for round in 0..80 {
        for (i, file) in files.iter().enumerate() {
            let mut bytes = whole[i].clone();
            if round % 4 == i {
                mutate(&mut bytes, &mut rng);
            }
            fs::write(folder.path().join(file), bytes).unwrap();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut embedder) = Embedder::open(folder.path().to_str().unwrap(), &options()) {
                let _ = embedder.embed(&[&[3, 4, 5]], &mut Vec::new());
            }
        }));
        assert!(outcome.is_ok(), "embedder, round {round}");
    }
}

/// A few changes: bytes, digits, cuts, repeats.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.index(3) {
        let at = rng.index(bytes.len());
        match rng.index(5) {
            0 => bytes[at] = rng.below(256) as u8,
            1 => bytes[at] ^= 1 << rng.index(8),
            2 => {
                // A digit elsewhere in a number.
                let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    bytes[*rng.choose(&digits)] = b'0' + rng.below(10) as u8;
                }
            }
            3 => bytes.truncate(at.max(1)),
            _ => {
                let part = bytes[at..(at + 8).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

#[test]
fn rounded_models_stay_near() {
    let path = family("qwen3");
    let golden = golden(&path.join("golden.safetensors"));
    let pages: Vec<u32> = (0..10).collect();
    let error = |quantize: Option<Quantize>, cache_format: KvFormat| {
        let options = LoadOptions { quantize, cache_format, ..options() };
        let mut decoder = common::open_with(&path, &options);
        let whole = run(&mut decoder, &golden.tokens, &[24], &pages, 0);
        let single = run(&mut decoder, &golden.tokens, &[1], &pages, 0);
        assert!(whole == single, "{options:?}: token by token differs by {}", difference(&whole, &single));
        let squares: f32 = whole.iter().zip(&golden.logits).map(|(a, b)| (a - b) * (a - b)).sum();
        (squares / whole.len() as f32).sqrt()
    };
    // The logits spread by about 1.2; rounding to 8 bits moves them by a hundredth of that, to 4 by a quarter.
    let eight = error(Some(Quantize::Q8), KvFormat::F32);
    let four = error(Some(Quantize::Q4), KvFormat::F32);
    println!("root mean square: q8 {eight}, q4 {four}");
    assert!(eight < 0.05 && four < 0.6 && eight < four, "{eight} {four}");
    for (format, most) in [(KvFormat::F16, 0.002), (KvFormat::Bf16, 0.02), (KvFormat::Q8, 0.05)] {
        let apart = error(None, format);
        println!("{format:?}: {apart}");
        assert!(apart < most, "{format:?}: {apart}");
    }
}

#[test]
fn what_a_page_held_before_does_not_matter() {
    // The first sequence fills its pages with values that are no numbers.
    let folder = copy("qwen3");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let names: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let table = names["model.embed_tokens.weight"]["data_offsets"][0].as_u64().unwrap() as usize;
    // Token 0 is not in the golden; its row becomes NaN in bf16.
    bytes[8 + header + table..][..64].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let golden = golden(&family("qwen3").join("golden.safetensors"));
    assert!(!golden.tokens.contains(&0));
    let mut decoder = open(folder.path());
    let clean = run(&mut decoder, &golden.tokens, &[24], &[0, 1], 0);
    let poison = run(&mut decoder, &[0; 32], &[32], &[0, 1], 0);
    assert!(poison.iter().any(|x| x.is_nan()));
    for pieces in [&[24][..], &[1], &[5, 2]] {
        assert!(run(&mut decoder, &golden.tokens, pieces, &[0, 1], 0) == clean, "{pieces:?}");
    }
}
