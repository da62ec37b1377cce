//! What was committed outlives the server, and a promise outlives it, too.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mynah_serve::WeightsConfig;
use mynah_serve::weights::{Link, Policy, PushOptions, PushReport, catch_up, resume};
use mynah_swap::protocol::{Log, MemoryLog};
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::{Value, json};

use crate::common::call;
use crate::fleet::{Running, Setup, checkpoint, options, push, push_with, roll_back, serve, serve_with};

/// When a server goes down: before a message of this kind reaches it, or before its answer is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Before(u8),
    After(u8),
}

/// Kinds of messages, as `mynah_swap::protocol::ToReplica` writes them.
const STAGE: u8 = 0;
const PRECOMMIT: u8 = 2;
const DECISION: u8 = 3;

/// A server that goes down once and is started anew from its folder at once.
struct Falling {
    state: PathBuf,
    folder: PathBuf,
    setup: Setup,
    server: Mutex<Option<Running>>,
    cut: Mutex<Option<Cut>>,
}

impl Falling {
    fn start(home: &Path, name: &str, folder: &Path, setup: &Setup) -> Falling {
        let (state, folder, setup) = (home.join(name), folder.to_path_buf(), setup.clone());
        let server = Mutex::new(Some(serve_with(state.clone(), &folder, &setup)));
        Falling { state, folder, setup, server, cut: Mutex::new(None) }
    }

    fn ask<T>(&self, job: impl FnOnce(&Running) -> T) -> T {
        job(self.server.lock().unwrap().as_ref().unwrap())
    }

    fn restart(&self) {
        let mut server = self.server.lock().unwrap();
        drop(server.take());
        // The last call of the old one may still hold its log.
        let config = WeightsConfig {
            admin_key: "the-key-of-nobody".to_string(),
            folder: self.folder.clone(),
            load: self.setup.load.clone(),
            state: self.state.clone(),
            keeps: true,
            signer: None,
        };
        while resume(&config).is_err_and(|error| error.to_string().contains("another process")) {
            std::thread::yield_now();
        }
        *server = Some(serve_with(self.state.clone(), &self.folder, &self.setup));
    }

    /// Goes down if it is time to.
    fn falls(&self, body: &Value, is_before: bool) -> bool {
        let mut cut = self.cut.lock().unwrap();
        let Some(Cut::Before(kind) | Cut::After(kind)) = *cut else { return false };
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        // A term of eight bytes, then the kind.
        let has = messages.iter().any(|text| text.as_str().unwrap()[16..18] == format!("{kind:02x}"));
        if !has || matches!(*cut, Some(Cut::Before(_))) != is_before {
            return false;
        }
        *cut = None;
        drop(cut);
        self.restart();
        true
    }
}

impl Link for Falling {
    fn name(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        if self.falls(body, true) {
            return Err("the connection broke off".to_string());
        }
        let said = self.ask(|server| server.post(path, body));
        if self.falls(body, false) {
            return Err("the connection broke off".to_string());
        }
        said
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        self.ask(|server| server.get(path))
    }

