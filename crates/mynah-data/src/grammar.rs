//! Is a small story grammatical? A checker by rules, for stories in the style of the built-in corpus.
//!
//! Each rule catches what small models get wrong (a sentence without an end, `a owl`, a word twice, quotes that do not
//! close, the same sentence again) and what would fool the others: a salad of known words has pairs of neighbours that no
//! story has. Names, animals, things and adjectives count as one class each there, so new combinations are
//! welcome.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use mynah_base::Rng;

use crate::builtin::stories::{self, HE_NAMES, KINDS, OBJECTS, SHE_NAMES};
use crate::builtin::template::article;

/// Words that a small story has.
const WORDS: std::ops::RangeInclusive<usize> = 30..=250;

/// Least share of neighbouring words that have to be neighbours in some story of the reference.
const PAIRS_SHARE_MIN: f64 = 0.93;

/// Stories whose pairs of words are the reference.
const REFERENCE_STORIES: u64 = 6_000;

/// What the checker found.
#[derive(Clone, Debug, PartialEq)]
pub struct StoryReport {
    /// Number of words.
    pub words: usize,
    /// Share of neighbouring words, by class, that are neighbours in the reference too.
    pub pairs_share: f64,
    /// What is wrong, each in a few words; empty for a grammatical story.
    pub faults: Vec<String>,
}

impl StoryReport {
    /// Whether nothing is wrong.
    pub fn is_grammatical(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Checks a story.
pub fn check_story(text: &str) -> StoryReport {
    let text = text.trim();
    let mut faults = Vec::new();
    let tokens = tokens(text);
    let words: Vec<&str> = tokens.iter().copied().filter(|token| is_word(token)).collect();
    if !WORDS.contains(&words.len()) {
        faults.push(format!("{} words", words.len()));
    }
    if !text.starts_with(|c: char| c.is_uppercase() || c == '"') {
        faults.push("the beginning is not that of a sentence".to_string());
    }
    if !text.ends_with(['.', '!', '?', '"']) || text.ends_with(",\"") {
        faults.push("the last sentence does not end".to_string());
    }
    if text.matches('"').count() % 2 == 1 {
        faults.push("a quote does not close".to_string());
    }
    for pair in tokens.windows(2) {
        let (one, two) = (pair[0], pair[1]);
        if is_word(one) && one.eq_ignore_ascii_case(two) && !matches!(one, "looked" | "Knock") {
            faults.push(format!("\"{one} {two}\""));
        }
        if matches!(one, "a" | "A" | "an" | "An") && is_word(two) && !one.eq_ignore_ascii_case(article(two)) {
            faults.push(format!("\"{one} {two}\""));
        }
        if matches!(one, "." | "!" | "?") && two.starts_with(|c: char| c.is_lowercase()) {
            faults.push(format!("a sentence begins with \"{two}\""));
        }
    }
    let mut sentences = HashSet::new();
    for sentence in text.split_inclusive(['.', '!', '?']).map(|part| part.trim_matches(['"', ' '])) {
        if sentence.split(' ').count() > 3 && !sentences.insert(sentence) {
            faults.push(format!("\"{sentence}\" twice"));
        }
    }
    let known = reference();
    let pairs = tokens.windows(2).filter(|pair| known.contains(&(class(pair[0]), class(pair[1])))).count();
    let pairs_share = pairs as f64 / tokens.len().saturating_sub(1).max(1) as f64;
    if pairs_share < PAIRS_SHARE_MIN {
        faults.push(format!("only {:.0}% of neighbouring words go together", pairs_share * 100.0));
    }
    StoryReport { words: words.len(), pairs_share, faults }
}

/// The share of stories that are grammatical; 0 of none.
pub fn grammatical_share(stories: &[impl AsRef<str>]) -> f64 {
    let good = stories.iter().filter(|story| check_story(story.as_ref()).is_grammatical()).count();
    good as f64 / stories.len().max(1) as f64
}

/// Words (with apostrophes) and signs, one by one.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() || c == '\'' {
            start.get_or_insert(at);
            continue;
        }
        if let Some(start) = start.take() {
            found.push(&text[start..at]);
        }
        if !c.is_whitespace() {
            found.push(&text[at..at + c.len_utf8()]);
        }
    }
    found.extend(start.map(|start| &text[start..]));
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(char::is_alphanumeric)
}

