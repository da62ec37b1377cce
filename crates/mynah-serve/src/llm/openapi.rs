//! `/openapi.json`: every call of the server and every field it takes, as data (OpenAPI 3.1).
//!
//! Tests hold it against the table of calls and against the fields that the readers take, in both directions, so that
//! neither can change alone.

mod anthropic;
mod build;
mod openai;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use build::{answer as body, or_null, string};

/// What a call answers with when all is well.
enum Kind {
    Json,
    /// Or events, when the request asks for them.
    Streamed,
    Text,
}

/// One call of the document.
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    request: Option<Value>,
    answer: Value,
    kind: Kind,
    /// Statuses besides those that every call of its sort has.
    statuses: &'static [u16],
    query: Vec<(&'static str, Value)>,
}

impl Operation {
    fn post(path: &'static str, summary: &'static str, request: Value, answer: Value) -> Operation {
        Operation { method: "post", request: Some(request), ..Operation::get(path, summary, answer) }
    }

    fn get(path: &'static str, summary: &'static str, answer: Value) -> Operation {
        let (kind, query) = (Kind::Json, Vec::new());
        Operation { path, method: "get", summary, request: None, answer, kind, statuses: &[], query }
    }

    fn streamed(self) -> Operation {
        Operation { kind: Kind::Streamed, ..self }
    }

    fn also(self, statuses: &'static [u16]) -> Operation {
        Operation { statuses, ..self }
    }

    fn json(&self) -> Value {
        let mut responses = Map::new();
        let found = match self.kind {
            Kind::Json => json!({"application/json": {"schema": self.answer}}),
            Kind::Streamed => json!({
                "application/json": {"schema": self.answer}, "text/event-stream": {},
            }),
            Kind::Text => json!({"text/plain": {"schema": self.answer}}),
        };
        responses.insert("200".to_string(), json!({"description": "The answer.", "content": found}));
        let always: &[u16] = if is_of_monitors(self.path) { &[] } else { &[401, 403, 429] };
        let with_body: &[u16] = if self.request.is_some() { &[400, 404, 413, 500, 503, 504] } else { &[] };
        let anthropic = self.path.starts_with("/v1/messages");
        let name = if anthropic { "AnthropicError" } else { "Error" };
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        for status in always.iter().chain(with_body).chain(self.statuses) {
            let schema = if is_of_monitors(self.path) { &self.answer } else { &schema };
            let content = json!({"application/json": {"schema": schema}});
            responses
                .insert(status.to_string(), json!({"description": meaning(*status), "content": content}));
        }
        let mut operation = json!({"summary": self.summary, "responses": responses});
        if let Some(schema) = &self.request {
            let content = json!({"application/json": {"schema": schema}});
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        let mut parameters: Vec<Value> = self
            .query
            .iter()
            .map(|(name, schema)| json!({"name": name, "in": "query", "required": false, "schema": schema}))
            .collect();
        if self.path.contains("{id}") {
            let schema = json!({"type": "string", "minLength": 1});
            parameters.push(json!({"name": "id", "in": "path", "required": true, "schema": schema}));
        }
        if !parameters.is_empty() {
            operation["parameters"] = json!(parameters);
        }
        if is_of_monitors(self.path) {
            operation["security"] = json!([]);
        }
        operation
    }
}

/// Calls that need no key, whose refusals are answers.
fn is_of_monitors(path: &str) -> bool {
    ["/health", "/live", "/ready"].contains(&path)
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be met as it is; the error names the field.",
        401 => "No API key, or a wrong one.",
        403 => "Not for this client.",
        404 => "There is no such thing.",
        413 => "The body is too large.",
        429 => "More requests than the limit allows.",
        503 => "The server is full, stopping or broken; try again later.",
        504 => "It took longer than it may.",
        _ => "An error of the server's own.",
    }
}

