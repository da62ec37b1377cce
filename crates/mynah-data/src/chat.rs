//! Conversations out of files: our own JSON Lines, instruction sets, and questions with worked answers.
//!
//! Three shapes of records are known, by their fields, one a line or as a JSON array:
//!
//! - `{"messages":[{"role","content"},…]}`, or the array of messages alone;
//! - `{"instruction","input","response"}` (also `"output"` for the response), as in Alpaca and GPTeacher;
//! - `{"question","answer"}`, as in GSM8K, whose `<<48/2=24>>` notes become calls of the calculator.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use mynah_tokenizer::chat::{Content, Conversation, Message, Part, Role};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use crate::corpus::{Counts, Lines};
use crate::error::{Error, ErrorKind, Result};

/// How conversation files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatOptions {
    /// Refuse a record of another shape, with its place; otherwise skip and count it.
    pub strict: bool,
    /// More text than this is refused: conversations are held in memory.
    pub text_bytes_max: u64,
    /// A JSON line longer than this is refused.
    pub line_bytes_max: usize,
}

impl Default for ChatOptions {
    fn default() -> Self {
        ChatOptions { strict: false, text_bytes_max: 1 << 30, line_bytes_max: 16 << 20 }
    }
}

/// Conversations with what reading came across.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The conversations, in the order of files and records.
    pub conversations: Vec<Conversation>,
    /// Records that were skipped.
    pub skipped: u64,
    /// Why the first of them was: `FILE: record 7: no "response"`.
    pub first_skipped: Option<String>,
    /// Invalid UTF-8 sequences replaced.
    pub replaced: u64,
}

impl Loaded {
    /// One line: `7473 conversations` or `7470 conversations, 3 records skipped (the first: …)`.
    pub fn summary(&self) -> String {
        let mut line = format!("{} conversations", self.conversations.len());
        if let Some(first) = &self.first_skipped {
            line.push_str(&format!(", {} records skipped (the first: {first})", self.skipped));
        }
        if self.replaced > 0 {
            line.push_str(&format!(", {} invalid UTF-8 sequences replaced", self.replaced));
        }
        line
    }
}

/// Reads all conversations of the files, folders and globs.
///
/// # Errors
/// No such file, JSON that is not JSON (with line), a file without one usable record, more text than fits in memory; in
/// strict mode also a record of another shape.
pub fn load(paths: &[impl AsRef<Path>], options: &ChatOptions) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut text_bytes = 0;
    for path in find(paths)? {
        let before = loaded.conversations.len();
        let skipped_before = loaded.skipped;
        let mut take = |record: std::result::Result<Conversation, String>, place: String| -> Result<()> {
            match record {
                Ok(conversation) => {
                    text_bytes += size_of_text(&conversation);
                    if text_bytes > options.text_bytes_max {
                        let message = format!(
                            "{place}: the conversations have more than {} of text, too much to hold in memory; give fewer files",
                            mynah_base::units::bytes(options.text_bytes_max)
                        );
                        return Err(Error::new(ErrorKind::Setting, message));
                    }
                    loaded.conversations.push(conversation);
                }
                Err(what) if options.strict => {
                    return Err(Error::new(ErrorKind::Format, format!("{place}: {what}")));
                }
                Err(what) => {
                    loaded.skipped += 1;
                    loaded.first_skipped.get_or_insert_with(|| format!("{place}: {what}"));
                }
            }
            Ok(())
        };
        if is_array(&path)? {
            read_array(&path, &mut take)?;
        } else {
            loaded.replaced += read_lines(&path, options, &mut take)?;
        }
        if loaded.conversations.len() == before {
            let why = match (loaded.skipped - skipped_before, &loaded.first_skipped) {
                (0, _) | (_, None) => "the file is empty".to_string(),
                (skipped, Some(first)) => {
                    format!("{skipped} record(s) of another shape (the first: {first})")
                }
            };
            let message = format!(
                "no conversation in {}: {why}; see `mynah data --help` for the shapes",
                path.display()
            );
            return Err(Error::new(ErrorKind::Empty, message));
        }
    }
    Ok(loaded)
}

/// Files and globs as for a corpus; of a folder, what ends in `.json`, `.jsonl` or `.ndjson`.
fn find(paths: &[impl AsRef<Path>]) -> Result<Vec<PathBuf>> {
    crate::corpus::find(paths, &["json", "jsonl", "ndjson"])
}

/// Whether the file is one JSON array: its first sign is a bracket, and it is not named as JSON Lines (whose lines
/// may be arrays too).
fn is_array(path: &Path) -> Result<bool> {
    if ["jsonl", "ndjson"].contains(&crate::corpus::extension(path).as_str()) {
        return Ok(false);
    }
    let file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
    for byte in BufReader::new(file).bytes().take(4_096) {
        let byte = byte.map_err(|e| Error::io("cannot read", path, &e))?;
        if !byte.is_ascii_whitespace() && ![0xEF, 0xBB, 0xBF].contains(&byte) {
            return Ok(byte == b'[');
        }
    }
    Ok(false)
}

type Take<'a> = dyn FnMut(std::result::Result<Conversation, String>, String) -> Result<()> + 'a;

