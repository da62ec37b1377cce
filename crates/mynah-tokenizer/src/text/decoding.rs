//! What each token adds to a text.

use serde_json::Value;

use super::TextTokenizer;
use super::file::{steps, type_of};
use crate::error::{Error, Result};
use crate::format;

/// Most bytes that all tokens together have.
const TABLE_BYTES_MAX: usize = 1 << 28;
/// Most bytes that a decoder puts for what it replaces.
const REPLACEMENT_BYTES_MAX: usize = 1 << 10;

/// The bytes of all tokens, by id.
pub(super) struct TokenTable {
    bytes: Vec<u8>,
    /// Where each token's bytes begin; one more entry than there are tokens.
    starts: Vec<u32>,
    is_special: Vec<bool>,
    /// How the first token of a text differs.
    first: First,
}

/// How the bytes of a text's first token differ from the same token's later on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum First {
    Same,
    /// Up to so many of this character go.
    Strip(char, usize),
    /// All spaces go, the token being a run of them or the beginning of a word.
    StripAll,
    /// The space between words goes.
    Word,
}

impl TokenTable {
    /// A table of ready bytes, and whether each token is special.
    pub(super) fn of_bytes(tokens: impl IntoIterator<Item = (Vec<u8>, bool)>) -> Self {
        let mut table =
            Self { bytes: Vec::new(), starts: vec![0], is_special: Vec::new(), first: First::Same };
        tokens.into_iter().for_each(|(bytes, special)| table.push(&bytes, special));
        table
    }

    /// A table of names as files have them, decoded by a plan; special tokens keep their names.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when decoding makes the tokens absurdly long.
    pub(super) fn of_names(names: impl Iterator<Item = (String, bool)>, plan: Plan) -> Result<Self> {
        let mut table = Self::of_bytes([]);
        for (name, special) in names {
            if table.bytes.len() > TABLE_BYTES_MAX {
                return Err(Error::unsupported(format!("the tokens have more than {TABLE_BYTES_MAX} bytes")));
            }
            if special || name.is_empty() {
                table.push(name.as_bytes(), special);
            } else {
                table.push(&plan.apply(name), special);
            }
        }
        table.first = plan.first;
        Ok(table)
    }

    fn push(&mut self, bytes: &[u8], special: bool) {
        self.bytes.extend_from_slice(bytes);
        self.starts.push(self.bytes.len() as u32);
        self.is_special.push(special);
    }

    pub(super) fn len(&self) -> usize {
        self.is_special.len()
    }

    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        match self.starts.get(id as usize..) {
            Some([start, end, ..]) => &self.bytes[*start as usize..*end as usize],
            _ => &[],
        }
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.is_special.get(id as usize).copied().unwrap_or(false)
    }

    pub(super) fn first_differs(&self) -> bool {
        self.first != First::Same
    }

    pub(super) fn first_bytes(&self, id: u32) -> Vec<u8> {
        let bytes = self.bytes(id);
        if self.is_special(id) {
            return bytes.to_vec();
        }
        match &self.first {
            First::Same => bytes.to_vec(),
            First::Word => bytes.strip_prefix(b" ").unwrap_or(bytes).to_vec(),
            First::StripAll => bytes.iter().copied().filter(|&byte| byte != b' ').collect(),
            First::Strip(character, count) => {
                let mut buffer = [0; 4];
                let character = character.encode_utf8(&mut buffer).as_bytes();
                let mut rest = bytes;
                for _ in 0..*count {
                    let Some(shorter) = rest.strip_prefix(character) else { break };
                    rest = shorter;
                }
                rest.to_vec()
            }
        }
    }
}

/// A `decoder`, as far as it can be done token by token.
pub(super) struct Plan {
    steps: Vec<Step>,
    first: First,
}

enum Step {
    ByteLevel,
    ByteFallback,
    Replace(String, String),
    Strip(char, usize, usize),
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    /// A space before every token.
    Spaced,
}

