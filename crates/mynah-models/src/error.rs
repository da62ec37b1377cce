//! The one error of this crate.

use std::fmt;
use std::path::Path;

/// What sort of thing went wrong; the message says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such model: the message lists where it was looked for.
    NotFound,
    /// An architecture, a type of weights or a setting that is not supported; the message names it.
    Unsupported,
    /// A configuration or an option that cannot work.
    Config,
    /// The file system refused.
    Io,
    /// A file that is damaged or is not what it should be.
    Format,
    /// A sound file that does not fit the configuration: a tensor is missing or has another shape.
    Mismatch,
    /// A step that does not fit the model: a token beyond the vocabulary, a page that does not exist.
    Input,
}

/// An error with its kind and one line that says what, where and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<std::io::Error>,
}

/// The result of everything fallible here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn format(path: &Path, message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Format, format!("{}: {message}", path.display()))
    }

    pub(crate) fn io(path: &Path, doing: &str, error: std::io::Error) -> Self {
        let message = format!("{}: cannot {doing}: {error}", path.display());
        Self { kind: ErrorKind::Io, message, source: Some(error) }
    }

    /// What sort of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
