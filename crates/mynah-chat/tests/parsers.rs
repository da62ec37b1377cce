//! Every format's calls as its public documentation shows them, and what only looks like one; each answer fed whole, by
//! character and in random pieces.

mod common;

use common::{characters, parse, parse_incremental, random_pieces};
use mynah_base::Rng;
use mynah_chat::{Thinking, ToolFormat};

/// The one place that touches the parser.
#[track_caller]
fn check_with(format: ToolFormat, thinking: Option<Thinking>, answer: &str, expect: &[&str]) {
    assert_eq!(parse(format, thinking.clone(), &[answer]), expect, "whole: {answer}");
    assert_eq!(parse(format, thinking.clone(), &characters(answer)), expect, "by character: {answer}");
    let mut rng = Rng::new(answer.len() as u64);
    // Told of early, calls are the same unless they turn out to be none.
    let early = parse_incremental(format, thinking.clone(), &[answer]);
    assert!(early == expect || early.iter().any(|line| line.starts_with("cut ")), "early: {early:?}");
    assert_eq!(parse_incremental(format, thinking.clone(), &characters(answer)), early, "early: {answer}");
    for _ in 0..8 {
        let pieces = random_pieces(answer, &mut rng);
        assert_eq!(parse(format, thinking.clone(), &pieces), expect, "in pieces: {pieces:?}");
        assert_eq!(
            parse_incremental(format, thinking.clone(), &pieces),
            early,
            "early in pieces: {pieces:?}"
        );
    }
}

#[track_caller]
fn check(format: ToolFormat, answer: &str, expect: &[&str]) {
    check_with(format, Some(Thinking::think_tags()), answer, expect);
}

/// These are text, in this format and all of them.
#[track_caller]
fn check_text(format: ToolFormat, answers: &[&str]) {
    for answer in answers {
        check(format, answer, &[&format!("text {answer}")]);
    }
}

const WEATHER: &str = "call get_weather {\"city\": \"Oslo\"}";

#[test]
fn hermes() {
    let format = ToolFormat::Hermes;
    let call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
    check(format, call, &[WEATHER]);
    check(format, &format!("Let me look.\n{call}"), &["text Let me look.", WEATHER]);
    check(format, &format!("Look: {call} Done."), &["text Look: ", WEATHER, "text Done."]);
    check(format, &format!("{call}\n{call}\n"), &[WEATHER, WEATHER]);
    // Several in one block, one after another and as a list.
    let two = "{\"name\": \"noop\", \"arguments\": {}}\n{\"name\": \"play\", \"arguments\": {\"file\": \"Artist - Song.mp3\"}}";
    let expect = ["call noop {}", "call play {\"file\": \"Artist - Song.mp3\"}"];
    check(format, &format!("<tool_call>{two}</tool_call>"), &expect);
    check(format, &format!("<tool_call>[{}]</tool_call>", two.replace('\n', ", ")), &expect);
    // The closing mark as a text of the arguments, and left out.
    check(
        format,
        "<tool_call>{\"name\": \"play\", \"arguments\": {\"file\": \"</tool_call>\"}}</tool_call>",
        &["call play {\"file\": \"</tool_call>\"}"],
    );
    check(format, call.strip_suffix("\n</tool_call>").unwrap(), &[WEATHER]);
    // One brace short, one too many, arguments in a text, numbers as they were written.
    check(format, &call.replace("}}", "}"), &[WEATHER]);
    check(format, &call.replace("}}", "}}}"), &[WEATHER]);
    check(
        format,
        "<tool_call>{\"name\": \"noop\", \"arguments\": \"{\\\"a\\\": 1.0}\"}</tool_call>",
        &["call noop {\"a\": 1.0}"],
    );
    check(format, "<tool_call>{\"name\": \"noop\"}</tool_call>", &["call noop {}"]);
    check_text(
        format,
        &[
            "Use <tool_call> to call.",
            "<tool_call>not json</tool_call>",
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Os",
            "<tool_call>{\"name\": 3, \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"noop\", \"arguments\": [1]}</tool_call>",
            "<tool_call>{\"name\": \"noop\", \"arguments\": \"Artist - Song.mp3\"}</tool_call>",
            "<tool_call>{\"name\": \"noop\", \"arguments\": {'a': 1}}</tool_call>",
            "<tool_call>",
            "<tool_",
            "a < b <t",
        ],
    );
}

