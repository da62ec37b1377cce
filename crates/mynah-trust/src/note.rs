//! C2SP signed notes (c2sp.org/signed-note): a text, a blank line, and a line for each signature.
//!
//! Only Ed25519 signatures (type 0x01) are made and checked; lines of other keys and types pass through
//! untouched, so that a log may change its key and witnesses may sign beside it.

use std::fmt;

use crate::encoding::{base64, bytes_of_base64};
use crate::keys::{Ed25519SigningKey, Ed25519VerifyingKey, Sign, Verify};
use crate::{Digest, Error, Result};

/// A note may not be larger, with all its signatures.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// More signatures than this are refused; the specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 100;

/// The signature type byte of Ed25519.
const TYPE_ED25519: u8 = 0x01;

/// Em dash and space begin a signature line.
const SIGNATURE_PREFIX: &str = "— ";

/// A text with its signatures, none of which has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who says to have signed.
    pub key_name: String,
    /// Which key: the first four bytes of a hash over name, type and public key.
    pub key_id: [u8; 4],
    /// The signature itself, 64 bytes for Ed25519.
    pub signature: Vec<u8>,
}

impl SignedNote {
    /// A note without signatures yet.
    ///
    /// # Errors
    /// `Argument` when the text does not end in a newline or has control characters.
    pub fn new(text: &str) -> Result<Self> {
        if !text.ends_with('\n') {
            return Err(Error::argument("the text of a note ends in a newline"));
        }
        if has_control_characters(text) || text.len() > NOTE_BYTES_MAX / 2 {
            return Err(Error::argument(format!(
                "the text of a note has no control characters and at most {} bytes",
                NOTE_BYTES_MAX / 2
            )));
        }
        Ok(Self { text: text.to_string(), signatures: Vec::new() })
    }

    /// Reads a note. Nothing in it is proven before [`Self::verify`].
    ///
    /// # Errors
    /// `Format` when it is none, or larger than [`NOTE_BYTES_MAX`].
    pub fn parse(note: &str) -> Result<Self> {
        let refuse = |why: String| Err(Error::format(format!("not a signed note: {why}")));
        if note.len() > NOTE_BYTES_MAX {
            return refuse(format!("{} bytes, {NOTE_BYTES_MAX} at most", note.len()));
        }
        if has_control_characters(note) {
            return refuse("it has control characters".to_string());
        }
        let Some(blank) = note.rfind("\n\n") else {
            return refuse("no blank line between text and signatures".to_string());
        };
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let Some(lines) = lines.strip_suffix('\n') else {
            return refuse("it ends without a signature line and its newline".to_string());
        };
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return refuse(format!("more than {SIGNATURES_MAX} signatures"));
            }
            signatures.push(parse_signature(line)?);
        }
        Ok(Self { text: text.to_string(), signatures })
    }

    /// Adds a signature.
    ///
    /// # Errors
    /// `Argument` when `key_name` is no name for a key, or there are [`SIGNATURES_MAX`] already.
    pub fn sign(&mut self, key_name: &str, key: &Ed25519SigningKey) -> Result<()> {
        check_key_name(key_name)?;
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(Error::argument(format!("a note holds at most {SIGNATURES_MAX} signatures")));
        }
        self.signatures.push(NoteSignature {
            key_name: key_name.to_string(),
            key_id: key_id(key_name, &key.verifying_key()),
            signature: key.sign(self.text.as_bytes()),
        });
        Ok(())
    }

    /// The text, once the named key is shown to have signed it.
    ///
    /// # Errors
    /// `Signature` when there is no signature by that key, or one that does not fit the text.
    pub fn verify(&self, key_name: &str, key: &Ed25519VerifyingKey) -> Result<&str> {
        check_key_name(key_name)?;
        let id = key_id(key_name, key);
        let mut found = false;
        for line in self.signatures.iter().filter(|s| s.key_name == key_name && s.key_id == id) {
            key.verify(self.text.as_bytes(), &line.signature)?;
            found = true;
        }
        if found {
            return Ok(&self.text);
        }
        let names: Vec<&str> = self.signatures.iter().map(|s| s.key_name.as_str()).collect();
        Err(Error::signature(format!(
            "no signature by {key_name:?} with this key; the note is signed by {names:?}"
        )))
    }

    /// The text, signed or not: for showing, never for deciding.
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let bytes = [line.key_id.as_slice(), &line.signature].concat();
            writeln!(f, "{SIGNATURE_PREFIX}{} {}", line.key_name, base64(&bytes))?;
        }
        Ok(())
    }
}

