//! The run ledger from outside: what training leaves in it, and the commands that look at it and change it.

use std::path::Path;

use serde_json::Value;

use crate::common::{arg, mynah, refused, run_folder, text};

/// A ledger with the three runs of a quick speedrun.
fn recorded(dir: &Path) -> String {
    let store = dir.join("runs.db");
    let output =
        mynah(&["speedrun", "--quick", "--out", arg(&dir.join("run")), "--store", arg(&store)]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "a recorded run needs no notes");
    arg(&store).to_string()
}

fn runs(store: &str, arguments: &[&str]) -> String {
    let mut all = vec!["runs"];
    all.extend(arguments);
    all.extend(["--store", store]);
    crate::common::ok(&all)
}

fn list(store: &str, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["list", "--json"];
    all.extend(arguments);
    serde_json::from_str(&runs(store, &all)).unwrap()
}

#[test]
fn a_speedrun_is_a_run_with_its_stages_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    let all = list(&store, &["--sort", "started"]);
    let kinds: Vec<&str> = all.iter().map(|run| run["tags"]["mynah.kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["speedrun", "base", "chat"]);
    let parent = all[0]["run_id"].as_str().unwrap();
    for stage in &all[1..] {
        assert_eq!(stage["status"], "FINISHED");
        assert_eq!(stage["parent_id"], parent);
        assert!(stage["datasets"][0]["digest"].as_str().unwrap().len() >= 32);
        assert!(stage["metrics"]["loss"]["value"].as_f64().unwrap() > 0.0);
        assert_eq!(stage["params"]["train.seed"], "0");
        assert_eq!(stage["tags"]["mynah.checkpoint.digest"].as_str().unwrap().len(), 64);
    }
    assert!(all[0]["metrics"]["bits_per_byte"]["value"].as_f64().unwrap() > 0.0);
    let shown: Value = serde_json::from_str(&runs(&store, &["show", &parent[..8], "--json"])).unwrap();
    assert_eq!(shown["children"].as_array().unwrap().len(), 2);
    assert!(shown["artifacts"].as_array().unwrap().iter().any(|file| file["path"] == "report/report.html"));
    // The ledger has every step that the run's own file has.
    let exported = runs(&store, &["export", "base", "--csv"]);
    let own = std::fs::read_to_string(dir.path().join("run/base/metrics.jsonl")).unwrap();
    let rows = own.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let losses: Vec<f64> = rows.filter_map(|row| row["loss"].as_f64()).collect();
    let in_ledger: Vec<f64> = exported
        .lines()
        .filter(|line| line.split(',').nth(1) == Some("loss"))
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(in_ledger, losses);
}

#[test]
fn a_run_is_filed_below_the_one_that_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    let parent = list(&store, &["--filter", "attributes.run_name = 'base'"])[0]["run_id"].clone();
    let held_out = dir.path().join("text.txt");
    std::fs::write(&held_out, "Some words to measure.").unwrap();
    let model = dir.path().join("run/model");
    let eval = ["eval", "bpb", "--model", arg(&model), arg(&held_out), "--store", &store];
    for id in [parent.as_str().unwrap(), "00000000000000000000000000000000"] {
        assert!(mynah(&eval).env("MYNAH_PARENT_RUN", id).output().unwrap().status.success());
    }
    let evals = list(&store, &["--experiment", "eval", "--sort", "started"]);
    let parents: Vec<&Value> = evals.iter().map(|run| &run["parent_id"]).collect();
    assert_eq!(parents, [&parent, &Value::Null], "a run that this ledger does not know is nobody's parent");
}

