//! A ledger with one of everything, and the way past it into its file.

#![allow(dead_code, reason = "each test file uses another part")]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use mynah_govern::now_ms;
use mynah_govern::validate::{Policy, Validation, validate};
use mynah_ledger::{
    ArtifactOwner, Batch, Dataset, DatasetInput, Ledger, Location, Metric, NewModelVersion, NewRun,
    OpenOptions, Param, RunStatus, RunUpdate, Stage, Tag,
};
use tempfile::TempDir;

/// A ledger in a folder of its own.
pub struct Store {
    pub ledger: Ledger,
    pub dir: TempDir,
    /// A finished training run with everything.
    pub base: String,
    /// A finished run that began with its checkpoint.
    pub tuned: String,
    /// A run that still runs.
    pub running: String,
}

pub fn options() -> OpenOptions {
    OpenOptions { actor: "tester".to_string(), ..OpenOptions::default() }
}

pub fn place(dir: &TempDir) -> Location {
    Location::Sqlite(dir.path().join("ledger.db"))
}

pub fn empty() -> (Ledger, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Ledger::open(&place(&dir), options()).unwrap(), dir)
}

pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

pub const CHECKPOINT: &[u8] = b"weights of the base model, as bytes";
pub const TOKENIZER: &[u8] = b"{\"merges\": []}";
pub const TUNED: &[u8] = b"weights after tuning, other bytes";

/// The store that all tests begin with, made once: copying files is quicker than making them.
fn template() -> &'static (TempDir, [String; 3]) {
    static TEMPLATE: OnceLock<(TempDir, [String; 3])> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let Store { ledger, dir, base, tuned, running } = Store::made();
        drop(ledger);
        (dir, [base, tuned, running])
    })
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Store {
    pub fn new() -> Store {
        let (from, [base, tuned, running]) = template();
        let dir = tempfile::tempdir().unwrap();
        copy(from.path(), dir.path());
        let ledger = Ledger::open(&place(&dir), options()).unwrap();
        Store { ledger, dir, base: base.clone(), tuned: tuned.clone(), running: running.clone() }
    }

    fn made() -> Store {
        let (ledger, dir) = empty();
        let base = make_run(&ledger, "base", 0.0, &[]);
        put(&ledger, &base, "checkpoint/model.safetensors", CHECKPOINT);
        put(&ledger, &base, "tokenizer.json", TOKENIZER);
        put(&ledger, &base, "notes/readme.txt", b"a note");
        let dataset = Dataset {
            name: "text".to_string(),
            digest: digest(b"the corpus"),
            source_type: "local".to_string(),
            source: "{}".to_string(),
            ..Dataset::default()
        };
        let inputs = vec![DatasetInput {
            dataset: dataset.clone(),
            tags: vec![Tag::new("mlflow.data.context", "train")],
        }];
        ledger.log_inputs(&base, inputs.clone(), Vec::new()).unwrap();
        let links = [
            ("mynah.checkpoint.manifest", "checkpoint/model.safetensors".to_string()),
            ("mynah.checkpoint.digest", digest(CHECKPOINT)),
            ("mynah.tokenizer.path", "tokenizer.json".to_string()),
            ("mynah.tokenizer.digest", digest(TOKENIZER)),
            ("mynah.data.digest", digest(b"the corpus")),
        ];
        tags(&ledger, &base, &links);
        finish(&ledger, &base);

        let tuned = make_run(&ledger, "tuned", 0.1, &[("mlflow.parentRunId", &base)]);
        put(&ledger, &tuned, "checkpoint/model.safetensors", TUNED);
        ledger.log_inputs(&tuned, inputs, Vec::new()).unwrap();
        let links = [
            ("mynah.init.run", base.clone()),
            ("mynah.init.digest", digest(CHECKPOINT)),
            ("mynah.checkpoint.manifest", "checkpoint/model.safetensors".to_string()),
            ("mynah.checkpoint.digest", digest(TUNED)),
        ];
        tags(&ledger, &tuned, &links);
        finish(&ledger, &tuned);

        let running = make_run(&ledger, "running", 0.2, &[]);
        ledger.create_registered_model("chat", Vec::new(), None).unwrap();
        for run_id in [&base, &tuned] {
            let version = NewModelVersion {
                name: "chat".to_string(),
                source: format!("runs:/{run_id}/checkpoint"),
                run_id: Some(run_id.clone()),
                ..NewModelVersion::default()
            };
            ledger.create_model_version(version).unwrap();
        }
        ledger.transition_model_version("chat", 1, Stage::Production, false).unwrap();
        Store { ledger, dir, base, tuned, running }
    }

    pub fn validate(&self) -> Validation {
        validate(&self.ledger, &Policy::default(), None, now_ms()).unwrap()
    }

    /// The file, past the ledger.
    pub fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("ledger.db")).unwrap()
    }

    /// One statement, past the ledger, that must change something.
    pub fn change(&self, sql: &str, values: impl rusqlite::Params) {
        let changed = self.sql().execute(sql, values).unwrap();
        assert!(changed > 0, "changed nothing: {sql}");
    }

    /// The integer key of a run.
    pub fn key(&self, run_id: &str) -> i64 {
        self.sql().query_row("SELECT id FROM runs WHERE run_id = ?1", [run_id], |row| row.get(0)).unwrap()
    }

    /// The file that holds a content.
    pub fn content(&self, bytes: &[u8]) -> std::path::PathBuf {
        mynah_govern::view::content_path(self.ledger.artifact_dir(), &digest(bytes))
    }
}

