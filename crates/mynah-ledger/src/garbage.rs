//! Taking out what was deleted, for good: runs, logged models and experiments in the bin, and contents of
//! artifacts that nobody names any more. The audit log keeps what happened to them.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::db::{self, Connection};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::writer::Tx;

/// A content younger than this may belong to an upload whose row is still to come.
const CONTENT_AGE_MIN: Duration = Duration::from_secs(3_600);

/// What to take out.
#[derive(Clone, Debug, Default)]
pub struct GarbageOptions {
    /// Only what has been in the bin for this long.
    pub older_than_ms: i64,
    /// Say what would go, and let it stay.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// Ids of runs.
    pub runs: Vec<String>,
    /// Ids of logged models.
    pub models: Vec<String>,
    /// Ids of experiments; only those without runs and models.
    pub experiments: Vec<String>,
    /// Contents of artifacts.
    pub contents: usize,
    /// Their length together.
    pub content_bytes: u64,
}

impl Ledger {
    /// Takes out what was deleted. A dry run says exactly what the real one would do at the same moment.
    ///
    /// # Errors
    /// When the store or the folder of contents cannot be read or written.
    pub fn collect_garbage(&self, options: &GarbageOptions) -> Result<GarbageReport> {
        let before_ms = mynah_base::time::now_ms().saturating_sub(options.older_than_ms);
        let mut report = self.read(|connection| plan(connection, before_ms))?;
        if !options.dry_run && (report.runs.len() + report.models.len() + report.experiments.len() > 0) {
            // Planned again inside the transaction: somebody may have restored a run meanwhile.
            report = self.write(move |tx| take_out(tx, before_ms))?;
        }
        let gone: HashSet<&String> = report.runs.iter().chain(&report.models).collect();
        let contents = self.unnamed_contents(&gone)?;
        report.contents = contents.len();
        report.content_bytes = contents.iter().map(|(_, size_bytes)| size_bytes).sum();
        if !options.dry_run {
            for (path, _) in contents {
                // An upload of the same bytes makes a content young again: look once more.
                if fs::metadata(&path).is_ok_and(|meta| is_old(&meta)) {
                    fs::remove_file(&path)
                        .map_err(|error| Error::io("cannot remove the content", &path, &error))?;
                }
            }
        }
        Ok(report)
    }

    /// Contents, and what uploads left behind, that no artifact names once the owners in `gone` are.
    fn unnamed_contents(&self, gone: &HashSet<&String>) -> Result<Vec<(PathBuf, u64)>> {
        let named: HashSet<String> = self.read(|connection| {
            let mut select = connection.prepare_scan("SELECT owner, digest FROM artifacts")?;
            let rows = select.query_map([], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?;
            let mut named = HashSet::new();
            for row in rows {
                let (owner, digest) = row?;
                let id = owner.split_once(':').map_or(String::new(), |(_, id)| id.to_string());
                if !gone.contains(&id) {
                    named.insert(digest);
                }
            }
            Ok(named)
        })?;
        let mut found = Vec::new();
        let root = self.artifact_dir();
        let Ok(folders) = fs::read_dir(root) else { return Ok(found) };
        for folder in folders.flatten().map(|folder| folder.path()) {
            let prefix = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Contents lie below two digits, uploads in a folder of theirs; what else is there is somebody's.
            let is_contents = prefix.len() == 2 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_contents && prefix != "incoming" {
                continue;
            }
            let Ok(files) = fs::read_dir(&folder) else { continue };
            for file in files.flatten() {
                let digest = format!("{prefix}{}", file.file_name().to_string_lossy());
                let Ok(meta) = file.metadata() else { continue };
                if !named.contains(&digest) && is_old(&meta) {
                    found.push((file.path(), meta.len()));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Old enough that no upload can still be about to name it.
fn is_old(meta: &fs::Metadata) -> bool {
    let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age >= CONTENT_AGE_MIN)
}

fn plan(connection: &Connection, before_ms: i64) -> Result<GarbageReport> {
    let list = |sql: &str| -> Result<Vec<String>> {
        let mut select = connection.prepare_cached(sql)?;
        let rows = select.query_map([before_ms], |row| row.get(0))?;
        Ok(rows.collect::<db::Result<_>>()?)
    };
    Ok(GarbageReport {
        runs: list("SELECT run_id FROM runs WHERE deleted = 1 AND coalesce(deleted_ms, 0) <= ?1 ORDER BY id")?,
        models: list("SELECT model_id FROM logged_models WHERE deleted = 1 AND updated_ms <= ?1 ORDER BY id")?,
        experiments: list(
            "SELECT CAST(e.id AS TEXT) FROM experiments e WHERE e.deleted = 1 AND e.id != 0 AND e.updated_ms <= ?1
                 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.experiment = e.id
                     AND NOT (r.deleted = 1 AND coalesce(r.deleted_ms, 0) <= ?1))
                 AND NOT EXISTS (SELECT 1 FROM logged_models m WHERE m.experiment = e.id
                     AND NOT (m.deleted = 1 AND m.updated_ms <= ?1)) ORDER BY e.id",
        )?,
        ..GarbageReport::default()
    })
}

fn take_out(tx: &mut Tx, before_ms: i64) -> Result<GarbageReport> {
    let report = plan(tx.connection, before_ms)?;
    for run_id in &report.runs {
        let run: i64 =
            tx.connection.query_row("SELECT id FROM runs WHERE run_id = ?1", [run_id], |row| row.get(0))?;
        for table in ["points", "chunks", "latest_metrics"] {
            tx.connection.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
        }
        tx.connection.execute("DELETE FROM artifacts WHERE owner = ?1", [format!("run:{run_id}")])?;
        tx.connection.execute("DELETE FROM runs WHERE id = ?1", [run])?;
        tx.event("run.purge", crate::runs::subject(run_id), json!({}));
    }
    for model_id in &report.models {
        let owner = format!("logged_model:{model_id}");
        tx.connection.execute("DELETE FROM artifacts WHERE owner = ?1", [&owner])?;
        tx.connection.execute("DELETE FROM logged_models WHERE model_id = ?1", [model_id])?;
        tx.event("logged_model.purge", owner, json!({}));
    }
    for id in &report.experiments {
        tx.connection.execute("DELETE FROM experiments WHERE id = ?1", [id.parse::<i64>().unwrap_or(-1)])?;
        tx.event("experiment.purge", format!("experiment:{id}"), json!({}));
    }
    Ok(report)
}
