//! A ledger in a folder of its own, and small helpers.

#![allow(dead_code, reason = "each test file uses another part")]

use mynah_ledger::{Ledger, Location, Metric, NewRun, OpenOptions, RunRecord, Tag};
use tempfile::TempDir;

/// A fresh ledger; the folder lives as long as the second value.
pub fn ledger() -> (Ledger, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(&dir), dir)
}

/// The ledger of that folder.
pub fn open(dir: &TempDir) -> Ledger {
    Ledger::open(&place(dir), options()).unwrap()
}

/// Where it is.
pub fn place(dir: &TempDir) -> Location {
    Location::Sqlite(dir.path().join("ledger.db"))
}

/// Nobody's name is in a test.
pub fn options() -> OpenOptions {
    OpenOptions { actor: "tester".to_string(), ..OpenOptions::default() }
}

/// A run in the default experiment.
pub fn run(ledger: &Ledger, name: &str) -> RunRecord {
    run_in(ledger, "0", name, &[])
}

/// A run with tags.
pub fn run_in(ledger: &Ledger, experiment: &str, name: &str, tags: &[(&str, &str)]) -> RunRecord {
    let tags = tags.iter().map(|(key, value)| Tag::new(*key, *value)).collect();
    let new = NewRun { experiment_id: experiment.into(), name: Some(name.into()), tags, ..NewRun::default() };
    ledger.create_run(new).unwrap()
}

/// Records one point.
pub fn point(ledger: &Ledger, run: &RunRecord, key: &str, value: f64, step: i64) {
    ledger.log_metric(&run.run.id, Metric::new(key, value, 1_000 + step, step)).unwrap();
}
