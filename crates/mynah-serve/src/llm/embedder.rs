//! `/v1/embeddings`: texts or token ids in, vectors out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mynah_base::time::now_ms;
use mynah_models::Embedder;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::App;
use super::catalogue::Entry;
use super::failure::{Failure, Kind, Outcome};
use super::input::{Input, shown};
use super::model::Tokens;

/// Texts of one request, as OpenAI has it.
const INPUTS_MAX: usize = 2_048;
/// Texts that are computed before somebody else's turn comes.
const TEXTS_AT_A_TIME: usize = 16;
/// Requests that wait for the model; one more is told to come again.
const WAITING_MAX: usize = 256;
/// Computing one batch for longer than this is no longer well.
const STUCK_AFTER_MS: u64 = 120_000;

/// An embedding model, as it is given to a server.
pub struct ServedEmbedder {
    /// What clients call it.
    pub name: String,
    /// When it was loaded, seconds since the Unix epoch.
    pub created_s: i64,
    /// Its tokenizer.
    pub tokens: Arc<dyn Tokens>,
    /// Who computes.
    pub embedder: Embedder,
}

/// An embedding model in a server.
pub(crate) struct EmbeddingModel {
    pub(crate) name: String,
    pub(crate) created_s: i64,
    pub(crate) tokens: Arc<dyn Tokens>,
    /// The most tokens of a text.
    pub(crate) context_length: usize,
    vocab_size: usize,
    width: usize,
    normalise: bool,
    /// Requests take turns, first come, first served.
    embedder: Arc<Mutex<Embedder>>,
    requests: AtomicUsize,
    /// When the batch under way began, milliseconds since the Unix epoch; 0 for none.
    began_ms: AtomicU64,
    completed: AtomicU64,
    token_count: AtomicU64,
}

impl From<ServedEmbedder> for EmbeddingModel {
    fn from(served: ServedEmbedder) -> EmbeddingModel {
        let config = served.embedder.config();
        EmbeddingModel {
            name: served.name,
            created_s: served.created_s,
            tokens: served.tokens,
            context_length: config.context_length,
            vocab_size: config.vocab_size,
            width: config.width,
            normalise: config.normalise,
            embedder: Arc::new(Mutex::new(served.embedder)),
            requests: AtomicUsize::new(0),
            began_ms: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            token_count: AtomicU64::new(0),
        }
    }
}

impl EmbeddingModel {
    /// Requests that are computed or wait.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests and tokens since the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.completed.load(Ordering::Relaxed), self.token_count.load(Ordering::Relaxed))
    }

    /// Idle, busy, or stuck in a batch.
    pub(crate) fn state(&self) -> &'static str {
        match self.began_ms.load(Ordering::Relaxed) {
            0 => "idle",
            began if (now_ms() as u64).saturating_sub(began) > STUCK_AFTER_MS => "stuck",
            _ => "busy",
        }
    }

    fn enter(&self) -> Outcome<Place<'_>> {
        let place = Place(self);
        if self.requests.fetch_add(1, Ordering::AcqRel) >= WAITING_MAX {
            let message = format!("{WAITING_MAX} requests wait for {} already; try again later", self.name);
            return Err(Failure::new(Kind::Unavailable, message));
        }
        Ok(place)
    }

    /// The vectors of some texts, one after the other.
    async fn embed(&self, texts: Vec<Vec<u32>>) -> Outcome<Vec<f32>> {
        let mut embedder = Arc::clone(&self.embedder).lock_owned().await;
        self.began_ms.store(now_ms() as u64, Ordering::Relaxed);
        let job = move || {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            embedder.embed(&texts, &mut out).map(|()| out).map_err(|error| error.to_string())
        };
        let result = tokio::task::spawn_blocking(job).await;
        self.began_ms.store(0, Ordering::Relaxed);
        match result {
            Ok(Ok(vectors)) => Ok(vectors),
            Ok(Err(why)) => Err(Failure::field("input", why)),
            Err(_) => Err(Failure::new(Kind::Internal, "the model met an error of its own")),
        }
    }
}

/// Counts a request as long as it lives, also when its client goes away.
struct Place<'a>(&'a EmbeddingModel);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request whose fields have been read.
struct Plan {
    texts: Vec<Vec<u32>>,
    dimensions: usize,
    base64: bool,
}

pub(crate) async fn answer(app: &App, mut body: Input) -> Outcome<Response<Body>> {
    let model = match app.named(&mut body)? {
        Entry::Embedder(model) => model,
        Entry::Generator(model) => {
            let message = format!(
                "{} writes text and makes no embeddings; serve an embedding model (BERT, RoBERTa, XLM-RoBERTa)",
                model.name
            );
            return Err(Failure::field("model", message));
        }
    };
    let reading = Arc::clone(&model);
    let plan = app.work(move || read(body, &reading)).await?;
    let _place = model.enter()?;
    let seconds = app.config.request_seconds_max;
    let work = write(&model, plan);
    match seconds {
        None => work.await,
        Some(seconds) => {
            tokio::time::timeout(Duration::from_secs(seconds), work).await.unwrap_or_else(|_| {
                Err(Failure::new(Kind::Timeout, format!("the answer took longer than {seconds} seconds")))
            })
        }
    }
}

