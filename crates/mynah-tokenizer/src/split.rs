//! The hand-written splitters: what the named patterns match, without an engine.
//!
//! Each loop tries the alternatives of its pattern in order at the current place, as the engine does;
//! none of them can backtrack into an earlier one, which is what makes a single forward pass exact. ASCII
//! is decided by one table look-up a byte.

use crate::unicode::{ASCII, LETTER, NEWLINE, NUMBER, OTHER, SPACE, WIDE, wide};

/// The class and length in bytes of the character at `at`, which must lie inside the text.
#[inline(always)]
fn class_at(text: &[u8], at: usize) -> (u8, usize) {
    let class = ASCII[usize::from(text[at])];
    if class == WIDE { wide(text, at) } else { (class, 1) }
}

/// The end of the run of characters of `class` that begins at `at`.
#[inline(always)]
fn run_of(text: &[u8], mut at: usize, class: u8) -> usize {
    while at < text.len() {
        let byte_class = ASCII[usize::from(text[at])];
        if byte_class == class {
            at += 1;
        } else if byte_class == WIDE {
            match wide(text, at) {
                (found, length) if found == class => at += length,
                _ => break,
            }
        } else {
            break;
        }
    }
    at
}

/// A run of white space.
struct Space {
    end: usize,
    /// Where its last character begins.
    last: usize,
    /// The end of its last `\r` or `\n`; 0 if it has none.
    newline_end: usize,
}

#[inline(always)]
fn space_run(text: &[u8], start: usize) -> Space {
    let mut run = Space { end: start, last: start, newline_end: 0 };
    while run.end < text.len() {
        let (class, length) = class_at(text, run.end);
        if class != SPACE && class != NEWLINE {
            break;
        }
        run.last = run.end;
        run.end += length;
        if class == NEWLINE {
            run.newline_end = run.end;
        }
    }
    run
}

/// `\s+(?!\S)|\s+`: the run, less its last character when something else follows.
#[inline(always)]
fn space_chunk(text: &[u8], start: usize, run: &Space) -> usize {
    if run.end == text.len() || run.last == start { run.end } else { run.last }
}

/// The length of a contraction after the apostrophe at `at`, or 0: `[sdmt]|ll|ve|re`. With `fold`, upper
/// case counts too, and so does the long s (U+017F), which folds to `s`; nothing else outside ASCII does.
#[inline(always)]
fn contraction(text: &[u8], at: usize, fold: bool) -> usize {
    let letter = |offset: usize| {
        let byte = text.get(at + offset).copied().unwrap_or(0);
        if fold { byte.to_ascii_lowercase() } else { byte }
    };
    match (letter(1), letter(2)) {
        (b's' | b'd' | b'm' | b't', _) => 1,
        (b'l', b'l') | (b'v', b'e') | (b'r', b'e') => 2,
        (0xC5, 0xBF) if fold => 2,
        _ => 0,
    }
}

/// `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]++[\r\n]*|`
/// `\s*[\r\n]|\s+(?!\S)|\s+`, with `\s++$` before the third last when `trailing`.
#[inline(always)]
pub(crate) fn gpt4(text: &str, digits: usize, trailing: bool, mut chunk: impl FnMut(usize, usize)) {
    let text = text.as_bytes();
    let mut start = 0;
    while start < text.len() {
        let (class, length) = class_at(text, start);
        let next = start + length;
        let end = if class == LETTER {
            run_of(text, next, LETTER)
        } else if class == NUMBER {
            numbers(text, next, digits)
        } else if class == NEWLINE {
            spaces(text, start, trailing)
        } else {
            let apostrophe = if text[start] == b'\'' { contraction(text, start, true) } else { 0 };
            if apostrophe > 0 {
                next + apostrophe
            } else {
                let following = if next < text.len() { class_at(text, next).0 } else { NEWLINE };
                if following == LETTER {
                    run_of(text, next, LETTER)
                } else if class == OTHER || (text[start] == b' ' && following == OTHER) {
                    run_of(text, run_of(text, next, OTHER), NEWLINE)
                } else {
                    spaces(text, start, trailing)
                }
            }
        };
        chunk(start, end);
        start = end;
    }
}

/// The end of a number whose first digit ends at `at`.
#[inline(always)]
fn numbers(text: &[u8], mut at: usize, digits: usize) -> usize {
    for _ in 1..digits {
        if at == text.len() {
            break;
        }
        let (class, length) = class_at(text, at);
        if class != NUMBER {
            break;
        }
        at += length;
    }
    at
}

