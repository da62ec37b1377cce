//! Vectors of texts.

use std::path::PathBuf;
use std::sync::Arc;

use mynah_engine::live::Codec;
use mynah_models::{Embedder, LoadOptions};
use mynah_serve::{LlmConfig, LlmServer, Models, RunningServer, ServedEmbedder, Tokens};
use serde_json::{Value, json};

use crate::common::{call, generator, post, serve};

/// Tokens of the embedding model, and the most that a text may have.
const VOCABULARY: usize = 64;
const TOKENS_MAX: usize = 20;
const WIDTH: usize = 32;

/// A letter a token.
struct Letters;

impl Codec for Letters {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn bytes(&self, _: u32) -> &[u8] {
        b"x"
    }

    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn end_ids(&self) -> &[u32] {
        &[]
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(|byte| u32::from(byte) % VOCABULARY as u32).collect()
    }
}

impl Tokens for Letters {
    fn id_of(&self, _: &str) -> Option<u32> {
        None
    }

    fn prompt_of_text(&self, text: &str) -> Result<Vec<u32>, String> {
        Ok(self.encode(text))
    }
}

pub fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../mynah-models/testdata")
}

fn embedder() -> Embedder {
    let folder = testdata().join("embedders/bert");
    Embedder::open(folder.to_str().expect("a path"), &LoadOptions::default()).expect("a model")
}

/// A server with an embedding model and one that writes.
fn serve_both() -> RunningServer {
    let served = ServedEmbedder {
        name: "vectors".into(),
        created_s: 0,
        tokens: Arc::new(Letters),
        embedder: embedder(),
    };
    let models = Models { generators: vec![generator()], embedders: vec![served] };
    LlmServer::bind(LlmConfig { port: 0, ..LlmConfig::default() }, models)
        .expect("an address")
        .start()
        .expect("a server")
}

fn vector(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn ask(server: &RunningServer, more: Value) -> crate::common::Answer {
    let mut body = json!({"model": "vectors"});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    post(server, "/v1/embeddings", &body)
}

#[test]
fn texts_and_ids_have_the_vectors_of_the_model() {
    let server = serve_both();
    let mut expected = Vec::new();
    embedder().embed(&[&[33, 34, 35], &[40]], &mut expected).unwrap();
    let answer = ask(&server, json!({"input": ["abc", [40]], "user": "somebody"})).json();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("vectors")));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    let found: Vec<f32> =
        [0, 1].iter().flat_map(|&i: &usize| vector(&answer["data"][i]["embedding"])).collect();
    assert_eq!(found, expected);
    assert_eq!(answer["data"][1]["index"], 1);
    for input in [json!("abc"), json!([33, 34, 35]), json!(["abc"]), json!([[33, 34, 35]])] {
        let one = ask(&server, json!({"input": input})).json();
        assert_eq!(vector(&one["data"][0]["embedding"]), expected[..WIDTH], "{input}");
    }
    let many = ask(&server, json!({"input": vec!["abc"; 100]})).json();
    assert_eq!(many["data"].as_array().unwrap().len(), 100);
    assert_eq!(vector(&many["data"][99]["embedding"]), expected[..WIDTH]);
}

#[test]
fn base64_holds_the_same_numbers_and_fewer_dimensions_have_length_one() {
    let server = serve_both();
    let whole = vector(&ask(&server, json!({"input": "abc"})).json()["data"][0]["embedding"]);
    let text = ask(&server, json!({"input": "abc", "encoding_format": "base64"})).json();
    let text = text["data"][0]["embedding"].as_str().unwrap().to_string();
    assert_eq!(text.len(), (WIDTH * 4).div_ceil(3) * 4);
    let bytes = base64(&text);
    let numbers: Vec<f32> =
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(numbers, whole);
    let cut = vector(&ask(&server, json!({"input": "abc", "dimensions": 8})).json()["data"][0]["embedding"]);
    let length = cut.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(cut.len() == 8 && (length - 1.0).abs() < 1e-5);
    assert!((cut[0] / cut[1] - whole[0] / whole[1]).abs() < 1e-3);
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | alphabet.iter().position(|known| *known == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[test]
fn what_cannot_be_embedded_is_named() {
    let server = serve_both();
    let long = "x".repeat(TOKENS_MAX + 3);
    for (more, param, word) in [
        (json!({}), "input", "missing"),
        (json!({"input": []}), "input", "empty list"),
        (json!({"input": ""}), "input", "is empty"),
        (json!({"input": ["a", ""]}), "input", "input[1] is empty"),
        (json!({"input": [[]]}), "input", "no tokens"),
        (json!({"input": {"a": 1}}), "input", "an object"),
        (json!({"input": [64]}), "input", "0 to 63"),
        (json!({"input": ["a", 3]}), "input", "input[1] is 3"),
        (json!({"input": vec!["a"; 2_049]}), "input", "2049 texts"),
        (json!({"input": ["a", long]}), "input", "input[1] has 23 tokens; vectors reads at most 20"),
        (json!({"input": "a", "dimensions": 33}), "dimensions", "1 to 32"),
        (json!({"input": "a", "encoding_format": "hex"}), "encoding_format", "base64"),
        (json!({"input": "a", "magic": 1}), "magic", "not a field"),
        (json!({"input": "a", "model": "toy"}), "model", "makes no embeddings"),
    ] {
        let answer = ask(&server, more.clone());
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)), "{more}: {error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{more}: {error}");
    }
    let body = json!({"model": "vectors", "messages": [{"role": "user", "content": "x"}]});
    let answer = post(&server, "/v1/chat/completions", &body);
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
    assert_eq!(ask(&server, json!({"input": "abc"})).status, 200);
    // A server that only writes says so, too.
    let answer = post(&serve(LlmConfig::default()), "/v1/embeddings", &json!({"input": "x"}));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("toy writes text and makes no embeddings"), "{}", answer.body);
}

#[test]
fn embedding_models_are_listed_healthy_and_counted() {
    let server = serve_both();
    let get = |path: &str| call(&server, "GET", path, "", b"");
    let ids: Vec<Value> = get("/v1/models").json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["toy", "vectors"]);
    assert_eq!(get("/v1/models/vectors").json()["max_model_len"], TOKENS_MAX);
    ask(&server, json!({"input": "abc"}));
    assert!(get("/metrics").body.contains("mynah_embedding_tokens_total{model=\"vectors\"} 3"));
    assert_eq!(get("/health").json()["engines"][1]["state"], "idle");
    let ids = post(&server, "/tokenize", &json!({"model": "vectors", "prompt": "abc"})).json();
    assert_eq!((&ids["tokens"], &ids["max_model_len"]), (&json!([33, 34, 35]), &json!(TOKENS_MAX)));
    // With several models a request must say which.
    assert_eq!(post(&server, "/v1/embeddings", &json!({"input": "x"})).json()["error"]["param"], "model");
}
