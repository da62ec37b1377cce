//! Canonical bytes: fixed-width little-endian numbers, texts after their length. Reading is bounded by what is
//! there; no length in the input makes anything larger than the input.

use crate::{Error, Hash, Result};

/// What is being read, and how far.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, count: usize, field: &str) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.malformed(format!(
                "is cut short: {field} takes {count} bytes and {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, field)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &str) -> Result<u8> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(crate) fn u16(&mut self, field: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn hash(&mut self, field: &str) -> Result<Hash> {
        Ok(Hash(self.array(field)?))
    }

    pub(crate) fn flag(&mut self, field: &str) -> Result<bool> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.malformed(format!("says {other} for {field}, which is 0 or 1"))),
        }
    }

    pub(crate) fn option<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.flag(field)? { read(self, field).map(Some) } else { Ok(None) }
    }

    /// A text of at most `bytes_max` bytes, without control characters: it will be shown to people.
    pub(crate) fn text(&mut self, bytes_max: usize, field: &str) -> Result<String> {
        let length = usize::from(self.u16(field)?);
        if length > bytes_max {
            return Err(
                self.malformed(format!("has {field} of {length} bytes; {bytes_max} at most are allowed"))
            );
        }
        let bytes = self.bytes(length, field)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.malformed(format!("has {field} that is not UTF-8")))?;
        check_text(text).map_err(|e| self.malformed(format!("has {field} with {e}")))?;
        Ok(text.to_string())
    }

    /// A byte string after its 32-bit length, at most `bytes_max`.
    pub(crate) fn blob(&mut self, bytes_max: usize, field: &str) -> Result<&'a [u8]> {
        let length = self.u32(field)? as usize;
        if length > bytes_max {
            return Err(
                self.malformed(format!("has {field} of {length} bytes; {bytes_max} at most are allowed"))
            );
        }
        self.bytes(length, field)
    }

    pub(crate) fn end(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.malformed(format!("goes on for {left} bytes after its end"))),
        }
    }

    pub(crate) fn malformed(&self, problem: impl AsRef<str>) -> Error {
        Error::format(format!("{} {}", self.what, problem.as_ref()))
    }
}

/// A name that is shown to people may not steer their terminals.
pub(crate) fn check_text(text: &str) -> std::result::Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("the control character {:?}", c)),
        None => Ok(()),
    }
}

/// The writing half.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn hash(&mut self, hash: &Hash) {
        self.0.extend(hash.0);
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Texts are checked to be short where they come in.
    pub(crate) fn text(&mut self, text: &str) {
        let length = text.floor_char_boundary(usize::from(u16::MAX));
        self.u16(length as u16);
        self.0.extend(&text.as_bytes()[..length]);
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
    }
}
