//! What is asked of kept answers: the answer itself, its input, and to forget it.

use axum::body::Body;
use axum::http::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::ask::check_include;
use crate::llm::failure::{Failure, Kind, Outcome};
use crate::llm::{App, json_response};

/// Items a page.
const ITEMS: usize = 20;
const ITEMS_MAX: usize = 100;

/// `GET /v1/responses/{id}`
pub(crate) fn stored(app: &App, id: &str, client: &str, query: Option<&str>) -> Outcome<Response<Body>> {
    for (name, value) in fields(query) {
        match name.as_str() {
            "include" => check_include(&value, "include").map(drop)?,
            "stream" if value == "false" => {}
            "include_obfuscation" if value == "false" => {}
            "stream" | "starting_after" | "include_obfuscation" => {
                let message = format!("{name} is not supported: an answer that is kept is complete");
                return Err(Failure::unsupported(name, message));
            }
            _ => return Err(unknown(&name)),
        }
    }
    match app.store.get(client, id) {
        Some(stored) => Ok(json_response(&stored.response)),
        None => Err(missing(app, id)),
    }
}

/// `DELETE /v1/responses/{id}`
pub(crate) fn delete(app: &App, id: &str, client: &str) -> Outcome<Response<Body>> {
    match app.store.delete(client, id) {
        true => Ok(json_response(&json!({"id": id, "object": "response", "deleted": true}))),
        false => Err(missing(app, id)),
    }
}

/// `GET /v1/responses/{id}/input_items`
pub(crate) fn input_items(app: &App, id: &str, client: &str, query: Option<&str>) -> Outcome<Response<Body>> {
    let (mut limit, mut rising, mut after) = (ITEMS, false, None);
    for (name, value) in fields(query) {
        match name.as_str() {
            "include" => check_include(&value, "include").map(drop)?,
            "after" => after = Some(value),
            "order" if value == "asc" || value == "desc" => rising = value == "asc",
            "order" => return Err(Failure::field("order", "order must be asc or desc")),
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=ITEMS_MAX).contains(limit));
                limit = number.ok_or_else(|| {
                    Failure::field("limit", format!("limit must be a whole number from 1 to {ITEMS_MAX}"))
                })?;
            }
            _ => return Err(unknown(&name)),
        }
    }
    let stored = app.store.get(client, id).ok_or_else(|| missing(app, id))?;
    let mut items: Vec<&Value> = stored.input.iter().map(|item| &item.json).collect();
    if !rising {
        items.reverse();
    }
    if let Some(after) = after {
        let place = items.iter().position(|item| item["id"] == after);
        let place = place.ok_or_else(|| Failure::field("after", format!("there is no item '{after}'")))?;
        items.drain(..=place);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let name = |item: Option<&&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    Ok(json_response(&json!({
        "object": "list", "data": items, "first_id": name(items.first()), "last_id": name(items.last()),
        "has_more": has_more,
    })))
}

/// Names and values; lists are written `include[]=…` by some clients.
fn fields(query: Option<&str>) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let read = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name).trim_end_matches("[]").to_string(), decoded(value))
    });
    read.collect()
}

fn unknown(name: &str) -> Failure {
    let message = format!("{name} is not a parameter that this server knows");
    Failure { code: Some("unknown_parameter"), ..Failure::field(name, message) }
}

/// The failure of an answer that is not there.
pub(super) fn missing(app: &App, id: &str) -> Failure {
    let short: String = id.chars().take(100).collect();
    let message = format!(
        "no response '{short}' is kept; the last {} are, unless store is false, as long as the server runs",
        app.config.stored_responses_max
    );
    Failure::new(Kind::NotFound, message)
}
