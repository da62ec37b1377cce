//! Calls reported while they arrive: when they are told of, what is passed on, and what happens when they break off.
//! (That they are the calls of the other mode is checked with every answer in `parsers.rs`.)

mod common;

use common::{characters, parse_incremental, tools};
use mynah_chat::{Event, Parser, ToolFormat};

/// The pieces of arguments that each character of an answer brings, joined by `|`.
#[track_caller]
fn check_pieces(format: ToolFormat, answer: &str, expect: &str) {
    let mut parser = Parser::incremental(format, &tools(), None);
    let mut pieces = Vec::new();
    for character in characters(answer) {
        for event in parser.push(character) {
            if let Event::CallArguments { delta, .. } = event {
                pieces.push(delta);
            }
        }
    }
    assert_eq!(pieces.join("|"), expect, "{answer}");
}

#[test]
fn arguments_are_passed_on_by_the_character() {
    let (arguments, expect) = ("{\"a\": 1}", "{|\"|a|\"|:| |1|}");
    let object = |key: &str| format!("{{\"name\": \"noop\", \"{key}\": {arguments}}}");
    for (format, answer) in [
        (ToolFormat::Hermes, format!("<tool_call>\n{}\n</tool_call>", object("arguments"))),
        (ToolFormat::Hermes, format!("<tool_call>[{}]</tool_call>", object("arguments"))),
        (ToolFormat::Nemotron, format!("<TOOLCALL>[{}]</TOOLCALL>", object("arguments"))),
        (ToolFormat::Llama3Json, object("parameters")),
        (ToolFormat::Llama3Json, format!("<|python_tag|>{}", object("parameters"))),
        (ToolFormat::Mistral, format!("[TOOL_CALLS] [{}]", object("arguments"))),
        (ToolFormat::Mistral, format!("[TOOL_CALLS]noop[ARGS]{arguments}")),
        (
            ToolFormat::KimiK2,
            format!(
                "<|tool_call_begin|>functions.noop:0<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
            ),
        ),
        (
            ToolFormat::DeepseekV3,
            format!("<｜tool▁call▁begin｜>noop<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"),
        ),
        (
            ToolFormat::DeepseekV3,
            format!(
                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>noop\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
            ),
        ),
        (
            ToolFormat::GptOss,
            format!(
                "<|channel|>commentary to=functions.noop <|constrain|>json<|message|>{arguments}<|call|>"
            ),
        ),
    ] {
        check_pieces(format, &answer, expect);
    }
}

#[test]
fn other_calls_come_whole() {
    for (format, answer, expect) in [
        // The name is not known yet, or not one of the tools; arguments in a text; values between tags.
        (
            ToolFormat::Hermes,
            "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"noop\"}</tool_call>",
            "{\"a\": 1}",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>{\"name\": \"other\", \"arguments\": {\"a\": 1}}</tool_call>",
            "{\"a\": 1}",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>{\"name\": \"noop\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
            "{\"a\": 1}",
        ),
        (
            ToolFormat::Qwen3Coder,
            "<tool_call><function=play><parameter=file>\na\n</parameter></function></tool_call>",
            "{\"file\": \"a\"}",
        ),
    ] {
        check_pieces(format, answer, expect);
    }
}

#[track_caller]
fn check(format: ToolFormat, answer: &str, expect: &[&str]) {
    assert_eq!(parse_incremental(format, None, &[answer]), expect, "whole: {answer}");
    assert_eq!(parse_incremental(format, None, &characters(answer)), expect, "by character: {answer}");
}

#[test]
fn a_call_that_breaks_off_has_no_end() {
    let begun = "<tool_call>{\"name\": \"noop\", \"arguments\": {\"a\": ";
    check(ToolFormat::Hermes, begun, &["cut noop {\"a\": "]);
    check(
        ToolFormat::Hermes,
        &format!("{begun}'x'}}}}</tool_call>"),
        &["cut noop {\"a\": ", "text 'x'}}</tool_call>"],
    );
    // Before its arguments begin, it is text as ever.
    check(
        ToolFormat::Hermes,
        "<tool_call>{\"name\": \"noop\", \"arguments\": ",
        &["text <tool_call>{\"name\": \"noop\", \"arguments\": "],
    );
    // Whole arguments are a call, whatever comes after them.
    check(ToolFormat::Hermes, &format!("{begun}1}}"), &["call noop {\"a\": 1}"]);
    check(
        ToolFormat::Hermes,
        &format!("{begun}1}}, \"x\": [2]}}</tool_call>!"),
        &["call noop {\"a\": 1}", "text !"],
    );
    let list = "[TOOL_CALLS][{\"name\": \"noop\", \"arguments\": {}}, ";
    check(ToolFormat::Mistral, &format!("{list}3]"), &["call noop {}", "text , 3]"]);
    check(
        ToolFormat::Mistral,
        &format!(
            "{list}{{\"arguments\": {{}}, \"name\": \"play\"}}, {{\"name\": \"noop\", \"arguments\": {{}}}}]"
        ),
        &["call noop {}", "call play {}", "call noop {}"],
    );
    let harmony = "<|channel|>commentary to=functions.noop<|message|>{\"a\": ";
    check(
        ToolFormat::GptOss,
        &format!("{harmony}<|call|><|start|>assistant<|channel|>final<|message|>Hi"),
        &["cut noop {\"a\": ", "text Hi"],
    );
    check(
        ToolFormat::GptOss,
        &format!("{harmony}1}} \n<|call|><|start|>assistant<|channel|>final<|message|>Hi"),
        &["call noop {\"a\": 1}", "text Hi"],
    );
}
