//! Bundles of runs: packed, verified, falsified, and run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mynah_flow::bundle::{
    self, CommandRunner, Opened, PackOptions, Point, Rerun, Rerunning, Runner, Tolerance,
    is_machine_dependent,
};
use mynah_flow::{Error, ErrorKind};
use mynah_ledger::{
    ArtifactOwner, Batch, Dataset, DatasetInput, Ledger, Location, Metric, NewRun, OpenOptions, Param,
    RunStatus, RunUpdate, Tag,
};
use mynah_trust::Digest;
use mynah_trust::keys::EcSigningKey;

/// A ledger with a run that has everything.
struct Bench {
    dir: tempfile::TempDir,
    ledger: Ledger,
    run_id: String,
    key: EcSigningKey,
}

fn metrics() -> Vec<Metric> {
    let mut metrics = Vec::new();
    for step in 0..50 {
        let loss = 3.0 / (1.0 + step as f64) + 0.1;
        metrics.push(Metric::new("loss", if step == 49 { f64::NAN } else { loss }, 1_000 + step, step));
        metrics.push(Metric::new("seconds", step as f64, 1_000 + step, step));
        if step % 10 == 0 {
            metrics.push(Metric::new("validation_bpb", 1.0 / 3.0 + loss, 1_000 + step, step));
        }
    }
    metrics
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let ledger =
        Ledger::open(&Location::Sqlite(dir.path().join("ledger.db")), OpenOptions::default()).unwrap();
    let checkpoint = dir.path().join("run/checkpoints/0000050");
    fs::create_dir_all(&checkpoint).unwrap();
    fs::write(checkpoint.join("manifest.json"), "{\"files\": []}").unwrap();
    fs::write(checkpoint.join("model.safetensors"), [7; 3_000]).unwrap();
    let digest = Digest::blake3(b"{\"files\": []}").to_hex();
    let tags = vec![
        Tag::new("mynah.kind", "base"),
        Tag::new("mynah.command", "mynah train base --out run --text my data"),
        Tag::new("mynah.arguments", "[\"train\", \"base\", \"--out\", \"run\", \"--text\", \"my data\"]"),
        Tag::new("mynah.folder", dir.path().join("run").display().to_string()),
        Tag::new("mynah.version", "0.1.0"),
        Tag::new("mynah.system.processor", "fast"),
        Tag::new("mlflow.source.git.commit", "a".repeat(40)),
        Tag::new("mynah.checkpoint.digest", digest),
        Tag::new("mynah.checkpoint.step", "50"),
        Tag::new("mynah.checkpoint.path", checkpoint.display().to_string()),
    ];
    let new = NewRun {
        experiment_id: "0".to_string(),
        user: "me".to_string(),
        name: Some("first".to_string()),
        tags,
        ..NewRun::default()
    };
    let run_id = ledger.create_run(new).unwrap().run.id;
    let params = [
        ("train.seed", "42"),
        ("train.tokenizer_digest", "abc"),
        ("train.model.n_layer", "4"),
        ("data.shuffle_seed", "7"),
    ];
    let params = params.into_iter().map(|(key, value)| Param::new(key, value)).collect();
    ledger.log_batch(&run_id, Batch { metrics: metrics(), params, tags: Vec::new() }).unwrap();
    let dataset = Dataset {
        name: "text".to_string(),
        digest: "d1".to_string(),
        source_type: "local".to_string(),
        source: "{}".to_string(),
        ..Dataset::default()
    };
    ledger
        .log_inputs(
            &run_id,
            vec![DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", "train")] }],
            Vec::new(),
        )
        .unwrap();
    ledger
        .put_artifact(&ArtifactOwner::Run(run_id.clone()), "report/index.html", &mut "<html>".as_bytes())
        .unwrap();
    let update =
        RunUpdate { status: Some(RunStatus::Finished), end_time_ms: Some(2_000), ..RunUpdate::default() };
    ledger.update_run(&run_id, update).unwrap();
    Bench { dir, ledger, run_id, key: EcSigningKey::generate() }
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pack(&self, name: &str, include_checkpoints: bool) -> PathBuf {
        let options = PackOptions { include_checkpoints, ..PackOptions::default() };
        bundle::pack(&self.ledger, &self.run_id, &self.path(name), &self.key, &options).unwrap();
        self.path(name)
    }

    fn verify(&self, bundle: &Path) -> Result<Opened, Error> {
        let out = tempfile::tempdir().unwrap();
        bundle::verify(bundle, &self.key.verifying_key(), &out.path().join("open"))
    }
}

fn refused(result: Result<Opened, Error>, kind: ErrorKind, says: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(error.kind(), kind, "{error}");
}

#[test]
fn a_bundle_says_what_the_run_was() {
    let bench = bench();
    for name in ["bundle", "bundle.tar"] {
        let opened = bench.verify(&bench.pack(name, true)).unwrap();
        let facts = &opened.bundle;
        assert_eq!((facts.run.name.as_str(), facts.run.status.as_str()), ("first", "FINISHED"));
        assert_eq!(facts.run.experiment, "Default");
        let command = facts.command.as_ref().unwrap();
        assert!(command.is_exact);
        assert_eq!(command.arguments, ["train", "base", "--out", "run", "--text", "my data"]);
        assert_eq!(facts.code.revision.as_deref(), Some("a".repeat(40).as_str()));
        assert_eq!(facts.environment["processor"], "fast");
        assert_eq!(facts.seeds.keys().collect::<Vec<_>>(), ["data.shuffle_seed", "train.seed"]);
        assert_eq!(facts.digests["train.tokenizer_digest"], "abc");
        assert_eq!(
            (facts.datasets[0].digest.as_str(), facts.datasets[0].context.as_deref()),
            ("d1", Some("train"))
        );
        assert_eq!(facts.checkpoints[0].included.as_deref(), Some("checkpoints/checkpoint"));
        assert_eq!(facts.artifacts[0].path, "report/index.html");
        assert_eq!(opened.params["train.model.n_layer"], "4");
        assert_eq!(opened.metrics.len(), 105);
        let mut expect: Vec<_> =
            metrics().iter().map(|m| (m.key.clone(), m.step, m.value.to_bits())).collect();
        expect.sort();
        let found: Vec<_> =
            opened.metrics.iter().map(|p| (p.key.clone(), p.step, p.value.to_bits())).collect();
        assert_eq!(found, expect, "to the last bit");
    }
    let files = |name: &str| fs::read(bench.path("bundle").join(name)).unwrap();
    assert_eq!(files("checkpoints/checkpoint/model.safetensors"), [7; 3_000]);
    assert_eq!(files("artifacts/report/index.html"), b"<html>");
    let error = bundle::pack(
        &bench.ledger,
        &bench.run_id,
        &bench.path("bundle"),
        &bench.key,
        &PackOptions::default(),
    );
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Argument);
    let error =
        bundle::pack(&bench.ledger, &"0".repeat(32), &bench.path("x"), &bench.key, &PackOptions::default());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Ledger);
    // Neither failure leaves anything.
    let left = fs::read_dir(bench.dir.path())
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_checkpoint_that_is_another_one_is_not_packed() {
    let bench = bench();
    let by_reference = bench.verify(&bench.pack("small", false)).unwrap();
    assert_eq!(by_reference.bundle.checkpoints[0].included, None);
    assert!(!bench.path("small/checkpoints").exists());
    // Recorded in the scratch folder of a stage, and since then among its outputs.
    let scratch =
        bench.path(".mynah-flow/scratch/train-1/work/run/checkpoints/0000050").display().to_string();
    bench.ledger.set_tag(&bench.run_id, Tag::new("mynah.checkpoint.path", scratch)).unwrap();
    let moved = bench.verify(&bench.pack("moved", true)).unwrap();
    assert!(moved.folder.join("checkpoints/checkpoint/model.safetensors").is_file());
    fs::write(bench.path("run/checkpoints/0000050/manifest.json"), "{}").unwrap();
    let options = PackOptions { include_checkpoints: true, ..PackOptions::default() };
    let pack =
        || bundle::pack(&bench.ledger, &bench.run_id, &bench.path("b"), &bench.key, &options).unwrap_err();
    assert!(pack().to_string().contains("is not the one that was recorded"));
    fs::remove_dir_all(bench.path("run")).unwrap();
    assert!(pack().to_string().contains("pack it by reference"));
    assert!(!bench.path("b").exists());
}

