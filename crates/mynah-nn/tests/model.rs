//! Learning, caching, files and exactness of whole models.

use std::path::Path;

use mynah_base::Rng;
use mynah_kernels::pool;
use mynah_nn::derive::{Overrides, Plan};
use mynah_nn::{
    Activation, ErrorKind, Gpt, GptConfig, KeyValueCache, Norm, Optimizer, Rates, Reduction, checkpoint,
};
use mynah_tensor::{Tensor, no_grad};

const RATES: Rates =
    Rates { embedding: 0.3, head: 0.01, matrix: 0.02, scalar: 0.1, matrix_weight_decay: 0.0 };

fn tiny() -> GptConfig {
    GptConfig {
        sequence_len: 32,
        vocab_size: 40,
        n_layer: 4,
        n_head: 4,
        n_kv_head: 2,
        n_embd: 32,
        short_window: Some(6),
        ..GptConfig::default()
    }
}

fn batch(rng: &mut Rng, config: &GptConfig, rows: usize) -> (Tensor, Tensor) {
    let t = config.sequence_len;
    let text: Vec<Vec<i64>> =
        (0..rows).map(|_| (0..=t).map(|_| rng.below(config.vocab_size as u64) as i64).collect()).collect();
    let ids = text.iter().flat_map(|row| row[..t].to_vec()).collect();
    let targets = text.iter().flat_map(|row| row[1..].to_vec()).collect();
    (Tensor::from_vec(ids, &[rows, t]).unwrap(), Tensor::from_vec(targets, &[rows, t]).unwrap())
}

fn train_step(model: &Gpt, optimizer: &mut Optimizer, (ids, targets): &(Tensor, Tensor)) -> f64 {
    let loss = model.loss(ids, targets, Reduction::Mean).unwrap();
    loss.backward().unwrap();
    optimizer.step().unwrap();
    optimizer.zero_grad();
    loss.item().unwrap()
}

fn bits(model: &Gpt) -> Vec<Vec<u32>> {
    let values = |tensor: &Tensor| tensor.to_vec::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
    model.named_parameters().iter().map(|(_, tensor)| values(tensor)).collect()
}

/// A model whose weights are all far from zero, as training would make them.
fn stirred(config: GptConfig, seed: u64) -> Gpt {
    let mut rng = Rng::new(seed);
    Gpt::from_values(config, |_, shape| {
        let fan = *shape.last().unwrap() as f64;
        Ok((0..shape.iter().product()).map(|_| (rng.normal() / fan.sqrt()) as f32).collect())
    })
    .unwrap()
}

#[test]
fn a_fresh_model_guesses_uniformly() {
    let config = tiny();
    let mut rng = Rng::new(1);
    let model = Gpt::new(config.clone(), &mut rng).unwrap();
    let (ids, targets) = batch(&mut rng, &config, 3);
    let loss = model.loss(&ids, &targets, Reduction::Mean).unwrap().item().unwrap();
    assert!((loss - (40f64).ln()).abs() < 0.01, "{loss}");
    let total: usize = model.named_parameters().iter().map(|(_, tensor)| tensor.len()).sum();
    assert_eq!(total, model.num_params().total());
    assert_eq!(
        model.num_params().scaling(),
        4 * (2 * 32 * 32 + 2 * 32 * 16 + 8 * 32 * 32) + 2 * 2 * 12 + 40 * 32
    );
}

#[test]
fn learns_two_batches_by_heart() {
    let config = tiny();
    let mut rng = Rng::new(2);
    let model = Gpt::new(config.clone(), &mut rng).unwrap();
    let batches = [batch(&mut rng, &config, 4), batch(&mut rng, &config, 4)];
    let mut optimizer = Optimizer::for_gpt(&model, &RATES).unwrap();
    let mut last = [f64::MAX; 2];
    for step in 0..120 {
        last[step % 2] = train_step(&model, &mut optimizer, &batches[step % 2]);
        if last.iter().all(|&loss| loss < 0.1) {
            println!("learned in {step} steps");
            return;
        }
    }
    panic!("losses after 120 steps: {last:?}");
}

#[test]
fn same_seed_and_threads_give_the_same_bytes() {
    let config = GptConfig { n_embd: 64, vocab_size: 300, ..tiny() };
    let run = || {
        let mut rng = Rng::new(3);
        let model = Gpt::new(config.clone(), &mut rng).unwrap();
        let mut optimizer = Optimizer::for_gpt(&model, &RATES).unwrap();
        for _ in 0..3 {
            let data = batch(&mut rng, &config, 4);
            train_step(&model, &mut optimizer, &data);
        }
        bits(&model)
    };
    for threads in [1, 2, 3] {
        assert_eq!(pool::with_threads(threads, run), pool::with_threads(threads, run), "{threads} threads");
    }
}

