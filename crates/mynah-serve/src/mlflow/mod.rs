//! MLflow's tracking server API, version 2.0 with the calls that version 3.0 of it added.
//!
//! What a client may call is the table below, row by row. Calls of MLflow that have nothing to do with runs
//! and models (traces, prompts' jobs, gateways, …) are answered as not implemented, so that a client says so
//! instead of guessing.

mod artifacts;
mod experiments;
mod models;
mod promotion;
mod registry;
mod runs;
mod server;
mod sources;
pub(crate) mod wire;

use axum::http::Method;
use mynah_ledger::{Ledger, Tag, View};

use crate::answer::{ApiError, Reply};
use crate::fields::Fields;
use crate::governance::Caller;
use crate::router::{Endpoint, Handler};

pub(crate) use artifacts::routes as artifact_routes;
pub(crate) use server::{COMPATIBLE_VERSION, not_implemented_routes};

/// Clients call under the first two; MLflow's own page calls under the others, and so may whoever wrote to it.
pub(crate) const PREFIXES: [&str; 4] = ["/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0"];

/// Results of a search that names no number.
const SEARCH_RESULTS: usize = 1_000;
/// Most results of one page of a search.
const SEARCH_RESULTS_MAX: usize = 50_000;

type Plain = fn(&Ledger, Fields) -> Reply;

const fn get(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::GET, path, handler: Handler::Ledger(handler) }
}

const fn post(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::POST, path, handler: Handler::Ledger(handler) }
}

const fn patch(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::PATCH, path, handler: Handler::Ledger(handler) }
}

const fn delete(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::DELETE, path, handler: Handler::Ledger(handler) }
}

/// A call that the policy decides about.
const fn governed(path: &'static str, handler: fn(&Caller<'_>, Fields) -> Reply) -> Endpoint {
    Endpoint { method: Method::POST, path, handler: Handler::Governed(handler) }
}

/// Every call that speaks JSON.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    get("/mlflow/server-info", server::info),
    post("/mlflow/experiments/create", experiments::create),
    get("/mlflow/experiments/get", experiments::get),
    get("/mlflow/experiments/get-by-name", experiments::get_by_name),
    post("/mlflow/experiments/search", experiments::search),
    get("/mlflow/experiments/search", experiments::search),
    post("/mlflow/experiments/update", experiments::update),
    post("/mlflow/experiments/delete", experiments::delete),
    post("/mlflow/experiments/restore", experiments::restore),
    post("/mlflow/experiments/set-experiment-tag", experiments::set_tag),
    post("/mlflow/experiments/delete-experiment-tag", experiments::delete_tag),
    post("/mlflow/experiments/search-datasets", experiments::search_datasets),
    post("/mlflow/runs/create", runs::create),
    get("/mlflow/runs/get", runs::get),
    post("/mlflow/runs/update", runs::update),
    post("/mlflow/runs/delete", runs::delete),
    post("/mlflow/runs/restore", runs::restore),
    post("/mlflow/runs/search", runs::search),
    post("/mlflow/runs/log-metric", runs::log_metric),
    post("/mlflow/runs/log-parameter", runs::log_param),
    post("/mlflow/runs/set-tag", runs::set_tag),
    post("/mlflow/runs/delete-tag", runs::delete_tag),
    post("/mlflow/runs/log-batch", runs::log_batch),
    post("/mlflow/runs/log-inputs", runs::log_inputs),
    post("/mlflow/runs/outputs", runs::log_outputs),
    post("/mlflow/runs/log-model", runs::log_model),
    get("/mlflow/metrics/get-history", runs::metric_history),
    get("/mlflow/metrics/get-history-bulk-interval", runs::metric_history_bulk),
    get("/mlflow/artifacts/list", artifacts::list_of_run),
    post("/mlflow/logged-models", models::create),
    post("/mlflow/logged-models/search", models::search),
    get("/mlflow/logged-models/{model_id}", models::get),
    patch("/mlflow/logged-models/{model_id}", models::finalize),
    delete("/mlflow/logged-models/{model_id}", models::delete),
    post("/mlflow/logged-models/{model_id}/params", models::log_params),
    patch("/mlflow/logged-models/{model_id}/tags", models::set_tags),
    delete("/mlflow/logged-models/{model_id}/tags/{tag_key}", models::delete_tag),
    get("/mlflow/logged-models/{model_id}/artifacts/directories", artifacts::list_of_model),
    post("/mlflow/registered-models/create", registry::create_model),
    get("/mlflow/registered-models/get", registry::get_model),
    patch("/mlflow/registered-models/update", registry::update_model),
    post("/mlflow/registered-models/rename", registry::rename_model),
    delete("/mlflow/registered-models/delete", registry::delete_model),
    get("/mlflow/registered-models/search", registry::search_models),
    post("/mlflow/registered-models/get-latest-versions", registry::latest_versions),
    get("/mlflow/registered-models/get-latest-versions", registry::latest_versions),
    post("/mlflow/registered-models/set-tag", registry::set_model_tag),
    delete("/mlflow/registered-models/delete-tag", registry::delete_model_tag),
    governed("/mlflow/registered-models/alias", registry::set_alias),
    delete("/mlflow/registered-models/alias", registry::delete_alias),
    get("/mlflow/registered-models/alias", registry::version_by_alias),
    post("/mlflow/model-versions/create", registry::create_version),
    get("/mlflow/model-versions/get", registry::get_version),
    patch("/mlflow/model-versions/update", registry::update_version),
    governed("/mlflow/model-versions/transition-stage", registry::transition_stage),
    delete("/mlflow/model-versions/delete", registry::delete_version),
    get("/mlflow/model-versions/search", registry::search_versions),
    get("/mlflow/model-versions/get-download-uri", registry::download_uri),
    post("/mlflow/model-versions/set-tag", registry::set_version_tag),
    delete("/mlflow/model-versions/delete-tag", registry::delete_version_tag),
];

/// The field `tags`: a list of pairs.
fn tags_of(fields: &mut Fields) -> Result<Vec<Tag>, ApiError> {
    fields
        .objects("tags")?
        .iter()
        .map(|tag| Ok(Tag::new(tag.filled("key")?, tag.string_if("value")?.unwrap_or_default())))
        .collect()
}

/// A view by its name or by its number in MLflow's protocol, 1 to 3; active runs where nothing is said.
fn view_of(fields: &Fields, name: &str) -> Result<View, ApiError> {
    if !fields.has(name) {
        return Ok(View::ActiveOnly);
    }
    let number = match fields.string_if(name) {
        Ok(Some("ACTIVE_ONLY")) => Some(1),
        Ok(Some("DELETED_ONLY")) => Some(2),
        Ok(Some("ALL")) => Some(3),
        _ => fields.integer_if(name)?,
    };
    match number {
        Some(1) => Ok(View::ActiveOnly),
        Some(2) => Ok(View::DeletedOnly),
        Some(3) => Ok(View::All),
        _ => Err(ApiError::invalid(format!("'{name}' is none of ACTIVE_ONLY, DELETED_ONLY, ALL"))),
    }
}

fn owned(list: Vec<&str>) -> Vec<String> {
    list.into_iter().map(str::to_string).collect()
}
