//! Grammars as constraints: JSON, regular expressions, Lark, choices.
//!
//! Parsing is llguidance's (an Earley parser over a lexer of regular expression derivatives, walked along a
//! trie of all tokens). What it cannot enforce it refuses when the grammar is compiled, and so do we: a keyword that
//! is left out would give output that looks valid and is not.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::schema::bounded_schema;
use super::{Constraint, ConstraintSource, TokenMask};
use crate::error::{Error, ErrorKind, Result};
use crate::live::step_model::Codec;

/// Compiles grammars for one tokenizer. Making it costs a walk over the whole vocabulary, compiling some milliseconds.
pub struct GrammarCompiler {
    factory: ParserFactory,
}

/// The longest token that may take part in a grammar, in bytes: the trie's own limit.
const TOKEN_LEN_MAX: usize = 1000;
/// The longest regular expression or grammar in bytes.
const GRAMMAR_LEN_MAX: usize = 1 << 20;
/// The most choices.
const CHOICES_MAX: usize = 10_000;

impl GrammarCompiler {
    /// Builds the trie of all tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Constraint`] when the vocabulary does not fit into the trie.
    pub fn new(codec: Arc<dyn Codec>) -> Result<Self> {
        let vocab_size = codec.vocab_size();
        let mut words: Vec<Vec<u8>> = (0..vocab_size as u32).map(|id| word(codec.as_ref(), id)).collect();
        let mut end_ids: Vec<u32> =
            codec.end_ids().iter().copied().filter(|&id| (id as usize) < vocab_size).collect();
        if end_ids.is_empty() {
            // One beyond the vocabulary stands for the end; as it is never chosen, such a completion ends when
            // nothing else may come.
            end_ids.push(vocab_size as u32);
            words.push(Vec::new());
        }
        let build = AssertUnwindSafe(move || {
            let info = TokRxInfo::new(words.len() as u32, end_ids[0]);
            let trie = TokTrie::from(&info, &words).with_eos_tokens(&end_ids);
            let env: TokEnv = Arc::new(Environment { trie, codec });
            ParserFactory::new_simple(&env)
        });
        let built = std::panic::catch_unwind(build);
        let refuse = |reason: String| {
            Error::new(ErrorKind::Constraint, format!("no constraints with this vocabulary: {reason}"))
        };
        let mut factory = built
            .map_err(|_| refuse("it does not fit into a token trie".to_string()))?
            .map_err(|error| refuse(first_line(&error)))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// Compiles a constraint.
    ///
    /// # Errors
    /// [`ErrorKind::Constraint`] that says which keyword or what part cannot be enforced.
    pub fn compile(&self, source: ConstraintSource) -> Result<Box<dyn Constraint>> {
        let (what, grammar) = match source {
            ConstraintSource::Custom(constraint) => return Ok(constraint),
            ConstraintSource::JsonObject => (
                "JSON object",
                TopLevelGrammar::from_json_schema(bounded_schema(&json!({"type": "object"}))?),
            ),
            ConstraintSource::JsonSchema(schema) => {
                ("JSON schema", TopLevelGrammar::from_json_schema(bounded_schema(&schema)?))
            }
            ConstraintSource::Regex(pattern) => {
                check_len("regular expression", &pattern)?;
                ("regular expression", TopLevelGrammar::from_regex(&pattern))
            }
            ConstraintSource::Lark(grammar) => {
                check_len("grammar", &grammar)?;
                ("grammar", TopLevelGrammar::from_lark(grammar))
            }
            ConstraintSource::Choice(choices) => {
                ("list of choices", TopLevelGrammar::from_lark(choice(&choices)?))
            }
        };
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(Error::new(ErrorKind::Constraint, explain(what, &error))),
            None => Ok(Box::new(GrammarConstraint { matcher, has_ended: false })),
        }
    }
}

fn check_len(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > GRAMMAR_LEN_MAX {
        let message = format!("the {what} has {} bytes; it must have 1 to {GRAMMAR_LEN_MAX}", text.len());
        return Err(Error::new(ErrorKind::Constraint, message));
    }
    Ok(())
}

/// A Lark grammar of alternatives.
fn choice(choices: &[String]) -> Result<String> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Constraint, message));
    if !(1..=CHOICES_MAX).contains(&choices.len()) {
        return refuse(format!("{} choices; there must be 1 to {CHOICES_MAX}", choices.len()));
    }
    if choices.iter().any(String::is_empty) {
        return refuse("a choice is the empty text".to_string());
    }
    let alternatives: Vec<String> =
        choices.iter().map(|choice| Value::from(choice.as_str()).to_string()).collect();
    let grammar = format!("start: {}", alternatives.join(" | "));
    check_len("list of choices", &grammar)?;
    Ok(grammar)
}

/// The bytes under which the trie knows a token; empty ones take no part.
fn word(codec: &dyn Codec, id: u32) -> Vec<u8> {
    let bytes = codec.bytes(id);
    if bytes.is_empty() || bytes.len() > TOKEN_LEN_MAX {
        return Vec::new();
    }
    if codec.is_special(id) {
        return [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat();
    }
    // The marker is no byte of UTF-8, so a token with it in front is in no text that a grammar allows.
    if bytes[0] == TokTrie::SPECIAL_TOKEN_MARKER { Vec::new() } else { bytes.to_vec() }
}

fn first_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(500).collect()
}

/// The compiler's words, with unsupported keywords named as such.
fn explain(what: &str, error: &str) -> String {
    if let Some((_, rest)) = error.split_once("Unimplemented keys: [")
        && let Some((keys, _)) = rest.split_once(']')
    {
        return format!("the {what} uses keywords that cannot be enforced: {keys}");
    }
    format!("the {what} cannot be enforced: {}", first_line(&error))
}

/// The tokenizer as llguidance wants to see it.
struct Environment {
    trie: TokTrie,
    codec: Arc<dyn Codec>,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let ids = self.codec.encode(text);
            // A tokenizer that puts something before a text is of no use for pieces of one.
            let codec = self.codec.as_ref();
            let plain = ids.iter().all(|&id| !codec.is_special(id));
            if plain && ids.iter().flat_map(|&id| codec.bytes(id)).eq(bytes) {
                return ids;
            }
        }
        self.trie.greedy_tokenize(bytes)
    }
}

/// A grammar and how far it has been matched.
struct GrammarConstraint {
    matcher: Matcher,
    /// Nothing but the end may come, and the vocabulary has no token for it.
    has_ended: bool,
}

impl Constraint for GrammarConstraint {
    fn mask(&mut self, mask: &mut TokenMask) -> Result<()> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
        mask.copy_from(allowed.as_slice());
        self.has_ended = mask.is_empty();
        Ok(())
    }

    fn commit(&mut self, token: u32) -> Result<()> {
        self.matcher.consume_token(token).map_err(|error| failed(&error))
    }

    fn is_finished(&self) -> bool {
        self.has_ended || self.matcher.is_stopped()
    }

    fn forced(&mut self) -> Vec<u32> {
        self.matcher.compute_ff_tokens()
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self { matcher: self.matcher.deep_clone(), has_ended: self.has_ended })
    }
}

fn failed(error: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Constraint, format!("the constraint cannot go on: {}", first_line(error)))
}
