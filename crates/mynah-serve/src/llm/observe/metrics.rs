//! `/metrics`, in Prometheus' text format 0.0.4. What vLLM has too is called as there, with `mynah_` before it.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use mynah_engine::live::{Metrics, STEP_BUCKETS_MS};

use crate::llm::App;
use crate::llm::meter::{Figures, LONG_BOUNDS_S, REASONS, SHORT_BOUNDS_S};
use crate::llm::model::ServedModel;

type Reader = fn(&Metrics) -> f64;

/// Name, kind, help, value; one figure a model.
const FAMILIES: [(&str, &str, &str, Reader); 18] = [
    ("num_requests_waiting", "gauge", "Sequences that wait.", |m| m.queued as f64),
    ("num_requests_running", "gauge", "Sequences that run.", |m| m.running as f64),
    ("kv_cache_usage_perc", "gauge", "Share of the cache's pages that sequences hold, 0 to 1.", |m| {
        m.pages_used as f64 / (m.pages as f64).max(1.0)
    }),
    ("cache_pages", "gauge", "Pages of the key/value cache.", |m| m.pages as f64),
    ("cache_pages_used", "gauge", "Pages held by sequences.", |m| m.pages_used as f64),
    ("cache_pages_free", "gauge", "Pages that nobody holds.", |m| m.pages_free as f64),
    ("cache_pages_prefix", "gauge", "Pages that only the prefix cache holds.", |m| m.pages_cached as f64),
    ("prompt_tokens_total", "counter", "Tokens of prompts.", |m| m.prompt_tokens as f64),
    ("prefix_cache_queries_total", "counter", "Tokens of prompts looked up in the prefix cache.", |m| {
        m.prompt_tokens as f64
    }),
    ("prefix_cache_hits_total", "counter", "Tokens of prompts found in the prefix cache.", |m| {
        m.prefix_hit_tokens as f64
    }),
    ("generation_tokens_total", "counter", "Tokens sampled.", |m| m.completion_tokens as f64),
    ("spec_decode_num_draft_tokens_total", "counter", "Tokens guessed.", |m| m.drafted_tokens as f64),
    ("spec_decode_num_accepted_tokens_total", "counter", "Guessed tokens that were right.", |m| {
        m.accepted_tokens as f64
    }),
    ("num_preemptions_total", "counter", "Sequences put back to make room.", |m| m.preemptions as f64),
    ("requests_completed_total", "counter", "Requests that were completed.", |m| m.completed as f64),
    ("requests_cancelled_total", "counter", "Requests whose client went away.", |m| m.cancellations as f64),
    ("requests_failed_total", "counter", "Requests that failed in the engine.", |m| m.failures as f64),
    ("weights", "gauge", "The number of the weights that requests get.", |m| f64::from(m.weights)),
];

/// All figures of the server.
pub(crate) fn metrics(app: &App) -> Response<Body> {
    let mut text = String::new();
    let models: Vec<(ServedModel, Metrics)> =
        app.models.engines().into_iter().map(|model| (model.clone(), model.engine.metrics())).collect();
    for (name, kind, help, read) in FAMILIES {
        head(&mut text, name, kind, help);
        for (model, metrics) in &models {
            line(&mut text, name, &format!("model=\"{}\"", label(&model.name)), read(metrics));
        }
    }
    head(&mut text, "up", "gauge", "1 while the engine answers.");
    for (model, _) in &models {
        let up = f64::from(u8::from(model.engine.health().is_well()));
        line(&mut text, "up", &format!("model=\"{}\"", label(&model.name)), up);
    }
    head(&mut text, "request_success_total", "counter", "Samples by how they ended.");
    for (model, _) in &models {
        for (place, reason) in REASONS.iter().enumerate() {
            let labels = format!("model=\"{}\",finished_reason=\"{reason}\"", label(&model.name));
            line(&mut text, "request_success_total", &labels, model.meter.figures().ended(place) as f64);
        }
    }
    times(&mut text, &models);
    steps(&mut text, &models);
    embedders(app, &mut text);
    if let (Some(hot), Some((model, _))) = (&app.hot, models.first()) {
        let (figures, epoch) = hot.figures();
        figures.write(&mut text, &format!("model=\"{}\"", label(&model.name)), epoch);
    }
    head(&mut text, "http_requests_total", "counter", "Requests by call, method and status.");
    for ((handler, method, status), count) in app.traffic.counts() {
        let labels = format!("handler=\"{}\",method=\"{method}\",status=\"{status}\"", label(&handler));
        line(&mut text, "http_requests_total", &labels, count as f64);
    }
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

// Writing to a string does not fail.

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP mynah_{name} {help}\n# TYPE mynah_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(text, "mynah_{name}{{{labels}}} {value}");
}

