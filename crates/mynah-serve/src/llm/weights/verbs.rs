//! The verbs by which trainers steer vLLM and SGLang, at their own addresses: `/pause`, `/update_weights_from_disk`, ….
//!
//! What they ask for is done, or refused with an error that names it and says what does the same here. They open with the
//! admin key. Tensors do not come through them: a version is pushed whole, signed where a key is wanted, and verified.
//!
//! Shapes of requests and answers: vLLM's `entrypoints/serve/rlhf` and `entrypoints/serve/sleep`, SGLang's
//! `managers/io_struct.py`, as of late 2026.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::{MethodRouter, get, post};
use mynah_engine::live::Change;
use serde_json::{Map, Value, json};

use super::agent::{Hot, engine_error};
use super::local::Order;
use super::push::Policy;
use super::routes::{body_of, hot};
use crate::llm::failure::{Dialect, Failure, Outcome};
use crate::llm::input::Input;
use crate::llm::{App, finish, json_response};

/// Bytes of a version's label.
const LABEL_BYTES_MAX: usize = 256;

type Verb = fn(&Hot, Input) -> Outcome<Value>;

/// Verbs that are honoured: path, whether it is a question, what it does.
const VERBS: [(&str, bool, Verb); 18] = [
    ("/pause", false, pause),
    ("/resume", false, resume),
    ("/is_paused", true, is_paused),
    ("/init_weight_transfer_engine", false, init_transfer),
    ("/get_world_size", true, world_size),
    ("/reset_prefix_cache", false, reset_prefix_cache),
    ("/is_sleeping", true, is_sleeping),
    ("/update_weights_from_disk", false, update_from_disk),
    ("/flush_cache", false, flush_cache),
    ("/pause_generation", false, pause_generation),
    ("/continue_generation", false, continue_generation),
    ("/abort_request", false, abort_request),
    ("/abort_requests", false, abort_requests),
    ("/get_model_info", true, model_info),
    ("/model_info", true, model_info),
    ("/get_weight_version", true, weight_version),
    ("/weight_version", true, weight_version),
    ("/update_weight_version", false, update_weight_version),
];

/// Verbs that are not: what does the same here.
const REFUSED: [(&str, &str); 12] = [
    ("/start_weight_update", PUSH),
    ("/update_weights", PUSH),
    ("/finish_weight_update", PUSH),
    ("/init_weights_update_group", PUSH),
    ("/destroy_weights_update_group", PUSH),
    ("/update_weights_from_distributed", PUSH),
    ("/update_weights_from_tensor", PUSH),
    ("/update_weights_from_ipc", PUSH),
    ("/sleep", MEMORY),
    ("/wake_up", MEMORY),
    ("/release_memory_occupation", MEMORY),
    ("/resume_memory_occupation", MEMORY),
];

const PUSH: &str = "this server takes no tensors one by one; push a version with mynah weights push, or call \
                    /update_weights_from_disk";
const MEMORY: &str =
    "this server gives no memory back while it runs; new weights come in beside the old ones";

/// Whether an address is one of them: it opens with the admin key.
pub(in crate::llm) fn has(path: &str) -> bool {
    VERBS.iter().any(|(known, ..)| *known == path) || REFUSED.iter().any(|(known, _)| *known == path)
}

pub(super) fn routes() -> Router<Arc<App>> {
    let honoured = VERBS.into_iter().fold(Router::new(), |router, (path, is_question, verb)| {
        let answer = move |State(app): State<Arc<App>>, request: Request| answer(app, request, verb);
        // SGLang's cache is flushed by either.
        let route: MethodRouter<Arc<App>> = match (path, is_question) {
            ("/flush_cache", _) => get(answer).post(answer),
            (_, true) => get(answer),
            (_, false) => post(answer),
        };
        router.route(path, route)
    });
    REFUSED.into_iter().fold(honoured, |router, (path, why)| {
        let refuse = async move || {
            finish(Err(Failure::unsupported(&path[1..], format!("{path}: {why}"))), Dialect::OpenAi)
        };
        router.route(path, post(refuse).get(refuse))
    })
}

