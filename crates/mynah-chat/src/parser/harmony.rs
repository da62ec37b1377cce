//! GPT-OSS's harmony format: messages with a header that names channel and recipient.
//!
//! ```text
//! <|channel|>analysis<|message|>thoughts<|end|>
//! <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{…}<|call|>
//! <|start|>assistant<|channel|>final<|message|>text<|return|>
//! ```

use super::json::{is_object, some_name};
use super::progress::{Progress, Reached};
use super::scan::partial_suffix;
use super::{Found, RawCall};
use crate::conversation::Tool;

/// What ends a message's body.
const BODY_ENDS: [&str; 5] = ["<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"];
/// Words that stand between a call and the next header.
const FILLERS: [&str; 3] = ["commentary", "analysis", "assistant"];
/// A header that grows longer is text.
const HEADER_BYTES_MAX: usize = 1_024;

#[derive(Debug)]
enum State {
    /// Between messages, or before the first.
    Between,
    /// In a header, whose text begins with the buffer.
    Header,
    /// In a body of the kind.
    Body(Kind),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    /// A call of this function; the second is its header, for the case that it is none.
    Call(String, String),
    /// After the arguments of a call that was told of already.
    CallRest,
}

#[derive(Debug)]
pub(super) struct Harmony {
    tools: Vec<String>,
    state: State,
    buffer: String,
    is_first: bool,
    /// Bytes of the buffer in which no end of the body begins.
    searched: usize,
    /// Calls are told of before they are whole.
    is_incremental: bool,
    /// How far the arguments of such a call were read.
    live: Option<Progress>,
}

impl Harmony {
    pub(super) fn new(tools: &[Tool], is_incremental: bool) -> Self {
        let tools = tools.iter().map(|tool| tool.name().to_string()).collect();
        Self {
            tools,
            state: State::Between,
            buffer: String::new(),
            is_first: true,
            searched: 0,
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
        found
    }

    fn drain(&mut self, is_end: bool, found: &mut Vec<Found>) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut done = 0;
        while let Some(bytes) = self.step(&buffer[done..], is_end, found) {
            if bytes > 0 {
                self.searched = 0;
            }
            done += bytes;
        }
        self.buffer = if done == 0 { buffer } else { buffer[done..].to_string() };
    }

