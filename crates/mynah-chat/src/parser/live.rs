//! Calls reported while they arrive, for [`Parser::incremental`](super::Parser::incremental): where one is certain, and
//! how the marks around its arguments go on.

use super::progress::{Progress, Reached};
use super::scan::{Literal, Quotes, Scan, ValueEnd, literal, skip_space};
use super::{Context, Found, RawCall, json};
use crate::fixes;
use crate::format::ToolFormat;

/// What stands before a call's arguments is no longer than this.
const HEAD_BYTES_MAX: usize = 1_024;

/// What the text after a mark, or after a call, begins with.
pub(super) enum Begin {
    /// A call: its id, its name, and its arguments' opening brace at this byte.
    Call(Option<String>, String, Box<Live>, usize),
    /// A call may begin there; it depends on what comes next.
    More,
    /// Nothing that can be reported before it is whole.
    No,
}

/// A call whose arguments are arriving, and the rest of its block.
#[derive(Clone, Debug)]
pub(super) struct Live {
    phase: Phase,
    shell: Shell,
}

#[derive(Clone, Debug)]
enum Phase {
    Arguments(Progress),
    /// In the object around the arguments.
    Member(Progress),
    /// After the arguments or the object around them.
    After,
    /// In a list, before the next call.
    Item,
}

/// What stands around the arguments.
#[derive(Clone, Copy, Debug)]
struct Shell {
    /// They are a member of the call's object.
    is_member: bool,
    /// The object stands in a list.
    is_list: bool,
    /// Marks that may follow, in this order.
    ends: &'static [&'static str],
    /// The mark that closes the block; one brace too many before it is dropped.
    close: Option<&'static str>,
}

/// What one step came to.
pub(super) enum Step {
    /// So many bytes are done with, and the call goes on.
    On(usize),
    /// So many bytes are done with, and the call is over; the block may go on.
    Over(usize),
    /// So many bytes are done with; the rest is not of a call.
    Broken(usize),
    /// There is nothing to do until more comes.
    Wait,
}

/// Looks for a call at `at`, after a mark (`is_first`) or after a call.
pub(super) fn begin(format: ToolFormat, text: &str, at: usize, is_first: bool, context: &Context) -> Begin {
    let object = Shell { is_member: true, is_list: false, ends: &[], close: None };
    match format {
        ToolFormat::Hermes | ToolFormat::Qwen3Coder | ToolFormat::Nemotron | ToolFormat::Glm4 => {
            let close = if format == ToolFormat::Nemotron { "</TOOLCALL>" } else { "</tool_call>" };
            let mut at = skip_space(text, at);
            if !is_first && matches!(text.as_bytes().get(at), Some(b',' | b';')) {
                at = skip_space(text, at + 1);
            }
            list_or_object(text, at, Shell { close: Some(close), ..object }, context)
        }
        ToolFormat::Mistral if is_first => {
            let at = skip_space(text, at);
            match text.as_bytes().get(at) {
                Some(b'[' | b'{') | None => list_or_object(text, at, object, context),
                Some(_) => mistral_name(text, at, context),
            }
        }
        ToolFormat::Llama3Json => {
            let mut at = skip_space(text, at);
            if !is_first {
                match text.as_bytes().get(at) {
                    Some(b';' | b',') => at = skip_space(text, at + 1),
                    None => return Begin::More,
                    Some(_) => return Begin::No,
                }
            }
            // Without marks only the name of a tool makes JSON a call.
            match object_head(text, at, object, context) {
                Begin::Call(_, name, ..) if context.tool(&name).is_none() => Begin::No,
                begin => begin,
            }
        }
        ToolFormat::KimiK2 => kimi(text, at, context),
        ToolFormat::DeepseekV3 => deepseek(text, at, context),
        _ => Begin::No,
    }
}

fn list_or_object(text: &str, at: usize, shell: Shell, context: &Context) -> Begin {
    match text.as_bytes().get(at) {
        Some(b'[') => object_head(text, skip_space(text, at + 1), Shell { is_list: true, ..shell }, context),
        _ => object_head(text, at, shell, context),
    }
}

/// `{"name": "NAME", "arguments": {`, perhaps with `type` and `id` before; any other order is read whole.
fn object_head(text: &str, at: usize, shell: Shell, context: &Context) -> Begin {
    let start = at;
    let mut head = Head { text, at, start };
    let (mut id, mut name) = (None, None);
    let read = (|| {
        head.byte(b'{')?;
        loop {
            let key = head.text()?;
            head.byte(b':')?;
            match key.as_str() {
                "name" if name.is_none() => name = Some(head.text()?),
                "id" if id.is_none() => id = Some(head.text()?),
                "type" => drop(head.text()?),
                "arguments" | "parameters" | "args" if name.is_some() => {
                    head.peek(b'{')?;
                    return Ok(());
                }
                _ => return Err(Begin::No),
            }
            head.byte(b',')?;
        }
    })();
    match (read, name) {
        (Err(begin), _) => begin,
        (Ok(()), Some(name)) => call(id, &name, shell, head.at, context),
        (Ok(()), None) => Begin::No,
    }
}

