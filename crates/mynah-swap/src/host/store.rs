//! Versions of a checkpoint in a folder.
//!
//! ```text
//! DIR/versions/HEX/    model.safetensors, weights.manifest, and whatever belongs to the checkpoint
//! DIR/versions/*.tmp   what is being staged; nobody looks there
//! DIR/live             a link to the version that is live
//! ```
//!
//! A folder takes its name in one rename, after every chunk was checked and all of it is on the disk. So a version
//! that is there is whole.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::delta::{ChunkSink, SafetensorsSink};
use crate::manifest::{OPENSSF_PATH, Tensor};
use crate::source::{SafetensorsSource, TensorSource};
use crate::transport::{ChunkId, ChunkStore};
use crate::{Error, Hash, Manifest, Result};

/// Files beside the weights larger than this are no configuration and no tokenizer.
const OTHER_BYTES_MAX: u64 = 1 << 30;

/// A signature is not larger.
const SIGNATURE_BYTES_MAX: u64 = 1 << 20;

/// The versions in a folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The version that was asked for last: peers ask for one chunk after another.
    asked: Mutex<Option<(Hash, Arc<Version>)>>,
}

type Version = (Manifest, SafetensorsSource);

/// A version that is being staged. It goes when it is dropped before it was completed.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    to: PathBuf,
    /// Takes the weights.
    pub sink: SafetensorsSink,
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Complete, it has another name.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Store {
    /// Opens a folder, which may be empty, and drops what was not staged to its end.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(folder: &Path) -> Result<Self> {
        let versions = folder.join("versions");
        std::fs::create_dir_all(&versions).map_err(|e| Error::io("create the folder", &versions, &e))?;
        let store = Self { folder: folder.to_path_buf(), asked: Mutex::new(None) };
        for (name, path) in store.entries()? {
            if name.ends_with(".tmp") {
                std::fs::remove_dir_all(&path)
                    .map_err(|e| Error::io("remove what was not staged to its end", &path, &e))?;
            }
        }
        Ok(store)
    }

    /// Looks at a folder that an agent keeps, and changes nothing in it.
    pub fn look(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), asked: Mutex::new(None) }
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>> {
        let versions = self.folder.join("versions");
        let listed = std::fs::read_dir(&versions).map_err(|e| Error::io("list the folder", &versions, &e))?;
        let mut entries = Vec::new();
        for entry in listed {
            let entry = entry.map_err(|e| Error::io("list the folder", &versions, &e))?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        Ok(entries)
    }

    /// Whether the folder itself holds no checkpoint either.
    pub fn is_empty(&self) -> bool {
        SafetensorsSource::open(&self.folder).is_err()
    }

    /// Where a version lies, or would.
    pub fn path(&self, version: &Hash) -> PathBuf {
        self.folder.join("versions").join(version.to_string().trim_start_matches("blake3:"))
    }

    /// Whether a version is here, whole.
    pub fn has(&self, version: &Hash) -> bool {
        self.path(version).is_dir()
    }

    /// The versions that are here.
    ///
    /// # Errors
    /// `Io`.
    pub fn versions(&self) -> Result<Vec<Hash>> {
        let named = |name: &str| format!("blake3:{name}").parse().ok();
        Ok(self.entries()?.iter().filter_map(|(name, _)| named(name)).collect())
    }

    /// A version and its manifest. The weights are compared with it where they are read.
    ///
    /// # Errors
    /// `Mismatch` when another version lies under this name; `Io`, `Format`.
    pub fn load(&self, version: &Hash) -> Result<(Manifest, SafetensorsSource)> {
        let path = self.path(version);
        let manifest = Manifest::load(&path.join(OPENSSF_PATH))?;
        if manifest.digest() != *version {
            return Err(Error::mismatch("the manifest is another version's").in_file(&path));
        }
        Ok((manifest, SafetensorsSource::open(&path)?))
    }

    /// Reads a version and checks every chunk.
    ///
    /// # Errors
    /// `Mismatch` when something is not what the manifest says; as [`Store::load`].
    pub fn check(&self, version: &Hash) -> Result<Manifest> {
        let (manifest, source) = self.load(version)?;
        check(&manifest, &source).map_err(|e| e.in_file(&self.path(version)))?;
        Ok(manifest)
    }

    fn signature_path(&self, version: &Hash) -> PathBuf {
        self.path(version).join(format!("{OPENSSF_PATH}.sig"))
    }

    /// Keeps the signature of a version that is here.
    ///
    /// # Errors
    /// `Io`.
    pub fn keep_signature(&self, version: &Hash, signature: &[u8]) -> Result<()> {
        let path = self.signature_path(version);
        mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, signature))
            .map_err(|e| Error::io("write the signature", &path, &e))
    }

    /// Takes the checkpoint that lies in the folder itself as the first version. Its files are linked, or copied where
    /// that cannot be.
    ///
    /// # Errors
    /// `Argument` when it has no manifest; `Mismatch` when it is not what that says; `Io`.
    pub fn adopt(&self) -> Result<Hash> {
        let path = self.folder.join(OPENSSF_PATH);
        if !path.is_file() {
            return Err(Error::argument(
                "the checkpoint has no weights.manifest, by which all agents name it the same; \
                 make it: mynah weights manifest DIR --model NAME",
            )
            .in_file(&self.folder));
        }
        let manifest = Manifest::load(&path)?;
        let source = SafetensorsSource::open(&self.folder)?;
        check(&manifest, &source).map_err(|e| e.in_file(&self.folder))?;
        let version = manifest.digest();
        let staging = self.stage(&version)?;
        let weights: Vec<PathBuf> = source.paths().map(Path::to_path_buf).collect();
        let index = self.folder.join("model.safetensors.index.json");
        for path in weights.iter().chain(index.is_file().then_some(&index)) {
            let Some(name) = path.file_name() else { continue };
            let to = staging.folder.join(name);
            let made = std::fs::hard_link(path, &to).or_else(|_| std::fs::copy(path, &to).map(|_| ()));
            made.map_err(|e| Error::io("take it", path, &e))?;
        }
        self.complete(staging, &manifest, Some(&self.folder))?;
        if let Some(signature) = read_signature(&self.folder.join(format!("{OPENSSF_PATH}.sig"))) {
            self.keep_signature(&version, &signature)?;
        }
        Ok(version)
    }

    /// Begins to stage a version.
    ///
    /// # Errors
    /// `Io`.
    pub fn stage(&self, version: &Hash) -> Result<Staging> {
        let to = self.path(version);
        let folder = to.with_extension("tmp");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| Error::io("empty it", &folder, &e))?;
        }
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("create the folder", &folder, &e))?;
        let sink = SafetensorsSink::new(&folder.join("model.safetensors"))?;
        Ok(Staging { folder, to, sink })
    }

    /// Gives a version its name, with the files that belong to it from the checkpoint before.
    ///
    /// # Errors
    /// `Io`.
    pub fn complete(&self, staging: Staging, manifest: &Manifest, others: Option<&Path>) -> Result<()> {
        if let Some(others) = others {
            copy_others(others, &staging.folder)?;
        }
        manifest.save(&staging.folder.join(OPENSSF_PATH))?;
        let io = |e: std::io::Error| Error::io("name the folder", &staging.to, &e);
        mynah_base::sync_dir(&staging.folder).map_err(io)?;
        std::fs::rename(&staging.folder, &staging.to).map_err(io)?;
        mynah_base::sync_dir(&self.folder.join("versions")).map_err(io)
    }

    /// Removes all versions but these.
    ///
    /// # Errors
    /// `Io`.
    pub fn keep(&self, versions: &[Hash]) -> Result<()> {
        for version in self.versions()?.iter().filter(|version| !versions.contains(version)) {
            self.remove(version)?;
        }
        Ok(())
    }

    /// Removes a version.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(&self, version: &Hash) -> Result<()> {
        let path = self.path(version);
        if !path.exists() {
            return Ok(());
        }
        // First out of sight, in one step.
        let gone = path.with_extension("tmp");
        let removed = std::fs::rename(&path, &gone).and_then(|()| std::fs::remove_dir_all(&gone));
        removed.map_err(|e| Error::io("remove it", &path, &e))
    }

    /// Makes `live` name a version, for whoever looks at the folder from outside.
    ///
    /// # Errors
    /// `Io`.
    pub fn point(&self, version: &Hash) -> Result<()> {
        let link = self.folder.join("live");
        #[cfg(unix)]
        {
            let neighbour = self.folder.join("live.tmp");
            let _ = std::fs::remove_file(&neighbour);
            let target = Path::new("versions").join(self.path(version).file_name().unwrap_or_default());
            let made = std::os::unix::fs::symlink(target, &neighbour);
            made.and_then(|()| std::fs::rename(&neighbour, &link))
                .map_err(|e| Error::io("point to the live version", &link, &e))
        }
        #[cfg(not(unix))]
        mynah_base::write_atomic(&link, |file| {
            std::io::Write::write_all(file, version.to_string().as_bytes())
        })
        .map_err(|e| Error::io("point to the live version", &link, &e))
    }

    /// The version that `live` names, when it is here.
    pub fn pointed(&self) -> Option<Hash> {
        let link = self.folder.join("live");
        #[cfg(unix)]
        let name = std::fs::read_link(&link).ok()?.file_name()?.to_string_lossy().into_owned();
        #[cfg(not(unix))]
        let name = std::fs::read_to_string(&link).ok()?.trim_start_matches("blake3:").to_string();
        format!("blake3:{name}").parse().ok().filter(|version| self.has(version))
    }
}

