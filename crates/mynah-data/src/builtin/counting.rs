//! Counting letters: `How many times does e appear in cheese?` → `c0-h0-e1-e2-s2-e3. The letter e appears 3 times.`
//!
//! The answer is a walk over the word with a running count after each letter. Every step looks at little: the
//! next letter (as in spelling), whether it is the letter asked for, and the count two tokens back. The final number is
//! that after the last letter. Without the walk the count would have to come out of one forward pass.
//!
//! The same walk with a count that always grows answers how many letters a word has.

use mynah_base::Rng;

use super::spelling::dressed;
use super::template::expand_one;
use super::words::Lexicon;
use super::{Answer, Exchange};

/// Share of questions for the whole number of letters instead of one letter.
pub const LENGTH_SHARE: f64 = 0.15;

/// Share of questions for a letter that the word does not have; otherwise a letter drawn from the word (frequent ones
/// are drawn more often, so that counts of 2 and more are common).
const ABSENT_SHARE: f64 = 0.22;

const LETTER_QUESTIONS: &[&str] = &[
    "How many times does the letter {letter} appear in {word}?",
    "How many times does {letter} appear in {word}?",
    "How many times does {letter} occur in the word {word}?",
    "How many {letter} are in {word}?",
    "How many {letter} are there in {word}?",
    "How many letters {letter} are in the word {word}?",
    "Count the letter {letter} in {word}.",
    "How many times is the letter {letter} in {word}?",
    "How often does {letter} appear in the word {word}?",
    "How many {letter}'s are in {word}?",
    "How many {letter}'s are there in the word {word}?",
    "Count the {letter}'s in {word}.",
    "how many {letter} in {word}",
    "Count how many times {letter} appears in {word}.",
];

const LENGTH_QUESTIONS: &[&str] = &[
    "How many letters are in {word}?",
    "How many letters are there in the word {word}?",
    "How many letters does {word} have?",
    "How many letters does the word {word} have?",
    "Count the letters in {word}.",
    "How long is the word {word}?",
];

/// How often the letter occurs in the word.
pub fn occurrences(word: &str, letter: char) -> usize {
    word.chars().filter(|c| c.eq_ignore_ascii_case(&letter)).count()
}

/// `(cheese, e)` → `c0-h0-e1-e2-s2-e3`; without a letter every one counts.
pub fn walk(word: &str, letter: Option<char>) -> String {
    let mut out = String::with_capacity(word.len() * 4);
    let mut count = 0;
    for c in word.chars() {
        if letter.is_none_or(|letter| c.eq_ignore_ascii_case(&letter)) {
            count += 1;
        }
        if !out.is_empty() {
            out.push('-');
        }
        out.push(c);
        out.push_str(&count.to_string());
    }
    out
}

/// A letter to ask for: mostly one of the word.
pub fn letter_for(word: &str, rng: &mut Rng) -> char {
    if rng.chance(ABSENT_SHARE) {
        char::from(b'a' + rng.index(26) as u8)
    } else {
        // A doubled letter is worth asking for: half of the time take one that occurs again, if any does.
        let repeated: Vec<char> = word.chars().filter(|&c| occurrences(word, c) > 1).collect();
        let letters: Vec<char> = word.chars().collect();
        let again = !repeated.is_empty() && rng.chance(0.5);
        *rng.choose(if again { &repeated } else { &letters })
    }
}

/// A question about one letter of this word and its answer.
pub fn letter_exchange(word: &str, letter: char, rng: &mut Rng) -> Exchange {
    let (shown, answer) = dressed(word, rng);
    let letter_text = letter.to_string();
    let question = expand_one(LETTER_QUESTIONS, &[("word", &shown), ("letter", &letter_text)], rng);
    Exchange { question, answer: Answer::Text(letter_answer(&answer, letter)) }
}

/// A question about the number of letters of this word and its answer.
pub fn length_exchange(word: &str, rng: &mut Rng) -> Exchange {
    let (shown, answer) = dressed(word, rng);
    let question = expand_one(LENGTH_QUESTIONS, &[("word", &shown)], rng);
    Exchange { question, answer: Answer::Text(length_answer(&answer)) }
}

fn letter_answer(word: &str, letter: char) -> String {
    let count = occurrences(word, letter);
    let times = if count == 1 { "time" } else { "times" };
    format!("{}. The letter {letter} appears {count} {times}.", walk(word, Some(letter)))
}

fn length_answer(word: &str) -> String {
    format!("{}. The word has {} letters.", walk(word, None), word.chars().count())
}

/// A question of either kind about a training word.
pub fn exchange(lexicon: &Lexicon, rng: &mut Rng) -> Exchange {
    let word = lexicon.training_word(rng);
    if rng.chance(LENGTH_SHARE) {
        length_exchange(&word, rng)
    } else {
        let letter = letter_for(&word, rng);
        letter_exchange(&word, letter, rng)
    }
}

/// Plain text of counted words: question line, answer line.
pub fn document(lexicon: &Lexicon, rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..2 + rng.index(3) {
        let exchange = exchange(lexicon, rng);
        text.push_str(&exchange.question);
        text.push('\n');
        text.push_str(exchange.answer.shown());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_count_as_they_go() {
        let check = |word, letter, expect: &str| assert_eq!(walk(word, letter), expect);
        check("cheese", Some('e'), "c0-h0-e1-e2-s2-e3");
        check("fox", Some('q'), "f0-o0-x0");
        check("fox", None, "f1-o2-x3");
        assert_eq!(letter_answer("fox", 'o'), "f0-o1-x0. The letter o appears 1 time.".replace("x0", "x1"));
        assert_eq!(length_answer("fox"), "f1-o2-x3. The word has 3 letters.");
    }

    #[test]
    fn answers_are_spread_over_the_counts() {
        let lexicon = Lexicon::get();
        let mut rng = Rng::new(8);
        let mut seen = [0; 6];
        for _ in 0..10_000 {
            let word = lexicon.training_word(&mut rng);
            let letter = letter_for(&word, &mut rng);
            seen[occurrences(&word, letter).min(5)] += 1;
        }
        assert!(seen[0] > 1_000 && seen[1] > 3_000 && seen[2] > 2_000 && seen[3] > 100, "{seen:?}");
    }
}
