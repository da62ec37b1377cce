//! Pretraining: a plan and text in, a base model out.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mynah_data::{Corpus, Split};
use mynah_nn::derive::Plan;
use mynah_tokenizer::Tokenizer;
use mynah_train::{Outcome, Start, TrainConfig, validation_batches};

use super::push::PushOptions;
use super::take::TakeOptions;
use super::{Job, Resume, sources, text_dataset};
use crate::failure::Result;
use crate::options::RunOptions;
use crate::progress::{Console, Output, Prompts};
use crate::recording::Recording;

/// What a base model is made of.
pub struct Pretrain<'a> {
    pub plan: &'a Plan,
    pub run: &'a RunOptions,
    pub batch_rows: usize,
    pub tokenizer: &'a Tokenizer,
    pub text: &'a Corpus,
    /// Text to measure on, and which part of it (none: all).
    pub validation: (&'a Corpus, Option<Split>),
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

impl Pretrain<'_> {
    /// Trains, or goes on from a checkpoint.
    ///
    /// # Errors
    /// When the text is too small for a batch, a setting cannot work, or the disk refuses.
    pub fn train(self) -> Result<Outcome> {
        let mut config =
            TrainConfig::pretrain(self.plan, self.batch_rows, self.run.seed, &self.tokenizer.digest())?;
        config.seconds_max = self.run.seconds_max()?;
        let (rows, cols) = (config.batch_rows, config.row_tokens);
        let mut source = sources::text(self.text, self.tokenizer, rows, cols, self.run.seed)?;
        let (corpus, part) = self.validation;
        let validation =
            validation_batches(corpus, part, self.tokenizer, rows, cols, self.validation_tokens)?;
        let start = self.resume.start(Start::Fresh, self.dir);
        let pusher = self.push.map(|push| push.start(self.dir)).transpose()?.flatten();
        Job {
            pusher,
            take: self.take,
            watch: self.run.watch(config.schedule.steps, self.peak_flops),
            config,
            dir: self.dir,
            start,
            train: &mut source,
            validation: &validation,
            tokenizer: self.tokenizer,
            console: Console::new("base", self.output, self.tokenizer, Prompts::Text(self.prompts)),
            interrupt: self.interrupt,
            recording: self.recording,
            kind: "base",
            datasets: self
                .recording
                .map(|_| text_dataset(self.text, "train"))
                .transpose()?
                .into_iter()
                .collect(),
            init: None,
        }
        .run()
    }
}
