//! Which characters are letters, numbers and white space, as the regular expression engine sees it.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// Neither letter, number nor white space.
pub(crate) const OTHER: u8 = 0;
/// `\p{L}`
pub(crate) const LETTER: u8 = 1;
/// `\p{N}`
pub(crate) const NUMBER: u8 = 2;
/// `\s` without the next class.
pub(crate) const SPACE: u8 = 3;
/// `[\r\n]`
pub(crate) const NEWLINE: u8 = 4;
/// Not a class: a byte outside ASCII, whose character must be decoded first.
pub(crate) const WIDE: u8 = 5;

const CODE_POINTS: usize = 0x11_0000;

/// One class for every code point, read out of `regex-syntax`, so that the hand-written splitter and the
/// engine agree by construction. Filled once (about a millisecond); 1.1 MB, of which text touches little.
static CLASSES: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut classes = vec![OTHER; CODE_POINTS].into_boxed_slice();
    for (source, class) in [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE), (r"[\r\n]", NEWLINE)] {
        let parsed = regex_syntax::parse(source).expect("the four sources above are valid");
        let HirKind::Class(set) = parsed.kind() else { unreachable!("{source} is a class") };
        match set {
            Class::Unicode(set) => {
                for range in set.ranges() {
                    classes[range.start() as usize..=range.end() as usize].fill(class);
                }
            }
            Class::Bytes(set) => {
                for range in set.ranges() {
                    classes[usize::from(range.start())..=usize::from(range.end())].fill(class);
                }
            }
        }
    }
    classes
});

/// The class of every ASCII byte, and [`WIDE`] for the others.
pub(crate) static ASCII: [u8; 256] = ascii_classes();

const fn ascii_classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => NUMBER,
            b'\r' | b'\n' => NEWLINE,
            b' ' | b'\t' | 0x0B | 0x0C => SPACE,
            0x80.. => WIDE,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
}

/// The class and length in bytes of the character that begins at `at`. `text` must be valid UTF-8 and
/// `at` the start of a character outside ASCII; anything else gives some class, never a panic.
#[inline]
pub(crate) fn wide(text: &[u8], at: usize) -> (u8, usize) {
    let byte = |offset: usize| text.get(at + offset).map_or(0, |&b| u32::from(b));
    let first = byte(0);
    let tail = |offset: usize| byte(offset) & 0x3F;
    let (code, length) = if first < 0xE0 {
        (((first & 0x1F) << 6) | tail(1), 2)
    } else if first < 0xF0 {
        (((first & 0x0F) << 12) | (tail(1) << 6) | tail(2), 3)
    } else {
        (((first & 0x07) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3), 4)
    };
    (CLASSES.get(code as usize).copied().unwrap_or(OTHER), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ascii_table_is_the_unicode_table() {
        for byte in 0..128usize {
            assert_eq!(ASCII[byte], CLASSES[byte], "byte {byte}");
        }
    }

    #[test]
    fn every_character_has_the_class_of_the_engine() {
        let engines = [(r"^\p{L}$", LETTER), (r"^\p{N}$", NUMBER), (r"^[\s&&[^\r\n]]$", SPACE)];
        let engines = engines.map(|(source, class)| (fancy_regex::Regex::new(source).unwrap(), class));
        let mut buffer = [0u8; 4];
        for c in ('\u{80}'..=char::MAX).filter(|c| (*c as u32) < 0x3_2000 || (*c as u32).is_multiple_of(97)) {
            let text = c.encode_utf8(&mut buffer);
            let (class, length) = wide(text.as_bytes(), 0);
            assert_eq!(length, text.len(), "{c:?}");
            let expected = engines.iter().find(|(regex, _)| regex.is_match(text).unwrap());
            assert_eq!(class, expected.map_or(OTHER, |(_, class)| *class), "{c:?} U+{:04X}", c as u32);
        }
    }
}
