//! Gemma's calls: Gemma 3 writes what its prompt asked for (Python in a `tool_code` block, a list of calls, or JSON);
//! FunctionGemma and Gemma 4 write `call:NAME{key:value}` with marks of their own around texts.

use super::json::{self, some_name};
use super::markup::object;
use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall, python};
use crate::schema::{quoted, typed};

/// Values nested deeper are no arguments.
const DEPTH_MAX: usize = 64;

/// The marks of one native format.
struct Native {
    begin: &'static str,
    end: &'static str,
    /// Stands before and after a text.
    quote: &'static str,
}

const NATIVES: [Native; 2] = [
    Native { begin: "<start_function_call>", end: "<end_function_call>", quote: "<escape>" },
    Native { begin: "<|tool_call>", end: "<tool_call|>", quote: "<|\"|>" },
];

/// Reads on after a mark (or at a native one), or after a call.
pub(super) fn next(text: &str, at: usize, is_first: bool, scan: &mut Scan, context: &Context) -> Next {
    if !is_first {
        // Each call has its own mark; a fence that was read belongs to its call.
        return Next::No;
    }
    for native in &NATIVES {
        match literal(text, at, native.begin) {
            Literal::Yes(start) => return native_call(native, text, start, scan, context),
            Literal::Maybe if at > 0 && at == text.len() => {}
            _ => {}
        }
    }
    let is_fenced = at > 0;
    let at = skip_space(text, at);
    match text.as_bytes().get(at) {
        None => context.more(),
        Some(_) if is_fenced => fenced(text, at, scan, context),
        Some(b'[') => {
            // A list of calls in Python or in JSON.
            match skip_space(text, at + 1) {
                after if text.as_bytes().get(after) == Some(&b'{') => known_json(text, at, scan, context),
                _ => python::block(text, at, is_first, &[], scan, context),
            }
        }
        Some(b'{') => known_json(text, at, scan, context),
        Some(_) => Next::No,
    }
}