/// A run with params, tags and two curves of a hundred points.
pub fn make_run(ledger: &Ledger, name: &str, offset: f64, tags: &[(&str, &str)]) -> String {
    let tags = tags.iter().map(|(key, value)| Tag::new(*key, *value)).collect();
    let begin = now_ms() - 10_000;
    let new = NewRun {
        experiment_id: "0".to_string(),
        user: "alice".to_string(),
        name: Some(name.to_string()),
        start_time_ms: Some(begin),
        tags,
        run_id: None,
    };
    let run_id = ledger.create_run(new).unwrap().run.id;
    for (key, value) in [("depth", "4"), ("lr", "0.02"), ("seed", "7")] {
        ledger.log_param(&run_id, Param::new(key, value)).unwrap();
    }
    let mut metrics = Vec::new();
    for step in 0..100 {
        let at = begin + step * 50;
        let loss = if step == 3 { f64::NAN } else { 3.0 / (1.0 + step as f64) + offset };
        metrics.push(Metric::new("loss", loss, at, step * 10));
        metrics.push(Metric::new("system.memory_bytes", 1e8 + step as f64, at, step * 10));
    }
    // In small batches, so that the points lie as rows; many at once would be a chunk from the start.
    for metrics in metrics.chunks(10) {
        ledger.log_batch(&run_id, Batch { metrics: metrics.to_vec(), ..Batch::default() }).unwrap();
    }
    ledger.log_metric(&run_id, Metric::new("val_bpb", 1.2 + offset, begin + 5_000, 990)).unwrap();
    run_id
}

pub fn put(ledger: &Ledger, run_id: &str, path: &str, bytes: &[u8]) {
    ledger.put_artifact(&ArtifactOwner::Run(run_id.to_string()), path, &mut &bytes[..]).unwrap();
}

fn tags(ledger: &Ledger, run_id: &str, pairs: &[(&str, String)]) {
    let tags = pairs.iter().map(|(key, value)| Tag::new(*key, value)).collect();
    ledger.log_batch(run_id, Batch { tags, ..Batch::default() }).unwrap();
}

pub fn finish(ledger: &Ledger, run_id: &str) {
    let update = RunUpdate { status: Some(RunStatus::Finished), end_time_ms: Some(now_ms()), name: None };
    ledger.update_run(run_id, update).unwrap();
}
