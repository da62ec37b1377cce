//! Options that `train` and `speedrun` share: the model's shape, its schedule, and how a run is watched.

use clap::Args;
use mynah_nn::GptConfig;
use mynah_nn::derive::{Overrides, Plan};
use mynah_train::WatchConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// The depth decides everything; each option replaces one of its rules.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(
    next_help_heading = "Model and schedule (the depth decides all that is not given)",
    allow_negative_numbers = true
)]
pub struct PlanOptions {
    /// Number of layers; width, heads, batch, horizon, rates and decay follow from it
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Width per layer
    #[arg(long, value_name = "N")]
    pub aspect_ratio: Option<usize>,
    /// Width of the residual stream
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Channels of a head
    #[arg(long, value_name = "N")]
    pub head_dim: Option<usize>,
    /// Query heads
    #[arg(long, value_name = "N")]
    pub heads: Option<usize>,
    /// Key/value heads (fewer than query heads: grouped-query attention)
    #[arg(long, value_name = "N")]
    pub kv_heads: Option<usize>,
    /// Longest text in tokens
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// Attention windows by layer: S short, L full, for example SSSL
    #[arg(long, value_name = "LETTERS")]
    pub window_pattern: Option<String>,
    /// Switch of the model as in config.json, for example smear=false (may be given several times)
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Tokens of training for each parameter
    #[arg(long, value_name = "X")]
    pub tokens_per_parameter: Option<f64>,
    /// Tokens of training
    #[arg(long, value_name = "N")]
    pub tokens: Option<u64>,
    /// Optimizer steps, whatever the tokens say
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Tokens of one optimizer step
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<u64>,
    /// Rate of the token embedding, before scaling
    #[arg(long, value_name = "X")]
    pub embedding_lr: Option<f64>,
    /// Rate of the output head, before scaling
    #[arg(long, value_name = "X")]
    pub head_lr: Option<f64>,
    /// Rate of the matrices (Muon), before scaling
    #[arg(long, value_name = "X")]
    pub matrix_lr: Option<f64>,
    /// Rate of the lambdas, before scaling
    #[arg(long, value_name = "X")]
    pub scalar_lr: Option<f64>,
    /// Factor on all rates
    #[arg(long, value_name = "X")]
    pub lr_scale: Option<f64>,
    /// Decay of the matrices, before scaling
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// Decay of the matrices as used
    #[arg(long, value_name = "X")]
    pub weight_decay_scaled: Option<f64>,
    /// Steps of linear warmup
    #[arg(long, value_name = "N")]
    pub warmup_steps: Option<u64>,
    /// Share of the steps over which the rates fall
    #[arg(long, value_name = "X")]
    pub warmdown_ratio: Option<f64>,
    /// Rate at the end as a share of the full rate
    #[arg(long, value_name = "X")]
    pub final_lr_fraction: Option<f64>,
    /// Steps over which Muon's momentum rises
    #[arg(long, value_name = "N")]
    pub momentum_warmup_steps: Option<u64>,
}

impl PlanOptions {
    /// The plan of a run; `defaults` are the command's own choices where the user made none.
    ///
    /// # Errors
    /// When an option cannot work; the message names it.
    pub fn plan(&self, depth: usize, vocab_size: usize, defaults: &Overrides) -> Result<Plan> {
        let mut plan = Plan::from_depth(self.depth.unwrap_or(depth), vocab_size, &self.overrides(defaults))?;
        for setting in &self.set {
            plan.config = with_switch(&plan.config, setting)?;
        }
        Ok(plan)
    }

