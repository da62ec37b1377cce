//! Seeded corruptions of a store: each is found, and each is repaired or ticketed as designed.
//!
//! The stores are broken behind the ledger's back, in its file and in its artifact folder. What is
//! expected of each is data in [`CASES`].

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{CHECKPOINT, Store, TOKENIZER, TUNED, digest, empty, options, place};
use mynah_base::Rng;
use mynah_govern::now_ms;
use mynah_govern::repair::{
    Outcome, TicketState, apply, close_ticket, file_tickets, plan, receipts, tickets, undo,
};
use mynah_govern::validate::{Policy, Severity, Validation, validate, validate_place};
use mynah_ledger::{AuditHead, Ledger};

/// What is to come of a corruption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// The repair puts everything right: nothing is left.
    Repaired,
    /// People must act.
    Ticketed,
    /// The repair takes the damaged thing away; a ticket says what must be brought back.
    Both,
}
use Then::{Both, Repaired, Ticketed};

struct Case {
    name: &'static str,
    break_it: fn(&Store, &mut Rng),
    /// The rule that must find it, and the subject's beginning.
    rule: &'static str,
    then: Then,
}

const fn case(name: &'static str, break_it: fn(&Store, &mut Rng), rule: &'static str, then: Then) -> Case {
    Case { name, break_it, rule, then }
}

/// The points of a metric of a run, past the ledger.
const POINTS: &str = "run = ?1 AND key = (SELECT id FROM metric_names WHERE name = 'loss')";

