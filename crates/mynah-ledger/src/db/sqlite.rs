//! SQLite: opening the file (whose it is, how it is tuned, what happens when another process holds it), and
//! values between it and the layer.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::{Connection as Either, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::store::schema;

/// `MYNL`: marks the file as ours, so that nobody else's database is ever changed.
const APPLICATION_ID: i32 = 0x4d59_4e4c;

/// Pages that a connection keeps: SQLite reads a negative number as KiB.
const CACHE_WRITER_KIB: i64 = 64 << 10;
const CACHE_READER_KIB: i64 = 32 << 10;

/// Looks at the first bytes of the file without opening it as a database: a store that is not ours or is newer
/// must not even get a lock file beside it.
///
/// Returns whether there is anything in the file.
pub fn peek(path: &Path) -> Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("cannot open the ledger", path, &error)),
    };
    let mut head = [0u8; 100];
    let mut filled = 0;
    while filled < head.len() {
        match file.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(Error::io("cannot read the ledger", path, &error)),
        }
    }
    if filled == 0 {
        return Ok(false);
    }
    let place = path.display();
    if filled < head.len() || &head[..16] != b"SQLite format 3\0" {
        return Err(Error::storage(format!("{place} is not a ledger: it is no SQLite database")));
    }
    let word = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(68) != APPLICATION_ID {
        return Err(Error::storage(format!(
            "{place} is a SQLite database of another program, not a ledger; an MLflow database can be imported"
        )));
    }
    schema::check_not_newer(i64::from(word(60)), &place.to_string())?;
    Ok(true)
}

/// The one connection that writes. Creates the file and brings the schema up to date.
pub fn open_writer(path: &Path, full_sync: bool, timeout: Duration, artifact_root: &str) -> Result<Either> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    let place = path.display().to_string();
    let until = Instant::now() + timeout;
    // SQLite opens what it may not write for reading instead of saying so.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Error::new(
            ErrorKind::Permission,
            format!("the ledger {place} cannot be written; open it for reading, or make its folder writable"),
        ));
    }
    tune(&connection, CACHE_WRITER_KIB).map_err(|error| refused(path, error))?;
    // The busy loop is our own (`retry`): SQLite's sleeps up to 100 ms between looks, which starves a process
    // among many.
    connection.busy_timeout(Duration::ZERO)?;
    let either = Either::Sqlite(connection);
    let Either::Sqlite(connection) = &either else { return Ok(either) };
    retry(until, || {
        if either.schema_version()? == 0 {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Error::storage(format!(
                "the ledger {place} cannot use a write-ahead log (mode '{mode}'); put it on a local disk"
            )));
        }
        connection.pragma_update(None, "synchronous", if full_sync { "FULL" } else { "NORMAL" })?;
        connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        schema::check_not_newer(either.schema_version()?, &place)?;
        schema::migrate(&either, &place, mynah_base::time::now_ms(), artifact_root)
    })
    .map_err(|error| refused(path, error))?;
    Ok(either)
}

/// A connection that reads. Waits a while where another process is recovering the log.
pub fn open_reader(path: &Path) -> Result<Either> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, error))?;
    match prepare_reader(&connection, path) {
        // A log needs files beside the store. Where none can be made and there is no log, nobody can be
        // writing either, and SQLite may be told that the file stands still.
        Err(error) if error.kind() != ErrorKind::NewerSchema && !has_log(path) && !can_write_beside(path) => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(still_address(path), flags)
                .map_err(|error| cannot_open(path, error))?;
            prepare_reader(&connection, path)?;
            Ok(Either::Sqlite(connection))
        }
        outcome => outcome.map(|()| Either::Sqlite(connection)),
    }
}

fn prepare_reader(connection: &Connection, path: &Path) -> Result<()> {
    tune(connection, CACHE_READER_KIB)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // MLflow's LIKE tells case apart, ILIKE does not.
    connection.execute_batch("PRAGMA case_sensitive_like = ON; PRAGMA query_only = ON")?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let version = version.map_err(|error| refused(path, error.into()))?;
    schema::check_not_newer(version, &path.display().to_string())
}

