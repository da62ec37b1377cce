//! Runs: made, changed, deleted, set apart. What is recorded in them is in `logging`.

use serde_json::json;

use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::writer::Tx;
use crate::types::{Lifecycle, NewRun, Quarantine, Run, RunRecord, RunStatus, RunUpdate, Tag};
use crate::{experiments, ids, run_data, validate};

/// The tag that is also the run's name.
pub const NAME_TAG: &str = "mlflow.runName";

impl Ledger {
    /// Makes a run; it is running from now on.
    ///
    /// # Errors
    /// `NotFound` when there is no such experiment, `Invalid` when it is deleted, when the name and the tag
    /// `mlflow.runName` differ or when a tag is not one, `AlreadyExists` when `run_id` is taken.
    pub fn create_run(&self, new: NewRun) -> Result<RunRecord> {
        let experiment = validate::experiment_id(&new.experiment_id)?;
        new.tags.iter().try_for_each(|tag| validate::tag(tag, validate::TAG_CHARS_MAX))?;
        validate::length("a user", &new.user, 256)?;
        new.run_id.as_deref().map_or(Ok(()), validate::run_id)?;
        if new.start_time_ms.is_some_and(|start| start < 0) {
            return Err(Error::invalid("a run cannot have started before 1970"));
        }
        let (name, id) = (name_of(&new)?, new.run_id.clone().map_or_else(ids::random_hex, Ok)?);
        self.write(move |tx| create(tx, experiment, &new, &name, &id))
    }

    /// A run and what was recorded in it, also a deleted one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn run(&self, run_id: &str) -> Result<RunRecord> {
        self.read(|connection| record(connection, run_id))
    }

    /// Changes the status, the end or the name of an active run.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when it is deleted or the name is too long.
    pub fn update_run(&self, run_id: &str, update: RunUpdate) -> Result<Run> {
        let name = update.name.clone().filter(|name| !name.is_empty());
        name.as_deref().map_or(Ok(()), |name| validate::name("a run", name))?;
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let row = active(tx.connection, &run_id)?;
            let mut change = serde_json::Map::new();
            if let Some(status) = update.status {
                tx.connection
                    .prepare_cached("UPDATE runs SET status = ?2 WHERE id = ?1")?
                    .execute((row.id, status.as_str()))?;
                change.insert("status".into(), status.as_str().into());
            }
            if let Some(end_ms) = update.end_time_ms {
                tx.connection
                    .prepare_cached("UPDATE runs SET end_ms = ?2 WHERE id = ?1")?
                    .execute((row.id, end_ms))?;
                change.insert("end_ms".into(), end_ms.into());
            }
            if let Some(name) = name {
                put_tag(tx.connection, row.id, &Tag::new(NAME_TAG, name.clone()))?;
                change.insert("name".into(), name.into());
            }
            tx.event("run.update", subject(&run_id), change.into());
            find(tx.connection, &run_id)
        })
    }

    /// Takes the end of an active run away and gives it a status: it goes on, or it was never over.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when it is deleted.
    pub fn reopen_run(&self, run_id: &str, status: RunStatus) -> Result<Run> {
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let row = active(tx.connection, &run_id)?;
            tx.connection
                .prepare_cached("UPDATE runs SET status = ?2, end_ms = NULL WHERE id = ?1")?
                .execute((row.id, status.as_str()))?;
            let change = json!({"status": status.as_str(), "end_ms": null});
            tx.event("run.update", subject(&run_id), change);
            find(tx.connection, &run_id)
        })
    }

    /// Deletes a run; [`Ledger::restore_run`] brings it back until the garbage is collected.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_run(&self, run_id: &str) -> Result<()> {
        let run_id = run_id.to_string();
        self.write(move |tx| set_deleted(tx, &run_id, true))
    }

    /// Restores a deleted run.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn restore_run(&self, run_id: &str) -> Result<()> {
        let run_id = run_id.to_string();
        self.write(move |tx| set_deleted(tx, &run_id, false))
    }

    /// Keeps a run out of comparison, serving and promotion. It loses nothing and can still be written to.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` without a reason.
    pub fn quarantine_run(&self, run_id: &str, reason: &str) -> Result<()> {
        if reason.trim().is_empty() {
            return Err(Error::invalid("a quarantine needs a reason"));
        }
        validate::length("the reason of a quarantine", reason, 1_000)?;
        let (run_id, reason) = (run_id.to_string(), reason.to_string());
        self.write(move |tx| {
            let row = row(tx.connection, &run_id)?;
            tx.connection
                .prepare_cached(
                    "UPDATE runs SET quarantine_reason = ?2, quarantine_by = ?3, quarantine_ms = ?4 WHERE id = ?1",
                )?
                .execute((row.id, &reason, tx.actor(), tx.now_ms))?;
            tx.event("run.quarantine", subject(&run_id), json!({"reason": reason}));
            Ok(())
        })
    }

    /// Ends a quarantine; without one nothing happens.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn release_run(&self, run_id: &str) -> Result<()> {
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let row = row(tx.connection, &run_id)?;
            let changed = tx
                .connection
                .prepare_cached(
                    "UPDATE runs SET quarantine_reason = NULL, quarantine_by = NULL, quarantine_ms = NULL
                     WHERE id = ?1 AND quarantine_reason IS NOT NULL",
                )?
                .execute([row.id])?;
            if changed > 0 {
                tx.event("run.release", subject(&run_id), json!({}));
            }
            Ok(())
        })
    }
}

