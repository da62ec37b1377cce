//! What CPython says about errors that the parser only calls invalid: forgotten commas and parentheses, `=` for
//! `==`, numbers that are none, brackets that do not match. Each rule looks at the words around the error.

use ruff_text_size::{TextRange, TextSize};

use crate::errors::SyntaxError;
use crate::source::Source;
use crate::words::{KEYWORDS, Kind, Word, Words, cut};

/// A better message and its range of bytes.
pub(crate) struct Hint {
    pub message: String,
    pub start: usize,
    pub end: usize,
}

fn hint(message: impl Into<String>, start: usize, end: usize) -> Option<Hint> {
    Some(Hint { message: message.into(), start, end })
}

/// The error that CPython reports instead of an unspecific one at `range`; `describe` names an expression's kind.
pub(crate) fn better(
    source: &Source,
    range: TextRange,
    describe: fn(&str) -> Option<&'static str>,
) -> Option<SyntaxError> {
    let words = cut(&source.text);
    let at = usize::from(range.start());
    // The word at or behind the error's place.
    let index = words.words.iter().position(|w| w.end() > at).unwrap_or(words.words.len());
    let context = Context { source, words: &words, index, describe };
    let found = context.bad_number().or_else(|| context.bracket(at)).or_else(|| context.rules())?;
    let part = |at: usize| TextSize::try_from(at).unwrap_or_default();
    let range = TextRange::new(part(found.start), part(found.end.max(found.start)));
    Some(SyntaxError::new(source, range, found.message))
}

struct Context<'a> {
    source: &'a Source,
    words: &'a Words<'a>,
    index: usize,
    describe: fn(&str) -> Option<&'static str>,
}

/// Whether an expression can begin with it.
fn begins(word: &Word) -> bool {
    match word.kind {
        Kind::Number | Kind::Text => true,
        Kind::Name => !KEYWORDS.contains(&word.text) || matches!(word.text, "not" | "lambda" | "await"),
        Kind::Op => matches!(word.text, "{" | "~" | "..."),
        Kind::Newline => false,
    }
}

/// Whether an expression can end with it.
fn ends(word: &Word) -> bool {
    match word.kind {
        Kind::Number | Kind::Text => true,
        Kind::Name => !KEYWORDS.contains(&word.text),
        Kind::Op => matches!(word.text, ")" | "]" | "}" | "..."),
        Kind::Newline => false,
    }
}

