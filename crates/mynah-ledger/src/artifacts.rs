//! Artifacts: files of runs and models, stored once by their BLAKE3 digest.
//!
//! A content lies at `LEDGER.artifacts/ab/cdef…` under its digest, written to a temporary file first and
//! given its name in one rename; the row that says which run has it under which path comes after. A crash in
//! between leaves a content that nobody names, never a name without its content.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::writer::Tx;
use crate::{ids, runs, validate};

const PATH_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 255;
/// Entries that one listing gives at most.
const LIST_MAX: u32 = 100_000;

/// Whose artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ArtifactOwner {
    /// Of a run, by its id.
    Run(String),
    /// Of a logged model, by its id.
    Model(String),
    /// Of nobody: a place under the artifact root that is neither.
    Shared,
}

impl ArtifactOwner {
    /// As the table has it, and the subject in the audit log.
    fn text(&self) -> String {
        match self {
            ArtifactOwner::Run(id) => runs::subject(id),
            ArtifactOwner::Model(id) => format!("logged_model:{id}"),
            ArtifactOwner::Shared => "shared".to_string(),
        }
    }
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifact {
    /// With `/` between folders.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// BLAKE3, 64 hexadecimal characters.
    pub digest: String,
    /// When it was put.
    pub created_ms: i64,
}

/// A line of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactEntry {
    /// From the owner's root.
    pub path: String,
    /// A folder.
    pub is_dir: bool,
    /// Of a file.
    pub size_bytes: Option<u64>,
}

impl Ledger {
    /// Whose artifact a path under the artifact root is: `EXPERIMENT/RUN/artifacts/PATH`,
    /// `EXPERIMENT/models/MODEL/artifacts/PATH`, or anything else, which is shared.
    ///
    /// # Errors
    /// `Invalid` when the path leaves the root.
    pub fn locate_artifact(&self, path: &str) -> Result<(ArtifactOwner, String)> {
        let path = path.trim_matches('/');
        if !path.is_empty() {
            check_path(path)?;
        }
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        let rest = |at: usize| parts[at..].join("/");
        Ok(match parts.as_slice() {
            [_, "models", model, "artifacts", ..] => (ArtifactOwner::Model((*model).to_string()), rest(4)),
            [_, run, "artifacts", ..] if validate::run_id(run).is_ok() => {
                (ArtifactOwner::Run((*run).to_string()), rest(3))
            }
            _ => (ArtifactOwner::Shared, path.to_string()),
        })
    }

    /// Stores what `reader` gives under this path; what was there is replaced.
    ///
    /// # Errors
    /// `NotFound` when the owner does not exist; `Invalid` when it is deleted or the path is not one (absolute, `..`,
    /// a folder and a file of one name); `Permission` and `Storage` from the disk. Nothing is then left behind.
    pub fn put_artifact(&self, owner: &ArtifactOwner, path: &str, reader: &mut dyn Read) -> Result<Artifact> {
        check_path(path)?;
        // Ask before the bytes are read: an upload for a run that is not there costs nothing.
        self.read(|connection| check_owner(connection, owner, true))?;
        if self.is_read_only() {
            return self.write(|_| Err(Error::storage("unreachable: a read-only ledger has no writer")));
        }
        let (digest, size_bytes) = self.put_content(reader)?;
        let (owner, path) = (owner.clone(), path.to_string());
        self.write(move |tx| put_row(tx, &owner, path, digest, size_bytes))
    }

    /// An artifact and its open file.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `Storage` when its content is missing.
    pub fn artifact(&self, owner: &ArtifactOwner, path: &str) -> Result<(Artifact, File)> {
        check_path(path)?;
        let artifact = self.read(|connection| {
            check_owner(connection, owner, false)?;
            find(connection, &owner.text(), path)
        })?;
        let place = self.content_path(&artifact.digest);
        let file = File::open(&place).map_err(|error| {
            Error::storage(format!(
                "the content of the artifact '{}' is missing at {}: {error}; restore it from a backup",
                validate::clip(path),
                place.display()
            ))
        })?;
        Ok((artifact, file))
    }