fn read(mut body: Input, model: &EmbeddingModel) -> Outcome<Plan> {
    let base64 = body.word("encoding_format", &["float", "base64"])? == Some("base64");
    let dimensions = body.count("dimensions", 1, model.width as u64)?.unwrap_or(model.width);
    body.note(&["user"]);
    let texts = texts(&mut body, model)?;
    body.finish()?;
    Ok(Plan { texts, dimensions, base64 })
}

/// A text, a list of texts, token ids, or a list of those.
fn texts(body: &mut Input, model: &EmbeddingModel) -> Outcome<Vec<Vec<u32>>> {
    let bad = |message: String| Failure::field("input", message);
    let wanted = "a string, a list of strings, a list of token ids, or a list of such lists";
    let value = body.take("input").ok_or_else(|| body.absent("input"))?;
    let items = match value {
        Value::Array(items) if items.first().is_some_and(|item| !item.is_number()) => items,
        Value::Array(items) if items.is_empty() => return Err(bad("input is an empty list".to_string())),
        one @ (Value::String(_) | Value::Array(_)) => vec![one],
        other => return Err(bad(format!("input is {}; it must be {wanted}", shown(&other)))),
    };
    if items.len() > INPUTS_MAX {
        return Err(bad(format!("{} texts in one request; at most {INPUTS_MAX} work", items.len())));
    }
    let is_one = items.len() == 1;
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let place = if is_one { "input".to_string() } else { format!("input[{index}]") };
            let ids = match item {
                Value::String(text) if text.is_empty() => return Err(bad(format!("{place} is empty"))),
                Value::String(text) => model.tokens.prompt_of_text(&text).map_err(bad)?,
                Value::Array(ids) => ids.iter().map(|id| token(id, &place, model)).collect::<Outcome<_>>()?,
                other => return Err(bad(format!("{place} is {}; input must be {wanted}", shown(&other)))),
            };
            check_length(ids, &place, model)
        })
        .collect()
}

fn token(id: &Value, place: &str, model: &EmbeddingModel) -> Outcome<u32> {
    let found = id.as_u64().and_then(|id| u32::try_from(id).ok());
    found.filter(|id| (*id as usize) < model.vocab_size).ok_or_else(|| {
        let most = model.vocab_size - 1;
        Failure::field("input", format!("{place} has the token id {}; ids here are 0 to {most}", shown(id)))
    })
}

/// Nothing is ever cut to fit.
fn check_length(ids: Vec<u32>, place: &str, model: &EmbeddingModel) -> Outcome<Vec<u32>> {
    let (count, most) = (ids.len(), model.context_length);
    if (1..=most).contains(&count) {
        return Ok(ids);
    }
    let message = match count {
        0 => format!("{place} has no tokens; the model needs at least one"),
        _ => format!("{place} has {count} tokens; {} reads at most {most}: shorten the text", model.name),
    };
    Err(Failure { param: Some("input".to_string()), ..Failure::new(Kind::ContextLength, message) })
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Row>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

#[derive(Serialize)]
struct Row {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Text(String),
}

async fn write(model: &EmbeddingModel, plan: Plan) -> Outcome<Response<Body>> {
    let Plan { mut texts, dimensions, base64 } = plan;
    let tokens = texts.iter().map(Vec::len).sum();
    let mut data = Vec::with_capacity(texts.len());
    while !texts.is_empty() {
        let rest = texts.split_off(texts.len().min(TEXTS_AT_A_TIME));
        let vectors = model.embed(std::mem::replace(&mut texts, rest)).await?;
        for vector in vectors.chunks_exact(model.width) {
            if !vector.iter().all(|x| x.is_finite()) {
                let message =
                    format!("{} computed values that are no numbers; check its weights", model.name);
                return Err(Failure::new(Kind::Internal, message));
            }
            let vector = shortened(vector, dimensions, model.normalise);
            let embedding = if base64 { Vector::Text(base64_of(&vector)) } else { Vector::Numbers(vector) };
            data.push(Row { object: "embedding", index: data.len(), embedding });
        }
    }
    model.completed.fetch_add(1, Ordering::Relaxed);
    model.token_count.fetch_add(tokens as u64, Ordering::Relaxed);
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let answer = Answer { object: "list", data, model: &model.name, usage };
    let text =
        serde_json::to_string(&answer).map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The first dimensions alone; of length 1 again where the whole vector has it.
fn shortened(vector: &[f32], dimensions: usize, normalise: bool) -> Vec<f32> {
    let is_cut = dimensions < vector.len();
    let mut vector = vector[..dimensions.min(vector.len())].to_vec();
    if normalise && is_cut {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x /= length);
        }
    }
    vector
}

/// 32-bit floats, little-endian.
fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
