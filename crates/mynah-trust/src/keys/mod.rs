//! Keys, and the files they live in.
//!
//! Two kinds, each for what its formats ask for: Ed25519 signs checkpoints and events, EC P-256 (ECDSA with
//! SHA-256) signs models, because that is what OpenSSF Model Signing verifies. Secret keys are PKCS#8 PEM,
//! public keys SPKI PEM, so `openssl pkey -in FILE -text` reads them; unencrypted, like the keys of a
//! server: protect the file, or put it on a machine that does nothing else.

mod ec;
mod ed25519;
mod files;

use crate::Result;

pub use ec::{EcSigningKey, EcVerifyingKey};
pub use ed25519::{Ed25519SigningKey, Ed25519VerifyingKey};

/// Something that signs.
pub trait Sign {
    /// The signature over `message`, in the encoding that is usual for the kind of key.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// Something that checks signatures.
pub trait Verify {
    /// Checks a signature made by [`Sign::sign`] with the other half of the key.
    ///
    /// # Errors
    /// `Signature` when it is malformed or made by another key or over another message.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()>;
}