    fn upload(&self, path: &str, file: &Path) -> Result<Value, String> {
        self.ask(|server| server.upload(path, file))
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> Result<u64, String> {
        self.ask(|server| server.download(path, body, file))
    }
}

fn keeping() -> Setup {
    Setup { keeps: true, ..Setup::default() }
}

#[test]
fn the_last_committed_version_is_served_again() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let prompt = [5, 6, 7];
    let cold: Vec<String> =
        folders.iter().map(|folder| serve(home.path(), folder, None).text(&prompt, 16).0).collect();
    let server = Falling::start(home.path(), "kept", &folders[0], &keeping());
    let text = |server: &Falling| server.ask(|server| server.text(&prompt, 16).0);
    push(&[&server], home.path(), &folders[1], None, Policy::Finish).unwrap();
    server.restart();
    assert_eq!(text(&server), cold[1]);
    push(&[&server], home.path(), &folders[2], Some(&folders[1]), Policy::Finish).unwrap();
    let version = server.ask(Running::version);
    // The version before lies there still: no byte moves.
    server.restart();
    assert_eq!((text(&server), server.ask(Running::version)), (cold[2].clone(), version.clone()));
    assert_eq!(roll_back(&[&server], home.path()).unwrap().sent_bytes, 0);
    assert_eq!(text(&server), cold[1]);
    server.restart();
    assert_eq!(text(&server), cold[1]);
    roll_back(&[&server], home.path()).unwrap();
    assert_eq!((text(&server), server.ask(Running::version)), (cold[2].clone(), version));
    // Only one server uses the folder.
    let config = WeightsConfig {
        admin_key: "another-admin-key".to_string(),
        folder: folders[0].clone(),
        load: server.setup.load.clone(),
        state: server.state.clone(),
        keeps: true,
        signer: None,
    };
    let refused = resume(&config).unwrap_err().to_string();
    assert!(refused.contains("another process has this log open"), "{refused}");
    // Without its log a server serves what it is started with, and says which epoch it has seen.
    server.server.lock().unwrap().take();
    // A version whose bytes are others is not served.
    let folder = resume(&config).unwrap().unwrap();
    let path = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = resume(&config).unwrap_err().to_string();
    assert!(refused.contains("are not those of version"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
    let refused = resume(&config).unwrap_err().to_string();
    assert!(refused.contains("was served last and is not here"), "{refused}");
    // And not one that the key has not signed.
    let public = home.path().join("weights.pub.pem");
    Ed25519SigningKey::generate().unwrap().verifying_key().save(&public).unwrap();
    let unsigned = Falling::start(home.path(), "unsigned", &folders[0], &keeping());
    push(&[&unsigned], home.path(), &folders[1], None, Policy::Finish).unwrap();
    unsigned.server.lock().unwrap().take();
    let config = WeightsConfig { state: unsigned.state.clone(), signer: Some(public), ..config };
    let refused = resume(&config).unwrap_err().to_string();
    assert!(refused.contains("not signed"), "{refused}");
}

#[test]
fn a_server_that_falls_at_any_step_ends_with_the_others() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let cuts = [
        Cut::Before(STAGE),
        Cut::After(STAGE),
        Cut::Before(PRECOMMIT),
        Cut::After(PRECOMMIT),
        Cut::Before(DECISION),
        Cut::After(DECISION),
    ];
    for (number, cut) in cuts.into_iter().enumerate() {
        let start =
            |name: &str| Falling::start(home.path(), &format!("{name}-{number}"), &folders[0], &keeping());
        let (one, two) = (start("one"), start("two"));
        *two.cut.lock().unwrap() = Some(cut);
        let old = one.ask(|server| server.post("/admin/weights/init", &json!({})).unwrap());
        let outcome = push(&[&one, &two], home.path(), &folders[1], None, Policy::Finish);
        assert_eq!(*two.cut.lock().unwrap(), None, "{cut:?} did not come");
        let version = one.ask(Running::version);
        assert_eq!(
            version,
            two.ask(|server| server.post("/admin/weights/init", &json!({})).unwrap())["live"]["version"]
        );
        match outcome {
            Ok(PushReport { version: taken, left, .. }) => {
                assert_eq!((version, left), (taken.to_string(), Vec::new()), "{cut:?}");
            }
            Err(why) => assert_eq!(version, old["live"]["version"].as_str().unwrap(), "{cut:?}: {why}"),
        }
        for server in [&one, &two] {
            let ready = server.ask(|server| call(&server.server, "GET", "/ready", "", b""));
            assert_eq!(ready.status, 200, "{cut:?}: {}", ready.body);
        }
        // Nothing stands in the way of the next one.
        let next = if one.ask(Running::version) == old["live"]["version"] { 1 } else { 0 };
        push(&[&one, &two], home.path(), &folders[next], None, Policy::Finish).unwrap();
        assert_eq!(one.ask(Running::version), two.ask(Running::version), "{cut:?}");
    }
}

/// A server that cannot be reached any more once it has promised.
struct Silenced<'a>(&'a Falling, Mutex<bool>);

impl Link for Silenced<'_> {
    fn name(&self) -> &str {
        "silenced"
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let mut is_silent = self.1.lock().unwrap();
        if *is_silent {
            // Whoever pushes gives up at once.
            return Err("no push of this name is under way".to_string());
        }
        let said = self.0.post(path, body);
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        *is_silent = messages.iter().any(|text| text.as_str().unwrap()[16..18] == *"02");
        // The promise is made, and nobody hears of it.
        if *is_silent { Err("no push of this name is under way".to_string()) } else { said }
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path)
    }

    fn upload(&self, path: &str, file: &Path) -> Result<Value, String> {
        self.0.upload(path, file)
    }

    fn download(&self, path: &str, body: &[u8], file: &Path) -> Result<u64, String> {
        self.0.download(path, body, file)
    }
}

