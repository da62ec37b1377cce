//! Logits, gradients and ten optimizer steps against PyTorch, with each switch on and off.
//!
//! `golden/make_golden.py` made the files; weights and ids come from the same hash on both sides. PyTorch
//! computed in float64, so the errors here are ours. Largest ones measured over the 20 cases (AVX-512):
//! logits 1.0e-6, gradients 7.2e-6 of a tensor's root mean square, losses 3.8e-6, parameters after ten
//! steps 1.3e-5; single elements of the full case 1.1e-6 of the tensor's largest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mynah_nn::safetensors::TensorFile;
use mynah_nn::{Gpt, GptConfig, Optimizer, ParamGroup, Rates, Reduction};
use mynah_tensor::{Tensor, no_grad};

const ROWS: usize = 2;
const TOKENS: usize = 20;
const STEPS: usize = 10;
const SAMPLES: usize = 6;
/// Largest error allowed, relative to the largest element of a tensor (or 1 for parameters and logits).
const TOLERANCE: f64 = 1e-4;

const RATES: Rates =
    Rates { embedding: 0.02, head: 0.004, matrix: 0.01, scalar: 0.02, matrix_weight_decay: 0.1 };

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// SplitMix64 over a stream seeded by the FNV-1a hash of a name.
fn hashed_bits(name: &str, count: usize) -> impl Iterator<Item = u64> {
    let seed =
        name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=count as u64).map(move |i| {
        let mut z = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// Uniform in [-1, 1).
fn hashed(name: &str, count: usize) -> impl Iterator<Item = f64> {
    hashed_bits(name, count).map(|bits| (bits >> 11) as f64 * 0.5f64.powi(52) - 1.0)
}

fn hashed_ids(name: &str, count: usize, bound: usize) -> Vec<i64> {
    hashed_bits(name, count).map(|bits| (bits % bound as u64) as i64).collect()
}

/// Centre and half width of a parameter's values.
fn value_range(name: &str, shape: &[usize]) -> (f64, f64) {
    match name {
        "resid_lambdas" => (1.0, 0.2),
        "x0_lambdas" | "smear_lambda" | "backout_lambda" => (0.3, 0.2),
        "lm_head.weight" => (0.0, 0.5),
        "transformer.wte.weight" => (0.0, 1.0),
        _ if name.ends_with(".bias") => (0.0, 0.2),
        _ if name.contains(".norm_") => (1.0, 0.3),
        _ if name.ends_with("gate.weight") || name.starts_with("value_embeds.") => (0.0, 0.5),
        _ => (0.0, (3.0 / shape[1] as f64).sqrt()),
    }
}

fn hashed_model(config: GptConfig) -> Gpt {
    Gpt::from_values(config, |name, shape| {
        let (centre, width) = value_range(name, shape);
        Ok(hashed(name, shape.iter().product()).map(|u| (centre + width * u) as f32).collect())
    })
    .unwrap()
}

fn ids_and_targets(vocab: usize) -> (Tensor, Tensor) {
    let ids = hashed_ids("ids", ROWS * TOKENS, vocab);
    let mut targets = hashed_ids("targets", ROWS * TOKENS, vocab);
    targets[3] = -1;
    targets[TOKENS] = -1;
    (Tensor::from_vec(ids, &[ROWS, TOKENS]).unwrap(), Tensor::from_vec(targets, &[ROWS, TOKENS]).unwrap())
}

/// Norm, two projections and samples, as the script computes them.
fn digest(name: &str, values: &[f32]) -> Vec<f64> {
    let x: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let project = |which: &str| {
        let key = format!("projection.{which}.{name}");
        hashed(&key, x.len()).zip(&x).map(|(a, b)| a * b).sum::<f64>()
    };
    let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut digest = vec![norm, project("0"), project("1")];
    digest.extend(hashed_ids(&format!("samples.{name}"), SAMPLES, x.len()).iter().map(|&at| x[at as usize]));
    digest
}

/// The largest error of a digest. Samples count relative to the root mean square of the tensor (at least
/// `least`), norm and projections relative to the norm, of which they are sums.
fn digest_error(found: &[f64], expected: &[f32], len: usize, least: f64) -> f64 {
    let norm = f64::from(expected[0]);
    let rms = (norm / (len as f64).sqrt()).max(least);
    let norm = norm.max(least * (len as f64).sqrt());
    found
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(i, (found, &expected))| (found - f64::from(expected)).abs() / if i < 3 { norm } else { rms })
        .fold(0.0, f64::max)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec::<f32>().unwrap()
}

fn gradient(tensor: &Tensor) -> Vec<f32> {
    values(&tensor.grad().unwrap().expect("every parameter has a gradient"))
}

fn sorted(model: &Gpt) -> BTreeMap<String, Tensor> {
    model.named_parameters().iter().cloned().collect()
}

#[derive(Default)]
struct Worst {
    error: f64,
    place: String,
}

impl Worst {
    fn see(&mut self, error: f64, place: impl FnOnce() -> String) {
        // NaN must not pass as small.
        if error.is_nan() || error > self.error {
            *self = Self { error, place: place() };
        }
    }

    fn check(&self, what: &str) {
        println!("largest error of {what}: {:.2e} at {}", self.error, self.place);
        assert!(self.error <= TOLERANCE, "{what}: error {:.3e} at {}", self.error, self.place);
    }
}

#[test]
fn every_switch_agrees_with_pytorch() {
    let text = std::fs::read_to_string(golden("cases.json")).unwrap();
    let cases: BTreeMap<String, GptConfig> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 20);
    let mut file = TensorFile::open(&golden("digests.safetensors")).unwrap();
    let digest_len = 3 + SAMPLES;
    let (mut logits_worst, mut gradient_worst, mut loss_worst, mut parameter_worst) =
        (Worst::default(), Worst::default(), Worst::default(), Worst::default());
    for (case, config) in cases {
        let vocab = config.vocab_size;
        let model = hashed_model(config);
        let (ids, targets) = ids_and_targets(vocab);
        let expected = file.read_f32(&format!("{case}/logits"), &[digest_len]).unwrap();
        let logits = values(&no_grad(|| model.logits(&ids)).unwrap());
        logits_worst
            .see(digest_error(&digest("logits", &logits), &expected, logits.len(), 1.0), || case.clone());

        let parameters = sorted(&model);
        let gradients = file.read_f32(&format!("{case}/gradients"), &[parameters.len(), digest_len]).unwrap();
        let stepped = file.read_f32(&format!("{case}/parameters"), &[parameters.len(), digest_len]).unwrap();
        let losses = file.read_f32(&format!("{case}/losses"), &[STEPS]).unwrap();
        let mut optimizer = Optimizer::for_gpt(&model, &RATES).unwrap();
        for (step, &expected) in losses.iter().enumerate() {
            let loss = model.loss(&ids, &targets, Reduction::Mean).unwrap();
            loss.backward().unwrap();
            let found = loss.item().unwrap();
            loss_worst.see((found - f64::from(expected)).abs(), || format!("{case}, step {step}"));
            if step == 0 {
                for ((name, tensor), expected) in parameters.iter().zip(gradients.chunks(digest_len)) {
                    let found = gradient(tensor);
                    let error = digest_error(&digest(name, &found), expected, found.len(), 1e-6);
                    gradient_worst.see(error, || format!("{case}, {name}"));
                }
            }
            optimizer.step().unwrap();
            optimizer.zero_grad();
        }
        for ((name, tensor), expected) in parameters.iter().zip(stepped.chunks(digest_len)) {
            let error = digest_error(&digest(name, &values(tensor)), expected, tensor.len(), 1.0);
            parameter_worst.see(error, || format!("{case}, {name}"));
        }
    }
    logits_worst.check("logits");
    gradient_worst.check("gradients");
    loss_worst.check("losses");
    parameter_worst.check("parameters after ten steps");
}

