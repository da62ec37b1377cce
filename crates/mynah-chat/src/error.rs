//! The crate's one error type.

use std::fmt;

/// What went wrong, for code that has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A message, a tool or a tool call is not of the shape the API documents: the client's mistake.
    Conversation,
    /// The chat template does not compile: the model's mistake, found at load.
    TemplateSyntax,
    /// The chat template failed on this conversation. With `raise_exception` it refused it on purpose.
    TemplateRender,
    /// The chat template asked for more steps, depth or output than it may have.
    TemplateLimit,
    /// A name that stands for nothing, such as an unknown tool parser.
    Name,
    /// What was asked for cannot be expressed in this tool format.
    Unsupported,
}

/// An error of this crate: a kind and a message that says what, where and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Messages quote what they refuse, and a hostile template or request may make that as long as itself.
const MESSAGE_BYTES_MAX: usize = 1_000;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push_str(" […]");
        }
        Self { kind, message }
    }

    pub(crate) fn conversation(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conversation, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
