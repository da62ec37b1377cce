//! Versions that a server has, and their names by number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// A folder with weights; one of ours is removed with the last who holds it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_ours: bool,
}

impl Folder {
    /// The user's own.
    pub(super) fn of_user(path: &Path) -> Folder {
        Folder { path: path.to_path_buf(), is_ours: false }
    }

    /// A new one, empty.
    ///
    /// # Errors
    /// What the system answers.
    pub(super) fn create(path: &Path) -> std::io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        Ok(Folder { path: path.to_path_buf(), is_ours: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A version that is loaded.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) digest: Hash,
    pub(super) manifest: Manifest,
    pub(super) folder: Folder,
    /// The engine's.
    pub(super) number: u32,
}

impl Version {
    pub(super) fn json(&self) -> Value {
        json!({
            "version": self.digest.to_string(), "epoch": self.manifest.head().epoch, "number": self.number,
            "size_bytes": self.manifest.size_bytes(), "tensors": self.manifest.tensors().len(),
        })
    }
}
