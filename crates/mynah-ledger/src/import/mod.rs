//! Taking over what MLflow has recorded: from its SQLite file or from a folder `mlruns`.
//!
//! The source is only read. Each run is one transaction, and a run that is here already is left as it is, so that
//! an import that was cut short is finished by starting it again. Run ids stay; experiments are matched by name.

mod database;
mod folder;
mod yaml;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::db::OptionalExtension;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::logging;
use crate::metrics::Sample;
use crate::runs::{self, RunRow};
use crate::store::writer::Tx;
use crate::types::{
    DatasetInput, Experiment, Lifecycle, LoggedModel, ModelVersion, Param, RegisteredModel, Run, RunStatus,
    Tag,
};
use crate::{models, validate};

/// Folders inside each other; deeper ones are a loop or an attack.
const DEPTH_MAX: usize = 32;
/// Remarks in one report.
const NOTES_MAX: usize = 100;

/// How to import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Take the files of artifacts that lie in local folders into the ledger. Without it, and for remote ones,
    /// runs keep the address that MLflow gave them.
    pub copy_artifacts: bool,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions { copy_artifacts: true }
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Experiments that were made.
    pub experiments: usize,
    /// Runs that were taken over.
    pub runs: usize,
    /// Runs that were here already.
    pub runs_present: usize,
    /// Points of metrics.
    pub points: usize,
    /// Logged models.
    pub logged_models: usize,
    /// Registered models that were made.
    pub registered_models: usize,
    /// Their versions.
    pub versions: usize,
    /// Files of artifacts.
    pub artifacts: usize,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// What could not be taken over, and why; at most 100.
    pub notes: Vec<String>,
}

impl ImportReport {
    fn note(&mut self, text: impl Into<String>) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(text.into());
        }
    }
}

/// A run as the source has it.
#[derive(Clone, Debug, Default)]
struct FoundRun {
    run: Run,
    params: Vec<Param>,
    tags: Vec<Tag>,
    series: Vec<(String, Vec<Sample>)>,
    inputs: Vec<DatasetInput>,
    model_inputs: Vec<String>,
    model_outputs: Vec<(String, i64)>,
}

/// What both kinds of source can tell. Ids of experiments are the source's own.
trait Source {
    fn experiments(&self, report: &mut ImportReport) -> Result<Vec<Experiment>>;
    fn run_ids(&self, experiment: &str) -> Result<Vec<String>>;
    fn run(&self, experiment: &str, run_id: &str, report: &mut ImportReport) -> Result<FoundRun>;
    fn logged_models(&self, report: &mut ImportReport) -> Result<Vec<LoggedModel>>;
    fn registry(&self, report: &mut ImportReport) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>>;
}

impl Ledger {
    /// Takes over an MLflow SQLite file or a folder `mlruns`.
    ///
    /// # Errors
    /// `NotFound` when there is nothing, `Invalid` when it is neither, `Storage` when it cannot be read. What was
    /// taken over before an error stays; starting again goes on.
    pub fn import_mlflow(&self, source: &Path, options: &ImportOptions) -> Result<ImportReport> {
        let opened: Box<dyn Source> = if source.is_dir() {
            Box::new(folder::Folder::open(source)?)
        } else {
            Box::new(database::Database::open(source)?)
        };
        let mut report = ImportReport::default();
        let experiments = self.import_experiments(&*opened, options, &mut report)?;
        for (theirs, ours) in &experiments {
            for run_id in opened.run_ids(theirs)? {
                if let Err(error) = validate::run_id(&run_id) {
                    report.note(error.to_string());
                    continue;
                }
                if self.read(|connection| runs::maybe_row(connection, &run_id))?.is_some() {
                    report.runs_present += 1;
                    continue;
                }
                let found = opened.run(theirs, &run_id, &mut report)?;
                self.import_run(found, *ours, options, &mut report)?;
            }
        }
        for model in opened.logged_models(&mut report)? {
            match experiments.get(&model.experiment_id) {
                Some(ours) => self.import_logged_model(model, *ours, options, &mut report)?,
                None => report.note(format!("the logged model {} belongs to no experiment", model.id)),
            }
        }
        for (model, versions) in opened.registry(&mut report)? {
            let (models, added) = self.write(move |tx| put_registered(tx, &model, &versions))?;
            report.registered_models += models;
            report.versions += added;
        }
        Ok(report)
    }

