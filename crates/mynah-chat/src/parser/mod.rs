//! Parsers of what a model writes: text, reasoning and tool calls, told apart while they arrive.
//!
//! What comes out does not depend on how the text was cut into pieces. A call is reported when it is whole and right:
//! anything that only looks like one comes out as text, to the last byte.

mod deepseek;
mod gemma;
mod harmony;
mod json;
mod markup;
mod python;
mod scan;
mod tagged;

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
    /// A call is whole.
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
}

#[derive(Debug)]
enum Machine {
    Tagged(tagged::Tagged),
    Harmony(harmony::Harmony),
}

impl Parser {
    /// A parser for one answer. `tools` are those of the request: their schemas give untyped arguments a type, and their
    /// names tell bare calls from text that looks like one. For a request without tools, or with the choice `none`, give
    /// [`ToolFormat::None`], so that JSON the user asked for stays text; [`ToolFormat::GptOss`] stays as it is, since its
    /// channels carry the reasoning. `thinking` is `None` for models without reasoning.
    pub fn new(format: ToolFormat, tools: &[Tool], thinking: Option<Thinking>) -> Self {
        let machine = match format {
            ToolFormat::GptOss => Machine::Harmony(harmony::Harmony::new(tools)),
            _ => Machine::Tagged(tagged::Tagged::new(format, tools, thinking)),
        };
        Self { machine, calls: 0 }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        let found = match &mut self.machine {
            Machine::Tagged(machine) => machine.push(text),
            Machine::Harmony(machine) => machine.push(text),
        };
        self.events(found)
    }

    /// Ends the answer: what was held back comes out. A call that lacks only its closing mark is one; a call cut off
    /// before is text.
    pub fn finish(&mut self) -> Vec<Event> {
        let found = match &mut self.machine {
            Machine::Tagged(machine) => machine.finish(),
            Machine::Harmony(machine) => machine.finish(),
        };
        self.events(found)
    }

    /// How many calls were found so far; the finish reason is `tool_calls` when there are any.
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
}

/// What a reader says of the text after a call's opening mark, or after a call.
enum Next {
    /// One or more calls, and where the text goes on.
    Calls(Vec<RawCall>, usize),
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
