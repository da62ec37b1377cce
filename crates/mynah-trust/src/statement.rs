//! in-toto statements, version 1 (github.com/in-toto/attestation): a predicate about some subjects, each
//! named by its digests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::dsse::{Envelope, parse_json, text_at};
use crate::keys::Verify;
use crate::{Error, Result};

/// The type of statements inside a DSSE envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A statement; what the predicate says is for its type to define.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is about, at least one thing.
    pub subjects: Vec<Subject>,
    /// A URI that names the kind of predicate.
    pub predicate_type: String,
    /// The predicate, a JSON object.
    pub predicate: Value,
}

/// One thing a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name; informative.
    pub name: String,
    /// Algorithm to hex digits, for instance `sha256`. At least one.
    pub digests: BTreeMap<String, String>,
}

impl Statement {
    /// An envelope around it, without signatures yet.
    pub fn to_envelope(&self) -> Envelope {
        Envelope::new(PAYLOAD_TYPE, self.to_json().to_string().into_bytes())
    }

    /// The statement in an envelope that this key is shown to have signed.
    ///
    /// # Errors
    /// As [`Envelope::verify`] and [`Statement::parse`].
    pub fn verify(envelope: &Envelope, key: &dyn Verify) -> Result<Self> {
        Self::parse(envelope.verify(PAYLOAD_TYPE, key)?)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let subject = |s: &Subject| json!({ "name": s.name, "digest": s.digests });
        json!({
            "_type": STATEMENT_TYPE,
            "subject": self.subjects.iter().map(subject).collect::<Vec<_>>(),
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        })
    }

    /// Reads the JSON text. Unknown fields are ignored, as in-toto asks.
    ///
    /// # Errors
    /// `Format` when a field is absent or malformed, `Unsupported` for other versions.
    pub fn parse(text: &[u8]) -> Result<Self> {
        const WHAT: &str = "the statement";
        let value: Value = parse_json(text, WHAT)?;
        let kind = text_at(&value, "_type", WHAT)?;
        if kind != STATEMENT_TYPE {
            let message = format!("a statement of type {kind:?}; supported is {STATEMENT_TYPE}");
            return Err(Error::unsupported(message));
        }
        let subjects = value.get("subject").and_then(Value::as_array).filter(|list| !list.is_empty());
        let subjects = subjects.ok_or_else(|| Error::format("the statement has no subjects"))?;
        let subjects = subjects.iter().map(parse_subject).collect::<Result<_>>()?;
        let predicate_type = text_at(&value, "predicateType", WHAT)?.to_string();
        let predicate = value.get("predicate").filter(|p| p.is_object());
        let predicate = predicate.ok_or_else(|| Error::format("the statement has no predicate"))?.clone();
        Ok(Self { subjects, predicate_type, predicate })
    }
}

fn parse_subject(value: &Value) -> Result<Subject> {
    // The name may be absent when the digest says it all.
    let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
    let no_digest = || Error::format(format!("subject {name:?} of the statement has no digest"));
    let digests = value.get("digest").and_then(Value::as_object).filter(|d| !d.is_empty());
    let digests = digests.ok_or_else(no_digest)?.iter();
    let digests = digests.map(|(algorithm, digits)| Some((algorithm.clone(), digits.as_str()?.to_string())));
    let digests = digests.collect::<Option<_>>().ok_or_else(no_digest)?;
    Ok(Subject { name, digests })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::keys::Ed25519SigningKey;

    fn example() -> Statement {
        Statement {
            subjects: vec![Subject {
                name: "run".to_string(),
                digests: BTreeMap::from([("sha256".to_string(), "ab".repeat(32))]),
            }],
            predicate_type: "https://example.com/approval/v1".to_string(),
            predicate: json!({ "by": "alice", "score": 0.25 }),
        }
    }

    #[test]
    fn a_statement_survives_signing() {
        let key = Ed25519SigningKey::generate().unwrap();
        let mut envelope = example().to_envelope();
        envelope.sign(&key, "alice");
        assert_eq!(Statement::verify(&envelope, &key.verifying_key()).unwrap(), example());
        let mut foreign = Envelope::new("text/plain", example().to_json().to_string().into_bytes());
        foreign.sign(&key, "alice");
        let error = Statement::verify(&foreign, &key.verifying_key()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn malformed_statements_are_refused() {
        let with = |field: &str, value: Value| {
            let mut json = example().to_json();
            json[field] = value;
            Statement::parse(json.to_string().as_bytes())
        };
        with("later", json!(1)).unwrap();
        with("subject", json!([{ "digest": { "sha256": "ab" } }])).unwrap();
        for (field, value, kind) in [
            ("_type", json!("https://in-toto.io/Statement/v0.1"), ErrorKind::Unsupported),
            ("_type", json!(1), ErrorKind::Format),
            ("subject", json!([]), ErrorKind::Format),
            ("subject", json!({}), ErrorKind::Format),
            ("subject", json!([{ "name": "x" }]), ErrorKind::Format),
            ("subject", json!([{ "name": "x", "digest": {} }]), ErrorKind::Format),
            ("subject", json!([{ "name": "x", "digest": { "sha256": 1 } }]), ErrorKind::Format),
            ("predicateType", json!(null), ErrorKind::Format),
            ("predicate", json!([]), ErrorKind::Format),
        ] {
            assert_eq!(with(field, value.clone()).unwrap_err().kind(), kind, "{field} {value}");
        }
    }
}
