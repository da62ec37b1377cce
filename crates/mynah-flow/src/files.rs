//! Files and folders as content: what is there, with digests, and how it gets from one place to another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mynah_trust::{Algorithm, Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::memo::{FileStamp, Memo};
use crate::path::FlowPath;
use crate::pipeline::Glob;

/// More entries than this are no input of a stage.
const ENTRIES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 64;

/// A file, or a folder with all in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Sorted by path; the first is the thing itself.
    pub entries: Vec<Entry>,
}

/// One file or folder of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Relative to the tree, with `/`; empty for the thing itself.
    pub path: String,
    /// Of a file; a folder has none.
    pub file: Option<FileFacts>,
}

/// What is kept of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileFacts {
    /// BLAKE3, 64 hex digits.
    pub digest: String,
    pub size_bytes: u64,
    pub executable: bool,
}

impl Tree {
    /// Reads and hashes what is at `path`.
    ///
    /// # Errors
    /// `Io` when it is absent or cannot be read, `Stage` for links, special files and names that are not UTF-8.
    pub fn read(path: &Path) -> Result<Tree> {
        Tree::read_with(path, None)
    }

    /// The same, with the digests of files that have not changed since they were hashed.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn read_with(path: &Path, memo: Option<&Memo>) -> Result<Tree> {
        let mut entries = Vec::new();
        walk(path, &mut |relative, at, metadata| {
            let file = match metadata.is_dir() {
                true => None,
                false => Some(facts(at, metadata, memo)?),
            };
            entries.push(Entry { path: relative.to_string(), file });
            Ok(())
        })?;
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        Ok(Tree { entries })
    }

    /// The digest of names, contents and the right to execute. Times and owners are no content.
    pub fn digest(&self) -> Digest {
        let mut text = Fields::new("mynah tree 1");
        for entry in &self.entries {
            text.add(&entry.path);
            match &entry.file {
                None => text.add("folder"),
                Some(file) => {
                    text.add(if file.executable { "program" } else { "file" });
                    text.add(&file.digest);
                }
            }
        }
        text.finish()
    }
}

/// How a file of a tree looks without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: String,
    look: FileStamp,
}

/// The stamps of all files of a tree, sorted.
pub(crate) fn stamps(path: &Path) -> Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    walk(path, &mut |relative, _, metadata| {
        if metadata.is_file() {
            stamps.push(Stamp { path: relative.to_string(), look: FileStamp::of(metadata) });
        }
        Ok(())
    })?;
    stamps.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(stamps)
}

/// The first file that is not as it was.
pub(crate) fn changed<'a>(before: &'a [Stamp], after: &'a [Stamp]) -> Option<&'a str> {
    let pairs = before.iter().zip(after);
    let differs = pairs.filter(|(a, b)| a != b).map(|(a, b)| if a.path <= b.path { a } else { b }).next();
    let longer = if before.len() > after.len() { before } else { after };
    differs.or_else(|| longer.get(before.len().min(after.len()))).map(|stamp| stamp.path.as_str())
}

/// Calls `visit` with each file and folder: path within the tree, path on disk, facts of the thing itself.
fn walk(root: &Path, visit: &mut dyn FnMut(&str, &Path, &fs::Metadata) -> Result<()>) -> Result<()> {
    let mut waiting = vec![(String::new(), root.to_path_buf(), 0)];
    let mut count = 0;
    while let Some((relative, at, depth)) = waiting.pop() {
        count += 1;
        if count > ENTRIES_MAX || depth > DEPTH_MAX {
            let message = format!("more than {ENTRIES_MAX} files, or folders deeper than {DEPTH_MAX}");
            return Err(Error::stage(message).in_file(root));
        }
        let metadata = fs::symlink_metadata(&at).map_err(|e| Error::io("look at it", &at, &e))?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_dir() {
            let what = if kind.is_symlink() { "a symbolic link" } else { "a special file" };
            return Err(
                Error::stage(format!("is {what}; only files and folders have a content")).in_file(&at)
            );
        }
        visit(&relative, &at, &metadata)?;
        if kind.is_dir() {
            let io = |e: &std::io::Error| Error::io("list it", &at, e);
            for entry in fs::read_dir(&at).map_err(|e| io(&e))? {
                let entry = entry.map_err(|e| io(&e))?;
                let name = entry.file_name().into_string();
                let name =
                    name.map_err(|_| Error::stage("has a name that is not UTF-8").in_file(&entry.path()))?;
                let below = if relative.is_empty() { name } else { format!("{relative}/{name}") };
                waiting.push((below, entry.path(), depth + 1));
            }
        }
    }
    Ok(())
}

