//! Answers: JSON bytes, or an error in MLflow's format (`error_code`, `message`) with its HTTP status.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// MLflow's names of what can go wrong, as far as this server uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidParameterValue,
    BadRequest,
    ResourceDoesNotExist,
    ResourceAlreadyExists,
    InvalidState,
    PermissionDenied,
    Unauthenticated,
    EndpointNotFound,
    NotImplemented,
    RequestLimitExceeded,
    TemporarilyUnavailable,
    InternalError,
}

impl Code {
    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Code::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Code::BadRequest => "BAD_REQUEST",
            Code::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Code::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Code::InvalidState => "INVALID_STATE",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Code::NotImplemented => "NOT_IMPLEMENTED",
            Code::RequestLimitExceeded => "REQUEST_LIMIT_EXCEEDED",
            Code::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Code::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The status that MLflow's server answers with for this name.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Code::InvalidParameterValue | Code::BadRequest | Code::ResourceAlreadyExists => {
                StatusCode::BAD_REQUEST
            }
            Code::ResourceDoesNotExist | Code::EndpointNotFound => StatusCode::NOT_FOUND,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Code::RequestLimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
            Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::InvalidState | Code::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An answer that says no, and why.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: Code,
    message: String,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::InvalidParameterValue, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::InternalError, message)
    }

    /// The same error, and more to say.
    pub(crate) fn add(self, more: &str) -> ApiError {
        ApiError { message: self.message + more, ..self }
    }

    /// Whether it is the server's fault, or the disk's, and not the client's.
    pub(crate) fn is_internal(&self) -> bool {
        self.code == Code::InternalError
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn response(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Wire<'a> {
            error_code: &'a str,
            message: &'a str,
        }
        let body = serde_json::to_vec(&Wire { error_code: self.code.name(), message: &self.message })
            .unwrap_or_else(|_| b"{\"error_code\":\"INTERNAL_ERROR\"}".to_vec());
        let mut response = json_with(self.code.status(), body);
        match self.code {
            Code::Unauthenticated => {
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"mynah\""));
            }
            Code::TemporarilyUnavailable => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<mynah_ledger::Error> for ApiError {
    fn from(error: mynah_ledger::Error) -> ApiError {
        use mynah_ledger::ErrorKind;
        let code = match error.kind() {
            ErrorKind::NotFound => Code::ResourceDoesNotExist,
            ErrorKind::AlreadyExists => Code::ResourceAlreadyExists,
            ErrorKind::Invalid => Code::InvalidParameterValue,
            ErrorKind::State => Code::InvalidState,
            ErrorKind::Busy => Code::TemporarilyUnavailable,
            ErrorKind::Permission => Code::PermissionDenied,
            ErrorKind::Storage | ErrorKind::NewerSchema => Code::InternalError,
        };
        ApiError::new(code, error.to_string())
    }
}

impl From<mynah_govern::Error> for ApiError {
    fn from(error: mynah_govern::Error) -> ApiError {
        use mynah_govern::ErrorKind;
        let code = match error.kind() {
            ErrorKind::Argument => Code::InvalidParameterValue,
            ErrorKind::NotFound => Code::ResourceDoesNotExist,
            // Not INVALID_STATE: its status is 500, on which MLflow's client asks again and again and in the end
            // tells nobody why.
            ErrorKind::Refused => Code::PermissionDenied,
            _ => Code::InternalError,
        };
        ApiError::new(code, error.to_string())
    }
}

/// JSON bytes, or an error.
pub(crate) type Reply = Result<Vec<u8>, ApiError>;

/// Serializes a wire type.
pub(crate) fn reply<T: Serialize>(wire: &T) -> Reply {
    serde_json::to_vec(wire).map_err(|error| ApiError::internal(format!("cannot write the answer: {error}")))
}

/// The answer of a call that has nothing to say.
pub(crate) fn reply_empty() -> Reply {
    Ok(b"{}".to_vec())
}

/// The HTTP form of a reply.
pub(crate) fn respond(result: Reply) -> Response<Body> {
    match result {
        Ok(body) => json_with(StatusCode::OK, body),
        Err(error) => error.response(),
    }
}

fn json_with(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
