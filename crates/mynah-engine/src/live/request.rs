//! What a client asks for and what it gets back: [`Request`] in, [`Event`]s out.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::constraint::ConstraintSource;
use super::sampling::Sampling;
use super::weights::WeightsSpan;
use crate::error::Error;

/// A completion that is wanted.
#[derive(Debug)]
pub struct Request {
    /// The prompt's ids, at least one.
    pub prompt: Vec<u32>,
    /// How many completions of the prompt, 1 to [`SAMPLES_MAX`]. They share the prompt's pages; sample i draws
    /// from the random stream i of the seed.
    pub samples: usize,
    /// The most tokens of one completion; `None` for what the context leaves. 0 only reads the prompt.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end a completion, also across tokens; at most [`STOP_TEXTS_MAX`].
    pub stop_texts: Vec<String>,
    /// Whether the stop text is part of the completion's text.
    pub include_stop_text: bool,
    /// Tokens that end a completion, besides the codec's own.
    pub stop_ids: Vec<u32>,
    /// Whether the codec's own end tokens are tokens like any other.
    pub ignore_end: bool,
    /// Whether special tokens appear in the text by their names.
    pub show_special: bool,
    /// For each token its log probability and those of this many most likely ones.
    pub logprobs: Option<usize>,
    /// The same for the tokens of the prompt (`echo`). The prefix cache is then not used: its pages have no
    /// logits.
    pub prompt_logprobs: Option<usize>,
    /// What the completion must match.
    pub constraint: Option<ConstraintSource>,
    /// The low-rank adapter, by the number it was loaded under.
    pub adapter: Option<u32>,
    /// The weights, by the number they were installed under; `None` for those that requests get.
    pub weights: Option<u32>,
    /// Greater goes first; −100 to 100.
    pub priority: i32,
    /// Whose request it is: clients of one priority get equal shares.
    pub client: String,
    /// How long after its submission it fails when it is not done.
    pub deadline: Option<Duration>,
}

/// The most samples of one request.
pub const SAMPLES_MAX: usize = 128;
/// The most stop texts of one request.
pub const STOP_TEXTS_MAX: usize = 64;
/// The longest stop text in bytes.
pub const STOP_TEXT_LEN_MAX: usize = 1024;
/// The most alternatives for which log probabilities are given.
pub const LOGPROBS_MAX: usize = 100;

impl Request {
    /// One completion of this prompt, sampled from the model's own distribution with seed 0.
    pub fn new(prompt: Vec<u32>) -> Self {
        Self {
            prompt,
            samples: 1,
            max_tokens: None,
            sampling: Sampling::default(),
            stop_texts: Vec::new(),
            include_stop_text: false,
            stop_ids: Vec::new(),
            ignore_end: false,
            show_special: false,
            logprobs: None,
            prompt_logprobs: None,
            constraint: None,
            adapter: None,
            weights: None,
            priority: 0,
            client: String::new(),
            deadline: None,
        }
    }
}

/// What a client is told, in this order: one `Prompt`; then `Piece`s, and for each sample one `Finished`, those
/// of several samples mixed; at the end one `Done` or, at any point instead of all that is still to come, one
/// `Failed`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt has been read.
    Prompt(PromptRead),
    /// More of a completion.
    Piece(Piece),
    /// A completion is complete.
    Finished {
        /// Which of the request's samples.
        sample: usize,
        /// Why it ended.
        finish: Finish,
        /// How many tokens were sampled, the one that ended it included.
        completion_tokens: usize,
        /// Which weights chose them, in order.
        spans: Vec<WeightsSpan>,
    },
    /// All samples are complete.
    Done(Usage),
    /// The request failed; what came before stands.
    Failed(Failed),
}

/// An [`Error`] that can be compared, for tests of clients.
#[derive(Clone, Debug)]
pub struct Failed(pub Error);

impl PartialEq for Failed {
    fn eq(&self, other: &Self) -> bool {
        self.0.kind() == other.0.kind() && self.0.to_string() == other.0.to_string()
    }
}

/// The prompt as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptRead {
    /// Tokens that were found in the prefix cache.
    pub cached_tokens: usize,
    /// When asked for: for each token but the first, which nothing predicts, its log probabilities.
    pub logprobs: Option<Vec<TokenLogprobs>>,
}

/// More of one completion: the text that is now certain and the tokens it is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which of the request's samples.
    pub sample: usize,
    /// Text without split characters and without what may still become a stop text. May be empty when
    /// tokens have none.
    pub text: String,
    /// The tokens whose text is now out. Tokens of a stop text that is not shown never appear.
    pub tokens: Vec<PieceToken>,
}

/// One token of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct PieceToken {
    /// The token.
    pub id: u32,
    /// When asked for.
    pub logprobs: Option<TokenLogprobs>,
}

/// Natural logarithms of probabilities under the model's own distribution: before bias, penalties,
/// temperature, filters and constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token.
    pub id: u32,
    /// Its log probability.
    pub logprob: f32,
    /// The most likely tokens with theirs, falling; equal ones by rising id.
    pub top: Vec<(u32, f32)>,
}

/// Why a completion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Stop(StopCause),
    /// `max_tokens` were sampled, or the context is full.
    Length,
    /// The client went away or asked to stop.
    Cancelled,
}

/// What ended a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// One of the codec's end tokens.
    End(u32),
    /// One of the request's stop tokens.
    Token(u32),
    /// One of the request's stop texts.
    Text(String),
    /// The constraint is fulfilled and nothing may follow.
    Constraint,
}

/// The tokens of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were found in the prefix cache.
    pub cached_tokens: usize,
    /// Tokens sampled, over all samples.
    pub completion_tokens: usize,
}

/// Where the events of a request go. Called on the engine's thread, so it must return at once: hand the event
/// to a channel or set a waker. A request has at most one `Piece` a token, so an unbounded channel holds at most
/// `samples × (max_tokens + 2) + 2` events. `Break` (and a panic) cancels the request: nothing more comes.
pub trait Sink: Send {
    /// Takes one event.
    fn event(&mut self, event: Event) -> ControlFlow<()>;
}

impl<F: FnMut(Event) -> ControlFlow<()> + Send> Sink for F {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        self(event)
    }
}

/// Ends a request from any thread; the engine obeys before its next step.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
