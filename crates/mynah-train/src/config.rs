//! Every option of a run, explicit and saved with it.

use mynah_nn::derive::{Plan, Schedule};
use mynah_nn::{GptConfig, Rates};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// What a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Text from scratch.
    Pretrain,
    /// Conversations, on a pretrained model.
    Finetune,
}

/// The options that decide the weights. A run resumes with the same ones or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What is trained.
    pub stage: Stage,
    /// The model's shape.
    pub model: GptConfig,
    /// Seed of the first weights.
    pub seed: u64,
    /// Learning rates at a multiplier of 1.
    pub rates: Rates,
    /// Steps, warmup, warmdown, momentum and weight decay.
    pub schedule: Schedule,
    /// Rows of one forward and backward pass.
    pub batch_rows: usize,
    /// Tokens in a row, at most the model's context.
    pub row_tokens: usize,
    /// Passes whose gradients make one optimizer step.
    pub accumulation_steps: usize,
    /// Digest of the tokenizer that made the ids; a checkpoint of another tokenizer is refused.
    pub tokenizer_digest: String,
    /// Stop after about this many seconds: after a few steps the number of steps is set, once, to what fits.
    /// That makes the weights depend on the machine's speed, so it is off unless asked for.
    pub seconds_max: Option<f64>,
}

/// The options that decide what is watched and kept; free to change on resume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchConfig {
    /// Validate every so many steps, before the first and after the last; 0 never.
    pub validate_every: u64,
    /// Let the observer sample every so many steps and after the last; 0 never.
    pub sample_every: u64,
    /// Save a checkpoint every so many steps; 0 only at the end and on interruption.
    pub save_every: u64,
    /// How many of the newest checkpoints stay.
    pub checkpoints_kept: usize,
    /// The machine's measured peak in floating-point operations a second, for the utilisation.
    pub peak_flops: Option<f64>,
}

impl Default for WatchConfig {
    /// Everything at the end only, two checkpoints, no utilisation.
    fn default() -> Self {
        Self { validate_every: 0, sample_every: 0, save_every: 0, checkpoints_kept: 2, peak_flops: None }
    }
}

impl TrainConfig {
    /// The pretraining run of a plan. `batch_rows` rows go through the model at once; the plan's batch must
    /// be a multiple of their tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is not.
    pub fn pretrain(plan: &Plan, batch_rows: usize, seed: u64, tokenizer_digest: &str) -> Result<Self> {
        let row_tokens = plan.config.sequence_len;
        let pass_tokens = (batch_rows * row_tokens) as u64;
        if pass_tokens == 0 || !plan.batch_tokens.is_multiple_of(pass_tokens) {
            let message = format!(
                "the batch of {} tokens is not a multiple of {batch_rows} rows of {row_tokens} tokens; choose \
                 another number of rows or tokens a batch",
                plan.batch_tokens
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(Self {
            stage: Stage::Pretrain,
            model: plan.config.clone(),
            seed,
            rates: plan.rates,
            schedule: plan.schedule.clone(),
            batch_rows,
            row_tokens,
            accumulation_steps: (plan.batch_tokens / pass_tokens) as usize,
            tokenizer_digest: tokenizer_digest.to_string(),
            seconds_max: None,
        })
    }

    /// The fine-tuning run after a pretraining run: the same batch, its rates times `rate_factor` (0.8 in
    /// the recipe), no warmup, the last half of the steps down to 0, momentum up to 0.95, and no weight
    /// decay, which pretraining has brought to 0.
    pub fn finetune(pretrained: &Self, steps: u64, rate_factor: f64) -> Self {
        let rates = &pretrained.rates;
        Self {
            stage: Stage::Finetune,
            rates: Rates {
                embedding: rates.embedding * rate_factor,
                head: rates.head * rate_factor,
                matrix: rates.matrix * rate_factor,
                scalar: rates.scalar * rate_factor,
                matrix_weight_decay: 0.0,
            },
            schedule: Schedule {
                steps,
                warmup_steps: 0,
                warmdown_steps: steps.div_ceil(2),
                final_lr_fraction: 0.0,
                momentum: [0.85, 0.95, 0.95],
                momentum_warmup_steps: 300,
                weight_decay: 0.0,
            },
            ..pretrained.clone()
        }
    }

    /// Tokens of one optimizer step.
    pub fn batch_tokens(&self) -> u64 {
        (self.batch_rows * self.row_tokens * self.accumulation_steps) as u64
    }

    /// Checks that such a run can be.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the option.
    pub fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        self.model.validate().map_err(|e| Error::new(ErrorKind::Config, e.to_string()))?;
        for (name, value) in [
            ("batch_rows", self.batch_rows),
            ("row_tokens", self.row_tokens),
            ("accumulation_steps", self.accumulation_steps),
        ] {
            if value == 0 || value > 1 << 24 {
                return refuse(format!("{name} is {value}; it must be 1 to {}", 1 << 24));
            }
        }
        if self.row_tokens > self.model.sequence_len {
            return refuse(format!(
                "rows of {} tokens do not fit the model's context of {}",
                self.row_tokens, self.model.sequence_len
            ));
        }
        if self.seconds_max.is_some_and(|seconds| !(seconds > 0.0 && seconds.is_finite())) {
            return refuse("the time limit must be a positive number of seconds".to_string());
        }
        Ok(())
    }

    /// Checks that a saved run is this one.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the first option that differs, with both values.
    pub fn check_same(&self, saved: &Self) -> Result<()> {
        if self.tokenizer_digest != saved.tokenizer_digest {
            let message = format!(
                "the checkpoint was trained with another tokenizer ({}, now {}); use that one",
                short(&saved.tokenizer_digest),
                short(&self.tokenizer_digest)
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let (now, then) = (serde_json::to_value(self), serde_json::to_value(saved));
        let (Ok(now), Ok(then)) = (now, then) else { return Ok(()) };
        match difference("", &now, &then) {
            None => Ok(()),
            Some((name, now, then)) => {
                let message = format!(
                    "{name} is {now}, but the run that is resumed has {then}; resume with the same settings, \
                     or start anew in another folder"
                );
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The first place where two values differ: its name and both values.
fn difference(name: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(a), Value::Object(b)) = (a, b) {
        return a.iter().find_map(|(key, value)| {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            difference(&name, value, b.get(key).unwrap_or(&Value::Null))
        });
    }
    (a != b).then(|| (name.to_string(), a.to_string(), b.to_string()))
}
