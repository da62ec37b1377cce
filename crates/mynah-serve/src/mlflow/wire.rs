//! MLflow's wire types: how the ledger's values look in JSON.
//!
//! Field names and defaults are those of MLflow's protocol buffers as its server prints them: snake_case,
//! 64-bit integers as numbers, floats that JSON cannot write as strings, and neither empty lists nor absent
//! values. Everything borrows: an answer of a thousand runs is written without copying one of them.

use mynah_ledger as ledger;
use serde::Serialize;
use serde::ser::Serializer;

use crate::json::{Float, List};

/// Tags, params, dataset tags: all are pairs.
#[derive(Serialize)]
pub(crate) struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

type Pairs<'a, T> = List<'a, T, Pair<'a>>;

fn tag(tag: &ledger::Tag) -> Pair<'_> {
    Pair { key: &tag.key, value: &tag.value }
}

fn param(param: &ledger::Param) -> Pair<'_> {
    Pair { key: &param.key, value: &param.value }
}

fn tags(list: &[ledger::Tag]) -> Pairs<'_, ledger::Tag> {
    List(list, tag)
}

fn params(list: &[ledger::Param]) -> Pairs<'_, ledger::Param> {
    List(list, param)
}

#[derive(Serialize)]
pub(crate) struct Experiment<'a> {
    experiment_id: &'a str,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: &'a str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
}

pub(crate) fn experiment(experiment: &ledger::Experiment) -> Experiment<'_> {
    Experiment {
        experiment_id: &experiment.id,
        name: &experiment.name,
        artifact_location: &experiment.artifact_location,
        lifecycle_stage: experiment.lifecycle.as_str(),
        last_update_time: experiment.updated_ms,
        creation_time: experiment.created_ms,
        tags: tags(&experiment.tags),
    }
}

#[derive(Serialize)]
pub(crate) struct RunInfo<'a> {
    run_id: &'a str,
    run_uuid: &'a str,
    run_name: &'a str,
    experiment_id: &'a str,
    user_id: &'a str,
    status: &'a str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: &'a str,
}

pub(crate) fn run_info(run: &ledger::Run) -> RunInfo<'_> {
    RunInfo {
        run_id: &run.id,
        run_uuid: &run.id,
        run_name: &run.name,
        experiment_id: &run.experiment_id,
        user_id: &run.user,
        status: run.status.as_str(),
        start_time: run.start_time_ms,
        end_time: run.end_time_ms,
        artifact_uri: &run.artifact_uri,
        lifecycle_stage: run.lifecycle.as_str(),
    }
}

#[derive(Serialize)]
pub(crate) struct Metric<'a> {
    key: &'a str,
    value: Float,
    timestamp: i64,
    step: i64,
}

/// A point of a run. Model and dataset are told on logged models only, as by MLflow's server.
pub(crate) fn metric(metric: &ledger::Metric) -> Metric<'_> {
    Metric { key: &metric.key, value: Float(metric.value), timestamp: metric.timestamp_ms, step: metric.step }
}

#[derive(Serialize)]
pub(crate) struct RunMetric<'a> {
    #[serde(flatten)]
    metric: Metric<'a>,
    run_id: &'a str,
}

/// A point with the run it belongs to.
pub(crate) fn run_metric<'a>(run_id: &'a str, point: &'a ledger::Metric) -> RunMetric<'a> {
    RunMetric { metric: metric(point), run_id }
}

#[derive(Serialize)]
pub(crate) struct Run<'a> {
    info: RunInfo<'a>,
    data: RunData<'a>,
    inputs: RunInputs<'a>,
    outputs: RunOutputs<'a>,
}

#[derive(Serialize)]
struct RunData<'a> {
    #[serde(skip_serializing_if = "List::is_empty")]
    metrics: List<'a, ledger::Metric, Metric<'a>>,
    #[serde(skip_serializing_if = "List::is_empty")]
    params: Pairs<'a, ledger::Param>,
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
}

#[derive(Serialize)]
struct RunInputs<'a> {
    #[serde(skip_serializing_if = "List::is_empty")]
    dataset_inputs: List<'a, ledger::DatasetInput, DatasetInput<'a>>,
    #[serde(skip_serializing_if = "List::is_empty")]
    model_inputs: List<'a, String, ModelInput<'a>>,
}

#[derive(Serialize)]
struct RunOutputs<'a> {
    #[serde(skip_serializing_if = "List::is_empty")]
    model_outputs: List<'a, ledger::ModelOutput, ModelOutput<'a>>,
}

#[derive(Serialize)]
struct DatasetInput<'a> {
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
    dataset: Dataset<'a>,
}

#[derive(Serialize)]
struct Dataset<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

#[derive(Serialize)]
struct ModelInput<'a> {
    model_id: &'a str,
}

#[derive(Serialize)]
struct ModelOutput<'a> {
    model_id: &'a str,
    step: i64,
}

pub(crate) fn run(record: &ledger::RunRecord) -> Run<'_> {
    let data = &record.data;
    Run {
        info: run_info(&record.run),
        data: RunData {
            metrics: List(&data.metrics, metric),
            params: params(&data.params),
            tags: tags(&data.tags),
        },
        inputs: RunInputs {
            dataset_inputs: List(&data.inputs, dataset_input),
            model_inputs: List(&data.model_inputs, |model_id| ModelInput { model_id }),
        },
        outputs: RunOutputs {
            model_outputs: List(&data.model_outputs, |output| ModelOutput {
                model_id: &output.model_id,
                step: output.step,
            }),
        },
    }
}

fn dataset_input(input: &ledger::DatasetInput) -> DatasetInput<'_> {
    let dataset = &input.dataset;
    DatasetInput {
        tags: tags(&input.tags),
        dataset: Dataset {
            name: &dataset.name,
            digest: &dataset.digest,
            source_type: &dataset.source_type,
            source: &dataset.source,
            schema: dataset.schema.as_deref(),
            profile: dataset.profile.as_deref(),
        },
    }
}

