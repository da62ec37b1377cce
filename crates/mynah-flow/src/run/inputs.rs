//! What a stage reads: found, hashed, shown to its program, and looked at again afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mynah_trust::Digest;

use super::{Flow, process};
use crate::error::{Error, Result};
use crate::files::{self, Fields, Stamp, Tree};
use crate::path::FlowPath;
use crate::pipeline::{Action, EnvEntry, Input, STATE_FOLDER, Stage};

/// Always passed on, and never part of a key: without them few programs run.
const FIXED: [&str; 6] = ["PATH", "HOME", "USER", "SYSTEMROOT", "MYNAH_HOME", "MYNAH_STORE"];

/// A file or folder that a stage reads.
pub(super) struct Found {
    pub path: FlowPath,
    digest: Digest,
    stamps: Vec<Stamp>,
}

/// Finds and hashes the inputs of a stage, by path.
pub(super) fn find(flow: &Flow<'_>, stage: &Stage) -> Result<Vec<Found>> {
    let folder = &flow.pipeline.folder;
    let mut paths = Vec::new();
    for input in &stage.inputs {
        match input {
            Input::Path(path) => paths.push(path.clone()),
            Input::Glob(glob) => {
                let found = files::matching(folder, glob, STATE_FOLDER)?;
                if found.is_empty() {
                    return Err(Error::stage(format!("nothing matches the input {}", glob.as_str())));
                }
                paths.extend(found);
            }
        }
    }
    paths.sort();
    // A folder stands before what is in it; that is then covered.
    let mut kept: Vec<FlowPath> = Vec::new();
    for path in paths {
        if !kept.last().is_some_and(|last| last.contains(&path)) {
            kept.push(path);
        }
    }
    kept.into_iter()
        .map(|path| {
            path.refuse_links(folder)?;
            let at = path.below(folder);
            if !at.exists() {
                return Err(Error::stage(format!("the input {path} is not there, and no stage makes it")));
            }
            // Stamps first: what changes between the two looks is found after the run.
            let stamps = files::stamps(&at)?;
            let digest = Tree::read_with(&at, Some(&flow.memo))?.digest();
            Ok(Found { path, digest, stamps })
        })
        .collect()
}

/// Refuses the result when an input is no longer what was hashed.
pub(super) fn check_unchanged(flow: &Flow<'_>, found: &[Found]) -> Result<()> {
    for input in found {
        let at = input.path.below(&flow.pipeline.folder);
        let now = files::stamps(&at).unwrap_or_default();
        if let Some(file) = files::changed(&input.stamps, &now) {
            let file =
                if file.is_empty() { input.path.to_string() } else { format!("{}/{file}", input.path) };
            return Err(Error::stage(format!(
                "the input {file} changed while the stage ran, so its outputs belong to neither; \
                 a stage must not write to what it reads"
            )));
        }
    }
    Ok(())
}

/// The key: two stages with the same key make the same.
pub(super) fn key(flow: &Flow<'_>, stage: &Stage, found: &[Found]) -> Digest {
    let mut fields = Fields::new("mynah flow action 1");
    match &stage.action {
        Action::Command(command) => {
            fields.add("command");
            fields.add_all(command.iter().map(String::as_str));
        }
        Action::Mynah(arguments) => {
            fields.add("mynah");
            fields.add(&flow.options.tool_version);
            fields.add_all(arguments.iter().map(String::as_str));
        }
        Action::Nothing => fields.add("nothing"),
    }
    if stage.outputs.is_empty() {
        // It is run for what it does elsewhere; another stage that does the same has not done it.
        fields.add(&stage.name);
    }
    fields.add(&stage.version);
    let env: BTreeMap<&str, Option<&str>> = asked(flow, stage);
    fields.add(&env.len().to_string());
    for (name, value) in env {
        fields.add(name);
        fields.add(if value.is_some() { "set" } else { "unset" });
        fields.add(value.unwrap_or_default());
    }
    fields.add(&found.len().to_string());
    for input in found {
        fields.add(input.path.as_str());
        fields.add(&input.digest.to_hex());
    }
    let mut outputs: Vec<&FlowPath> = stage.outputs.iter().collect();
    outputs.sort();
    fields.add_all(outputs.into_iter().map(FlowPath::as_str));
    fields.finish()
}

/// The variables that a stage names, with their values.
fn asked<'a>(flow: &'a Flow<'_>, stage: &'a Stage) -> BTreeMap<&'a str, Option<&'a str>> {
    let entries = stage.env.iter().map(|entry| match entry {
        EnvEntry::Pass(name) => (name.as_str(), flow.options.environment.get(name).map(String::as_str)),
        EnvEntry::Set(name, value) => (name.as_str(), Some(value.as_str())),
    });
    entries.collect()
}

/// The environment of a stage's program.
pub(super) fn environment(
    flow: &Flow<'_>,
    stage: &Stage,
    temporary: &Path,
    ledger_run: Option<&str>,
) -> BTreeMap<String, String> {
    let given = &flow.options.environment;
    let mut environment: BTreeMap<String, String> =
        FIXED.iter().filter_map(|name| Some((name.to_string(), given.get(*name)?.clone()))).collect();
    environment.insert(process::TEMPORARY.to_string(), temporary.to_string_lossy().into_owned());
    if let Some(run_id) = ledger_run {
        environment.insert("MYNAH_PARENT_RUN".to_string(), run_id.to_string());
    }
    for (name, value) in asked(flow, stage) {
        // By this one a program is found again.
        if let Some(value) = value.filter(|_| name != process::TEMPORARY) {
            environment.insert(name.to_string(), value.to_string());
        }
    }
    environment
}

/// Shows the inputs in the folder where the program runs.
pub(super) fn show(flow: &Flow<'_>, found: &[Found], work: &Path) -> Result<()> {
    for input in found {
        let at = files::make_parents(work, &input.path)?;
        // In a kept scratch folder it may stand there from before.
        files::remove(&at)?;
        place(&input.path.below(&flow.pipeline.folder), &at)?;
    }
    Ok(())
}

#[cfg(unix)]
fn place(from: &Path, to: &Path) -> Result<()> {
    std::os::unix::fs::symlink(from, to).map_err(|e| Error::io("link the input", to, &e))
}

#[cfg(not(unix))]
fn place(from: &Path, to: &Path) -> Result<()> {
    let tree = Tree::read(from)?;
    for entry in &tree.entries {
        let (from, to) = (from.join(&entry.path), to.join(&entry.path));
        let placed =
            if entry.file.is_some() { fs::copy(&from, &to).map(drop) } else { fs::create_dir_all(&to) };
        placed.map_err(|e| Error::io("copy the input", &to, &e))?;
    }
    Ok(())
}

/// Makes the folders in which outputs will lie.
pub(super) fn make_room(stage: &Stage, work: &Path) -> Result<()> {
    fs::create_dir_all(work).map_err(|e| Error::io("create the folder", work, &e))?;
    stage.outputs.iter().try_for_each(|output| files::make_parents(work, output).map(drop))
}
