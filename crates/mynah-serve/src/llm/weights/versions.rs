//! Versions that a server has, and their names by number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use mynah_engine::live::WeightsSpan;
use mynah_swap::{Hash, Manifest};
use serde_json::{Value, json};

/// The version that stands behind each number of the engine's; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions(Arc<RwLock<BTreeMap<u32, Hash>>>);

impl Versions {
    /// A number gets its version. Old ones stay: answers under way may still name them.
    pub(super) fn name(&self, number: u32, version: Hash) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(number, version);
    }

    /// The version of a number, when it is known.
    pub(super) fn of(&self, number: u32) -> Option<Hash> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    /// Which version wrote how many tokens, in order.
    pub(crate) fn spans(&self, spans: &[WeightsSpan]) -> Value {
        let one = |span: &WeightsSpan| {
            let version = self.of(span.weights).map(|version| version.to_string());
            json!({"version": version, "number": span.weights, "tokens": span.tokens})
        };
        spans.iter().map(one).collect()
    }
}

/// A folder with weights. One of ours is removed with the last who holds it, unless it was committed or promised.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_users: bool,
    goes: AtomicBool,
}

impl Folder {
    /// The user's own.
    pub(super) fn of_user(path: &Path) -> Folder {
        Folder { path: path.to_path_buf(), is_users: true, goes: AtomicBool::new(false) }
    }

    /// One of ours that outlives the server.
    pub(super) fn kept(path: &Path) -> Folder {
        Folder { path: path.to_path_buf(), is_users: false, goes: AtomicBool::new(false) }
    }

    /// A new one, empty.
    ///
    /// # Errors
    /// What the system answers.
    pub(super) fn create(path: &Path) -> std::io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        Ok(Folder { path: path.to_path_buf(), is_users: false, goes: AtomicBool::new(true) })
    }

    /// It stays when nobody holds it.
    pub(super) fn keep(&self) {
        self.goes.store(false, Ordering::Relaxed);
    }

    /// The same, where committed versions outlive the server.
    pub(super) fn keep_if(&self, keeps: bool) {
        if keeps {
            self.keep();
        }
    }

    /// It goes with the last who holds it, if it is ours.
    pub(super) fn give_up(&self) {
        self.goes.store(!self.is_users, Ordering::Relaxed);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.goes.load(Ordering::Relaxed) {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A version that is loaded, or lies there to be.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) digest: Hash,
    pub(super) manifest: Manifest,
    pub(super) folder: Arc<Folder>,
    /// The engine's; nothing for one that is not loaded.
    pub(super) number: Option<u32>,
    /// What its manifest was signed with.
    pub(super) signature: Option<String>,
    /// What people call it, where they do.
    pub(super) label: Option<String>,
}

impl Version {
    pub(super) fn json(&self) -> Value {
        json!({
            "version": self.digest.to_string(), "epoch": self.manifest.head().epoch, "number": self.number,
            "size_bytes": self.manifest.size_bytes(), "tensors": self.manifest.tensors().len(),
            "label": self.label,
        })
    }
}
