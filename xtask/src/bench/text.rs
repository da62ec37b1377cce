//! The text that both sides of a tokenizer benchmark read.

use std::path::Path;

use super::Options;
use crate::workspace;

/// The user's files, or those of the data folder, or the built-in corpus, which is then written below the
/// target folder.
///
/// # Errors
/// When the built-in corpus cannot be written.
pub fn files(options: &Options) -> Result<Vec<String>, String> {
    if options.small {
        return Ok(Vec::new()); // The workers make a few lines themselves.
    }
    if !options.files.is_empty() {
        return Ok(options.files.clone());
    }
    if let Some(data) = std::env::var_os("MYNAH_DATA") {
        let found = text_files(&Path::new(&data).join("text"));
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let folder = workspace::root().join("target/bench-corpus");
    if !folder.join("text").is_dir() {
        eprintln!("writing the built-in corpus to {} …", folder.display());
        let status = workspace::cargo()
            .args(["run", "--release", "--quiet", "-p", "mynah-cli", "--", "data", "make", "--out"])
            .arg(&folder)
            .stdout(std::process::Stdio::null())
            .status()
            .map_err(|error| format!("cannot run cargo ({error})"))?;
        if !status.success() {
            return Err("cannot write the built-in corpus; name files with --files".to_string());
        }
    }
    Ok(text_files(&folder.join("text")))
}

fn text_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt" || extension == "jsonl"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    paths.sort();
    paths
}
