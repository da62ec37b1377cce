//! Reading JSON as it arrives: what is passed on was checked to be the beginning of an object.

/// Nested deeper, arguments are refused, as in [`is_object`](crate::fixes::is_object).
const DEPTH_MAX: usize = crate::fixes::DEPTH_MAX;

/// How far a JSON object was read.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The brackets that are open.
    open: Vec<Bracket>,
    expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Object,
    Array,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// After `[`.
    ValueOrEnd,
    Key,
    /// After `{`.
    KeyOrEnd,
    Colon,
    /// After a value: a comma or the closing bracket.
    CommaOrEnd,
    /// Inside a text; of a key, or of a value.
    Text {
        is_key: bool,
    },
    /// After a backslash.
    Escape {
        is_key: bool,
    },
    /// So many hexadecimal digits of an escape.
    Hex {
        is_key: bool,
        left: u8,
    },
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Number(Number),
    /// The object is whole.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    /// A zero: no digit may follow.
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Where reading a piece stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// At the end of the piece; the object goes on.
    End,
    /// After the object's last brace.
    Whole(usize),
    /// Before a byte that cannot stand there.
    Broken(usize),
}

impl Progress {
    /// Before an object.
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), expect: Expect::Value }
    }

    /// In an object, after the value of one of its members.
    pub(super) fn after_member() -> Self {
        Self { open: vec![Bracket::Object], expect: Expect::CommaOrEnd }
    }

    /// Reads on.
    pub(super) fn read(&mut self, text: &str) -> Reached {
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            if !self.take(byte) {
                return Reached::Broken(text.floor_char_boundary(at));
            }
            if self.expect == Expect::Nothing {
                return Reached::Whole(at + 1);
            }
        }
        Reached::End
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let next = match (self.expect, byte) {
            (Expect::Text { is_key: true }, b'"') => Expect::Colon,
            (Expect::Text { is_key: false }, b'"') => Expect::CommaOrEnd,
            (Expect::Text { is_key }, b'\\') => Expect::Escape { is_key },
            (text @ Expect::Text { .. }, 0x20..) => text,
            (Expect::Escape { is_key }, b'u') => Expect::Hex { is_key, left: 4 },
            (Expect::Escape { is_key }, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                Expect::Text { is_key }
            }
            (Expect::Hex { is_key, left }, byte) if byte.is_ascii_hexdigit() => {
                if left == 1 {
                    Expect::Text { is_key }
                } else {
                    Expect::Hex { is_key, left: left - 1 }
                }
            }
            (Expect::Word([wanted, rest @ ..]), byte) if byte == *wanted => {
                if rest.is_empty() {
                    Expect::CommaOrEnd
                } else {
                    Expect::Word(rest)
                }
            }
            (Expect::Number(state), byte) => match number(state, byte) {
                Some(state) => Expect::Number(state),
                None if is_whole(state) => {
                    self.expect = Expect::CommaOrEnd;
                    return self.take(byte);
                }
                None => return false,
            },
            (Expect::Text { .. } | Expect::Escape { .. } | Expect::Hex { .. } | Expect::Word(_), _) => {
                return false;
            }
            (expect, _) if is_space => expect,
            (Expect::Key | Expect::KeyOrEnd, b'"') => Expect::Text { is_key: true },
            (Expect::Colon, b':') => Expect::Value,
            (Expect::CommaOrEnd, b',') => match self.open.last() {
                Some(Bracket::Object) => Expect::Key,
                Some(Bracket::Array) => Expect::Value,
                None => return false,
            },
            (Expect::CommaOrEnd | Expect::KeyOrEnd, b'}') => return self.close(Bracket::Object),
            (Expect::CommaOrEnd | Expect::ValueOrEnd, b']') => return self.close(Bracket::Array),
            (Expect::Value | Expect::ValueOrEnd, b'{') => return self.begin(Bracket::Object),
            // Only an object is wanted at the outside.
            (Expect::Value | Expect::ValueOrEnd, _) if self.open.is_empty() => return false,
            (Expect::Value | Expect::ValueOrEnd, byte) => match byte {
                b'[' => return self.begin(Bracket::Array),
                b'"' => Expect::Text { is_key: false },
                b't' => Expect::Word(b"rue"),
                b'f' => Expect::Word(b"alse"),
                b'n' => Expect::Word(b"ull"),
                b'-' => Expect::Number(Number::Minus),
                b'0' => Expect::Number(Number::Zero),
                b'1'..=b'9' => Expect::Number(Number::Whole),
                _ => return false,
            },
            _ => return false,
        };
        self.expect = next;
        true
    }

    fn begin(&mut self, bracket: Bracket) -> bool {
        self.open.push(bracket);
        self.expect = if bracket == Bracket::Object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        self.open.len() <= DEPTH_MAX
    }

    fn close(&mut self, bracket: Bracket) -> bool {
        let is_right = self.open.pop() == Some(bracket);
        self.expect = if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
        is_right
    }
}

