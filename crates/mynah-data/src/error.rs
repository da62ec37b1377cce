//! The one error of this crate: a kind for programs, a line for people.

use std::fmt;
use std::io;
use std::path::Path;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file or folder is not there or cannot be read or written.
    Io,
    /// Nothing to read: no such file, a folder without text files, an empty corpus.
    Empty,
    /// A file's content is not what its format asks for.
    Format,
    /// Bytes that are not UTF-8, in strict mode.
    Utf8,
    /// Too little data for what was asked.
    TooSmall,
    /// A setting that cannot be met.
    Setting,
    /// A saved position that does not fit this corpus or these settings.
    Resume,
    /// The network: no connection, a refusal, a cut.
    Network,
    /// Downloaded bytes that are not those expected.
    Checksum,
}

/// An error of mynah-data. Its text is one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of this kind with its whole line.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// `cannot read PATH: no such file`.
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("{what} {}: {error}", path.display()))
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
