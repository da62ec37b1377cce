//! A conversation with a model: its messages, and one more answer.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use mynah_engine::{Finish, Limits, Part, Piece, Request, SamplingOptions};
use mynah_tokenizer::chat::{self, Content, Conversation, Message, Part as Stored, Role};
use mynah_tokenizer::{Special, Tokenizer};

use super::finish_name;
use crate::failure::{Failure, Result};
use crate::model::Voice;

/// The largest saved conversation that is read back.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What the model said to one message.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The words, without tool calls.
    pub text: String,
    /// What the tool was asked and what it said, in order.
    pub tool_calls: Vec<(String, String)>,
    pub tokens: usize,
    pub finish: Finish,
}

impl Answer {
    /// One line for other programs.
    pub fn json(&self) -> String {
        let calls =
            self.tool_calls.iter().map(|(call, output)| serde_json::json!({"call": call, "output": output}));
        serde_json::json!({
            "answer": self.text,
            "tool_calls": calls.collect::<Vec<_>>(),
            "tokens": self.tokens,
            "finish": finish_name(&self.finish),
        })
        .to_string()
    }
}

/// A conversation in progress.
pub struct Talk<'a> {
    voice: &'a Voice<'a>,
    tokenizer: &'a Tokenizer,
    system: Option<String>,
    messages: Vec<Message>,
    pub options: SamplingOptions,
    pub tokens_max: usize,
    pub stops: Vec<String>,
    /// Answers so far, so that each draws from a random stream of its own.
    asked: u64,
}

impl<'a> Talk<'a> {
    pub fn new(voice: &'a Voice<'a>, tokenizer: &'a Tokenizer, options: SamplingOptions) -> Talk<'a> {
        Talk {
            voice,
            tokenizer,
            system: None,
            messages: Vec::new(),
            options,
            tokens_max: 256,
            stops: Vec::new(),
            asked: 0,
        }
    }

    /// Forgets the messages, keeps the instructions.
    pub fn reset(&mut self) {
        self.messages.clear();
    }

    /// Instructions for the whole conversation; empty removes them.
    pub fn set_system(&mut self, text: &str) {
        self.system = (!text.trim().is_empty()).then(|| text.trim().to_string());
    }

    /// Number of messages so far.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Takes back the last question and its answer, for another try; gives the question.
    pub fn take_back(&mut self) -> Option<String> {
        let at = self.messages.iter().rposition(|message| message.role == Role::User)?;
        let question = match &self.messages[at].content {
            Content::Text(text) => text.clone(),
            Content::Parts(_) => return None,
        };
        self.messages.truncate(at);
        Some(question)
    }

    /// Asks and remembers question and answer. `show` sees the pieces as they come and ends the answer by
    /// returning false. After an error the conversation is as before.
    ///
    /// # Errors
    /// When the question does not fit into the model's context, or the model fails.
    pub fn ask(&mut self, question: &str, show: &mut dyn FnMut(&Piece) -> bool) -> Result<Answer> {
        self.messages.push(Message::text(Role::User, question));
        let answer = self.answer(show);
        match &answer {
            Ok((_, parts)) => self.messages.push(Message { role: Role::Assistant, content: content(parts) }),
            Err(_) => {
                self.messages.pop();
            }
        }
        answer.map(|(answer, _)| answer)
    }

    fn answer(&mut self, show: &mut dyn FnMut(&Piece) -> bool) -> Result<(Answer, Vec<Stored>)> {
        let prompt = chat::render_for_completion(self.tokenizer, &self.conversation())?;
        let request = Request {
            prompt,
            rows: 1,
            first_row: self.asked,
            options: self.options.clone(),
            limits: Limits {
                max_tokens: self.tokens_max,
                stop_ids: [Special::AssistantEnd, Special::Bos].map(|s| self.tokenizer.special(s)).to_vec(),
                stop_texts: self.stops.clone(),
            },
        };
        self.asked += 1;
        let mut parts: Vec<Stored> = Vec::new();
        let rows = self.voice.generator().generate(&request, &mut |_, piece| {
            remember(&mut parts, piece);
            if show(piece) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let row = rows.into_iter().next().ok_or_else(|| Failure::new("the model gave no answer"))?;
        let answer =
            Answer { text: row.text, tool_calls: calls(&parts), tokens: row.ids.len(), finish: row.finish };
        Ok((answer, parts))
    }

    fn conversation(&self) -> Conversation {
        let system = self.system.iter().map(|text| Message::text(Role::System, text.clone()));
        Conversation { messages: system.chain(self.messages.iter().cloned()).collect() }
    }

    /// Writes the conversation as one JSON document, the form that fine-tuning reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let json =
            serde_json::to_string(&self.conversation()).map_err(|error| Failure::new(error.to_string()))?;
        mynah_base::write_atomic(path, |writer| writeln!(writer, "{json}"))
            .map_err(|error| Failure::io("cannot save the conversation", path, &error))
    }

    /// Replaces the conversation by a saved one.
    ///
    /// # Errors
    /// When the file is absent, too large or not a conversation; the old one is then kept.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let size = std::fs::metadata(path).map_err(|error| Failure::io("cannot read", path, &error))?.len();
        if size > FILE_BYTES_MAX {
            return Err(Failure::new("too large for a conversation").at_path(path));
        }
        let text = std::fs::read_to_string(path).map_err(|error| Failure::io("cannot read", path, &error))?;
        let conversation: Conversation = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("not a conversation: {error}"))
                .at_path(path)
                .advice("expected {\"messages\":[{\"role\":\"user\",\"content\":\"…\"}, …]}")
        })?;
        let mut messages = conversation.messages;
        let mut system = None;
        if let Some(Message { role: Role::System, content: Content::Text(text) }) = messages.first() {
            system = Some(text.clone());
            messages.remove(0);
        }
        self.system = system;
        self.messages = messages;
        Ok(())
    }
}

