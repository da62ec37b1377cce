//! Source text with its lines.

use ruff_text_size::{TextRange, TextSize};

/// Text and where its lines begin.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown in tracebacks.
    pub filename: String,
    /// The text, without a byte order mark.
    pub text: String,
    starts: Vec<u32>,
}

impl Source {
    /// Indexes the lines of `text`.
    pub fn new(filename: impl Into<String>, text: impl Into<String>) -> Source {
        let mut text: String = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..3);
        }
        let mut starts = vec![0];
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n') {
                starts.push(at as u32 + 1);
            }
        }
        Source { filename: filename.into(), text, starts }
    }

    /// Line from 1 and column in bytes from 0.
    pub fn place(&self, at: TextSize) -> (u32, u32) {
        let at = at.to_u32();
        let line = self.starts.partition_point(|start| *start <= at);
        (line as u32, at - self.starts[line - 1])
    }

    /// The text of a line (from 1) without its end; nothing past the last.
    pub fn line(&self, line: u32) -> Option<&str> {
        let start = *self.starts.get((line as usize).checked_sub(1)?)? as usize;
        let end = self.starts.get(line as usize).map_or(self.text.len(), |end| *end as usize);
        Some(self.text[start..end].trim_end_matches(['\n', '\r']))
    }

    /// The text of a range.
    pub fn slice(&self, range: TextRange) -> &str {
        &self.text[range]
    }

    /// How many lines there are.
    pub fn line_count(&self) -> usize {
        self.starts.len()
    }
}
