//! Calls on runs and on what is recorded in them.

use mynah_ledger::{
    Batch, Dataset, DatasetInput, ErrorKind, Ledger, Metric, ModelOutput, NewRun, Page, Param, RunStatus,
    RunUpdate, SearchRuns, Tag,
};
use serde::Serialize;

use super::{SEARCH_RESULTS, SEARCH_RESULTS_MAX, owned, tags_of, view_of, wire};
use crate::answer::{ApiError, Reply, reply, reply_empty};
use crate::fields::Fields;

/// MLflow's tag that lists the models logged in a run, as JSON.
const MODEL_HISTORY_TAG: &str = "mlflow.log-model.history";

#[derive(Serialize)]
struct One<'a> {
    run: wire::Run<'a>,
}

/// Old clients say `run_uuid`.
fn run_id(fields: &Fields) -> Result<&str, ApiError> {
    match fields.filled_if("run_id")? {
        Some(id) => Ok(id),
        None => match fields.filled_if("run_uuid")? {
            Some(id) => Ok(id),
            None => fields.filled("run_id"),
        },
    }
}

pub(super) fn create(ledger: &Ledger, mut fields: Fields) -> Reply {
    let record = ledger.create_run(NewRun {
        tags: tags_of(&mut fields)?,
        experiment_id: fields.filled_if("experiment_id")?.unwrap_or("0").to_string(),
        user: fields.string_if("user_id")?.unwrap_or_default().to_string(),
        start_time_ms: fields.integer_if("start_time")?,
        name: fields.filled_if("run_name")?.map(str::to_string),
        run_id: None,
    })?;
    reply(&One { run: wire::run(&record) })
}

pub(super) fn get(ledger: &Ledger, fields: Fields) -> Reply {
    let record = ledger.run(run_id(&fields)?)?;
    reply(&One { run: wire::run(&record) })
}

pub(super) fn update(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Updated<'a> {
        run_info: wire::RunInfo<'a>,
    }
    let run = ledger.update_run(
        run_id(&fields)?,
        RunUpdate {
            status: status_of(&fields)?,
            end_time_ms: fields.integer_if("end_time")?,
            name: fields.string_if("run_name")?.map(str::to_string),
        },
    )?;
    reply(&Updated { run_info: wire::run_info(&run) })
}

/// A status by its name or by its number in MLflow's protocol, 1 to 5.
fn status_of(fields: &Fields) -> Result<Option<RunStatus>, ApiError> {
    if !fields.has("status") {
        return Ok(None);
    }
    let found = match fields.string_if("status") {
        Ok(name) => name.and_then(RunStatus::parse),
        Err(_) => fields
            .integer_if("status")?
            .and_then(|number| usize::try_from(number).ok()?.checked_sub(1))
            .and_then(|place| RunStatus::ALL.get(place).copied()),
    };
    found
        .map(Some)
        .ok_or_else(|| ApiError::invalid("'status' is none of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED"))
}

pub(super) fn delete(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_run(run_id(&fields)?)?;
    reply_empty()
}

pub(super) fn restore(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.restore_run(run_id(&fields)?)?;
    reply_empty()
}

