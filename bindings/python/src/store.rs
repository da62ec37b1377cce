//! Which ledger, and sharing one that is already open: a process has one writer a store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mynah_ledger::{Error, ErrorKind, Ledger, Location, OpenOptions, Result};
use pyo3::prelude::*;

use crate::{errors, gate};

/// Ledgers that are open for writing. The last one stays open when its last run has ended, because closing waits for
/// the disk and a search over settings makes many short runs.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

struct Open {
    path: PathBuf,
    file: Option<FileId>,
    ledger: Arc<Ledger>,
}

/// What tells a file from another that later has its name.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &Path) -> Option<FileId> {
    None
}

fn lock() -> MutexGuard<'static, Vec<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place with its absolute path, so that a program may change its folder.
pub fn location(text: &str) -> Result<Location> {
    let location = Location::parse(text)?;
    let path = std::path::absolute(location.path()).map_err(|error| {
        let message = format!("cannot use the place {}: {error}", location.path().display());
        Error::new(ErrorKind::Invalid, message)
    })?;
    Ok(Location::Sqlite(path))
}

/// The ledger for writing; made when it is absent and `create` says so.
pub fn writing(location: &Location, create: bool, actor: &str) -> Result<Arc<Ledger>> {
    let mut open = lock();
    if let Some(ledger) = find(&open, location) {
        return Ok(ledger);
    }
    open.retain(is_used);
    if create && let Some(folder) = location.path().parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
                _ => ErrorKind::Storage,
            };
            Error::new(kind, format!("cannot make the folder {}: {error}", folder.display()))
        })?;
    }
    let options = OpenOptions { create, actor: actor.to_string(), ..OpenOptions::default() };
    let ledger = Arc::new(Ledger::open(location, options)?);
    let path = location.path().to_path_buf();
    open.push(Open { file: file_id(&path), path, ledger: Arc::clone(&ledger) });
    Ok(ledger)
}

/// The ledger for reading: the open one, else a look at the file.
pub fn reading(py: Python<'_>, place: &str) -> PyResult<Arc<Ledger>> {
    gate::check_untainted(py)?;
    let opened = py.detach(|| {
        let location = location(place)?;
        if let Some(ledger) = find(&lock(), &location) {
            return Ok(ledger);
        }
        let options = OpenOptions { read_only: true, create: false, ..OpenOptions::default() };
        Ledger::open(&location, options).map(Arc::new)
    });
    opened.map_err(|error| errors::ledger(py, &error))
}

fn find(open: &[Open], location: &Location) -> Option<Arc<Ledger>> {
    let same = open.iter().find(|open| open.path == location.path() && open.file == file_id(&open.path));
    same.map(|open| Arc::clone(&open.ledger))
}

fn is_used(open: &Open) -> bool {
    Arc::strong_count(&open.ledger) > 1
}

/// Closes what no run uses, before a fork and at the end.
pub fn close_idle() {
    lock().retain(is_used);
}

/// Whether a ledger is open, as far as that can be told without waiting.
pub fn is_any_open() -> bool {
    OPEN.try_lock().map_or(true, |open| !open.is_empty())
}

/// Closes the ledger that stayed open for the next run; for the end of the program.
#[pyfunction]
pub fn close(py: Python<'_>) -> PyResult<()> {
    let _pass = gate::enter(py)?;
    py.detach(close_idle);
    Ok(())
}
