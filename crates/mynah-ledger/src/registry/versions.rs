//! Model versions: made, moved between stages, tagged, deleted.

use serde_json::json;

use super::{models, put_tag, subject, tags, touch};
use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::writer::Tx;
use crate::types::{ModelVersion, ModelVersionUpdate, NewModelVersion, Stage, Tag, VersionStatus};
use crate::validate::{self, MODEL_TAG_CHARS_MAX};

impl Ledger {
    /// Makes the next version of a registered model.
    ///
    /// # Errors
    /// `NotFound` when there is no such model, or no such model behind `models:/…`; `Invalid` for a bad source.
    pub fn create_model_version(&self, new: NewModelVersion) -> Result<ModelVersion> {
        validate::model_name(&new.name)?;
        validate::uri("the source of a model version", &new.source)?;
        validate::uri("the link to a run", new.run_link.as_deref().unwrap_or(""))?;
        validate::length("a run id", new.run_id.as_deref().unwrap_or(""), 64)?;
        validate::length("a user", new.user.as_deref().unwrap_or(""), 256)?;
        validate::description(new.description.as_deref())?;
        new.tags.iter().try_for_each(|tag| validate::tag(tag, MODEL_TAG_CHARS_MAX))?;
        self.write(move |tx| create(tx, &new))
    }

    /// A version of a registered model.
    ///
    /// # Errors
    /// `NotFound`, also when it was deleted.
    pub fn model_version(&self, name: &str, version: u64) -> Result<ModelVersion> {
        validate::model_name(name)?;
        self.read(|connection| find(connection, name, version))
    }

    /// Describes a version.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the description is too long.
    pub fn update_model_version(
        &self,
        name: &str,
        version: u64,
        update: ModelVersionUpdate,
    ) -> Result<ModelVersion> {
        validate::description(update.description.as_deref())?;
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name, version)?;
            tx.connection
                .prepare_cached("UPDATE model_versions SET description = ?2, updated_ms = ?3 WHERE id = ?1")?
                .execute((id, &update.description, tx.now_ms))?;
            let detail = json!({"version": version, "description": update.description});
            tx.event("model_version.update", subject(&name), detail);
            find(tx.connection, &name, version)
        })
    }

    /// Moves a version to a stage. With `archive_existing` the other versions there are archived; that is only
    /// possible for Staging and Production.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when archiving is asked for at another stage.
    pub fn transition_model_version(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion> {
        if archive_existing && !matches!(stage, Stage::Staging | Stage::Production) {
            return Err(Error::invalid(format!(
                "versions can be archived when one moves to Staging or Production, not to {}",
                stage.as_str()
            )));
        }
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name, version)?;
            let model = models::id(tx.connection, &name)?;
            let mut archived = 0;
            if archive_existing {
                archived = tx
                    .connection
                    .prepare_cached(
                        "UPDATE model_versions SET stage = 'Archived', updated_ms = ?4
                         WHERE model = ?1 AND id != ?2 AND stage = ?3 AND deleted = 0",
                    )?
                    .execute((model, id, stage.as_str(), tx.now_ms))?;
            }
            tx.connection
                .prepare_cached("UPDATE model_versions SET stage = ?2, updated_ms = ?3 WHERE id = ?1")?
                .execute((id, stage.as_str(), tx.now_ms))?;
            touch(tx, model)?;
            let detail = json!({"version": version, "stage": stage.as_str(), "archived": archived});
            tx.event("model_version.stage", subject(&name), detail);
            find(tx.connection, &name, version)
        })
    }

    /// Deletes a version and its aliases. Its number is not used again.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_model_version(&self, name: &str, version: u64) -> Result<()> {
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name, version)?;
            let model = models::id(tx.connection, &name)?;
            tx.connection
                .prepare_cached("DELETE FROM model_aliases WHERE model = ?1 AND version = ?2")?
                .execute((model, version.cast_signed()))?;
            // The row stays so that the number does; what it said does not.
            tx.connection
                .prepare_cached(
                    "UPDATE model_versions SET deleted = 1, updated_ms = ?2, description = NULL, \"user\" = NULL,
                         source = NULL, storage_location = NULL, run_id = NULL, run_link = NULL, model_id = NULL,
                         status_message = NULL WHERE id = ?1",
                )?
                .execute((id, tx.now_ms))?;
            touch(tx, model)?;
            tx.event("model_version.delete", subject(&name), json!({"version": version}));
            Ok(())
        })
    }

    /// Where the files of a version are.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn model_version_download_uri(&self, name: &str, version: u64) -> Result<String> {
        let version = self.model_version(name, version)?;
        Ok(version.storage_location.or(version.source).unwrap_or_default())
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the tag is not one.
    pub fn set_model_version_tag(&self, name: &str, version: u64, tag: Tag) -> Result<()> {
        validate::tag(&tag, MODEL_TAG_CHARS_MAX)?;
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name, version)?;
            put_tag(tx.connection, "model_version_tags", "version", id, &tag)?;
            tx.event("model_version.tag", subject(&name), json!({"version": version, "key": tag.key}));
            Ok(())
        })
    }

    /// Deletes a tag of a version; without one nothing happens.
    ///
    /// # Errors
    /// `NotFound` when there is no such version.
    pub fn delete_model_version_tag(&self, name: &str, version: u64, key: &str) -> Result<()> {
        let (name, key) = (name.to_string(), key.to_string());
        self.write(move |tx| {
            let id = id(tx.connection, &name, version)?;
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM model_version_tags WHERE version = ?1 AND key = ?2")?
                .execute((id, &key))?;
            if gone > 0 {
                tx.event("model_version.untag", subject(&name), json!({"version": version, "key": key}));
            }
            Ok(())
        })
    }
}