#[test]
fn runs_are_filtered_sorted_tagged_deleted_restored_and_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    assert_eq!(list(&store, &["--filter", "metrics.loss > 0 AND params.train.seed = '0'"]).len(), 2);
    let down = list(&store, &["--filter", "metrics.loss > 0", "--sort", "-loss"]);
    let loss = |run: &Value| run["metrics"]["loss"]["value"].as_f64().unwrap();
    assert!(loss(&down[0]) >= loss(&down[1]));
    let csv = runs(&store, &["list", "--columns", "name,loss,params.train.seed", "--csv", "--sort", "name"]);
    assert!(csv.starts_with("name,loss,train.seed\nbase,"), "{csv}");

    runs(&store, &["tag", "base", "stage=candidate"]);
    assert_eq!(list(&store, &["--filter", "tags.stage = 'candidate'"])[0]["name"], "base");
    runs(&store, &["tag", "base", "--remove", "stage"]);
    assert!(list(&store, &["--filter", "tags.stage = 'candidate'"]).is_empty());

    runs(&store, &["delete", "chat"]);
    assert_eq!(list(&store, &[]).len(), 2);
    assert_eq!(list(&store, &["--deleted"])[0]["name"], "chat");
    runs(&store, &["restore", "chat"]);
    assert_eq!(list(&store, &[]).len(), 3);

    runs(&store, &["quarantine", "base", "--reason", "wrong split"]);
    let kept = list(&store, &["--filter", "attributes.run_name = 'base'"]);
    assert_eq!(kept[0]["quarantine"]["reason"], "wrong split");
    runs(&store, &["quarantine", "base", "--release"]);
    assert!(list(&store, &["--filter", "attributes.run_name = 'base'"])[0]["quarantine"].is_null());
    assert!(runs(&store, &["plot", "base", "chat", "--metric", "loss"]).contains('└'));
    let picture = dir.path().join("loss.svg");
    runs(&store, &["plot", "base", "--smooth", "0.5", "--out", arg(&picture)]);
    assert!(std::fs::read_to_string(picture).unwrap().starts_with("<svg"));
    assert!(runs(&store, &["watch", "base"]).ends_with("finished\n"));
}

#[test]
fn the_log_of_changes_verifies_against_a_checkpoint_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    let (held, key) = (dir.path().join("held.txt"), dir.path().join("key.pem"));
    // The key is made in the home folder of the test.
    let home = dir.path().join("home");
    let run = |arguments: &[&str]| {
        let mut all = vec!["runs", "audit"];
        all.extend(arguments);
        mynah(&all).env("MYNAH_HOME", &home).output().unwrap()
    };
    assert!(!key.exists());
    let signed = run(&["checkpoint", "--store", &store, "--out", arg(&held)]);
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    runs(&store, &["tag", "base", "later=yes"]);
    let verified = run(&["verify", "--store", &store, "--checkpoint", arg(&held)]);
    assert!(
        text(&verified.stdout).contains("is whole and continues the checkpoint"),
        "{}",
        text(&verified.stderr)
    );
    let proof = run(&["proof", "0", "--store", &store]);
    assert!(text(&proof.stdout).contains("mynah-ledger/"), "{}", text(&proof.stderr));
    assert!(text(&run(&["log", "--store", &store, "--max", "3"]).stdout).contains("run."));
    // A ledger that is not the one of the checkpoint.
    let other = recorded(&dir.path().join("other"));
    let refused = run(&["verify", "--store", &other, "--checkpoint", arg(&held)]);
    assert!(!refused.status.success());
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.db");
    refused(&["runs", "list", "--store", arg(&absent)], &["no run ledger yet", "absent.db"]);
    assert!(!absent.exists(), "looking makes nothing");
    let store = recorded(dir.path());
    refused(&["runs", "show", "nobody", "--store", &store], &["no run is called nobody"]);
    refused(&["runs", "show", "x' OR '1'='1", "--store", &store], &["no run is called"]);
    refused(&["runs", "list", "--filter", "metrics.loss ; DROP TABLE runs", "--store", &store], &[]);
    refused(
        &["runs", "plot", "base", "--metric", "nothing", "--store", &store],
        &["no metric nothing", "loss"],
    );
    refused(&["runs", "serve", "--host", "0.0.0.0", "--port", "0", "--store", &store], &["token"]);
    // A store that is no ledger stops a run that named it, and only that.
    let broken = dir.path().join("broken.db");
    std::fs::write(&broken, "no database at all, whatever the name says").unwrap();
    let model = run_folder().join("model");
    let held_out = dir.path().join("text.txt");
    std::fs::write(&held_out, "Some words to measure.").unwrap();
    let eval = ["eval", "bpb", "--model", arg(&model), arg(&held_out)];
    let named: Vec<&str> = eval.iter().copied().chain(["--store", arg(&broken)]).collect();
    refused(&named, &["broken.db"]);
    let output = mynah(&eval).env("MYNAH_STORE", &broken).output().unwrap();
    assert!(
        output.status.success() && text(&output.stderr).contains("not recorded"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn runs_are_compared_gated_validated_and_nothing_needs_repair() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    let said = runs(&store, &["compare", "base", "chat", "--goal", "loss:min"]);
    assert!(said.contains("against") && said.contains("setting") && said.contains("loss"), "{said}");
    let json: Value = serde_json::from_str(&runs(&store, &["compare", "base", "chat", "--json"])).unwrap();
    assert!(json[0]["deltas"].as_array().unwrap().iter().any(|delta| delta["metric"] == "loss"));
    refused(&["runs", "compare", "base", "--goal", "loss", "--store", &store], &["which way is better"]);

    assert!(runs(&store, &["gate", "base", "--gate", "loss:min at-most 100"]).contains("passed"));
    let failed =
        mynah(&["runs", "gate", "base", "--gate", "loss:min at-most 0", "--store", &store]).output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "{}", text(&failed.stdout));
    let undecided =
        mynah(&["runs", "gate", "base", "--gate", "none:min at-most 0", "--store", &store]).output();
    assert_eq!(undecided.unwrap().status.code(), Some(4));

    let found: Value = serde_json::from_str(&runs(&store, &["validate", "--json"])).unwrap();
    assert_eq!((&found["runs"], found["findings"].as_array().unwrap().len()), (&3.into(), 0), "{found}");
    assert_eq!(runs(&store, &["repair"]), "nothing to repair\n");
    // A point behind the ledger's back is found.
    let artifacts = Path::new(&store).with_file_name("runs.db.artifacts");
    let kept = crate::common::snapshot(&artifacts);
    let file = kept.keys().find(|path| path.is_file()).unwrap();
    std::fs::write(file, "something else").unwrap();
    refused(&["runs", "validate", "--store", &store], &["validation found errors"]);
    assert!(runs(&store, &["repair"]).contains("--apply does it"));
}