/// The name that a new run gets.
fn name_of(new: &NewRun) -> Result<String> {
    let given = new.name.as_deref().filter(|name| !name.is_empty());
    let tag = new.tags.iter().rev().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.as_str());
    let tag = tag.filter(|name| !name.is_empty());
    if let (Some(given), Some(tag)) = (given, tag)
        && given != tag
    {
        return Err(Error::invalid(format!(
            "the run is called '{}' by its name and '{}' by its tag {NAME_TAG}; give one",
            validate::clip(given),
            validate::clip(tag)
        )));
    }
    let name = given.or(tag).map_or_else(ids::random_name, |name| Ok(name.to_string()))?;
    validate::name("a run", &name)?;
    Ok(name)
}

fn create(tx: &mut Tx, experiment: i64, new: &NewRun, name: &str, run_id: &str) -> Result<RunRecord> {
    let place = experiments::active(tx.connection, experiment)?.artifact_location;
    if maybe_row(tx.connection, run_id)?.is_some() {
        return Err(Error::exists(format!("the run {run_id} already exists")));
    }
    let id = tx.connection.insert(
        "INSERT INTO runs (run_id, experiment, name, \"user\", status, start_ms, artifact_uri)
             VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, ?6)",
        (
            run_id,
            experiment,
            name,
            &new.user,
            new.start_time_ms.unwrap_or(tx.now_ms),
            format!("{}/{run_id}/artifacts", place.trim_end_matches('/')),
        ),
    )?;
    for tag in &new.tags {
        put_tag(tx.connection, id, tag)?;
    }
    put_tag(tx.connection, id, &Tag::new(NAME_TAG, name))?;
    tx.event(
        "run.create",
        subject(run_id),
        json!({"experiment": experiment, "name": name, "user": new.user}),
    );
    record(tx.connection, run_id)
}

fn set_deleted(tx: &mut Tx, run_id: &str, deleted: bool) -> Result<()> {
    let row = row(tx.connection, run_id)?;
    tx.connection
        .prepare_cached("UPDATE runs SET deleted = ?2, deleted_ms = ?3 WHERE id = ?1")?
        .execute((row.id, deleted, deleted.then_some(tx.now_ms)))?;
    if row.deleted != deleted {
        tx.event(if deleted { "run.delete" } else { "run.restore" }, subject(run_id), json!({}));
    }
    Ok(())
}

/// `run:ID` in the audit log.
pub fn subject(run_id: &str) -> String {
    format!("run:{run_id}")
}

