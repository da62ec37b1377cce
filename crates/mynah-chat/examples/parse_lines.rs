//! Reads answers of models from standard input and prints what they are made of: one JSON object a line, in and out.
//!
//! In: `{"format": "hermes", "tools": […], "thinking": "<think>", "is_open": false, "pieces": ["…", "…"]}`. `tools` are
//! OpenAI's; `thinking` is the mark that opens reasoning (`null` for none, its closing mark is known) and `is_open` says that
//! the prompt opened it; `pieces` are the answer as it arrived; `incremental` asks for calls before they are whole.
//! All but `format` and `pieces` may be left out.
//!
//! Out: `{"events": [[…] for each piece, […] for the end]}`, or `{"error": "…"}`. An event is one of `{"text": …}`,
//! `{"reasoning": …}`, `{"call": 0, "name": …, "id": …}`, `{"call": 0, "delta": …}` and `{"call": 0, "arguments": …}`.
//!
//! ```text
//! echo '{"format": "mistral", "pieces": ["[TOOL_CALLS]f[ARGS]", "{\"a\": 1}"]}' | cargo run -p mynah-chat --example parse_lines
//! ```

use std::io::{self, BufRead, Write};

use mynah_chat::{Event, Parser, Thinking, Tool, ToolFormat};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = events(&line?).unwrap_or_else(|error| json!({ "error": error }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn events(line: &str) -> Result<Value, String> {
    let asked: Value =
        serde_json::from_str(line).map_err(|error| format!("the line is not JSON: {error}"))?;
    let format = asked["format"].as_str().ok_or("'format' must be a string")?;
    let format = ToolFormat::from_name(format).map_err(|error| error.to_string())?;
    let list = |name: &str| asked[name].as_array().map_or(&[][..], Vec::as_slice);
    let tools: Result<Vec<Tool>, _> = list("tools").iter().map(Tool::from_json).collect();
    let tools = tools.map_err(|error| error.to_string())?;
    let thinking = match asked["thinking"].as_str() {
        Some(open) => Some(marks(open, asked["is_open"] == true)?),
        None => None,
    };
    let mut parser = match asked["incremental"] == true {
        true => Parser::incremental(format, &tools, thinking),
        false => Parser::new(format, &tools, thinking),
    };
    let mut groups = Vec::new();
    for piece in list("pieces") {
        let text = piece.as_str().ok_or("'pieces' must be strings")?;
        groups.push(parser.push(text));
    }
    groups.push(parser.finish());
    let groups: Vec<Vec<Value>> =
        groups.into_iter().map(|group| group.into_iter().map(event).collect()).collect();
    Ok(json!({ "events": groups }))
}

/// The marks of reasoning that begins with this one.
fn marks(open: &str, is_open: bool) -> Result<Thinking, String> {
    let close = match open {
        "[THINK]" => "[/THINK]",
        "<|channel>thought" => "<channel|>",
        "<seed:think>" => "</seed:think>",
        "◁think▷" => "◁/think▷",
        "<think>" => "</think>",
        "<|START_THINKING|>" => "<|END_THINKING|>",
        _ => return Err(format!("unknown mark of reasoning '{open}'")),
    };
    Ok(Thinking { open: open.to_string(), close: close.to_string(), is_open })
}

fn event(event: Event) -> Value {
    match event {
        Event::Text(text) => json!({ "text": text }),
        Event::Reasoning(text) => json!({ "reasoning": text }),
        Event::CallStart { index, id, name } => json!({ "call": index, "name": name, "id": id }),
        Event::CallArguments { index, delta } => json!({ "call": index, "delta": delta }),
        Event::CallEnd { index, arguments, .. } => json!({ "call": index, "arguments": arguments }),
    }
}