/// A word's class: names, kinds, things and adjectives stand for each other, other words for themselves.
fn class(token: &str) -> String {
    if HE_NAMES.contains(&token) || SHE_NAMES.contains(&token) {
        return "#name".to_string();
    }
    let word = token.to_lowercase();
    classes().get(word.as_str()).map_or(word, |class| (*class).to_string())
}

fn classes() -> &'static HashMap<&'static str, &'static str> {
    static CLASSES: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let things = KINDS.iter().chain(OBJECTS).flat_map(|entry| entry.split(' '));
        let adjectives = stories::adjectives().map(|word| (word, "#adjective"));
        let articles = [("a", "#article"), ("an", "#article")];
        adjectives.chain(things.map(|word| (word, "#thing"))).chain(articles).collect()
    })
}

fn reference() -> &'static HashSet<(String, String)> {
    static PAIRS: OnceLock<HashSet<(String, String)>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let mut pairs = HashSet::new();
        for seed in 0..REFERENCE_STORIES {
            let story = stories::story(&mut Rng::for_item(0x5709, seed));
            let classes: Vec<String> = tokens(&story.text).into_iter().map(class).collect();
            for pair in classes.windows(2) {
                if !pairs.contains(&(pair[0].clone(), pair[1].clone())) {
                    pairs.insert((pair[0].clone(), pair[1].clone()));
                }
            }
        }
        pairs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u64) -> Vec<String> {
        (0..count).map(|seed| stories::story(&mut Rng::for_item(1, seed)).text).collect()
    }

    #[test]
    fn our_own_stories_are_grammatical() {
        for story in sample(500) {
            let report = check_story(&story);
            assert!(report.is_grammatical(), "{report:?}\n{story}");
        }
    }

    #[test]
    fn each_rule_catches_its_mistake() {
        let check = |spoil: &dyn Fn(&str) -> String, what: &str| {
            let mut caught = 0;
            for story in sample(100) {
                let spoiled = spoil(&story);
                if spoiled != story {
                    let report = check_story(&spoiled);
                    assert!(!report.is_grammatical(), "{what} passes:\n{spoiled}");
                    caught += 1;
                }
            }
            assert!(caught >= 10, "{what} was tried {caught} times");
        };
        check(&|s| s.replacen('"', "", 1), "a lost quote");
        check(&|s| s.replacen(" the ", " the the ", 1), "a doubled word");
        check(
            &|s| s[..s.len() * 2 / 3].trim_end_matches(['.', '"', '!', '?', ' ']).to_string() + " and",
            "a cut end",
        );
        check(&|s| s.replacen(" an ", " a ", 1), "a wrong article");
        check(&|s| s.to_lowercase(), "lower case");
        check(
            &|s| "The old mill was gone. ".repeat(12).trim().to_string() + &s[..0],
            "one sentence again and again",
        );
        check(
            &|s| {
                let mut words: Vec<&str> = s.split(' ').collect();
                Rng::new(1).shuffle(&mut words);
                words.join(" ")
            },
            "word salad",
        );
        check(&|s| s.chars().rev().collect(), "letters backwards");
        check(&|_| "Hello.".to_string(), "too short a text");
        check(&|_| String::new(), "nothing");
    }

    #[test]
    fn shares_count_stories() {
        let mut stories = sample(3);
        stories.push("no".to_string());
        assert_eq!(grammatical_share(&stories), 0.75);
        let none: [&str; 0] = [];
        assert_eq!(grammatical_share(&none), 0.0);
    }
}
