//! The values that go in and out of the ledger. Plain data: nothing here knows SQL or JSON.
//!
//! Times are milliseconds since the Unix epoch. Experiment ids are decimal strings, run ids 32 hexadecimal
//! characters, logged model ids `m-` and 32 of them, as MLflow's clients expect.

mod model;
mod run;
mod search;

pub use model::{
    LoggedModel, LoggedModelStatus, ModelAlias, ModelMetric, ModelVersion, ModelVersionUpdate,
    NewLoggedModel, NewModelVersion, RegisteredModel, Stage, VersionStatus,
};
pub use run::{
    Batch, Dataset, DatasetInput, DatasetSummary, Experiment, Lifecycle, Metric, ModelOutput, NewExperiment,
    NewRun, Param, Quarantine, Run, RunData, RunRecord, RunStatus, RunUpdate, Tag,
};
pub use search::{
    DatasetFilter, Keys, ModelOrder, Page, RunParts, SearchExperiments, SearchLoggedModels, SearchModels,
    SearchRuns, View,
};
