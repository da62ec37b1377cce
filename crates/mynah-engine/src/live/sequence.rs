//! One completion as the scheduler sees it: tokens, how far the model has read them, and the pages they have.

use std::sync::Arc;

use super::request::TokenLogprobs;
use super::weights::WeightsSpan;
use super::writer::{Spec, Writer};

/// One sample of a request, waiting or running.
pub(super) struct Sequence {
    pub request: u64,
    pub sample: usize,
    /// Rises with each sequence: who came first.
    pub arrival: u64,
    /// The request's priority, raised when it waits or is put back too often.
    pub rank: i32,
    pub spec: Arc<Spec>,
    pub writer: Writer,
    /// Prompt and completion.
    pub tokens: Vec<u32>,
    /// How many of the tokens have keys and values in `pages`.
    pub computed: usize,
    pub pages: Vec<u32>,
    pub slot: Option<u32>,
    /// The weights it is computed with.
    pub weights: u32,
    /// Whether other weights have written to `pages`, too: nobody else may then find them.
    pub is_mixed: bool,
    /// Which weights chose its tokens.
    pub spans: Vec<WeightsSpan>,
    /// Further samples that begin when this one's prompt is read.
    pub forks: usize,
    /// Whether the logits of the prompt are wanted: until the client has been told of it.
    pub is_scoring: bool,
    /// Log probabilities of the prompt so far, when wanted.
    pub prompt_logprobs: Vec<TokenLogprobs>,
    /// Whether the client's fair share has been charged.
    pub is_charged: bool,
    /// How often it was put back.
    pub preemptions: u32,
    /// The step in which it began to wait.
    pub waiting_since: u64,
    /// How many tokens at the end are only guessed, to be checked in the step under way.
    pub draft_count: usize,
    /// How many to guess next time: more after right ones, fewer after wrong ones.
    pub draft_room: usize,
}

impl Sequence {
    /// How many tokens are certain.
    pub fn known_len(&self) -> usize {
        self.tokens.len() - self.draft_count
    }

    /// Takes the guessed tokens off again.
    pub fn take_drafts(&mut self) -> Vec<u32> {
        let drafts = self.tokens.split_off(self.known_len());
        self.draft_count = 0;
        drafts
    }

    /// Tokens that the model has not read.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether the prompt is read and the completion has ended.
    pub fn is_complete(&self) -> bool {
        let is_read = self.pending() == 0 || self.known_len() > self.spec.prompt.len();
        is_read && self.writer.finish().is_some()
    }

    /// Whether the prompt's logits are wanted and not complete.
    pub fn scores_prompt(&self) -> bool {
        self.is_scoring && self.prompt_logprobs.len() + 1 < self.spec.prompt.len()
    }

    /// What the fair share is charged for it: tokens to read, and to write as far as can be foreseen.
    pub fn cost(&self) -> i64 {
        if self.is_charged {
            return 0;
        }
        let writes = (self.spec.max_tokens - self.writer.completion_tokens()).min(COST_WRITES_MAX);
        (self.pending() + writes) as i64
    }

    /// Scheduling order: rank, then arrival.
    pub fn order(&self) -> (std::cmp::Reverse<i32>, u64) {
        (std::cmp::Reverse(self.rank), self.arrival)
    }
}

/// Most completions end long before their limit, so a client is charged for no more than this many.
const COST_WRITES_MAX: usize = 256;