    fn overrides(&self, defaults: &Overrides) -> Overrides {
        let own = self.clone();
        let d = defaults.clone();
        // A shape of the user's own begins from the rules, not from the command's shape.
        let reshaped = self.depth.is_some() || self.width.is_some() || self.aspect_ratio.is_some();
        let shape = |value: Option<usize>| value.filter(|_| !reshaped);
        Overrides {
            aspect_ratio: own.aspect_ratio.or(shape(d.aspect_ratio)),
            head_dim: own.head_dim.or(d.head_dim),
            n_embd: own.width.or(shape(d.n_embd)),
            n_head: own.heads.or(shape(d.n_head)),
            n_kv_head: own.kv_heads.or(shape(d.n_kv_head)),
            sequence_len: own.context.or(d.sequence_len),
            window_pattern: own.window_pattern.or(d.window_pattern),
            tokens_per_parameter: own.tokens_per_parameter.or(d.tokens_per_parameter),
            horizon_tokens: own.tokens.or(d.horizon_tokens.filter(|_| own.tokens_per_parameter.is_none())),
            steps: own
                .steps
                .or(d.steps.filter(|_| own.tokens.is_none() && own.tokens_per_parameter.is_none())),
            batch_tokens: own.batch_tokens.or(d.batch_tokens),
            embedding_lr: own.embedding_lr.or(d.embedding_lr),
            head_lr: own.head_lr.or(d.head_lr),
            matrix_lr: own.matrix_lr.or(d.matrix_lr),
            scalar_lr: own.scalar_lr.or(d.scalar_lr),
            lr_scale: own.lr_scale.or(d.lr_scale),
            weight_decay: own.weight_decay.or(d.weight_decay),
            weight_decay_scaled: own.weight_decay_scaled.or(d.weight_decay_scaled),
            warmup_steps: own.warmup_steps.or(d.warmup_steps),
            warmdown_ratio: own.warmdown_ratio.or(d.warmdown_ratio),
            final_lr_fraction: own.final_lr_fraction.or(d.final_lr_fraction),
            momentum_warmup_steps: own.momentum_warmup_steps.or(d.momentum_warmup_steps),
        }
    }
}

/// A configuration with one field replaced, by the field's name in config.json.
fn with_switch(config: &GptConfig, setting: &str) -> Result<GptConfig> {
    let wrong = |what: String| Failure::new(what).at(format!("--set {setting}"));
    let (name, text) = setting.split_once('=').ok_or_else(|| {
        wrong("no '='".to_string()).advice("write it as NAME=VALUE, for example smear=false")
    })?;
    // Numbers, booleans and null are JSON; everything else is a string.
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_string()));
    let mut json = serde_json::to_value(config).map_err(|error| wrong(error.to_string()))?;
    let names: Vec<String> = json.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    match json.get_mut(name) {
        Some(field) => *field = value,
        None => {
            let advice = format!("choose from {}", names.join(", "));
            return Err(wrong(format!("the model has no switch '{name}'")).advice(advice));
        }
    }
    let config: GptConfig = serde_json::from_value(json).map_err(|error| wrong(error.to_string()))?;
    config.validate()?;
    Ok(config)
}

/// How a run goes and how it is watched; none of it but the seed changes what is learned.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Running", allow_negative_numbers = true)]
pub struct RunOptions {
    /// Seed of weights and data order
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Rows that go through the model at once (more is faster and takes more memory)
    #[arg(long, value_name = "N")]
    pub batch_rows: Option<usize>,
    /// End after about this many minutes of training, in a speedrun two thirds of them on text and one
    /// third on conversations (the weights then depend on the machine's speed)
    #[arg(long, value_name = "X")]
    pub minutes: Option<f64>,
    /// Measure on validation text every N steps (0: never)
    #[arg(long, value_name = "N")]
    pub validate_every: Option<u64>,
    /// Let the model say something every N steps (0: never)
    #[arg(long, value_name = "N")]
    pub sample_every: Option<u64>,
    /// Save a checkpoint every N steps (0: at the end)
    #[arg(long, value_name = "N")]
    pub save_every: Option<u64>,
    /// How many checkpoints stay
    #[arg(long, value_name = "N", default_value_t = KEEP)]
    pub keep: usize,
}

const KEEP: usize = 2;

impl Default for RunOptions {
    /// What an empty command line gives.
    fn default() -> RunOptions {
        RunOptions {
            seed: 0,
            batch_rows: None,
            minutes: None,
            validate_every: None,
            sample_every: None,
            save_every: None,
            keep: KEEP,
        }
    }
}

