//! Promotion, hooks, drift, garbage and import, as people type them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{arg, mynah, refused, text};

/// A folder as MLflow writes it: one experiment, `count` finished runs whose loss is about 1 for the first half and
/// about `later` for the rest.
fn mlruns(root: &Path, count: usize, later: f64) {
    let experiment = root.join("111111111111111111");
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        &experiment.join("meta.yaml"),
        "artifact_location: s3://none/1\nlifecycle_stage: active\nname: nightly\n",
    );
    for i in 0..count {
        let id = format!("{:032x}", i + 1);
        let (begin, end) = (1_000 * i + 10, 1_000 * i + 900);
        let run = experiment.join(&id);
        write(
            &run.join("meta.yaml"),
            &format!(
                "artifact_uri: s3://none/1/{id}\nend_time: {end}\nlifecycle_stage: active\nrun_id: {id}\n\
                 run_name: night-{i}\nstart_time: {begin}\nstatus: 3\nuser_id: ann\n"
            ),
        );
        let loss = if i < count / 2 { 1.0 } else { later } + 0.01 * ((i * 7) % 5) as f64;
        write(&run.join("metrics/loss"), &format!("{} {loss} 1\n", begin + 5));
        write(&run.join("params/seed"), &i.to_string());
    }
}

fn imported(dir: &Path, count: usize, later: f64) -> String {
    mlruns(&dir.join("mlruns"), count, later);
    let store = arg(&dir.join("runs.db")).to_string();
    let said = crate::common::ok(&["runs", "import", arg(&dir.join("mlruns")), "--store", &store]);
    assert!(said.starts_with(&format!("{count} run(s) in 1 new experiment(s)")), "{said}");
    store
}

fn run(arguments: &[&str]) -> Output {
    mynah(arguments).output().unwrap()
}

#[test]
fn what_mlflow_has_is_taken_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = imported(dir.path(), 3, 1.0);
    let again =
        crate::common::ok(&["runs", "import", arg(&dir.path().join("mlruns")), "--store", &store, "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["runs"], &again["runs_present"]), (&0.into(), &3.into()));
    refused(&["runs", "import", "no/such/place", "--store", &store], &["nothing is there to import"]);
}

#[test]
fn the_bin_is_emptied_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let store = imported(dir.path(), 3, 1.0);
    let gc = |more: &[&str]| -> Value {
        let all = [&["runs", "gc", "--json", "--store", store.as_str()], more].concat();
        serde_json::from_str(&crate::common::ok(&all)).unwrap()
    };
    assert_eq!(gc(&[])["runs"].as_array().unwrap().len(), 0);
    crate::common::ok(&["runs", "delete", "night-0", "--store", &store]);
    assert_eq!(gc(&["--older-than", "1d", "--apply"])["runs"].as_array().unwrap().len(), 0);
    let planned = gc(&[]);
    assert_eq!((&planned["applied"], planned["runs"].as_array().unwrap().len()), (&false.into(), 1));
    assert_eq!(gc(&["--apply"])["runs"], planned["runs"]);
    refused(&["runs", "restore", "night-0", "--store", &store], &["no run is called night-0"]);
    assert!(!run(&["runs", "gc", "--older-than", "soon", "--store", &store]).status.success());
}

#[test]
fn drift_is_named_and_its_absence_too() {
    let dir = tempfile::tempdir().unwrap();
    let drift = |store: &str, more: &[&str]| {
        run(&[&["runs", "drift", "--experiment", "nightly", "--window", "20", "--store", store], more]
            .concat())
    };
    let store = imported(&dir.path().join("moved"), 40, 2.0);
    let page = dir.path().join("drift.html");
    let found = drift(&store, &["--out", arg(&page)]);
    assert_eq!(found.status.code(), Some(3), "{}", text(&found.stderr));
    assert!(text(&found.stdout).contains("loss (index"), "{}", text(&found.stdout));
    assert!(std::fs::read_to_string(&page).unwrap().contains("<table>"));
    let store = imported(&dir.path().join("same"), 40, 1.0);
    let found = drift(&store, &["--json"]);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stdout));
    let json: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((json["windows"].as_array().unwrap().len(), &json["runs"]), (1, &40.into()));
}

