//! A rough cut of a text into words, for explaining errors: it never fails, and knows brackets.

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Name,
    Number,
    Text,
    Op,
    /// The end of a line outside brackets.
    Newline,
}

/// A word of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
    /// Brackets around it; an opening one counts as outside of itself.
    pub depth: usize,
}

impl Word<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// A closing bracket that closes nothing (`opening` absent) or another kind of bracket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mismatch {
    pub at: usize,
    pub closing: char,
    pub opening: Option<(char, usize)>,
}

/// The words, the first wrong closing bracket, and the brackets that stay open.
pub(crate) struct Words<'a> {
    pub words: Vec<Word<'a>>,
    pub mismatch: Option<Mismatch>,
    pub open: Vec<(char, usize)>,
}

const OPERATORS: &[&str] = &[
    "**=", "//=", ">>=", "<<=", "...", "!=", "<>", "->", ":=", "==", "<=", ">=", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "@=", "**", "//", "<<", ">>",
];

/// Keywords that no expression can begin or end with.
pub(crate) const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "lambda", "await", "yield",
];

pub(crate) fn cut(text: &str) -> Words<'_> {
    let bytes = text.as_bytes();
    let mut all = Words { words: Vec::new(), mismatch: None, open: Vec::new() };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        let (kind, length) = match first {
            ' ' | '\t' | '\x0c' | '\r' | '\\' => {
                at += 1;
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '\n' => {
                if !all.open.is_empty() {
                    at += 1;
                    continue;
                }
                (Kind::Newline, 1)
            }
            '0'..='9' => (Kind::Number, number_length(rest)),
            '.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => (Kind::Number, number_length(rest)),
            '\'' | '"' => (Kind::Text, text_length(rest)),
            c if c.is_alphabetic() || c == '_' || !c.is_ascii() => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let length = length.max(c.len_utf8());
                let prefix = length <= 2 && rest[..length].bytes().all(|b| b"rRbBuUfFtT".contains(&b));
                match rest[length..].chars().next() {
                    Some('\'' | '"') if prefix => (Kind::Text, length + text_length(&rest[length..])),
                    _ => (Kind::Name, length),
                }
            }
            c => {
                let operator = OPERATORS.iter().find(|o| rest.starts_with(**o));
                (Kind::Op, operator.map_or(c.len_utf8(), |o| o.len()))
            }
        };
        let word = &rest[..length];
        if kind == Kind::Op && matches!(first, ')' | ']' | '}') {
            let opening = all.open.pop();
            let fits = matches!(
                (opening, first),
                (Some(('(', _)), ')') | (Some(('[', _)), ']') | (Some(('{', _)), '}')
            );
            if !fits && all.mismatch.is_none() {
                all.mismatch = Some(Mismatch { at, closing: first, opening });
            }
        }
        all.words.push(Word { kind, text: word, start: at, depth: all.open.len() });
        if kind == Kind::Op && matches!(first, '(' | '[' | '{') {
            all.open.push((first, at));
        }
        at += length;
    }
    all
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let sign = matches!(b, b'+' | b'-')
            && matches!(bytes[at - 1], b'e' | b'E')
            && !text.starts_with("0x")
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.') || (at > 0 && sign)) {
            break;
        }
        at += 1;
    }
    at
}

fn text_length(text: &str) -> usize {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let delimiter = if text.starts_with(&triple) { triple.as_str() } else { quote };
    let bytes = text.as_bytes();
    let mut at = delimiter.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\n' if delimiter.len() == 1 => return at,
            _ if bytes[at..].starts_with(delimiter.as_bytes()) => return at + delimiter.len(),
            _ => at += 1,
        }
    }
    // A backslash may stand before the last character, which may be long.
    let mut end = at.min(bytes.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        cut(text).words.iter().map(|w| w.text).collect()
    }

    #[test]
    fn words_are_cut_and_brackets_known() {
        assert_eq!(texts("x = f'a' + 1e-5j # c\n"), ["x", "=", "f'a'", "+", "1e-5j", "\n"]);
        assert_eq!(texts("(a\nb)"), ["(", "a", "b", ")"]);
        let words = cut("f(1, [2)");
        let mismatch = words.mismatch.expect("one");
        assert_eq!((mismatch.at, mismatch.closing, mismatch.opening), (7, ')', Some(('[', 5))));
        assert_eq!(cut("(").open, [('(', 0)]);
        assert_eq!(texts("'\\é"), ["'\\é"]);
    }
}
