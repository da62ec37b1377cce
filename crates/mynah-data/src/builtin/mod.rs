//! The built-in corpus: text and conversations from which a model of a few million parameters learns, within
//! minutes, to tell small stories, chat a little, spell, count letters and use a calculator.
//!
//! Everything is generated, by templates written for this project, and every item has its own random stream
//! (`Rng::for_item(seed, index)`): document 17 of a seed is the same whichever was made before it, and making
//! needs no memory. Training and validation items come from different streams; held-out words and addition pairs
//! ([`words`], [`arithmetic`]) occur in no training item at all.
//!
//! Rejected: a fixed file in the repository (megabytes of it, and a model would learn it by heart), and public
//! data sets (not there without a network).

pub mod arithmetic;
pub mod counting;
pub mod dialogue;
pub mod facts;
mod make;
mod plots;
pub mod spelling;
pub mod stories;
pub mod template;
pub mod words;

pub use make::{Made, MakeSize, make};

use mynah_base::Rng;
use mynah_tokenizer::chat::{Content, Conversation, Message, Part, Role};

use crate::split::Split;
use words::Lexicon;

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What the user says.
    pub question: String,
    /// What the model says.
    pub answer: Answer,
}

/// An answer in text alone or with the calculator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Plain text.
    Text(String),
    /// A call of the calculator, what it gives back, and the text after it.
    Calculated {
        /// The call, as `47 + 35`.
        expression: String,
        /// The output, as `82`.
        result: String,
        /// The text that the reader sees.
        text: String,
    },
}

impl Answer {
    /// The text that the reader sees.
    pub fn shown(&self) -> &str {
        match self {
            Answer::Text(text) | Answer::Calculated { text, .. } => text,
        }
    }
}

/// Kinds of text documents and their share, by number. By tokens (vocabulary 1,024) these are: stories 37%, spelling
/// 29%, counting 14%, arithmetic 7%, facts 7%, dialogue 6%.
///
/// Stories are what fluent text is learned from; spelling is the hardest skill by far (the letters of every
/// piece of a word), so it gets nearly as much; counting is spelling with one more step. Arithmetic only has to
/// show how numbers are carried over, dialogue and facts how people talk. Documents other than stories are short, of
/// many lengths: they fill the rows of 256 tokens behind a story, so that fewer stories have to be cut.
const DOCUMENT_SHARES: [(DocumentKind, f64); 6] = [
    (DocumentKind::Story, 0.27),
    (DocumentKind::Spelling, 0.31),
    (DocumentKind::Counting, 0.17),
    (DocumentKind::Arithmetic, 0.10),
    (DocumentKind::Dialogue, 0.06),
    (DocumentKind::Facts, 0.09),
];

/// Kinds of exchanges in conversations and their share, by number. What has to be right for every word gets the most.
const EXCHANGE_SHARES: [(ExchangeKind, f64); 6] = [
    (ExchangeKind::Spelling, 0.24),
    (ExchangeKind::Counting, 0.32),
    (ExchangeKind::Arithmetic, 0.12),
    (ExchangeKind::Story, 0.10),
    (ExchangeKind::Dialogue, 0.15),
    (ExchangeKind::Fact, 0.07),
];

/// Share of conversations with one exchange; the others have two or three (a story only as the last one, so that
/// the whole fits into 256 tokens).
const SINGLE_SHARE: f64 = 0.7;

/// Offset of the item numbers of the validation part, far above any training item.
const VALIDATION_ITEMS: u64 = 1 << 60;

/// Offset of the item numbers of conversations, so that they are not the documents' streams again.
const CONVERSATION_ITEMS: u64 = 1 << 59;

/// Kinds of text documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A small story.
    Story,
    /// Words with their letters.
    Spelling,
    /// Letters counted.
    Counting,
    /// Sums.
    Arithmetic,
    /// Two people talking.
    Dialogue,
    /// Simple facts.
    Facts,
}

/// Kinds of exchanges in conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// How is a word spelled?
    Spelling,
    /// How often does a letter occur?
    Counting,
    /// A sum with the calculator.
    Arithmetic,
    /// A story on request.
    Story,
    /// Small talk.
    Dialogue,
    /// A simple fact.
    Fact,
}

/// The generator for one seed.
#[derive(Clone, Debug)]
pub struct Builtin {
    seed: u64,
}

impl Builtin {
    /// The corpus of this seed.
    pub fn new(seed: u64) -> Builtin {
        Builtin { seed }
    }

    /// Document `index` of a part. Validation documents are other documents of the same kinds.
    pub fn document(&self, split: Split, index: u64) -> String {
        let mut rng = Rng::for_item(self.seed, part(split) + index);
        let kind = drawn(&DOCUMENT_SHARES, &mut rng);
        document_of(kind, &mut rng)
    }

