//! Looking at what was recorded, here or by anybody else in the same ledger.

use std::path::PathBuf;

use mynah_govern::compare::{DeltaIndex, Goal, config_changes, front};
use mynah_ledger::{Ledger, Lifecycle, RunRecord, SearchRuns, View};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::{errors, gate, lookup, store};

/// Runs in one answer of the ledger.
const PAGE_RUNS: usize = 50_000;

/// Asks the ledger without the interpreter's lock.
fn ask<T: Send>(
    py: Python<'_>,
    place: &str,
    question: impl FnOnce(&Ledger) -> mynah_ledger::Result<T> + Send,
) -> PyResult<T> {
    let _pass = gate::enter(py)?;
    let ledger = store::reading(py, place)?;
    let answer = py.detach(move || {
        let answer = question(&ledger);
        drop(ledger);
        answer
    });
    answer.map_err(|error| errors::ledger(py, &error))
}

/// Runs as dicts. No experiments: all of them. No limit: all runs.
#[pyfunction]
#[pyo3(signature = (place, filter, order_by, experiments, limit, view))]
pub fn search<'py>(
    py: Python<'py>,
    place: &str,
    filter: String,
    order_by: Vec<String>,
    experiments: Option<Vec<String>>,
    limit: Option<usize>,
    view: &str,
) -> PyResult<Bound<'py, PyList>> {
    let view = match view {
        "active" => View::ActiveOnly,
        "deleted" => View::DeletedOnly,
        "all" => View::All,
        other => {
            let message = format!("a view is 'active', 'deleted' or 'all', not '{other}'");
            return Err(errors::exception(py, "InvalidError", message));
        }
    };
    let (names, records) = ask(py, place, move |ledger| {
        let names = lookup::experiments(ledger, View::All)?;
        let experiment_ids = match experiments {
            Some(wanted) => {
                wanted.iter().map(|name| experiment(&names, name)).collect::<mynah_ledger::Result<_>>()?
            }
            None => names.iter().map(|(id, _)| id.clone()).collect(),
        };
        let mut search = SearchRuns { experiment_ids, filter, order_by, view, ..SearchRuns::default() };
        let mut records = Vec::new();
        loop {
            let left = limit.map_or(PAGE_RUNS, |limit| limit - records.len());
            if left == 0 {
                break;
            }
            search.max_results = left.min(PAGE_RUNS);
            let page = ledger.search_runs(&search)?;
            records.extend(page.items);
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                break;
            }
        }
        Ok((names, records))
    })?;
    let list = PyList::empty(py);
    for record in &records {
        list.append(to_dict(py, record, &names)?)?;
    }
    Ok(list)
}

/// The id of an experiment that is meant by its name or id.
fn experiment(names: &[(String, String)], wanted: &str) -> mynah_ledger::Result<String> {
    let by_name = names.iter().find(|(_, name)| name == wanted);
    let found = by_name.or_else(|| names.iter().find(|(id, _)| id == wanted));
    found.map(|(id, _)| id.clone()).ok_or_else(|| {
        let shown: String = wanted.chars().take(80).collect();
        mynah_ledger::Error::new(
            mynah_ledger::ErrorKind::NotFound,
            format!("no experiment is called '{shown}'"),
        )
    })
}

/// One run as a dict, by its id, the first characters of it, or its name.
#[pyfunction]
pub fn get<'py>(py: Python<'py>, place: &str, named: &str) -> PyResult<Bound<'py, PyDict>> {
    let (names, record) =
        ask(py, place, |ledger| Ok((lookup::experiments(ledger, View::All)?, lookup::run(ledger, named)?)))?;
    to_dict(py, &record, &names)
}