    fn import_experiments(
        &self,
        source: &dyn Source,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<HashMap<String, i64>> {
        let root = self.artifact_root()?.to_string();
        let mut numbers = HashMap::new();
        for experiment in source.experiments(report)? {
            let theirs = experiment.id.clone();
            // Files that move here leave no reason to write new ones there.
            let own_place = options.copy_artifacts && local_folder(&experiment.artifact_location).is_some();
            let root = own_place.then(|| root.clone());
            let (ours, is_new) = self.write(move |tx| put_experiment(tx, &experiment, root.as_deref()))?;
            report.experiments += usize::from(is_new);
            numbers.insert(theirs, ours);
        }
        Ok(numbers)
    }

    fn import_run(
        &self,
        mut found: FoundRun,
        experiment: i64,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<()> {
        let run_id = found.run.id.clone();
        let place = format!("{experiment}/{run_id}/artifacts");
        let files = self.import_files(&mut found.run.artifact_uri, &place, options, report)?;
        let points: usize = found.series.iter().map(|(_, samples)| samples.len()).sum();
        self.write(move |tx| put_run(tx, experiment, found, &files))?;
        report.runs += 1;
        report.points += points;
        Ok(())
    }

    fn import_logged_model(
        &self,
        mut model: LoggedModel,
        experiment: i64,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<()> {
        let id = model.id.clone();
        if self.read(|connection| Ok(models::find(connection, &id, true).is_ok()))? {
            return Ok(());
        }
        let place = format!("{experiment}/models/{id}/artifacts");
        let files = self.import_files(&mut model.artifact_location, &place, options, report)?;
        self.write(move |tx| put_logged_model(tx, experiment, &model, &files))?;
        report.logged_models += 1;
        Ok(())
    }

    /// Takes the files of a local folder in and changes the address to ours; gives path, digest and length.
    fn import_files(
        &self,
        uri: &mut String,
        place: &str,
        options: &ImportOptions,
        report: &mut ImportReport,
    ) -> Result<Vec<(String, String, u64)>> {
        let Some(folder) = local_folder(uri).filter(|_| options.copy_artifacts) else {
            return Ok(Vec::new());
        };
        let mut paths = Vec::new();
        walk(&folder, &mut String::new(), 0, &mut paths);
        let mut files = Vec::new();
        for path in paths {
            if let Err(error) = crate::artifacts::check_path(&path) {
                report.note(error.to_string());
                continue;
            }
            let from = folder.join(&path);
            let mut file = match File::open(&from) {
                Ok(file) => file,
                Err(error) => {
                    report.note(format!("the artifact {} cannot be read: {error}", from.display()));
                    continue;
                }
            };
            let (digest, size_bytes) = self.put_content(&mut file)?;
            report.artifacts += 1;
            report.artifact_bytes += size_bytes;
            files.push((path, digest, size_bytes));
        }
        *uri = format!("{}/{place}", self.artifact_root()?);
        Ok(files)
    }
}

/// The folder of a local address: a path or `file://…`.
fn local_folder(uri: &str) -> Option<PathBuf> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None if uri.contains(":/") => return None,
        None => uri,
    };
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// Paths of the regular files below a folder, with `/`; links are not followed.
fn walk(folder: &Path, prefix: &mut String, depth: usize, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
        let Some(name) = name.to_str() else { continue };
        let before = prefix.len();
        prefix.push_str(name);
        if kind.is_file() {
            paths.push(prefix.clone());
        } else if kind.is_dir() && depth < DEPTH_MAX {
            prefix.push('/');
            walk(&entry.path(), prefix, depth + 1, paths);
        }
        prefix.truncate(before);
    }
}

fn put_experiment(tx: &mut Tx, experiment: &Experiment, root: Option<&str>) -> Result<(i64, bool)> {
    let present: Option<i64> = tx
        .connection
        .prepare_cached("SELECT id FROM experiments WHERE name = ?1")?
        .query_row([&experiment.name], |row| row.get(0))
        .optional()?;
    let id = match present {
        Some(id) => id,
        None => tx.connection.insert(
            "INSERT INTO experiments (name, artifact_location, deleted, created_ms, updated_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                &experiment.name,
                &experiment.artifact_location,
                experiment.lifecycle == Lifecycle::Deleted,
                experiment.created_ms,
                experiment.updated_ms,
            ),
        )?,
    };
    if let (None, Some(root)) = (present, root) {
        tx.connection.execute(
            "UPDATE experiments SET artifact_location = ?2 WHERE id = ?1",
            (id, format!("{root}/{id}")),
        )?;
    }
    for tag in &experiment.tags {
        tx.connection
            .prepare_cached(
                "INSERT INTO experiment_tags (experiment, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((id, &tag.key, &tag.value))?;
    }
    if present.is_none() {
        let detail = json!({"name": experiment.name, "imported": true});
        tx.event("experiment.create", format!("experiment:{id}"), detail);
    }
    Ok((id, present.is_none()))
}

fn put_run(tx: &mut Tx, experiment: i64, found: FoundRun, files: &[(String, String, u64)]) -> Result<()> {
    let run = &found.run;
    if runs::maybe_row(tx.connection, &run.id)?.is_some() {
        return Err(Error::exists(format!("the run {} was made by somebody else meanwhile", run.id)));
    }
    let deleted = run.lifecycle == Lifecycle::Deleted;
    let id = tx.connection.insert(
        "INSERT INTO runs (run_id, experiment, name, \"user\", status, start_ms, end_ms, deleted, deleted_ms,
                 artifact_uri) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        (
            &run.id,
            experiment,
            &run.name,
            &run.user,
            run.status.as_str(),
            run.start_time_ms,
            run.end_time_ms,
            deleted,
            run.deleted_ms.filter(|_| deleted),
            &run.artifact_uri,
        ),
    )?;
    let row = RunRow { id, experiment, deleted };
    for tag in &found.tags {
        runs::put_tag(tx.connection, row.id, tag)?;
    }
    for param in &found.params {
        logging::put_param(tx.connection, row, &run.id, param)?;
    }
    for input in &found.inputs {
        logging::put_input(tx.connection, row, input)?;
    }
    for model_id in &found.model_inputs {
        tx.connection
            .prepare_cached(
                "INSERT INTO model_inputs (run, model_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute((row.id, model_id))?;
    }
    for (model_id, step) in &found.model_outputs {
        tx.connection
            .prepare_cached(
                "INSERT INTO model_outputs (run, model_id, step) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((row.id, model_id, step))?;
    }
    put_files(tx, &runs::subject(&run.id), files)?;
    let run_id = found.run.id;
    let detail = json!({"experiment": experiment, "name": found.run.name, "imported": true,
        "params": found.params.len(), "artifacts": files.len()});
    tx.event("run.create", runs::subject(&run_id), detail);
    if !found.series.is_empty() {
        logging::put_samples(tx, row, &run_id, found.series)?;
    }
    Ok(())
}

fn put_files(tx: &Tx, owner: &str, files: &[(String, String, u64)]) -> Result<()> {
    for (path, digest, size_bytes) in files {
        tx.connection
            .prepare_cached(
                "INSERT INTO artifacts (owner, path, digest, size_bytes, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (owner, path) DO UPDATE SET digest = excluded.digest,
                     size_bytes = excluded.size_bytes, created_ms = excluded.created_ms",
            )?
            .execute((owner, path, digest, size_bytes.cast_signed(), tx.now_ms))?;
    }
    Ok(())
}

fn put_logged_model(
    tx: &mut Tx,
    experiment: i64,
    model: &LoggedModel,
    files: &[(String, String, u64)],
) -> Result<()> {
    let key = tx.connection.insert("INSERT INTO logged_models (model_id, experiment, name, artifact_location, created_ms, updated_ms, status,
             status_message, deleted, model_type, source_run_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)", (
            &model.id,
            experiment,
            &model.name,
            &model.artifact_location,
            model.created_ms,
            model.updated_ms,
            models::number(model.status),
            &model.status_message,
            model.lifecycle == Lifecycle::Deleted,
            &model.model_type,
            &model.source_run_id,
        ))?;
    models::put_params(tx.connection, key, &model.id, &model.params)?;
    models::put_tags(tx.connection, key, &model.tags)?;
    for metric in &model.metrics {
        let point = crate::types::Metric {
            key: metric.key.clone(),
            value: metric.value,
            timestamp_ms: metric.timestamp_ms,
            step: metric.step,
            model_id: None,
            dataset_name: metric.dataset_name.clone(),
            dataset_digest: metric.dataset_digest.clone(),
        };
        models::put_metric(tx.connection, &model.id, &metric.run_id, &point)?;
    }
    put_files(tx, &format!("logged_model:{}", model.id), files)?;
    let detail = json!({"experiment": experiment, "name": model.name, "imported": true});
    tx.event("logged_model.create", format!("logged_model:{}", model.id), detail);
    Ok(())
}

