//! DSSE envelopes (github.com/secure-systems-lab/dsse, protocol 1.0): a payload, its type, and signatures
//! over both, so that bytes signed as one kind of thing never pass as another.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::encoding::{base64, bytes_of_any_base64};
use crate::keys::{Sign, Verify};
use crate::{Error, Result};

/// An envelope's JSON may not be larger: a manifest of a quarter of a million files fits.
pub const ENVELOPE_BYTES_MAX: usize = 64 << 20;

/// More signatures than this are refused.
const SIGNATURES_MAX: usize = 100;

/// A signed payload. The signatures are unchecked until [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// A hint at the key; proves nothing, often empty.
    pub key_id: String,
    /// The signature in the encoding of its kind of key.
    pub signature: Vec<u8>,
}

/// The bytes that are signed: "DSSEv1", then type and payload, each after its length in bytes.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// An envelope without signatures yet.
    pub fn new(payload_type: impl Into<String>, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.into(), payload, signatures: Vec::new() }
    }

    /// Adds a signature; `key_id` is a hint for the reader and may be empty.
    pub fn sign(&mut self, key: &dyn Sign, key_id: impl Into<String>) {
        let signature = key.sign(&pae(&self.payload_type, &self.payload));
        self.signatures.push(EnvelopeSignature { key_id: key_id.into(), signature });
    }

    /// The payload, once it is shown to be of this type and signed by this key.
    ///
    /// # Errors
    /// `Unsupported` when the type is another one, `Signature` when no signature fits.
    pub fn verify(&self, payload_type: &str, key: &dyn Verify) -> Result<&[u8]> {
        if self.payload_type != payload_type {
            let message = format!("the payload is {:?}, wanted is {payload_type:?}", self.payload_type);
            return Err(Error::unsupported(message));
        }
        let signed = pae(&self.payload_type, &self.payload);
        let mut refused = Error::signature("the envelope has no signature");
        for line in &self.signatures {
            match key.verify(&signed, &line.signature) {
                Ok(()) => return Ok(&self.payload),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// The type of the payload.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The signatures.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let signature =
            |line: &EnvelopeSignature| json!({ "sig": base64(&line.signature), "keyid": line.key_id });
        json!({
            "payload": base64(&self.payload),
            "payloadType": self.payload_type,
            "signatures": self.signatures.iter().map(signature).collect::<Vec<_>>(),
        })
    }

    /// Reads the JSON text. Fields that DSSE does not know are ignored, as it asks.
    ///
    /// # Errors
    /// `Format` when it is malformed or larger than [`ENVELOPE_BYTES_MAX`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        parse_json::<RawEnvelope>(text, "the envelope")?.decode()
    }
}

/// The JSON form, read into these fields and no others: a tree of everything in a hostile text would be
/// many times as large as the text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawEnvelope {
    payload: String,
    payload_type: String,
    signatures: Vec<RawSignature>,
}

#[derive(Deserialize)]
struct RawSignature {
    sig: String,
    keyid: Option<String>,
}

impl RawEnvelope {
    pub(crate) fn decode(self) -> Result<Envelope> {
        let payload = bytes_of_any_base64(&self.payload, "the payload")?;
        let count = self.signatures.len();
        if count == 0 || count > SIGNATURES_MAX {
            let message = format!("the envelope has {count} signatures, not 1 to {SIGNATURES_MAX}");
            return Err(Error::format(message));
        }
        let signature = |line: RawSignature| {
            let signature = bytes_of_any_base64(&line.sig, "a signature")?;
            Ok(EnvelopeSignature { key_id: line.keyid.unwrap_or_default(), signature })
        };
        let signatures = self.signatures.into_iter().map(signature).collect::<Result<_>>()?;
        Ok(Envelope { payload_type: self.payload_type, payload, signatures })
    }
}

/// Bounded JSON; `what` names it in the error.
pub(crate) fn parse_json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T> {
    if text.len() > ENVELOPE_BYTES_MAX {
        let message = format!("{what} of {} bytes; {ENVELOPE_BYTES_MAX} at most", text.len());
        return Err(Error::format(message));
    }
    serde_json::from_slice(text).map_err(|e| Error::format(format!("{what} cannot be read: {e}")))
}

