//! The page on which people look at runs: its files, and the API it draws from.

mod api;
mod assets;
mod audit;
mod govern;
mod insight;

use axum::http::Method;
use mynah_ledger::Ledger;

use crate::answer::Reply;
use crate::fields::Fields;
use crate::governance::Caller;
use crate::router::{Endpoint, Handler};

pub(crate) use assets::{CSS, HTML, SCRIPT, file, routes as asset_routes};

type Plain = fn(&Ledger, Fields) -> Reply;
type Governed = fn(&Caller<'_>, Fields) -> Reply;

const fn get(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::GET, path, handler: Handler::Ledger(handler) }
}

const fn post(path: &'static str, handler: Plain) -> Endpoint {
    Endpoint { method: Method::POST, path, handler: Handler::Ledger(handler) }
}

const fn ask(path: &'static str, handler: Governed) -> Endpoint {
    Endpoint { method: Method::GET, path, handler: Handler::Governed(handler) }
}

const fn tell(path: &'static str, handler: Governed) -> Endpoint {
    Endpoint { method: Method::POST, path, handler: Handler::Governed(handler) }
}

/// Every call of the page. Questions with long lists are posted.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    get("/api/mynah/info", api::info),
    get("/api/mynah/experiments", api::experiments),
    post("/api/mynah/columns", api::columns),
    post("/api/mynah/runs", api::runs),
    get("/api/mynah/run", api::run),
    post("/api/mynah/curves", api::curves),
    post("/api/mynah/compare", api::compare),
    get("/api/mynah/changes", api::changes),
    tell("/api/mynah/standouts", insight::standouts),
    ask("/api/mynah/neighbours", insight::neighbours),
    ask("/api/mynah/governance", govern::overview),
    tell("/api/mynah/validate", govern::validate),
    post("/api/mynah/quarantine", govern::quarantine),
    post("/api/mynah/release", govern::release),
    tell("/api/mynah/tickets/file", govern::file_tickets),
    post("/api/mynah/tickets/close", govern::close_ticket),
    post("/api/mynah/drift", govern::drift),
    get("/api/mynah/audit", audit::events),
    ask("/api/mynah/audit/verify", audit::verify),
];
