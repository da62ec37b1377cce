//! Several processes on one store, processes that are killed, and processes that end without a word.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::common::{self, Store, open, options, run, store};
use mynah_base::Rng;
use mynah_ledger::{
    ArtifactOwner, Batch, CheckOptions, Ledger, Location, Metric, NewRun, OpenOptions, Param, Recorder,
    RecorderOptions, RunUpdate, Tag,
};

const STORE: &str = "MYNAH_TEST_LEDGER_STORE";
const JOB: &str = "MYNAH_TEST_LEDGER_JOB";
const RUN: &str = "MYNAH_TEST_LEDGER_RUN";

const WRITERS: usize = 8;
/// The full figure, 10,000, is in the benchmark.
const POINTS: i64 = 500;

/// Not a test of its own: the process that the tests below start.
#[test]
fn child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let ledger = Ledger::open(&Location::parse(&store).unwrap(), options()).unwrap();
    let run = std::env::var(RUN).unwrap_or_default();
    match std::env::var(JOB).unwrap().as_str() {
        "write" => write(&ledger, &run),
        "forever" => forever(&ledger, &run),
        "exit" => leave(&ledger, &run, || std::process::exit(0)),
        "panic" => leave(&ledger, &run, || panic!("on purpose")),
        job => panic!("no job {job}"),
    }
}

/// Points in small batches and single ones.
fn write(ledger: &Ledger, run: &str) {
    for first in (0..POINTS).step_by(25) {
        let metrics = (first..first + 24).map(|step| Metric::new("m", step as f64, step, step)).collect();
        ledger.log_batch(run, Batch { metrics, ..Batch::default() }).unwrap();
        ledger.log_metric(run, Metric::new("m", (first + 24) as f64, first + 24, first + 24)).unwrap();
    }
}

/// Random changes, each told on standard output once it is acknowledged, until somebody kills us.
fn forever(ledger: &Ledger, seed: &str) {
    let mut rng = Rng::new(seed.parse().unwrap());
    let new = || NewRun { experiment_id: "0".into(), ..NewRun::default() };
    let mut run = ledger.create_run(new()).unwrap().run.id;
    for n in 0i64.. {
        let word = match rng.below(8) {
            0 => {
                run = ledger.create_run(new()).unwrap().run.id;
                format!("run {run}")
            }
            1 => {
                ledger.log_param(&run, Param::new(format!("p{n}"), n.to_string())).unwrap();
                format!("param {run} p{n} {n}")
            }
            2 => {
                ledger.set_tag(&run, Tag::new("t", n.to_string())).unwrap();
                format!("nothing {run}")
            }
            3 => {
                let owner = ArtifactOwner::Run(run.clone());
                ledger.put_artifact(&owner, &format!("f{n}"), &mut n.to_string().as_bytes()).unwrap();
                format!("file {run} f{n} {n}")
            }
            4 => {
                ledger.update_run(&run, RunUpdate { end_time_ms: Some(n), ..RunUpdate::default() }).unwrap();
                format!("nothing {run}")
            }
            _ => {
                let count = rng.below(60).cast_signed();
                let point = |i: i64| Metric::new("m", 1.0, n, n * 100 + i);
                let metrics = (0..=count).map(point).collect();
                ledger.log_batch(&run, Batch { metrics, ..Batch::default() }).unwrap();
                format!("points {run} {} {}", n * 100, n * 100 + count)
            }
        };
        println!("did {word}");
    }
}

/// Records and ends with the recorder still alive in a static.
fn leave(ledger: &Ledger, run: &str, end: impl FnOnce()) {
    static HELD: OnceLock<(Recorder, Ledger)> = OnceLock::new();
    let slow = RecorderOptions { linger_ms: 3_600_000, ..RecorderOptions::default() };
    let (recorder, _) = HELD.get_or_init(|| (ledger.recorder(run, slow).unwrap(), ledger.clone()));
    (0..POINTS).for_each(|step| recorder.log_metric("m", step as f64, step).unwrap());
    end();
}

fn spawn(dir: &Store, job: &str, run: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "suites::processes::child", "--nocapture", "--test-threads", "1"])
        .env(STORE, dir.text())
        .env(JOB, job)
        .env(RUN, run)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn count(ledger: &Ledger, run: &str) -> i64 {
    ledger.metric_history(run, "m", None, None).unwrap().items.len() as i64
}