    /// The files and folders directly in a folder (empty: the root), by name. A file, or a folder that does not
    /// exist, gives nothing.
    ///
    /// # Errors
    /// `NotFound` when the owner does not exist; `Invalid` when the path is not one.
    pub fn list_artifacts(&self, owner: &ArtifactOwner, folder: &str) -> Result<Vec<ArtifactEntry>> {
        let folder = folder.trim_matches('/');
        if !folder.is_empty() {
            check_path(folder)?;
        }
        let all = self.read(|connection| {
            check_owner(connection, owner, false)?;
            under(connection, &owner.text(), folder)
        })?;
        let skip = if folder.is_empty() { 0 } else { folder.len() + 1 };
        let mut entries: Vec<ArtifactEntry> = Vec::new();
        for artifact in all.iter().filter(|artifact| artifact.path.len() > skip) {
            let name = &artifact.path[skip..];
            let entry = match name.split_once('/') {
                Some((dir, _)) => ArtifactEntry {
                    path: artifact.path[..skip + dir.len()].to_string(),
                    is_dir: true,
                    size_bytes: None,
                },
                None => ArtifactEntry {
                    path: artifact.path.clone(),
                    is_dir: false,
                    size_bytes: Some(artifact.size_bytes),
                },
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        // `a-b` sorts before `a/c`, so the parts of a folder need not be neighbours.
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup();
        Ok(entries)
    }

    /// All files of an owner, by path.
    ///
    /// # Errors
    /// `NotFound` when the owner does not exist.
    pub fn walk_artifacts(&self, owner: &ArtifactOwner) -> Result<Vec<Artifact>> {
        self.read(|connection| {
            check_owner(connection, owner, false)?;
            under(connection, &owner.text(), "")
        })
    }

    /// Deletes a file, or a folder with all in it, and says how many files that were. The contents stay until the
    /// garbage is collected.
    ///
    /// # Errors
    /// `NotFound` when the owner or the path does not exist; `Invalid` when the path is not one.
    pub fn delete_artifacts(&self, owner: &ArtifactOwner, path: &str) -> Result<usize> {
        let path = path.trim_matches('/').to_string();
        if !path.is_empty() {
            check_path(&path)?;
        }
        let owner = owner.clone();
        self.write(move |tx| {
            check_owner(tx.connection, &owner, true)?;
            let gone = under(tx.connection, &owner.text(), &path)?;
            if gone.is_empty() {
                return Err(Error::not_found(format!("there is no artifact '{}'", validate::clip(&path))));
            }
            for artifact in &gone {
                tx.connection
                    .prepare_cached("DELETE FROM artifacts WHERE owner = ?1 AND path = ?2")?
                    .execute((owner.text(), &artifact.path))?;
            }
            tx.event("artifact.delete", owner.text(), json!({"path": path, "files": gone.len()}));
            Ok(gone.len())
        })
    }

    /// Where the content of a digest lies.
    pub(crate) fn content_path(&self, digest: &str) -> PathBuf {
        let (folder, name) = digest.split_at_checked(2).unwrap_or((digest, ""));
        self.artifact_dir().join(folder).join(name)
    }

    /// Writes a content and gives its digest and length.
    pub(crate) fn put_content(&self, reader: &mut dyn Read) -> Result<(String, u64)> {
        let folder = self.artifact_dir().join("incoming");
        fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the folder", &folder, &error))?;
        let temporary = folder.join(ids::random_hex()?);
        let result = copy(reader, &temporary).and_then(|(digest, size_bytes)| {
            let place = self.content_path(&digest);
            // Also when it is there already: the same bytes take the place of the same bytes, mend them if they
            // were damaged, and are young again for the garbage collection.
            let parent = place.parent().unwrap_or(&folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::rename(&temporary, &place))
                .and_then(|()| mynah_base::sync_dir(parent))
                .map_err(|error| Error::io("cannot store the artifact", &place, &error))?;
            Ok((digest, size_bytes))
        });
        // After a rename it is gone already; otherwise nobody needs it.
        let _ = fs::remove_file(&temporary);
        result
    }
}

fn copy(reader: &mut dyn Read, to: &Path) -> Result<(String, u64)> {
    let failed = |error: std::io::Error| Error::io("cannot write the artifact", to, &error);
    let mut file = File::create(to).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut size_bytes = 0;
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::storage(format!("the artifact's bytes ended early: {error}"))),
        };
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(failed)?;
        size_bytes += count as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok((ids::hex(hasher.finalize().as_bytes()), size_bytes))
}

