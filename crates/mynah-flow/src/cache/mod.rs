//! The cache: contents under their digests, and records that say which outputs a key has.
//!
//! ```text
//! CACHE/objects/ab/cdef…[.x]  a content (of a program), under its BLAKE3 digest, for reading only
//! CACHE/actions/ab/cdef….json  what the stage with this key made; written last
//! CACHE/new/…                files on their way
//! ```
//!
//! Nothing in it is trusted: a record carries its own digest, a content is hashed whenever it is used. What is damaged
//! counts as absent, and the stage runs again. So nothing has to be synced to the disk either.

mod garbage;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use mynah_trust::{Algorithm, Digest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Entry, FileFacts, Tree};
use crate::path::FlowPath;

pub use garbage::{Garbage, collect_garbage};

/// A record of a million files is smaller.
const RECORD_BYTES_MAX: u64 = 256 << 20;
const RECORD_VERSION: u32 = 1;

/// A cache folder; several flows may use one at once.
pub(crate) struct Cache {
    dir: PathBuf,
    restore_by: RestoreBy,
}

/// How files come out of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestoreBy {
    /// As copies (on file systems that can, sharing blocks): they may be edited.
    #[default]
    Copy,
    /// As further names of the cache's files, without any copying: they are for reading only.
    HardLink,
}

/// What the stage with a key made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    pub version: u32,
    pub key: String,
    /// The stage's name when it ran; for people.
    pub stage: String,
    pub elapsed_ms: u64,
    pub outputs: Vec<Output>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    pub path: String,
    /// Of the tree.
    pub digest: String,
    pub entries: Vec<Entry>,
}

impl Output {
    pub fn new(path: &FlowPath, tree: Tree) -> Output {
        Output { path: path.to_string(), digest: tree.digest().to_hex(), entries: tree.entries }
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// BLAKE3 of the action's JSON.
    check: String,
    action: Action,
}

static NEW: AtomicU64 = AtomicU64::new(0);

impl Cache {
    pub fn open(dir: &Path, restore_by: RestoreBy) -> Result<Cache> {
        for name in ["objects", "actions", "new"] {
            let folder = dir.join(name);
            fs::create_dir_all(&folder).map_err(|e| Error::io("create the cache", &folder, &e))?;
        }
        Ok(Cache { dir: dir.to_path_buf(), restore_by })
    }

    /// What is recorded under a key; damaged records are absent ones.
    pub fn find(&self, key: &Digest) -> Option<Action> {
        let path = self.action(key);
        let action = read_record(&path)?.action;
        // When it was last asked for, for whoever collects garbage; not knowing it costs a run at most.
        let _ =
            File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        (action.key == key.to_hex()).then_some(action)
    }