/// SHA-256(name ‖ newline ‖ 0x01 ‖ public key), first four bytes.
pub fn key_id(key_name: &str, key: &Ed25519VerifyingKey) -> [u8; 4] {
    let data = [key_name.as_bytes(), b"\n", &[TYPE_ED25519], &key.to_bytes()].concat();
    let [a, b, c, d, ..] = *Digest::sha256(&data).as_bytes();
    [a, b, c, d]
}

/// The one-line form of a public key that tools around notes take: `NAME+ID+BASE64`.
///
/// # Errors
/// `Argument` when `key_name` is no name for a key.
pub fn verifier_text(key_name: &str, key: &Ed25519VerifyingKey) -> Result<String> {
    check_key_name(key_name)?;
    let bytes = [[TYPE_ED25519].as_slice(), &key.to_bytes()].concat();
    Ok(format!("{key_name}+{}+{}", crate::digest::hex(&key_id(key_name, key)), base64(&bytes)))
}

/// Reads [`verifier_text`]: the name and the key.
///
/// # Errors
/// `Format` when it is malformed or the id is not that of the key, `Unsupported` for other kinds of keys.
pub fn parse_verifier(text: &str) -> Result<(String, Ed25519VerifyingKey)> {
    let malformed = || Error::format("a verifier key reads NAME+ID+BASE64");
    // The base64 part may contain '+', name and id may not.
    let mut parts = text.trim_end().splitn(3, '+');
    let mut next = || parts.next().ok_or_else(malformed);
    let (name, id, key) = (next()?, next()?, next()?);
    check_key_name(name)?;
    let bytes = bytes_of_base64(key, "the key")?;
    let (kind, bytes) = bytes.split_first().ok_or_else(malformed)?;
    if *kind != TYPE_ED25519 {
        return Err(Error::unsupported(format!("key type {kind:#04x}; only Ed25519 (0x01) is supported")));
    }
    let key = Ed25519VerifyingKey::from_bytes(bytes.try_into().map_err(|_| malformed())?)?;
    if crate::digest::bytes_of_hex(id) != Some(key_id(name, &key)) {
        return Err(Error::format(format!("the id {id:?} is not that of {name:?} and this key")));
    }
    Ok((name.to_string(), key))
}

pub(crate) fn check_key_name(name: &str) -> Result<()> {
    let bad = name.is_empty()
        || name.len() > 1_000
        || name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control());
    if bad {
        let message = format!("{name:?} does not name a key: 1 to 1000 bytes, no spaces, no '+'");
        return Err(Error::argument(message));
    }
    Ok(())
}

fn parse_signature(line: &str) -> Result<NoteSignature> {
    let malformed = || Error::format(format!("not a signature line of a note: {line:?}"));
    let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or_else(malformed)?;
    let (name, text) = rest.split_once(' ').ok_or_else(malformed)?;
    check_key_name(name).map_err(|_| malformed())?;
    let bytes = bytes_of_base64(text, "a signature of the note")?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => {
            Ok(NoteSignature { key_name: name.to_string(), key_id: *id, signature: signature.to_vec() })
        }
        _ => Err(malformed()),
    }
}

