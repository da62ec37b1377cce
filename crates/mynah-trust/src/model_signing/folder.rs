//! The files of a folder: found, hashed, and compared with a manifest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::manifest::{SINGLE_FILE, compare};
use super::{GIT_PATHS, Manifest, Method, Resource, SignOptions, VerifyOptions};
use crate::{Algorithm, Digest, Error, Result};

/// More entries than this are no model.
const ENTRIES_MAX: usize = 1_000_000;

/// Differences named in an error; the rest is counted.
const NAMES_MAX: usize = 5;

/// A file found, by its path relative to the folder.
struct Found {
    path: String,
    at: PathBuf,
    size_bytes: u64,
    /// Why it cannot be hashed, when it is no ordinary file.
    refused: Option<&'static str>,
}

impl Manifest {
    /// Hashes a folder (or a single file), as for signing. `signature` is left out when it lies inside.
    ///
    /// # Errors
    /// `Argument` when there is no file, `Unsupported` for symbolic links, special files and names that are
    /// not UTF-8, `Io` when something cannot be read.
    pub fn of_folder(folder: &Path, signature: Option<&Path>, options: &SignOptions) -> Result<Self> {
        let git = GIT_PATHS.iter().filter(|_| options.ignore_git_paths).map(|path| (*path).to_string());
        let inside = signature.and_then(|path| relative_inside(folder, path));
        let mut ignore_paths: Vec<String> =
            options.ignore_paths.iter().cloned().chain(git).chain(inside).collect();
        ignore_paths.sort();
        ignore_paths.dedup();
        let found = find(folder, &ignore_paths)?;
        if let Some((one, why)) = found.iter().find_map(|f| Some((f, f.refused?))) {
            return Err(Error::unsupported(format!("{why} cannot be signed")).in_file(&one.at));
        }
        if found.is_empty() {
            return Err(Error::argument("there are no files to sign").in_file(folder));
        }
        let parts: Vec<(&Found, Option<(u64, u64)>)> = found.iter().map(|f| (f, None)).collect();
        let digests = hash_all(options.algorithm, &parts)?;
        let resource = |(file, digest): (&Found, Digest)| Resource {
            path: file.path.clone(),
            range_bytes: None,
            digest,
        };
        let mut resources: Vec<Resource> = found.iter().zip(digests).map(resource).collect();
        resources.sort_by(compare);
        let name = fs::canonicalize(folder).map_err(|e| Error::io("resolve it", folder, &e))?;
        let model_name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { model_name, method: Method::Files, algorithm: options.algorithm, ignore_paths, resources })
    }

    /// Compares a folder as it is now with this manifest. `signature` is left out when it lies inside.
    ///
    /// # Errors
    /// `Mismatch` with the names of some files that are missing, unsigned or changed; `Unsupported` when
    /// there are symbolic links or special files; `Io` when something cannot be read.
    pub fn check_folder(
        &self,
        folder: &Path,
        signature: Option<&Path>,
        options: &VerifyOptions,
    ) -> Result<()> {
        let mut ignored = self.ignore_paths.clone();
        ignored.extend(signature.and_then(|path| relative_inside(folder, path)));
        let found = find(folder, &ignored)?;

        let mut signed: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for resource in &self.resources {
            signed.entry(&resource.path).or_default().push(resource);
        }
        let mut differences = Differences::default();
        let mut parts = Vec::new();
        let mut expected = Vec::new();
        for file in &found {
            let Some(resources) = signed.remove(file.path.as_str()) else {
                // Shards leave empty files out, so an empty one is no difference there.
                let uncovered =
                    self.method != Method::Files && file.refused.is_none() && file.size_bytes == 0;
                if !options.ignore_unsigned_files && !uncovered {
                    differences.unsigned.push(&file.path);
                }
                continue;
            };
            if let Some(why) = file.refused {
                return Err(Error::unsupported(format!("{why} cannot be verified")).in_file(&file.at));
            }
            let ranges: Vec<_> = resources.iter().map(|r| r.range_bytes).collect();
            if ranges != self.ranges(file.size_bytes) {
                differences.changed.push(&file.path);
                continue;
            }
            parts.extend(ranges.into_iter().map(|range| (file, range)));
            expected.extend(resources.iter().map(|r| r.digest));
        }
        differences.missing.extend(signed.into_keys());
        // Names are cheap; gigabytes are hashed only when the names agree.
        differences.check(folder)?;
        let digests = hash_all(self.algorithm, &parts)?;
        for ((file, _), (is, was)) in parts.iter().zip(digests.iter().zip(&expected)) {
            if is != was && differences.changed.last() != Some(&file.path.as_str()) {
                differences.changed.push(&file.path);
            }
        }
        differences.check(folder)
    }

    /// How a file of this size is cut.
    fn ranges(&self, size_bytes: u64) -> Vec<Option<(u64, u64)>> {
        let Method::Shards { shard_bytes } = self.method else { return vec![None] };
        let mut ranges = Vec::new();
        let mut begin = 0;
        // A tiny shard size and a huge file would be a long list; the signed one is never longer.
        while begin < size_bytes && ranges.len() <= self.resources.len() {
            let end = begin.saturating_add(shard_bytes).min(size_bytes);
            ranges.push(Some((begin, end)));
            begin = end;
        }
        ranges
    }
}

