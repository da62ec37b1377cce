//! Parsing, with the parser's errors said as CPython says them.

use ruff_python_ast::{Mod, ModModule, PythonVersion};
use ruff_python_parser::{LexicalErrorType, ParseError, ParseErrorType, ParseOptions};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::collect;
use crate::errors::SyntaxError;
use crate::hints;
use crate::scope::Scopes;
use crate::source::Source;

/// What the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statements (`exec`).
    Module,
    /// One expression (`eval`).
    Expression,
    /// Statements whose values are shown (`single`).
    Interactive,
}

/// A parsed and resolved source.
#[derive(Debug)]
pub struct Module {
    /// The text.
    pub source: Source,
    /// The tree; its body is one expression statement for [`Mode::Expression`].
    pub tree: Mod,
    /// The scopes.
    pub scopes: Scopes,
    /// `from __future__ import annotations` was seen.
    pub future_annotations: bool,
    /// What it was parsed as.
    pub mode: Mode,
}

/// Parses and resolves.
///
/// # Errors
/// The first error of the text.
pub fn parse(source: Source, mode: Mode) -> Result<Module, Box<SyntaxError>> {
    let (source, tree) = parse_tree(source, mode)?;
    let (scopes, future_annotations) = collect::collect(&source, &tree).map_err(Box::new)?;
    Ok(Module { source, tree, scopes, future_annotations, mode })
}

/// Parses without resolving names: what a syntax tree for the program itself needs.
///
/// # Errors
/// The first error of the text.
pub fn parse_tree(source: Source, mode: Mode) -> Result<(Source, Mod), Box<SyntaxError>> {
    if let Some(at) = source.text.find('\0') {
        let range = TextRange::empty(TextSize::try_from(at).unwrap_or_default());
        return Err(Box::new(SyntaxError::new(
            &source,
            range,
            "source code string cannot contain null bytes",
        )));
    }
    if u32::try_from(source.text.len()).is_err() {
        let range = TextRange::empty(TextSize::new(0));
        return Err(Box::new(SyntaxError::new(&source, range, "source code is larger than 4 GiB")));
    }
    let parser_mode = match mode {
        Mode::Expression => ruff_python_parser::Mode::Expression,
        Mode::Module | Mode::Interactive => ruff_python_parser::Mode::Module,
    };
    let options = ParseOptions::from(parser_mode).with_target_version(PythonVersion::PY314);
    let text =
        if mode == Mode::Expression { source.text.trim_start_matches([' ', '\t']) } else { &source.text };
    let shift = source.text.len() - text.len();
    let source = if shift > 0 { Source::new(source.filename.clone(), text) } else { source };
    let parsed = ruff_python_parser::parse_unchecked(&source.text, options);
    if let Some(error) = parsed.errors().first() {
        return Err(Box::new(map_error(&source, error)));
    }
    Ok((source, parsed.into_syntax()))
}

impl Module {
    /// The statements.
    pub fn body(&self) -> &[ruff_python_ast::Stmt] {
        match &self.tree {
            Mod::Module(ModModule { body, .. }) => body,
            Mod::Expression(_) => &[],
        }
    }
}

