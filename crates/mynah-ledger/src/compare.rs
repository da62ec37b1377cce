//! Many runs beside one: columns of latest metrics, and differences from a baseline.
//!
//! Each metric is one pass over the index of latest values; nothing is read per run. Whether less or more is
//! better is declared by whoever asks (`val_bpb:min`) and never guessed from a name.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::metrics::store::find_key;
use crate::{runs, validate};

/// Metrics in one comparison.
const KEYS_MAX: usize = 1_000;

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

/// A metric and, where somebody declared it, what is better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricGoal {
    /// Its key.
    pub key: String,
    /// Nothing: the comparison says by how much, not whether that is good.
    pub goal: Option<Goal>,
}

impl MetricGoal {
    /// `KEY`, `KEY:min` or `KEY:max`.
    pub fn parse(text: &str) -> MetricGoal {
        let (key, goal) = match text.rsplit_once(':') {
            Some((key, "min")) => (key, Some(Goal::Min)),
            Some((key, "max")) => (key, Some(Goal::Max)),
            _ => (text, None),
        };
        MetricGoal { key: key.to_string(), goal }
    }
}

/// The latest metrics of many runs, by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricTable {
    /// Newest first.
    pub run_ids: Vec<String>,
    /// In the same order.
    pub run_names: Vec<String>,
    /// The columns.
    pub keys: Vec<String>,
    /// One column per key, one value per run; nothing where a run lacks the metric.
    pub columns: Vec<Vec<Option<f64>>>,
}

/// Question to [`Ledger::compare`].
#[derive(Clone, Debug, Default)]
pub struct CompareRuns {
    /// The run that the others are compared with.
    pub baseline: String,
    /// Active runs of these experiments; empty: of the baseline's.
    pub experiment_ids: Vec<String>,
    /// Only these of them; empty: all.
    pub run_ids: Vec<String>,
    /// Empty: all metrics of the baseline.
    pub metrics: Vec<MetricGoal>,
    /// Also tell which params differ.
    pub with_params: bool,
}

/// A metric of a run against the baseline's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delta {
    /// The run's.
    pub value: f64,
    /// The run's less the baseline's; NaN where there is no such number.
    pub absolute: f64,
    /// The same as a share of the baseline's size; NaN for a baseline of 0.
    pub relative: f64,
    /// Where a goal was declared and both are numbers: whether it is better; equal is neither.
    pub better: Option<bool>,
}

/// A param that differs; nothing where a run lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamDifference {
    /// Its key.
    pub key: String,
    /// The baseline's value.
    pub baseline: Option<String>,
    /// The run's value.
    pub value: Option<String>,
}

/// A run against the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDelta {
    /// Which.
    pub run_id: String,
    /// Its name.
    pub run_name: String,
    /// In the order of [`Comparison::metrics`]; nothing where either lacks the metric.
    pub deltas: Vec<Option<Delta>>,
    /// By key; empty unless asked for.
    pub params: Vec<ParamDifference>,
}

/// Answer of [`Ledger::compare`].
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The baseline's id.
    pub baseline: String,
    /// What was compared.
    pub metrics: Vec<MetricGoal>,
    /// The baseline's values.
    pub baseline_values: Vec<Option<f64>>,
    /// Every run but the baseline, newest first.
    pub runs: Vec<RunDelta>,
}

impl Ledger {
    /// The latest values of some metrics over all active runs of some experiments, without those in quarantine.
    ///
    /// # Errors
    /// `Invalid` for more than 1,000 keys or an id that is not a number.
    pub fn metric_table(&self, experiment_ids: &[String], keys: &[String]) -> Result<MetricTable> {
        check_count(keys.len())?;
        let experiments = validate::experiment_ids(experiment_ids)?;
        self.read(|connection| Ok(table(connection, &experiments, keys)?.1))
    }

