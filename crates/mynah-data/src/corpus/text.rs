//! Plain text: a file is a document, unless it is large.
//!
//! A large file (a book) would be one document that is cut into hundreds of rows, all from one place, and could
//! not be divided between training and validation. So it is cut at blank lines into documents of about
//! [`CorpusOptions::piece_bytes`]: paragraphs stay whole.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CorpusOptions, Counts, FileReader, cut_long};
use crate::error::{Error, ErrorKind, Result};

/// A file of up to this many pieces stays one document.
const WHOLE_PIECES: u64 = 8;

pub struct TextReader {
    path: PathBuf,
    reader: BufReader<File>,
    strict: bool,
    /// Bytes after which a blank line ends the document; none in a small file.
    piece_bytes: usize,
    max_bytes: usize,
    /// Bytes read that belong to the next document (an incomplete character at a forced cut).
    held: Vec<u8>,
    /// Place in the file of the first byte that has not been given out.
    offset: u64,
    ready: VecDeque<String>,
}

impl TextReader {
    pub fn open(path: &Path, options: &CorpusOptions) -> Result<TextReader> {
        let file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
        let size = file.metadata().map_err(|e| Error::io("cannot read", path, &e))?.len();
        let small = size <= options.piece_bytes as u64 * WHOLE_PIECES;
        Ok(TextReader {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 16, file),
            strict: options.strict,
            piece_bytes: if small { usize::MAX } else { options.piece_bytes },
            max_bytes: options.document_bytes_max.max(8),
            held: Vec::new(),
            offset: 0,
            ready: VecDeque::new(),
        })
    }

    /// Bytes up to a blank line behind the wanted size, or up to the limit; empty at the end of the file.
    fn piece(&mut self) -> Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.held);
        loop {
            let before = bytes.len();
            let room = self.max_bytes.saturating_sub(before) as u64;
            (&mut self.reader)
                .take(room)
                .read_until(b'\n', &mut bytes)
                .map_err(|e| Error::io("cannot read", &self.path, &e))?;
            if bytes.len() == before && room > 0 {
                return Ok(bytes);
            }
            let blank = bytes[before..].iter().all(u8::is_ascii_whitespace) && bytes.ends_with(b"\n");
            if blank && bytes.len() >= self.piece_bytes {
                return Ok(bytes);
            }
            if bytes.len() >= self.max_bytes {
                let whole = bytes.len() - incomplete_tail(&bytes);
                self.held = bytes.split_off(whole);
                return Ok(bytes);
            }
        }
    }
}

impl FileReader for TextReader {
    fn next(&mut self, counts: &mut Counts) -> Result<Option<String>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Ok(Some(text));
            }
            let bytes = self.piece()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let start = self.offset;
            self.offset += bytes.len() as u64;
            if bytes.len() + 4 > self.max_bytes {
                counts.cut += 1;
            }
            let text = decode(bytes, self.strict, &self.path, start, counts)?;
            let text = if start == 0 {
                text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_string)
            } else {
                text
            };
            let pieces = cut_long(text, self.max_bytes, counts);
            self.ready.extend(pieces.into_iter().filter(|piece| !piece.trim().is_empty()));
        }
    }
}

/// How many bytes at the end begin a character that is not complete.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        // The whole piece may be that one character; then there is nothing to cut off.
        return if length > back && back < bytes.len() { back } else { 0 };
    }
    0
}

/// Bytes as text: what is not UTF-8 is replaced and counted, or refused with its place.
pub fn decode(bytes: Vec<u8>, strict: bool, path: &Path, start: u64, counts: &mut Counts) -> Result<String> {
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    if strict {
        let at = start + error.utf8_error().valid_up_to() as u64;
        let message = format!(
            "{} is not UTF-8: bad byte at offset {at}; convert the file or read it without --strict",
            path.display()
        );
        return Err(Error::new(ErrorKind::Utf8, message));
    }
    let bytes = error.into_bytes();
    counts.replaced += bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
