//! What is answered.

use mynah_serve::LlmConfig;
use serde_json::{Value, json};

use crate::common::{call, post, serve};

fn ask(more: Value) -> Value {
    let mut body =
        json!({"model": "toy", "messages": [{"role": "user", "content": "hello"}], "temperature": 0});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn reasoning_is_apart_from_what_is_said_whole_and_streamed() {
    let server = serve(LlmConfig::default());
    let whole = post(&server, "/v1/chat/completions", &ask(json!({"max_tokens": 51}))).json();
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "two birds");
    assert_eq!(message["content"], "A bird and a bird make two.");
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 51);
    assert_eq!(whole["usage"]["prompt_tokens"], 7);
    let more = json!({"max_tokens": 51, "stream": true, "stream_options": {"include_usage": true}});
    let events = post(&server, "/v1/chat/completions", &ask(more)).events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let joined = |field: &str| -> String {
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str()).collect()
    };
    assert_eq!(
        (joined("content"), joined("reasoning_content")),
        ("A bird and a bird make two.".into(), "two birds".into())
    );
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 51);
}

#[test]
fn forced_calls_and_schemas_are_valid_with_any_weights() {
    let server = serve(LlmConfig::default());
    let schema = json!({
        "type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 3}},
        "required": ["city", "days"], "additionalProperties": false,
    });
    let tools = json!([{"type": "function", "function": {"name": "forecast", "parameters": schema}}]);
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "forecast"}})] {
        let more = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false});
        let answer = post(&server, "/v1/chat/completions", &ask(more)).json();
        let found = &answer["choices"][0];
        assert_eq!(found["finish_reason"], "tool_calls", "{answer}");
        let call = &found["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "forecast");
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert!(["Rome", "Oslo"].contains(&arguments["city"].as_str().unwrap()));
        assert!((1..=3).contains(&arguments["days"].as_i64().unwrap()));
    }
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let answer = post(&server, "/v1/chat/completions", &ask(json!({"response_format": format}))).json();
    let value: Value =
        serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(value["days"].is_i64() && value["city"].is_string(), "{value}");
}