/// The state of a number after one more byte; nothing when the byte is none of a number's.
fn number(state: Number, byte: u8) -> Option<Number> {
    Some(match (state, byte) {
        (Number::Minus, b'0') => Number::Zero,
        (Number::Minus, b'1'..=b'9') => Number::Whole,
        (Number::Whole, b'0'..=b'9') => Number::Whole,
        (Number::Zero | Number::Whole, b'.') => Number::Point,
        (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
        (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::Exponent,
        (Number::Exponent, b'+' | b'-') => Number::ExponentSign,
        (Number::Exponent | Number::ExponentSign | Number::ExponentDigits, b'0'..=b'9') => {
            Number::ExponentDigits
        }
        _ => return None,
    })
}

fn is_whole(state: Number) -> bool {
    matches!(state, Number::Zero | Number::Whole | Number::Fraction | Number::ExponentDigits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text is read as by character, which has to be what the JSON reader makes of it whole.
    #[track_caller]
    fn check(text: &str, expect: Reached) {
        assert_eq!(Progress::new().read(text), expect, "{text}");
        let (mut progress, mut at) = (Progress::new(), 0);
        for piece in text.split_inclusive(|_| true) {
            match progress.read(piece) {
                Reached::End => at += piece.len(),
                Reached::Whole(end) => {
                    assert_eq!(Reached::Whole(at + end), expect, "{text}");
                    break;
                }
                Reached::Broken(end) => {
                    assert_eq!(Reached::Broken(at + end), expect, "{text}");
                    break;
                }
            }
        }
        let is_whole = matches!(expect, Reached::Whole(end) if end == text.len());
        assert_eq!(crate::fixes::is_object(text), is_whole, "{text}");
    }

    #[test]
    fn objects_are_read_to_their_end() {
        for text in [
            "{}",
            "{\"a\": 1}",
            "{ \"é\\u00e9\\\"}\": [ ], \"b\": [1, -0.5e+3, 0, {\"c\": [true, false, null]}, \"\"] }",
            "{\"a\":10,\"b\":1E9}",
        ] {
            check(text, Reached::Whole(text.len()));
        }
        check("{} x", Reached::Whole(2));
    }

    #[test]
    fn what_cannot_be_is_seen_at_once() {
        for (text, at) in [
            ("[1]", 0),
            ("\"a\"", 0),
            ("{a: 1}", 1),
            ("{\"a\": 01}", 7),
            ("{\"a\": 1.}", 8),
            ("{\"a\": 1,}", 8),
            ("{\"a\" 1}", 5),
            ("{\"a\": tru}", 9),
            ("{\"a\": [1}", 8),
            ("{\"a\": \"\n\"}", 7),
            ("{\"a\": \"\\x\"}", 8),
            ("{\"a\": \"\\u12é\"}", 11),
            ("{\"a\": é}", 6),
            ("{\"a\": .5}", 6),
        ] {
            check(text, Reached::Broken(at));
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(200), "]".repeat(200));
        check(&deep, Reached::Broken(6 + DEPTH_MAX - 1));
    }

    #[test]
    fn what_is_cut_goes_on() {
        for text in ["", "{", "{\"a", "{\"a\": ", "{\"a\": 1", "{\"a\": \"\\", "{\"a\": [", "{\"a\": nul"] {
            check(text, Reached::End);
        }
    }
}
