//! The words that are spelled and counted: a list of everyday words with their inflections, split once and for
//! all into a training part and a held-out part, and invented words without end.
//!
//! The list is split by family (a base word and its inflections stay together, so that `gardens` in training does
//! not give away `garden`), by the digest of the base word, so the split is the same for every seed. A word that any
//! other template of the corpus can print is never held out: the templates' own source text is scanned for it.
//!
//! A few thousand words alone would be learned by heart. What has to be learned is how every *piece* of a word is
//! spelled, in every combination, and the pieces are those of the tokenizer: whole common words, their ends, and
//! short runs of letters. So most words in spelling text are invented, in three ways that each bring one sort of piece into
//! many combinations: two short words together (`rainlamp`), a word's end behind another beginning (`grunkey`), and a
//! letter chain of order 2 or 3 counted on the training words (`bardshean`).

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use mynah_base::Rng;

use super::drawn;

/// The share of word families that are held out, in percent: about 350 words, enough for a question set, and
/// few enough that the letter chain still sees every common piece.
const HELD_OUT_PERCENT: u32 = 6;

/// Where the words of spelling and counting text come from, by share. The words that stories print are the ones that
/// become whole tokens, so they are spelled more often than the rest of the list. Measured with vocabularies of 1,024 to
/// 4,096 on the pieces of held-out words: with these shares the rarest piece of 95% of the words is spelled
/// several times as often as with the letter chain alone.
const SOURCES: [(Source, f64); 5] = [
    (Source::List, 0.26),
    (Source::Printed, 0.14),
    (Source::Together, 0.16),
    (Source::OtherBeginning, 0.22),
    (Source::Chain, 0.22),
];

#[derive(Clone, Copy)]
enum Source {
    List,
    Printed,
    Together,
    OtherBeginning,
    Chain,
}

/// What an English word can begin with before its first vowel.
const BEGINNINGS: [&str; 42] = [
    "b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j", "k", "l",
    "m", "n", "p", "pl", "pr", "qu", "r", "s", "sc", "sh", "sl", "sm", "sn", "sp", "st", "str", "sw", "t",
    "th", "tr", "v", "w", "z",
];

/// Longest part of a word put together from two.
const PART_LETTERS_MAX: usize = 6;

/// Lengths of words in letters. Longer ones cost context and are rarely asked for.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=11;

/// Texts of every module whose templates print words; their words stay in the training part.
const TEMPLATES: [&str; 7] = [
    include_str!("stories.rs"),
    include_str!("plots.rs"),
    include_str!("dialogue.rs"),
    include_str!("facts.rs"),
    include_str!("spelling.rs"),
    include_str!("counting.rs"),
    include_str!("arithmetic.rs"),
];

/// The words and the letter chain.
pub struct Lexicon {
    /// Words that training text may use, sorted.
    pub train: Vec<String>,
    /// Words that no training text contains, sorted.
    pub held_out: Vec<String>,
    held_out_set: HashSet<String>,
    /// Words that the templates print, of the lengths that are spelled.
    printed: Vec<String>,
    /// Short words, printed ones and others, that words are put together from.
    short: Vec<String>,
    chain: Chain,
}

impl Lexicon {
    /// The one lexicon; built on first use (some milliseconds).
    pub fn get() -> &'static Lexicon {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(|| Lexicon::build(include_str!("words.txt")))
    }

    fn build(list: &str) -> Lexicon {
        let printed = words_of(&TEMPLATES.concat());
        let mut train = HashSet::new();
        let mut candidates = HashSet::new();
        for (base, forms) in families(list) {
            let held = held_out_family(&base) && forms.iter().all(|form| !printed.contains(form));
            let side = if held { &mut candidates } else { &mut train };
            side.extend(forms.into_iter().filter(|form| LENGTH.contains(&form.len())));
        }
        let mut held_out: Vec<String> = candidates.difference(&train).cloned().collect();
        let mut train: Vec<String> = train.into_iter().collect();
        held_out.sort_unstable();
        train.sort_unstable();
        let chain = Chain::count(&train);
        let mut printed: Vec<String> = words_of(&literals(&TEMPLATES.concat())).into_iter().collect();
        printed.retain(|word| LENGTH.contains(&word.len()) && !held_out.contains(word));
        printed.sort_unstable();
        let short =
            printed.iter().chain(&train).filter(|word| word.len() <= PART_LETTERS_MAX).cloned().collect();
        let held_out_set = held_out.iter().cloned().collect();
        Lexicon { held_out_set, train, held_out, printed, short, chain }
    }

    /// Whether the word (lower case) belongs to the held-out part.
    pub fn is_held_out(&self, word: &str) -> bool {
        self.held_out_set.contains(word)
    }

    /// A word for training text: real or invented, never held out.
    pub fn training_word(&self, rng: &mut Rng) -> String {
        loop {
            let word = match drawn(&SOURCES, rng) {
                Source::List => rng.choose(&self.train).clone(),
                Source::Printed => rng.choose(&self.printed).clone(),
                Source::Together => format!("{}{}", rng.choose(&self.short), rng.choose(&self.short)),
                Source::OtherBeginning => self.with_other_beginning(rng),
                Source::Chain => {
                    let order = 2 + rng.index(2);
                    self.chain.walk(order, rng)
                }
            };
            if LENGTH.contains(&word.len()) && !self.is_held_out(&word) {
                return word;
            }
        }
    }

    /// A held-out word.
    pub fn held_out_word(&self, rng: &mut Rng) -> String {
        rng.choose(&self.held_out).clone()
    }

    /// A training word's end from its first vowel on, behind a beginning of another word.
    fn with_other_beginning(&self, rng: &mut Rng) -> String {
        let word = rng.choose(&self.train);
        let vowel = word.find(['a', 'e', 'i', 'o', 'u', 'y']).unwrap_or(0);
        let beginning = *rng.choose(&BEGINNINGS);
        format!("{beginning}{}", &word[vowel..])
    }
}

