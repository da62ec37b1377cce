//! The benchmark's worker, run once on tiny shapes so that it cannot rot.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn the_worker_speaks_the_protocol() {
    // Cargo builds examples before it runs tests, unless only this test was asked for.
    let here = std::env::current_exe().unwrap();
    let worker = here.parent().unwrap().join("../examples/bench_train_step");
    if !worker.exists() {
        println!("{} is missing: skipped", worker.display());
        return;
    }
    let mut child = Command::new(worker)
        .args(["--small", "--threads", "1", "--profile"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"depth4\ndepth4\ndepth6\nnonsense\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[0]["ready"], true);
    assert_eq!(lines[1]["work"], 64);
    assert!(lines[1]["seconds"].as_f64().unwrap() > 0.0);
    // The second step sees the same batch and has learned from the first.
    assert!(lines[2]["loss"].as_f64() < lines[1]["loss"].as_f64(), "{text}");
    assert_eq!(lines[3]["case"], "depth6");
    assert!(lines[4]["error"].is_string());
    assert!(lines[5]["peak_rss_bytes"].as_u64().unwrap() > 0);
}
