//! The one error of this crate.

use std::fmt;
use std::path::Path;

/// What sort of thing went wrong; the message says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A model configuration, plan or optimizer setting that cannot work.
    Config,
    /// Input that does not fit the model: a token beyond the vocabulary, a text beyond the context.
    Input,
    /// The file system refused.
    Io,
    /// A file that is damaged or is not what it should be.
    Format,
    /// A file that is sound but belongs to another model.
    Mismatch,
    /// A tensor operation refused.
    Tensor,
}

/// An error with its kind and one line that says what, where and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything fallible here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
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
        Self {
            kind: ErrorKind::Io,
            message: format!("{}: cannot {doing}: {error}", path.display()),
            source: Some(Box::new(error)),
        }
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
        self.source.as_ref().map(|e| e.as_ref() as _)
    }
}

impl From<mynah_tensor::Error> for Error {
    fn from(error: mynah_tensor::Error) -> Self {
        Self { kind: ErrorKind::Tensor, message: error.to_string(), source: Some(Box::new(error)) }
    }
}
