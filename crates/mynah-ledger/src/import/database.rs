//! MLflow's SQLite file, of any version: tables and columns that an older one lacks count as empty.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ToSql};

use super::{FoundRun, ImportReport, Source, status_of, value_of};
use crate::error::{Error, Result};
use crate::metrics::Sample;
use crate::types::{
    Dataset, DatasetInput, Experiment, Lifecycle, LoggedModel, LoggedModelStatus, ModelAlias, ModelMetric,
    ModelVersion, Param, RegisteredModel, Run, Stage, Tag, VersionStatus,
};

/// The open file.
pub struct Database(Connection);

impl Database {
    /// Opens it for reading only.
    pub fn open(path: &Path) -> Result<Database> {
        if !path.is_file() {
            return Err(Error::not_found(format!("there is nothing to import at {}", path.display())));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let not_mlflow = |why: &str| {
            let place = path.display();
            Error::invalid(format!(
                "{place} is not an MLflow database ({why}); give its .db file or a folder mlruns"
            ))
        };
        let found = has_table(&connection, "experiments").map_err(|_| not_mlflow("it is no SQLite file"))?;
        if !found
            || !has_table(&connection, "latest_metrics")?
            || !has_column(&connection, "runs", "run_uuid")?
        {
            return Err(not_mlflow("it lacks MLflow's tables"));
        }
        Ok(Database(connection))
    }

    /// Rows of a table: only of the columns that it has, the others give nothing.
    fn rows<T>(
        &self,
        table: &str,
        columns: &[&str],
        rest: &str,
        values: &[&dyn ToSql],
        mut read: impl FnMut(&Fields<'_, '_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if !has_table(&self.0, table)? {
            return Ok(Vec::new());
        }
        let mut list = String::new();
        for column in columns {
            let text = if has_column(&self.0, table, column)? { column } else { "NULL" };
            list.push_str(if list.is_empty() { "" } else { ", " });
            list.push_str(text);
        }
        let mut select = self.0.prepare_cached(&format!("SELECT {list} FROM {table} {rest}"))?;
        let mut rows = select.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(&Fields { row, columns })?);
        }
        Ok(found)
    }

    fn tags(&self, table: &str, rest: &str, values: &[&dyn ToSql]) -> Result<Vec<Tag>> {
        self.rows(table, &["key", "value"], rest, values, |row| {
            Ok(Tag::new(row.text("key"), row.text("value")))
        })
    }

    fn series(&self, run_id: &str) -> Result<Vec<(String, Vec<Sample>)>> {
        let mut series: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        let columns = ["key", "value", "timestamp", "step", "is_nan"];
        self.rows("metrics", &columns, "WHERE run_uuid = ?1", &[&run_id], |row| {
            let value = value_of(row.real("value").unwrap_or(f64::NAN), row.number("is_nan") == Some(1));
            let sample = Sample {
                step: row.number("step").unwrap_or_default(),
                timestamp_ms: row.number("timestamp").unwrap_or_default(),
                value,
            };
            series.entry(row.text("key")).or_default().push(sample);
            Ok(())
        })?;
        Ok(series.into_iter().collect())
    }

    fn inputs(&self, run_id: &str) -> Result<Vec<DatasetInput>> {
        let rest = "WHERE destination_type = 'RUN' AND source_type = 'DATASET' AND destination_id = ?1";
        let edges = self.rows("inputs", &["input_uuid", "source_id"], rest, &[&run_id], |row| {
            Ok((row.text("input_uuid"), row.text("source_id")))
        })?;
        let columns =
            ["name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile"];
        let mut inputs = Vec::new();
        for (edge, source) in edges {
            let datasets = self.rows("datasets", &columns, "WHERE dataset_uuid = ?1", &[&source], |row| {
                Ok(Dataset {
                    name: row.text("name"),
                    digest: row.text("digest"),
                    source_type: row.text("dataset_source_type"),
                    source: row.text("dataset_source"),
                    schema: row.filled("dataset_schema"),
                    profile: row.filled("dataset_profile"),
                })
            })?;
            let tags =
                self.rows("input_tags", &["name", "value"], "WHERE input_uuid = ?1", &[&edge], |row| {
                    Ok(Tag::new(row.text("name"), row.text("value")))
                })?;
            inputs.extend(datasets.into_iter().map(|dataset| DatasetInput { dataset, tags: tags.clone() }));
        }
        Ok(inputs)
    }

