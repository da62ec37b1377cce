//! Logged models: what MLflow 3 logs before anything is registered.

use serde_json::json;

use crate::db::{self, Connection, OptionalExtension, Row};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::types::{
    Lifecycle, LoggedModel, LoggedModelStatus, Metric, ModelMetric, NewLoggedModel, Param, Tag,
};
use crate::{experiments, ids, validate};

/// Params or tags in one call.
const PAIRS_MAX: usize = 1_000;

impl Ledger {
    /// Makes a logged model; its status is pending.
    ///
    /// # Errors
    /// `NotFound` when there is no such experiment; `Invalid` when it is deleted or a name, tag or param is bad.
    pub fn create_logged_model(&self, new: NewLoggedModel) -> Result<LoggedModel> {
        let experiment = validate::experiment_id(&new.experiment_id)?;
        let name = match &new.name {
            Some(name) => {
                validate::logged_model_name(name)?;
                name.clone()
            }
            None => ids::random_name()?,
        };
        check_pairs(&new.params, &new.tags)?;
        validate::length("a model type", new.model_type.as_deref().unwrap_or(""), 500)?;
        validate::length("a source run", new.source_run_id.as_deref().unwrap_or(""), 36)?;
        let id = format!("m-{}", ids::random_hex()?);
        self.write(move |tx| {
            let place = experiments::active(tx.connection, experiment)?.artifact_location;
            let key = tx.connection.insert("INSERT INTO logged_models (model_id, experiment, name, artifact_location, created_ms, updated_ms,
                         status, model_type, source_run_id) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)", (
                    &id,
                    experiment,
                    &name,
                    format!("{}/models/{id}/artifacts", place.trim_end_matches('/')),
                    tx.now_ms,
                    number(LoggedModelStatus::Pending),
                    &new.model_type,
                    &new.source_run_id,
                ))?;
            put_params(tx.connection, key, &id, &new.params)?;
            put_tags(tx.connection, key, &new.tags)?;
            let detail = json!({"experiment": experiment, "name": name, "source_run": new.source_run_id});
            tx.event("logged_model.create", subject(&id), detail);
            find(tx.connection, &id, false)
        })
    }

    /// A logged model.
    ///
    /// # Errors
    /// `NotFound`, also when it is deleted.
    pub fn logged_model(&self, id: &str) -> Result<LoggedModel> {
        self.read(|connection| find(connection, id, false))
    }

    /// Deletes a logged model.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_logged_model(&self, id: &str) -> Result<()> {
        let id = id.to_string();
        self.write(move |tx| {
            let key = key(tx.connection, &id)?;
            tx.connection
                .prepare_cached("UPDATE logged_models SET deleted = 1, updated_ms = ?2 WHERE id = ?1")?
                .execute((key, tx.now_ms))?;
            tx.event("logged_model.delete", subject(&id), json!({}));
            Ok(())
        })
    }

    /// Says that a logged model is complete, or failed.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn finalize_logged_model(&self, id: &str, status: LoggedModelStatus) -> Result<LoggedModel> {
        let id = id.to_string();
        self.write(move |tx| {
            let key = key(tx.connection, &id)?;
            tx.connection
                .prepare_cached("UPDATE logged_models SET status = ?2, updated_ms = ?3 WHERE id = ?1")?
                .execute((key, number(status), tx.now_ms))?;
            tx.event("logged_model.finalize", subject(&id), json!({"status": status.as_str()}));
            find(tx.connection, &id, true)
        })
    }

    /// Sets tags of a logged model; the last of a key wins.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when a tag is not one.
    pub fn set_logged_model_tags(&self, id: &str, tags: Vec<Tag>) -> Result<()> {
        check_pairs(&[], &tags)?;
        let id = id.to_string();
        self.write(move |tx| {
            put_tags(tx.connection, key(tx.connection, &id)?, &tags)?;
            let keys: Vec<&str> = tags.iter().map(|tag| tag.key.as_str()).collect();
            tx.event("logged_model.tag", subject(&id), json!({"keys": keys}));
            Ok(())
        })
    }

    /// Deletes a tag of a logged model.
    ///
    /// # Errors
    /// `NotFound` when there is no such model or tag.
    pub fn delete_logged_model_tag(&self, id: &str, tag: &str) -> Result<()> {
        let (id, tag) = (id.to_string(), tag.to_string());
        self.write(move |tx| {
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM logged_model_tags WHERE model = ?1 AND key = ?2")?
                .execute((key(tx.connection, &id)?, &tag))?;
            if gone == 0 {
                let tag = validate::clip(&tag);
                return Err(Error::not_found(format!("the logged model {id} has no tag '{tag}'")));
            }
            tx.event("logged_model.untag", subject(&id), json!({"key": tag}));
            Ok(())
        })
    }

    /// Records params of a logged model, each once.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when a param is not one or has another value already.
    pub fn log_logged_model_params(&self, id: &str, params: Vec<Param>) -> Result<()> {
        check_pairs(&params, &[])?;
        let id = id.to_string();
        self.write(move |tx| {
            put_params(tx.connection, key(tx.connection, &id)?, &id, &params)?;
            let keys: Vec<&str> = params.iter().map(|param| param.key.as_str()).collect();
            tx.event("logged_model.params", subject(&id), json!({"keys": keys}));
            Ok(())
        })
    }
}