/// Models of the Hermes and Qwen kind often leave their mark out.
#[test]
fn hermes_without_its_mark() {
    let format = ToolFormat::Hermes;
    let object = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}";
    for answer in [
        object.to_string(),
        format!("\n{}", object.replace(": {", ":\n {")),
        format!("```json\n{object}\n```"),
        format!("```\n{object}"),
        format!("<tools>\n{object}\n</tools>"),
        format!("<tool>{object}</tool>"),
        format!("```xml\n<function_call> {object} </function_call>\n```"),
        "<function=get_weather>{\"city\": \"Oslo\"}</function>".to_string(),
        "<function name=\"get_weather\">\n{\"city\": \"Oslo\"}\n</function>".to_string(),
    ] {
        check(format, &answer, &[WEATHER]);
        check(format, &format!("{answer}\n{object}"), &[WEATHER, WEATHER]);
        check(format, &format!("<think>Hm.</think>{answer}"), &["think Hm.", WEATHER]);
        // Only at the beginning, of tools that exist, and with arguments.
        check_text(format, &[&format!("So: {answer}"), &answer.replace("get_weather", "other")]);
    }
    check_text(
        format,
        &[
            "{\"name\": \"get_weather\"}",
            "{\"city\": \"Oslo\"}",
            "```python\nprint(1)\n```",
            "<tools>none</tools>",
            "<function=get_weather>text</function>",
        ],
    );
}

#[test]
fn reasoning() {
    let format = ToolFormat::Hermes;
    let call = "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}</tool_call>";
    let open = Some(Thinking { is_open: true, ..Thinking::think_tags() });
    check(format, "<think>\nHm.\n\nYes.\n</think>\n\nHello.", &["think Hm.\n\nYes.", "text Hello."]);
    check_with(format, open.clone(), "Hm.\n</think>\n\nHello.", &["think Hm.", "text Hello."]);
    // The model opens what the prompt has opened already.
    check_with(format, open.clone(), "<think>\nHm.</think>Hello.", &["think Hm.", "text Hello."]);
    check(format, "<think><think>\nHm. <think></think>Hello.", &["think Hm. <think>", "text Hello."]);
    check_with(format, open.clone(), "Hm, cut", &["think Hm, cut"]);
    check(format, "<think>\n\n</think>\n\nHello.", &["text Hello."]);
    // Calls inside thinking are not lost, and what only looks like one stays reasoning.
    check_with(
        format,
        open.clone(),
        &format!("Hm.\n{call}\nGood.</think>Hi"),
        &["think Hm.", WEATHER, "think Good.", "text Hi"],
    );
    check_with(format, open.clone(), &format!("Hm.\n{call}"), &["think Hm.", WEATHER]);
    check_with(format, open, "A <tool_call> is</think>Hi", &["think A <tool_call> is", "text Hi"]);
    // Thinking again after a call; text about the tag is text.
    check(format, &format!("{call}<think>a</think>{call}"), &[WEATHER, "think a", WEATHER]);
    check(format, "The tag <think> opens.", &["text The tag <think> opens."]);
    check(format, "No end </think> here.", &["text No end </think> here."]);
    check_with(format, None, "<think>a</think>b", &["text <think>a</think>b"]);
    let marks = Thinking::detect("… [THINK] … [/THINK] …").unwrap();
    check_with(ToolFormat::Mistral, Some(marks), "[THINK]a[/THINK]b", &["think a", "text b"]);
    let marks = Thinking::detect("{{ '<|channel>thought\\n<channel|>' }}").unwrap();
    check_with(ToolFormat::Gemma, Some(marks), "<|channel>thought\na<channel|>b", &["think a", "text b"]);
    assert!(Thinking::think_tags().after_prompt("<|im_start|>assistant\n<think>\n").is_open);
    assert!(!Thinking::think_tags().after_prompt("<|im_start|>assistant\n<think>\n\n</think>\n\n").is_open);
}

