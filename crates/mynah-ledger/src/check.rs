//! Checking a store from the ground up, and mending what can be computed again.
//!
//! This is about the store, not about what a run means: the file's own structure, pieces that point to
//! nothing, points that cannot be decoded, latest values that are not the latest, artifacts whose bytes are
//! gone or changed, and the audit log. Rules about runs belong to governance.

use std::fs::File;

use serde_json::json;

use crate::audit::{self, AuditHead};
use crate::db::{self, Connection, OptionalExtension};
use crate::error::{Error, ErrorKind, Result};
use crate::ids;
use crate::ledger::Ledger;
use crate::metrics::{Sample, chunk, store};

/// Findings of one kind that a report lists; the rest is counted.
const FINDINGS_MAX: usize = 1_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The database file is damaged.
    Database,
    /// A row points to something that is not there.
    Orphan,
    /// Points cannot be decoded, or a chunk is not what its columns say.
    Chunk,
    /// The latest value of a metric is not that of its points.
    Latest,
    /// A run's name and its tag differ.
    Name,
    /// The bytes of an artifact are gone.
    ArtifactMissing,
    /// The bytes of an artifact are not those of its digest.
    ArtifactChanged,
    /// The audit log is not what it was.
    Audit,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// On what: `run:ID`, `artifact:…`, `database`.
    pub subject: String,
    /// One line for people.
    pub message: String,
    /// Whether [`Ledger::mend`] puts it right.
    pub mendable: bool,
}

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Read every artifact and compute its digest again; else only its length is looked at.
    pub read_artifacts: bool,
    /// A head of the audit log that was kept elsewhere.
    pub held: Option<AuditHead>,
}

/// What a check found; no findings is good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// Series of points that were read.
    pub series: u64,
    /// Points in them.
    pub points: u64,
    /// Artifacts that were looked at.
    pub artifacts: u64,
    /// Events in the audit log.
    pub events: u64,
}

impl CheckReport {
    fn add(&mut self, kind: FindingKind, subject: impl Into<String>, message: impl Into<String>) {
        if self.findings.iter().filter(|finding| finding.kind == kind).count() < FINDINGS_MAX {
            let mendable = matches!(kind, FindingKind::Latest | FindingKind::Name);
            self.findings.push(Finding { kind, subject: subject.into(), message: message.into(), mendable });
        }
    }
}