/// Whether there are changes that are not in the file yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0)
}

fn can_write_beside(path: &Path) -> bool {
    let mut probe = path.as_os_str().to_os_string();
    probe.push(format!("-probe-{}", std::process::id()));
    let made = File::create_new(&probe).is_ok();
    if made {
        // It was empty and ours alone; if it cannot go, it does no harm.
        let _ = std::fs::remove_file(&probe);
    }
    made
}

/// `file:PATH?immutable=1`, with the characters escaped that mean something in such an address.
fn still_address(path: &Path) -> String {
    let mut address = String::from("file:");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'?' | b'#' | b'%' => address.push_str(&format!("%{byte:02x}")),
            // Not every byte of a name is a character of its own.
            0x80.. => address.push_str(&format!("%{byte:02x}")),
            byte => address.push(char::from(byte)),
        }
    }
    address + "?immutable=1"
}

fn tune(connection: &Connection, cache_kib: i64) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(200);
    // A damaged or hostile file may bring its own views and functions; none of them is to run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // No memory map: a file that somebody cuts would end the process with a signal instead of an error.
    Ok(())
}

/// Calls again while another process holds the store, with short pauses, until the time is up.
pub fn retry<T>(until: Instant, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause_us = 100;
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Busy => {
                if Instant::now() >= until {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_micros(pause_us));
                // Grows to a few milliseconds only: who looks often enough gets a turn soon.
                pause_us = (pause_us * 3 / 2).min(3_000);
            }
            other => return other,
        }
    }
}

fn cannot_open(path: &Path, error: rusqlite::Error) -> Error {
    let place = path.display();
    let (parent, exists) = (path.parent().filter(|parent| !parent.as_os_str().is_empty()), path.exists());
    if !exists && parent.is_some_and(|parent| !parent.is_dir()) {
        return Error::not_found(format!("cannot make the ledger {place}: its folder does not exist"));
    }
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) {
        return Error::new(
            ErrorKind::Permission,
            format!("cannot open the ledger {place}: {error}; the file and its folder must be writable"),
        );
    }
    refused(path, error.into())
}

fn refused(path: &Path, error: Error) -> Error {
    let message = error.to_string();
    let place = path.display().to_string();
    if message.contains(&place) { error } else { Error::new(error.kind(), format!("{place}: {message}")) }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(value),
            Value::Real(value) => ValueRef::Real(value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Binds all values of a statement.
pub fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> super::Result<()> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

/// The value of a column.
pub fn value<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> super::Result<Value<'r>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(std::str::from_utf8(bytes).map_err(|error| {
            super::Error::Other(Error::storage(format!(
                "the ledger's database holds a damaged text: {error}"
            )))
        })?),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    })
}

/// What SQLite finds wrong with the file, and rows that point to nothing.
pub fn check_structure(connection: &Connection) -> rusqlite::Result<Vec<(Option<String>, String)>> {
    let mut found = Vec::new();
    let mut select = connection.prepare("PRAGMA integrity_check(100)")?;
    for line in select.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            found.push((None, line));
        }
    }
    let mut select = connection.prepare("PRAGMA foreign_key_check")?;
    for row in select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?)))? {
        let (table, parent) = row?;
        found.push((Some(table), format!("a row points to nothing in {parent}")));
    }
    Ok(found)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode;
        let code = error.sqlite_error_code();
        let kind = match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen
                | ErrorCode::AuthorizationForStatementDenied,
            ) => ErrorKind::Permission,
            _ => ErrorKind::Storage,
        };
        let hint = match kind {
            ErrorKind::Busy => "; another process holds it, try again",
            ErrorKind::Permission => "; open it where the file and its folder may be written",
            _ => "",
        };
        let ours = Error::new(kind, format!("the ledger's database: {error}{hint}"));
        // A full disk may be cleared, and a disk over the network may come back.
        let passes =
            matches!(code, Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory));
        if passes { ours.transient() } else { ours }
    }
}
