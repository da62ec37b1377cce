//! Where a model's files are: a folder, a GGUF file, or a name in the Hugging Face cache.
//!
//! Nothing is ever downloaded, so offline mode needs no switch: a name is looked up in the cache that the
//! `huggingface_hub` tools fill (huggingface.co/docs/huggingface_hub/guides/manage-cache), and where it is not
//! there the error says where we looked and how to get it there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder or file a user means by `path_or_id`: a path that exists, else `org/name` (or `name`) in the hub
/// cache; `@revision` behind the name picks another branch, tag or commit than `main`.
///
/// # Errors
/// When there is no such model, with all places that were looked at.
pub fn resolve(path_or_id: &str) -> Result<PathBuf> {
    resolve_in(path_or_id, &cache_folders(|name| env::var_os(name)))
}

fn resolve_in(path_or_id: &str, caches: &[PathBuf]) -> Result<PathBuf> {
    let path = Path::new(path_or_id);
    if path.exists() {
        return Ok(path.to_path_buf());
    }
    let mut looked = vec![format!("{} (no such file or folder)", path.display())];
    let (id, revision) = path_or_id.split_once('@').unwrap_or((path_or_id, "main"));
    if !is_id(id) || !is_revision(revision) {
        return Err(Error::new(ErrorKind::NotFound, format!("no model: {}", looked.join(", "))));
    }
    for cache in caches {
        let folder = cache.join(format!("models--{}", id.replace('/', "--")));
        if !folder.is_dir() {
            looked.push(format!("{} (no such folder)", folder.display()));
            continue;
        }
        match snapshot(&folder, revision) {
            Ok(path) => return Ok(path),
            Err(why) => looked.push(format!("{} ({why})", folder.display())),
        }
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "model {path_or_id} is not on this machine; looked at {}; nothing is downloaded here, get it with `hf download {id}` or give the path of a folder",
            looked.join(", ")
        ),
    ))
}

/// The caches in the order of the tools that fill them.
fn cache_folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let of = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut folders: Vec<PathBuf> =
        ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].iter().filter_map(|n| of(n)).collect();
    folders.extend(of("HF_HOME").map(|home| home.join("hub")));
    if folders.is_empty() {
        let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
        folders.extend(cache.map(|cache| cache.join("huggingface").join("hub")));
    }
    folders
}

/// The snapshot of a revision in the folder of a model.
fn snapshot(folder: &Path, revision: &str) -> std::result::Result<PathBuf, String> {
    let reference = folder.join("refs").join(revision);
    let commit = match fs::metadata(&reference) {
        // A commit is 40 characters; anything long is not one.
        Ok(data) if data.is_file() && data.len() <= 256 => fs::read_to_string(&reference)
            .map(|text| text.trim().to_string())
            .map_err(|e| format!("cannot read refs/{revision}: {e}"))?,
        Ok(_) => return Err(format!("refs/{revision} is not the name of a commit")),
        Err(_) => revision.to_string(),
    };
    if !is_revision(&commit) {
        return Err(format!("refs/{revision} is not the name of a commit"));
    }
    let path = folder.join("snapshots").join(&commit);
    if !path.is_dir() {
        return Err(format!("it has no snapshot of {revision}"));
    }
    if !path.join("config.json").exists() && first_gguf(&path).is_none() {
        return Err(format!(
            "snapshot {commit} has no config.json and no .gguf file: the download is not complete"
        ));
    }
    Ok(path)
}

/// The only GGUF file of a folder, or the first by name.
pub(crate) fn first_gguf(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            !name.starts_with('.') && name.ends_with(".gguf") && path.is_file()
        })
        .collect();
    files.sort();
    files.into_iter().next()
}

/// `name` or `org/name` in the letters the hub allows.
fn is_id(id: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    id.len() <= 200 && id.split('/').count() <= 2 && id.split('/').all(part)
}

fn is_revision(revision: &str) -> bool {
    !revision.is_empty()
        && revision.len() <= 200
        && revision.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && revision.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_snapshot_of_main_and_says_where_it_looked() {
        let home = tempfile::tempdir().unwrap();
        let caches = [home.path().to_path_buf()];
        let model = home.path().join("models--org--tiny");
        let error = resolve_in("org/tiny", &caches).unwrap_err().to_string();
        assert!(
            error.contains("models--org--tiny (no such folder)") && error.contains("hf download org/tiny"),
            "{error}"
        );
        fs::create_dir_all(model.join("snapshots/abc")).unwrap();
        fs::create_dir_all(model.join("refs")).unwrap();
        fs::write(model.join("refs/main"), "abc\n").unwrap();
        let error = resolve_in("org/tiny", &caches).unwrap_err().to_string();
        assert!(error.contains("not complete"), "{error}");
        fs::write(model.join("snapshots/abc/config.json"), "{}").unwrap();
        assert_eq!(resolve_in("org/tiny", &caches).unwrap(), model.join("snapshots/abc"));
        assert_eq!(resolve_in("org/tiny@abc", &caches).unwrap(), model.join("snapshots/abc"));
        fs::write(model.join("refs/main"), "../../../etc").unwrap();
        let error = resolve_in("org/tiny", &caches).unwrap_err().to_string();
        assert!(error.contains("not the name of a commit"), "{error}");
        for bad in ["../x", "a/b/c", "", "a b", "org/.x"] {
            assert!(resolve_in(bad, &caches).is_err(), "{bad}");
        }
    }

    #[test]
    fn environment_names_the_caches() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            cache_folders(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(
            with(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b"), ("HOME", "/h")]),
            [Path::new("/b"), Path::new("/a/hub")]
        );
        assert_eq!(with(&[("HOME", "/h")]), [Path::new("/h/.cache/huggingface/hub")]);
        assert!(with(&[]).is_empty());
    }
}
