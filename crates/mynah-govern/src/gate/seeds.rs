//! Runs that differ in their seed alone.

use mynah_ledger::{Ledger, RunRecord, SearchRuns};

use super::gates::{Gate, GateReport, evaluate};
use crate::error::Result;

/// The tag that runs of one config and several seeds share.
pub const GROUP_TAG: &str = "mynah.group";

/// Runs of a group at most.
const RUNS_MAX: usize = 1_000;

/// The run, and the active runs of its experiment with the same group that are not in quarantine.
///
/// # Errors
/// `NotFound`, or when the ledger cannot be read.
pub fn seed_runs(ledger: &Ledger, run_id: &str) -> Result<Vec<RunRecord>> {
    let own = ledger.run(run_id)?;
    let Some(group) = own.data.tag(GROUP_TAG) else { return Ok(vec![own]) };
    let search = SearchRuns {
        experiment_ids: vec![own.run.experiment_id.clone()],
        // Quotes inside a text are doubled.
        filter: format!("tags.`{GROUP_TAG}` = '{}'", group.replace('\'', "''")),
        max_results: RUNS_MAX,
        skip_quarantined: true,
        ..SearchRuns::default()
    };
    let mut runs = ledger.search_runs(&search)?.items;
    runs.retain(|record| record.run.id != run_id);
    runs.insert(0, own);
    Ok(runs)
}

/// The latest values of a metric, one for each run that has it.
pub fn values(runs: &[RunRecord], metric: &str) -> Vec<f64> {
    runs.iter().filter_map(|record| record.data.metric(metric)).collect()
}

/// Asks gates about a run against a baseline, each with the other seeds of its group. Without a baseline only
/// absolute gates can be decided.
///
/// # Errors
/// `NotFound`, or when the ledger cannot be read.
pub fn evaluate_runs(
    ledger: &Ledger,
    gates: &[Gate],
    run_id: &str,
    baseline: Option<&str>,
) -> Result<GateReport> {
    let own = seed_runs(ledger, run_id)?;
    let theirs = baseline.map_or(Ok(Vec::new()), |run_id| seed_runs(ledger, run_id))?;
    Ok(evaluate(gates, |metric| values(&own, metric), |metric| values(&theirs, metric)))
}
