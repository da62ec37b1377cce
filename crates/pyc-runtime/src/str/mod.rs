//! Strings: one, two or four bytes a code point, whichever is least, so that indexing is O(1). Lone surrogates
//! are code points like any other.

pub mod format;
mod methods;
mod methods2;
pub mod number_format;
pub mod percent;

use std::cell::Cell;
use std::rc::Rc;

use crate::containers::SliceData;
use crate::dict::Dict;
use crate::object::{Block, Kind, Payload, Value, new_object};
use crate::vm::{PyResult, Vm};

pub(crate) use methods::init;

/// The code points.
pub enum Data {
    /// All below 128.
    Ascii(Block<u8>),
    /// All below 256.
    Latin(Block<u8>),
    /// All below 65536.
    Two(Block<u16>),
    /// Any.
    Four(Block<u32>),
}

/// The payload of a string.
pub struct Str {
    data: Data,
    hash: Cell<u64>,
}

impl Payload for Str {
    const KIND: Kind = Kind::Str;
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of bytes: multiply and fold, eight at a time. The same on every machine.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let fold = |h: u64, word: u64| {
        let product = u128::from(h ^ word) * u128::from(MULTIPLIER);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut hash = 0x51_7c_c1_b7_27_22_0a_95 ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = fold(hash, u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(fold(hash, u64::from_le_bytes(rest)), MULTIPLIER)
}

impl Str {
    fn with(data: Data) -> Str {
        Str { data, hash: Cell::new(0) }
    }

    /// From text.
    pub fn new(text: &str) -> Str {
        if text.is_ascii() {
            return Str::with(Data::Ascii(Block::copy(text.as_bytes())));
        }
        Str::from_points(text.chars().map(u32::from).collect())
    }

    /// From ASCII bytes that the caller checked.
    pub fn from_ascii(bytes: Vec<u8>) -> Str {
        debug_assert!(bytes.is_ascii());
        Str::with(Data::Ascii(Block::copy(&bytes)))
    }

    /// From Latin-1 bytes.
    pub fn from_latin(bytes: Vec<u8>) -> Str {
        if bytes.is_ascii() {
            Str::with(Data::Ascii(Block::copy(&bytes)))
        } else {
            Str::with(Data::Latin(Block::copy(&bytes)))
        }
    }

    /// From code points.
    pub fn from_points(points: Vec<u32>) -> Str {
        let max = points.iter().copied().max().unwrap_or(0);
        Str::with(match max {
            0..128 => Data::Ascii(Block::collect(points.len(), points.iter().map(|c| *c as u8))),
            128..256 => Data::Latin(Block::collect(points.len(), points.iter().map(|c| *c as u8))),
            256..65536 => Data::Two(Block::collect(points.len(), points.iter().map(|c| *c as u16))),
            _ => Data::Four(Block::copy(&points)),
        })
    }

    /// The code points as stored.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// How many code points.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Ascii(b) | Data::Latin(b) => b.len(),
            Data::Two(b) => b.len(),
            Data::Four(b) => b.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The code point at an index within.
    #[inline]
    pub fn at(&self, index: usize) -> u32 {
        match &self.data {
            Data::Ascii(b) | Data::Latin(b) => u32::from(b[index]),
            Data::Two(b) => u32::from(b[index]),
            Data::Four(b) => b[index],
        }
    }

    /// The code points.
    pub fn points(&self) -> Box<dyn DoubleEndedIterator<Item = u32> + '_> {
        match &self.data {
            Data::Ascii(b) | Data::Latin(b) => Box::new(b.iter().map(|c| u32::from(*c))),
            Data::Two(b) => Box::new(b.iter().map(|c| u32::from(*c))),
            Data::Four(b) => Box::new(b.iter().copied()),
        }
    }

    /// The code points, copied.
    pub fn to_points(&self) -> Vec<u32> {
        match &self.data {
            Data::Ascii(b) | Data::Latin(b) => b.iter().map(|c| u32::from(*c)).collect(),
            Data::Two(b) => b.iter().map(|c| u32::from(*c)).collect(),
            Data::Four(b) => b.to_vec(),
        }
    }

    /// The text, when it is ASCII.
    #[inline]
    pub fn as_ascii(&self) -> Option<&str> {
        match &self.data {
            Data::Ascii(b) => std::str::from_utf8(b).ok(),
            _ => None,
        }
    }

    /// The bytes, when one byte holds each code point.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Ascii(b) | Data::Latin(b) => Some(b),
            _ => None,
        }
    }

    /// Whether all code points are below 128.
    pub fn is_ascii(&self) -> bool {
        matches!(self.data, Data::Ascii(_))
    }

    /// As Rust text; nothing when there are lone surrogates.
    pub fn to_text(&self) -> Option<String> {
        match &self.data {
            Data::Ascii(_) => self.as_ascii().map(str::to_string),
            _ => self.points().map(char::from_u32).collect(),
        }
    }

    /// As Rust text, lone surrogates written as escapes.
    pub fn to_lossy(&self) -> String {
        if let Some(ascii) = self.as_ascii() {
            return ascii.to_string();
        }
        let mut text = String::with_capacity(self.len());
        for point in self.points() {
            match char::from_u32(point) {
                Some(c) => text.push(c),
                None => text.push_str(&format!("\\u{point:04x}")),
            }
        }
        text
    }

    /// The hash of equal strings is equal.
    #[inline]
    pub fn hash(&self) -> u64 {
        let known = self.hash.get();
        if known != 0 {
            return known;
        }
        let hash = match &self.data {
            Data::Ascii(b) | Data::Latin(b) => hash_bytes(b),
            Data::Two(b) => hash_bytes(&b.iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<_>>()),
            Data::Four(b) => hash_bytes(&b.iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<_>>()),
        };
        // Shown as a signed number that is neither 0 (unknown here) nor -1 (an error in CPython).
        let hash = (hash & (u64::MAX >> 1)).max(1);
        self.hash.set(hash);
        hash
    }

    /// The hash of a string of ASCII characters with this text.
    pub(crate) fn hash_of(text: &str) -> u64 {
        (hash_bytes(text.as_bytes()) & (u64::MAX >> 1)).max(1)
    }

    /// Whether it consists of ASCII characters and has this text.
    #[inline]
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&self.data, Data::Ascii(bytes) if bytes[..] == *text.as_bytes())
    }

    /// Equality.
    #[inline]
    pub fn same(&self, other: &Str) -> bool {
        match (&self.data, &other.data) {
            (Data::Ascii(a), Data::Ascii(b)) | (Data::Latin(a), Data::Latin(b)) => a == b,
            (Data::Two(a), Data::Two(b)) => a == b,
            (Data::Four(a), Data::Four(b)) => a == b,
            _ => false,
        }
    }

    /// Order by code points.
    pub fn compare(&self, other: &Str) -> std::cmp::Ordering {
        match (self.as_bytes(), other.as_bytes()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => self.points().cmp(other.points()),
        }
    }

    /// The part `from..to`, which lies within.
    pub fn slice(&self, from: usize, to: usize) -> Str {
        match &self.data {
            Data::Ascii(b) => Str::with(Data::Ascii(Block::copy(&b[from..to]))),
            Data::Latin(b) => Str::from_latin(b[from..to].to_vec()),
            Data::Two(b) => Str::from_points(b[from..to].iter().map(|c| u32::from(*c)).collect()),
            Data::Four(b) => Str::from_points(b[from..to].to_vec()),
        }
    }

    /// Concatenation.
    pub fn join(parts: &[&Str]) -> Str {
        if let [first, second] = parts
            && let (Data::Ascii(a), Data::Ascii(b)) = (&first.data, &second.data)
        {
            return Str::with(Data::Ascii(Block::join(a, b)));
        }
        if parts.iter().all(|p| p.as_bytes().is_some()) {
            let ascii = parts.iter().all(|p| p.is_ascii());
            let bytes = Block::concat(parts.iter().map(|part| part.as_bytes().unwrap_or(&[])));
            return Str::with(if ascii { Data::Ascii(bytes) } else { Data::Latin(bytes) });
        }
        let mut points = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        for part in parts {
            points.extend(part.points());
        }
        Str::from_points(points)
    }

    /// Adds another string's text at the end, when both are stored alike; false when nothing was done.
    #[inline]
    pub fn append(&mut self, other: &Str) -> bool {
        match (&mut self.data, &other.data) {
            (Data::Ascii(a), Data::Ascii(b)) => a.extend(b),
            (Data::Two(a), Data::Two(b)) => a.extend(b),
            (Data::Four(a), Data::Four(b)) => a.extend(b),
            _ => return false,
        }
        self.hash.set(0);
        true
    }

    /// Whether another string is part of it.
    pub fn contains(&self, part: &Str) -> bool {
        match (self.as_bytes(), part.as_bytes()) {
            (Some(hay), Some([byte])) => memchr::memchr(*byte, hay).is_some(),
            _ => self.find(part, 0, self.len()).is_some(),
        }
    }

    /// First place of `needle` in `from..to` (code points).
    pub fn find(&self, needle: &Str, from: usize, to: usize) -> Option<usize> {
        if to < from || to - from < needle.len() {
            return None;
        }
        match (self.as_bytes(), needle.as_bytes()) {
            (Some(hay), Some(needle)) => memchr::memmem::find(&hay[from..to], needle).map(|at| at + from),
            (Some(_), None) => None,
            _ => {
                let (hay, needle) = (self.to_points(), needle.to_points());
                if needle.is_empty() {
                    return Some(from);
                }
                hay[from..to].windows(needle.len()).position(|w| w == needle).map(|at| at + from)
            }
        }
    }

    /// Last place of `needle` in `from..to`.
    pub fn rfind(&self, needle: &Str, from: usize, to: usize) -> Option<usize> {
        if to < from || to - from < needle.len() {
            return None;
        }
        match (self.as_bytes(), needle.as_bytes()) {
            (Some(hay), Some(needle)) => memchr::memmem::rfind(&hay[from..to], needle).map(|at| at + from),
            (Some(_), None) => None,
            _ => {
                let (hay, needle) = (self.to_points(), needle.to_points());
                if needle.is_empty() {
                    return Some(to);
                }
                hay[from..to].windows(needle.len()).rposition(|w| w == needle).map(|at| at + from)
            }
        }
    }
}

