//! The document against the router and against what the readers of requests take.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mynah_chat::{Conversation, RenderOptions, ToolFormat};
use mynah_engine::live::{Codec, Engine, EngineOptions, StepModel};
use mynah_models::{Embedder, LoadOptions, Logits, Segment};
use serde_json::{Value, json};

use super::document;
use crate::llm::access::Access;
use crate::llm::catalogue::Catalogue;
use crate::llm::embedder::{self, EmbeddingModel, ServedEmbedder};
use crate::llm::input::{Input, recorded};
use crate::llm::meter::Meter;
use crate::llm::model::{Prompt, Prompter, ServedModel, Tokens};
use crate::llm::responses::Store;
use crate::llm::routes::calls;
use crate::llm::traffic::Traffic;
use crate::llm::{App, LlmConfig, adapter, chat, completions, messages, responses, tokens};

const VOCABULARY: usize = 128;

/// Always says the same letter.
struct Still;

impl StepModel for Still {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn context_length(&self) -> usize {
        4_096
    }

    fn page_tokens(&self) -> usize {
        16
    }

    fn page_count(&self) -> usize {
        512
    }

    fn slot_count(&self) -> usize {
        1
    }

    fn has_recurrent_state(&self) -> bool {
        false
    }

    fn step(&mut self, segments: &[Segment<'_>], logits: &mut Vec<f32>) -> mynah_engine::Result<()> {
        logits.clear();
        for segment in segments {
            let rows = match segment.logits {
                Logits::None => 0,
                Logits::Last => 1,
                Logits::All => segment.tokens.len(),
            };
            for _ in 0..rows {
                logits.extend((0..VOCABULARY).map(|id| if id == usize::from(b'x') { 9.0 } else { 0.0 }));
            }
        }
        Ok(())
    }

    fn copy_page(&mut self, _: u32, _: u32) -> mynah_engine::Result<()> {
        Ok(())
    }

    fn clear_slot(&mut self, _: u32) -> mynah_engine::Result<()> {
        Ok(())
    }
}

struct Ascii(Vec<[u8; 1]>);

impl Codec for Ascii {
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

    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(|byte| u32::from(byte) % 64).collect()
    }
}

impl Tokens for Ascii {
    fn id_of(&self, _: &str) -> Option<u32> {
        None
    }

    fn prompt_of_text(&self, text: &str) -> Result<Vec<u32>, String> {
        Ok(self.encode(text))
    }
}

impl Prompter for Ascii {
    fn prompt(&self, conversation: &Conversation, _: &RenderOptions) -> Result<Prompt, String> {
        let text: String = conversation.messages.iter().map(|message| message.plain_text()).collect();
        Ok(Prompt { ids: self.encode(&(text + "?")), in_reasoning: false })
    }
}

fn app() -> Arc<App> {
    let tokens = Arc::new(Ascii((0..VOCABULARY as u8).map(|byte| [byte]).collect()));
    let engine = Engine::start(Box::new(Still), tokens.clone(), EngineOptions::default()).expect("an engine");
    let model = ServedModel {
        name: "still".to_string(),
        created_s: 0,
        engine,
        tokens: tokens.clone(),
        prompter: Some(tokens.clone()),
        tool_format: ToolFormat::Hermes,
        thinking: None,
        adapter: None,
        meter: Meter::default(),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mynah-models/testdata/embedders/bert");
    let embedder =
        Embedder::open(folder.to_str().expect("a path"), &LoadOptions::default()).expect("a model");
    let embedder = ServedEmbedder { name: "vectors".to_string(), created_s: 0, tokens, embedder };
    let config = LlmConfig { adapter_loading: true, ..LlmConfig::default() };
    Arc::new(App {
        listening: config.listening(),
        access: Access::new(&config),
        models: Catalogue::new(vec![model], vec![Arc::new(EmbeddingModel::from(embedder))]),
        store: Store::new(10, 1 << 20),
        traffic: Traffic::default(),
        hot: None,
        config,
    })
}

#[test]
fn the_document_and_the_router_have_the_same_calls() {
    let document = document();
    let mut written = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        written.extend(
            operations.as_object().expect("calls").keys().map(|method| (path.clone(), method.clone())),
        );
    }
    let answered: BTreeSet<(String, String)> = calls()
        .into_iter()
        .map(|call| (call.path.to_string(), call.method.to_string().to_lowercase()))
        .collect();
    assert_eq!(written, answered);
}

/// Fields of a schema by their whole names. Below `opaque` ones the reader is another than [`Input`].
fn fields(schema: &Value, prefix: &str, opaque: &[&str], found: &mut BTreeSet<String>) {
    for kind in ["anyOf", "oneOf"] {
        for inner in schema[kind].as_array().into_iter().flatten() {
            fields(inner, prefix, opaque, found);
        }
    }
    fields_of_items(&schema["items"], prefix, opaque, found);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let whole = format!("{prefix}{name}");
        if !opaque.contains(&whole.as_str()) {
            fields(inner, &format!("{whole}."), opaque, found);
        }
        found.insert(whole);
    }
}

fn fields_of_items(items: &Value, prefix: &str, opaque: &[&str], found: &mut BTreeSet<String>) {
    if items.is_object() {
        fields(items, &format!("{}[].", prefix.trim_end_matches('.')), opaque, found);
    }
}

