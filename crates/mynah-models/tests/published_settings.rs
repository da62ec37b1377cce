//! Settings as the published models have them, which is not how transformers 5 writes them.

mod common;

use std::fs;

use common::{difference, golden, open, run, testdata};
use serde_json::{Value, json};

/// The logits of a golden model whose `config.json` has other settings for the same model.
fn check(name: &str, remove: &[&str], insert: Value) {
    let source = testdata().join("families").join(name);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(source.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    let settings = config.as_object_mut().unwrap();
    for key in remove {
        assert!(settings.remove(*key).is_some(), "{name}: {key} was not there");
    }
    settings.extend(insert.as_object().unwrap().clone());
    // Python's way to write what JSON cannot.
    let text = config.to_string().replace("\"Infinity\"", "Infinity");
    fs::write(folder.path().join("config.json"), text).unwrap();
    let golden = golden(&source.join("golden.safetensors"));
    let logits = run(&mut open(folder.path()), &golden.tokens, &[24], &[0, 1], 0);
    let apart = difference(&logits, &golden.logits);
    assert!(apart <= 1e-4, "{name}: differs by {apart}");
}

#[test]
fn rotations_of_older_files() {
    check(
        "llama3",
        &["rope_parameters", "tie_word_embeddings"],
        json!({"rope_theta": 500000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32}}),
    );
    check(
        "qwen2",
        &["rope_parameters", "layer_types"],
        json!({"rope_theta": 10000, "rope_scaling": {
            "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}),
    );
    check(
        "gpt_oss",
        &["rope_parameters", "layer_types"],
        json!({"rope_theta": 150000, "rope_scaling": {
            "rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
            "original_max_position_embeddings": 16}}),
    );
    check(
        "phi3_long",
        &["rope_parameters"],
        json!({"rope_theta": 10000.0, "partial_rotary_factor": 0.75, "rope_scaling": {
            "type": "longrope", "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.2, 2.0, 4.0]}}),
    );
    check("glm4", &["rope_parameters"], json!({"rope_theta": 10000.0}));
    check("minimax_m2", &["rope_parameters"], json!({"rope_theta": 5000000, "rotary_dim": 6}));
    check(
        "qwen3",
        &["rope_parameters"],
        json!({"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    );
}

#[test]
fn layers_of_older_files() {
    check("gemma2", &["layer_types", "tie_word_embeddings"], json!({}));
    check(
        "gemma3",
        &["rope_parameters", "layer_types"],
        // Every second layer sees everything, as in the golden.
        json!({"rope_theta": 1e6, "rope_local_base_freq": 10000, "sliding_window_pattern": 2,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    );
    check(
        "nemotron_h",
        &["layers_block_type", "time_step_limit"],
        json!({"hybrid_override_pattern": "ME*-", "num_hidden_layers": 4, "time_step_limit": [0.0, "Infinity"]}),
    );
    check("qwen3_moe", &["num_local_experts"], json!({"num_experts": 4}));
    check("gpt_oss_mxfp4", &[], json!({"quantization_config": {"quant_method": "mxfp4"}}));
}

/// Models for text and pictures hold the language model's settings and tensors one level down.
#[test]
fn the_language_model_of_a_larger_one() {
    for (name, architecture, prefix) in [
        ("gemma3", "Gemma3ForConditionalGeneration", "language_model."),
        ("gemma3", "Gemma3ForConditionalGeneration", "model.language_model."),
        ("mistral", "Mistral3ForConditionalGeneration", "language_model."),
    ] {
        let source = testdata().join("families").join(name);
        let folder = tempfile::tempdir().unwrap();
        let config: Value = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
        let outer = json!({"architectures": [architecture], "text_config": config, "vision_config": {}});
        fs::write(folder.path().join("config.json"), outer.to_string()).unwrap();
        let bytes = fs::read(source.join("model.safetensors")).unwrap();
        let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
        let renamed: serde_json::Map<String, Value> = header
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| match (key.strip_prefix("model."), prefix) {
                (Some(rest), "model.language_model.") => (format!("{prefix}{rest}"), value.clone()),
                (Some(_), _) => (format!("{prefix}{key}"), value.clone()),
                (None, _) => (key.clone(), value.clone()),
            })
            .collect();
        let text = serde_json::to_vec(&renamed).unwrap();
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(&bytes[8 + header_len..]);
        fs::write(folder.path().join("model.safetensors"), file).unwrap();
        let golden = golden(&source.join("golden.safetensors"));
        let logits = run(&mut open(folder.path()), &golden.tokens, &[24], &[0, 1], 0);
        assert!(difference(&logits, &golden.logits) <= 1e-4, "{architecture} {prefix}");
    }
}
