//! Recording in a run: metrics, params, tags, datasets and models, each call all or nothing.

use std::collections::BTreeMap;

use serde_json::json;

use crate::db::{Connection, OptionalExtension};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::metrics::{Sample, store};
use crate::runs::{self, NAME_TAG, RunRow, subject};
use crate::store::writer::Tx;
use crate::types::{Batch, DatasetInput, DatasetSummary, Metric, ModelOutput, Param, Tag};
use crate::{ids, models, validate};

/// The tag of a dataset input that says what it was for.
pub const CONTEXT_TAG: &str = "mlflow.data.context";

impl Ledger {
    /// Records metrics, params and tags: all of them or, on an error, none.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Invalid` when it is deleted, when something is too long, too many or
    /// badly named, or when a param already has another value.
    pub fn log_batch(&self, run_id: &str, batch: Batch) -> Result<()> {
        validate::batch(&batch)?;
        let run_id = run_id.to_string();
        self.write(move |tx| log(tx, &run_id, &batch))
    }

    /// Records one point. Repeating a call changes nothing.
    ///
    /// # Errors
    /// As [`Ledger::log_batch`].
    pub fn log_metric(&self, run_id: &str, metric: Metric) -> Result<()> {
        self.log_batch(run_id, Batch { metrics: vec![metric], ..Batch::default() })
    }

    /// Records one param. The same value again is fine.
    ///
    /// # Errors
    /// As [`Ledger::log_batch`].
    pub fn log_param(&self, run_id: &str, param: Param) -> Result<()> {
        self.log_batch(run_id, Batch { params: vec![param], ..Batch::default() })
    }

    /// Sets one tag; `mlflow.runName` renames the run.
    ///
    /// # Errors
    /// As [`Ledger::log_batch`].
    pub fn set_tag(&self, run_id: &str, tag: Tag) -> Result<()> {
        self.log_batch(run_id, Batch { tags: vec![tag], ..Batch::default() })
    }

    /// Deletes one tag.
    ///
    /// # Errors
    /// `NotFound` when there is no such run or tag; `Invalid` when the run is deleted.
    pub fn delete_tag(&self, run_id: &str, key: &str) -> Result<()> {
        let (run_id, key) = (run_id.to_string(), key.to_string());
        self.write(move |tx| {
            let run = runs::active(tx.connection, &run_id)?;
            let gone = tx
                .connection
                .prepare_cached("DELETE FROM tags WHERE run = ?1 AND key = ?2")?
                .execute((run.id, &key))?;
            if gone == 0 {
                return Err(Error::not_found(format!(
                    "the run {run_id} has no tag '{}'",
                    validate::clip(&key)
                )));
            }
            tx.event("run.untag", subject(&run_id), json!({"key": key}));
            Ok(())
        })
    }

    /// Says which datasets and logged models went into a run. The same dataset twice is once.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Invalid` when it is deleted or a dataset is not one.
    pub fn log_inputs(
        &self,
        run_id: &str,
        datasets: Vec<DatasetInput>,
        model_ids: Vec<String>,
    ) -> Result<()> {
        validate::datasets(&datasets)?;
        model_ids.iter().try_for_each(|id| validate::name("a logged model", id))?;
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let run = runs::active(tx.connection, &run_id)?;
            for input in &datasets {
                put_input(tx.connection, run, input)?;
            }
            for model_id in &model_ids {
                tx.connection
                    .prepare_cached(
                        "INSERT INTO model_inputs (run, model_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute((run.id, model_id))?;
            }
            let names: Vec<_> =
                datasets.iter().map(|input| json!([input.dataset.name, input.dataset.digest])).collect();
            tx.event("run.inputs", subject(&run_id), json!({"datasets": names, "models": model_ids}));
            Ok(())
        })
    }

    /// Says which logged models came out of a run.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Invalid` when it is deleted.
    pub fn log_outputs(&self, run_id: &str, models: Vec<ModelOutput>) -> Result<()> {
        models.iter().try_for_each(|output| validate::name("a logged model", &output.model_id))?;
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let run = runs::active(tx.connection, &run_id)?;
            for output in &models {
                tx.connection
                    .prepare_cached(
                        "INSERT INTO model_outputs (run, model_id, step) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    )?
                    .execute((run.id, &output.model_id, output.step))?;
            }
            let names: Vec<_> = models.iter().map(|output| json!([output.model_id, output.step])).collect();
            tx.event("run.outputs", subject(&run_id), json!({"models": names}));
            Ok(())
        })
    }

    /// Datasets that runs of these experiments used, at most 1,000.
    ///
    /// # Errors
    /// `Invalid` for an id that is not a number.
    pub fn datasets(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>> {
        const SUMMARIES_MAX: i64 = 1_000;
        let ids = validate::experiment_ids(experiment_ids)?;
        self.read(|connection| {
            let mut found = Vec::new();
            for id in ids {
                let mut select = connection.prepare_cached(
                    "SELECT DISTINCT d.name, d.digest, t.value FROM datasets d JOIN inputs i ON i.dataset = d.id
                     LEFT JOIN input_tags t ON t.input = i.id AND t.key = ?3
                     WHERE d.experiment = ?1 ORDER BY d.name, d.digest, t.value LIMIT ?2",
                )?;
                let rows = select.query_map((id, SUMMARIES_MAX - found.len() as i64, CONTEXT_TAG), |row| {
                    Ok(DatasetSummary {
                        experiment_id: id.to_string(),
                        name: row.get(0)?,
                        digest: row.get(1)?,
                        context: row.get(2)?,
                    })
                })?;
                for row in rows {
                    found.push(row?);
                }
            }
            Ok(found)
        })
    }

    /// Records points of one run without the limits of a batch: for the recorder and for imports.
    pub(crate) fn log_samples(&self, run_id: &str, series: Vec<(String, Vec<Sample>)>) -> Result<()> {
        let run_id = run_id.to_string();
        self.write(move |tx| {
            let run = runs::active(tx.connection, &run_id)?;
            put_samples(tx, run, &run_id, series)
        })
    }
}