/// The text in a field of a JSON object; `what` names the object in the error.
pub(crate) fn text_at<'a>(value: &'a Value, field: &str, what: &str) -> Result<&'a str> {
    let text = value.get(field).and_then(Value::as_str);
    text.ok_or_else(|| Error::format(format!("{what} has no text {field:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::keys::{EcSigningKey, Ed25519SigningKey};

    const TYPE: &str = "http://example.com/HelloWorld";

    /// The example of the DSSE specification (protocol.md, "Test Vectors"): its secret key as PKCS#8, and its
    /// signature, which is made by RFC 6979 and thus the only one.
    const EXAMPLE_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1z7EN/1jRuNhnF6/\n\
        3/8PaRaASVWtMqyaxJKw7eH2/7ehRANCAARnzTkPd6o1nLCMIjX2UicEk6ntgysK\n\
        vMAfcJVMA5DSOAx4K9VOJpElpE9EM6/xQyzpThK8pzqmesgM6hJgjd90\n\
        -----END PRIVATE KEY-----\n";
    const EXAMPLE_SIGNATURE: &str =
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==";

    #[test]
    fn published_example() {
        assert_eq!(pae(TYPE, b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        let key = EcSigningKey::from_pem(EXAMPLE_KEY).unwrap();
        let mut envelope = Envelope::new(TYPE, b"hello world".to_vec());
        envelope.sign(&key, "");
        let ours = p256::ecdsa::Signature::from_der(&envelope.signatures[0].signature).unwrap();
        assert_eq!(base64(&ours.to_bytes()), EXAMPLE_SIGNATURE);
        assert_eq!(envelope.verify(TYPE, &key.verifying_key()).unwrap(), b"hello world");
    }

    #[test]
    fn json_goes_both_ways_and_one_fitting_signature_is_enough() {
        let (first, second) = (Ed25519SigningKey::generate().unwrap(), EcSigningKey::generate());
        let mut envelope = Envelope::new("text/x", vec![0xfb, 0xff, 0xfe]);
        envelope.sign(&first, "one");
        envelope.sign(&second, "");
        let text = envelope.to_json().to_string();
        let read = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(read, envelope);
        read.verify("text/x", &first.verifying_key()).unwrap();
        read.verify("text/x", &second.verifying_key()).unwrap();
        let stranger = EcSigningKey::generate().verifying_key();
        assert_eq!(read.verify("text/x", &stranger).unwrap_err().kind(), ErrorKind::Signature);
        let other = read.verify("text/y", &first.verifying_key());
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Unsupported);
        // The alphabet for URLs is read as well.
        let url = Envelope::parse(text.replace("+//+", "-__-").as_bytes()).unwrap();
        assert_eq!(url, envelope);
        let mut changed = envelope.clone();
        changed.payload[0] ^= 1;
        assert!(changed.verify("text/x", &first.verifying_key()).is_err());
        changed = envelope;
        changed.payload_type = "text/y".to_string();
        assert!(changed.verify("text/y", &first.verifying_key()).is_err());
    }

    #[test]
    fn malformed_envelopes_are_refused() {
        for text in [
            "",
            "null",
            "[1]",
            r#"{"payload":"","payloadType":"t"}"#,
            r#"{"payload":"","payloadType":"t","signatures":[]}"#,
            r#"{"payload":"","payloadType":"t","signatures":[{}]}"#,
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":5}]}"#,
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":"?"}]}"#,
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","keyid":5}]}"#,
            r#"{"payload":"AAA","payloadType":"t","signatures":[{"sig":""}]}"#,
            r#"{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":""}]}"#,
            r#"{"payload":7,"payloadType":"t","signatures":[{"sig":""}]}"#,
            r#"{"payload":"","payloadType":[],"signatures":[{"sig":""}]}"#,
            &"[".repeat(100_000),
        ] {
            assert_eq!(Envelope::parse(text.as_bytes()).unwrap_err().kind(), ErrorKind::Format, "{text:.60}");
        }
        Envelope::parse(br#"{"payload":"","payloadType":"t","signatures":[{"sig":""}],"more":1}"#).unwrap();
    }
}