    /// Conversation `index` of a part.
    pub fn conversation(&self, split: Split, index: u64) -> Conversation {
        let mut rng = Rng::for_item(self.seed, CONVERSATION_ITEMS + part(split) + index);
        let exchanges = if rng.chance(SINGLE_SHARE) { 1 } else { 2 + rng.index(2) };
        let mut made = Vec::with_capacity(exchanges);
        for _ in 0..exchanges {
            let kind = drawn(&EXCHANGE_SHARES, &mut rng);
            made.push(exchange_of(kind, &mut rng));
            if kind == ExchangeKind::Story {
                break;
            }
        }
        conversation(&made)
    }

    /// Training documents until they have at least so many bytes.
    pub fn documents(&self, size_bytes: u64) -> impl Iterator<Item = String> + use<> {
        let builtin = self.clone();
        let mut made_bytes = 0;
        (0..).map_while(move |index| {
            (made_bytes < size_bytes).then(|| {
                let text = builtin.document(Split::Train, index);
                made_bytes += text.len() as u64;
                text
            })
        })
    }
}

fn part(split: Split) -> u64 {
    match split {
        Split::Train => 0,
        Split::Validation => VALIDATION_ITEMS,
    }
}

fn drawn<T: Copy>(shares: &[(T, f64)], rng: &mut Rng) -> T {
    let mut draw = rng.uniform() * shares.iter().map(|(_, share)| share).sum::<f64>();
    for (kind, share) in shares {
        if draw < *share {
            return *kind;
        }
        draw -= share;
    }
    shares[0].0
}

/// A document of this kind.
pub fn document_of(kind: DocumentKind, rng: &mut Rng) -> String {
    match kind {
        DocumentKind::Story => stories::story(rng).text,
        DocumentKind::Spelling => spelling::document(Lexicon::get(), rng),
        DocumentKind::Counting => counting::document(Lexicon::get(), rng),
        DocumentKind::Arithmetic => arithmetic::document(rng),
        DocumentKind::Dialogue => dialogue::document(rng),
        DocumentKind::Facts => facts::document(rng),
    }
}

/// An exchange of this kind, of training words and pairs.
pub fn exchange_of(kind: ExchangeKind, rng: &mut Rng) -> Exchange {
    let lexicon = Lexicon::get();
    match kind {
        ExchangeKind::Spelling => spelling::exchange_about(&lexicon.training_word(rng), rng),
        ExchangeKind::Counting => counting::exchange(lexicon, rng),
        ExchangeKind::Arithmetic => arithmetic::exchange(rng),
        ExchangeKind::Story => {
            let story = stories::story(rng);
            Exchange { question: stories::story_request(&story, rng), answer: Answer::Text(story.text) }
        }
        ExchangeKind::Dialogue => dialogue::exchange(rng),
        ExchangeKind::Fact => facts::exchange(rng),
    }
}

/// A conversation of these exchanges.
pub fn conversation(exchanges: &[Exchange]) -> Conversation {
    let mut messages = Vec::with_capacity(exchanges.len() * 2);
    for exchange in exchanges {
        messages.push(Message { role: Role::User, content: Content::Text(exchange.question.clone()) });
        let content = match &exchange.answer {
            Answer::Text(text) => Content::Text(text.clone()),
            Answer::Calculated { expression, result, text } => Content::Parts(vec![
                Part::Python(expression.clone()),
                Part::PythonOutput(result.clone()),
                Part::Text(text.clone()),
            ]),
        };
        messages.push(Message { role: Role::Assistant, content });
    }
    Conversation { messages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_do_not_depend_on_what_was_made_before() {
        let builtin = Builtin::new(3);
        let alone = builtin.document(Split::Train, 17);
        assert_eq!(builtin.documents(1 << 20).nth(17), Some(alone.clone()));
        assert_ne!(builtin.document(Split::Validation, 17), alone);
        assert_ne!(Builtin::new(4).document(Split::Train, 17), alone);
    }

    #[test]
    fn no_held_out_word_or_pair_occurs_in_training() {
        let lexicon = Lexicon::get();
        let check = |text: &str| {
            for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
                assert!(!lexicon.is_held_out(&word.to_ascii_lowercase()), "{word:?} in {text}");
            }
            for (a, b) in additions(text) {
                assert!(!arithmetic::is_held_out(a, b), "{a} + {b} in {text}");
            }
        };
        for seed in [0, 42] {
            let builtin = Builtin::new(seed);
            builtin.documents(4 << 20).for_each(|text| check(&text));
            for index in 0..10_000 {
                let conversation = builtin.conversation(Split::Train, index);
                check(&serde_json::to_string(&conversation).unwrap().replace("\\n", " "));
            }
        }
    }

    /// Pairs written `a + b`.
    fn additions(text: &str) -> Vec<(u32, u32)> {
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_digit() && c != '+').filter(|w| !w.is_empty()).collect();
        let number = |word: &str| word.parse::<u32>().ok();
        words
            .windows(3)
            .filter(|w| w[1] == "+")
            .filter_map(|w| Some((number(w[0])?, number(w[2])?)))
            .collect()
    }
}
