//! Held-out questions with answers that can be checked.

use mynah_data::Split;
use mynah_data::tasks::{self, Question, Task};
use mynah_engine::{Limits, SamplingOptions};
use mynah_nn::Gpt;
use mynah_tokenizer::chat::{self, Content};
use mynah_tokenizer::{Special, Tokenizer};

use crate::failure::Result;
use crate::model::Voice;

/// Longer than any right answer to these questions.
const ANSWER_TOKENS_MAX: usize = 160;

/// How one task went.
#[derive(Clone, Debug)]
pub struct Grade {
    pub task: Task,
    pub right: usize,
    pub questions: usize,
    /// A few wrong answers: question, answer, what was expected.
    pub mistakes: Vec<(String, String, String)>,
}

impl Grade {
    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.questions.max(1) as f64
    }

    /// One object for scripts.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "task": self.task.name(), "right": self.right, "questions": self.questions,
            "accuracy": self.accuracy(),
        })
    }
}

/// Asks `count` held-out questions of a task and grades the most likely answers.
///
/// # Errors
/// When a question does not fit into the model's context, or the model fails.
pub fn grade(gpt: &Gpt, tokenizer: &Tokenizer, task: Task, count: usize, seed: u64) -> Result<Grade> {
    let questions = task.questions(Split::Validation, count, seed);
    let prompts = questions
        .iter()
        .map(|question| Ok(chat::render_for_completion(tokenizer, &question.conversation)?))
        .collect::<Result<Vec<_>>>()?;
    let limits = Limits {
        max_tokens: ANSWER_TOKENS_MAX,
        stop_ids: [Special::AssistantEnd, Special::Bos].map(|special| tokenizer.special(special)).to_vec(),
        stop_texts: Vec::new(),
    };
    let voice = Voice::new(gpt, tokenizer);
    let answers = voice.generator().answer_all(&prompts, &SamplingOptions::greedy(), &limits)?;
    let mut grade = Grade { task, right: 0, questions: questions.len(), mistakes: Vec::new() };
    for (question, answer) in questions.iter().zip(&answers) {
        if tasks::grade(question, &answer.text) {
            grade.right += 1;
        } else if grade.mistakes.len() < 5 {
            grade.mistakes.push((asked(question), answer.text.clone(), question.expected.clone()));
        }
    }
    Ok(grade)
}

/// The user's message of a question.
pub fn asked(question: &Question) -> String {
    match question.conversation.messages.first().map(|message| &message.content) {
        Some(Content::Text(text)) => text.clone(),
        _ => String::new(),
    }
}
