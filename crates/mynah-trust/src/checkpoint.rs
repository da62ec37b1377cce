//! Checkpoints (c2sp.org/tlog-checkpoint): the size and root of a log, signed by the log.
//!
//! A checkpoint is what one keeps elsewhere: on another machine, in a mail, printed. Against it, a log that
//! was edited, cut or reordered cannot produce a consistency proof.

use crate::encoding::{base64, bytes_of_base64};
use crate::keys::{Ed25519SigningKey, Ed25519VerifyingKey};
use crate::merkle::{self, Hash};
use crate::note::{SignedNote, check_key_name};
use crate::{Error, Result};

/// The head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: a name without spaces and '+', by custom a URL without scheme (`example.com/runs`). It is
    /// also the name of the key that signs.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Further lines, signed but without meaning here; none in what we write by ourselves.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Self {
        Self { origin: origin.into(), size, root, extensions: Vec::new() }
    }

    /// The signed note, as text.
    ///
    /// # Errors
    /// `Argument` when the origin is no name for a key, an extension is not one non-empty line, or a log
    /// without leaves has another root than that of nothing.
    pub fn sign(&self, key: &Ed25519SigningKey) -> Result<String> {
        let mut note = SignedNote::new(&self.text()?)?;
        note.sign(&self.origin, key)?;
        Ok(note.to_string())
    }

    /// Reads a signed note that the log `origin` with this key is shown to have signed.
    ///
    /// # Errors
    /// `Format` when it is not a checkpoint, `Signature` when it is not signed by that key, `Mismatch` when
    /// it is of another log.
    pub fn verify(note: &str, origin: &str, key: &Ed25519VerifyingKey) -> Result<Self> {
        let note = SignedNote::parse(note)?;
        let checkpoint = Self::parse_text(note.verify(origin, key)?)?;
        if checkpoint.origin != origin {
            let message = format!("a checkpoint of the log {:?}, not of {origin:?}", checkpoint.origin);
            return Err(Error::mismatch(message));
        }
        Ok(checkpoint)
    }

    /// Checks that a leaf is in this log; see [`merkle::verify_inclusion`].
    ///
    /// # Errors
    /// As there.
    pub fn verify_leaf(&self, leaf: &Hash, index: u64, proof: &[Hash]) -> Result<()> {
        merkle::verify_inclusion(leaf, index, self.size, proof, &self.root)
    }

    /// Checks that this log continues an older checkpoint; see [`merkle::verify_consistency`].
    ///
    /// # Errors
    /// As there, and `Mismatch` when the older one is of another log.
    pub fn verify_continues(&self, older: &Checkpoint, proof: &[Hash]) -> Result<()> {
        if self.origin != older.origin {
            let message = format!("the logs {:?} and {:?} are two", older.origin, self.origin);
            return Err(Error::mismatch(message));
        }
        merkle::verify_consistency(older.size, &older.root, self.size, &self.root, proof)
    }

    /// The text that is signed.
    fn text(&self) -> Result<String> {
        check_key_name(&self.origin)?;
        if self.size == 0 && self.root != merkle::empty_root() {
            return Err(Error::argument("a log without leaves has the root of nothing"));
        }
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, base64(&self.root));
        for line in &self.extensions {
            if line.is_empty() || line.contains('\n') {
                return Err(Error::argument(format!("{line:?} is not one non-empty line")));
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    fn parse_text(text: &str) -> Result<Self> {
        let malformed = |what: &str| Error::format(format!("not a checkpoint: {what}"));
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(malformed("fewer than the three lines origin, size, root"));
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(malformed("it has an empty line"));
        }
        let size = parse_decimal(size).ok_or_else(|| malformed("line 2 is not a size"))?;
        let root = bytes_of_base64(root, "line 3 of a checkpoint")?;
        let root = root.try_into().map_err(|_| malformed("line 3 is not a root of 32 bytes"))?;
        if size == 0 && root != merkle::empty_root() {
            return Err(malformed("a log without leaves has another root than that of nothing"));
        }
        let extensions = extensions.iter().map(|line| (*line).to_string()).collect();
        Ok(Self { origin: (*origin).to_string(), size, root, extensions })
    }
}

