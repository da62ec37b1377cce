//! Arithmetic with the calculator: `What is 47 + 35?` → call `47 + 35`, output `82`, answer `47 + 35 = 82.`
//!
//! The model has to carry two numbers into the call and the output into the answer; the adding is the tool's.
//! A number up to 99 is one token, so carrying over is copying, and plain text gives it many examples. Addition pairs are
//! held out by digest of the unordered pair, so `35 + 47` does not give away `47 + 35`.

use mynah_base::Rng;

use super::stories::{HE_NAMES, SHE_NAMES};
use super::template::{expand_one, upper_first};
use super::{Answer, Exchange};

/// Share of addition pairs that are held out, in percent.
const HELD_OUT_PERCENT: u32 = 10;

/// Share of subtraction and multiplication among the questions: the call is the same, the sign is copied.
const OTHER_SIGNS_SHARE: f64 = 0.15;

/// Share of word problems among additions.
const STORY_SHARE: f64 = 0.25;

const PLAIN: &[&str] = &[
    "What is {a} + {b}?",
    "What is {a} + {b}?",
    "Add {a} and {b}.",
    "What is {a} plus {b}?",
    "{a} + {b}",
    "{a} + {b} = ?",
    "{a}+{b}",
    "What is {a}+{b}?",
    "{a}+{b}=",
    "How much is {a} + {b}?",
    "Please add {a} and {b}.",
    "Calculate {a} + {b}.",
    "What do you get if you add {a} and {b}?",
    "Can you add {a} and {b}?",
    "What is the sum of {a} and {b}?",
    "How much is {a} plus {b}?",
    "{a} plus {b}",
];

const PROBLEMS: &[&str] = &[
    "{name} has {a} {things}. {He} gets {b} more. How many {things} does {he} have now?",
    "{name} finds {a} {things} and {friend} finds {b}. How many {things} do they have together?",
    "There are {a} {things} in a box and {b} in a bag. How many {things} are there?",
    "{name} had {a} {things}. {friend} gave {him} {b} more. How many are there now?",
    "In the morning {name} counted {a} {things}, and in the evening {b}. How many is that together?",
];

const THINGS: &[&str] = &[
    "apples", "shells", "stones", "books", "coins", "nuts", "eggs", "pears", "cards", "buttons", "stars",
    "berries", "flowers", "cookies", "pencils", "feathers", "keys", "balls", "stamps", "leaves", "fish",
    "birds", "cups",
];

const MINUS: &[&str] = &[
    "What is {a} - {b}?",
    "What is {a} minus {b}?",
    "Take {b} from {a}.",
    "Calculate {a} - {b}.",
    "{a} - {b}",
];
const TIMES: &[&str] = &[
    "What is {a} * {b}?",
    "What is {a} times {b}?",
    "Multiply {a} by {b}.",
    "Calculate {a} * {b}.",
    "{a} * {b}",
];

/// Whether this addition belongs to the held-out part; the order does not matter.
pub fn is_held_out(a: u32, b: u32) -> bool {
    let (low, high) = (a.min(b), a.max(b));
    let digest = blake3::hash(format!("{low}+{high}").as_bytes());
    let bytes = digest.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % 100 < HELD_OUT_PERCENT
}

/// Two two-digit numbers of the wanted part.
pub fn pair(held_out: bool, rng: &mut Rng) -> (u32, u32) {
    loop {
        let (a, b) = (10 + rng.below(90) as u32, 10 + rng.below(90) as u32);
        if is_held_out(a, b) == held_out {
            return (a, b);
        }
    }
}

/// An addition and its answer.
pub fn addition(a: u32, b: u32, rng: &mut Rng) -> Exchange {
    let question = if rng.chance(STORY_SHARE) { problem(a, b, rng) } else { plain(PLAIN, a, b, rng) };
    calculated(question, a, '+', b, a + b)
}

fn calculated(question: String, a: u32, sign: char, b: u32, result: u32) -> Exchange {
    let expression = format!("{a} {sign} {b}");
    let text = format!("{expression} = {result}.");
    Exchange { question, answer: Answer::Calculated { expression, result: result.to_string(), text } }
}

fn plain(templates: &[&str], a: u32, b: u32, rng: &mut Rng) -> String {
    let (a, b) = (a.to_string(), b.to_string());
    expand_one(templates, &[("a", &a), ("b", &b)], rng)
}

fn problem(a: u32, b: u32, rng: &mut Rng) -> String {
    let she = rng.chance(0.5);
    let (names, he, him) = if she { (SHE_NAMES, "she", "her") } else { (HE_NAMES, "he", "him") };
    let name = *rng.choose(names);
    let friend = *rng.choose(if she { HE_NAMES } else { SHE_NAMES });
    let (a, b) = (a.to_string(), b.to_string());
    let things = *rng.choose(THINGS);
    let slots = [
        ("name", name),
        ("friend", friend),
        ("he", he),
        ("him", him),
        ("things", things),
        ("a", &a),
        ("b", &b),
    ];
    upper_first(&expand_one(PROBLEMS, &slots, rng))
}

/// A training question: mostly addition of two-digit numbers, at times another sign.
pub fn exchange(rng: &mut Rng) -> Exchange {
    if !rng.chance(OTHER_SIGNS_SHARE) {
        let (a, b) = pair(false, rng);
        return addition(a, b, rng);
    }
    if rng.chance(0.5) {
        let (a, b) = (10 + rng.below(90) as u32, 10 + rng.below(90) as u32);
        let (a, b) = (a.max(b), a.min(b));
        calculated(plain(MINUS, a, b, rng), a, '-', b, a - b)
    } else {
        let (a, b) = (2 + rng.below(98) as u32, 2 + rng.below(9) as u32);
        calculated(plain(TIMES, a, b, rng), a, '*', b, a * b)
    }
}

/// Plain text of questions with their calculation.
pub fn document(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..2 + rng.index(5) {
        let exchange = exchange(rng);
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
    fn held_out_pairs_do_not_depend_on_the_order() {
        let held = (10..100).flat_map(|a| (10..100).map(move |b| (a, b))).filter(|&(a, b)| is_held_out(a, b));
        let held: Vec<_> = held.collect();
        assert!(held.iter().all(|&(a, b)| is_held_out(b, a)));
        assert!((600..1_000).contains(&held.len()), "{}", held.len());
    }

    #[test]
    fn answers_are_right() {
        let mut rng = Rng::new(1);
        for _ in 0..2_000 {
            let Answer::Calculated { expression, result, .. } = exchange(&mut rng).answer else { panic!() };
            let parts: Vec<&str> = expression.split(' ').collect();
            let (a, b): (i64, i64) = (parts[0].parse().unwrap(), parts[2].parse().unwrap());
            let expect = match parts[1] {
                "+" => a + b,
                "-" => a - b,
                _ => a * b,
            };
            assert_eq!(result, expect.to_string(), "{expression}");
        }
    }
}
