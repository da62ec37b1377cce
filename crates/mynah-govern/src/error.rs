//! The one error of this crate: a kind for programs, a line for people.

use std::fmt;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not a goal, gate, policy, cron expression, …
    Argument,
    /// No such run, metric, version.
    NotFound,
    /// Governance says no: a promotion without a pass, a signature that does not fit.
    Refused,
    /// What is to be read back (a receipt, a report bundle) is malformed or was changed.
    Format,
    /// The ledger or the disk.
    Storage,
}

/// An error of mynah-govern. Its text is one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Argument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, message)
    }

    pub(crate) fn format(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Format, message)
    }

    pub(crate) fn storage(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Storage, message)
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

impl From<mynah_ledger::Error> for Error {
    fn from(error: mynah_ledger::Error) -> Error {
        let kind = match error.kind() {
            mynah_ledger::ErrorKind::NotFound => ErrorKind::NotFound,
            mynah_ledger::ErrorKind::Invalid | mynah_ledger::ErrorKind::AlreadyExists => ErrorKind::Argument,
            mynah_ledger::ErrorKind::State => ErrorKind::Refused,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<mynah_trust::Error> for Error {
    fn from(error: mynah_trust::Error) -> Error {
        let kind = match error.kind() {
            mynah_trust::ErrorKind::Signature | mynah_trust::ErrorKind::Mismatch => ErrorKind::Refused,
            mynah_trust::ErrorKind::Format => ErrorKind::Format,
            mynah_trust::ErrorKind::Io => ErrorKind::Storage,
            _ => ErrorKind::Argument,
        };
        Error::new(kind, error.to_string())
    }
}
