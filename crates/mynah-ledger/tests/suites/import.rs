//! Taking over MLflow's database and folder.

use std::fs;
use std::path::Path;

use crate::common::ledger;
use mynah_ledger::{
    ArtifactOwner, CheckOptions, ErrorKind, ImportOptions, Ledger, Lifecycle, LoggedModelStatus, RunStatus,
    Stage,
};
use rusqlite::Connection;

const RUN: &str = "0123456789abcdef0123456789abcdef";
const DELETED: &str = "fedcba9876543210fedcba9876543210";
const MODEL: &str = "m-00000000000000000000000000000001";

/// The tables as MLflow 3 makes them, as far as they matter; `artifacts` is a local folder.
fn database(path: &Path, artifacts: &Path) {
    let place = artifacts.display();
    let sql = format!(
        "CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT, lifecycle_stage TEXT,
             creation_time BIGINT, last_update_time BIGINT);
         INSERT INTO experiments VALUES (0, 'Default', 's3://bucket/0', 'active', 1, 1),
             (7, 'mine', '{place}', 'active', 5, 6), (8, 'gone', 's3://b/8', 'deleted', 5, 9);
         CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER);
         INSERT INTO experiment_tags VALUES ('team', 'red', 7);
         CREATE TABLE runs (run_uuid TEXT, name TEXT, user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT,
             lifecycle_stage TEXT, deleted_time BIGINT, artifact_uri TEXT, experiment_id INTEGER);
         INSERT INTO runs VALUES ('{RUN}', 'first', 'ann', 'FAILED', 10, 20, 'active', NULL, '{place}/{RUN}/artifacts', 7),
             ('{DELETED}', 'second', 'bob', 'RUNNING', 11, NULL, 'deleted', 30, 's3://b/x', 7),
             ('not an id', 'odd', '', 'RUNNING', 11, NULL, 'active', NULL, '', 7);
         CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
         INSERT INTO params VALUES ('lr', '0.1', '{RUN}'), ('a/b', 'x y', '{RUN}');
         CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
         INSERT INTO tags VALUES ('mlflow.runName', 'first', '{RUN}'), ('k', 'v', '{RUN}');
         CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
         CREATE TABLE latest_metrics (key TEXT);
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO metrics SELECT 'loss', 1.0 / (i + 1), i, '{RUN}', i, 0 FROM n;
         INSERT INTO metrics VALUES ('odd', 0, 1, '{RUN}', 1, 1), ('odd', 1.7976931348623157e308, 2, '{RUN}', 2, 0);
         CREATE TABLE datasets (dataset_uuid TEXT, name TEXT, digest TEXT, dataset_source_type TEXT,
             dataset_source TEXT, dataset_schema TEXT, dataset_profile TEXT);
         INSERT INTO datasets VALUES ('d1', 'wiki', 'abc', 'local', '{{}}', NULL, NULL);
         CREATE TABLE inputs (input_uuid TEXT, source_type TEXT, source_id TEXT, destination_type TEXT,
             destination_id TEXT, step BIGINT);
         INSERT INTO inputs VALUES ('i1', 'DATASET', 'd1', 'RUN', '{RUN}', 0),
             ('i2', 'RUN_OUTPUT', '{RUN}', 'MODEL_OUTPUT', '{MODEL}', 3);
         CREATE TABLE input_tags (input_uuid TEXT, name TEXT, value TEXT);
         INSERT INTO input_tags VALUES ('i1', 'mlflow.data.context', 'train');
         CREATE TABLE logged_models (model_id TEXT, experiment_id INTEGER, name TEXT, artifact_location TEXT,
             creation_timestamp_ms BIGINT, last_updated_timestamp_ms BIGINT, status INTEGER, lifecycle_stage TEXT,
             source_run_id TEXT);
         INSERT INTO logged_models VALUES ('{MODEL}', 7, 'lm', 's3://b/m', 1, 2, 2, 'active', '{RUN}');
         CREATE TABLE logged_model_metrics (model_id TEXT, metric_name TEXT, metric_value FLOAT,
             metric_timestamp_ms BIGINT, metric_step BIGINT, run_id TEXT);
         INSERT INTO logged_model_metrics VALUES ('{MODEL}', 'acc', 0.5, 1, 1, '{RUN}');
         CREATE TABLE registered_models (name TEXT, creation_time BIGINT, last_updated_time BIGINT, description TEXT);
         INSERT INTO registered_models VALUES ('gpt', 1, 2, 'good');
         CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, current_stage TEXT,
             source TEXT, run_id TEXT, status TEXT);
         INSERT INTO model_versions VALUES ('gpt', 1, 1, 'Staging', 's3://b/m', '{RUN}', 'READY'),
             ('gpt', 2, 1, 'Deleted_Internal', 'x', 'x', 'READY');
         CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
         INSERT INTO registered_model_aliases VALUES ('best', 1, 'gpt');"
    );
    Connection::open(path).unwrap().execute_batch(&sql).unwrap();
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The same as a folder.
fn folder(root: &Path, artifacts: &Path) {
    let place = artifacts.display();
    let experiment = root.join("123456789012345678");
    write(
        &experiment.join("meta.yaml"),
        &format!(
            "artifact_location: {place}\ncreation_time: 5\nlast_update_time: 6\nlifecycle_stage: active\nname: mine\n"
        ),
    );
    write(&experiment.join("tags/team"), "red");
    write(
        &root.join(".trash/9/meta.yaml"),
        "artifact_location: s3://b/8\nlifecycle_stage: deleted\nname: gone\n",
    );
    write(&root.join("0/meta.yaml"), "artifact_location: s3://bucket/0\nname: Default\n");
    let run = experiment.join(RUN);
    write(
        &run.join("meta.yaml"),
        &format!(
            "artifact_uri: {place}/{RUN}/artifacts\nend_time: 20\nlifecycle_stage: active\nrun_id: {RUN}\n\
             run_name: first\nstart_time: 10\nstatus: 4\ntags: []\nuser_id: ann\n"
        ),
    );
    write(&run.join("params/lr"), "0.1");
    write(&run.join("params/a/b"), "x y");
    write(&run.join("tags/mlflow.runName"), "first");
    write(&run.join("tags/k"), "v");
    let points: String = (0..1_000).map(|i| format!("{i} {:?} {i}\n", 1.0 / f64::from(i + 1))).collect();
    write(&run.join("metrics/loss"), &points);
    write(&run.join("metrics/odd"), "1 nan 1\n2 inf 2\nno point\n");
    let edge =
        "destination_type: RUN\nsource_id: d1\nsource_type: DATASET\ntags:\n  mlflow.data.context: train\n";
    write(&run.join("inputs/i1/meta.yaml"), edge);
    let dataset = "digest: abc\nname: wiki\nprofile: null\nschema: null\nsource: '{}'\nsource_type: local\n";
    write(&experiment.join("datasets/d1/meta.yaml"), dataset);
    write(
        &run.join("outputs").join(MODEL).join("meta.yaml"),
        &format!("destination_id: {MODEL}\nsource_type: RUN_OUTPUT\nstep: 3\n"),
    );
    let deleted = "artifact_uri: s3://b/x\ndeleted_time: 30\nlifecycle_stage: deleted\nrun_name: second\nstart_time: 11\nstatus: 1\nuser_id: bob\n";
    write(&experiment.join(DELETED).join("meta.yaml"), deleted);
    write(&experiment.join("not an id/meta.yaml"), "run_name: odd\n");
    let model = experiment.join("models").join(MODEL);
    write(
        &model.join("meta.yaml"),
        &format!(
            "artifact_location: s3://b/m\ncreation_timestamp: 1\nname: lm\nsource_run_id: {RUN}\nstatus: 2\n"
        ),
    );
    write(&model.join("metrics/acc"), &format!("1 0.5 1 {RUN}\n"));
    write(&root.join("models/gpt/meta.yaml"), "creation_timestamp: 1\ndescription: good\nname: gpt\n");
    write(&root.join("models/gpt/aliases/best"), "1");
    write(
        &root.join("models/gpt/version-1/meta.yaml"),
        &format!("current_stage: Staging\nrun_id: {RUN}\nsource: s3://b/m\nstatus: READY\nversion: 1\n"),
    );
    write(&root.join("models/gpt/version-2/meta.yaml"), "current_stage: Deleted_Internal\nversion: 2\n");
}