#[test]
fn what_was_tampered_with_is_named() {
    let bench = bench();
    let folder = bench.pack("bundle", true);
    let verify = || bench.verify(&folder);
    verify().unwrap();
    for name in [
        "metrics.jsonl",
        "params.json",
        "bundle.json",
        "checkpoints/checkpoint/model.safetensors",
        "artifacts/report/index.html",
    ] {
        let path = folder.join(name);
        let text = fs::read(&path).unwrap();
        let mut changed = text.clone();
        changed[text.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        refused(verify(), ErrorKind::Signature, &format!("1 changed ({name:?})"));
        fs::remove_file(&path).unwrap();
        refused(verify(), ErrorKind::Signature, &format!("1 missing ({name:?})"));
        fs::write(&path, text).unwrap();
    }
    for name in ["extra", ".gitattributes"] {
        fs::write(folder.join(name), "x").unwrap();
        refused(verify(), ErrorKind::Signature, &format!("1 not signed ({name:?})"));
        fs::remove_file(folder.join(name)).unwrap();
    }
    verify().unwrap();
    let stranger = EcSigningKey::generate().verifying_key();
    refused(bundle::verify(&folder, &stranger, Path::new("unused")), ErrorKind::Signature, "another key");
    fs::remove_file(folder.join("model.sig")).unwrap();
    refused(verify(), ErrorKind::Io, "model.sig");
    refused(bench.verify(&bench.path("none")), ErrorKind::Io, "none");
}

#[cfg(unix)]
#[test]
fn links_in_bundles_are_refused() {
    let bench = bench();
    let folder = bench.pack("bundle", false);
    let params = folder.join("params.json");
    fs::rename(&params, bench.path("outside")).unwrap();
    std::os::unix::fs::symlink(bench.path("outside"), &params).unwrap();
    assert!(bench.verify(&folder).unwrap_err().to_string().contains("symbolic link"));
    let unverified = || bundle::open_unverified(&folder, Path::new("unused"));
    refused(unverified(), ErrorKind::Bundle, "is no file");
}

#[test]
fn hostile_texts_are_refused() {
    let bench = bench();
    let folder = bench.pack("bundle", true);
    let open = || bundle::open_unverified(&folder, Path::new("unused"));
    open().unwrap();
    let check = |name: &str, from: &str, to: &str, says: &str| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        refused(open(), ErrorKind::Bundle, says);
        fs::write(&path, text).unwrap();
    };
    check("bundle.json", "\"version\": 1", "\"version\": 9", "has version 9");
    check("bundle.json", "\"version\": 1,", "", "has no version");
    check("bundle.json", "checkpoints/checkpoint\"", "../../etc/passwd\"", "leaves the folder");
    check("bundle.json", "checkpoints/checkpoint\"", "/etc/passwd\"", "is absolute");
    check("bundle.json", "report/index.html", "report/other.html", "is said to be in the bundle");
    check("bundle.json", "\"metric_points\": 105", "\"metric_points\": 104", "tells of 104 points");
    check("metrics.jsonl", "\"step\":0", "\"step\":0.5", "line 1");
    check("metrics.jsonl", "\"value\":\"", "\"value\":\"x", "line 1: a value that is no number");
    check("metrics.jsonl", "\"key\":\"", &format!("\"key\":\"{}", "k".repeat(5_000)), "line 1: too long");
    check("params.json", "{", "[", "params.json");
    fs::write(folder.join("bundle.json"), "[".repeat(1_000_000)).unwrap();
    refused(open(), ErrorKind::Bundle, "bundle.json");
    let huge = fs::File::create(folder.join("bundle.json")).unwrap();
    huge.set_len(1 << 40).unwrap();
    refused(open(), ErrorKind::Bundle, "larger than");
}

