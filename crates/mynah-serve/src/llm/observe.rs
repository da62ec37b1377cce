//! What is asked about the server itself: health and models. Its figures: [`metrics`].

mod metrics;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use mynah_engine::live::State;
use serde_json::{Value, json};

use super::embedder::EmbeddingModel;
use super::failure::{Failure, Kind, Outcome};
use super::model::ServedModel;
use super::{App, json_response};
use crate::llm::catalogue::Entry;

pub(crate) use metrics::metrics;

/// 200 while the process is worth keeping, 503 when an engine is dead or stuck: for whoever starts it anew. A server that
/// holds, pauses or drains lives.
pub(crate) fn live(app: &App) -> Response<Body> {
    let is_lost = |state: State| matches!(state, State::Dead | State::Stuck);
    let mut lost: Vec<String> = Vec::new();
    for model in app.models.engines() {
        let state = model.engine.health().state;
        if is_lost(state) {
            lost.push(format!(
                "the engine of {} is {}",
                model.name,
                if state == State::Dead { "dead" } else { "stuck" }
            ));
        }
    }
    for model in app.models.embedders().iter().filter(|model| model.state() == "stuck") {
        lost.push(format!("{} is stuck", model.name));
    }
    told(lost)
}

/// 200 while requests may be routed here, 503 with the reasons otherwise: for load balancers.
pub(crate) fn ready(app: &App) -> Response<Body> {
    let mut why: Vec<String> = Vec::new();
    if app.traffic.is_draining() {
        why.push("is being shut down".to_string());
    }
    for model in app.models.engines() {
        let health = model.engine.health();
        if !health.is_well() || !health.accepts {
            why.push(format!("the engine of {} takes no requests", model.name));
        }
    }
    for model in app.models.embedders().iter().filter(|model| model.state() == "stuck") {
        why.push(format!("{} is stuck", model.name));
    }
    why.extend(app.hot.as_ref().and_then(|hot| hot.not_ready()));
    told(why)
}

fn told(why: Vec<String>) -> Response<Body> {
    if why.is_empty() {
        return json_response(&json!({"status": "ok"}));
    }
    let mut response = json_response(&json!({"status": "unavailable", "reason": why.join("; ")}));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// 200 while requests are answered, 503 when the engine is dead, stuck or draining, or the weights hold.
pub(crate) fn health(app: &App) -> Response<Body> {
    let is_draining = app.traffic.is_draining();
    let mut is_well = !is_draining;
    let mut engines: Vec<Value> = Vec::new();
    for model in app.models.engines() {
        let health = model.engine.health();
        is_well &= health.is_well() && health.accepts;
        let state = match health.state {
            State::Idle => "idle",
            State::Busy => "busy",
            State::Stuck => "stuck",
            State::Dead => "dead",
            State::Stopped => "stopped",
        };
        engines.push(json!({
            "model": model.name, "state": state, "accepts": health.accepts, "requests": model.engine.requests(),
            "last_step_ms": health.last_step_ago.map(|ago| ago.as_millis() as u64),
        }));
    }
    for model in app.models.embedders() {
        let state = model.state();
        is_well &= state != "stuck";
        engines.push(json!({
            "model": model.name, "state": state, "accepts": !is_draining, "requests": model.requests(),
            "last_step_ms": null,
        }));
    }
    let why = app.hot.as_ref().and_then(|hot| hot.not_ready());
    is_well &= why.is_none();
    let status = if is_well { "ok" } else { "unavailable" };
    let mut response = {
        let mut value = json!({"status": status, "engines": engines});
        if let Some(why) = why {
            value["reason"] = json!(why);
        }
        json_response(&value)
    };
    if !is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// A model as clients see it; an adapter names the model it changes.
pub(crate) fn model_json(app: &App, model: &ServedModel) -> Value {
    let mut value = json!({
        "id": model.name, "object": "model", "created": model.created_s, "owned_by": "mynah",
        "max_model_len": model.engine.context_length(),
        "kind": if model.prompter.is_some() { "chat" } else { "completion" },
    });
    let tools = &app.config.tools.0;
    if !tools.is_empty() && model.can_call() {
        value["server_tools"] = tools.iter().map(|tool| tool.definition()).collect();
    }
    if let Some(version) = app.hot.as_ref().and_then(|hot| hot.live()) {
        value["weights"] = json!(version.to_string());
    }
    if let Some(adapter) = &model.adapter {
        // An adapter and its model share the timing.
        let engines = app.models.engines();
        let parent =
            engines.iter().find(|base| base.meter.is_same(&model.meter)).map(|base| base.name.clone());
        value["parent"] = json!(parent);
        value["root"] = json!(adapter.folder().to_string_lossy());
    }
    value
}

fn embedder_json(model: &EmbeddingModel) -> Value {
    json!({
        "id": model.name, "object": "model", "created": model.created_s, "owned_by": "mynah",
        "max_model_len": model.context_length, "kind": "embedding",
    })
}

/// `/v1/models`
pub(crate) fn models(app: &App) -> Response<Body> {
    let generators = app.models.generators();
    let mut all: Vec<Value> = generators.iter().map(|model| model_json(app, model)).collect();
    all.extend(app.models.embedders().iter().map(|model| embedder_json(model)));
    json_response(&json!({"object": "list", "data": all}))
}

/// `/v1/models/{id}`
pub(crate) fn model(app: &App, id: &str) -> Outcome<Response<Body>> {
    match app.models.find(id) {
        Some(Entry::Generator(model)) => Ok(json_response(&model_json(app, &model))),
        Some(Entry::Embedder(model)) => Ok(json_response(&embedder_json(&model))),
        None => Err(unknown_model(app, id)),
    }
}

pub(crate) fn unknown_model(app: &App, id: &str) -> Failure {
    let short: String = id.chars().take(100).collect();
    let message =
        format!("there is no model '{short}' here; this server has {}", app.models.names().join(", "));
    Failure {
        param: Some("model".to_string()),
        code: Some("model_not_found"),
        ..Failure::new(Kind::NotFound, message)
    }
}