    fn versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        let columns = [
            "version",
            "creation_time",
            "last_updated_time",
            "description",
            "user_id",
            "current_stage",
            "source",
            "storage_location",
            "run_id",
            "run_link",
            "status",
            "status_message",
        ];
        let rest = "WHERE name = ?1 AND current_stage != 'Deleted_Internal' ORDER BY version";
        let mut versions = self.rows("model_versions", &columns, rest, &[&name], |row| {
            Ok(ModelVersion {
                name: name.to_string(),
                version: row.number("version").unwrap_or_default().cast_unsigned(),
                created_ms: row.number("creation_time").unwrap_or_default(),
                updated_ms: row
                    .number("last_updated_time")
                    .or(row.number("creation_time"))
                    .unwrap_or_default(),
                description: row.filled("description"),
                user: row.filled("user_id"),
                stage: Stage::parse(&row.text("current_stage")).unwrap_or_default(),
                source: row.filled("source"),
                storage_location: row.filled("storage_location"),
                run_id: row.filled("run_id"),
                run_link: row.filled("run_link"),
                status: VersionStatus::parse(&row.text("status")).unwrap_or_default(),
                status_message: row.filled("status_message"),
                ..ModelVersion::default()
            })
        })?;
        for version in &mut versions {
            let number = version.version.cast_signed();
            version.tags =
                self.tags("model_version_tags", "WHERE name = ?1 AND version = ?2", &[&name, &number])?;
        }
        Ok(versions)
    }
}

impl Source for Database {
    fn experiments(&self, _: &mut ImportReport) -> Result<Vec<Experiment>> {
        let columns = [
            "experiment_id",
            "name",
            "artifact_location",
            "lifecycle_stage",
            "creation_time",
            "last_update_time",
        ];
        let mut experiments = self.rows("experiments", &columns, "ORDER BY experiment_id", &[], |row| {
            Ok(Experiment {
                id: row.number("experiment_id").unwrap_or_default().to_string(),
                name: row.text("name"),
                artifact_location: row.text("artifact_location"),
                lifecycle: row.lifecycle(),
                created_ms: row.number("creation_time").unwrap_or_default(),
                updated_ms: row.number("last_update_time").unwrap_or_default(),
                tags: Vec::new(),
            })
        })?;
        for experiment in &mut experiments {
            let id: i64 = experiment.id.parse().unwrap_or_default();
            experiment.tags = self.tags("experiment_tags", "WHERE experiment_id = ?1", &[&id])?;
        }
        Ok(experiments)
    }

    fn run_ids(&self, experiment: &str) -> Result<Vec<String>> {
        let id: i64 = experiment.parse().unwrap_or(-1);
        let rest = "WHERE experiment_id = ?1 ORDER BY start_time, run_uuid";
        self.rows("runs", &["run_uuid"], rest, &[&id], |row| Ok(row.text("run_uuid")))
    }

    fn run(&self, _: &str, run_id: &str, _: &mut ImportReport) -> Result<FoundRun> {
        let columns = [
            "name",
            "user_id",
            "status",
            "start_time",
            "end_time",
            "lifecycle_stage",
            "deleted_time",
            "artifact_uri",
        ];
        let found = self.rows("runs", &columns, "WHERE run_uuid = ?1", &[&run_id], |row| {
            Ok(Run {
                id: run_id.to_string(),
                name: row.text("name"),
                user: row.text("user_id"),
                status: status_of(&row.text("status")),
                start_time_ms: row.number("start_time").unwrap_or_default(),
                end_time_ms: row.number("end_time"),
                lifecycle: row.lifecycle(),
                deleted_ms: row.number("deleted_time"),
                artifact_uri: row.text("artifact_uri"),
                ..Run::default()
            })
        })?;
        let run =
            found.into_iter().next().ok_or_else(|| Error::storage(format!("the run {run_id} vanished")))?;
        let of_run = "WHERE run_uuid = ?1";
        let params = self.tags("params", of_run, &[&run_id])?;
        let outputs = "WHERE source_type = 'RUN_OUTPUT' AND source_id = ?1";
        let inputs = "WHERE source_type = 'RUN_INPUT' AND source_id = ?1";
        let edge =
            |row: &Fields<'_, '_>| Ok((row.text("destination_id"), row.number("step").unwrap_or_default()));
        let model_inputs = self.rows("inputs", &["destination_id", "step"], inputs, &[&run_id], edge)?;
        Ok(FoundRun {
            run,
            params: params.into_iter().map(|pair| Param { key: pair.key, value: pair.value }).collect(),
            tags: self.tags("tags", of_run, &[&run_id])?,
            series: self.series(run_id)?,
            inputs: self.inputs(run_id)?,
            model_inputs: model_inputs.into_iter().map(|(id, _)| id).collect(),
            model_outputs: self.rows("inputs", &["destination_id", "step"], outputs, &[&run_id], edge)?,
        })
    }

