//! `mynah weights delta make | apply`: what changed between two versions as one file.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mynah_base::units;
use mynah_swap::delta::{self, SafetensorsSink};
use mynah_swap::manifest::OPENSSF_PATH;

use super::open;
use crate::failure::{Failure, Result};

#[derive(Subcommand)]
pub enum Command {
    /// Write what changed from one version to another
    Make(Make),
    /// Make the new version from the old one and what changed
    Apply(Apply),
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah weights delta make --from old --to new --out step.delta")]
pub struct Make {
    /// Folder of the old version
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Folder of the new one
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:
  mynah weights delta apply --base old --delta step.delta --out new

Every chunk is checked against the new version's manifest; a delta for another base is refused. The folder gets the
weights, their manifest, and the old version's other files (configuration, tokenizer).")]
pub struct Apply {
    /// Folder of the version that the delta starts at
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// The delta
    #[arg(long, value_name = "FILE")]
    delta: PathBuf,
    /// A folder that does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Make(arguments) => make(arguments),
        Command::Apply(arguments) => apply(arguments),
    }
}

fn make(arguments: &Make) -> Result<()> {
    let (from, old) = open(&arguments.from)?;
    let (to, new) = open(&arguments.to)?;
    let mut stats = None;
    let mut refused = None;
    let written = mynah_base::write_atomic(&arguments.out, |file| {
        let mut out = BufWriter::new(file);
        match delta::make((&from, &old), (&to, &new), &mut out) {
            Ok(made) => stats = Some(made),
            Err(error) => refused = Some(error),
        }
        if refused.is_some() {
            Err(std::io::Error::other("refused"))
        } else {
            std::io::Write::flush(&mut out)
        }
    });
    if let Some(error) = refused {
        return Err(error.into());
    }
    written.map_err(|error| Failure::io("cannot write", &arguments.out, &error))?;
    let stats = stats.unwrap_or_default();
    if arguments.json {
        let json = serde_json::json!({
            "from": from.digest().to_string(), "to": to.digest().to_string(), "wire_bytes": stats.wire_bytes,
            "size_bytes": stats.size_bytes, "whole_chunks": stats.whole_chunks,
            "patched_chunks": stats.patched_chunks, "copied_chunks": stats.copied_chunks,
            "changed_units": stats.changed_units,
        });
        println!("{json}");
    } else {
        println!(
            "{}: {} for {} of weights, {} to {}: {} chunks patched, {} whole, {} copied",
            arguments.out.display(),
            units::bytes(stats.wire_bytes),
            units::bytes(stats.size_bytes),
            from.digest().short(),
            to.digest().short(),
            stats.patched_chunks,
            stats.whole_chunks,
            stats.copied_chunks
        );
    }
    Ok(())
}

fn apply(arguments: &Apply) -> Result<()> {
    if arguments.out.exists() {
        return Err(Failure::new("it exists").at_path(&arguments.out).advice("name a folder that does not"));
    }
    let (base, source) = open(&arguments.base)?;
    let file =
        File::open(&arguments.delta).map_err(|error| Failure::io("cannot read", &arguments.delta, &error))?;
    // Complete or not there: it is made under another name.
    let mut neighbour = arguments.out.clone().into_os_string();
    neighbour.push(".tmp");
    let neighbour = PathBuf::from(neighbour);
    std::fs::create_dir_all(&neighbour)
        .map_err(|error| Failure::io("cannot create the folder", &neighbour, &error))?;
    let outcome = fill(&neighbour, arguments, (&base, &source), file);
    if outcome.is_err() {
        let _ = std::fs::remove_dir_all(&neighbour);
        return outcome;
    }
    std::fs::rename(&neighbour, &arguments.out)
        .map_err(|error| Failure::io("cannot name the folder", &arguments.out, &error))
}

fn fill(
    folder: &Path,
    arguments: &Apply,
    base: (&mynah_swap::Manifest, &mynah_swap::source::SafetensorsSource),
    file: File,
) -> Result<()> {
    let mut sink = SafetensorsSink::new(&folder.join("model.safetensors"))?;
    let manifest = delta::apply((base.0, base.1), &mut BufReader::new(file), &mut sink)?;
    manifest.save(&folder.join(OPENSSF_PATH))?;
    if arguments.base.is_dir() {
        copy_others(&arguments.base, folder)?;
    }
    println!(
        "{}: version {}, {} checked",
        arguments.out.display(),
        manifest.digest().short(),
        units::bytes(manifest.size_bytes())
    );
    Ok(())
}

/// Copies a checkpoint's files besides the weights and what belongs to them.
fn copy_others(from: &Path, to: &Path) -> Result<()> {
    let entries =
        std::fs::read_dir(from).map_err(|error| Failure::io("cannot read the folder", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Failure::io("cannot read the folder", from, &error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let text = name.to_string_lossy();
        let is_weights = text.ends_with(".safetensors")
            || text.ends_with(".safetensors.index.json")
            || text.starts_with(OPENSSF_PATH);
        if path.is_file() && !is_weights {
            std::fs::copy(&path, to.join(&name))
                .map_err(|error| Failure::io("cannot copy", &path, &error))?;
        }
    }
    Ok(())
}
