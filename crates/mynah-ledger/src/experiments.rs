//! Experiments: groups of runs.

use serde_json::json;

use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::writer::Tx;
use crate::types::{Experiment, Lifecycle, NewExperiment, Tag};
use crate::validate;

impl Ledger {
    /// Makes an experiment.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, also by a deleted one; `Invalid` for a bad name, tag or place.
    pub fn create_experiment(&self, new: NewExperiment) -> Result<Experiment> {
        validate::name("an experiment", &new.name)?;
        new.tags.iter().try_for_each(|tag| validate::tag(tag, validate::EXPERIMENT_TAG_CHARS_MAX))?;
        if let Some(place) = &new.artifact_location {
            validate::uri("an artifact location", place)?;
            if place.starts_with("runs:") {
                return Err(Error::invalid(format!(
                    "the artifact location '{}' points into a run; give a folder or a store",
                    validate::clip(place)
                )));
            }
        }
        let root = self.artifact_root()?.to_string();
        self.write(move |tx| create(tx, new, &root))
    }

    /// An experiment, also a deleted one.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` when the id is not a number.
    pub fn experiment(&self, id: &str) -> Result<Experiment> {
        let id = validate::experiment_id(id)?;
        self.read(|connection| by_id(connection, id))
    }

    /// An experiment by its name, also a deleted one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn experiment_by_name(&self, name: &str) -> Result<Experiment> {
        self.read(|connection| {
            let id: Option<i64> = connection
                .prepare_cached("SELECT id FROM experiments WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()?;
            let missing = || Error::not_found(format!("there is no experiment '{}'", validate::clip(name)));
            by_id(connection, id.ok_or_else(missing)?)
        })
    }

    /// Gives an active experiment another name.
    ///
    /// # Errors
    /// `NotFound`, `State` when it is deleted, `AlreadyExists` when the name is taken.
    pub fn rename_experiment(&self, id: &str, name: &str) -> Result<()> {
        let id = validate::experiment_id(id)?;
        validate::name("an experiment", name)?;
        let name = name.to_string();
        self.write(move |tx| {
            let experiment = by_id(tx.connection, id)?;
            if experiment.lifecycle == Lifecycle::Deleted {
                return Err(Error::state(format!(
                    "the experiment {id} is deleted; restore it before renaming it"
                )));
            }
            check_name_is_free(tx.connection, &name, Some(id))?;
            tx.connection
                .prepare_cached("UPDATE experiments SET name = ?2, updated_ms = ?3 WHERE id = ?1")?
                .execute((id, &name, tx.now_ms))?;
            tx.event("experiment.rename", subject(id), json!({"from": experiment.name, "to": name}));
            Ok(())
        })
    }

    /// Deletes an experiment and its runs; [`Ledger::restore_experiment`] brings them back.
    ///
    /// # Errors
    /// `NotFound` when there is no active one.
    pub fn delete_experiment(&self, id: &str) -> Result<()> {
        let id = validate::experiment_id(id)?;
        self.write(move |tx| set_deleted(tx, id, true))
    }

    /// Restores a deleted experiment and its runs.
    ///
    /// # Errors
    /// `NotFound` when there is no deleted one.
    pub fn restore_experiment(&self, id: &str) -> Result<()> {
        let id = validate::experiment_id(id)?;
        self.write(move |tx| set_deleted(tx, id, false))
    }

    /// Sets a tag of an active experiment.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when it is deleted or the tag is not one.
    pub fn set_experiment_tag(&self, id: &str, tag: Tag) -> Result<()> {
        let id = validate::experiment_id(id)?;
        validate::tag(&tag, validate::EXPERIMENT_TAG_CHARS_MAX)?;
        self.write(move |tx| {
            active(tx.connection, id)?;
            put_tag(tx.connection, id, &tag)?;
            tx.event("experiment.tag", subject(id), json!({"key": tag.key, "value": tag.value}));
            Ok(())
        })
    }

    /// Deletes a tag of an active experiment.
    ///
    /// # Errors
    /// `NotFound` when there is no such experiment or tag; `Invalid` when it is deleted.
    pub fn delete_experiment_tag(&self, id: &str, key: &str) -> Result<()> {
        let id = validate::experiment_id(id)?;
        let key = key.to_string();
        self.write(move |tx| {
            active(tx.connection, id)?;
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM experiment_tags WHERE experiment = ?1 AND key = ?2")?
                .execute((id, &key))?;
            if gone == 0 {
                let key = validate::clip(&key);
                return Err(Error::not_found(format!("the experiment {id} has no tag '{key}'")));
            }
            tx.event("experiment.untag", subject(id), json!({"key": key}));
            Ok(())
        })
    }
}