fn has_control_characters(text: &str) -> bool {
    text.bytes().any(|b| b < 0x20 && b != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    // From the documentation of golang.org/x/mod/sumdb/note, the first implementation of the format.
    const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_SECRET: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_published_note_verifies_and_signing_makes_the_same_bytes() {
        let (name, key) = parse_verifier(GO_VERIFIER).unwrap();
        assert_eq!(verifier_text(&name, &key).unwrap(), GO_VERIFIER);
        let note = SignedNote::parse(GO_NOTE).unwrap();
        assert!(note.verify(&name, &key).unwrap().ends_with("your problem is.\n"));
        assert_eq!(note.to_string(), GO_NOTE);

        let secret = bytes_of_base64(GO_SECRET, "key").unwrap();
        let signing = Ed25519SigningKey::from_bytes(secret[1..].try_into().unwrap());
        assert_eq!(signing.verifying_key(), key);
        let mut again = SignedNote::new(note.unverified_text()).unwrap();
        again.sign(&name, &signing).unwrap();
        assert_eq!(again.to_string(), GO_NOTE);
    }

    #[test]
    fn a_changed_byte_is_refused() {
        let (name, key) = parse_verifier(GO_VERIFIER).unwrap();
        let mut refused = 0;
        for at in 0..GO_NOTE.len() {
            let mut bytes = GO_NOTE.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let result = SignedNote::parse(&changed).and_then(|n| n.verify(&name, &key).map(drop));
            assert!(result.is_err(), "byte {at}");
            refused += 1;
        }
        assert!(refused > 200);
    }

    #[test]
    fn other_signatures_pass_by() {
        let (ours, theirs) = (Ed25519SigningKey::generate().unwrap(), Ed25519SigningKey::generate().unwrap());
        let mut note = SignedNote::new("first\n\nsecond\n\n").unwrap();
        note.sign("example.com/witness", &theirs).unwrap();
        // The same name with another key is another signer.
        note.sign("example.com/log", &theirs).unwrap();
        let is = |kind, result: Result<&str>| assert_eq!(result.unwrap_err().kind(), kind);
        is(ErrorKind::Signature, note.verify("example.com/log", &ours.verifying_key()));
        note.sign("example.com/log", &ours).unwrap();
        let read = SignedNote::parse(&note.to_string()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.verify("example.com/log", &ours.verifying_key()).unwrap(), "first\n\nsecond\n\n");
        is(ErrorKind::Signature, read.verify("example.com/witness", &ours.verifying_key()));
        // A bad signature that names our key condemns the note, though a good one follows.
        let mut forged = note.clone();
        forged.signatures[0] = NoteSignature { signature: vec![0; 64], ..note.signatures[2].clone() };
        is(ErrorKind::Signature, forged.verify("example.com/log", &ours.verifying_key()));
    }

    #[test]
    fn malformed_notes_are_refused() {
        for note in [
            "",
            "\n",
            "text\n",
            "text\n\n",
            "text\n\n\n",
            "text\n\n— name AAAAAAA=",
            "text\n\n— name AAAA\n",
            "text\n\n— name AAAAAA==\n",
            "text\n\n- name AAAAAAA=\n",
            "text\n\n— na+me AAAAAAA=\n",
            "text\n\n—  AAAAAAA=\n",
            "text\n\n— name AAAAAAA=\nmore\n",
            "te\txt\n\n— name AAAAAAA=\n",
            "text\r\n\r\n— name AAAAAAA=\r\n",
        ] {
            assert_eq!(SignedNote::parse(note).unwrap_err().kind(), ErrorKind::Format, "{note:?}");
        }
        SignedNote::parse("text\n\n— name AAAAAAA=\n").unwrap();
        let many = format!("text\n\n{}", "— name AAAAAAA=\n".repeat(SIGNATURES_MAX + 1));
        assert!(SignedNote::parse(&many).unwrap_err().to_string().contains("more than 100"));
        assert!(SignedNote::parse(&"x".repeat(NOTE_BYTES_MAX + 1)).is_err());
        for text in ["no newline", "\u{7}\n"] {
            assert_eq!(SignedNote::new(text).unwrap_err().kind(), ErrorKind::Argument);
        }
        for verifier in ["", "a+b", "a b+00000000+AAAA", &GO_VERIFIER.replace("c7", "c8")] {
            assert!(parse_verifier(verifier).is_err(), "{verifier}");
        }
    }
}