fn everything_is_there(ledger: &Ledger) {
    let mine = ledger.experiment_by_name("mine").unwrap();
    assert_eq!(mine.artifact_location, format!("mlflow-artifacts:/{}", mine.id));
    assert_eq!((mine.tags[0].value.as_str(), mine.created_ms), ("red", 5));
    assert_eq!(ledger.experiment_by_name("gone").unwrap().lifecycle, Lifecycle::Deleted);
    let found = ledger.run(RUN).unwrap();
    assert_eq!(
        (found.run.name.as_str(), found.run.user.as_str(), found.run.status),
        ("first", "ann", RunStatus::Failed)
    );
    assert_eq!((found.run.start_time_ms, found.run.end_time_ms), (10, Some(20)));
    assert_eq!(found.run.artifact_uri, format!("mlflow-artifacts:/{}/{RUN}/artifacts", mine.id));
    let data = found.data;
    assert_eq!((data.param("lr"), data.param("a/b"), data.tag("k")), (Some("0.1"), Some("x y"), Some("v")));
    assert_eq!((data.metric("loss"), data.metric("odd")), (Some(0.001), Some(f64::INFINITY)));
    assert_eq!(data.inputs[0].dataset.name, "wiki");
    assert_eq!(data.inputs[0].tags[0].value, "train");
    assert_eq!((data.model_outputs[0].model_id.as_str(), data.model_outputs[0].step), (MODEL, 3));
    let history = ledger.metric_history(RUN, "loss", None, None).unwrap().items;
    assert_eq!((history.len(), history[1].value), (1_000, 0.5));
    assert!(ledger.metric_history(RUN, "odd", None, None).unwrap().items[0].value.is_nan());
    let deleted = ledger.run(DELETED).unwrap().run;
    assert_eq!(
        (deleted.lifecycle, deleted.deleted_ms, deleted.artifact_uri.as_str()),
        (Lifecycle::Deleted, Some(30), "s3://b/x")
    );
    let (artifact, _) = ledger.artifact(&ArtifactOwner::Run(RUN.into()), "docs/note.txt").unwrap();
    assert_eq!(artifact.size_bytes, 5);
    let model = ledger.logged_model(MODEL).unwrap();
    assert_eq!((model.status, model.metrics[0].value), (LoggedModelStatus::Ready, 0.5));
    let version = ledger.model_version_by_alias("gpt", "best").unwrap();
    assert_eq!((version.version, version.stage, version.run_id.as_deref()), (1, Stage::Staging, Some(RUN)));
    assert_eq!(ledger.model_version("gpt", 2).unwrap_err().kind(), ErrorKind::NotFound);
    let check = CheckOptions { read_artifacts: true, held: None };
    assert_eq!(ledger.check(&check).unwrap().findings, []);
}

