//! The Sigstore bundle around a signed manifest.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Manifest;
use crate::dsse::{RawEnvelope, parse_json};
use crate::keys::{EcSigningKey, EcVerifyingKey};
use crate::statement::Statement;
use crate::{Error, Result};

/// Version 0.3 of the bundle, the one that Model Signing 1.0 writes.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The bundle of a manifest, as JSON text.
///
/// # Errors
/// None in practice; encoding the public key is fallible.
pub fn sign_manifest(manifest: &Manifest, key: &EcSigningKey) -> Result<String> {
    let mut envelope = manifest.to_statement().to_envelope();
    envelope.sign(key, "");
    let hint = key.verifying_key().fingerprint()?.to_hex();
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": { "publicKey": { "hint": hint }, "tlogEntries": [] },
        "dsseEnvelope": envelope.to_json(),
    });
    Ok(bundle.to_string())
}

/// The manifest in a bundle that this key is shown to have signed. What it says of files is not compared
/// with any folder yet: [`Manifest::check_folder`].
///
/// # Errors
/// `Format` when the bundle is malformed or too large, `Unsupported` when it is signed in another way than
/// with a bare key, `Signature` when it is signed by another key or not as it stands.
pub fn verify_bundle(bundle: &[u8], key: &EcVerifyingKey) -> Result<Manifest> {
    let bundle: Bundle = parse_json(bundle, "the bundle")?;
    if bundle.media_type != MEDIA_TYPE {
        let message = format!("a bundle of type {:?}; supported is {MEDIA_TYPE}", bundle.media_type);
        return Err(Error::unsupported(message));
    }
    bundle.verification_material.check_hint(key)?;
    let envelope = bundle.dsse_envelope.ok_or_else(|| {
        Error::unsupported("the bundle has no \"dsseEnvelope\": it signs something else than a manifest")
    })?;
    let envelope = envelope.decode()?;
    if envelope.signatures().len() != 1 {
        let message = format!("the bundle has {} signatures, not one", envelope.signatures().len());
        return Err(Error::format(message));
    }
    Manifest::from_statement(&Statement::verify(&envelope, key)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Option<RawEnvelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<PublicKey>,
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct PublicKey {
    hint: Option<String>,
}

impl Material {
    /// Tells "another key" from "not signed at all"; proves nothing by itself.
    fn check_hint(&self, key: &EcVerifyingKey) -> Result<()> {
        let Some(PublicKey { hint }) = &self.public_key else {
            let certified = self.certificate.is_some() || self.x509_certificate_chain.is_some();
            let how = if certified { "a certificate" } else { "nothing that is known" };
            let message = format!("the bundle is signed with {how}, not with a bare public key");
            return Err(Error::unsupported(message));
        };
        let ours = key.fingerprint()?.to_hex();
        match hint.as_deref() {
            // Bundles of older versions have none.
            None | Some("") => Ok(()),
            Some(hint) if hint == ours => Ok(()),
            Some(hint) => Err(Error::signature(format!(
                "signed by another key: its fingerprint is {hint}, that of the key to verify with is {ours}"
            ))),
        }
    }
}
