//! The machine for every format whose calls stand in the text between marks, or bare at its beginning.

use super::live::{self, Begin, Live, Step};
use super::scan::{Scan, partial_suffix, skip_space};
use super::{Context, Found, Next, RawCall, deepseek, gemma, json, loose, markup, python};
use crate::conversation::Tool;
use crate::format::ToolFormat;
use crate::thinking::Thinking;

/// What may begin a call.
#[derive(Clone, Copy, Debug)]
struct Mark {
    text: &'static str,
    /// The mark belongs to the call itself: the reader starts at it, not after it.
    is_part: bool,
    /// Only before any other text of the answer.
    only_first: bool,
    /// Only for requests with tools, outside reasoning: just the name of a tool makes a call of it.
    needs_tools: bool,
}

const fn mark(text: &'static str) -> Mark {
    Mark { text, is_part: false, only_first: false, needs_tools: false }
}

const fn part(text: &'static str) -> Mark {
    Mark { is_part: true, ..mark(text) }
}

const fn first(text: &'static str) -> Mark {
    Mark { only_first: true, ..part(text) }
}

const fn named(text: &'static str) -> Mark {
    Mark { needs_tools: true, ..part(text) }
}

const fn named_first(text: &'static str) -> Mark {
    Mark { needs_tools: true, ..first(text) }
}

/// What may begin a call in a format. The calls of a mark that is left out by the model (Kimi's and DeepSeek's section,
/// Qwen3-Coder's and MiniMax's block) are found by their own marks.
fn marks(format: ToolFormat) -> &'static [Mark] {
    match format {
        ToolFormat::Hermes => {
            &const {
                [
                    mark("<tool_call>"),
                    named_first("{"),
                    named_first("```"),
                    named_first("<tools>"),
                    named_first("<tool>"),
                    named_first("<function="),
                    named_first("<function name="),
                    named_first("<function_call>"),
                    named_first("<response>"),
                    named_first("<json>"),
                    named_first("<JSON>"),
                    named_first("<xml>"),
                ]
            }
        }
        ToolFormat::Qwen3Coder => {
            &const { [mark("<tool_call>"), mark("<seed:tool_call>"), part("<function=")] }
        }
        ToolFormat::Llama3Json => &const { [mark("<|python_tag|>"), part("<function="), part("{")] },
        ToolFormat::Pythonic => {
            &const {
                [
                    mark("<|python_start|>"),
                    mark("<|python_tag|>"),
                    mark("<|tool_call_start|>"),
                    first("["),
                    named("["),
                ]
            }
        }
        ToolFormat::Mistral => &const { [mark("[TOOL_CALLS]")] },
        ToolFormat::MinimaxM2 => &const { [mark("<minimax:tool_call>"), part("<invoke name=")] },
        ToolFormat::Nemotron => &const { [mark("<TOOLCALL>"), mark("<tool_call>")] },
        ToolFormat::Glm4 => &const { [mark("<tool_call>")] },
        ToolFormat::KimiK2 => &const { [mark("<|tool_calls_section_begin|>"), part("<|tool_call_begin|>")] },
        ToolFormat::DeepseekV3 => {
            &const {
                [
                    mark("<｜tool▁calls▁begin｜>"),
                    mark("<｜tool▁calls｜>"),
                    part("<｜tool▁call▁begin｜>"),
                    mark("<｜DSML｜function_calls>"),
                    mark("<｜DSML｜tool_calls>"),
                    part("<｜DSML｜invoke name="),
                ]
            }
        }
        ToolFormat::Gemma => {
            &const {
                [
                    part("<start_function_call>"),
                    part("<|tool_call>"),
                    mark("```tool_code"),
                    mark("```tool_call"),
                    mark("```json"),
                    first("["),
                    first("{"),
                ]
            }
        }
        ToolFormat::GptOss | ToolFormat::Mynah | ToolFormat::None => &[],
    }
}

