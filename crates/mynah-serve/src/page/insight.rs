//! Runs beside each other: which stand out, and which are near. What is better is what the caller declares
//! (`val_bpb:min`), never what a metric is called.

use std::collections::HashSet;

use mynah_govern::compare::{
    ConfigChange, Delta, DeltaIndex, Direction, Goal, Neighbour, RunFacts, Table, Verdict, by_config,
    by_result, config_changes, delta, front, json_number, outliers, spreads,
};
use serde_json::{Value, json};

use crate::answer::{ApiError, Reply, reply};
use crate::fields::Fields;
use crate::governance::Caller;

const RUNS_MAX: usize = 50_000;
const GOALS_MAX: usize = mynah_govern::compare::GOALS_MAX;
const NEIGHBOURS: usize = 5;
const NEIGHBOURS_MAX: usize = 50;
/// Differences that one neighbour is shown with.
const DIFFERENCES_MAX: usize = 40;
/// The usual bound, Iglewicz and Hoaglin (1993).
const OUTLIER_SCORE_MIN: f64 = 3.5;
/// Runs that a metric must have before one of them can stand apart.
const OUTLIER_RUNS_MIN: usize = 8;

fn goals_of(fields: &Fields) -> Result<Vec<Goal>, ApiError> {
    let texts = fields.strings("goals")?;
    if texts.len() > GOALS_MAX {
        return Err(ApiError::invalid(format!("{} goals; at most {GOALS_MAX}", texts.len())));
    }
    texts.into_iter().map(|text| text.parse().map_err(ApiError::from)).collect()
}

/// The Pareto front and the outliers of some runs, for the metrics with a goal.
pub(super) fn standouts(caller: &Caller<'_>, fields: Fields) -> Reply {
    let goals = goals_of(&fields)?;
    let ids = fields.strings("run_ids")?;
    if ids.len() > RUNS_MAX {
        return Err(ApiError::invalid(format!("{} runs; at most {RUNS_MAX}", ids.len())));
    }
    let (table, missing) =
        caller.governance.ask_index(caller.ledger, |index| Ok(part(index, &ids, &goals)))?;
    let front = front(&table, &goals)?;
    let outlier = |found: &mynah_govern::compare::Outlier| {
        json!({"run_id": found.run_id, "metric": found.metric, "value": json_number(found.value),
               "score": json_number(found.score)})
    };
    let apart = outliers(&table, OUTLIER_SCORE_MIN, OUTLIER_RUNS_MIN);
    reply(&json!({
        "goals": goals.iter().map(Goal::to_string).collect::<Vec<_>>(),
        "front": front.into_iter().map(|row| table.id(row)).collect::<Vec<_>>(),
        "outliers": apart.iter().map(outlier).collect::<Vec<_>>(),
        "outlier_score_min": OUTLIER_SCORE_MIN,
        "outlier_runs_min": OUTLIER_RUNS_MIN,
        "runs": table.len(),
        "missing": missing,
    }))
}

/// A table of these runs with the metrics of the goals, and how many of the runs are not compared at all: in
/// quarantine, in the bin, or unknown.
fn part(index: &DeltaIndex, ids: &[&str], goals: &[Goal]) -> (Table, usize) {
    let whole = index.table();
    let columns: Vec<(usize, &str)> =
        goals.iter().filter_map(|goal| Some((whole.column(&goal.metric)?, goal.metric.as_str()))).collect();
    let mut table = Table::default();
    let mut seen = HashSet::new();
    let mut missing = 0;
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        let Some(row) = whole.row(id) else {
            missing += 1;
            continue;
        };
        let values =
            columns.iter().filter_map(|(column, key)| Some((key.to_string(), whole.value(row, *column)?)));
        table.put(&RunFacts { id: id.to_string(), metrics: values.collect(), ..RunFacts::default() });
    }
    (table, missing)
}

/// A run against its baseline and its nearest neighbours, with the params that may explain the difference. The
/// baseline is the one asked for, or the one that the run names itself (`mynah.baseline`).
pub(super) fn neighbours(caller: &Caller<'_>, fields: Fields) -> Reply {
    let goals = goals_of(&fields)?;
    let id = fields.filled("run_id")?;
    let count = fields.count("count", NEIGHBOURS, NEIGHBOURS_MAX)?;
    let asked = fields.filled_if("baseline_id")?;
    let found = caller.governance.ask_index(caller.ledger, |index| {
        let table = index.table();
        let Some(row) = table.row(id) else { return Ok(None) };
        let baseline = match asked {
            Some(asked) => Some(table.row(asked).ok_or_else(|| {
                ApiError::invalid(format!("the run {asked} cannot be a baseline: it is unknown or kept apart"))
            })?),
            None => index.baseline(row),
        };
        let tell = |near: Neighbour| link(index, &goals, row, near.row, Some(near.distance));
        let near = |found: Vec<Neighbour>| found.into_iter().map(tell).collect::<Vec<_>>();
        Ok(Some(json!({
            "compared": true,
            "baseline": baseline.filter(|other| *other != row).map(|other| link(index, &goals, row, other, None)),
            "by_config": near(by_config(table, row, count)),
            "by_result": near(by_result(table, &spreads(table), row, count)),
        })))
    })?;
    match found {
        Some(found) => reply(&found),
        // It may be unknown, which is an error, or kept apart, which is not.
        None => {
            caller.ledger.run(id)?;
            reply(&json!({"compared": false, "baseline": null, "by_config": [], "by_result": []}))
        }
    }
}

fn link(index: &DeltaIndex, goals: &[Goal], row: usize, other: usize, distance: Option<f64>) -> Value {
    let table = index.table();
    let directed = |metric: &str| -> Option<Direction> {
        goals.iter().find(|goal| goal.metric == metric).map(|goal| goal.direction)
    };
    let mut deltas: Vec<Delta> = index
        .deltas_between(other, row)
        .into_iter()
        .filter(|found| !found.metric.starts_with("system/"))
        .map(|found| delta(&found.metric, found.baseline, found.value, directed(&found.metric)))
        .collect();
    let same = deltas.iter().filter(|found| found.verdict == Verdict::Same).count();
    deltas.retain(|found| found.verdict != Verdict::Same);
    // Declared metrics first, then the largest changes.
    let size = |found: &Delta| found.relative.map_or(f64::INFINITY, f64::abs);
    deltas.sort_by(|a, b| {
        let rank = |found: &Delta| directed(&found.metric).is_none();
        rank(a).cmp(&rank(b)).then(size(b).total_cmp(&size(a))).then_with(|| a.metric.cmp(&b.metric))
    });
    let config = config_changes(table, other, row);
    json!({
        "id": table.id(other), "name": table.label(other), "distance": distance.map(json_number),
        "deltas": deltas.iter().take(DIFFERENCES_MAX).map(Delta::to_json).collect::<Vec<_>>(),
        "delta_count": deltas.len(), "same_count": same,
        "config": config.iter().take(DIFFERENCES_MAX).map(ConfigChange::to_json).collect::<Vec<_>>(),
        "config_count": config.len(),
    })
}