/// Adds what is missing of a registered model; says how many models and versions that were.
fn put_registered(tx: &mut Tx, model: &RegisteredModel, versions: &[ModelVersion]) -> Result<(usize, usize)> {
    let made = tx.connection.execute(
        "INSERT INTO registered_models (name, created_ms, updated_ms, description) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        (&model.name, model.created_ms, model.updated_ms, &model.description),
    )?;
    let id: i64 = tx.connection.query_row(
        "SELECT id FROM registered_models WHERE name = ?1",
        [&model.name],
        |row| row.get(0),
    )?;
    let mut added = 0;
    for version in versions {
        let key = tx.connection.insert_new(
            "INSERT INTO model_versions (model, version, created_ms, updated_ms, description, \"user\", stage,
                 source, storage_location, run_id, run_link, model_id, status, status_message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING", (
                id,
                version.version.cast_signed(),
                version.created_ms,
                version.updated_ms,
                &version.description,
                &version.user,
                version.stage.as_str(),
                &version.source,
                &version.storage_location,
                &version.run_id,
                &version.run_link,
                &version.model_id,
                version.status.as_str(),
                &version.status_message,
            ))?;
        let Some(key) = key else { continue };
        for tag in &version.tags {
            tx.connection.execute(
                "INSERT INTO model_version_tags (version, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (version, key) DO UPDATE SET value = excluded.value",
                (key, &tag.key, &tag.value),
            )?;
        }
        added += 1;
    }
    for tag in &model.tags {
        tx.connection.execute(
            "INSERT INTO registered_model_tags (model, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (id, &tag.key, &tag.value),
        )?;
    }
    for alias in &model.aliases {
        tx.connection.execute(
            "INSERT INTO model_aliases (model, alias, version) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (id, &alias.alias, alias.version.cast_signed()),
        )?;
    }
    if made + added > 0 {
        tx.event(
            "model.create",
            format!("model:{}", model.name),
            json!({"imported": true, "versions": added}),
        );
    }
    Ok((made, added))
}

