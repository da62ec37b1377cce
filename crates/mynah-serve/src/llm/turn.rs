//! One answer of a model in a conversation: text, reasoning and tool calls, whatever API asked for it.

use std::collections::VecDeque;

use mynah_chat::{
    Choice as CallChoice, Conversation, Event, GrammarOptions, Parser, RenderOptions, Thinking, Tool,
    ToolFormat, grammar,
};
use mynah_engine::live::{ConstraintSource, Finish, PieceToken, Request, StopCause, Usage, WeightsSpan};

use super::failure::{Failure, Outcome};
use super::generation::{Generation, Step, fresh_seed};
use super::model::{Prompt, ServedModel};

/// Which tools an answer may or must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    None,
    Required,
    Named(String),
}

/// A question to a model, read from some API's request.
pub(crate) struct Ask {
    pub(crate) conversation: Conversation,
    pub(crate) options: RenderOptions,
    pub(crate) choice: Choice,
    /// At most one call in the answer.
    pub(crate) one_call: bool,
    /// Calls come in pieces, while they are written.
    pub(crate) call_pieces: bool,
    /// What the text must match, and the field that says so.
    pub(crate) format: Option<(&'static str, ConstraintSource)>,
    /// Everything for the engine but the prompt and the constraint.
    pub(crate) request: Request,
}

impl Ask {
    /// Renders the prompt and hands it to the engine. Templates and grammars take time: call it on a thread that may
    /// wait.
    ///
    /// # Errors
    /// What the template, the grammar or the engine refuses.
    pub(crate) fn start(self, model: &ServedModel) -> Outcome<Turns> {
        let Ask { mut conversation, options, choice, one_call, call_pieces, format, mut request } = self;
        let is_forced = matches!(choice, Choice::Required | Choice::Named(_));
        if let (true, Some((field, _))) = (is_forced, &format) {
            let message = format!(
                "a forced tool call and {field} exclude each other: the answer can be only one of them"
            );
            return Err(Failure::field(*field, message));
        }
        if choice == Choice::None {
            // The model is not told of tools that it must not call.
            conversation.tools.clear();
        }
        let prompt = prompt(&conversation, &options, model)?;
        request.prompt = prompt.ids;
        // Under a schema the answer begins with the value itself: nothing of it is reasoning.
        let thinking = model.thinking.clone().filter(|_| format.is_none()).map(|mut thinking| {
            thinking.is_open = prompt.in_reasoning;
            thinking
        });
        request.constraint =
            match forced_calls(&choice, &conversation.tools, one_call, thinking.as_ref(), model)? {
                Some(grammar) => Some(grammar),
                None => format.map(|(_, source)| source),
            };
        // The marks of calls and reasoning are special tokens in many models.
        let format = model.format(!conversation.tools.is_empty());
        request.show_special |= format != ToolFormat::None || thinking.is_some();
        request.stop_ids.extend(format.call_end().and_then(|mark| model.tokens.id_of(mark)));
        let samples = request.samples;
        let parser = || match call_pieces {
            true => Parser::incremental(format, &conversation.tools, thinking.clone()),
            false => Parser::new(format, &conversation.tools, thinking.clone()),
        };
        let parsers = (0..samples).map(|_| Some(parser())).collect();
        let prompt_tokens = request.prompt.len();
        let generation = Generation::start(model, request)?;
        Ok(Turns {
            generation,
            parsers,
            ready: VecDeque::new(),
            calls: vec![0; samples],
            call_pieces,
            is_open: vec![false; samples],
            calls_before: conversation.messages.iter().map(|message| message.tool_calls.len()).sum(),
            calls_max: if one_call { 1 } else { usize::MAX },
            prompt_tokens,
            undecided_tokens: vec![0; samples],
            reasoning_tokens: 0,
            model: model.clone(),
        })
    }
}

/// The prompt of a conversation.
pub(crate) fn prompt(
    conversation: &Conversation,
    options: &RenderOptions,
    model: &ServedModel,
) -> Outcome<Prompt> {
    let prompter = model.prompter.as_ref().ok_or_else(|| {
        let message = format!("{} has no chat template; it continues text with /v1/completions", model.name);
        Failure::field("model", message)
    })?;
    prompter.prompt(conversation, options).map_err(|why| Failure::field("messages", why))
}

/// The grammar of calls that must come.
fn forced_calls(
    choice: &Choice,
    tools: &[Tool],
    one_call: bool,
    thinking: Option<&Thinking>,
    model: &ServedModel,
) -> Outcome<Option<ConstraintSource>> {
    let choice = match choice {
        Choice::Auto | Choice::None => return Ok(None),
        Choice::Required => CallChoice::Required,
        Choice::Named(name) => CallChoice::Named(name),
    };
    let token_id = |text: &str| model.tokens.id_of(text);
    let options = GrammarOptions { parallel: !one_call, reasoning: thinking, token_id: &token_id };
    let grammar = grammar(model.tool_format, tools, choice, &options)
        .map_err(|error| Failure::field("tool_choice", error.to_string()))?;
    Ok(Some(ConstraintSource::Lark(grammar)))
}

/// What happens in an answer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// More of what is said.
    Text(String),
    /// More of what is thought.
    Reasoning(String),
    /// A call of a tool, complete.
    Call(Call),
    /// More of a call of a tool, for those who asked for pieces.
    CallPiece(CallPiece),
}

/// A piece of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallPiece {
    /// Of the first piece of a call: its id and the function.
    pub(crate) begin: Option<(String, String)>,
    /// The next piece of its arguments.
    pub(crate) arguments: String,
}

/// A tool call with its name for the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
}