fn create(tx: &mut Tx, new: NewExperiment, root: &str) -> Result<Experiment> {
    check_name_is_free(tx.connection, &new.name, None)?;
    let id = tx.connection.insert(
        "INSERT INTO experiments (name, artifact_location, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?3)",
        (&new.name, new.artifact_location.as_deref().unwrap_or(""), tx.now_ms),
    )?;
    if new.artifact_location.is_none() {
        tx.connection
            .prepare_cached("UPDATE experiments SET artifact_location = ?2 WHERE id = ?1")?
            .execute((id, format!("{root}/{id}")))?;
    }
    for tag in &new.tags {
        put_tag(tx.connection, id, tag)?;
    }
    tx.event("experiment.create", subject(id), json!({"name": new.name}));
    by_id(tx.connection, id)
}

fn set_deleted(tx: &mut Tx, id: i64, deleted: bool) -> Result<()> {
    let lifecycle = by_id(tx.connection, id)?.lifecycle;
    if (lifecycle == Lifecycle::Deleted) == deleted {
        let wanted = if deleted { "active" } else { "deleted" };
        return Err(Error::not_found(format!("there is no {wanted} experiment {id}")));
    }
    tx.connection
        .prepare_cached("UPDATE experiments SET deleted = ?2, updated_ms = ?3 WHERE id = ?1")?
        .execute((id, deleted, tx.now_ms))?;
    let runs = tx
        .connection
        .prepare_cached("UPDATE runs SET deleted = ?2, deleted_ms = ?3 WHERE experiment = ?1")?
        .execute((id, deleted, deleted.then_some(tx.now_ms)))?;
    let kind = if deleted { "experiment.delete" } else { "experiment.restore" };
    tx.event(kind, subject(id), json!({"runs": runs}));
    Ok(())
}

fn check_name_is_free(connection: &Connection, name: &str, but: Option<i64>) -> Result<()> {
    let taken: Option<(i64, bool)> = connection
        .prepare_cached("SELECT id, deleted FROM experiments WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match taken {
        Some((id, deleted)) if Some(id) != but => Err(Error::exists(format!(
            "the experiment '{}' already exists{}",
            validate::clip(name),
            if deleted { " and is deleted; restore it or take another name" } else { "" }
        ))),
        _ => Ok(()),
    }
}

fn put_tag(connection: &Connection, id: i64, tag: &Tag) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO experiment_tags (experiment, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value",
        )?
        .execute((id, &tag.key, &tag.value))?;
    Ok(())
}

/// `experiment:ID` in the audit log.
fn subject(id: i64) -> String {
    format!("experiment:{id}")
}

/// An experiment that may be written to.
pub fn active(connection: &Connection, id: i64) -> Result<Experiment> {
    let experiment = by_id(connection, id)?;
    if experiment.lifecycle == Lifecycle::Deleted {
        return Err(Error::invalid(format!("the experiment {id} is deleted; restore it first")));
    }
    Ok(experiment)
}

/// An experiment with its tags.
pub fn by_id(connection: &Connection, id: i64) -> Result<Experiment> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM experiments e WHERE e.id = ?1"))?
        .query_row([id], from_row)
        .optional()?;
    let mut experiment = found.ok_or_else(|| Error::not_found(format!("there is no experiment {id}")))?;
    add_tags(connection, &mut experiment)?;
    Ok(experiment)
}

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "e.id, e.name, e.artifact_location, e.deleted, e.created_ms, e.updated_ms";

/// An experiment without its tags.
pub fn from_row(row: &Row<'_>) -> db::Result<Experiment> {
    Ok(Experiment {
        id: row.get::<i64>(0)?.to_string(),
        name: row.get(1)?,
        artifact_location: row.get(2)?,
        lifecycle: if row.get(3)? { Lifecycle::Deleted } else { Lifecycle::Active },
        created_ms: row.get(4)?,
        updated_ms: row.get(5)?,
        tags: Vec::new(),
    })
}

/// Reads the tags.
pub fn add_tags(connection: &Connection, experiment: &mut Experiment) -> Result<()> {
    let id = validate::experiment_id(&experiment.id)?;
    let mut select = connection
        .prepare_cached("SELECT key, value FROM experiment_tags WHERE experiment = ?1 ORDER BY key")?;
    let tags = select.query_map([id], |row| Ok(Tag { key: row.get(0)?, value: row.get(1)? }))?;
    experiment.tags = tags.collect::<db::Result<_>>()?;
    Ok(())
}
