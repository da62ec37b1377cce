//! The crate's one error type.

use std::fmt;
use std::path::Path;

/// What went wrong, for code that has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system or the network refused.
    Io,
    /// The input is malformed: not what its format says, or larger than anything honest.
    Format,
    /// The input is well-formed but asks for something this crate does not do.
    Unsupported,
    /// No valid signature by the key one trusts, or no valid token.
    Signature,
    /// The content is not what its digest says, or it belongs to another base, model or shape.
    Mismatch,
    /// An epoch that was seen before, or a term that another coordinator has passed.
    Stale,
    /// More bytes than there is room for.
    Capacity,
    /// The caller asked for something impossible (an empty model name, a cap below one chunk).
    Argument,
    /// What was asked for does not fit the state: no update runs, or another one does.
    State,
}

/// An error of this crate: a kind and a message that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

const MESSAGE_BYTES_MAX: usize = 1_000;

impl Error {
    /// An error for code outside this crate that implements its traits (a log, a source of tensors).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
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

    pub(crate) fn signature(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Signature, message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn stale(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Stale, message)
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::State, message)
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

impl From<mynah_trust::Error> for Error {
    fn from(error: mynah_trust::Error) -> Self {
        use mynah_trust::ErrorKind as Theirs;
        let kind = match error.kind() {
            Theirs::Io => ErrorKind::Io,
            Theirs::Signature | Theirs::Key => ErrorKind::Signature,
            Theirs::Mismatch => ErrorKind::Mismatch,
            Theirs::Unsupported => ErrorKind::Unsupported,
            Theirs::Argument => ErrorKind::Argument,
            _ => ErrorKind::Format,
        };
        Self::new(kind, error.to_string())
    }
}
