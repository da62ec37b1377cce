//! The crate's one error type.

use std::fmt;

/// What went wrong, for code that has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file system refused.
    Io,
    /// A file is damaged, hostile or of another kind than expected.
    Format,
    /// A file is well-formed but asks for something this crate does not do.
    Unsupported,
    /// A split pattern does not compile or has no such name.
    Pattern,
    /// A conversation breaks the rules of rendering.
    Conversation,
    /// A setting is out of its range.
    Config,
    /// A token id lies outside the vocabulary.
    Id,
}

/// An error of the tokenizer: a kind and a message that says what, where and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

const MESSAGE_BYTES_MAX: usize = 1_000;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // Messages quote what they refuse, and a hostile file may make that as long as itself.
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push_str(" […]");
        }
        Self { kind, message }
    }

    pub(crate) fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{}: cannot {action}: {error}", path.display()))
    }

    /// Puts the file in question before the message.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Self { kind: self.kind, message: format!("{}: {}", path.display(), self.message) }
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
