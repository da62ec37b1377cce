//! The model registry, and the logged models of MLflow 3.

use super::{Lifecycle, Param, Tag};

/// Where a model version stands (MLflow's older way; aliases are the newer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nowhere.
    #[default]
    None,
    /// On trial.
    Staging,
    /// In use.
    Production,
    /// Put away.
    Archived,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 4] = [Stage::None, Stage::Staging, Stage::Production, Stage::Archived];

    /// `None`, `Staging`, `Production` or `Archived`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::None => "None",
            Stage::Staging => "Staging",
            Stage::Production => "Production",
            Stage::Archived => "Archived",
        }
    }

    /// The stage of that name, in any case.
    pub fn parse(text: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text))
    }
}

/// Whether a model version can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VersionStatus {
    /// Being made.
    PendingRegistration,
    /// It failed.
    FailedRegistration,
    /// It can.
    #[default]
    Ready,
}

impl VersionStatus {
    /// All of them.
    pub const ALL: [VersionStatus; 3] =
        [VersionStatus::PendingRegistration, VersionStatus::FailedRegistration, VersionStatus::Ready];

    /// `PENDING_REGISTRATION`, `FAILED_REGISTRATION` or `READY`.
    pub fn as_str(self) -> &'static str {
        match self {
            VersionStatus::PendingRegistration => "PENDING_REGISTRATION",
            VersionStatus::FailedRegistration => "FAILED_REGISTRATION",
            VersionStatus::Ready => "READY",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<VersionStatus> {
        VersionStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A name that points to one version of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelAlias {
    /// Letters, digits, `_` and `-`.
    pub alias: String,
    /// The version.
    pub version: u64,
}

/// A name under which model versions are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisteredModel {
    /// Unique, without `/` and `:`.
    pub name: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// For people.
    pub description: Option<String>,
    /// By key.
    pub tags: Vec<Tag>,
    /// By name.
    pub aliases: Vec<ModelAlias>,
    /// The newest version of each stage that has one.
    pub latest_versions: Vec<ModelVersion>,
}

/// One version of a registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelVersion {
    /// The registered model.
    pub name: String,
    /// 1, 2, …; never used twice.
    pub version: u64,
    /// When it was made.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// For people.
    pub description: Option<String>,
    /// Who made it.
    pub user: Option<String>,
    /// Where it stands.
    pub stage: Stage,
    /// Where the model was taken from, as the client said it.
    pub source: Option<String>,
    /// Where its files are, when that is not `source`.
    pub storage_location: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run.
    pub run_link: Option<String>,
    /// The logged model it was made from.
    pub model_id: Option<String>,
    /// Whether it can be used.
    pub status: VersionStatus,
    /// Why not.
    pub status_message: Option<String>,
    /// By key.
    pub tags: Vec<Tag>,
    /// Aliases that point here.
    pub aliases: Vec<String>,
}

/// What [`Ledger::create_model_version`](crate::Ledger::create_model_version) needs.
#[derive(Clone, Debug, Default)]
pub struct NewModelVersion {
    /// An existing registered model.
    pub name: String,
    /// Where the model is: a URI. `models:/NAME/VERSION` and `models:/m-…` are followed.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run.
    pub run_link: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The logged model; gives the run when `run_id` is absent.
    pub model_id: Option<String>,
    /// Who makes it.
    pub user: Option<String>,
    /// May be empty.
    pub tags: Vec<Tag>,
}

/// What [`Ledger::update_model_version`](crate::Ledger::update_model_version) changes.
#[derive(Clone, Debug, Default)]
pub struct ModelVersionUpdate {
    /// The new description; `None` clears it, as MLflow's client does.
    pub description: Option<String>,
}

/// How far a logged model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoggedModelStatus {
    /// Nobody said.
    Unspecified,
    /// Its files are being written.
    #[default]
    Pending,
    /// Complete.
    Ready,
    /// It failed.
    UploadFailed,
}

impl LoggedModelStatus {
    /// In the order of MLflow's numbers, from 0.
    pub const ALL: [LoggedModelStatus; 4] = [
        LoggedModelStatus::Unspecified,
        LoggedModelStatus::Pending,
        LoggedModelStatus::Ready,
        LoggedModelStatus::UploadFailed,
    ];

    /// `UNSPECIFIED`, `PENDING`, `READY` or `FAILED`: the words of MLflow's filters and entities. On the wire
    /// they carry the prefix `LOGGED_MODEL_` (and `FAILED` is `LOGGED_MODEL_UPLOAD_FAILED`).
    pub fn as_str(self) -> &'static str {
        match self {
            LoggedModelStatus::Unspecified => "UNSPECIFIED",
            LoggedModelStatus::Pending => "PENDING",
            LoggedModelStatus::Ready => "READY",
            LoggedModelStatus::UploadFailed => "FAILED",
        }
    }

    /// The status of that name, with or without the wire prefix.
    pub fn parse(text: &str) -> Option<LoggedModelStatus> {
        let text = text.strip_prefix("LOGGED_MODEL_").unwrap_or(text);
        let text = text.strip_prefix("STATUS_").or(text.strip_prefix("UPLOAD_")).unwrap_or(text);
        LoggedModelStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A metric measured on a logged model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetric {
    /// Its name.
    pub key: String,
    /// Any value; NaN and ±∞ are kept.
    pub value: f64,
    /// When.
    pub timestamp_ms: i64,
    /// At which step.
    pub step: i64,
    /// The run that measured it.
    pub run_id: String,
    /// On which dataset.
    pub dataset_name: Option<String>,
    /// That dataset's digest.
    pub dataset_digest: Option<String>,
}

/// A model as MLflow 3 logs it: made by a run, not yet registered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal characters.
    pub id: String,
    /// Its experiment.
    pub experiment_id: String,
    /// Not unique.
    pub name: String,
    /// Where its files are.
    pub artifact_location: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// How far it is.
    pub status: LoggedModelStatus,
    /// Why it failed.
    pub status_message: Option<String>,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// `Agent`, `Classifier`, …
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// By key.
    pub tags: Vec<Tag>,
    /// By key.
    pub params: Vec<Param>,
    /// In the order they were logged.
    pub metrics: Vec<ModelMetric>,
}

/// What [`Ledger::create_logged_model`](crate::Ledger::create_logged_model) needs.
#[derive(Clone, Debug, Default)]
pub struct NewLoggedModel {
    /// An active experiment.
    pub experiment_id: String,
    /// Nothing: a made-up one.
    pub name: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// `Agent`, `Classifier`, …
    pub model_type: Option<String>,
    /// May be empty.
    pub tags: Vec<Tag>,
    /// May be empty.
    pub params: Vec<Param>,
}
