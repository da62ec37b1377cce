//! The benchmark's worker, in small, so that it cannot rot.

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_worker_answers_every_case() {
    // Built by `cargo test` beside this test; absent when only this test was asked for.
    let here = std::env::current_exe().unwrap();
    let worker = here.parent().unwrap().parent().unwrap().join("examples").join("bench_tokenizer");
    let worker = worker.with_extension(std::env::consts::EXE_EXTENSION);
    if !worker.exists() {
        println!("{} is not built: skipped", worker.display());
        return;
    }
    let mut child = Command::new(worker)
        .args(["--small", "--threads", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"train\nencode\nencode\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["ready"], true);
    assert_eq!([&lines[1]["case"], &lines[2]["case"]], ["train", "encode"]);
    assert_eq!(lines[1]["result"], 512);
    assert!(lines[1..4].iter().all(|line| line["seconds"].as_f64().unwrap() > 0.0 && line["unit"] == "byte"));
    assert!(lines[4]["peak_rss_bytes"].is_u64());
}
