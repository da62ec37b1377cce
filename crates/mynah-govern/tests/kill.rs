//! `kill -9` among two hundred random operations: the store opens, and validation finds nothing.

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Store, options};
use mynah_base::Rng;
use mynah_govern::repair::{Action, Plan, Step, apply};
use mynah_govern::schedule::{Claims, LedgerClaims};
use mynah_govern::validate::{Policy, validate};
use mynah_govern::{now_ms, promote};
use mynah_ledger::{ArtifactOwner, Batch, Ledger, Location, Metric, NewRun, Param, Stage, Tag};

/// Set for the process that works until it is killed: the ledger's file and a seed.
const CHILD: &str = "MYNAH_GOVERN_TEST_CHILD";

#[test]
fn a_killed_writer_leaves_a_store_that_validates() {
    if let Ok(job) = std::env::var(CHILD) {
        let (seed, path) = job.split_once(' ').unwrap();
        work(&PathBuf::from(path), seed.parse().unwrap());
        return;
    }
    let store = Store::new();
    let path = store.ledger.location().path().to_path_buf();
    let (dir, [base, _, _]) = (store.dir, [store.base, store.tuned, store.running]);
    drop(store.ledger);
    let mut done = 0;
    for seed in 0.. {
        let name = "a_killed_writer_leaves_a_store_that_validates";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{seed} {}", path.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed in the middle of whatever comes after so many operations.
        let until = 8 + Rng::new(seed).index(20);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        done += lines.filter(|line| line.starts_with("did ")).take(until).count();
        child.kill().unwrap();
        child.wait().unwrap();
        let ledger = Ledger::open(&Location::Sqlite(path.clone()), options()).unwrap();
        let found = validate(&ledger, &Policy::default(), None, now_ms()).unwrap();
        assert_eq!(found.findings, Vec::new(), "seed {seed}, killed after {until} operations");
        assert!(ledger.run(&base).is_ok());
        if done >= 200 {
            break;
        }
    }
    drop(dir);
}

/// Random operations for ever, each told when it is done.
fn work(path: &std::path::Path, seed: u64) {
    let ledger = Ledger::open(&Location::Sqlite(path.to_path_buf()), options()).unwrap();
    let mut rng = Rng::new(seed);
    let new = NewRun { experiment_id: "0".to_string(), ..NewRun::default() };
    let run = ledger.create_run(new).unwrap().run.id;
    let owner = ArtifactOwner::Run(run.clone());
    let (begin, mut step) = (now_ms(), 0);
    for round in 0i64.. {
        let what = rng.below(9);
        match what {
            0 => {
                let metric = |step| Metric::new("m", step as f64, begin + step, step);
                let metrics = (step..step + 50).map(metric).collect();
                step += 50;
                let params = vec![Param::new(format!("p{round}"), "1"), Param::new(format!("q{round}"), "2")];
                let tags = vec![Tag::new("round", round.to_string())];
                ledger.log_batch(&run, Batch { metrics, params, tags }).unwrap();
            }
            1 => {
                let bytes = vec![round as u8; 1 + rng.index(200_000)];
                drop(ledger.put_artifact(&owner, &format!("a{}", rng.below(4)), &mut &bytes[..]).unwrap());
            }
            2 => {
                let other = NewRun { experiment_id: "0".to_string(), ..NewRun::default() };
                let other = ledger.create_run(other).unwrap().run.id;
                common::finish(&ledger, &other);
            }
            3 => ledger.quarantine_run(&run, "for a moment").unwrap(),
            4 => ledger.release_run(&run).unwrap(),
            5 => drop(ledger.transition_model_version("chat", 2, Stage::Staging, true).unwrap()),
            6 => {
                let step = Step {
                    findings: Vec::new(),
                    rules: Vec::new(),
                    action: Action::SetTag {
                        run_id: run.clone(),
                        key: "repaired".to_string(),
                        value: round.to_string(),
                        was: ledger.run(&run).unwrap().data.tag("repaired").map(str::to_string),
                    },
                };
                drop(apply(&ledger, &Plan::new(vec![step], Vec::new()), "tester").unwrap());
            }
            7 => {
                let claims = LedgerClaims::new(&ledger, "tester");
                let key = format!("{seed} {round}");
                assert!(claims.claim("test", &key).unwrap());
                claims.finish("test", &key, Ok(())).unwrap();
            }
            _ => {
                let request = promote::Request {
                    model: "chat".to_string(),
                    version: 1 + rng.below(2),
                    stage: Stage::Production,
                    baseline_run: None,
                };
                drop(promote::promote(&ledger, &request, &Policy::default(), None, "tester").unwrap());
            }
        }
        println!("\ndid {what}");
    }
}