#[test]
fn saved_and_resumed_equals_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let plan =
        Plan::from_config(config.clone(), &Overrides { steps: Some(8), ..Overrides::default() }).unwrap();
    let data: Vec<_> = (0..8).map(|i| batch(&mut Rng::new(i), &config, 2)).collect();
    let model = Gpt::new(config, &mut Rng::new(4)).unwrap();
    let mut optimizer = Optimizer::for_gpt(&model, &plan.rates).unwrap();
    for (step, data) in data.iter().enumerate() {
        if step == 4 {
            checkpoint::save_model(dir.path(), &model).unwrap();
            checkpoint::save_optimizer(dir.path(), &optimizer).unwrap();
        }
        optimizer.apply(&plan.schedule.at(step as u64));
        train_step(&model, &mut optimizer, data);
    }
    let resumed = checkpoint::load_model(dir.path()).unwrap();
    let mut optimizer = Optimizer::for_gpt(&resumed, &plan.rates).unwrap();
    checkpoint::load_optimizer(dir.path(), &mut optimizer).unwrap();
    assert_ne!(bits(&resumed), bits(&model));
    for (step, data) in data.iter().enumerate().skip(4) {
        optimizer.apply(&plan.schedule.at(step as u64));
        train_step(&resumed, &mut optimizer, data);
    }
    assert_eq!(bits(&resumed), bits(&model));
}

fn uncached_last(model: &Gpt, tokens: &[u32]) -> Vec<f32> {
    let ids = Tensor::from_vec(tokens.iter().map(|&t| i64::from(t)).collect(), &[1, tokens.len()]).unwrap();
    let logits = no_grad(|| model.logits(&ids)).unwrap().to_vec::<f32>().unwrap();
    logits[(tokens.len() - 1) * model.config().vocab_size..].to_vec()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst <= 1e-5, "{what}: logits differ by {worst}");
}

#[test]
fn cached_equals_uncached_token_for_token() {
    let off = GptConfig {
        n_kv_head: 4,
        rotary: false,
        qk_norm: false,
        tied_embeddings: true,
        embedding_norm: false,
        value_embeddings: false,
        residual_lambdas: false,
        x0_lambdas: false,
        smear: false,
        backout: false,
        softcap: None,
        window_pattern: "L".to_string(),
        ..tiny()
    };
    let cases = [
        ("default", tiny()),
        ("off", off.clone()),
        (
            "silu, biases, layer norm, gains",
            GptConfig {
                activation: Activation::Silu,
                biases: true,
                norm: Norm::Layer,
                norm_gain: true,
                ..tiny()
            },
        ),
        ("gelu, no x0", GptConfig { activation: Activation::Gelu, x0_lambdas: false, ..tiny() }),
        (
            "relu² with biases, no residual lambdas",
            GptConfig { biases: true, residual_lambdas: false, ..tiny() },
        ),
    ];
    for (name, config) in cases {
        let model = stirred(config.clone(), 5);
        let mut rng = Rng::new(6);
        let text: Vec<u32> = (0..32).map(|_| rng.below(40) as u32).collect();
        for prompt in [1, 2, 9] {
            let mut cache = KeyValueCache::new(&config, 1);
            let logits = model.forward_cached(&[&text[..prompt]], &mut cache).unwrap();
            assert_close(
                &logits,
                &uncached_last(&model, &text[..prompt]),
                &format!("{name}: prompt of {prompt}"),
            );
            for at in prompt..text.len() {
                let logits = model.forward_cached(&[&text[at..=at]], &mut cache).unwrap();
                assert_close(
                    &logits,
                    &uncached_last(&model, &text[..=at]),
                    &format!("{name}: token {at} after {prompt}"),
                );
            }
            assert_eq!(cache.len(0), 32);
        }
    }
}

#[test]
fn rows_of_different_lengths_share_a_batch() {
    let config = tiny();
    let model = stirred(config.clone(), 7);
    let mut rng = Rng::new(8);
    let mut text: Vec<Vec<u32>> =
        [3, 7, 1].iter().map(|&n| (0..n).map(|_| rng.below(40) as u32).collect()).collect();
    let mut cache = KeyValueCache::new(&config, 3);
    let first: Vec<&[u32]> = text.iter().map(Vec::as_slice).collect();
    let mut logits = model.forward_cached(&first, &mut cache).unwrap();
    for round in 0..6 {
        for (row, logits) in logits.chunks(40).enumerate() {
            // The last row sits out every other round.
            if !(row == 2 && round % 2 == 1) {
                assert_close(
                    logits,
                    &uncached_last(&model, &text[row]),
                    &format!("row {row}, round {round}"),
                );
            }
        }
        let new: Vec<Vec<u32>> = (0..3)
            .map(|row| {
                if row == 2 && round % 2 == 0 {
                    Vec::new()
                } else {
                    (0..=row % 2).map(|_| rng.below(40) as u32).collect()
                }
            })
            .collect();
        text.iter_mut().zip(&new).for_each(|(row, new)| row.extend(new));
        let slices: Vec<&[u32]> = new.iter().map(Vec::as_slice).collect();
        logits = model.forward_cached(&slices, &mut cache).unwrap();
    }
}

