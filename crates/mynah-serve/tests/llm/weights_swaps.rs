//! Many versions under eight streams: none fails, none is cut, and every token is the one that a cold run of its version
//! gives. The whole judgement, with processes and a hundred versions: `tests/swap/swaps.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mynah_engine::live::{EngineOptions, PromptLookup};
use mynah_models::{Decoder, KvFormat, Logits, Model, Quantize, Segment};
use mynah_serve::weights::Policy;
use serde_json::{Value, json};

use crate::common::call;
use crate::embeddings::testdata;
use crate::fleet::{Running, Setup, checkpoint, push, roll_back, serve_with};

const STREAMS: usize = 8;
const TOKENS: usize = 48;
/// As many versions as there are folders.
const FOLDERS: u8 = 4;

/// An answer that came as a stream: its tokens and who wrote how many, or why it failed.
#[derive(Debug)]
struct Answer {
    prompt: Vec<u32>,
    is_tuned: bool,
    tokens: Vec<u32>,
    spans: Vec<(u32, usize)>,
    failed: Option<String>,
}

fn ask(server: &Running, prompt: &[u32], is_tuned: bool) -> Answer {
    let model = if is_tuned { "tuned" } else { "base" };
    let body = json!({"model": model, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0,
                      "return_weights": true, "stream": true});
    let answer = call(&server.server, "POST", "/v1/completions", "", body.to_string().as_bytes());
    let mut found = Answer {
        prompt: prompt.to_vec(),
        is_tuned,
        tokens: Vec::new(),
        spans: Vec::new(),
        failed: (answer.status != 200).then(|| answer.body.clone()),
    };
    let mut text = String::new();
    for event in answer.events() {
        let Ok(event) = serde_json::from_str::<Value>(&event) else { continue };
        if let Some(message) = event["error"]["message"].as_str() {
            found.failed = Some(message.to_string());
        }
        let choice = &event["choices"][0];
        text.push_str(choice["text"].as_str().unwrap_or_default());
        for span in choice["weights"].as_array().into_iter().flatten() {
            let number = |field: &str| span[field].as_u64().unwrap();
            found.spans.push((number("number") as u32, number("tokens") as usize));
        }
    }
    let is_whole = answer.events().last().is_some_and(|last| last == "[DONE]");
    assert!(is_whole || found.failed.is_some(), "a stream was cut: {}", answer.body);
    // Tokens are two letters: a letter for the tens, one for the ones.
    let id = |pair: &[u8]| u32::from(pair[0] - b'a') * 10 + u32::from(pair[1] - b'a');
    found.tokens = text.as_bytes().chunks(2).map(id).collect();
    found
}

/// A cold run: nothing but the model, a cache of its own, and the versions.
struct Replay {
    decoder: Decoder,
    adapter: Option<u32>,
    logits: Vec<f32>,
}

impl Replay {
    /// Folders become weights 0, 1, ….
    fn new(folders: &[PathBuf], setup: &Setup) -> Replay {
        let open = |folder: &PathBuf| Arc::new(Model::open(folder.to_str().unwrap(), &setup.load).unwrap());
        let mut decoder = Decoder::new(open(&folders[0]), &setup.load).unwrap();
        for (number, folder) in folders.iter().enumerate().skip(1) {
            decoder.install(number as u32, open(folder)).unwrap();
        }
        let adapter = setup.adapter.as_ref().map(|folder| decoder.load_adapter(folder).unwrap());
        Replay { decoder, adapter, logits: Vec::new() }
    }

    /// Each token of an answer must be the likeliest one after those before it. `versions`: by the server's numbers the
    /// folder and how it took over.
    fn check(&mut self, answer: &Answer, versions: &BTreeMap<u32, (usize, Policy)>) {
        let pages: Vec<u32> = (0..16).collect();
        let mut known = answer.prompt.clone();
        let (mut computed, mut tokens) = (0, answer.tokens.iter());
        for (place, (number, count)) in answer.spans.iter().enumerate() {
            let (folder, policy) = versions[number];
            if place > 0 && policy == Policy::Recompute {
                computed = 0;
            }
            for token in tokens.by_ref().take(*count) {
                let page_tokens = self.decoder.page_tokens();
                let segment = Segment {
                    tokens: &known[computed..],
                    start: computed,
                    pages: &pages[..known.len().div_ceil(page_tokens)],
                    slot: 0,
                    weights: folder as u32,
                    adapter: self.adapter.filter(|_| answer.is_tuned),
                    logits: Logits::Last,
                };
                self.decoder.step(&[segment], &mut self.logits).unwrap();
                let best = self
                    .logits
                    .iter()
                    .enumerate()
                    .fold(0, |best, (id, logit)| if *logit > self.logits[best] { id } else { best });
                assert_eq!(best as u32, *token, "after {} of {answer:?}", known.len());
                computed = known.len();
                known.push(*token);
            }
        }
        assert_eq!(known.len(), answer.prompt.len() + answer.tokens.len(), "{answer:?}");
    }
}

