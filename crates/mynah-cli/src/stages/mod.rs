//! What `train`, `eval` and `speedrun` share: the stages of a run, each a function from inputs to files.

pub mod finetune;
pub mod grade;
pub mod measure;
pub mod peak;
pub mod pretrain;
mod sources;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mynah_data::Batch;
use mynah_tokenizer::Tokenizer;
use mynah_train::{BatchSource, Data, End, FileSink, Hooks, Outcome, Start, TrainConfig, WatchConfig};

use crate::failure::{Failure, Result};
use crate::progress::Console;

/// One training run: settings, data, and the folder it leaves.
pub struct Job<'a> {
    pub config: TrainConfig,
    pub watch: WatchConfig,
    pub dir: &'a Path,
    pub start: Start,
    pub train: &'a mut dyn BatchSource,
    pub validation: &'a [Batch],
    pub tokenizer: &'a Tokenizer,
    pub console: Console,
    pub interrupt: &'a AtomicBool,
}

impl Job<'_> {
    /// Trains to the end.
    ///
    /// # Errors
    /// Whatever stops training; an interruption too, after saving, because what should come next has not
    /// its input yet.
    pub fn run(mut self) -> Result<Outcome> {
        let mut sink = FileSink::new(self.dir)?;
        let token_bytes = self.tokenizer.token_bytes();
        let outcome = mynah_train::train(
            &self.config,
            &self.watch,
            self.dir,
            self.start,
            Data { train: self.train, validation: self.validation, token_bytes: &token_bytes },
            Hooks { observer: &mut self.console, sink: &mut sink, interrupt: self.interrupt },
        )?;
        match outcome.end {
            End::Completed => Ok(outcome),
            End::Interrupted => {
                Err(Failure::new(format!("stopped on request after step {}", outcome.state.step))
                    .at_path(self.dir)
                    .advice("all is saved; go on with --resume"))
            }
        }
    }
}

/// Whether a run goes on from a checkpoint in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It is a new run.
    No,
    /// From this step, by default the latest; without a checkpoint it is an error.
    From(Option<u64>),
    /// The same, but without a checkpoint the run begins anew.
    IfAny(Option<u64>),
}

impl Resume {
    /// The start of a run in a folder, where `fresh` is that of a new one.
    pub fn start(self, fresh: Start, dir: &Path) -> Start {
        match self {
            Resume::From(step) => Start::Resume(step),
            Resume::IfAny(step) if has_checkpoint(dir) => Start::Resume(step),
            Resume::No | Resume::IfAny(_) => fresh,
        }
    }
}

/// Whether a run's folder has a checkpoint to go on from.
pub fn has_checkpoint(dir: &Path) -> bool {
    dir.join("checkpoints/LATEST").is_file()
}
