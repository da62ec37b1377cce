//! The crate's one error type.

use std::fmt;
use std::io;
use std::path::Path;

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for code that has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system refused.
    Io,
    /// A pipeline is malformed: its text, its graph, a path that leaves its folder.
    Pipeline,
    /// A stage failed: its program, its inputs, its outputs.
    Stage,
    /// A gate's condition does not hold, or what it asks for is not there.
    Gate,
    /// A journal cannot be used: damaged, or of another pipeline.
    Journal,
    /// Another flow runs in the same folder.
    Busy,
    /// The flow was interrupted.
    Interrupted,
    /// A bundle is malformed, or larger than anything honest.
    Bundle,
    /// A bundle is not what was signed, or not signed by the key one trusts.
    Signature,
    /// The ledger refused.
    Ledger,
    /// The caller asked for something impossible (a stage that does not exist).
    Argument,
}

/// An error of this crate: a kind, and one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Messages quote what they refuse, and a hostile file may make that as long as itself. Tails of logs fit.
const MESSAGE_BYTES_MAX: usize = 8_000;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push_str(" […]");
        }
        Error { kind, message }
    }

    pub(crate) fn pipeline(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Pipeline, message)
    }

    pub(crate) fn stage(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Stage, message)
    }

    pub(crate) fn bundle(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Bundle, message)
    }

    pub(crate) fn argument(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Argument, message)
    }

    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("{}: cannot {action}: {error}", path.display()))
    }

    /// Puts the file in question before the message.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        Error::new(self.kind, format!("{}: {}", path.display(), self.message))
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
    fn from(error: mynah_trust::Error) -> Error {
        use mynah_trust::ErrorKind as Trust;
        let kind = match error.kind() {
            Trust::Io => ErrorKind::Io,
            Trust::Signature | Trust::Mismatch | Trust::Key => ErrorKind::Signature,
            _ => ErrorKind::Bundle,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<mynah_ledger::Error> for Error {
    fn from(error: mynah_ledger::Error) -> Error {
        Error::new(ErrorKind::Ledger, error.to_string())
    }
}
