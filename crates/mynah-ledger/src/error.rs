//! The one error of this crate: a kind for programs, a line for people.

use std::fmt;
use std::io;
use std::path::Path;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, as far as a program may want to tell apart. A server maps these to its protocol's
/// codes; the names in the comments are MLflow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such experiment, run, model, tag, artifact (`RESOURCE_DOES_NOT_EXIST`).
    NotFound,
    /// The name is taken (`RESOURCE_ALREADY_EXISTS`).
    AlreadyExists,
    /// The request itself is wrong: a name, a length, a filter, a value (`INVALID_PARAMETER_VALUE`).
    Invalid,
    /// Right in itself, but not in the state the store is in (`INVALID_STATE`).
    State,
    /// Another process held the store longer than the timeout allows (`TEMPORARILY_UNAVAILABLE`).
    Busy,
    /// The file system or the database refused or is damaged (`INTERNAL_ERROR`).
    Storage,
    /// The store was written by a newer version of this program; it was left untouched.
    NewerSchema,
    /// The store is read-only, or was opened so (`PERMISSION_DENIED`).
    Permission,
}

/// An error of mynah-ledger. Its text is one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    transient: bool,
}

impl Error {
    /// An error of this kind with its whole line.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), transient: kind == ErrorKind::Busy }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing it: the store is held by others, the
    /// connection was lost, the disk is full. A constraint, a damaged file or a refusal stays what it is.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// The same, worth another try.
    pub(crate) fn transient(self) -> Error {
        Error { transient: true, ..self }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn exists(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::AlreadyExists, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::State, message)
    }

    pub(crate) fn storage(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Storage, message)
    }

    /// `WHAT PATH: no such file`; a refusal of the file system becomes [`ErrorKind::Permission`].
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Error {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Permission,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Storage,
        };
        let ours = Error::new(kind, format!("{what} {}: {error}", path.display()));
        if error.kind() == io::ErrorKind::StorageFull { ours.transient() } else { ours }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
