//! The tables, and how an older store becomes the current one.
//!
//! A migration is one string of SQL and is never edited once released; the version is the number of
//! migrations applied. It is kept twice: in `PRAGMA user_version`, which can be read before anything is
//! trusted, and in the table `schema_version`, which says when and by whom.

use crate::db::{Connection, OptionalExtension};
use crate::error::{Error, ErrorKind, Result};

/// The version this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

const MIGRATIONS: &[&str] = &[V1, V2];

/// Conventions: every table is STRICT; `run` and `model` are the integer keys, `run_id` and `model_id` what
/// the world calls them; times end in `_ms`; a metric value of NULL is NaN.
const V1: &str = r#"
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL, program TEXT NOT NULL
) STRICT;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE experiment_tags (
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (experiment, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments,
    name TEXT NOT NULL,
    "user" TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')),
    start_ms INTEGER NOT NULL,
    end_ms INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    deleted_ms INTEGER,
    artifact_uri TEXT NOT NULL,
    quarantine_reason TEXT, quarantine_by TEXT, quarantine_ms INTEGER
) STRICT;
CREATE INDEX runs_by_experiment ON runs (experiment, deleted, start_ms);
CREATE TABLE params (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE latest_metrics (
    run INTEGER NOT NULL, key INTEGER NOT NULL,
    value REAL, step INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    row_count INTEGER NOT NULL, chunk_count INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX latest_by_value ON latest_metrics (key, value, run);
CREATE TABLE points (
    run INTEGER NOT NULL, key INTEGER NOT NULL,
    step INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL, bits INTEGER NOT NULL,
    PRIMARY KEY (run, key, step, timestamp_ms, bits)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL, key INTEGER NOT NULL,
    point_count INTEGER NOT NULL, step_min INTEGER NOT NULL, step_max INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX chunks_by_series ON chunks (run, key, step_min);

CREATE TABLE datasets (
    id INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL, digest TEXT NOT NULL,
    source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT, profile TEXT,
    UNIQUE (experiment, name, digest)
) STRICT;
CREATE TABLE inputs (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    UNIQUE (run, dataset)
) STRICT;
CREATE INDEX inputs_by_dataset ON inputs (dataset);
CREATE TABLE input_tags (
    input INTEGER NOT NULL REFERENCES inputs ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (input, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_inputs (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    model_id TEXT NOT NULL, PRIMARY KEY (run, model_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_outputs (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    model_id TEXT NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (run, model_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE logged_models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL,
    artifact_location TEXT NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3), status_message TEXT,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    model_type TEXT, source_run_id TEXT
) STRICT;
CREATE INDEX logged_models_by_experiment ON logged_models (experiment, deleted);
CREATE TABLE logged_model_params (
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE logged_model_tags (
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE logged_model_metrics (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    run_id TEXT NOT NULL, key TEXT NOT NULL,
    value REAL, timestamp_ms INTEGER NOT NULL, step INTEGER NOT NULL,
    dataset_name TEXT, dataset_digest TEXT
) STRICT;
CREATE INDEX logged_model_metrics_by_key ON logged_model_metrics (model, key, timestamp_ms, step);

CREATE TABLE registered_models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, description TEXT
) STRICT;
CREATE TABLE registered_model_tags (
    model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
    description TEXT, "user" TEXT,
    stage TEXT NOT NULL CHECK (stage IN ('None', 'Staging', 'Production', 'Archived')),
    source TEXT, storage_location TEXT, run_id TEXT, run_link TEXT, model_id TEXT,
    status TEXT NOT NULL, status_message TEXT,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    UNIQUE (model, version)
) STRICT;
CREATE INDEX model_versions_by_run ON model_versions (run_id);
CREATE TABLE model_version_tags (
    version INTEGER NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (version, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_aliases (
    model INTEGER NOT NULL REFERENCES registered_models ON DELETE CASCADE,
    alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    owner TEXT NOT NULL, path TEXT NOT NULL,
    digest TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE TABLE audit_events (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, leaf BLOB NOT NULL
) STRICT;
CREATE INDEX audit_events_by_subject ON audit_events (subject, seq);
CREATE TABLE audit_nodes (
    level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit_tree (
    id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, nodes BLOB NOT NULL
) STRICT;
INSERT INTO audit_tree (id, size, nodes) VALUES (0, 0, x'');
"#;

/// The latest values by metric and run, not by value: an update stays where it is in the index, and an order by a metric
/// reads the values of that metric alone. A filter reads as much, which is less than the runs it is about.
const V2: &str = "
DROP INDEX latest_by_value;
CREATE INDEX latest_by_key ON latest_metrics (key, run, value);
";

/// Refuses a store that a newer program wrote.
pub fn check_not_newer(version: i64, place: &str) -> Result<()> {
    if version <= VERSION {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NewerSchema,
        format!(
            "the ledger {place} has schema version {version}, this program knows up to {VERSION}; \
             it was left untouched, use the newer program"
        ),
    ))
}

/// Brings the store to [`VERSION`], all migrations in one transaction.
pub fn migrate(connection: &Connection, place: &str, now_ms: i64, artifact_root: &str) -> Result<()> {
    if connection.schema_version()? == VERSION {
        return Ok(());
    }
    connection.begin_migration()?;
    let result = migrate_inside(connection, place, now_ms, artifact_root);
    if result.is_ok() { connection.commit() } else { connection.rollback() }?;
    result
}

fn migrate_inside(connection: &Connection, place: &str, now_ms: i64, artifact_root: &str) -> Result<()> {
    // Another process may have been faster: look again now that the store is ours.
    let from = connection.schema_version()?;
    check_not_newer(from, place)?;
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(from.max(0) as usize) {
        connection.execute_schema(sql)?;
        connection.execute(
            "INSERT INTO schema_version (version, applied_ms, program) VALUES (?1, ?2, ?3)",
            (index as i64 + 1, now_ms, concat!("mynah-ledger ", env!("CARGO_PKG_VERSION"))),
        )?;
    }
    if from == 0 {
        first_rows(connection, now_ms, artifact_root)?;
    }
    Ok(connection.set_schema_version(VERSION)?)
}

fn first_rows(connection: &Connection, now_ms: i64, artifact_root: &str) -> Result<()> {
    let mut setting = connection.prepare_cached("INSERT INTO settings (key, value) VALUES (?1, ?2)")?;
    setting.execute(("artifact_root", artifact_root))?;
    setting.execute(("created_ms", now_ms.to_string()))?;
    setting.execute(("ledger_id", crate::ids::random_hex()?))?;
    connection.execute(
        "INSERT INTO experiments (id, name, artifact_location, created_ms, updated_ms)
         VALUES (0, 'Default', ?1, ?2, ?2)",
        (format!("{}/0", artifact_root.trim_end_matches('/')), now_ms),
    )?;
    Ok(())
}

/// A row of the table `settings`.
pub fn setting(connection: &Connection, key: &str) -> Result<Option<String>> {
    Ok(connection
        .query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0))
        .optional()?)
}