/// A call, if its name is one: of the request's tools where it has some.
fn call(id: Option<String>, name: &str, shell: Shell, at: usize, context: &Context) -> Begin {
    match json::some_name(name) {
        Some(name) if context.is_known(&name) && !name.bytes().all(|byte| byte.is_ascii_digit()) => {
            let live = Live { phase: Phase::Arguments(Progress::new()), shell };
            Begin::Call(id, name, Box::new(live), at)
        }
        _ => Begin::No,
    }
}

/// Reads the beginning of an object, up to its arguments.
struct Head<'a> {
    text: &'a str,
    at: usize,
    start: usize,
}

impl Head<'_> {
    fn more(&self) -> Begin {
        if self.text.len() - self.start > HEAD_BYTES_MAX { Begin::No } else { Begin::More }
    }

    fn peek(&mut self, wanted: u8) -> Result<(), Begin> {
        self.at = skip_space(self.text, self.at);
        match self.text.as_bytes().get(self.at) {
            // So that it does not matter how much of the text is there already.
            Some(_) if self.at - self.start >= HEAD_BYTES_MAX => Err(Begin::No),
            Some(&byte) if byte == wanted => Ok(()),
            Some(_) => Err(Begin::No),
            None => Err(self.more()),
        }
    }

    fn byte(&mut self, wanted: u8) -> Result<(), Begin> {
        self.peek(wanted)?;
        self.at += 1;
        Ok(())
    }

    /// A text between quotes.
    fn text(&mut self) -> Result<String, Begin> {
        self.peek(b'"')?;
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match bytes.get(end) {
                Some(b'\\') => end += 2,
                Some(b'"') => break,
                Some(_) => end += 1,
                None => return Err(self.more()),
            }
        }
        let text = serde_json::from_str(&self.text[self.at..=end]).map_err(|_| Begin::No)?;
        self.at = end + 1;
        Ok(text)
    }
}

/// `NAME[ARGS]{`, perhaps with `[CALL_ID]` between, or without any mark.
fn mistral_name(text: &str, at: usize, context: &Context) -> Begin {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let word = |at: usize| at + text.as_bytes()[at..].iter().take_while(|byte| is_name(byte)).count();
    let end = word(at);
    let name = &text[at..end];
    let (mut at, mut id) = (end, None);
    for (mark, is_id) in [("[CALL_ID]", true), ("[ARGS]", false)] {
        match literal(text, at, mark) {
            Literal::Yes(start) if is_id => {
                at = word(start);
                id = Some(text[start..at].to_string());
            }
            Literal::Yes(start) => at = start,
            Literal::Maybe => return Begin::More,
            Literal::No => {}
        }
    }
    let shell = Shell { is_member: false, is_list: false, ends: &[], close: None };
    let brace = skip_space(text, at);
    match text.as_bytes().get(brace) {
        None => Begin::More,
        Some(b'{') => call(id, name, shell, brace, context),
        Some(_) => Begin::No,
    }
}

fn kimi(text: &str, at: usize, context: &Context) -> Begin {
    const ARGUMENTS: &str = "<|tool_call_argument_begin|>";
    let at = skip_space(text, at);
    let start = match literal(text, at, "<|tool_call_begin|>") {
        Literal::Yes(start) => start,
        Literal::Maybe => return Begin::More,
        Literal::No => return Begin::No,
    };
    let near = text.floor_char_boundary(start + HEAD_BYTES_MAX);
    let Some(length) = text[start..near].find(ARGUMENTS) else {
        return if near < text.len() { Begin::No } else { Begin::More };
    };
    let id = text[start..start + length].trim();
    let shell = Shell { is_member: false, is_list: false, ends: &["<|tool_call_end|>"], close: None };
    let brace = skip_space(text, start + length + ARGUMENTS.len());
    match text.as_bytes().get(brace) {
        None => Begin::More,
        Some(b'{') => call(Some(id.to_string()), fixes::kimi_name(id), shell, brace, context),
        Some(_) => Begin::No,
    }
}