#[test]
fn qwen3_coder() {
    let format = ToolFormat::Qwen3Coder;
    let of = |parameters: &str| {
        format!("<tool_call>\n<function=get_weather>\n{parameters}</function>\n</tool_call>")
    };
    let parameter = |name: &str, value: &str| format!("<parameter={name}>\n{value}\n</parameter>\n");
    let city = parameter("city", "Oslo");
    check(format, &of(&city), &[WEATHER]);
    check(
        format,
        &of(&[
            &city,
            &parameter("days", "3"),
            &parameter("metric", "True"),
            &parameter("tags", "[\"a\", \"b\"]"),
        ]
        .map(String::as_str)
        .concat()),
        &["call get_weather {\"city\": \"Oslo\", \"days\": 3, \"metric\": true, \"tags\": [\"a\", \"b\"]}"],
    );
    // A text that looks like something else stays a text; a null where the schema has one is null.
    for (value, json) in [("3", "\"3\""), ("null", "\"null\""), ("  x\ny ", "\"  x\\ny \""), ("", "\"\"")] {
        check(format, &of(&parameter("city", value)), &[&format!("call get_weather {{\"city\": {json}}}")]);
    }
    check(format, &of(&parameter("note", "null")), &["call get_weather {\"note\": null}"]);
    check(format, &of(&parameter("days", "soon")), &["call get_weather {\"days\": \"soon\"}"]);
    // The closing tag inside a value; tags left out.
    check(
        format,
        &of(&parameter("city", "a </parameter> b")),
        &["call get_weather {\"city\": \"a </parameter> b\"}"],
    );
    let expect = ["call get_weather {\"city\": \"Oslo\", \"days\": 3}"];
    check(format, &of("<parameter=city>\nOslo\n<parameter=days>\n3\n</parameter>\n"), &expect);
    check(format, &of("<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n"), &expect);
    check(format, of(&city).strip_prefix("<tool_call>\n").unwrap(), &[WEATHER]);
    check(format, &format!("{}\n{}", of(&city), of(&city)), &[WEATHER, WEATHER]);
    check(format, "<tool_call>\n<function=noop>\n</function>\n</tool_call>", &["call noop {}"]);
    check(format, &of(&city).replace("tool_call>", "seed:tool_call>"), &[WEATHER]);
    // Two functions in one block, and JSON as Hermes has it.
    check(
        format,
        &of(&city).replace("</tool_call>", "<function=noop></function></tool_call>"),
        &[WEATHER, "call noop {}"],
    );
    check(format, "<tool_call>{\"name\": \"noop\", \"arguments\": {}}</tool_call>", &["call noop {}"]);
    check_text(
        format,
        &[
            "<function=",
            "<function=a b>",
            "<function=noop>text</function>",
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nOs",
        ],
    );
}

#[test]
fn llama3_json() {
    let format = ToolFormat::Llama3Json;
    let call = "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}";
    check(format, call, &[WEATHER]);
    check(format, &format!("<|python_tag|>{call}"), &[WEATHER]);
    check(format, &format!("{call}; {call}"), &[WEATHER, WEATHER]);
    check(format, &format!("{call}\n{call}"), &[WEATHER, WEATHER]);
    check(format, &format!("I will call {call}"), &["text I will call ", WEATHER]);
    check(format, "{\"type\": \"function\", \"name\": \"noop\", \"parameters\": {}}", &["call noop {}"]);
    check(format, "<function=get_weather>{\"city\": \"Oslo\"}</function>", &[WEATHER]);
    check(format, "<|python_tag|>get_weather.call(city=\"Oslo\")", &[WEATHER]);
    check_text(
        format,
        &[
            "{\"name\": \"unknown\", \"parameters\": {}}",
            "{\"name\": \"noop\"}",
            "{\"name\": \"Ann\", \"age\": 3}",
            "fn main() { println!(\"{}\", 1); }",
            "{\"parameters\": {}}",
            "{\"name\": \"get_weather\", \"parameters\": {\"city\"",
            "<|python_tag|>print(1)",
        ],
    );
}

