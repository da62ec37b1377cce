//! Flows in the run ledger.

use std::fs;

use mynah_flow::{Outcome, Recording};
use mynah_ledger::{ArtifactOwner, Ledger, Location, OpenOptions, RunStatus, SearchRuns};

use crate::bench::{Bench, stage};

#[test]
fn a_flow_is_a_run_with_one_below_it_per_stage() {
    let text = stage("good", "echo $MYNAH_PARENT_RUN; echo > g", "outputs = [\"g\"]")
        + &stage("bad", "exit 3", "needs = [\"good\"]")
        + &stage("never", "true", "needs = [\"bad\"]");
    let mut bench = Bench::new(&text);
    let location = Location::Sqlite(bench.path("ledger.db"));
    let ledger = Ledger::open(&location, OpenOptions::default()).unwrap();
    bench.options.recording =
        Some(Recording { ledger: ledger.clone(), experiment_id: "0".to_string(), user: "me".to_string() });
    let report =
        bench.check(&[("good", Outcome::Ran), ("bad", Outcome::Failed), ("never", Outcome::Skipped)]);
    let flow = ledger.run(report.ledger_run_id.as_ref().unwrap()).unwrap();
    assert_eq!((flow.run.status, flow.data.tag("mynah.kind")), (RunStatus::Failed, Some("flow")));
    let good = ledger.run(report.stages[0].ledger_run_id.as_ref().unwrap()).unwrap();
    assert_eq!(good.run.parent_id, Some(flow.run.id.clone()));
    assert_eq!((good.run.name.as_str(), good.run.status), ("good", RunStatus::Finished));
    assert_eq!(good.data.param("flow.key"), report.stages[0].key.as_deref());
    assert_eq!(good.data.tag("mynah.flow.output.g"), Some(report.stages[0].outputs[0].digest.as_str()));
    // The stage's program knows its run, so that what it records can go below it.
    let log = fs::read_to_string(report.stages[0].log.as_ref().unwrap()).unwrap();
    assert_eq!(log.trim(), good.run.id);
    let owner = ArtifactOwner::Run(good.run.id.clone());
    assert_eq!(ledger.walk_artifacts(&owner).unwrap()[0].path, "log.txt");
    let bad = ledger.run(report.stages[1].ledger_run_id.as_ref().unwrap()).unwrap();
    assert_eq!(bad.run.status, RunStatus::Failed);
    assert!(bad.data.tag("mynah.error").unwrap().contains("ended with code 3"));
    assert!(report.stages[2].ledger_run_id.is_none());
    let search = SearchRuns { experiment_ids: vec!["0".to_string()], ..SearchRuns::default() };
    assert_eq!(ledger.search_runs(&search).unwrap().items.len(), 3);
}

#[test]
fn trouble_with_the_ledger_does_not_stop_a_flow() {
    let mut bench = Bench::new(&stage("a", "echo > a", "outputs = [\"a\"]"));
    let location = Location::Sqlite(bench.path("ledger.db"));
    let ledger = Ledger::open(&location, OpenOptions::default()).unwrap();
    bench.options.recording =
        Some(Recording { ledger, experiment_id: "77".to_string(), user: String::new() });
    let report = bench.check(&[("a", Outcome::Ran)]);
    assert!(report.ledger_run_id.is_none());
    assert!(bench.seen.has("note the flow is not recorded in the ledger"));
}