impl RunOptions {
    /// What is watched in a run of so many steps: by default about ten validations, four samples and ten
    /// checkpoints, but in short runs not more than they are worth.
    pub fn watch(&self, steps: u64, peak_flops: Option<f64>) -> WatchConfig {
        let every = |own: Option<u64>, times: u64, least: u64| {
            own.unwrap_or_else(|| steps.div_ceil(times).max(least))
        };
        WatchConfig {
            validate_every: every(self.validate_every, 10, 4),
            sample_every: every(self.sample_every, 4, 25),
            save_every: every(self.save_every, 10, 25),
            checkpoints_kept: self.keep,
            peak_flops,
        }
    }

    /// The same with a share of the time limit.
    pub fn share(&self, share: f64) -> RunOptions {
        RunOptions { minutes: self.minutes.map(|minutes| minutes * share), ..self.clone() }
    }

    /// The time limit in seconds.
    ///
    /// # Errors
    /// When it is no positive number.
    pub fn seconds_max(&self) -> Result<Option<f64>> {
        match self.minutes {
            Some(minutes) if !(minutes > 0.0 && minutes.is_finite()) => {
                Err(Failure::new(format!("{minutes} minutes"))
                    .at("--minutes")
                    .advice("give a number above 0"))
            }
            minutes => Ok(minutes.map(|minutes| minutes * 60.0)),
        }
    }
}

/// Rows for one pass: as asked, or the most that keep a pass within `pass_tokens` and divide the batch.
///
/// # Errors
/// When the batch is smaller than one row.
pub fn batch_rows(asked: Option<usize>, plan: &Plan, pass_tokens: u64) -> Result<usize> {
    if let Some(rows) = asked {
        return Ok(rows);
    }
    let row = plan.config.sequence_len as u64;
    let rows_of_batch = plan.batch_tokens / row;
    if rows_of_batch == 0 || !plan.batch_tokens.is_multiple_of(row) {
        return Err(Failure::new(format!(
            "a batch of {} tokens is not a whole number of rows of {row}",
            plan.batch_tokens
        ))
        .at("--batch-tokens")
        .advice("give a multiple of --context"));
    }
    let rows = (1..=rows_of_batch)
        .rev()
        .find(|rows| rows_of_batch.is_multiple_of(*rows) && rows * row <= pass_tokens);
    Ok(rows.unwrap_or(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_decides_and_options_override() {
        let options = PlanOptions { depth: Some(2), ..PlanOptions::default() };
        let defaults = Overrides {
            n_embd: Some(96),
            head_dim: Some(32),
            sequence_len: Some(64),
            ..Overrides::default()
        };
        let plan = options.plan(4, 300, &defaults).unwrap();
        assert_eq!((plan.config.n_layer, plan.config.n_embd, plan.config.sequence_len), (2, 128, 64));
        let plan = PlanOptions::default().plan(4, 300, &defaults).unwrap();
        assert_eq!((plan.config.n_layer, plan.config.n_embd), (4, 96));
        let options = PlanOptions { depth: Some(0), ..PlanOptions::default() };
        assert!(options.plan(4, 300, &defaults).unwrap_err().to_string().contains("--depth is 0"));
    }

    #[test]
    fn switches_are_set_by_name() {
        let config = GptConfig::default();
        assert!(!with_switch(&config, "smear=false").unwrap().smear);
        assert_eq!(with_switch(&config, "softcap=null").unwrap().softcap, None);
        assert_eq!(with_switch(&config, "window_pattern=L").unwrap().window_pattern, "L");
        for bad in ["smear", "smear=maybe", "wings=true", "n_head=0"] {
            assert!(with_switch(&config, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rows_divide_the_batch() {
        let defaults =
            Overrides { sequence_len: Some(64), batch_tokens: Some(64 * 12), ..Overrides::default() };
        let plan = PlanOptions::default().plan(2, 300, &defaults).unwrap();
        assert_eq!(batch_rows(None, &plan, 64 * 8).unwrap(), 6);
        assert_eq!(batch_rows(None, &plan, 1 << 20).unwrap(), 12);
        assert_eq!(batch_rows(None, &plan, 1).unwrap(), 1);
        assert_eq!(batch_rows(Some(3), &plan, 1).unwrap(), 3);
    }
}