    /// Takes the contents of an output away from where it was made, or copies them when a program may have to go on
    /// with them after a kill.
    pub fn take(&self, tree: &Tree, at: &Path, by_copy: bool) -> Result<()> {
        for entry in &tree.entries {
            let Some(facts) = &entry.file else { continue };
            let from = if entry.path.is_empty() { at.to_path_buf() } else { at.join(&entry.path) };
            let object = self.object(facts)?;
            // One that is there may be damaged; only a look at its content could tell, and the new one is here.
            if let Some(parent) = object.parent() {
                fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, &e))?;
            }
            if by_copy || fs::rename(&from, &object).is_err() {
                // Or another file system.
                let new = self.new_path();
                fs::copy(&from, &new)
                    .and_then(|_| fs::rename(&new, &object))
                    .map_err(|e| Error::io("keep it in the cache", &from, &e))?;
            }
            files::set_rights(&object, facts.executable, true)?;
        }
        Ok(())
    }

    /// Records what a key has made.
    pub fn record(&self, action: Action) -> Result<()> {
        let key = Digest::from_hex(Algorithm::Blake3, &action.key)?;
        let path = self.action(&key);
        let json = |error: serde_json::Error| Error::stage(format!("cannot record the outputs: {error}"));
        let check = Digest::blake3(&serde_json::to_vec(&action).map_err(json)?).to_hex();
        let text = serde_json::to_vec(&Record { check, action }).map_err(json)?;
        if text.len() as u64 > RECORD_BYTES_MAX {
            return Err(Error::stage("has too many outputs for one record of the cache"));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, &e))?;
        }
        let new = self.new_path();
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|e| Error::io("write the record", &path, &e))
    }

    /// Builds an output at `to`, where nothing is yet. Nothing when the cache has lost or damaged a part of it.
    pub fn build(&self, output: &Output, to: &Path) -> Result<bool> {
        for entry in &output.entries {
            let at = match entry.path.as_str() {
                "" => to.to_path_buf(),
                // A record may be anybody's: its paths are checked like those of a pipeline.
                path => FlowPath::parse(path)?.below(to),
            };
            let Some(facts) = &entry.file else {
                fs::create_dir_all(&at).map_err(|e| Error::io("create the folder", &at, &e))?;
                continue;
            };
            if !self.build_file(facts, &at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn build_file(&self, facts: &FileFacts, at: &Path) -> Result<bool> {
        let object = self.object(facts)?;
        let placed = match self.restore_by {
            RestoreBy::Copy => fs::copy(&object, at).map(drop),
            RestoreBy::HardLink => fs::hard_link(&object, at).or_else(|_| fs::copy(&object, at).map(drop)),
        };
        match placed {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("restore it from the cache", at, &error)),
        }
        if Digest::of_file(Algorithm::Blake3, at)?.to_hex() != facts.digest {
            // Whoever asks next should not have to find out again.
            files::remove(&object)?;
            return Ok(false);
        }
        if self.restore_by == RestoreBy::Copy {
            files::set_rights(at, facts.executable, false)?;
        }
        Ok(true)
    }

    fn action(&self, key: &Digest) -> PathBuf {
        let hex = key.to_hex();
        self.dir.join("actions").join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }

    /// Programs lie apart: a hard link shares the rights too.
    fn object(&self, facts: &FileFacts) -> Result<PathBuf> {
        Digest::from_hex(Algorithm::Blake3, &facts.digest)?;
        Ok(self.dir.join("objects").join(object_name(facts)))
    }

    /// A name that no other flow has. One that is killed leaves it behind for [`Cache::clean`].
    fn new_path(&self) -> PathBuf {
        let number = NEW.fetch_add(1, Ordering::Relaxed);
        self.dir.join("new").join(format!("{}-{number}", std::process::id()))
    }

    /// Removes what killed flows left on the way: files older than a day.
    pub fn clean(&self) {
        let Ok(entries) = fs::read_dir(self.dir.join("new")) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age.as_secs() > 86_400) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Where a content lies below `objects`.
fn object_name(facts: &FileFacts) -> String {
    let (start, rest) = facts.digest.split_at_checked(2).unwrap_or_default();
    format!("{start}/{rest}{}", if facts.executable { ".x" } else { "" })
}

/// A record, if it is whole and of a version we know.
fn read_record(path: &Path) -> Option<Record> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(RECORD_BYTES_MAX).read_to_end(&mut text).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    let own = serde_json::to_vec(&record.action).ok()?;
    let is_whole = Digest::blake3(&own).to_hex() == record.check;
    (is_whole && record.action.version == RECORD_VERSION).then_some(record)
}

/// A tree as a record has it, if it is one.
pub(crate) fn tree_of(output: &Output) -> Result<Tree> {
    let tree = Tree { entries: output.entries.clone() };
    match tree.digest().to_hex() == output.digest {
        true => Ok(tree),
        false => Err(Error::new(ErrorKind::Stage, format!("the record of {} is damaged", output.path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        dir: tempfile::TempDir,
        cache: Cache,
        output: Output,
        key: Digest,
    }

    fn bench(restore_by: RestoreBy) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), restore_by).unwrap();
        let made = dir.path().join("made");
        fs::create_dir_all(made.join("empty")).unwrap();
        fs::write(made.join("a"), "content").unwrap();
        fs::write(made.join("run.sh"), "#!/bin/sh\n").unwrap();
        files::set_rights(&made.join("run.sh"), true, false).unwrap();
        let tree = Tree::read(&made).unwrap();
        cache.take(&tree, &made, restore_by == RestoreBy::Copy).unwrap();
        let output = Output::new(&FlowPath::parse("made").unwrap(), tree);
        let key = Digest::blake3(b"key");
        let action = Action {
            version: RECORD_VERSION,
            key: key.to_hex(),
            stage: "s".to_string(),
            elapsed_ms: 1,
            outputs: vec![output.clone()],
        };
        cache.record(action).unwrap();
        Bench { dir, cache, output, key }
    }

    #[test]
    fn what_went_in_comes_out() {
        for restore_by in [RestoreBy::Copy, RestoreBy::HardLink] {
            let Bench { dir, cache, output, key } = bench(restore_by);
            let found = cache.find(&key).unwrap();
            assert_eq!(found.outputs, std::slice::from_ref(&output));
            let to = dir.path().join("restored");
            assert!(cache.build(&found.outputs[0], &to).unwrap());
            assert_eq!(Tree::read(&to).unwrap().digest().to_hex(), output.digest);
            assert!(cache.find(&Digest::blake3(b"another")).is_none());
        }
    }

    #[test]
    fn damage_is_absence() {
        let Bench { dir, cache, output, key } = bench(RestoreBy::Copy);
        let object = cache.object(output.entries[1].file.as_ref().unwrap()).unwrap();
        fs::remove_file(&object).unwrap();
        fs::write(&object, "c0ntent").unwrap();
        assert!(!cache.build(&output, &dir.path().join("1")).unwrap());
        assert!(!object.exists(), "the damaged content is gone");
        assert!(!cache.build(&output, &dir.path().join("2")).unwrap());
        let record = cache.action(&key);
        let text = fs::read_to_string(&record).unwrap();
        fs::write(&record, text.replace("\"elapsed_ms\":1", "\"elapsed_ms\":2")).unwrap();
        assert!(cache.find(&key).is_none());
        fs::write(&record, &text[..text.len() / 2]).unwrap();
        assert!(cache.find(&key).is_none());
    }

    #[test]
    fn garbage_is_what_nobody_used_or_names() {
        use std::time::Duration;
        let Bench { dir, cache, output, key } = bench(RestoreBy::Copy);
        let folder = dir.path().join("cache");
        let (hour, never) = (Duration::from_secs(3_600), Duration::from_secs(1 << 40));
        assert_eq!(collect_garbage(&folder, hour).unwrap(), Garbage::default());
        let age = |path: &Path| {
            files::set_rights(path, false, false).unwrap();
            let past = SystemTime::now() - 2 * hour;
            File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
        };
        // An old content that is named stays; an old one that is not goes.
        let named = cache.object(output.entries[1].file.as_ref().unwrap()).unwrap();
        let lost = folder.join("objects/ab/cd");
        fs::create_dir_all(lost.parent().unwrap()).unwrap();
        fs::write(&lost, "12345").unwrap();
        [&named, &lost].into_iter().for_each(|path| age(path));
        let removed = collect_garbage(&folder, hour).unwrap();
        assert_eq!(removed, Garbage { actions: 0, objects: 1, freed_bytes: 5 });
        // Asking for a record makes it young.
        age(&cache.action(&key));
        assert!(cache.find(&key).is_some());
        assert_eq!(collect_garbage(&folder, hour).unwrap(), Garbage::default());
        age(&cache.action(&key));
        assert_eq!(collect_garbage(&folder, never).unwrap(), Garbage::default());
        let removed = collect_garbage(&folder, hour).unwrap();
        assert_eq!((removed.actions, removed.objects), (1, 1), "the young content waits");
        assert!(cache.find(&key).is_none() && !named.exists());
        assert_eq!(collect_garbage(&dir.path().join("none"), hour).unwrap(), Garbage::default());
    }

    #[test]
    fn a_hostile_record_stays_inside() {
        let Bench { dir, cache, mut output, .. } = bench(RestoreBy::Copy);
        output.entries[1].path = "../outside".to_string();
        assert!(cache.build(&output, &dir.path().join("deep/er")).is_err());
        assert!(!dir.path().join("deep/outside").exists());
        output.entries[1].path = "a".to_string();
        output.entries[1].file.as_mut().unwrap().digest = "../../../etc/passwd".to_string();
        assert!(cache.build(&output, &dir.path().join("deep")).is_err());
        assert!(tree_of(&output).is_err());
    }
}
