//! The Sigstore bundle around a signed manifest.

use serde_json::{Value, json};

use super::Manifest;
use crate::dsse::{Envelope, parse_json, text_at};
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
    let bundle = parse_json(bundle, "the bundle")?;
    let media_type = text_at(&bundle, "mediaType", "the bundle")?;
    if media_type != MEDIA_TYPE {
        let message = format!("a bundle of type {media_type:?}; supported is {MEDIA_TYPE}");
        return Err(Error::unsupported(message));
    }
    check_key_hint(bundle.get("verificationMaterial").unwrap_or(&Value::Null), key)?;
    let envelope = bundle.get("dsseEnvelope").ok_or_else(|| {
        Error::unsupported("the bundle has no \"dsseEnvelope\": it signs something else than a manifest")
    })?;
    let envelope = Envelope::from_json(envelope)?;
    if envelope.signatures().len() != 1 {
        let message = format!("the bundle has {} signatures, not one", envelope.signatures().len());
        return Err(Error::format(message));
    }
    Manifest::from_statement(&Statement::verify(&envelope, key)?)
}

/// Tells "another key" from "not signed at all"; proves nothing by itself.
fn check_key_hint(material: &Value, key: &EcVerifyingKey) -> Result<()> {
    let Some(public_key) = material.get("publicKey") else {
        let kinds = ["certificate", "x509CertificateChain"];
        let how = kinds.iter().find(|kind| material.get(kind).is_some()).unwrap_or(&"nothing known");
        let message = format!("the bundle is signed with {how}, not with a bare public key");
        return Err(Error::unsupported(message));
    };
    let ours = key.fingerprint()?.to_hex();
    match public_key.get("hint") {
        // Bundles of older versions have none.
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(hint)) if hint.is_empty() || *hint == ours => Ok(()),
        Some(Value::String(hint)) => Err(Error::signature(format!(
            "signed by another key: its fingerprint is {hint}, that of the key to verify with is {ours}"
        ))),
        Some(_) => Err(Error::format("the \"hint\" at the public key is not a text")),
    }
}
