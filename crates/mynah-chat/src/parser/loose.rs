//! Calls that Hermes and Qwen models write without their mark: bare JSON, JSON in a code fence, or JSON between other tags.
//!
//! Small models and those tuned for code do so often. Only what the answer begins with counts, and only with the name of one
//! of the request's tools: JSON for the user stays text.

use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall, json};

/// Tags that were seen around calls.
const TAGS: [(&str, &str); 8] = [
    ("<tools>", "</tools>"),
    ("<tool>", "</tool>"),
    ("<response>", "</response>"),
    ("<function_call>", "</function_call>"),
    ("<json>", "</json>"),
    ("<JSON>", "</JSON>"),
    ("<xml>", "</xml>"),
    ("<tool_call>", "</tool_call>"),
];

/// Tags with the function's name, which only its arguments follow.
const NAMED: [(&str, char); 2] = [("<function=", '>'), ("<function name=\"", '"')];

/// Reads the call that an answer begins with.
pub(super) fn next(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Next {
    match call(text, at, scan, context) {
        Ok((call, end)) => Next::Alone(vec![call], end),
        Err(next) => next,
    }
}

fn call(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Result<(RawCall, usize), Next> {
    let mut at = at;
    let is_fenced = text[at..].starts_with("```");
    if is_fenced {
        at += 3;
        at += text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        at = skip_space(text, at);
    }
    let mut close = None;
    let mut name = None;
    if text.as_bytes().get(at) == Some(&b'<') {
        let (tag, after) = tag(text, at, context)?;
        (close, name) = (Some(tag), after.1);
        at = skip_space(text, after.0);
    }
    let value = match text.as_bytes().get(at) {
        None => return Err(context.more()),
        Some(b'{') if name.is_some() => scan.value_end(text, at, Quotes::Double),
        Some(b'{') => match json::begins_like_a_call(text, at) {
            Literal::Yes(_) => scan.value_end(text, at, Quotes::Double),
            Literal::Maybe => return Err(context.more()),
            Literal::No => return Err(Next::No),
        },
        Some(_) => return Err(Next::No),
    };
    let end = match value {
        ValueEnd::At(end) => end,
        ValueEnd::Broken(_) => return Err(Next::No),
        ValueEnd::Open => return Err(context.more()),
    };
    let written = &text[at..end];
    let call = match name {
        Some(name) => json::is_object(written).then(|| RawCall {
            id: None,
            name: name.to_string(),
            arguments: written.to_string(),
        }),
        None => json::bare_call(written),
    };
    let call = call.filter(|call| context.tool(&call.name).is_some()).ok_or(Next::No)?;
    let mut end = end;
    for mark in close.into_iter().chain(is_fenced.then_some("```")) {
        match literal(text, skip_space(text, end), mark) {
            Literal::Yes(after) => end = after,
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => {}
        }
    }
    Ok((call, end))
}

/// A tag, the one that closes it, where the text goes on, and the function's name if the tag has it.
type Tag<'a> = (&'static str, (usize, Option<&'a str>));

fn tag<'a>(text: &'a str, at: usize, context: &Context) -> Result<Tag<'a>, Next> {
    let mut is_possible = false;
    for (open, close) in TAGS {
        match literal(text, at, open) {
            Literal::Yes(after) => return Ok((close, (after, None))),
            Literal::Maybe => is_possible = true,
            Literal::No => {}
        }
    }
    for (open, last) in NAMED {
        match literal(text, at, open) {
            Literal::Yes(start) => {
                let rest = &text[start..];
                let length = rest.find([last, '\n', '<', '{']);
                let Some(length) = length.filter(|&length| rest[length..].starts_with(last)) else {
                    return Err(if length.is_some() || rest.len() > 256 { Next::No } else { context.more() });
                };
                let mut after = start + length + 1;
                if last == '"' {
                    match literal(text, after, ">") {
                        Literal::Yes(end) => after = end,
                        Literal::Maybe => return Err(context.more()),
                        Literal::No => return Err(Next::No),
                    }
                }
                return Ok(("</function>", (after, Some(&rest[..length]))));
            }
            Literal::Maybe => is_possible = true,
            Literal::No => {}
        }
    }
    Err(if is_possible { context.more() } else { Next::No })
}
