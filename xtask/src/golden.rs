//! `cargo xtask golden`: runs the scripts that make the committed golden files with the Python oracles.
//!
//! Each crate keeps its scripts where its goldens are: `crates/X/tests/golden/*.py` (or `tests/goldens`).
//! They are never needed to run the tests.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::bench::python;
use crate::workspace;

/// Runs every script, or those of the named crates, each in its own folder.
///
/// # Errors
/// When a script fails or there is none for a named crate.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let root = workspace::root();
    let mut scripts = Vec::new();
    for krate in read_dir(&root.join("crates")) {
        let name = krate.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !arguments.is_empty() && !arguments.contains(&name) {
            continue;
        }
        for folder in ["tests/golden", "tests/goldens", "golden", "goldens"] {
            let found = read_dir(&krate.join(folder));
            scripts.extend(found.into_iter().filter(|path| path.extension().is_some_and(|e| e == "py")));
        }
    }
    if scripts.is_empty() {
        return Err("no golden script found; they live in crates/X/tests/golden/*.py".to_string());
    }
    let python = python();
    for script in scripts {
        println!("{}", script.strip_prefix(&root).unwrap_or(&script).display());
        let status = Command::new(&python)
            .arg(&script)
            .current_dir(script.parent().unwrap_or(&root))
            .status()
            .map_err(|error| format!("cannot run {python} ({error}); set MYNAH_PYTHON"))?;
        if !status.success() {
            return Err(format!("{} failed; it needs the Python packages it imports", script.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_dir(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    paths
}
