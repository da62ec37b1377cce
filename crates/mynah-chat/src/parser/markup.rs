//! Readers of calls written with tags around names and bare values: Qwen3-Coder, MiniMax-M2, DeepSeek V3.2, GLM-4.5.

use super::json;
use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall};
use crate::conversation::Tool;
use crate::schema;

/// Whether line breaks between a value and its tags are part of the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A value stands on lines of its own: one line break on either side is not part of it.
    Own,
    /// A value stands between its tags; line breaks on both sides are an imitation of the other style.
    Pair,
    /// Every line break is part of the value.
    All,
}

/// The tags of one format.
pub(super) struct Tags {
    /// Begins a function; its name and `>` follow.
    function: &'static str,
    function_end: &'static str,
    /// Begins a parameter; its name and `>` follow.
    parameter: &'static str,
    parameter_end: &'static str,
    /// End the block of functions.
    block_ends: &'static [&'static str],
    lines: Lines,
}

pub(super) const QWEN: Tags = Tags {
    function: "<function=",
    function_end: "</function>",
    parameter: "<parameter=",
    parameter_end: "</parameter>",
    block_ends: &["</tool_call>", "</seed:tool_call>"],
    lines: Lines::Own,
};

pub(super) const MINIMAX: Tags = Tags {
    function: "<invoke name=",
    function_end: "</invoke>",
    parameter: "<parameter name=",
    parameter_end: "</parameter>",
    block_ends: &["</minimax:tool_call>"],
    lines: Lines::Pair,
};

pub(super) const DSML: Tags = Tags {
    function: "<｜DSML｜invoke name=",
    function_end: "</｜DSML｜invoke>",
    parameter: "<｜DSML｜parameter name=",
    parameter_end: "</｜DSML｜parameter>",
    block_ends: &["</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"],
    lines: Lines::All,
};

/// A tag's name and attributes are no longer than this.
const HEAD_BYTES_MAX: usize = 512;

/// Tries literals in turn: the first that is there, or whether one may be.
fn any_literal(text: &str, at: usize, literals: &[&str]) -> Literal {
    let mut is_possible = false;
    for wanted in literals {
        match literal(text, at, wanted) {
            Literal::Yes(end) => return Literal::Yes(end),
            Literal::Maybe => is_possible = true,
            Literal::No => {}
        }
    }
    if is_possible { Literal::Maybe } else { Literal::No }
}

/// What is between a tag's beginning and its `>`, and where the text goes on; `Err` when that is not decided or not so.
fn head<'a>(text: &'a str, at: usize, context: &Context) -> Result<(&'a str, usize), Next> {
    let rest = &text[at..];
    match rest.find(['>', '\n', '<']) {
        Some(end) if rest.as_bytes()[end] == b'>' && end <= HEAD_BYTES_MAX => {
            Ok((&rest[..end], at + end + 1))
        }
        Some(_) => Err(Next::No),
        None if rest.len() > HEAD_BYTES_MAX => Err(Next::No),
        None => Err(context.more()),
    }
}

/// The name in a tag's head: up to its attributes, without quotes.
fn head_name(head: &str) -> &str {
    let head = head.trim();
    match head.chars().next() {
        Some(quote @ ('"' | '\'')) => head[1..].split(quote).next().unwrap_or_default(),
        _ => head,
    }
}

/// Functions, each with its parameters, up to the end of the block.
pub(super) fn functions(
    tags: &Tags,
    text: &str,
    at: usize,
    is_first: bool,
    scan: &mut Scan,
    context: &Context,
) -> Next {
    let at = skip_space(text, at);
    match literal(text, at, tags.function) {
        Literal::Yes(start) => match function(tags, text, start, scan, context) {
            Ok((call, end)) => Next::Calls(vec![call], end),
            Err(next) => next,
        },
        Literal::Maybe if !context.is_end => Next::More,
        _ if is_first => Next::No,
        _ => match any_literal(text, at, tags.block_ends) {
            Literal::Yes(end) => Next::End(end),
            Literal::Maybe => context.more(),
            Literal::No => Next::No,
        },
    }
}