async fn answer(app: Arc<App>, request: Request, verb: Verb) -> Response<Body> {
    let is_from_disk = request.uri().path() == "/update_weights_from_disk";
    let outcome = async {
        let hot = hot(&app)?;
        let mut fields = query(request.uri().query().unwrap_or_default())?;
        fields.extend(body_of(&app, request).await?.rest());
        let value = app.work(move || verb(&hot, Input::of(fields, ""))).await?;
        let mut response = json_response(&value);
        if value["success"] == false {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Ok(response)
    };
    let outcome: Outcome<Response<Body>> = outcome.await;
    match outcome {
        // Clients of this one read `success` and `message`.
        Err(failure) if is_from_disk => {
            let mut response = json_response(&json!({"success": false, "message": failure.message}));
            *response.status_mut() = failure.status();
            response
        }
        outcome => finish(outcome, Dialect::OpenAi),
    }
}

/// `a=1&b=true` as fields.
fn query(text: &str) -> Outcome<Map<String, Value>> {
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let is_plain =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !is_plain(name) || !is_plain(value) {
            return Err(Failure::field("query", "the query may hold letters, digits, _, - and . only"));
        }
        let value = match value {
            "true" | "True" => json!(true),
            "false" | "False" => json!(false),
            other => other.parse::<i64>().map_or_else(|_| json!(other), |number| json!(number)),
        };
        fields.insert(name.to_string(), value);
    }
    Ok(fields)
}

/// A field that only has its usual value here.
fn only(input: &mut Input, field: &str, usual: bool, why: &str) -> Outcome<()> {
    match input.flag(field)? {
        Some(flag) if flag != usual => Err(Failure::unsupported(field, format!("{field}: {why}"))),
        _ => Ok(()),
    }
}

impl Hot {
    fn between_steps(&self, change: Change) -> Outcome<()> {
        Ok(self.engine.between_steps(move |_| (change, ())).map_err(|error| engine_error(&error))?)
    }

    /// Nothing of what runs or ran is used again: it is read anew.
    fn forget_all(&self) -> Outcome<()> {
        self.between_steps(Change::PutBack)?;
        Ok(self.flush()?)
    }
}

fn pause(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let mode = input.word("mode", &["abort", "wait", "keep"])?.unwrap_or("abort");
    let clears = input.flag("clear_cache")?.unwrap_or(true);
    if mode == "wait" || input.flag("wait_for_inflight_requests")? == Some(true) {
        let message = "this server does not wait until all answers are written; with --policy finish they end with \
                       the version that they began with, whenever another one comes";
        return Err(Failure::unsupported("mode", message));
    }
    input.finish()?;
    hot.pause(true)?;
    if mode == "abort" {
        hot.between_steps(Change::Aborted)?;
    }
    if clears {
        hot.forget_all()?;
    }
    Ok(json!({"status": "paused"}))
}

fn resume(hot: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    hot.pause(false)?;
    Ok(json!({"status": "resumed"}))
}

fn is_paused(hot: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    Ok(json!({"is_paused": hot.is_paused()}))
}

/// The engine of ours needs nothing; the manifest is computed now instead of at the first push.
fn init_transfer(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let info = input.object("init_info")?.ok_or_else(|| input.absent("init_info"))?;
    input.finish()?;
    if let Some((field, _)) = info.rest().iter().next() {
        let field = format!("init_info.{field}");
        return Err(Failure::unsupported(field.as_str(), format!("{field}: {PUSH}")));
    }
    hot.init()?;
    Ok(json!({"message": "weights can be pushed"}))
}

fn world_size(_: &Hot, mut input: Input) -> Outcome<Value> {
    input.flag("include_dp")?;
    input.finish()?;
    Ok(json!({"world_size": 1}))
}

fn reset_prefix_cache(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let resets_running = input.flag("reset_running_requests")?.unwrap_or(false);
    only(&mut input, "reset_external", false, "there is no cache outside this server")?;
    input.finish()?;
    if resets_running {
        hot.forget_all()?;
    } else {
        hot.flush()?;
    }
    Ok(json!({}))
}

fn is_sleeping(_: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    Ok(json!({"is_sleeping": false}))
}

fn label(input: &mut Input, field: &str) -> Outcome<Option<String>> {
    let label = input.text(field)?;
    if label
        .as_ref()
        .is_some_and(|label| label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control))
    {
        let message = format!("{field} must have at most {LABEL_BYTES_MAX} bytes and no control characters");
        return Err(Failure::field(field, message));
    }
    Ok(label)
}