#[test]
fn pythonic() {
    let format = ToolFormat::Pythonic;
    check(format, "[get_weather(city=\"Oslo\")]", &[WEATHER]);
    check(format, "<|python_start|>[get_weather(city='Oslo')]<|python_end|>", &[WEATHER]);
    check(
        format,
        "[get_weather(city='it\\'s', days=-3, metric=True, tags=['a', \"]\"], note=None), noop()]",
        &[
            "call get_weather {\"city\": \"it's\", \"days\": -3, \"metric\": true, \"tags\": [\"a\", \"]\"], \"note\": null}",
            "call noop {}",
        ],
    );
    check(format, "[get_weather(\"Oslo\")]", &[WEATHER]);
    check(format, "Look: [get_weather(city=\"Oslo\")] and so", &["text Look: ", WEATHER, "text and so"]);
    // LFM2's marks.
    check(
        format,
        "Look.<|tool_call_start|>[get_weather(city=\"Oslo\")]<|tool_call_end|> So.",
        &["text Look.", WEATHER, "text So."],
    );
    check(
        format,
        "<|tool_call_start|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]<|tool_call_end|>",
        &[WEATHER],
    );
    check_text(
        format,
        &[
            "[1, 2]",
            "[unknown(a=1)]",
            "[get_weather(city=x)]",
            "[get_weather(city=\"Oslo\"",
            "[see (1)]",
            "A [link](get_weather) and [other(city=\"Oslo\")]",
        ],
    );
}

#[test]
fn mistral() {
    let format = ToolFormat::Mistral;
    let object = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}";
    check(format, &format!("[TOOL_CALLS] [{object}]"), &[WEATHER]);
    check(format, &format!("Look.[TOOL_CALLS][{object}, {object}]"), &["text Look.", WEATHER, WEATHER]);
    check(format, "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}", &[WEATHER]);
    check(
        format,
        "[TOOL_CALLS]get_weather{\"city\": \"Oslo\"}[TOOL_CALLS]noop{}",
        &[WEATHER, "call noop {}"],
    );
    check(
        format,
        "[TOOL_CALLS]get_weather[CALL_ID]abc123XYZ[ARGS]{\"city\": \"Oslo\"}",
        &["call #abc123XYZ get_weather {\"city\": \"Oslo\"}"],
    );
    check_text(
        format,
        &[
            "[TOOL_CALLS]",
            "[TOOL_CALLS] now",
            "[TOOL_CALLS][{\"name\": \"a\"",
            "[TOOL_CALLS]noop[ARGS]{\"a\": }",
        ],
    );
}

#[test]
fn minimax_m2() {
    let format = ToolFormat::MinimaxM2;
    let call = "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Oslo</parameter>\n</invoke>\n</minimax:tool_call>";
    check(format, call, &[WEATHER]);
    check(
        format,
        &call.replace("</invoke>", "<parameter name=\"days\">3</parameter>\n</invoke>\n<invoke name=\"play\"><parameter name=\"file\">null</parameter></invoke>"),
        &["call get_weather {\"city\": \"Oslo\", \"days\": 3}", "call play {\"file\": \"null\"}"],
    );
    check_text(format, &["<minimax:tool_call>", "<minimax:tool_call><invoke>", "<invoke name=\"a\">"]);
}

#[test]
fn nemotron() {
    let format = ToolFormat::Nemotron;
    let object = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}";
    check(format, &format!("<TOOLCALL>[{object}]</TOOLCALL>"), &[WEATHER]);
    check(format, &format!("<TOOLCALL>[{object}, {object}]</TOOLCALL> ok"), &[WEATHER, WEATHER, "text ok"]);
    check(format, &format!("<TOOLCALL>{object}</TOOLCALL>"), &[WEATHER]);
    check_text(format, &["<TOOLCALL>[]</TOOLCALL>", "<TOOLCALL>[{\"name\"", "TOOLCALL"]);
}

