//! The one error of this crate. Errors inside a request never come out here: they become answers in the
//! client's own format.

use std::fmt;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting that cannot be met, or that would be unsafe.
    Setting,
    /// The address is taken or may not be used.
    Bind,
    /// A model that cannot be loaded.
    Model,
    /// A version of the weights that servers did not take.
    Weights,
    /// The system refused threads, signals or sockets.
    System,
}

/// An error of mynah-serve. Its text is one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of this kind with its whole line.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// The kind.
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
