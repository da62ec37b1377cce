//! One row while it is written: which token comes next, what of it may be shown, and when it ends.
//!
//! ```text
//!             <|python_start|>                  <|python_end|>
//!   answer ────────────────────▶ tool call ─────────────────────▶ tool result ──┐
//!      ▲                                          (evaluated)     (forced in)   │
//!      └────────────────────────────────────────────────────────────────────────┘
//! ```

use std::collections::VecDeque;

use mynah_base::Rng;

use crate::error::Result;
use crate::model::TextCodec;
use crate::sampler::{Sampler, SamplingOptions};
use crate::text::TextStream;

/// The special tokens around a tool call and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolTokens {
    /// `<|python_start|>`: the model begins a call.
    pub call_start: u32,
    /// `<|python_end|>`: the call is complete and is evaluated.
    pub call_end: u32,
    /// `<|output_start|>`: forced in before the result.
    pub result_start: u32,
    /// `<|output_end|>`: forced in after the result.
    pub result_end: u32,
}

/// A tool that the model may call in mid-answer.
#[derive(Clone, Copy)]
pub struct Tool<'a> {
    /// The tokens around calls and results.
    pub tokens: ToolTokens,
    /// Gives the result for the text of a call; errors are texts too.
    pub run: &'a dyn Fn(&str) -> String,
}

impl Tool<'_> {
    /// The calculator behind these tokens.
    pub fn calculator(tokens: ToolTokens) -> Self {
        Tool { tokens, run: &crate::calculator::answer }
    }
}

/// What a stretch of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words for the reader.
    Answer,
    /// What the model asks the tool.
    ToolCall,
    /// What the tool answered.
    ToolResult,
}

/// Why a row ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model wrote this stop token (it is not part of the ids).
    StopToken(u32),
    /// The answer reached this stop text (it is not part of the text).
    StopText(String),
    /// The limit of new tokens was reached.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The callback asked to end.
    Cancelled,
}

/// One finished row.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The new tokens, without the prompt and without the stop token.
    pub ids: Vec<u32>,
    /// For each id, whether the model chose it (false: a forced tool result).
    pub sampled: Vec<bool>,
    /// The answer's text, without tool calls and results.
    pub text: String,
    /// Why the row ended.
    pub finish: Finish,
}

/// The limits and stops of a row.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most new tokens, tool results included.
    pub max_tokens: usize,
    /// Tokens that end the row when the model writes them.
    pub stop_ids: Vec<u32>,
    /// Texts that end the row when the answer contains them.
    pub stop_texts: Vec<String>,
}

/// A piece of a row, as the streaming callback gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The token just added; none when held-back text is flushed at the end of a part.
    pub id: Option<u32>,
    /// Whether the model chose the token.
    pub sampled: bool,
    /// Which part the text belongs to.
    pub part: Part,
    /// Text that may be shown now; often empty, never half a character.
    pub text: String,
}

/// One row while it is written.
pub(crate) struct Row<'a> {
    options: &'a SamplingOptions,
    limits: &'a Limits,
    tool: Option<Tool<'a>>,
    codec: &'a dyn TextCodec,
    rng: Rng,
    /// Tokens of a tool result that are still to come.
    forced: VecDeque<u32>,
    /// How many more tokens the context takes.
    room: usize,
    part: Part,
    stream: TextStream,
    call: Vec<u8>,
    ids: Vec<u32>,
    sampled: Vec<bool>,
    text: String,
    finish: Option<Finish>,
}