    fn logged_models(&self, _: &mut ImportReport) -> Result<Vec<LoggedModel>> {
        let columns = [
            "model_id",
            "experiment_id",
            "name",
            "artifact_location",
            "creation_timestamp_ms",
            "last_updated_timestamp_ms",
            "status",
            "lifecycle_stage",
            "model_type",
            "source_run_id",
            "status_message",
        ];
        let mut models =
            self.rows("logged_models", &columns, "ORDER BY creation_timestamp_ms, model_id", &[], |row| {
                let status = usize::try_from(row.number("status").unwrap_or_default()).unwrap_or_default();
                Ok(LoggedModel {
                    id: row.text("model_id"),
                    experiment_id: row.number("experiment_id").unwrap_or_default().to_string(),
                    name: row.text("name"),
                    artifact_location: row.text("artifact_location"),
                    created_ms: row.number("creation_timestamp_ms").unwrap_or_default(),
                    updated_ms: row.number("last_updated_timestamp_ms").unwrap_or_default(),
                    status: LoggedModelStatus::ALL.get(status).copied().unwrap_or_default(),
                    status_message: row.filled("status_message"),
                    lifecycle: row.lifecycle(),
                    model_type: row.filled("model_type"),
                    source_run_id: row.filled("source_run_id"),
                    ..LoggedModel::default()
                })
            })?;
        let of_model = "WHERE model_id = ?1";
        for model in &mut models {
            let pair = ["param_key", "param_value"];
            model.params = self.rows("logged_model_params", &pair, of_model, &[&model.id], |row| {
                Ok(Param::new(row.text("param_key"), row.text("param_value")))
            })?;
            model.tags =
                self.rows("logged_model_tags", &["tag_key", "tag_value"], of_model, &[&model.id], |row| {
                    Ok(Tag::new(row.text("tag_key"), row.text("tag_value")))
                })?;
            let columns = [
                "metric_name",
                "metric_value",
                "metric_timestamp_ms",
                "metric_step",
                "run_id",
                "dataset_name",
                "dataset_digest",
            ];
            model.metrics = self.rows("logged_model_metrics", &columns, of_model, &[&model.id], |row| {
                Ok(ModelMetric {
                    key: row.text("metric_name"),
                    value: value_of(row.real("metric_value").unwrap_or(f64::NAN), false),
                    timestamp_ms: row.number("metric_timestamp_ms").unwrap_or_default(),
                    step: row.number("metric_step").unwrap_or_default(),
                    run_id: row.text("run_id"),
                    dataset_name: row.filled("dataset_name"),
                    dataset_digest: row.filled("dataset_digest"),
                })
            })?;
        }
        Ok(models)
    }

    fn registry(&self, _: &mut ImportReport) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>> {
        let columns = ["name", "creation_time", "last_updated_time", "description"];
        let models = self.rows("registered_models", &columns, "ORDER BY name", &[], |row| {
            Ok(RegisteredModel {
                name: row.text("name"),
                created_ms: row.number("creation_time").unwrap_or_default(),
                updated_ms: row
                    .number("last_updated_time")
                    .or(row.number("creation_time"))
                    .unwrap_or_default(),
                description: row.filled("description"),
                ..RegisteredModel::default()
            })
        })?;
        let mut found = Vec::new();
        for mut model in models {
            let of_model = "WHERE name = ?1";
            model.tags = self.tags("registered_model_tags", of_model, &[&model.name])?;
            let columns = ["alias", "version"];
            model.aliases =
                self.rows("registered_model_aliases", &columns, of_model, &[&model.name], |row| {
                    let version = row.number("version").unwrap_or_default().cast_unsigned();
                    Ok(ModelAlias { alias: row.text("alias"), version })
                })?;
            let versions = self.versions(&model.name)?;
            found.push((model, versions));
        }
        Ok(found)
    }
}

/// A row whose columns are asked for by name; a value of another type counts as absent.
struct Fields<'r, 'c> {
    row: &'r Row<'r>,
    columns: &'c [&'c str],
}

impl Fields<'_, '_> {
    fn value<T: FromSql>(&self, column: &str) -> Option<T> {
        let index = self.columns.iter().position(|name| *name == column)?;
        self.row.get(index).ok()
    }

    fn text(&self, column: &str) -> String {
        self.filled(column).unwrap_or_default()
    }

    fn filled(&self, column: &str) -> Option<String> {
        let index = self.columns.iter().position(|name| *name == column)?;
        match self.row.get_ref(index).ok()? {
            ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Null | ValueRef::Blob(_) => None,
        }
        .filter(|text| !text.is_empty())
    }

    fn number(&self, column: &str) -> Option<i64> {
        self.value(column)
    }

    fn real(&self, column: &str) -> Option<f64> {
        self.value(column)
    }

    fn lifecycle(&self) -> Lifecycle {
        if self.text("lifecycle_stage") == "deleted" { Lifecycle::Deleted } else { Lifecycle::Active }
    }
}

/// Whether a table has a column; both names are ours.
fn has_column(connection: &Connection, table: &str, column: &str) -> Result<bool> {
    let mut select = connection.prepare_cached("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?;
    Ok(select.exists([table, column])?)
}

/// Whether a table is there.
fn has_table(connection: &Connection, table: &str) -> Result<bool> {
    Ok(connection
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [table], |_| Ok(()))
        .optional()?
        .is_some())
}
