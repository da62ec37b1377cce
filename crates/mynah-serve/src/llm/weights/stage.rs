//! From the folder that a server was started with to a manifest, and from an upload to a loaded model.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use mynah_models::{LoadOptions, Model};
use mynah_swap::delta::{self, ApplyOptions, DeltaHead, SafetensorsSink};
use mynah_swap::manifest::{BuildOptions, Identity, OPENSSF_PATH, build};
use mynah_swap::source::{MemorySource, SafetensorsSource};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};

use super::versions::{Folder, Version};

/// The model answers meanwhile.
const ONE_THREAD: ApplyOptions = ApplyOptions { threads: 1 };
/// Files beside the weights that are copied into a new version's folder are not larger.
const OTHER_BYTES_MAX: u64 = 256 << 20;

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: cannot {what}: {error}", path.display()))
}

/// The manifest of the weights in a folder: every byte is read. A manifest that lies there must be of these weights.
pub(super) fn manifest_of(folder: &Path, name: &str) -> Result<Manifest> {
    let path = folder.join(OPENSSF_PATH);
    if path.is_file() {
        let found = Manifest::load(&path)?;
        verify(folder, &found)?;
        return Ok(found);
    }
    // One thread: the model answers meanwhile.
    let options = BuildOptions { threads: 1, epoch: 0, ..BuildOptions::default() };
    build(&SafetensorsSource::open(folder)?, &Identity::of_folder(name, folder)?, &options)
}

/// Reads every byte of a folder's weights and holds it against a manifest.
///
/// # Errors
/// `Mismatch` when they are others.
pub(super) fn verify(folder: &Path, manifest: &Manifest) -> Result<()> {
    let head = manifest.head();
    let identity = Identity { model: head.model.clone(), config: head.config, tokenizer: head.tokenizer };
    let options = BuildOptions {
        threads: 1,
        epoch: head.epoch,
        parent: head.parent,
        chunk_bytes: head.chunk_bytes,
        is_partial: head.is_partial,
    };
    let source = SafetensorsSource::open(folder)?;
    if head.is_partial || build(&source, &identity, &options)?.digest() != manifest.digest() {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "{}: the weights are not those of version {}; make the manifest again: mynah weights manifest",
                folder.display(),
                manifest.digest().short()
            ),
        ));
    }
    Ok(())
}

/// What an upload says of itself. The base is this server's version, or nothing.
pub(super) fn read_head(upload: &Path) -> Result<DeltaHead> {
    let file = File::open(upload).map_err(|error| io("read the upload", upload, &error))?;
    delta::read_head(&mut BufReader::new(file))
}

/// Refuses a stream that does not lead from here to there.
pub(super) fn check_head(head: &DeltaHead, base: &Version, target: Hash) -> Result<()> {
    let mismatch = |message: String| Err(Error::new(ErrorKind::Mismatch, message));
    let found = head.manifest.digest();
    if found != target {
        return mismatch(format!(
            "the upload is version {}, announced was {}",
            found.short(),
            target.short()
        ));
    }
    let (ours, theirs) = (base.manifest.head(), head.manifest.head());
    if ours.model != theirs.model {
        return mismatch(format!("weights of {:?}, served is {:?}", theirs.model, ours.model));
    }
    if let (Some(ours), Some(theirs)) = (ours.config, theirs.config)
        && ours != theirs
    {
        return mismatch(format!(
            "the version is for the configuration {}, served is {}; start a server with that model instead",
            theirs.short(),
            ours.short()
        ));
    }
    if head.base == base.digest || is_whole(head)? {
        return Ok(());
    }
    mismatch(format!(
        "the upload starts at version {}, here is {}; make it from the version that is served, or send all of it",
        head.base.short(),
        base.digest.short()
    ))
}

fn is_whole(head: &DeltaHead) -> Result<bool> {
    let theirs = head.manifest.head();
    Ok(head.base == Manifest::nothing(&theirs.model, theirs.chunk_bytes)?.digest())
}

/// What staging made.
pub(super) struct Staged {
    pub(super) manifest: Manifest,
    pub(super) folder: Folder,
    pub(super) model: Arc<Model>,
    pub(super) times: Times,
}

/// Seconds of the parts of staging.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// Chunks put together and checked, and the folder written.
    pub(super) build_seconds: f64,
    /// From the folder to a model in memory.
    pub(super) load_seconds: f64,
}

/// Builds a version from the base and an upload, checks every chunk, and loads it. The result has its folder; after an
/// error nothing is left of it.
pub(super) fn stage(
    base: &Version,
    upload: &Path,
    target: Hash,
    folder: &Path,
    load: &LoadOptions,
) -> Result<Staged> {
    let started = Instant::now();
    let head = read_head(upload)?;
    check_head(&head, base, target)?;
    let made = Folder::create(folder).map_err(|error| io("create the folder", folder, &error))?;
    let mut sink = SafetensorsSink::new(&folder.join("model.safetensors"))?;
    let file = File::open(upload).map_err(|error| io("read the upload", upload, &error))?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let manifest = if is_whole(&head)? {
        let theirs = head.manifest.head();
        let nothing = Manifest::nothing(&theirs.model, theirs.chunk_bytes)?;
        delta::apply_with((&nothing, &MemorySource::new()), &mut input, &mut sink, &ONE_THREAD)?
    } else {
        let source = SafetensorsSource::open(&base.folder.path)?;
        delta::apply_with((&base.manifest, &source), &mut input, &mut sink, &ONE_THREAD)?
    };
    manifest.save(&folder.join(OPENSSF_PATH))?;
    copy_others(&base.folder.path, folder)?;
    let build_seconds = started.elapsed().as_secs_f64();
    let model = load_model(folder, target, load)?;
    let load_seconds = started.elapsed().as_secs_f64() - build_seconds;
    Ok(Staged { manifest, folder: made, model, times: Times { build_seconds, load_seconds } })
}

/// The model in a version's folder.
pub(super) fn load_model(folder: &Path, version: Hash, load: &LoadOptions) -> Result<Arc<Model>> {
    let path = folder.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Argument, format!("{}: the path is not valid UTF-8", folder.display()))
    })?;
    // One thread: the model answers meanwhile.
    let load = LoadOptions { threads: Some(1), ..load.clone() };
    let model = Model::open(path, &load).map_err(|error| {
        Error::new(ErrorKind::Mismatch, format!("version {} is no such model: {error}", version.short()))
    })?;
    Ok(Arc::new(model))
}

/// Where a version's signature lies.
pub(super) fn signature_path(folder: &Path) -> PathBuf {
    folder.join(format!("{OPENSSF_PATH}.sig"))
}

/// Configuration and tokenizer go with the weights: a version's folder is a checkpoint like any other.
fn copy_others(from: &Path, to: &Path) -> Result<()> {
    let entries = std::fs::read_dir(from).map_err(|error| io("read the folder", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| io("read the folder", from, &error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let text = name.to_string_lossy();
        let is_weights = [".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", ".gguf"]
            .iter()
            .any(|end| text.ends_with(end))
            || text.starts_with(OPENSSF_PATH)
            // Lengths and digests of the old weights; the new ones have been held against their own manifest.
            || text == "manifest.json";
        let size = path.metadata().map_or(0, |found| found.len());
        if path.is_file() && !is_weights && size <= OTHER_BYTES_MAX {
            std::fs::copy(&path, to.join(&name)).map_err(|error| io("copy", &path, &error))?;
        }
    }
    Ok(())
}
