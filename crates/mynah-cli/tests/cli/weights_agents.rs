//! `mynah weights agent` and `coordinator` as processes that are killed, damaged and kept waiting.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use mynah_swap::delta::{ChunkSink as _, SafetensorsSink};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::source::{MemorySource, TensorInfo};
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::Value;

use crate::common::{arg, mynah, ok, one_error, text};

const TOKEN: &str = "a token for these tests only";
const LEASE_MS: &str = "1000";
const WEIGHTS: &str = "model.safetensors";
const STEPS: [&str; 5] = ["register", "stage", "verify", "precommit", "commit"];

/// A checkpoint of one tensor, whose first bytes are the number.
fn write_checkpoint(folder: &Path, number: u8, with_manifest: bool) {
    std::fs::create_dir_all(folder).unwrap();
    let mut bytes = vec![3; 32 << 10];
    bytes[..100].fill(number);
    let mut source = MemorySource::new();
    let (name, shape) = ("weight".to_string(), vec![128, 128]);
    source
        .add(
            TensorInfo { name, dtype: "BF16".parse().unwrap(), shape, part: None, group: None },
            bytes.clone(),
        )
        .unwrap();
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions { chunk_bytes: 4_096, ..BuildOptions::default() };
    let manifest = build(&source, &identity, &options).unwrap();
    let mut sink = SafetensorsSink::new(&folder.join(WEIGHTS)).unwrap();
    sink.begin(&manifest).unwrap();
    sink.write(0, 0, &bytes).unwrap();
    sink.finish().unwrap();
    if with_manifest {
        manifest.save(&folder.join("weights.manifest")).unwrap();
    }
}