/// Gives back points, or an error.
struct Fake(Vec<Point>);

impl Runner for Fake {
    fn run(&mut self, rerun: &Rerun<'_>) -> Result<Rerunning, Error> {
        assert!(rerun.folder.is_dir());
        assert_eq!(rerun.params["train.seed"], "42");
        let environment = BTreeMap::from([("processor".to_string(), "slow".to_string())]);
        Ok(Rerunning { metrics: self.0.clone(), environment })
    }
}

#[test]
fn the_first_step_that_differs_is_told() {
    let bench = bench();
    let opened = bench.verify(&bench.pack("bundle", false)).unwrap();
    let reproduce = |name: &str, points: Vec<Point>, tolerance| {
        bundle::reproduce(&opened, &bench.path(name), &mut Fake(points), tolerance, &is_machine_dependent)
            .unwrap()
    };
    let mut points = opened.metrics.clone();
    points.iter_mut().filter(|p| p.key == "seconds").for_each(|p| p.value *= 2.0);
    let same = reproduce("1", points.clone(), Tolerance::Exact);
    assert!(same.comparison.is_same());
    assert_eq!((same.comparison.same, same.comparison.ignored.len()), (55, 1));
    assert_eq!(
        same.environment,
        [("processor".to_string(), Some("fast".to_string()), Some("slow".to_string()))]
    );
    for point in points.iter_mut().filter(|p| p.key == "loss" && p.step >= 17) {
        point.value = f64::from_bits(point.value.to_bits() + 1);
    }
    let differs = reproduce("2", points.clone(), Tolerance::Exact).comparison;
    let first = differs.first.clone().unwrap();
    assert_eq!((first.step, first.key.as_str()), (17, "loss"));
    assert!(first.to_string().starts_with("step 17: loss is "), "{first}");
    assert_eq!(differs.by_key.len(), 1);
    let tolerance = Tolerance::Within { absolute: 0.0, relative: 1e-9 };
    assert!(reproduce("3", points.clone(), tolerance).comparison.is_same());
    let error =
        bundle::reproduce(&opened, bench.dir.path(), &mut Fake(points), tolerance, &is_machine_dependent);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Argument);
}

