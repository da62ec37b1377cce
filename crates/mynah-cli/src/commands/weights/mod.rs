//! `mynah weights`: versions of a model's weights, what changed between them, and how they get to servers.

mod agent;
mod coordinator;
mod delta;
mod link;
mod manifest;
mod mpi;
mod plan;
mod push;
mod session;
mod shared;
mod sign;
mod simulate;
mod watch;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mynah_swap::Manifest;
use mynah_swap::manifest::{BuildOptions, Identity, OPENSSF_PATH, build};
use mynah_swap::source::SafetensorsSource;

use crate::failure::{Failure, Result};

#[derive(Subcommand)]
pub enum Command {
    /// Name a version by its content: digests of all tensors under one root
    Manifest(manifest::Make),
    /// Look at a manifest
    Show(manifest::Show),
    /// Sign a manifest
    Sign(sign::Sign),
    /// Check a manifest's signature, and weights against it
    Verify(sign::Verify),
    /// What is different between two versions
    Diff(plan::Diff),
    /// What a server of one version needs to get to another
    Plan(plan::MakePlan),
    /// Make and apply files with what changed
    #[command(subcommand)]
    Delta(delta::Command),
    /// Bring a version to servers while they answer: all of them or none
    Push(push::Push),
    /// Go back to the version before; no byte moves
    Rollback(push::Rollback),
    /// Bring servers that lag behind to the version of the others
    CatchUp(push::CatchUp),
    /// What servers have, and what is under way
    Status(watch::Status),
    /// Keep versions of a checkpoint in a folder, and follow a coordinator
    Agent(agent::Agent),
    /// Map the version that an agent of this machine shares, and check it
    Attach(shared::Attach),
    /// Bring a version to agents: all of them or none
    Coordinator(coordinator::Coordinator),
    /// Try the update protocol in worlds that lose messages, stop processes and tear writes
    Simulate(simulate::Simulate),
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Manifest(arguments) => manifest::make(arguments),
        Command::Show(arguments) => manifest::show(arguments),
        Command::Sign(arguments) => sign::sign(arguments),
        Command::Verify(arguments) => sign::verify(arguments),
        Command::Diff(arguments) => plan::diff(arguments),
        Command::Plan(arguments) => plan::plan(arguments),
        Command::Delta(command) => delta::run(command),
        Command::Push(arguments) => push::push(arguments),
        Command::Rollback(arguments) => push::rollback(arguments),
        Command::CatchUp(arguments) => push::catch_up_all(arguments),
        Command::Status(arguments) => watch::status(arguments),
        Command::Agent(arguments) => agent::run(arguments),
        Command::Attach(arguments) => shared::attach(arguments),
        Command::Coordinator(arguments) => coordinator::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
    }
}

/// The manifest of a file, or of a folder that has one.
fn load(path: &Path) -> Result<Manifest> {
    let file = manifest_path(path);
    if path.is_dir() && !file.is_file() {
        return Err(Failure::new("there is no manifest in the folder")
            .at_path(path)
            .advice(format!("make it: mynah weights manifest {}", path.display())));
    }
    Ok(Manifest::load(&file)?)
}

/// Where a folder keeps its manifest; a file is one itself.
fn manifest_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(OPENSSF_PATH) } else { path.to_path_buf() }
}

/// The weights of a folder and their manifest, which is computed when the folder has none. The weights are compared
/// with the manifest chunk by chunk as they are read.
fn open(folder: &Path) -> Result<(Manifest, SafetensorsSource)> {
    let source = SafetensorsSource::open(folder)?;
    let path = manifest_path(folder);
    let manifest = if folder.is_dir() && path.is_file() {
        Manifest::load(&path)?
    } else {
        build(&source, &Identity::of_folder(&name_of(folder), folder)?, &BuildOptions::default())?
    };
    Ok((manifest, source))
}

/// What a model is called that nobody named: as its folder.
fn name_of(folder: &Path) -> String {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    whole.file_name().map_or_else(|| "model".to_string(), |name| name.to_string_lossy().into_owned())
}
