//! What is asked about the server itself: health, models, metrics.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use mynah_engine::live::{STEP_BUCKETS_MS, State};
use serde_json::{Value, json};

use super::failure::{Failure, Kind, Outcome};
use super::model::ServedModel;
use super::{App, json_response};

/// 200 while requests are answered, 503 when the engine is dead, stuck or draining.
pub(crate) fn health(app: &App) -> Response<Body> {
    let mut is_well = true;
    let engines: Vec<Value> = app
        .engines()
        .map(|model| {
            let health = model.engine.health();
            is_well &= health.is_well() && health.accepts;
            let state = match health.state {
                State::Idle => "idle",
                State::Busy => "busy",
                State::Stuck => "stuck",
                State::Dead => "dead",
                State::Stopped => "stopped",
            };
            json!({
                "model": model.name, "state": state, "accepts": health.accepts, "requests": model.engine.requests(),
                "last_step_ms": health.last_step_ago.map(|ago| ago.as_millis() as u64),
            })
        })
        .collect();
    let status = if is_well { "ok" } else { "unavailable" };
    let mut response = json_response(&json!({"status": status, "engines": engines}));
    if !is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn model_json(model: &ServedModel) -> Value {
    json!({
        "id": model.name, "object": "model", "created": model.created_s, "owned_by": "mynah",
        "max_model_len": model.engine.context_length(),
    })
}

/// `/v1/models`
pub(crate) fn models(app: &App) -> Response<Body> {
    let all: Vec<Value> = app.models.iter().map(model_json).collect();
    json_response(&json!({"object": "list", "data": all}))
}

/// `/v1/models/{id}`
pub(crate) fn model(app: &App, id: &str) -> Outcome<Response<Body>> {
    match app.models.iter().find(|model| model.name == id) {
        Some(model) => Ok(json_response(&model_json(model))),
        None => Err(unknown_model(app, id)),
    }
}

pub(crate) fn unknown_model(app: &App, id: &str) -> Failure {
    let names: Vec<&str> = app.models.iter().map(|model| model.name.as_str()).collect();
    let short: String = id.chars().take(100).collect();
    let message = format!("there is no model '{short}' here; this server has {}", names.join(", "));
    Failure {
        param: Some("model".to_string()),
        code: Some("model_not_found"),
        ..Failure::new(Kind::NotFound, message)
    }
}

/// `/metrics`, in Prometheus' text format 0.0.4.
pub(crate) fn metrics(app: &App) -> Response<Body> {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&ServedModel) -> f64| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP mynah_{name} {help}\n# TYPE mynah_{name} {kind}");
        for model in app.engines() {
            let _ = writeln!(text, "mynah_{name}{{model=\"{}\"}} {}", label(&model.name), value(model));
        }
    };
    type Reader = fn(&mynah_engine::live::Metrics) -> f64;
    let families: [(&str, &str, &str, Reader); 17] = [
        ("requests_queued", "gauge", "Sequences that wait.", |m| m.queued as f64),
        ("requests_running", "gauge", "Sequences that run.", |m| m.running as f64),
        ("cache_pages", "gauge", "Pages of the key/value cache.", |m| m.pages as f64),
        ("cache_pages_used", "gauge", "Pages held by sequences.", |m| m.pages_used as f64),
        ("cache_pages_free", "gauge", "Pages that nobody holds.", |m| m.pages_free as f64),
        ("cache_pages_prefix", "gauge", "Pages that only the prefix cache holds.", |m| m.pages_cached as f64),
        ("prompt_tokens_total", "counter", "Tokens of prompts.", |m| m.prompt_tokens as f64),
        ("prefix_hit_tokens_total", "counter", "Tokens of prompts found in the prefix cache.", |m| {
            m.prefix_hit_tokens as f64
        }),
        ("completion_tokens_total", "counter", "Tokens sampled.", |m| m.completion_tokens as f64),
        ("drafted_tokens_total", "counter", "Tokens guessed.", |m| m.drafted_tokens as f64),
        ("accepted_tokens_total", "counter", "Guessed tokens that were right.", |m| m.accepted_tokens as f64),
        ("steps_total", "counter", "Steps of the model.", |m| m.steps as f64),
        ("preemptions_total", "counter", "Sequences put back to make room.", |m| m.preemptions as f64),
        ("requests_completed_total", "counter", "Requests that were completed.", |m| m.completed as f64),
        ("requests_cancelled_total", "counter", "Requests whose client went away.", |m| {
            m.cancellations as f64
        }),
        ("requests_failed_total", "counter", "Requests that failed.", |m| m.failures as f64),
        ("weights_version", "gauge", "How often the weights were changed.", |m| m.weights_version as f64),
    ];
    for (name, kind, help, read) in families {
        family(name, kind, help, &|model| read(&model.engine.metrics()));
    }
    family("up", "gauge", "1 while the engine answers.", &|model| {
        f64::from(u8::from(model.engine.health().is_well()))
    });
    steps(app, &mut text);
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

/// Step times as a histogram in seconds.
fn steps(app: &App, text: &mut String) {
    let name = "mynah_step_seconds";
    let _ = writeln!(text, "# HELP {name} Time of a step of the model.\n# TYPE {name} histogram");
    for model in app.engines() {
        let (metrics, model) = (model.engine.metrics(), label(&model.name));
        let mut sum = 0;
        for (place, count) in metrics.step_time_counts.iter().enumerate() {
            sum += count;
            let bound = STEP_BUCKETS_MS
                .get(place)
                .map_or("+Inf".to_string(), |ms| format!("{}", *ms as f64 / 1_000.0));
            let _ = writeln!(text, "{name}_bucket{{model=\"{model}\",le=\"{bound}\"}} {sum}");
        }
        let total = metrics.step_time_total_us as f64 / 1e6;
        let _ = writeln!(
            text,
            "{name}_sum{{model=\"{model}\"}} {total}\n{name}_count{{model=\"{model}\"}} {sum}"
        );
    }
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
