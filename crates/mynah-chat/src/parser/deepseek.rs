//! DeepSeek's calls. V3 and R1: `function<sep>NAME`, a line break and JSON in a code fence; V3.1: `NAME<sep>{…}`; V3.2:
//! tags with names ([`markup::DSML`]).

use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall, json, markup};

const BEGIN: &str = "<｜tool▁call▁begin｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";
const UNMARKED: &str = "function<｜tool▁sep｜>";
const END: &str = "<｜tool▁call▁end｜>";
const SECTION_END: &str = "<｜tool▁calls▁end｜>";

/// Reads on after a mark or a call.
pub(super) fn next(text: &str, at: usize, is_first: bool, scan: &mut Scan, context: &Context) -> Next {
    let at = skip_space(text, at);
    match literal(text, at, BEGIN) {
        Literal::Yes(start) => match call(text, start, scan, context) {
            Ok((call, end)) => Next::Calls(vec![call], end),
            Err(next) => next,
        },
        Literal::Maybe if !context.is_end => Next::More,
        _ if at == text.len() => context.more(),
        // The distilled models leave the mark out.
        _ if is_first && literal(text, at, UNMARKED) != Literal::No => match literal(text, at, UNMARKED) {
            Literal::Yes(_) => match call(text, at, scan, context) {
                Ok((call, end)) => Next::Calls(vec![call], end),
                Err(next) => next,
            },
            _ => context.more(),
        },
        _ => match literal(text, at, SECTION_END) {
            Literal::Yes(end) if !is_first => Next::End(end),
            Literal::Maybe if !context.is_end => Next::More,
            _ => markup::functions(&markup::DSML, text, at, is_first, scan, context),
        },
    }
}

fn call(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Result<(RawCall, usize), Next> {
    const HEAD_BYTES_MAX: usize = 512;
    let Some(separator) = scan.find(text, at, SEPARATOR) else {
        return Err(if text.len() - at > HEAD_BYTES_MAX { Next::No } else { context.more() });
    };
    if separator - at > HEAD_BYTES_MAX {
        return Err(Next::No);
    }
    let head = text[at..separator].trim();
    let after = separator + SEPARATOR.len();
    let (name, value) = if head == "function" && !text[after..].trim_start().starts_with('{') {
        let rest = &text[after..];
        let Some(line) = rest.find(['\n', '{', '<']) else {
            return Err(if rest.len() > HEAD_BYTES_MAX { Next::No } else { context.more() });
        };
        (&rest[..line], after + line)
    } else {
        (head, after)
    };
    let name = json::some_name(name).ok_or(Next::No)?;
    let mut at = skip_space(text, value);
    let mut is_fenced = false;
    for fence in ["```json", "```"] {
        match literal(text, at, fence) {
            Literal::Yes(end) if !is_fenced => {
                at = skip_space(text, end);
                is_fenced = true;
            }
            Literal::Maybe => return Err(context.more()),
            _ => {}
        }
    }
    let (arguments, mut end) = match text.as_bytes().get(at) {
        None => return Err(context.more()),
        Some(b'{') => match scan.value_end(text, at, Quotes::Double) {
            ValueEnd::At(end) if json::is_object(&text[at..end]) => (text[at..end].to_string(), end),
            ValueEnd::Open => return Err(context.more()),
            _ => return Err(Next::No),
        },
        Some(_) => return Err(Next::No),
    };
    if is_fenced {
        let fence = skip_space(text, end);
        match literal(text, fence, "```") {
            Literal::Yes(after) => end = after,
            Literal::Maybe if !context.is_end => return Err(Next::More),
            _ => {}
        }
    }
    let call = RawCall { id: None, name, arguments };
    match literal(text, skip_space(text, end), END) {
        Literal::Yes(end) => Ok((call, end)),
        Literal::Maybe if !context.is_end => Err(Next::More),
        // The closing mark is left out before the next call or the end.
        _ => Ok((call, end)),
    }
}
