//! What the tests share: tools, and one answer parsed in pieces.
#![allow(dead_code, reason = "each test program uses a part of it")]

use mynah_base::Rng;
use mynah_chat::{Event, Parser, Thinking, Tool, ToolFormat};
use serde_json::json;

/// Tools with arguments of every type.
pub fn tools() -> Vec<Tool> {
    vec![
        Tool::function(
            "get_weather",
            Some("The weather of a city."),
            json!({ "type": "object", "properties": {
                "city": { "type": "string" }, "days": { "type": "integer" }, "metric": { "type": "boolean" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "note": { "type": ["string", "null"] } }, "required": ["city"] }),
        ),
        Tool::function(
            "play",
            None,
            json!({ "type": "object", "properties": { "file": { "type": "string" }, "volume": { "type": "number" } },
                "required": ["file"] }),
        ),
        Tool::function("noop", None, json!({ "type": "object", "properties": {} })),
    ]
}

/// What an answer came out as: one line a piece, text and reasoning merged.
pub fn parse(format: ToolFormat, thinking: Option<Thinking>, pieces: &[&str]) -> Vec<String> {
    let lines = read(Parser::new(format, &tools(), thinking), pieces);
    assert!(lines.iter().all(|line| !line.starts_with("cut ")), "every call ends: {lines:?}");
    lines
}

/// As [`parse`], with calls told of while they arrive; a call without an end is a line `cut`.
pub fn parse_incremental(format: ToolFormat, thinking: Option<Thinking>, pieces: &[&str]) -> Vec<String> {
    read(Parser::incremental(format, &tools(), thinking), pieces)
}

fn read(mut parser: Parser, pieces: &[&str]) -> Vec<String> {
    let mut events = Vec::new();
    for piece in pieces {
        events.extend(parser.push(piece));
    }
    events.extend(parser.finish());
    let mut lines: Vec<String> = Vec::new();
    let mut started: Option<(usize, String, String)> = None;
    let mut add = |kind: &str, text: &str| match lines.last_mut() {
        Some(line) if matches!(kind, "text " | "think ") && line.starts_with(kind) => line.push_str(text),
        _ => lines.push(format!("{kind}{text}")),
    };
    for event in events {
        let goes_on = matches!(event, Event::CallArguments { .. } | Event::CallEnd { .. });
        if let Some((_, head, joined)) = started.take_if(|_| !goes_on) {
            add("cut ", &format!("{head} {joined}"));
        }
        match event {
            Event::Text(text) => add("text ", &text),
            Event::Reasoning(text) => add("think ", &text),
            Event::CallStart { index, id, name } => {
                let id = id.map(|id| format!("#{id} ")).unwrap_or_default();
                started = Some((index, format!("{id}{name}"), String::new()));
            }
            Event::CallArguments { index, delta } => {
                let started = started.as_mut().expect("arguments follow a start");
                assert_eq!(started.0, index);
                started.2.push_str(&delta);
            }
            Event::CallEnd { index, name, arguments } => {
                let (number, head, joined) = started.take().expect("an end follows a start");
                assert_eq!((number, joined.as_str()), (index, arguments.as_str()));
                assert!(head.ends_with(&name));
                let is_object = arguments.starts_with('{')
                    && serde_json::from_str::<serde::de::IgnoredAny>(&arguments).is_ok();
                assert!(is_object, "arguments are an object: {arguments}");
                add("call ", &format!("{head} {arguments}"));
            }
        }
    }
    if let Some((_, head, joined)) = started {
        add("cut ", &format!("{head} {joined}"));
    }
    lines
}

/// Every character alone.
pub fn characters(text: &str) -> Vec<&str> {
    text.split_inclusive(|_| true).collect()
}

/// Cut at random places.
pub fn random_pieces<'a>(text: &'a str, rng: &mut Rng) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let longest = 1 + rng.below(12);
    while !rest.is_empty() {
        let length = rest.ceil_char_boundary((1 + rng.below(longest)) as usize);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