fn facts(at: &Path, metadata: &fs::Metadata, memo: Option<&Memo>) -> Result<FileFacts> {
    if let Some(facts) = memo.and_then(|memo| memo.find(at, metadata)) {
        return Ok(facts);
    }
    let began = SystemTime::now();
    let mut file = File::open(at).map_err(|e| Error::io("open it", at, &e))?;
    let (digest, size_bytes) =
        Digest::of_reader(Algorithm::Blake3, &mut file).map_err(|e| Error::io("read it", at, &e))?;
    let facts = FileFacts { digest: digest.to_hex(), size_bytes, executable: is_executable(metadata) };
    if let Some(memo) = memo {
        memo.put(at, metadata, &facts, began);
    }
    Ok(facts)
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

/// Sets a file's rights: of a file in use, or of one that nobody should write to.
pub(crate) fn set_rights(path: &Path, executable: bool, read_only: bool) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = (if executable { 0o755 } else { 0o644 }) & (if read_only { 0o555 } else { 0o777 });
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|e| Error::io("set its rights", path, &e))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, executable, read_only);
        Ok(())
    }
}

/// Everything below `folder` that matches, sorted; a folder that matches stands for all in it.
pub(crate) fn matching(folder: &Path, glob: &Glob, skip: &str) -> Result<Vec<FlowPath>> {
    let base = glob.base();
    let mut found = Vec::new();
    let mut waiting: Vec<Option<FlowPath>> = vec![base];
    let mut count = 0;
    while let Some(at) = waiting.pop() {
        let on_disk = at.as_ref().map_or(folder.to_path_buf(), |at| at.below(folder));
        if let Some(at) = &at {
            at.refuse_links(folder)?;
        }
        let entries = match fs::read_dir(&on_disk) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("list it", &on_disk, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list it", &on_disk, &e))?;
            count += 1;
            if count > ENTRIES_MAX {
                return Err(Error::stage(format!("the glob {} looks at too many files", glob.as_str())));
            }
            // A name that is no path of ours cannot be matched by one either.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if at.is_none() && name == skip {
                continue;
            }
            let text = at.as_ref().map_or(name.clone(), |at| format!("{at}/{name}"));
            let Ok(path) = FlowPath::parse(&text) else { continue };
            let is_folder =
                entry.file_type().map_err(|e| Error::io("look at it", &entry.path(), &e))?.is_dir();
            if glob.matches(&path) {
                found.push(path);
            } else if is_folder && glob.meets(&path) {
                waiting.push(Some(path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the folders above a path, and refuses links among them.
pub(crate) fn make_parents(folder: &Path, path: &FlowPath) -> Result<PathBuf> {
    let at = path.below(folder);
    if let Some(parent) = at.parent() {
        if let Some((above, _)) = path.as_str().rsplit_once('/') {
            FlowPath::parse(above)?.refuse_links(folder)?;
        }
        fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, &e))?;
    }
    Ok(at)
}

/// Removes a file or a folder with all in it; nothing there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).or_else(|error| {
            // Some tools keep what they download in folders that nobody may write to.
            if error.kind() != std::io::ErrorKind::PermissionDenied {
                return Err(error);
            }
            open_folders(path);
            fs::remove_dir_all(path)
        }),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|e| Error::io("remove it", path, &e))
}

/// Lets the owner write to all folders of a tree, as far as possible.
fn open_folders(path: &Path) {
    let mut waiting = vec![path.to_path_buf()];
    while let Some(at) = waiting.pop() {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(&at, fs::Permissions::from_mode(0o700));
        }
        let entries = fs::read_dir(&at).into_iter().flatten().flatten();
        waiting.extend(entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
    }
}

/// Puts `from` in the place of `to` so that nobody sees a part of either. The old one ends in `trash`.
pub(crate) fn replace(from: &Path, to: &Path, trash: &Path) -> Result<()> {
    let io = |e: &std::io::Error| Error::io("put the new one in its place", to, e);
    let old = match fs::symlink_metadata(to) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io(&error)),
    };
    let is_folder = from.is_dir();
    if let Some(old) = old
        && (old.is_dir() || is_folder)
    {
        if exchange(from, to) {
            return fs::rename(from, trash).map_err(|e| io(&e));
        }
        // Between these two renames the place is empty; a flow that is killed here finds it again in the cache.
        fs::rename(to, trash).map_err(|e| io(&e))?;
    }
    fs::rename(from, to).map_err(|e| io(&e))
}

