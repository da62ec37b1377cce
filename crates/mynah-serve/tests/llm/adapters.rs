//! Low-rank adapters that come and go while the model answers.

use std::path::Path;
use std::sync::Arc;

use mynah_chat::ToolFormat;
use mynah_engine::live::{Codec, Engine, EngineOptions, StepModel};
use mynah_models::{Decoder, LoadOptions};
use mynah_serve::{LlmConfig, LlmServer, Meter, RunningServer, ServedModel, Tokens};
use serde_json::{Value, json};

use crate::common::{call, post};
use crate::embeddings::testdata;

const VOCABULARY: usize = 96;

/// Tokens that are two letters each, so that different ids are different texts.
struct Pairs(Vec<Vec<u8>>);

impl Codec for Pairs {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn bytes(&self, id: u32) -> &[u8] {
        &self.0[id as usize]
    }

    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn end_ids(&self) -> &[u32] {
        &[]
    }

    fn encode(&self, _: &str) -> Vec<u32> {
        vec![1]
    }
}

impl Tokens for Pairs {
    fn id_of(&self, _: &str) -> Option<u32> {
        None
    }

    fn prompt_of_text(&self, _: &str) -> Result<Vec<u32>, String> {
        Ok(vec![1])
    }
}

fn base() -> ServedModel {
    base_of(&testdata().join("families/qwen3"))
}

/// A small model as a model of a server, under the name `base`.
pub fn base_of(folder: &Path) -> ServedModel {
    model_of(
        folder,
        &LoadOptions { page_tokens: 16, ..LoadOptions::default() },
        EngineOptions::default(),
        None,
    )
}

/// The same with all options, and a small model that guesses.
pub fn model_of(
    folder: &Path,
    load: &LoadOptions,
    options: EngineOptions,
    draft: Option<&Path>,
) -> ServedModel {
    let open = |folder: &Path| Decoder::open(folder.to_str().expect("a path"), load).expect("a model");
    let draft = draft.map(|folder| Box::new(open(folder)) as Box<dyn StepModel>);
    let names = (0..VOCABULARY as u8).map(|id| vec![b'a' + id / 10, b'a' + id % 10]);
    let tokens = Arc::new(Pairs(names.collect()));
    let engine = Engine::start_with_draft(Box::new(open(folder)), draft, tokens.clone(), options);
    ServedModel {
        name: "base".to_string(),
        created_s: 0,
        engine: engine.expect("an engine"),
        tokens,
        prompter: None,
        tool_format: ToolFormat::None,
        thinking: None,
        adapter: None,
        meter: Meter::default(),
    }
}

fn start(models: Vec<ServedModel>, adapter_loading: bool) -> RunningServer {
    let config = LlmConfig { port: 0, adapter_loading, ..LlmConfig::default() };
    LlmServer::bind(config, models).expect("an address").start().expect("a server")
}

fn text(server: &RunningServer, model: &str) -> (u16, Value) {
    let body = json!({"model": model, "prompt": [5, 6, 7], "max_tokens": 12, "temperature": 0});
    let answer = post(server, "/v1/completions", &body);
    (answer.status, answer.json()["choices"][0]["text"].clone())
}

fn ids(server: &RunningServer) -> Vec<Value> {
    let listed = call(server, "GET", "/v1/models", "", b"").json();
    listed["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect()
}

#[test]
fn adapters_are_loaded_named_and_unloaded_under_traffic() {
    let server = start(vec![base()], true);
    let folder = testdata().join("adapters/qwen3");
    let bare = text(&server, "base");
    assert_eq!((bare.0, text(&server, "tuned").0), (200, 404));
    let load = json!({"lora_name": "tuned", "lora_path": folder});
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| (0..20).all(|_| text(&server, "base") == bare));
        let loaded = post(&server, "/v1/load_lora_adapter", &load);
        assert_eq!((loaded.status, &loaded.json()["parent"]), (200, &json!("base")), "{}", loaded.body);
        assert!(traffic.join().unwrap(), "the bare model changed");
    });
    let tuned = text(&server, "tuned");
    assert!(tuned.0 == 200 && tuned.1 != bare.1, "{tuned:?} {bare:?}");
    assert_eq!(text(&server, "base"), bare);
    assert_eq!(ids(&server), ["base", "tuned"]);
    assert_eq!(call(&server, "GET", "/v1/models/tuned", "", b"").json()["parent"], "base");
    // The name is taken; in place it is replaced.
    assert_eq!(post(&server, "/v1/load_lora_adapter", &load).status, 400);
    let again = json!({"lora_name": "tuned", "lora_path": folder, "load_inplace": true});
    assert_eq!(post(&server, "/v1/load_lora_adapter", &again).status, 200);
    assert_eq!(text(&server, "tuned"), tuned);
    let unload = json!({"lora_name": "tuned"});
    assert_eq!(post(&server, "/v1/unload_lora_adapter", &unload).status, 200);
    assert_eq!(post(&server, "/v1/unload_lora_adapter", &unload).status, 404);
    assert_eq!((text(&server, "tuned").0, text(&server, "base")), (404, bare));
    assert_eq!(ids(&server), ["base"]);
}

#[test]
fn adapters_that_cannot_be_loaded_are_named() {
    let server = start(vec![base()], true);
    let folder = testdata().join("adapters/qwen3");
    for (body, param, word) in [
        (json!({"lora_path": folder}), "lora_name", "missing"),
        (json!({"lora_name": "x"}), "lora_path", "missing"),
        (json!({"lora_name": "x", "lora_path": "no/such/folder"}), "lora_path", "adapter_config.json"),
        (
            json!({"lora_name": "x", "lora_path": testdata().join("adapters/phi3_short")}),
            "lora_path",
            "does not have",
        ),
        (json!({"lora_name": "base", "lora_path": folder}), "lora_name", "name of a model"),
        (json!({"lora_name": "", "lora_path": folder}), "lora_name", "1 to"),
        (
            json!({"lora_name": "x", "lora_path": folder, "base_model_name": "other"}),
            "base_model_name",
            "no model",
        ),
    ] {
        let answer = post(&server, "/v1/load_lora_adapter", &body);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)), "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{body}: {error}");
    }
    assert_eq!(ids(&server), ["base"]);
    let closed = start(vec![base()], false);
    let answer = post(&closed, "/v1/load_lora_adapter", &json!({"lora_name": "x", "lora_path": folder}));
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("--allow-adapter-loading"));
}

#[test]
fn adapters_named_at_the_start_are_served() {
    let model = base();
    let tuned = model.with_adapter("tuned", &testdata().join("adapters/qwen3")).unwrap();
    assert!(model.with_adapter("bad", &testdata().join("adapters")).is_err());
    let server = start(vec![model, tuned], false);
    assert_ne!(text(&server, "tuned").1, text(&server, "base").1);
    // One model and its adapters: what names none is answered by the model.
    let body = json!({"prompt": [5, 6, 7], "max_tokens": 12, "temperature": 0});
    let answer = post(&server, "/v1/completions", &body).json();
    assert_eq!(answer["choices"][0]["text"], text(&server, "base").1);
}