const CASES: &[Case] = &[
    // The audit log.
    case(
        "an event edited",
        |s, rng| {
            let seq = 3 + rng.below(10) as i64;
            s.change(
                "UPDATE audit_events SET body = replace(body, 'tester', 'nobody') WHERE seq = ?1",
                [seq],
            );
        },
        "audit.log",
        Ticketed,
    ),
    case(
        "an event edited with its hash",
        |s, _| {
            let sql = s.sql();
            let body: String =
                sql.query_row("SELECT body FROM audit_events WHERE seq = 2", [], |r| r.get(0)).unwrap();
            let body = body.replace("tester", "mallory");
            let leaf = mynah_trust::merkle::leaf_hash(body.as_bytes());
            sql.execute("UPDATE audit_events SET body = ?1, leaf = ?2 WHERE seq = 2", (&body, &leaf[..]))
                .unwrap();
        },
        "audit.log",
        Ticketed,
    ),
    case(
        "an event deleted",
        |s, _| s.change("DELETE FROM audit_events WHERE seq = 5", []),
        "audit.log",
        Ticketed,
    ),
    case(
        "two events swapped",
        |s, _| {
            s.sql().execute_batch(
            "UPDATE audit_events SET seq = -1 WHERE seq = 4; UPDATE audit_events SET seq = 4 WHERE seq = 5;
             UPDATE audit_events SET seq = 5 WHERE seq = -1;",
        ).unwrap();
        },
        "audit.log",
        Ticketed,
    ),
    case(
        "the log's end cut",
        |s, _| {
            s.change("DELETE FROM audit_events WHERE seq >= (SELECT max(seq) - 2 FROM audit_events)", []);
        },
        "audit.log",
        Ticketed,
    ),
    case(
        "the tree's size set back",
        |s, _| {
            s.change("UPDATE audit_tree SET size = size - 1", []);
        },
        "store.unreadable",
        Ticketed,
    ),
    case(
        "a stored node changed",
        |s, _| {
            s.change("UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 4 AND position = 0", []);
        },
        "audit.log",
        Ticketed,
    ),
    case(
        "the log's clock set back",
        |s, rng| {
            // A whole new log with the right hashes: the clock itself was wrong when it was written.
            let at = 6 + rng.below(6);
            rewrite_log(s, |seq, body| if seq >= at { shift_time(body, -7_200_000) } else { body });
        },
        "audit.clock",
        Ticketed,
    ),
    // Runs.
    case(
        "a run removed",
        |s, _| {
            let key = s.key(&s.running);
            for table in ["points", "chunks", "latest_metrics"] {
                s.sql().execute(&format!("DELETE FROM {table} WHERE run = ?1"), [key]).unwrap();
            }
            s.sql().execute("PRAGMA foreign_keys = ON", []).ok();
            s.sql().execute_batch(&format!(
            "DELETE FROM params WHERE run = {key}; DELETE FROM tags WHERE run = {key}; DELETE FROM runs WHERE id = {key};"
        )).unwrap();
        },
        "run.gone",
        Ticketed,
    ),
    case(
        "a run removed, its points left",
        |s, _| {
            let key = s.key(&s.running);
            s.sql()
                .execute_batch(&format!("PRAGMA foreign_keys = OFF; DELETE FROM runs WHERE id = {key};"))
                .unwrap();
        },
        "store.orphan-row",
        Ticketed,
    ),
    case(
        "a run put in",
        |s, _| {
            s.change("INSERT INTO runs (run_id, experiment, name, user, status, start_ms, end_ms, artifact_uri)
                  SELECT '0123456789abcdef0123456789abcdef', experiment, name, user, status, start_ms, end_ms, artifact_uri
                  FROM runs WHERE run_id = ?1", [&s.base]);
            let key = s.key("0123456789abcdef0123456789abcdef");
            s.change("INSERT INTO tags (run, key, value) VALUES (?1, 'mlflow.runName', 'base')", [key]);
        },
        "run.unlogged",
        Ticketed,
    ),
    case(
        "a failed run made a finished one",
        |s, _| {
            s.change(
                "UPDATE runs SET status = 'FINISHED', end_ms = ?2 WHERE run_id = ?1",
                (&s.running, now_ms()),
            );
        },
        "run.state-differs",
        Ticketed,
    ),
    case(
        "a finished run made a failed one",
        |s, _| {
            s.change("UPDATE runs SET status = 'FAILED' WHERE run_id = ?1", [&s.tuned]);
        },
        "run.state-differs",
        Repaired,
    ),
    case(
        "the end moved before the beginning",
        |s, _| {
            s.change("UPDATE runs SET end_ms = start_ms - 3600000 WHERE run_id = ?1", [&s.tuned]);
        },
        "run.time-order",
        Ticketed,
    ),
    case(
        "the end taken away",
        |s, _| {
            s.change("UPDATE runs SET end_ms = NULL WHERE run_id = ?1", [&s.tuned]);
        },
        "run.end-missing",
        Repaired,
    ),
    case(
        "the beginning moved into the future",
        |s, _| {
            s.change("UPDATE runs SET start_ms = start_ms + 86400000 WHERE run_id = ?1", [&s.running]);
        },
        "run.time-future",
        Ticketed,
    ),
    case(
        "a run thrown into the bin",
        |s, _| {
            s.change("UPDATE runs SET deleted = 1, deleted_ms = 5 WHERE run_id = ?1", [&s.tuned]);
        },
        "run.state-differs",
        Repaired,
    ),
    case(
        "a run taken out of quarantine",
        |s, _| {
            s.ledger.quarantine_run(&s.tuned, "looks odd").unwrap();
            s.change("UPDATE runs SET quarantine_reason = NULL WHERE run_id = ?1", [&s.tuned]);
        },
        "run.state-differs",
        Repaired,
    ),
    case(
        "a run put into quarantine without a word",
        |s, _| {
            s.change(
                "UPDATE runs SET quarantine_reason = 'x', quarantine_ms = 1 WHERE run_id = ?1",
                [&s.tuned],
            );
        },
        "run.state-differs",
        Ticketed,
    ),
    case(
        "a name changed in its row",
        |s, _| {
            s.change("UPDATE runs SET name = 'best' WHERE run_id = ?1", [&s.base]);
        },
        "run.name",
        Repaired,
    ),
    case(
        "a name changed in its tag",
        |s, _| {
            s.change(
                "UPDATE tags SET value = 'best' WHERE key = 'mlflow.runName' AND run = ?1",
                [s.key(&s.base)],
            );
        },
        "run.name",
        Repaired,
    ),
    case(
        "a tag changed",
        |s, _| {
            s.change(
                "UPDATE tags SET value = ?2 WHERE key = 'mynah.data.digest' AND run = ?1",
                (s.key(&s.base), digest(b"another corpus")),
            );
        },
        "run.tag-differs",
        Ticketed,
    ),
    case(
        "a tag removed",
        |s, _| {
            s.change("DELETE FROM tags WHERE key = 'mynah.data.digest' AND run = ?1", [s.key(&s.base)]);
        },
        "run.tag-differs",
        Ticketed,
    ),
    case(
        "a param changed",
        |s, _| {
            s.change("UPDATE params SET value = '0.03' WHERE key = 'lr' AND run = ?1", [s.key(&s.base)]);
        },
        "run.param-differs",
        Ticketed,
    ),
    case(
        "a param removed",
        |s, _| {
            s.change("DELETE FROM params WHERE key = 'seed' AND run = ?1", [s.key(&s.base)]);
        },
        "run.param-differs",
        Ticketed,
    ),
    case(
        "a param put in",
        |s, _| {
            s.change("INSERT INTO params (run, key, value) VALUES (?1, 'warmup', '3')", [s.key(&s.base)]);
        },
        "run.param-unlogged",
        Ticketed,
    ),
    case(
        "a dataset exchanged",
        |s, _| {
            s.change("UPDATE datasets SET digest = ?1", [digest(b"another corpus")]);
        },
        "run.input-differs",
        Ticketed,
    ),
    case(
        "a dataset taken from a run",
        |s, _| {
            s.sql()
                .execute_batch(&format!(
                    "PRAGMA foreign_keys = ON; DELETE FROM inputs WHERE run = {};",
                    s.key(&s.base)
                ))
                .unwrap();
        },
        "link.missing",
        Ticketed,
    ),
    case(
        "a parent that does not exist",
        |s, _| {
            s.ledger
                .set_tag(&s.running, mynah_ledger::Tag::new("mlflow.parentRunId", "f".repeat(32)))
                .unwrap();
        },
        "run.parent-missing",
        Repaired,
    ),
    case(
        "a circle of parents",
        |s, _| {
            s.ledger.set_tag(&s.base, mynah_ledger::Tag::new("mlflow.parentRunId", &s.tuned)).unwrap();
        },
        "run.parent-cycle",
        Ticketed,
    ),
    // Metrics.
    case(
        "a chunk torn",
        |s, _| {
            into_chunk(s);
            s.change("UPDATE chunks SET data = substr(data, 1, length(data) - 9)", []);
        },
        "metric.damaged",
        Ticketed,
    ),
    case(
        "a bit of a chunk flipped",
        |s, rng| {
            into_chunk(s);
            let (id, mut data): (i64, Vec<u8>) = s
                .sql()
                .query_row("SELECT id, data FROM chunks", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            let at = rng.index(data.len());
            data[at] ^= 1 << rng.below(8);
            s.change("UPDATE chunks SET data = ?2 WHERE id = ?1", (id, data));
        },
        "metric.damaged",
        Ticketed,
    ),
    case(
        "a latest value changed",
        |s, _| {
            s.change(&format!("UPDATE latest_metrics SET value = 0.001 WHERE {POINTS}"), [s.key(&s.base)]);
        },
        "metric.latest",
        Repaired,
    ),
    case(
        "a latest value put ahead of its points",
        |s, _| {
            s.change(&format!("UPDATE latest_metrics SET step = 5000 WHERE {POINTS}"), [s.key(&s.base)]);
        },
        "metric.latest",
        Repaired,
    ),
    case(
        "a step duplicated",
        |s, rng| {
            let step = 10 * rng.below(99) as i64;
            s.change(&format!("INSERT INTO points SELECT run, key, step, timestamp_ms + 1, bits + 999 FROM points WHERE {POINTS} AND step = ?2"),
            (s.key(&s.base), step));
        },
        "metric.duplicate-step",
        Ticketed,
    ),
    case(
        "points put in",
        |s, _| {
            s.change(&format!("INSERT INTO points SELECT run, key, step + 5, timestamp_ms, bits FROM points WHERE {POINTS} AND step < 500"),
            [s.key(&s.base)]);
        },
        "metric.unlogged",
        Ticketed,
    ),
    case(
        "points removed",
        |s, rng| {
            let from = 100 + 10 * rng.below(50) as i64;
            s.change(
                &format!("DELETE FROM points WHERE {POINTS} AND step BETWEEN ?2 AND ?2 + 100"),
                (s.key(&s.base), from),
            );
        },
        "metric.gap",
        Ticketed,
    ),
    case(
        "a point removed",
        |s, _| {
            s.change(&format!("DELETE FROM points WHERE {POINTS} AND step = 500"), [s.key(&s.base)]);
        },
        "metric.lost",
        Ticketed,
    ),
    case(
        "the clock of the points set back",
        |s, _| {
            s.change(
                &format!(
                    "UPDATE points SET timestamp_ms = timestamp_ms - 7200000 WHERE {POINTS} AND step >= 500"
                ),
                [s.key(&s.base)],
            );
        },
        "metric.clock",
        Ticketed,
    ),
    // Artifacts.
    case(
        "a content deleted",
        |s, _| fs::remove_file(s.content(CHECKPOINT)).unwrap(),
        "artifact.missing",
        Ticketed,
    ),
    case(
        "a content torn",
        |s, rng| {
            let at = rng.index(CHECKPOINT.len());
            fs::write(s.content(CHECKPOINT), &CHECKPOINT[..at]).unwrap();
        },
        "artifact.torn",
        Both,
    ),
    case(
        "a bit of a content flipped",
        |s, rng| {
            let mut bytes = CHECKPOINT.to_vec();
            let at = rng.index(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
            fs::write(s.content(CHECKPOINT), bytes).unwrap();
        },
        "artifact.changed",
        Both,
    ),
    case(
        "a digest swapped",
        |s, _| {
            s.change("UPDATE artifacts SET digest = ?2, size_bytes = ?3 WHERE owner = ?1 AND path LIKE 'checkpoint/%'",
            (format!("run:{}", s.base), digest(TUNED), TUNED.len() as i64));
        },
        "artifact.row-differs",
        Repaired,
    ),
    case(
        "an artifact's row removed",
        |s, _| {
            s.change(
                "DELETE FROM artifacts WHERE owner = ?1 AND path = 'tokenizer.json'",
                [format!("run:{}", s.base)],
            );
        },
        "artifact.row-gone",
        Repaired,
    ),
    case(
        "an artifact's row put in",
        |s, _| {
            s.change("INSERT INTO artifacts SELECT owner, 'extra.bin', digest, size_bytes, created_ms FROM artifacts WHERE owner = ?1 AND path = 'tokenizer.json'",
            [format!("run:{}", s.base)]);
        },
        "artifact.unlogged",
        Ticketed,
    ),
    case(
        "a stranger in the artifact folder",
        |s, _| {
            fs::write(s.ledger.artifact_dir().join("ab").join("backdoor.sh"), "x")
                .or_else(|_| {
                    fs::create_dir_all(s.ledger.artifact_dir().join("ab"))?;
                    fs::write(s.ledger.artifact_dir().join("ab").join("backdoor.sh"), "x")
                })
                .unwrap();
        },
        "store.file-unknown",
        Ticketed,
    ),
    case(
        "a checkpoint exchanged through the ledger",
        |s, _| {
            common::put(&s.ledger, &s.base, "checkpoint/model.safetensors", b"other weights");
        },
        "link.differs",
        Ticketed,
    ),
    case(
        "a tokenizer exchanged through the ledger",
        |s, _| {
            common::put(&s.ledger, &s.base, "tokenizer.json", &[TOKENIZER, b" "].concat());
        },
        "link.differs",
        Ticketed,
    ),
    case(
        "begun with another checkpoint than it says",
        |s, _| {
            s.ledger.set_tag(&s.tuned, mynah_ledger::Tag::new("mynah.init.digest", digest(b"?"))).unwrap();
        },
        "link.differs",
        Ticketed,
    ),
    // The registry.
    case(
        "a version promoted behind the ledger's back",
        |s, _| {
            s.change("UPDATE model_versions SET stage = 'Production' WHERE version = 2", []);
        },
        "model.stage-differs",
        Repaired,
    ),
    case(
        "a version without its run",
        |s, _| {
            s.change("UPDATE model_versions SET run_id = ?1 WHERE version = 2", ["e".repeat(32)]);
        },
        "model.run-missing",
        Ticketed,
    ),
    case(
        "a version in production from a run in quarantine",
        |s, _| {
            s.ledger.quarantine_run(&s.base, "diverged").unwrap();
        },
        "model.run-unfit",
        Ticketed,
    ),
    // The file.
    case(
        "an index that misses its rows",
        |s, _| {
            let sql = s.sql();
            sql.execute_batch(
                "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE INDEX latest_by_value ON latest_metrics (key, step, run)'
             WHERE name = 'latest_by_value'; PRAGMA writable_schema = RESET;",
            )
            .unwrap();
        },
        "store.unreadable",
        Ticketed,
    ),
];

/// Makes enough points of one metric that they become a chunk.
fn into_chunk(s: &Store) {
    let recorder = s.ledger.recorder(&s.running, Default::default()).unwrap();
    let begin = now_ms() - 1_000;
    let metrics: Vec<_> = (0..600)
        .map(|step| mynah_ledger::Metric::new("grad_norm", step as f64, begin + step, step))
        .collect();
    recorder.log_metrics(&metrics).unwrap();
    recorder.flush().unwrap();
    let chunks: i64 = s.sql().query_row("SELECT count(*) FROM chunks", [], |row| row.get(0)).unwrap();
    assert_eq!(chunks, 1);
}

fn shift_time(body: String, by_ms: i64) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&body).unwrap();
    value["at_ms"] = (value["at_ms"].as_i64().unwrap() + by_ms).into();
    value.to_string()
}

/// Writes the whole log again, with the right hashes: what somebody with the program could do.
fn rewrite_log(s: &Store, change: impl Fn(u64, String) -> String) {
    let sql = s.sql();
    let mut select = sql.prepare("SELECT seq, body FROM audit_events ORDER BY seq").unwrap();
    let events: Vec<(i64, String)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut tree = mynah_trust::merkle::Tree::new();
    sql.execute("DELETE FROM audit_nodes", []).unwrap();
    for (seq, body) in events {
        let body = change(seq as u64, body);
        let leaf = mynah_trust::merkle::leaf_hash(body.as_bytes());
        let at_ms = serde_json::from_str::<serde_json::Value>(&body).unwrap()["at_ms"].as_i64().unwrap();
        sql.execute(
            "UPDATE audit_events SET body = ?2, leaf = ?3, at_ms = ?4 WHERE seq = ?1",
            (seq, &body, &leaf[..], at_ms),
        )
        .unwrap();
        tree.append_with(leaf, |level, position, node| {
            if level > 0 && level % 4 == 0 {
                sql.execute(
                    "INSERT INTO audit_nodes (level, position, hash) VALUES (?1, ?2, ?3)",
                    (level, position as i64, &node[..]),
                )
                .unwrap();
            }
        });
    }
    sql.execute("UPDATE audit_tree SET size = ?1, nodes = ?2", (tree.size() as i64, tree.peaks().concat()))
        .unwrap();
}

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
