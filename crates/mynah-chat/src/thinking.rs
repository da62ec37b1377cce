//! How a model marks its reasoning.

/// The marks around reasoning, and whether the prompt has already opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thinking {
    /// What begins the reasoning, such as `<think>`.
    pub open: String,
    /// What ends it, such as `</think>`.
    pub close: String,
    /// The prompt ends inside the reasoning, so the model's first words are reasoning.
    pub is_open: bool,
}

/// The marks in use: most models; Magistral; Gemma 4; Seed-OSS; Kimi-VL; Command A.
const MARKS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
];

impl Thinking {
    /// `<think>` and `</think>`, not yet open.
    pub fn think_tags() -> Self {
        Self { open: MARKS[0].0.to_string(), close: MARKS[0].1.to_string(), is_open: false }
    }

    /// The marks that a chat template writes or looks for; `None` when it knows none. (GPT-OSS needs none: its channels
    /// are part of [`ToolFormat::GptOss`](crate::ToolFormat::GptOss).)
    pub fn detect(template: &str) -> Option<Self> {
        let (open, close) = MARKS.into_iter().find(|(_, close)| template.contains(close))?;
        Some(Self { open: open.to_string(), close: close.to_string(), is_open: false })
    }

    /// The same marks, open if this prompt ends with the opening mark.
    pub fn after_prompt(mut self, prompt: &str) -> Self {
        self.is_open = prompt.trim_end().ends_with(&self.open);
        self
    }
}
