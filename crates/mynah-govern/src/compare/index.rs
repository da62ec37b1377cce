//! Deltas against baselines, kept up to date run by run.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use mynah_base::text::csv_field;
use mynah_ledger::{Keys, Ledger, Lifecycle, RunParts, SearchRuns, View};

use super::delta::{Delta, Verdict, config_distance, delta, judge};
use super::goal::{Direction, Goal};
use super::json_number;
use super::table::{RunFacts, Table};
use crate::error::{Error, ErrorKind, Result};

/// The tag by which a run names the run it is to be compared with.
pub const BASELINE_TAG: &str = "mynah.baseline";

/// Changes of the store that a refresh reads at once; beyond that, reading all runs again is cheaper.
const EVENTS_MAX: usize = 50_000;

/// How a run stands to its baseline, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Metrics that are better.
    pub better: u32,
    /// Metrics that are worse.
    pub worse: u32,
    /// Metrics that are equal.
    pub same: u32,
    /// Metrics that differ without a declared direction, or are NaN on a side.
    pub undecided: u32,
    /// Metrics that only one of the two has.
    pub missing: u32,
    /// Params that differ.
    pub config_changes: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    baseline: Option<usize>,
    summary: Summary,
}

/// Every run against its baseline. A change of one run costs that run (and, for a baseline, those compared
/// with it), not the others.
///
/// [`DeltaIndex::open`] and [`DeltaIndex::refresh`] keep it in step with a ledger: a refresh reads the audit
/// log from where it last stood, so what other processes changed is seen too, and runs in quarantine or in
/// the bin leave.
#[derive(Clone, Debug, Default)]
pub struct DeltaIndex {
    table: Table,
    directions: HashMap<String, Direction>,
    /// By column, from `directions`.
    column_directions: Vec<Option<Direction>>,
    baseline_id: Option<String>,
    own_baselines: HashMap<String, String>,
    /// Runs that name this one, by its id, which need not exist.
    dependents: HashMap<String, HashSet<String>>,
    rows: Vec<Row>,
    experiment_ids: Vec<String>,
    /// The next event of the audit log.
    next_event: u64,
}

impl DeltaIndex {
    /// An empty index. `baseline_id` is the run that all are compared with unless they name their own; it
    /// need not be there yet.
    pub fn new(goals: &[Goal], baseline_id: Option<String>) -> DeltaIndex {
        let directions = goals.iter().map(|goal| (goal.metric.clone(), goal.direction)).collect();
        DeltaIndex { directions, baseline_id, ..DeltaIndex::default() }
    }

