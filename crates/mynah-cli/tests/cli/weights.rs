//! `mynah weights push | status | catch-up`, with a server in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::{arg, mynah, one_error, refused, run_folder, text};

const KEY: &str = "the-admin-key-of-the-tests";

/// A server of ours; it ends with its owner.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut all = vec!["serve", "--port", "0", "--no-record", "--admin-key", KEY];
        all.extend(arguments);
        let mut child = mynah(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        if url.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the server did not start: {said}");
        }
        Server { child, url: url.trim().to_string() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn weights(arguments: &[&str], url: &str) -> Command {
    let mut all = vec!["weights"];
    all.extend(arguments);
    all.extend(["--to", url, "--admin-key", KEY]);
    mynah(&all)
}

fn json(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn versions_outlive_a_server_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (model, kept) = (run_folder().join("model"), dir.path().join("versions"));
    // The same weights are a version of their own when they are pushed.
    let next = dir.path().join("next");
    std::fs::create_dir(&next).unwrap();
    for entry in std::fs::read_dir(&model).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            std::fs::copy(entry.path(), next.join(entry.file_name())).unwrap();
        }
    }
    let serve = || Server::start(&["--model", arg(run_folder()), "--weights-dir", arg(&kept)]);
    let server = serve();
    let store = dir.path().join("ledger.db");
    let pushed = json(weights(
        &["push", arg(&next), "--json", "--label", "second", "--store", arg(&store)],
        &server.url,
    ));
    assert_eq!(pushed["epoch"], 1);
    let status = |server: &Server| json(weights(&["status", "--json"], &server.url))[0]["status"].clone();
    assert_eq!(
        (&status(&server)["live"]["version"], &status(&server)["live"]["label"]),
        (&pushed["version"], &Value::from("second"))
    );
    // The push is a run of the ledger.
    let runs = mynah(&["runs", "list", "--store", arg(&store)]).output().unwrap();
    assert!(text(&runs.stdout).contains("weights"), "{}{}", text(&runs.stdout), text(&runs.stderr));
    drop(server);
    let server = serve();
    assert_eq!(status(&server)["live"]["version"], pushed["version"]);
    let again = json(weights(&["rollback", "--json"], &server.url));
    assert_eq!(again["sent_bytes"], 0);
    assert_eq!(json(weights(&["catch-up", "--json"], &server.url)), Value::Array(Vec::new()));
    one_error(
        &weights(&["push", arg(&next), "--canary", "0.01%"], &server.url).output().unwrap(),
        &["at least 0.1%"],
    );
}

#[test]
fn what_cannot_be_pushed_is_one_clear_line() {
    let model = run_folder().join("model");
    refused(&["weights", "push", arg(&model), "--to", "http://127.0.0.1:1"], &["no admin key"]);
    refused(
        &["weights", "push", arg(&model), "--to", "http://127.0.0.1:1", "--admin-key", KEY, "--no-record"],
        &["127.0.0.1:1"],
    );
    refused(
        &["serve", "--model", arg(run_folder()), "--weights-dir", "x"],
        &["--weights-dir goes with --admin-key"],
    );
}
