//! One entry of a log, proven on one page (c2sp.org/tlog-proof): its index, the way to the root, and the
//! signed checkpoint. With the log's public key it verifies offline, without the log.

use crate::checkpoint::parse_decimal;
use crate::encoding::{base64, bytes_of_base64};
use crate::keys::Ed25519VerifyingKey;
use crate::merkle::{Hash, PROOF_HASHES_MAX};
use crate::note::NOTE_BYTES_MAX;
use crate::{Checkpoint, Error, Result};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof of inclusion with its checkpoint. By custom its file ends in `.tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// Which leaf, from zero.
    pub index: u64,
    /// The hashes of [`crate::merkle::inclusion_proof`].
    pub hashes: Vec<Hash>,
    /// The checkpoint as it was signed, [`Checkpoint::sign`].
    pub checkpoint: String,
    /// Bytes that travel along, proven by nothing: for instance the entry itself, which the reader hashes.
    pub extra: Option<Vec<u8>>,
}

impl LogProof {
    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(extra) = &self.extra {
            text += &format!("extra {}\n", base64(extra));
        }
        text += &format!("index {}\n", self.index);
        for hash in &self.hashes {
            text += &base64(hash);
            text.push('\n');
        }
        text.push('\n');
        text + &self.checkpoint
    }

    /// Reads the text form. Nothing in it is proven before [`Self::verify`].
    ///
    /// # Errors
    /// `Format` when it is malformed or larger than anything honest.
    pub fn from_text(text: &str) -> Result<Self> {
        let malformed = |what: &str| Error::format(format!("not a log proof: {what}"));
        if text.len() > 2 * NOTE_BYTES_MAX {
            return Err(malformed("it is too large"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| malformed("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("another first line than c2sp.org/tlog-proof@v1"));
        }
        let mut extra = None;
        if let Some(line) = lines.next_if(|line| line.starts_with("extra ")) {
            extra = Some(bytes_of_base64(&line["extra ".len()..], "the extra line of a log proof")?);
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let index = index.ok_or_else(|| malformed("no index line"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(malformed("too many hashes"));
            }
            let hash = bytes_of_base64(line, "a hash of a log proof")?;
            hashes.push(hash.try_into().map_err(|_| malformed("a hash has not 32 bytes"))?);
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.to_string(), extra })
    }

    /// Checks everything: that the log `origin` signed the checkpoint, and that `leaf` (a leaf hash) is in
    /// it at this index. Returns the checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::verify`] and [`crate::merkle::verify_inclusion`].
    pub fn verify(&self, leaf: &Hash, origin: &str, key: &Ed25519VerifyingKey) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, origin, key)?;
        checkpoint.verify_leaf(leaf, self.index, &self.hashes)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::keys::Ed25519SigningKey;
    use crate::merkle::{Tree, inclusion_proof, leaf_hash};

    /// Made by goldens/checkpoint.py from the specification.
    #[test]
    fn the_oracle_writes_the_same_text() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../goldens/checkpoint.json")).unwrap();
        let public = Ed25519VerifyingKey::from_pem(golden["public_pem"].as_str().unwrap()).unwrap();
        let leaves: Vec<Hash> = (0..7).map(|i| leaf_hash(i.to_string().as_bytes())).collect();
        let proofs = golden["proofs"].as_array().unwrap();
        assert_eq!(proofs.len(), 7);
        for (index, expect) in proofs.iter().enumerate() {
            let proof = LogProof {
                index: index as u64,
                hashes: inclusion_proof(leaves.as_slice(), index as u64, 7).unwrap(),
                checkpoint: golden["notes"][7].as_str().unwrap().to_string(),
                extra: (index % 2 == 1).then(|| index.to_string().into_bytes()),
            };
            assert_eq!(proof.to_text(), expect.as_str().unwrap());
            let read = LogProof::from_text(expect.as_str().unwrap()).unwrap();
            assert_eq!(read.verify(&leaves[index], "example.com/runs", &public).unwrap().size, 7);
        }
    }

    #[test]
    fn a_proof_survives_its_text_and_no_change_of_it() {
        let key = Ed25519SigningKey::generate().unwrap();
        let leaves: Vec<Hash> = (0..13u8).map(|i| leaf_hash(&[i])).collect();
        let mut tree = Tree::new();
        for leaf in &leaves {
            tree.append(*leaf);
        }
        let checkpoint = Checkpoint::new("example.com/runs", 13, tree.root());
        let proof = LogProof {
            index: 6,
            hashes: inclusion_proof(leaves.as_slice(), 6, 13).unwrap(),
            checkpoint: checkpoint.sign(&key).unwrap(),
            extra: Some(vec![6]),
        };
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra Bg==\nindex 6\n"), "{text}");
        let verify = |text: &str, leaf: &Hash| {
            LogProof::from_text(text)?.verify(leaf, "example.com/runs", &key.verifying_key())
        };
        assert_eq!(LogProof::from_text(&text).unwrap(), proof);
        assert_eq!(verify(&text, &leaves[6]).unwrap(), checkpoint);
        assert_eq!(verify(&text, &leaves[7]).unwrap_err().kind(), ErrorKind::Mismatch);
        // The extra line is the only part that proves nothing.
        for at in text.find("index").unwrap()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verify(&changed, &leaves[6]).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn malformed_texts_are_refused() {
        let hash = base64(&[7; 32]);
        for text in [
            String::new(),
            "c2sp.org/tlog-proof@v1\nindex 0\n".to_string(),
            "c2sp.org/tlog-proof@v2\nindex 0\n\nx".to_string(),
            "c2sp.org/tlog-proof@v1\nindex 00\n\nx".to_string(),
            "c2sp.org/tlog-proof@v1\nindex -1\n\nx".to_string(),
            "c2sp.org/tlog-proof@v1\nextra ?\nindex 1\n\nx".to_string(),
            "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx".to_string(),
            format!("c2sp.org/tlog-proof@v1\nindex 1\n{}\nx", format!("{hash}\n").repeat(66)),
            "x".repeat(2 * NOTE_BYTES_MAX + 1),
        ] {
            let error = LogProof::from_text(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        }
    }
}