fn map_error(source: &Source, error: &ParseError) -> SyntaxError {
    let mut range = error.location;
    let at = |kind: &'static str, range: TextRange, message: &str| {
        SyntaxError::of_kind(kind, source, range, message)
    };
    let found = source.text.get(usize::from(range.start())..).unwrap_or("");
    if let Some((open, place)) = unclosed(source, range.start()) {
        let range = TextRange::at(place, TextSize::new(1));
        let mut error = at("SyntaxError", range, &format!("'{open}' was never closed"));
        // CPython gives no end here.
        (error.end_line, error.end_column) = (error.line, 0);
        return error;
    }
    let message: String = match &error.error {
        ParseErrorType::UnexpectedIndentation => {
            let line = source.place(range.start()).0;
            let text = source.line(line).unwrap_or("");
            let indent = text.len() - text.trim_start_matches([' ', '\t', '\x0c']).len();
            let end = line_end(source, line) - TextSize::of(&text[indent.saturating_sub(1)..]);
            return at("IndentationError", TextRange::empty(end), "unexpected indent");
        }
        ParseErrorType::Lexical(LexicalErrorType::IndentationError) => {
            let line = source.place(range.start()).0;
            let end = line_end(source, line);
            return at(
                "IndentationError",
                TextRange::empty(end),
                "unindent does not match any outer indentation level",
            );
        }
        ParseErrorType::OtherError(text) if text.starts_with("Expected an indented block") => {
            let what = text.trim_start_matches("Expected an indented block").trim();
            return indented_block(source, range, what);
        }
        ParseErrorType::Lexical(LexicalErrorType::UnclosedStringError) => {
            let start = range.start();
            let (line, _) = source.place(start);
            let triple = {
                let rest =
                    source.text[usize::from(start)..].trim_start_matches(|c: char| c.is_ascii_alphabetic());
                rest.starts_with("\"\"\"") || rest.starts_with("'''")
            };
            let (word, last) = if triple {
                let last = source.line_count() - usize::from(source.text.ends_with('\n'));
                ("unterminated triple-quoted string literal", last as u32)
            } else {
                ("unterminated string literal", line)
            };
            range = TextRange::empty(start);
            format!("{word} (detected at line {last})")
        }
        ParseErrorType::Lexical(LexicalErrorType::UnrecognizedToken { tok }) => {
            if tok.is_ascii() {
                "invalid syntax".into()
            } else if invisible(*tok) {
                format!("invalid non-printable character U+{:04X}", *tok as u32)
            } else {
                format!("invalid character '{tok}' (U+{:04X})", *tok as u32)
            }
        }
        ParseErrorType::Lexical(LexicalErrorType::LineContinuationError) => {
            let after = range.start() + TextSize::new(1);
            range = TextRange::empty(after);
            if usize::from(after) >= source.text.trim_end_matches('\n').len() {
                "unexpected EOF while parsing".into()
            } else {
                "unexpected character after line continuation character".into()
            }
        }
        ParseErrorType::Lexical(LexicalErrorType::Eof) => "unexpected EOF while parsing".into(),
        ParseErrorType::Lexical(LexicalErrorType::InvalidByteLiteral) => {
            "bytes can only contain ASCII literal characters".into()
        }
        ParseErrorType::InvalidAnnotatedAssignmentTarget => match hints::target_kind(source.slice(range)) {
            Some(what @ ("tuple" | "list")) => format!("only single target (not {what}) can be annotated"),
            _ => "illegal target for annotation".into(),
        },
        ParseErrorType::InvalidAssignmentTarget => {
            let text = source.slice(range);
            match describe(text) {
                Some(what)
                    if found_equals(source, range) && may_be_meant(what) && !text.starts_with("not ") =>
                {
                    format!("cannot assign to {what} here. Maybe you meant '==' instead of '='?")
                }
                Some(what) => format!("cannot assign to {what}"),
                None => "invalid syntax".into(),
            }
        }
        ParseErrorType::InvalidAugmentedAssignmentTarget => {
            match describe(source.slice(range)).or_else(|| hints::target_kind(source.slice(range))) {
                Some(what) => format!("'{what}' is an illegal expression for augmented assignment"),
                None => "invalid syntax".into(),
            }
        }
        ParseErrorType::InvalidDeleteTarget => match describe(source.slice(range)) {
            Some(what) => format!("cannot delete {what}"),
            None => "invalid syntax".into(),
        },
        ParseErrorType::PositionalAfterKeywordArgument => {
            "positional argument follows keyword argument".into()
        }
        ParseErrorType::PositionalAfterKeywordUnpacking => {
            "positional argument follows keyword argument unpacking".into()
        }
        ParseErrorType::InvalidArgumentUnpackingOrder => {
            "iterable argument unpacking follows keyword argument unpacking".into()
        }
        ParseErrorType::IterableUnpackingInComprehension => {
            "iterable unpacking cannot be used in comprehension".into()
        }
        ParseErrorType::NonDefaultParamAfterDefaultParam => {
            "parameter without a default follows parameter with a default".into()
        }
        ParseErrorType::ParamAfterVarKeywordParam => "arguments cannot follow var-keyword argument".into(),
        ParseErrorType::ExpectedKeywordParam => "named arguments must follow bare *".into(),
        ParseErrorType::UnparenthesizedGeneratorExpression => {
            "Generator expression must be parenthesized".into()
        }
        ParseErrorType::InvalidStarredExpressionUsage => {
            let value = source.slice(range);
            let rest = source.text.get(usize::from(range.end())..).unwrap_or("").trim_start();
            let before = source.text.get(..usize::from(range.start())).unwrap_or("").trim_end();
            if rest.starts_with("for ") {
                "iterable unpacking cannot be used in comprehension".into()
            } else if before.ends_with(':') && value.starts_with('*') && before.contains('{') {
                "cannot use a starred expression in a dictionary value".into()
            } else {
                "cannot use starred expression here".into()
            }
        }
        ParseErrorType::FStringError(error) => format!("f-string: {error}"),
        ParseErrorType::ExpectedToken { expected, .. } if expected.to_string() == "`:`" => {
            let line = source.place(range.start()).0;
            let before = source.line(line).and_then(|t| t.get(..source.place(range.start()).1 as usize));
            let lambda = before.is_some_and(|t| t.rfind("lambda").is_some_and(|at| !t[at..].contains(':')));
            if let Some(error) = dictionary_key(source, range) {
                return error;
            }
            if found.starts_with('=') || lambda { "invalid syntax".into() } else { "expected ':'".into() }
        }
        ParseErrorType::OtherError(text) if text.starts_with("Duplicate parameter") => {
            format!("duplicate argument '{}' in function definition", text.split('"').nth(1).unwrap_or(""))
        }
        _ => "invalid syntax".into(),
    };
    if message == "invalid syntax"
        && let Some(error) = hints::better(source, range, describe)
    {
        return error;
    }
    if range.is_empty() && !message.contains("string literal") {
        // CPython points at the token it could not use.
        let length =
            found.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
        let length = TextSize::try_from(length.max(usize::from(!found.is_empty()))).unwrap_or_default();
        range = TextRange::at(range.start(), length);
    }
    let mut error = at("SyntaxError", range, &message);
    if message == "invalid syntax" && range.is_empty() {
        // The end of the line is a token of one character.
        error.end_column = error.column + 1;
    }
    error
}