#[test]
fn every_element_of_every_gradient_agrees_with_pytorch() {
    let text = std::fs::read_to_string(golden("cases.json")).unwrap();
    let cases: BTreeMap<String, GptConfig> = serde_json::from_str(&text).unwrap();
    let config = cases["all_on"].clone();
    let (ids, targets) = ids_and_targets(config.vocab_size);
    let vocab = config.vocab_size;
    let model = hashed_model(config);
    let mut file = TensorFile::open(&golden("full.safetensors")).unwrap();
    let mut worst = Worst::default();
    let mut compare = |name: &str, found: &[f32], expected: &[f32]| {
        let scale = expected.iter().fold(0f32, |max, v| max.max(v.abs()));
        assert!(scale > 0.0, "{name} is all zeros");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            worst.see(f64::from((found - expected).abs() / scale), || format!("{name}[{index}]"));
        }
    };
    let logits = values(&no_grad(|| model.logits(&ids)).unwrap());
    compare("logits", &logits, &file.read_f32("logits", &[ROWS, TOKENS, vocab]).unwrap());
    model.loss(&ids, &targets, Reduction::Mean).unwrap().backward().unwrap();
    assert_eq!(file.entries().len(), model.named_parameters().len() + 1);
    for (name, tensor) in model.named_parameters() {
        compare(name, &gradient(tensor), &file.read_f32(name, tensor.shape()).unwrap());
    }
    worst.check("single elements");
}

#[test]
fn the_golden_test_notices_a_wrong_formula() {
    // A window one position too wide must show, or the test above proves little.
    let text = std::fs::read_to_string(golden("cases.json")).unwrap();
    let cases: BTreeMap<String, GptConfig> = serde_json::from_str(&text).unwrap();
    let config = GptConfig { short_window: Some(6), ..cases["all_on"].clone() };
    let (ids, _) = ids_and_targets(config.vocab_size);
    let model = hashed_model(config);
    let mut file = TensorFile::open(&golden("digests.safetensors")).unwrap();
    let expected = file.read_f32("all_on/logits", &[3 + SAMPLES]).unwrap();
    let logits = values(&no_grad(|| model.logits(&ids)).unwrap());
    assert!(digest_error(&digest("logits", &logits), &expected, logits.len(), 1.0) > 10.0 * TOLERANCE);
}

#[test]
fn groups_refuse_what_muon_cannot_step() {
    let vector = Tensor::from_vec(vec![0f32; 4], &[4]).unwrap();
    let group = ParamGroup::muon("matrices", 0.02, 0.0, vec![("v".to_string(), vector)]);
    let error = Optimizer::new(vec![group]).unwrap_err().to_string();
    assert!(error.contains("v has shape [4]"), "{error}");
}
