//! User patterns whose only lookahead is the usual one for white space, without a backtracking engine.
//!
//! Nearly every split pattern in use is `HEAD|\s+(?!\S)|\s+`, and HEAD needs no lookahead. Then the whole
//! is one pass of a finite automaton over HEAD and `\s+`, with one correction: where `\s+` matched before
//! something visible, the last white-space character is left for the next chunk, unless it is the only one.

use regex_automata::meta::{Config, Regex};
use regex_automata::{Anchored, Input, PatternID};

const TAIL: &str = r"|\s+(?!\S)|\s+";
/// Largest automaton, in bytes; those for patterns in use need less than a tenth of it.
const AUTOMATON_BYTES_MAX: usize = 64 << 20;

/// A compiled pattern of that form.
pub(crate) struct Tailed {
    /// Pattern 0 is HEAD, pattern 1 `\s+`; where both match at a place, the first counts.
    regex: Regex,
}

impl Tailed {
    /// The pattern, or `None` if it is not of that form.
    pub(crate) fn new(source: &str) -> Option<Self> {
        let head = source.strip_suffix(TAIL)?;
        // Flags for the rest of the expression would reach into the tail.
        if head
            .match_indices("(?")
            .any(|(at, _)| !head[at..].starts_with("(?:") && !head[at..].starts_with("(?i:"))
        {
            return None;
        }
        // `a|(b|\s+(?!\S)|\s+` and the like would be cut inside a group; then HEAD does not compile.
        let config = Config::new().nfa_size_limit(Some(AUTOMATON_BYTES_MAX));
        let regex = Regex::builder().configure(config).build_many(&[head, r"\s+"]).ok()?;
        // What matches the empty string would have to be stepped over, as the engine does.
        if regex.is_match(Input::new("").anchored(Anchored::Yes)) {
            return None;
        }
        Some(Self { regex })
    }

    /// Calls `found(start, end)` for each match in order.
    pub(crate) fn for_each_match(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        let mut at = 0;
        let mut input = Input::new(text);
        while at < text.len() {
            input.set_start(at);
            let Some(matched) = self.regex.search(&input) else { break };
            let (start, mut end) = (matched.start(), matched.end());
            if matched.pattern() == PatternID::must(1) && end < text.len() {
                let last = text[start..end].char_indices().next_back().map_or(0, |(offset, _)| offset);
                if last > 0 {
                    end = start + last;
                }
            }
            if end == start {
                break;
            }
            found(start, end);
            at = end;
        }
    }
}
