//! One number, the depth, decides the whole training run.
//!
//! The rules and their constants are those that the nanochat recipe publishes: shapes grow with depth,
//! the horizon with the parameters, the batch with the horizon (Power Lines, arXiv 2505.13738), the rates
//! with the square root of the batch, and weight decay so that B/(η·λ·D) stays what it was at the
//! reference depth of 12 (arXiv 2405.13698). [`Overrides`] replaces any of them; [`Plan::explain`] tells
//! how each number came about.

use std::fmt::Write as _;

use mynah_base::units;
use serde::{Deserialize, Serialize};

use crate::config::GptConfig;
use crate::error::{Error, Result};
use crate::optim::Rates;

/// The depth at which the recipe's rates were tuned.
const REFERENCE_DEPTH: usize = 12;
/// The batch, in tokens, at which they were tuned.
const REFERENCE_BATCH_TOKENS: f64 = (1 << 19) as f64;
/// The width at which the AdamW rates were tuned.
const REFERENCE_WIDTH: f64 = 768.0;
/// Growth of the best batch with the horizon.
const BATCH_EXPONENT: f64 = 0.383;

/// What the user decides instead of the rules; `None` leaves a number to its rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Width per layer (64).
    pub aspect_ratio: Option<usize>,
    /// Channels of a head (128).
    pub head_dim: Option<usize>,
    /// Width of the residual stream (aspect ratio × depth, rounded up to whole heads).
    pub n_embd: Option<usize>,
    /// Query heads (width / head size).
    pub n_head: Option<usize>,
    /// Key/value heads (as many as query heads).
    pub n_kv_head: Option<usize>,
    /// Longest text in tokens (2048).
    pub sequence_len: Option<usize>,
    /// Attention windows ("SSSL").
    pub window_pattern: Option<String>,
    /// Tokens of training per scaling parameter (12).
    pub tokens_per_parameter: Option<f64>,
    /// Tokens of training.
    pub horizon_tokens: Option<u64>,
    /// Optimizer steps, whatever the horizon says.
    pub steps: Option<u64>,
    /// Tokens of a batch, that is, of one optimizer step.
    pub batch_tokens: Option<u64>,
    /// Rate of the token embedding before scaling (0.3).
    pub embedding_lr: Option<f64>,
    /// Rate of the output head before scaling (0.008).
    pub head_lr: Option<f64>,
    /// Rate of the matrices before scaling (0.02).
    pub matrix_lr: Option<f64>,
    /// Rate of the lambdas before scaling (0.5).
    pub scalar_lr: Option<f64>,
    /// Factor on all rates (square root of batch / 2^19).
    pub lr_scale: Option<f64>,
    /// Decay of the matrices before scaling (0.28).
    pub weight_decay: Option<f64>,
    /// Decay of the matrices as used, whatever the rule says.
    pub weight_decay_scaled: Option<f64>,
    /// Steps of linear warmup (40).
    pub warmup_steps: Option<u64>,
    /// Share of the steps over which the rates fall (0.65).
    pub warmdown_ratio: Option<f64>,
    /// Rate at the end as a share of the full rate (0.05).
    pub final_lr_fraction: Option<f64>,
    /// Steps over which Muon's momentum rises from 0.85 to 0.97 (400).
    pub momentum_warmup_steps: Option<u64>,
}

/// A training run as the rules (and the user) decided it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub config: GptConfig,
    /// Tokens to train on, D.
    pub horizon_tokens: u64,
    /// Tokens of one optimizer step, B.
    pub batch_tokens: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Rates and decays by parameter group, scaled.
    pub rates: Rates,
    /// How rates, momentum and decay move over the steps.
    pub schedule: Schedule,
    notes: Vec<(String, String)>,
}

/// How rates, momentum and decay move over the steps of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Optimizer steps of the run.
    pub steps: u64,
    /// Steps of linear warmup.
    pub warmup_steps: u64,
    /// Steps of linear warmdown at the end.
    pub warmdown_steps: u64,
    /// Rate at the end as a share of the full rate.
    pub final_lr_fraction: f64,
    /// Muon momentum at the start, in the middle and at the end.
    pub momentum: [f64; 3],
    /// Steps over which the momentum rises.
    pub momentum_warmup_steps: u64,
    /// Decay of the matrices at step 0; it falls to 0 along a cosine.
    pub weight_decay: f64,
}