/// ASCII digits without a leading zero, so that each number has one form.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::merkle::{Tree, consistency_proof, inclusion_proof, leaf_hash};

    const ORIGIN: &str = "example.com/runs";

    /// Made by goldens/checkpoint.py with another implementation of Ed25519.
    #[test]
    fn the_oracle_signs_the_same_bytes() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../goldens/checkpoint.json")).unwrap();
        let text = |name: &str| golden[name].as_str().unwrap();
        let key = Ed25519SigningKey::from_pem(text("secret_pem")).unwrap();
        assert_eq!(*key.to_pem().unwrap(), text("secret_pem"));
        assert_eq!(key.verifying_key().to_pem().unwrap(), text("public_pem"));
        let public = Ed25519VerifyingKey::from_pem(text("public_pem")).unwrap();
        assert_eq!(crate::note::verifier_text(ORIGIN, &public).unwrap(), text("verifier"));
        let mut tree = Tree::new();
        for expect in golden["notes"].as_array().unwrap() {
            let checkpoint = Checkpoint::new(ORIGIN, tree.size(), tree.root());
            assert_eq!(checkpoint.sign(&key).unwrap(), expect.as_str().unwrap());
            assert_eq!(Checkpoint::verify(expect.as_str().unwrap(), ORIGIN, &public).unwrap(), checkpoint);
            tree.append(leaf_hash(tree.size().to_string().as_bytes()));
        }
        assert_eq!(tree.size(), 8);
    }

    fn note_over(text: &str, key: &Ed25519SigningKey) -> String {
        let mut note = SignedNote::new(text).unwrap();
        note.sign(ORIGIN, key).unwrap();
        note.to_string()
    }

    #[test]
    fn only_checkpoints_of_the_log_are_accepted() {
        let key = Ed25519SigningKey::generate().unwrap();
        let public = key.verifying_key();
        let root = base64(&leaf_hash(b"x"));
        let check = |text: &str| Checkpoint::verify(&note_over(text, &key), ORIGIN, &public);
        let good = check(&format!("{ORIGIN}\n18446744073709551615\n{root}\nmore\n")).unwrap();
        assert_eq!((good.size, good.extensions.as_slice()), (u64::MAX, ["more".to_string()].as_slice()));
        for (text, kind) in [
            (format!("{ORIGIN}\n1\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n01\n{root}\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n+1\n{root}\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n18446744073709551616\n{root}\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n0\n{root}\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n1\nAAAA\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n1\n*{root}\n"), ErrorKind::Format),
            (format!("{ORIGIN}\n1\n{root}\n\n"), ErrorKind::Format),
            (format!("example.com/other\n1\n{root}\n"), ErrorKind::Mismatch),
        ] {
            assert_eq!(check(&text).unwrap_err().kind(), kind, "{text:?}");
        }
        let other = Ed25519SigningKey::generate().unwrap().verifying_key();
        let note = note_over(&format!("{ORIGIN}\n1\n{root}\n"), &key);
        assert_eq!(Checkpoint::verify(&note, ORIGIN, &other).unwrap_err().kind(), ErrorKind::Signature);
        assert_eq!(Checkpoint::verify(&note, "else", &public).unwrap_err().kind(), ErrorKind::Signature);
    }

    #[test]
    fn what_cannot_be_read_is_not_signed() {
        let key = Ed25519SigningKey::generate().unwrap();
        let good = Checkpoint::new(ORIGIN, 1, leaf_hash(b"x"));
        good.sign(&key).unwrap();
        for bad in [
            Checkpoint { origin: String::new(), ..good.clone() },
            Checkpoint { origin: "two words".to_string(), ..good.clone() },
            Checkpoint { origin: "two\nlines".to_string(), ..good.clone() },
            Checkpoint { size: 0, ..good.clone() },
            Checkpoint { extensions: vec![String::new()], ..good.clone() },
            Checkpoint { extensions: vec!["two\nlines".to_string()], ..good.clone() },
        ] {
            assert_eq!(bad.sign(&key).unwrap_err().kind(), ErrorKind::Argument, "{bad:?}");
        }
    }

    #[test]
    fn checkpoints_carry_proofs() {
        let leaves: Vec<Hash> = (0..9u8).map(|i| leaf_hash(&[i])).collect();
        let at = |size: usize| Checkpoint::new(ORIGIN, size as u64, merkle::root(&leaves[..size]));
        let proof = inclusion_proof(leaves.as_slice(), 4, 9).unwrap();
        at(9).verify_leaf(&leaves[4], 4, &proof).unwrap();
        assert!(at(9).verify_leaf(&leaves[5], 4, &proof).is_err());
        let proof = consistency_proof(leaves.as_slice(), 5, 9).unwrap();
        at(9).verify_continues(&at(5), &proof).unwrap();
        assert!(at(9).verify_continues(&at(6), &proof).is_err());
        let foreign = Checkpoint { origin: "example.com/other".to_string(), ..at(5) };
        assert_eq!(at(9).verify_continues(&foreign, &proof).unwrap_err().kind(), ErrorKind::Mismatch);
    }
}
