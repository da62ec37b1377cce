//! From a request to its handler.
//!
//! All calls that speak JSON are rows of [`mlflow::ENDPOINTS`] and [`page::ENDPOINTS`]: method, path, and a plain
//! function from the ledger and the request's fields to JSON bytes. What surrounds them (admission,
//! permission, limits, threads, errors) is here, once.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::{MethodFilter, get, on};
use mynah_ledger::Ledger;

use crate::answer::{ApiError, Code, Reply, respond};
use crate::app::App;
use crate::body::Pieces;
use crate::fields::Fields;
use crate::{guard, mlflow, page};

/// What answers a call.
pub(crate) type Handler = fn(&Ledger, Fields) -> Reply;

/// One call that speaks JSON.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
}

/// Builds the table of everything the server answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for endpoint in mlflow::ENDPOINTS {
        for prefix in mlflow::PREFIXES {
            router = add(router, prefix, endpoint);
        }
    }
    for endpoint in page::ENDPOINTS {
        router = add(router, "", endpoint);
    }
    router
        .merge(mlflow::artifact_routes())
        .merge(mlflow::not_implemented_routes())
        .merge(page::asset_routes())
        .route("/health", get(async || "OK"))
        .route("/version", get(async || mlflow::COMPATIBLE_VERSION))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(app.clone(), gate))
        .with_state(app)
}

fn add(router: Router<Arc<App>>, prefix: &str, endpoint: &'static Endpoint) -> Router<Arc<App>> {
    let filter = match endpoint.method {
        Method::GET => MethodFilter::GET,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::POST,
    };
    let handler = endpoint.handler;
    let answer = async move |State(app): State<Arc<App>>, path: RawPathParams, request: Request| {
        respond(call(&app, handler, &path, request).await)
    };
    router.route(&format!("{prefix}{}", endpoint.path), on(filter, answer))
}

async fn call(app: &App, handler: Handler, path: &RawPathParams, request: Request) -> Reply {
    let (head, body) = request.into_parts();
    let body = Pieces::new(body, app.config.body_size_bytes_max as u64, app.config.body_silence_ms_max)?
        .all()
        .await?;
    let mut fields = Fields::from_json(&body)?;
    if let Some(query) = head.uri.query() {
        fields.add_query(query)?;
    }
    for (name, value) in path {
        fields.set(name, value);
    }
    // Without a token nobody is checked, so nobody is named.
    let user = app.config.token.as_ref().and_then(|_| guard::user(&head.headers));
    app.in_ledger(move |ledger| match user {
        Some(user) => handler(&ledger.with_actor(user), fields),
        None => handler(ledger, fields),
    })
    .await
}

/// What every request passes first: is there room, and may it be answered at all?
async fn gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let admitted = match app.admit() {
        Ok(permit) => permit,
        Err(error) => return error.response(),
    };
    let allowed =
        guard::check(app.config.token.as_deref(), request.method(), request.uri().path(), request.headers());
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => error.response(),
    };
    drop(admitted);
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    response
}

async fn unknown(request: Request) -> Response<Body> {
    ApiError::new(
        Code::EndpointNotFound,
        format!("this server has no {} {}", request.method(), request.uri().path()),
    )
    .response()
}

async fn other_method(request: Request) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    let mut response =
        ApiError::new(Code::EndpointNotFound, format!("{path} is not called with {method}")).response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