#[test]
fn forks_continue_from_one_prefill() {
    let config = tiny();
    let model = stirred(config.clone(), 9);
    let prompt = [1, 2, 3, 4, 5, 6, 7, 8];
    let mut cache = KeyValueCache::new(&config, 1);
    model.forward_cached(&[&prompt], &mut cache).unwrap();
    let mut fork = cache.fork(3).unwrap();
    let logits = model.forward_cached(&[&[10], &[11], &[12]], &mut fork).unwrap();
    for (row, logits) in logits.chunks(40).enumerate() {
        let mut text = prompt.to_vec();
        text.push(10 + row as u32);
        assert_close(logits, &uncached_last(&model, &text), &format!("row {row}"));
    }
    assert_eq!((cache.len(0), fork.len(2)), (8, 9));
    let kept = fork.select(&[2, 0]).unwrap();
    assert_eq!(kept.rows(), 2);
    assert!(fork.fork(2).unwrap_err().to_string().contains("1 row"));
    assert!(fork.select(&[3]).is_err());
}

#[test]
fn bad_input_is_refused_and_named() {
    let config = tiny();
    let model = Gpt::new(config.clone(), &mut Rng::new(1)).unwrap();
    let mut cache = KeyValueCache::new(&config, 1);
    let check = |result: mynah_nn::Result<Vec<f32>>, expect: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(model.forward_cached(&[&[40]], &mut cache), "token 40 is not in the vocabulary of 40");
    check(model.forward_cached(&[&[1; 33]], &mut cache), "exceed the model's context of 32");
    check(model.forward_cached(&[&[1], &[1]], &mut cache), "2 rows");
    let other = KeyValueCache::new(&GptConfig { n_layer: 3, ..config }, 1);
    check(model.forward_cached(&[&[1]], &mut other.clone()), "another model");
    model.forward_cached(&[&[1; 32]], &mut cache).unwrap();
    check(model.forward_cached(&[&[1]], &mut cache), "32 tokens and 1 new ones");
    let long = Tensor::from_vec(vec![0i64; 33], &[1, 33]).unwrap();
    assert!(model.logits(&long).unwrap_err().to_string().contains("33 tokens a row"));
    let wrong = Tensor::from_vec(vec![99i64; 4], &[1, 4]).unwrap();
    assert!(model.logits(&wrong).is_err());
    assert!(model.loss(&wrong, &long, Reduction::Mean).unwrap_err().to_string().contains("[1, 4]"));
}

#[test]
fn model_files_come_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    for config in [tiny(), GptConfig { tied_embeddings: true, biases: true, norm_gain: true, ..tiny() }] {
        let model = stirred(config, 3);
        checkpoint::save_model(dir.path(), &model).unwrap();
        let loaded = checkpoint::load_model(dir.path()).unwrap();
        assert_eq!(loaded.config(), model.config());
        assert_eq!(bits(&loaded), bits(&model));
    }
    checkpoint::verify(dir.path(), &[]).unwrap();
}

#[test]
fn damaged_files_are_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = |config: GptConfig| {
        checkpoint::save_model(dir.path(), &Gpt::new(config, &mut Rng::new(1)).unwrap()).unwrap();
    };
    let check = |expect: &str| {
        let error = checkpoint::load_model(dir.path()).expect_err(expect).to_string();
        assert!(error.contains(expect), "{error:?} should contain {expect:?}");
    };
    let path = |name: &str| dir.path().join(name);
    fresh(tiny());
    let weights = std::fs::read(path("model.safetensors")).unwrap();
    std::fs::write(path("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    check("cut short");
    std::fs::remove_file(path("manifest.json")).unwrap();
    check("cut short");
    let mut flipped = weights.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fresh(tiny());
    std::fs::write(path("model.safetensors"), flipped).unwrap();
    check("does not match the digest");
    // Without a manifest other shapes are found by the parser.
    let without_manifest = |config: &GptConfig| {
        std::fs::write(path("model.safetensors"), &weights).unwrap();
        std::fs::write(path("config.json"), serde_json::to_string(config).unwrap()).unwrap();
        let _ = std::fs::remove_file(path("manifest.json"));
    };
    without_manifest(&GptConfig { n_embd: 64, ..tiny() });
    check("transformer.wte.weight has shape [40, 32], the configuration needs [40, 64]");
    without_manifest(&GptConfig { n_layer: 5, ..tiny() });
    check("in 4 layers, the configuration needs");
    without_manifest(&GptConfig { n_layer: 0, ..tiny() });
    check("n_layer (the depth) is 0");
    without_manifest(&GptConfig {
        n_embd: 1 << 20,
        n_head: 1 << 10,
        n_kv_head: 1 << 10,
        vocab_size: 1 << 20,
        ..tiny()
    });
    check("belong to another model");
    std::fs::remove_file(path("config.json")).unwrap();
    check("config.json");
    assert!(
        checkpoint::load_model(Path::new("/no/such/folder"))
            .err()
            .unwrap()
            .to_string()
            .contains("/no/such/folder")
    );
}
