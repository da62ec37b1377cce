//! Registered models: made, renamed, described, deleted.

use serde_json::json;

use super::{put_tag, subject, tags, touch, versions};
use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::types::{ModelAlias, ModelVersion, RegisteredModel, Stage, Tag};
use crate::validate::{self, MODEL_TAG_CHARS_MAX};

impl Ledger {
    /// Makes a name for model versions.
    ///
    /// # Errors
    /// `AlreadyExists` when it is taken; `Invalid` when it is not a name or a tag is not one.
    pub fn create_registered_model(
        &self,
        name: &str,
        tags: Vec<Tag>,
        description: Option<String>,
    ) -> Result<RegisteredModel> {
        validate::model_name(name)?;
        validate::description(description.as_deref())?;
        tags.iter().try_for_each(|tag| validate::tag(tag, MODEL_TAG_CHARS_MAX))?;
        let name = name.to_string();
        self.write(move |tx| {
            check_is_free(tx.connection, &name)?;
            let id = tx.connection.insert("INSERT INTO registered_models (name, created_ms, updated_ms, description) VALUES (?1, ?2, ?2, ?3)", (&name, tx.now_ms, &description))?;
            for tag in &tags {
                put_tag(tx.connection, "registered_model_tags", "model", id, tag)?;
            }
            tx.event("model.create", subject(&name), json!({}));
            find(tx.connection, &name)
        })
    }

    /// A registered model with its tags, aliases and latest versions.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when it is not a name.
    pub fn registered_model(&self, name: &str) -> Result<RegisteredModel> {
        validate::model_name(name)?;
        self.read(|connection| find(connection, name))
    }

    /// Renames a registered model with all its versions.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` when the new name is taken; `Invalid` when it is not a name.
    pub fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel> {
        validate::model_name(new_name)?;
        let (name, new_name) = (name.to_string(), new_name.to_string());
        self.write(move |tx| {
            let id = id(tx.connection, &name)?;
            if name != new_name {
                check_is_free(tx.connection, &new_name)?;
            }
            tx.connection
                .prepare_cached("UPDATE registered_models SET name = ?2, updated_ms = ?3 WHERE id = ?1")?
                .execute((id, &new_name, tx.now_ms))?;
            tx.connection
                .prepare_cached("UPDATE model_versions SET updated_ms = ?2 WHERE model = ?1")?
                .execute((id, tx.now_ms))?;
            tx.event("model.rename", subject(&name), json!({"to": new_name}));
            find(tx.connection, &new_name)
        })
    }

    /// Describes a registered model; `None` takes the description away.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the description is too long.
    pub fn update_registered_model(
        &self,
        name: &str,
        description: Option<String>,
    ) -> Result<RegisteredModel> {
        validate::description(description.as_deref())?;
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name)?;
            tx.connection
                .prepare_cached(
                    "UPDATE registered_models SET description = ?2, updated_ms = ?3 WHERE id = ?1",
                )?
                .execute((id, &description, tx.now_ms))?;
            tx.event("model.update", subject(&name), json!({"description": description}));
            find(tx.connection, &name)
        })
    }

    /// Deletes a registered model with all its versions, for good; the audit log remembers it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_registered_model(&self, name: &str) -> Result<()> {
        let name = name.to_string();
        self.write(move |tx| {
            let id = id(tx.connection, &name)?;
            let versions: i64 = tx
                .connection
                .prepare_cached("SELECT count(*) FROM model_versions WHERE model = ?1 AND deleted = 0")?
                .query_row([id], |row| row.get(0))?;
            tx.connection.prepare_cached("DELETE FROM registered_models WHERE id = ?1")?.execute([id])?;
            tx.event("model.delete", subject(&name), json!({"versions": versions}));
            Ok(())
        })
    }

    /// Sets a tag of a registered model.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the tag is not one.
    pub fn set_registered_model_tag(&self, name: &str, tag: Tag) -> Result<()> {
        validate::tag(&tag, MODEL_TAG_CHARS_MAX)?;
        let name = name.to_string();
        self.write(move |tx| {
            put_tag(tx.connection, "registered_model_tags", "model", id(tx.connection, &name)?, &tag)?;
            tx.event("model.tag", subject(&name), json!({"key": tag.key}));
            Ok(())
        })
    }

    /// Deletes a tag of a registered model; without one nothing happens.
    ///
    /// # Errors
    /// `NotFound` when there is no such model.
    pub fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<()> {
        let (name, key) = (name.to_string(), key.to_string());
        self.write(move |tx| {
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM registered_model_tags WHERE model = ?1 AND key = ?2")?
                .execute((id(tx.connection, &name)?, &key))?;
            if gone > 0 {
                tx.event("model.untag", subject(&name), json!({"key": key}));
            }
            Ok(())
        })
    }

    /// Points an alias to a version; it leaves the one it pointed to before.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Invalid` when the alias is not one or reserved.
    pub fn set_model_alias(&self, name: &str, alias: &str, version: u64) -> Result<()> {
        validate::alias(alias)?;
        let (name, alias) = (name.to_string(), alias.to_string());
        self.write(move |tx| {
            let model = id(tx.connection, &name)?;
            versions::id(tx.connection, &name, version)?;
            tx.connection
                .prepare_cached(
                    "INSERT INTO model_aliases (model, alias, version) VALUES (?1, ?2, ?3)
                     ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
                )?
                .execute((model, &alias, version.cast_signed()))?;
            touch(tx, model)?;
            tx.event("model.alias", subject(&name), json!({"alias": alias, "version": version}));
            Ok(())
        })
    }

    /// Deletes an alias; without one nothing happens.
    ///
    /// # Errors
    /// `NotFound` when there is no such model.
    pub fn delete_model_alias(&self, name: &str, alias: &str) -> Result<()> {
        let (name, alias) = (name.to_string(), alias.to_string());
        self.write(move |tx| {
            let model = id(tx.connection, &name)?;
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM model_aliases WHERE model = ?1 AND alias = ?2")?
                .execute((model, &alias))?;
            if gone > 0 {
                touch(tx, model)?;
                tx.event("model.unalias", subject(&name), json!({"alias": alias}));
            }
            Ok(())
        })
    }

    /// The version an alias points to.
    ///
    /// # Errors
    /// `NotFound` when there is no such model or alias.
    pub fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion> {
        self.read(|connection| {
            let version: Option<i64> = connection
                .prepare_cached("SELECT version FROM model_aliases WHERE model = ?1 AND alias = ?2")?
                .query_row((id(connection, name)?, alias), |row| row.get(0))
                .optional()?;
            let missing = || {
                let alias = validate::clip(alias);
                Error::not_found(format!("the model '{name}' has no alias '{alias}'"))
            };
            versions::find(connection, name, version.ok_or_else(missing)?.cast_unsigned())
        })
    }

    /// The newest version of each of these stages; of all stages when none is given.
    ///
    /// # Errors
    /// `NotFound` when there is no such model.
    pub fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>> {
        let latest = self.registered_model(name)?.latest_versions;
        Ok(latest
            .into_iter()
            .filter(|version| stages.is_empty() || stages.contains(&version.stage))
            .collect())
    }
}

