//! A tiny run that several tests share.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mynah_base::Rng;
use mynah_data::Batch;
use mynah_nn::derive::Schedule;
use mynah_nn::{GptConfig, Rates};
use mynah_train::{
    BatchSource, Data, Error, ErrorKind, FileSink, Hooks, Observer, Outcome, Result, Stage, Start,
    TrainConfig, WatchConfig, WeightSource, train,
};
use serde_json::{Value, json};

pub const VOCAB: usize = 64;
pub const ROWS: usize = 2;
pub const COLS: usize = 16;

/// Rows that count up from a random start in steps of 1 or 2: something that a tiny model learns at once.
pub struct Counting {
    pub rng: Rng,
    pub given: u64,
}

impl Counting {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), given: 0 }
    }

    pub fn batch(&mut self) -> Batch {
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..ROWS {
            let (start, pace) = (self.rng.index(VOCAB), 1 + self.rng.index(2));
            let at = |position: usize| ((start + position * pace) % VOCAB) as i64;
            inputs.extend((0..COLS).map(at));
            // The pace is unknown before the second token, so the first prediction is not trained.
            targets.extend((0..COLS).map(|position| if position == 0 { -1 } else { at(position + 1) }));
        }
        self.given += 1;
        Batch { inputs, targets, rows: ROWS, cols: COLS }
    }
}

impl BatchSource for Counting {
    fn next_batch(&mut self) -> Result<Batch> {
        Ok(self.batch())
    }

    fn state(&self) -> Result<Value> {
        Ok(json!({ "rng": self.rng.state(), "given": self.given }))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let wrong = || Error::new(ErrorKind::Data, "not the position of a counting source");
        let rng = serde_json::from_value(state["rng"].clone()).map_err(|_| wrong())?;
        self.rng = Rng::from_state(rng);
        self.given = state["given"].as_u64().ok_or_else(wrong)?;
        Ok(())
    }
}

pub fn config(steps: u64) -> TrainConfig {
    TrainConfig {
        stage: Stage::Pretrain,
        model: GptConfig {
            sequence_len: COLS,
            vocab_size: VOCAB,
            n_layer: 2,
            n_head: 2,
            n_kv_head: 1,
            n_embd: 32,
            ..GptConfig::default()
        },
        seed: 1,
        rates: Rates { embedding: 0.1, head: 0.01, matrix: 0.02, scalar: 0.05, matrix_weight_decay: 0.01 },
        schedule: Schedule {
            steps,
            warmup_steps: 3,
            warmdown_steps: steps / 2,
            final_lr_fraction: 0.05,
            momentum: [0.85, 0.95, 0.9],
            momentum_warmup_steps: 10,
            weight_decay: 0.01,
        },
        batch_rows: ROWS,
        row_tokens: COLS,
        accumulation_steps: 2,
        tokenizer_digest: "counting".to_string(),
        seconds_max: None,
    }
}

pub fn watch() -> WatchConfig {
    WatchConfig {
        validate_every: 4,
        sample_every: 4,
        save_every: 1,
        checkpoints_kept: 2,
        peak_flops: Some(1e11),
    }
}

pub fn validation() -> Vec<Batch> {
    let mut source = Counting::new(99);
    (0..2).map(|_| source.batch()).collect()
}

pub fn token_bytes() -> Vec<u32> {
    // The first token is special: not counted.
    (0..VOCAB as u32).map(|id| id.min(2)).collect()
}

/// Trains in a folder with a file sink.
pub fn run(
    dir: &Path,
    config: &TrainConfig,
    watch: &WatchConfig,
    start: Start,
    source: &mut dyn BatchSource,
    observer: &mut dyn Observer,
    interrupt: &AtomicBool,
) -> Result<Outcome> {
    run_with(dir, (config, watch), start, source, observer, interrupt, None)
}

/// The same, with weights from elsewhere.
pub fn run_with(
    dir: &Path,
    (config, watch): (&TrainConfig, &WatchConfig),
    start: Start,
    source: &mut dyn BatchSource,
    observer: &mut dyn Observer,
    interrupt: &AtomicBool,
    weights: Option<&mut dyn WeightSource>,
) -> Result<Outcome> {
    let mut sink = FileSink::new(dir)?;
    let (validation, token_bytes) = (validation(), token_bytes());
    let data = Data { train: source, validation: &validation, token_bytes: &token_bytes };
    train(
        config,
        watch,
        dir,
        start,
        data,
        Hooks { observer, sink: &mut sink, interrupt, weights: weights.map(|weights| weights as _) },
    )
}
