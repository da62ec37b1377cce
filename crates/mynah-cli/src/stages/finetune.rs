//! Fine-tuning: a base model and conversations in, a chat model out.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mynah_nn::derive::Plan;
use mynah_tokenizer::Tokenizer;
use mynah_tokenizer::chat::Conversation;
use mynah_train::checkpoint::CheckpointStore;
use mynah_train::sink::RunFile;
use mynah_train::{Outcome, Start, TrainConfig};

use super::push::PushOptions;
use super::take::TakeOptions;
use super::{Job, Resume, conversations_digest, dataset, sources};
use crate::failure::{Failure, Result};
use crate::model;
use crate::options::{RunOptions, batch_rows};
use crate::progress::{Console, Output, Prompts};
use crate::recording::Recording;

/// Tokens that go through the model at once when the base model's run does not say.
const PASS_TOKENS: u64 = 2048;

/// What a chat model is made of.
pub struct Finetune<'a> {
    /// Folder of the base model.
    pub base: &'a Path,
    /// The plan the base model was trained by; none takes the settings from its folder.
    pub plan: Option<&'a Plan>,
    pub run: &'a RunOptions,
    /// Optimizer steps; none goes once through all conversations.
    pub steps: Option<u64>,
    pub rate_factor: f64,
    pub tokenizer: &'a Tokenizer,
    pub chat: Vec<Conversation>,
    pub held_out: Vec<Conversation>,
    pub validation_tokens: usize,
    pub prompts: Vec<String>,
    pub dir: &'a Path,
    pub resume: Resume,
    pub output: Output,
    pub peak_flops: Option<f64>,
    pub interrupt: &'a AtomicBool,
    pub recording: Option<&'a Recording>,
    /// Where the weights go while they are trained; none stay here.
    pub push: Option<&'a PushOptions>,
    /// Where other weights come from meanwhile; from nowhere.
    pub take: Option<&'a TakeOptions>,
}

impl Finetune<'_> {
    /// Trains, or goes on from a checkpoint.
    ///
    /// # Errors
    /// When there is no base model, no usable conversation, a setting cannot work, or the disk refuses.
    pub fn train(self) -> Result<Outcome> {
        let gpt = model::load(self.base, self.tokenizer)?;
        let mut pretrained = match recorded(self.base) {
            Some(config) if config.model == *gpt.config() => config,
            _ => derived(self.plan, &gpt, self.run, self.tokenizer)?,
        };
        pretrained.seed = self.run.seed;
        pretrained.seconds_max = self.run.seconds_max()?;
        if let Some(rows) = self.run.batch_rows {
            let batch = pretrained.batch_rows * pretrained.accumulation_steps;
            if rows == 0 || !batch.is_multiple_of(rows) {
                return Err(Failure::new(format!("{rows} rows do not divide the batch of {batch}"))
                    .at("--batch-rows")
                    .advice("give a divisor of it"));
            }
            pretrained.batch_rows = rows;
            pretrained.accumulation_steps = batch / rows;
        }
        let (rows, cols) = (pretrained.batch_rows, pretrained.row_tokens);
        let mut source = sources::chat(&self.chat, self.tokenizer, rows, cols, self.run.seed)?;
        let epoch = source.batches_per_epoch().div_ceil(pretrained.accumulation_steps).max(1) as u64;
        if source.skipped() > 0 {
            let note =
                format!("note: {} conversations have no answer within {cols} tokens", source.skipped());
            self.output.line(&note);
        }
        let steps = self.steps.unwrap_or(epoch);
        if steps == 0 {
            return Err(Failure::new("no steps to train").at("--steps 0").advice("give at least 1"));
        }
        let config = TrainConfig::finetune(&pretrained, steps, self.rate_factor);
        let validation = sources::chat_batches(&self.held_out, self.tokenizer, cols, self.validation_tokens)?;
        let fresh = Start::Pretrained { model: gpt, optimizer_dir: optimizer_folder(self.base) };
        let start = self.resume.start(fresh, self.dir);
        let pusher = self.push.map(|push| push.start(self.dir)).transpose()?.flatten();
        Job {
            pusher,
            take: self.take,
            watch: self.run.watch(steps, self.peak_flops),
            config,
            dir: self.dir,
            start,
            train: &mut source,
            validation: &validation,
            tokenizer: self.tokenizer,
            console: Console::new("chat", self.output, self.tokenizer, Prompts::Chat(self.prompts)),
            interrupt: self.interrupt,
            recording: self.recording,
            kind: "chat",
            datasets: vec![dataset("conversations", &conversations_digest(&self.chat), "train")],
            init: Some(self.base),
        }
        .run()
    }
}

/// The settings that a model's folder remembers; none for weights from elsewhere.
fn recorded(folder: &Path) -> Option<TrainConfig> {
    let text = std::fs::read(folder.join("run.json")).ok()?;
    let run: RunFile = serde_json::from_slice(&text).ok()?;
    serde_json::from_value(run.params.get("train")?.clone()).ok()
}

/// Settings by the rules of the model's depth.
fn derived(
    plan: Option<&Plan>,
    gpt: &mynah_nn::Gpt,
    run: &RunOptions,
    tokenizer: &Tokenizer,
) -> Result<TrainConfig> {
    let own;
    let plan = match plan {
        Some(plan) => plan,
        None => {
            let config = gpt.config();
            let mut derived = Plan::from_depth(config.n_layer, config.vocab_size, &Default::default())?;
            derived.config = config.clone();
            // A batch as the rules have it is for horizons far longer than any set of conversations.
            derived.batch_tokens = derived.batch_tokens.min(PASS_TOKENS.max(config.sequence_len as u64) * 4);
            own = derived;
            &own
        }
    };
    let rows = batch_rows(run.batch_rows, plan, PASS_TOKENS)?;
    Ok(TrainConfig::pretrain(plan, rows, run.seed, &tokenizer.digest())?)
}

/// Where the base model's optimizer left its momentum, when it is still there and whole.
fn optimizer_folder(base: &Path) -> Option<PathBuf> {
    if !base.join("checkpoints").is_dir() {
        return None;
    }
    let checkpoint = CheckpointStore::open(base, usize::MAX).and_then(|store| store.checked(None)).ok()?;
    Some(checkpoint.path)
}
