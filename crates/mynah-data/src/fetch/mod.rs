//! Public data sets by name, downloaded over HTTPS.
//!
//! A download goes to `NAME.part` and takes its name only when it is whole and its checksum is right. A cut is
//! resumed where it happened (HTTP range, and only of the same version by `If-Range`), a failing server is asked again
//! after a pause that doubles, and what cannot work is refused at once. The publishers give no checksums for most of
//! these files, so the first download's digest is recorded beside the file (`NAME.blake3`) and later ones are
//! checked against it: trust on first use.
//!
//! HTTP is ureq with rustls: blocking, small, no async runtime, and no TLS library of the system needed.

mod download;
mod sets;

pub use download::{FetchOptions, Fetched, fetch_file};
pub use sets::{DataSet, SETS, find, source_files};

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Downloads a named set into a folder: of a sharded set the first `shards` shards and the last one (for validation).
/// Files that are already there are kept. `progress` is called with the file's name, the bytes so far and the
/// size where it is known.
///
/// # Errors
/// An unknown name (the message lists the known ones), and whatever [`fetch_file`] answers.
pub fn fetch(
    name: &str,
    dir: &Path,
    shards: usize,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&str, u64, Option<u64>),
) -> Result<Vec<PathBuf>> {
    let set = find(name)?;
    let folder = dir.join(set.name);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("cannot make the folder", &folder, &e))?;
    let mut paths = Vec::new();
    for (file, url) in source_files(set, shards) {
        let path = folder.join(&file);
        fetch_file(&url, &path, options, &mut |done, size| progress(&file, done, size))?;
        paths.push(path);
    }
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::Setting, format!("{name}: ask for at least one shard")));
    }
    Ok(paths)
}
