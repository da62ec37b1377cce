//! What a speedrun learns from: the built-in corpus, the user's files, or one of each.

use std::path::{Path, PathBuf};

use mynah_base::units;
use mynah_data::builtin::{self, MakeSize};
use mynah_data::chat::{self, ChatOptions};
use mynah_data::tasks::Task;
use mynah_data::{Corpus, CorpusOptions, Place, Split};
use mynah_tokenizer::chat::{Content, Conversation, Role};

use super::Choices;
use crate::failure::Result;
use crate::stages::{conversations_digest, grade};

/// Beginnings of stories as the built-in corpus has them.
const BEGINNINGS: &[&str] = &["Once upon a time", "One day", "The little", "It was a sunny morning"];
/// Things to say to a model that learned from the built-in conversations.
const SMALL_TALK: &[&str] = &["Hello! How are you?", "Tell me a story about a dog.", "What is your name?"];
/// The longest question that is shown as a sample.
const QUESTION_CHARS_MAX: usize = 400;

/// The inputs of one run.
pub struct Inputs {
    data: PathBuf,
    choices: Choices,
    own_text: Option<Corpus>,
    own_text_bytes: u64,
    /// Files of conversations with their sizes, to notice when they change.
    chat_sizes: Vec<String>,
    held_out: Vec<Conversation>,
    training: Vec<Conversation>,
    chat_summary: String,
}

impl Inputs {
    /// Opens the user's files, if any; nothing is written.
    ///
    /// # Errors
    /// When a file is absent, empty or not what it should be.
    pub fn open(choices: &Choices, dir: &Path) -> Result<Inputs> {
        let mut inputs = Inputs {
            data: dir.join("data"),
            choices: choices.clone(),
            own_text: None,
            own_text_bytes: 0,
            chat_sizes: Vec::new(),
            held_out: Vec::new(),
            training: Vec::new(),
            chat_summary: String::new(),
        };
        if !choices.text.is_empty() {
            let corpus = Corpus::open(&choices.text, choices.reading.options())?;
            let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
            inputs.own_text_bytes = corpus.files().iter().map(size).sum();
            inputs.own_text = Some(corpus);
        }
        if !choices.chat.is_empty() {
            let options = ChatOptions { strict: choices.reading.strict, ..ChatOptions::default() };
            let loaded = chat::load(&choices.chat, &options)?;
            inputs.chat_summary = loaded.summary();
            inputs.chat_sizes.push(format!(
                "{} {}",
                choices.chat.len(),
                conversations_digest(&loaded.conversations)
            ));
            inputs.divide(loaded.conversations);
        }
        Ok(inputs)
    }

    /// Holds out conversations by their own text, so that the same one is always on the same side.
    fn divide(&mut self, conversations: Vec<Conversation>) {
        let fraction = CorpusOptions::default().validation_fraction;
        let (held_out, training): (Vec<_>, Vec<_>) =
            conversations.into_iter().partition(|conversation| position(&text_of(conversation)) < fraction);
        (self.held_out, self.training) = (held_out, training);
        if self.training.is_empty() {
            std::mem::swap(&mut self.training, &mut self.held_out);
        }
    }

    /// Bytes of the user's own text; none when the built-in text is used.
    pub fn own_text_bytes(&self) -> Option<u64> {
        self.own_text.as_ref().map(|_| self.own_text_bytes)
    }

    /// Whether the conversations are the built-in ones, whose tasks can be graded.
    pub fn builtin_chat(&self) -> bool {
        self.choices.chat.is_empty()
    }

    /// What identifies the inputs when a run goes on.
    pub fn digests(&self) -> Vec<String> {
        let text = self.own_text.as_ref().map_or_else(|| "built-in text".to_string(), Corpus::digest);
        let mut digests = vec![text];
        digests.extend(self.chat_sizes.iter().cloned());
        digests
    }