#[test]
fn a_promise_outlives_the_server_and_its_pusher() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let server = Falling::start(home.path(), "promised", &folders[0], &keeping());
    let old = server.ask(|server| server.post("/admin/weights/init", &json!({})).unwrap())["live"].clone();
    let silenced = Silenced(&server, Mutex::new(false));
    let cut_off = push(&[&silenced], home.path(), &folders[1], None, Policy::Finish);
    assert!(cut_off.is_err(), "{cut_off:?}");
    let held = |words: &str| {
        let ready = server.ask(|server| call(&server.server, "GET", "/ready", "", b""));
        assert!(ready.status == 503 && ready.body.contains(words), "{}", ready.body);
        // It is no reason to end the process.
        assert_eq!(server.ask(|server| call(&server.server, "GET", "/live", "", b"").status), 200);
    };
    // By itself it answers on with what it has: there is nobody to differ from.
    assert_eq!(server.ask(|server| call(&server.server, "GET", "/ready", "", b"").status), 200);
    assert_eq!(server.ask(Running::status)["push"]["promised"], json!(true));
    server.restart();
    held("before it heard what was decided");
    let status = server.ask(Running::status);
    assert_eq!((&status["push"]["in_doubt"], &status["live"]["version"]), (&json!(true), &old["version"]));
    // No other push comes in between, and an admin has to mean it.
    let refused = push(&[&server], home.path(), &folders[1], None, Policy::Finish).unwrap_err();
    assert!(refused.contains("under way"), "{refused}");
    let abort = |body: Value| server.ask(|server| server.post("/admin/weights/abort", &body));
    assert!(abort(json!({})).unwrap_err().contains("force"));
    abort(json!({"force": true})).unwrap();
    assert_eq!(server.ask(|server| call(&server.server, "GET", "/ready", "", b"").status), 200);
    server.restart();
    assert_eq!(server.ask(|server| call(&server.server, "GET", "/ready", "", b"").status), 200);
    push(&[&server], home.path(), &folders[1], None, Policy::Finish).unwrap();
}

#[test]
fn servers_hold_between_promise_and_decision_unless_the_push_is_rolling() {
    for is_rolling in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
        let one = Falling::start(home.path(), "one", &folders[0], &keeping());
        let two = Falling::start(home.path(), "two", &folders[0], &keeping());
        let silenced = Silenced(&two, Mutex::new(false));
        let links: [&dyn Link; 2] = [&one, &silenced];
        let options = PushOptions { is_rolling, ..options(home.path(), Policy::Finish) };
        push_with(&links, &folders[1], None, &options).unwrap_err();
        let ready = two.ask(|server| call(&server.server, "GET", "/ready", "", b""));
        assert_eq!(ready.status, if is_rolling { 200 } else { 503 }, "{}", ready.body);
        assert!(is_rolling || ready.body.contains("waits for the decision"), "{}", ready.body);
    }
}

#[test]
fn who_lags_behind_is_brought_to_the_others_version() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let (one, two) = (serve(home.path(), &folders[0], None), serve(home.path(), &folders[0], None));
    let late = serve(home.path(), &folders[0], None);
    let first: [&dyn Link; 2] = [&one, &two];
    push(&first, home.path(), &folders[1], None, Policy::Finish).unwrap();
    push(&first, home.path(), &folders[2], None, Policy::Finish).unwrap();
    let all: [&dyn Link; 3] = [&one, &late, &two];
    let refused = push(&all, home.path(), &folders[0], None, Policy::Finish).unwrap_err();
    assert!(refused.contains("catch-up") && refused.contains(&late.name), "{refused}");
    let bring = || {
        let log = |name: &str| {
            assert_eq!(name, late.name);
            Ok(("catch-up-1".to_string(), Box::new(MemoryLog::new()) as Box<dyn Log>))
        };
        catch_up(&all, &options(home.path(), Policy::Finish), log).unwrap()
    };
    let done = bring();
    assert_eq!(done.len(), 1);
    assert_eq!((late.version(), late.text(&[1, 2], 8).0), (one.version(), one.text(&[1, 2], 8).0));
    let received = late.status()["figures"]["received_bytes"].as_u64().unwrap();
    assert!(received > 0 && received == done[0].report.sent_bytes);
    assert!(bring().is_empty());
    push(&all, home.path(), &folders[0], None, Policy::Finish).unwrap();
    assert_eq!(late.version(), one.version());
}
