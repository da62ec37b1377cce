//! Seeded corruptions of a store: each is found, and each is repaired or ticketed as designed.
//!
//! The stores are broken behind the ledger's back, in its file and in its artifact folder. What is
//! expected of each is data in `cases`.

mod cases;
#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::fs;

use cases::Then::{Both, Repaired, Ticketed};
use cases::{CASES, Case, rewrite_log};
use common::{CHECKPOINT, Store, TOKENIZER, digest, empty, options, place};
use mynah_base::Rng;
use mynah_govern::now_ms;
use mynah_govern::repair::{
    Outcome, TicketState, apply, close_ticket, file_tickets, plan, receipts, tickets, undo,
};
use mynah_govern::validate::{Policy, Severity, Validation, validate, validate_place};
use mynah_ledger::{AuditHead, Ledger};

fn rules(validation: &Validation) -> BTreeSet<&'static str> {
    validation.findings.iter().map(|finding| finding.rule).collect()
}

/// Opens the store again: a process of its own comes after the one that broke it.
fn again(store: &Store) -> Option<Ledger> {
    Ledger::open(&place(&store.dir), options()).ok()
}

#[test]
fn a_fresh_store_gives_no_findings() {
    let store = Store::new();
    assert_eq!(store.validate().findings, Vec::new());
    let (ledger, _dir) = empty();
    assert_eq!(validate(&ledger, &Policy::default(), None, now_ms()).unwrap().findings, Vec::new());
}