    /// An index of the active runs of these experiments that are not in quarantine.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(
        ledger: &Ledger,
        experiment_ids: &[String],
        goals: &[Goal],
        baseline_id: Option<String>,
    ) -> Result<DeltaIndex> {
        let mut index = DeltaIndex::new(goals, baseline_id);
        index.experiment_ids = experiment_ids.to_vec();
        index.load(ledger)?;
        Ok(index)
    }

    fn load(&mut self, ledger: &Ledger) -> Result<()> {
        // The head first: a run that changes while the rest is read is read again at the next refresh.
        self.next_event = ledger.audit_head()?.size;
        let mut search = SearchRuns {
            experiment_ids: self.experiment_ids.clone(),
            view: View::ActiveOnly,
            max_results: 50_000,
            skip_quarantined: true,
            ..SearchRuns::default()
        };
        let tags = Keys::Only(vec![BASELINE_TAG.to_string()]);
        let parts = RunParts { metrics: Keys::All, params: Keys::All, tags, ..RunParts::none() };
        let mut runs = Vec::new();
        loop {
            let page = ledger.search_runs_with(&search, &parts)?;
            runs.extend(page.items.iter().map(RunFacts::of));
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                break;
            }
        }
        self.fill(&runs);
        Ok(())
    }

    /// Brings the index up to the ledger's last change and says how many runs were looked at.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn refresh(&mut self, ledger: &Ledger) -> Result<usize> {
        let events = ledger.audit_events(self.next_event, EVENTS_MAX)?;
        let size = ledger.audit_head()?.size;
        // Lifecycle of an experiment touches all its runs; and a log that got shorter is another store.
        let must_reload = events.iter().any(|event| event.subject.starts_with("experiment:"))
            || events.len() == EVENTS_MAX
            || size < self.next_event;
        if must_reload {
            let (goals, baseline) = (self.directions.clone(), self.baseline_id.clone());
            let experiment_ids = std::mem::take(&mut self.experiment_ids);
            *self = DeltaIndex {
                directions: goals,
                baseline_id: baseline,
                experiment_ids,
                ..DeltaIndex::default()
            };
            self.load(ledger)?;
            return Ok(self.table.len());
        }
        let ids: HashSet<&str> =
            events.iter().filter_map(|event| event.subject.strip_prefix("run:")).collect();
        for id in &ids {
            match ledger.run(id) {
                Ok(record) => {
                    let belongs = record.run.lifecycle == Lifecycle::Active
                        && record.run.quarantine.is_none()
                        && self.experiment_ids.contains(&record.run.experiment_id);
                    if belongs { self.put(&RunFacts::of(&record)) } else { self.remove(id) }
                }
                Err(error) if error.kind() == mynah_ledger::ErrorKind::NotFound => self.remove(id),
                Err(error) => return Err(error.into()),
            }
        }
        self.next_event = events.last().map_or(self.next_event, |event| event.seq + 1);
        Ok(ids.len())
    }

    /// Puts many runs in at once: each is compared once, whatever their order.
    pub fn fill(&mut self, runs: &[RunFacts]) {
        for run in runs {
            self.place(run);
        }
        self.recompute_all();
    }

    /// Puts a run in, or replaces it.
    pub fn put(&mut self, run: &RunFacts) {
        let row = self.place(run);
        self.recompute(row);
        self.recompute_dependents(&run.id);
    }

    /// Takes a run out.
    pub fn remove(&mut self, id: &str) {
        if self.table.remove(id) {
            self.forget_own_baseline(id);
            self.recompute_dependents(id);
        }
    }

    /// Compares all runs that name no other with this one.
    pub fn set_baseline(&mut self, id: Option<String>) {
        self.baseline_id = id;
        self.recompute_all();
    }

    /// The runs.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The declared direction of a metric.
    pub fn direction(&self, metric: &str) -> Option<Direction> {
        self.directions.get(metric).copied()
    }

    /// The row a run is compared with.
    pub fn baseline(&self, row: usize) -> Option<usize> {
        self.rows.get(row)?.baseline
    }

    /// How a run stands to its baseline; nothing when it has none.
    pub fn summary(&self, row: usize) -> Option<Summary> {
        let row = self.rows.get(row)?;
        row.baseline.map(|_| row.summary)
    }

    /// The deltas of one run, by metric; metrics that only one of the two has are left out.
    pub fn deltas(&self, row: usize) -> Vec<Delta> {
        let Some(baseline) = self.baseline(row) else { return Vec::new() };
        self.deltas_between(baseline, row)
    }

    /// The deltas of a run against any other, by metric.
    pub fn deltas_between(&self, baseline: usize, row: usize) -> Vec<Delta> {
        let keys = self.table.metric_keys().iter().enumerate();
        let deltas = keys.filter_map(|(column, key)| {
            let (from, to) = (self.table.value(baseline, column)?, self.table.value(row, column)?);
            Some(delta(key, from, to, self.column_directions[column]))
        });
        let mut deltas: Vec<Delta> = deltas.collect();
        deltas.sort_by(|a, b| a.metric.cmp(&b.metric));
        deltas
    }

    /// The differences of one metric of all runs against their baselines: (row, difference, verdict).
    ///
    /// # Errors
    /// `NotFound` when no run has the metric.
    pub fn differences(&self, metric: &str) -> Result<Vec<(usize, f64, Verdict)>> {
        let missing = || Error::new(ErrorKind::NotFound, format!("no run has a metric '{metric}'"));
        let column = self.table.column(metric).ok_or_else(missing)?;
        let direction = self.column_directions[column];
        let rows = self.table.rows().filter_map(|row| {
            let from = self.table.value(self.rows[row].baseline?, column)?;
            let (difference, verdict) = judge(from, self.table.value(row, column)?, direction);
            Some((row, difference, verdict))
        });
        Ok(rows.collect())
    }

    /// The comparison as lines of CSV (RFC 4180): id, name, baseline, counts, then each metric and its delta.
    pub fn to_csv(&self) -> String {
        let mut keys: Vec<usize> = (0..self.table.metric_keys().len()).collect();
        keys.sort_by_key(|column| &self.table.metric_keys()[*column]);
        let mut out =
            String::from("run_id,name,baseline_id,better,worse,same,undecided,missing,config_changes");
        for column in &keys {
            let key = &self.table.metric_keys()[*column];
            out.push_str(&format!(",{},{}", csv_field(key), csv_field(&format!("{key} delta"))));
        }
        out.push_str("\r\n");
        for row in self.table.rows() {
            let baseline = self.baseline(row);
            let s = self.summary(row).unwrap_or_default();
            out.push_str(&format!(
                "{},{},{},{},{},{},{},{},{}",
                csv_field(self.table.id(row)),
                csv_field(self.table.label(row)),
                csv_field(baseline.map_or("", |row| self.table.id(row))),
                s.better,
                s.worse,
                s.same,
                s.undecided,
                s.missing,
                s.config_changes
            ));
            for column in &keys {
                let value = self.table.value(row, *column);
                let difference = baseline
                    .and_then(|baseline| self.table.value(baseline, *column))
                    .zip(value)
                    .map(|(from, to)| judge(from, to, None).0);
                let text = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
                out.push_str(&format!(",{},{}", text(value), text(difference)));
            }
            out.push_str("\r\n");
        }
        out
    }

    /// One run's comparison as JSON.
    pub fn to_json(&self, row: usize) -> Value {
        let s = self.summary(row);
        json!({
            "run_id": self.table.id(row), "name": self.table.label(row),
            "baseline_id": self.baseline(row).map(|row| self.table.id(row)),
            "summary": s.map(|s| json!({"better": s.better, "worse": s.worse, "same": s.same,
                "undecided": s.undecided, "missing": s.missing, "config_changes": s.config_changes})),
            "metrics": self.table.metric_keys().iter().enumerate()
                .filter_map(|(column, key)| Some((key.clone(), json_number(self.table.value(row, column)?))))
                .collect::<serde_json::Map<_, _>>(),
            "deltas": self.deltas(row).iter().map(Delta::to_json).collect::<Vec<_>>(),
        })
    }

    fn place(&mut self, run: &RunFacts) -> usize {
        let row = self.table.put(run);
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Row::default());
        }
        for key in &self.table.metric_keys()[self.column_directions.len()..] {
            self.column_directions.push(self.directions.get(key).copied());
        }
        if self.own_baselines.get(&run.id) != run.baseline_id.as_ref() {
            self.forget_own_baseline(&run.id);
            if let Some(baseline) = &run.baseline_id {
                self.own_baselines.insert(run.id.clone(), baseline.clone());
                self.dependents.entry(baseline.clone()).or_default().insert(run.id.clone());
            }
        }
        row
    }

    fn forget_own_baseline(&mut self, id: &str) {
        if let Some(old) = self.own_baselines.remove(id)
            && let Some(dependents) = self.dependents.get_mut(&old)
        {
            dependents.remove(id);
        }
    }

    fn recompute_dependents(&mut self, id: &str) {
        if self.baseline_id.as_deref() == Some(id) {
            return self.recompute_all();
        }
        let ids: Vec<String> = self.dependents.get(id).into_iter().flatten().cloned().collect();
        for id in ids {
            if let Some(row) = self.table.row(&id) {
                self.recompute(row);
            }
        }
    }

    fn recompute_all(&mut self) {
        let rows: Vec<usize> = self.table.rows().collect();
        rows.into_iter().for_each(|row| self.recompute(row));
    }

    fn recompute(&mut self, row: usize) {
        let own = self.own_baselines.get(self.table.id(row)).or(self.baseline_id.as_ref());
        let baseline = own.and_then(|id| self.table.row(id));
        let mut summary = Summary::default();
        if let Some(baseline) = baseline {
            for (column, direction) in self.column_directions.iter().enumerate() {
                match (self.table.value(baseline, column), self.table.value(row, column)) {
                    (Some(from), Some(to)) => match judge(from, to, *direction).1 {
                        Verdict::Better => summary.better += 1,
                        Verdict::Worse => summary.worse += 1,
                        Verdict::Same => summary.same += 1,
                        Verdict::Undirected | Verdict::Incomparable => summary.undecided += 1,
                    },
                    (None, None) => {}
                    _ => summary.missing += 1,
                }
            }
            summary.config_changes = config_distance(&self.table, baseline, row) as u32;
        }
        self.rows[row] = Row { baseline, summary };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, baseline: Option<&str>, loss: f64) -> RunFacts {
        RunFacts {
            id: id.to_string(),
            name: format!("name of {id}"),
            baseline_id: baseline.map(str::to_string),
            metrics: vec![("loss".to_string(), loss), ("tokens".to_string(), 10.0 * loss)],
            config: vec![("lr".to_string(), format!("{loss}"))],
        }
    }

    fn goals() -> Vec<Goal> {
        vec!["loss:min".parse().unwrap()]
    }

    #[test]
    fn each_run_against_its_baseline() {
        let mut index = DeltaIndex::new(&goals(), Some("base".to_string()));
        index.fill(&[run("a", None, 1.0), run("base", None, 2.0), run("b", Some("a"), 3.0)]);
        let row = |index: &DeltaIndex, id: &str| index.table().row(id).unwrap();
        let summary = |index: &DeltaIndex, id: &str| index.summary(row(index, id)).unwrap();
        let expect = Summary { better: 1, undecided: 1, config_changes: 1, ..Summary::default() };
        assert_eq!(summary(&index, "a"), expect);
        assert_eq!(summary(&index, "base"), Summary { same: 2, ..Summary::default() });
        assert_eq!(index.baseline(row(&index, "b")), Some(row(&index, "a")));
        let deltas = index.deltas(row(&index, "b"));
        assert_eq!((deltas[0].metric.as_str(), deltas[0].difference), ("loss", 2.0));
        assert_eq!(deltas[1].verdict, Verdict::Undirected);
        // A baseline that changes changes who depends on it.
        index.put(&run("a", None, 4.0));
        assert_eq!(summary(&index, "b").better, 1);
        index.remove("a");
        assert_eq!(index.summary(row(&index, "b")), None);
        index.put(&run("b", None, 3.0));
        assert_eq!(summary(&index, "b").worse, 1);
        index.set_baseline(None);
        assert_eq!(index.summary(row(&index, "b")), None);
    }

    /// After any sequence of changes the index is that of a fresh build.
    #[test]
    fn incremental_equals_rebuilt() {
        let mut rng = mynah_base::Rng::new(3);
        let mut index = DeltaIndex::new(&goals(), Some("r0".to_string()));
        let mut runs: HashMap<String, RunFacts> = HashMap::new();
        for round in 0..600 {
            let id = format!("r{}", rng.below(12));
            if rng.chance(0.3) {
                index.remove(&id);
                runs.remove(&id);
            } else {
                let baseline = rng.chance(0.5).then(|| format!("r{}", rng.below(12)));
                let run = run(&id, baseline.as_deref(), rng.below(5) as f64);
                index.put(&run);
                runs.insert(id, run);
            }
            let mut fresh = DeltaIndex::new(&goals(), Some("r0".to_string()));
            fresh.fill(&runs.values().cloned().collect::<Vec<_>>());
            for id in runs.keys() {
                let of = |index: &DeltaIndex| {
                    let row = index.table().row(id).unwrap();
                    (index.summary(row), index.baseline(row).map(|row| index.table().id(row).to_string()))
                };
                assert_eq!(of(&index), of(&fresh), "round {round}, {id}");
            }
        }
    }

    #[test]
    fn csv_is_quoted_and_harmless() {
        let mut index = DeltaIndex::new(&[], Some("a".to_string()));
        let named = |id: &str, name: &str| RunFacts { name: name.to_string(), ..run(id, None, 1.5) };
        index.fill(&[named("a", "=HYPERLINK(\"x\")"), named("b", "x, y")]);
        let lines: Vec<String> = index.to_csv().split("\r\n").map(str::to_string).collect();
        assert!(lines[0].ends_with(",config_changes,loss,loss delta,tokens,tokens delta"), "{}", lines[0]);
        assert_eq!(lines[1], "a,\"'=HYPERLINK(\"\"x\"\")\",a,0,0,2,0,0,0,1.5,0,15,0");
        assert!(lines[2].starts_with("b,\"x, y\",a,"), "{}", lines[2]);
    }
}