/// The text of the string literals in source text, without the slots of templates. Literals of ours stand on one
/// line.
fn literals(source: &str) -> String {
    let mut found = String::new();
    for line in source.lines() {
        let line = line.replace("\\\"", " ").replace("'\"'", " ");
        for literal in line.split('"').skip(1).step_by(2) {
            let mut pieces = literal.split('{');
            found.push_str(pieces.next().unwrap_or(""));
            for piece in pieces {
                found.push(' ');
                found.push_str(piece.split_once('}').map_or(piece, |(_, after)| after));
            }
            found.push(' ');
        }
    }
    found
}

/// All runs of letters in a text, in lower case.
pub fn words_of(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn held_out_family(base: &str) -> bool {
    let digest = blake3::hash(base.as_bytes());
    let bytes = digest.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % 100 < HELD_OUT_PERCENT
}

/// Base words with all their forms (the base among them), from the list's format.
fn families(list: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (head, words) = line.split_once(": ").unwrap_or_else(|| panic!("no kind in {line:?}"));
        let forms = head.rsplit('/').next().unwrap_or("0");
        for word in words.split_whitespace() {
            let mut family = vec![word.to_string()];
            match forms {
                "n" => family.push(plural(word)),
                "v" => family.extend(verb_forms(word)),
                "a" => family.extend([stem(word) + "er", stem(word) + "est", word.to_string() + "ly"]),
                _ => {}
            }
            found.push((word.to_string(), family));
        }
    }
    found
}

/// The plural of a noun.
pub fn plural(noun: &str) -> String {
    const IRREGULAR: &[(&str, &str)] = &[
        ("goose", "geese"),
        ("mouse", "mice"),
        ("tooth", "teeth"),
        ("foot", "feet"),
        ("child", "children"),
        ("person", "people"),
        ("people", "people"),
        ("sheep", "sheep"),
        ("fish", "fish"),
        ("salmon", "salmon"),
        ("shrimp", "shrimp"),
        ("squid", "squid"),
        ("bison", "bison"),
        ("teeth", "teeth"),
        ("hero", "heroes"),
        ("potato", "potatoes"),
        ("tomato", "tomatoes"),
        ("volcano", "volcanoes"),
        ("knife", "knives"),
        ("wife", "wives"),
        ("leaf", "leaves"),
        ("calf", "calves"),
        ("shelf", "shelves"),
        ("scarf", "scarves"),
        ("bookshelf", "bookshelves"),
        ("hoof", "hooves"),
        ("thief", "thieves"),
        ("loaf", "loaves"),
        ("jellyfish", "jellyfish"),
        ("goldfish", "goldfish"),
        ("starfish", "starfish"),
        ("catfish", "catfish"),
        ("swordfish", "swordfish"),
        ("housefly", "houseflies"),
        ("buffalo", "buffaloes"),
        ("half", "halves"),
    ];
    if let Some((_, form)) = IRREGULAR.iter().find(|(base, _)| *base == noun) {
        return (*form).to_string();
    }
    match noun.strip_suffix("man") {
        Some(front) if !front.is_empty() => return format!("{front}men"),
        _ => {}
    }
    with_s(noun)
}

