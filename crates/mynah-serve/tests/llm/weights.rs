//! New weights for a model that answers, over sockets, with a real model.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_serve::weights::{Fleet, Link, Policy, PushReport};
use mynah_serve::{LlmConfig, LlmServer, RunningServer};
use mynah_swap::manifest::{BuildOptions, Identity, Rollback, build};
use mynah_swap::protocol::MemoryLog;
use mynah_swap::source::SafetensorsSource;
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::{Value, json};

use crate::common::call;
use crate::fleet::{
    Damaged, KEY, Running, checkpoint, manifest, model, options, push, roll_back, serve, serve_at,
};

#[test]
fn versions_come_and_go_while_streams_run() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let prompt = [5, 6, 7];
    let cold: Vec<String> =
        folders.iter().map(|folder| serve(home.path(), folder, None).text(&prompt, 24).0).collect();
    assert!(cold[0] != cold[1] && cold[1] != cold[2] && cold[0] != cold[2], "{cold:?}");
    let server = Arc::new(serve(home.path(), &folders[0], None));
    server.admin("/admin/weights/init", &json!({}));
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (server, is_over) = (Arc::clone(&server), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    seen.push(server.text(&prompt, 24));
                }
                seen
            })
        })
        .collect();
    let links: [&dyn Link; 1] = [server.as_ref()];
    let mut names = vec![server.version()];
    let mut last = 0;
    for next in [1, 2, 0, 2] {
        let report = push(&links, home.path(), &folders[next], Some(&folders[last]), Policy::Finish).unwrap();
        assert_eq!(report.version.to_string(), server.version());
        names.push(server.version());
        last = next;
    }
    let moved = server.status()["figures"]["received_bytes"].as_u64().unwrap();
    // Back to the version before; no byte moves.
    let report = roll_back(&links, home.path()).unwrap();
    assert_eq!((report.version.to_string(), report.sent_bytes), (names[3].clone(), 0));
    assert_eq!(server.status()["figures"]["received_bytes"], moved);
    is_over.store(true, Ordering::Relaxed);
    let expect = [&cold[0], &cold[1], &cold[2], &cold[0], &cold[2]];
    let mut answers = 0;
    for client in clients {
        for (text, spans) in client.join().unwrap() {
            assert_eq!(spans.as_array().unwrap().len(), 1, "an answer ends with what it began with");
            let at = names.iter().position(|name| *name == spans[0]["version"]).unwrap();
            assert_eq!((&text, &spans[0]["tokens"]), (expect[at], &json!(24)), "version {at}");
            answers += 1;
        }
    }
    assert!(answers >= 4, "{answers}");
    assert_eq!(server.text(&prompt, 24).0, cold[0]);
    let figures = server.status()["figures"].clone();
    assert_eq!((&figures["committed"], &figures["rolled_back"]), (&json!(5), &json!(1)));
    let metrics = call(&server.server, "GET", "/metrics", "", b"").body;
    assert!(metrics.contains("mynah_weights_committed_total{model=\"base\"} 5"), "{metrics}");
    let models = call(&server.server, "GET", "/v1/models", "", b"").json();
    assert_eq!(models["data"][0]["weights"], names[3]);
}

/// A stream that has begun: its connection, after the first token.
fn begun(server: &Running, prompt: &[u32], tokens: usize) -> BufReader<TcpStream> {
    let body = json!({"prompt": prompt, "max_tokens": tokens, "temperature": 0, "return_weights": true, "stream": true})
        .to_string();
    let mut stream = TcpStream::connect(server.server.address()).unwrap();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("\"text\"") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
    reader
}