#[test]
fn eight_processes_at_once_lose_nothing() {
    let Some(dir) = store() else { return };
    let ledger = open(&dir);
    // Half of them share a run, so that they also meet on its latest value.
    let shared = run(&ledger, "shared").run.id;
    let runs: Vec<String> =
        (0..WRITERS).map(|i| if i % 2 == 0 { shared.clone() } else { run(&ledger, "own").run.id }).collect();
    let children: Vec<Child> = runs.iter().map(|run| spawn(&dir, "write", run)).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert!(runs.iter().all(|run| count(&ledger, run) == POINTS));
    assert_eq!(ledger.run(&shared).unwrap().data.metric("m"), Some((POINTS - 1) as f64));
    let report = ledger.check(&CheckOptions::default()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.events, 1 + (WRITERS / 2) as u64 + WRITERS as u64 * (POINTS as u64 / 25) * 2);
}

#[test]
fn a_killed_process_leaves_a_whole_store_with_all_it_acknowledged() {
    let Some(dir) = store() else { return };
    drop(open(&dir));
    let mut rng = Rng::new(11);
    let mut did: Vec<String> = Vec::new();
    // In all at least 200 operations, ended at a random one each time.
    for round in 0..8 {
        let mut child = spawn(&dir, "forever", &round.to_string());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = 25 + rng.index(30);
        let is_word = |line: &String| line.starts_with("did ");
        did.extend(lines.by_ref().map_while(Result::ok).filter(is_word).take(until));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died, but for a line cut in the middle.
        let rest: Vec<String> = lines.map_while(Result::ok).filter(is_word).collect();
        did.extend(rest.iter().take(rest.len().saturating_sub(1)).cloned());
        let ledger = open(&dir);
        let report = ledger.check(&CheckOptions { read_artifacts: true, held: None }).unwrap();
        assert_eq!(report.findings, [], "after the kill of round {round}");
    }
    assert!(did.len() >= 200, "{} operations", did.len());
    let ledger = open(&dir);
    for line in &did {
        let words: Vec<&str> = line.split(' ').collect();
        match words[1..] {
            ["run", id] | ["nothing", id] => assert!(ledger.run(id).is_ok(), "{line}"),
            ["param", id, key, value] => {
                assert_eq!(ledger.run(id).unwrap().data.param(key), Some(value), "{line}");
            }
            ["file", id, path, text] => {
                let (artifact, _) = ledger.artifact(&ArtifactOwner::Run(id.into()), path).unwrap();
                assert_eq!(artifact.size_bytes, text.len() as u64, "{line}");
            }
            ["points", id, first, last] => {
                let steps = (first.parse().unwrap(), last.parse().unwrap());
                let found = ledger.metric_sample(&[id.to_string()], "m", Some(steps), 1_000).unwrap();
                assert_eq!(found.len() as i64, steps.1 - steps.0 + 1, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
}

#[test]
fn a_recorder_loses_nothing_at_exit_and_at_panic() {
    for job in ["exit", "panic"] {
        let Some(dir) = store() else { return };
        let ledger = open(&dir);
        let id = run(&ledger, "r").run.id;
        let status = spawn(&dir, job, &id).wait_with_output().unwrap().status;
        assert_eq!(status.success(), job == "exit");
        assert_eq!(count(&ledger, &id), POINTS, "{job}");
    }
}

/// Another process that writes and does not end its transaction.
enum Hold {
    Sqlite { _connection: rusqlite::Connection },
    Postgres { _client: postgres::Client },
}

impl Hold {
    fn new(dir: &Store) -> Hold {
        if crate::POSTGRES {
            let mut client = common::cluster::connect(&dir.text());
            client.batch_execute("BEGIN; SELECT 1 FROM audit_tree FOR UPDATE").unwrap();
            return Hold::Postgres { _client: client };
        }
        let connection = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Hold::Sqlite { _connection: connection }
    }
}

#[test]
fn a_store_held_by_another_process_is_busy_and_then_free() {
    let Some(dir) = store() else { return };
    let ledger =
        Ledger::open(&common::place(&dir), OpenOptions { busy_timeout_ms: 20, ..options() }).unwrap();
    let id = run(&ledger, "r").run.id;
    let hold = Hold::new(&dir);
    let error = ledger.set_tag(&id, Tag::new("a", "b")).unwrap_err();
    assert_eq!(error.kind(), mynah_ledger::ErrorKind::Busy);
    assert_eq!(ledger.run(&id).unwrap().run.name, "r", "reading goes on");
    // A recorder keeps its points until the store is free again.
    let recorder =
        ledger.recorder(&id, RecorderOptions { linger_ms: 0, ..RecorderOptions::default() }).unwrap();
    recorder.log_metric("m", 1.0, 1).unwrap();
    while recorder.stats().retries == 0 {
        std::thread::yield_now();
    }
    drop(hold);
    recorder.flush().unwrap();
    assert_eq!(count(&ledger, &id), 1);
}
