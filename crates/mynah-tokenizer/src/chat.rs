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

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Conversation, message)
}

/// The layout of all messages; may stop early once `enough` ids are there, but checks every message.
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
        let parts = match (&message.content, expected) {
            (Content::Parts(_), Role::User) => {
                return Err(wrong(format!(
                    "message {index}: a user message is plain text, not a list of parts"
                )));
            }
            (Content::Parts(parts), _) => Some(parts),
            (Content::Text(_), _) => None,
        };
        if enough.is_some_and(|enough| rendered.ids.len() >= enough) {
            continue;
        }
        match (&message.content, parts) {
            (_, Some(parts)) => assistant(&mut rendered, tokenizer, parts),
            (Content::Text(text), None) if expected == Role::Assistant => {
                rendered.special(tokenizer, Special::AssistantStart, false);
                rendered.text(tokenizer, text, true);
                rendered.special(tokenizer, Special::AssistantEnd, true);
            }
            (Content::Text(text), None) => {
                rendered.special(tokenizer, Special::UserStart, false);
                match system {
                    Some(system) if turn == 0 => {
                        rendered.text(tokenizer, &format!("{system}\n\n{text}"), false);
                    }
                    _ => rendered.text(tokenizer, text, false),
                }
                rendered.special(tokenizer, Special::UserEnd, false);
            }
            (Content::Parts(_), None) => unreachable!("parts are taken out above"),
        }
    }
    Ok(rendered)
}

fn assistant(rendered: &mut Rendered, tokenizer: &Tokenizer, parts: &[Part]) {
    rendered.special(tokenizer, Special::AssistantStart, false);
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