/// One function whose tag's name begins at `at`.
fn function(
    tags: &Tags,
    text: &str,
    at: usize,
    scan: &mut Scan,
    context: &Context,
) -> Result<(RawCall, usize), Next> {
    let (function_head, mut at) = head(text, at, context)?;
    let name = json::some_name(head_name(function_head)).ok_or(Next::No)?;
    let tool = context.tool(&name);
    let mut arguments: Vec<(String, String)> = Vec::new();
    loop {
        at = skip_space(text, at);
        match literal(text, at, tags.parameter) {
            Literal::Yes(start) => {
                let (parameter_head, start) = head(text, start, context)?;
                let key = head_name(parameter_head).to_string();
                let is_open = |name: &str| {
                    name != key
                        && tool.is_some_and(|tool| tool.parameter(name).is_some())
                        && !arguments.iter().any(|(known, _)| known == name)
                };
                let (end, after) = value_end(tags, text, start, &is_open, scan, context)?;
                let value = &text[start..end];
                let is_pair = value.starts_with(['\r', '\n']) && value.ends_with('\n');
                let value = match tags.lines {
                    Lines::Own => without_line_breaks(value),
                    Lines::Pair if is_pair => without_line_breaks(value),
                    Lines::Pair | Lines::All => value,
                };
                let json = match () {
                    () if parameter_head.contains("string=\"true\"") => schema::quoted(value),
                    () if parameter_head.contains("string=\"false\"") => {
                        let is_json = serde_json::from_str::<serde_json::Value>(value).is_ok();
                        if is_json { value.trim().to_string() } else { schema::quoted(value) }
                    }
                    () => typed(value, &key, tool),
                };
                arguments.push((key, json));
                at = after;
                continue;
            }
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => {}
        }
        match literal(text, at, tags.function_end) {
            Literal::Yes(end) => return Ok((RawCall { id: None, name, arguments: object(&arguments) }, end)),
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => {}
        }
        // Llama 3.1 writes the arguments as JSON between the same tags.
        if arguments.is_empty() && text.as_bytes().get(at) == Some(&b'{') {
            return match scan.value_end(text, at, Quotes::Double) {
                ValueEnd::At(end) if json::is_object(&text[at..end]) => {
                    let call = RawCall { id: None, name, arguments: text[at..end].to_string() };
                    match literal(text, skip_space(text, end), tags.function_end) {
                        Literal::Yes(end) => Ok((call, end)),
                        Literal::Maybe if !context.is_end => Err(Next::More),
                        _ => Ok((call, end)),
                    }
                }
                ValueEnd::Open => Err(context.more()),
                _ => Err(Next::No),
            };
        }
        // The model left the function open, but closed the block or stopped.
        return match any_literal(text, at, tags.block_ends) {
            Literal::Yes(_) => Ok((RawCall { id: None, name, arguments: object(&arguments) }, at)),
            Literal::Maybe if !context.is_end => Err(Next::More),
            Literal::Maybe if !arguments.is_empty() => {
                Ok((RawCall { id: None, name, arguments: object(&arguments) }, at))
            }
            _ => Err(Next::No),
        };
    }
}

/// Where a value ends and where the text goes on after its closing tag.
///
/// A value may contain the closing tag (a file about these very tags): the tag ends the value only where another
/// parameter or the end of the function follows. Models also leave the closing tag out; then the value ends at a line
/// that opens a parameter the tool has and the call lacks so far (`is_open`), or where function and block are both closed.
fn value_end(
    tags: &Tags,
    text: &str,
    start: usize,
    is_open: &dyn Fn(&str) -> bool,
    scan: &mut Scan,
    context: &Context,
) -> Result<(usize, usize), Next> {
    let mut from = start;
    let closed = loop {
        let Some(at) = scan.find(text, from, tags.parameter_end) else { break None };
        let after = at + tags.parameter_end.len();
        let next = skip_space(text, after);
        let mut follows = vec![tags.parameter, tags.function_end];
        follows.extend(tags.block_ends);
        match any_literal(text, next, &follows) {
            Literal::Yes(_) => break Some((at, after)),
            Literal::Maybe if context.is_end && next == text.len() => break Some((at, after)),
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => from = after,
        }
    };
    // Whichever comes first decides, so that it does not matter how much of the text is there already.
    let block = block_closed(tags, text, start, scan);
    let (limit, found) = match (closed, block) {
        (Some((at, after)), block) if block.is_none_or(|block| at < block) => (at, (at, after)),
        (_, Some(block)) => (block, (block, block)),
        (_, None) => return Err(context.more()),
    };
    Ok(left_open(tags, text, start, limit, is_open, scan).map_or(found, |at| (at, at)))
}

/// Where a value without its closing tag ends because a line opens another parameter before `limit`.
fn left_open(
    tags: &Tags,
    text: &str,
    start: usize,
    limit: usize,
    is_open: &dyn Fn(&str) -> bool,
    scan: &mut Scan,
) -> Option<usize> {
    let mut from = start;
    while let Some(at) = scan.find(text, from, tags.parameter).filter(|&at| at < limit) {
        let name_start = at + tags.parameter.len();
        let is_line = text[start..at].trim_end_matches([' ', '\t']).ends_with('\n');
        let end = text[name_start..limit].find(['>', '\n', '<']).map(|length| name_start + length);
        let name =
            end.filter(|&end| text.as_bytes()[end] == b'>').map(|end| head_name(&text[name_start..end]));
        if is_line && name.is_some_and(is_open) {
            return Some(at);
        }
        from = name_start;
    }
    None
}

