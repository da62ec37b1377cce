//! Finding added tokens in text, with Hugging Face's rules.
//!
//! Tokens that are matched as written come first; what they leave is normalised, and then the others are
//! looked for. Of matches that begin at the same place the longest counts, and a match that is then passed
//! over (a special token in literal text, part of a longer word) still uses up its characters.

use aho_corasick::{AhoCorasick, MatchKind};

use super::file::Added;
use crate::error::{Error, Result};

/// A piece of a text.
pub(super) enum Piece<'t> {
    Text(&'t str),
    Token(u32),
}

/// Added tokens of one of the two passes.
pub(super) struct Matcher {
    automaton: Option<AhoCorasick>,
    tokens: Vec<Added>,
}

impl Matcher {
    /// A matcher for tokens under the given spellings, which must differ.
    pub(super) fn new(tokens: Vec<Added>, spellings: &[String]) -> Result<Self> {
        let automaton = if tokens.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(spellings);
            Some(built.map_err(|error| Error::unsupported(format!("the added tokens: {error}")))?)
        };
        Ok(Self { automaton, tokens })
    }

    /// Calls `piece` with each piece of `text` in order. With `literal`, special tokens are text.
    pub(super) fn cut<'t>(
        &self,
        text: &'t str,
        literal: bool,
        mut piece: impl FnMut(Piece<'t>) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        for found in self.automaton.iter().flat_map(|automaton| automaton.find_iter(text)) {
            let token = &self.tokens[found.pattern().as_usize()];
            let (before, after) = (&text[..found.start()], &text[found.end()..]);
            if literal && token.special {
                continue;
            }
            if token.single_word && (ends_in_word(before) || begins_with_word(after)) {
                continue;
            }
            let mut start = found.start();
            let mut end = found.end();
            if token.lstrip {
                start = before.trim_end().len().max(done);
            }
            if token.rstrip {
                end += after.len() - after.trim_start().len();
            }
            if done < start {
                piece(Piece::Text(&text[done..start]))?;
            }
            piece(Piece::Token(token.id))?;
            done = end;
        }
        if done < text.len() {
            piece(Piece::Text(&text[done..]))?;
        }
        Ok(())
    }
}

fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(regex_syntax::is_word_character)
}

fn begins_with_word(text: &str) -> bool {
    text.chars().next().is_some_and(regex_syntax::is_word_character)
}
