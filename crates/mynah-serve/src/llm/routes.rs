//! Every call of a model server, as a table: path, method, who answers. The router and the OpenAPI document are both
//! made from it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::routing::{MethodRouter, delete, get, post};

use super::failure::{Dialect, Failure, Kind, Outcome};
use super::input::Input;
use super::{
    App, adapter, chat, completions, embedder, finish, messages, observe, openapi, responses, tokens,
};
use crate::body::Pieces;

/// Which client it is; the gate has found out.
#[derive(Clone)]
pub(super) struct Client(pub(super) String);

/// A call.
pub(super) struct Call {
    /// As OpenAPI writes it.
    pub(super) path: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the router's part has it, too; only tests ask"))]
    pub(super) method: Method,
    answer: MethodRouter<Arc<App>>,
}

/// All calls.
pub(super) fn calls() -> Vec<Call> {
    let get_ = |path, answer| Call { path, method: Method::GET, answer };
    let post_ = |path, answer| Call { path, method: Method::POST, answer };
    vec![
        post_("/v1/chat/completions", post(chat_completions)),
        post_("/v1/completions", post(text_completions)),
        post_("/v1/responses", post(one_response)),
        post_("/v1/responses/input_tokens", post(response_tokens)),
        get_("/v1/responses/{id}", get(stored_response)),
        Call { path: "/v1/responses/{id}", method: Method::DELETE, answer: delete(delete_response) },
        get_("/v1/responses/{id}/input_items", get(response_items)),
        post_("/v1/embeddings", post(embeddings)),
        post_("/v1/messages", post(one_message)),
        post_("/v1/messages/count_tokens", post(count_tokens)),
        get_("/v1/models", get(async |State(app): State<Arc<App>>| observe::models(&app))),
        get_("/v1/models/{id}", get(one_model)),
        post_("/v1/load_lora_adapter", post(load_adapter)),
        post_("/v1/unload_lora_adapter", post(unload_adapter)),
        post_("/tokenize", post(tokenize)),
        post_("/detokenize", post(detokenize)),
        get_("/health", get(async |State(app): State<Arc<App>>| observe::health(&app))),
        get_("/live", get(async |State(app): State<Arc<App>>| observe::live(&app))),
        get_("/ready", get(async |State(app): State<Arc<App>>| observe::ready(&app))),
        get_("/metrics", get(async |State(app): State<Arc<App>>| observe::metrics(&app))),
        get_("/openapi.json", get(async || openapi::answer())),
    ]
}

/// The calls as a router.
pub(super) fn routes() -> Router<Arc<App>> {
    calls().into_iter().fold(Router::new(), |router, call| {
        // A model's name may have slashes: `org/name`.
        let path = if call.path == "/v1/models/{id}" { "/v1/models/{*id}" } else { call.path };
        router.route(path, call.answer)
    })
}

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

async fn one_response(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = client(&request);
    finish(async { responses::answer(&app, body(&app, request).await?, client).await }.await, Dialect::OpenAi)
}

async fn response_tokens(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = client(&request);
    finish(
        async { responses::count_tokens(&app, body(&app, request).await?, client).await }.await,
        Dialect::OpenAi,
    )
}

async fn stored_response(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    finish(responses::stored(&app, &id, &client(&request), request.uri().query()), Dialect::OpenAi)
}

async fn delete_response(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    finish(responses::delete(&app, &id, &client(&request)), Dialect::OpenAi)
}

async fn response_items(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    finish(responses::input_items(&app, &id, &client(&request), request.uri().query()), Dialect::OpenAi)
}

async fn embeddings(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { embedder::answer(&app, body(&app, request).await?).await }.await, Dialect::OpenAi)
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

async fn load_adapter(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { adapter::load(&app, body(&app, request).await?).await }.await, Dialect::OpenAi)
}

async fn unload_adapter(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    finish(async { adapter::unload(&app, body(&app, request).await?).await }.await, Dialect::OpenAi)
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