impl Plan {
    /// The plan of a `decoder`.
    pub(super) fn new(decoder: &Value) -> Result<Self> {
        let mut plan = Self { steps: Vec::new(), first: First::Same };
        if decoder.is_null() {
            plan.steps.push(Step::Spaced);
            plan.first = First::Word;
            return Ok(plan);
        }
        let mut is_fused = false;
        for step in steps(decoder, "decoders") {
            let text = |key: &str| step[key].as_str().unwrap_or_default().to_string();
            let number = |key: &str| usize::try_from(step[key].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
            match type_of(step) {
                "ByteLevel" => plan.steps.push(Step::ByteLevel),
                "ByteFallback" => plan.steps.push(Step::ByteFallback),
                "Fuse" => is_fused = true,
                "Replace" => match step["pattern"]["String"].as_str() {
                    Some(from) if !from.is_empty() && text("content").len() <= REPLACEMENT_BYTES_MAX => {
                        plan.steps.push(Step::Replace(from.to_string(), text("content")));
                    }
                    _ => return Err(unsupported(step)),
                },
                "Strip" => {
                    let Some(content) = text("content").chars().next() else { return Err(unsupported(step)) };
                    // Once tokens are fused, the beginning is that of the text. Its end a stream cannot know.
                    if is_fused {
                        plan.first = First::Strip(content, number("start"));
                    } else {
                        plan.steps.push(Step::Strip(content, number("start"), number("stop")));
                    }
                }
                "Metaspace" => {
                    let replacement = step["replacement"].as_str().unwrap_or("▁");
                    plan.steps.push(Step::Replace(replacement.to_string(), String::from(" ")));
                    let never = step["prepend_scheme"] == "never" || step["add_prefix_space"] == false;
                    if !never {
                        plan.first = First::StripAll;
                    }
                }
                "WordPiece" => {
                    let cleanup = step["cleanup"].as_bool().unwrap_or(true);
                    plan.steps.push(Step::WordPiece { prefix: text("prefix"), cleanup });
                    plan.first = First::Word;
                }
                "BPEDecoder" => plan.steps.push(Step::Replace(text("suffix"), String::from(" "))),
                _ => return Err(unsupported(step)),
            }
        }
        Ok(plan)
    }

    fn apply(&self, name: String) -> Vec<u8> {
        let mut text = name;
        for step in &self.steps {
            match step {
                Step::ByteLevel => {
                    return format::read_byte_level(&text).unwrap_or_else(|| text.into_bytes());
                }
                Step::ByteFallback => {
                    if let Some(byte) = fallback_byte(&text) {
                        return vec![byte];
                    }
                }
                Step::Replace(from, to) => {
                    if text.contains(from.as_str()) {
                        text = text.replace(from.as_str(), to);
                    }
                }
                Step::Strip(content, start, stop) => {
                    for _ in 0..*start {
                        let Some(shorter) = text.strip_prefix(*content) else { break };
                        text = shorter.to_string();
                    }
                    for _ in 0..*stop {
                        let Some(shorter) = text.strip_suffix(*content) else { break };
                        text = shorter.to_string();
                    }
                }
                Step::WordPiece { prefix, cleanup } => {
                    text = match text.strip_prefix(prefix.as_str()) {
                        Some(rest) => rest.to_string(),
                        None => format!(" {text}"),
                    };
                    if *cleanup {
                        text = tokenizers::decoders::wordpiece::cleanup(&text);
                    }
                }
                Step::Spaced => text.insert(0, ' '),
            }
        }
        text.into_bytes()
    }
}

fn unsupported(step: &Value) -> Error {
    Error::unsupported(format!("decoder {step} is not supported"))
}

/// The byte of a token such as `<0x0A>`.
fn fallback_byte(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Turns ids into text one at a time, without special tokens, and never cuts a character.
///
/// The pieces joined are what [`TextTokenizer::decode_without_special`] gives for all ids, except where
/// bytes are not valid UTF-8: the number of U+FFFD may differ there.
pub struct TextStream {
    tokenizer: TextTokenizer,
    /// The beginning of a character that is not complete yet.
    pending: Vec<u8>,
    has_begun: bool,
}

impl TextStream {
    pub(super) fn new(tokenizer: TextTokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), has_begun: false }
    }

    /// The text that `id` completes; empty for a special token or within a character.
    pub fn push(&mut self, id: u32) -> String {
        if self.tokenizer.is_special(id) {
            return String::new();
        }
        if self.has_begun {
            self.pending.extend_from_slice(self.tokenizer.bytes(id));
        } else {
            self.pending.extend(self.tokenizer.first_bytes(id));
        }
        self.has_begun = true;
        self.take(false)
    }

    /// What is left: U+FFFD if a character was never completed.
    pub fn finish(mut self) -> String {
        self.take(true)
    }

    fn take(&mut self, is_last: bool) -> String {
        let mut text = String::new();
        let mut kept = Vec::new();
        for run in self.pending.utf8_chunks() {
            text.push_str(run.valid());
            let is_end = run.invalid().as_ptr_range().end == self.pending.as_ptr_range().end;
            if run.invalid().is_empty() {
            } else if is_end && !is_last && may_grow(run.invalid()) {
                kept = run.invalid().to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending = kept;
        text
    }
}

/// Whether these bytes are the beginning of some character.
fn may_grow(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}
