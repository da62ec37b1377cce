//! 32 bytes of BLAKE3: the name of a chunk, a tensor's content, a version, a plan.

use std::fmt;
use std::str::FromStr;

use mynah_trust::{Algorithm, Digest};

use crate::{Error, Result};

/// A BLAKE3 digest. Its text form is `blake3:` and 64 hex digits, as everywhere in the product.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        self.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first 8 bytes as a number: a sort key that is unique in all but staged cases.
    pub(crate) fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::new(Algorithm::Blake3, self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digest: Digest = text.parse()?;
        match digest.algorithm() {
            Algorithm::Blake3 => Ok(Self(*digest.as_bytes())),
            other => Err(Error::unsupported(format!("a version is named by blake3, not {}", other.name()))),
        }
    }
}
