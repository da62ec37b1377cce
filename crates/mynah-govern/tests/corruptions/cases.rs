//! The corruptions, as data: how a store is broken, which rule must find it, what is to come of it.

use std::fs;

use mynah_base::Rng;
use mynah_govern::now_ms;

use crate::common::{self, CHECKPOINT, Store, TOKENIZER, TUNED, digest};

/// What is to come of a corruption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// The repair puts everything right: nothing is left.
    Repaired,
    /// People must act.
    Ticketed,
    /// The repair takes the damaged thing away; a ticket says what must be brought back.
    Both,
}
use Then::{Both, Repaired, Ticketed};

pub struct Case {
    pub name: &'static str,
    pub break_it: fn(&Store, &mut Rng),
    /// The rule that must find it.
    pub rule: &'static str,
    pub then: Then,
}

const fn case(name: &'static str, break_it: fn(&Store, &mut Rng), rule: &'static str, then: Then) -> Case {
    Case { name, break_it, rule, then }
}

/// The points of a metric of a run, past the ledger.
const POINTS: &str = "run = ?1 AND key = (SELECT id FROM metric_names WHERE name = 'loss')";

pub const CASES: &[Case] = &[
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
        "a bit of a logged model flipped",
        |s, _| {
            let new = mynah_ledger::NewLoggedModel { experiment_id: "0".to_string(), ..Default::default() };
            let model = s.ledger.create_logged_model(new).unwrap().id;
            let owner = mynah_ledger::ArtifactOwner::Model(model);
            s.ledger.put_artifact(&owner, "MLmodel", &mut &b"flavors: {}"[..]).unwrap();
            fs::write(s.content(b"flavors: {}"), b"flavors: {!").unwrap();
        },
        "artifact.changed",
        Both,
    ),
    case(
        "an end without a status",
        |s, _| {
            let update = mynah_ledger::RunUpdate { end_time_ms: Some(now_ms()), ..Default::default() };
            s.ledger.update_run(&s.running, update).unwrap();
        },
        "run.end-early",
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
             UPDATE sqlite_schema SET sql = 'CREATE INDEX latest_by_key ON latest_metrics (key, step, run)'
             WHERE name = 'latest_by_key'; PRAGMA writable_schema = RESET;",
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
pub fn rewrite_log(s: &Store, change: impl Fn(u64, String) -> String) {
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
