//! Small stories: a hero, a friend, a thing, a plot. Sixty to a hundred and fifty words each.
//!
//! The plots give the sentences; this file gives who and what, and sees to agreement (pronouns by the name's
//! gender, articles by sound). Ten plots of seven to nine steps with three to five tellings each, times names,
//! kinds, things, places: far above 10^15 stories, so none is met twice in training.

use mynah_base::Rng;

use super::plots::{BEGINNINGS, ENDINGS, MOODS, PLOTS};
use super::template::{article, expand, expand_one};

/// A story with what it is about.
pub struct Story {
    /// The hero's kind, as `fox`.
    pub kind: &'static str,
    /// The thing that the story turns on, as `lantern`.
    pub object: &'static str,
    /// The text: one paragraph.
    pub text: String,
}

/// Names for he and she.
pub const HE_NAMES: &[&str] = &[
    "Tom", "Ben", "Max", "Leo", "Sam", "Finn", "Oscar", "Hugo", "Felix", "Jack", "Milo", "Toby", "Pip",
    "Bruno", "Otto", "Noah", "Theo", "Luke", "Jasper", "Rusty", "Henry", "Arlo", "Dan", "Peter", "Carl",
    "Ned", "Will", "Adam",
];

/// See [`HE_NAMES`].
pub const SHE_NAMES: &[&str] = &[
    "Mia", "Lily", "Anna", "Emma", "Ruby", "Ella", "Nora", "Zoe", "Lucy", "Rosa", "Daisy", "Clara", "Maya",
    "Ivy", "Luna", "Bella", "Alice", "Tess", "Molly", "Hazel", "Kate", "Sara", "June", "Penny", "Greta",
    "Jane", "Eva", "Lola",
];

/// Kinds that can be he or she.
pub const KINDS: &[&str] = &[
    "fox", "hare", "bear", "mouse", "owl", "duck", "frog", "cat", "dog", "rabbit", "squirrel", "hedgehog",
    "pig", "goat", "sheep", "horse", "pony", "lion", "tiger", "elephant", "monkey", "turtle", "penguin",
    "robin", "crow", "goose", "hen", "badger", "otter", "beaver", "deer", "wolf", "mole", "dragon", "bee",
    "ant", "snail", "kitten", "puppy", "lamb", "cow", "donkey", "child", "baker", "farmer", "sailor",
    "painter", "giant",
];

/// Things that can be carried, lost, found, made and given.
pub const OBJECTS: &[&str] = &[
    "lantern",
    "kite",
    "drum",
    "bell",
    "basket",
    "book",
    "map",
    "hat",
    "scarf",
    "ball",
    "doll",
    "boat",
    "key",
    "flute",
    "ring",
    "box",
    "cup",
    "umbrella",
    "blanket",
    "lamp",
    "clock",
    "coat",
    "bag",
    "pillow",
    "spoon",
    "stone",
    "shell",
    "flag",
    "wagon",
    "teapot",
    "mirror",
    "button",
    "ribbon",
    "feather",
    "whistle",
    "puppet",
    "top",
    "crown",
    "necklace",
    "candle",
    "apple pie",
    "cake",
    "hammer",
    "net",
    "broom",
    "rope",
    "picture",
    "chair",
    "mask",
    "wheel",
    "star",
    "egg",
    "acorn",
    "jar",
    "rocket",
    "train",
    "bicycle",
    "violin",
    "guitar",
    "sled",
];

const ADJECTIVES: &[&str] = &[
    "small", "little", "big", "young", "old", "brave", "shy", "kind", "clever", "curious", "friendly",
    "funny", "happy", "quiet", "gentle", "lazy", "busy", "proud", "careful", "cheerful", "tall", "tiny",
    "fast", "polite", "honest", "hungry", "sleepy", "strong", "wise", "playful",
];

const OBJECT_ADJECTIVES: &[&str] = &[
    "small",
    "big",
    "old",
    "new",
    "shiny",
    "golden",
    "pretty",
    "beautiful",
    "wooden",
    "tiny",
    "round",
    "bright",
    "special",
    "strange",
    "lovely",
    "magic",
    "simple",
    "heavy",
    "soft",
    "warm",
    "fine",
    "wonderful",
];

const COLORS: &[&str] = &[
    "red", "blue", "green", "yellow", "white", "black", "orange", "pink", "purple", "brown", "gray", "silver",
];

const HOMES: &[&str] = &[
    "in a small house by the river",
    "in a hollow tree",
    "under an old oak",
    "near a quiet lake",
    "in a village on a hill",
    "at the edge of the forest",
    "on a farm with red barns",
    "in a tall tower by the sea",
    "in a garden full of roses",
    "behind the old mill",
    "on a green hill",
    "in a cozy cave",
    "near a big city",
    "in a little town",
    "on an island in the sea",
    "next to a bakery",
    "in the middle of a forest",
    "by a long road",
    "in a house with a blue door",
    "at the foot of a mountain",
    "near a wide field",
    "in a house made of stone",
];

const PLACES: &[&str] = &[
    "along the river",
    "through the forest",
    "over the hill",
    "across the field",
    "to the lake",
    "down the road",
    "to the old bridge",
    "through the village",
    "to the beach",
    "up the mountain",
    "through the tall grass",
    "to the market",
    "past the mill",
    "around the pond",
    "to the garden gate",
    "along the path",
];