fn operations() -> Vec<Operation> {
    let include = || json!({"type": "string", "const": "message.output_text.logprobs"});
    let kept = |summary, answer| Operation {
        query: vec![("include", include()), ("stream", json!({"const": "false"}))],
        ..Operation::get("/v1/responses/{id}", summary, answer)
    };
    vec![
        Operation::post("/v1/chat/completions", "Answer a conversation.", openai::chat(), choices())
            .streamed(),
        Operation::post("/v1/completions", "Go on with a text.", openai::completions(), choices()).streamed(),
        Operation::post("/v1/responses", "Answer items.", openai::responses(), response()).streamed(),
        Operation::post(
            "/v1/responses/input_tokens",
            "Count the tokens of items.",
            openai::response_tokens(),
            body(vec![("object", string()), ("input_tokens", json!({"type": "integer"}))]),
        ),
        kept("A kept response.", response()).also(&[400, 404]),
        Operation {
            method: "delete",
            query: Vec::new(),
            ..kept("Forget a response.", body(vec![("id", string()), ("deleted", json!({"const": true}))]))
        }
        .also(&[404]),
        Operation {
            query: vec![
                ("include", include()),
                ("after", json!({"type": "string"})),
                ("limit", json!({"type": "integer", "minimum": 1, "maximum": 100})),
                ("order", json!({"enum": ["asc", "desc"]})),
            ],
            ..Operation::get("/v1/responses/{id}/input_items", "The items of a response's request.", listed())
        }
        .also(&[400, 404]),
        Operation::post("/v1/embeddings", "Vectors of texts.", openai::embeddings(), embeddings()),
        Operation::post("/v1/messages", "Answer a conversation.", anthropic::messages(), message())
            .streamed(),
        Operation::post(
            "/v1/messages/count_tokens",
            "Count the tokens of a conversation.",
            anthropic::count_tokens(),
            body(vec![("input_tokens", json!({"type": "integer"}))]),
        ),
        Operation::get("/v1/models", "The models and adapters.", listed()),
        Operation::get("/v1/models/{id}", "One model.", model()).also(&[404]),
        Operation::post("/v1/load_lora_adapter", "Load an adapter.", openai::load_adapter(), model()),
        Operation::post(
            "/v1/unload_lora_adapter",
            "Unload an adapter.",
            openai::unload_adapter(),
            body(vec![("id", string()), ("deleted", json!({"const": true}))]),
        ),
        Operation::post(
            "/tokenize",
            "Text or messages into tokens.",
            openai::tokenize(),
            body(vec![("tokens", ids()), ("count", json!({"type": "integer"}))]),
        ),
        Operation::post(
            "/detokenize",
            "Tokens into text.",
            openai::detokenize(),
            body(vec![("prompt", string())]),
        ),
        Operation::get(
            "/health",
            "Whether requests are answered; asked without a key.",
            body(vec![
                ("status", json!({"enum": ["ok", "unavailable"]})),
                ("engines", json!({"type": "array"})),
            ]),
        )
        .also(&[503]),
        Operation::get(
            "/live",
            "Whether the process is worth keeping; asked without a key.",
            body(vec![("status", json!({"enum": ["ok", "unavailable"]})), ("reason", string())]),
        )
        .also(&[503]),
        Operation::get(
            "/ready",
            "Whether requests may be routed here, and why not; asked without a key.",
            body(vec![("status", json!({"enum": ["ok", "unavailable"]})), ("reason", string())]),
        )
        .also(&[503]),
        Operation {
            kind: Kind::Text,
            ..Operation::get("/metrics", "Figures in Prometheus' text format.", string())
        },
        Operation::get("/openapi.json", "This document.", body(vec![("openapi", string())])),
    ]
}

fn ids() -> Value {
    json!({"type": "array", "items": {"type": "integer"}})
}

fn objects() -> Value {
    json!({"type": "array", "items": {"type": "object"}})
}

fn usage() -> Value {
    body(vec![("prompt_tokens", json!({"type": "integer"})), ("total_tokens", json!({"type": "integer"}))])
}

fn choices() -> Value {
    body(vec![
        ("id", string()),
        ("object", string()),
        ("created", json!({"type": "integer"})),
        ("model", string()),
        ("choices", objects()),
        ("usage", usage()),
    ])
}

fn response() -> Value {
    body(vec![
        ("id", string()),
        ("object", json!({"const": "response"})),
        ("created_at", json!({"type": "integer"})),
        ("status", json!({"enum": ["completed", "incomplete"]})),
        ("model", string()),
        ("output", objects()),
        ("tools", objects()),
        ("usage", body(vec![("input_tokens", json!({"type": "integer"}))])),
    ])
}

fn embeddings() -> Value {
    let vector = json!({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]});
    let row = body(vec![("object", string()), ("index", json!({"type": "integer"})), ("embedding", vector)]);
    body(vec![
        ("object", json!({"const": "list"})),
        ("data", json!({"type": "array", "items": row})),
        ("model", string()),
        ("usage", usage()),
    ])
}

fn message() -> Value {
    let count = json!({"type": "integer"});
    body(vec![
        ("id", string()),
        ("type", json!({"const": "message"})),
        ("role", json!({"const": "assistant"})),
        ("model", string()),
        ("content", objects()),
        ("stop_reason", string()),
        ("usage", body(vec![("input_tokens", count.clone()), ("output_tokens", count)])),
    ])
}

fn model() -> Value {
    body(vec![
        ("id", string()),
        ("object", json!({"const": "model"})),
        ("created", json!({"type": "integer"})),
        ("owned_by", string()),
        ("max_model_len", json!({"type": "integer"})),
        ("kind", json!({"enum": ["chat", "completion", "embedding"]})),
    ])
}

fn listed() -> Value {
    body(vec![("object", json!({"const": "list"})), ("data", objects())])
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.json();
    }
    let error = body(vec![
        ("message", string()),
        ("type", string()),
        ("param", or_null(string())),
        ("code", or_null(string())),
    ]);
    let anthropic = body(vec![("type", string()), ("message", string())]);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mynah", "version": env!("CARGO_PKG_VERSION"),
            "description": "OpenAI's and Anthropic's APIs over models of this machine. A field that cannot be honoured \
                            is an error that names it; null is the same as leaving a field out.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": body(vec![("error", error)]),
                "AnthropicError": body(vec![("type", json!({"const": "error"})), ("error", anthropic)]),
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    })
}

/// The document, written once.
pub(super) fn answer() -> Response<Body> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    let mut response = Response::new(Body::from(text.as_str()));
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