fn check_pairs(params: &[Param], tags: &[Tag]) -> Result<()> {
    if params.len().max(tags.len()) > PAIRS_MAX {
        return Err(Error::invalid(format!("one call may have {PAIRS_MAX} params or tags; split it")));
    }
    params.iter().try_for_each(validate::param)?;
    tags.iter().try_for_each(|tag| validate::tag(tag, validate::TAG_CHARS_MAX))
}

/// `logged_model:ID` in the audit log.
fn subject(id: &str) -> String {
    format!("logged_model:{id}")
}

/// The number MLflow gives a status.
pub fn number(status: LoggedModelStatus) -> i64 {
    LoggedModelStatus::ALL.iter().position(|one| *one == status).unwrap_or_default() as i64
}

/// The integer key of a logged model, deleted or not.
fn key(connection: &Connection, id: &str) -> Result<i64> {
    connection
        .prepare_cached("SELECT id FROM logged_models WHERE model_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Error {
    Error::not_found(format!("there is no logged model '{}'", validate::clip(id)))
}

/// Records params, each once.
pub fn put_params(connection: &Connection, model: i64, id: &str, params: &[Param]) -> Result<()> {
    for param in params {
        connection
            .prepare_cached(
                "INSERT INTO logged_model_params (model, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((model, &param.key, &param.value))?;
        let kept: String = connection
            .prepare_cached("SELECT value FROM logged_model_params WHERE model = ?1 AND key = ?2")?
            .query_row((model, &param.key), |row| row.get(0))?;
        if kept != param.value {
            return Err(Error::invalid(format!(
                "the param '{}' of the logged model {id} is '{}' and cannot become '{}'; params are written once",
                param.key,
                validate::clip(&kept),
                validate::clip(&param.value)
            )));
        }
    }
    Ok(())
}

/// Sets tags.
pub fn put_tags(connection: &Connection, model: i64, tags: &[Tag]) -> Result<()> {
    for tag in tags {
        connection
            .prepare_cached(
                "INSERT INTO logged_model_tags (model, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, key) DO UPDATE SET value = excluded.value",
            )?
            .execute((model, &tag.key, &tag.value))?;
    }
    Ok(())
}

/// Records a metric that a run measured on a logged model; the same again is once.
pub fn put_metric(connection: &Connection, model_id: &str, run_id: &str, metric: &Metric) -> Result<()> {
    let model = key(connection, model_id)?;
    connection
        .prepare_cached(
            "INSERT INTO logged_model_metrics
                 (model, run_id, key, value, timestamp_ms, step, dataset_name, dataset_digest)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (
                 SELECT 1 FROM logged_model_metrics WHERE model = ?1 AND key = ?3 AND timestamp_ms = ?5 AND step = ?6
                     AND run_id = ?2 AND value IS NOT DISTINCT FROM ?4 AND dataset_name IS NOT DISTINCT FROM ?7
                     AND dataset_digest IS NOT DISTINCT FROM ?8)",
        )?
        .execute((
            model,
            run_id,
            &metric.key,
            metric.value,
            metric.timestamp_ms,
            metric.step,
            &metric.dataset_name,
            &metric.dataset_digest,
        ))?;
    Ok(())
}

/// A logged model with all it has.
pub fn find(connection: &Connection, id: &str, also_deleted: bool) -> Result<LoggedModel> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM logged_models m WHERE m.model_id = ?1"))?
        .query_row([id], from_row)
        .optional()?
        .filter(|(_, model)| also_deleted || model.lifecycle == Lifecycle::Active);
    let (key, mut model) = found.ok_or_else(|| missing(id))?;
    add_parts(connection, key, &mut model)?;
    Ok(model)
}

/// What [`from_row`] reads, in its order.
pub const COLUMNS: &str = "m.id, m.model_id, m.experiment, m.name, m.artifact_location, m.created_ms, m.updated_ms, \
     m.status, m.status_message, m.deleted, m.model_type, m.source_run_id";

/// A logged model without its parts, and its integer key.
pub fn from_row(row: &Row<'_>) -> db::Result<(i64, LoggedModel)> {
    let status = usize::try_from(row.get::<i64>(7)?).unwrap_or_default();
    let model = LoggedModel {
        id: row.get(1)?,
        experiment_id: row.get::<i64>(2)?.to_string(),
        name: row.get(3)?,
        artifact_location: row.get(4)?,
        created_ms: row.get(5)?,
        updated_ms: row.get(6)?,
        status: LoggedModelStatus::ALL.get(status).copied().unwrap_or(LoggedModelStatus::Unspecified),
        status_message: row.get(8)?,
        lifecycle: if row.get(9)? { Lifecycle::Deleted } else { Lifecycle::Active },
        model_type: row.get(10)?,
        source_run_id: row.get(11)?,
        ..LoggedModel::default()
    };
    Ok((row.get(0)?, model))
}

/// Reads tags, params and metrics.
pub fn add_parts(connection: &Connection, key: i64, model: &mut LoggedModel) -> Result<()> {
    let mut tags = connection
        .prepare_cached("SELECT key, value FROM logged_model_tags WHERE model = ?1 ORDER BY key")?;
    let tags = tags.query_map([key], |row| Ok(Tag { key: row.get(0)?, value: row.get(1)? }))?;
    model.tags = tags.collect::<db::Result<_>>()?;
    let mut params = connection
        .prepare_cached("SELECT key, value FROM logged_model_params WHERE model = ?1 ORDER BY key")?;
    let params = params.query_map([key], |row| Ok(Param { key: row.get(0)?, value: row.get(1)? }))?;
    model.params = params.collect::<db::Result<_>>()?;
    let mut metrics = connection.prepare_cached(
        "SELECT key, value, timestamp_ms, step, run_id, dataset_name, dataset_digest
         FROM logged_model_metrics WHERE model = ?1 ORDER BY id",
    )?;
    let metrics = metrics.query_map([key], |row| {
        Ok(ModelMetric {
            key: row.get(0)?,
            value: row.get::<Option<f64>>(1)?.unwrap_or(f64::NAN),
            timestamp_ms: row.get(2)?,
            step: row.get(3)?,
            run_id: row.get(4)?,
            dataset_name: row.get(5)?,
            dataset_digest: row.get(6)?,
        })
    })?;
    model.metrics = metrics.collect::<db::Result<_>>()?;
    Ok(())
}