impl Vm {
    /// A string object.
    pub fn str(&self, text: &str) -> Value {
        match text.as_bytes() {
            [] => self.names.empty.clone(),
            [byte] if *byte < 128 => self.chars[usize::from(*byte)].clone(),
            _ => new_object(&self.types.str_, Str::new(text)),
        }
    }

    /// A string object around a payload.
    pub fn new_str(&self, payload: Str) -> Value {
        match payload.len() {
            0 => self.names.empty.clone(),
            1 if payload.at(0) < 128 => self.chars[payload.at(0) as usize].clone(),
            _ => new_object(&self.types.str_, payload),
        }
    }

    /// `text[slice]`
    ///
    /// # Errors
    /// TypeError and ValueError for wrong bounds.
    pub(crate) fn str_slice(&self, text: &Str, slice: &SliceData) -> PyResult {
        Ok(self.str_part(text, self.span(slice, text.len())?))
    }

    /// The text of a span.
    pub(crate) fn str_part(&self, text: &Str, span: crate::containers::Span) -> Value {
        if span.step == 1 {
            return self.new_str(text.slice(span.start as usize, span.start as usize + span.count));
        }
        self.new_str(Str::from_points(span.indices().map(|i| text.at(i)).collect()))
    }

    /// A string of one code point.
    #[inline]
    pub fn char_str(&self, point: u32) -> Value {
        match self.chars.get(point as usize) {
            Some(value) => value.clone(),
            None => new_object(&self.types.str_, Str::from_points(vec![point])),
        }
    }

