//! Ed25519 (RFC 8032).

use std::fmt;
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::files::{self, Role};
use super::{Sign, Verify};
use crate::digest::hex;
use crate::{Error, Result};

/// A secret Ed25519 key. Wiped when dropped; `Debug` shows the public half.
#[derive(Clone)]
pub struct Ed25519SigningKey(ed25519_dalek::SigningKey);

/// A public Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519VerifyingKey(ed25519_dalek::VerifyingKey);

impl Ed25519SigningKey {
    /// A new key from the random numbers of the operating system.
    ///
    /// # Errors
    /// `Io` when the system has none.
    pub fn generate() -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(secret.as_mut()).map_err(|e| {
            Error::new(crate::ErrorKind::Io, format!("the system gives no random bytes: {e}"))
        })?;
        Ok(Self::from_bytes(&secret))
    }

    /// The key with this 32-byte secret (the "private key" of RFC 8032).
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// A key from PKCS#8 PEM.
    ///
    /// # Errors
    /// `Key` when it is another kind of key or none, `Unsupported` when it is encrypted.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem);
        key.map(Self).map_err(|_| files::not_a("an Ed25519 secret key (PKCS#8)", pem))
    }

    /// The key as PKCS#8 PEM.
    ///
    /// # Errors
    /// None in practice; the encoder is fallible.
    pub fn to_pem(&self) -> Result<Zeroizing<String>> {
        // Without the public half, which is version 1 of the format: older OpenSSL refuses version 2.
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bytes.to_pkcs8_pem(LineEnding::LF).map_err(|e| Error::key(format!("cannot encode the key: {e}")))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// As [`Self::from_pem`]; `Io`; `Key` when others may read the file.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_pem(&files::read(path, Role::Secret)?).map_err(|e| e.in_file(path))
    }

    /// Reads a key file, or makes one with a new key where there is none. Processes that do so at once get
    /// the same key.
    ///
    /// # Errors
    /// As [`Self::load`] and [`Self::save`].
    pub fn load_or_create(path: &Path) -> Result<Self> {
        files::load_or_create(path, Self::load, || Self::generate()?.save(path))
    }

    /// Writes a new key file with mode 0600.
    ///
    /// # Errors
    /// `Key` when the file exists, `Io` when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::create(path, Role::Secret, &self.to_pem()?)
    }

    /// The public half.
    pub fn verifying_key(&self) -> Ed25519VerifyingKey {
        Ed25519VerifyingKey(self.0.verifying_key())
    }
}

impl Sign for Ed25519SigningKey {
    /// 64 bytes, the same for the same message.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}

impl fmt::Debug for Ed25519SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519SigningKey(of {:?})", self.verifying_key())
    }
}

impl Ed25519VerifyingKey {
    /// The key with these 32 bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// `Key` when they are no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes);
        key.map(Self).map_err(|_| Error::key(format!("{} is no Ed25519 public key", hex(bytes))))
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// A key from SPKI PEM.
    ///
    /// # Errors
    /// `Key` when it is another kind of key or none.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem);
        key.map(Self).map_err(|_| files::not_a("an Ed25519 public key (SPKI)", pem))
    }

    /// The key as SPKI PEM.
    ///
    /// # Errors
    /// None in practice; the encoder is fallible.
    pub fn to_pem(&self) -> Result<String> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|e| Error::key(format!("cannot encode the key: {e}")))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// As [`Self::from_pem`]; `Io`.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_pem(&files::read(path, Role::Public)?).map_err(|e| e.in_file(path))
    }

    /// Writes a new key file.
    ///
    /// # Errors
    /// `Key` when the file exists, `Io` when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::create(path, Role::Public, &self.to_pem()?)
    }
}

impl Verify for Ed25519VerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        // Strict: refuses keys of small order, for which one signature fits many messages.
        let checked = Signature::from_slice(signature).and_then(|s| self.0.verify_strict(message, &s));
        checked.map_err(|_| Error::signature(format!("not a signature by {self:?} over this content")))
    }
}

impl fmt::Debug for Ed25519VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex(self.0.as_bytes()))
    }
}