#[test]
fn a_version_takes_over_in_the_middle_of_answers() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let cold = serve(home.path(), &folders[1], None);
    let tokens = 56;
    let server = serve(home.path(), &folders[0], None);
    let prompts: Vec<Vec<u32>> = (0..4).map(|number| vec![3 + number, 8, 9]).collect();
    let whole: Vec<String> = prompts.iter().map(|prompt| server.text(prompt, tokens).0).collect();
    server.admin("/admin/weights/pause", &json!({}));
    assert_eq!(call(&server.server, "GET", "/health", "", b"").status, 503);
    // They wait, begin, and wait again before they are done.
    server.admin("/admin/weights/flush", &json!({}));
    server.admin("/admin/weights/resume", &json!({}));
    let streams: Vec<_> = prompts.iter().map(|prompt| begun(&server, prompt, tokens)).collect();
    server.admin("/admin/weights/pause", &json!({}));
    push(&[&server], home.path(), &folders[1], None, Policy::Recompute).unwrap();
    server.admin("/admin/weights/resume", &json!({}));
    let version = server.version();
    let mut moved = 0;
    for ((prompt, whole), mut stream) in prompts.iter().zip(&whole).zip(streams) {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("[DONE]"), "{rest}");
        let events = rest.lines().filter_map(|line| line.strip_prefix("data: "));
        let spans = events
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .find_map(|event| event["choices"][0].get("weights").cloned())
            .unwrap();
        let spans = spans.as_array().unwrap();
        let counts: Vec<usize> = spans.iter().map(|span| span["tokens"].as_u64().unwrap() as usize).collect();
        assert_eq!(counts.iter().sum::<usize>(), tokens);
        if let [before, after] = counts[..] {
            assert_eq!(spans[1]["version"], version);
            // Tokens are two letters: a letter for the tens, one for the ones.
            let id = |pair: &[u8]| u32::from(pair[0] - b'a') * 10 + u32::from(pair[1] - b'a');
            let mut known = prompt.clone();
            known.extend(whole.as_bytes().chunks(2).take(before).map(id));
            let expect = cold.text(&known, after).0;
            let written: String = rest
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
                .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_string))
                .collect();
            assert!(written.ends_with(&expect), "{written} {expect}");
            moved += 1;
        }
    }
    println!("{moved} of 4 streams were written by two versions");
}

#[test]
fn the_same_bytes_move_nothing_and_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = checkpoint(home.path(), 0);
    let server = serve(home.path(), &folder, None);
    let before = server.text(&[1, 2], 16).0;
    for base in [None, Some(folder.as_path())] {
        let report = push(&[&server], home.path(), &folder, base, Policy::Continue).unwrap();
        let chunks = (report.stream.whole_chunks, report.stream.patched_chunks);
        assert_eq!(chunks, (0, 0));
        // What is left is the manifest.
        assert!(report.sent_bytes < 4_000, "{}", report.sent_bytes);
        assert_eq!(server.status()["live"]["epoch"], report.epoch);
        assert_eq!(server.text(&[1, 2], 16).0, before);
    }
}