#[cfg(target_os = "linux")]
fn exchange(from: &Path, to: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

/// Texts hashed so that no two lists of texts give the same bytes.
pub(crate) struct Fields(Hasher);

impl Fields {
    pub fn new(what: &str) -> Fields {
        let mut fields = Fields(Hasher::new(Algorithm::Blake3));
        fields.add(what);
        fields
    }

    pub fn add(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// A list, with its length.
    pub fn add_all<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.add(&texts.len().to_string());
        texts.for_each(|text| self.add(text));
    }

    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_contents_and_rights_are_content_and_times_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir_all(root.join("a/empty")).unwrap();
        fs::write(root.join("a/file"), "1").unwrap();
        fs::write(root.join("b"), "2").unwrap();
        let digest = || Tree::read(&root).unwrap().digest();
        let first = digest();
        let paths: Vec<String> = Tree::read(&root).unwrap().entries.into_iter().map(|e| e.path).collect();
        assert_eq!(paths, ["", "a", "a/empty", "a/file", "b"]);
        fs::write(root.join("b"), "2").unwrap();
        assert_eq!(digest(), first);
        set_rights(&root.join("b"), true, false).unwrap();
        #[cfg(unix)]
        assert_ne!(digest(), first);
        set_rights(&root.join("b"), false, false).unwrap();
        fs::rename(root.join("b"), root.join("c")).unwrap();
        assert_ne!(digest(), first);
        fs::rename(root.join("c"), root.join("b")).unwrap();
        fs::remove_dir(root.join("a/empty")).unwrap();
        assert_ne!(digest(), first);
        assert_ne!(Fields::new("ab").finish(), Fields::new("a").finish());
    }

    #[test]
    fn a_change_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let before = stamps(dir.path()).unwrap();
        assert_eq!(changed(&before, &stamps(dir.path()).unwrap()), None);
        fs::write(dir.path().join("b"), "longer").unwrap();
        assert_eq!(changed(&before, &stamps(dir.path()).unwrap()), Some("b"));
        fs::write(dir.path().join("b"), "b").unwrap();
        fs::write(dir.path().join("d"), "d").unwrap();
        let more = stamps(dir.path()).unwrap();
        assert_eq!(changed(&more[..3], &more), Some("d"));
        assert_eq!(changed(&more, &more[..3]), Some("d"));
    }

    #[test]
    fn folders_take_each_others_places() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to, trash] = ["from", "to", "trash"].map(|name| dir.path().join(name));
        for (old_is_folder, new_is_folder) in [(true, true), (true, false), (false, true), (false, false)] {
            let make = |path: &Path, is_folder: bool, text: &str| match is_folder {
                true => fs::create_dir(path).and_then(|()| fs::write(path.join("x"), text)).unwrap(),
                false => fs::write(path, text).unwrap(),
            };
            make(&to, old_is_folder, "old");
            make(&from, new_is_folder, "new");
            replace(&from, &to, &trash).unwrap();
            let at = if new_is_folder { to.join("x") } else { to.clone() };
            assert_eq!(fs::read(at).unwrap(), b"new");
            assert!(!from.exists());
            remove(&to).unwrap();
            remove(&trash).unwrap();
        }
        replace(&dir.path().join("none"), &to, &trash).unwrap_err();
    }

    #[cfg(unix)]
    #[test]
    fn folders_that_nobody_may_write_to_can_be_removed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        for path in [&deep, deep.parent().unwrap()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o500)).unwrap();
        }
        remove(&dir.path().join("a")).unwrap();
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn globs_find_files_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/1.txt", "a/2.bin", "b/c/3.txt", "x.txt", "skipped/4.txt"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let find = |glob: &str| -> Vec<String> {
            let found = matching(dir.path(), &Glob::parse(glob).unwrap(), "skipped").unwrap();
            found.iter().map(|path| path.to_string()).collect()
        };
        assert_eq!(find("**/*.txt"), ["a/1.txt", "b/c/3.txt", "x.txt"]);
        assert_eq!(find("a/*"), ["a/1.txt", "a/2.bin"]);
        assert_eq!(find("*"), ["a", "b", "x.txt"]);
        assert_eq!(find("none/*"), [""; 0]);
    }
}