    /// The interned string object of a text.
    pub fn intern(&self, text: &str) -> Value {
        intern_in(&mut self.interned.borrow_mut(), &self.types.str_, text)
    }

    /// The interned string equal to a string object.
    pub fn intern_value(&self, value: &Value) -> Value {
        if value.is_interned() {
            return value.clone();
        }
        match value.get::<Str>().and_then(Str::to_text) {
            Some(text) => self.intern(&text),
            None => value.clone(),
        }
    }

    /// The text of a string object, for messages.
    pub fn text(&self, value: &Value) -> Rc<str> {
        value.get::<Str>().map_or_else(|| "?".into(), |s| s.to_lossy().into())
    }
}

/// The string of a table of interned strings that has this text; made when there is none.
pub(crate) fn intern_in(table: &mut Dict, ty: &Value, text: &str) -> Value {
    if text.is_ascii() {
        let hash = Str::hash_of(text);
        if let Some(at) = table.find_text(hash, text) {
            return table.key_at(at).clone();
        }
        let value = new_object(ty, Str::new(text));
        value.mark_interned();
        table.push(hash, value.clone(), Value::NONE);
        return value;
    }
    let made = new_object(ty, Str::new(text));
    if let Some(at) = table.find_interned(&made) {
        return table.key_at(at).clone();
    }
    made.mark_interned();
    table.set_interned(&made, Value::NONE);
    made
}