#[test]
fn a_database_and_a_folder_are_taken_over_alike_and_once() {
    for kind in ["database", "folder"] {
        let Some((ledger, dir)) = ledger() else { return };
        let artifacts = dir.path().join("theirs");
        write(&artifacts.join(RUN).join("artifacts/docs/note.txt"), "hello");
        let source = dir.path().join("source");
        if kind == "database" {
            database(&source, &artifacts)
        } else {
            folder(&source, &artifacts)
        }
        let report = ledger.import_mlflow(&source, &ImportOptions::default()).unwrap();
        assert_eq!((report.experiments, report.runs, report.points), (2, 2, 1_002), "{kind}: {report:?}");
        assert_eq!((report.logged_models, report.registered_models, report.versions), (1, 1, 1), "{kind}");
        assert_eq!((report.artifacts, report.artifact_bytes), (1, 5), "{kind}");
        assert!(report.notes.iter().any(|note| note.contains("not an id")), "{kind}: {:?}", report.notes);
        everything_is_there(&ledger);
        let head = ledger.audit_head().unwrap();
        let again = ledger.import_mlflow(&source, &ImportOptions::default()).unwrap();
        assert_eq!((again.runs, again.runs_present, again.experiments), (0, 2, 0), "{kind}");
        assert_eq!((again.logged_models, again.versions), (0, 0), "{kind}");
        assert_eq!(ledger.audit_head().unwrap(), head, "{kind}: a second time changes nothing");
    }
}

#[test]
fn without_copying_addresses_stay() {
    let Some((ledger, dir)) = ledger() else { return };
    let source = dir.path().join("source");
    database(&source, &dir.path().join("theirs"));
    let report = ledger.import_mlflow(&source, &ImportOptions { copy_artifacts: false }).unwrap();
    assert_eq!(report.artifacts, 0);
    assert!(ledger.run(RUN).unwrap().run.artifact_uri.ends_with(&format!("theirs/{RUN}/artifacts")));
}

#[test]
fn what_is_not_mlflows_is_refused() {
    let Some((ledger, dir)) = ledger() else { return };
    let import = |path: &Path| ledger.import_mlflow(path, &ImportOptions::default()).unwrap_err().kind();
    assert_eq!(import(&dir.path().join("absent")), ErrorKind::NotFound);
    let text = dir.path().join("text");
    fs::write(&text, "hello".repeat(1_000)).unwrap();
    assert_eq!(import(&text), ErrorKind::Invalid);
    let other = dir.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    assert_eq!(import(&other), ErrorKind::Invalid);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(import(&empty), ErrorKind::Invalid);
    if !crate::POSTGRES {
        assert_eq!(import(&dir.path().join("ledger.db")), ErrorKind::Invalid);
    }
}
