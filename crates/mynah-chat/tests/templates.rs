//! Chat templates against what transformers renders (testdata/make_goldens.py), what they are found to expect, and
//! hostile ones.

use mynah_chat::{
    Arguments, CHATML, Content, Conversation, ErrorKind, Message, Now, RenderOptions, Role, Template,
    TokenTexts, Tool, ToolCall,
};
use serde_json::{Map, Value, json};

fn tokens() -> TokenTexts {
    TokenTexts { bos: Some("<s>".to_string()), eos: Some("</s>".to_string()), ..TokenTexts::default() }
}

fn template(source: &str) -> Template {
    Template::new(source, tokens()).expect("a template")
}

fn conversation(messages: &Value, tools: &Value) -> Conversation {
    let messages = messages
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| Message::from_json(message).expect("a message"));
    let tools = tools.as_array().into_iter().flatten().map(|tool| Tool::from_json(tool).expect("a tool"));
    Conversation { messages: messages.collect(), tools: tools.collect(), documents: Vec::new() }
}

fn options(value: &Value) -> RenderOptions {
    RenderOptions {
        add_generation_prompt: value["add_generation_prompt"].as_bool().unwrap_or(true),
        continue_final_message: value["continue_final_message"].as_bool().unwrap_or(false),
        kwargs: value["kwargs"].as_object().cloned().unwrap_or_default(),
        // datetime(2024, 2, 29, 13, 5, 9), the clock of the script.
        now: Some(Now { unix_s: 1_709_211_909, utc_offset_s: 0 }),
        enable_thinking: None,
    }
}

/// Every case of one template. Where transformers refuses a conversation, so must we, unless [`Capabilities`] say that it
/// was changed to fit.
fn check(source: &str, goldens: &str) {
    let template = template(source);
    let cases: Vec<Value> = serde_json::from_str(goldens).expect("goldens");
    for case in &cases {
        let conversation = conversation(&case["messages"], &case["tools"]);
        let rendered = template.render(&conversation, &options(&case["options"]));
        match (case["expect"].as_str(), rendered) {
            (Some(expect), Ok(text)) => assert_eq!(text, expect, "{}", case["messages"]),
            (None, Err(error)) => assert!(!error.to_string().is_empty()),
            (None, Ok(_)) => {
                let has_system = conversation.messages.iter().any(|message| message.role == Role::System);
                let changed = has_system && !template.capabilities(!conversation.tools.is_empty()).system;
                assert!(changed, "refused by transformers: {}", case["messages"]);
            }
            (Some(_), Err(error)) => panic!("{error}: {}", case["messages"]),
        }
    }
}

macro_rules! goldens {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(
                include_str!(concat!("../testdata/templates/", stringify!($name), ".jinja")),
                include_str!(concat!("../testdata/", stringify!($name), ".json")),
            );
        }
    )*};
}

goldens! {
    argument_tags bracketed dated_header generation_blocks parts_only_user python_values reversed_thinking typed_namespace
    whitespace
}

fn hello() -> Conversation {
    Conversation { messages: vec![Message::text(Role::User, "Hello")], ..Conversation::default() }
}

