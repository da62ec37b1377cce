//! The crate's one error type.

use std::fmt;
use std::path::Path;

/// What went wrong, for code that has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system refused.
    Io,
    /// The input is malformed: not what its format says, or larger than anything honest.
    Format,
    /// The input is well-formed but asks for something this crate does not do.
    Unsupported,
    /// A key cannot be read, is of another kind, or its file exists already.
    Key,
    /// No valid signature by the key one trusts.
    Signature,
    /// The content is not what was signed, or a proof does not lead to the root it should.
    Mismatch,
    /// The caller asked for something impossible (a leaf beyond the tree, an empty name).
    Argument,
}

/// An error of this crate: a kind and a message that says what, where and what to do.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

const MESSAGE_BYTES_MAX: usize = 1_000;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // Messages quote what they refuse, and a hostile file may make that as long as itself.
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push_str(" […]");
        }
        Self { kind, message }
    }

    pub(crate) fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn key(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Key, message)
    }

    pub(crate) fn signature(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Signature, message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    pub(crate) fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{}: cannot {action}: {error}", path.display()))
    }

    /// Puts the file in question before the message.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::new(self.kind, format!("{}: {}", path.display(), self.message))
    }

    /// The kind of error.
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