#[test]
fn glm4() {
    let format = ToolFormat::Glm4;
    let call = "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>";
    check(format, call, &[WEATHER]);
    check(format, &call.replace('\n', ""), &[WEATHER]);
    check(
        format,
        &call.replace(
            "</tool_call>",
            "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n<tool_call>noop\n</tool_call>",
        ),
        &["call get_weather {\"city\": \"Oslo\", \"days\": 3}", "call noop {}"],
    );
    check(
        format,
        &call.replace("Oslo", "a</arg_value>b"),
        &["call get_weather {\"city\": \"a</arg_value>b\"}"],
    );
    check(format, "get_weather\n{\"city\": \"Oslo\"}", &[WEATHER]);
    check_text(
        format,
        &[
            "<tool_call>some text</tool_call>",
            "<tool_call>get_weather\n<arg_key>city</arg_key>",
            "get_weather\nis a tool",
            "unknown\n{}",
        ],
    );
}

#[test]
fn kimi_k2() {
    let format = ToolFormat::KimiK2;
    let call = |id: &str, arguments: &str| {
        format!("<|tool_call_begin|>{id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>")
    };
    let one = call("functions.get_weather:0", "{\"city\": \"Oslo\"}");
    let two = call("functions.noop:1", "{}");
    let expect =
        ["call #functions.get_weather:0 get_weather {\"city\": \"Oslo\"}", "call #functions.noop:1 noop {}"];
    check(format, &format!("<|tool_calls_section_begin|>{one}{two}<|tool_calls_section_end|>"), &expect);
    check(format, &format!("{one}\n{two}"), &expect);
    check_text(
        format,
        &[
            &call("0", "{}"),
            "<|tool_calls_section_begin|> noise",
            "<|tool_call_begin|>functions.noop:0<|tool_call_argument_begin|>{<|tool_call_end|>",
        ],
    );
}

