//! Parsers of what a model writes: text, reasoning and tool calls, told apart while they arrive.
//!
//! What comes out does not depend on how the text was cut into pieces. A call is reported when it is whole and right:
//! anything that only looks like one comes out as text, to the last byte. ([`Parser::incremental`] reports calls of some
//! formats earlier.)

mod code;
mod deepseek;
mod gemma;
mod harmony;
mod json;
mod live;
mod loose;
mod markup;
mod progress;
mod python;
mod scan;
mod tagged;

pub(crate) use code::{END as CODE_END, TOOL as CODE_TOOL};
pub(crate) use python::value as python_value;

use crate::conversation::Tool;
use crate::format::ToolFormat;
use crate::thinking::Thinking;

/// One piece of a model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// More of the text for the user.
    Text(String),
    /// More of the reasoning.
    Reasoning(String),
    /// A call begins.
    CallStart {
        /// Its number in this answer, from 0.
        index: usize,
        /// The id the model gave it; the caller makes one ([`ToolFormat::call_id`]) where it gave none.
        id: Option<String>,
        /// The function.
        name: String,
    },
    /// More of a call's arguments; together they are JSON text.
    CallArguments {
        /// Which call.
        index: usize,
        /// The next piece.
        delta: String,
    },
    /// A call is whole. One that was told of before ([`Parser::incremental`]) and is cut off or turns out malformed has
    /// no end.
    CallEnd {
        /// Which call.
        index: usize,
        /// The function.
        name: String,
        /// All of its arguments: JSON text of an object.
        arguments: String,
    },
}

/// A call as a reader found it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RawCall {
    id: Option<String>,
    name: String,
    arguments: String,
}

/// Splits one answer of a model into [`Event`]s.
///
/// Feed it text with special tokens kept (`<tool_call>`, `[TOOL_CALLS]`, `<|channel|>` … are special tokens in many
/// models), but without the token that ended the turn.
#[derive(Debug)]
pub struct Parser {
    machine: Machine,
    calls: usize,
    /// The name and the arguments so far of the last call told of before it was whole.
    live: (String, String),
}

#[derive(Debug)]
enum Machine {
    Tagged(Box<tagged::Tagged>),
    Harmony(harmony::Harmony),
    Code(code::Code),
}

impl Parser {
    /// A parser for one answer. `tools` are those of the request: their schemas give untyped arguments a type, and their
    /// names tell bare calls from text that looks like one. For a request without tools, or with the choice `none`, give
    /// [`ToolFormat::None`], so that JSON the user asked for stays text; [`ToolFormat::GptOss`] stays as it is, since its
    /// channels carry the reasoning. `thinking` is `None` for models without reasoning.
    pub fn new(format: ToolFormat, tools: &[Tool], thinking: Option<Thinking>) -> Self {
        Self::with(format, tools, thinking, false)
    }

    /// As [`Parser::new`], but a call's arguments are passed on while they arrive, as soon as the call is certain: after
    /// the format's mark, the name (of one of `tools`, if there are any) and the opening brace of the arguments.
    ///
    /// The events are the same, and so are a call's joined [`Event::CallArguments`] and the arguments of its
    /// [`Event::CallEnd`]; only bytes that continue a JSON object are passed on. What is given up: a call that was
    /// told of and is then cut off or malformed cannot be taken back. It has no [`Event::CallEnd`], and the rest of it
    /// is text.
    ///
    /// This needs arguments that are plain JSON: Hermes, Llama 3, Mistral, Nemotron, Kimi K2, DeepSeek V3 and V3.1,
    /// GPT-OSS. Calls with tags around each value (Qwen3-Coder, MiniMax, GLM-4.5, DeepSeek V3.2, Gemma), in Python's
    /// syntax or of Python code are reported whole, as are those that name the function after its arguments or give these as a text: their
    /// arguments are only known when the call is.
    pub fn incremental(format: ToolFormat, tools: &[Tool], thinking: Option<Thinking>) -> Self {
        Self::with(format, tools, thinking, true)
    }

