//! HumanEval: the canonical solutions pass their tests. The data is a folder `eval` with `HumanEval.jsonl.gz`, in the
//! folder that `MYNAH_DATA` names; without it the test is skipped.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use pyc_driver::{Capabilities, Limits, Options, Tier, run_captured};

#[test]
fn canonical_solutions_pass() {
    let file = std::env::var_os("MYNAH_DATA").map(|data| PathBuf::from(data).join("eval/HumanEval.jsonl.gz"));
    let Some(file) = file.filter(|f| f.is_file()) else {
        return println!("MYNAH_DATA names no folder with eval/HumanEval.jsonl.gz: skipped");
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    let tasks: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a task is JSON")).collect();
    assert_eq!(tasks.len(), 164);
    let failed = Mutex::new(Vec::new());
    let next = Mutex::new(tasks.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(task) = next.lock().unwrap().next() else { break };
                    let part = |key: &str| task[key].as_str().unwrap_or_default().to_string();
                    let program = format!(
                        "{}{}\n{}\ncheck({})\n",
                        part("prompt"),
                        part("canonical_solution"),
                        part("test"),
                        part("entry_point")
                    );
                    let mut limits = Limits::default();
                    limits.time = Some(Duration::from_secs(60));
                    // Three of the tests draw numbers to try their functions on.
                    let mut capabilities = Capabilities::default();
                    capabilities.grant("random").unwrap();
                    let options = Options { capabilities, limits, arguments: vec![], tier: Tier::Native };
                    let outcome = run_captured(&program, "task.py", options).unwrap();
                    if outcome.exit != 0 {
                        let last = outcome.errors.lines().last().unwrap_or_default().to_string();
                        failed.lock().unwrap().push((part("task_id"), last));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for (task, error) in &failed {
        println!("{task}: {error}");
    }
    assert!(failed.is_empty(), "{} of 164 tasks fail", failed.len());
}
