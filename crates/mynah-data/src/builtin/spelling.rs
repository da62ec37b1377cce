//! Spelling: `How do you spell garden?` → `g-a-r-d-e-n`.
//!
//! One token a letter: the split pattern cuts `g-a-r` into `g`, `-a`, `-r`, and each is a token by itself. The
//! answer begins with the first letter at once, on a new line in plain text and after the turn's start in chat, so
//! both show the model the same tokens. In questions the word nearly always follows a space, for a word
//! after a space has other tokens than one after a quote; the quoted and capital forms are a small share.

use mynah_base::Rng;

use super::template::{expand, expand_one, upper_first};
use super::words::Lexicon;
use super::{Answer, Exchange};

/// `garden` → `g-a-r-d-e-n`.
pub fn spelled(word: &str) -> String {
    let mut out = String::with_capacity(word.len() * 2);
    for letter in word.chars() {
        if !out.is_empty() {
            out.push('-');
        }
        out.push(letter);
    }
    out
}

/// Share of questions with the word in quotes, and with a capital.
const QUOTED_SHARE: f64 = 0.08;
const CAPITAL_SHARE: f64 = 0.04;

const QUESTIONS: &[&str] = &[
    "Spell {word}.",
    "Spell the word {word}.",
    "How do you spell {word}?",
    "How do you spell the word {word}?",
    "How is {word} spelled?",
    "Please spell {word}.",
    "Please spell the word {word}.",
    "Can you spell {word}?",
    "Can you spell the word {word}?",
    "How do I spell {word}?",
    "What are the letters of {word}?",
    "Spell out the word {word}.",
    "How do you write {word}?",
    "Write {word} letter by letter.",
    "spell {word}",
    "Spell {word}",
    "Spell the word {word} letter by letter.",
    "Could you spell {word} for me?",
];

/// A question of this word and its answer.
pub fn exchange_about(word: &str, rng: &mut Rng) -> Exchange {
    let (shown, answer) = dressed(word, rng);
    let question = expand_one(QUESTIONS, &[("word", &shown)], rng);
    Exchange { question, answer: Answer::Text(spelled(&answer)) }
}

/// The word as the question shows it (quoted or capital at times), and as it is spelled.
pub fn dressed(word: &str, rng: &mut Rng) -> (String, String) {
    let draw = rng.uniform();
    if draw < QUOTED_SHARE {
        (format!("\"{word}\""), word.to_string())
    } else if draw < QUOTED_SHARE + CAPITAL_SHARE {
        (upper_first(word), upper_first(word))
    } else {
        (word.to_string(), word.to_string())
    }
}

/// Plain text of spelled words: two lines a word, the same tokens as in chat, with little around them.
pub fn document(lexicon: &Lexicon, rng: &mut Rng) -> String {
    let words = 4 + rng.index(8);
    let dense = rng.chance(0.7);
    let frame = *rng.choose(&[
        "Spell {word}.\n",
        "The word {word}:\n",
        "How do you spell {word}?\n",
        "Spell the word {word}.\n",
    ]);
    let mut text = String::with_capacity(words * 32);
    for _ in 0..words {
        let word = lexicon.training_word(rng);
        let (shown, answer) = dressed(&word, rng);
        let question = if dense { frame } else { rng.choose(QUESTIONS) };
        text.push_str(expand(question, &[("word", &shown)], rng).trim_end());
        text.push('\n');
        text.push_str(&spelled(&answer));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_with_a_dash_between_letters() {
        assert_eq!(spelled("garden"), "g-a-r-d-e-n");
        assert_eq!(spelled("a"), "a");
        assert_eq!(spelled(""), "");
    }

    #[test]
    fn documents_spell_what_they_show() {
        let text = document(Lexicon::get(), &mut Rng::new(4));
        for pair in text.lines().collect::<Vec<_>>().chunks(2) {
            assert!(pair[0].contains(&pair[1].replace('-', "")), "{pair:?}");
        }
    }
}