impl<'a> Context<'a> {
    fn word(&self, index: usize) -> Option<&Word<'a>> {
        self.words.words.get(index)
    }

    fn before(&self) -> Option<&Word<'a>> {
        self.word(self.index.checked_sub(1)?)
    }

    /// The first word of the statement.
    fn statement(&self) -> usize {
        let ends = |w: &Word| w.kind == Kind::Newline || (w.depth == 0 && w.text == ";");
        (0..self.index).rev().find(|i| ends(&self.words.words[*i])).map_or(0, |i| i + 1)
    }

    /// The bracket that is open around the error: its character and the index of its word.
    fn bracket_around(&self) -> Option<(char, usize)> {
        let mut closed = 0;
        for i in (self.statement()..self.index).rev() {
            match self.words.words[i].text {
                ")" | "]" | "}" => closed += 1,
                "(" | "[" | "{" if closed == 0 => return Some((self.words.words[i].text.chars().next()?, i)),
                "(" | "[" | "{" => closed -= 1,
                _ => {}
            }
        }
        None
    }

    /// The word where the expression that ends before `until` begins: behind the last separator of its depth.
    fn expression_start(&self, until: usize) -> usize {
        let mut closed = 0;
        for i in (self.statement()..until).rev() {
            let word = &self.words.words[i];
            let separator = match word.text {
                ")" | "]" | "}" => {
                    closed += 1;
                    false
                }
                "(" | "[" | "{" if closed == 0 => true,
                "(" | "[" | "{" => {
                    closed -= 1;
                    false
                }
                "," | ":" | "=" | ":=" | "->" | "*" | "**" if closed == 0 => {
                    !(matches!(word.text, "*" | "**") && i > 0 && ends(&self.words.words[i - 1]))
                }
                "if" | "else" | "elif" | "for" | "in" | "lambda" | "return" | "while" | "yield"
                | "assert" | "del" | "with" | "raise" | "from"
                    if closed == 0 && word.kind == Kind::Name =>
                {
                    true
                }
                _ => false,
            };
            if separator {
                return i + 1;
            }
        }
        self.statement()
    }

    /// A word at the depth of the error, between two indices.
    fn has(&self, from: usize, to: usize, depth: usize, text: &str) -> Option<usize> {
        (from..to).find(|i| {
            let w = &self.words.words[*i];
            w.depth == depth && w.text == text && w.kind != Kind::Text
        })
    }

    /// A number that is none, at or right before the error.
    fn bad_number(&self) -> Option<Hint> {
        let near = [self.index.checked_sub(1), Some(self.index)];
        for word in near.into_iter().flatten().filter_map(|i| self.word(i)) {
            if word.kind == Kind::Number
                && let Some((message, consumed)) = number_error(word.text)
            {
                let at = word.start + consumed - 1;
                return hint(message, at, at + 1);
            }
        }
        None
    }

    /// A closing bracket without its opening one, no further than the error.
    fn bracket(&self, at: usize) -> Option<Hint> {
        let wrong = self.words.mismatch?;
        if wrong.at > at + 1 {
            return None;
        }
        let closing = wrong.closing;
        match wrong.opening {
            None => hint(format!("unmatched '{closing}'"), wrong.at, wrong.at),
            Some((opening, from)) => {
                let place = |at: usize| self.source.place(TextSize::try_from(at).unwrap_or_default()).0;
                let line = place(from);
                let on = if line == place(wrong.at) { String::new() } else { format!(" on line {line}") };
                let message = format!(
                    "closing parenthesis '{closing}' does not match opening parenthesis '{opening}'{on}"
                );
                hint(message, wrong.at, wrong.at)
            }
        }
    }

    fn rules(&self) -> Option<Hint> {
        let first = self.word(self.statement())?;
        let word = self.word(self.index);
        let before = self.before();
        let around = self.bracket_around();
        let definition = matches!(first.text, "def" | "async" | "lambda");
        if let Some(found) = self.print_statement(first) {
            return Some(found);
        }
        if let (Some(word), Some(before)) = (word, before) {
            if definition && let Some(found) = self.parameters(word, before) {
                return Some(found);
            }
            if word.text == "="
                && let Some(found) = self.equals(word, around, definition)
            {
                return Some(found);
            }
            if matches!(word.text, ")" | ",") && before.text == "=" && around.is_some_and(|a| a.0 == '(') {
                let name = self.word(self.index.checked_sub(2)?)?;
                return if definition {
                    hint("expected default value expression", before.start, before.end())
                } else {
                    hint("expected argument value expression", name.start, before.end())
                };
            }
            if word.text == ":=" {
                let start = self.word(self.expression_start(self.index))?.start;
                let text = self.source.text.get(start..before.end())?;
                let what = (self.describe)(text).or_else(|| target_kind(text))?;
                return hint(format!("cannot use assignment expressions with {what}"), start, before.end());
            }
            if let Some((bracket, open)) = around {
                let inner = word.depth;
                if word.text == "for"
                    && bracket != '('
                    && let Some(comma) = self.has(open + 1, self.index, inner, ",")
                    && self.has(open + 1, self.index, inner, "for").is_none()
                    && self.has(open + 1, comma, inner, ":").is_none()
                {
                    let start = self.word(open + 1)?.start;
                    return hint(
                        "did you forget parentheses around the comprehension target?",
                        start,
                        before.end(),
                    );
                }
                if bracket == '{' && before.text == ":" && matches!(word.text, "}" | ",") {
                    return hint(
                        "expression expected after dictionary key and ':'",
                        before.start,
                        before.end(),
                    );
                }
            }
            if let Some(found) = self.without_else(word) {
                return Some(found);
            }
            if around.is_some()
                && ends(before)
                && begins(word)
                && !(before.kind == Kind::Name && word.kind == Kind::Text && before.end() == word.start)
                && !definition
            {
                let start = self.word(self.expression_start(self.index))?.start;
                return hint("invalid syntax. Perhaps you forgot a comma?", start, self.expression_end());
            }
        } else if let (None, Some(_)) = (word, before)
            && let Some(found) = self.at_end()
        {
            return Some(found);
        }
        if first.text == "def" && self.index == self.statement() + 2 && word.is_some_and(|w| w.text == ":") {
            let word = word?;
            return hint("expected '('", word.start, word.end());
        }
        None
    }

    fn at_end(&self) -> Option<Hint> {
        let word = Word { kind: Kind::Newline, text: "", start: self.source.text.len(), depth: 0 };
        self.without_else(&word)
    }

    /// The end of the expression at the error.
    fn expression_end(&self) -> usize {
        let depth = self.word(self.index).map_or(0, |w| w.depth);
        let mut end = self.word(self.index).map_or(0, Word::end);
        for word in &self.words.words[self.index..] {
            let closes = word.depth < depth || word.depth == depth && matches!(word.text, ")" | "]" | "}");
            let stops = word.depth == depth
                && (matches!(word.text, "," | ":" | "=" | ";") || matches!(word.text, "for" | "if" | "else"));
            if closes && word.depth < depth || stops || word.kind == Kind::Newline {
                break;
            }
            end = word.end();
        }
        end
    }

    /// `print 1`
    fn print_statement(&self, first: &Word) -> Option<Hint> {
        if !matches!(first.text, "print" | "exec") || self.index != self.statement() + 1 {
            return None;
        }
        let next = self.word(self.index)?;
        if !begins(next) {
            return None;
        }
        let rest = &self.words.words[self.index..];
        let end = rest.iter().take_while(|w| w.kind != Kind::Newline && w.text != ";").last()?.end();
        let name = first.text;
        hint(format!("Missing parentheses in call to '{name}'. Did you mean {name}(...)?"), first.start, end)
    }

    /// Parameters that cannot be.
    fn parameters(&self, word: &Word, before: &Word) -> Option<Hint> {
        let start = self.statement();
        let depth = word.depth;
        let lambda = self.word(start)?.text == "lambda";
        let earlier = |text: &str| {
            (start..self.index).any(|i| {
                let w = &self.words.words[i];
                w.depth == depth
                    && w.text == text
                    && (i == 0 || matches!(self.words.words[i - 1].text, "," | "(" | "lambda"))
            })
        };
        let message = match word.text {
            "*" if earlier("*") => "* argument may appear only once",
            "/" if earlier("/") => "/ may appear only once",
            "/" if earlier("*") => "/ must be ahead of *",
            "=" if depth > 0 || lambda => match self.word(self.index.checked_sub(2)?)?.text {
                "*" => "var-positional argument cannot have default value",
                "**" => "var-keyword argument cannot have default value",
                _ => return None,
            },
            "(" if matches!(before.text, "(" | ",") => {
                let what = if lambda { "Lambda expression parameters" } else { "Function parameters" };
                return hint(format!("{what} cannot be parenthesized"), word.start, word.end());
            }
            _ => return None,
        };
        hint(message, word.start, word.end())
    }

    /// `=` where no assignment can be.
    fn equals(&self, word: &Word, around: Option<(char, usize)>, definition: bool) -> Option<Hint> {
        let first = self.statement();
        let keyword = matches!(self.word(first)?.text, "if" | "elif" | "while" | "return" | "assert");
        if definition || !(keyword || around.is_some()) {
            return None;
        }
        let start = self.expression_start(self.index);
        let target = self.source.text.get(self.word(start)?.start..self.before()?.end())?;
        let call = around.is_some_and(|(bracket, open)| {
            bracket == '('
                && open > 0
                && self.word(open - 1).is_some_and(|w| ends(w) && w.end() == self.words.words[open].start)
        });
        let (from, end) = (self.word(start)?.start, self.before()?.end());
        if call {
            return match target {
                "True" | "False" | "None" => hint(format!("cannot assign to {target}"), from, end),
                _ => {
                    hint("expression cannot contain assignment, perhaps you meant \"==\"?", from, word.end())
                }
            };
        }
        match target_kind(target) {
            Some("name") => hint(
                "invalid syntax. Maybe you meant '==' or ':=' instead of '='?",
                from,
                self.word(self.index + 1).map_or(word.end(), Word::end),
            ),
            Some(what @ ("attribute" | "subscript")) => {
                hint(format!("cannot assign to {what} here. Maybe you meant '==' instead of '='?"), from, end)
            }
            _ => None,
        }
    }

    /// `x if y` without `else`.
    fn without_else(&self, word: &Word) -> Option<Hint> {
        if word.text == "else" {
            return None;
        }
        let depth = match self.bracket_around() {
            Some((_, open)) => self.words.words[open].depth + 1,
            None => 0,
        };
        let statement = self.statement();
        let at = (statement..self.index)
            .rev()
            .find(|i| self.words.words[*i].depth == depth && self.words.words[*i].text == "if")?;
        let inside = |text: &str, from: usize| self.has(from, self.index, depth, text).is_some();
        // Not the `if` of a statement, of a comprehension or of a pattern.
        let start = self.expression_start(at);
        let clause = (start..at).any(|i| self.words.words[i].text == "for")
            || start > 0 && matches!(self.words.words[start - 1].text, "in");
        if at == statement || start >= at || clause || inside("else", at) || inside(":", at) {
            return None;
        }
        if matches!(self.words.words[statement].text, "case" | "for") || at + 1 >= self.index {
            return None;
        }
        let from = self.word(start)?.start;
        hint("expected 'else' after 'if' expression", from, self.before()?.end())
    }
}

