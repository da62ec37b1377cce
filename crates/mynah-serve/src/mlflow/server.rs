//! What a client asks about the server itself, and the calls it does not have.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::routing::any;
use mynah_ledger::Ledger;
use serde::Serialize;

use super::PREFIXES;
use crate::answer::{ApiError, Code, Reply, reply};
use crate::app::App;
use crate::fields::Fields;

/// The release of MLflow whose API this is. Clients ask for it to know what they may call.
pub(crate) const COMPATIBLE_VERSION: &str = "3.17.2";

/// Parts of MLflow that are not about runs and models.
const ABSENT: [&str; 13] = [
    "traces",
    "scorers",
    "scorer",
    "gateway",
    "datasets",
    "issues",
    "label-schemas",
    "review-queues",
    "webhooks",
    "workspaces",
    "prompt-optimization",
    "jobs",
    "assessments",
];

pub(super) fn info(_: &Ledger, _: Fields) -> Reply {
    #[derive(Serialize)]
    struct Info {
        store_type: &'static str,
        workspaces_enabled: bool,
        trace_archival_enabled: bool,
        multipart_uploads_enabled: bool,
        multipart_downloads_enabled: bool,
        presigned_upload_run_id_supported: bool,
        presigned_upload_model_id_supported: bool,
    }
    reply(&Info {
        store_type: "SqlStore",
        workspaces_enabled: false,
        trace_archival_enabled: false,
        multipart_uploads_enabled: false,
        multipart_downloads_enabled: false,
        presigned_upload_run_id_supported: false,
        presigned_upload_model_id_supported: false,
    })
}

/// Answers those parts with `NOT_IMPLEMENTED`.
pub(crate) fn not_implemented_routes() -> Router<Arc<App>> {
    let mut router = Router::new();
    for prefix in PREFIXES {
        for part in ABSENT {
            router = router
                .route(&format!("{prefix}/mlflow/{part}"), any(not_implemented))
                .route(&format!("{prefix}/mlflow/{part}/{{*rest}}"), any(not_implemented));
        }
    }
    router.route("/v1/traces", any(not_implemented)).route("/graphql", any(not_implemented))
}

async fn not_implemented(request: Request) -> Response<Body> {
    ApiError::new(
        Code::NotImplemented,
        format!("{} is a part of MLflow that this server does not have", request.uri().path()),
    )
    .response()
}