/// How long answers take, as clients feel it.
fn times(text: &mut String, models: &[(ServedModel, Metrics)]) {
    type Read = fn(&Figures) -> (Vec<u64>, f64);
    let families: [(&str, &str, &[f64], Read); 3] = [
        ("time_to_first_token_seconds", "From a request to its first token.", &LONG_BOUNDS_S, |figures| {
            (figures.first_token.counts(), figures.first_token.total_s())
        }),
        ("inter_token_latency_seconds", "From token to token.", &SHORT_BOUNDS_S, |figures| {
            (figures.between_tokens.counts(), figures.between_tokens.total_s())
        }),
        ("e2e_request_latency_seconds", "From a request to its end.", &LONG_BOUNDS_S, |figures| {
            (figures.whole.counts(), figures.whole.total_s())
        }),
    ];
    for (name, help, bounds, read) in families {
        head(text, name, "histogram", help);
        for (model, _) in models {
            let (counts, total_s) = read(model.meter.figures());
            histogram(text, name, &model.name, bounds, &counts, total_s);
        }
    }
}

/// Step times.
fn steps(text: &mut String, models: &[(ServedModel, Metrics)]) {
    head(text, "step_seconds", "histogram", "Time of a step of the model.");
    let bounds: Vec<f64> = STEP_BUCKETS_MS.iter().map(|ms| *ms as f64 / 1_000.0).collect();
    for (model, metrics) in models {
        let total_s = metrics.step_time_total_us as f64 / 1e6;
        histogram(text, "step_seconds", &model.name, &bounds, &metrics.step_time_counts, total_s);
    }
}

/// Prometheus wants each bucket to hold those before it.
fn histogram(text: &mut String, name: &str, model: &str, bounds: &[f64], counts: &[u64], total_s: f64) {
    let model = label(model);
    let mut sum = 0;
    for (place, count) in counts.iter().enumerate() {
        sum += count;
        let bound = bounds.get(place).map_or("+Inf".to_string(), f64::to_string);
        let _ = writeln!(text, "mynah_{name}_bucket{{model=\"{model}\",le=\"{bound}\"}} {sum}");
    }
    let _ = writeln!(text, "mynah_{name}_sum{{model=\"{model}\"}} {total_s}");
    let _ = writeln!(text, "mynah_{name}_count{{model=\"{model}\"}} {sum}");
}

fn embedders(app: &App, text: &mut String) {
    if app.models.embedders().is_empty() {
        return;
    }
    type Read = fn(&crate::llm::embedder::EmbeddingModel) -> f64;
    let families: [(&str, &str, &str, Read); 3] = [
        ("embedding_requests_waiting", "gauge", "Requests for embeddings that run or wait.", |model| {
            model.requests() as f64
        }),
        ("embedding_requests_total", "counter", "Requests for embeddings answered.", |model| {
            model.totals().0 as f64
        }),
        ("embedding_tokens_total", "counter", "Tokens that were embedded.", |model| model.totals().1 as f64),
    ];
    for (name, kind, help, read) in families {
        head(text, name, kind, help);
        for model in app.models.embedders() {
            line(text, name, &format!("model=\"{}\"", label(&model.name)), read(model));
        }
    }
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
