//! The content of a file.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file's content and its path.
pub(crate) struct Bytes {
    path: PathBuf,
    content: Vec<u8>,
}

impl Bytes {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let content = std::fs::read(path).map_err(|e| Error::io(path, "read the weights", e))?;
        Ok(Self { path: path.to_path_buf(), content })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.content
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bytes").field("path", &self.path).field("len", &self.content.len()).finish()
    }
}
