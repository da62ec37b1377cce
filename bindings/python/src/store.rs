//! Which ledger, and sharing one that is already open: a process has one writer a store.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mynah_ledger::{Error, ErrorKind, Ledger, Location, OpenOptions, Result};
use pyo3::prelude::*;

use crate::{errors, gate};

/// Ledgers that are open for writing. The last one stays open when its last run has ended, because closing waits for
/// the disk and a search over settings makes many short runs.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

struct Open {
    location: Location,
    file: Option<FileId>,
    ledger: Arc<Ledger>,
}

/// What tells a file from another that later has its name.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(location: &Location) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(location.file()?).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &Location) -> Option<FileId> {
    None
}

fn lock() -> MutexGuard<'static, Vec<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place; a file with its absolute path, so that a program may change its folder.
pub fn location(text: &str) -> Result<Location> {
    let Location::Sqlite(path) = Location::parse(text)? else { return Location::parse(text) };
    let absolute = std::path::absolute(&path).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("cannot use the place {}: {error}", path.display()))
    })?;
    Ok(Location::Sqlite(absolute))
}

/// The ledger for writing; made when it is absent and `create` says so.
pub fn writing(location: &Location, create: bool, actor: &str) -> Result<Arc<Ledger>> {
    let mut open = lock();
    if let Some(ledger) = find(&open, location) {
        return Ok(ledger);
    }
    open.retain(is_used);
    if create && let Some(folder) = location.file().and_then(Path::parent) {
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
    let (location, file) = (location.clone(), file_id(location));
    open.push(Open { location, file, ledger: Arc::clone(&ledger) });
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
    let same = open.iter().find(|open| open.location == *location && open.file == file_id(location));
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