fn to_dict<'py>(
    py: Python<'py>,
    record: &RunRecord,
    names: &[(String, String)],
) -> PyResult<Bound<'py, PyDict>> {
    let (run, data) = (&record.run, &record.data);
    let experiment = names.iter().find(|(id, _)| *id == run.experiment_id).map(|(_, name)| name.as_str());
    let (metrics, params, tags) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
    for metric in &data.metrics {
        metrics.set_item(&metric.key, metric.value)?;
    }
    for param in &data.params {
        params.set_item(&param.key, &param.value)?;
    }
    for tag in &data.tags {
        tags.set_item(&tag.key, &tag.value)?;
    }
    let datasets = PyList::empty(py);
    for input in &data.inputs {
        let dataset = PyDict::new(py);
        dataset.set_item("name", &input.dataset.name)?;
        dataset.set_item("digest", &input.dataset.digest)?;
        dataset.set_item("source", &input.dataset.source)?;
        let context = input.tags.iter().find(|tag| tag.key == "mlflow.data.context");
        dataset.set_item("context", context.map(|tag| tag.value.as_str()))?;
        datasets.append(dataset)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("id", &run.id)?;
    dict.set_item("name", &run.name)?;
    dict.set_item("experiment", experiment)?;
    dict.set_item("experiment_id", &run.experiment_id)?;
    dict.set_item("status", run.status.as_str())?;
    dict.set_item("start_time_ms", run.start_time_ms)?;
    dict.set_item("end_time_ms", run.end_time_ms)?;
    dict.set_item("user", &run.user)?;
    dict.set_item("parent_id", run.parent_id.as_deref())?;
    dict.set_item("is_deleted", run.lifecycle == Lifecycle::Deleted)?;
    dict.set_item("quarantine", run.quarantine.as_ref().map(|quarantine| quarantine.reason.as_str()))?;
    dict.set_item("metrics", metrics)?;
    dict.set_item("params", params)?;
    dict.set_item("tags", tags)?;
    dict.set_item("datasets", datasets)?;
    Ok(dict)
}

/// Steps, times and values of a metric, each as the bytes of an array of 64-bit numbers.
#[pyfunction]
pub fn history<'py>(
    py: Python<'py>,
    place: &str,
    run_id: &str,
    key: &str,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let points = ask(py, place, |ledger| {
        let page = ledger.metric_history(run_id, key, None, None)?;
        let mut columns: [Vec<u8>; 3] = Default::default();
        for metric in page.items {
            columns[0].extend(metric.step.to_ne_bytes());
            columns[1].extend(metric.timestamp_ms.to_ne_bytes());
            columns[2].extend(metric.value.to_ne_bytes());
        }
        Ok(columns)
    })?;
    let [steps, times, values] = points;
    Ok((PyBytes::new(py, &steps), PyBytes::new(py, &times), PyBytes::new(py, &values)))
}

/// The files of a run as (path, bytes, BLAKE3).
#[pyfunction]
pub fn artifacts(py: Python<'_>, place: &str, run_id: &str) -> PyResult<Vec<(String, u64, String)>> {
    let owner = mynah_ledger::ArtifactOwner::Run(run_id.to_string());
    let found = ask(py, place, |ledger| ledger.walk_artifacts(&owner))?;
    Ok(found.into_iter().map(|artifact| (artifact.path, artifact.size_bytes, artifact.digest)).collect())
}

/// The content of a file of a run.
#[pyfunction]
pub fn read_artifact<'py>(
    py: Python<'py>,
    place: &str,
    run_id: &str,
    path: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let owner = mynah_ledger::ArtifactOwner::Run(run_id.to_string());
    let (artifact, mut file) = ask(py, place, |ledger| ledger.artifact(&owner, path))?;
    let mut content = Vec::with_capacity(artifact.size_bytes.min(1 << 30) as usize);
    let read = py.detach(|| std::io::Read::read_to_end(&mut file, &mut content));
    read.map_err(|error| errors::file("cannot read", path.as_ref(), &error))?;
    Ok(PyBytes::new(py, &content))
}

