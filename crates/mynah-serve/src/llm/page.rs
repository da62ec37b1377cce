//! The page on which people talk to a model: its files, compiled in.
//!
//! The files hold no secret and are given to everybody who reaches the server, so that the page itself can ask for
//! an API key. What it then calls is the same API that every client calls.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::App;
use crate::page::{CSS, HTML, SCRIPT, file};

/// Path, kind, text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../../chat-page/index.html")),
    ("/page/style.css", CSS, include_str!("../../chat-page/style.css")),
    ("/page/thread.css", CSS, include_str!("../../chat-page/thread.css")),
    ("/page/main.js", SCRIPT, include_str!("../../chat-page/main.js")),
    ("/page/chat.js", SCRIPT, include_str!("../../chat-page/chat.js")),
    ("/page/tree.js", SCRIPT, include_str!("../../chat-page/tree.js")),
    ("/page/answer.js", SCRIPT, include_str!("../../chat-page/answer.js")),
    ("/page/request.js", SCRIPT, include_str!("../../chat-page/request.js")),
    ("/page/options.js", SCRIPT, include_str!("../../chat-page/options.js")),
    ("/page/api.js", SCRIPT, include_str!("../../chat-page/api.js")),
    ("/page/sse.js", SCRIPT, include_str!("../../chat-page/sse.js")),
    ("/page/advice.js", SCRIPT, include_str!("../../chat-page/advice.js")),
    ("/page/store.js", SCRIPT, include_str!("../../chat-page/store.js")),
    ("/page/kept.js", SCRIPT, include_str!("../../chat-page/kept.js")),
    ("/page/exchange.js", SCRIPT, include_str!("../../chat-page/exchange.js")),
    ("/page/thread.js", SCRIPT, include_str!("../../chat-page/thread.js")),
    ("/page/message.js", SCRIPT, include_str!("../../chat-page/message.js")),
    ("/page/calls.js", SCRIPT, include_str!("../../chat-page/calls.js")),
    ("/page/render.js", SCRIPT, include_str!("../../chat-page/render.js")),
    ("/page/markdown.js", SCRIPT, include_str!("../../chat-page/markdown.js")),
    ("/page/inline.js", SCRIPT, include_str!("../../chat-page/inline.js")),
    ("/page/composer.js", SCRIPT, include_str!("../../chat-page/composer.js")),
    ("/page/list.js", SCRIPT, include_str!("../../chat-page/list.js")),
    ("/page/panel.js", SCRIPT, include_str!("../../chat-page/panel.js")),
    ("/page/health.js", SCRIPT, include_str!("../../chat-page/health.js")),
    ("/page/keyform.js", SCRIPT, include_str!("../../chat-page/keyform.js")),
    ("/page/theme.js", SCRIPT, include_str!("../../chat-page/theme.js")),
    ("/page/dom.js", SCRIPT, include_str!("../../chat-page/dom.js")),
];

/// Nothing from elsewhere, nothing inline, nobody may frame it, and text never becomes markup: with trusted types
/// and no policy for them, a browser refuses `innerHTML` and its like altogether.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

pub(super) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, text)| {
        router.route(path, get(async move || file(kind, text, POLICY)))
    })
}

/// Whether a path is one of the page's files.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}
