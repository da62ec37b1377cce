//! JSON Lines: one object a line, the text in one field.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::text::decode;
use super::{CorpusOptions, Counts, FileReader, cut_long};
use crate::error::{Error, ErrorKind, Result};

pub struct JsonLinesReader {
    lines: Lines,
    field: String,
    strict: bool,
    document_bytes_max: usize,
    ready: VecDeque<String>,
}

impl JsonLinesReader {
    pub fn open(path: &Path, options: &CorpusOptions) -> Result<JsonLinesReader> {
        Ok(JsonLinesReader {
            lines: Lines::open(path, options.line_bytes_max, options.strict)?,
            field: options.text_field.clone(),
            strict: options.strict,
            document_bytes_max: options.document_bytes_max.max(8),
            ready: VecDeque::new(),
        })
    }
}

impl FileReader for JsonLinesReader {
    fn next(&mut self, counts: &mut Counts) -> Result<Option<String>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Ok(Some(text));
            }
            let Some(line) = self.lines.next(counts)? else { return Ok(None) };
            let mut json = serde_json::Deserializer::from_str(&line);
            let field = Field { name: &self.field }
                .deserialize(&mut json)
                .and_then(|field| json.end().map(|()| field));
            let text = field.map_err(|e| self.lines.wrong(&format!("bad JSON: {e}")))?;
            match text {
                Some(text) if !text.trim().is_empty() => {
                    self.ready.extend(
                        cut_long(text, self.document_bytes_max, counts)
                            .into_iter()
                            .filter(|piece| !piece.trim().is_empty()),
                    );
                }
                _ if self.strict => {
                    return Err(self.lines.wrong(&format!("no text in the field \"{}\"", self.field)));
                }
                _ => counts.skipped += 1,
            }
        }
    }
}

/// The lines of a file that are not blank, each bounded in length, with their number.
pub struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
    offset: u64,
    max_bytes: usize,
    strict: bool,
}

impl Lines {
    pub fn open(path: &Path, max_bytes: usize, strict: bool) -> Result<Lines> {
        let file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Lines { path: path.to_path_buf(), reader, number: 0, offset: 0, max_bytes, strict })
    }

    /// The next line that is not blank.
    pub fn next(&mut self, counts: &mut Counts) -> Result<Option<String>> {
        loop {
            let mut bytes = Vec::new();
            (&mut self.reader)
                .take(self.max_bytes as u64 + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(|e| Error::io("cannot read", &self.path, &e))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let start = self.offset;
            self.offset += bytes.len() as u64;
            if bytes.len() > self.max_bytes {
                return Err(
                    self.wrong(&format!("a line of more than {} bytes; is this JSON Lines?", self.max_bytes))
                );
            }
            let text = decode(bytes, self.strict, &self.path, start, counts)?;
            let text = if start == 0 { text.trim_start_matches('\u{feff}') } else { &text };
            if !text.trim().is_empty() {
                return Ok(Some(text.to_string()));
            }
        }
    }

    /// Number of the line read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// An error at the line read last: `FILE:LINE: what`.
    pub fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Format, format!("{}:{}: {what}", self.path.display(), self.number))
    }
}

/// Picks one string field out of an object and passes over everything else without building it.
struct Field<'a> {
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an object with the field \"{}\"", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.name {
                found = map.next_value::<MaybeText>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A string, or anything else as `None`.
struct MaybeText(Option<String>);

impl<'de> serde::Deserialize<'de> for MaybeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Other(IgnoredAny),
        }
        Ok(MaybeText(match <Either as serde::Deserialize>::deserialize(deserializer)? {
            Either::Text(text) => Some(text),
            Either::Other(_) => None,
        }))
    }
}