#[derive(Serialize)]
pub(crate) struct DatasetSummary<'a> {
    experiment_id: &'a str,
    name: &'a str,
    digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

pub(crate) fn dataset_summary(summary: &ledger::DatasetSummary) -> DatasetSummary<'_> {
    DatasetSummary {
        experiment_id: &summary.experiment_id,
        name: &summary.name,
        digest: &summary.digest,
        context: summary.context.as_deref(),
    }
}

/// One line of an artifact listing. MLflow's server leaves out the size of an empty file.
#[derive(Serialize)]
pub(crate) struct FileInfo<'a> {
    pub(crate) path: &'a str,
    pub(crate) is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_size: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct RegisteredModel<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "is_blank")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "List::is_empty")]
    latest_versions: List<'a, ledger::ModelVersion, ModelVersion<'a>>,
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
    #[serde(skip_serializing_if = "List::is_empty")]
    aliases: List<'a, ledger::ModelAlias, Alias<'a>>,
}

fn is_blank(text: &Option<&str>) -> bool {
    text.is_none_or(str::is_empty)
}

#[derive(Serialize)]
struct Alias<'a> {
    alias: &'a str,
    version: String,
}

pub(crate) fn registered_model(model: &ledger::RegisteredModel) -> RegisteredModel<'_> {
    RegisteredModel {
        name: &model.name,
        creation_timestamp: model.created_ms,
        last_updated_timestamp: model.updated_ms,
        description: model.description.as_deref(),
        // Aliases are told once, on the model.
        latest_versions: List(&model.latest_versions, |version| ModelVersion {
            aliases: &[],
            ..model_version(version)
        }),
        tags: tags(&model.tags),
        aliases: List(&model.aliases, |alias| Alias {
            alias: &alias.alias,
            version: alias.version.to_string(),
        }),
    }
}

#[derive(Serialize)]
pub(crate) struct ModelVersion<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    current_stage: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "is_blank")]
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_link: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
}

pub(crate) fn model_version(version: &ledger::ModelVersion) -> ModelVersion<'_> {
    ModelVersion {
        name: &version.name,
        version: version.version.to_string(),
        creation_timestamp: version.created_ms,
        last_updated_timestamp: version.updated_ms,
        user_id: version.user.as_deref(),
        current_stage: version.stage.as_str(),
        description: version.description.as_deref(),
        source: version.source.as_deref(),
        run_id: version.run_id.as_deref(),
        status: version.status.as_str(),
        status_message: version.status_message.as_deref(),
        tags: tags(&version.tags),
        run_link: version.run_link.as_deref(),
        aliases: &version.aliases,
    }
}

#[derive(Serialize)]
pub(crate) struct LoggedModel<'a> {
    info: LoggedModelInfo<'a>,
    data: LoggedModelData<'a>,
}

#[derive(Serialize)]
struct LoggedModelInfo<'a> {
    model_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "List::is_empty")]
    tags: Pairs<'a, ledger::Tag>,
}

#[derive(Serialize)]
struct LoggedModelData<'a> {
    #[serde(skip_serializing_if = "List::is_empty")]
    params: Pairs<'a, ledger::Param>,
    #[serde(skip_serializing_if = "LoggedModelMetrics::is_empty")]
    metrics: LoggedModelMetrics<'a>,
}

struct LoggedModelMetrics<'a> {
    model_id: &'a str,
    metrics: &'a [ledger::ModelMetric],
}

impl LoggedModelMetrics<'_> {
    fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }
}

impl Serialize for LoggedModelMetrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.metrics.iter().map(|metric| LoggedModelMetric {
            key: &metric.key,
            value: Float(metric.value),
            timestamp: metric.timestamp_ms,
            step: metric.step,
            dataset_name: metric.dataset_name.as_deref(),
            dataset_digest: metric.dataset_digest.as_deref(),
            model_id: self.model_id,
            run_id: &metric.run_id,
        }))
    }
}

#[derive(Serialize)]
struct LoggedModelMetric<'a> {
    key: &'a str,
    value: Float,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    model_id: &'a str,
    run_id: &'a str,
}

pub(crate) fn logged_model(model: &ledger::LoggedModel) -> LoggedModel<'_> {
    LoggedModel {
        info: LoggedModelInfo {
            model_id: &model.id,
            experiment_id: &model.experiment_id,
            name: &model.name,
            creation_timestamp_ms: model.created_ms,
            last_updated_timestamp_ms: model.updated_ms,
            artifact_uri: &model.artifact_location,
            status: match model.status {
                ledger::LoggedModelStatus::Unspecified => "LOGGED_MODEL_STATUS_UNSPECIFIED",
                ledger::LoggedModelStatus::Pending => "LOGGED_MODEL_PENDING",
                ledger::LoggedModelStatus::Ready => "LOGGED_MODEL_READY",
                ledger::LoggedModelStatus::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
            },
            model_type: model.model_type.as_deref(),
            source_run_id: model.source_run_id.as_deref(),
            status_message: model.status_message.as_deref(),
            tags: tags(&model.tags),
        },
        data: LoggedModelData {
            params: params(&model.params),
            metrics: LoggedModelMetrics { model_id: &model.id, metrics: &model.metrics },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_fields_are_left_out() {
        let record = ledger::RunRecord::default();
        let json = serde_json::to_string(&run(&record)).expect("a run is JSON");
        assert!(json.contains("\"data\":{}"), "{json}");
        assert!(json.contains("\"inputs\":{}"), "{json}");
        assert!(!json.contains("end_time"), "{json}");
    }
}
