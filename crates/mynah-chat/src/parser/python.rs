//! Readers of calls written as Python: Llama 4's lists, Gemma's `tool_code`, Llama 3's `name.call(…)`.

use super::json::some_name;
use super::markup::object;
use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Next, RawCall};
use crate::schema::quoted;

/// Values nested deeper are no arguments.
const DEPTH_MAX: usize = 64;

/// A list of calls, perhaps with a mark after it.
pub(super) fn block(
    text: &str,
    at: usize,
    is_first: bool,
    ends: &[&'static str],
    scan: &mut Scan,
    context: &Context,
) -> Next {
    let at = skip_space(text, at);
    let Some(byte) = text.as_bytes().get(at) else { return context.more() };
    if !is_first {
        for end in ends {
            match literal(text, at, end) {
                Literal::Yes(end) => return Next::End(end),
                Literal::Maybe if !context.is_end => return Next::More,
                _ => {}
            }
        }
        return Next::No;
    }
    if *byte != b'[' {
        return dot_call(text, at, scan, context);
    }
    match begins_call(text, skip_space(text, at + 1)) {
        Literal::Yes(end) if context.is_known(text[at + 1..end - 1].trim()) => {}
        Literal::Maybe => return context.more(),
        Literal::Yes(_) | Literal::No => return Next::No,
    }
    match scan.value_end(text, at, Quotes::Both) {
        ValueEnd::At(end) => match calls(&text[at + 1..end - 1], context) {
            Some(calls) => Next::Calls(calls, end),
            None => Next::No,
        },
        ValueEnd::Broken(_) => Next::No,
        ValueEnd::Open => context.more(),
    }
}

/// Whether a name and an opening parenthesis are at `at`: a list of anything else is passed on at once.
fn begins_call(text: &str, at: usize) -> Literal {
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let length = text.as_bytes()[at..].iter().take_while(is_name).count();
    match text.as_bytes().get(at + length) {
        _ if length > 256 => Literal::No,
        None => Literal::Maybe,
        Some(b'(') if length > 0 => Literal::Yes(at + length + 1),
        Some(_) => Literal::No,
    }
}

/// Calls with commas between them, all of known tools.
fn calls(text: &str, context: &Context) -> Option<Vec<RawCall>> {
    let mut reader = Reader { text, at: 0 };
    let mut calls = Vec::new();
    loop {
        let call = reader.call(context)?;
        calls.push(call);
        reader.space();
        if !reader.takes(",") {
            break;
        }
        reader.space();
        if reader.is_done() {
            break;
        }
    }
    (reader.is_done() && !calls.is_empty()).then_some(calls)
}

/// `NAME.call(key="value")` or `NAME(key="value")`, of a known tool.
pub(super) fn dot_call(text: &str, at: usize, scan: &mut Scan, context: &Context) -> Next {
    let parenthesis = match begins_call(text, at) {
        Literal::Yes(after) => after - 1,
        Literal::Maybe => return context.more(),
        Literal::No => return Next::No,
    };
    match scan.value_end(text, parenthesis, Quotes::Both) {
        ValueEnd::At(end) => {
            let mut reader = Reader { text: &text[..end], at };
            match reader.call(context) {
                Some(call) if reader.is_done() => Next::Calls(vec![call], end),
                _ => Next::No,
            }
        }
        ValueEnd::Broken(_) => Next::No,
        ValueEnd::Open => context.more(),
    }
}

/// Every call in Python code of one expression a line, `print(…)` around it or not; nothing when a line is another thing.
pub(super) fn code(text: &str, context: &Context) -> Option<Vec<RawCall>> {
    let trimmed = text.trim();
    if let Some(list) = trimmed.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        return calls(list, context);
    }
    let mut reader = Reader { text: trimmed, at: 0 };
    let mut found = Vec::new();
    loop {
        reader.space();
        if reader.is_done() {
            break;
        }
        let start = reader.at;
        let is_printed = reader.takes("print(");
        match reader.call(context) {
            Some(call) => found.push(call),
            None => {
                // A tool that is itself called `print`.
                reader.at = start;
                found.push(reader.call(context)?);
                continue;
            }
        }
        reader.space();
        if is_printed && !reader.takes(")") {
            return None;
        }
        let _ = reader.takes(";");
    }
    (!found.is_empty()).then_some(found)
}