const SPOTS: &[&str] = &[
    "under a bush",
    "behind a big stone",
    "under an old tree",
    "in the tall grass",
    "near the well",
    "by the gate",
    "on a bench",
    "next to the bridge",
    "in a hole in the ground",
    "between two rocks",
    "under a pile of leaves",
    "in the barn",
    "beside the pond",
    "behind the house",
    "at the top of the hill",
    "in a bird's nest",
    "near the fence",
    "on the stairs",
    "under the table",
    "in the snow",
];

/// Food of which one can eat some.
const FOODS: &[&str] = &[
    "bread",
    "soup",
    "cake",
    "honey",
    "apples",
    "berries",
    "cheese",
    "nuts",
    "pancakes",
    "cookies",
    "pears",
    "carrots",
    "pie",
    "jam",
    "cherries",
    "milk and bread",
    "potatoes",
    "rice",
    "plums",
    "toast",
];

/// Share of stories with a sentence about weather or mood after the beginning.
const MOOD_SHARE: f64 = 0.6;

/// All adjectives of stories.
pub fn adjectives() -> impl Iterator<Item = &'static str> {
    ADJECTIVES.iter().chain(OBJECT_ADJECTIVES).chain(COLORS).copied()
}

struct Being {
    name: &'static str,
    kind: &'static str,
    she: bool,
    adjective: &'static str,
}

impl Being {
    fn draw(kind: &'static str, rng: &mut Rng) -> Being {
        let she = rng.chance(0.5);
        let name = *rng.choose(if she { SHE_NAMES } else { HE_NAMES });
        Being { name, kind, she, adjective: rng.choose::<&str>(ADJECTIVES) }
    }

    /// he, him, his
    fn pronouns(&self) -> [&'static str; 3] {
        if self.she { ["she", "her", "her"] } else { ["he", "him", "his"] }
    }
}

/// A story about a hero and a thing drawn at random.
pub fn story(rng: &mut Rng) -> Story {
    let (kind, object) = (*rng.choose(KINDS), *rng.choose(OBJECTS));
    story_about(kind, object, rng)
}

/// A story about this hero and thing.
pub fn story_about(kind: &'static str, object: &'static str, rng: &mut Rng) -> Story {
    let hero = Being::draw(kind, rng);
    let friend = loop {
        let being = Being::draw(rng.choose::<&str>(KINDS), rng);
        if being.name != hero.name && being.kind != hero.kind {
            break being;
        }
    };
    let ([he, him, his], [friend_he, friend_him, friend_his]) = (hero.pronouns(), friend.pronouns());
    let slots = [
        ("name", hero.name),
        ("kind", kind),
        ("adj", hero.adjective),
        ("he", he),
        ("him", him),
        ("his", his),
        ("friend", friend.name),
        ("fkind", friend.kind),
        ("fadj", friend.adjective),
        ("fhe", friend_he),
        ("fhim", friend_him),
        ("fhis", friend_his),
        ("obj", object),
        ("oadj", *rng.choose(OBJECT_ADJECTIVES)),
        ("color", *rng.choose(COLORS)),
        ("home", *rng.choose(HOMES)),
        ("place", *rng.choose(PLACES)),
        ("spot", *rng.choose(SPOTS)),
        ("food", *rng.choose(FOODS)),
    ];
    let mut text = expand_one(BEGINNINGS, &slots, rng);
    let mut add = |templates: &[&str], rng: &mut Rng| {
        text.push(' ');
        text.push_str(&expand_one(templates, &slots, rng));
    };
    if rng.chance(MOOD_SHARE) {
        add(MOODS, rng);
    }
    for step in *rng.choose(PLOTS) {
        add(step, rng);
    }
    add(ENDINGS, rng);
    Story { kind, object, text }
}

/// A wish for a story, as people say it.
pub fn story_request(story: &Story, rng: &mut Rng) -> String {
    let (kind, object) = (story.kind, story.object);
    let (a_kind, an_object) = (format!("{} {kind}", article(kind)), format!("{} {object}", article(object)));
    let slots = [("kind", a_kind.as_str()), ("thing", an_object.as_str())];
    const BOTH: &str = "[Tell me a|Please tell me a|Write a|Can you tell me a] [story|short story|little story] about {kind} and {thing}[.|.|]";
    const ONE: &str = "[Tell me a|Please tell me a|Write a|Can you write a] [story|short story|little story] about {kind}[.|.|]";
    const NONE: &str = "[Tell me a story|Tell me a story, please|Please tell me a story|I would like to hear a story|Can you tell me a story|Write a small story][.|.|]";
    let draw = rng.uniform();
    let request = expand(
        if draw < 0.65 {
            BOTH
        } else if draw < 0.85 {
            ONE
        } else {
            NONE
        },
        &slots,
        rng,
    );
    if request.starts_with("Can") { request.trim_end_matches('.').to_string() + "?" } else { request }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_expands_and_stories_have_their_length() {
        let mut lengths = Vec::new();
        for seed in 0..5_000 {
            let story = story(&mut Rng::new(seed));
            assert!(!story.text.contains(['[', ']', '{', '}', '|']), "{}", story.text);
            assert!(story.text.contains(story.kind) && story.text.contains(story.object), "{}", story.text);
            lengths.push(story.text.split_whitespace().count());
        }
        let (least, most) = (lengths.iter().min().copied(), lengths.iter().max().copied());
        assert!(least >= Some(55) && most <= Some(190), "{least:?} {most:?}");
    }

    #[test]
    fn a_story_is_never_met_twice() {
        let texts: std::collections::HashSet<String> =
            (0..20_000).map(|s| story(&mut Rng::new(s)).text).collect();
        assert_eq!(texts.len(), 20_000);
    }
}
