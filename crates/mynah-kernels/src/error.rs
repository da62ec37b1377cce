//! The one error of this crate: a kind for programs, a line for people. Only what files can cause is an
//! error; wrong sizes in a call of a kernel are a programmer's mistake and panic.

use std::fmt;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file that cannot be opened or mapped.
    Io,
    /// Sizes that do not belong together or that a format cannot have.
    Shape,
    /// Values that a format cannot hold.
    Value,
    /// Memory that the system does not give.
    Memory,
}

/// An error of mynah-kernels. Its text is one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, message)
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
