//! Stages that fail, are tried again, take too long, or do not pass their gate.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_flow::Outcome::{Cached, Failed, GateFailed, Interrupted, Ran, Skipped};
use mynah_flow::{ErrorKind, Event, Observer, run};

use crate::bench::{Bench, stage};

#[test]
fn a_gate_stops_its_dependents_only() {
    let text = stage(
        "eval",
        "echo '{\"bpb\": 1.7, \"nan\": null}' > e.json",
        "outputs = [\"e.json\"]\ngate = \"e.json:bpb <= 1.6\"",
    ) + &stage("push", "true", "needs = [\"eval\"]\ncache = false")
        + &stage("after-push", "true", "needs = [\"push\"]")
        + &stage("report", "echo > r", "outputs = [\"r\"]")
        + "[[stage]]\nname = \"only-gate\"\ninputs = [\"r\", \"e.json\"]\ngate = \"e.json:bpb > 1 and e.json:bpb < 1.8\"\n"
        + "[[stage]]\nname = \"missing\"\ninputs = [\"limits.json\"]\ngate = \"limits.json:max > 1\"\n";
    let bench = Bench::new(&text);
    bench.write("limits.json", "{}");
    let expect = |eval, report| {
        [
            ("eval", eval),
            ("push", Skipped),
            ("after-push", Skipped),
            ("report", report),
            ("only-gate", Skipped),
            ("missing", GateFailed),
        ]
    };
    let report = bench.check(&expect(GateFailed, Ran));
    let message = |name: &str| report.stage(name).unwrap().message.clone().unwrap();
    assert_eq!(message("eval"), "the gate e.json:bpb <= 1.6 does not hold: e.json:bpb is 1.7");
    assert_eq!(message("push"), "comes after \"eval\", which is gate_failed");
    assert!(message("missing").contains("limits.json has no value at \"max\""));
    assert_eq!(report.outcome(), GateFailed);
    // The outputs are kept: another threshold needs no second evaluation.
    bench.write("pipeline.toml", &text.replace("<= 1.6", "<= 1.75"));
    bench.write("limits.json", "{\"max\": 2}");
    let outcomes = [
        ("eval", Cached),
        ("push", Ran),
        ("after-push", Ran),
        ("report", Cached),
        ("only-gate", Ran),
        ("missing", Ran),
    ];
    assert!(bench.check(&outcomes).is_success());
}

#[test]
fn retries_wait_longer_each_time_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count").display().to_string();
    // Outside of what a stage may depend on, so that it can remember.
    let flaky = format!("echo x >> {count}; test $(wc -l < {count}) -ge 3 && echo > out");
    let text = stage("flaky", &flaky, "outputs = [\"out\"]\nretries = 5\nbackoff_s = 0.001")
        + &stage("broken", "echo first; echo last words >&2; exit 7", "retries = 1\nbackoff_s = 0")
        + &stage("lazy", "true", "outputs = [\"nothing\"]")
        + "[[stage]]\nname = \"unknown\"\ncommand = [\"no-such-program-here\"]\n";
    let bench = Bench::new(&text);
    let report = bench.check(&[("flaky", Ran), ("broken", Failed), ("lazy", Failed), ("unknown", Failed)]);
    assert_eq!(report.stage("flaky").unwrap().attempts, 3);
    assert!(bench.seen.has("retry flaky after 1 in 0.001") && bench.seen.has("retry flaky after 2 in 0.002"));
    let broken = report.stage("broken").unwrap();
    assert_eq!(broken.attempts, 2);
    let message = broken.message.clone().unwrap();
    assert!(message.starts_with("\"sh\" ended with code 7; the end of "), "{message}");
    assert!(message.ends_with("broken.2.log:\n    first\n    last words"), "{message}");
    assert_eq!(fs::read_to_string(broken.log.clone().unwrap()).unwrap(), "first\nlast words\n");
    assert!(report.stage("lazy").unwrap().message.clone().unwrap().contains("there is no output nothing"));
    let unknown = report.stage("unknown").unwrap().message.clone().unwrap();
    assert!(unknown.starts_with("cannot start \"no-such-program-here\""), "{unknown}");
    bench.check_scratch_is_empty();
}