pub(super) fn search(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        runs: Vec<wire::Run<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let page = ledger.search_runs(&SearchRuns {
        experiment_ids: owned(fields.strings("experiment_ids")?),
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        view: view_of(&fields, "run_view_type")?,
        order_by: owned(fields.strings("order_by")?),
        max_results: fields.count("max_results", SEARCH_RESULTS, SEARCH_RESULTS_MAX)?,
        page_token: fields.filled_if("page_token")?.map(str::to_string),
        skip_quarantined: false,
    })?;
    reply(&Found {
        runs: page.items.iter().map(wire::run).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

pub(super) fn log_metric(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.log_metric(run_id(&fields)?, metric_of(&fields)?)?;
    reply_empty()
}

fn metric_of(fields: &Fields) -> Result<Metric, ApiError> {
    let text = |name| Ok::<_, ApiError>(fields.filled_if(name)?.map(str::to_string));
    Ok(Metric {
        key: fields.filled("key")?.to_string(),
        value: fields.float("value")?,
        timestamp_ms: fields.integer("timestamp")?,
        step: fields.integer_if("step")?.unwrap_or(0),
        model_id: text("model_id")?,
        dataset_name: text("dataset_name")?,
        dataset_digest: text("dataset_digest")?,
    })
}

fn param_of(fields: &Fields) -> Result<Param, ApiError> {
    Ok(Param::new(fields.filled("key")?, fields.string_if("value")?.unwrap_or_default()))
}

pub(super) fn log_param(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.log_param(run_id(&fields)?, param_of(&fields)?)?;
    reply_empty()
}

pub(super) fn set_tag(ledger: &Ledger, fields: Fields) -> Reply {
    let value = fields.string_if("value")?.unwrap_or_default();
    ledger.set_tag(run_id(&fields)?, Tag::new(fields.filled("key")?, value))?;
    reply_empty()
}

pub(super) fn delete_tag(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_tag(run_id(&fields)?, fields.filled("key")?)?;
    reply_empty()
}

pub(super) fn log_batch(ledger: &Ledger, mut fields: Fields) -> Reply {
    let batch = Batch {
        metrics: fields.objects("metrics")?.iter().map(metric_of).collect::<Result<_, _>>()?,
        params: fields.objects("params")?.iter().map(param_of).collect::<Result<_, _>>()?,
        tags: tags_of(&mut fields)?,
    };
    ledger.log_batch(fields.filled("run_id")?, batch)?;
    reply_empty()
}

pub(super) fn log_inputs(ledger: &Ledger, mut fields: Fields) -> Reply {
    let datasets =
        fields.objects("datasets")?.into_iter().map(dataset_input_of).collect::<Result<Vec<_>, _>>()?;
    let models = fields
        .objects("models")?
        .iter()
        .map(|model| Ok(model.filled("model_id")?.to_string()))
        .collect::<Result<Vec<_>, ApiError>>()?;
    ledger.log_inputs(fields.filled("run_id")?, datasets, models)?;
    reply_empty()
}

fn dataset_input_of(mut fields: Fields) -> Result<DatasetInput, ApiError> {
    let tags = tags_of(&mut fields)?;
    let dataset =
        fields.object_if("dataset")?.ok_or_else(|| ApiError::invalid("an input has no 'dataset'"))?;
    let text = |name| Ok::<_, ApiError>(dataset.string_if(name)?.map(str::to_string));
    Ok(DatasetInput {
        dataset: Dataset {
            name: dataset.filled("name")?.to_string(),
            digest: dataset.filled("digest")?.to_string(),
            source_type: dataset.filled("source_type")?.to_string(),
            source: dataset.filled("source")?.to_string(),
            schema: text("schema")?,
            profile: text("profile")?,
        },
        tags,
    })
}

pub(super) fn log_outputs(ledger: &Ledger, mut fields: Fields) -> Reply {
    let models = fields
        .objects("models")?
        .iter()
        .map(|model| {
            Ok(ModelOutput {
                model_id: model.filled("model_id")?.to_string(),
                step: model.integer_if("step")?.unwrap_or(0),
            })
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    ledger.log_outputs(fields.filled("run_id")?, models)?;
    reply_empty()
}

/// Appends a model's description to a tag of the run, as clients before MLflow 3 expect.
pub(super) fn log_model(ledger: &Ledger, fields: Fields) -> Reply {
    /// Without these the entry would be of no use to a client.
    const NEEDED: [&str; 4] = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let run_id = fields.filled("run_id")?;
    let json = fields.filled("model_json")?;
    let model: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| ApiError::invalid(format!("'model_json' is not JSON: {error}")))?;
    if let Some(absent) = NEEDED.iter().find(|name| model.get(**name).is_none()) {
        return Err(ApiError::invalid(format!("'model_json' lacks the field '{absent}'")));
    }
    let record = ledger.run(run_id)?;
    let mut history = match record.data.tag(MODEL_HISTORY_TAG) {
        None => Vec::new(),
        Some(text) => serde_json::from_str::<Vec<serde_json::Value>>(text).map_err(|error| {
            ApiError::invalid(format!(
                "the tag {MODEL_HISTORY_TAG} of run {run_id} is not a JSON list: {error}"
            ))
        })?,
    };
    history.push(model);
    let text = serde_json::Value::Array(history).to_string();
    ledger.set_tag(run_id, Tag::new(MODEL_HISTORY_TAG, text))?;
    reply_empty()
}

pub(super) fn metric_history(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        metrics: Vec<wire::Metric<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let most = match fields.integer_if("max_results")? {
        None => None,
        Some(_) => Some(fields.count("max_results", 1, i32::MAX as usize)?),
    };
    let (run_id, key, token) =
        (run_id(&fields)?, fields.filled("metric_key")?, fields.filled_if("page_token")?);
    let page = match ledger.metric_history(run_id, key, most, token) {
        // To MLflow's server a run that does not exist has no points, and clients count on it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Page { items: Vec::new(), next_page_token: None }
        }
        found => found?,
    };
    reply(&Found {
        metrics: page.items.iter().map(wire::metric).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

/// The history of one metric in several runs, thinned out evenly.
pub(super) fn metric_history_bulk(ledger: &Ledger, fields: Fields) -> Reply {
    const RUNS_MAX: usize = 100;
    const POINTS: usize = 2_500;
    #[derive(Serialize)]
    struct Found<'a> {
        metrics: Vec<wire::RunMetric<'a>>,
    }
    let ids = owned(fields.strings("run_ids")?);
    if ids.is_empty() || ids.len() > RUNS_MAX {
        return Err(ApiError::invalid(format!("'run_ids' has {} entries; give 1 to {RUNS_MAX}", ids.len())));
    }
    let key = fields.filled("metric_key")?;
    let most = fields.count("max_results", POINTS, POINTS)?;
    let steps = match (fields.integer_if("start_step")?, fields.integer_if("end_step")?) {
        (None, None) => None,
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(first), Some(last)) => {
            return Err(ApiError::invalid(format!("start_step {first} is greater than end_step {last}")));
        }
        _ => return Err(ApiError::invalid("give both of 'start_step' and 'end_step', or none")),
    };
    let points = ledger.metric_sample(&ids, key, steps, most)?;
    reply(&Found { metrics: points.iter().map(|(id, point)| wire::run_metric(id, point)).collect() })
}
