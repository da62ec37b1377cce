//! Tools that the server runs itself: the client asks a question and gets the answer.

use std::sync::{Arc, Mutex};

use mynah_serve::{LlmConfig, LlmServer, RunningServer, ServedModel, ServerTool, ServerTools};
use serde_json::{Value, json};

use crate::common::{Answer, call, generator_computing, generator_saying};

/// Turns text around.
#[derive(Default)]
struct Reverse {
    asked: Mutex<Vec<String>>,
}

impl ServerTool for Reverse {
    fn definition(&self) -> Value {
        let parameters =
            json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        json!({"type": "function", "function": {"name": "reverse", "parameters": parameters}})
    }

    fn run(&self, arguments: &str) -> String {
        self.asked.lock().expect("a lock").push(arguments.to_string());
        let arguments: Value = serde_json::from_str(arguments).expect("JSON");
        let text: String = arguments["text"].as_str().unwrap_or_default().chars().rev().collect();
        format!("#{text}")
    }
}

fn start(model: ServedModel) -> (RunningServer, Arc<Reverse>) {
    let tool = Arc::new(Reverse::default());
    let tools = ServerTools(vec![tool.clone()]);
    let config = LlmConfig { port: 0, tools, ..LlmConfig::default() };
    let server = LlmServer::bind(config, vec![model]).expect("an address").start().expect("a server");
    (server, tool)
}

fn chat(server: &RunningServer, more: Value) -> Answer {
    let mut body = json!({"messages": [{"role": "user", "content": "turn abc around"}], "max_tokens": 200, "temperature": 0});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    call(
        server,
        "POST",
        "/v1/chat/completions",
        "content-type: application/json\r\n",
        body.to_string().as_bytes(),
    )
}

const CALL: &str =
    "One moment. <tool_call>{\"name\": \"reverse\", \"arguments\": {\"text\": \"abc\"}}</tool_call>";

#[test]
fn a_call_is_run_and_the_answer_goes_on() {
    let (server, tool) = start(generator_saying(CALL, b'#', "It is cba."));
    let answer = chat(&server, json!({})).json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    let text = choice["message"]["content"].as_str().expect("text");
    assert!(text.starts_with("One moment.") && text.ends_with("It is cba."), "{text}");
    assert!(choice["message"].get("tool_calls").is_none());
    let served = &choice["message"]["server_tool_calls"][0];
    assert_eq!((&served["function"]["name"], &served["output"]), (&json!("reverse"), &json!("#cba")));
    assert_eq!(tool.asked.lock().expect("a lock").len(), 1);
    // Both rounds are counted.
    let usage = &answer["usage"];
    let tokens = CALL.len() + 1 + "It is cba.".len() + 1;
    assert_eq!(usage["completion_tokens"], tokens);

    let events = chat(&server, json!({"stream": true})).events();
    let chunks: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    let streamed: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(streamed, text);
    let outputs: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/server_tool_calls/0/output"))
        .collect();
    assert_eq!(outputs, ["#cba"]);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn the_clients_own_tools_stay_the_clients() {
    let (server, tool) = start(generator_saying(CALL, b'#', "It is cba."));
    let own = tool.definition();
    let answer = chat(&server, json!({"tools": [own]})).json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "reverse");
    // Who forbids calls gets none, and the text as it is.
    let answer = chat(&server, json!({"tool_choice": "none"})).json();
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(text.contains("<tool_call>"), "{text}");
    assert!(tool.asked.lock().expect("a lock").is_empty());
}

#[test]
fn a_model_that_calls_for_ever_comes_to_an_end() {
    let (server, tool) = start(generator_saying(CALL, b'#', CALL));
    let answer = chat(&server, json!({"max_tokens": 2_000})).json();
    // The prompt grows with every round until the context is full or the rounds are used up.
    let kind = answer["choices"][0]["finish_reason"].as_str().or(answer["error"]["code"].as_str());
    assert!(matches!(kind, Some("length" | "context_length_exceeded")), "{answer}");
    assert!(tool.asked.lock().expect("a lock").len() <= 8);
    let answer = chat(&server, json!({"max_tokens": CALL.len() + 1})).json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(choice["message"]["server_tool_calls"][0]["output"], "not run: the answer has no room left");
}

#[test]
fn a_model_of_our_own_computes_without_being_asked_to() {
    let model = generator_computing("The sum is ", "12*7", b'8', "84, of course.");
    let config = LlmConfig { port: 0, ..LlmConfig::default() };
    let server = LlmServer::bind(config, vec![model]).expect("an address").start().expect("a server");
    let post = |path: &str, body: Value| {
        let answer =
            call(&server, "POST", path, "content-type: application/json\r\n", body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    };
    let text = "The sum is 84, of course.";
    let messages = json!([{"role": "user", "content": "add them"}]);
    let served = |value: &Value| {
        let call = &value["server_tool_calls"][0];
        assert_eq!(
            (&call["function"]["arguments"], &call["output"]),
            (&json!("{\"code\":\"12*7\"}"), &json!("84"))
        );
    };

    let answer = chat(&server, json!({})).json();
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], text);
    served(message);

    let body = json!({"messages": messages, "max_tokens": 100, "temperature": 0});
    let answer = post("/v1/messages", body.clone()).json();
    assert_eq!(answer["content"], json!([{"type": "text", "text": text}]));
    assert_eq!(answer["stop_reason"], "end_turn");
    served(&answer);
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let events = post("/v1/messages", streamed).events();
    let events: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    let told: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(told, text);
    served(events.iter().find(|event| event["type"] == "message_delta").expect("an end"));

    let answer = post("/v1/responses", json!({"input": "add them", "temperature": 0})).json();
    assert_eq!(answer["output"][0]["content"][0]["text"], text);
    served(&answer);

    // A tool of the client's goes before the calculator, and a forced call is one.
    let parameters = json!({"type": "object", "properties": {"expression": {"type": "string"}}});
    let own = json!([{"type": "function", "function": {"name": "python", "parameters": parameters}}]);
    let answer = chat(&server, json!({"tools": own})).json();
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("The sum is "))
    );
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"expression\":\"12*7\"}");
    // Who forbids calls gets none.
    let answer = chat(&server, json!({"tool_choice": "none", "max_tokens": 20})).json();
    assert!(answer["choices"][0]["message"].get("server_tool_calls").is_none(), "{answer}");
}