impl ChunkStore for Store {
    fn manifest(&self, version: &Hash) -> Option<Vec<u8>> {
        let file = File::open(self.path(version).join(OPENSSF_PATH)).ok()?;
        let mut bytes = Vec::new();
        file.take(crate::manifest::MANIFEST_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn signature(&self, version: &Hash) -> Option<Vec<u8>> {
        read_signature(&self.signature_path(version))
    }

    fn chunk(&self, id: &ChunkId) -> Option<Vec<u8>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let version = match asked.as_ref().filter(|(version, _)| *version == id.version) {
            Some((_, version)) => version.clone(),
            None => {
                let version = Arc::new(self.load(&id.version).ok()?);
                *asked = Some((id.version, version.clone()));
                version
            }
        };
        drop(asked);
        chunk_of(&version.0, &version.1, id)
    }
}

/// A signature file; nothing where there is none, or it is none.
pub fn read_signature(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(SIGNATURE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= SIGNATURE_BYTES_MAX).then_some(bytes)
}

/// A chunk by its number in the manifest; nothing where there is none, or it cannot be read. The asker checks it.
pub(super) fn chunk_of(manifest: &Manifest, source: &dyn TensorSource, id: &ChunkId) -> Option<Vec<u8>> {
    let tensor = manifest.tensors().get(id.tensor as usize)?;
    if id.chunk as usize >= tensor.chunk_range().len() {
        return None;
    }
    let range = manifest.chunk_bytes_range(tensor, id.chunk as usize);
    let mut bytes = vec![0; (range.end - range.start) as usize];
    source.read(place_of(tensor, source)?, range.start, &mut bytes).ok()?;
    Some(bytes)
}

/// The number in a source of a manifest's tensor.
pub(super) fn place_of(tensor: &Tensor, source: &dyn TensorSource) -> Option<usize> {
    let is_same = |info: &crate::source::TensorInfo| {
        info.name == tensor.name
            && info.part == tensor.part
            && info.dtype == tensor.dtype
            && info.shape == tensor.shape
    };
    source.tensors().iter().position(is_same)
}

fn check(manifest: &Manifest, source: &dyn TensorSource) -> Result<()> {
    let mut bytes = Vec::new();
    for (number, tensor) in manifest.tensors().iter().enumerate() {
        let Some(place) = place_of(tensor, source) else {
            return Err(Error::mismatch(format!("the weights have no {} as listed", tensor.label())));
        };
        for chunk in 0..tensor.chunk_range().len() {
            let range = manifest.chunk_bytes_range(tensor, chunk);
            bytes.resize((range.end - range.start) as usize, 0);
            source.read(place, range.start, &mut bytes)?;
            manifest.check_chunk(number, chunk, &bytes)?;
        }
    }
    Ok(())
}

/// Copies a checkpoint's files besides the weights and what belongs to them.
fn copy_others(from: &Path, to: &Path) -> Result<()> {
    let listed = std::fs::read_dir(from).map_err(|e| Error::io("list the folder", from, &e))?;
    for entry in listed {
        let path = entry.map_err(|e| Error::io("list the folder", from, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_weights =
            [".safetensors", ".safetensors.index.json", ".log", ".tmp"].iter().any(|end| name.ends_with(end))
                || name.starts_with(OPENSSF_PATH)
                || name == "live";
        let is_small = path.metadata().is_ok_and(|found| found.is_file() && found.len() <= OTHER_BYTES_MAX);
        if is_small && !is_weights {
            std::fs::copy(&path, to.join(&name)).map_err(|e| Error::io("copy it", &path, &e))?;
        }
    }
    Ok(())
}

/// A sink that takes one version and no other.
pub(super) struct Only<'a> {
    pub(super) sink: &'a mut SafetensorsSink,
    pub(super) version: Hash,
}

impl ChunkSink for Only<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let found = manifest.digest();
        if found != self.version {
            return Err(Error::mismatch(format!(
                "version {} came where {} was asked for",
                found.short(),
                self.version.short()
            )));
        }
        self.sink.begin(manifest)
    }

    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.sink.write(tensor, offset_bytes, bytes)
    }

    fn finish(&mut self) -> Result<()> {
        self.sink.finish()
    }
}
