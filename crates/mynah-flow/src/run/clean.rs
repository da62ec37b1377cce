//! The state folder: one flow at a time in it, and what killed flows left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use mynah_trust::Digest;

use super::process;
use super::{Event, Observer};
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use mynah_base::time::now_ms;

/// Runs whose journals and logs are kept.
const RUNS_KEPT: usize = 50;

/// How often the lock is tried again, every ten milliseconds.
const LOOKS: u32 = 30;

/// Scratch folders that outlive a flow begin with this.
pub(super) const KEEP: &str = ".keep-";

/// The state folder is this flow's, until dropped.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a program that another thread is just starting has a copy of the file until it
        // begins. Should this fail, that copy is gone soon.
        let _ = self.0.unlock();
    }
}

/// What could not be removed at once begins with this.
const AWAY: &str = ".away-";

/// Makes the state folder and takes it for this flow, until the lock is dropped or the process ends in any way.
pub(super) fn prepare(state_folder: &Path) -> Result<Lock> {
    match fs::symlink_metadata(state_folder) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(
                Error::pipeline("is not a folder; the flow keeps its state there").in_file(state_folder)
            );
        }
        _ => {}
    }
    for name in ["runs", "scratch"] {
        let folder = state_folder.join(name);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create the folder", &folder, &e))?;
    }
    // Nothing in it belongs into anybody's repository.
    let ignore = state_folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(|e| Error::io("write it", &ignore, &e))?;
    }
    let path = state_folder.join("lock");
    let lock = OpenOptions::new().create(true).append(true).open(&path);
    let lock = lock.map_err(|e| Error::io("open the lock", &path, &e))?;
    let mut taken = lock.try_lock();
    // A program that a flow was just starting when it was killed holds a copy of its lock until it begins.
    for _ in 0..LOOKS {
        if !matches!(taken, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        taken = lock.try_lock();
    }
    match taken {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => {
            let message = "another flow runs in this folder; wait for its end or interrupt it";
            Err(Error::new(ErrorKind::Busy, message).in_file(state_folder.parent().unwrap_or(state_folder)))
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock it", &path, &error)),
    }
}

/// Ends what a killed flow left running, and empties its scratch folder but for what resumable stages go on with.
pub(super) fn scratch(state_folder: &Path, observer: &dyn Observer) -> Result<()> {
    let folder = state_folder.join("scratch");
    let list = || fs::read_dir(&folder).map_err(|e| Error::io("list it", &folder, &e));
    if list()?.next().is_none() {
        return Ok(());
    }
    // Before anything is removed: they would go on writing.
    for name in process::end_left_behind(&folder) {
        let stage = name.strip_prefix(KEEP).unwrap_or(&name);
        let stage = stage.rsplit_once('-').map_or(stage, |(stage, _)| stage);
        let text = format!("ended the program of the stage {stage:?} that a killed flow had left running");
        observer.event(&Event::Note(&text));
    }
    for entry in list()? {
        let entry = entry.map_err(|e| Error::io("list it", &folder, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(KEEP) {
            continue;
        }
        // A program that could not be found may still write there: out of its way first, so that nobody meets it.
        let away = match name.starts_with(AWAY) {
            true => entry.path(),
            false => folder.join(format!("{AWAY}{}-{name}", now_ms())),
        };
        fs::rename(entry.path(), &away).map_err(|e| Error::io("move it away", &entry.path(), &e))?;
        if let Err(error) = files::remove(&away) {
            observer.event(&Event::Note(&format!("left for the next run to remove: {error}")));
        }
    }
    Ok(())
}

/// A new id, later than all there are whatever the clock says; and the time. Old runs are removed.
pub(super) fn new_run_id(runs: &Path) -> Result<(String, i64)> {
    let mut names: Vec<String> = fs::read_dir(runs)
        .map_err(|e| Error::io("list it", runs, &e))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let latest = names.last().and_then(|name| name.split('-').next()?.parse::<i64>().ok()).unwrap_or(0);
    for name in names.iter().rev().skip(RUNS_KEPT) {
        files::remove(&runs.join(name))?;
    }
    let time_ms = now_ms();
    let number = time_ms.max(latest.saturating_add(1));
    let random = Digest::blake3(format!("{}-{number}-{:?}", std::process::id(), runs).as_bytes()).to_hex();
    Ok((format!("{number:013}-{}", &random[..8]), time_ms))
}
