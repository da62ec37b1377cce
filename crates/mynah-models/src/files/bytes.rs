//! The content of a file, mapped.

use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use mynah_kernels::MappedFile;

use crate::error::{Error, ErrorKind, Result};

/// A file's content and its path.
#[derive(Debug)]
pub(crate) struct Bytes {
    path: PathBuf,
    content: MappedFile,
}

impl Bytes {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let content = MappedFile::open(path).map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
        Ok(Self { path: path.to_path_buf(), content })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that these bytes are not needed soon, so that what was copied out of them is in memory once.
    pub(crate) fn done_with(&self, range: Range<usize>) {
        self.content.advise_dont_need(range);
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.content
    }
}
