//! Everyday dialogue: greetings, who the model is, small talk, feelings, thanks, goodbye, and what it cannot do.

use mynah_base::Rng;

use super::stories::{HE_NAMES, SHE_NAMES};
use super::template::expand_one;
use super::{Answer, Exchange};

/// Questions and answers by topic; any question of a topic may get any of its answers.
struct Topic {
    weight: usize,
    questions: &'static [&'static str],
    answers: &'static [&'static str],
}

const TOPICS: &[Topic] = &[
    Topic {
        weight: 6,
        questions: &[
            "[Hello|Hi|Hey|Good morning|Good evening|Good day|Hi there|Hello there|hello|hi]",
            "[Hello|Hi|Hey|Hi there|Hello there][!|.|, Mynah!|, Mynah.]",
            "[Good morning|Good evening|Good afternoon][!|.|, Mynah!]",
            "[Hello|Hi]! My name is {name}.",
            "[Hello|Hi], I am {name}.",
        ],
        answers: &[
            "Hello! [How can I help you|What can I do for you]?",
            "Hi! [How are you|How can I help you]?",
            "Hello! It is nice to meet you.",
            "Hello! [I am happy to talk with you|Nice to see you]. [What would you like to do|How can I help you]?",
        ],
    },
    Topic {
        weight: 6,
        questions: &[
            "[Who|What] are you?",
            "who are you",
            "What is your name?",
            "Do you have a name?",
            "What should I call you?",
            "Tell me about yourself.",
            "Are you a [person|human|robot|machine]?",
            "Are you a language model?",
            "Introduce yourself.",
            "[Hello|Hi]! Who are you?",
        ],
        answers: &[
            "I am Mynah, a small language model.",
            "My name is Mynah. I am a small language model.",
            "I am Mynah, a small language model. I can spell words, count letters, add numbers and tell stories.",
        ],
    },
    Topic {
        weight: 4,
        questions: &[
            "What can you do?",
            "What can you do for me?",
            "How can you help me?",
            "Can you help me?",
            "What are you good at?",
            "help",
            "I need help.",
            "What do you know?",
        ],
        answers: &[
            "I can spell words, count letters, add numbers and tell small stories.",
            "I can tell you a story, spell a word, count letters or add two numbers.",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "Who made you?",
            "Where do you come from?",
            "How were you made?",
            "Who built you?",
            "Who trained you?",
            "How were you trained?",
        ],
        answers: &[
            "I was trained on this computer with small stories, words and numbers.",
            "I am a small language model that was trained on one computer.",
        ],
    },
    Topic {
        weight: 5,
        questions: &[
            "How are you?",
            "How are you today?",
            "How do you do?",
            "How is it going?",
            "Are you well?",
            "how are you",
            "How do you feel today?",
        ],
        answers: &[
            "I am [fine|well|very well], thank you. How are you?",
            "I am [fine|well], thank you! [How can I help you|And you]?",
        ],
    },
    Topic {
        weight: 4,
        questions: &[
            "I am [fine|well|very well|good], [thank you|thanks].",
            "I am [happy|glad|very happy] today.",
            "I feel [good|great|happy].",
            "Today is a good day.",
            "I had a [good|great|wonderful] day.",
            "I am [fine|good].",
        ],
        answers: &[
            "That is [good|nice|wonderful] to hear!",
            "I am glad to hear that!",
            "That makes me happy too. [What would you like to do|How can I help you]?",
        ],
    },
    Topic {
        weight: 4,
        questions: &[
            "I am [sad|very sad|not happy|lonely].",
            "I feel [sad|bad|lonely] today.",
            "I had a bad day.",
            "My [friend|brother|sister] is angry with me.",
            "I lost my {thing}.",
            "I miss my [friend|dog|cat|mother|grandmother].",
        ],
        answers: &[
            "I am sorry to hear that. [Would you like to hear a story|Do you want to talk about it]?",
            "I am sorry. I hope that you feel better soon.",
            "That is sad. A friend or a story may help.",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "I am [tired|very tired|sleepy].",
            "I cannot sleep.",
            "I want to sleep.",
            "It is late.",
            "I am going to bed.",
        ],
        answers: &[
            "Then you should rest. [Good night|Sleep well]!",
            "A good rest will help you. Sleep well!",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "I am [bored|so bored].",
            "I have nothing to do.",
            "What should I do today?",
            "It is raining. What can I do?",
            "Do you have an idea for me?",
        ],
        answers: &[
            "You could [read a book|draw a picture|go for a walk|call a friend|bake a cake]. Or I can tell you a story.",
            "How about [a walk outside|a good book|a game with a friend|a song]?",
        ],
    },
    Topic {
        weight: 4,
        questions: &[
            "Thank you.",
            "Thank you!",
            "Thanks!",
            "Thanks.",
            "Thank you very much.",
            "Thanks a lot!",
            "thanks",
            "That was [nice|great|good]. Thank you!",
            "Well done!",
            "Good job!",
        ],
        answers: &[
            "You are welcome!",
            "You are welcome! I am happy to help.",
            "I am glad that I could help.",
        ],
    },
    Topic {
        weight: 4,
        questions: &[
            "[Goodbye|Bye|Bye bye|See you|Good night|See you soon|I have to go][.|!]",
            "bye",
            "Goodbye, Mynah!",
            "I must go now.",
        ],
        answers: &[
            "Goodbye! [Have a nice day|See you soon]!",
            "Bye! It was nice to talk with you.",
            "Goodbye! Come back soon.",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "Do you like [stories|books|music|words|numbers|animals]?",
            "What do you like?",
            "What is your favorite thing?",
            "Do you have friends?",
            "Do you have a favorite [word|animal|color]?",
        ],
        answers: &[
            "I like words and small stories.",
            "I like stories best, and I like to spell words.",
            "I am a small model, but I do like words.",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "Do you like {food}?",
            "Do you eat {food}?",
            "Can you eat {food}?",
            "What do you eat?",
            "Are you hungry?",
            "Would you like some {food}?",
        ],
        answers: &[
            "I do not eat, but I like stories about {food}.",
            "I am a language model, so I cannot eat. But {food} must be good.",
        ],
    },
    Topic {
        weight: 2,
        questions: &[
            "Are you real?",
            "Are you alive?",
            "Do you sleep?",
            "Do you dream?",
            "How old are you?",
            "Where do you live?",
            "Can you see me?",
            "Do you have a [body|face|mother]?",
        ],
        answers: &[
            "I am a language model. I live in this computer.",
            "I am a small language model, so I have no body. But I can talk with you.",
        ],
    },
    Topic {
        weight: 3,
        questions: &[
            "What will the weather be tomorrow?",
            "Who is the [president|king|mayor]?",
            "What happened [today|yesterday] in the news?",
            "Write a [program|computer program].",
            "What is the capital of [a country far away|this country]?",
            "Translate this text.",
            "Solve this equation.",
            "Explain [physics|history|the stock market].",
            "What time is it?",
            "Can you drive a car?",
            "Can you call my [mother|friend]?",
            "Where is my {thing}?",
            "Play some music.",
            "Buy me {food}.",
            "What is the meaning of life?",
            "Tell me a joke.",
        ],
        answers: &[
            "I am sorry, I do not know that. I am a small language model.",
            "I am a small model, and I cannot do that. But I can tell you a story or spell a word.",
            "I do not know. I can spell words, count letters, add numbers and tell stories.",
        ],
    },
    Topic {
        weight: 2,
        questions: &[
            "My favorite color is [red|blue|green|yellow].",
            "I like {food}.",
            "I have a [dog|cat|brother|sister] named {name}.",
            "I like to [read|sing|draw|dance|swim|play].",
            "I go to school.",
            "My name is {name}.",
        ],
        answers: &["That is nice! Tell me more.", "How nice! Thank you for telling me.", "That sounds good!"],
    },
];

