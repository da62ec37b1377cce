//! Searching text that is still arriving, without starting over at every piece.

use std::collections::HashMap;

/// Where a search has got to. It is thrown away when the text it looks at changes its beginning.
#[derive(Debug, Default)]
pub(super) struct Scan {
    finds: HashMap<(usize, &'static str), Find>,
    values: HashMap<(usize, Quotes), Value>,
    /// How far values were looked at, and how far anything was.
    values_to: usize,
    all_to: usize,
}

#[derive(Clone, Copy, Debug)]
enum Find {
    At(usize),
    /// Not before this.
    NotBefore(usize),
}

/// Which marks open a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quotes {
    /// JSON's.
    Double,
    /// Python's, both.
    Both,
}

/// The state of a search for the end of a bracketed value.
#[derive(Clone, Copy, Debug)]
struct Value {
    at: usize,
    depth: usize,
    quote: Option<u8>,
    escaped: bool,
    end: Option<ValueEnd>,
}

/// Where a bracketed value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueEnd {
    /// After its closing bracket.
    At(usize),
    /// It cannot be a value: there is a byte in it that stands in none.
    Broken(usize),
    /// Not in this text.
    Open,
}

/// Whether a text has a literal at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// Yes; the text goes on there.
    Yes(usize),
    /// The text ends before it is decided.
    Maybe,
    /// No.
    No,
}

/// Whether `literal` is at `at`.
pub(super) fn literal(text: &str, at: usize, literal: &str) -> Literal {
    let rest = &text.as_bytes()[at..];
    match literal.as_bytes() {
        bytes if rest.starts_with(bytes) => Literal::Yes(at + bytes.len()),
        bytes if bytes.starts_with(rest) => Literal::Maybe,
        _ => Literal::No,
    }
}

/// The first byte from `at` that is not JSON's white space.
pub(super) fn skip_space(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// How many bytes at the end of `text` may be the beginning of `mark`.
pub(super) fn partial_suffix(text: &str, mark: &str) -> usize {
    let (text, mark) = (text.as_bytes(), mark.as_bytes());
    let longest = text.len().min(mark.len().saturating_sub(1));
    (1..=longest).rev().find(|&length| text.ends_with(&mark[..length])).unwrap_or(0)
}

impl Scan {
    pub(super) fn clear(&mut self) {
        self.finds.clear();
        self.values.clear();
        self.values_to = 0;
        self.all_to = 0;
    }

    /// How many bytes were looked at. Before the text has ended only the ends of values count: how far else was looked
    /// depends on the pieces it came in.
    pub(super) fn looked_at(&self, is_end: bool) -> usize {
        if is_end { self.all_to.max(self.values_to) } else { self.values_to }
    }

    /// The first `needle` from `from`.
    pub(super) fn find(&mut self, text: &str, from: usize, needle: &'static str) -> Option<usize> {
        self.all_to = self.all_to.max(text.len());
        let state = self.finds.entry((from, needle)).or_insert(Find::NotBefore(from));
        match *state {
            Find::At(at) => Some(at),
            Find::NotBefore(start) => match text.get(start..).and_then(|rest| rest.find(needle)) {
                Some(at) => {
                    *state = Find::At(start + at);
                    Some(start + at)
                }
                None => {
                    let start = text.len().saturating_sub(needle.len() - 1).max(start);
                    *state = Find::NotBefore(text.floor_char_boundary(start).max(from));
                    None
                }
            },
        }
    }

    /// The end of the value whose opening bracket is at `from`. Of JSON ([`Quotes::Double`]) a byte that stands in no
    /// value outside its texts breaks it at once.
    pub(super) fn value_end(&mut self, text: &str, from: usize, quotes: Quotes) -> ValueEnd {
        let start = Value { at: from, depth: 0, quote: None, escaped: false, end: None };
        let state = self.values.entry((from, quotes)).or_insert(start);
        if let Some(end) = state.end {
            return end;
        }
        let bytes = text.as_bytes();
        while state.at < bytes.len() {
            let byte = bytes[state.at];
            match (state.quote, byte) {
                _ if state.escaped => state.escaped = false,
                (Some(_), b'\\') => state.escaped = true,
                (Some(quote), _) if byte == quote => state.quote = None,
                (Some(_), _) => {}
                (None, b'"') => state.quote = Some(byte),
                (None, b'\'') if quotes == Quotes::Both => state.quote = Some(byte),
                (None, b'{' | b'[' | b'(') => state.depth += 1,
                (None, b'}' | b']' | b')') => {
                    state.depth = state.depth.saturating_sub(1);
                    if state.depth == 0 {
                        let end = ValueEnd::At(state.at + 1);
                        state.end = Some(end);
                        self.values_to = self.values_to.max(state.at);
                        return end;
                    }
                }
                (None, _) if quotes == Quotes::Double && !is_json_byte(byte) => {
                    let end = ValueEnd::Broken(state.at);
                    state.end = Some(end);
                    self.values_to = self.values_to.max(state.at);
                    return end;
                }
                (None, _) => {}
            }
            state.at += 1;
        }
        self.all_to = self.all_to.max(text.len());
        ValueEnd::Open
    }
}

/// Whether a byte can stand in JSON outside its texts. Letters beyond those of `true`, `false`, `null` and `e` pass: the
/// JSON reader will refuse them.
fn is_json_byte(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_alphanumeric()
        || matches!(byte, b',' | b':' | b'-' | b'+' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        let text = "aé</tool</tool_call>";
        let mut scan = Scan::default();
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            assert_eq!(scan.find(&text[..end], 0, "</tool_call>"), None);
        }
        assert_eq!(scan.find(text, 0, "</tool_call>"), Some(9));
    }

    #[test]
    fn values_end_outside_their_texts() {
        let end = |text: &str, quotes| Scan::default().value_end(text, 0, quotes);
        assert_eq!(end("{\"a\": \"}\\\"}\"} x", Quotes::Double), ValueEnd::At(13));
        assert_eq!(end("{\"a\": [1", Quotes::Double), ValueEnd::Open);
        assert_eq!(end("{\"a\"</tool_call>", Quotes::Double), ValueEnd::Broken(4));
        assert_eq!(end("[f(a=']')]", Quotes::Both), ValueEnd::At(10));
    }

    #[test]
    fn partial_marks_are_seen() {
        assert_eq!(partial_suffix("ab<to", "<tool>"), 3);
        assert_eq!(partial_suffix("ab<tool>", "<tool>"), 0);
        assert_eq!(partial_suffix("<<", "<<a"), 2);
        assert_eq!(partial_suffix("", "<"), 0);
    }
}