fn create(tx: &mut Tx, new: &NewModelVersion) -> Result<ModelVersion> {
    let model = models::id(tx.connection, &new.name)?;
    let (mut storage, mut run_id) = (new.source.clone(), new.run_id.clone().filter(|id| !id.is_empty()));
    let mut model_id = new.model_id.clone().filter(|id| !id.is_empty());
    if let Some(path) = new.source.strip_prefix("models:/") {
        if path.starts_with("m-") {
            let logged = crate::models::find(tx.connection, path, false)?;
            storage = logged.artifact_location;
            run_id = run_id.or(logged.source_run_id);
            model_id = model_id.or(Some(logged.id));
        } else {
            let other = referred(tx.connection, path)?;
            storage = other.storage_location.or(other.source).unwrap_or_default();
        }
    }
    if run_id.is_none()
        && let Some(model_id) = &model_id
    {
        run_id = crate::models::find(tx.connection, model_id, false)?.source_run_id;
    }
    let version: i64 = tx
        .connection
        .prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE model = ?1")?
        .query_row([model], |row| row.get(0))?;
    let id = tx.connection.insert("INSERT INTO model_versions (model, version, created_ms, updated_ms, description, \"user\", stage, source,
                 storage_location, run_id, run_link, model_id, status)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, 'None', ?6, ?7, ?8, ?9, ?10, 'READY')", (
            model,
            version,
            tx.now_ms,
            &new.description,
            &new.user,
            &new.source,
            &storage,
            &run_id,
            &new.run_link,
            &model_id,
        ))?;
    for tag in &new.tags {
        put_tag(tx.connection, "model_version_tags", "version", id, tag)?;
    }
    touch(tx, model)?;
    let detail = json!({"version": version, "source": new.source, "run": run_id, "model": model_id});
    tx.event("model_version.create", subject(&new.name), detail);
    find(tx.connection, &new.name, version.cast_unsigned())
}

/// `NAME/VERSION` or `NAME@ALIAS` after `models:/`.
fn referred(connection: &Connection, path: &str) -> Result<ModelVersion> {
    let bad = || {
        let path = validate::clip(path);
        Error::invalid(format!(
            "'models:/{path}' is not models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID"
        ))
    };
    if let Some((name, alias)) = path.split_once('@') {
        let version: Option<i64> = connection
            .prepare_cached("SELECT version FROM model_aliases WHERE model = ?1 AND alias = ?2")?
            .query_row((models::id(connection, name)?, alias), |row| row.get(0))
            .optional()?;
        return find(connection, name, version.ok_or_else(bad)?.cast_unsigned());
    }
    let (name, version) = path.split_once('/').ok_or_else(bad)?;
    find(connection, name, version.parse().map_err(|_| bad())?)
}

/// The integer key of a version that is not deleted.
pub fn id(connection: &Connection, name: &str, version: u64) -> Result<i64> {
    let model = models::id(connection, name)?;
    connection
        .prepare_cached("SELECT id FROM model_versions WHERE model = ?1 AND version = ?2 AND deleted = 0")?
        .query_row((model, version.cast_signed()), |row| row.get(0))
        .optional()?
        .ok_or_else(|| missing(name, version))
}

fn missing(name: &str, version: u64) -> Error {
    Error::not_found(format!("the registered model '{}' has no version {version}", validate::clip(name)))
}

/// A version with its parts.
pub fn find(connection: &Connection, name: &str, version: u64) -> Result<ModelVersion> {
    models::id(connection, name)?;
    let (id, mut found) = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM model_versions v JOIN registered_models m ON m.id = v.model
             WHERE m.name = ?1 AND v.version = ?2 AND v.deleted = 0"
        ))?
        .query_row((name, version.cast_signed()), from_row)
        .optional()?
        .ok_or_else(|| missing(name, version))?;
    add_parts(connection, id, &mut found)?;
    Ok(found)
}

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "v.id, m.name, v.version, v.created_ms, v.updated_ms, v.description, v.\"user\", v.stage, \
     v.source, v.storage_location, v.run_id, v.run_link, v.model_id, v.status, v.status_message";

/// A version without its parts, and its integer key.
pub fn from_row(row: &Row<'_>) -> db::Result<(i64, ModelVersion)> {
    let version = ModelVersion {
        name: row.get(1)?,
        version: row.get::<i64>(2)?.cast_unsigned(),
        created_ms: row.get(3)?,
        updated_ms: row.get(4)?,
        description: row.get(5)?,
        user: row.get(6)?,
        stage: Stage::parse(row.get_ref(7)?.as_str().unwrap_or_default()).unwrap_or_default(),
        source: row.get(8)?,
        storage_location: row.get(9)?,
        run_id: row.get(10)?,
        run_link: row.get(11)?,
        model_id: row.get(12)?,
        status: VersionStatus::parse(row.get_ref(13)?.as_str().unwrap_or_default()).unwrap_or_default(),
        status_message: row.get(14)?,
        ..ModelVersion::default()
    };
    Ok((row.get(0)?, version))
}

/// Reads tags and aliases.
pub fn add_parts(connection: &Connection, id: i64, version: &mut ModelVersion) -> Result<()> {
    version.tags = tags(connection, "model_version_tags", "version", id)?;
    let mut aliases = connection.prepare_cached(
        "SELECT a.alias FROM model_aliases a JOIN model_versions v ON v.model = a.model AND v.version = a.version
         WHERE v.id = ?1 ORDER BY a.alias",
    )?;
    let aliases = aliases.query_map([id], |row| row.get(0))?;
    version.aliases = aliases.collect::<db::Result<_>>()?;
    Ok(())
}
