//! ECDSA over NIST P-256 with SHA-256 (FIPS 186-5).

use std::fmt;
use std::path::Path;

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use zeroize::Zeroizing;

use super::files::{self, Role};
use super::{Sign, Verify};
use crate::{Digest, Error, Result};

/// A secret P-256 key. Wiped when dropped; `Debug` shows the public half.
#[derive(Clone)]
pub struct EcSigningKey(SigningKey);

/// A public P-256 key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EcVerifyingKey(VerifyingKey);

impl EcSigningKey {
    /// A new key from the random numbers of the operating system.
    pub fn generate() -> Self {
        Self(SigningKey::random(&mut OsRng))
    }

    /// A key from PEM: PKCS#8, or the older `EC PRIVATE KEY` (SEC1) that `openssl ecparam` writes.
    ///
    /// # Errors
    /// `Key` when it is another kind of key, another curve or none, `Unsupported` when it is encrypted.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = match files::label(pem) {
            // `openssl ecparam -genkey` writes the name of the curve before the key; that part says nothing.
            Some("EC PARAMETERS" | "EC PRIVATE KEY") => {
                let begin = pem.find("-----BEGIN EC PRIVATE KEY-----").unwrap_or(pem.len());
                p256::SecretKey::from_sec1_pem(&pem[begin..]).ok()
            }
            _ => p256::SecretKey::from_pkcs8_pem(pem).ok(),
        };
        key.map(|key| Self(key.into())).ok_or_else(|| files::not_a("an EC P-256 secret key (PKCS#8)", pem))
    }

    /// The key as PKCS#8 PEM.
    ///
    /// # Errors
    /// None in practice; the encoder is fallible.
    pub fn to_pem(&self) -> Result<Zeroizing<String>> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|e| Error::key(format!("cannot encode the key: {e}")))
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
        files::load_or_create(path, Self::load, || Self::generate().save(path))
    }

    /// Writes a new key file with mode 0600.
    ///
    /// # Errors
    /// `Key` when the file exists, `Io` when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::create(path, Role::Secret, &self.to_pem()?)
    }

    /// The public half.
    pub fn verifying_key(&self) -> EcVerifyingKey {
        EcVerifyingKey(*self.0.verifying_key())
    }
}

impl Sign for EcSigningKey {
    /// ASN.1 DER, the same for the same message (RFC 6979).
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

impl fmt::Debug for EcSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcSigningKey(of {:?})", self.verifying_key())
    }
}

impl EcVerifyingKey {
    /// A key from SPKI PEM.
    ///
    /// # Errors
    /// `Key` when it is another kind of key, another curve or none.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = VerifyingKey::from_public_key_pem(pem);
        key.map(Self).map_err(|_| files::not_a("an EC P-256 public key (SPKI)", pem))
    }

    /// The key as SPKI PEM.
    ///
    /// # Errors
    /// None in practice; the encoder is fallible.
    pub fn to_pem(&self) -> Result<String> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|e| Error::key(format!("cannot encode the key: {e}")))
    }

    /// The SHA-256 of [`Self::to_pem`]: how a Sigstore bundle of model signing names its key.
    ///
    /// # Errors
    /// As [`Self::to_pem`].
    pub fn fingerprint(&self) -> Result<Digest> {
        Ok(Digest::sha256(self.to_pem()?.as_bytes()))
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

impl Verify for EcVerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let checked = Signature::from_der(signature).and_then(|s| self.0.verify(message, &s));
        checked.map_err(|_| Error::signature(format!("not a signature by {self:?} over this content")))
    }
}

impl fmt::Debug for EcVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = self.0.to_encoded_point(true);
        write!(f, "p256:{}", crate::digest::hex(point.as_bytes()))
    }
}