#[test]
fn what_is_wrong_is_refused_and_the_old_version_stays() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let (one, two) = (serve(home.path(), &folders[0], None), serve(home.path(), &folders[0], None));
    let links: [&dyn Link; 2] = [&one, &two];
    let old = one.text(&[4], 12).0;
    let check = |error: Result<PushReport, String>, words: &str| {
        let error = error.unwrap_err();
        assert!(error.contains(words), "{error}, not {words}");
        for server in links {
            let status = server.post("/admin/weights/init", &json!({})).unwrap();
            assert_eq!((&status["push"], &status["staged"]), (&Value::Null, &Value::Null), "{error}");
        }
        assert_eq!((one.text(&[4], 12).0, two.text(&[4], 12).0), (old.clone(), old.clone()));
    };
    // A chunk that is damaged on the way to one of them: nobody takes it.
    let damaged = Damaged(&two);
    let broken: [&dyn Link; 2] = [&one, &damaged];
    check(push(&broken, home.path(), &folders[1], None, Policy::Finish), &two.name);
    assert_eq!(two.status()["figures"]["vetoes"], 1);
    // The base is not what is served.
    check(push(&links, home.path(), &folders[1], Some(&folders[2]), Policy::Finish), "manifest");
    // Another model, another configuration.
    let fleet = Fleet::open(links.to_vec()).unwrap();
    let source = SafetensorsSource::open(&folders[1]).unwrap();
    let mut identity = Identity::of_folder("base", &folders[1]).unwrap();
    let build_options = BuildOptions { epoch: fleet.epoch_next(), ..BuildOptions::default() };
    identity.config = identity.tokenizer.or(Some(mynah_swap::Hash([7; 32])));
    let other = build(&source, &identity, &build_options).unwrap();
    let log = || MemoryLog::new();
    let finish = || options(home.path(), Policy::Finish);
    let refused = fleet.push((&other, &source), None, None, &finish(), &mut log());
    check(refused.map_err(|error| error.to_string()), "configuration");
    // An epoch that was passed, and one that is played again.
    let (stale, source) = manifest(&folders[1], fleet.manifest(), 0);
    let refused = fleet.push((&stale, &source), None, None, &finish(), &mut log());
    check(refused.map_err(|error| error.to_string()), "epoch 0 was passed");
    let (good, source) = manifest(&folders[1], fleet.manifest(), 77);
    fleet.push((&good, &source), None, None, &finish(), &mut log()).unwrap();
    let (back, own) = manifest(&folders[0], &good, 78);
    let fleet = Fleet::open(links.to_vec()).unwrap();
    fleet.push((&back, &own), None, None, &finish(), &mut log()).unwrap();
    let fleet = Fleet::open(links.to_vec()).unwrap();
    let refused = fleet.push((&good, &source), None, None, &finish(), &mut log());
    check(refused.map_err(|error| error.to_string()), "epoch 77 was passed");
    // One of two serves another version.
    push(&[&one], home.path(), &folders[1], None, Policy::Finish).unwrap();
    let refused = push(&links, home.path(), &folders[2], None, Policy::Finish).unwrap_err();
    assert!(refused.contains(&two.name) && refused.contains("bring them together first"), "{refused}");
    roll_back(&[&one], home.path()).unwrap();
    // Together again, and onwards.
    push(&links, home.path(), &folders[2], None, Policy::Finish).unwrap();
    assert_eq!(one.version(), two.version());
}

#[test]
fn only_an_admin_brings_weights() {
    let home = tempfile::tempdir().unwrap();
    let folder = checkpoint(home.path(), 0);
    let server = serve(home.path(), &folder, None);
    for (key, expect) in [("", 401), ("authorization: Bearer another-key-altogether\r\n", 401), (KEY, 200)] {
        for path in ["status", "versions", "manifest"] {
            let answer = call_bytes(&server.server, "GET", &format!("/admin/weights/{path}"), key);
            // The manifest is there once it was computed.
            assert_eq!(answer, expect, "{path}");
        }
        let answer = call(&server.server, "POST", "/admin/weights/init", key, b"");
        assert_eq!(answer.status, expect);
    }
    // The admin's key opens nothing else, and without one the calls do not exist.
    let plain = LlmServer::bind(LlmConfig { port: 0, ..LlmConfig::default() }, vec![model(&folder)]);
    let plain = plain.unwrap().start().unwrap();
    assert_eq!(call(&plain, "GET", "/admin/weights/status", KEY, b"").status, 404);
    // Calls in the wrong order, and names that nobody has.
    for (path, body, word) in [
        ("messages", json!({"push": "x", "messages": []}), "no push of this name"),
        ("finish", json!({"push": "x"}), "no push of this name"),
        ("abort", json!({}), "no push is under way"),
        ("start", json!({"push": "x", "version": "blake3:zz", "epoch": 1}), "version"),
        ("start", json!({"push": "../x", "version": "", "epoch": 1}), "push must have"),
        ("start", json!({"push": "x", "policy": "hope", "epoch": 1, "version": server.version()}), "policy"),
        ("start", json!({"push": "x", "epoch": 9, "version": server.version()}), "is served already"),
        ("start", json!({"push": "x", "epoch": 9, "version": server.version(), "more": 1}), "more"),
        (
            "start",
            json!({"push": "x", "epoch": 9, "rollback": true, "version": format!("blake3:{}", "0".repeat(64))}),
            "is not kept here",
        ),
    ] {
        let answer = server.admin(&format!("/admin/weights/{path}"), &body);
        assert!(answer.status >= 400 && answer.body.contains(word), "{path}: {}", answer.body);
    }
    // An upload that is cut short, one that is none, and one that is larger than any.
    let version = format!("blake3:{}", "1".repeat(64));
    for (bytes, word) in [(&b"MYNAHWD1"[..], "cut short"), (&[b'x'; 100][..], "MYNAHWD1")] {
        let start = json!({"push": "y", "version": version, "epoch": 5});
        assert_eq!(server.admin("/admin/weights/start", &start).status, 200);
        let sent = call(&server.server, "POST", "/admin/weights/update?push=y", KEY, bytes);
        assert_eq!(sent.json()["received_bytes"], bytes.len());
        let answer = server.admin("/admin/weights/finish", &json!({"push": "y"}));
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
        assert_eq!(server.admin("/admin/weights/abort", &json!({"push": "y"})).status, 200);
    }
    let start = json!({"push": "z", "version": version, "epoch": 5});
    assert_eq!(server.admin("/admin/weights/start", &start).status, 200);
    let mut stream = TcpStream::connect(server.server.address()).unwrap();
    let head = "POST /admin/weights/update?push=z HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    write!(stream, "{head}{KEY}content-length: 99999999999999\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Another push waits for this one.
    let other = json!({"push": "w", "version": version, "epoch": 6});
    let answer = server.admin("/admin/weights/start", &other);
    assert!(answer.status == 409 && answer.body.contains("under way"), "{}", answer.body);
}

