//! Reading points: whole histories in pages, even samples of them, and what keys there are.

use super::{Sample, ordered_bits, store};
use crate::db::Connection;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::search::page::{self, Window};
use crate::types::{Metric, Page};
use crate::{runs, validate};

/// Runs in one question at most.
const RUNS_MAX: usize = 1_000;

impl Ledger {
    /// The points of a metric by timestamp, step and value. Without `max_results` all of them.
    ///
    /// # Errors
    /// `NotFound` when there is no such run (a run without that metric gives nothing); `Invalid` for a page
    /// token that is not one.
    pub fn metric_history(
        &self,
        run_id: &str,
        key: &str,
        max_results: Option<usize>,
        page_token: Option<&str>,
    ) -> Result<Page<Metric>> {
        let offset = page::offset(page_token)?;
        self.read(|connection| {
            let run = runs::row(connection, run_id)?;
            let samples = by_time(connection, run.id, key)?;
            let window = Window { offset, max: max_results.unwrap_or(usize::MAX) };
            Ok(window.cut(samples).map(|sample| metric(key, sample)))
        })
    }

    /// The points of a metric in several runs: by run id, timestamp, step and value, at most `max_results`.
    /// Runs that do not exist give nothing.
    ///
    /// # Errors
    /// `Invalid` for more than 1,000 runs.
    pub fn metric_history_bulk(
        &self,
        run_ids: &[String],
        key: &str,
        max_results: usize,
    ) -> Result<Vec<(String, Metric)>> {
        check_count(run_ids)?;
        let mut run_ids = run_ids.to_vec();
        run_ids.sort_unstable();
        run_ids.dedup();
        self.read(|connection| {
            let mut found = Vec::new();
            for run_id in run_ids {
                let left = max_results - found.len();
                if left == 0 {
                    break;
                }
                let Some(run) = runs::maybe_row(connection, &run_id)? else { continue };
                let samples = by_time(connection, run.id, key)?;
                found.extend(
                    samples.into_iter().take(left).map(|sample| (run_id.clone(), metric(key, sample))),
                );
            }
            Ok(found)
        })
    }

    /// At most `max_results` points of a metric per run, evenly taken from all of them, the first and the last
    /// always; by step, timestamp and value. `steps` limits them to a range, both ends included.
    ///
    /// # Errors
    /// `NotFound` when a run does not exist; `Invalid` for more than 1,000 runs.
    pub fn metric_sample(
        &self,
        run_ids: &[String],
        key: &str,
        steps: Option<(i64, i64)>,
        max_results: usize,
    ) -> Result<Vec<(String, Metric)>> {
        check_count(run_ids)?;
        let (from, to) = steps.unwrap_or((i64::MIN, i64::MAX));
        self.read(|connection| {
            let mut found = Vec::new();
            for run_id in run_ids {
                let run = runs::row(connection, run_id)?;
                let Some(id) = store::find_key(connection, key)? else { continue };
                let samples = store::samples(connection, run.id, id, from, to)?;
                found.extend(
                    evenly(&samples, max_results.max(1)).map(|sample| (run_id.clone(), metric(key, sample))),
                );
            }
            Ok(found)
        })
    }

    /// Names of the metrics of the active runs of these experiments, by name.
    ///
    /// # Errors
    /// `Invalid` for an id that is not a number.
    pub fn metric_keys(&self, experiment_ids: &[String]) -> Result<Vec<String>> {
        self.keys(
            experiment_ids,
            "SELECT DISTINCT n.name FROM metric_names n WHERE EXISTS (SELECT 1 FROM latest_metrics l
                 JOIN runs r ON r.id = l.run WHERE l.key = n.id AND r.experiment = ?1 AND r.deleted = 0)",
        )
    }

    /// Keys of the params of the active runs of these experiments, by name.
    ///
    /// # Errors
    /// `Invalid` for an id that is not a number.
    pub fn param_keys(&self, experiment_ids: &[String]) -> Result<Vec<String>> {
        self.keys(
            experiment_ids,
            "SELECT DISTINCT p.key FROM runs r JOIN params p ON p.run = r.id WHERE r.experiment = ?1 AND r.deleted = 0",
        )
    }

    /// Keys of the tags of the active runs of these experiments, by name.
    ///
    /// # Errors
    /// `Invalid` for an id that is not a number.
    pub fn tag_keys(&self, experiment_ids: &[String]) -> Result<Vec<String>> {
        self.keys(
            experiment_ids,
            "SELECT DISTINCT t.key FROM runs r JOIN tags t ON t.run = r.id WHERE r.experiment = ?1 AND r.deleted = 0",
        )
    }

    fn keys(&self, experiment_ids: &[String], sql: &str) -> Result<Vec<String>> {
        let ids = validate::experiment_ids(experiment_ids)?;
        self.read(|connection| {
            let mut keys: Vec<String> = Vec::new();
            for id in ids {
                let mut select = connection.prepare_cached(sql)?;
                let rows = select.query_map([id], |row| row.get(0))?;
                for key in rows {
                    keys.push(key?);
                }
            }
            keys.sort_unstable();
            keys.dedup();
            Ok(keys)
        })
    }
}

fn check_count(run_ids: &[String]) -> Result<()> {
    if run_ids.len() <= RUNS_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "one question may be about {RUNS_MAX} runs, this one is about {}",
        run_ids.len()
    )))
}

fn by_time(connection: &Connection, run: i64, key: &str) -> Result<Vec<Sample>> {
    let Some(key) = store::find_key(connection, key)? else { return Ok(Vec::new()) };
    let mut samples = store::samples(connection, run, key, i64::MIN, i64::MAX)?;
    let number = |value: f64| if value.is_nan() { 0.0 } else { value };
    samples.sort_by_key(|sample| (sample.timestamp_ms, sample.step, ordered_bits(number(sample.value))));
    Ok(samples)
}

fn evenly(samples: &[Sample], max: usize) -> impl Iterator<Item = Sample> + '_ {
    let (count, last) = (samples.len().min(max), samples.len().saturating_sub(1));
    (0..count).map(move |i| {
        // One point alone is the last; more begin with the first and end with the last.
        let at = if count <= 1 { last } else { (i as u128 * last as u128 / (count as u128 - 1)) as usize };
        samples[at]
    })
}

fn metric(key: &str, sample: Sample) -> Metric {
    Metric::new(key, sample.value, sample.timestamp_ms, sample.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_samples_keep_both_ends() {
        let samples: Vec<Sample> = (0..1_000).map(|step| Sample { step, ..Sample::default() }).collect();
        let steps = |max| evenly(&samples, max).map(|sample| sample.step).collect::<Vec<_>>();
        assert_eq!(steps(1), [999]);
        assert_eq!(steps(2), [0, 999]);
        assert_eq!(steps(4), [0, 333, 666, 999]);
        assert_eq!(steps(5_000).len(), 1_000);
        assert_eq!(evenly(&[], 3).count(), 0);
    }
}