#[test]
fn tails_of_logs_are_bounded_and_cannot_speak_to_the_terminal() {
    let text = stage(
        "loud",
        "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; printf '\\033[31mred\\n'; exit 1",
        "",
    ) + &stage(
        "flood",
        "while true; do echo 0123456789012345678901234567890123456789012345678901234567890123; done",
        "",
    );
    let mut bench = Bench::new(&text);
    bench.options.log_bytes_max = 100_000;
    let report = bench.check(&[("loud", Failed), ("flood", Failed)]);
    let message = report.stage("loud").unwrap().message.clone().unwrap();
    assert!(message.ends_with("    2999\n    \u{FFFD}[31mred") && message.len() < 3_000, "{message}");
    assert!(report.stage("flood").unwrap().message.clone().unwrap().contains("log is larger than"));
}

#[test]
fn a_timeout_ends_the_whole_group() {
    // The second shell ignores the polite end, and holds a child of its own.
    let text = stage(
        "slow",
        "trap '' TERM; sleep 1000 & echo $! > $OUT; sh -c \"trap '' TERM; sleep 1000\"",
        "timeout_s = 0.2\nenv = [\"OUT\"]",
    );
    let mut bench = Bench::new(&text);
    let out = bench.path("pid");
    bench.options.environment.insert("OUT".to_string(), out.display().to_string());
    bench.options.grace_ms = 50;
    let report = bench.check(&[("slow", Failed)]);
    assert!(report.stages[0].message.clone().unwrap().starts_with("ended after its timeout of 0.2 s"));
    assert!(!is_running(&fs::read_to_string(out).unwrap()));
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let text = stage("leaves", "sleep 1000 & echo $! > $OUT", "env = [\"OUT\"]");
    let mut bench = Bench::new(&text);
    let out = bench.path("pid");
    bench.options.environment.insert("OUT".to_string(), out.display().to_string());
    bench.check(&[("leaves", Ran)]);
    assert!(!is_running(&fs::read_to_string(out).unwrap()));
}

/// Whether a process runs; one that has ended and was not waited for yet does not.
pub fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Interrupts the flow when a stage's program has been started.
struct StopAt<'a>(&'a str, Arc<AtomicBool>);

