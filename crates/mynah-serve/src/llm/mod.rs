//! Models over HTTP: OpenAI's and Anthropic's APIs over the engine.
//!
//! The key decision is that a field is honoured or refused. Handlers take the fields of a request one by one
//! ([`input`]); what nobody took is an error that names it, so that no client believes that something had an effect
//! which had none. A request is read completely before the engine hears of it.
//!
//! The second is that HTTP never waits for the model and never speaks for it. A request goes to the engine by a
//! channel, its tokens come back by another ([`generation`]); a client that goes away drops its end, which the
//! engine sees before its next step. `/health` asks the engine's own clock.
//!
//! What differs between APIs is only how requests are read and answers are written: [`chat`], [`completions`],
//! [`messages`] each do both for theirs, over the same [`turn`] (text, reasoning and tool calls of one answer).
//!
//! No text of a request or an answer is logged.

mod access;
mod chat;
mod completions;
mod config;
mod failure;
mod generation;
mod input;
mod load;
mod messages;
mod model;
mod observe;
mod own;
mod page;
mod parts;
mod sampling;
mod server;
mod stream;
mod tokens;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use mynah_engine::live::Request as EngineRequest;
use serde_json::Value;

pub use config::LlmConfig;
pub use load::ModelSource;
pub use model::{Prompt, Prompter, ServedModel, Tokens};
pub use server::LlmServer;

use crate::body::Pieces;
use crate::config::ServerConfig;
use access::Access;
use failure::{Dialect, Failure, Kind, Outcome};
use input::Input;

/// What all requests share.
pub(crate) struct App {
    config: LlmConfig,
    /// The part of it that connections and bodies go by.
    listening: ServerConfig,
    access: Access,
    models: Vec<ServedModel>,
}

impl App {
    /// The model that a request names. With one model its name may be left out.
    pub(crate) fn model(&self, body: &mut Input) -> Outcome<ServedModel> {
        match body.text("model")? {
            Some(name) => match self.models.iter().find(|model| model.name == name) {
                Some(model) => Ok(model.clone()),
                None => Err(observe::unknown_model(self, &name)),
            },
            None if self.engines().count() == 1 => Ok(self.models[0].clone()),
            None => Err(body.absent("model")),
        }
    }

    /// What every request to the engine begins with.
    pub(crate) fn request(&self, model: &ServedModel, client: String) -> EngineRequest {
        EngineRequest {
            client,
            adapter: model.adapter,
            deadline: self.config.request_seconds_max.map(Duration::from_secs),
            ..EngineRequest::new(Vec::new())
        }
    }

    /// The models themselves, without their adapters.
    pub(crate) fn engines(&self) -> impl Iterator<Item = &ServedModel> {
        self.models.iter().filter(|model| model.adapter.is_none())
    }

    /// Work of the processor that would keep other requests waiting: templates, tokenizers, grammars.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        match tokio::task::spawn_blocking(job).await {
            Ok(result) => result,
            // The panic has been printed by its thread; the server goes on.
            Err(_) => Err(Failure::new(
                Kind::Internal,
                "the server met an error of its own while reading the request",
            )),
        }
    }
}

/// Everything that is answered.
pub(crate) fn router(app: Arc<App>) -> Router {
    page::routes()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(text_completions))
        .route("/v1/messages", post(one_message))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/v1/models", get(async |State(app): State<Arc<App>>| observe::models(&app)))
        .route("/v1/models/{*id}", get(one_model))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize))
        .route("/health", get(async |State(app): State<Arc<App>>| observe::health(&app)))
        .route("/metrics", get(async |State(app): State<Arc<App>>| observe::metrics(&app)))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(app.clone(), gate))
        .with_state(app)
}

/// Which client it is; the gate has found out.
#[derive(Clone)]
struct Client(String);

async fn chat_completions(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = client(&request);
    finish(async { chat::answer(&app, body(&app, request).await?, client).await }.await, Dialect::OpenAi)
}

async fn text_completions(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = client(&request);
    finish(
        async { completions::answer(&app, body(&app, request).await?, client).await }.await,
        Dialect::OpenAi,
    )
}

async fn one_message(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = client(&request);
    finish(
        async { messages::answer(&app, body(&app, request).await?, client).await }.await,
        Dialect::Anthropic,
    )
}

async fn count_tokens(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { messages::count_tokens(&app, body(&app, request).await?).await }.await, Dialect::Anthropic)
}

async fn tokenize(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { tokens::tokenize(&app, body(&app, request).await?).await }.await, Dialect::OpenAi)
}

async fn detokenize(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { tokens::detokenize(&app, body(&app, request).await?).await }.await, Dialect::OpenAi)
}

async fn one_model(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    finish(observe::model(&app, &id), Dialect::OpenAi)
}

fn finish(answer: Outcome<Response<Body>>, dialect: Dialect) -> Response<Body> {
    answer.unwrap_or_else(|failure| failure.response(dialect))
}

fn client(request: &Request) -> String {
    request.extensions().get::<Client>().map(|client| client.0.clone()).unwrap_or_default()
}

/// The body of a request as JSON.
async fn body(app: &App, request: Request) -> Outcome<Input> {
    let (limit, silence_ms) = (app.listening.body_size_bytes_max as u64, app.listening.body_silence_ms_max);
    let bytes = async { Pieces::new(request.into_body(), limit, silence_ms)?.all().await }.await;
    let bytes = bytes.map_err(|error| {
        let kind = match error.code().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            _ => Kind::Invalid,
        };
        Failure::new(kind, error.message().to_string())
    })?;
    Input::parse(&bytes)
}

/// What every request passes first: may it be answered at all?
async fn gate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path().to_string();
    let dialect = if path.starts_with("/v1/messages") { Dialect::Anthropic } else { Dialect::OpenAi };
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match app.access.check(request.method(), &path, request.headers()) {
        // A browser asks beforehand what it may send; the answer's headers say it.
        _ if *request.method() == Method::OPTIONS => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(client) => {
            request.extensions_mut().insert(Client(client));
            next.run(request).await
        }
        Err(failure) => failure.response(dialect),
    };
    let headers = response.headers_mut();
    app.access.add_cors(origin.as_ref(), headers);
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    response
}

async fn unknown(request: Request) -> Response<Body> {
    let message = format!("this server has no {} {}", request.method(), request.uri().path());
    Failure::new(Kind::NotFound, message).response(dialect_of(&request))
}

async fn other_method(request: Request) -> Response<Body> {
    let message = format!("{} is not called with {}", request.uri().path(), request.method());
    Failure::new(Kind::Method, message).response(dialect_of(&request))
}

fn dialect_of(request: &Request) -> Dialect {
    match request.uri().path().starts_with("/v1/messages") {
        true => Dialect::Anthropic,
        false => Dialect::OpenAi,
    }
}

/// A whole answer.
pub(crate) fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Whether a stream ends with a chunk of usage.
pub(crate) fn stream_usage(body: &mut Input, stream: bool) -> Outcome<bool> {
    let Some(mut options) = body.object("stream_options")? else { return Ok(false) };
    if !stream {
        return Err(Failure::field("stream_options", "stream_options only goes with stream: true"));
    }
    let wanted = options.flag("include_usage")?.unwrap_or(false);
    if options.flag("include_obfuscation")?.unwrap_or(false) {
        return Err(Failure::unsupported(
            "stream_options.include_obfuscation",
            "this server adds no obfuscation",
        ));
    }
    options.finish()?;
    Ok(wanted)
}