/// Which fields the readers take from these bodies, all of which must be accepted.
fn taken(path: &str, bodies: &[Value]) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let app = app();
    recorded(|| {
        for body in bodies {
            let input = Input::parse(body.to_string().as_bytes()).expect("an object");
            let client = String::new();
            let answer = runtime.block_on(async {
                match path {
                    "/v1/chat/completions" => chat::answer(&app, input, client).await,
                    "/v1/completions" => completions::answer(&app, input, client).await,
                    "/v1/responses" => responses::answer(&app, input, client).await,
                    "/v1/responses/input_tokens" => responses::count_tokens(&app, input, client).await,
                    "/v1/embeddings" => embedder::answer(&app, input).await,
                    "/v1/messages" => messages::answer(&app, input, client).await,
                    "/v1/messages/count_tokens" => messages::count_tokens(&app, input).await,
                    "/tokenize" => tokens::tokenize(&app, input).await,
                    "/detokenize" => tokens::detokenize(&app, input).await,
                    "/v1/load_lora_adapter" => adapter::load(&app, input).await,
                    "/v1/unload_lora_adapter" => adapter::unload(&app, input).await,
                    other => panic!("{other} takes no body"),
                }
            });
            let failed = answer.err().map(|failure| failure.message).unwrap_or_default();
            // The adapter of this test is nowhere; its fields are read all the same.
            assert!(failed.is_empty() || path.contains("lora"), "{body}: {failed}");
        }
    })
}

fn check(path: &str, opaque: &[&str], bodies: &[Value]) {
    let document = document();
    let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let mut written = BTreeSet::new();
    fields(schema, "", opaque, &mut written);
    let taken = taken(path, bodies);
    let missing: Vec<_> = taken.difference(&written).collect();
    let idle: Vec<_> = written.difference(&taken).collect();
    assert!(missing.is_empty(), "{path}: taken, and not in the document: {missing:?}");
    assert!(idle.is_empty(), "{path}: in the document, and not taken: {idle:?}");
}

#[test]
fn fields_of_chats_are_those_of_the_document() {
    let user = json!([{"role": "user", "content": "x"}]);
    let schema = json!({"type": "json_schema", "json_schema": {"schema": {"type": "boolean"}}});
    check(
        "/v1/chat/completions",
        &["messages", "tools", "documents", "tool_choice"],
        &[
            json!({"model": "still", "messages": user, "stream": true, "max_tokens": 1,
                "stream_options": {"include_usage": true}}),
            json!({"model": "still", "messages": user, "response_format": schema}),
        ],
    );
}

#[test]
fn fields_of_completions_and_embeddings_are_those_of_the_document() {
    let body = json!({"model": "still", "prompt": "x", "stream": true, "stream_options": {}});
    check("/v1/completions", &[], &[body]);
    check("/v1/embeddings", &[], &[json!({"model": "vectors", "input": "x"})]);
}

fn items() -> Value {
    let part = json!({"type": "input_text", "text": "x"});
    json!([
        {"role": "user", "content": [part]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}],
            "content": [{"type": "reasoning_text", "text": "x"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"},
            {"type": "refusal", "refusal": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [part]},
    ])
}

#[test]
fn fields_of_responses_are_those_of_the_document() {
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let schema = json!({"format": {"type": "json_schema", "name": "x", "schema": {"type": "boolean"}}});
    let shared = [
        json!({"model": "still", "input": items(), "reasoning": {}, "text": schema}),
        json!({"model": "still", "input": "x", "tools": tools, "tool_choice": {"type": "function", "name": "f"}}),
        json!({"model": "still", "input": "x", "tools": tools, "tool_choice": {"type": "allowed_tools",
            "mode": "auto", "tools": [{"type": "function", "name": "f"}]}}),
    ];
    check("/v1/responses/input_tokens", &[], &shared);
    let mut whole = shared.to_vec();
    for body in &mut whole {
        body["max_output_tokens"] = json!(40);
    }
    whole.push(
        json!({"model": "still", "input": "x", "stream": true, "stream_options": {}, "max_output_tokens": 1}),
    );
    check("/v1/responses", &[], &whole);
}

#[test]
fn fields_of_messages_are_those_of_the_document() {
    let text = json!({"type": "text", "text": "x"});
    let body = json!({
        "model": "still", "system": [text],
        "messages": [
            {"role": "user", "content": [text]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}, {"type": "redacted_thinking"},
                {"type": "tool_use", "id": "c", "name": "f"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [text]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "thinking": {"type": "disabled"},
        "tool_choice": {"type": "tool", "name": "f"},
    });
    check("/v1/messages/count_tokens", &[], std::slice::from_ref(&body));
    let mut whole = body;
    whole["max_tokens"] = json!(2);
    check("/v1/messages", &[], &[whole]);
}

#[test]
fn fields_of_small_calls_are_those_of_the_document() {
    let user = json!([{"role": "user", "content": "x"}]);
    let both = [json!({"model": "still", "prompt": "x"}), json!({"model": "still", "messages": user})];
    check("/tokenize", &["messages", "tools", "documents"], &both);
    check("/detokenize", &[], &[json!({"model": "still", "tokens": [1]})]);
    check("/v1/load_lora_adapter", &[], &[json!({"lora_name": "x", "lora_path": "nowhere"})]);
    check("/v1/unload_lora_adapter", &[], &[json!({"lora_name": "x"})]);
}