/// What a text is that can be assigned to.
pub(crate) fn target_kind(text: &str) -> Option<&'static str> {
    use ruff_python_ast::Expr;
    let parsed = ruff_python_parser::parse_expression(text).ok()?;
    Some(match parsed.expr() {
        Expr::Name(_) => "name",
        Expr::Attribute(_) => "attribute",
        Expr::Subscript(_) => "subscript",
        Expr::Tuple(_) => "tuple",
        Expr::List(_) => "list",
        _ => return None,
    })
}

/// What is wrong with a number, and how many characters were read until then.
fn number_error(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let lower = text.to_ascii_lowercase();
    let base = match lower.get(..2) {
        Some("0x") => Some((16, "hexadecimal")),
        Some("0o") => Some((8, "octal")),
        Some("0b") => Some((2, "binary")),
        _ => None,
    };
    if let Some((base, name)) = base {
        let invalid = |at: usize| Some((format!("invalid {name} literal"), at));
        let mut at = 2;
        loop {
            if bytes.get(at) == Some(&b'_') {
                at += 1;
            }
            let Some(b) = bytes.get(at) else { return invalid(at) };
            if !char::from(*b).is_digit(base) {
                return if b.is_ascii_digit() {
                    Some((format!("invalid digit '{}' in {name} literal", char::from(*b)), at + 1))
                } else {
                    invalid(at)
                };
            }
            while bytes.get(at).is_some_and(|b| char::from(*b).is_digit(base)) {
                at += 1;
            }
            match bytes.get(at) {
                None => return None,
                Some(b'_') => {}
                Some(b) if b.is_ascii_digit() => {
                    return Some((format!("invalid digit '{}' in {name} literal", char::from(*b)), at + 1));
                }
                Some(_) => return trailing(text, at, name),
            }
        }
    }
    let digits = |mut at: usize| -> Result<usize, usize> {
        loop {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if bytes.get(at) != Some(&b'_') {
                return Ok(at);
            }
            at += 1;
            if !bytes.get(at).is_some_and(u8::is_ascii_digit) {
                return Err(at);
            }
        }
    };
    let decimal = |at: usize| Some(("invalid decimal literal".to_string(), at));
    let mut at = match digits(0) {
        Ok(at) => at,
        Err(at) => return decimal(at),
    };
    let whole = at;
    if bytes.get(at) == Some(&b'.') {
        at = match digits(at + 1) {
            Ok(at) => at,
            Err(at) => return decimal(at),
        };
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at = match digits(at + 1 + sign) {
                Ok(at) => at,
                Err(at) => return decimal(at),
            };
        } else if trailing(text, at, "decimal").is_some() {
            return decimal(at);
        }
    }
    if matches!(bytes.get(at), Some(b'j' | b'J')) {
        return if at + 1 < bytes.len() { trailing(text, at + 1, "imaginary") } else { None };
    }
    if at < bytes.len() {
        return trailing(text, at, "decimal");
    }
    let zeros =
        whole == at && whole > 1 && bytes[0] == b'0' && lower.bytes().any(|b| matches!(b, b'1'..=b'9'));
    zeros.then(|| {
        let message = "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers";
        (message.to_string(), 1)
    })
}

