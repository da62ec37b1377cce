//! Split patterns: how text is cut into the chunks that merges may not cross.
//!
//! A named pattern is recognised by its regular expression in any of the spellings that are in use, and
//! cut by hand-written code. Any other expression works too, through the `fancy-regex` engine.

use std::fmt;
use std::sync::Arc;

use fancy_regex::Regex;

use crate::error::{Error, ErrorKind, Result};
use crate::split;
use crate::tailed::Tailed;

/// GPT-4's pattern with numbers of at most two digits: the default, since it leaves more of a small
/// vocabulary to words.
pub const GPT4_2: Pattern = Pattern { kind: gpt4_kind(2) };
/// GPT-4's pattern (`cl100k_base`): numbers of at most three digits.
pub const GPT4: Pattern = Pattern { kind: gpt4_kind(3) };
/// GPT-2's pattern (`r50k_base`).
pub const GPT2: Pattern = Pattern { kind: Kind::Gpt2 };

/// Longest expression accepted; those in use have about 150 bytes.
const SOURCE_BYTES_MAX: usize = 16_384;

/// Deepest nesting accepted, escaped brackets counted too; those in use have about 10.
const NESTING_MAX: usize = 200;

/// A split pattern. Cheap to clone.
#[derive(Clone)]
pub struct Pattern {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// `trailing`: the variant in newer `tiktoken` that keeps white space at the end of the text whole.
    Gpt4 {
        digits: u8,
        trailing: bool,
    },
    Gpt2,
    Custom(Arc<Custom>),
    /// As `Custom`, but what lies between two matches is left out.
    Matches(Arc<Custom>),
}

/// A pattern that a user brought.
struct Custom {
    regex: Regex,
    /// The same without backtracking, for patterns of the usual form.
    tailed: Option<Tailed>,
}

impl Custom {
    /// Calls `found(start, end)` for each match in order.
    fn for_each_match(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        if let Some(tailed) = &self.tailed {
            return tailed.for_each_match(text, found);
        }
        for matched in self.regex.find_iter(text) {
            // The engine gives up on a match that backtracks too long. Then the rest is one chunk: the
            // ids stay decodable, and a text that is not worth its time does not take it.
            let Ok(matched) = matched else { break };
            found(matched.start(), matched.end());
        }
    }
}

const fn gpt4_kind(digits: u8) -> Kind {
    Kind::Gpt4 { digits, trailing: false }
}

const GPT4_1_SOURCE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const GPT4_2_SOURCE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const GPT4_SOURCE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const CL100K_SOURCE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
const GPT2_SOURCE: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Every spelling we know of a pattern that the hand-written splitter cuts. The spellings of one kind
/// differ in what the engine may skip (possessive quantifiers), not in what they match.
static KNOWN: &[(&str, Kind)] = &[
    (GPT4_2_SOURCE, gpt4_kind(2)),
    (GPT4_SOURCE, gpt4_kind(3)),
    (GPT2_SOURCE, Kind::Gpt2),
    (GPT4_1_SOURCE, gpt4_kind(1)),
    (CL100K_SOURCE, Kind::Gpt4 { digits: 3, trailing: true }),
    // Llama 3 and Qwen 2, as in their tokenizer.json.
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        gpt4_kind(3),
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        gpt4_kind(1),
    ),
    // r50k in newer tiktoken, and in the GPT-2 release.
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s", Kind::Gpt2),
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Kind::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Kind::Gpt2),
];

/// The pattern of a regular expression: a named one if the expression is known, else the user's own,
/// run by `fancy-regex` (Perl-like syntax with lookaround and possessive quantifiers).
///
/// Text between two matches becomes a chunk of its own, so that no text is ever lost.
///
/// # Errors
/// [`ErrorKind::Pattern`] when the expression is too long or does not compile.
pub fn custom(source: &str) -> Result<Pattern> {
    if let Some((_, kind)) = KNOWN.iter().find(|(known, _)| *known == source) {
        return Ok(Pattern { kind: kind.clone() });
    }
    compile(source, true)
}

/// As [`custom`], but text between two matches is left out, as in Hugging Face's inverted `Removed` splits.
pub(crate) fn matches_only(source: &str) -> Result<Pattern> {
    let pattern = custom(source)?;
    // The named patterns match everything.
    Ok(match pattern.kind {
        Kind::Custom(regex) => Pattern { kind: Kind::Matches(regex) },
        _ => pattern,
    })
}

/// As [`custom`], but always through the engine: the oracle of the hand-written splitter.
#[cfg(test)]
pub(crate) fn engine(source: &str) -> Result<Pattern> {
    compile(source, false)
}

/// Refuses expressions that no tokenizer has: empty, too long, or nested so deeply that compiling one
/// could exhaust the stack.
pub(crate) fn check_source(source: &str) -> Result<()> {
    if source.is_empty() || source.len() > SOURCE_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Pattern,
            format!("a split pattern of {} bytes: give one of 1 to {SOURCE_BYTES_MAX} bytes", source.len()),
        ));
    }
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > NESTING_MAX {
        return Err(Error::new(
            ErrorKind::Pattern,
            format!("a split pattern nested {deepest} deep: at most {NESTING_MAX} are supported"),
        ));
    }
    Ok(())
}