/// A running program, whose events come as JSON lines.
struct Program {
    child: Child,
    events: Receiver<Value>,
    seen: Vec<Value>,
    /// Where an agent listens.
    address: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Program {
        let mut command = mynah(arguments);
        command.env("MYNAH_WEIGHTS_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to_test, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                let _ = to_test.send(event);
            }
        });
        Program { child, events, seen: Vec::new(), address: String::new() }
    }

    /// Waits for an event of this name.
    fn event(&mut self, name: &str) -> Value {
        loop {
            if let Some(event) = self.seen.iter().find(|event| event["event"] == name) {
                return event.clone();
            }
            match self.events.recv_timeout(Duration::from_secs(30)) {
                Ok(event) => self.seen.push(event),
                Err(_) => panic!("no event {name}, only {:?}", self.seen),
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Town {
    folder: tempfile::TempDir,
    agents: Vec<Program>,
}

impl Town {
    fn new(stopping: Option<&str>) -> Town {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=2 {
            write_checkpoint(&folder.path().join(format!("v{number}")), number, false);
        }
        let mut town = Town { folder, agents: Vec::new() };
        for id in 0..2 {
            write_checkpoint(&town.path(&format!("agent-{id}")), 1, true);
            let agent = town.agent(id, stopping.filter(|_| id == 1));
            town.agents.push(agent);
        }
        town
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn agent(&self, id: usize, stop_at: Option<&str>) -> Program {
        let more: Vec<&str> = stop_at.into_iter().flat_map(|step| ["--stop-at", step]).collect();
        self.agent_with(id, &more)
    }

    fn agent_with(&self, id: usize, more: &[&str]) -> Program {
        let (dir, id) = (self.path(&format!("agent-{id}")), id.to_string());
        let mut arguments =
            vec!["weights", "agent", "--listen", "127.0.0.1:0", "--id", &id, "--dir", arg(&dir)];
        arguments.extend(["--lease-ms", LEASE_MS, "--threads", "1", "--json"]);
        arguments.extend(more);
        let mut agent = Program::start(&arguments);
        agent.address = agent.event("listening")["address"].as_str().unwrap().to_string();
        agent
    }

    fn coordinator(&self, more: &[&str]) -> Program {
        let log = self.path("coordinator.log");
        let mut arguments =
            vec!["weights", "coordinator", "--log", arg(&log), "--lease-ms", LEASE_MS, "--json"];
        arguments.extend(["--wait", "4", "--to"]);
        arguments.extend(self.agents.iter().map(|agent| agent.address.as_str()));
        arguments.extend(more);
        Program::start(&arguments)
    }

    fn to_v2(&self, more: &[&str]) -> Program {
        let (from, base) = (self.path("v2"), self.path("v1"));
        let mut arguments = vec!["--from", arg(&from), "--base", arg(&base)];
        arguments.extend(more);
        self.coordinator(&arguments)
    }

    /// Both agents have the same version under `live`: this one.
    fn check(&self, number: u32, context: &str) {
        let expect = std::fs::read(self.path(&format!("v{number}/{WEIGHTS}"))).unwrap();
        for id in 0..2 {
            let found = std::fs::read(self.path(&format!("agent-{id}/live/{WEIGHTS}"))).unwrap();
            assert!(found == expect, "{context}: agent {id} is not at version {number}");
        }
    }
}

/// Waits for the end of a program; its exit code and all that it said.
fn end(mut program: Program) -> (Option<i32>, String) {
    let mut said = String::new();
    let stderr = program.child.stderr.take().unwrap();
    let code = program.child.wait().unwrap().code();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        said.push_str(&format!("{line}\n"));
    }
    program.seen.extend(program.events.iter());
    program.seen.iter().for_each(|event| said.push_str(&format!("{event}\n")));
    (code, said)
}

#[test]
fn a_killed_agent_is_told_in_seconds_and_comes_back_with_all() {
    std::thread::scope(|scope| {
        for step in STEPS {
            scope.spawn(move || {
                let mut town = Town::new(Some(step));
                let coordinator = town.to_v2(&[]);
                let address = town.agents[1].address.clone();
                town.agents[1].event("stopped");
                town.agents[1].kill();
                let (code, said) = end(coordinator);
                // Left out, or named as what the update failed for; never silence.
                let is_named = ["replica 1", "\"agent\":1,\"event\":\"left\"", &address];
                assert!(is_named.iter().any(|name| said.contains(name)), "{step}: {said}");
                if step == "register" {
                    assert_eq!(code, Some(1), "{said}");
                    town.check(1, step);
                }
                // Back, and everybody ends with the same.
                town.agents[1] = town.agent(1, None);
                let (code, said) = end(town.to_v2(&[]));
                assert_eq!(code, Some(0), "{step}: {said}");
                town.check(2, step);
            });
        }
    });
}

#[test]
fn a_killed_coordinator_leaves_everywhere_or_nowhere() {
    std::thread::scope(|scope| {
        for step in STEPS {
            scope.spawn(move || {
                let mut town = Town::new(None);
                let mut coordinator = town.to_v2(&["--stop-at", step]);
                coordinator.event("stopped");
                coordinator.kill();
                let (code, said) = end(town.coordinator(&["--recover"]));
                assert_eq!(code, Some(0), "{step}: {said}");
                // Only what was written down as decided is carried out.
                town.check(if step == "commit" { 2 } else { 1 }, step);
                for agent in &mut town.agents {
                    agent.event("serving");
                }
                if step == "precommit" {
                    let (code, said) = end(town.to_v2(&[]));
                    assert_eq!(code, Some(0), "{said}");
                    town.check(2, step);
                    let (code, said) = end(town.coordinator(&["--rollback"]));
                    assert_eq!(code, Some(0), "{said}");
                    town.check(1, "rolled back");
                }
            });
        }
    });
}

#[test]
fn damage_strangers_and_silence_are_named() {
    let mut town = Town::new(None);
    // A damaged buffer on one agent: it says so, and neither takes the version.
    let (code, said) = end(town.coordinator(&["--recover"]));
    assert_eq!(code, Some(0), "{said}");
    let weights = town.path(&format!("agent-1/live/{WEIGHTS}"));
    let good = std::fs::read(&weights).unwrap();
    let mut bytes = good.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let (code, said) = end(town.to_v2(&[]));
    assert_eq!(code, Some(1), "{said}");
    let address = town.agents[1].address.clone();
    for part in [&format!("replica 1 at {address} vetoed"), "chunk 7 of weight", "manifest says"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(town.agents[1].event("vetoed")["reason"].as_str().unwrap().contains("chunk 7"));
    // Its weights are looked through when it starts; damaged ones come anew from the other.
    town.agents[1].kill();
    town.agents[1] = town.agent(1, None);
    let (code, said) = end(town.to_v2(&[]));
    assert_eq!(code, Some(0), "{said}");
    town.check(2, "after damage");
    // A stranger.
    let address = town.agents[0].address.clone();
    let mut stranger =
        mynah(&["weights", "coordinator", "--to", &address, "--recover", "--lease-ms", LEASE_MS]);
    let output = stranger.env("MYNAH_WEIGHTS_TOKEN", "some other token, long enough").output().unwrap();
    one_error(&output, &["the peer does not know the token", &address]);
    // Somebody who accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let mut waiting =
        mynah(&["weights", "coordinator", "--to", &address, "--recover", "--lease-ms", "200", "--wait", "1"]);
    let output = waiting.env("MYNAH_WEIGHTS_TOKEN", TOKEN).output().unwrap();
    one_error(&output, &["the peer stalls", &address]);
    // Two agents in one folder.
    let dir = town.path("agent-0");
    let mut second = mynah(&["weights", "agent", "--listen", "127.0.0.1:0", "--dir", arg(&dir)]);
    let output = second.env("MYNAH_WEIGHTS_TOKEN", TOKEN).output().unwrap();
    one_error(&output, &["another process has this log open"]);
    // Two with one number.
    let dir = town.path("twin");
    write_checkpoint(&dir, 2, true);
    town.agents[1] = {
        let mut twin = Program::start(&[
            "weights",
            "agent",
            "--listen",
            "127.0.0.1:0",
            "--dir",
            arg(&dir),
            "--lease-ms",
            LEASE_MS,
            "--json",
        ]);
        twin.address = twin.event("listening")["address"].as_str().unwrap().to_string();
        twin
    };
    let (code, said) = end(town.coordinator(&["--recover"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("both say that they are replica 0"), "{said}");
}

#[test]
fn an_agent_with_a_key_takes_only_what_it_has_signed() {
    let mut town = Town::new(None);
    let (key, stranger) = (town.path("key.pem"), town.path("stranger.pem"));
    for path in [&key, &stranger] {
        let made = Ed25519SigningKey::load_or_create(path).unwrap();
        made.verifying_key().save(&path.with_extension("pub.pem")).unwrap();
    }
    let public = key.with_extension("pub.pem");
    for id in 0..2 {
        town.agents[id].kill();
        town.agents[id] = town.agent_with(id, &["--weights-key", arg(&public)]);
    }
    let refused = |town: &Town, why: &str| {
        let (code, said) = end(town.to_v2(&[]));
        assert!(code == Some(1) && said.contains(why), "{why}: {said}");
        town.check(1, why);
    };
    refused(&town, "is not signed");
    let next = town.path("v2");
    for (epoch, signer) in [("7", &stranger), ("9", &key)] {
        ok(&["weights", "manifest", arg(&next), "--model", "toy", "--epoch", epoch, "--chunk-bytes", "4096"]);
        ok(&["weights", "sign", arg(&next), "--key", arg(signer)]);
        if signer == &stranger {
            refused(&town, "signature");
        }
    }
    let (code, said) = end(town.to_v2(&[]));
    assert_eq!(code, Some(0), "{said}");
    town.check(2, "signed");
    // Kept with the version: one who comes late and wants it gets it from the other agents.
    assert!(town.path("agent-1/live/weights.manifest.sig").is_file());
}

#[test]
fn agents_without_what_they_need_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("replica");
    write_checkpoint(&dir, 1, false);
    let start = ["weights", "agent", "--listen", "127.0.0.1:0", "--dir", arg(&dir)];
    one_error(
        &mynah(&start).env_remove("MYNAH_WEIGHTS_TOKEN").output().unwrap(),
        &["no token", "--token-file"],
    );
    let with = |token: &str| mynah(&start).env("MYNAH_WEIGHTS_TOKEN", token).output().unwrap();
    one_error(&with("short"), &["at least 16 characters"]);
    one_error(&with(TOKEN), &["no weights.manifest", "mynah weights manifest"]);
    let bad = mynah(&["weights", "agent", "--listen", "nowhere", "--dir", arg(&dir)])
        .env("MYNAH_WEIGHTS_TOKEN", TOKEN)
        .output()
        .unwrap();
    one_error(&bad, &["nowhere", "cannot listen"]);
    assert!(text(&bad.stdout).is_empty());
}
