//! The page's files, compiled in.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use axum::routing::get;

use crate::app::App;

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, kind, text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../../page/index.html")),
    ("/page/style.css", CSS, include_str!("../../page/style.css")),
    ("/page/main.js", SCRIPT, include_str!("../../page/main.js")),
    ("/page/api.js", SCRIPT, include_str!("../../page/api.js")),
    ("/page/state.js", SCRIPT, include_str!("../../page/state.js")),
    ("/page/grid.js", SCRIPT, include_str!("../../page/grid.js")),
    ("/page/runs.js", SCRIPT, include_str!("../../page/runs.js")),
    ("/page/chart.js", SCRIPT, include_str!("../../page/chart.js")),
    ("/page/charts.js", SCRIPT, include_str!("../../page/charts.js")),
    ("/page/compare.js", SCRIPT, include_str!("../../page/compare.js")),
    ("/page/parallel.js", SCRIPT, include_str!("../../page/parallel.js")),
    ("/page/goals.js", SCRIPT, include_str!("../../page/goals.js")),
    ("/page/governance.js", SCRIPT, include_str!("../../page/governance.js")),
    ("/page/near.js", SCRIPT, include_str!("../../page/near.js")),
    ("/page/audit.js", SCRIPT, include_str!("../../page/audit.js")),
    ("/page/run.js", SCRIPT, include_str!("../../page/run.js")),
];

/// Nothing from elsewhere, nothing inline, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, text)| {
        router.route(path, get(async move || file(kind, text, POLICY)))
    })
}

/// A file of a page, with what the page may load and run.
pub(crate) fn file(kind: &'static str, text: &'static str, policy: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
