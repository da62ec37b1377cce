//! Flows in the run ledger.

use std::fs;

use mynah_flow::{Outcome, Recording, latest_journal};
use mynah_ledger::{ArtifactOwner, Ledger, Location, OpenOptions, RunStatus, RunUpdate, SearchRuns};

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

#[test]
fn what_a_killed_flow_left_running_in_the_ledger_is_ended() {
    let text = stage("a", "test -e $GO || sleep 1000", "env = [\"GO\"]");
    let mut bench = Bench::new(&text);
    let ledger = Ledger::open(&Location::Sqlite(bench.path("ledger.db")), OpenOptions::default()).unwrap();
    bench.options.environment.insert("GO".to_string(), bench.path("go").display().to_string());
    bench.options.recording =
        Some(Recording { ledger: ledger.clone(), experiment_id: "0".to_string(), user: "me".to_string() });
    bench.write("go", "");
    let first = bench.run();
    let [flow, stage] = [&first.ledger_run_id, &first.stages[0].ledger_run_id].map(|id| id.clone().unwrap());
    // As if the flow had been killed while the stage ran.
    let running = || RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
    for run in [&flow, &stage] {
        ledger.update_run(run, running()).unwrap();
    }
    let journal = latest_journal(bench.dir.path()).unwrap().unwrap();
    let lines = fs::read_to_string(&journal).unwrap();
    let cut = |to: &str| lines[..lines.find(to).unwrap()].rfind('\n').unwrap() + 1;
    fs::write(&journal, &lines[..cut("\"event\":\"end\"")]).unwrap();
    let resumed = bench.run();
    assert!(resumed.is_resumed && resumed.is_success());
    assert_eq!(resumed.ledger_run_id.as_deref(), Some(flow.as_str()));
    assert_eq!(ledger.run(&stage).unwrap().run.status, RunStatus::Killed);
    assert_eq!(ledger.run(&flow).unwrap().run.status, RunStatus::Finished);
    // Of a flow that does not go on, the flow itself is ended too.
    ledger.update_run(&flow, running()).unwrap();
    fs::write(&journal, &lines[..cut("\"event\":\"end\"")]).unwrap();
    bench.options.force = true;
    assert!(!bench.run().is_resumed);
    assert_eq!(ledger.run(&flow).unwrap().run.status, RunStatus::Killed);
}
