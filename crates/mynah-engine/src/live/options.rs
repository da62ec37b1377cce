//! The options of an engine.

use std::time::Duration;

use super::speculate::PromptLookup;
use crate::error::{Error, ErrorKind, Result};

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The most sequences that run at once; the model's slots limit it further when it has recurrent state.
    pub running_max: usize,
    /// The most requests that are in the engine at once; one more is refused.
    pub requests_max: usize,
    /// About how many tokens one step reads. Sequences that write come first with one token each, prompts get
    /// the rest: a smaller number keeps the pauses between tokens short, a greater one reads prompts faster.
    pub step_tokens: usize,
    /// Whether pages are shared between requests with equal beginnings.
    pub prefix_cache: bool,
    /// Steps after which a waiting request rises by one rank.
    pub aging_steps: u64,
    /// The most tokens that are guessed for a sequence in one step; 0 never guesses.
    pub draft_tokens_max: usize,
    /// Whether and how tokens are guessed from the text itself.
    pub prompt_lookup: Option<PromptLookup>,
    /// The adapters that are loaded at the start, by their numbers; [`Change`](super::Change) tells of others.
    pub adapters: Vec<u32>,
    /// A step that takes longer makes [`health`](super::EngineHandle::health) say that the engine is stuck.
    pub stuck_after: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            running_max: 64,
            requests_max: 1024,
            step_tokens: 256,
            prefix_cache: true,
            aging_steps: 512,
            draft_tokens_max: 8,
            prompt_lookup: None,
            adapters: Vec::new(),
            stuck_after: Duration::from_secs(120),
        }
    }
}

impl EngineOptions {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`ErrorKind::Option`] that names the option.
    pub fn check(&self) -> Result<()> {
        let least = [
            ("running_max", self.running_max as u64),
            ("requests_max", self.requests_max as u64),
            ("step_tokens", self.step_tokens as u64),
            ("aging_steps", self.aging_steps),
        ];
        match least.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => {
                Err(Error::new(ErrorKind::Option, format!("{name} is 0; it must be at least 1")))
            }
            None => Ok(()),
        }
    }
}