/// The settings of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSettings {
    /// Factor on every group's rate.
    pub lr_multiplier: f64,
    /// Muon's momentum.
    pub muon_momentum: f64,
    /// Muon's weight decay.
    pub muon_weight_decay: f64,
}

impl Schedule {
    /// The settings of a step, counted from 0.
    pub fn at(&self, step: u64) -> StepSettings {
        let (at, steps) = (step as f64, self.steps as f64);
        let start = self.steps.saturating_sub(self.warmdown_steps);
        let lr_multiplier = if step < self.warmup_steps {
            (at + 1.0) / self.warmup_steps as f64
        } else if step <= start || self.warmdown_steps == 0 {
            1.0
        } else {
            let left = ((steps - at) / self.warmdown_steps as f64).max(0.0);
            left + (1.0 - left) * self.final_lr_fraction
        };
        let [low, high, end] = self.momentum;
        let muon_momentum = if step < self.momentum_warmup_steps {
            let part = at / self.momentum_warmup_steps as f64;
            (1.0 - part) * low + part * high
        } else if step >= start && self.warmdown_steps > 0 {
            let part = ((at - start as f64) / self.warmdown_steps as f64).min(1.0);
            high * (1.0 - part) + end * part
        } else {
            high
        };
        let part = if self.steps == 0 { 1.0 } else { (at / steps).min(1.0) };
        let muon_weight_decay = self.weight_decay * 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
        StepSettings { lr_multiplier, muon_momentum, muon_weight_decay }
    }
}

/// Shapes from a depth: width, heads, head size.
fn shape(depth: usize, vocab_size: usize, overrides: &Overrides) -> Result<GptConfig> {
    let head_dim = overrides.head_dim.unwrap_or(128);
    let aspect = overrides.aspect_ratio.unwrap_or(64);
    if head_dim == 0 || aspect == 0 {
        return Err(Error::config(format!(
            "plan: head_dim {head_dim} and aspect_ratio {aspect} must be at least 1"
        )));
    }
    let width = match overrides.n_embd {
        Some(width) => width,
        None => depth.saturating_mul(aspect).div_ceil(head_dim).saturating_mul(head_dim),
    };
    let n_head = overrides.n_head.unwrap_or((width / head_dim).max(1));
    let config = GptConfig {
        sequence_len: overrides.sequence_len.unwrap_or(2048),
        vocab_size,
        n_layer: depth,
        n_head,
        n_kv_head: overrides.n_kv_head.unwrap_or(n_head),
        n_embd: width,
        window_pattern: overrides.window_pattern.clone().unwrap_or_else(|| "SSSL".to_string()),
        ..GptConfig::default()
    };
    config.validate()?;
    Ok(config)
}

impl Plan {
    /// The run for this depth and vocabulary.
    ///
    /// # Errors
    /// When the depth is 0 or an override cannot work; the message names it.
    pub fn from_depth(depth: usize, vocab_size: usize, overrides: &Overrides) -> Result<Plan> {
        if depth == 0 {
            return Err(Error::config("--depth is 0; a model needs at least 1 layer (try --depth 4)"));
        }
        Plan::from_config(shape(depth, vocab_size, overrides)?, overrides)
    }