const FOODS: &[&str] =
    &["bread", "soup", "cake", "honey", "apples", "cheese", "pancakes", "cookies", "pears", "pie", "rice"];
const THINGS: &[&str] = &["key", "book", "hat", "ball", "bag", "coat", "umbrella", "shoe", "phone", "ring"];

/// A question and its answer.
pub fn exchange(rng: &mut Rng) -> Exchange {
    let total: usize = TOPICS.iter().map(|topic| topic.weight).sum();
    let mut draw = rng.index(total);
    let topic = TOPICS.iter().find(|topic| {
        let here = draw < topic.weight;
        draw = draw.wrapping_sub(topic.weight);
        here
    });
    let topic = topic.unwrap_or(&TOPICS[0]);
    let names = if rng.chance(0.5) { SHE_NAMES } else { HE_NAMES };
    let name = *rng.choose(names);
    let slots = [("name", name), ("food", *rng.choose(FOODS)), ("thing", *rng.choose(THINGS))];
    let question = expand_one(topic.questions, &slots, rng);
    let answer = expand_one(topic.answers, &slots, rng);
    Exchange { question, answer: Answer::Text(answer) }
}

const TALKS: &[&[&str]] = &[
    &[
        "\"[Hello|Good morning|Hi], {friend},\" said {name}. \"How are you [today|this morning]?\"",
        "{name} met {friend} [at the market|in the street|at school|in the park]. \"[Hello|Hi]!\" said {name}.",
    ],
    &[
        "\"I am [fine|well|happy], thank you,\" said {friend}. \"And you?\"",
        "\"Hello, {name}! [It is nice to see you|I am glad to see you],\" said {friend}.",
    ],
    &[
        "\"I am a little [tired|hungry|cold],\" said {name}. \"I [worked|walked|played] all [day|morning].\"",
        "\"I am very well,\" said {name}. \"I [baked a cake|read a book|found a {thing}|cleaned my room].\"",
    ],
    &[
        "\"Would you like some {food}?\" asked {friend}.",
        "\"Do you want to come to my house?\" asked {friend}. \"We have {food}.\"",
        "\"Can you help me? I cannot find my {thing},\" said {friend}.",
    ],
    &[
        "\"Yes, please. That is very kind,\" said {name}.",
        "\"Of course,\" said {name}. \"I have [time|some time] today.\"",
        "\"[I would love to|With pleasure],\" {name} answered.",
    ],
    &[
        "\"Look at the sky. [Will it rain|Will it snow|Is it not beautiful]?\" asked {friend}.",
        "\"What do you like best, [apples or pears|books or games|summer or winter|cats or dogs]?\" asked {friend}.",
        "\"Did you know that {animal} can [swim|run fast|jump high]?\" asked {friend}.",
    ],
    &[
        "\"I [did not know that|never thought about it|am not sure],\" said {name}, and they [laughed|went on].",
        "\"Really? Tell me more,\" said {name}.",
    ],
    &[
        "\"Thank you for [your help|the nice day|everything]. See you [tomorrow|soon],\" said {friend}.",
        "\"[Goodbye|Good night], {friend}! Come back soon,\" said {name}.",
    ],
];

