//! Finds the files of a corpus: paths, folders, globs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Endings that are read in folders and by globs.
pub const TEXT_ENDINGS: [&str; 7] = ["txt", "text", "md", "jsonl", "ndjson", "parquet", "rst"];

/// Folders nested deeper than this are not looked into: a limit that no real tree meets, and a loop does.
const DEPTH_MAX: usize = 64;

/// The file name's ending in lower case, without the dot.
pub fn extension(path: &Path) -> String {
    path.extension().map_or_else(String::new, |ending| ending.to_string_lossy().to_ascii_lowercase())
}

/// All files that the paths name, in the order of the paths, each once.
pub fn find(paths: &[impl AsRef<Path>], endings: &[&str]) -> Result<Vec<PathBuf>> {
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::Empty, "no text was named: give a file, a folder or a glob"));
    }
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let found = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => in_folder(path, endings)?,
            Ok(_) => vec![path.to_path_buf()],
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => by_glob(path)?,
            Err(error) => return Err(Error::io("cannot read", path, &error)),
        };
        files.extend(found);
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|path| seen.insert(path.clone()));
    Ok(files)
}

fn in_folder(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(folder, endings, 0, &mut files)?;
    if files.is_empty() {
        let message = format!(
            "no text in the folder {}: no file there ends in .{}",
            folder.display(),
            endings.join(", .")
        );
        return Err(Error::new(ErrorKind::Empty, message));
    }
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, endings: &[&str], depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("cannot read the folder", folder, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("cannot read the folder", folder, &e))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(|e| Error::io("cannot read", &path, &e))?;
        // Links to folders are not followed: they can lead around in a circle.
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(&path, endings, depth + 1, files)?;
        } else if (kind.is_file() || path.is_file()) && endings.contains(&extension(&path).as_str()) {
            files.push(path);
        }
    }
    Ok(())
}

fn by_glob(path: &Path) -> Result<Vec<PathBuf>> {
    let pattern = path.to_string_lossy();
    if !pattern.contains(['*', '?', '[']) {
        return Err(Error::new(ErrorKind::Io, format!("no such file or folder: {pattern}")));
    }
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let paths = glob::glob_with(&pattern, options)
        .map_err(|e| Error::new(ErrorKind::Setting, format!("the glob {pattern} is not valid: {e}")))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|e| Error::io("cannot read", e.path(), e.error()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::new(ErrorKind::Empty, format!("no file matches the glob {pattern}")));
    }
    files.sort();
    Ok(files)
}
