//! Connections that read: as many as are asked for at once, a few kept for the next caller.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::connection::open_reader;
use crate::error::{ErrorKind, Result};

/// Idle connections that stay open; each holds a page cache.
const IDLE_MAX: usize = 8;

/// The pool.
pub struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// An empty pool over this file.
    pub fn new(path: PathBuf) -> Pool {
        Pool { path, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` in one transaction: all its queries see the same commit.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        connection.execute_batch("BEGIN")?;
        let result = read(&connection);
        let ended = connection.execute_batch("ROLLBACK");
        // A connection that met a damaged page or could not end is not worth keeping.
        let sound = ended.is_ok() && !matches!(&result, Err(error) if error.kind() == ErrorKind::Storage);
        if sound {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        result
    }

    /// Closes the idle connections.
    pub fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