    /// Compares runs with a baseline. Runs in quarantine are left out.
    ///
    /// # Errors
    /// `NotFound` when there is no such baseline; `Invalid` for too many metrics or an id that is not a number.
    pub fn compare(&self, question: &CompareRuns) -> Result<Comparison> {
        check_count(question.metrics.len())?;
        let mut experiments = validate::experiment_ids(&question.experiment_ids)?;
        self.read(|connection| {
            let baseline = runs::row(connection, &question.baseline)?;
            let values = runs::data(connection, baseline.id)?.metrics;
            let mut metrics = question.metrics.clone();
            if metrics.is_empty() {
                metrics = values.iter().map(|one| MetricGoal { key: one.key.clone(), goal: None }).collect();
            }
            if experiments.is_empty() {
                experiments.push(baseline.experiment);
            }
            let keys: Vec<String> = metrics.iter().map(|metric| metric.key.clone()).collect();
            let (ids, table) = table(connection, &experiments, &keys)?;
            let baseline_values: Vec<Option<f64>> = keys
                .iter()
                .map(|key| values.iter().find(|metric| metric.key == *key).map(|metric| metric.value))
                .collect();
            let mut params = match question.with_params {
                true => param_differences(connection, baseline.id, &experiments)?,
                false => HashMap::new(),
            };
            let wanted: HashMap<&str, ()> = question.run_ids.iter().map(|id| (id.as_str(), ())).collect();
            let rows = ids.iter().zip(table.run_ids).zip(table.run_names).enumerate();
            let runs = rows
                .filter(|(_, ((id, run_id), _))| {
                    **id != baseline.id && (wanted.is_empty() || wanted.contains_key(run_id.as_str()))
                })
                .map(|(at, ((id, run_id), run_name))| {
                    let deltas = metrics
                        .iter()
                        .zip(&baseline_values)
                        .zip(&table.columns)
                        .map(|((metric, base), column)| Some(delta((*base)?, column[at]?, metric.goal)))
                        .collect();
                    RunDelta { run_id, run_name, deltas, params: params.remove(id).unwrap_or_default() }
                })
                .collect();
            Ok(Comparison { baseline: question.baseline.clone(), metrics, baseline_values, runs })
        })
    }
}

fn check_count(keys: usize) -> Result<()> {
    if keys <= KEYS_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("one comparison may have {KEYS_MAX} metrics, this one has {keys}")))
}

fn delta(base: f64, value: f64, goal: Option<Goal>) -> Delta {
    // Two equal infinities differ by nothing, not by NaN.
    let absolute = if value == base { 0.0 } else { value - base };
    let relative = if base == 0.0 { f64::NAN } else { absolute / base.abs() };
    let better = goal.filter(|_| !value.is_nan() && !base.is_nan() && value != base).map(|goal| match goal {
        Goal::Min => value < base,
        Goal::Max => value > base,
    });
    Delta { value, absolute, relative, better }
}

/// The table, and the integer keys of its runs.
fn table(connection: &Connection, experiments: &[i64], keys: &[String]) -> Result<(Vec<i64>, MetricTable)> {
    let mut table = MetricTable { keys: keys.to_vec(), ..MetricTable::default() };
    let mut found: Vec<(i64, i64, String, String)> = Vec::new();
    for experiment in experiments {
        let mut select = connection.prepare_cached(
            "SELECT id, start_ms, run_id, name FROM runs
             WHERE experiment = ?1 AND deleted = 0 AND quarantine_reason IS NULL",
        )?;
        let rows =
            select.query_map([experiment], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.2.cmp(&b.2)));
    found.dedup_by_key(|run| run.0);
    let mut ids = Vec::with_capacity(found.len());
    for (id, _, run_id, name) in found {
        ids.push(id);
        table.run_ids.push(run_id);
        table.run_names.push(name);
    }
    let places = Places::new(&ids);
    for key in keys {
        let mut column = vec![None; ids.len()];
        if let Some(key) = find_key(connection, key)? {
            let mut select =
                connection.prepare_cached("SELECT run, value FROM latest_metrics WHERE key = ?1")?;
            let mut rows = select.query([key])?;
            while let Some(row) = rows.next()? {
                if let Some(place) = places.find(row.get(0)?) {
                    column[place] = Some(row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN));
                }
            }
        }
        table.columns.push(column);
    }
    Ok((ids, table))
}