/// Letters right behind a number, unless they begin a keyword that may follow it.
fn trailing(text: &str, at: usize, name: &str) -> Option<(String, usize)> {
    let rest = &text[at..];
    if ["and", "else", "for", "if", "in", "is", "not", "or"].iter().any(|k| rest.starts_with(k)) {
        return None;
    }
    Some((format!("invalid {name} literal"), at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none() {
        let cases = [
            ("1__0", "invalid decimal literal", 2),
            ("1_", "invalid decimal literal", 2),
            ("0x", "invalid hexadecimal literal", 2),
            ("0xg", "invalid hexadecimal literal", 2),
            ("0b2", "invalid digit '2' in binary literal", 3),
            ("0b1_", "invalid binary literal", 4),
            ("0o_", "invalid octal literal", 3),
            ("5jk", "invalid imaginary literal", 2),
            ("1e_5", "invalid decimal literal", 1),
            ("1_000_", "invalid decimal literal", 6),
        ];
        for (text, message, at) in cases {
            assert_eq!(number_error(text), Some((message.to_string(), at)), "{text}");
        }
        for text in ["1", "0", "00", "1_0", "0x1F", "1.5e-3", "1e5j", "0b1_0", ".5"] {
            assert_eq!(number_error(text), None, "{text}");
        }
        assert_eq!(number_error("012").map(|n| n.1), Some(1));
    }
}