/// What a step of a generation means for one of its samples.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The prompt has been read.
    Prompt {
        cached_tokens: usize,
    },
    Parts {
        sample: usize,
        parts: Vec<Part>,
        tokens: Vec<PieceToken>,
    },
    Finished {
        sample: usize,
        finish: Finish,
        /// Which weights chose its tokens.
        spans: Vec<WeightsSpan>,
    },
    Done(Usage),
}

/// A generation whose text is taken apart.
pub(crate) struct Turns {
    generation: Generation,
    parsers: Vec<Option<Parser>>,
    /// What comes before the next step is asked for.
    ready: VecDeque<Turn>,
    /// Calls so far, by sample.
    calls: Vec<usize>,
    calls_max: usize,
    call_pieces: bool,
    /// Whether a sample has a call that was told of and is not whole yet.
    is_open: Vec<bool>,
    /// Calls in the conversation so far: some formats number them.
    calls_before: usize,
    prompt_tokens: usize,
    /// Tokens, by sample, of which is not known yet whether they are reasoning.
    undecided_tokens: Vec<usize>,
    reasoning_tokens: usize,
    model: ServedModel,
}

impl Turns {
    /// Tokens of the prompt.
    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Tokens of reasoning so far, over all samples; a mark that ends it counts with what follows.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens
    }

    /// The model that answers.
    pub(crate) fn model(&self) -> &ServedModel {
        &self.model
    }

    /// The next that is worth telling.
    pub(crate) async fn next(&mut self) -> Outcome<Turn> {
        loop {
            if let Some(turn) = self.ready.pop_front() {
                return Ok(turn);
            }
            match self.generation.next().await? {
                Step::Prompt(read) => return Ok(Turn::Prompt { cached_tokens: read.cached_tokens }),
                Step::Piece(piece) => {
                    let parser = self.parsers[piece.sample].as_mut();
                    let events = parser.map(|parser| parser.push(&piece.text)).unwrap_or_default();
                    let parts = self.parts(piece.sample, events);
                    self.count(piece.sample, &parts, piece.tokens.len());
                    if !parts.is_empty() || !piece.tokens.is_empty() {
                        return Ok(Turn::Parts { sample: piece.sample, parts, tokens: piece.tokens });
                    }
                }
                Step::Finished(sample, finish, spans) => {
                    let mut events = Vec::new();
                    if let Some(mut parser) = self.parsers[sample].take() {
                        // The mark at which the answer stopped is not in its text.
                        events
                            .extend(self.call_end(&finish).map(|mark| parser.push(mark)).unwrap_or_default());
                        events.extend(parser.finish());
                    }
                    let parts = self.parts(sample, events);
                    self.count(sample, &parts, 0);
                    if !parts.is_empty() {
                        self.ready.push_back(Turn::Parts { sample, parts, tokens: Vec::new() });
                    }
                    // A call that breaks off has been told of and cannot be taken back.
                    let finish = if self.is_open[sample] { Finish::Length } else { finish };
                    self.ready.push_back(Turn::Finished { sample, finish, spans });
                }
                Step::Done(usage) => return Ok(Turn::Done(usage)),
            }
        }
    }

    /// The mark of a call's end, if a sample has stopped at it.
    fn call_end(&self, finish: &Finish) -> Option<&'static str> {
        let mark = self.model.tool_format.call_end()?;
        let id = self.model.tokens.id_of(mark)?;
        (*finish == Finish::Stop(StopCause::Token(id))).then_some(mark)
    }

    /// Tokens belong to the kind of text that comes out after them.
    fn count(&mut self, sample: usize, parts: &[Part], tokens: usize) {
        self.undecided_tokens[sample] += tokens;
        if let Some(last) = parts.last() {
            let tokens = std::mem::take(&mut self.undecided_tokens[sample]);
            self.reasoning_tokens += if matches!(last, Part::Reasoning(_)) { tokens } else { 0 };
        }
    }

    /// A call is told when it is whole: clients that expect complete arguments in one piece get them.
    fn parts(&mut self, sample: usize, events: Vec<Event>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut id = None;
        for event in events {
            match event {
                Event::Text(text) => parts.push(Part::Text(text)),
                Event::Reasoning(text) => parts.push(Part::Reasoning(text)),
                Event::CallStart { id: given, name, .. } if self.call_pieces => {
                    self.calls[sample] += 1;
                    self.is_open[sample] = true;
                    if self.calls[sample] <= self.calls_max {
                        let begin = Some((given.unwrap_or_else(|| self.call_id(sample, &name)), name));
                        parts.push(Part::CallPiece(CallPiece { begin, arguments: String::new() }));
                    }
                }
                Event::CallArguments { delta, .. } if self.call_pieces => match parts.last_mut() {
                    _ if self.calls[sample] > self.calls_max => {}
                    Some(Part::CallPiece(piece)) => piece.arguments.push_str(&delta),
                    _ => parts.push(Part::CallPiece(CallPiece { begin: None, arguments: delta })),
                },
                Event::CallEnd { .. } if self.call_pieces => self.is_open[sample] = false,
                Event::CallStart { id: given, .. } => id = given,
                Event::CallArguments { .. } => {}
                Event::CallEnd { name, arguments, .. } => {
                    self.calls[sample] += 1;
                    // One call was asked for, and one is given; a model that writes more is not obeyed.
                    if self.calls[sample] <= self.calls_max {
                        let id = id.take().unwrap_or_else(|| self.call_id(sample, &name));
                        parts.push(Part::Call(Call { id, name, arguments }));
                    }
                }
            }
        }
        parts
    }

    /// An id for the last call of a sample.
    fn call_id(&self, sample: usize, name: &str) -> String {
        self.model.tool_format.call_id(name, self.calls_before + self.calls[sample] - 1, fresh_seed())
    }
}