impl<'a> Row<'a> {
    /// A row whose prompt is in the cache of a model that has `room` for more tokens.
    pub(crate) fn new(
        options: &'a SamplingOptions,
        limits: &'a Limits,
        tool: Option<Tool<'a>>,
        codec: &'a dyn TextCodec,
        rng: Rng,
        room: usize,
    ) -> Self {
        Self {
            options,
            limits,
            tool,
            codec,
            rng,
            forced: VecDeque::new(),
            room,
            part: Part::Answer,
            stream: TextStream::new(&limits.stop_texts),
            call: Vec::new(),
            ids: Vec::new(),
            sampled: Vec::new(),
            text: String::new(),
            finish: (limits.max_tokens == 0).then_some(Finish::MaxTokens),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    pub(crate) fn cancel(&mut self) {
        self.finish.get_or_insert(Finish::Cancelled);
    }

    pub(crate) fn into_completion(self) -> Completion {
        let finish = self.finish.unwrap_or(Finish::Cancelled);
        Completion { ids: self.ids, sampled: self.sampled, text: self.text, finish }
    }

    /// The next token of the row, to be fed to the model; pieces to show go to `pieces`. `None` when the row
    /// ended without one.
    pub(crate) fn next(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        pieces: &mut Vec<Piece>,
    ) -> Result<Option<u32>> {
        let (id, sampled) = match self.forced.pop_front() {
            Some(id) => (id, false),
            None => (sampler.sample(logits, self.options, &mut self.rng)?, true),
        };
        if sampled && self.limits.stop_ids.contains(&id) {
            self.flush(pieces);
            self.finish.get_or_insert(Finish::StopToken(id));
            return Ok(None);
        }
        self.ids.push(id);
        self.sampled.push(sampled);
        self.room = self.room.saturating_sub(1);
        self.advance(id, sampled, pieces);
        if self.finish.is_none() && self.ids.len() >= self.limits.max_tokens {
            self.flush(pieces);
            self.finish.get_or_insert(Finish::MaxTokens);
        }
        if self.finish.is_none() && self.room == 0 {
            self.flush(pieces);
            self.finish.get_or_insert(Finish::ContextFull);
        }
        Ok(self.finish.is_none().then_some(id))
    }

    /// Moves the state machine by one token.
    fn advance(&mut self, id: u32, sampled: bool, pieces: &mut Vec<Piece>) {
        let tokens = self.tool.map(|tool| tool.tokens);
        match (self.part, tokens) {
            (Part::Answer, Some(tokens)) if sampled && id == tokens.call_start => {
                self.enter(Part::ToolCall, pieces);
                self.call.clear();
                pieces.push(Piece { id: Some(id), sampled, part: self.part, text: String::new() });
            }
            (Part::ToolCall, Some(tokens)) if sampled && id == tokens.call_end => {
                self.show(Some(id), sampled, &[], pieces);
                self.force_result();
                self.enter(Part::ToolResult, pieces);
            }
            (Part::ToolResult, _) if self.forced.is_empty() => {
                self.show(Some(id), sampled, &[], pieces);
                self.enter(Part::Answer, pieces);
            }
            _ => {
                let codec = self.codec;
                let bytes = codec.bytes(id);
                if self.part == Part::ToolCall {
                    self.call.extend_from_slice(bytes);
                }
                self.show(Some(id), sampled, bytes, pieces);
            }
        }
    }

    /// Evaluates the call and queues its result.
    fn force_result(&mut self) {
        let Some(tool) = self.tool else { return };
        let result = (tool.run)(&String::from_utf8_lossy(&self.call));
        self.forced.push_back(tool.tokens.result_start);
        self.forced.extend(self.codec.encode(&result));
        self.forced.push_back(tool.tokens.result_end);
    }

    fn enter(&mut self, part: Part, pieces: &mut Vec<Piece>) {
        self.flush(pieces);
        self.part = part;
        // Stop texts are for the reader's text; a call or a result may contain anything.
        self.stream = TextStream::new(if part == Part::Answer { &self.limits.stop_texts } else { &[] });
    }

    fn show(&mut self, id: Option<u32>, sampled: bool, bytes: &[u8], pieces: &mut Vec<Piece>) {
        let text = self.stream.push(bytes);
        self.collect(&text);
        pieces.push(Piece { id, sampled, part: self.part, text });
    }

    fn flush(&mut self, pieces: &mut Vec<Piece>) {
        let text = self.stream.finish();
        if !text.is_empty() {
            self.collect(&text);
            pieces.push(Piece { id: None, sampled: false, part: self.part, text });
        }
    }

    fn collect(&mut self, text: &str) {
        if self.part == Part::Answer {
            self.text.push_str(text);
            if let Some(index) = self.stream.stopped() {
                self.finish = Some(Finish::StopText(self.limits.stop_texts[index].clone()));
            }
        }
    }
}