/// What becomes of eight streams while versions come: every answer is checked.
fn judge(setup: &Setup, swaps: usize) {
    let home = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..FOLDERS).map(|number| checkpoint(home.path(), number)).collect();
    let server = Arc::new(serve_with(home.path().join("state"), &folders[0], setup));
    server.admin("/admin/weights/init", &json!({}));
    let (is_over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let has_adapter = setup.adapter.is_some();
    let clients: Vec<_> = (0..STREAMS)
        .map(|client| {
            let (server, is_over, begun) = (Arc::clone(&server), Arc::clone(&is_over), Arc::clone(&begun));
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                for round in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    begun.fetch_add(1, Ordering::Relaxed);
                    let prompt = [3 + client as u32, 8, 9 + round % 5];
                    answers.push(ask(&server, &prompt, has_adapter && (client + round as usize) % 2 == 1));
                }
                answers
            })
        })
        .collect();
    let mut versions = BTreeMap::from([(0, (0, Policy::Finish))]);
    let mut last = 0;
    for swap in 0..swaps {
        let policy = [Policy::Finish, Policy::Continue, Policy::Recompute, Policy::Abort][swap % 4];
        // Now and then the same bytes again.
        let next = if swap % 5 == 4 { last } else { (last + 1 + swap % 3) % folders.len() };
        let base = (swap % 2 == 0).then_some(folders[last].as_path());
        let report = push(&[server.as_ref()], home.path(), &folders[next], base, policy).unwrap();
        if next == last {
            assert_eq!((report.stream.whole_chunks, report.stream.patched_chunks), (0, 0));
        }
        let live = server.status()["live"].clone();
        assert_eq!(live["version"], report.version.to_string());
        versions.insert(live["number"].as_u64().unwrap() as u32, (next, policy));
        last = next;
        // Streams have begun with it before the next comes.
        let seen = begun.load(Ordering::Relaxed);
        while begun.load(Ordering::Relaxed) < seen + 2 {
            std::thread::yield_now();
        }
    }
    let moved = server.status()["figures"]["received_bytes"].clone();
    roll_back(&[server.as_ref()], home.path()).unwrap();
    assert_eq!(server.status()["figures"]["received_bytes"], moved);
    is_over.store(true, Ordering::Relaxed);
    let mut replay = Replay::new(&folders, setup);
    let (mut answers, mut mixed, mut aborted) = (0, 0, 0);
    for answer in clients.into_iter().flat_map(|client| client.join().unwrap()) {
        match &answer.failed {
            // Only where the policy says so, and by name.
            Some(why) => {
                assert!(why.contains("replaced") && swaps >= 4, "{why}");
                aborted += 1;
            }
            None => assert_eq!(answer.tokens.len(), TOKENS, "{answer:?}"),
        }
        if answer.failed.is_none() {
            mixed += usize::from(answer.spans.len() > 1);
            replay.check(&answer, &versions);
        }
        answers += 1;
    }
    println!(
        "{swaps} versions, {answers} answers: {mixed} by several versions, {aborted} told to come again"
    );
    assert!(answers >= STREAMS);
}

fn adapter() -> Option<PathBuf> {
    Some(Path::new(&testdata()).join("adapters/qwen3"))
}

#[test]
fn twenty_versions_under_eight_streams() {
    judge(&Setup::default(), 20);
}

#[test]
fn versions_of_rounded_weights() {
    for quantize in [Quantize::Q8, Quantize::Q4] {
        let mut setup = Setup::default();
        setup.load.quantize = Some(quantize);
        judge(&setup, 5);
    }
}

#[test]
fn versions_over_rounded_keys_and_values() {
    for format in [KvFormat::F16, KvFormat::Q8] {
        let mut setup = Setup::default();
        setup.load.cache_format = format;
        judge(&setup, 5);
    }
}

#[test]
fn versions_under_an_adapter() {
    judge(&Setup { adapter: adapter(), ..Setup::default() }, 6);
}

#[test]
fn versions_while_tokens_are_guessed() {
    let home = tempfile::tempdir().unwrap();
    let engine = EngineOptions { prompt_lookup: Some(PromptLookup::default()), ..EngineOptions::default() };
    judge(&Setup { engine, draft: Some(checkpoint(home.path(), 1)), ..Setup::default() }, 6);
}
