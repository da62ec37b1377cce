//! Experiments, runs and what is recorded in them.

/// Whether a thing is in use or in the bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// In use.
    #[default]
    Active,
    /// Deleted, and can be restored until the garbage is collected.
    Deleted,
}

impl Lifecycle {
    /// `active` or `deleted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Active => "active",
            Lifecycle::Deleted => "deleted",
        }
    }
}

/// How a run is going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Under way.
    #[default]
    Running,
    /// To be started.
    Scheduled,
    /// Ended well.
    Finished,
    /// Ended with an error.
    Failed,
    /// Ended by somebody.
    Killed,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [RunStatus; 5] =
        [RunStatus::Running, RunStatus::Scheduled, RunStatus::Finished, RunStatus::Failed, RunStatus::Killed];

    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Running => "RUNNING",
            RunStatus::Scheduled => "SCHEDULED",
            RunStatus::Finished => "FINISHED",
            RunStatus::Failed => "FAILED",
            RunStatus::Killed => "KILLED",
        }
    }

    /// The status of that name, as [`RunStatus::as_str`] writes it.
    pub fn parse(text: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A word pinned to an experiment, run or model; may be overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// At most 250 characters.
    pub key: String,
    /// At most 8,000 characters on a run, 20,000 on an experiment, 100,000 in the registry.
    pub value: String,
}

impl Tag {
    /// A tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Tag {
        Tag { key: key.into(), value: value.into() }
    }
}

/// A setting of a run; written once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Param {
    /// At most 250 characters.
    pub key: String,
    /// At most 6,000 characters.
    pub value: String,
}

impl Param {
    /// A param.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Param {
        Param { key: key.into(), value: value.into() }
    }
}

/// One measured point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    /// At most 250 characters.
    pub key: String,
    /// Any value; NaN and ±∞ are kept.
    pub value: f64,
    /// Not negative.
    pub timestamp_ms: i64,
    /// Any whole number, 0 where there are no steps.
    pub step: i64,
    /// The logged model it was measured on.
    pub model_id: Option<String>,
    /// The dataset it was measured on.
    pub dataset_name: Option<String>,
    /// That dataset's digest.
    pub dataset_digest: Option<String>,
}

impl Metric {
    /// A point without model and dataset.
    pub fn new(key: impl Into<String>, value: f64, timestamp_ms: i64, step: i64) -> Metric {
        Metric { key: key.into(), value, timestamp_ms, step, ..Metric::default() }
    }
}

/// A group of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Experiment {
    /// A decimal number; `0` is the experiment `Default` that every ledger has.
    pub id: String,
    /// Unique among all experiments, deleted ones included.
    pub name: String,
    /// Where the artifacts of its runs go; ours begin with `mlflow-artifacts:/`.
    pub artifact_location: String,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was made.
    pub created_ms: i64,
    /// When it was last renamed, deleted or restored.
    pub updated_ms: i64,
    /// By key.
    pub tags: Vec<Tag>,
}

/// What [`Ledger::create_experiment`](crate::Ledger::create_experiment) needs.
#[derive(Clone, Debug, Default)]
pub struct NewExperiment {
    /// 1 to 500 characters.
    pub name: String,
    /// Nothing: `ROOT/ID`.
    pub artifact_location: Option<String>,
    /// May be empty.
    pub tags: Vec<Tag>,
}

/// Why a run is kept out of comparison, serving and promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// For people.
    pub reason: String,
    /// Who put it there.
    pub by: String,
    /// When.
    pub at_ms: i64,
}

/// One run, without what was recorded in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// 32 hexadecimal characters.
    pub id: String,
    /// Not unique; also the tag `mlflow.runName`.
    pub name: String,
    /// Its experiment.
    pub experiment_id: String,
    /// The tag `mlflow.parentRunId`.
    pub parent_id: Option<String>,
    /// Who ran it.
    pub user: String,
    /// How it is going.
    pub status: RunStatus,
    /// When it began.
    pub start_time_ms: i64,
    /// When it ended.
    pub end_time_ms: Option<i64>,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// When it was deleted.
    pub deleted_ms: Option<i64>,
    /// `EXPERIMENT'S LOCATION/ID/artifacts`.
    pub artifact_uri: String,
    /// Set while it is kept apart.
    pub quarantine: Option<Quarantine>,
}

/// What [`Ledger::create_run`](crate::Ledger::create_run) needs.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// An active experiment.
    pub experiment_id: String,
    /// Who runs it; may be empty.
    pub user: String,
    /// Nothing: now.
    pub start_time_ms: Option<i64>,
    /// Nothing: the tag `mlflow.runName`, else a made-up one.
    pub name: Option<String>,
    /// May be empty.
    pub tags: Vec<Tag>,
    /// Nothing: a fresh one.
    pub run_id: Option<String>,
}

/// What [`Ledger::update_run`](crate::Ledger::update_run) changes; what is `None` stays. An end is taken away by
/// [`Ledger::reopen_run`](crate::Ledger::reopen_run).
#[derive(Clone, Debug, Default)]
pub struct RunUpdate {
    /// The new status.
    pub status: Option<RunStatus>,
    /// The new end.
    pub end_time_ms: Option<i64>,
    /// The new name; empty means no change.
    pub name: Option<String>,
}

/// What one call of [`Ledger::log_batch`](crate::Ledger::log_batch) records: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// At most 1,000.
    pub metrics: Vec<Metric>,
    /// At most 100, no key twice.
    pub params: Vec<Param>,
    /// At most 100; the last of a key wins.
    pub tags: Vec<Tag>,
}

/// What was recorded in a run. Lists are in order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunData {
    /// The latest point of each metric: highest step, then timestamp, then value.
    pub metrics: Vec<Metric>,
    /// All params.
    pub params: Vec<Param>,
    /// All tags.
    pub tags: Vec<Tag>,
    /// Datasets that went in.
    pub inputs: Vec<DatasetInput>,
    /// Ids of logged models that went in.
    pub model_inputs: Vec<String>,
    /// Logged models that came out.
    pub model_outputs: Vec<ModelOutput>,
}

impl RunData {
    /// The latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// The value of a param.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// A run and what was recorded in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRecord {
    /// The run.
    pub run: Run,
    /// What it holds.
    pub data: RunData,
}

/// A dataset; the same name and digest in one experiment is the same dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// 1 to 500 characters.
    pub name: String,
    /// 1 to 128 characters.
    pub digest: String,
    /// `local`, `http`, `hugging_face`, …
    pub source_type: String,
    /// Where it came from, as JSON; at most 64 KiB.
    pub source: String,
    /// Its columns, as JSON; at most 1 MiB.
    pub schema: Option<String>,
    /// Figures about it, as JSON; at most 16 MiB.
    pub profile: Option<String>,
}

/// A dataset as a run used it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetInput {
    /// Which.
    pub dataset: Dataset,
    /// `mlflow.data.context` says `train`, `eval`, …
    pub tags: Vec<Tag>,
}

/// One line of [`Ledger::datasets`](crate::Ledger::datasets).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetSummary {
    /// Its experiment.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// The value of `mlflow.data.context`.
    pub context: Option<String>,
}

/// A logged model that a run made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOutput {
    /// Which.
    pub model_id: String,
    /// At which step.
    pub step: i64,
}
