//! How many requests were answered how, by call and status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a server has answered.
#[derive(Default)]
pub(crate) struct Traffic {
    /// By the call's path and method, where it is one of the server's, and by status.
    counts: Mutex<BTreeMap<(String, &'static str, u16), u64>>,
    draining: AtomicBool,
}

impl Traffic {
    /// Paths must be those of the table of calls, or clients could fill the memory with names.
    pub(crate) fn count(&self, path: Option<&str>, method: &str, status: u16) {
        let path = path.unwrap_or("other").to_string();
        let method = ["GET", "POST", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
        let key = (path, method.unwrap_or("other"), status);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<(String, &'static str, u16), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server is about to stop.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