impl Observer for StopAt<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Attempt { name, .. } = event
            && *name == self.0
        {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_interruption_ends_programs_and_the_next_run_goes_on() {
    let text = stage("a", "echo > a", "outputs = [\"a\"]")
        + &stage(
            "b",
            "test -e $GO || sleep 1000; echo > b",
            "inputs = [\"a\"]\noutputs = [\"b\"]\nenv = [\"GO\"]",
        )
        + &stage("c", "echo > c", "inputs = [\"b\"]\noutputs = [\"c\"]");
    let mut bench = Bench::new(&text);
    bench.options.environment.insert("GO".to_string(), bench.path("go").display().to_string());
    let stop = Arc::clone(&bench.options.stop);
    let report = run(&bench.pipeline(), &bench.options, &StopAt("b", stop)).unwrap();
    let outcomes: Vec<_> = report.stages.iter().map(|stage| stage.outcome).collect();
    assert_eq!(outcomes, [Ran, Interrupted, Interrupted]);
    assert_eq!(report.outcome(), Interrupted);
    bench.check_scratch_is_empty();
    bench.options.stop = Arc::new(AtomicBool::new(false));
    bench.write("go", "");
    let resumed = bench.check(&[("a", Cached), ("b", Ran), ("c", Ran)]);
    assert!(resumed.is_resumed);
    assert_eq!(resumed.run_id, report.run_id);
    let again = bench.check(&[("a", Cached), ("b", Cached), ("c", Cached)]);
    assert!(!again.is_resumed && again.run_id > report.run_id);
}

#[test]
fn an_input_that_changes_meanwhile_spoils_the_result() {
    let text = stage("a", "cat in > a; echo more >> in", "inputs = [\"in\"]\noutputs = [\"a\"]")
        + &stage("b", "cat dir/x > b; echo > dir/new", "inputs = [\"dir\"]\noutputs = [\"b\"]");
    let bench = Bench::new(&text);
    bench.write("in", "text\n");
    bench.write("dir/x", "text\n");
    let report = bench.check(&[("a", Failed), ("b", Failed)]);
    assert!(report.stages[0].message.clone().unwrap().contains("the input in changed while the stage ran"));
    assert!(report.stages[1].message.clone().unwrap().contains("the input dir/new changed"));
    assert!(!bench.path("a").exists());
}

#[test]
fn a_resumable_stage_finds_what_it_left() {
    let shell = "echo x >> log.txt; test $(wc -l < log.txt) -ge 3 && cp log.txt out";
    let rest = "outputs = [\"out\"]\ninputs = [\"in\"]\nresumable = true";
    let bench = Bench::new(&stage("long", shell, rest));
    bench.write("in", "1");
    bench.check(&[("long", Failed)]);
    bench.check(&[("long", Failed)]);
    bench.check(&[("long", Ran)]);
    assert_eq!(bench.read("out"), "x\nx\nx\n");
    bench.check_scratch_is_empty();
    // Other inputs begin anew.
    bench.write("in", "2");
    bench.check(&[("long", Failed)]);
    bench.write("in", "3");
    bench.check(&[("long", Failed)]);
    assert_eq!(fs::read_dir(bench.path(".mynah-flow/scratch")).unwrap().count(), 1);
}

#[test]
fn arguments_are_added_when_there_is_something_to_go_on_from() {
    let rest = "outputs = [\"out\"]\nretries = 3\nbackoff_s = 0\nresume = { path = \"log.txt\", arguments = [\"on\"] }";
    let bench = Bench::new(&stage(
        "long",
        "echo $0 >> log.txt; test $(wc -l < log.txt) -ge 3 && cp log.txt out",
        rest,
    ));
    let report = bench.check(&[("long", Ran)]);
    assert_eq!(report.stages[0].attempts, 3);
    assert_eq!(bench.read("out"), "sh\non\non\n");
    bench.check(&[("long", Cached)]);
    bench.check_scratch_is_empty();
}

/// Tries to run the same pipeline while it runs.
struct Second<'a>(&'a Bench, AtomicBool);

impl Observer for Second<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Attempt { .. } = event {
            let error = run(&self.0.pipeline(), &self.0.options, &mynah_flow::Silent).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn two_flows_in_one_folder_do_not_meet() {
    let bench = Bench::new(&stage("a", "true", ""));
    let second = Second(&bench, AtomicBool::new(false));
    assert!(run(&bench.pipeline(), &bench.options, &second).unwrap().is_success());
    assert!(second.1.load(Ordering::Relaxed));
}

#[test]
fn wide_stages_and_many_small_ones() {
    let mut text = stage("wide", "true", "cpus = 100");
    for i in 0..40 {
        text += &stage(&format!("s{i}"), "true", &format!("cpus = {}", 1 + i % 3));
    }
    text += &stage("last", "true", "needs = [\"s7\", \"wide\"]");
    let bench = Bench::new(&text);
    let report = bench.run();
    assert!(report.is_success(), "{:?}", bench.seen.texts());
    assert_eq!(report.stages.len(), 42);
}

/// An observer that fails.
struct Panics;

impl Observer for Panics {
    fn event(&self, event: &Event<'_>) {
        if let Event::StageEnded(report) = event {
            assert_ne!(report.name, "a", "on purpose");
        }
    }
}

#[test]
fn a_worker_that_panics_leaves_nobody_waiting() {
    let bench = Bench::new(
        &(stage("a", "true", "") + &stage("b", "touch $OUT", "needs = [\"a\"]\nenv = [\"OUT=never\"]")),
    );
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&bench.pipeline(), &bench.options, &Panics).map(drop)
    }));
    assert!(result.is_err());
    assert!(!bench.seen.has("start b"));
    // The folder is free again, and the flow goes on.
    let mut again = Bench { options: crate::bench::options(), ..bench };
    again.options.workers = 1;
    assert!(again.run().is_resumed);
}
