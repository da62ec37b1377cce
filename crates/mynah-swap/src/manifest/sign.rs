//! Signatures over a manifest: ours (Ed25519 over the head, in a DSSE envelope), and an OpenSSF Model Signing
//! bundle that the tools of others verify.

use mynah_trust::dsse::Envelope;
use mynah_trust::keys::{EcSigningKey, EcVerifyingKey, Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::model_signing::{self, Method, Resource};
use mynah_trust::{Algorithm, Digest};

use super::Manifest;
use crate::{Error, Result};

/// The type of the signed head inside its DSSE envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.mynah.weights.manifest";

/// The file's name in an OpenSSF bundle: a folder that holds only the manifest under this name verifies with
/// `python -m model_signing verify key`.
pub const OPENSSF_PATH: &str = "weights.manifest";

impl Manifest {
    /// The signature file: a DSSE envelope (JSON) around the head, which names every byte through its root.
    pub fn sign(&self, key: &Ed25519SigningKey) -> String {
        let mut envelope = Envelope::new(PAYLOAD_TYPE, self.head_bytes());
        envelope.sign(key, format!("{:?}", key.verifying_key()));
        envelope.to_json().to_string()
    }

    /// Checks that this key signed this manifest.
    ///
    /// # Errors
    /// `Format` when the envelope is malformed, `Signature` when it is not by this key, `Mismatch` when it signs
    /// another version.
    pub fn verify(&self, envelope: &[u8], key: &Ed25519VerifyingKey) -> Result<()> {
        let envelope = Envelope::parse(envelope)?;
        if envelope.verify(PAYLOAD_TYPE, key)? != self.head_bytes() {
            return Err(Error::mismatch(format!(
                "the signature is over another version than {}",
                self.digest().short()
            )));
        }
        Ok(())
    }
}

/// An OpenSSF Model Signing bundle (Sigstore JSON) over the manifest's canonical bytes, signed with EC P-256
/// because that is what its verifiers know.
///
/// # Errors
/// None in practice; encoding the public key is fallible.
pub fn openssf_bundle(manifest: &Manifest, key: &EcSigningKey) -> Result<String> {
    let resource = Resource {
        path: OPENSSF_PATH.to_string(),
        range_bytes: None,
        digest: Digest::sha256(&manifest.to_bytes()),
    };
    let signed = model_signing::Manifest {
        model_name: manifest.head().model.clone(),
        method: Method::Files,
        algorithm: Algorithm::Sha256,
        ignore_paths: Vec::new(),
        resources: vec![resource],
    };
    Ok(model_signing::sign_manifest(&signed, key)?)
}

/// Checks an OpenSSF bundle over a manifest: one of [`openssf_bundle`], or of a whole folder that holds the
/// manifest as a file.
///
/// # Errors
/// `Signature` when the bundle is not by this key, `Mismatch` when it does not name this manifest.
pub fn openssf_verify(manifest: &Manifest, bundle: &[u8], key: &EcVerifyingKey) -> Result<()> {
    let signed = model_signing::verify_bundle(bundle, key)?;
    let bytes = manifest.to_bytes();
    let digest = match signed.algorithm {
        Algorithm::Sha256 => Digest::sha256(&bytes),
        Algorithm::Blake3 => Digest::blake3(&bytes),
    };
    if signed.resources.iter().any(|file| file.range_bytes.is_none() && file.digest == digest) {
        return Ok(());
    }
    Err(Error::mismatch(format!(
        "the bundle does not name the manifest of version {}",
        manifest.digest().short()
    )))
}
