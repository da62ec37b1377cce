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
//! [`responses`] and [`messages`] each do both for theirs, over the same [`turn`] (text, reasoning and tool calls of
//! one answer). Embedding models ([`embedder`]) have no engine: a text is one step, and requests take turns.
//!
//! No text of a request or an answer is logged.

mod access;
mod adapter;
mod catalogue;
mod chat;
mod completions;
mod config;
mod embedder;
mod failure;
mod generation;
mod input;
mod load;
mod messages;
mod meter;
mod model;
mod observe;
mod openapi;
mod own;
mod page;
mod parts;
mod responses;
mod routes;
mod sampling;
mod served;
mod server;
mod stream;
mod tokens;
mod traffic;
mod turn;
mod weights;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use mynah_engine::live::Request as EngineRequest;
use serde_json::Value;

pub use adapter::Adapter;
pub use config::LlmConfig;
pub use embedder::ServedEmbedder;
pub use load::ModelSource;
pub use meter::Meter;
pub use model::{Models, Prompt, Prompter, ServedModel, Tokens};
pub use served::{ServerTool, ServerTools};
pub use server::LlmServer;
pub use weights::{
    Canary, CaughtUp, Fleet, Link, Policy, Probe, Probes, PushOptions, PushReport, Recovered, WeightsConfig,
    catch_up, expect, recover, resume,
};

use crate::config::ServerConfig;
use access::Access;
use catalogue::{Catalogue, Entry};
use failure::{Dialect, Failure, Kind, Outcome};
use input::Input;
use responses::Store;
use routes::Client;
use traffic::Traffic;
use weights::{Hot, Versions};

/// What all requests share.
pub(crate) struct App {
    config: LlmConfig,
    /// The part of it that connections and bodies go by.
    listening: ServerConfig,
    access: Access,
    models: Catalogue,
    /// Answers of `/v1/responses`.
    store: Store,
    traffic: Traffic,
    /// Who brings new weights, where an admin may.
    hot: Option<Arc<Hot>>,
}

impl App {
    /// The model that a request names. With one model its name may be left out.
    pub(crate) fn named(&self, body: &mut Input) -> Outcome<Entry> {
        match body.text("model")? {
            Some(name) => self.models.find(&name).ok_or_else(|| observe::unknown_model(self, &name)),
            None => self.models.only().ok_or_else(|| body.absent("model")),
        }
    }

    /// The same, for calls that want text.
    pub(crate) fn model(&self, body: &mut Input) -> Outcome<ServedModel> {
        match self.named(body)? {
            Entry::Generator(model) => Ok(model),
            Entry::Embedder(model) => {
                let message =
                    format!("{} makes embeddings and writes no text; call /v1/embeddings", model.name);
                Err(Failure::field("model", message))
            }
        }
    }

    /// Which version stands behind which of the engine's numbers.
    pub(crate) fn versions(&self) -> Versions {
        self.hot.as_ref().map(|hot| hot.versions.clone()).unwrap_or_default()
    }

    /// What every request to the engine begins with.
    pub(crate) fn request(&self, model: &ServedModel, client: String) -> EngineRequest {
        EngineRequest {
            client,
            adapter: model.adapter.as_ref().map(Adapter::number),
            deadline: self.config.request_seconds_max.map(Duration::from_secs),
            ..EngineRequest::new(Vec::new())
        }
    }

    /// Work of the processor that would keep other requests waiting: templates, tokenizers, grammars.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        // Tests look at what is read, which is kept by thread.
        #[cfg(test)]
        let answer = std::future::ready(Ok::<_, tokio::task::JoinError>(job()));
        #[cfg(not(test))]
        let answer = tokio::task::spawn_blocking(job);
        match answer.await {
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
    let calls = page::routes().merge(routes::routes());
    let calls = if app.hot.is_some() { calls.merge(weights::routes()) } else { calls };
    calls
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(app.clone(), gate))
        .with_state(app)
}

fn finish(answer: Outcome<Response<Body>>, dialect: Dialect) -> Response<Body> {
    answer.unwrap_or_else(|failure| failure.response(dialect))
}

/// What every request passes first: may it be answered at all?
async fn gate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path().to_string();
    let dialect = if path.starts_with("/v1/messages") { Dialect::Anthropic } else { Dialect::OpenAi };
    let origin = request.headers().get(ORIGIN).cloned();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
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
    let matched = matched.as_ref().map(MatchedPath::as_str);
    app.traffic.count(matched, method.as_str(), response.status().as_u16());
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