/// What a write needs to know of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunRow {
    /// The integer key.
    pub id: i64,
    /// Its experiment.
    pub experiment: i64,
    /// In the bin.
    pub deleted: bool,
}

/// A run's row, if there is such a run.
pub fn maybe_row(connection: &Connection, run_id: &str) -> Result<Option<RunRow>> {
    Ok(connection
        .prepare_cached("SELECT id, experiment, deleted FROM runs WHERE run_id = ?1")?
        .query_row([run_id], |row| {
            Ok(RunRow { id: row.get(0)?, experiment: row.get(1)?, deleted: row.get(2)? })
        })
        .optional()?)
}

/// A run's row.
pub fn row(connection: &Connection, run_id: &str) -> Result<RunRow> {
    let missing = || Error::not_found(format!("there is no run '{}'", validate::clip(run_id)));
    maybe_row(connection, run_id)?.ok_or_else(missing)
}

/// The row of a run that may be written to.
pub fn active(connection: &Connection, run_id: &str) -> Result<RunRow> {
    let row = row(connection, run_id)?;
    if row.deleted {
        return Err(Error::invalid(format!("the run {run_id} is deleted; restore it first")));
    }
    Ok(row)
}

/// Sets a tag; that of the name changes the name too.
pub fn put_tag(connection: &Connection, run: i64, tag: &Tag) -> Result<()> {
    if tag.key == NAME_TAG {
        connection.prepare_cached("UPDATE runs SET name = ?2 WHERE id = ?1")?.execute((run, &tag.value))?;
    }
    connection
        .prepare_cached(
            "INSERT INTO tags (run, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (run, key) DO UPDATE SET value = excluded.value",
        )?
        .execute((run, &tag.key, &tag.value))?;
    Ok(())
}

/// A run without its data.
pub fn find(connection: &Connection, run_id: &str) -> Result<Run> {
    Ok(record_row(connection, run_id)?.1)
}

/// A run with its data.
pub fn record(connection: &Connection, run_id: &str) -> Result<RunRecord> {
    let (id, run) = record_row(connection, run_id)?;
    Ok(RunRecord { data: run_data::all(connection, id)?, run })
}

fn record_row(connection: &Connection, run_id: &str) -> Result<(i64, Run)> {
    let missing = || Error::not_found(format!("there is no run '{}'", validate::clip(run_id)));
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs r WHERE r.run_id = ?1"))?
        .query_row([run_id], from_row)
        .optional()?
        .ok_or_else(missing)
}

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "r.id, r.run_id, r.name, r.experiment, r.\"user\", r.status, r.start_ms, r.end_ms, r.deleted, \
     r.deleted_ms, r.artifact_uri, r.quarantine_reason, r.quarantine_by, r.quarantine_ms, \
     (SELECT value FROM tags WHERE run = r.id AND key = 'mlflow.parentRunId')";

/// A run and its integer key.
pub fn from_row(row: &Row<'_>) -> db::Result<(i64, Run)> {
    let quarantine = row
        .get::<Option<String>>(11)?
        .map(|reason| -> db::Result<Quarantine> {
            let (by, at_ms) = (row.get::<Option<String>>(12)?, row.get::<Option<i64>>(13)?);
            Ok(Quarantine { reason, by: by.unwrap_or_default(), at_ms: at_ms.unwrap_or_default() })
        })
        .transpose()?;
    let run = Run {
        id: row.get(1)?,
        name: row.get(2)?,
        experiment_id: row.get::<i64>(3)?.to_string(),
        user: row.get(4)?,
        status: RunStatus::parse(row.get_ref(5)?.as_str().unwrap_or_default()).unwrap_or_default(),
        start_time_ms: row.get(6)?,
        end_time_ms: row.get(7)?,
        lifecycle: if row.get(8)? { Lifecycle::Deleted } else { Lifecycle::Active },
        deleted_ms: row.get(9)?,
        artifact_uri: row.get(10)?,
        quarantine,
        parent_id: row.get(14)?,
    };
    Ok((row.get(0)?, run))
}
