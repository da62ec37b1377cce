//! What is refused, and that the next request works.

use mynah_serve::LlmConfig;
use serde_json::{Value, json};

use crate::common::{CONTEXT, call, post, serve};

#[test]
fn what_cannot_be_met_names_its_field() {
    let server = serve(LlmConfig::default());
    let user = json!([{"role": "user", "content": "x"}]);
    for (body, param, word) in [
        (json!({}), "messages", "missing"),
        (json!({"messages": []}), "messages", "0 entries"),
        (json!({"messages": [{"role": "narrator", "content": "x"}]}), "messages[0]", "narrator"),
        (json!({"messages": user, "temperature": 3}), "temperature", "0 to 2"),
        (json!({"messages": user, "max_tokens": 0}), "max_tokens", "1 to"),
        (json!({"messages": user, "top_logprobs": 1}), "top_logprobs", "logprobs"),
        (json!({"messages": user, "n": 1000}), "n", "1 to 128"),
        (json!({"messages": user, "magic": true}), "magic", "not a field"),
        (json!({"messages": user, "tool_choice": "required"}), "tool_choice", "no tools"),
        (json!({"messages": user, "audio": {"voice": "x"}}), "audio", "not supported"),
        (json!({"messages": user, "logit_bias": {"a": 1}}), "logit_bias", "token ids"),
        (json!({"messages": user, "response_format": {"type": "poem"}}), "response_format.type", "poem"),
        (
            json!({"messages": user, "stream_options": {"include_usage": true}}),
            "stream_options",
            "stream: true",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            "messages[0].content",
            "image_url",
        ),
    ] {
        let answer = post(&server, "/v1/chat/completions", &body);
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)), "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{body}: {error}");
    }
    let fine = json!({"messages": user, "max_tokens": 1, "temperature": null, "stop": null, "tools": null, "n": null});
    assert_eq!(post(&server, "/v1/chat/completions", &fine).status, 200);
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_with_the_numbers() {
    let server = serve(LlmConfig::default());
    let body = json!({"messages": [{"role": "user", "content": "x".repeat(CONTEXT + 5)}]});
    let answer = post(&server, "/v1/chat/completions", &body);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
    assert!(answer.body.contains(&CONTEXT.to_string()), "{}", answer.body);
}

#[test]
fn unsupported_schemas_are_refused_and_not_ignored() {
    let server = serve(LlmConfig::default());
    let schema = json!({"type": "object", "properties": {"a": {"type": "no such type"}}});
    let body = json!({"messages": [{"role": "user", "content": "x"}], "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema}}});
    assert_eq!(post(&server, "/v1/chat/completions", &body).status, 400);
}

#[test]
fn garbage_is_refused_in_the_dialect_of_the_route() {
    let server = serve(LlmConfig { body_size_bytes_max: 10_000, ..LlmConfig::default() });
    for body in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"messages\": NaN}"] {
        assert_eq!(call(&server, "POST", "/v1/chat/completions", "", body).status, 400);
        let answer = call(&server, "POST", "/v1/messages", "", body);
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("error")));
    }
    assert_eq!(call(&server, "POST", "/v1/chat/completions", "", &vec![b' '; 20_000]).status, 413);
    assert_eq!(call(&server, "GET", "/v1/chat/completions", "", b"").status, 405);
    assert_eq!(call(&server, "POST", "/v1/nothing", "", b"{}").status, 404);
    let unknown = post(&server, "/v1/chat/completions", &json!({"model": "gpt-x", "messages": []}));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    let fine = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1});
    assert_eq!(post(&server, "/v1/chat/completions", &fine).status, 200);
}

#[test]
fn keys_are_asked_for_and_rates_are_kept() {
    let key = "0123456789abcdef";
    let config =
        LlmConfig { api_keys: vec![key.to_string()], requests_per_minute: Some(2), ..LlmConfig::default() };
    let server = serve(config);
    let get = |head: &str| call(&server, "GET", "/v1/models", head, b"");
    assert_eq!(get("").status, 401);
    assert_eq!(call(&server, "GET", "/health", "", b"").status, 200);
    let bearer = format!("authorization: Bearer {key}\r\n");
    assert_eq!((get(&bearer).status, get(&bearer).status), (200, 200));
    let limited = get(&format!("x-api-key: {key}\r\n"));
    assert_eq!((limited.status, &limited.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(limited.head.to_lowercase().contains("retry-after"));
}

#[test]
fn other_origins_and_names_are_refused_without_a_key() {
    let server = serve(LlmConfig::default());
    let evil = call(&server, "GET", "/v1/models", "origin: https://evil.example\r\n", b"");
    assert_eq!(evil.status, 403);
    let allowed =
        serve(LlmConfig { cors_origins: vec!["https://app.example".into()], ..LlmConfig::default() });
    let asked = call(&allowed, "OPTIONS", "/v1/chat/completions", "origin: https://app.example\r\n", b"");
    assert_eq!(asked.status, 204);
    assert!(asked.head.to_lowercase().contains("access-control-allow-origin: https://app.example"));
    let body: Value = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1});
    let text = body.to_string();
    let answer =
        call(&allowed, "POST", "/v1/chat/completions", "origin: https://app.example\r\n", text.as_bytes());
    assert_eq!(answer.status, 200);
}

#[test]
fn an_answer_that_takes_too_long_is_given_up() {
    let server = serve(LlmConfig { request_seconds_max: Some(0), ..LlmConfig::default() });
    let body = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 400});
    let answer = post(&server, "/v1/chat/completions", &body);
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (504, &json!("server_error")));
}

#[test]
fn quantised_checkpoints_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let model = json!({"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"});
    write("tokenizer.json", &json!({"version": "1.0", "added_tokens": [], "model": model}).to_string());
    for method in ["fp8", "awq", "gptq"] {
        let config =
            json!({"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": method}});
        write("config.json", &config.to_string());
        // No tensors at all.
        write("model.safetensors", "\u{2}\0\0\0\0\0\0\0{}");
        let source = mynah_serve::ModelSource {
            model: folder.path().to_str().unwrap().to_string(),
            ..mynah_serve::ModelSource::default()
        };
        let error = source.load().err().expect("an error").to_string();
        assert!(error.contains(&format!("quant_method = \"{method}\" is not supported")), "{error}");
        assert!(error.contains("unquantised model or a GGUF file"), "{error}");
    }
}