fn log(tx: &mut Tx, run_id: &str, batch: &Batch) -> Result<()> {
    let run = runs::active(tx.connection, run_id)?;
    let mut detail = serde_json::Map::new();
    if !batch.params.is_empty() {
        for param in &batch.params {
            put_param(tx.connection, run, run_id, param)?;
        }
        detail.insert("params".into(), batch.params.len().into());
        let pairs = batch.params.iter().map(|param| (param.key.as_str(), param.value.as_str()));
        detail.insert("params_digest".into(), digest_pairs(pairs).into());
    }
    if !batch.tags.is_empty() {
        for tag in &batch.tags {
            if tag.key == NAME_TAG {
                validate::name("a run", &tag.value)?;
            }
            runs::put_tag(tx.connection, run.id, tag)?;
        }
        let keys: Vec<&str> = batch.tags.iter().map(|tag| tag.key.as_str()).collect();
        detail.insert("tags".into(), json!(keys));
        let pairs = batch.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
        detail.insert("tags_digest".into(), digest_pairs(pairs).into());
    }
    if !batch.metrics.is_empty() {
        let mut series: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for metric in &batch.metrics {
            series.entry(&metric.key).or_default().push(sample(metric));
            if let Some(model_id) = &metric.model_id {
                models::put_metric(tx.connection, model_id, run_id, metric)?;
            }
        }
        detail.insert("points".into(), batch.metrics.len().into());
        detail.insert(
            "points_digest".into(),
            digest_points(series.iter().map(|(key, s)| (*key, &s[..]))).into(),
        );
        for (key, mut samples) in series {
            store::insert(tx.connection, run.id, key, &mut samples)?;
        }
    }
    if !detail.is_empty() {
        tx.event("run.log", subject(run_id), detail.into());
    }
    Ok(())
}

/// Writes points and their event.
pub fn put_samples(tx: &mut Tx, run: RunRow, run_id: &str, series: Vec<(String, Vec<Sample>)>) -> Result<()> {
    let points: usize = series.iter().map(|(_, samples)| samples.len()).sum();
    let digest = digest_points(series.iter().map(|(key, samples)| (key.as_str(), &samples[..])));
    for (key, mut samples) in series {
        store::insert(tx.connection, run.id, &key, &mut samples)?;
    }
    tx.event("run.log", subject(run_id), json!({"points": points, "points_digest": digest}));
    Ok(())
}

fn sample(metric: &Metric) -> Sample {
    Sample { step: metric.step, timestamp_ms: metric.timestamp_ms, value: metric.value }
}

/// Writes a param once.
pub fn put_param(connection: &Connection, run: RunRow, run_id: &str, param: &Param) -> Result<()> {
    let old: Option<String> = connection
        .prepare_cached("SELECT value FROM params WHERE run = ?1 AND key = ?2")?
        .query_row((run.id, &param.key), |row| row.get(0))
        .optional()?;
    match old {
        Some(old) if old != param.value => Err(Error::invalid(format!(
            "the param '{}' of the run {run_id} is '{}' and cannot become '{}'; params are written once",
            param.key,
            validate::clip(&old),
            validate::clip(&param.value)
        ))),
        Some(_) => Ok(()),
        None => {
            connection
                .prepare_cached("INSERT INTO params (run, key, value) VALUES (?1, ?2, ?3)")?
                .execute((run.id, &param.key, &param.value))?;
            Ok(())
        }
    }
}

/// Writes a dataset and that the run used it.
pub fn put_input(connection: &Connection, run: RunRow, input: &DatasetInput) -> Result<()> {
    let dataset = &input.dataset;
    connection
        .prepare_cached(
            "INSERT INTO datasets (experiment, name, digest, source_type, source, schema, profile)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute((
            run.experiment,
            &dataset.name,
            &dataset.digest,
            &dataset.source_type,
            &dataset.source,
            &dataset.schema,
            &dataset.profile,
        ))?;
    let id: i64 = connection
        .prepare_cached("SELECT id FROM datasets WHERE experiment = ?1 AND name = ?2 AND digest = ?3")?
        .query_row((run.experiment, &dataset.name, &dataset.digest), |row| row.get(0))?;
    let input_id = connection.insert_new(
        "INSERT INTO inputs (run, dataset) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (run.id, id),
    )?;
    if let Some(input_id) = input_id {
        for tag in &input.tags {
            connection
                .prepare_cached(
                    "INSERT INTO input_tags (input, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (input, key) DO UPDATE SET value = excluded.value",
                )?
                .execute((input_id, &tag.key, &tag.value))?;
        }
    }
    Ok(())
}

/// BLAKE3 over pairs of texts, each with its length before it.
fn digest_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in pairs {
        for text in [key, value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    ids::hex(hasher.finalize().as_bytes())
}

/// BLAKE3 over points: per key its length, its text, the number of points, then step, time and value bits.
fn digest_points<'a>(series: impl Iterator<Item = (&'a str, &'a [Sample])>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for (key, samples) in series {
        bytes.clear();
        bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&(samples.len() as u64).to_le_bytes());
        for sample in samples {
            bytes.extend_from_slice(&sample.step.to_le_bytes());
            bytes.extend_from_slice(&sample.timestamp_ms.to_le_bytes());
            bytes.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        }
        hasher.update(&bytes);
    }
    ids::hex(hasher.finalize().as_bytes())
}
