//! What runs, what comes from the cache, and what a stage sees.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mynah_flow::Outcome::{Cached, Failed, Ran, Skipped};
use mynah_flow::{RestoreBy, run};
use serde_json::Value;

use crate::bench::{Bench, diamond, digests, exists, stage};

#[test]
fn a_second_run_takes_everything_from_the_cache() {
    let bench = Bench::new(&diamond());
    let names = ["make", "up", "down", "join", "alone"];
    let first = bench.check(&names.map(|name| (name, Ran)));
    assert!(first.is_success() && !first.is_resumed);
    assert_eq!(bench.read("all.txt").lines().count(), 11);
    assert_eq!(first.stage("join").unwrap().message.as_deref(), Some("eval.json:lines is 11"));
    assert_eq!(fs::metadata(bench.path("tool")).unwrap().permissions().mode() & 0o777, 0o755);
    bench.check_scratch_is_empty();

    let second = bench.check(&names.map(|name| (name, Cached)));
    assert_eq!(digests(&first), digests(&second));
    assert_ne!(first.run_id, second.run_id);

    // What was deleted or spoiled comes back; what is right is not touched.
    let untouched = fs::metadata(bench.path("up.txt")).unwrap().modified().unwrap();
    fs::remove_dir_all(bench.path("d")).unwrap();
    bench.write("all.txt", "spoiled");
    fs::remove_file(bench.path("tool")).unwrap();
    fs::create_dir(bench.path("tool")).unwrap();
    let third = bench.check(&names.map(|name| (name, Cached)));
    assert_eq!(digests(&first), digests(&third));
    assert_eq!(bench.read("all.txt").lines().count(), 11);
    assert_eq!(fs::metadata(bench.path("up.txt")).unwrap().modified().unwrap(), untouched);
    bench.check_scratch_is_empty();
}

#[test]
fn only_what_depends_on_a_change_runs_again() {
    let text = stage("a", "cat in > a.txt", "inputs = [\"in\"]\noutputs = [\"a.txt\"]")
        + &stage("b", "wc -l < a.txt > b.txt", "inputs = [\"a.txt\"]\noutputs = [\"b.txt\"]")
        + &stage("c", "cat b.txt > c.txt", "inputs = [\"b.txt\"]\noutputs = [\"c.txt\"]")
        + &stage("d", "echo > d.txt", "outputs = [\"d.txt\"]");
    let mut bench = Bench::new(&text);
    bench.write("in", "one\ntwo\n");
    bench.check(&[("a", Ran), ("b", Ran), ("c", Ran), ("d", Ran)]);
    // Another content with as many lines: the change ends at b.
    bench.write("in", "three\nfour\n");
    bench.check(&[("a", Ran), ("b", Ran), ("c", Cached), ("d", Cached)]);
    // Going back needs nothing.
    bench.write("in", "one\ntwo\n");
    bench.check(&[("a", Cached), ("b", Cached), ("c", Cached), ("d", Cached)]);
    assert_eq!(bench.read("a.txt"), "one\ntwo\n");
    // A damaged content is as good as none.
    for entry in fs::read_dir(bench.path(".mynah-flow/cache/objects")).unwrap().flatten() {
        for file in fs::read_dir(entry.path()).unwrap().flatten() {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(file.path(), "damaged").unwrap();
        }
    }
    fs::remove_file(bench.path("c.txt")).unwrap();
    bench.check(&[("a", Cached), ("b", Cached), ("c", Ran), ("d", Cached)]);
    assert_eq!(bench.read("c.txt").trim(), "2");
    bench.options.force = true;
    bench.check(&[("a", Ran), ("b", Ran), ("c", Ran), ("d", Ran)]);
    bench.options.force = false;
    bench.options.targets = vec!["b".to_string()];
    bench.check(&[("a", Cached), ("b", Cached)]);
    bench.options.targets = vec!["x".to_string()];
    let error = run(&bench.pipeline(), &bench.options, &bench.seen).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage \"x\"");
}