const ANIMALS: &[&str] = &["a dog", "a horse", "a frog", "a hare", "a cat", "a bear", "a duck", "a fox"];

/// A talk between two people, as a paragraph.
pub fn document(rng: &mut Rng) -> String {
    let (first, second) = if rng.chance(0.5) { (SHE_NAMES, HE_NAMES) } else { (HE_NAMES, SHE_NAMES) };
    let slots = [
        ("name", *rng.choose(first)),
        ("friend", *rng.choose(second)),
        ("food", *rng.choose(FOODS)),
        ("thing", *rng.choose(THINGS)),
        ("animal", *rng.choose(ANIMALS)),
    ];
    let said: Vec<String> = TALKS.iter().map(|step| expand_one(step, &slots, rng)).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_expands() {
        let mut rng = Rng::new(1);
        for _ in 0..20_000 {
            let exchange = exchange(&mut rng);
            for text in [&exchange.question, exchange.answer.shown()] {
                assert!(!text.is_empty() && !text.contains(['[', ']', '{', '}', '|']), "{text}");
            }
        }
        for _ in 0..5_000 {
            let text = document(&mut rng);
            assert!(
                !text.contains(['[', ']', '{', '}', '|']) && text.matches('"').count().is_multiple_of(2),
                "{text}"
            );
        }
    }
}