    /// One step; `None` when there is nothing to do until more comes.
    fn step(&mut self, text: &str, is_end: bool, found: &mut Vec<Found>) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        match &self.state {
            State::Between => self.between(text, is_end),
            State::Header => self.header(text, is_end),
            State::Body(kind) => {
                let kind = kind.clone();
                self.body(text, &kind, is_end, found)
            }
        }
    }

    /// Before a message. The prompt ends with `<|start|>assistant`, so the first message begins with the rest of its
    /// header. A model that was made to answer without one writes plain text.
    fn between(&mut self, text: &str, is_end: bool) -> Option<usize> {
        let space = text.len() - text.trim_start().len();
        let rest = &text[space..];
        if rest.is_empty() {
            return if is_end && self.is_first { self.enter(State::Body(Kind::Text), 0) } else { None };
        }
        let begins: &[&str] = if self.is_first {
            &["<|channel|>", "<|start|>", "<|message|>", "to="]
        } else {
            &["<|channel|>", "<|start|>"]
        };
        if begins.iter().any(|mark| rest.starts_with(mark)) {
            return self.enter(State::Header, space);
        }
        for end in ["<|end|>", "<|call|>", "<|return|>"] {
            if !self.is_first && rest.starts_with(end) {
                return Some(space + end.len());
            }
        }
        // After a call the model may write the next channel's name before that channel's mark.
        if !self.is_first
            && let Some(after) = FILLERS.iter().find_map(|word| rest.strip_prefix(word))
        {
            let next = after.trim_start();
            if begins.iter().any(|mark| next.starts_with(mark)) {
                return Some(text.len() - next.len());
            }
            if !is_end && begins.iter().any(|mark| mark.starts_with(next)) {
                return None;
            }
        }
        if !is_end && !self.is_first && FILLERS.iter().any(|word| word.starts_with(rest)) {
            return None;
        }
        let is_possible = begins.iter().chain(&BODY_ENDS).any(|mark| mark.starts_with(rest));
        if is_possible && !is_end { None } else { self.enter(State::Body(Kind::Text), 0) }
    }

    fn enter(&mut self, state: State, bytes: usize) -> Option<usize> {
        self.state = state;
        self.is_first = false;
        Some(bytes)
    }

    fn header(&mut self, text: &str, is_end: bool) -> Option<usize> {
        const MESSAGE: &str = "<|message|>";
        let near = text.floor_char_boundary(HEADER_BYTES_MAX + MESSAGE.len());
        match text[..near].find(MESSAGE) {
            Some(at) => {
                let header = &text[..at];
                let kind = self.kind(header, &text[..at + MESSAGE.len()]);
                self.enter(State::Body(kind), at + MESSAGE.len())
            }
            None if !is_end && text.len() <= HEADER_BYTES_MAX + MESSAGE.len() => None,
            // Not a header after all, or one cut off: nothing of it is lost, and its marks do not begin another one.
            _ => {
                let mark = text.find("|>").map_or(text.len(), |at| at + 2);
                self.state = State::Body(Kind::Text);
                self.searched = mark;
                Some(0)
            }
        }
    }

    /// What a message is, by its header.
    fn kind(&self, header: &str, whole: &str) -> Kind {
        let after_channel = header.rsplit("<|channel|>").next().unwrap_or_default();
        let channel = if header.contains("<|channel|>") {
            after_channel
                .split(|c: char| c.is_whitespace() || c == '<')
                .find(|word| !word.is_empty())
                .unwrap_or_default()
        } else {
            ""
        };
        let recipient = header
            .split("to=")
            .nth(1)
            .map(|rest| rest.split(|c: char| c.is_whitespace() || c == '<').next().unwrap_or_default());
        if let Some(recipient) = recipient {
            let name = recipient.strip_prefix("functions.");
            let is_tool = |name: &str| self.tools.iter().any(|tool| tool == name);
            let name = name.or_else(|| Some(recipient).filter(|name| is_tool(name)));
            if let Some(name) = name.and_then(some_name) {
                return Kind::Call(name, whole.to_string());
            }
        }
        if channel == "analysis" { Kind::Reasoning } else { Kind::Text }
    }

    fn body(&mut self, text: &str, kind: &Kind, is_end: bool, found: &mut Vec<Found>) -> Option<usize> {
        let from = text.floor_char_boundary(self.searched.min(text.len()));
        let end = body_end(text, from);
        if let Kind::Call(name, _) = kind
            && self.is_incremental
        {
            let brace = text.len() - text.trim_start().len();
            if self.live.is_none() && text[brace..].starts_with('{') {
                found.push(Found::Begin(None, name.clone()));
                self.live = Some(Progress::new());
                return Some(brace);
            }
            if self.live.is_some() {
                return self.arguments(text, end, is_end, found);
            }
        }
        if let Kind::Call(name, header) = kind {
            let Some((at, length)) = end.or_else(|| is_end.then_some((text.len(), 0))) else {
                self.searched = text.len().saturating_sub("<|channel|>".len());
                return None;
            };
            let body = text[..at].trim();
            if is_object(body) || body.is_empty() {
                let arguments = if body.is_empty() { "{}" } else { body };
                found.push(Found::Call(RawCall {
                    id: None,
                    name: name.clone(),
                    arguments: arguments.to_string(),
                }));
            } else {
                found.push(Found::Text(format!("{header}{}", &text[..at])));
            }
            self.state = State::Between;
            return Some(at + consumed(text, at, length));
        }
        if *kind == Kind::CallRest {
            let space = text.len() - text.trim_start().len();
            let rest = &text[space..];
            let is_mark = end.is_some_and(|(at, _)| at == space);
            if !is_mark && !is_end && BODY_ENDS.iter().any(|mark| mark.starts_with(rest)) {
                return None;
            }
            self.state = if is_mark { State::Between } else { State::Body(Kind::Text) };
            return Some(
                space + end.filter(|_| is_mark).map_or(0, |(at, length)| consumed(text, at, length)),
            );
        }
        let said = |text: &str| match kind {
            Kind::Reasoning => Found::Reasoning(text.to_string()),
            _ => Found::Text(text.to_string()),
        };
        match end {
            Some((at, length)) => {
                if at > 0 {
                    found.push(said(&text[..at]));
                }
                self.state = State::Between;
                Some(at + consumed(text, at, length))
            }
            None => {
                let held = if is_end {
                    0
                } else {
                    BODY_ENDS.iter().map(|mark| partial_suffix(text, mark)).max().unwrap_or(0)
                };
                let sure = (text.len() - held).max(from.min(text.len()));
                let sure = text.floor_char_boundary(sure);
                if sure == 0 {
                    return None;
                }
                found.push(said(&text[..sure]));
                Some(sure)
            }
        }
    }

    /// More of the arguments of a call that was told of: what continues a JSON object is passed on.
    fn arguments(
        &mut self,
        text: &str,
        end: Option<(usize, usize)>,
        is_end: bool,
        found: &mut Vec<Found>,
    ) -> Option<usize> {
        let held = || BODY_ENDS.iter().map(|mark| partial_suffix(text, mark)).max().unwrap_or(0);
        let sure = match end {
            Some((at, _)) => at,
            None if is_end => text.len(),
            None => text.len() - held(),
        };
        let reached = self.live.as_mut()?.read(&text[..sure]);
        let bytes = match reached {
            Reached::End => sure,
            Reached::Whole(bytes) | Reached::Broken(bytes) => bytes,
        };
        if bytes > 0 {
            found.push(Found::Piece(text[..bytes].to_string()));
        }
        match reached {
            Reached::End if end.is_none() => return (bytes > 0).then_some(bytes),
            Reached::Whole(_) => {
                found.push(Found::End);
                self.state = State::Body(Kind::CallRest);
            }
            // Cut off by a mark, or not JSON: the rest is text.
            Reached::End | Reached::Broken(_) => self.state = State::Body(Kind::Text),
        }
        self.live = None;
        Some(bytes)
    }
}

/// The first mark from `from` that ends a body, and its length.
fn body_end(text: &str, from: usize) -> Option<(usize, usize)> {
    let ending =
        |at: usize| BODY_ENDS.iter().find(|mark| text[at..].starts_with(**mark)).map(|mark| (at, mark.len()));
    text[from..].match_indices("<|").find_map(|(at, _)| ending(from + at))
}

/// How much of an ending mark is done with: one that begins the next header is left for it.
fn consumed(text: &str, at: usize, length: usize) -> usize {
    let begins_header = text[at..].starts_with("<|start|>") || text[at..].starts_with("<|channel|>");
    if begins_header { 0 } else { length }
}