#[test]
fn only_what_passes_is_promoted_and_overriding_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let store = imported(dir.path(), 4, 3.0);
    let ok = |arguments: &[&str]| crate::common::ok(&[arguments, &["--store", &store]].concat());
    ok(&["runs", "register", "night-0", "--model", "m"]);
    ok(&["runs", "register", "night-3", "--model", "m"]);
    refused(
        &["runs", "register", "night-0", "--model", "m", "--artifact", "x", "--store", &store],
        &["the run has no artifact x"],
    );
    // The approver's key pair, as the product makes one.
    let home = dir.path().join("home");
    let signed = mynah(&["runs", "audit", "checkpoint", "--store", &store]).env("MYNAH_HOME", &home).output();
    assert!(signed.unwrap().status.success());
    let key = home.join("keys/audit.pem");
    let public = mynah(&["runs", "audit", "key"]).env("MYNAH_HOME", &home).output().unwrap();
    let public = text(&public.stdout);
    assert!(public.contains("PUBLIC KEY"), "{public}");
    let policy = dir.path().join("policy.toml");
    let rules = format!(
        "gates = ['loss:min within 5%', 'loss:min at-most 10']\n[[approvers]]\nname = 'ann'\npublic_key = '''\n{public}'''\n"
    );
    std::fs::write(&policy, rules).unwrap();
    let promote = ["runs", "promote", "m", "1", "--to", "production", "--policy", arg(&policy)];
    assert!(ok(&promote).contains("m version 1 is in Production"));

    let second =
        ["runs", "promote", "m", "2", "--to", "production", "--policy", arg(&policy), "--store", &store];
    refused(&second, &["may not move to Production", "loss"]);
    let looked = run(&[&second[..], &["--dry-run"]].concat());
    assert_eq!(looked.status.code(), Some(3), "{}", text(&looked.stdout));
    let signature = dir.path().join("override.json");
    let overrule =
        ["--overrule", "the data changed", "--as", "ann", "--key", arg(&key), "--out", arg(&signature)];
    let said = crate::common::ok(&[&second[..], &overrule[..]].concat());
    assert!(said.contains("overruled by ann"), "{said}");
    let said = crate::common::ok(&[&second[..], &["--override", arg(&signature)]].concat());
    assert!(said.contains("m version 2 is in Production") && said.contains("overruled by ann"), "{said}");
    // The signature is for that decision and no other.
    ok(&["runs", "register", "night-2", "--model", "m"]);
    let third =
        ["runs", "promote", "m", "3", "--to", "production", "--policy", arg(&policy), "--store", &store];
    let third = [&third[..], &["--baseline", "night-0", "--override", arg(&signature)]].concat();
    refused(&third, &["another assessment"]);
}

#[test]
fn hooks_are_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = imported(dir.path(), 2, 1.0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut bytes = [0; 4096];
        while !is_whole(&request) {
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "{request}");
            request.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        request
    });
    let policy = dir.path().join("policy.toml");
    std::fs::write(
        &policy,
        format!(
            "gates = ['loss:min at-most 0.5']\n[[hooks]]\nname = 'team'\non = ['gate.regressed']\n\
             call = {{ webhook = {{ url = 'http://{address}/hook' }} }}\n"
        ),
    )
    .unwrap();
    let gate = ["runs", "gate", "night-0", "--policy", arg(&policy), "--store", &store];
    let first = run(&gate);
    assert_eq!(first.status.code(), Some(3));
    assert!(text(&first.stderr).contains("team was told"), "{}", text(&first.stderr));
    let request = receiver.join().unwrap();
    assert!(request.starts_with("POST /hook HTTP/1.1"), "{request}");
    assert!(
        request.to_lowercase().contains("idempotency-key: ") && request.contains("gate.regressed"),
        "{request}"
    );
    // Nobody listens any more: a second call would be told as failed.
    let second = run(&gate);
    assert_eq!((second.status.code(), text(&second.stderr).as_str()), (Some(3), ""));
    refused(&["runs", "validate", "--schedule", "often", "--store", &store], &["often"]);
}

/// Whether a request has come with all of its body.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}