#[test]
fn deepseek_v3() {
    let format = ToolFormat::DeepseekV3;
    let section = |inside: &str| format!("<｜tool▁calls▁begin｜>{inside}<｜tool▁calls▁end｜>");
    let old = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜>";
    let new = "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Oslo\"}<｜tool▁call▁end｜>";
    check(format, &section(old), &[WEATHER]);
    let unmarked = old.strip_prefix("<｜tool▁call▁begin｜>").unwrap();
    check(format, &section(unmarked), &[WEATHER]);
    check(format, &section(unmarked).replace("▁begin｜>", "｜>"), &[WEATHER]);
    check(format, &section(&format!("{old}\n{old}")), &[WEATHER, WEATHER]);
    check(format, &format!("Look.\n{}", section(&format!("{new}{new}"))), &["text Look.", WEATHER, WEATHER]);
    let dsml = "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Oslo</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>";
    check(format, dsml, &["call get_weather {\"city\": \"Oslo\", \"days\": 3}"]);
    check_text(
        format,
        &[
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>noop\n```json\n{\"a\"",
            "a<｜tool▁",
        ],
    );
}

#[test]
fn gemma() {
    let format = ToolFormat::Gemma;
    check(format, "```tool_code\nget_weather(city=\"Oslo\")\n```", &[WEATHER]);
    check(
        format,
        "```tool_code\nprint(get_weather(city=\"Oslo\"))\nprint(noop())\n```\n",
        &[WEATHER, "call noop {}"],
    );
    check(format, "[get_weather(city=\"Oslo\")]", &[WEATHER]);
    check(format, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}", &[WEATHER]);
    check(
        format,
        "Sure.\n```json\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}\n```",
        &["text Sure.", WEATHER],
    );
    let native = "<start_function_call>call:get_weather{city:<escape>Oslo<escape>}<end_function_call>";
    check(format, &format!("{native}{native}"), &[WEATHER, WEATHER]);
    check(
        format,
        "<|tool_call>call:get_weather{city:<|\"|>a, }<tool_call|><|\"|>,days:3,metric:true,tags:[<|\"|>x<|\"|>],o:{k:1}}<tool_call|>",
        &[
            "call get_weather {\"city\": \"a, }<tool_call|>\", \"days\": 3, \"metric\": true, \"tags\": [\"x\"], \"o\": {\"k\": 1}}",
        ],
    );
    check(format, "<|tool_call>call:get_weather{city:Oslo}<tool_call|>", &[WEATHER]);
    check(format, "<|tool_call>call:get_weather{\"city\": \"Oslo\"}<tool_call|>", &[WEATHER]);
    check_text(
        format,
        &[
            "```json\n{\"a\": 1}\n```",
            "```tool_code\nx = 1\n```",
            "<|tool_call>call:f{a:<tool_call|>",
            "[1]",
            "{\"a\": 1}",
        ],
    );
}

#[test]
fn gpt_oss() {
    let format = ToolFormat::GptOss;
    let call = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>";
    check(
        format,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>",
        &["think Hm.", "text Hi."],
    );
    check(format, call, &[WEATHER]);
    check(format, call.strip_suffix("<|call|>").unwrap(), &[WEATHER]);
    check(
        format,
        " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Oslo\"}",
        &[WEATHER],
    );
    check(
        format,
        &format!(
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{call}"
        ),
        &["think Hm.", "text I look.", WEATHER],
    );
    // The next channel's name may stand before its mark; after a call it is not text.
    check(
        format,
        &format!("{call}commentary{call} assistant\n<|channel|>final<|message|>Hi."),
        &[WEATHER, WEATHER, "text Hi."],
    );
    check(format, &format!("{call}commentary on it"), &[WEATHER, "text commentary on it"]);
    // Calls in the analysis channel are calls; without marks all is text.
    check(format, "<|channel|>analysis to=functions.noop <|message|>{}<|call|>", &["call noop {}"]);
    check(format, "Just text, a <| b.", &["text Just text, a <| b."]);
    check(format, "<|channel|>final<|message|>a <|en", &["text a <|en"]);
    check(
        format,
        "<|channel|>commentary to=functions.noop <|message|>{\"a\"<|call|>",
        &["text <|channel|>commentary to=functions.noop <|message|>{\"a\""],
    );
    check(format, "<|channel|>final", &["text <|channel|>final"]);
}

#[test]
fn names_and_detection() {
    for format in ToolFormat::all() {
        assert_eq!(ToolFormat::from_name(format.name()).unwrap(), format);
    }
    assert_eq!(ToolFormat::from_name("Qwen3-Coder").unwrap(), ToolFormat::Qwen3Coder);
    let error = ToolFormat::from_name("morse").unwrap_err().to_string();
    assert!(error.contains("morse") && error.contains("hermes"), "{error}");
    for (template, kind, format) in [
        ("<tool_call>{{ x }}</tool_call>", "qwen2", ToolFormat::Hermes),
        ("<tool_call><function=…><parameter=…>", "qwen3", ToolFormat::Qwen3Coder),
        ("<tool_call><arg_key>", "glm4_moe", ToolFormat::Glm4),
        ("[TOOL_CALLS]", "llama", ToolFormat::Mistral),
        ("<|start_header_id|> <|python_tag|>", "llama", ToolFormat::Llama3Json),
        ("<start_of_turn>", "gemma3", ToolFormat::Gemma),
        ("<|channel|> <|message|>", "gpt_oss", ToolFormat::GptOss),
        ("plain", "llama", ToolFormat::None),
    ] {
        assert_eq!(ToolFormat::detect(template, kind), format, "{template}");
    }
    assert_eq!(ToolFormat::KimiK2.call_id("f", 3, 7), "functions.f:3");
    assert_eq!(ToolFormat::Mistral.call_id("f", 3, 7).len(), 9);
}

/// Parts of answers, by which random ones are made.
const FRAGMENTS: [&str; 44] = [
    "<tool_call>",
    "</tool_call>",
    "{\"name\": \"noop\", \"arguments\": {}}",
    "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"",
    "\"}}",
    "}",
    "<function=get_weather>",
    "<parameter=city>",
    "<parameter=days>\n",
    "\n</parameter>\n",
    "</function>",
    "<invoke name=\"noop\">",
    "</invoke>",
    "<parameter name=\"city\">",
    "</parameter>",
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "noop",
    "[noop()]",
    "[",
    "]",
    "<TOOLCALL>",
    "</TOOLCALL>",
    "get_weather\n",
    "<arg_key>city</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<|tool_call_begin|>functions.noop:0",
    "<|tool_call_argument_begin|>{}",
    "<|tool_call_end|>",
    "<｜tool▁call▁begin｜>noop<｜tool▁sep｜>{}",
    "<｜tool▁call▁end｜>",
    "```tool_code\nnoop()\n```",
    "<|tool_call>call:noop{a:<|\"|>é<|\"|>}<tool_call|>",
    "<think>",
    "</think>",
    "<|channel|>commentary to=functions.noop",
    "<|message|>{}",
    "<|call|>",
    "<|channel|>analysis<|message|>",
    " ",
    "word\n",
];

#[test]
fn random_answers_do_not_depend_on_the_pieces() {
    for format in ToolFormat::all() {
        for seed in 0..250 {
            let mut rng = Rng::for_item(format as u64, seed);
            let mut answer = String::new();
            for _ in 0..1 + rng.below(12) {
                let fragment = FRAGMENTS[rng.below(FRAGMENTS.len() as u64) as usize];
                // Now and then a part is cut short.
                let length = if rng.below(6) == 0 {
                    rng.below(fragment.len() as u64 + 1) as usize
                } else {
                    fragment.len()
                };
                answer.push_str(&fragment[..fragment.floor_char_boundary(length)]);
            }
            let thinking = (rng.below(2) == 0)
                .then(|| Thinking { is_open: rng.below(2) == 0, ..Thinking::think_tags() });
            let whole = parse(format, thinking.clone(), &[&answer]);
            assert_eq!(
                parse(format, thinking.clone(), &characters(&answer)),
                whole,
                "{format:?} seed {seed}: {answer:?}"
            );
            let pieces = random_pieces(&answer, &mut rng);
            assert_eq!(parse(format, thinking.clone(), &pieces), whole, "{format:?} seed {seed}: {pieces:?}");
            let early = parse_incremental(format, thinking.clone(), &[&answer]);
            for pieces in [pieces, characters(&answer)] {
                let cut = parse_incremental(format, thinking.clone(), &pieces);
                assert_eq!(cut, early, "early: {format:?} seed {seed}: {pieces:?}");
            }
            if !whole.iter().any(|line| line.starts_with("call ")) && format != ToolFormat::GptOss {
                let squeeze = |text: &str| {
                    text.replace("<think>", "").replace("</think>", "").replace(char::is_whitespace, "")
                };
                let said: String =
                    whole.iter().map(|line| line.split_once(' ').map_or("", |(_, text)| text)).collect();
                assert_eq!(squeeze(&said), squeeze(&answer), "nothing is lost: {format:?} seed {seed}");
            }
        }
    }
}

#[test]
fn hostile_answers_end() {
    let inputs = [
        "{".repeat(50_000),
        "{\"name\"".repeat(5_000),
        "<tool_call>{\"name\": \"noop\", \"arguments\": ".to_string() + &"[".repeat(50_000),
        "<tool_call>".repeat(5_000),
        "<function=noop><parameter=a>".repeat(5_000),
        "[noop(a=".to_string() + &"[".repeat(50_000),
        "<|tool_call>call:noop{a:".to_string() + &"{a:".repeat(5_000),
        "<arg_key>a</arg_key><arg_value>".repeat(5_000),
        "<|channel|>".repeat(5_000),
        "[TOOL_CALLS]a".repeat(5_000),
        "<think>".repeat(5_000),
        "```json\n{".repeat(5_000),
        "<｜DSML｜invoke name=\"a\">".repeat(5_000),
    ];
    for format in ToolFormat::all() {
        for input in &inputs {
            let lines = parse(format, Some(Thinking::think_tags()), &[input]);
            assert!(!lines.is_empty(), "{format:?}");
        }
    }
}
