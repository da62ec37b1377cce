//! The nine special tokens.

/// A token that marks structure and that no user text can produce. Their ids follow the mergeable ranks,
/// in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// Begins every document.
    Bos,
    /// Begins a user's turn.
    UserStart,
    /// Ends a user's turn.
    UserEnd,
    /// Begins the assistant's turn.
    AssistantStart,
    /// Ends the assistant's turn.
    AssistantEnd,
    /// Begins Python code that the assistant wants run.
    PythonStart,
    /// Ends that code.
    PythonEnd,
    /// Begins what the code printed.
    OutputStart,
    /// Ends it.
    OutputEnd,
}

impl Special {
    /// All nine, in the order of their ids.
    pub const ALL: [Special; 9] = [
        Special::Bos,
        Special::UserStart,
        Special::UserEnd,
        Special::AssistantStart,
        Special::AssistantEnd,
        Special::PythonStart,
        Special::PythonEnd,
        Special::OutputStart,
        Special::OutputEnd,
    ];

    /// How it is written in files and in decoded text.
    pub const fn name(self) -> &'static str {
        match self {
            Special::Bos => "<|bos|>",
            Special::UserStart => "<|user_start|>",
            Special::UserEnd => "<|user_end|>",
            Special::AssistantStart => "<|assistant_start|>",
            Special::AssistantEnd => "<|assistant_end|>",
            Special::PythonStart => "<|python_start|>",
            Special::PythonEnd => "<|python_end|>",
            Special::OutputStart => "<|output_start|>",
            Special::OutputEnd => "<|output_end|>",
        }
    }
}
