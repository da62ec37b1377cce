//! The Responses API.

use mynah_serve::{LlmConfig, RunningServer};
use serde_json::{Value, json};

use crate::common::{Answer, call, post, serve};

/// Tokens of one recital of the toy.
const WHOLE: u64 = 51;

fn ask(server: &RunningServer, more: Value) -> Answer {
    let mut body = json!({"model": "toy", "input": "hello", "temperature": 0, "max_output_tokens": WHOLE});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    post(server, "/v1/responses", &body)
}

fn get(server: &RunningServer, path: &str) -> Answer {
    call(server, "GET", path, "", b"")
}

/// Named events with their data.
fn events(answer: &Answer) -> Vec<Value> {
    answer.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn reasoning_and_text_are_items() {
    let server = serve(LlmConfig::default());
    let body =
        ask(&server, json!({"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "me"})).json();
    let kinds: Vec<&Value> = body["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message"]);
    assert_eq!(body["output"][0]["content"], json!([{"type": "reasoning_text", "text": "two birds"}]));
    assert_eq!(body["output"][1]["content"][0]["text"], "A bird and a bird make two.");
    assert_eq!((&body["status"], &body["object"]), (&json!("incomplete"), &json!("response")));
    assert_eq!(body["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!((&body["instructions"], &body["metadata"]), (&json!("Be brief."), &json!({"a": "b"})));
    assert_eq!(
        (&body["usage"]["input_tokens"], &body["usage"]["output_tokens"]),
        (&json!(17), &json!(WHOLE))
    );
    let thought = body["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert!((9..=24).contains(&thought), "{thought}");
    let stopped = ask(&server, json!({"stop": "make"})).json();
    assert_eq!((&stopped["status"], &stopped["incomplete_details"]), (&json!("completed"), &Value::Null));
}

#[test]
fn a_stream_tells_every_step_in_order_and_ends_with_the_response() {
    let server = serve(LlmConfig::default());
    let answer = ask(&server, json!({"stream": true, "stop": "make"}));
    let events = events(&answer);
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        assert!(answer.body.contains(&format!("event: {}\n", event["type"].as_str().unwrap())));
    }
    let joined: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["output"][1]["content"][0]["text"], joined);
    assert_eq!(joined, "A bird and a bird ");
    // The same items, under the same names, as they were told of.
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(json!(done), last["output"]);
    // What a stream ends with is what is kept.
    assert_eq!(&get(&server, &format!("/v1/responses/{}", last["id"].as_str().unwrap())).json(), last);
}

#[test]
fn forced_calls_and_schemas_are_kept() {
    let server = serve(LlmConfig::default());
    let schema = json!({"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}},
        "required": ["city"], "additionalProperties": false});
    let tools = json!([{"type": "function", "name": "forecast", "parameters": schema, "strict": true},
        {"type": "function", "name": "other", "parameters": schema}]);
    let allowed = json!({"type": "allowed_tools", "mode": "required",
        "tools": [{"type": "function", "name": "forecast"}]});
    for choice in [json!({"type": "function", "name": "forecast"}), allowed] {
        let more = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false,
            "max_output_tokens": null});
        let body = ask(&server, more.clone()).json();
        assert_eq!((&body["status"], &body["tool_choice"]), (&json!("completed"), &choice), "{body}");
        assert_eq!(body["tools"].as_array().unwrap().len(), 2);
        let call = body["output"].as_array().unwrap().last().unwrap();
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("forecast")));
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(["Rome", "Oslo"].contains(&arguments["city"].as_str().unwrap()));
        let mut streamed = more;
        streamed["stream"] = json!(true);
        let events = events(&ask(&server, streamed));
        let delta = events.iter().find(|event| event["type"] == "response.function_call_arguments.delta");
        assert_eq!(delta.unwrap()["delta"], call["arguments"]);
        assert_eq!(events.last().unwrap()["type"], "response.completed");
    }
    let format = json!({"format": {"type": "json_schema", "name": "x", "schema": schema}});
    let body = ask(&server, json!({"text": format, "max_output_tokens": null})).json();
    let text = body["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap()["city"].is_string(), "{body}");
    assert_eq!(body["text"]["format"]["name"], "x");
}

#[test]
fn a_conversation_goes_on_from_what_is_kept() {
    let server = serve(LlmConfig::default());
    let first = ask(&server, json!({"input": "one", "instructions": "Not carried on."})).json();
    let id = first["id"].as_str().unwrap();
    let more = json!({"input": "two", "previous_response_id": id});
    let second = ask(&server, more.clone()).json();
    // "one", what was said (reasoning is not printed by the toy's format), "two", and the mark of an answer.
    let said = "A bird and a bird make two.";
    assert_eq!(second["usage"]["input_tokens"], "one\n".len() + said.len() + 1 + "two\n".len() + 1);
    assert_eq!(second["previous_response_id"], id);
    let counted = post(&server, "/v1/responses/input_tokens", &more).json();
    assert_eq!(counted["input_tokens"], second["usage"]["input_tokens"]);
    // The same by hand.
    let mut items = vec![json!({"role": "user", "content": "one"})];
    items.extend(first["output"].as_array().unwrap().iter().cloned());
    items
        .push(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two"}]}));
    let by_hand = ask(&server, json!({"input": items})).json();
    assert_eq!(by_hand["usage"]["input_tokens"], second["usage"]["input_tokens"]);
    let reference = json!([{"type": "item_reference", "id": first["output"][1]["id"]}]);
    assert_eq!(ask(&server, json!({"input": reference})).json()["usage"]["input_tokens"], said.len() + 2);
    let path = format!("/v1/responses/{id}");
    assert_eq!(get(&server, &path).json(), first);
    assert_eq!(call(&server, "DELETE", &path, "", b"").json()["deleted"], true);
    assert_eq!((get(&server, &path).status, call(&server, "DELETE", &path, "", b"").status), (404, 404));
    let gone = ask(&server, more);
    assert_eq!((gone.status, &gone.json()["error"]["param"]), (404, &json!("previous_response_id")));
    let unkept = ask(&server, json!({"store": false})).json();
    assert_eq!(get(&server, &format!("/v1/responses/{}", unkept["id"].as_str().unwrap())).status, 404);
}

#[test]
fn the_input_of_a_response_is_listed_in_pages() {
    let server = serve(LlmConfig::default());
    let items: Vec<Value> = (0..5).map(|i| json!({"role": "user", "content": format!("m{i}")})).collect();
    let id = ask(&server, json!({"input": items})).json()["id"].as_str().unwrap().to_string();
    let page = |query: &str| get(&server, &format!("/v1/responses/{id}/input_items{query}")).json();
    let texts = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap();
        data.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(texts(&page("")), ["m4", "m3", "m2", "m1", "m0"]);
    let first = page("?order=asc&limit=2");
    assert_eq!((texts(&first), &first["has_more"]), (vec!["m0".into(), "m1".into()], &json!(true)));
    let next = page(&format!("?order=asc&limit=3&after={}", first["last_id"].as_str().unwrap()));
    assert_eq!((texts(&next).len(), &next["has_more"]), (3, &json!(false)));
    for bad in ["?limit=0", "?order=up", "?after=none", "?magic=1", "?include[]=file_search_call.results"] {
        assert_eq!(get(&server, &format!("/v1/responses/{id}/input_items{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn calls_and_their_results_are_read() {
    let server = serve(LlmConfig::default());
    let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c1", "output": "forty"});
    let user = json!({"role": "user", "content": "x"});
    let answer = ask(&server, json!({"input": [user, call, result]})).json();
    // The user's, the assistant's empty one, the tool's, and the mark of an answer.
    assert_eq!(answer["usage"]["input_tokens"], "x\n\nforty\n".len() + 1, "{answer}");
    let lost = ask(&server, json!({"input": [user, result]}));
    assert_eq!(lost.status, 400);
    assert!(lost.body.contains("'c1', which nobody made"), "{}", lost.body);
}

#[test]
fn log_probabilities_come_with_the_text_when_they_are_included() {
    let server = serve(LlmConfig::default());
    let more = json!({"include": ["message.output_text.logprobs"], "top_logprobs": 2});
    let body = ask(&server, more.clone()).json();
    let scores = body["output"][1]["content"][0]["logprobs"].as_array().unwrap();
    let text: String = scores.iter().map(|score| score["token"].as_str().unwrap()).collect();
    assert!(text.ends_with("A bird and a bird make two."), "{text}");
    assert_eq!(scores[0]["top_logprobs"].as_array().unwrap().len(), 2);
    let mut streamed = more;
    streamed["stream"] = json!(true);
    let events = events(&ask(&server, streamed));
    let told: usize = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["logprobs"].as_array().unwrap().len())
        .sum();
    assert_eq!(told, scores.len());
}

#[test]
fn what_cannot_be_met_names_its_field() {
    let server = serve(LlmConfig::default());
    let function = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    for (more, param, word) in [
        (json!({"input": null}), "input", "missing"),
        (json!({"input": []}), "input", "empty"),
        (json!({"input": 3}), "input", "a string or a list"),
        (json!({"input": [{"role": "narrator", "content": "x"}]}), "input[0].role", "narrator"),
        (json!({"input": [{"type": "computer_call"}]}), "input[0].type", "computer_call"),
        (json!({"input": [{"role": "user", "content": "x", "mood": 1}]}), "input[0].mood", "not a field"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}),
            "input[0].content[0].type",
            "only read text",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type", "web_search"),
        (json!({"tools": function, "tool_choice": {"type": "function", "name": "g"}}), "tool_choice", "'g'"),
        (json!({"tool_choice": "required"}), "tool_choice", "no tools"),
        (json!({"tool_choice": {"type": "mcp"}}), "tool_choice.type", "mcp"),
        (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type", "grammar"),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity", "medium"),
        (json!({"reasoning": {"summary": "detailed"}}), "reasoning.summary", "auto"),
        (json!({"background": true}), "background", "not supported"),
        (json!({"truncation": "auto"}), "truncation", "nothing is ever cut"),
        (json!({"conversation": "c"}), "conversation", "previous_response_id"),
        (json!({"include": ["reasoning.encrypted_content"]}), "include", "content"),
        (json!({"top_logprobs": 2}), "top_logprobs", "include"),
        (json!({"metadata": {"a": 1}}), "metadata", "strings"),
        (json!({"max_output_tokens": 0}), "max_output_tokens", "1 to"),
        (json!({"stream_options": {"include_obfuscation": false}}), "stream_options", "stream: true"),
        (json!({"messages": []}), "messages", "not a field"),
    ] {
        let answer = ask(&server, more.clone());
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)), "{more}: {error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{more}: {error}");
    }
    let nothing_special = json!({"background": false, "truncation": "disabled", "tools": null, "text": null,
        "service_tier": "auto", "reasoning": {"effort": "low", "summary": "auto"}, "include": []});
    assert_eq!(ask(&server, nothing_special).status, 200);
    let long = ask(&server, json!({"input": "x".repeat(600)}));
    assert_eq!((long.status, &long.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
}

#[test]
fn a_client_sees_its_own_responses_only() {
    let keys = ["0123456789abcdef", "fedcba9876543210"];
    let server = serve(LlmConfig { api_keys: keys.map(String::from).to_vec(), ..LlmConfig::default() });
    let head = |key: usize| format!("authorization: Bearer {}\r\n", keys[key]);
    let body = json!({"input": "x", "max_output_tokens": 2}).to_string();
    let made = call(&server, "POST", "/v1/responses", &head(0), body.as_bytes()).json();
    let path = format!("/v1/responses/{}", made["id"].as_str().unwrap());
    assert_eq!(call(&server, "GET", &path, &head(0), b"").status, 200);
    assert_eq!(call(&server, "GET", &path, &head(1), b"").status, 404);
    assert_eq!(call(&server, "DELETE", &path, &head(1), b"").status, 404);
}