/// MLflow keeps ±∞ as the largest and smallest numbers, because some databases have no other.
fn value_of(value: f64, is_nan: bool) -> f64 {
    match value {
        _ if is_nan => f64::NAN,
        f64::MAX => f64::INFINITY,
        f64::MIN => f64::NEG_INFINITY,
        value => value,
    }
}

/// The status MLflow's files give as a number and its database as a word.
fn status_of(text: &str) -> RunStatus {
    let numbered =
        text.parse::<usize>().ok().and_then(|number| RunStatus::ALL.get(number.wrapping_sub(1)).copied());
    RunStatus::parse(text).or(numbered).unwrap_or(RunStatus::Finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_local_or_not() {
        let path = |uri: &str| local_folder(uri).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path("/data/x").as_deref(), Some("/data/x"));
        assert_eq!(path("file:///data/x").as_deref(), Some("/data/x"));
        assert_eq!(path("./mlruns/0").as_deref(), Some("./mlruns/0"));
        for remote in ["s3://b/x", "mlflow-artifacts:/0", "https://h/x", ""] {
            assert_eq!(path(remote), None, "{remote}");
        }
    }

    #[test]
    fn values_and_statuses_are_translated() {
        assert_eq!(value_of(f64::MAX, false), f64::INFINITY);
        assert_eq!(value_of(f64::MIN, false), f64::NEG_INFINITY);
        assert!(value_of(0.0, true).is_nan());
        assert_eq!(
            (status_of("3"), status_of("KILLED"), status_of("?")),
            (RunStatus::Finished, RunStatus::Killed, RunStatus::Finished)
        );
    }
}