/// Reads on after a mark, or after a call. `is_first` until the first call of a block was read.
fn next(
    format: ToolFormat,
    text: &str,
    at: usize,
    is_first: bool,
    scan: &mut Scan,
    context: &Context,
) -> Next {
    match format {
        ToolFormat::Hermes if is_first && at == 0 => loose::next(text, at, scan, context),
        ToolFormat::Hermes | ToolFormat::Qwen3Coder | ToolFormat::Nemotron | ToolFormat::Glm4 => {
            let body = skip_space(text, at);
            let close = if format == ToolFormat::Nemotron { "</TOOLCALL>" } else { "</tool_call>" };
            match text.as_bytes().get(body) {
                Some(b'{' | b'[') => json::block(text, body, is_first, close, scan, context),
                Some(b'<') if !is_first && format == ToolFormat::Nemotron => {
                    json::block(text, body, is_first, close, scan, context)
                }
                Some(b'<') => markup::functions(&markup::QWEN, text, body, is_first, scan, context),
                Some(b',' | b';') if !is_first => json::block(text, body + 1, is_first, close, scan, context),
                Some(_) if is_first => markup::glm(text, body, scan, context),
                Some(_) => Next::No,
                None => context.more(),
            }
        }
        ToolFormat::Llama3Json => json::llama(text, at, is_first, scan, context),
        ToolFormat::Pythonic => {
            // LFM2 writes JSON, too.
            if at > 0 && begins_json(text, at) {
                return json::block(text, at, is_first, "<|tool_call_end|>", scan, context);
            }
            python::block(text, at, is_first, &["<|python_end|>", "<|tool_call_end|>"], scan, context)
        }
        ToolFormat::Mistral => json::mistral(text, at, is_first, scan, context),
        ToolFormat::MinimaxM2 => markup::functions(&markup::MINIMAX, text, at, is_first, scan, context),
        ToolFormat::KimiK2 => json::kimi(text, at, is_first, scan, context),
        ToolFormat::DeepseekV3 => deepseek::next(text, at, is_first, scan, context),
        ToolFormat::Gemma => gemma::next(text, at, is_first, scan, context),
        ToolFormat::GptOss | ToolFormat::Mynah | ToolFormat::None => Next::No,
    }
}

/// Whether an object, or a list of objects, is at `at`.
fn begins_json(text: &str, at: usize) -> bool {
    let rest = text[at..].trim_start();
    rest.strip_prefix('[').map_or(rest, str::trim_start).starts_with('{')
}

/// Models open what is open already, but not more often than this.
const OPENS_MAX: usize = 2;
/// Looking this many bytes ahead for a call that is none counts as far.
const FAR_BYTES: usize = 4_096;
/// After so many such failures the rest of the answer is text: an answer made of beginnings of calls would otherwise
/// cost the square of its length.
const FAR_FAILURES_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Among text or reasoning.
    Outside,
    /// The buffer begins with a mark of so many bytes; the reader starts at the second number.
    AtMark(usize, usize),
    /// After a call, in the same block.
    Inside,
    /// In a call that was told of before it was whole.
    Live,
}

#[derive(Debug)]
pub(super) struct Tagged {
    format: ToolFormat,
    tools: Vec<Tool>,
    thinking: Option<Thinking>,
    is_reasoning: bool,
    /// How often the model has opened this reasoning.
    opens: usize,
    /// Nothing but white space has come since the answer, or its last call or reasoning, began.
    is_fresh: bool,
    /// Nothing but white space and reasoning has come at all.
    is_start: bool,
    /// White space that comes next is dropped: it only set marks apart.
    drops_space: bool,
    /// White space that is text only if text follows.
    space: String,
    buffer: String,
    state: State,
    scan: Scan,
    /// GLM-4's calls without marks: each tool's name and what follows it.
    bare_names: Vec<String>,
    /// Marks that were found to begin no call only after reading far.
    failures: usize,
    /// Calls are told of before they are whole.
    is_incremental: bool,
    live: Option<Live>,
}

impl Tagged {
    pub(super) fn new(
        format: ToolFormat,
        tools: &[Tool],
        thinking: Option<Thinking>,
        is_incremental: bool,
    ) -> Self {
        let has_bare_names = format == ToolFormat::Glm4;
        let bare_names =
            tools.iter().filter(|_| has_bare_names).map(|tool| format!("{}\n{{", tool.name())).collect();
        let is_reasoning = thinking.as_ref().is_some_and(|thinking| thinking.is_open);
        Self {
            format,
            tools: tools.to_vec(),
            thinking,
            is_reasoning,
            opens: 0,
            is_fresh: true,
            is_start: true,
            drops_space: is_reasoning,
            space: String::new(),
            buffer: String::new(),
            state: State::Outside,
            scan: Scan::default(),
            bare_names,
            failures: 0,
            is_incremental,
            live: None,
        }
    }

