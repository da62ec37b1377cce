//! Making room: records that nobody has asked for in a while, and contents that no record names.
//!
//! A flow that runs meanwhile loses nothing but time: what is missing counts as absent, and its stage runs again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Record, read_record};
use crate::error::{Error, Result};

/// What a collection has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Results of stages.
    pub actions: u64,
    /// Contents of files.
    pub objects: u64,
    /// Their size.
    pub freed_bytes: u64,
}

/// Removes what was not used for that long from a flow's cache folder.
///
/// # Errors
/// `Io` when the folder cannot be listed or something in it cannot be removed.
pub fn collect_garbage(cache_dir: &Path, unused_for: Duration) -> Result<Garbage> {
    let mut garbage = Garbage::default();
    let mut named = BTreeSet::new();
    let is_old = |path: &Path| {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| SystemTime::now().duration_since(time).unwrap_or_default() >= unused_for)
    };
    for path in files(&cache_dir.join("actions"))? {
        match read_record(&path) {
            Some(Record { action, .. }) if !is_old(&path) => {
                let entries = action.outputs.iter().flat_map(|output| &output.entries);
                named.extend(entries.filter_map(|entry| entry.file.as_ref()).map(super::object_name));
            }
            _ => {
                garbage.actions += 1;
                garbage.freed_bytes += remove(&path)?;
            }
        }
    }
    for path in files(&cache_dir.join("objects"))? {
        let mut parts = path.iter().rev().filter_map(|part| part.to_str());
        let name = parts.next().zip(parts.next()).map(|(rest, start)| format!("{start}/{rest}"));
        // A young one may belong to a record that is about to be written.
        if !name.is_some_and(|name| named.contains(&name)) && is_old(&path) {
            garbage.objects += 1;
            garbage.freed_bytes += remove(&path)?;
        }
    }
    Ok(garbage)
}

/// The files in the folders of a folder.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list it", dir, &error)),
        };
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let mut files = Vec::new();
    for folder in list(dir)?.into_iter().filter(|path| path.is_dir()) {
        files.extend(list(&folder)?.into_iter().filter(|path| path.is_file()));
    }
    Ok(files)
}

fn remove(path: &Path) -> Result<u64> {
    let size_bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove it", path, &error))
        }
        _ => Ok(size_bytes),
    }
}