/// A relative path that stays inside, on every system.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let refuse =
        |why: &str| Err(Error::invalid(format!("the artifact path '{}' {why}", validate::clip(path))));
    if path.is_empty() {
        return refuse("is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return refuse(&format!("has {} bytes, {PATH_BYTES_MAX} at most", path.len()));
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("holds a backslash or a control character");
    }
    // Also a drive letter would leave the folder on Windows.
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return refuse("is absolute; give it relative to the run's artifacts");
    }
    for part in path.split('/') {
        if matches!(part, "" | "." | "..") {
            return refuse("has an empty part, '.' or '..'");
        }
        if part.len() > NAME_BYTES_MAX {
            return refuse("has a name of more than 255 bytes");
        }
    }
    Ok(())
}

fn check_owner(connection: &Connection, owner: &ArtifactOwner, to_write: bool) -> Result<()> {
    match owner {
        ArtifactOwner::Run(id) if to_write => runs::active(connection, id).map(drop),
        ArtifactOwner::Run(id) => runs::row(connection, id).map(drop),
        ArtifactOwner::Model(id) => crate::models::find(connection, id, !to_write).map(drop),
        ArtifactOwner::Shared => Ok(()),
    }
}

fn put_row(
    tx: &mut Tx,
    owner: &ArtifactOwner,
    path: String,
    digest: String,
    size_bytes: u64,
) -> Result<Artifact> {
    check_owner(tx.connection, owner, true)?;
    let text = owner.text();
    if !under(tx.connection, &text, &path)?.iter().all(|other| other.path == path) {
        return Err(Error::invalid(format!("the artifact '{}' is a folder already", validate::clip(&path))));
    }
    for (at, _) in path.match_indices('/') {
        if find(tx.connection, &text, &path[..at]).is_ok() {
            let file = validate::clip(&path[..at]);
            return Err(Error::invalid(format!("the artifact '{file}' is a file, not a folder")));
        }
    }
    tx.connection
        .prepare_cached(
            "INSERT INTO artifacts (owner, path, digest, size_bytes, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (owner, path) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes,
                 created_ms = excluded.created_ms",
        )?
        .execute((&text, &path, &digest, size_bytes.cast_signed(), tx.now_ms))?;
    let detail = json!({"path": path, "digest": format!("blake3:{digest}"), "size_bytes": size_bytes});
    tx.event("artifact.put", text, detail);
    Ok(Artifact { path, size_bytes, digest, created_ms: tx.now_ms })
}

fn find(connection: &Connection, owner: &str, path: &str) -> Result<Artifact> {
    connection
        .prepare_cached(&format!("{SELECT} WHERE owner = ?1 AND path = ?2"))?
        .query_row((owner, path), from_row)
        .optional()?
        .ok_or_else(|| Error::not_found(format!("there is no artifact '{}'", validate::clip(path))))
}

/// The file of that path and the files in the folder of that path; of the root: all.
fn under(connection: &Connection, owner: &str, path: &str) -> Result<Vec<Artifact>> {
    let mut select = connection.prepare_cached(&format!(
        // '0' is the character after '/': everything that begins with `PATH/`.
        "{SELECT} WHERE owner = ?1 AND (?2 = '' OR path = ?2 OR (path > ?2 || '/' AND path < ?2 || '0'))
         ORDER BY path LIMIT ?3"
    ))?;
    let rows = select.query_map((owner, path, LIST_MAX), from_row)?;
    Ok(rows.collect::<db::Result<_>>()?)
}

const SELECT: &str = "SELECT path, size_bytes, digest, created_ms FROM artifacts";

fn from_row(row: &Row<'_>) -> db::Result<Artifact> {
    Ok(Artifact {
        path: row.get(0)?,
        size_bytes: row.get::<i64>(1)?.cast_unsigned(),
        digest: row.get(2)?,
        created_ms: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b.txt", "model/MLmodel", "ü/ö", "a..b/c", ".hidden"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../../b", "a//b", "a/", "./a", "a\\b", "C:/x", "c:x", "a\0b", "a\nb"]
        {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path(&"a".repeat(256)).is_err());
        assert!(check_path(&"a/".repeat(600)).is_err());
    }
}