fn read_lines(path: &Path, options: &ChatOptions, take: &mut Take<'_>) -> Result<u64> {
    let mut counts = Counts::default();
    let mut lines = Lines::open(path, options.line_bytes_max, options.strict)?;
    while let Some(line) = lines.next(&mut counts)? {
        let record: Value =
            serde_json::from_str(&line).map_err(|e| lines.wrong(&format!("bad JSON: {e}")))?;
        take(conversation_of(&record), format!("{}:{}", path.display(), lines.number()))?;
    }
    Ok(counts.replaced)
}

/// Reads a JSON array record by record, never the whole as one value.
fn read_array(path: &Path, take: &mut Take<'_>) -> Result<()> {
    struct Records<'a, 'b> {
        path: &'a Path,
        take: &'a mut Take<'b>,
        error: &'a mut Option<Error>,
    }

    impl<'de> Visitor<'de> for Records<'_, '_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of records")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> std::result::Result<(), A::Error> {
            let mut number = 0;
            while let Some(record) = records.next_element::<Value>()? {
                number += 1;
                let place = format!("{}: record {number}", self.path.display());
                if let Err(error) = (self.take)(conversation_of(&record), place) {
                    *self.error = Some(error);
                    return Err(serde::de::Error::custom("stopped"));
                }
            }
            Ok(())
        }
    }

    let file = File::open(path).map_err(|e| Error::io("cannot read", path, &e))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, file));
    let mut error = None;
    let result = json.deserialize_seq(Records { path, take, error: &mut error }).and_then(|()| json.end());
    match (error, result) {
        (Some(error), _) => Err(error),
        (None, Err(e)) => Err(Error::new(ErrorKind::Format, format!("{}: bad JSON: {e}", path.display()))),
        (None, Ok(())) => Ok(()),
    }
}

fn size_of_text(conversation: &Conversation) -> u64 {
    let size = |content: &Content| match content {
        Content::Text(text) => text.len(),
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) | Part::Python(text) | Part::PythonOutput(text) => text.len(),
            })
            .sum(),
    };
    conversation.messages.iter().map(|message| size(&message.content) as u64).sum()
}

/// A record as a conversation; or what is wrong with it.
pub fn conversation_of(record: &Value) -> std::result::Result<Conversation, String> {
    if record.is_array() || record.get("messages").is_some() {
        let messages = record.get("messages").unwrap_or(record);
        let messages: Vec<Message> = serde_json::from_value(messages.clone())
            .map_err(|e| format!("the messages are not understood: {e}"))?;
        return checked(Conversation { messages });
    }
    let text =
        |name: &str| record.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if record.get("instruction").is_some() {
        let instruction = text("instruction").ok_or("\"instruction\" has no text")?;
        let response = text("response").or_else(|| text("output")).ok_or("no text in \"response\"")?;
        let asked = text("input")
            .map_or_else(|| instruction.to_string(), |input| format!("{instruction}\n\n{input}"));
        return Ok(two_turns(asked, Content::Text(response.to_string())));
    }
    if record.get("question").is_some() {
        let question = text("question").ok_or("\"question\" has no text")?;
        let answer = text("answer").ok_or("no text in \"answer\"")?;
        return Ok(two_turns(question.to_string(), worked_answer(answer)));
    }
    Err("neither \"messages\" nor \"instruction\" nor \"question\"".to_string())
}

fn two_turns(question: String, answer: Content) -> Conversation {
    Conversation {
        messages: vec![
            Message::text(Role::User, question),
            Message { role: Role::Assistant, content: answer },
        ],
    }
}

/// The rules of turns that rendering asks for, and at least one answer to learn from.
fn checked(conversation: Conversation) -> std::result::Result<Conversation, String> {
    let messages = &conversation.messages;
    let turns = match messages.split_first() {
        Some((first, rest)) if first.role == Role::System => rest,
        _ => messages,
    };
    for (number, message) in turns.iter().enumerate() {
        let expected = if number % 2 == 0 { Role::User } else { Role::Assistant };
        if message.role != expected {
            return Err(format!(
                "turn {} is from the {}, not the {}",
                number + 1,
                message.role.name(),
                expected.name()
            ));
        }
        if expected == Role::User && matches!(message.content, Content::Parts(_)) {
            return Err(format!("turn {} is from the user but has parts", number + 1));
        }
    }
    if turns.len() < 2 {
        return Err("no answer of the assistant".to_string());
    }
    Ok(conversation)
}

/// `sold 48/2 = <<48/2=24>>24 clips` → text, call `48/2`, output `24`, text. The last line `#### 24` stays text.
fn worked_answer(answer: &str) -> Content {
    let mut parts = Vec::new();
    let mut rest = answer;
    let mut text = String::new();
    while let Some(start) = rest.find("<<") {
        let Some(end) = rest[start..].find(">>").map(|end| start + end) else { break };
        text.push_str(&rest[..start]);
        // A note without a result is left out: there is nothing to call.
        if let Some((call, result)) = rest[start + 2..end].rsplit_once('=') {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Python(call.trim().to_string()));
            parts.push(Part::PythonOutput(result.trim().to_string()));
        }
        rest = &rest[end + 2..];
    }
    text.push_str(rest);
    if parts.is_empty() {
        return Content::Text(text);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Content::Parts(parts)
}
