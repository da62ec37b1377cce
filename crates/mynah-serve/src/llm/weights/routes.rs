//! The calls under `/admin/weights/`. They are there only when the server has an admin key.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use axum::routing::{get, post};
use mynah_swap::{ErrorKind, Hash};
use serde_json::{Value, json};

use super::agent::{Announcement, Hot};
use super::push::Policy;
use super::trial::Probes;
use super::{local, verbs};
use crate::body::{FileBody, Pieces};
use crate::llm::failure::{Dialect, Failure, Kind, Outcome};
use crate::llm::input::Input;
use crate::llm::{App, finish, json_response};

/// A body of one of these calls; an upload has a bound of its own.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// A manifest is not larger; one of 30 million chunks has this size.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Messages in one call.
const MESSAGES_MAX: usize = 256;
/// How long a call may wait for messages.
const WAIT_MS_MAX: u64 = 1_000;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of a push's name.
const NAME_BYTES_MAX: usize = 64;

/// The calls as a router.
pub(in crate::llm) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/admin/weights/init", post(init))
        .route("/admin/weights/start", post(start))
        .route("/admin/weights/update", post(update))
        .route("/admin/weights/finish", post(finish_upload))
        .route("/admin/weights/messages", post(messages))
        .route("/admin/weights/abort", post(abort))
        .route("/admin/weights/pause", post(pause))
        .route("/admin/weights/resume", post(resume))
        .route("/admin/weights/flush", post(flush))
        .route("/admin/weights/versions", get(status))
        .route("/admin/weights/status", get(status))
        .route("/admin/weights/manifest", get(manifest))
        .route("/admin/weights/stream", post(stream))
        .merge(verbs::routes())
}

impl From<mynah_swap::Error> for Failure {
    fn from(error: mynah_swap::Error) -> Failure {
        let kind = match error.kind() {
            ErrorKind::Signature => Kind::Permission,
            ErrorKind::Mismatch | ErrorKind::Stale | ErrorKind::State => Kind::Conflict,
            ErrorKind::Capacity => Kind::TooLarge,
            ErrorKind::Io => Kind::Internal,
            _ => Kind::Invalid,
        };
        Failure::new(kind, error.to_string())
    }
}

pub(super) fn hot(app: &App) -> Outcome<Arc<Hot>> {
    let found = app.hot.clone();
    found.ok_or_else(|| {
        Failure::new(Kind::NotFound, "this server takes no weights; start it with --admin-key")
    })
}

/// A call whose work may take as long as reading files does.
async fn answer(
    app: Arc<App>,
    request: Request,
    job: impl FnOnce(&Hot, Input) -> Outcome<Value> + Send + 'static,
) -> Response<Body> {
    let outcome = async {
        let hot = hot(&app)?;
        let input = body_of(&app, request).await?;
        let value = app.work(move || job(&hot, input)).await?;
        Ok(json_response(&value))
    };
    finish(outcome.await, Dialect::OpenAi)
}

/// The body as JSON; none is an empty object.
pub(super) async fn body_of(app: &App, request: Request) -> Outcome<Input> {
    let bytes = bytes_of(app, request, BODY_BYTES_MAX).await?;
    Input::parse(if bytes.is_empty() { b"{}" } else { &bytes })
}

async fn bytes_of(app: &App, request: Request, bytes_max: u64) -> Outcome<Vec<u8>> {
    let pieces = Pieces::new(request.into_body(), bytes_max, app.listening.body_silence_ms_max);
    let bytes = async { pieces?.all().await }.await;
    let bytes = bytes.map_err(|error| Failure::new(Kind::Invalid, error.message().to_string()))?;
    Ok(bytes.to_vec())
}

fn push_name(input: &mut Input) -> Outcome<String> {
    let name = input.text_needed("push")?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !is_plain {
        let message = format!("push must have 1 to {NAME_BYTES_MAX} letters, digits and hyphens");
        return Err(Failure::field("push", message));
    }
    if local::is_own(&name) {
        return Err(Failure::field("push", "names of this beginning are the server's own"));
    }
    Ok(name)
}

async fn init(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, input| {
        input.finish()?;
        hot.init()?;
        Ok(hot.status())
    })
    .await
}

async fn start(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, mut input| {
        let push = push_name(&mut input)?;
        let target = input.text_needed("version")?;
        let target: Hash = target
            .parse()
            .map_err(|error: mynah_swap::Error| Failure::field("version", format!("version: {error}")))?;
        let epoch = input.integer("epoch")?.and_then(|epoch| u64::try_from(epoch).ok());
        let epoch =
            epoch.ok_or_else(|| Failure::field("epoch", "epoch must be a whole number, 0 or greater"))?;
        let policy = input.word("policy", &Policy::NAMES)?.and_then(Policy::from_name).unwrap_or_default();
        let is_rollback = input.flag("rollback")?.unwrap_or(false);
        let signature = input.text("signature")?;
        let label = input.text("label")?;
        let probes = input.take("probes").map(|value| Probes::from_json(&value)).transpose();
        let probes = probes.map_err(|error| Failure::field("probes", error))?;
        input.finish()?;
        hot.start(Announcement { push, target, epoch, policy, is_rollback, signature, label, probes })?;
        Ok(hot.status())
    })
    .await
}

