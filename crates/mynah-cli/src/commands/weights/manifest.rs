//! `mynah weights manifest | show`.

use std::path::PathBuf;

use clap::Args;
use mynah_base::units;
use mynah_swap::manifest::{BuildOptions, CHUNK_BYTES_DEFAULT, Identity, build};
use mynah_swap::source::SafetensorsSource;

use super::{load, manifest_path, name_of};
use crate::failure::Result;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights manifest model                       writes model/weights.manifest
  mynah weights manifest new --parent old --out new.manifest
  mynah weights manifest adapter --parent model --partial

The manifest lists every tensor in chunks with their digests. Its own digest names the version: the same weights of
the same model, epoch and parent have the same name everywhere.")]
pub struct Make {
    /// A folder of safetensors, or one such file
    #[arg(value_name = "DIR")]
    weights: PathBuf,
    /// Where to (default: weights.manifest in the folder)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The model's name; versions of other models never replace it (default: the parent's, or the folder's)
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Grows with every version (default: one more than the parent's, or 1)
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// The version it was made from: a manifest, or a folder with one
    #[arg(long, value_name = "FILE")]
    parent: Option<PathBuf>,
    /// Tensors that are not here stay as the parent has them
    #[arg(long, requires = "parent")]
    partial: bool,
    /// Size of a chunk, a power of two
    #[arg(long, value_name = "BYTES", default_value_t = CHUNK_BYTES_DEFAULT)]
    chunk_bytes: u32,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn make(arguments: &Make) -> Result<()> {
    let parent = arguments.parent.as_deref().map(load).transpose()?;
    let named = arguments.model.clone().or_else(|| parent.as_ref().map(|parent| parent.head().model.clone()));
    let name = named.unwrap_or_else(|| name_of(&arguments.weights));
    let next = parent.as_ref().map_or(1, |parent| parent.head().epoch.saturating_add(1));
    let options = BuildOptions {
        epoch: arguments.epoch.unwrap_or(next),
        parent: parent.as_ref().map(mynah_swap::Manifest::digest),
        is_partial: arguments.partial,
        chunk_bytes: arguments.chunk_bytes,
        ..BuildOptions::default()
    };
    let source = SafetensorsSource::open(&arguments.weights)?;
    let started = std::time::Instant::now();
    let manifest = build(&source, &Identity::of_folder(&name, &arguments.weights)?, &options)?;
    if let (Some(parent), true) = (&parent, arguments.partial) {
        // Refused here rather than by every server.
        manifest.onto(parent)?;
    }
    let out = arguments.out.clone().unwrap_or_else(|| manifest_path(&arguments.weights));
    let out = if arguments.out.is_none() && arguments.weights.is_file() {
        arguments.weights.with_extension("manifest")
    } else {
        out
    };
    manifest.save(&out)?;
    if arguments.json {
        println!("{}", manifest.to_json(false));
    } else {
        println!(
            "{}: {} tensors, {}, version {} (epoch {}), {:.1} s",
            out.display(),
            manifest.tensors().len(),
            units::bytes(manifest.size_bytes()),
            manifest.digest().short(),
            manifest.head().epoch,
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah weights show model/weights.manifest --json | jq .version")]
pub struct Show {
    /// A manifest, or a folder with one
    #[arg(value_name = "FILE")]
    manifest: PathBuf,
    /// With the digests of all chunks (JSON)
    #[arg(long, requires = "json")]
    chunks: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn show(arguments: &Show) -> Result<()> {
    let manifest = load(&arguments.manifest)?;
    if arguments.json {
        println!("{}", manifest.to_json(arguments.chunks));
    } else {
        print!("{}", manifest.to_text());
    }
    Ok(())
}
