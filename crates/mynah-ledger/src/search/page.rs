//! Page tokens: where the next page begins, in the form of MLflow's server (base64 of `{"offset": n}`).

use crate::error::{Error, Result};
use crate::types::Page;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Tokens are short; a longer one is not ours.
const TOKEN_BYTES_MAX: usize = 200;

/// The part of the answers that a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Answers before it.
    pub offset: usize,
    /// Answers in it.
    pub max: usize,
}

impl Window {
    /// One more than fits: whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::try_from(self.max.saturating_add(1)).unwrap_or(i64::MAX)
    }

    /// For SQL.
    pub fn offset(&self) -> i64 {
        i64::try_from(self.offset).unwrap_or(i64::MAX)
    }

    /// The page out of all answers.
    pub fn cut<T>(&self, items: Vec<T>) -> Page<T> {
        let after = items.len() > self.offset.saturating_add(self.max);
        let items = items.into_iter().skip(self.offset).take(self.max).collect();
        Page { items, next_page_token: after.then(|| token(self.offset + self.max)) }
    }

    /// The page out of answers that begin with it, perhaps with one more.
    pub fn trim<T>(&self, mut items: Vec<T>) -> Page<T> {
        let after = items.len() > self.max;
        items.truncate(self.max);
        Page { items, next_page_token: after.then(|| token(self.offset + self.max)) }
    }
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_page_token: self.next_page_token }
    }
}

/// The window of a search, with its limit checked.
pub fn window(token: Option<&str>, max: usize, allowed_max: usize) -> Result<Window> {
    if !(1..=allowed_max).contains(&max) {
        return Err(Error::invalid(format!("a page has 1 to {allowed_max} results, not {max}")));
    }
    Ok(Window { offset: offset(token)?, max })
}

/// Where the page of a token begins; without one at the beginning.
pub fn offset(token: Option<&str>) -> Result<usize> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(0) };
    let parsed = (token.len() <= TOKEN_BYTES_MAX)
        .then(|| decode(token))
        .flatten()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|value| value["offset"].as_u64())
        .and_then(|offset| usize::try_from(offset).ok());
    parsed.ok_or_else(|| Error::invalid("the page token is not one; give back the one of the page before"))
}

fn token(offset: usize) -> String {
    encode(format!("{{\"offset\": {offset}}}").as_bytes())
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= group.len() { digit } else { '=' });
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for digit in digits {
        let value = ALPHABET.iter().position(|letter| letter == digit)?;
        word = (word << 6 | value as u32) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_mlflow() {
        assert_eq!(token(2), "eyJvZmZzZXQiOiAyfQ==");
        for at in [0, 1, 100, 99_999] {
            assert_eq!(offset(Some(&token(at))).unwrap(), at);
        }
        assert_eq!(offset(None).unwrap(), 0);
        for bad in ["x", "eyJvZmZzZXQi", "e30=", "!!!!", &"A".repeat(1_000)] {
            assert!(offset(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn windows_cut_pages() {
        let page = Window { offset: 2, max: 2 }.cut(vec![0, 1, 2, 3, 4]);
        assert_eq!(page.items, [2, 3]);
        assert_eq!(offset(page.next_page_token.as_deref()).unwrap(), 4);
        let page = Window { offset: 4, max: 2 }.cut(vec![0, 1, 2, 3, 4]);
        assert_eq!((page.items, page.next_page_token), (vec![4], None));
        assert!(window(None, 0, 10).is_err() && window(None, 11, 10).is_err());
    }
}
