//! Weights go into a live server while they are trained.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::common::{arg, mynah, ok, run_folder, text};

const KEY: &str = "key-of-the-tests-0123";

/// A server of the quick run's base model; ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Server {
        let model = run_folder().join("base");
        let tokenizer = run_folder().join("tokenizer");
        let mut command =
            mynah(&["serve", "--model", arg(&model), "--tokenizer", arg(&tokenizer), "--port", "0"]);
        command.args(["--no-record", "--admin-key", KEY]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next().expect("an address").unwrap();
        Server { child, url }
    }

    /// The epoch that it serves, and how many pushes it has taken.
    fn live(&self) -> (u64, u64) {
        let said = ok(&["weights", "status", "--to", &self.url, "--admin-key", KEY, "--json"]);
        let status: Value = serde_json::from_str(said.trim()).unwrap();
        let status = &status[0]["status"];
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{status}"));
        (number(&status["live"]["epoch"]), number(&status["figures"]["committed"]))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A few conversations.
fn talks(folder: &Path) -> PathBuf {
    let path = folder.join("talks.jsonl");
    let line = |number: usize| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"say {number}\"}}, {{\"role\": \"assistant\", \"content\": \"{number}\"}}]}}\n"
        )
    };
    std::fs::write(&path, (0..64).map(line).collect::<String>()).unwrap();
    path
}

fn train(folder: &Path, url: &str, policy: &str) -> String {
    let (model, tokenizer) = (run_folder().join("base"), run_folder().join("tokenizer"));
    let (chat, out) = (talks(folder), folder.join("out"));
    let output = mynah(&[
        "train",
        "sft",
        "--model",
        arg(&model),
        "--tokenizer",
        arg(&tokenizer),
        "--chat",
        arg(&chat),
    ])
    .args(["--out", arg(&out), "--steps", "5", "--no-record", "--push-every", "2", "--push-to", url])
    .args(["--push-policy", policy, "--admin-key", KEY])
    .output()
    .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(!out.join("pushes").exists(), "what was pushed lies about");
    text(&output.stdout)
}

#[test]
fn a_live_server_follows_the_training() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let said = train(folder.path(), &server.url, "continue");
    for step in [2, 4, 5] {
        assert!(said.contains(&format!("step {step}: pushed to http://")), "{said}");
    }
    let (epoch, pushes) = server.live();
    assert!(epoch >= 3 && pushes == 3, "epoch {epoch}, {pushes} pushes");
    // What it serves is what was trained: pushing that once more sends no weights.
    let out = folder.path().join("out");
    let report = ok(&["weights", "push", arg(&out), "--to", &server.url, "--admin-key", KEY, "--json"]);
    let report: Value = serde_json::from_str(report.trim()).unwrap();
    assert_eq!(
        (&report["whole_chunks"], &report["patched_chunks"]),
        (&Value::from(0), &Value::from(0)),
        "{report}"
    );
}

#[test]
fn training_goes_on_without_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let said = train(folder.path(), "http://127.0.0.1:9", "finish");
    assert!(said.contains("step 2: the push failed and training goes on"), "{said}");
    assert!(folder.path().join("out/model.safetensors").is_file());
}