impl Ledger {
    /// Checks the whole store. Reads everything: seconds for a million points.
    ///
    /// # Errors
    /// When the store cannot be read at all; damage that can be named is in the report.
    pub fn check(&self, options: &CheckOptions) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let outcome = self.read(|connection| {
            database(connection, &mut report)?;
            orphans(connection, &mut report)?;
            series(connection, &mut report)?;
            names(connection, &mut report)?;
            self.artifacts_are_there(connection, options, &mut report)?;
            let log = audit::verify(connection, options.held)?;
            report.events = log.events;
            log.findings.into_iter().for_each(|line| report.add(FindingKind::Audit, "audit", line));
            Ok(())
        });
        match outcome {
            // A damaged page stops the reading: that is itself the finding.
            Err(error) if error.kind() == ErrorKind::Storage => {
                report.add(FindingKind::Database, "database", error.to_string());
                Ok(report)
            }
            other => other.map(|()| report),
        }
    }

    /// Computes again what can be: latest values from the points, names from the tags. Says how many rows changed;
    /// a second time that is none.
    ///
    /// # Errors
    /// `Storage` when the points themselves cannot be read; nothing is then changed.
    pub fn mend(&self) -> Result<usize> {
        self.write(|tx| {
            let mut mended = 0;
            for (run, key) in all_series(tx.connection)? {
                let state = Series::read(tx.connection, run, key)?;
                if state.stored == state.expected {
                    continue;
                }
                tx.connection.execute("DELETE FROM latest_metrics WHERE run = ?1 AND key = ?2", (run, key))?;
                if let Some((newest, rows, chunks)) = state.expected {
                    tx.connection.execute(
                        "INSERT INTO latest_metrics (run, key, value, step, timestamp_ms, row_count, chunk_count)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        (run, key, newest.value(), newest.step, newest.timestamp_ms, rows, chunks),
                    )?;
                }
                mended += 1;
            }
            mended += tx.connection.execute(
                "UPDATE runs SET name = (SELECT value FROM tags WHERE run = runs.id AND key = 'mlflow.runName')
                 WHERE name IS DISTINCT FROM (SELECT value FROM tags WHERE run = runs.id AND key = 'mlflow.runName')
                     AND EXISTS (SELECT 1 FROM tags WHERE run = runs.id AND key = 'mlflow.runName')",
                [],
            )?;
            if mended > 0 {
                tx.event("store.mend", "store", json!({"rows": mended}));
            }
            Ok(mended)
        })
    }

    fn artifacts_are_there(
        &self,
        connection: &Connection,
        options: &CheckOptions,
        report: &mut CheckReport,
    ) -> Result<()> {
        let mut select = connection
            .prepare_scan("SELECT owner, path, digest, size_bytes FROM artifacts ORDER BY owner, path")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (owner, path): (String, String) = (row.get(0)?, row.get(1)?);
            let (digest, size_bytes): (String, i64) = (row.get(2)?, row.get(3)?);
            let subject = format!("artifact:{owner}/{path}");
            report.artifacts += 1;
            let place = self.content_path(&digest);
            let Ok(file) = File::open(&place) else {
                report.add(
                    FindingKind::ArtifactMissing,
                    subject,
                    format!("{} is not there", place.display()),
                );
                continue;
            };
            let length = file.metadata().map_or(0, |meta| meta.len());
            if length != size_bytes.cast_unsigned() {
                let message = format!("{length} bytes are there, {size_bytes} were put");
                report.add(FindingKind::ArtifactChanged, subject, message);
            } else if options.read_artifacts {
                let mut hasher = blake3::Hasher::new();
                let same =
                    hasher.update_reader(file).is_ok() && ids::hex(hasher.finalize().as_bytes()) == digest;
                if !same {
                    report.add(
                        FindingKind::ArtifactChanged,
                        subject,
                        "its bytes are not those of its digest",
                    );
                }
            }
        }
        Ok(())
    }
}

fn database(connection: &Connection, report: &mut CheckReport) -> Result<()> {
    for (table, message) in connection.check_structure()? {
        match table {
            Some(table) => report.add(FindingKind::Orphan, format!("table:{table}"), message),
            None => report.add(FindingKind::Database, "database", message),
        }
    }
    Ok(())
}

/// Tables without a declared reference: a reference would be looked up for every point.
fn orphans(connection: &Connection, report: &mut CheckReport) -> Result<()> {
    for table in ["points", "chunks", "latest_metrics"] {
        let count: i64 = connection.query_row(
            &format!(
                "SELECT count(*) FROM (SELECT DISTINCT run, key FROM {table}) s
                 WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run)
                     OR NOT EXISTS (SELECT 1 FROM metric_names n WHERE n.id = s.key)"
            ),
            [],
            |row| row.get(0),
        )?;
        if count > 0 {
            let message = format!("{count} series belong to a run or a name that is not there");
            report.add(FindingKind::Orphan, format!("table:{table}"), message);
        }
    }
    Ok(())
}

/// The latest point with its value as bits, so that NaN equals NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Latest {
    step: i64,
    timestamp_ms: i64,
    /// Nothing: NaN, as the column has it.
    bits: Option<u64>,
}

impl Latest {
    fn of(sample: &Sample) -> Latest {
        let bits = (!sample.value.is_nan()).then(|| sample.value.to_bits());
        Latest { step: sample.step, timestamp_ms: sample.timestamp_ms, bits }
    }

    fn value(&self) -> Option<f64> {
        self.bits.map(f64::from_bits)
    }
}

/// What is stored about a series, and what its points say it should be: latest, rows, small chunks.
struct Series {
    stored: Option<(Latest, i64, i64)>,
    expected: Option<(Latest, i64, i64)>,
    points: u64,
}