#[test]
fn every_corruption_is_found_and_repaired_or_ticketed() {
    let mut failures = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        let seed = 100 + index as u64;
        let store = Store::new();
        (case.break_it)(&store, &mut Rng::new(seed));
        if let Err(why) = judge(case, &store) {
            failures.push(format!("'{}' (seed {seed}): {why}", case.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), CASES.len(), failures.join("\n"));
    assert!(CASES.len() >= 30);
}

fn judge(case: &Case, store: &Store) -> Result<(), String> {
    let policy = Policy::default();
    let found = match again(store) {
        Some(ledger) => validate(&ledger, &policy, None, now_ms()),
        None => validate_place(&place(&store.dir), &policy, None, now_ms()),
    };
    let found = found.map_err(|error| error.to_string())?;
    if !rules(&found).contains(case.rule) {
        return Err(format!("{} was not found, only {:?}", case.rule, found.findings));
    }
    let plan = plan(&found.findings);
    let of_rule = |rule: &str| rule == case.rule;
    let has_step = plan.steps.iter().any(|step| step.rules.iter().any(|rule| of_rule(rule)));
    let ticket = plan.tickets.iter().find(|ticket| of_rule(&ticket.rule));
    let expected = match case.then {
        Repaired => has_step,
        Ticketed => ticket.is_some(),
        Both => has_step && ticket.is_some(),
    };
    if !expected {
        return Err(format!("{:?} was not planned: {plan:?}", case.then));
    }
    if ticket.is_some_and(|ticket| ticket.guidance.is_empty()) {
        return Err("a ticket without guidance".to_string());
    }
    if case.then == Ticketed {
        return Ok(());
    }
    let ledger = again(store).ok_or("the store cannot be opened")?;
    let receipt = apply(&ledger, &plan, "tester").map_err(|error| error.to_string())?;
    // The dry run shows the very steps that were done.
    let done: Vec<_> = receipt.results.iter().map(|result| result.step.clone()).collect();
    if done != plan.steps || receipt.results.iter().any(|result| result.outcome != Outcome::Done) {
        return Err(format!("not all was done: {:?}", receipt.results));
    }
    let left = validate(&ledger, &policy, None, now_ms()).map_err(|error| error.to_string())?;
    let left_rules = rules(&left);
    match case.then {
        Repaired if !left.findings.is_empty() => {
            return Err(format!("left after the repair: {:?}", left.findings));
        }
        Both if left_rules.contains(case.rule) || !left_rules.contains("artifact.missing") => {
            return Err(format!("after the repair: {:?}", left.findings));
        }
        _ => {}
    }
    let second = apply(&ledger, &plan, "tester").map_err(|error| error.to_string())?;
    if second.results.iter().any(|result| result.outcome != Outcome::AlreadyDone) {
        return Err(format!("not idempotent: {:?}", second.results));
    }
    Ok(())
}

#[test]
fn a_repair_is_taken_back() {
    let store = Store::new();
    store.change("UPDATE runs SET status = 'FAILED' WHERE run_id = ?1", [&store.tuned]);
    fs::write(store.content(CHECKPOINT), b"torn").unwrap();
    store.change(
        "UPDATE artifacts SET digest = ?2, size_bytes = 14 WHERE owner = ?1 AND path LIKE 'notes/%'",
        (format!("run:{}", store.base), digest(TOKENIZER)),
    );
    let before = store.validate();
    let receipt = apply(&store.ledger, &plan(&before.findings), "tester").unwrap();
    assert_eq!(receipt.done(), receipt.results.len());
    assert!(receipt.done() >= 3);
    assert_eq!(receipts(&store.ledger).unwrap(), std::slice::from_ref(&receipt));
    let undone = undo(&store.ledger, &receipt, "tester").unwrap();
    assert_eq!(undone.done(), receipt.done(), "{:?}", undone.results);
    assert_eq!(fs::read(store.content(CHECKPOINT)).unwrap(), b"torn");
    assert_eq!(store.ledger.run(&store.tuned).unwrap().run.status.as_str(), "FAILED");
    // Again changes nothing, and neither does the undo of what somebody changed since.
    assert_eq!(undo(&store.ledger, &receipt, "tester").unwrap().done(), 0);
    let kinds: BTreeSet<String> =
        store.ledger.audit_events(0, 1_000).unwrap().into_iter().map(|e| e.kind).collect();
    assert!(kinds.contains("artifact.put"));
}

#[test]
fn a_store_that_changed_since_the_plan_is_left_alone() {
    let store = Store::new();
    store.change("UPDATE runs SET status = 'FAILED' WHERE run_id = ?1", [&store.tuned]);
    let plan = plan(&store.validate().findings);
    store.change("UPDATE runs SET status = 'KILLED' WHERE run_id = ?1", [&store.tuned]);
    let receipt = apply(&store.ledger, &plan, "tester").unwrap();
    assert!(matches!(receipt.results[0].outcome, Outcome::Conflict { .. }), "{:?}", receipt.results);
    assert_eq!(store.ledger.run(&store.tuned).unwrap().run.status.as_str(), "KILLED");
    assert!(receipts(&store.ledger).unwrap().is_empty(), "nothing done, nothing recorded");
}

#[test]
fn tickets_are_filed_once_closed_and_opened_again() {
    let store = Store::new();
    fs::remove_file(store.content(CHECKPOINT)).unwrap();
    let plan = plan(&store.validate().findings);
    assert_eq!(file_tickets(&store.ledger, &plan.tickets).unwrap(), 1);
    assert_eq!(file_tickets(&store.ledger, &plan.tickets).unwrap(), 0);
    let id = plan.tickets[0].id.clone();
    assert!(close_ticket(&store.ledger, &id, " ").is_err() && close_ticket(&store.ledger, "x", "y").is_err());
    close_ticket(&store.ledger, &id, "restored from the backup of Monday").unwrap();
    assert_eq!(tickets(&store.ledger).unwrap()[0].state, TicketState::Closed);
    assert_eq!(file_tickets(&store.ledger, &plan.tickets).unwrap(), 1, "it came back");
    let open = tickets(&store.ledger).unwrap();
    assert_eq!((open.len(), open[0].state, open[0].severity), (1, TicketState::Open, Severity::Error));
}

#[test]
fn a_torn_file_and_no_file_are_findings() {
    let store = Store::new();
    let policy = Policy::default();
    let path = store.dir.path().join("ledger.db");
    drop(store.ledger);
    let whole = fs::read(&path).unwrap();
    for length in [0, 50, 4_096, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        let found = validate_place(&place(&store.dir), &policy, None, now_ms()).unwrap();
        assert!(rules(&found).contains("store.unreadable"), "{length} bytes: {found:?}");
        assert_eq!(found.worst(), Some(Severity::Critical));
    }
    fs::remove_file(&path).unwrap();
    let found = validate_place(&place(&store.dir), &policy, None, now_ms()).unwrap();
    assert_eq!(rules(&found), BTreeSet::from(["store.unreadable"]));
    assert!(!path.exists(), "looking makes nothing");
}

/// A log cut and computed again is consistent in itself; only what was held elsewhere tells.
#[test]
fn a_log_computed_again_is_found_by_the_head_held_elsewhere() {
    let store = Store::new();
    let held: AuditHead = store.ledger.audit_head().unwrap();
    store.change("DELETE FROM audit_events WHERE seq >= ?1", [held.size as i64 - 1]);
    rewrite_log(&store, |_, body| body);
    let check = |held| rules(&validate(&store.ledger, &Policy::default(), held, now_ms()).unwrap());
    assert!(!check(None).contains("audit.log"));
    assert!(check(Some(held)).contains("audit.log"));
}

#[test]
fn silent_runs_are_stale_and_marked_killed() {
    let store = Store::new();
    let later = now_ms() + 10 * 24 * 3_600_000;
    let found = validate(&store.ledger, &Policy::default(), None, later).unwrap();
    assert_eq!(rules(&found), BTreeSet::from(["run.stale"]));
    apply(&store.ledger, &plan(&found.findings), "tester").unwrap();
    let run = store.ledger.run(&store.running).unwrap().run;
    assert_eq!(run.status.as_str(), "KILLED");
    assert!(run.end_time_ms.unwrap() <= now_ms());
    // The receipt was written twice; its first content waits for the garbage collector.
    let left = validate(&store.ledger, &Policy::default(), None, later).unwrap();
    assert_eq!(rules(&left), BTreeSet::from(["store.content-orphan"]));
    assert_eq!(left.worst(), Some(Severity::Info));
}

#[test]
fn a_run_taken_up_again_is_fine() {
    let store = Store::new();
    let status = |status| mynah_ledger::RunUpdate { status: Some(status), ..Default::default() };
    store.ledger.update_run(&store.tuned, status(mynah_ledger::RunStatus::Running)).unwrap();
    assert_eq!(store.validate().findings, Vec::new());
}

#[test]
fn a_policy_decides_what_counts() {
    let store = Store::new();
    let ask = |text: &str| {
        let policy = Policy::parse(text).unwrap();
        rules(&validate(&store.ledger, &policy, None, now_ms()).unwrap())
    };
    for (text, expect) in [
        ("", None),
        ("[required]\nparams = ['dropout']", Some("run.required")),
        ("[required]\nartifacts = ['checkpoint/model.safetensors']", None),
        ("[required]\ndataset = true", None),
        ("[types]\nlr = 'integer'", Some("run.type")),
        ("[types]\nlr = 'number'\nseed = 'integer'", None),
        ("non_finite = 'any'", Some("metric.non-finite")),
        ("non_finite = 'any'\nnon_finite_allowed = ['lo*']", None),
        ("[budgets]\n'system.*' = { max = 1e7 }", Some("budget.exceeded")),
        ("points_max = 50", Some("budget.exceeded")),
        ("artifact_bytes_max = 10", Some("budget.exceeded")),
        ("artifact_bytes_max = 10\n[levels]\n'budget.exceeded' = 'off'", None),
        ("[[links]]\nfrom = 'param:lr'\nto = 'init:param:depth'", Some("link.differs")),
        ("[[links]]\nfrom = 'param:lr'\nto = 'init:param:lr'", None),
        ("[[links]]\nfrom = 'param:lr'\nto = 'artifact:none'", Some("link.missing")),
    ] {
        assert_eq!(ask(text), expect.into_iter().collect(), "{text}");
    }
}

/// Governance's own records are part of the store and must not disturb it.
#[test]
fn what_governance_writes_validates() {
    let store = Store::new();
    fs::write(store.content(CHECKPOINT), b"torn").unwrap();
    let found = store.validate();
    let plan = plan(&found.findings);
    apply(&store.ledger, &plan, "tester").unwrap();
    file_tickets(&store.ledger, &plan.tickets).unwrap();
    let claims = mynah_govern::schedule::LedgerClaims::new(&store.ledger, "tester");
    let schedule = mynah_govern::schedule::Schedule::new("validate", "* * * * *").unwrap();
    let now = now_ms();
    assert!(schedule.run_due(now - 120_000, now, &claims, |_| Ok(())).unwrap().is_some());
    assert!(schedule.run_due(now - 120_000, now, &claims, |_| Ok(())).unwrap().is_none());
    common::put(&store.ledger, &store.base, "checkpoint/model.safetensors", CHECKPOINT);
    assert_eq!(store.validate().findings, Vec::new());
}