/// Whether `=` after such an expression may be meant as `==`.
fn may_be_meant(what: &str) -> bool {
    !matches!(
        what,
        "None"
            | "True"
            | "False"
            | "generator expression"
            | "comparison"
            | "lambda"
            | "conditional expression"
            | "named expression"
            | "yield expression"
    )
}

/// Characters that CPython calls non-printable.
fn invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c as u32, 0xad | 0x600..=0x605 | 0x61c | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0001..=0xe007f)
}

/// A key without its value in a dict display.
fn dictionary_key(source: &Source, range: TextRange) -> Option<SyntaxError> {
    let words = crate::words::cut(&source.text);
    let at = usize::from(range.start());
    let index = words.words.iter().position(|w| w.end() > at)?;
    let depth = words.words[index].depth;
    let before = words.words.get(index.checked_sub(1)?)?;
    let closes = matches!(words.words[index].text, "}" | "," | "for");
    let inside =
        words.words[..index].iter().rev().find(|w| w.depth + 1 == depth || w.depth == depth && w.text == "{");
    let open = words.words[index].text == "}" || inside.is_some_and(|w| w.text == "{");
    (closes && open && before.text != ":").then(|| {
        let end = TextSize::try_from(before.end() - 1).unwrap_or_default();
        let range = TextRange::at(end, TextSize::new(1));
        SyntaxError::new(source, range, "':' expected after dictionary key")
    })
}

/// The compound statement that misses its block.
fn indented_block(source: &Source, range: TextRange, what: &str) -> SyntaxError {
    let (line, _) = source.place(range.start());
    let header = (1..=line)
        .rev()
        .find(|l| source.line(*l).is_some_and(|t| t.trim_end().ends_with(':')))
        .unwrap_or(line);
    let what = what.replace('`', "'");
    let word =
        source.line(header).unwrap_or("").split_whitespace().next().unwrap_or("").trim_end_matches(':');
    let after = match word {
        "def" | "async" => "after function definition".to_string(),
        "class" => "after class definition".to_string(),
        "if" | "elif" | "else" | "for" | "while" | "try" | "except" | "finally" | "with" => {
            format!("after '{word}' statement")
        }
        _ => what,
    };
    let message = format!("expected an indented block {after} on line {header}");
    SyntaxError::of_kind("IndentationError", source, range, message)
}

