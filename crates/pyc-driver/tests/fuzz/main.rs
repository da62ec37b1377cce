//! Generated programs: every way of running one gives the same, and no text brings the front end down.
//!
//! `cargo run --release -p pyc-driver --example fuzz -- --count 100000 --python python3.13` compares many more with
//! an installed CPython.

mod grammar;

use std::time::Duration;

use grammar::{Seed, in_function, program};
use pyc_driver::{Capabilities, Limits, Options, Outcome, run_captured};

/// Counts, for the limit on memory.
#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

const PROGRAMS: u64 = 2_000;
const MUTANTS: usize = 4_000;

fn run(text: &str) -> Outcome {
    let mut limits = Limits::default();
    limits.time = Some(Duration::from_secs(20));
    limits.memory_bytes = Some(512 << 20);
    let options = Options { capabilities: Capabilities::default(), limits, ..Options::default() };
    run_captured(text, "case.py", options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_program_does_the_same_at_module_level_and_in_a_function() {
    let mut shown = 0;
    for number in 0..PROGRAMS {
        let text = program(&mut Seed::new(number));
        let plain = run(&text);
        let inside = run(&in_function(&text));
        // A deleted variable is a NameError outside and an UnboundLocalError inside: such programs are left out.
        if [&plain, &inside]
            .iter()
            .any(|o| o.output.contains("NameError") || o.output.contains("UnboundLocal"))
        {
            continue;
        }
        // Functions inside are called by their longer names in messages.
        let output = inside.output.replace("main.<locals>.", "");
        assert_eq!(plain.output, output, "program {number}:\n{text}");
        assert_eq!((plain.exit, inside.exit), (0, 0), "program {number}: {}\n{text}", plain.errors);
        shown += plain.output.lines().count();
    }
    // The programs must have something to say, or the comparison is worth nothing.
    assert!(shown > PROGRAMS as usize * 4, "{shown} lines");
}

#[test]
fn no_text_brings_the_front_end_down() {
    let worker = std::thread::Builder::new().stack_size(256 << 20).spawn(|| {
        let mut seed = Seed::new(7);
        let mut accepted = 0;
        for number in 0..MUTANTS {
            let text = mutate(&program(&mut Seed::new(number as u64 % 200)), &mut seed);
            let source = pyc_front::Source::new("case.py", text);
            let lowered =
                pyc_front::parse(source, pyc_front::Mode::Module).and_then(|m| pyc_lower::lower(&m));
            accepted += usize::from(lowered.is_ok());
        }
        accepted
    });
    let accepted = worker.expect("a thread starts").join().expect("the front end stands");
    assert!(accepted > 0 && accepted < MUTANTS, "{accepted} of {MUTANTS} are still programs");
}

/// A few changes of characters, words and lines.
fn mutate(text: &str, seed: &mut Seed) -> String {
    const PIECES: &[&str] = &[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "=",
        "'",
        "\"",
        "f'{",
        "\\",
        "\n",
        "    ",
        "\t",
        "*",
        "**",
        "async ",
        "await ",
        "yield ",
        "lambda",
        "é",
        "\u{0}",
        "0x",
        "1e",
        "...",
        ";",
        "@",
        "match ",
        "case ",
        "import ",
        "from ",
        "global a",
        "nonlocal a",
        "return",
        "break",
        "->",
        ":=",
        "'''",
        "del ",
        "with ",
        "else:",
        "except:",
        "b'\\x",
    ];
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..1 + seed.below(4) {
        let at = seed.below(text.len().max(1));
        match seed.below(4) {
            0 => {
                text.drain(at..(at + 1 + seed.below(6)).min(text.len()));
            }
            1 => {
                let piece: Vec<char> = PIECES[seed.below(PIECES.len())].chars().collect();
                text.splice(at..at, piece);
            }
            2 => {
                let piece: Vec<char> = text[at..(at + 1 + seed.below(20)).min(text.len())].to_vec();
                let to = seed.below(text.len().max(1));
                text.splice(to..to, piece);
            }
            _ => {
                let to = seed.below(text.len().max(1));
                text.swap(at, to);
            }
        }
        if text.is_empty() {
            break;
        }
    }
    text.into_iter().collect()
}