/// Joins the streamed pieces into the parts of a message.
fn remember(parts: &mut Vec<Stored>, piece: &Piece) {
    if piece.text.is_empty() {
        return;
    }
    let (last, fresh) = match piece.part {
        Part::Answer => (
            match parts.last_mut() {
                Some(Stored::Text(text)) => Some(text),
                _ => None,
            },
            Stored::Text(piece.text.clone()),
        ),
        Part::ToolCall => (
            match parts.last_mut() {
                Some(Stored::Python(text)) => Some(text),
                _ => None,
            },
            Stored::Python(piece.text.clone()),
        ),
        Part::ToolResult => (
            match parts.last_mut() {
                Some(Stored::PythonOutput(text)) => Some(text),
                _ => None,
            },
            Stored::PythonOutput(piece.text.clone()),
        ),
    };
    match last {
        Some(text) => text.push_str(&piece.text),
        None => parts.push(fresh),
    }
}

fn calls(parts: &[Stored]) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Stored::Python(code) => calls.push((code.clone(), String::new())),
            Stored::PythonOutput(output) => {
                if let Some(last) = calls.last_mut() {
                    last.1.clone_from(output);
                }
            }
            Stored::Text(_) => {}
        }
    }
    calls
}

fn content(parts: &[Stored]) -> Content {
    match parts {
        [] => Content::Text(String::new()),
        [Stored::Text(text)] => Content::Text(text.clone()),
        parts => Content::Parts(parts.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(part: Part, text: &str) -> Piece {
        Piece { id: None, sampled: true, part, text: text.to_string() }
    }

    #[test]
    fn pieces_become_parts() {
        let mut parts = Vec::new();
        for (part, text) in [
            (Part::Answer, "It "),
            (Part::Answer, "is "),
            (Part::ToolCall, "2+"),
            (Part::ToolCall, "2"),
            (Part::ToolResult, "4"),
            (Part::Answer, "4"),
            (Part::Answer, ""),
        ] {
            remember(&mut parts, &piece(part, text));
        }
        let text = |s: &str| Stored::Text(s.to_string());
        let expect =
            vec![text("It is "), Stored::Python("2+2".into()), Stored::PythonOutput("4".into()), text("4")];
        assert_eq!(parts, expect);
        assert_eq!(calls(&parts), [("2+2".to_string(), "4".to_string())]);
        assert!(matches!(content(&parts), Content::Parts(_)));
        assert_eq!(content(&[text("hi")]), Content::Text("hi".into()));
    }
}
