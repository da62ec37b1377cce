//! Readers of calls written as JSON: Hermes, Nemotron, Llama 3, Mistral, Kimi.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall};
use crate::fixes;

/// The parts of a call. The arguments are kept as the model wrote them: `1.0` stays `1.0`.
#[derive(Deserialize)]
struct Written<'a> {
    name: Option<String>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow, alias = "parameters", alias = "args")]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// The call that a JSON object is, if it is one: a name, and arguments that are an object, an object in a text, or left
/// out.
pub(super) fn call(text: &str) -> Option<RawCall> {
    let written: Written = serde_json::from_str(text).ok()?;
    let (name, arguments) = match (written.name, written.function) {
        (Some(name), _) => (name, written.arguments),
        (None, Some(function)) => match serde_json::from_str::<String>(function.get()) {
            Ok(name) => (name, written.arguments),
            Err(_) => {
                let inner: Written = serde_json::from_str(function.get()).ok()?;
                (inner.name?, inner.arguments)
            }
        },
        (None, None) => return None,
    };
    let id = written.id.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
    Some(RawCall { id, name: some_name(&name)?, arguments: arguments_object(arguments.map(RawValue::get))? })
}

/// As [`call`], for JSON without marks: it must give its arguments, or `{"name": "Ann"}` would be one.
pub(super) fn bare_call(text: &str) -> Option<RawCall> {
    let written: Written = serde_json::from_str(text).ok()?;
    let has_arguments =
        written.arguments.is_some() || written.function.is_some_and(|inner| inner.get().starts_with('{'));
    if has_arguments { call(text) } else { None }
}

/// A name that a function can have.
pub(super) fn some_name(name: &str) -> Option<String> {
    let name = name.trim();
    let is_name = !name.is_empty()
        && name.len() <= 256
        && !name.contains(|c: char| c.is_whitespace() || "<>\"'{}()[]".contains(c));
    is_name.then(|| name.to_string())
}

/// Arguments as the JSON text of an object.
pub(super) fn arguments_object(arguments: Option<&str>) -> Option<String> {
    match arguments.map(str::trim) {
        None | Some("null") => Some("{}".to_string()),
        Some(text) if text.starts_with('{') => is_object(text).then(|| text.to_string()),
        Some(text) => fixes::arguments_in_text(text),
    }
}

pub(super) use crate::fixes::is_object;

/// The calls of a list of them; nothing when one of them is none.
fn calls(text: &str) -> Option<Vec<RawCall>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    items.into_iter().map(|item| call(item.get())).collect()
}

/// What stands at a bracket: one or more calls.
fn calls_at(text: &str, at: usize, end: usize) -> Option<Vec<RawCall>> {
    let value = &text[at..end];
    if value.starts_with('[') {
        calls(value).filter(|calls| !calls.is_empty())
    } else {
        Some(vec![call(value)?])
    }
}

/// Objects or lists of calls up to a closing mark.
pub(super) fn block(
    text: &str,
    at: usize,
    is_first: bool,
    close: &'static str,
    scan: &mut Scan,
    context: &Context,
) -> Next {
    let at = skip_space(text, at);
    match text.as_bytes().get(at) {
        None => context.more(),
        Some(b'{' | b'[') => match scan.value_end(text, at, Quotes::Double) {
            ValueEnd::At(end) => match calls_at(text, at, end) {
                Some(calls) => after_value(text, calls, end, close, context),
                None => Next::No,
            },
            ValueEnd::Broken(broken) => match literal(text, broken, close) {
                Literal::Maybe => context.more(),
                Literal::No => Next::No,
                Literal::Yes(_) => {
                    match fixes::close_json(&text[at..broken]).and_then(|closed| call(&closed)) {
                        Some(call) => Next::Calls(vec![call], broken),
                        None => Next::No,
                    }
                }
            },
            ValueEnd::Open => context.more(),
        },
        Some(_) if is_first => Next::No,
        Some(_) => match literal(text, at, close) {
            Literal::Yes(end) => Next::End(end),
            Literal::Maybe => context.more(),
            Literal::No => Next::No,
        },
    }
}

/// Small models write one brace too many before the closing mark; it is dropped together with the mark.
pub(super) fn after_value(
    text: &str,
    calls: Vec<RawCall>,
    end: usize,
    close: &str,
    context: &Context,
) -> Next {
    let brace = skip_space(text, end);
    if text.as_bytes().get(brace) == Some(&b'}') {
        let after = skip_space(text, brace + 1);
        return match literal(text, after, close) {
            Literal::Yes(_) => Next::Calls(calls, after),
            Literal::Maybe if !context.is_end => Next::More,
            _ => Next::Calls(calls, end),
        };
    }
    if brace == text.len() && !context.is_end { Next::More } else { Next::Calls(calls, end) }
}

/// Llama 3: an object with `name` and `parameters`, others after `;` or `,`; `<function=NAME>{…}</function>`; built-in tools as
/// `NAME.call(key="value")` after `<|python_tag|>`.
pub(super) fn llama(text: &str, at: usize, is_first: bool, scan: &mut Scan, context: &Context) -> Next {
    let mut at = skip_space(text, at);
    if !is_first {
        match text.as_bytes().get(at) {
            None => return context.more(),
            Some(b';' | b',') => at = skip_space(text, at + 1),
            // A call on the next line: its own mark will be found.
            Some(_) => return Next::No,
        }
    }
    match text.as_bytes().get(at) {
        None => context.more(),
        Some(b'{') => {
            match begins_like_a_call(text, at) {
                Literal::Yes(_) => {}
                Literal::Maybe => return context.more(),
                Literal::No => return Next::No,
            }
            match scan.value_end(text, at, Quotes::Double) {
                ValueEnd::At(end) => {
                    match bare_call(&text[at..end]).filter(|call| context.is_known(&call.name)) {
                        Some(call) => Next::Calls(vec![call], end),
                        None => Next::No,
                    }
                }
                ValueEnd::Broken(_) => Next::No,
                ValueEnd::Open => context.more(),
            }
        }
        Some(b'<') if is_first => {
            super::markup::functions(&super::markup::QWEN, text, at, is_first, scan, context)
        }
        Some(_) if is_first => super::python::dot_call(text, at, scan, context),
        Some(_) => Next::No,
    }
}