/// Where the function is closed with the block right after it.
fn block_closed(tags: &Tags, text: &str, start: usize, scan: &mut Scan) -> Option<usize> {
    let mut from = start;
    loop {
        let at = scan.find(text, from, tags.function_end)?;
        from = at + tags.function_end.len();
        if matches!(any_literal(text, skip_space(text, from), tags.block_ends), Literal::Yes(_)) {
            return Some(at);
        }
    }
}

fn without_line_breaks(value: &str) -> &str {
    let value = value.strip_prefix("\r\n").or_else(|| value.strip_prefix('\n')).unwrap_or(value);
    value.strip_suffix("\r\n").or_else(|| value.strip_suffix('\n')).unwrap_or(value)
}

/// The JSON of a value by the schema of its tool.
fn typed(value: &str, key: &str, tool: Option<&Tool>) -> String {
    match tool {
        Some(tool) => schema::typed(value, tool.parameter(key), &tool.parameters()),
        None => schema::typed(value, None, &serde_json::Value::Null),
    }
}

/// An object of values that are JSON already. Of a key given twice the last value counts, as in JSON readers.
pub(super) fn object(pairs: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (index, (key, value)) in pairs.iter().enumerate() {
        if pairs[index + 1..].iter().any(|(later, _)| later == key) {
            continue;
        }
        if text.len() > 1 {
            text.push_str(", ");
        }
        text.push_str(&schema::quoted(key));
        text.push_str(": ");
        text.push_str(value);
    }
    text.push('}');
    text
}

/// GLM-4.5: the function's name, then `<arg_key>` and `<arg_value>` in turn, then the end of the block.
pub(super) fn glm(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Next {
    match glm_call(text, at, scan, context) {
        Ok((call, end)) => Next::Calls(vec![call], end),
        Err(next) => next,
    }
}

fn glm_call(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Result<(RawCall, usize), Next> {
    const END: &str = "</tool_call>";
    let rest = &text[at..];
    let name_end = match rest.find(['\n', '<']) {
        Some(end) if end <= HEAD_BYTES_MAX => at + end,
        None if rest.len() <= HEAD_BYTES_MAX => return Err(context.more()),
        _ => return Err(Next::No),
    };
    let name = json::some_name(&text[at..name_end]).ok_or(Next::No)?;
    let tool = context.tool(&name);
    let mut arguments: Vec<(String, String)> = Vec::new();
    let mut at = skip_space(text, name_end);
    // GLM-4 of before writes JSON on the line after the name.
    if text.as_bytes().get(at) == Some(&b'{') {
        return match scan.value_end(text, at, Quotes::Double) {
            ValueEnd::At(end) if json::is_object(&text[at..end]) => {
                Ok((RawCall { id: None, name, arguments: text[at..end].to_string() }, end))
            }
            ValueEnd::Open => Err(context.more()),
            _ => Err(Next::No),
        };
    }
    loop {
        at = skip_space(text, at);
        match literal(text, at, "<arg_key>") {
            Literal::Yes(start) => {
                let Some(key_end) = scan.find(text, start, "</arg_key>") else { return Err(context.more()) };
                let key = text[start..key_end].trim().to_string();
                let value_tag = skip_space(text, key_end + "</arg_key>".len());
                let start = match literal(text, value_tag, "<arg_value>") {
                    Literal::Yes(start) => start,
                    Literal::Maybe => return Err(context.more()),
                    Literal::No => return Err(Next::No),
                };
                let (end, after) = glm_value_end(text, start, scan, context)?;
                arguments.push((key.clone(), typed(&text[start..end], &key, tool)));
                at = after;
                continue;
            }
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => {}
        }
        let is_text_end = at == text.len();
        return match literal(text, at, END) {
            Literal::Yes(_) => Ok((RawCall { id: None, name, arguments: object(&arguments) }, at)),
            Literal::Maybe if !context.is_end => Err(Next::More),
            _ if is_text_end && !arguments.is_empty() => {
                Ok((RawCall { id: None, name, arguments: object(&arguments) }, at))
            }
            _ => Err(Next::No),
        };
    }
}

/// As [`value_end`]: the closing tag counts where another key or the end of the block follows.
fn glm_value_end(
    text: &str,
    start: usize,
    scan: &mut Scan,
    context: &Context,
) -> Result<(usize, usize), Next> {
    let mut from = start;
    loop {
        let Some(at) = scan.find(text, from, "</arg_value>") else { return Err(context.more()) };
        let after = at + "</arg_value>".len();
        let next = skip_space(text, after);
        match any_literal(text, next, &["<arg_key>", "</tool_call>"]) {
            Literal::Yes(_) => return Ok((at, after)),
            Literal::Maybe if context.is_end && next == text.len() => return Ok((at, after)),
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => from = after,
        }
    }
}