fn compile(source: &str, may_be_tailed: bool) -> Result<Pattern> {
    check_source(source)?;
    match Regex::new(source) {
        Ok(regex) => {
            let tailed = if may_be_tailed { Tailed::new(source) } else { None };
            Ok(Pattern { kind: Kind::Custom(Arc::new(Custom { regex, tailed })) })
        }
        Err(error) => {
            Err(Error::new(ErrorKind::Pattern, format!("the split pattern does not compile: {error}")))
        }
    }
}

/// The pattern of that name: `gpt4-2`, `gpt4` or `gpt2`.
///
/// # Errors
/// [`ErrorKind::Pattern`] when there is none of that name.
pub fn by_name(name: &str) -> Result<Pattern> {
    match name {
        "gpt4-2" => Ok(GPT4_2),
        "gpt4" => Ok(GPT4),
        "gpt2" => Ok(GPT2),
        _ => Err(Error::new(
            ErrorKind::Pattern,
            format!(
                "no split pattern is called {name:?}: use gpt4-2, gpt4, gpt2 or give a regular expression"
            ),
        )),
    }
}

impl Pattern {
    /// The name (see [`by_name`]), or `None` for a pattern without one.
    pub fn name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Gpt4 { digits: 2, trailing: false } => Some("gpt4-2"),
            Kind::Gpt4 { digits: 3, trailing: false } => Some("gpt4"),
            Kind::Gpt2 => Some("gpt2"),
            _ => None,
        }
    }

    /// The regular expression, as it is written to files.
    pub fn source(&self) -> &str {
        match &self.kind {
            Kind::Gpt4 { digits: 1, .. } => GPT4_1_SOURCE,
            Kind::Gpt4 { digits: 2, .. } => GPT4_2_SOURCE,
            Kind::Gpt4 { trailing: true, .. } => CL100K_SOURCE,
            Kind::Gpt4 { .. } => GPT4_SOURCE,
            Kind::Gpt2 => GPT2_SOURCE,
            Kind::Custom(custom) | Kind::Matches(custom) => custom.regex.as_str(),
        }
    }

    /// Cuts `text` into chunks, which together are the whole text.
    pub fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut chunks = Vec::new();
        self.for_each_chunk(text, |start, end| chunks.push(&text[start..end]));
        chunks
    }

    /// Calls `chunk(start, end)` with the byte range of each chunk in order.
    #[inline]
    pub(crate) fn for_each_chunk(&self, text: &str, chunk: impl FnMut(usize, usize)) {
        match &self.kind {
            Kind::Gpt4 { digits, trailing } => split::gpt4(text, usize::from(*digits), *trailing, chunk),
            Kind::Gpt2 => split::gpt2(text, chunk),
            Kind::Custom(custom) => with_gaps(custom, text, chunk),
            Kind::Matches(custom) => matches_alone(custom, text, chunk),
        }
    }

    /// A place at or after `from` where cutting the text in two changes no chunk, or the text's end.
    ///
    /// For the named patterns that is before an ASCII letter or digit, behind a single line feed that
    /// itself follows a visible ASCII character: no chunk holds a line feed and a letter after it, and a
    /// white-space chunk of one character cannot depend on what follows. Of a pattern that the user
    /// brought we know nothing: then the answer is the end.
    pub(crate) fn safe_cut(&self, text: &str, from: usize) -> usize {
        if matches!(self.kind, Kind::Custom(_) | Kind::Matches(_)) || from >= text.len() {
            return text.len();
        }
        let is_cut = |w: &[u8]| w[0].is_ascii_graphic() && w[1] == b'\n' && w[2].is_ascii_alphanumeric();
        let start = from.max(2) - 2;
        let found = text.as_bytes()[start..].windows(3).position(is_cut);
        found.map_or(text.len(), |offset| start + offset + 2)
    }
}

fn with_gaps(custom: &Custom, text: &str, mut chunk: impl FnMut(usize, usize)) {
    let mut done = 0;
    custom.for_each_match(text, |start, end| {
        if start > done {
            chunk(done, start);
        }
        if end > start {
            chunk(start, end);
        }
        done = end;
    });
    if done < text.len() {
        chunk(done, text.len());
    }
}

fn matches_alone(custom: &Custom, text: &str, mut chunk: impl FnMut(usize, usize)) {
    custom.for_each_match(text, |start, end| {
        if end > start {
            chunk(start, end);
        }
    });
}

impl Default for Pattern {
    fn default() -> Self {
        GPT4_2
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.name().unwrap_or(self.source()))
    }
}

/// Patterns of other people's models that take the way without backtracking, for the tests.
#[cfg(test)]
pub(crate) const TAILED: &[&str] = &[
    // o200k (GPT-4o, GPT-OSS), Tekken (Mistral), DeepSeek V3, Qwen 3.5.
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r" {4}|\w+|\s+(?!\S)|\s+",
];

#[cfg(test)]
impl Pattern {
    /// Whether it takes the way without backtracking.
    pub(crate) fn is_tailed(&self) -> bool {
        matches!(&self.kind, Kind::Custom(custom) if custom.tailed.is_some())
    }
}

/// All spellings of patterns with a hand-written splitter, for the tests.
#[cfg(test)]
pub(crate) fn known_sources() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(source, _)| *source)
}
