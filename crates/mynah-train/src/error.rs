//! The error of this crate.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of thing went wrong; the message says what, where and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting that cannot work, or that differs from the run that is resumed.
    Config,
    /// A file or folder that cannot be read or written.
    Io,
    /// A checkpoint that is damaged, missing or does not fit.
    Checkpoint,
    /// A loss or weights that are no numbers.
    NotFinite,
    /// The data gave no batch, or one of another shape.
    Data,
    /// The model failed.
    Model,
}

/// Why training stopped.
#[derive(Debug)]
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

    /// A file operation that failed: `cannot DOING PATH: REASON`.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The kind, for callers that react to it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same kind with more to say in front.
    #[must_use]
    pub(crate) fn context(self, before: &str) -> Self {
        Self { kind: self.kind, message: format!("{before}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