/// Writes a file of a run to a place outside; it is there whole or not at all.
#[pyfunction]
pub fn save_artifact(py: Python<'_>, place: &str, run_id: &str, path: &str, to: PathBuf) -> PyResult<()> {
    let owner = mynah_ledger::ArtifactOwner::Run(run_id.to_string());
    let (_, mut file) = ask(py, place, |ledger| ledger.artifact(&owner, path))?;
    let written = py.detach(|| mynah_base::write_atomic(&to, |out| std::io::copy(&mut file, out).map(drop)));
    written.map_err(|error| errors::file("cannot write", &to, &error))
}

/// Every run against the baseline, as dicts; `goals` say which way a metric is better.
#[pyfunction]
#[pyo3(signature = (place, named, goals, baseline))]
pub fn compare<'py>(
    py: Python<'py>,
    place: &str,
    named: Vec<String>,
    goals: Vec<String>,
    baseline: Option<String>,
) -> PyResult<Bound<'py, PyList>> {
    let goals = goals.iter().map(|goal| goal.parse::<Goal>()).collect::<mynah_govern::Result<Vec<Goal>>>();
    let goals = goals.map_err(|error| errors::govern(py, &error))?;
    let _pass = gate::enter(py)?;
    let ledger = store::reading(py, place)?;
    let prepared = py.detach(|| {
        let found = named.iter().map(|name| lookup::run(&ledger, name));
        let runs = found.collect::<mynah_ledger::Result<Vec<RunRecord>>>()?;
        let baseline = match &baseline {
            Some(name) => Some(lookup::run(&ledger, name)?),
            None => None,
        };
        let mut experiments: Vec<String> =
            runs.iter().chain(&baseline).map(|record| record.run.experiment_id.clone()).collect();
        experiments.sort_unstable();
        experiments.dedup();
        let baseline_id = baseline.or(runs.first().cloned()).map(|record| record.run.id);
        let index = DeltaIndex::open(&ledger, &experiments, &goals, baseline_id)?;
        let on_front = if goals.is_empty() { Vec::new() } else { front(index.table(), &goals)? };
        let front_ids = on_front.into_iter().map(|row| index.table().id(row).to_string()).collect();
        Ok((runs, index, front_ids))
    });
    let (runs, index, front_ids): (Vec<RunRecord>, DeltaIndex, Vec<String>) =
        prepared.map_err(|error: mynah_govern::Error| errors::govern(py, &error))?;
    let list = PyList::empty(py);
    for record in &runs {
        let Some(row) = index.table().row(&record.run.id) else {
            let message = format!(
                "the run '{}' takes no part in comparisons: it is deleted or in quarantine",
                record.run.name
            );
            return Err(errors::exception(py, "StateError", message));
        };
        list.append(comparison(py, &index, row, front_ids.contains(&record.run.id))?)?;
    }
    Ok(list)
}

fn comparison<'py>(
    py: Python<'py>,
    index: &DeltaIndex,
    row: usize,
    is_on_front: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let table = index.table();
    let baseline = index.baseline(row);
    let (deltas, changes) = (PyList::empty(py), PyList::empty(py));
    for delta in index.deltas(row) {
        let dict = PyDict::new(py);
        dict.set_item("metric", &delta.metric)?;
        dict.set_item("baseline", delta.baseline)?;
        dict.set_item("value", delta.value)?;
        dict.set_item("difference", delta.difference)?;
        dict.set_item("relative", delta.relative)?;
        dict.set_item("verdict", delta.verdict.as_str())?;
        deltas.append(dict)?;
    }
    for change in baseline.map(|baseline| config_changes(table, baseline, row)).unwrap_or_default() {
        let dict = PyDict::new(py);
        dict.set_item("key", &change.key)?;
        dict.set_item("from", change.from.as_deref())?;
        dict.set_item("to", change.to.as_deref())?;
        changes.append(dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("id", table.id(row))?;
    dict.set_item("name", table.label(row))?;
    dict.set_item("baseline_id", baseline.map(|row| table.id(row)))?;
    dict.set_item("is_on_front", is_on_front)?;
    dict.set_item("deltas", deltas)?;
    dict.set_item("params", changes)?;
    Ok(dict)
}