#[derive(Default)]
struct Differences<'a> {
    missing: Vec<&'a str>,
    unsigned: Vec<&'a str>,
    changed: Vec<&'a str>,
}

impl Differences<'_> {
    fn check(&self, folder: &Path) -> Result<()> {
        let kinds = [("missing", &self.missing), ("not signed", &self.unsigned), ("changed", &self.changed)];
        let mut texts = Vec::new();
        for (kind, paths) in kinds.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            let names: Vec<String> = paths.iter().take(NAMES_MAX).map(|p| format!("{p:?}")).collect();
            let more = if paths.len() > NAMES_MAX { ", …" } else { "" };
            texts.push(format!("{} {kind} ({}{more})", paths.len(), names.join(", ")));
        }
        if texts.is_empty() {
            return Ok(());
        }
        Err(Error::mismatch(format!("not as signed: {}", texts.join("; "))).in_file(folder))
    }
}

/// Every entry below the folder that is not a folder, except the ignored ones. Links are not followed.
fn find(folder: &Path, ignore_paths: &[String]) -> Result<Vec<Found>> {
    let ignored: Vec<String> = ignore_paths.iter().filter_map(|path| normal(path)).collect();
    let is_ignored = |path: &str| {
        ignored.iter().any(|i| i.is_empty() || path.strip_prefix(i.as_str()).is_some_and(starts_part))
    };
    // The folder itself may be named through a link: whoever calls chose it.
    let metadata = fs::metadata(folder).map_err(|e| Error::io("read it", folder, &e))?;
    if metadata.is_file() {
        let (path, at) = (SINGLE_FILE.to_string(), folder.to_path_buf());
        return Ok(vec![Found { path, at, size_bytes: metadata.len(), refused: None }]);
    }
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), folder.to_path_buf())];
    let mut entries = 0;
    while let Some((prefix, at)) = folders.pop() {
        let io = |e: &std::io::Error| Error::io("list it", &at, e);
        for entry in fs::read_dir(&at).map_err(|e| io(&e))? {
            let entry = entry.map_err(|e| io(&e))?;
            let path = entry.path();
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| Error::unsupported("the name is not UTF-8").in_file(&path))?;
            let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if is_ignored(&relative) {
                continue;
            }
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(Error::unsupported(format!("more than {ENTRIES_MAX} files")).in_file(folder));
            }
            // Of the link, not of what it leads to.
            let metadata = fs::symlink_metadata(&path).map_err(|e| Error::io("read it", &path, &e))?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                folders.push((relative, path));
                continue;
            }
            let refused = match () {
                () if kind.is_file() => None,
                () if kind.is_symlink() => Some("a symbolic link"),
                () => Some("a special file"),
            };
            found.push(Found { path: relative, at: path, size_bytes: metadata.len(), refused });
        }
    }
    // The order of a folder is chance; errors and differences should not be.
    found.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    Ok(found)
}

fn starts_part(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// One spelling for a relative path; nothing for one that leaves the folder and so ignores nothing in it.
fn normal(path: &str) -> Option<String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Some(parts.join("/"))
}

/// The path of `file` (which may not exist yet) relative to `folder`, when it lies inside.
fn relative_inside(folder: &Path, file: &Path) -> Option<String> {
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = fs::canonicalize(parent).ok()?.join(file.file_name()?);
    let relative = whole.strip_prefix(fs::canonicalize(folder).ok()?).ok()?;
    let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
}

/// The digests of files or parts of files, in order, computed on as many threads as there are cores.
fn hash_all(algorithm: Algorithm, parts: &[(&Found, Option<(u64, u64)>)]) -> Result<Vec<Digest>> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(parts.len());
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, range)) = parts.get(index) else { return done };
            done.push((index, hash(algorithm, &file.at, *range)));
        }
    };
    let mut digests: Vec<Option<Result<Digest>>> = vec![None; parts.len()];
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.into_iter().for_each(|(index, digest)| digests[index] = Some(digest));
        }
    });
    digests.into_iter().flatten().collect()
}

fn hash(algorithm: Algorithm, path: &Path, range_bytes: Option<(u64, u64)>) -> Result<Digest> {
    let Some((begin, end)) = range_bytes else { return Digest::of_file(algorithm, path) };
    let io = |e: &std::io::Error| Error::io("read it", path, e);
    let mut file = File::open(path).map_err(|e| Error::io("open it", path, &e))?;
    file.seek(SeekFrom::Start(begin)).map_err(|e| io(&e))?;
    let (digest, _) = Digest::of_reader(algorithm, &mut file.take(end - begin)).map_err(|e| io(&e))?;
    Ok(digest)
}
