//! Errors of the crates below as the exceptions of `mynah.errors`.

use mynah_ledger::ErrorKind;
use pyo3::prelude::*;

/// An exception of the module `mynah.errors`.
pub fn exception(py: Python<'_>, class: &str, message: String) -> PyErr {
    let made = py
        .import("mynah.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((message,)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// What the ledger said.
pub fn ledger(py: Python<'_>, error: &mynah_ledger::Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::AlreadyExists => "AlreadyExistsError",
        ErrorKind::Invalid => "InvalidError",
        ErrorKind::State => "StateError",
        ErrorKind::Busy => "BusyError",
        ErrorKind::Storage => "StorageError",
        ErrorKind::NewerSchema => "NewerSchemaError",
        ErrorKind::Permission => "DeniedError",
    };
    exception(py, class, error.to_string())
}

/// What governance said.
pub fn govern(py: Python<'_>, error: &mynah_govern::Error) -> PyErr {
    use mynah_govern::ErrorKind as Kind;
    let class = match error.kind() {
        Kind::Argument => "InvalidError",
        Kind::NotFound => "NotFoundError",
        Kind::Refused => "StateError",
        _ => "StorageError",
    };
    exception(py, class, error.to_string())
}

/// A file that cannot be read or written, with the exception that Python has for it.
pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> PyErr {
    std::io::Error::new(error.kind(), format!("{what} {}: {error}", path.display())).into()
}
