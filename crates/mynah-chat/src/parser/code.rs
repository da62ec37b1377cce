//! Calls of the models that this product trains: code for the tool `python` between two marks, anywhere in the answer.
//!
//! The text around the marks is kept to the last space: what the model wrote is what it reads when it goes on.

use super::scan::partial_suffix;
use super::{Found, RawCall};
use crate::conversation::Tool;

const BEGIN: &str = "<|python_start|>";
/// What ends a call.
pub(crate) const END: &str = "<|python_end|>";
/// The one tool that these models have learned.
pub(crate) const TOOL: &str = "python";

#[derive(Debug)]
pub(super) struct Code {
    /// What the tool calls its code.
    argument: String,
    buffer: String,
    /// The buffer begins with code.
    in_call: bool,
    /// No end of the code begins before this byte of the buffer.
    searched: usize,
}

/// The name of the argument that takes the code: the tool's only one, or else `code`.
fn argument(tools: &[Tool]) -> String {
    let parameters = tools.iter().find(|tool| tool.name() == TOOL).map(Tool::parameters).unwrap_or_default();
    let mut names = parameters["properties"].as_object().into_iter().flat_map(|properties| properties.keys());
    match (names.next(), names.next()) {
        (Some(only), None) => only.clone(),
        _ => "code".to_string(),
    }
}

impl Code {
    pub(super) fn new(tools: &[Tool]) -> Self {
        Self { argument: argument(tools), buffer: String::new(), in_call: false, searched: 0 }
    }

    pub(super) fn push(&mut self, text: &str) -> Vec<Found> {
        self.buffer.push_str(text);
        let mut found = Vec::new();
        loop {
            let mark = if self.in_call { END } else { BEGIN };
            let Some(at) = self.buffer[self.searched..].find(mark).map(|at| self.searched + at) else {
                break;
            };
            let before = self.buffer[..at].to_string();
            self.buffer.drain(..at + mark.len());
            self.searched = 0;
            match self.in_call {
                true => found.push(Found::Call(self.call(&before))),
                false if !before.is_empty() => found.push(Found::Text(before)),
                false => {}
            }
            self.in_call = !self.in_call;
        }
        let mark = if self.in_call { END } else { BEGIN };
        let sure = self.buffer.len() - partial_suffix(&self.buffer, mark);
        match self.in_call {
            true => self.searched = sure,
            false if sure > 0 => found.push(Found::Text(self.buffer.drain(..sure).collect())),
            false => {}
        }
        found
    }

    /// A call without its end is text.
    pub(super) fn finish(&mut self) -> Vec<Found> {
        let rest = std::mem::take(&mut self.buffer);
        let rest = if std::mem::take(&mut self.in_call) { format!("{BEGIN}{rest}") } else { rest };
        self.searched = 0;
        if rest.is_empty() { Vec::new() } else { vec![Found::Text(rest)] }
    }

    fn call(&self, code: &str) -> RawCall {
        let mut arguments = serde_json::Map::new();
        arguments.insert(self.argument.clone(), code.into());
        RawCall {
            id: None,
            name: TOOL.to_string(),
            arguments: serde_json::Value::Object(arguments).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Parser};
    use crate::conversation::Tool;
    use crate::format::ToolFormat;
    use serde_json::json;

    const ANSWER: &str =
        "It is  <|python_start|>12 < 7<|pyth<|python_end|> \n so.<|python_start|><|python_end|><|py";

    fn read(tools: &[Tool], pieces: impl Iterator<Item = String>) -> String {
        let mut parser = Parser::new(ToolFormat::Mynah, tools, None);
        let mut events: Vec<Event> = pieces.flat_map(|piece| parser.push(&piece)).collect();
        events.extend(parser.finish());
        let shown = events.iter().map(|event| match event {
            Event::Text(text) => text.clone(),
            Event::CallEnd { name, arguments, .. } => format!("[{name} {arguments}]"),
            _ => String::new(),
        });
        shown.collect()
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let expected = "It is  [python {\"code\":\"12 < 7<|pyth\"}] \n so.[python {\"code\":\"\"}]<|py";
        assert_eq!(read(&[], [ANSWER.to_string()].into_iter()), expected);
        assert_eq!(read(&[], ANSWER.chars().map(String::from)), expected);
    }

    #[test]
    fn a_call_without_its_end_is_text() {
        let cut = "It is <|python_start|>12*";
        assert_eq!(read(&[], [cut.to_string()].into_iter()), cut);
    }

    #[test]
    fn the_argument_has_the_name_that_the_tool_gives_it() {
        let parameters = json!({"type": "object", "properties": {"expression": {"type": "string"}}});
        let tools = [Tool::function("python", None, parameters)];
        let call = "<|python_start|>1<|python_end|>".to_string();
        assert_eq!(read(&tools, [call].into_iter()), "[python {\"expression\":\"1\"}]");
    }
}