    /// The run for a model whose shape is already decided (an ablation, for example); the shape fields of
    /// the overrides then only serve the reference model.
    ///
    /// # Errors
    /// As for [`Plan::from_depth`].
    pub fn from_config(config: GptConfig, overrides: &Overrides) -> Result<Plan> {
        config.validate()?;
        check_overrides(overrides)?;
        let mut notes = Vec::new();
        let mut note = |name: &str, text: String| notes.push((name.to_string(), text));
        let depth = config.n_layer;
        note(
            "shape",
            match overrides.n_embd {
                Some(width) => format!(
                    "depth {depth}, width {width} as asked, {} heads of {}",
                    config.n_head,
                    config.head_dim()
                ),
                None => format!(
                    "depth {depth} × {} per layer, rounded up to whole heads of {}: width {}, {} heads ({} for keys and values)",
                    overrides.aspect_ratio.unwrap_or(64),
                    config.head_dim(),
                    config.n_embd,
                    config.n_head,
                    config.n_kv_head
                ),
            },
        );
        let counts = config.num_params();
        let scaling = config.num_params().scaling();
        note(
            "parameters",
            format!(
                "{} in all; matrices {} + head {} = {} count for scaling",
                units::count(counts.total() as u64),
                units::count(counts.matrices as u64),
                units::count(counts.head as u64),
                units::count(scaling as u64)
            ),
        );

        let ratio = overrides.tokens_per_parameter.unwrap_or(12.0);
        let horizon = match overrides.horizon_tokens {
            Some(tokens) => {
                note("horizon", format!("{} tokens as asked", units::count(tokens)));
                tokens
            }
            None => {
                let tokens = (ratio * scaling as f64) as u64;
                note(
                    "horizon",
                    format!(
                        "{ratio} tokens × {} parameters = {} tokens",
                        units::count(scaling as u64),
                        units::count(tokens)
                    ),
                );
                tokens
            }
        };
        // The reference is the same recipe at depth 12: same aspect ratio, head size, vocabulary.
        let reference_overrides =
            Overrides { n_embd: None, n_head: None, n_kv_head: None, ..overrides.clone() };
        let reference = shape(REFERENCE_DEPTH, config.vocab_size, &reference_overrides)?;
        let reference_horizon = ratio * reference.num_params().scaling() as f64;
        let horizon_ratio = horizon as f64 / reference_horizon;

        let batch_tokens = match overrides.batch_tokens {
            Some(tokens) => {
                note("batch", format!("{} tokens as asked", units::count(tokens)));
                tokens
            }
            None => {
                let best = REFERENCE_BATCH_TOKENS * horizon_ratio.powf(BATCH_EXPONENT);
                let tokens = (best.log2().round_ties_even().clamp(0.0, 40.0)).exp2() as u64;
                note(
                    "batch",
                    format!(
                        "2^19 × (horizon / depth 12's {})^{BATCH_EXPONENT} = {}, to the nearest power of two: {tokens} tokens",
                        units::count(reference_horizon as u64),
                        units::count(best as u64)
                    ),
                );
                tokens
            }
        };
        let steps = match overrides.steps {
            Some(steps) => {
                note("steps", format!("{steps} as asked"));
                steps
            }
            None => {
                let steps = (horizon / batch_tokens).max(1);
                note("steps", format!("horizon / batch = {steps}"));
                steps
            }
        };

        let batch_ratio = batch_tokens as f64 / REFERENCE_BATCH_TOKENS;
        let lr_scale = match overrides.lr_scale {
            Some(scale) => {
                note("rates", format!("× {scale} as asked"));
                scale
            }
            None => {
                let scale = batch_ratio.sqrt();
                note("rates", format!("× √(batch / 2^19) = {scale:.4}"));
                scale
            }
        };
        let width_scale = (config.n_embd as f64 / REFERENCE_WIDTH).powf(-0.5);
        note("AdamW rates", format!("embeddings and head also × (width / 768)^-0.5 = {width_scale:.4}"));
        let weight_decay = match overrides.weight_decay_scaled {
            Some(decay) => {
                note("weight decay", format!("{decay} as asked"));
                decay
            }
            None => {
                let base = overrides.weight_decay.unwrap_or(0.28);
                let decay = base * batch_ratio.sqrt() / horizon_ratio;
                note(
                    "weight decay",
                    format!(
                        "{base} × √(batch / 2^19) × depth 12's horizon / horizon = {decay:.4}, falling to 0 along a cosine"
                    ),
                );
                decay
            }
        };
        let rates = Rates {
            embedding: overrides.embedding_lr.unwrap_or(0.3) * width_scale * lr_scale,
            head: overrides.head_lr.unwrap_or(0.008) * width_scale * lr_scale,
            matrix: overrides.matrix_lr.unwrap_or(0.02) * lr_scale,
            scalar: overrides.scalar_lr.unwrap_or(0.5) * lr_scale,
            matrix_weight_decay: weight_decay,
        };
        note(
            "group rates",
            format!(
                "embedding {:.5}, value embeddings half of it, head {:.6}, matrices (Muon) {:.5}, lambdas {:.5}",
                rates.embedding, rates.head, rates.matrix, rates.scalar
            ),
        );
        let warmdown_ratio = overrides.warmdown_ratio.unwrap_or(0.65);
        let schedule = Schedule {
            steps,
            warmup_steps: overrides.warmup_steps.unwrap_or(40),
            warmdown_steps: (warmdown_ratio * steps as f64).round_ties_even() as u64,
            final_lr_fraction: overrides.final_lr_fraction.unwrap_or(0.05),
            momentum: [0.85, 0.97, 0.90],
            momentum_warmup_steps: overrides.momentum_warmup_steps.unwrap_or(400),
            weight_decay,
        };
        note(
            "schedule",
            format!(
                "{} steps up, the last {} ({:.0}%) down to {:.0}%; Muon momentum 0.85 to 0.97 over {} steps, to 0.90 in the warmdown",
                schedule.warmup_steps,
                schedule.warmdown_steps,
                warmdown_ratio * 100.0,
                schedule.final_lr_fraction * 100.0,
                schedule.momentum_warmup_steps
            ),
        );
        let flops = config.flops_per_token();
        note(
            "cost",
            format!(
                "{} FLOP a token, {:.3e} FLOP in all",
                units::count(flops as u64),
                flops * (steps * batch_tokens) as f64
            ),
        );
        Ok(Plan { config, horizon_tokens: horizon, batch_tokens, steps, rates, schedule, notes })
    }