/// The JSON of a Python literal; `None` when the text is none.
pub(crate) fn value(text: &str) -> Option<String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let json = reader.value(0)?;
    reader.space();
    reader.is_done().then_some(json)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn is_done(&self) -> bool {
        self.at >= self.text.len()
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

    fn word(&mut self) -> &'a str {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = self.rest();
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// `name(key=value, …)` of a known tool. Arguments without a name take those of the tool in their order.
    fn call(&mut self, context: &Context) -> Option<RawCall> {
        let rest = self.rest();
        let end = rest.find('(')?;
        let written = rest[..end].trim();
        // `default_api.name(…)` and `name.call(…)` are calls of `name`.
        let mut name = written;
        if context.tool(name).is_none() {
            name = name.strip_suffix(".call").unwrap_or(name);
            name = name.strip_prefix("default_api.").unwrap_or(name);
        }
        let name = some_name(name)?;
        if !context.is_known(&name) {
            return None;
        }
        let properties = context.tool(&name).map(|tool| tool.parameters());
        let keys: Vec<String> =
            match properties.as_ref().and_then(|schema| schema.get("properties")?.as_object()) {
                Some(properties) => properties.keys().cloned().collect(),
                None => Vec::new(),
            };
        self.at += end + 1;
        let mut arguments = Vec::new();
        let mut place = 0;
        loop {
            self.space();
            if self.takes(")") {
                break;
            }
            let start = self.at;
            let key = self.word();
            self.space();
            let is_named = !key.is_empty() && self.rest().starts_with('=') && !self.rest().starts_with("==");
            let key = if is_named {
                self.at += 1;
                key.to_string()
            } else {
                self.at = start;
                let key = keys.get(place)?.clone();
                place += 1;
                key
            };
            self.space();
            arguments.push((key, self.value(0)?));
            self.space();
            if !self.takes(",") {
                self.space();
                if !self.takes(")") {
                    return None;
                }
                break;
            }
        }
        Some(RawCall { id: None, name, arguments: object(&arguments) })
    }

    /// A literal, as JSON.
    fn value(&mut self, depth: usize) -> Option<String> {
        if depth > DEPTH_MAX {
            return None;
        }
        let first = self.rest().chars().next()?;
        match first {
            '"' | '\'' => {
                let mut text = self.string()?;
                // Neighbouring texts are one text.
                loop {
                    let before = self.at;
                    self.space();
                    if !self.rest().starts_with(['"', '\'']) {
                        self.at = before;
                        break;
                    }
                    text.push_str(&self.string()?);
                }
                Some(quoted(&text))
            }
            '[' => self.list(']', depth),
            '(' => self.list(')', depth),
            '{' => self.dict(depth),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => match self.word() {
                "True" | "true" => Some("true".to_string()),
                "False" | "false" => Some("false".to_string()),
                "None" | "null" => Some("null".to_string()),
                _ => None,
            },
        }
    }

    fn list(&mut self, close: char, depth: usize) -> Option<String> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.rest().starts_with(close) {
                self.at += 1;
                return Some(format!("[{}]", items.join(", ")));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.takes(",") && !self.rest().starts_with(close) {
                return None;
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<String> {
        self.at += 1;
        let mut pairs = Vec::new();
        loop {
            self.space();
            if self.takes("}") {
                return Some(object(&pairs));
            }
            let key = self.value(depth + 1)?;
            // Keys that are not text become the text of their JSON, as `json.dumps` does it.
            let key = serde_json::from_str::<String>(&key).unwrap_or(key);
            self.space();
            if !self.takes(":") {
                return None;
            }
            self.space();
            pairs.push((key, self.value(depth + 1)?));
            self.space();
            if !self.takes(",") && !self.rest().starts_with('}') {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<String> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let written = rest[..end].replace('_', "");
        self.at += end;
        let is_json = |text: &str| serde_json::from_str::<serde_json::Number>(text).is_ok();
        if is_json(&written) {
            return Some(written);
        }
        // Python's `5.`, `.5`, `+5` and `0x1f` are no JSON numbers.
        let plain = written.trim_start_matches('+');
        let hexadecimal = plain.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
        if let Some(number) = hexadecimal {
            return Some(number.to_string());
        }
        let number: f64 = plain.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(serde_json::Number::from_f64(number)?.to_string())
    }

    fn string(&mut self) -> Option<String> {
        let rest = self.rest();
        let quote =
            if rest.starts_with("\"\"\"") || rest.starts_with("'''") { &rest[..3] } else { &rest[..1] };
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.takes(quote) {
                return Some(text);
            }
            let c = self.rest().chars().next()?;
            self.at += c.len_utf8();
            if c == '\\' {
                self.escape(&mut text)?;
            } else {
                text.push(c);
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'v' => '\u{b}',
            '0' => '\0',
            // JSON's `\/` is none of Python's escapes, but forced calls may have it.
            '\\' | '\'' | '"' | '/' => c,
            'x' => return self.code(text, 2),
            'u' => return self.code(text, 4),
            'U' => return self.code(text, 8),
            '\n' => return Some(()),
            // Python keeps the backslash of an escape it does not know.
            _ => {
                text.push('\\');
                c
            }
        };
        text.push(plain);
        Some(())
    }

    /// A character by its code; of a surrogate pair both.
    fn code(&mut self, text: &mut String, digits: usize) -> Option<()> {
        let code = self.hex(digits)?;
        let is_high = (0xD800..0xDC00).contains(&code);
        let code = if is_high && self.takes("\\u") {
            let low = self.hex(4)?;
            0x10000 + ((code - 0xD800) << 10) + low.checked_sub(0xDC00).filter(|low| *low < 0x400)?
        } else {
            code
        };
        text.push(char::from_u32(code)?);
        Some(())
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let code = u32::from_str_radix(self.rest().get(..digits)?, 16).ok()?;
        self.at += digits;
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn literals_become_json() {
        for (python, json) in [
            ("True", "true"),
            ("None", "null"),
            ("'it\\'s'", "\"it's\""),
            ("\"a\" 'b'", "\"ab\""),
            ("'''a\nb'''", "\"a\\nb\""),
            ("[1, 2.50, -3e5,]", "[1, 2.50, -3e5]"),
            ("(1, 'x')", "[1, \"x\"]"),
            ("{'a': {'b': [None]}, 2: False}", "{\"a\": {\"b\": [null]}, \"2\": false}"),
            (".5", "0.5"),
            ("0x1f", "31"),
            ("1_000", "1000"),
            ("'\\ud83d\\ude00\\x41\\u00e9'", "\"😀Aé\""),
            ("'\\d'", "\"\\\\d\""),
        ] {
            assert_eq!(value(python).as_deref(), Some(json), "{python}");
        }
        for wrong in ["x", "f(1)", "[1", "'a", "{1}", "1 2", "--1", "nan", "'\\ud83d'", "1e999", ""] {
            assert_eq!(value(wrong), None, "{wrong}");
        }
        assert_eq!(value(&"[".repeat(10_000)), None);
    }
}
