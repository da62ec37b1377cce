//! What `train`, `eval` and `speedrun` share: the stages of a run, each a function from inputs to files.

pub mod code;
pub mod finetune;
pub mod grade;
pub mod measure;
pub mod peak;
pub mod pretrain;
pub mod push;
mod sources;
pub mod take;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mynah_data::{Batch, Corpus};
use mynah_ledger::{Dataset, DatasetInput, Tag};
use mynah_tokenizer::Tokenizer;
use mynah_tokenizer::chat::Conversation;
use mynah_train::{
    Artifact, BatchSource, Data, End, FileSink, Hooks, MetricsRow, Outcome, RunSink, RunStatus, Start,
    TrainConfig, WatchConfig,
};
use serde_json::Value;

use self::push::{Pusher, Watching};
use self::take::TakeOptions;
use crate::failure::{Failure, Result};
use crate::progress::Console;
use crate::recording::{RecordedRun, Recording};

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
    /// Where the run is recorded besides its own folder.
    pub recording: Option<&'a Recording>,
    /// What the run does: `base`, `chat`.
    pub kind: &'static str,
    pub datasets: Vec<DatasetInput>,
    /// The folder of the model that it begins with.
    pub init: Option<&'a Path>,
    /// Where the weights go while they are trained.
    pub pusher: Option<Pusher>,
    /// Where other weights come from meanwhile.
    pub take: Option<&'a TakeOptions>,
}

impl Job<'_> {
    /// Trains to the end.
    ///
    /// # Errors
    /// Whatever stops training; an interruption too, after saving, because what should come next has not
    /// its input yet.
    pub fn run(self) -> Result<Outcome> {
        let resume = matches!(self.start, Start::Resume(_));
        let recorded = match self.recording {
            Some(recording) => recording
                .begin(Some(self.dir), self.kind, resume, self.datasets)
                .with_origins(self.tokenizer, self.init),
            None => RecordedRun::nowhere(),
        };
        let mut sink = Sinks { file: FileSink::new(self.dir)?, recorded };
        let token_bytes = self.tokenizer.token_bytes();
        let mut watching = Watching { console: self.console, pusher: self.pusher };
        let mut taker = self.take.map(|take| take.start(&self.config.model)).transpose()?.flatten();
        let outcome = mynah_train::train(
            &self.config,
            &self.watch,
            self.dir,
            self.start,
            Data { train: self.train, validation: self.validation, token_bytes: &token_bytes },
            Hooks {
                observer: &mut watching,
                sink: &mut sink,
                interrupt: self.interrupt,
                weights: taker.as_mut().map(|taker| taker as _),
            },
        );
        watching.finish();
        let outcome = outcome?;
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

/// The run's folder, which must take everything, and the ledger.
struct Sinks {
    file: FileSink,
    recorded: RecordedRun,
}

impl RunSink for Sinks {
    fn params(&mut self, params: &Value) -> mynah_train::Result<()> {
        self.file.params(params)?;
        RunSink::params(&mut self.recorded, params)
    }

    fn resume(&mut self, step: u64) -> mynah_train::Result<()> {
        self.file.resume(step)?;
        self.recorded.resume(step)
    }

    fn metrics(&mut self, row: &MetricsRow) -> mynah_train::Result<()> {
        self.file.metrics(row)?;
        RunSink::metrics(&mut self.recorded, row)
    }

    fn taken(&mut self, step: u64, _: &str, epoch: u64) -> mynah_train::Result<()> {
        self.recorded.metrics(step, &[("weights_taken_epoch", epoch as f64)]);
        Ok(())
    }

    fn sync(&mut self) -> mynah_train::Result<()> {
        self.file.sync()?;
        self.recorded.sync()
    }

    fn artifact(&mut self, artifact: &Artifact) -> mynah_train::Result<()> {
        self.file.artifact(artifact)?;
        self.recorded.artifact(artifact)
    }

    fn status(&mut self, status: &RunStatus) -> mynah_train::Result<()> {
        self.file.status(status)?;
        RunSink::status(&mut self.recorded, status)
    }
}

/// Corpora up to this size are recorded with the digest of their content; reading more would delay the run.
const CONTENT_DIGEST_BYTES_MAX: u64 = 1 << 30;

/// The dataset that a corpus is, used for `context` (`train`, `eval`).
///
/// # Errors
/// When a file cannot be read.
pub fn text_dataset(corpus: &Corpus, context: &str) -> Result<DatasetInput> {
    if corpus.size_bytes() > CONTENT_DIGEST_BYTES_MAX {
        return Ok(dataset("text (digest of names and sizes)", &corpus.digest(), context));
    }
    Ok(dataset("text", &corpus.content_digest()?, context))
}

/// A digest of conversations in their order.
pub fn conversations_digest(conversations: &[Conversation]) -> String {
    let mut hasher = blake3::Hasher::new();
    for conversation in conversations {
        hasher.update(serde_json::to_string(conversation).unwrap_or_default().as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex()[..32].to_string()
}

/// A dataset of this name and digest, used for `context` (`train`, `eval`).
pub fn dataset(name: &str, digest: &str, context: &str) -> DatasetInput {
    let dataset = Dataset {
        name: name.to_string(),
        digest: digest.to_string(),
        source_type: "local".to_string(),
        source: "{}".to_string(),
        ..Dataset::default()
    };
    DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", context)] }
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