    /// One line per number: its name, its value and the rule behind it.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for (name, line) in &self.notes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:>13}: {line}");
        }
        text
    }
}

fn check_overrides(overrides: &Overrides) -> Result<()> {
    let counts = [
        ("horizon_tokens", overrides.horizon_tokens),
        ("batch_tokens", overrides.batch_tokens),
        ("steps", overrides.steps),
    ];
    for (name, value) in counts {
        // 2^53 keeps every product here exact in f64 and far from overflow.
        if value.is_some_and(|value| value == 0 || value > 1 << 53) {
            return Err(Error::config(format!(
                "plan: {name} is {}; it must be 1 to 2^53",
                value.unwrap_or(0)
            )));
        }
    }
    let reals = [
        ("tokens_per_parameter", overrides.tokens_per_parameter, f64::MIN_POSITIVE, 1e9),
        ("embedding_lr", overrides.embedding_lr, 0.0, 1e6),
        ("head_lr", overrides.head_lr, 0.0, 1e6),
        ("matrix_lr", overrides.matrix_lr, 0.0, 1e6),
        ("scalar_lr", overrides.scalar_lr, 0.0, 1e6),
        ("lr_scale", overrides.lr_scale, 0.0, 1e6),
        ("weight_decay", overrides.weight_decay, 0.0, 1e6),
        ("weight_decay_scaled", overrides.weight_decay_scaled, 0.0, 1e6),
        ("warmdown_ratio", overrides.warmdown_ratio, 0.0, 1.0),
        ("final_lr_fraction", overrides.final_lr_fraction, 0.0, 1.0),
    ];
    for (name, value, low, high) in reals {
        if value.is_some_and(|value| !(low..=high).contains(&value)) {
            return Err(Error::config(format!(
                "plan: {name} is {}; it must be {low} to {high}",
                value.unwrap_or(f64::NAN)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_depth_gives_the_reference_settings() {
        let plan = Plan::from_depth(12, 32_768, &Overrides::default()).unwrap();
        assert_eq!((plan.config.n_embd, plan.config.n_head, plan.config.head_dim()), (768, 6, 128));
        assert_eq!(plan.batch_tokens, 1 << 19);
        assert!((plan.rates.matrix - 0.02).abs() < 1e-12);
        assert!((plan.rates.embedding - 0.3).abs() < 1e-12);
        assert!((plan.rates.matrix_weight_decay - 0.28).abs() < 1e-6);
        // 12 layers of 12·768² weights and six gates of 6 × 12, plus the head.
        let scaling = 12 * 12 * 768 * 768 + 6 * 6 * 12 + 32_768 * 768;
        assert_eq!(plan.config.num_params().scaling(), scaling);
        assert_eq!(plan.horizon_tokens, 12 * scaling as u64);
        assert_eq!(plan.steps, (12 * scaling as u64) >> 19);
    }

    #[test]
    fn width_is_rounded_up_to_whole_heads() {
        let width = |depth| Plan::from_depth(depth, 4096, &Overrides::default()).unwrap().config.n_embd;
        assert_eq!([1, 3, 4, 5, 6, 20].map(width), [128, 256, 256, 384, 384, 1280]);
    }

    #[test]
    fn batch_rates_and_decay_scale_by_the_published_rules() {
        // Computed by hand from the formulas for depth 6, vocabulary 32,768.
        let plan = Plan::from_depth(6, 32_768, &Overrides::default()).unwrap();
        let n = (6 * 12 * 384 * 384 + 3 * 3 * 12 + 32_768 * 384) as f64;
        let n12 = (12 * 12 * 768 * 768 + 6 * 6 * 12 + 32_768 * 768) as f64;
        let batch = (524_288.0 * (n / n12).powf(0.383)).log2().round().exp2();
        assert_eq!(plan.batch_tokens, 262_144);
        assert_eq!(plan.batch_tokens as f64, batch);
        let scale = (batch / 524_288.0).sqrt();
        assert!((plan.rates.matrix - 0.02 * scale).abs() < 1e-12);
        assert!((plan.rates.head - 0.008 * scale * 2f64.sqrt()).abs() < 1e-12);
        assert!((plan.rates.matrix_weight_decay - 0.28 * scale * n12 / n).abs() < 1e-6);
    }

    #[test]
    fn every_number_can_be_overridden() {
        let overrides = Overrides {
            n_embd: Some(192),
            n_head: Some(4),
            n_kv_head: Some(2),
            sequence_len: Some(256),
            horizon_tokens: Some(1_000_000),
            batch_tokens: Some(8192),
            lr_scale: Some(0.5),
            matrix_lr: Some(0.04),
            weight_decay_scaled: Some(0.1),
            warmup_steps: Some(10),
            warmdown_ratio: Some(0.5),
            ..Overrides::default()
        };
        let plan = Plan::from_depth(4, 4096, &overrides).unwrap();
        assert_eq!((plan.config.n_embd, plan.config.n_head, plan.config.n_kv_head), (192, 4, 2));
        assert_eq!((plan.steps, plan.schedule.warmdown_steps, plan.schedule.warmup_steps), (122, 61, 10));
        assert_eq!((plan.rates.matrix, plan.rates.matrix_weight_decay), (0.02, 0.1));
        assert!(plan.explain().contains("as asked"), "{}", plan.explain());
        let same: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(same, plan);
    }

    #[test]
    fn impossible_requests_are_named() {
        let check = |depth, overrides: Overrides, expect: &str| {
            let error = Plan::from_depth(depth, 4096, &overrides).unwrap_err().to_string();
            assert!(error.contains(expect), "{error:?} should contain {expect:?}");
        };
        check(0, Overrides::default(), "--depth is 0");
        check(usize::MAX, Overrides::default(), "n_layer");
        check(4, Overrides { head_dim: Some(0), ..Overrides::default() }, "head_dim 0");
        check(4, Overrides { n_kv_head: Some(7), ..Overrides::default() }, "n_kv_head 7");
        check(4, Overrides { batch_tokens: Some(0), ..Overrides::default() }, "batch_tokens is 0");
        check(4, Overrides { warmdown_ratio: Some(1.5), ..Overrides::default() }, "warmdown_ratio is 1.5");
        check(4, Overrides { matrix_lr: Some(f64::NAN), ..Overrides::default() }, "matrix_lr is NaN");
    }

    #[test]
    fn schedule_rises_holds_and_falls() {
        let schedule = Schedule {
            steps: 1000,
            warmup_steps: 40,
            warmdown_steps: 650,
            final_lr_fraction: 0.05,
            momentum: [0.85, 0.97, 0.90],
            momentum_warmup_steps: 400,
            weight_decay: 0.2,
        };
        let lr = |step| schedule.at(step).lr_multiplier;
        assert!((lr(0) - 1.0 / 40.0).abs() < 1e-12);
        assert_eq!((lr(39), lr(40), lr(350)), (1.0, 1.0, 1.0));
        assert!((lr(675) - (0.5 + 0.5 * 0.05)).abs() < 1e-12);
        assert!((lr(1000) - 0.05).abs() < 1e-12);
        let momentum = |step| schedule.at(step).muon_momentum;
        assert!((momentum(0) - 0.85).abs() < 1e-12 && (momentum(200) - 0.91).abs() < 1e-12);
        assert!((momentum(1000) - 0.90).abs() < 1e-12);
        assert!((schedule.at(0).muon_weight_decay - 0.2).abs() < 1e-12);
        assert!((schedule.at(500).muon_weight_decay - 0.1).abs() < 1e-12);
        assert!(schedule.at(1000).muon_weight_decay.abs() < 1e-12);
    }
}
