//! From the bytes of tokens to text as it may be shown: characters never split, stop texts never shown.
//!
//! A token is bytes, and a character or a stop text may begin in one token and end in a later one. So text
//! is held back while it could still become part of either, and not a byte longer.

/// Text of one row, as far as it may be shown.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    stops: Vec<String>,
    /// Bytes of a character whose rest has not come.
    bytes: Vec<u8>,
    /// Whole characters that may be the beginning of a stop text.
    held: String,
    stopped: Option<usize>,
    /// Whether a stop text is shown before the stream ends.
    include_stop: bool,
    /// Bytes of text given out so far.
    released_len: usize,
}

impl TextStream {
    /// A stream that ends before the first of these texts; empty ones are ignored.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), ..Self::default() }
    }

    /// A stream that ends after the first of these texts.
    pub fn including_stop(stops: &[String]) -> Self {
        Self { include_stop: true, ..Self::new(stops) }
    }

    /// How many bytes of text have been given out.
    pub fn released_len(&self) -> usize {
        self.released_len
    }

    /// How many bytes of text there will be at least when everything pushed so far is out: where the last
    /// token ends. A character whose rest has not come counts as one byte.
    pub fn pushed_len(&self) -> usize {
        self.released_len + self.held.len() + usize::from(!self.bytes.is_empty())
    }

    /// Takes the bytes of one token and gives the text that is now certain. After a stop text nothing
    /// more comes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped.is_some() {
            return String::new();
        }
        self.bytes.extend_from_slice(bytes);
        let text = take_characters(&mut self.bytes);
        self.held.push_str(&text);
        self.release(false)
    }

    /// Gives what was held back; an unfinished character becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        if self.stopped.is_some() {
            return String::new();
        }
        if !self.bytes.is_empty() {
            self.bytes.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        self.release(true)
    }

    /// The index of the stop text that ended the stream.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }

    fn release(&mut self, all: bool) -> String {
        let text = self.take_certain(all);
        self.released_len += text.len();
        text
    }

    fn take_certain(&mut self, all: bool) -> String {
        let found = self.stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty());
        let first =
            found.filter_map(|(index, stop)| self.held.find(stop.as_str()).map(|at| (at, index))).min();
        if let Some((at, index)) = first {
            self.stopped = Some(index);
            self.held.truncate(at + if self.include_stop { self.stops[index].len() } else { 0 });
            return std::mem::take(&mut self.held);
        }
        let certain = if all { self.held.len() } else { self.held.len() - self.unsure_len() };
        self.held.drain(..certain).collect()
    }

    /// The length of the longest end of the held text that begins a stop text.
    fn unsure_len(&self) -> usize {
        let ends = |stop: &str| {
            (1..stop.len().min(self.held.len() + 1)).rev().find(|&length| {
                stop.is_char_boundary(length) && self.held.as_bytes().ends_with(&stop.as_bytes()[..length])
            })
        };
        self.stops.iter().filter_map(|stop| ends(stop)).max().unwrap_or(0)
    }
}

/// Takes all whole characters off the front; bytes that can never become one become U+FFFD each run, as in
/// `String::from_utf8_lossy`.
fn take_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut used = 0;
    while used < bytes.len() {
        match std::str::from_utf8(&bytes[used..]) {
            Ok(rest) => {
                text.push_str(rest);
                used = bytes.len();
            }
            Err(error) => {
                let valid = &bytes[used..used + error.valid_up_to()];
                text.push_str(&String::from_utf8_lossy(valid));
                used += error.valid_up_to();
                // None: the last character is only unfinished, its rest may come.
                let Some(broken) = error.error_len() else { break };
                text.push(char::REPLACEMENT_CHARACTER);
                used += broken;
            }
        }
    }
    bytes.drain(..used);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mynah_base::Rng;

    fn run(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Option<usize>) {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let mut stream = TextStream::new(&stops);
        let mut shown: Vec<String> = pieces.iter().map(|piece| stream.push(piece)).collect();
        shown.push(stream.finish());
        (shown, stream.stopped())
    }

    fn check(stops: &[&str], pieces: &[&[u8]], expect: &[&str], stopped: Option<usize>) {
        assert_eq!(run(stops, pieces), (expect.iter().map(ToString::to_string).collect(), stopped));
    }

    #[test]
    fn characters_are_never_split() {
        check(&[], &["é".as_bytes()], &["é", ""], None);
        check(&[], &[b"a\xc3", b"\xa9b"], &["a", "éb", ""], None);
        check(&[], &[b"\xf0\x9f", b"\x90", b"\xa6!"], &["", "", "🐦!", ""], None);
        check(&[], &[b"\xf0\x9f", b"x"], &["", "\u{fffd}x", ""], None);
        check(&[], &[b"a\xc3"], &["a", "\u{fffd}"], None);
        check(&[], &[b"\xff\xfeok"], &["\u{fffd}\u{fffd}ok", ""], None);
    }

    #[test]
    fn stop_texts_are_found_across_tokens() {
        check(&["END"], &[b"one E", b"N", b"D two"], &["one ", "", "", ""], Some(0));
        check(&["END"], &[b"one E", b"N", b"O"], &["one ", "", "ENO", ""], None);
        check(&["END"], &[b"E", b"N"], &["", "", "EN"], None);
        check(&["x", "ab"], &[b"cab", b"x"], &["c", "", ""], Some(1));
        check(&["aab"], &[b"aa", b"a", b"b"], &["", "a", "", ""], Some(0));
        check(&["é"], &[b"a\xc3", b"\xa9b"], &["a", "", ""], Some(0));
        check(&[""], &[b"a"], &["a", ""], None);
    }

    #[test]
    fn a_stop_text_is_shown_when_asked_for() {
        let mut stream = TextStream::including_stop(&["END".to_string()]);
        assert_eq!(
            (stream.push(b"a E"), stream.released_len(), stream.pushed_len()),
            ("a ".to_string(), 2, 3)
        );
        assert_eq!(stream.push(b"NDx"), "END");
        assert_eq!((stream.stopped(), stream.released_len()), (Some(0), 5));
    }

    #[test]
    fn any_cut_of_a_text_shows_the_same() {
        let text = "naïve 🐦 says: the bird — STOP and STO";
        let mut rng = Rng::new(9);
        for stop in ["STOP", "🐦", "never", "—"] {
            let expect = text.split(stop).next().unwrap();
            for _ in 0..200 {
                let mut stream = TextStream::new(&[stop.to_string()]);
                let mut shown = String::new();
                let mut rest = text.as_bytes();
                while !rest.is_empty() {
                    let (piece, tail) = rest.split_at((1 + rng.index(5)).min(rest.len()));
                    shown.push_str(&stream.push(piece));
                    assert!(expect.starts_with(&shown), "{shown:?} shows more than {expect:?}");
                    rest = tail;
                }
                shown.push_str(&stream.finish());
                assert_eq!(shown, expect);
            }
        }
    }
}