fn call_bytes(server: &RunningServer, method: &str, path: &str, head: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[9..12]).parse().unwrap()
}

#[test]
fn with_a_key_only_what_it_signed_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let (key, other) = (Ed25519SigningKey::generate().unwrap(), Ed25519SigningKey::generate().unwrap());
    let public = home.path().join("weights.pub.pem");
    key.verifying_key().save(&public).unwrap();
    let state = home.path().join("state");
    let server = serve_at(state.clone(), &folders[0], Some(public.clone()));
    let push = |server: &Running, epoch: Option<u64>, key: Option<&Ed25519SigningKey>| {
        let fleet = Fleet::open(vec![server]).map_err(|error| error.to_string())?;
        assert!(fleet.is_signed_only());
        let epoch = epoch.unwrap_or(fleet.epoch_next());
        let (manifest, source) = manifest(&folders[1], fleet.manifest(), epoch);
        let signature = key.map(|key| manifest.sign(key));
        let options = options(home.path(), Policy::Finish);
        fleet
            .push((&manifest, &source), None, signature.as_deref(), &options, &mut MemoryLog::new())
            .map_err(|error| error.to_string())
    };
    let version = server.version();
    assert!(push(&server, None, None).unwrap_err().contains("only signed"));
    let refused = push(&server, None, Some(&other)).unwrap_err();
    assert!(refused.contains("sign"), "{refused}");
    assert_eq!(server.status()["live"]["epoch"], 0, "{version}");
    push(&server, Some(40), Some(&key)).unwrap();
    // Back only by a signed order.
    let fleet = Fleet::open(vec![&server]).unwrap();
    let target = fleet.previous().unwrap();
    let back = |order: Option<&str>, epoch: u64| {
        let fleet = Fleet::open(vec![&server]).unwrap();
        let options = options(home.path(), Policy::Finish);
        fleet.rollback(epoch, order, &options, &mut MemoryLog::new()).map_err(|error| error.to_string())
    };
    let order = |key: &Ed25519SigningKey, epoch: u64| {
        Rollback { model: fleet.manifest().head().model.clone(), epoch, target }.sign(key).unwrap()
    };
    assert!(back(None, 41).unwrap_err().contains("only signed"));
    assert!(back(Some(&order(&other, 42)), 42).unwrap_err().contains("sign"));
    assert!(back(Some(&order(&key, 43)), 44).unwrap_err().contains("another version or epoch"));
    back(Some(&order(&key, 45)), 45).unwrap();
    assert_eq!(server.status()["live"]["epoch"], 0);
    // The highest epoch outlives the server.
    drop(server);
    let again = serve_at(state, &folders[0], Some(public));
    assert!(push(&again, Some(40), Some(&key)).unwrap_err().contains("epoch 40 was passed"));
    push(&again, Some(46), Some(&key)).unwrap();
}
