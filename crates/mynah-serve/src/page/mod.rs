//! The page on which people look at runs: its files, and the API it draws from.

mod api;
mod assets;

use axum::http::Method;

use crate::router::Endpoint;

pub(crate) use assets::routes as asset_routes;

/// Every call of the page. Questions with long lists are posted; none of them changes anything.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/mynah/info", handler: api::info },
    Endpoint { method: Method::GET, path: "/api/mynah/experiments", handler: api::experiments },
    Endpoint { method: Method::POST, path: "/api/mynah/columns", handler: api::columns },
    Endpoint { method: Method::POST, path: "/api/mynah/runs", handler: api::runs },
    Endpoint { method: Method::GET, path: "/api/mynah/run", handler: api::run },
    Endpoint { method: Method::POST, path: "/api/mynah/curves", handler: api::curves },
    Endpoint { method: Method::POST, path: "/api/mynah/compare", handler: api::compare },
    Endpoint { method: Method::GET, path: "/api/mynah/changes", handler: api::changes },
];