/// Not a test of its own: the product's stand-in that [`CommandRunner`] calls.
#[test]
fn child_that_records() {
    let Ok(drift_at) = std::env::var("MYNAH_FLOW_TEST_DRIFT_AT") else { return };
    let drift_at: i64 = drift_at.parse().unwrap();
    let store = Location::Sqlite(std::env::var("MYNAH_STORE").unwrap().into());
    let ledger = Ledger::open(&store, OpenOptions::default()).unwrap();
    for kind in ["speedrun", "base"] {
        let new = NewRun {
            experiment_id: "0".to_string(),
            tags: vec![Tag::new("mynah.kind", kind)],
            ..NewRun::default()
        };
        let run = ledger.create_run(new).unwrap().run;
        let mut metrics = metrics();
        metrics.iter_mut().filter(|m| m.key == "loss" && m.step == drift_at).for_each(|m| m.value += 1e-9);
        ledger.log_batch(&run.id, Batch { metrics, ..Batch::default() }).unwrap();
    }
}

#[test]
fn the_recorded_command_runs_again_as_a_process() {
    let bench = bench();
    let arguments = "[\"--exact\", \"child_that_records\", \"--store\", \"elsewhere.db\", \"--resume\", \"--test-threads=1\"]";
    bench.ledger.set_tag(&bench.run_id, Tag::new("mynah.arguments", arguments)).unwrap();
    let opened = bench.verify(&bench.pack("bundle.tar", false)).unwrap();
    let run = |name: &str, drift_at: &str| {
        let drift = ("MYNAH_FLOW_TEST_DRIFT_AT".to_string(), drift_at.to_string());
        let mut runner = CommandRunner {
            program: std::env::current_exe().unwrap(),
            working_folder: None,
            environment: BTreeMap::from([drift]),
            timeout: None,
            stop: Arc::new(AtomicBool::new(false)),
        };
        bundle::reproduce(&opened, &bench.path(name), &mut runner, Tolerance::Exact, &is_machine_dependent)
    };
    let same = run("same", "-1").unwrap();
    assert!(same.comparison.is_same(), "{:?}", same.comparison.first);
    let first = run("drift", "23").unwrap().comparison.first.unwrap();
    assert_eq!((first.step, first.key.as_str()), (23, "loss"));
    let error = run("fails", "no number").unwrap_err();
    assert!(error.to_string().contains("running it again failed"), "{error}");
}

#[test]
fn the_python_package_verifies_a_bundle() {
    let Ok(python) = std::env::var("MYNAH_PYTHON") else {
        println!("skipped: MYNAH_PYTHON names no Python with the package model_signing");
        return;
    };
    let has = Command::new(&python).args(["-c", "import model_signing"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no package model_signing");
        return;
    }
    let bench = bench();
    let folder = bench.pack("bundle", true);
    let public = bench.path("key.pub");
    bench.key.verifying_key().save(&public).unwrap();
    let verify = || {
        let signature = folder.join("model.sig");
        let mut command = Command::new(&python);
        command.args(["-m", "model_signing", "verify", "key"]).arg(&folder).arg("--public_key").arg(&public);
        command.arg("--signature").arg(signature).output().unwrap()
    };
    let output = verify();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(folder.join("params.json"), "{}").unwrap();
    assert!(!verify().status.success());
}
