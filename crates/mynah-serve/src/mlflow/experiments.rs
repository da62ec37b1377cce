//! Calls on experiments.

use mynah_ledger::{ErrorKind, Ledger, NewExperiment, SearchExperiments, Tag};
use serde::Serialize;

use super::{SEARCH_RESULTS, SEARCH_RESULTS_MAX, owned, tags_of, view_of, wire};
use crate::answer::{ApiError, Code, Reply, reply, reply_empty};
use crate::fields::Fields;

#[derive(Serialize)]
struct One<'a> {
    experiment: wire::Experiment<'a>,
}

pub(super) fn create(ledger: &Ledger, mut fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Created<'a> {
        experiment_id: &'a str,
    }
    let experiment = ledger.create_experiment(NewExperiment {
        tags: tags_of(&mut fields)?,
        name: fields.filled("name")?.to_string(),
        artifact_location: fields.filled_if("artifact_location")?.map(str::to_string),
    })?;
    reply(&Created { experiment_id: &experiment.id })
}

pub(super) fn get(ledger: &Ledger, fields: Fields) -> Reply {
    let experiment = ledger.experiment(fields.filled("experiment_id")?)?;
    reply(&One { experiment: wire::experiment(&experiment) })
}

pub(super) fn get_by_name(ledger: &Ledger, fields: Fields) -> Reply {
    let experiment = ledger.experiment_by_name(fields.filled("experiment_name")?)?;
    reply(&One { experiment: wire::experiment(&experiment) })
}

pub(super) fn search(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        experiments: Vec<wire::Experiment<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let page = ledger.search_experiments(&SearchExperiments {
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        view: view_of(&fields, "view_type")?,
        order_by: owned(fields.strings("order_by")?),
        max_results: fields.count("max_results", SEARCH_RESULTS, SEARCH_RESULTS_MAX)?,
        page_token: fields.filled_if("page_token")?.map(str::to_string),
    })?;
    reply(&Found {
        experiments: page.items.iter().map(wire::experiment).collect(),
        next_page_token: page.next_page_token.as_deref(),
    })
}

pub(super) fn update(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.rename_experiment(fields.filled("experiment_id")?, fields.filled("new_name")?).map_err(
        |error| match error.kind() {
            // MLflow's server has no better word for a taken name here.
            ErrorKind::AlreadyExists => ApiError::new(Code::BadRequest, error.to_string()),
            _ => error.into(),
        },
    )?;
    reply_empty()
}

pub(super) fn delete(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_experiment(fields.filled("experiment_id")?)?;
    reply_empty()
}

pub(super) fn restore(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.restore_experiment(fields.filled("experiment_id")?)?;
    reply_empty()
}

pub(super) fn set_tag(ledger: &Ledger, fields: Fields) -> Reply {
    let tag = Tag::new(fields.filled("key")?, fields.string_if("value")?.unwrap_or_default());
    ledger.set_experiment_tag(fields.filled("experiment_id")?, tag)?;
    reply_empty()
}

pub(super) fn delete_tag(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.delete_experiment_tag(fields.filled("experiment_id")?, fields.filled("key")?)?;
    reply_empty()
}

pub(super) fn search_datasets(ledger: &Ledger, fields: Fields) -> Reply {
    /// As many experiments as MLflow's server takes in one call.
    const EXPERIMENTS_MAX: usize = 20;
    #[derive(Serialize)]
    struct Found<'a> {
        dataset_summaries: Vec<wire::DatasetSummary<'a>>,
    }
    let ids = owned(fields.strings("experiment_ids")?);
    if ids.is_empty() || ids.len() > EXPERIMENTS_MAX {
        return Err(ApiError::invalid(format!(
            "'experiment_ids' has {} entries; give 1 to {EXPERIMENTS_MAX}",
            ids.len()
        )));
    }
    let summaries = ledger.datasets(&ids)?;
    reply(&Found { dataset_summaries: summaries.iter().map(wire::dataset_summary).collect() })
}
