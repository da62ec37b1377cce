//! A run's folder: checkpoints that are whole or absent, and always a model at the top.
//!
//! ```text
//! DIR/model.safetensors, config.json,    the newest checkpoint's model: DIR loads as a model
//!     facts.json, manifest.json
//! DIR/checkpoints/LATEST                 the name of the checkpoint to resume from
//! DIR/checkpoints/step-00000100/         the same, and the optimizer's and the loop's state; the manifest
//!                                        has the size and BLAKE3 digest of every file
//! ```
//!
//! A checkpoint is written into `step-N.partial`, synced, and takes its name in one rename; then the
//! model at the top is replaced, file by file, by hard links; then `LATEST` in one rename; then old
//! checkpoints go. Killed between any two of these, the folder holds a whole checkpoint and a whole model.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mynah_base::{sync_dir, write_atomic};

use crate::error::{Error, ErrorKind, Result};
use mynah_nn::checkpoint::{CONFIG_FILE, MANIFEST_FILE, MODEL_FILE};

const FOLDER: &str = "checkpoints";
const LATEST: &str = "LATEST";
const PARTIAL: &str = "partial";
const REPLACED: &str = "replaced";
/// The files that make a folder a model, in the order in which they are put at the top. The manifest goes
/// first and comes last, so that it never tells the digest of another step's weights.
const MODEL_FILES: [&str; 4] = [MODEL_FILE, CONFIG_FILE, FACTS_FILE, MANIFEST_FILE];
/// What a model was trained on and with; see [`crate::state::ModelFacts`].
pub const FACTS_FILE: &str = "facts.json";

/// The checkpoints of one run.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    dir: PathBuf,
    keep: usize,
}

/// A checkpoint whose files match its manifest.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The step after which it was made.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
    /// BLAKE3 of its manifest.
    pub digest: String,
}

