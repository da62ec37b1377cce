//! Grammars for forced calls: known calls match, other texts do not, and what a random walk through a grammar writes is
//! read by the format's own parser as calls that fit the schema.

mod common;

use std::sync::Arc;

use common::{parse, tools};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use mynah_base::Rng;
use mynah_chat::{Choice, ErrorKind, GrammarOptions, Thinking, Tool, ToolFormat, grammar};
use serde_json::{Value, json};

fn matcher(text: &str) -> Matcher {
    let environment: llguidance::toktrie::TokEnv = Arc::new(ApproximateTokEnv::single_byte());
    let mut factory = ParserFactory::new_simple(&environment).expect("a factory");
    factory.quiet();
    let parser = factory.create_parser(TopLevelGrammar::from_lark(text.to_string()));
    let matcher = Matcher::new(parser);
    assert!(!matcher.is_error(), "{:?}\n{text}", matcher.get_error());
    matcher
}

fn write(format: ToolFormat, tools: &[Tool], choice: Choice, parallel: bool) -> String {
    let options = GrammarOptions { parallel, reasoning: None, token_id: &|_| None };
    grammar(format, tools, choice, &options).expect("a grammar")
}

/// Whether a text is a whole answer under the grammar.
fn accepts(grammar: &str, text: &str) -> bool {
    let mut matcher = matcher(grammar);
    let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
    let taken = matcher.try_consume_tokens(&tokens).expect("a text is tried");
    taken == tokens.len() && matcher.is_accepting().expect("a state")
}

fn formats() -> impl Iterator<Item = ToolFormat> {
    ToolFormat::all().filter(|format| !matches!(format, ToolFormat::Mynah | ToolFormat::None))
}

#[test]
fn known_calls_match_and_others_do_not() {
    let weather = "{\"city\": \"Oslo\", \"days\": 3}";
    let cases = [
        (ToolFormat::Hermes, format!("<tool_call>\n{{\"name\": \"get_weather\", \"arguments\": {weather}}}\n</tool_call>")),
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>".to_string(),
        ),
        (ToolFormat::Llama3Json, format!("{{\"name\": \"get_weather\", \"parameters\": {weather}}}")),
        (ToolFormat::Pythonic, "[get_weather(city=\"Oslo\", days=3)]".to_string()),
        (ToolFormat::Mistral, format!("[TOOL_CALLS][{{\"name\": \"get_weather\", \"arguments\": {weather}}}]")),
        (
            ToolFormat::MinimaxM2,
            "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Oslo</parameter>\n<parameter name=\"days\">3</parameter>\n</invoke>\n</minimax:tool_call>".to_string(),
        ),
        (ToolFormat::Nemotron, format!("<TOOLCALL>[{{\"name\": \"get_weather\", \"arguments\": {weather}}}]</TOOLCALL>")),
        (
            ToolFormat::Glm4,
            "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>".to_string(),
        ),
        (
            ToolFormat::KimiK2,
            format!("<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{weather}<|tool_call_end|><|tool_calls_section_end|>"),
        ),
        (
            ToolFormat::DeepseekV3,
            format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{weather}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        ),
        (ToolFormat::Gemma, format!("[{{\"name\": \"get_weather\", \"parameters\": {weather}}}]")),
        (ToolFormat::GptOss, format!("<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{weather}")),
    ];
    assert_eq!(cases.len(), formats().count());
    for (format, text) in &cases {
        let grammar = write(*format, &tools(), Choice::Named("get_weather"), false);
        assert!(accepts(&grammar, text), "{format:?}: {text}\n{grammar}");
        let lines = parse(*format, None, &[text]);
        assert_eq!(lines.len(), 1, "{format:?}: {lines:?}");
        assert!(
            lines[0].starts_with("call ") && lines[0].ends_with(&format!("get_weather {weather}")),
            "{lines:?}"
        );
        for wrong in [
            text.replace("get_weather", "noop"),
            text.replace("days", "nights"),
            text.replace('3', "x"),
            text[..text.len() - 1].to_string(),
            format!("Sure. {text}"),
            String::new(),
        ] {
            assert!(!accepts(&grammar, &wrong), "{format:?}: {wrong}\n{grammar}");
        }
    }
}

