//! Digests of files that have not changed since they were hashed: what lets a flow look at a hundred gigabytes of data
//! that are as they were in the time it takes to list them.
//!
//! A file is taken to be the same when its size, both its times, its inode and its device are. The time of the last
//! change of any kind is the kernel's own and cannot be set back by a program. A file that changed in the last two
//! seconds before it was hashed is not remembered: clocks of file systems are coarse, and it might change again within
//! one tick.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mynah_trust::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::FileFacts;

const COARSE: Duration = Duration::from_secs(2);
const ENTRIES_MAX: usize = 1_000_000;
const BYTES_MAX: u64 = 512 << 20;

/// What is known of files below a folder.
pub(crate) struct Memo {
    path: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: FileStamp,
    facts: FileFacts,
}

/// What a look at a file without reading it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStamp {
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
    inode: u64,
    device: u64,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    /// BLAKE3 of the JSON of `known`: a wrong digest here would be believed.
    check: String,
    known: Vec<(PathBuf, Known)>,
}

impl FileStamp {
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> FileStamp {
        use std::os::unix::fs::MetadataExt;
        let ns = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        FileStamp {
            size_bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> FileStamp {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = modified.map_or(0, |since| since.as_nanos() as i128);
        FileStamp { size_bytes: metadata.len(), modified_ns, changed_ns: i128::MAX, inode: 0, device: 0 }
    }
}

impl Memo {
    /// What an earlier flow has saved; nothing when it is damaged or not there.
    pub fn load(path: &Path) -> Memo {
        let read = || -> Option<Vec<(PathBuf, Known)>> {
            if fs::metadata(path).ok()?.len() > BYTES_MAX {
                return None;
            }
            let saved: Saved = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            (check(&saved.known)? == saved.check).then_some(saved.known)
        };
        let known = read().unwrap_or_default().into_iter().collect();
        Memo { path: path.to_path_buf(), known: Mutex::new(known) }
    }

    /// One that knows nothing yet.
    pub fn empty(path: &Path) -> Memo {
        Memo { path: path.to_path_buf(), known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a file that looks like this.
    pub fn find(&self, at: &Path, metadata: &Metadata) -> Option<FileFacts> {
        let known = self.lock();
        known.get(at).filter(|known| known.stamp == FileStamp::of(metadata)).map(|known| known.facts.clone())
    }

    /// Remembers a file that looked like this before it was hashed, at `began`.
    pub fn put(&self, at: &Path, metadata: &Metadata, facts: &FileFacts, began: SystemTime) {
        let stamp = FileStamp::of(metadata);
        let settled = began.checked_sub(COARSE).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let is_settled = settled.is_some_and(|settled| stamp.changed_ns < settled.as_nanos() as i128);
        let is_same = fs::symlink_metadata(at).is_ok_and(|now| FileStamp::of(&now) == stamp);
        let mut known = self.lock();
        if is_settled && is_same && known.len() < ENTRIES_MAX {
            known.insert(at.to_path_buf(), Known { stamp, facts: facts.clone() });
        }
    }

    /// Saves what is known of files that are still there.
    pub fn save(&self) -> Result<()> {
        let known: Vec<(PathBuf, Known)> = {
            let known = self.lock();
            let is_there = |(path, _): &(&PathBuf, &Known)| path.symlink_metadata().is_ok();
            known.iter().filter(is_there).map(|(path, known)| (path.clone(), known.clone())).collect()
        };
        // A path that is not UTF-8 cannot be written as JSON; inputs have none.
        let Some(check) = check(&known) else { return Ok(()) };
        let text = serde_json::to_vec(&Saved { check, known }).unwrap_or_default();
        mynah_base::write_atomic(&self.path, |file| file.write_all(&text))
            .map_err(|e| Error::io("remember digests", &self.path, &e))
    }
}

fn check(known: &[(PathBuf, Known)]) -> Option<String> {
    Some(Digest::blake3(&serde_json::to_vec(known).ok()?).to_hex())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_changed_in_any_way_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let facts = FileFacts { digest: "d".to_string(), size_bytes: 3, executable: false };
        let look = || fs::symlink_metadata(&file).unwrap();
        fs::write(&file, "abc").unwrap();
        let memo = Memo::empty(&dir.path().join("memo.json"));
        memo.put(&file, &look(), &facts, SystemTime::now());
        assert_eq!(memo.find(&file, &look()), None, "too young");
        let later = SystemTime::now() + Duration::from_secs(10);
        memo.put(&file, &look(), &facts, later);
        assert_eq!(memo.find(&file, &look()), Some(facts.clone()));
        memo.save().unwrap();
        let loaded = Memo::load(&dir.path().join("memo.json"));
        assert_eq!(loaded.find(&file, &look()), Some(facts.clone()));

        // The same size and the time of writing set back: the kernel's own time tells.
        let before = look();
        loop {
            fs::write(&file, "abd").unwrap();
            let opened = fs::File::options().write(true).open(&file).unwrap();
            opened.set_modified(before.modified().unwrap()).unwrap();
            // Clocks of file systems are coarse.
            if FileStamp::of(&look()).changed_ns != FileStamp::of(&before).changed_ns {
                break;
            }
        }
        assert_eq!(look().modified().unwrap(), before.modified().unwrap());
        assert_eq!(loaded.find(&file, &look()), None);

        let text = fs::read_to_string(dir.path().join("memo.json")).unwrap();
        fs::write(dir.path().join("memo.json"), text.replace("\"d\"", "\"e\"")).unwrap();
        assert!(Memo::load(&dir.path().join("memo.json")).lock().is_empty());
        fs::remove_file(&file).unwrap();
        loaded.save().unwrap();
        assert!(Memo::load(&dir.path().join("memo.json")).lock().is_empty());
    }
}