#[test]
fn a_bundle_of_a_run_is_reproduced_bit_by_bit_and_its_report_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let store = recorded(dir.path());
    let home = dir.path().join("home");
    let run = |arguments: &[&str]| {
        let output = mynah(arguments).env("MYNAH_HOME", &home).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    };
    let (bundle, again) = (dir.path().join("base.tar"), dir.path().join("again"));
    run(&["runs", "bundle", "base", "--store", &store, "--out", arg(&bundle)]);
    let said = run(&["runs", "reproduce", arg(&bundle), "--out", arg(&again)]);
    assert!(said.contains("all the same"), "{said}");

    let report = dir.path().join("report");
    let said = run(&["runs", "report", "base", "--store", &store, "--out", arg(&report)]);
    assert!(said.contains("each proven by the log"), "{said}");
    let evidence = report.join("evidence.json");
    run(&["runs", "report", "--verify", arg(&evidence)]);
    let forged = std::fs::read_to_string(&evidence).unwrap().replacen("base", "bass", 1);
    std::fs::write(&evidence, forged).unwrap();
    let output =
        mynah(&["runs", "report", "--verify", arg(&evidence)]).env("MYNAH_HOME", &home).output().unwrap();
    assert!(!output.status.success());
}

#[cfg(unix)]
#[test]
fn a_flow_runs_once_and_is_restored_after() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = dir.path().join("pipeline.toml");
    let text_of = "[[stage]]\nname = \"one\"\ncommand = [\"sh\", \"-c\", \"echo 1 > one.txt\"]\n\
                   outputs = [\"one.txt\"]\n[[stage]]\nname = \"two\"\nneeds = [\"one\"]\ninputs = [\"one.txt\"]\n\
                   command = [\"sh\", \"-c\", \"cat one.txt one.txt > two.txt\"]\noutputs = [\"two.txt\"]\n";
    std::fs::write(&pipeline, text_of).unwrap();
    let store = dir.path().join("runs.db");
    let flow = || {
        let said = crate::common::ok(&["flow", "run", arg(&pipeline), "--store", arg(&store), "--json"]);
        let report: Value = serde_json::from_str(&said).unwrap();
        let outcomes = report["stages"].as_array().unwrap().iter().map(|stage| stage["outcome"].clone());
        outcomes.collect::<Vec<_>>()
    };
    assert_eq!(flow(), ["ran", "ran"]);
    std::fs::remove_file(dir.path().join("two.txt")).unwrap();
    assert_eq!(flow(), ["cached", "cached"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("two.txt")).unwrap(), "1\n1\n");
    assert!(!list(arg(&store), &["--experiment", "flow"]).is_empty());
    std::fs::write(&pipeline, "[[stage]]\nname = \"a\"\nneeds = [\"a\"]\ncommand = [\"true\"]\n").unwrap();
    refused(&["flow", "run", arg(&pipeline)], &["a"]);
}