impl Series {
    fn read(connection: &Connection, run: i64, key: i64) -> Result<Series> {
        let stored = connection
            .prepare_cached(
                "SELECT step, timestamp_ms, value, row_count, chunk_count FROM latest_metrics
                 WHERE run = ?1 AND key = ?2",
            )?
            .query_row((run, key), |row| {
                let value: Option<f64> = row.get(2)?;
                let latest =
                    Latest { step: row.get(0)?, timestamp_ms: row.get(1)?, bits: value.map(f64::to_bits) };
                Ok((latest, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let samples = store::samples(connection, run, key, i64::MIN, i64::MAX)?;
        let count = |sql: &str| -> Result<i64> {
            Ok(connection.prepare_cached(sql)?.query_row((run, key), |row| row.get(0))?)
        };
        let rows = count("SELECT count(*) FROM points WHERE run = ?1 AND key = ?2")?;
        let small = format!(
            "SELECT count(*) FROM chunks WHERE run = ?1 AND key = ?2 AND point_count < {}",
            store::SMALL_POINTS
        );
        let newest = samples.iter().copied().reduce(|a, b| if b.is_later_than(&a) { b } else { a });
        let expected = match newest {
            Some(newest) => Some((Latest::of(&newest), rows, count(&small)?)),
            None => None,
        };
        Ok(Series { stored, expected, points: samples.len() as u64 })
    }
}

fn all_series(connection: &Connection) -> Result<Vec<(i64, i64)>> {
    let mut select = connection.prepare_scan(
        "SELECT run, key FROM latest_metrics UNION SELECT run, key FROM chunks UNION SELECT run, key FROM points
         ORDER BY 1, 2",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<db::Result<_>>()?)
}

fn series(connection: &Connection, report: &mut CheckReport) -> Result<()> {
    let mut select = connection
        .prepare_scan("SELECT id, run, key, point_count, step_min, step_max, data FROM chunks ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let subject = named(connection, row.get(1)?, row.get(2)?)?;
        let (count, first, last): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        match chunk::decode(row.get_ref(6)?.as_blob().unwrap_or_default()) {
            Err(error) => report.add(FindingKind::Chunk, subject, error.to_string()),
            Ok(samples) => {
                let steps = samples.iter().map(|sample| sample.step);
                let (min, max) = (steps.clone().min(), steps.max());
                if samples.len() as i64 != count || (min, max) != (Some(first), Some(last)) {
                    let message = "a chunk of points is not what its columns say";
                    report.add(FindingKind::Chunk, subject, message);
                }
            }
        }
    }
    for (run, key) in all_series(connection)? {
        report.series += 1;
        match Series::read(connection, run, key) {
            Ok(series) => {
                report.points += series.points;
                if series.stored != series.expected {
                    let message = "the latest value is not that of the points";
                    report.add(FindingKind::Latest, named(connection, run, key)?, message);
                }
            }
            // Told above, for the chunk.
            Err(error) if error.kind() == ErrorKind::Storage => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn names(connection: &Connection, report: &mut CheckReport) -> Result<()> {
    let mut select = connection.prepare_scan(
        "SELECT r.run_id FROM runs r JOIN tags t ON t.run = r.id AND t.key = 'mlflow.runName' WHERE t.value != r.name",
    )?;
    let rows = select.query_map([], |row| row.get::<String>(0))?;
    for run_id in rows {
        let message = "the run's name is not that of its tag mlflow.runName";
        report.add(FindingKind::Name, format!("run:{}", run_id?), message);
    }
    Ok(())
}

/// `run:ID/KEY`, or the numbers where those are unknown.
fn named(connection: &Connection, run: i64, key: i64) -> Result<String> {
    let text = |sql: &str, id: i64| -> Result<String> {
        let found: Option<String> =
            connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or_else(|| id.to_string()))
    };
    let run = text("SELECT run_id FROM runs WHERE id = ?1", run)?;
    let key = text("SELECT name FROM metric_names WHERE id = ?1", key)?;
    Ok(format!("run:{run}/{key}"))
}

/// So that a caller can stop at the first sight of damage.
impl CheckReport {
    /// An error that names the first finding, or nothing.
    ///
    /// # Errors
    /// `Storage` when there is any finding.
    pub fn into_result(self) -> Result<CheckReport> {
        match self.findings.first() {
            None => Ok(self),
            Some(first) => Err(Error::storage(format!(
                "{} things are wrong with the store; the first is {}: {}",
                self.findings.len(),
                first.subject,
                first.message
            ))),
        }
    }
}
