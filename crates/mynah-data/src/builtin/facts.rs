//! Simple facts: opposites, colours, sounds, young animals, days, months, what things are for.

use mynah_base::Rng;

use super::template::expand;
use super::{Answer, Exchange};

const OPPOSITES: &[(&str, &str)] = &[
    ("big", "small"),
    ("hot", "cold"),
    ("day", "night"),
    ("up", "down"),
    ("left", "right"),
    ("old", "young"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("light", "dark"),
    ("open", "closed"),
    ("wet", "dry"),
    ("full", "empty"),
    ("long", "short"),
    ("high", "low"),
    ("hard", "soft"),
    ("loud", "quiet"),
    ("near", "far"),
    ("early", "late"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("good", "bad"),
    ("clean", "dirty"),
    ("thick", "thin"),
    ("sweet", "sour"),
    ("first", "last"),
    ("inside", "outside"),
    ("summer", "winter"),
];

const COLORS: &[(&str, &str)] = &[
    ("the sky", "blue"),
    ("grass", "green"),
    ("snow", "white"),
    ("the sun", "yellow"),
    ("a banana", "yellow"),
    ("a lemon", "yellow"),
    ("a tomato", "red"),
    ("a cherry", "red"),
    ("a carrot", "orange"),
    ("an elephant", "gray"),
    ("a crow", "black"),
    ("milk", "white"),
    ("a frog", "green"),
    ("the sea", "blue"),
    ("a plum", "purple"),
    ("chocolate", "brown"),
    ("a pig", "pink"),
    ("coal", "black"),
    ("a swan", "white"),
    ("a leaf", "green"),
];

const SOUNDS: &[(&str, &str)] = &[
    ("dog", "woof"),
    ("cat", "meow"),
    ("cow", "moo"),
    ("duck", "quack"),
    ("sheep", "baa"),
    ("pig", "oink"),
    ("horse", "neigh"),
    ("owl", "hoot"),
    ("bee", "buzz"),
    ("frog", "ribbit"),
    ("lion", "roar"),
    ("crow", "caw"),
    ("mouse", "squeak"),
    ("snake", "hiss"),
];

const YOUNG: &[(&str, &str)] = &[
    ("dog", "puppy"),
    ("cat", "kitten"),
    ("sheep", "lamb"),
    ("cow", "calf"),
    ("horse", "foal"),
    ("duck", "duckling"),
    ("hen", "chick"),
    ("bear", "cub"),
    ("goat", "kid"),
    ("pig", "piglet"),
    ("deer", "fawn"),
    ("goose", "gosling"),
    ("frog", "tadpole"),
    ("lion", "cub"),
];

const HOMES: &[(&str, &str)] = &[
    ("fish", "in water"),
    ("birds", "in nests"),
    ("bees", "in a hive"),
    ("bears", "in caves"),
    ("rabbits", "in holes in the ground"),
    ("cows", "on a farm"),
    ("spiders", "in webs"),
    ("foxes", "in dens"),
    ("ants", "in the ground"),
    ("penguins", "where it is very cold"),
    ("camels", "in the desert"),
    ("monkeys", "in the jungle"),
    ("whales", "in the sea"),
    ("ducks", "near ponds and lakes"),
];

const USES: &[(&str, &str)] = &[
    ("key", "open a door"),
    ("knife", "cut bread"),
    ("lamp", "make light"),
    ("umbrella", "stay dry in the rain"),
    ("spoon", "eat soup"),
    ("clock", "tell the time"),
    ("broom", "sweep the floor"),
    ("pencil", "write and draw"),
    ("hammer", "drive in a nail"),
    ("map", "find the way"),
    ("boat", "cross the water"),
    ("coat", "keep warm"),
    ("bed", "sleep"),
    ("oven", "bake bread"),
    ("net", "catch fish"),
    ("needle", "sew cloth"),
    ("ladder", "climb up high"),
    ("basket", "carry things"),
    ("brush", "paint or clean"),
    ("bell", "call people"),
];

const DAYS: &[&str] = &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const NUMBERS: &[&str] = &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

const SINGLE: &[(&str, &str)] = &[
    ("How many days are in a week?", "There are seven days in a week."),
    ("How many months are in a year?", "There are twelve months in a year."),
    ("How many legs does a dog have?", "A dog has four legs."),
    ("How many legs does a bird have?", "A bird has two legs."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("How many legs does an ant have?", "An ant has six legs."),
    ("What do bees make?", "Bees make honey."),
    ("What do cows give us?", "Cows give us milk."),
    ("What do hens lay?", "Hens lay eggs."),
    ("Where does the sun rise?", "The sun rises in the east."),
    ("Where does the sun set?", "The sun sets in the west."),
    ("What is ice?", "Ice is frozen water."),
    ("What falls from the clouds?", "Rain and snow fall from the clouds."),
    ("What do plants need?", "Plants need water and light."),
    ("What is bread made of?", "Bread is made of flour and water."),
    ("What shines at night?", "The moon and the stars shine at night."),
    ("What is a mynah?", "A mynah is a bird that can learn to speak."),
];

/// A question and its answer.
pub fn exchange(rng: &mut Rng) -> Exchange {
    let (question, answer) = match rng.index(9) {
        0 => {
            let (one, other) = *rng.choose(OPPOSITES);
            let (one, other) = if rng.chance(0.5) { (one, other) } else { (other, one) };
            ask(
                "[What is the opposite of|Tell me the opposite of] {x}",
                "The opposite of {x} is {y}.",
                one,
                other,
                rng,
            )
        }
        1 => {
            let (thing, color) = *rng.choose(COLORS);
            ask("What color is {x}", "{X} is {y}.", thing, color, rng)
        }
        2 => {
            let (animal, sound) = *rng.choose(SOUNDS);
            ask(
                "[What does {a x} say|What sound does {a x} make|How does {a x} sound]",
                "{A x} says {y}.",
                animal,
                sound,
                rng,
            )
        }
        3 => {
            let (animal, young) = *rng.choose(YOUNG);
            ask("What is a [young|baby] {x} called", "A young {x} is called {a y}.", animal, young, rng)
        }
        4 => {
            let (animals, home) = *rng.choose(HOMES);
            ask("Where do {x} live", "{X} live {y}.", animals, home, rng)
        }
        5 => {
            let (thing, used) = *rng.choose(USES);
            ask(
                "[What is {a x} for|What do you do with {a x}|What can you do with {a x}]",
                "You use {a x} to {y}.",
                thing,
                used,
                rng,
            )
        }
        6 => neighbor(if rng.chance(0.6) { DAYS } else { MONTHS }, rng),
        7 => {
            let at = rng.index(NUMBERS.len() - 1);
            ask("What number comes after {x}", "After {x} comes {y}.", NUMBERS[at], NUMBERS[at + 1], rng)
        }
        _ => {
            let (question, answer) = *rng.choose(SINGLE);
            (question.to_string(), answer.to_string())
        }
    };
    Exchange { question, answer: Answer::Text(answer) }
}

fn ask(question: &str, answer: &str, x: &str, y: &str, rng: &mut Rng) -> (String, String) {
    let slots = [("x", x), ("y", y)];
    let mut question = expand(question, &slots, rng);
    question.push_str(if question.starts_with("Tell") { "." } else { "?" });
    (question, expand(answer, &slots, rng))
}

fn neighbor(cycle: &[&str], rng: &mut Rng) -> (String, String) {
    let at = rng.index(cycle.len());
    let (here, next) = (cycle[at], cycle[(at + 1) % cycle.len()]);
    let kind = if cycle.len() == 7 { "day" } else { "month" };
    if rng.chance(0.6) {
        (format!("What {kind} comes after {here}?"), format!("After {here} comes {next}."))
    } else {
        (format!("What {kind} comes before {next}?"), format!("Before {next} comes {here}."))
    }
}

/// Facts as plain text: statements, or questions with answers.
pub fn document(rng: &mut Rng) -> String {
    let with_questions = rng.chance(0.5);
    let mut text = String::new();
    for _ in 0..4 + rng.index(8) {
        let exchange = exchange(rng);
        if with_questions {
            text.push_str(&exchange.question);
            text.push('\n');
        }
        text.push_str(exchange.answer.shown());
        text.push('\n');
    }
    if !with_questions && rng.chance(0.5) { text.trim_end().replace('\n', " ") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::template::{article, upper_first};
    use super::*;

    #[test]
    fn questions_end_and_answers_are_sentences() {
        let mut rng = Rng::new(1);
        for _ in 0..5_000 {
            let exchange = exchange(&mut rng);
            let (question, answer) = (&exchange.question, exchange.answer.shown());
            assert!(question.ends_with(['?', '.']) && answer.ends_with('.'), "{question} {answer}");
            assert!(
                !question.contains("??")
                    && *question == upper_first(question)
                    && *answer == upper_first(answer),
                "{question} {answer}"
            );
        }
        assert_eq!(article("oven"), "an");
    }
}