/// From a run's integer key to its place in the table. The keys are small and dense, so this is a list.
struct Places(Vec<u32>);

impl Places {
    const NOWHERE: u32 = u32::MAX;

    fn new(ids: &[i64]) -> Places {
        let largest = ids.iter().copied().max().unwrap_or(-1);
        let mut places = vec![Places::NOWHERE; usize::try_from(largest + 1).unwrap_or_default()];
        for (place, id) in ids.iter().enumerate() {
            if let Some(slot) = usize::try_from(*id).ok().and_then(|id| places.get_mut(id)) {
                *slot = place as u32;
            }
        }
        Places(places)
    }

    fn find(&self, id: i64) -> Option<usize> {
        let place = *self.0.get(usize::try_from(id).ok()?)?;
        (place != Places::NOWHERE).then_some(place as usize)
    }
}

fn param_differences(
    connection: &Connection,
    baseline: i64,
    experiments: &[i64],
) -> Result<HashMap<i64, Vec<ParamDifference>>> {
    let mut differences: HashMap<i64, Vec<ParamDifference>> = HashMap::new();
    for experiment in experiments {
        // What a run has and the baseline has otherwise or not at all, then what only the baseline has.
        for sql in [
            "SELECT p.run, p.key, b.value, p.value FROM runs r JOIN params p ON p.run = r.id
             LEFT JOIN params b ON b.run = ?2 AND b.key = p.key
             WHERE r.experiment = ?1 AND r.deleted = 0 AND p.value IS NOT b.value",
            "SELECT r.id, b.key, b.value, NULL FROM params b JOIN runs r ON r.experiment = ?1 AND r.deleted = 0
             WHERE b.run = ?2 AND NOT EXISTS (SELECT 1 FROM params p WHERE p.run = r.id AND p.key = b.key)",
        ] {
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query((experiment, baseline))?;
            while let Some(row) = rows.next()? {
                let difference = ParamDifference { key: row.get(1)?, baseline: row.get(2)?, value: row.get(3)? };
                differences.entry(row.get(0)?).or_default().push(difference);
            }
        }
    }
    for list in differences.values_mut() {
        list.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_declared() {
        let parsed = |text| {
            let goal = MetricGoal::parse(text);
            (goal.key, goal.goal)
        };
        assert_eq!(parsed("val_bpb:min"), ("val_bpb".to_string(), Some(Goal::Min)));
        assert_eq!(parsed("a:b:max"), ("a:b".to_string(), Some(Goal::Max)));
        assert_eq!(parsed("accuracy"), ("accuracy".to_string(), None));
        assert_eq!(parsed("x:y"), ("x:y".to_string(), None));
    }

    #[test]
    fn deltas_say_how_much_and_whether() {
        let close = delta(2.0, 1.5, Some(Goal::Min));
        assert_eq!((close.absolute, close.relative, close.better), (-0.5, -0.25, Some(true)));
        assert_eq!(delta(2.0, 1.5, Some(Goal::Max)).better, Some(false));
        assert_eq!(delta(2.0, 1.5, None).better, None);
        assert_eq!(delta(-2.0, -1.0, None).relative, 0.5);
        assert_eq!(delta(1.0, 1.0, Some(Goal::Min)).better, None);
        assert!(delta(0.0, 1.0, None).relative.is_nan());
        let nan = delta(1.0, f64::NAN, Some(Goal::Min));
        assert!(nan.absolute.is_nan() && nan.better.is_none());
        assert_eq!(delta(f64::INFINITY, f64::INFINITY, None).absolute, 0.0);
    }
}
