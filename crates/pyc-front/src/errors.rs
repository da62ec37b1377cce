//! Syntax errors as CPython says them.

use std::fmt;

use ruff_text_size::{TextRange, TextSize};

use crate::source::Source;

/// A SyntaxError (or IndentationError) with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// `SyntaxError`, `IndentationError` or `TabError`.
    pub kind: &'static str,
    /// CPython's message where it is known.
    pub message: String,
    /// The file.
    pub filename: String,
    /// From 1.
    pub line: u32,
    /// Column in code points, from 1.
    pub column: u32,
    /// From 1.
    pub end_line: u32,
    /// After the last, from 1.
    pub end_column: u32,
    /// The text of the first line.
    pub text: Option<String>,
}

impl SyntaxError {
    /// An error at a range.
    pub fn new(source: &Source, range: TextRange, message: impl Into<String>) -> SyntaxError {
        SyntaxError::of_kind("SyntaxError", source, range, message)
    }

    pub(crate) fn of_kind(
        kind: &'static str,
        source: &Source,
        range: TextRange,
        message: impl Into<String>,
    ) -> SyntaxError {
        let limit = TextSize::of(source.text.as_str());
        let (line, column) = source.place(range.start().min(limit));
        let (end_line, end_column) = source.place(range.end().min(limit));
        let points = |line: u32, column: u32| {
            let text = source.line(line).unwrap_or("");
            text.get(..column as usize).map_or(text.chars().count(), |t| t.chars().count()) as u32 + 1
        };
        SyntaxError {
            kind,
            message: message.into(),
            filename: source.filename.clone(),
            line,
            column: points(line, column),
            end_line,
            end_column: points(end_line, end_column),
            text: source.line(line).map(|text| format!("{text}\n")),
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.filename, self.line, self.column, self.kind, self.message)
    }
}

impl std::error::Error for SyntaxError {}