/// Whether the first key of an object is one of a call's: text with braces is passed on without waiting for their end.
pub(super) fn begins_like_a_call(text: &str, brace: usize) -> Literal {
    let at = skip_space(text, brace + 1);
    let mut is_possible = false;
    for key in ["\"name\"", "\"type\"", "\"function\"", "\"parameters\"", "\"arguments\"", "\"id\""] {
        match literal(text, at, key) {
            Literal::Yes(end) => return Literal::Yes(end),
            Literal::Maybe => is_possible = true,
            Literal::No => {}
        }
    }
    if is_possible { Literal::Maybe } else { Literal::No }
}

/// Mistral: a list of calls, or `NAME[ARGS]{…}`, perhaps with `[CALL_ID]` between. Each later call has its own mark.
pub(super) fn mistral(text: &str, at: usize, is_first: bool, scan: &mut Scan, context: &Context) -> Next {
    if !is_first {
        return Next::No;
    }
    let at = skip_space(text, at);
    let value = |at: usize, scan: &mut Scan| match scan.value_end(text, at, Quotes::Double) {
        ValueEnd::At(end) => Ok(end),
        ValueEnd::Broken(_) => Err(Next::No),
        ValueEnd::Open => Err(context.more()),
    };
    match text.as_bytes().get(at) {
        None => return context.more(),
        Some(b'[' | b'{') => {
            return match value(at, scan) {
                Ok(end) => calls_at(text, at, end).map_or(Next::No, |calls| Next::Calls(calls, end)),
                Err(next) => next,
            };
        }
        Some(_) => {}
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let count = |at: usize| text.as_bytes()[at..].iter().take_while(|byte| is_name(byte)).count();
    let name_end = at + count(at);
    if name_end == at {
        return Next::No;
    }
    let name = &text[at..name_end];
    let (mut at, mut id) = (name_end, None);
    match literal(text, at, "[CALL_ID]") {
        Literal::Yes(start) => {
            let end = start + count(start);
            id = Some(text[start..end].to_string());
            at = end;
        }
        Literal::Maybe if !context.is_end => return Next::More,
        _ => {}
    }
    match literal(text, at, "[ARGS]") {
        Literal::Yes(end) => at = end,
        Literal::Maybe if !context.is_end => return Next::More,
        _ => {}
    }
    let at = skip_space(text, at);
    match text.as_bytes().get(at) {
        None => context.more(),
        Some(b'{') => match value(at, scan) {
            Ok(end) if is_object(&text[at..end]) => {
                let arguments = text[at..end].to_string();
                Next::Calls(vec![RawCall { id, name: name.to_string(), arguments }], end)
            }
            Ok(_) => Next::No,
            Err(next) => next,
        },
        Some(_) => Next::No,
    }
}

/// Kimi K2: `<|tool_call_begin|>ID<|tool_call_argument_begin|>{…}<|tool_call_end|>` … `<|tool_calls_section_end|>`.
pub(super) fn kimi(text: &str, at: usize, is_first: bool, scan: &mut Scan, context: &Context) -> Next {
    let at = skip_space(text, at);
    let start = match literal(text, at, "<|tool_call_begin|>") {
        Literal::Yes(start) => start,
        Literal::Maybe if !context.is_end => return Next::More,
        _ if is_first => return context.no_or_more(at == text.len()),
        _ => {
            return match literal(text, at, "<|tool_calls_section_end|>") {
                Literal::Yes(end) => Next::End(end),
                Literal::Maybe => context.more(),
                Literal::No => Next::No,
            };
        }
    };
    const ARGUMENTS: &str = "<|tool_call_argument_begin|>";
    let Some(mark) = scan.find(text, start, ARGUMENTS) else { return context.more() };
    if mark - start > 512 {
        return Next::No;
    }
    let id = text[start..mark].trim();
    // Of a bare number nobody knows which function it means.
    let is_name =
        |name: &String| context.tool(name).is_some() || !name.bytes().all(|byte| byte.is_ascii_digit());
    let Some(name) = some_name(fixes::kimi_name(id)).filter(is_name) else { return Next::No };
    let value = skip_space(text, mark + ARGUMENTS.len());
    let (arguments, end) = match text.as_bytes().get(value) {
        None => return context.more(),
        Some(b'{') => match scan.value_end(text, value, Quotes::Double) {
            ValueEnd::At(end) if is_object(&text[value..end]) => (text[value..end].to_string(), end),
            ValueEnd::Open => return context.more(),
            _ => return Next::No,
        },
        Some(_) => ("{}".to_string(), value),
    };
    match literal(text, skip_space(text, end), "<|tool_call_end|>") {
        Literal::Yes(end) => Next::Calls(vec![RawCall { id: Some(id.to_string()), name, arguments }], end),
        Literal::Maybe if !context.is_end => Next::More,
        // The model stopped right after the arguments.
        Literal::Maybe => {
            Next::Calls(vec![RawCall { id: Some(id.to_string()), name, arguments }], text.len())
        }
        Literal::No => Next::No,
    }
}