    /// What the user should know before it begins.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match (self.own_text.is_some(), self.builtin_chat()) {
            (true, true) => {
                notes.push("no --chat is given: fine-tuning uses the built-in conversations".to_string())
            }
            (false, false) => {
                notes.push("no --text is given: pretraining uses the built-in text".to_string())
            }
            _ => {}
        }
        if !self.chat_summary.is_empty() {
            notes.push(self.chat_summary.clone());
        }
        notes
    }

    /// Writes the built-in corpus as far as it is needed; says what there is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn make(&self, size: MakeSize, seed: u64) -> Result<String> {
        let mut parts = Vec::new();
        if let Some(corpus) = &self.own_text {
            parts.push(format!("{} files, {}", corpus.files().len(), units::bytes(self.own_text_bytes)));
        }
        if !self.builtin_chat() {
            parts.push(format!("{} conversations", self.training.len() + self.held_out.len()));
        }
        if self.own_text.is_none() || self.builtin_chat() {
            let size = MakeSize {
                text_bytes: if self.own_text.is_none() { size.text_bytes } else { 0 },
                conversations: if self.builtin_chat() { size.conversations } else { 0 },
                ..size
            };
            let made = builtin::make(&self.data, seed, size)?;
            let bytes: u64 = made.files.iter().map(|(_, bytes)| bytes).sum();
            parts.push(format!(
                "built-in corpus: {} documents, {} conversations, {}",
                made.documents,
                made.conversations,
                units::bytes(bytes)
            ));
        }
        Ok(parts.join("; "))
    }

    /// The text to learn from.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self) -> Result<Corpus> {
        match &self.own_text {
            Some(corpus) => Ok(corpus.clone()),
            // The held-out part is a file of its own.
            None => {
                let options = CorpusOptions { validation_fraction: 0.0, ..CorpusOptions::default() };
                Ok(Corpus::open(&[self.data.join("text")], options)?)
            }
        }
    }

    /// The text to measure on, and which part of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn held_out_text(&self) -> Result<(Corpus, Option<Split>)> {
        match &self.own_text {
            Some(corpus) => {
                // A single document has no part to hold out: measure on what was learned rather than not at all.
                let mut documents = corpus.documents(Place::default());
                let any = documents.any(|d| d.is_ok_and(|d| corpus.split_of(&d.text) == Split::Validation));
                Ok((corpus.clone(), any.then_some(Split::Validation)))
            }
            None => {
                let options = CorpusOptions { validation_fraction: 0.0, ..CorpusOptions::default() };
                Ok((Corpus::open(&[self.data.join("heldout/text.jsonl")], options)?, None))
            }
        }
    }

    /// Whether there is text that was held out (a single document has none).
    pub fn holds_out_text(&self) -> Result<bool> {
        Ok(self.own_text.is_none() || self.held_out_text()?.1.is_some())
    }

    /// The conversations to learn from.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn chat(&self) -> Result<Vec<Conversation>> {
        if !self.builtin_chat() {
            return Ok(self.training.clone());
        }
        Ok(chat::load(&[self.data.join("chat/train.jsonl")], &ChatOptions::default())?.conversations)
    }

    /// The conversations to measure on.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn held_out_chat(&self) -> Result<Vec<Conversation>> {
        if !self.builtin_chat() {
            return Ok(self.held_out.clone());
        }
        Ok(chat::load(&[self.data.join("heldout/chat.jsonl")], &ChatOptions::default())?.conversations)
    }

    /// Beginnings of texts for the base model to continue.
    ///
    /// # Errors
    /// When the text cannot be read.
    pub fn text_prompts(&self, count: usize) -> Result<Vec<String>> {
        if self.own_text.is_none() {
            return Ok(BEGINNINGS.iter().take(count).map(ToString::to_string).collect());
        }
        let (corpus, part) = self.held_out_text()?;
        let mut prompts = Vec::new();
        for document in corpus.documents(Place::default()) {
            let text = document?.text;
            if part.is_none_or(|part| corpus.split_of(&text) == part) {
                let words: Vec<&str> = text.split_whitespace().take(6).collect();
                prompts.push(words.join(" "));
            }
            if prompts.len() == count {
                break;
            }
        }
        Ok(prompts)
    }

    /// Questions for the chat model: of the built-in tasks, or of the user's held-out conversations.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn questions(&self, count: usize) -> Result<Vec<String>> {
        if !self.builtin_chat() {
            let from = if self.held_out.is_empty() { &self.training } else { &self.held_out };
            let short = |question: &String| question.chars().count() <= QUESTION_CHARS_MAX;
            return Ok(from.iter().filter_map(first_question).filter(short).take(count).collect());
        }
        let mut questions = Vec::new();
        for (task, talk) in
            Task::ALL.iter().map(Some).zip(SMALL_TALK.iter().map(Some).chain(std::iter::repeat(None)))
        {
            let asked =
                task.and_then(|task| task.questions(Split::Validation, 1, 7).first().map(grade::asked));
            questions.extend(asked);
            questions.extend(talk.map(ToString::to_string));
        }
        questions.truncate(count);
        Ok(questions)
    }

    /// What the text is, for the report.
    pub fn text_name(&self) -> String {
        name(&self.choices.text, "the built-in corpus")
    }

    /// What the conversations are, for the report.
    pub fn chat_name(&self) -> String {
        name(&self.choices.chat, "the built-in conversations")
    }
}

fn name(paths: &[PathBuf], builtin: &str) -> String {
    if paths.is_empty() {
        return builtin.to_string();
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn first_question(conversation: &Conversation) -> Option<String> {
    conversation.messages.iter().find_map(|message| match (&message.role, &message.content) {
        (Role::User, Content::Text(text)) => Some(text.clone()),
        _ => None,
    })
}

fn text_of(conversation: &Conversation) -> String {
    serde_json::to_string(conversation).unwrap_or_default()
}

/// A number in [0, 1) that depends on the text alone.
fn position(text: &str) -> f64 {
    let hash = blake3::hash(text.as_bytes());
    let start: [u8; 4] = std::array::from_fn(|index| hash.as_bytes()[index]);
    f64::from(u32::from_le_bytes(start)) / (f64::from(u32::MAX) + 1.0)
}
