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
use crate::governance::Caller;
use crate::{guard, mlflow, page};

/// What answers a call: most need the ledger alone.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Ledger(fn(&Ledger, Fields) -> Reply),
    Governed(fn(&Caller<'_>, Fields) -> Reply),
}

impl Handler {
    fn answer(self, caller: &Caller<'_>, fields: Fields) -> Reply {
        match self {
            Handler::Ledger(handler) => handler(caller.ledger, fields),
            Handler::Governed(handler) => handler(caller, fields),
        }
    }
}

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
    let governance = Arc::clone(&app.governance);
    app.in_ledger(move |ledger| match user {
        Some(user) => {
            let ledger = &ledger.with_actor(user.as_str());
            handler.answer(&Caller { ledger, governance: &governance, by: &user }, fields)
        }
        None => handler.answer(&Caller { ledger, governance: &governance, by: Caller::UNNAMED }, fields),
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use mynah_base::Rng;
    use mynah_govern::validate::Policy;
    use mynah_ledger::{Location, NewLoggedModel, NewRun, OpenOptions};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::governance::Governance;

    /// Every field that some call reads.
    const NAMES: [&str; 67] = [
        "run_id",
        "run_uuid",
        "experiment_id",
        "experiment_ids",
        "experiment_name",
        "name",
        "new_name",
        "key",
        "value",
        "timestamp",
        "step",
        "metrics",
        "params",
        "tags",
        "filter",
        "order_by",
        "max_results",
        "page_token",
        "status",
        "start_time",
        "end_time",
        "run_name",
        "user_id",
        "run_view_type",
        "view_type",
        "datasets",
        "dataset",
        "models",
        "metric_key",
        "run_ids",
        "start_step",
        "end_step",
        "path",
        "model_id",
        "tag_key",
        "source",
        "version",
        "alias",
        "stage",
        "stages",
        "archive_existing_versions",
        "description",
        "artifact_location",
        "artifact_directory_path",
        "model_json",
        "columns",
        "keys",
        "axis",
        "points",
        "thinning",
        "after",
        "deleted",
        "digest",
        "source_type",
        "dataset_name",
        "field_name",
        "goals",
        "count",
        "baseline_id",
        "before",
        "subject",
        "kind",
        "reason",
        "id",
        "resolution",
        "window_runs",
        "last",
    ];

    /// How deep values nest.
    const DEPTH: u32 = 3;

    fn any_value(rng: &mut Rng, known: &[Value], depth: u32) -> Value {
        let words = [
            "",
            "x",
            "../x",
            "0",
            "-1",
            "NaN",
            "metrics.a",
            "a = 'b'",
            "metrics.a > 1",
            "\u{0}",
            "'; --",
            "ü%_",
        ];
        match rng.below(14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(rng.next_u64()),
            3 => json!(rng.next_u64() as i64),
            4 => json!(rng.normal() * 1e10),
            5 => json!("y".repeat(rng.index(9000))),
            6 | 7 => json!(rng.choose(&words)),
            8 if depth > 0 => (0..rng.index(4)).map(|_| any_value(rng, known, depth - 1)).collect(),
            9 if depth > 0 => (0..rng.index(3)).map(|_| any_fields(rng, known, depth - 1)).collect(),
            10 if depth > 0 => any_fields(rng, known, depth - 1),
            11 => json!(rng.below(5)),
            _ => rng.choose(known).clone(),
        }
    }

    fn any_fields(rng: &mut Rng, known: &[Value], depth: u32) -> Value {
        let mut map = Map::new();
        // Most fields at the top, where calls need them; few below, or bodies grow without end.
        let most = if depth == DEPTH { 2 * NAMES.len() } else { 5 };
        for _ in 0..rng.index(most) {
            map.insert((*rng.choose(&NAMES)).to_string(), any_value(rng, known, depth));
        }
        Value::Object(map)
    }

    /// Whatever a call is asked, it answers, and never with an error of its own.
    #[test]
    fn every_call_survives_any_fields() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = Location::Sqlite(folder.path().join("runs.db"));
        let ledger = Ledger::open(&location, OpenOptions::default()).expect("a fresh ledger");
        let experiment_id = "0".to_string();
        let run = ledger.create_run(NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() });
        let run_id = run.expect("a run").run.id;
        let model = ledger.create_logged_model(NewLoggedModel { experiment_id, ..NewLoggedModel::default() });
        ledger.create_registered_model("net", Vec::new(), None).expect("a model");
        let known = [
            json!(run_id),
            json!([run_id]),
            json!(model.expect("a model").id),
            json!("0"),
            json!(["0"]),
            json!("net"),
        ];
        let governance = Governance::new(Policy::default(), None);
        let caller = Caller { ledger: &ledger, governance: &governance, by: Caller::UNNAMED };
        let mut answered = 0;
        for seed in 0..150 {
            for (place, endpoint) in mlflow::ENDPOINTS.iter().chain(page::ENDPOINTS).enumerate() {
                let mut rng = Rng::for_item(seed, place as u64);
                let body = any_fields(&mut rng, &known, DEPTH);
                let fields = Fields::from_json(body.to_string().as_bytes()).expect("an object");
                let answer = catch_unwind(AssertUnwindSafe(|| endpoint.handler.answer(&caller, fields)));
                let case = || format!("seed {seed}: {} {} with {body}", endpoint.method, endpoint.path);
                match answer {
                    Err(_) => panic!("panicked: {}", case()),
                    Ok(Ok(bytes)) => {
                        answered += 1;
                        let json = serde_json::from_slice::<Value>(&bytes);
                        assert!(json.is_ok_and(|json| json.is_object()), "{}", case());
                    }
                    Ok(Err(error)) => assert_ne!(error.code(), Code::InternalError, "{error:?}: {}", case()),
                }
            }
        }
        assert!(
            answered > 300,
            "{answered} calls had fields that could be answered; the test has become blunt"
        );
        assert!(ledger.audit_verify(None).expect("a log").findings.is_empty(), "the log is whole");
    }
}