impl CheckpointStore {
    /// The store of a new run in `dir`, which keeps the newest `keep` (at least 1) checkpoints.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the folder already holds a run or a model, which is not overwritten;
    /// [`ErrorKind::Io`] when it cannot be made.
    pub fn create(dir: &Path, keep: usize) -> Result<Self> {
        let store = Self { dir: dir.to_path_buf(), keep: keep.max(1) };
        let found = [CONFIG_FILE, MODEL_FILE].into_iter().find(|name| dir.join(name).exists());
        let steps = store.steps()?;
        if let Some(last) = steps.last() {
            let message = format!(
                "{} already holds a run with a checkpoint of step {last}; go on with --resume, or choose \
                 another folder",
                dir.display()
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        if let Some(name) = found {
            let message = format!("{} already holds a model ({name}); choose another folder", dir.display());
            return Err(Error::new(ErrorKind::Config, message));
        }
        store.prepare()?;
        Ok(store)
    }

    /// The store of a run that goes on. What a kill left half done is tidied up.
    ///
    /// # Errors
    /// [`ErrorKind::Checkpoint`] when there is no checkpoint in `dir`.
    pub fn open(dir: &Path, keep: usize) -> Result<Self> {
        let store = Self { dir: dir.to_path_buf(), keep: keep.max(1) };
        if !store.folder().is_dir() {
            let message =
                format!("{} has no checkpoints to resume from; start without --resume", dir.display());
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
        store.prepare()?;
        if let Some(&last) = store.steps()?.last()
            && !store.folder().join(LATEST).exists()
        {
            // Killed in the moment between the first checkpoint and its `LATEST`.
            store.set_latest(last)?;
        }
        if store.steps()?.is_empty() {
            let message = format!(
                "{} has no whole checkpoint: the run ended before its first one; remove the folder and start anew",
                store.folder().display()
            );
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
        Ok(store)
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The steps that have a checkpoint, rising.
    ///
    /// # Errors
    /// When the folder exists but cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let mut steps: Vec<u64> = self.entries()?.iter().filter_map(|name| parse_name(name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Writes the checkpoint of a step: `write` puts the files and their manifest
    /// ([`mynah_nn::checkpoint`]) into the folder it is given. Afterwards it is the one to resume from, its model is the one at the top, and all but the newest few are removed.
    ///
    /// # Errors
    /// When anything cannot be written; what was there before then still is.
    pub fn save(&self, step: u64, write: impl FnOnce(&Path) -> Result<()>) -> Result<Checkpoint> {
        self.write(step, write).map_err(|error| {
            let before = match self.latest() {
                Ok(latest) => format!(
                    "cannot save the checkpoint of step {step} (that of step {latest} is untouched; free \
                     some space and go on with --resume)"
                ),
                Err(_) => format!("cannot save the checkpoint of step {step}"),
            };
            error.context(&before)
        })
    }

    fn write(&self, step: u64, write: impl FnOnce(&Path) -> Result<()>) -> Result<Checkpoint> {
        let path = self.path(step);
        let partial = with_suffix(&path, PARTIAL);
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(|e| Error::io("make the folder", &partial, &e))?;
        let written =
            write(&partial).and_then(|()| sync_files(&partial)).and_then(|()| manifest_digest(&partial));
        let digest = match written {
            Ok(digest) => digest,
            Err(error) => {
                // Room for the next attempt; the error that led here is the one to tell.
                let _ = fs::remove_dir_all(&partial);
                return Err(error);
            }
        };
        let io = |e: io::Error| Error::io("write", &path, &e);
        sync_dir(&partial).map_err(io)?;
        // A run that went back to an older checkpoint writes the same step again.
        let replaced = with_suffix(&path, REPLACED);
        if path.exists() {
            remove(&replaced)?;
            fs::rename(&path, &replaced).map_err(io)?;
        }
        fs::rename(&partial, &path).map_err(io)?;
        sync_dir(&self.folder()).map_err(io)?;
        remove(&replaced)?;
        self.put_at_the_top(&path)?;
        self.set_latest(step)?;
        self.remove_old(step)?;
        Ok(Checkpoint { step, path, digest })
    }

    /// The step that `LATEST` names.
    ///
    /// # Errors
    /// [`ErrorKind::Checkpoint`] when the file is missing or names no checkpoint.
    pub fn latest(&self) -> Result<u64> {
        let path = self.folder().join(LATEST);
        let text = fs::read_to_string(&path).unwrap_or_default();
        parse_name(text.trim()).filter(|&step| self.path(step).is_dir()).ok_or_else(|| {
            let message = format!("{} names no checkpoint; {}", path.display(), self.advice(None));
            Error::new(ErrorKind::Checkpoint, message)
        })
    }

    /// The checkpoint of a step (by default the latest) after a check of every file against the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Checkpoint`] when it is missing or a file is truncated or changed: the message names the
    /// file and the other checkpoints there are.
    pub fn checked(&self, step: Option<u64>) -> Result<Checkpoint> {
        let step = match step {
            Some(step) => step,
            None => self.latest()?,
        };
        let path = self.path(step);
        let fail = |problem: String| {
            Error::new(ErrorKind::Checkpoint, format!("{problem}; {}", self.advice(Some(step))))
        };
        if !path.is_dir() {
            return Err(fail(format!(
                "there is no checkpoint of step {step} in {}",
                self.folder().display()
            )));
        }
        let digest = manifest_digest(&path).map_err(|e| fail(e.to_string()))?;
        mynah_nn::checkpoint::verify(&path, &[]).map_err(|e| fail(e.to_string()))?;
        Ok(Checkpoint { step, path, digest })
    }

    /// Makes a checkpoint the one to resume from.
    ///
    /// # Errors
    /// When `LATEST` cannot be written.
    pub fn set_latest(&self, step: u64) -> Result<()> {
        let path = self.folder().join(LATEST);
        write_atomic(&path, |w| writeln!(w, "{}", name(step))).map_err(|e| Error::io("write", &path, &e))
    }

    /// What to do when a checkpoint cannot be used.
    fn advice(&self, not: Option<u64>) -> String {
        let others: Vec<String> = self
            .steps()
            .unwrap_or_default()
            .into_iter()
            .rev()
            .filter(|&step| Some(step) != not)
            .map(|step| step.to_string())
            .collect();
        match others.as_slice() {
            [] => "there is no other checkpoint; start anew in another folder".to_string(),
            [one] => format!("there is one of step {one}: go on from it with --resume {one}"),
            [first, ..] => {
                format!("there are others of steps {}: go on with --resume {first}", others.join(", "))
            }
        }
    }

    /// Links (or copies) the model of a checkpoint to the top of the run's folder.
    fn put_at_the_top(&self, from: &Path) -> Result<()> {
        let manifest = self.dir.join(MANIFEST_FILE);
        remove_file(&manifest).map_err(|e| Error::io("remove", &manifest, &e))?;
        for file in MODEL_FILES.iter().filter(|file| from.join(file).is_file()) {
            let (source, target) = (from.join(file), self.dir.join(file));
            let neighbour = self.dir.join(format!("{file}.tmp"));
            let put = || {
                remove_file(&neighbour)?;
                if fs::hard_link(&source, &neighbour).is_err() {
                    // Not every file system has hard links.
                    fs::copy(&source, &neighbour)?;
                    fs::File::open(&neighbour)?.sync_all()?;
                }
                fs::rename(&neighbour, &target)
            };
            put().map_err(|e| Error::io("write", &target, &e))?;
        }
        sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, &e))
    }

    /// Removes all but the newest checkpoints up to `step`; later ones, which a run that went back will
    /// write again, stay until then.
    fn remove_old(&self, step: u64) -> Result<()> {
        let steps: Vec<u64> = self.steps()?.into_iter().filter(|&old| old <= step).collect();
        for &old in &steps[..steps.len().saturating_sub(self.keep)] {
            // Out of the way in one rename first: a half-removed folder must not look like a checkpoint.
            let (path, aside) = (self.path(old), with_suffix(&self.path(old), PARTIAL));
            remove(&aside)?;
            fs::rename(&path, &aside).map_err(|e| Error::io("remove", &path, &e))?;
            remove(&aside)?;
        }
        Ok(())
    }

    /// Makes the folder and tidies up what a kill left half done.
    fn prepare(&self) -> Result<()> {
        let folder = self.folder();
        fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, &e))?;
        for entry in self.entries()? {
            let path = folder.join(&entry);
            match entry.rsplit_once('.') {
                Some((_, PARTIAL | "tmp")) => remove(&path)?,
                // Killed between the two renames that replace a checkpoint: the old one is still whole.
                Some((original, REPLACED)) if parse_name(original).is_some() => {
                    let original = folder.join(original);
                    if original.exists() {
                        remove(&path)?;
                    } else {
                        fs::rename(&path, &original).map_err(|e| Error::io("restore", &original, &e))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<String>> {
        let folder = self.folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read the folder", &folder, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read the folder", &folder, &e))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }

    fn folder(&self) -> PathBuf {
        self.dir.join(FOLDER)
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder().join(name(step))
    }
}

/// BLAKE3 of a checkpoint's manifest.
fn manifest_digest(dir: &Path) -> Result<String> {
    let path = dir.join(MANIFEST_FILE);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn sync_files(dir: &Path) -> Result<()> {
    let sync = || {
        for entry in fs::read_dir(dir)? {
            fs::File::open(entry?.path())?.sync_all()?;
        }
        Ok(())
    };
    sync().map_err(|e: io::Error| Error::io("sync", dir, &e))
}

fn name(step: u64) -> String {
    format!("step-{step:08}")
}

fn parse_name(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("step-")?;
    let step: u64 = digits.parse().ok()?;
    (name(step) == text).then_some(step)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes a file or a folder with all in it, if it is there.
fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { remove_file(path) };
    result.map_err(|e| Error::io("remove", path, &e))
}

#[cfg(test)]
mod tests;
