//! A refused or failed request, in the words of the client's own API.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use mynah_engine::ErrorKind;
use serde_json::{Value, json};

/// Which API the client speaks; errors look different in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

/// What kind of failure it is: decides the status and the names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be met as it is.
    Invalid,
    /// Prompt and completion do not fit into the context.
    ContextLength,
    /// No API key, or a wrong one.
    Authentication,
    /// Not for this client.
    Permission,
    /// No such model, route or response.
    NotFound,
    /// The route exists, not with this method.
    Method,
    /// It does not fit what the server is doing or has.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// More requests than the limit allows.
    RateLimit,
    /// The engine is full, draining or dead.
    Unavailable,
    /// It took longer than it may.
    Timeout,
    /// An error of the server's own.
    Internal,
}

/// An answer that says no: what is wrong, with which field, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field that is wrong.
    pub(crate) param: Option<String>,
    /// OpenAI's own word for the case, where it has one.
    pub(crate) code: Option<&'static str>,
}

/// What handlers return.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), param: None, code: None }
    }

    /// A field whose value cannot be met.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure {
            param: Some(param.into()),
            code: Some("invalid_value"),
            ..Failure::new(Kind::Invalid, message)
        }
    }

    /// A field that is documented, but that this server cannot honour.
    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Failure {
        let code = Some("unsupported_parameter");
        Failure { param: Some(param.into()), code, ..Failure::new(Kind::Invalid, message) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid | Kind::ContextLength => StatusCode::BAD_REQUEST,
            Kind::Authentication => StatusCode::UNAUTHORIZED,
            Kind::Permission => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body in a dialect.
    pub(crate) fn body(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => {
                let name = match self.kind {
                    Kind::Authentication => "authentication_error",
                    Kind::Permission => "permission_error",
                    Kind::RateLimit => "rate_limit_error",
                    Kind::Unavailable | Kind::Timeout | Kind::Internal => "server_error",
                    _ => "invalid_request_error",
                };
                let code = self.code.or(match self.kind {
                    Kind::ContextLength => Some("context_length_exceeded"),
                    Kind::Authentication => Some("invalid_api_key"),
                    Kind::RateLimit => Some("rate_limit_exceeded"),
                    Kind::Unavailable => Some("service_unavailable"),
                    _ => None,
                });
                json!({"error": {"message": self.message, "type": name, "param": self.param, "code": code}})
            }
            Dialect::Anthropic => {
                let name = match self.kind {
                    Kind::Invalid | Kind::ContextLength | Kind::Method | Kind::Conflict => {
                        "invalid_request_error"
                    }
                    Kind::Authentication => "authentication_error",
                    Kind::Permission => "permission_error",
                    Kind::NotFound => "not_found_error",
                    Kind::TooLarge => "request_too_large",
                    Kind::RateLimit => "rate_limit_error",
                    Kind::Unavailable => "overloaded_error",
                    Kind::Timeout => "timeout_error",
                    Kind::Internal => "api_error",
                };
                let message = match &self.param {
                    Some(param) if !self.message.contains(param.as_str()) => {
                        format!("{param}: {}", self.message)
                    }
                    _ => self.message.clone(),
                };
                json!({"type": "error", "error": {"type": name, "message": message}})
            }
        }
    }

    /// The whole answer.
    pub(crate) fn response(&self, dialect: Dialect) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body(dialect).to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self.kind, Kind::Unavailable | Kind::RateLimit) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<mynah_engine::Error> for Failure {
    fn from(error: mynah_engine::Error) -> Failure {
        let kind = match error.kind() {
            ErrorKind::Prompt => Kind::ContextLength,
            ErrorKind::Option | ErrorKind::Constraint => Kind::Invalid,
            ErrorKind::Busy | ErrorKind::Draining | ErrorKind::Dead | ErrorKind::Replaced => {
                Kind::Unavailable
            }
            ErrorKind::Deadline => Kind::Timeout,
            ErrorKind::Logits | ErrorKind::Model => Kind::Internal,
        };
        Failure::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_words() {
        let failure = Failure::field("top_p", "top_p is 2; it must be at most 1");
        let open = failure.body(Dialect::OpenAi);
        assert_eq!(open["error"]["type"], "invalid_request_error");
        assert_eq!(
            (&open["error"]["param"], &open["error"]["code"]),
            (&json!("top_p"), &json!("invalid_value"))
        );
        let other = failure.body(Dialect::Anthropic);
        assert_eq!(
            (&other["type"], &other["error"]["type"]),
            (&json!("error"), &json!("invalid_request_error"))
        );
        assert_eq!(other["error"]["message"], "top_p is 2; it must be at most 1");
        let busy = Failure::new(Kind::Unavailable, "full").response(Dialect::OpenAi);
        assert_eq!(
            (busy.status(), busy.headers().contains_key(RETRY_AFTER)),
            (StatusCode::SERVICE_UNAVAILABLE, true)
        );
    }
}
