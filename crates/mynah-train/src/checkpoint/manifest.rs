//! The list of a checkpoint's files with their sizes and digests.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use mynah_base::write_atomic;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const NAME: &str = "manifest.json";
const FORMAT: &str = "mynah-checkpoint";
const VERSION: u32 = 1;
/// A manifest lists a handful of files; more than this is no manifest of ours.
const SIZE_MAX: u64 = 1 << 20;

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `mynah-checkpoint`.
    pub format: String,
    /// Version of the folder's layout.
    pub version: u32,
    /// The step after which the checkpoint was made.
    pub step: u64,
    /// Its files by name.
    pub files: Vec<FileEntry>,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within the folder.
    pub name: String,
    /// Size.
    pub size_bytes: u64,
    /// BLAKE3 in hexadecimal.
    pub blake3: String,
}

impl Manifest {
    /// Lists the files of a folder, synced to the disk, and writes the manifest beside them. Gives the
    /// manifest's own digest.
    pub(super) fn create(step: u64, dir: &Path) -> Result<String> {
        let io = |e: std::io::Error| Error::io("write", dir, &e);
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if !path.is_file() || name == NAME {
                continue;
            }
            File::open(&path).and_then(|file| file.sync_all()).map_err(io)?;
            let (size_bytes, blake3) = digest(&path).map_err(io)?;
            files.push(FileEntry { name, size_bytes, blake3 });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Self { format: FORMAT.to_string(), version: VERSION, step, files };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| io(std::io::Error::other(e)))?;
        write_atomic(&dir.join(NAME), |w| w.write_all(&text)).map_err(io)?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }

    /// Checks every file of a checkpoint; gives the manifest's own digest, or what is wrong.
    pub(super) fn check(step: u64, dir: &Path) -> std::result::Result<String, String> {
        let path = dir.join(NAME);
        let shown = path.display();
        let size = fs::metadata(&path).map_err(|e| format!("cannot read {shown}: {e}"))?.len();
        if size > SIZE_MAX {
            return Err(format!("{shown} has {size} bytes, which no manifest has"));
        }
        let text = fs::read(&path).map_err(|e| format!("cannot read {shown}: {e}"))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|e| format!("{shown} is damaged: {e}"))?;
        if (manifest.format.as_str(), manifest.version, manifest.step) != (FORMAT, VERSION, step) {
            return Err(format!(
                "{shown} is of format {} {}, step {}; expected {FORMAT} {VERSION}, step {step}",
                manifest.format, manifest.version, manifest.step
            ));
        }
        for file in &manifest.files {
            let path = dir.join(&file.name);
            let shown = path.display();
            if file.name.contains(['/', '\\']) {
                return Err(format!("the manifest names {shown}, which is outside the checkpoint"));
            }
            let size = fs::metadata(&path).map_err(|e| format!("cannot read {shown}: {e}"))?.len();
            if size != file.size_bytes {
                let what = if size < file.size_bytes { "is truncated" } else { "is too long" };
                return Err(format!("{shown} {what}: {size} bytes instead of {}", file.size_bytes));
            }
            let (_, found) = digest(&path).map_err(|e| format!("cannot read {shown}: {e}"))?;
            if found != file.blake3 {
                return Err(format!("{shown} is damaged: its checksum differs from the manifest's"));
            }
        }
        Ok(blake3::hash(&text).to_hex().to_string())
    }
}

/// Size and BLAKE3 of a file.
fn digest(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.count(), hasher.finalize().to_hex().to_string()));
        }
        hasher.update(&buffer[..read]);
    }
}