/// A walk through a grammar: any byte that is allowed.
fn walk(grammar: &str, rng: &mut Rng) -> Option<String> {
    let mut matcher = matcher(grammar);
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() < 900 {
        if matcher.is_stopped() || (matcher.is_accepting().expect("a state") && rng.below(3) == 0) {
            return Some(String::from_utf8(bytes).expect("grammars keep to UTF-8"));
        }
        let mask = matcher.compute_mask().expect("a mask");
        let allowed: Vec<u8> = (0..=255).filter(|byte| mask.is_allowed(u32::from(*byte))).collect();
        if allowed.is_empty() {
            return matcher
                .is_accepting()
                .expect("a state")
                .then(|| String::from_utf8(bytes).expect("UTF-8"));
        }
        let plain: Vec<u8> = allowed.iter().copied().filter(|byte| (b' '..=b'~').contains(byte)).collect();
        let choices = if plain.is_empty() || rng.below(20) == 0 { &allowed } else { &plain };
        // After a while what closes something is tried first, so that most walks come to an end.
        if bytes.len() > 60 && rng.below(3) > 0 {
            const CLOSERS: [&str; 6] = ["</parameter>", "</arg_value>", "\"", "}", "]", ")"];
            let closer = CLOSERS[rng.below(CLOSERS.len() as u64) as usize];
            let tokens: Vec<u32> = closer.bytes().map(u32::from).collect();
            if matcher.validate_tokens(&tokens).expect("a text is tried") == tokens.len() {
                matcher.consume_tokens(&tokens).expect("allowed bytes");
                bytes.extend_from_slice(closer.as_bytes());
                continue;
            }
        }
        let byte = choices[rng.below(choices.len() as u64) as usize];
        matcher.consume_token(u32::from(byte)).expect("an allowed byte");
        bytes.push(byte);
    }
    None
}