fn deepseek(text: &str, at: usize, context: &Context) -> Begin {
    const SEPARATOR: &str = "<｜tool▁sep｜>";
    const END: &str = "<｜tool▁call▁end｜>";
    let at = skip_space(text, at);
    let start = match literal(text, at, "<｜tool▁call▁begin｜>") {
        Literal::Yes(start) => start,
        Literal::Maybe => return Begin::More,
        Literal::No => return Begin::No,
    };
    let near = text.floor_char_boundary(start + HEAD_BYTES_MAX);
    let more = if near < text.len() { Begin::No } else { Begin::More };
    let Some(length) = text[start..near].find(SEPARATOR) else { return more };
    let (head, after) = (text[start..start + length].trim(), start + length + SEPARATOR.len());
    let brace = skip_space(text, after);
    match text.as_bytes().get(brace) {
        None => return Begin::More,
        // V3.1: the arguments follow.
        Some(b'{') => {
            let shell = Shell { is_member: false, is_list: false, ends: &[END], close: None };
            return call(None, head, shell, brace, context);
        }
        Some(_) => {}
    }
    // V3: the name, a line break and a code fence.
    if head != "function" {
        return Begin::No;
    }
    let Some(length) = text[after..near.max(after)].find(['\n', '{', '<']) else { return more };
    let name = &text[after..after + length];
    let mut at = skip_space(text, after + length);
    for fence in ["```json", "```"] {
        match literal(text, at, fence) {
            Literal::Yes(end) => {
                at = skip_space(text, end);
                break;
            }
            Literal::Maybe => return Begin::More,
            Literal::No => {}
        }
    }
    let shell = Shell { is_member: false, is_list: false, ends: &["```", END], close: None };
    match text.as_bytes().get(at) {
        None => Begin::More,
        Some(b'{') => call(None, name, shell, at, context),
        Some(_) => Begin::No,
    }
}

impl Live {
    /// Reads on at the beginning of `text`.
    pub(super) fn step(
        &mut self,
        text: &str,
        scan: &mut Scan,
        context: &Context,
        found: &mut Vec<Found>,
    ) -> Step {
        match &mut self.phase {
            Phase::Arguments(progress) => {
                let reached = progress.read(text);
                let (Reached::Whole(bytes) | Reached::Broken(bytes)) = reached else {
                    return if text.is_empty() { Step::Wait } else { piece(text, text.len(), found) };
                };
                piece(text, bytes, found);
                if reached == Reached::Broken(bytes) {
                    return Step::Broken(bytes);
                }
                found.push(Found::End);
                self.phase =
                    if self.shell.is_member { Phase::Member(Progress::after_member()) } else { Phase::After };
                Step::On(bytes)
            }
            Phase::Member(progress) => match progress.read(text) {
                Reached::End if text.is_empty() => Step::Wait,
                Reached::End => Step::On(text.len()),
                Reached::Whole(bytes) => {
                    self.phase = if self.shell.is_list { Phase::Item } else { Phase::After };
                    Step::On(bytes)
                }
                // The call is told already; its last brace is missing.
                Reached::Broken(bytes) => Step::Over(bytes),
            },
            Phase::After => after(self.shell, text, context),
            Phase::Item => self.item(text, scan, context, found),
        }
    }

    /// After a call in a list: the next one, or the list's end.
    fn item(&mut self, text: &str, scan: &mut Scan, context: &Context, found: &mut Vec<Found>) -> Step {
        let wait = |bytes| if context.is_end { Step::Broken(bytes) } else { Step::Wait };
        let comma = skip_space(text, 0);
        match text.as_bytes().get(comma) {
            None => return wait(0),
            Some(b']') => {
                self.phase = Phase::After;
                return Step::On(comma + 1);
            }
            Some(b',') => {}
            Some(_) => return Step::Broken(0),
        }
        let brace = skip_space(text, comma + 1);
        match object_head(text, brace, self.shell, context) {
            Begin::Call(id, name, live, at) => {
                found.push(Found::Begin(id, name));
                *self = *live;
                Step::On(at)
            }
            Begin::More => wait(0),
            Begin::No => match scan.value_end(text, brace, Quotes::Double) {
                ValueEnd::Open => wait(0),
                ValueEnd::At(end) => match json::call(&text[brace..end]) {
                    Some(call) => {
                        found.push(Found::Call(call));
                        Step::On(end)
                    }
                    None => Step::Broken(0),
                },
                ValueEnd::Broken(_) => Step::Broken(0),
            },
        }
    }
}

fn piece(text: &str, bytes: usize, found: &mut Vec<Found>) -> Step {
    if bytes > 0 {
        found.push(Found::Piece(text[..bytes].to_string()));
    }
    Step::On(bytes)
}

/// The marks after a call.
fn after(shell: Shell, text: &str, context: &Context) -> Step {
    let mut at = 0;
    for mark in shell.ends {
        match literal(text, skip_space(text, at), mark) {
            Literal::Yes(end) => at = end,
            Literal::Maybe if !context.is_end => return Step::Wait,
            _ => {}
        }
    }
    let Some(close) = shell.close else { return Step::Over(at) };
    match json::after_value(text, Vec::<RawCall>::new(), at, close, context) {
        super::Next::Calls(_, end) => Step::Over(end),
        _ if context.is_end => Step::Over(at),
        _ => Step::Wait,
    }
}
