//! Conversations, and how they are laid out as ids with a loss mask.
//!
//! ```text
//! <|bos|> (<|user_start|> text <|user_end|>
//!          <|assistant_start|> text or (<|python_start|> code <|python_end|>
//!                                       <|output_start|> what it printed <|output_end|>) …
//!          <|assistant_end|>) …
//! ```
//!
//! The model is trained on what the assistant has to say: its text, its python calls with the tokens
//! around them, and the end of its turn. What the user wrote and what a tool printed is only read.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::{Special, Tokenizer};

/// A conversation, as in `{"messages":[{"role":"user","content":"…"}, …]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Perhaps one system message, then user and assistant in turn.
    pub messages: Vec<Message>,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: Content::Text(text.into()) }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation; only as the first message.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// As written in files.
    pub const fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// What is said: text, or for the assistant a list of parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text, tool calls and their outputs, in order.
    Parts(Vec<Part>),
}

/// One part of an assistant's message, as in `{"type":"python","text":"2+2"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "text", rename_all = "snake_case")]
pub enum Part {
    /// Said to the user.
    Text(String),
    /// Code to be run.
    Python(String),
    /// What the code printed.
    PythonOutput(String),
}

/// A conversation as ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The ids.
    pub ids: Vec<u32>,
    /// Of the same length: whether the model is trained to produce this id.
    pub mask: Vec<bool>,
}

impl Rendered {
    fn special(&mut self, tokenizer: &Tokenizer, special: Special, trained: bool) {
        self.ids.push(tokenizer.special(special));
        self.mask.push(trained);
    }

    fn text(&mut self, tokenizer: &Tokenizer, text: &str, trained: bool) {
        self.ids.extend(tokenizer.encode_ordinary(text));
        self.mask.resize(self.ids.len(), trained);
    }
}

/// Lays a conversation out for training, cut off after `tokens_max` ids.
///
/// A system message becomes the beginning of the first user message, with a blank line between them.
///
/// # Errors
/// [`ErrorKind::Conversation`], naming the message, unless there is at least one message, user and
/// assistant take turns beginning with the user, a system message comes only first and before a user's,
/// and only the assistant's content has parts.
pub fn render(tokenizer: &Tokenizer, conversation: &Conversation, tokens_max: usize) -> Result<Rendered> {
    let mut rendered = lay_out(tokenizer, &conversation.messages, Some(tokens_max))?;
    rendered.ids.truncate(tokens_max);
    rendered.mask.truncate(tokens_max);
    Ok(rendered)
}

/// Lays a conversation out so that the assistant speaks next: a last message of the assistant is left
/// out, and `<|assistant_start|>` put at the end. Nothing is cut off.
///
/// # Errors
/// As [`render`]; also when nothing is left once the assistant's last message is dropped.
pub fn render_for_completion(tokenizer: &Tokenizer, conversation: &Conversation) -> Result<Vec<u32>> {
    let messages = match conversation.messages.split_last() {
        Some((last, others)) if last.role == Role::Assistant => others,
        _ => &conversation.messages,
    };
    let mut rendered = lay_out(tokenizer, messages, None)?;
    rendered.special(tokenizer, Special::AssistantStart, false);
    Ok(rendered.ids)
}

/// Lays a conversation out so that the assistant goes on with its last message, which stays open.
///
/// # Errors
/// As [`render`]; also when the last message is not the assistant's.
pub fn render_to_continue(tokenizer: &Tokenizer, conversation: &Conversation) -> Result<Vec<u32>> {
    if conversation.messages.last().is_none_or(|last| last.role != Role::Assistant) {
        return Err(wrong("the last message must be the assistant's, which goes on with it".to_string()));
    }
    let mut rendered = lay_out(tokenizer, &conversation.messages, None)?;
    // The end of its turn.
    rendered.ids.pop();
    Ok(rendered.ids)
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Conversation, message)
}

/// The layout of all messages; stops encoding once `enough` ids are there, but checks every message.
fn lay_out(tokenizer: &Tokenizer, messages: &[Message], enough: Option<usize>) -> Result<Rendered> {
    let (system, turns) = match messages {
        [Message { role: Role::System, content }, turns @ ..] => match content {
            Content::Text(text) => (Some(text.as_str()), turns),
            Content::Parts(_) => return Err(wrong("message 0: a system message is plain text".to_string())),
        },
        turns => (None, turns),
    };
    if turns.is_empty() {
        return Err(wrong("the conversation has no message of a user".to_string()));
    }
    let mut rendered = Rendered::default();
    rendered.special(tokenizer, Special::Bos, false);
    for (turn, message) in turns.iter().enumerate() {
        let index = turn + usize::from(system.is_some());
        let expected = if turn % 2 == 0 { Role::User } else { Role::Assistant };
        if message.role != expected {
            return Err(wrong(format!(
                "message {index} is from the {}, but this is the {}'s turn (they alternate, the user first)",
                message.role.name(),
                expected.name()
            )));
        }
        let is_enough = enough.is_some_and(|enough| rendered.ids.len() >= enough);
        match (expected, &message.content) {
            (Role::Assistant, _) if is_enough => {}
            (Role::Assistant, content) => assistant_turn(&mut rendered, tokenizer, content),
            (_, Content::Parts(_)) => {
                return Err(wrong(format!(
                    "message {index}: a user message is plain text, not a list of parts"
                )));
            }
            (_, Content::Text(_)) if is_enough => {}
            (_, Content::Text(text)) => {
                let preface = system.filter(|_| turn == 0);
                user_turn(&mut rendered, tokenizer, preface, text);
            }
        }
    }
    Ok(rendered)
}

fn user_turn(rendered: &mut Rendered, tokenizer: &Tokenizer, preface: Option<&str>, text: &str) {
    rendered.special(tokenizer, Special::UserStart, false);
    match preface {
        Some(preface) => rendered.text(tokenizer, &format!("{preface}\n\n{text}"), false),
        None => rendered.text(tokenizer, text, false),
    }
    rendered.special(tokenizer, Special::UserEnd, false);
}

fn assistant_turn(rendered: &mut Rendered, tokenizer: &Tokenizer, content: &Content) {
    rendered.special(tokenizer, Special::AssistantStart, false);
    let parts = match content {
        Content::Text(text) => {
            rendered.text(tokenizer, text, true);
            &[]
        }
        Content::Parts(parts) => parts.as_slice(),
    };
    for part in parts {
        match part {
            Part::Text(text) => rendered.text(tokenizer, text, true),
            Part::Python(code) => {
                rendered.special(tokenizer, Special::PythonStart, true);
                rendered.text(tokenizer, code, true);
                rendered.special(tokenizer, Special::PythonEnd, true);
            }
            Part::PythonOutput(output) => {
                rendered.special(tokenizer, Special::OutputStart, false);
                rendered.text(tokenizer, output, false);
                rendered.special(tokenizer, Special::OutputEnd, false);
            }
        }
    }
    rendered.special(tokenizer, Special::AssistantEnd, true);
}

impl Conversation {
    /// Reads a conversation from its JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Conversation`], saying what was found where and what was expected.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| wrong(format!("not a conversation: {error}")))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // By hand rather than "untagged", whose errors do not say what was wrong.
        struct TextOrParts;
        impl<'de> Visitor<'de> for TextOrParts {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of parts")
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<Content, E> {
                Ok(Content::Text(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }
        deserializer.deserialize_any(TextOrParts)
    }
}