#[test]
fn a_shared_cache_and_hard_links() {
    let cache = tempfile::tempdir().unwrap();
    let mut reports = Vec::new();
    for outcome in [Ran, Cached] {
        let mut bench = Bench::new(&diamond());
        bench.options.cache_dir = Some(cache.path().to_path_buf());
        bench.options.restore_by = RestoreBy::HardLink;
        let names = ["make", "up", "down", "join", "alone"];
        reports.push(bench.check(&names.map(|name| (name, outcome))));
        assert_eq!(fs::metadata(bench.path("up.txt")).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(fs::metadata(bench.path("tool")).unwrap().permissions().mode() & 0o777, 0o555);
    }
    assert_eq!(digests(&reports[0]), digests(&reports[1]));
}

#[test]
fn a_stage_sees_its_inputs_and_its_environment_and_nothing_else() {
    let text = stage(
        "look",
        "ls -A > look.txt; env | grep -c SECRET >> look.txt; echo $MODE $GIVEN >> look.txt; test -d $TMPDIR",
        "inputs = [\"in\"]\noutputs = [\"look.txt\"]\nenv = [\"MODE=fast\", \"GIVEN\"]",
    );
    let mut bench = Bench::new(&text);
    bench.write("in", "");
    bench.write("other", "");
    bench.options.environment.insert("SECRET".to_string(), "x".to_string());
    bench.options.environment.insert("GIVEN".to_string(), "1".to_string());
    bench.check(&[("look", Ran)]);
    assert_eq!(bench.read("look.txt"), "in\nlook.txt\n0\nfast 1\n");
    bench.options.environment.insert("SECRET".to_string(), "y".to_string());
    bench.check(&[("look", Cached)]);
    bench.options.environment.insert("GIVEN".to_string(), "2".to_string());
    bench.check(&[("look", Ran)]);
    bench.options.environment.remove("GIVEN");
    bench.check(&[("look", Ran)]);
}

#[test]
fn mynah_stages_depend_on_the_version_of_the_tool_and_others_do_not() {
    let text = "[[stage]]\nname = \"own\"\nmynah = [\"own.txt\"]\noutputs = [\"own.txt\"]\n\n".to_string()
        + &stage("other", "echo > x", "outputs = [\"x\"]");
    let mut bench = Bench::new(&text);
    bench.options.mynah_program = "touch".into();
    bench.check(&[("own", Ran), ("other", Ran)]);
    bench.options.tool_version = "mynah 99".to_string();
    bench.check(&[("own", Ran), ("other", Cached)]);
    // What must happen every time does.
    let text = stage("push", "true", "cache = false") + &stage("version", "true", "version = \"2\"");
    bench.write("pipeline.toml", &text);
    bench.check(&[("push", Ran), ("version", Ran)]);
    bench.check(&[("push", Ran), ("version", Cached)]);
}

#[test]
fn links_and_missing_inputs_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let text = stage("file", "cat link/secret > a", "inputs = [\"link/secret\"]\noutputs = [\"a\"]")
        + &stage("folder", "true", "inputs = [\"dir\"]")
        + &stage("glob", "true", "inputs = [\"none/*\"]")
        + &stage("none", "true", "inputs = [\"none\"]")
        + &stage("makes", "ln -s /etc/passwd b", "outputs = [\"b\"]")
        + &stage("inside", "mkdir c; ln -s /etc/passwd c/d", "outputs = [\"c\"]")
        + &stage("after", "true", "needs = [\"makes\"]")
        + &stage("parent", "rmdir p; ln -s .. p; touch p/x", "outputs = [\"p/x\"]");
    let bench = Bench::new(&text);
    std::os::unix::fs::symlink(outside.path(), bench.path("link")).unwrap();
    fs::create_dir(bench.path("dir")).unwrap();
    std::os::unix::fs::symlink(outside.path(), bench.path("dir/link")).unwrap();
    let report = bench.check(&[
        ("file", Failed),
        ("folder", Failed),
        ("glob", Failed),
        ("none", Failed),
        ("makes", Failed),
        ("inside", Failed),
        ("after", Skipped),
        ("parent", Failed),
    ]);
    for (name, says) in [
        ("file", "link: is a symbolic link"),
        ("folder", "dir/link: is a symbolic link"),
        ("glob", "nothing matches the input none/*"),
        ("none", "the input none is not there"),
        ("makes", "is a symbolic link"),
        ("inside", "c/d: is a symbolic link"),
        ("after", "comes after \"makes\", which is failed"),
        ("parent", "is a symbolic link"),
    ] {
        let message = report.stage(name).unwrap().message.clone().unwrap();
        assert!(message.contains(says), "{name}: {message}");
    }
    assert!(!exists(&bench.path("b")) && !exists(&bench.path("c")));
    bench.check_scratch_is_empty();
}

#[test]
fn the_trace_has_a_track_per_worker_and_a_slice_per_stage() {
    let bench = Bench::new(&diamond());
    let report = bench.run();
    let trace: Value = serde_json::from_slice(&fs::read(report.folder.join("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |phase: &str| -> Vec<&Value> { events.iter().filter(|event| event["ph"] == phase).collect() };
    let tracks: Vec<&str> = of("M")
        .iter()
        .filter(|e| e["name"] == "thread_name")
        .filter_map(|e| e["args"]["name"].as_str())
        .collect();
    assert_eq!(tracks, ["worker 0", "worker 1", "worker 2"]);
    let stages: Vec<&Value> = of("X").into_iter().filter(|event| event["cat"] == "stage").collect();
    assert_eq!(stages.len(), 5);
    for stage in &stages {
        assert_eq!(stage["args"]["outcome"], "ran");
        assert_eq!(stage["args"]["key"].as_str().unwrap().len(), 64);
        let inside = |step: &&&Value| {
            step["tid"] == stage["tid"]
                && step["ts"].as_u64() >= stage["ts"].as_u64()
                && step["name"] == "attempt 1"
        };
        assert!(of("X").iter().filter(inside).count() >= 1);
    }
    // Stages of one worker do not overlap.
    for a in &stages {
        for b in stages.iter().filter(|b| b["tid"] == a["tid"] && b["name"] != a["name"]) {
            let [from_a, to_a, from_b] = [
                a["ts"].as_u64(),
                Some(a["ts"].as_u64().unwrap() + a["dur"].as_u64().unwrap()),
                b["ts"].as_u64(),
            ];
            assert!(from_b >= to_a || from_b <= from_a);
        }
    }
    assert_eq!((of("s").len(), of("f").len()), (4, 4), "an arrow per edge");
    assert!(of("C").iter().all(|event| event["args"]["used"].as_u64().unwrap() <= 3));
    let written: Value =
        serde_json::from_slice(&fs::read(report.folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(written["stages"][0]["outputs"][0]["path"], "d");
}
