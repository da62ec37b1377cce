//! The error of this crate.

use std::fmt;

/// What kind of thing went wrong; the message says what, where and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A prompt that is empty, too long for the context, or holds an id outside the vocabulary.
    Prompt,
    /// A sampling option outside its range.
    Option,
    /// Logits that are no numbers, or of which none is left to choose from.
    Logits,
    /// The model itself failed.
    Model,
    /// A schema, grammar or pattern that cannot be enforced.
    Constraint,
    /// Too many requests wait already; try again later.
    Busy,
    /// The engine is being shut down and takes no new requests.
    Draining,
    /// The engine's thread is gone.
    Dead,
    /// The request's deadline has passed.
    Deadline,
    /// The weights that the request was computed with were replaced.
    Replaced,
}

/// Why nothing could be generated.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind, for callers that react to it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