fn with_s(word: &str) -> String {
    let hissing =
        ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) && !word.ends_with("mach");
    match word.strip_suffix('y') {
        Some(front) if !ends_in_vowel(front) => format!("{front}ies"),
        _ if hissing || ["echo", "veto"].contains(&word) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

fn ends_in_vowel(word: &str) -> bool {
    word.ends_with(['a', 'e', 'i', 'o', 'u'])
}

/// -s, -ing and, where the verb is regular, -ed.
fn verb_forms(verb: &str) -> Vec<String> {
    const NO_ED: &[&str] = &[
        "hide", "sweep", "leave", "lend", "spin", "sink", "choose", "spread", "grow", "freeze", "forgive",
        "feed", "fly", "draw", "sell", "spell", "fit", "knit", "shake", "wake", "wear", "write", "read",
        "speak", "stick",
    ];
    let mut forms = vec![with_s(verb)];
    let base = stem(verb);
    forms.push(if let Some(front) = verb.strip_suffix("ie") {
        format!("{front}ying")
    } else if verb.ends_with("ee") || verb.ends_with("ye") {
        format!("{verb}ing")
    } else {
        format!("{}ing", if verb.ends_with('y') { verb } else { &base })
    });
    if !NO_ED.contains(&verb) {
        forms.push(base + "ed");
    }
    forms
}

/// What -ed, -er and -est are put on: `like` → `lik`, `carry` → `carri`, `stop` → `stopp`.
fn stem(word: &str) -> String {
    const DOUBLED: &[&str] = &["permit", "submit", "occur", "prefer", "refer", "regret", "admit", "program"];
    let bytes = word.as_bytes();
    let vowel = |at: usize| matches!(bytes[at], b'a' | b'e' | b'i' | b'o' | b'u');
    let last = bytes.len() - 1;
    if bytes[last] == b'e' {
        return word[..last].to_string();
    }
    if bytes[last] == b'y' && !vowel(last - 1) {
        return format!("{}i", &word[..last]);
    }
    let vowels = (0..bytes.len()).filter(|&at| vowel(at)).count();
    let closed = last >= 2 && !vowel(last) && vowel(last - 1) && !vowel(last - 2);
    if (closed && vowels == 1 && !matches!(bytes[last], b'w' | b'x' | b'y')) || DOUBLED.contains(&word) {
        return format!("{word}{}", char::from(bytes[last]));
    }
    word.to_string()
}

/// Letters that follow the last two or three letters of a word, as often as they do in the list. `^` begins a
/// word (three times) and `$` ends it.
struct Chain {
    next: HashMap<Vec<u8>, Vec<u8>>,
}

impl Chain {
    fn count(words: &[String]) -> Chain {
        let mut next: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for word in words {
            let padded = [b"^^^", word.as_bytes(), b"$"].concat();
            for at in 3..padded.len() {
                for order in [2, 3] {
                    next.entry(padded[at - order..at].to_vec()).or_default().push(padded[at]);
                }
            }
        }
        Chain { next }
    }

    fn walk(&self, order: usize, rng: &mut Rng) -> String {
        let mut word = b"^^^".to_vec();
        while word.len() < 3 + LENGTH.end() + 1 {
            let letter = *rng.choose(&self.next[&word[word.len() - order..]]);
            if letter == b'$' {
                break;
            }
            word.push(letter);
        }
        word[3..].iter().map(|&letter| char::from(letter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_are_english() {
        let check = |word: &str, expect: &[&str]| assert_eq!(verb_forms(word), expect, "{word}");
        check("carry", &["carries", "carrying", "carried"]);
        check("stop", &["stops", "stopping", "stopped"]);
        check("like", &["likes", "liking", "liked"]);
        check("tie", &["ties", "tying", "tied"]);
        check("enjoy", &["enjoys", "enjoying", "enjoyed"]);
        check("agree", &["agrees", "agreeing", "agreed"]);
        check("occur", &["occurs", "occurring", "occurred"]);
        check("visit", &["visits", "visiting", "visited"]);
        check("sweep", &["sweeps", "sweeping"]);
        let nouns = ["box", "cherry", "leaf", "snowman", "monkey", "goose", "branch", "woman"];
        let expect = ["boxes", "cherries", "leaves", "snowmen", "monkeys", "geese", "branches", "women"];
        assert_eq!(nouns.map(plural), expect);
    }

    #[test]
    fn the_two_parts_are_disjoint_and_large_enough() {
        let lexicon = Lexicon::get();
        assert!(lexicon.train.len() > 4_000, "{}", lexicon.train.len());
        assert!(lexicon.held_out.len() > 150, "{}", lexicon.held_out.len());
        assert!(lexicon.train.iter().all(|word| !lexicon.is_held_out(word)));
        assert!(lexicon.train.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn literals_are_cut_out_of_source_text() {
        let source = "let x = f(\"a {slot} fox\"); // no\nlet y = \"said \\\"yes\\\"\";";
        assert_eq!(literals(source).split_whitespace().collect::<Vec<_>>(), ["a", "fox", "said", "yes"]);
    }

    #[test]
    fn training_words_are_many_and_never_held_out() {
        let lexicon = Lexicon::get();
        let mut rng = Rng::new(5);
        let words: Vec<String> = (0..20_000).map(|_| lexicon.training_word(&mut rng)).collect();
        assert!(words.iter().all(|word| !lexicon.is_held_out(word) && LENGTH.contains(&word.len())));
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
        let distinct: HashSet<&String> = words.iter().collect();
        assert!(distinct.len() > 12_000, "{}", distinct.len());
    }
}
