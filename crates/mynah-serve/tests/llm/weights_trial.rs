//! A version on trial before all take it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_models::LoadOptions;
use mynah_serve::weights::{Canary, Fleet, Link, Policy, Probes, PushOptions, PushReport, expect};
use mynah_swap::protocol::{CanarySpec, MemoryLog};
use serde_json::{Value, json};

use crate::common::call;
use crate::fleet::{Running, checkpoint, manifest, options, serve};

fn spec(requests_min: u64) -> CanarySpec {
    CanarySpec {
        share_ppm: 250_000,
        duration_ms_min: 0,
        requests_min,
        errors_ppm_max: 10_000,
        mismatches_ppm_max: 0,
    }
}

fn try_out(server: &Running, home: &Path, folder: &Path, canary: Canary) -> Result<PushReport, String> {
    let links: [&dyn Link; 1] = [server];
    let fleet = Fleet::open(links.to_vec()).map_err(|error| error.to_string())?;
    let (manifest, source) = manifest(folder, fleet.manifest(), fleet.epoch_next());
    let options = PushOptions { canary: Some(canary), ..options(home, Policy::Finish) };
    let log = &mut MemoryLog::new();
    fleet.push((&manifest, &source), None, None, &options, log).map_err(|error| error.to_string())
}

/// Requests while something happens: their statuses, and the numbers of the versions that answered.
fn under_requests<T: Send>(server: &Running, job: impl FnOnce() -> T + Send) -> (T, Vec<(u16, Value)>) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let body =
                    json!({"prompt": [4, 5], "max_tokens": 2, "temperature": 0, "return_weights": true});
                let answer = call(&server.server, "POST", "/v1/completions", "", body.to_string().as_bytes());
                seen.push((answer.status, answer.json()["choices"][0]["weights"][0]["number"].clone()));
            }
            seen
        });
        let done = job();
        is_over.store(true, Ordering::Relaxed);
        (done, client.join().unwrap())
    })
}

/// The folder with numbers that are none in some tensors.
fn broken(home: &Path) -> PathBuf {
    let folder = checkpoint(home, 9);
    let path = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let head = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for value in bytes[head..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    folder
}

fn probes(folder: &Path) -> Probes {
    let lines = "{\"prompt\": [1, 2, 3]}\n\n{\"prompt\": [7]}\n";
    let load = LoadOptions { page_tokens: 16, ..LoadOptions::default() };
    let list = expect(folder, &load, lines).unwrap();
    assert_eq!((list.len(), list[0].tokens.len(), list[0].logprobs.len()), (2, 8, 8));
    Probes { list, tolerance: 0.001 }
}

#[test]
fn a_good_version_answers_a_share_and_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..2).map(|number| checkpoint(home.path(), number)).collect();
    let server = serve(home.path(), &folders[0], None);
    let canary = Canary { spec: spec(6), probes: probes(&folders[1]) };
    let (report, seen) =
        under_requests(&server, || try_out(&server, home.path(), &folders[1], canary).unwrap());
    assert_eq!(server.version(), report.version.to_string());
    let found = report.canary.unwrap();
    assert_eq!((&found["probes"], &found["mismatches"], &found["errors"]), (&json!(2), &json!(0), &json!(0)));
    assert!(found["requests"].as_u64().unwrap() >= 4, "{found}");
    assert!(found["base_requests"].as_u64().unwrap() > found["requests"].as_u64().unwrap(), "{found}");
    assert!(seen.iter().all(|(status, _)| *status == 200), "{seen:?}");
    // Both versions answered for a while.
    let first = seen.iter().position(|(_, number)| number == 1).unwrap();
    assert!(seen[first..].iter().any(|(_, number)| number == 0), "{seen:?}");
    assert_eq!(server.status()["canary"], Value::Null);
}

#[test]
fn a_version_that_says_other_things_goes_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..3).map(|number| checkpoint(home.path(), number)).collect();
    let server = serve(home.path(), &folders[0], None);
    // What another version says.
    let canary = Canary { spec: spec(0), probes: probes(&folders[2]) };
    let refused = try_out(&server, home.path(), &folders[1], canary).unwrap_err();
    assert!(refused.contains("probes gave other logits"), "{refused}");
    let status = server.status();
    assert_eq!(
        (&status["live"]["epoch"], &status["staged"], &status["canary"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
    assert_eq!(server.text(&[1], 4).1[0]["number"], 0);
}

#[test]
fn a_version_whose_logits_are_no_numbers_goes_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let folder = checkpoint(home.path(), 0);
    let server = serve(home.path(), &folder, None);
    let canary = Canary { spec: spec(1_000_000), probes: Probes::default() };
    let bad = broken(home.path());
    let (refused, seen) =
        under_requests(&server, || try_out(&server, home.path(), &bad, canary).unwrap_err());
    assert!(refused.contains("NaN"), "{refused}");
    assert!(seen.iter().any(|(status, _)| *status == 200));
    assert_eq!(server.status()["live"]["epoch"], 0);
    // Probes find it without a request.
    let canary = Canary { spec: spec(0), probes: probes(&folder) };
    let refused = try_out(&server, home.path(), &bad, canary).unwrap_err();
    assert!(refused.contains("NaN") || refused.contains("probes"), "{refused}");
    let load = LoadOptions::default();
    let refused = expect(&bad, &load, "{\"prompt\": [1]}").unwrap_err().to_string();
    assert!(refused.contains("logits have NaN"), "{refused}");
    for (lines, word) in [
        ("", "has none"),
        ("{", "line 1"),
        ("{}", "needs a prompt"),
        ("{\"prompt\": []}", "do not fit"),
        ("{\"prompt\": [1], \"tokens\": [1], \"logprobs\": []}", "one length"),
    ] {
        let refused = expect(&folder, &load, lines).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn probes_that_are_none_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = checkpoint(home.path(), 0);
    let server = serve(home.path(), &folder, None);
    let start = json!({"push": "x", "version": format!("blake3:{}", "1".repeat(64)), "epoch": 3});
    for (probes, word) in [
        (json!({"tolerance": -1, "list": []}), "tolerance"),
        (json!({"tolerance": 0}), "list"),
        (json!({"tolerance": 0, "list": [{"prompt": [], "tokens": [1], "logprobs": [0]}]}), "prompt"),
        (json!({"tolerance": 0, "list": [{"prompt": [1], "tokens": [1], "logprobs": []}]}), "logprobs"),
    ] {
        let mut body = start.clone();
        body["probes"] = probes;
        let answer = server.admin("/admin/weights/start", &body);
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
    }
}
