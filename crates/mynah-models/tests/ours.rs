//! Checkpoints of our own against mynah-nn, with the recipe's switches on and off.

mod common;

use common::{difference, open, run};
use mynah_base::Rng;
use mynah_nn::{Activation, Gpt, GptConfig, Norm, checkpoint};
use mynah_tensor::Tensor;

fn recipe() -> GptConfig {
    GptConfig {
        sequence_len: 48,
        vocab_size: 64,
        n_layer: 4,
        n_head: 4,
        n_kv_head: 2,
        n_embd: 32,
        short_window: Some(6),
        ..GptConfig::default()
    }
}

/// A model whose every value matters: the recipe begins with many zeros.
fn model(config: GptConfig) -> Gpt {
    let mut rng = Rng::new(7);
    Gpt::from_values(config, |name, shape| {
        let len: usize = shape.iter().product();
        let (centre, spread) = match name {
            _ if name.contains("norm") || name.contains("resid") => (1.0, 0.2),
            _ if name.contains("lambda") => (0.3, 0.2),
            _ => (0.0, 1.0 / (shape[shape.len() - 1] as f64).sqrt()),
        };
        Ok((0..len).map(|_| (centre + spread * rng.normal()) as f32).collect())
    })
    .unwrap()
}

fn check(config: GptConfig) {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = config.vocab_size as i64;
    let model = model(config);
    checkpoint::save_model(folder.path(), &model).unwrap();
    let ids: Vec<i64> = (0..40).map(|i| (i * 37 + i * i) % vocabulary).collect();
    let expected = model.logits(&Tensor::from_vec(ids.clone(), &[1, 40]).unwrap()).unwrap();
    let expected = expected.with_f32(<[f32]>::to_vec).unwrap();
    let tokens: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
    let mut decoder = open(folder.path());
    assert!(!decoder.has_recurrent_state());
    let pages: Vec<u32> = (0..12).rev().collect();
    let whole = run(&mut decoder, &tokens, &[40], &pages, 0);
    let apart = difference(&whole, &expected);
    assert!(apart <= 1e-4, "differs from mynah-nn by {apart}");
    for pieces in [&[1][..], &[3, 9, 1, 2]] {
        assert!(run(&mut decoder, &tokens, pieces, &pages, 0) == whole, "{pieces:?}");
    }
}

#[test]
fn the_recipe() {
    check(recipe());
}

#[test]
fn all_switches_off() {
    check(GptConfig {
        rotary: false,
        qk_norm: false,
        activation: Activation::Gelu,
        tied_embeddings: true,
        norm: Norm::Layer,
        norm_gain: true,
        biases: true,
        embedding_norm: true,
        value_embeddings: false,
        residual_lambdas: false,
        x0_lambdas: false,
        smear: false,
        backout: false,
        softcap: None,
        ..recipe()
    });
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint::save_model(folder.path(), &model(recipe())).unwrap();
    let path = folder.path().join(checkpoint::MODEL_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = mynah_models::Decoder::open(folder.path().to_str().unwrap(), &common::options()).unwrap_err();
    assert!(error.to_string().contains("does not match the digest"), "{error}");
}