async fn update(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        let hot = hot(&app)?;
        let query = request.uri().query().unwrap_or_default();
        let push = query.strip_prefix("push=").unwrap_or_default().to_string();
        if push.is_empty() {
            return Err(Failure::field("push", "call it with ?push=NAME, the name that start was given"));
        }
        let (path, bytes_max) = hot.begin_upload(&push)?;
        let written = receive(&app, &hot, request, &push, &path, bytes_max).await;
        match written {
            Ok(bytes) => Ok(json_response(&json!({"received_bytes": bytes}))),
            Err(failure) => {
                hot.fail_upload(&push);
                Err(failure)
            }
        }
    };
    finish(outcome.await, Dialect::OpenAi)
}

/// Writes a body into a file as it comes; memory holds a piece of it.
async fn receive(
    app: &Arc<App>,
    hot: &Arc<Hot>,
    request: Request,
    push: &str,
    path: &Path,
    bytes_max: u64,
) -> Outcome<u64> {
    let client = |error: crate::answer::ApiError| {
        let kind = match error.code().status() {
            axum::http::StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            _ => Kind::Invalid,
        };
        Failure::new(kind, error.message().to_string())
    };
    let io = |error: std::io::Error| Failure::new(Kind::Internal, format!("cannot keep the upload: {error}"));
    let mut pieces =
        Pieces::new(request.into_body(), bytes_max, app.listening.body_silence_ms_max).map_err(client)?;
    let place = path.to_path_buf();
    let mut file = app.work(move || File::create_new(&place).map_err(io)).await?;
    let mut total = 0;
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let piece = pieces.next().await.map_err(client)?;
        let is_last = piece.is_none();
        buffer.extend_from_slice(&piece.unwrap_or_default());
        if buffer.len() < WRITE_BYTES && !is_last {
            continue;
        }
        let full = std::mem::take(&mut buffer);
        total += full.len() as u64;
        hot.received(push, full.len() as u64)?;
        (file, buffer) = app
            .work(move || {
                file.write_all(&full).map_err(io)?;
                let mut empty = full;
                empty.clear();
                Ok((file, empty))
            })
            .await?;
        if is_last {
            return Ok(total);
        }
    }
}

async fn finish_upload(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, mut input| {
        let push = push_name(&mut input)?;
        input.finish()?;
        hot.finish_upload(&push)?;
        Ok(hot.status())
    })
    .await
}

async fn messages(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, mut input| {
        let push = push_name(&mut input)?;
        let wait = input.count("wait_ms", 0, WAIT_MS_MAX)?.unwrap_or(0);
        let items = input.list("messages")?.unwrap_or_default();
        input.finish()?;
        if items.len() > MESSAGES_MAX {
            return Err(Failure::field("messages", format!("at most {MESSAGES_MAX} messages in one call")));
        }
        let parsed: Option<Vec<Vec<u8>>> = items.iter().map(|item| from_hex(item.as_str()?)).collect();
        let parsed =
            parsed.ok_or_else(|| Failure::field("messages", "messages must be texts of hex digits"))?;
        let answers = hot.exchange(&push, &parsed, Duration::from_millis(wait as u64))?;
        let answers: Vec<String> = answers.iter().map(|bytes| to_hex(bytes)).collect();
        Ok(json!({"messages": answers}))
    })
    .await
}

async fn abort(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, mut input| {
        let push = if input.has("push") { Some(push_name(&mut input)?) } else { None };
        let force = input.flag("force")?.unwrap_or(false);
        input.finish()?;
        hot.abort(push.as_deref(), force)?;
        Ok(hot.status())
    })
    .await
}

async fn pause(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, input| {
        input.finish()?;
        hot.pause(true)?;
        Ok(hot.status())
    })
    .await
}

async fn resume(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, input| {
        input.finish()?;
        hot.pause(false)?;
        Ok(hot.status())
    })
    .await
}

async fn flush(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    answer(app, request, |hot, input| {
        input.finish()?;
        hot.flush()?;
        Ok(hot.status())
    })
    .await
}

async fn status(State(app): State<Arc<App>>) -> Response<Body> {
    let outcome = async {
        let hot = hot(&app)?;
        let value = app.work(move || Ok(hot.status())).await?;
        Ok(json_response(&value))
    };
    finish(outcome.await, Dialect::OpenAi)
}

async fn manifest(State(app): State<Arc<App>>) -> Response<Body> {
    let outcome = async {
        let hot = hot(&app)?;
        let bytes = app.work(move || Ok(hot.manifest()?)).await?;
        let mut response = Response::new(Body::from(bytes));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(response)
    };
    finish(outcome.await, Dialect::OpenAi)
}

/// What a server that lags behind needs of the version that is served here: the body is its own manifest.
async fn stream(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        let hot = hot(&app)?;
        let bytes = bytes_of(&app, request, MANIFEST_BYTES_MAX).await?;
        let (file, size_bytes) = app.work(move || Ok(hot.make_stream(&bytes)?)).await?;
        let mut response = Response::new(Body::new(FileBody::new(file, size_bytes)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(response)
    };
    finish(outcome.await, Dialect::OpenAi)
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