fn check_is_free(connection: &Connection, name: &str) -> Result<()> {
    match maybe_id(connection, name)? {
        Some(_) => {
            Err(Error::exists(format!("the registered model '{}' already exists", validate::clip(name))))
        }
        None => Ok(()),
    }
}

fn maybe_id(connection: &Connection, name: &str) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM registered_models WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// The integer key of a registered model.
pub fn id(connection: &Connection, name: &str) -> Result<i64> {
    let missing = || Error::not_found(format!("there is no registered model '{}'", validate::clip(name)));
    maybe_id(connection, name)?.ok_or_else(missing)
}

fn find(connection: &Connection, name: &str) -> Result<RegisteredModel> {
    let (id, mut model) = connection
        .prepare_cached(
            "SELECT id, name, created_ms, updated_ms, description FROM registered_models WHERE name = ?1",
        )?
        .query_row([name], from_row)
        .optional()?
        .ok_or_else(|| {
            Error::not_found(format!("there is no registered model '{}'", validate::clip(name)))
        })?;
    add_parts(connection, id, &mut model)?;
    Ok(model)
}

/// `id, name, created_ms, updated_ms, description` to a model without its parts.
pub fn from_row(row: &Row<'_>) -> db::Result<(i64, RegisteredModel)> {
    let model = RegisteredModel {
        name: row.get(1)?,
        created_ms: row.get(2)?,
        updated_ms: row.get(3)?,
        description: row.get(4)?,
        ..RegisteredModel::default()
    };
    Ok((row.get(0)?, model))
}

/// Reads tags, aliases and the latest versions.
pub fn add_parts(connection: &Connection, id: i64, model: &mut RegisteredModel) -> Result<()> {
    model.tags = tags(connection, "registered_model_tags", "model", id)?;
    let mut aliases = connection
        .prepare_cached("SELECT alias, version FROM model_aliases WHERE model = ?1 ORDER BY alias")?;
    let aliases = aliases.query_map([id], |row| {
        Ok(ModelAlias { alias: row.get(0)?, version: row.get::<i64>(1)?.cast_unsigned() })
    })?;
    model.aliases = aliases.collect::<db::Result<_>>()?;
    let mut latest = connection.prepare_cached(
        "SELECT max(version) FROM model_versions WHERE model = ?1 AND deleted = 0 GROUP BY stage ORDER BY 1",
    )?;
    let latest = latest.query_map([id], |row| row.get::<i64>(0))?;
    for version in latest {
        model.latest_versions.push(versions::find(connection, &model.name, version?.cast_unsigned())?);
    }
    Ok(())
}
