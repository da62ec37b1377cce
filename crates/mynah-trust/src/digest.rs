//! Content digests: BLAKE3 for our own addresses, SHA-256 where a format of others asks for it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use sha2::Digest as _;

use crate::{Error, Result};

/// A hash function with 32 bytes of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// BLAKE3, 256 bits, unkeyed: the ledger's content addresses.
    Blake3,
    /// SHA-256 (FIPS 180-4): RFC 6962, in-toto, model signing.
    Sha256,
}

impl Algorithm {
    /// The name in text forms: `blake3` or `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Blake3 => "blake3",
            Algorithm::Sha256 => "sha256",
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "blake3" => Ok(Algorithm::Blake3),
            "sha256" => Ok(Algorithm::Sha256),
            _ => Err(Error::unsupported(format!("digest algorithm {name:?}; known are blake3 and sha256"))),
        }
    }
}

/// The digest of some bytes, with the function that made it. Its text form is `blake3:` or `sha256:`
/// followed by 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl Digest {
    /// A digest from its parts, for instance out of a database.
    pub fn new(algorithm: Algorithm, bytes: [u8; 32]) -> Self {
        Self { algorithm, bytes }
    }

    /// The BLAKE3 digest of `data`.
    pub fn blake3(data: &[u8]) -> Self {
        Self::new(Algorithm::Blake3, *blake3::hash(data).as_bytes())
    }

    /// The SHA-256 digest of `data`.
    pub fn sha256(data: &[u8]) -> Self {
        Self::new(Algorithm::Sha256, sha2::Sha256::digest(data).into())
    }

    /// The digest of everything that can still be read, and how many bytes that was.
    ///
    /// # Errors
    /// When reading fails.
    pub fn of_reader(algorithm: Algorithm, reader: &mut impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; 1 << 17];
        let mut size_bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok((hasher.finish(), size_bytes)),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    size_bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of a file's content.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened or read.
    pub fn of_file(algorithm: Algorithm, path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io("open it", path, &e))?;
        Ok(Self::of_reader(algorithm, &mut file).map_err(|e| Error::io("read it", path, &e))?.0)
    }

    /// A digest from 64 hex digits of either case.
    ///
    /// # Errors
    /// `Format` when the text has another length or other characters.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self> {
        let bytes = bytes_of_hex(hex).ok_or_else(|| {
            Error::format(format!("a {} digest is 64 hex digits, not {hex:?}", algorithm.name()))
        })?;
        Ok(Self { algorithm, bytes })
    }

    /// The function that made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// 64 lower-case hex digits, without the algorithm.
    pub fn to_hex(&self) -> String {
        hex(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, digits) = text
            .split_once(':')
            .ok_or_else(|| Error::format(format!("a digest reads ALGORITHM:HEX, not {text:?}")))?;
        Self::from_hex(name.parse()?, digits)
    }
}

/// A digest in the making, for content that arrives in pieces. Also a [`Write`], so that it can stand at
/// the end of a copy.
#[derive(Clone)]
pub struct Hasher(State);

// BLAKE3 keeps two kilobytes of state; on the heap so that moving a hasher stays cheap.
#[derive(Clone)]
enum State {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
        })
    }

    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Blake3(hasher) => {
                hasher.update(data);
            }
            State::Sha256(hasher) => hasher.update(data),
        }
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Blake3(hasher) => Digest::new(Algorithm::Blake3, *hasher.finalize().as_bytes()),
            State::Sha256(hasher) => Digest::new(Algorithm::Sha256, hasher.finalize().into()),
        }
    }
}

impl Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    digits.map(char::from).collect()
}

/// Exactly N bytes from exactly 2 N hex digits.
pub(crate) fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8);
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    // FIPS 180-4 example "abc"; BLAKE3's test vectors (input length 0) and its reference for "abc".
    const SHA256_ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BLAKE3_NOTHING: &str = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn published_values() {
        assert_eq!(Digest::sha256(b"abc").to_string(), SHA256_ABC);
        assert_eq!(Digest::blake3(b"").to_string(), BLAKE3_NOTHING);
    }

    #[test]
    fn pieces_equal_the_whole() {
        let data: Vec<u8> = (0..300_000u32).map(|i| (i * 31 % 251) as u8).collect();
        for algorithm in [Algorithm::Blake3, Algorithm::Sha256] {
            let mut hasher = Hasher::new(algorithm);
            data.chunks(977).for_each(|piece| hasher.update(piece));
            let (streamed, size_bytes) = Digest::of_reader(algorithm, &mut data.as_slice()).unwrap();
            assert_eq!(size_bytes, 300_000);
            assert_eq!(hasher.finish(), streamed);
        }
        assert_ne!(Digest::blake3(&data), Digest::sha256(&data));
    }

    #[test]
    fn text_form_goes_both_ways() {
        for text in [SHA256_ABC, BLAKE3_NOTHING] {
            assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        }
        for (text, kind) in [
            ("ba78", ErrorKind::Format),
            ("sha256:ba78", ErrorKind::Format),
            ("md5:00", ErrorKind::Unsupported),
            (&SHA256_ABC.replace('a', "g"), ErrorKind::Unsupported),
            (&format!("sha256:{}", "é".repeat(32)), ErrorKind::Format),
            (&format!("sha256:{}", "+1".repeat(32)), ErrorKind::Format),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap_err().kind(), kind, "{text}");
        }
    }
}