#[test]
fn messages_have_blocks_and_named_events() {
    let server = serve(LlmConfig::default());
    let body = json!({"model": "toy", "max_tokens": 51, "temperature": 0, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "hello"}]}]});
    let whole = post(&server, "/v1/messages?beta=true", &body).json();
    let kinds: Vec<&str> =
        whole["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "text"]);
    assert_eq!(whole["content"][1]["text"], "A bird and a bird make two.");
    assert_eq!((&whole["stop_reason"], &whole["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(51)));
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let answer = post(&server, "/v1/messages", &streamed);
    let names: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"));
    let starts = names.iter().filter(|name| **name == "content_block_start").count();
    let stops = names.iter().filter(|name| **name == "content_block_stop").count();
    assert_eq!((starts, stops), (2, 2));
    let counted = post(&server, "/v1/messages/count_tokens", &json!({"messages": body["messages"]})).json();
    assert_eq!(counted["input_tokens"], 7);
    let mut stopped = body;
    stopped["stop_sequences"] = json!(["bird make"]);
    let answer = post(&server, "/v1/messages", &stopped).json();
    assert_eq!(
        (&answer["stop_reason"], &answer["stop_sequence"]),
        (&json!("stop_sequence"), &json!("bird make"))
    );
    assert_eq!(answer["content"][1]["text"], "A bird and a ");
}

#[test]
fn completions_take_texts_and_ids_and_echo_with_scores() {
    let server = serve(LlmConfig::default());
    let body =
        json!({"prompt": ["ab", [97, 98]], "max_tokens": 3, "temperature": 0, "echo": true, "logprobs": 2});
    let answer = post(&server, "/v1/completions", &body).json();
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2);
    assert_eq!(choices[0]["text"], choices[1]["text"]);
    assert!(choices[0]["text"].as_str().unwrap().starts_with("ab"));
    let scores = &choices[0]["logprobs"];
    assert_eq!(scores["tokens"].as_array().unwrap().len(), 5);
    assert!(scores["token_logprobs"][0].is_null() && scores["token_logprobs"][1].is_number());
    assert_eq!(scores["text_offset"], json!([0, 1, 2, 3, 4]));
    let streamed = json!({"prompt": "ab", "max_tokens": 3, "temperature": 0, "stream": true});
    let events = post(&server, "/v1/completions", &streamed).events();
    let text: String = events[..events.len() - 1]
        .iter()
        .map(|event| {
            serde_json::from_str::<Value>(event).unwrap()["choices"][0]["text"].as_str().unwrap().to_string()
        })
        .collect();
    assert_eq!(format!("ab{text}"), choices[0]["text"].as_str().unwrap());
}

#[test]
fn a_prefix_that_was_read_before_is_found() {
    let server = serve(LlmConfig::default());
    let long = "The old bird sat on the fence. ".repeat(5);
    let body = json!({"messages": [{"role": "user", "content": long}], "max_tokens": 2, "temperature": 0});
    let cached = |answer: Value| answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert_eq!(cached(post(&server, "/v1/chat/completions", &body).json()), 0);
    assert!(cached(post(&server, "/v1/chat/completions", &body).json()) >= 128);
}

#[test]
fn the_server_tells_about_itself() {
    let server = serve(LlmConfig::default());
    let get = |path: &str| call(&server, "GET", path, "", b"");
    assert_eq!(get("/v1/models").json()["data"][0]["id"], "toy");
    assert_eq!(get("/v1/models/toy").json()["max_model_len"], crate::common::CONTEXT);
    assert_eq!(get("/v1/models/other").status, 404);
    assert_eq!((get("/health").status, get("/health").json()["status"].clone()), (200, json!("ok")));
    post(&server, "/v1/chat/completions", &ask(json!({"max_tokens": 4})));
    let metrics = get("/metrics").body;
    assert!(metrics.contains("mynah_generation_tokens_total{model=\"toy\"} 4"), "{metrics}");
    let ids = post(&server, "/tokenize", &json!({"prompt": "abc", "return_token_strs": true})).json();
    assert_eq!((&ids["tokens"], &ids["token_strs"]), (&json!([97, 98, 99]), &json!(["a", "b", "c"])));
    assert_eq!(post(&server, "/detokenize", &json!({"tokens": [97, 98]})).json()["prompt"], "ab");
}

#[test]
fn calls_come_in_pieces_when_that_is_asked_for() {
    let server = serve(LlmConfig::default());
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
        "additionalProperties": false});
    let tools = json!([{"type": "function", "function": {"name": "forecast", "parameters": schema}}]);
    let more = |how: &str| json!({"tools": tools, "tool_choice": "required", "parallel_tool_calls": false, "stream": true, "tool_stream": how});
    let deltas = |how: &str| -> Vec<Value> {
        let events = post(&server, "/v1/chat/completions", &ask(more(how))).events();
        let chunks =
            events[..events.len() - 1].iter().map(|event| serde_json::from_str::<Value>(event).unwrap());
        chunks
            .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].as_object().cloned())
            .map(Value::Object)
            .collect()
    };
    let (whole, pieces) = (deltas("complete"), deltas("incremental"));
    assert_eq!(whole.len(), 1);
    assert!(pieces.len() > 1, "{pieces:?}");
    assert_eq!(
        (&pieces[0]["function"]["name"], &pieces[0]["type"]),
        (&json!("forecast"), &json!("function"))
    );
    assert!(pieces[0]["id"].is_string() && pieces[1..].iter().all(|piece| piece["id"].is_null()));
    assert!(pieces.iter().all(|piece| piece["index"] == 0));
    let joined: String =
        pieces.iter().map(|piece| piece["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(whole[0]["function"]["arguments"], joined);
    let alone = json!({"tool_stream": "incremental"});
    assert_eq!(post(&server, "/v1/chat/completions", &ask(alone)).status, 400);
}