fn update_from_disk(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let folder = input.text_needed("model_path")?;
    if let Some(format) = input.text("load_format")?
        && !["auto", "safetensors"].contains(&format.as_str())
    {
        return Err(Failure::unsupported("load_format", "load_format: only auto and safetensors"));
    }
    let aborts = input.flag("abort_all_requests")?.unwrap_or(false);
    let label = label(&mut input, "weight_version")?;
    let flushes = input.flag("flush_cache")?.unwrap_or(true);
    let keeps_pause = input.flag("keep_pause")?.unwrap_or(false);
    only(&mut input, "is_async", false, "the answer comes when the version is served")?;
    only(&mut input, "torch_empty_cache", false, "there is no such cache here")?;
    only(&mut input, "recapture_cuda_graph", false, "there are no CUDA graphs here")?;
    if input.count("token_step", 0, u64::MAX)?.is_some_and(|step| step > 0) {
        return Err(Failure::unsupported(
            "token_step",
            "token_step: answers name their version, see return_weights",
        ));
    }
    if input.has("manifest") {
        return Err(Failure::unsupported("manifest", "manifest: put weights.manifest beside the weights"));
    }
    input.finish()?;
    let policy = if aborts { Policy::Abort } else { Policy::Finish };
    let report = hot.take_from(Path::new(&folder), Order { policy, label });
    let report = match report {
        Ok(report) => report,
        Err(why) => return Ok(json!({"success": false, "message": why, "num_paused_requests": 0})),
    };
    if flushes {
        hot.flush()?;
    }
    if keeps_pause {
        hot.pause(true)?;
    }
    let message = format!("version {} (epoch {}) is served", report.version, report.epoch);
    Ok(json!({"success": true, "message": message, "num_paused_requests": 0}))
}

fn flush_cache(hot: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    hot.flush()?;
    Ok(json!({"success": true, "message": "the prefix cache is empty"}))
}

fn pause_generation(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let mode = input.word("mode", &["abort", "retract", "in_place"])?.unwrap_or("abort");
    input.finish()?;
    hot.pause(true)?;
    match mode {
        "abort" => hot.between_steps(Change::Aborted)?,
        "retract" => hot.forget_all()?,
        _ => {}
    }
    Ok(json!({"status": "ok", "message": "paused"}))
}

fn continue_generation(hot: &Hot, mut input: Input) -> Outcome<Value> {
    only(&mut input, "torch_empty_cache", false, "there is no such cache here")?;
    input.finish()?;
    hot.pause(false)?;
    Ok(json!({"status": "ok", "message": "continued"}))
}

fn abort_request(hot: &Hot, mut input: Input) -> Outcome<Value> {
    if input.text("rid")?.is_some_and(|name| !name.is_empty()) {
        return Err(Failure::unsupported("rid", "rid: a request ends when its connection is closed"));
    }
    if input.flag("abort_all")? != Some(true) {
        return Err(Failure::field("abort_all", "abort_all must be true"));
    }
    input.finish()?;
    hot.between_steps(Change::Aborted)?;
    Ok(json!({}))
}

fn abort_requests(hot: &Hot, mut input: Input) -> Outcome<Value> {
    if input.list("request_ids")?.is_some_and(|names| !names.is_empty()) {
        return Err(Failure::unsupported(
            "request_ids",
            "request_ids: a request ends when its connection is closed",
        ));
    }
    input.finish()?;
    hot.between_steps(Change::Aborted)?;
    Ok(json!({"status": "aborted"}))
}

fn model_info(hot: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    let folder = hot.live_folder();
    Ok(json!({
        "model_path": folder, "tokenizer_path": folder, "is_generation": true,
        "weight_version": hot.live_name()?,
    }))
}

fn weight_version(hot: &Hot, input: Input) -> Outcome<Value> {
    input.finish()?;
    Ok(json!({"weight_version": hot.live_name()?}))
}

fn update_weight_version(hot: &Hot, mut input: Input) -> Outcome<Value> {
    let label = label(&mut input, "new_version")?.ok_or_else(|| input.absent("new_version"))?;
    let aborts = input.flag("abort_all_requests")?.unwrap_or(true);
    input.finish()?;
    if aborts {
        hot.between_steps(Change::Aborted)?;
    }
    hot.name_live(&label)?;
    Ok(json!({"success": true, "message": "the version is called so", "new_version": label}))
}
