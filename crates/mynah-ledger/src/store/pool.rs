//! Connections that read: as many as are asked for at once, a few kept for the next caller.

use std::sync::{Mutex, PoisonError};

use crate::db::Connection;
use crate::error::{ErrorKind, Result};

/// Idle connections that stay open; each holds a page cache.
const IDLE_MAX: usize = 8;

/// The pool.
pub struct Pool {
    open: Box<dyn Fn() -> Result<Connection> + Send + Sync>,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// An empty pool of what `open` opens.
    pub fn new(open: impl Fn() -> Result<Connection> + Send + Sync + 'static) -> Pool {
        Pool { open: Box::new(open), idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` in one transaction: all its queries see the same commit.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One that was lost while nobody used it is replaced; the caller need not know.
        let begun = idle.filter(|connection| connection.begin_read().is_ok());
        let connection = match begun {
            Some(connection) => connection,
            None => {
                let connection = (self.open)()?;
                connection.begin_read()?;
                connection
            }
        };
        let result = read(&connection);
        let ended = connection.rollback();
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
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        // In a thread of its own: a connection to a server cannot be closed inside an asynchronous task, where the last
        // handle of a ledger may go. A panic there leaves nothing to do here.
        let _ = std::thread::spawn(move || drop(idle)).join();
    }
}