    pub(super) fn push(&mut self, text: &str) -> Vec<Found> {
        self.buffer.push_str(text);
        let mut found = Vec::new();
        self.drain(false, &mut found);
        found
    }

    pub(super) fn finish(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        self.drain(true, &mut found);
        let space = std::mem::take(&mut self.space);
        if !space.is_empty() && !self.is_reasoning {
            found.push(Found::Text(space));
        }
        found
    }

    /// Takes off the buffer whatever is decided.
    fn drain(&mut self, is_end: bool, found: &mut Vec<Found>) {
        // How much of the buffer is done with; it is cut off once, at the end.
        let mut done = 0;
        let buffer = std::mem::take(&mut self.buffer);
        loop {
            let text = &buffer[done..];
            let step = match self.state {
                State::Outside => self.outside(text, is_end, found),
                State::AtMark(..) | State::Inside => self.in_block(text, is_end, found),
                State::Live => self.in_call(text, is_end, found),
            };
            match step {
                Some(0) => {}
                Some(bytes) => {
                    done += bytes;
                    self.scan.clear();
                }
                None => break,
            }
        }
        self.buffer = if done == 0 { buffer } else { buffer[done..].to_string() };
    }

    /// One step outside blocks: up to and over the next mark. `None` when there is nothing to do until more comes.
    fn outside(&mut self, text: &str, is_end: bool, found: &mut Vec<Found>) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        let begins = text.len() - text.trim_start().len();
        let mut wanted: Vec<(&str, Hit, bool)> = Vec::new();
        if self.failures < FAR_FAILURES_MAX {
            for (number, mark) in marks(self.format).iter().enumerate() {
                let is_place = !mark.only_first || (self.is_start && !self.is_reasoning);
                if is_place && (!mark.needs_tools || (!self.tools.is_empty() && !self.is_reasoning)) {
                    wanted.push((mark.text, Hit::Call(number, mark.text.len()), mark.only_first));
                }
            }
            if self.is_fresh && !self.is_reasoning {
                wanted.extend(
                    self.bare_names
                        .iter()
                        .map(|name| (name.as_str(), Hit::Call(usize::MAX, name.len()), true)),
                );
            }
        }
        if let Some(thinking) = &self.thinking {
            if self.is_reasoning {
                wanted.push((&thinking.close, Hit::Close(thinking.close.len()), false));
            }
            // Text that speaks of the mark in its middle does not begin reasoning.
            if self.is_fresh && self.opens < OPENS_MAX {
                wanted.push((&thinking.open, Hit::Open(thinking.open.len()), true));
            }
        }
        let bytes = text.as_bytes();
        let at_place = |at: usize| {
            let is_here = |(mark, _, only_at_start): &&(&str, Hit, bool)| {
                bytes[at..].starts_with(mark.as_bytes()) && (!only_at_start || at == begins)
            };
            wanted.iter().find(is_here).map(|(_, hit, _)| (at, *hit))
        };
        let best = (0..bytes.len()).find_map(at_place);
        let held = |(mark, _, only_at_start): &(&str, Hit, bool)| {
            let partial = partial_suffix(text, mark);
            if !only_at_start || text.len() - partial <= begins { partial } else { 0 }
        };
        match best {
            Some((0, Hit::Call(number, length))) => {
                let is_part = marks(self.format).get(number).is_none_or(|mark| mark.is_part);
                self.state = State::AtMark(length, if is_part { 0 } else { length });
                Some(0)
            }
            Some((0, hit @ (Hit::Open(_) | Hit::Close(_)))) => {
                self.is_reasoning = matches!(hit, Hit::Open(_));
                self.opens = if self.is_reasoning { self.opens + 1 } else { 0 };
                self.drops_space = true;
                self.is_fresh = true;
                self.space.clear();
                Some(hit.len())
            }
            Some((at, _)) => {
                self.say(&text[..at], found);
                Some(at)
            }
            None => {
                let sure =
                    if is_end { text.len() } else { text.len() - wanted.iter().map(held).max().unwrap_or(0) };
                self.say(&text[..sure], found);
                (sure > 0).then_some(sure)
            }
        }
    }

    /// One step at a mark or after a call.
    fn in_block(&mut self, text: &str, is_end: bool, found: &mut Vec<Found>) -> Option<usize> {
        let (length, at, is_first) = match self.state {
            State::AtMark(length, at) => (length, at, true),
            State::Inside | State::Outside | State::Live => (0, 0, false),
        };
        let context = Context { tools: &self.tools, is_end };
        let is_loose = self.format == ToolFormat::Hermes && is_first && at == 0;
        if self.is_incremental && !is_loose {
            match live::begin(self.format, text, at, is_first, &context) {
                Begin::Call(id, name, live, end) => {
                    self.before_call(found);
                    found.push(Found::Begin(id, name));
                    self.live = Some(*live);
                    self.state = State::Live;
                    self.after_call();
                    return Some(end);
                }
                Begin::More if !is_end => return None,
                Begin::More | Begin::No => {}
            }
        }
        match next(self.format, text, at, is_first, &mut self.scan, &context) {
            Next::More if !is_end => None,
            Next::Calls(calls, end) => {
                self.before_call(found);
                found.extend(
                    calls.into_iter().filter(|call: &RawCall| !call.name.is_empty()).map(Found::Call),
                );
                self.state = State::Inside;
                self.after_call();
                Some(end)
            }
            Next::Alone(calls, end) => {
                found.extend(calls.into_iter().map(Found::Call));
                self.state = State::Outside;
                self.after_call();
                // Another one may follow.
                self.is_start = true;
                Some(end)
            }
            Next::End(end) => {
                self.state = State::Outside;
                self.after_call();
                if end == 0 { self.outside(text, is_end, found) } else { Some(end) }
            }
            Next::More | Next::No => {
                self.state = State::Outside;
                if is_first {
                    self.failures += usize::from(self.scan.looked_at(is_end) > FAR_BYTES);
                    self.say(&text[..length], found);
                    return Some(length);
                }
                self.outside(text, is_end, found)
            }
        }
    }

    /// One step in a call that was told of already, or between such calls of a list.
    fn in_call(&mut self, text: &str, is_end: bool, found: &mut Vec<Found>) -> Option<usize> {
        let context = Context { tools: &self.tools, is_end };
        let live = self.live.as_mut()?;
        match live.step(text, &mut self.scan, &context, found) {
            Step::On(bytes) => Some(bytes),
            Step::Over(bytes) => {
                self.state = State::Inside;
                Some(bytes)
            }
            Step::Broken(bytes) => {
                self.state = State::Outside;
                Some(bytes)
            }
            Step::Wait => None,
        }
    }

    /// Line breaks set a call apart from the text before it; blanks alone may belong to the text.
    fn before_call(&mut self, found: &mut Vec<Found>) {
        let is_text = !self.is_fresh && !self.is_reasoning && !self.space.contains('\n');
        if is_text && !self.space.is_empty() {
            found.push(Found::Text(std::mem::take(&mut self.space)));
        }
    }

    fn after_call(&mut self) {
        self.drops_space = true;
        self.is_fresh = true;
        self.is_start = false;
        self.space.clear();
    }

    /// Passes on text or reasoning, holding back white space that may turn out to stand before a mark.
    fn say(&mut self, text: &str, found: &mut Vec<Found>) {
        let text = if self.drops_space { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        self.drops_space = false;
        let words = text.trim_end();
        if words.is_empty() {
            self.space.push_str(text);
            return;
        }
        let mut said = std::mem::take(&mut self.space);
        said.push_str(words);
        self.space.push_str(&text[words.len()..]);
        self.is_fresh = false;
        if self.is_reasoning {
            found.push(Found::Reasoning(said));
        } else {
            self.is_start = false;
            found.push(Found::Text(said));
        }
    }
}

/// A mark found outside blocks, with its length.
#[derive(Clone, Copy, Debug)]
enum Hit {
    Call(usize, usize),
    Open(usize),
    Close(usize),
}

impl Hit {
    fn len(self) -> usize {
        match self {
            Hit::Call(_, length) | Hit::Open(length) | Hit::Close(length) => length,
        }
    }
}