/// A block in a fence: JSON or Python up to the next fence on a line of its own.
fn fenced(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Next {
    let Some(fence) = scan.find(text, at, "```") else { return context.more() };
    let inside = text[at..fence].trim();
    let calls = if inside.starts_with('{') || inside.starts_with("[{") {
        known_calls(inside, context)
    } else {
        python::code(inside, context)
    };
    calls.map_or(Next::No, |calls| Next::Calls(calls, fence + 3))
}

/// JSON calls of known tools.
fn known_calls(value: &str, context: &Context) -> Option<Vec<RawCall>> {
    let calls = if value.starts_with('[') {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(value).ok()?;
        items.into_iter().map(|item| json::bare_call(item.get())).collect::<Option<Vec<_>>>()?
    } else {
        vec![json::bare_call(value)?]
    };
    (!calls.is_empty() && calls.iter().all(|call| context.is_known(&call.name))).then_some(calls)
}

fn known_json(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Next {
    match scan.value_end(text, at, Quotes::Double) {
        ValueEnd::At(end) => {
            known_calls(&text[at..end], context).map_or(Next::No, |calls| Next::Calls(calls, end))
        }
        ValueEnd::Broken(_) => Next::No,
        ValueEnd::Open => context.more(),
    }
}

/// `call:NAME{…}` and the closing mark.
fn native_call(native: &Native, text: &str, start: usize, scan: &mut Scan, context: &Context) -> Next {
    let at = skip_space(text, start);
    // Small models leave `call` out, but not the colon.
    let name_start = match (literal(text, at, "call:"), literal(text, at, ":")) {
        (Literal::Yes(end), _) | (_, Literal::Yes(end)) => end,
        (Literal::Maybe, _) | (_, Literal::Maybe) => return context.more(),
        _ => return Next::No,
    };
    // The closing mark may stand inside a text, where marks of texts surround it; it ends the call where what is before
    // it reads as one.
    let mut from = name_start;
    loop {
        let found = scan.find(text, from, native.end);
        let end = match found {
            Some(end) => end,
            None if context.is_end => text.len(),
            None => return Next::More,
        };
        let mut reader = Reader { native, text: &text[..end], at: name_start };
        if let Some(call) = reader.call(context) {
            return Next::Calls(vec![call], found.map_or(end, |end| end + native.end.len()));
        }
        let is_in_text =
            [native.quote, "\""].iter().any(|quote| text[name_start..end].matches(quote).count() % 2 == 1);
        if found.is_none() || !is_in_text {
            return Next::No;
        }
        from = end + native.end.len();
    }
}

struct Reader<'a> {
    native: &'a Native,
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = skip_space(self.text, self.at);
    }

    fn takes(&mut self, literal: &str) -> bool {
        let is_there = self.rest().starts_with(literal);
        if is_there {
            self.at += literal.len();
        }
        is_there
    }

    /// The whole text: `NAME{…}`.
    fn call(&mut self, context: &Context) -> Option<RawCall> {
        let rest = self.rest();
        let name_end = rest.find('{')?;
        let name = some_name(&rest[..name_end])?;
        self.at += name_end;
        let tool = context.tool(&name);
        let root = tool.map(|tool| tool.parameters()).unwrap_or_default();
        let type_of = |key: &str| tool.and_then(|tool| tool.parameter(key));
        let arguments = self.object(0, &|key, bare| typed(bare, type_of(key), &root))?;
        self.space();
        self.rest().is_empty().then_some(RawCall { id: None, name, arguments })
    }

    fn object(&mut self, depth: usize, bare: &dyn Fn(&str, &str) -> String) -> Option<String> {
        if depth > DEPTH_MAX || !self.takes("{") {
            return None;
        }
        let mut pairs = Vec::new();
        loop {
            self.space();
            if self.takes("}") {
                return Some(object(&pairs));
            }
            let key = match self.quoted_text() {
                Some(key) => key,
                None if self.rest().starts_with('"') => self.json_text()?,
                None => {
                    let rest = self.rest();
                    let end = rest.find([':', ',', '}', '{'])?;
                    self.at += end;
                    rest[..end].trim().to_string()
                }
            };
            self.space();
            if !self.takes(":") {
                return None;
            }
            let value = self.value(depth, &|text| bare(&key, text))?;
            pairs.push((key, value));
            self.space();
            if !self.takes(",") && !self.rest().starts_with('}') {
                return None;
            }
        }
    }

    /// A text between its marks, if one is here.
    fn quoted_text(&mut self) -> Option<String> {
        let rest = self.rest().strip_prefix(self.native.quote)?;
        let end = rest.find(self.native.quote)?;
        self.at += end + 2 * self.native.quote.len();
        Some(rest[..end].to_string())
    }

    /// A text as JSON has it: forced calls are written so, and models fall back to it.
    fn json_text(&mut self) -> Option<String> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        let text = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(text)
    }

    fn value(&mut self, depth: usize, bare: &dyn Fn(&str) -> String) -> Option<String> {
        self.space();
        if self.rest().starts_with(self.native.quote) {
            return self.quoted_text().map(|text| quoted(&text));
        }
        match self.rest().as_bytes().first()? {
            b'{' => self.object(depth + 1, &|_, text| untyped(text)),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                if depth > DEPTH_MAX {
                    return None;
                }
                loop {
                    self.space();
                    if self.takes("]") {
                        return Some(format!("[{}]", items.join(", ")));
                    }
                    items.push(self.value(depth + 1, &untyped)?);
                    self.space();
                    if !self.takes(",") && !self.rest().starts_with(']') {
                        return None;
                    }
                }
            }
            b'"' => self.json_text().map(|text| quoted(&text)),
            _ => {
                let rest = self.rest();
                let end = rest.find([',', '}', ']'])?;
                self.at += end;
                let text = rest[..end].trim();
                // Numbers, true, false and null are what they look like; anything else has lost its marks.
                Some(if is_scalar(text) { text.to_string() } else { bare(text) })
            }
        }
    }
}

fn is_scalar(text: &str) -> bool {
    !text.starts_with('"') && serde_json::from_str::<serde_json::Value>(text).is_ok()
}

fn untyped(text: &str) -> String {
    if is_scalar(text) { text.to_string() } else { quoted(text) }
}