/// Whether arguments fit one of the test's tools; only what these schemas use.
fn fits(name: &str, arguments: &Value, tools: &[Tool]) -> bool {
    let Some(tool) = tools.iter().find(|tool| tool.name() == name) else { return false };
    let Some(object) = arguments.as_object() else { return false };
    let schema = tool.parameters();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    required.iter().all(|key| key.as_str().is_some_and(|key| object.contains_key(key)))
        && object.iter().all(|(key, value)| {
            let Some(schema) = tool.parameter(key) else { return false };
            let is = |kind: &str| match kind {
                "string" => value.is_string(),
                "integer" => {
                    value.is_i64()
                        || value.is_u64()
                        || value.as_f64().is_some_and(|value| value.fract() == 0.0)
                }
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                "array" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
                "null" => value.is_null(),
                _ => false,
            };
            let kinds = match &schema["type"] {
                Value::String(kind) => vec![kind.as_str()],
                Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            kinds.iter().any(|kind| is(kind))
                && schema.get("enum").is_none_or(|values| values.as_array().unwrap().contains(value))
        })
}

#[test]
fn what_a_grammar_lets_through_is_a_call() {
    let tools = tools();
    for format in formats() {
        for parallel in [false, true] {
            let text = write(format, &tools, Choice::Required, parallel);
            let mut finished = 0;
            for seed in 0..6 {
                let mut rng = Rng::for_item(format as u64 * 2 + u64::from(parallel), seed);
                let Some(answer) = walk(&text, &mut rng) else { continue };
                finished += 1;
                let lines = parse(format, None, &[&answer]);
                assert!(!lines.is_empty());
                for line in &lines {
                    let call = line
                        .strip_prefix("call ")
                        .unwrap_or_else(|| panic!("{format:?}: {line}\nin {answer:?}"));
                    let (head, arguments) = call.split_once(" {").expect("a name and arguments");
                    let name = head.rsplit(' ').next().expect("a name");
                    let arguments = match serde_json::from_str::<Value>(&format!("{{{arguments}")) {
                        Ok(arguments) => arguments,
                        // JSON, but beyond what a float holds.
                        Err(error) if error.to_string().contains("out of range") => continue,
                        Err(error) => panic!("{format:?}: {error}: {line}"),
                    };
                    assert!(fits(name, &arguments, &tools), "{format:?}: {line}\nin {answer:?}");
                }
                assert!(parallel || lines.len() == 1, "{lines:?}");
            }
            assert!(finished > 0, "{format:?}: no walk came to an end");
        }
    }
}

#[test]
fn schemas_beyond_plain_properties_are_forced_as_json() {
    let hard = Tool::function(
        "hard",
        None,
        json!({ "type": "object", "properties": {
            "code": { "type": "string", "pattern": "^[A-Z]{3}$" }, "at": { "$ref": "#/$defs/place" } },
            "required": ["code", "at"], "$defs": { "place": { "type": "object", "properties": { "x": { "type": "integer" } },
            "required": ["x"], "additionalProperties": false } } }),
    );
    for format in formats() {
        let options = GrammarOptions { parallel: false, reasoning: None, token_id: &|_| None };
        let text =
            grammar(format, std::slice::from_ref(&hard), Choice::Required, &options).expect("a grammar");
        matcher(&text);
    }
    let text = write(ToolFormat::Qwen3Coder, std::slice::from_ref(&hard), Choice::Required, false);
    let call = |code: &str| {
        format!(
            "<tool_call>\n{{\"name\": \"hard\", \"arguments\": {{\"code\": \"{code}\", \"at\": {{\"x\": 1}}}}}}\n</tool_call>"
        )
    };
    assert!(accepts(&text, &call("ABC")));
    assert!(!accepts(&text, &call("abc")));
    // References reach the definitions where the parameters stand alone.
    let text = write(ToolFormat::Pythonic, &[hard], Choice::Required, false);
    assert!(accepts(&text, "[hard(code=\"ABC\", at={\"x\": 1})]"));
    assert!(!accepts(&text, "[hard(code=\"ABC\", at={\"y\": 1})]"));
}

#[test]
fn marks_that_are_tokens_are_forced_as_tokens() {
    let token_id = |text: &str| match text {
        "<tool_call>" => Some(7),
        "</tool_call>" => Some(8),
        "</think>" => Some(9),
        _ => None,
    };
    let open = Thinking { is_open: true, ..Thinking::think_tags() };
    let options = GrammarOptions { parallel: false, reasoning: Some(&open), token_id: &token_id };
    let text = grammar(ToolFormat::Hermes, &tools(), Choice::Named("noop"), &options).expect("a grammar");
    assert!(text.contains("<[7]>") && text.contains("<[8]>") && text.contains("<[9]>"), "{text}");
    assert!(!text.contains("\"<tool_call>\""), "{text}");
    let options = GrammarOptions { parallel: false, reasoning: Some(&open), token_id: &|_| None };
    let text = grammar(ToolFormat::Hermes, &tools(), Choice::Named("noop"), &options).expect("a grammar");
    let call = "<tool_call>\n{\"name\": \"noop\", \"arguments\": {}}\n</tool_call>";
    assert!(accepts(&text, &format!("I think.\n</think>\n\n{call}")));
    assert!(!accepts(&text, call));
}

#[test]
fn what_cannot_be_forced_is_refused() {
    let options = GrammarOptions { parallel: false, reasoning: None, token_id: &|_| None };
    let kind = |format, tools: &[Tool], choice| grammar(format, tools, choice, &options).unwrap_err().kind();
    assert_eq!(kind(ToolFormat::Hermes, &[], Choice::Required), ErrorKind::Conversation);
    assert_eq!(kind(ToolFormat::Hermes, &tools(), Choice::Named("x")), ErrorKind::Conversation);
    assert_eq!(kind(ToolFormat::Mynah, &tools(), Choice::Required), ErrorKind::Unsupported);
    assert_eq!(kind(ToolFormat::None, &tools(), Choice::Required), ErrorKind::Unsupported);
}
