//! Tasks with questions and graders: spelling, counting letters, length of words, addition with the calculator.
//!
//! A grader sees only the text that a reader would see, and asks for the result, not for the way to it: any
//! correct answer counts, however it is worded, and nothing else does.

use mynah_base::Rng;
use mynah_tokenizer::chat::Conversation;

use crate::builtin::words::Lexicon;
use crate::builtin::{Exchange, arithmetic, conversation, counting, spelling};
use crate::split::Split;

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// How is this word spelled?
    Spelling,
    /// How often does this letter occur in this word?
    Counting,
    /// How many letters does this word have?
    Length,
    /// What is the sum of these two-digit numbers?
    Addition,
}

/// A question with what its answer has to contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The task it belongs to.
    pub task: Task,
    /// The user's message and, as the last message, a perfect answer (which `render_for_completion` leaves out).
    pub conversation: Conversation,
    /// The result, as `g-a-r-d-e-n` or `82`.
    pub expected: String,
}

impl Task {
    /// All tasks.
    pub const ALL: [Task; 4] = [Task::Spelling, Task::Counting, Task::Length, Task::Addition];

    /// The name in files, flags and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Task::Spelling => "spelling",
            Task::Counting => "counting",
            Task::Length => "length",
            Task::Addition => "addition",
        }
    }

    /// The task of this name.
    pub fn from_name(name: &str) -> Option<Task> {
        Task::ALL.into_iter().find(|task| task.name() == name)
    }

    /// `n` questions. Those of [`Split::Validation`] are of held-out words and pairs, which no training text contains;
    /// no question comes twice (when `n` is more than there are, fewer come back). Same arguments, same questions.
    pub fn questions(self, split: Split, n: usize, seed: u64) -> Vec<Question> {
        let held_out = split == Split::Validation;
        let mut rng = Rng::for_item(seed, 0x7A5C << 8 | self as u64);
        let mut seen = std::collections::HashSet::new();
        let mut questions = Vec::with_capacity(n.min(1 << 16));
        // Held-out words are finite: give up once new ones have become rare.
        let mut misses = 0;
        while questions.len() < n && misses < 2_000 {
            let question = self.question(held_out, &mut rng);
            if seen.insert(subject(&question)) {
                questions.push(question);
                misses = 0;
            } else {
                misses += 1;
            }
        }
        questions
    }

    fn question(self, held_out: bool, rng: &mut Rng) -> Question {
        let lexicon = Lexicon::get();
        let mut word = || if held_out { lexicon.held_out_word(rng) } else { lexicon.training_word(rng) };
        let (exchange, expected): (Exchange, String) = match self {
            Task::Spelling => {
                let word = word();
                (spelling::exchange_about(&word, rng), spelling::spelled(&word))
            }
            Task::Counting => {
                let word = word();
                let letter = counting::letter_for(&word, rng);
                (
                    counting::letter_exchange(&word, letter, rng),
                    counting::occurrences(&word, letter).to_string(),
                )
            }
            Task::Length => {
                let word = word();
                (counting::length_exchange(&word, rng), word.len().to_string())
            }
            Task::Addition => {
                let (a, b) = arithmetic::pair(held_out, rng);
                (arithmetic::addition(a, b, rng), (a + b).to_string())
            }
        };
        Question { task: self, conversation: conversation(&[exchange]), expected }
    }
}

/// What makes two questions the same: their text.
fn subject(question: &Question) -> String {
    format!("{:?}", question.conversation.messages.first())
}

/// Whether the text answers the question.
pub fn grade(question: &Question, answer: &str) -> bool {
    match question.task {
        Task::Spelling => longest_spelling(answer).eq_ignore_ascii_case(&question.expected),
        Task::Counting | Task::Length | Task::Addition => {
            last_number(answer) == Some(question.expected.as_str())
        }
    }
}

/// The longest run of single letters with dashes between them.
fn longest_spelling(answer: &str) -> &str {
    let runs = answer.split(|c: char| !c.is_ascii_alphabetic() && c != '-');
    let spelled = runs
        .map(|run| run.trim_matches('-'))
        .filter(|run| !run.is_empty() && run.split('-').all(|letter| letter.len() == 1));
    // The first of the longest: a model may not win by offering several of the same length.
    spelled.fold("", |best, run| if run.len() > best.len() { run } else { best })
}

/// The last run of digits in the text, with a sign when it has one.
fn last_number(answer: &str) -> Option<&str> {
    let end = answer.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = answer[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + answer[at..].chars().next().map_or(1, char::len_utf8));
    // A fraction is another number than its last digits.
    if answer[..start].ends_with(['.', ',']) && answer[..start - 1].ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(&answer[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mynah_tokenizer::chat::{Content, Part};

    fn own_answer(question: &Question) -> String {
        match &question.conversation.messages[1].content {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
        }
    }

    #[test]
    fn perfect_answers_pass_and_answers_of_others_fail() {
        for task in Task::ALL {
            let questions = task.questions(Split::Validation, 150, 1);
            assert_eq!(questions.len(), 150, "{task:?}");
            for question in &questions {
                assert!(grade(question, &own_answer(question)), "{question:?}");
                assert!(!grade(question, "") && !grade(question, "I do not know."));
            }
            for pair in questions.windows(2) {
                let right = pair[0].expected == pair[1].expected;
                assert_eq!(grade(&pair[0], &own_answer(&pair[1])), right, "{pair:?}");
            }
        }
    }

    #[test]
    fn questions_are_of_their_part_and_repeatable() {
        let lexicon = Lexicon::get();
        for task in [Task::Spelling, Task::Counting, Task::Length] {
            for (split, held_out) in [(Split::Train, false), (Split::Validation, true)] {
                for question in task.questions(split, 100, 3) {
                    let text = serde_json::to_string(&question.conversation.messages[0]).unwrap();
                    let found =
                        crate::builtin::words::words_of(&text).iter().any(|word| lexicon.is_held_out(word));
                    assert_eq!(found, held_out, "{text}");
                }
            }
        }
        assert_eq!(
            Task::Addition.questions(Split::Train, 20, 9),
            Task::Addition.questions(Split::Train, 20, 9)
        );
        assert_ne!(
            Task::Addition.questions(Split::Train, 20, 9),
            Task::Addition.questions(Split::Train, 20, 8)
        );
    }

    #[test]
    fn graders_read_what_people_write() {
        let check = |answer: &str, spelling: &str, number: Option<&str>| {
            assert_eq!(longest_spelling(answer), spelling, "{answer}");
            assert_eq!(last_number(answer), number, "{answer}");
        };
        check("The word is spelled g-a-r-d-e-n.", "g-a-r-d-e-n", None);
        check("c0-h0-e1. The letter e appears 1 time.", "c", Some("1"));
        check("47 + 35 = 82.", "", Some("82"));
        check("It is 3.82", "", None);
        check("é82", "", Some("82"));
        check("well-known g-a-r", "g-a-r", None);
    }
}