    fn with(format: ToolFormat, tools: &[Tool], thinking: Option<Thinking>, is_incremental: bool) -> Self {
        let machine = match format {
            ToolFormat::GptOss => Machine::Harmony(harmony::Harmony::new(tools, is_incremental)),
            ToolFormat::Mynah => Machine::Code(code::Code::new(tools)),
            _ => {
                let machine = tagged::Tagged::new(format, tools, thinking, is_incremental);
                Machine::Tagged(Box::new(machine))
            }
        };
        Self { machine, calls: 0, live: Default::default() }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        let found = match &mut self.machine {
            Machine::Tagged(machine) => machine.push(text),
            Machine::Harmony(machine) => machine.push(text),
            Machine::Code(machine) => machine.push(text),
        };
        self.events(found)
    }

    /// Ends the answer: what was held back comes out. A call that lacks only its closing mark is one; a call cut off
    /// before is text.
    pub fn finish(&mut self) -> Vec<Event> {
        let found = match &mut self.machine {
            Machine::Tagged(machine) => machine.finish(),
            Machine::Harmony(machine) => machine.finish(),
            Machine::Code(machine) => machine.finish(),
        };
        self.events(found)
    }

    /// How many calls were found so far, told-of ones included; the finish reason is `tool_calls` when there are any.
    pub fn calls(&self) -> usize {
        self.calls
    }

    fn events(&mut self, found: Vec<Found>) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::with_capacity(found.len());
        for found in found {
            match (found, events.last_mut()) {
                (Found::Text(more), Some(Event::Text(text))) => text.push_str(&more),
                (Found::Text(text), _) => events.push(Event::Text(text)),
                (Found::Reasoning(more), Some(Event::Reasoning(text))) => text.push_str(&more),
                (Found::Reasoning(text), _) => events.push(Event::Reasoning(text)),
                (Found::Call(RawCall { id, name, arguments }), _) => {
                    let index = self.calls;
                    self.calls += 1;
                    events.push(Event::CallStart { index, id, name: name.clone() });
                    events.push(Event::CallArguments { index, delta: arguments.clone() });
                    events.push(Event::CallEnd { index, name, arguments });
                }
                (Found::Begin(id, name), _) => {
                    events.push(Event::CallStart { index: self.calls, id, name: name.clone() });
                    self.calls += 1;
                    self.live = (name, String::new());
                }
                (Found::Piece(delta), _) => {
                    self.live.1.push_str(&delta);
                    events.push(Event::CallArguments { index: self.calls - 1, delta });
                }
                (Found::End, _) => {
                    let (name, arguments) = std::mem::take(&mut self.live);
                    events.push(Event::CallEnd { index: self.calls - 1, name, arguments });
                }
            }
        }
        events
    }
}

/// What a machine found: an event before it is numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Text(String),
    Reasoning(String),
    Call(RawCall),
    /// A call begins, before it is whole: its id and its name.
    Begin(Option<String>, String),
    /// More of that call's arguments.
    Piece(String),
    /// That call is whole.
    End,
}

/// What a reader says of the text after a call's opening mark, or after a call.
enum Next {
    /// One or more calls, and where the text goes on.
    Calls(Vec<RawCall>, usize),
    /// Calls without a block around them, and where the text goes on.
    Alone(Vec<RawCall>, usize),
    /// The block of calls is closed; the text goes on there.
    End(usize),
    /// It depends on what comes next.
    More,
    /// There is no call here.
    No,
}

/// What readers know.
struct Context<'a> {
    tools: &'a [Tool],
    /// Nothing comes after this text.
    is_end: bool,
}

impl Context<'_> {
    fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name() == name)
    }

    /// Whether a call without marks is one: only of a tool of the request, if that has tools.
    fn is_known(&self, name: &str) -> bool {
        self.tools.is_empty() || self.tool(name).is_some()
    }

    /// What to say when the text ends before the reader can tell.
    fn more(&self) -> Next {
        if self.is_end { Next::No } else { Next::More }
    }

    /// The same where the text may have ended; elsewhere there is no call.
    fn no_or_more(&self, is_text_end: bool) -> Next {
        if is_text_end { self.more() } else { Next::No }
    }
}
