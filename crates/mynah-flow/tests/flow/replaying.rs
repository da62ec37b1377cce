//! Replays of a recorded run.

use std::fs;

use mynah_flow::{Difference, ErrorKind, Journal, Outcome, latest_journal, run};

use crate::bench::{Bench, diamond, stage};

fn starts(bench: &Bench) -> Vec<String> {
    let path = latest_journal(bench.dir.path()).unwrap().unwrap();
    Journal::read(&path).unwrap().starts().into_iter().map(str::to_string).collect()
}

#[test]
fn starts_come_in_the_recorded_order_whatever_the_workers() {
    let mut text = diamond();
    for i in 0..12 {
        text += &stage(&format!("s{i}"), &format!("echo {i} > s{i}"), &format!("outputs = [\"s{i}\"]"));
    }
    let mut bench = Bench::new(&text);
    bench.options.workers = 4;
    assert!(bench.run().is_success());
    let recorded = starts(&bench);
    let journal = latest_journal(bench.dir.path()).unwrap();
    for workers in [1, 2, 8] {
        bench.options.workers = workers;
        bench.options.replay = journal.clone();
        let report = bench.run();
        assert_eq!(report.differences, []);
        assert!(report.is_success());
        assert_eq!(starts(&bench), recorded, "{workers} workers");
        assert!(report.stages.iter().all(|stage| stage.outcome == Outcome::Ran), "what ran is run again");
    }
}

#[test]
fn a_stage_that_is_no_function_is_found() {
    let text = stage("random", "head -c 16 /dev/urandom > r", "outputs = [\"r\"]")
        + &stage("reads", "wc -c < r > n", "inputs = [\"r\"]\noutputs = [\"n\"]")
        + &stage("steady", "echo > s", "outputs = [\"s\"]");
    let mut bench = Bench::new(&text);
    bench.run();
    let first = fs::read(bench.path("r")).unwrap();
    bench.options.replay = latest_journal(bench.dir.path()).unwrap();
    let report = bench.run();
    assert!(!report.is_success());
    let kinds: Vec<String> = report.differences.iter().map(|d| d.to_string()).collect();
    assert!(
        matches!(&report.differences[0], Difference::Output { stage, path, .. } if stage == "random" && path == "r"),
        "{kinds:?}"
    );
    assert!(matches!(&report.differences[1], Difference::Key { stage, .. } if stage == "reads"), "{kinds:?}");
    assert_eq!(report.differences.len(), 2, "{kinds:?}");
    assert!(bench.seen.has("\"random\" made something else than before"));
    // The first result stays the one of the key.
    bench.options.replay = None;
    bench.run();
    assert_eq!(fs::read(bench.path("r")).unwrap(), first);
}

#[test]
fn outcomes_that_differ_are_told_and_other_pipelines_refused() {
    let text = stage("a", "test -e $GO", "env = [\"GO\"]") + &stage("b", "true", "needs = [\"a\"]");
    let mut bench = Bench::new(&text);
    bench.options.environment.insert("GO".to_string(), bench.path("go").display().to_string());
    bench.write("go", "");
    bench.check(&[("a", Outcome::Ran), ("b", Outcome::Ran)]);
    fs::remove_file(bench.path("go")).unwrap();
    bench.options.replay = latest_journal(bench.dir.path()).unwrap();
    let report = bench.check(&[("a", Outcome::Failed), ("b", Outcome::Skipped)]);
    let texts: Vec<String> = report.differences.iter().map(Difference::to_string).collect();
    assert_eq!(texts, ["a: failed instead of ran", "b: skipped instead of ran"]);
    for other in [stage("a", "true", ""), stage("a", "true", "needs = [\"b\"]") + &stage("b", "true", "")] {
        bench.write("pipeline.toml", &other);
        let error = run(&bench.pipeline(), &bench.options, &bench.seen).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Journal, "{error}");
    }
}