fn line_end(source: &Source, line: u32) -> TextSize {
    let mut at = 0usize;
    for l in 1..line {
        at += source.line(l).map_or(0, |t| t.len() + 1);
    }
    TextSize::try_from(at + source.line(line).map_or(0, str::len)).unwrap_or_default()
}

fn found_equals(source: &Source, range: TextRange) -> bool {
    let rest = source.text.get(usize::from(range.end())..).unwrap_or("").trim_start();
    rest.starts_with('=') && !rest.starts_with("==")
}

/// What CPython calls an expression that cannot be a target.
fn describe(text: &str) -> Option<&'static str> {
    let parsed = ruff_python_parser::parse_expression(text).ok()?;
    use ruff_python_ast::Expr;
    Some(match parsed.expr() {
        Expr::Call(_) => "function call",
        Expr::NoneLiteral(_) => "None",
        Expr::BooleanLiteral(b) => {
            if b.value {
                "True"
            } else {
                "False"
            }
        }
        Expr::EllipsisLiteral(_) => "ellipsis",
        Expr::StringLiteral(_) | Expr::BytesLiteral(_) | Expr::NumberLiteral(_) => "literal",
        Expr::FString(_) => "f-string expression",
        Expr::BinOp(_) | Expr::UnaryOp(_) | Expr::BoolOp(_) => "expression",
        Expr::Compare(_) => "comparison",
        Expr::Lambda(_) => "lambda",
        Expr::If(_) => "conditional expression",
        Expr::Dict(_) => "dict literal",
        Expr::Set(_) => "set display",
        Expr::ListComp(_) => "list comprehension",
        Expr::SetComp(_) => "set comprehension",
        Expr::DictComp(_) => "dict comprehension",
        Expr::Generator(_) => "generator expression",
        Expr::Await(_) => "await expression",
        Expr::Yield(_) | Expr::YieldFrom(_) => "yield expression",
        Expr::Named(_) => "named expression",
        other => {
            let _ = other.range();
            return None;
        }
    })
}

/// A bracket before `limit` that nothing closes in the whole text, when the error is at the end because of it.
fn unclosed(source: &Source, limit: TextSize) -> Option<(char, TextSize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut chars = source.text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '#' => {
                while chars.peek().is_some_and(|(_, c)| *c != '\n') {
                    chars.next();
                }
            }
            '\'' | '"' => {
                let rest = &source.text[at..];
                let triple: String = std::iter::repeat_n(c, 3).collect();
                let delimiter = if rest.starts_with(&triple) { triple } else { c.to_string() };
                let mut end = at + delimiter.len();
                let bytes = source.text.as_bytes();
                loop {
                    match bytes.get(end) {
                        None => return None,
                        Some(b'\\') => end += 2,
                        Some(b'\n') if delimiter.len() == 1 => return None,
                        Some(_) if bytes[end..].starts_with(delimiter.as_bytes()) => break,
                        Some(_) => end += 1,
                    }
                }
                let end = end + delimiter.len();
                while chars.peek().is_some_and(|(at, _)| *at < end) {
                    chars.next();
                }
            }
            '(' | '[' | '{' => open.push((c, at)),
            ')' | ']' | '}' => {
                let (opened, _) = open.pop()?;
                if !matches!((opened, c), ('(', ')') | ('[', ']') | ('{', '}')) {
                    return None;
                }
            }
            _ => {}
        }
    }
    let (c, at) = *open.last()?;
    let at = TextSize::try_from(at).ok()?;
    // What stands wrong on the same line is the error, and not the bracket.
    let end = source.text.trim_end().len();
    let later = usize::from(limit) >= end || source.place(limit).0 > source.place(at).0;
    (at <= limit && later).then_some((c, at))
}
