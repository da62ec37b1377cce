//! Governance among others: validating while runs are written, claiming from many processes' handles.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Store, options, place};
use mynah_govern::now_ms;
use mynah_govern::quarantine;
use mynah_govern::repair::{apply, undo};
use mynah_govern::schedule::{Claims, GOVERNANCE_EXPERIMENT, LedgerClaims, Schedule};
use mynah_govern::validate::{Policy, validate};
use mynah_ledger::{Ledger, Metric, NewRun, RunStatus, Stage, Tag};

#[test]
fn a_store_in_use_gives_no_findings() {
    let store = Store::new();
    let stop = AtomicBool::new(false);
    let busy = |work: &(dyn Fn(i64) + Sync)| {
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            work(round);
            round += 1;
        }
    };
    let begin = now_ms();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            busy(&|step| {
                store
                    .ledger
                    .log_metric(&store.running, Metric::new("busy", step as f64, begin + step, step))
                    .unwrap();
            })
        });
        scope.spawn(|| {
            busy(&|round| {
                let new = NewRun { experiment_id: "0".to_string(), ..NewRun::default() };
                let run = store.ledger.create_run(new).unwrap().run.id;
                common::put(&store.ledger, &run, "a.txt", round.to_string().as_bytes());
                common::finish(&store.ledger, &run);
                store.ledger.delete_run(&run).unwrap();
            })
        });
        scope.spawn(|| {
            busy(&|round| {
                let stage = if round % 2 == 0 { Stage::Staging } else { Stage::Archived };
                store.ledger.transition_model_version("chat", 2, stage, false).unwrap();
                store.ledger.set_tag(&store.tuned, Tag::new("round", round.to_string())).unwrap();
            })
        });
        for _ in 0..20 {
            let found = validate(&store.ledger, &Policy::default(), None, now_ms()).unwrap();
            if !found.findings.is_empty() {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(found.findings, Vec::new());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.validate().findings, Vec::new());
}

#[test]
fn claims_of_many_handles_are_given_once() {
    let store = Store::new();
    let handles: Vec<Ledger> = (0..4).map(|_| Ledger::open(&place(&store.dir), options()).unwrap()).collect();
    let given = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for handle in &handles {
            let given = &given;
            scope.spawn(move || {
                let claims = LedgerClaims::new(handle, "tester");
                for key in 0..10 {
                    let key = key.to_string();
                    if claims.claim("hook", &key).unwrap() {
                        given.fetch_add(1, Ordering::Relaxed);
                        let outcome = if key == "3" { Err("no route") } else { Ok(()) };
                        claims.finish("hook", &key, outcome).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(given.load(Ordering::Relaxed), 10);
    let failed = store.ledger.run(&LedgerClaims::run_id("hook", "3")).unwrap();
    assert_eq!((failed.run.status, failed.data.tag("mynah.error")), (RunStatus::Failed, Some("no route")));
    assert_eq!(store.ledger.experiment(&failed.run.experiment_id).unwrap().name, GOVERNANCE_EXPERIMENT);
    assert_eq!(store.validate().findings, Vec::new());
}

/// The whole round: validate on schedule, set the damaged run aside, repair it, let it out again.
#[test]
fn a_scheduled_validation_sets_aside_and_lets_out() {
    let store = Store::new();
    let policy = Policy::default();
    store.change("UPDATE runs SET status = 'FAILED' WHERE run_id = ?1", [&store.tuned]);
    let claims = LedgerClaims::new(&store.ledger, "tester");
    let schedule = Schedule::new("nightly", "* * * * *").unwrap();
    let now = now_ms();
    let round = |since: i64, now: i64| {
        schedule.run_due(since, now, &claims, |_| {
            let found = validate(&store.ledger, &policy, None, now_ms())?;
            apply(&store.ledger, &quarantine::plan(&found, &policy), "tester")?;
            Ok(())
        })
    };
    assert!(round(now - 60_000, now).unwrap().is_some());
    let reason = store.ledger.run(&store.tuned).unwrap().run.quarantine.unwrap().reason;
    assert!(reason.starts_with("governance: error: run.state-differs"), "{reason}");
    // The same minute again does nothing; the next one keeps it in, and finds nothing to do.
    assert!(round(now - 60_000, now).unwrap().is_none());
    let found = validate(&store.ledger, &policy, None, now_ms()).unwrap();
    assert!(quarantine::plan(&found, &policy).steps.is_empty());
    let receipt = apply(&store.ledger, &mynah_govern::repair::plan(&found.findings), "tester").unwrap();
    assert!(round(now, now + 60_000).unwrap().is_some());
    assert!(store.ledger.run(&store.tuned).unwrap().run.quarantine.is_none());
    assert_eq!(store.validate().findings, Vec::new());
    assert_eq!(undo(&store.ledger, &receipt, "tester").unwrap().done(), receipt.done());
}