/// The white-space alternatives of GPT-4's pattern.
#[inline(always)]
fn spaces(text: &[u8], start: usize, trailing: bool) -> usize {
    let run = space_run(text, start);
    if trailing && run.end == text.len() {
        run.end
    } else if run.newline_end > 0 {
        run.newline_end
    } else {
        space_chunk(text, start, &run)
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
#[inline(always)]
pub(crate) fn gpt2(text: &str, mut chunk: impl FnMut(usize, usize)) {
    let text = text.as_bytes();
    let mut start = 0;
    while start < text.len() {
        let (class, length) = class_at(text, start);
        let next = start + length;
        let apostrophe = if text[start] == b'\'' { contraction(text, start, false) } else { 0 };
        let following = if text[start] == b' ' && next < text.len() { class_at(text, next).0 } else { SPACE };
        let end = if apostrophe > 0 {
            next + apostrophe
        } else if matches!(class, LETTER | NUMBER | OTHER) {
            run_of(text, next, class)
        } else if matches!(following, LETTER | NUMBER | OTHER) {
            run_of(text, next, following)
        } else {
            space_chunk(text, start, &space_run(text, start))
        };
        chunk(start, end);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use mynah_base::Rng;

    use crate::pattern::{self, Pattern};

    /// Pieces that meet each other's edges in every alternative of the patterns.
    const PIECES: &[&str] = &[
        "a",
        "B",
        "word",
        " word",
        "'",
        "'s",
        "'S",
        "'ſ",
        "'K",
        "'ll",
        "'LL",
        "'lL",
        "'l",
        "'ve",
        "'re",
        "'d",
        "'M",
        "'t",
        "'\u{212A}",
        "1",
        "12",
        "123",
        "1234567",
        "٣٤",
        "½",
        "Ⅷ",
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        " \n",
        "\n ",
        "\u{a0}",
        "\u{2003}",
        "\u{85}",
        "\u{2028}",
        "\u{3000}",
        "\u{b}",
        "\u{c}",
        "\0",
        "\u{1c}",
        "\u{200b}",
        "!",
        "...",
        " ?!",
        "!\n",
        "#\r\n",
        "é",
        "e\u{301}",
        "ß",
        "中文",
        " 中",
        "日本語",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "\u{fe0f}",
        "İ",
        "ﬆ",
        "नमस्ते",
        "\u{10ffff}",
        "\u{fffd}",
        "_",
        "-",
        "’s",
        "ǅ",
    ];

    /// By hand and by engine, for every spelling of every known pattern. Compiled once: that is slow.
    static PAIRS: LazyLock<Vec<(Pattern, Pattern)>> = LazyLock::new(|| {
        let pair = |source| (pattern::custom(source).unwrap(), pattern::engine(source).unwrap());
        let mut pairs: Vec<_> = pattern::known_sources().map(pair).collect();
        pairs.extend(pattern::TAILED.iter().copied().map(pair));
        pairs
    });

    #[test]
    fn patterns_of_the_usual_form_do_not_backtrack() {
        for source in pattern::TAILED {
            assert!(pattern::custom(source).unwrap().is_tailed(), "{source}");
        }
        for source in [r"\w+|\W", r"(\w|\s+(?!\S)|\s+)", r"\w*|\s+(?!\S)|\s+", r"a(?=b)|\s+(?!\S)|\s+"] {
            assert!(!pattern::custom(source).unwrap().is_tailed(), "{source}");
        }
    }

    fn check(text: &str) {
        for (by_hand, by_engine) in PAIRS.iter() {
            let source = by_engine.source();
            assert_eq!(by_hand.split(text), by_engine.split(text), "\npattern {source}\ntext {text:?}");
        }
    }

    #[test]
    fn agrees_with_the_engine_on_chosen_texts() {
        check("");
        for first in PIECES {
            check(first);
            for second in PIECES {
                check(&format!("{first}{second}"));
            }
        }
    }

    #[test]
    fn agrees_with_the_engine_on_fuzzed_text() {
        for seed in 0..3_000 {
            let mut rng = Rng::new(seed);
            let length = rng.index(24);
            let mut text = String::new();
            for _ in 0..length {
                if rng.chance(0.9) {
                    text.push_str(rng.choose::<&str>(PIECES));
                } else {
                    text.push(char::from_u32(rng.below(0x11_0000) as u32).unwrap_or('x'));
                }
            }
            check(&text);
        }
    }

    #[test]
    fn a_safe_cut_changes_no_chunk() {
        let mut cuts = 0;
        for seed in 0..3_000 {
            let mut rng = Rng::new(seed);
            let text: String =
                (0..40).map(|_| *rng.choose(&['a', 'B', '1', '\n', '\n', '\r', ' ', '.', '\''])).collect();
            for (pattern, _) in PAIRS.iter() {
                let source = pattern.source();
                let cut = pattern.safe_cut(&text, rng.index(text.len()));
                let mut parts = pattern.split(&text[..cut]);
                parts.extend(pattern.split(&text[cut..]));
                assert_eq!(parts, pattern.split(&text), "{source} {text:?} at {cut}");
                cuts += usize::from(cut < text.len());
            }
        }
        assert!(cuts > 5_000, "only {cuts} cuts inside the text");
    }
}