#[test]
fn chatml_serves_models_without_a_template() {
    let mut conversation = hello();
    conversation.messages.insert(0, Message::text(Role::System, "Be brief."));
    let text = template(CHATML).render(&conversation, &RenderOptions::default()).unwrap();
    assert_eq!(
        text,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn system_messages_are_not_lost_where_there_is_no_system_role() {
    let template = template(include_str!("../testdata/templates/parts_only_user.jinja"));
    assert!(!template.capabilities(false).system);
    assert!(template.capabilities(false).content_parts);
    let mut conversation = hello();
    conversation.messages.insert(0, Message::text(Role::Developer, "Be brief."));
    let text = template.render(&conversation, &RenderOptions::default()).unwrap();
    assert_eq!(text, "<s><turn>user\nBe brief.\n\nHello</turn>\n<turn>model\n");
    conversation.messages.truncate(1);
    assert_eq!(
        template.render(&conversation, &RenderOptions::default()).unwrap_err().kind(),
        ErrorKind::Conversation
    );
}

#[test]
fn arguments_are_given_as_the_template_wants_them() {
    let body = |arguments: &str| {
        format!(
            "{{% for m in messages %}}{{{{ m.content }}}}{{% for c in m.tool_calls or [] %}}{{{{ {arguments} }}}}{{% endfor %}}{{% endfor %}}"
        )
    };
    for (arguments, wanted, expect) in [
        ("c.function.arguments", Arguments::Text, "Hello{\"b\":1, \"a\": 2.0}"),
        ("c.function.arguments|tojson", Arguments::Object, "Hello{\"b\": 1, \"a\": 2.0}"),
    ] {
        let template = template(&body(arguments));
        assert_eq!(template.capabilities(true).arguments, wanted);
        let mut conversation = hello();
        let call = ToolCall {
            id: "x".to_string(),
            name: "f".to_string(),
            arguments: "{\"b\":1, \"a\": 2.0}".to_string(),
        };
        let answer = Message { content: None, tool_calls: vec![call], ..Message::text(Role::Assistant, "") };
        conversation.messages.push(answer);
        assert_eq!(template.render(&conversation, &RenderOptions::default()).unwrap(), expect);
        conversation.messages[1].tool_calls[0].arguments = "{not json".to_string();
        let result = template.render(&conversation, &RenderOptions::default());
        match wanted {
            Arguments::Text => assert_eq!(result.unwrap(), "Hello{not json"),
            Arguments::Object => assert_eq!(result.unwrap_err().kind(), ErrorKind::Conversation),
        }
    }
}

#[test]
fn call_ids_fit_templates_that_take_nine_letters() {
    let template = template(include_str!("../testdata/templates/bracketed.jinja"));
    assert!(template.capabilities(true).short_call_ids);
    let call =
        ToolCall { id: "call_0123456789".to_string(), name: "f".to_string(), arguments: "{}".to_string() };
    let mut conversation = hello();
    conversation.messages.push(Message { tool_calls: vec![call], ..Message::text(Role::Assistant, "") });
    conversation.messages.push(Message {
        tool_call_id: Some("call_0123456789".to_string()),
        ..Message::text(Role::Tool, "ok")
    });
    let text = template.render(&conversation, &RenderOptions::default()).unwrap();
    let id = text.split("\"id\": \"").nth(1).and_then(|rest| rest.get(..9)).unwrap();
    assert!(text.contains(&format!("\"call_id\": \"{id}\"")), "{text}");
}

#[test]
fn content_takes_the_form_of_the_template() {
    let only_parts =
        template("{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endfor %}");
    assert_eq!(only_parts.render(&hello(), &RenderOptions::default()).unwrap(), "[Hello]");
    let only_text = template("{% for m in messages %}{{ m.content + '' }}{% endfor %}");
    let parts = json!({ "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] });
    let message = Message::from_json(&parts).unwrap();
    assert!(matches!(message.content, Some(Content::Parts(_))));
    let conversation = Conversation { messages: vec![message], ..Conversation::default() };
    assert_eq!(only_text.render(&conversation, &RenderOptions::default()).unwrap(), "a\nb");
}

#[test]
fn named_templates_are_chosen_by_the_tools() {
    let template = Template::from_named(
        [("default", "plain"), ("tool_use", "tools {{ tools|length }}"), ("rag", "{{")],
        tokens(),
    );
    let template = template.expect("templates");
    let mut conversation = hello();
    assert_eq!(template.render(&conversation, &RenderOptions::default()).unwrap(), "plain");
    conversation.tools.push(Tool::function("f", None, json!({})));
    assert_eq!(template.render(&conversation, &RenderOptions::default()).unwrap(), "tools 1");
    assert!(Template::from_named([("rag", "x")], tokens()).is_err());
}

#[test]
fn options_reach_the_template() {
    let template = template(
        "{{ enable_thinking }}{{ thinking }}{{ x|default('-') }}{{ strftime_now is defined }}{{ bos_token }}",
    );
    let mut options = RenderOptions { enable_thinking: Some(false), ..RenderOptions::default() };
    assert_eq!(template.render(&hello(), &options).unwrap(), "FalseFalse-False<s>");
    options.kwargs = Map::from_iter([("x".to_string(), json!(3)), ("thinking".to_string(), json!(true))]);
    assert_eq!(template.render(&hello(), &options).unwrap(), "FalseTrue3False<s>");
}

#[test]
fn hostile_templates_end_with_an_error() {
    for (source, kind) in [
        ("{% if %}", ErrorKind::TemplateSyntax),
        ("{% for x in messages %}", ErrorKind::TemplateSyntax),
        ("{% include 'x' %}", ErrorKind::TemplateRender),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% set x = j %}{% endfor %}{% endfor %}",
            ErrorKind::TemplateLimit,
        ),
        ("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", ErrorKind::TemplateRender),
        ("{{ 'a' * 100000000000 }}", ErrorKind::TemplateRender),
        ("{% for i in range(10000) %}{{ 'a' * 10000 }}{% endfor %}", ErrorKind::TemplateLimit),
        ("{{ messages[0].content.nothing.more }}", ErrorKind::TemplateRender),
        ("{{ raise_exception('no ' ~ messages|length) }}", ErrorKind::TemplateRender),
        ("{{ messages.__class__.__mro__ }}", ErrorKind::TemplateRender),
    ] {
        let error = match Template::new(source, tokens()) {
            Err(error) => error,
            Ok(template) => template.render(&hello(), &RenderOptions::default()).expect_err(source),
        };
        assert_eq!(error.kind(), kind, "{source}: {error}");
    }
    let error = template("\n\n{{ raise_exception('no more than ' ~ messages|length) }}");
    let error = error.render(&hello(), &RenderOptions::default()).unwrap_err().to_string();
    assert!(error.contains("no more than 1") && error.contains("line 3"), "{error}");
    assert!(Template::new(&" ".repeat(2 << 20), tokens()).is_err());
}

#[test]
fn messages_and_tools_are_checked() {
    for (message, part) in [
        (json!([]), "object"),
        (json!({ "content": "x" }), "role"),
        (json!({ "role": "robot" }), "robot"),
        (json!({ "role": "user", "content": 3 }), "content"),
        (json!({ "role": "user", "content": [{ "text": "x" }] }), "type"),
        (json!({ "role": "user", "content": [{ "type": "text", "text": 3 }] }), "text"),
        (json!({ "role": "assistant", "tool_calls": {} }), "tool_calls"),
        (json!({ "role": "assistant", "tool_calls": [{ "id": "x" }] }), "function"),
        (
            json!({ "role": "assistant", "tool_calls": [{ "function": { "name": "f", "arguments": 3 } }] }),
            "arguments",
        ),
        (json!({ "role": "tool", "tool_call_id": 3 }), "tool_call_id"),
    ] {
        let error = Message::from_json(&message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conversation);
        assert!(error.to_string().contains(part), "{message}: {error}");
    }
    let nothing = json!({ "role": "assistant", "content": null, "tool_calls": null, "name": null });
    assert_eq!(Message::from_json(&nothing).unwrap().plain_text(), "");
    for tool in [
        json!(3),
        json!({ "type": "web_search" }),
        json!({ "type": "function", "function": {} }),
        json!({ "type": "function", "function": { "name": "a b" } }),
        json!({ "type": "function", "function": { "name": "f", "parameters": [] } }),
    ] {
        assert!(Tool::from_json(&tool).is_err(), "{tool}");
    }
}
