//! The benchmark example runs, in small, so that it cannot rot.

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn bench_ledger_runs_in_small() {
    // Examples lie beside the folder of the test binaries; `--test` alone does not build them.
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples").join("bench_ledger");
    if !example.exists() {
        println!("{} is not built (run cargo test without --test): skipped", example.display());
        return;
    }
    let cases =
        ["log-async", "log-acknowledged", "log-batch", "processes", "search", "search-first", "search-page"];
    let dir = tempfile::tempdir().unwrap();
    let mut worker = Command::new(&example)
        .args(["--small", "--runs", "30", "--threads", "1", "--dir"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    worker.stdin.take().unwrap().write_all(cases.join("\n").as_bytes()).unwrap();
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["ready"], true);
    for (case, answer) in cases.iter().zip(&lines[1..]) {
        assert_eq!(answer["case"], *case);
        assert!(answer["seconds"].as_f64().unwrap() > 0.0 && answer["work"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it cleans up");
    let refused = Command::new(&example).arg("--nonsense").stderr(Stdio::null()).output().unwrap();
    assert!(!refused.status.success());
}
