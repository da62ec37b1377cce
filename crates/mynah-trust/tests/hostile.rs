//! Random damage to everything that is read from outside: never a panic, and never anything accepted but
//! what was signed.

use std::fs;
use std::path::{Path, PathBuf};

use mynah_base::Rng;
use mynah_trust::keys::{EcSigningKey, EcVerifyingKey, Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::merkle::{Tree, inclusion_proof, leaf_hash};
use mynah_trust::model_signing::verify_bundle;
use mynah_trust::note::parse_verifier;
use mynah_trust::{Checkpoint, Digest, LogProof};

const ROUNDS: u64 = 1_500;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

/// Overwrites, inserts, removes, repeats or cuts a few bytes; half of the new bytes mean something in the
/// formats here.
fn damaged(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let below = |rng: &mut Rng, count: usize| (rng.next_u64() % count.max(1) as u64) as usize;
    for _ in 0..=below(rng, 3) {
        let at = below(rng, data.len());
        let special = b"\"\\{}[]:,0-9+/=\n \xe2\x80\x94";
        let byte = if rng.next_u64().is_multiple_of(2) {
            special[below(rng, special.len())]
        } else {
            rng.next_u64() as u8
        };
        match rng.next_u64() % 6 {
            0 | 1 if at < data.len() => data[at] = byte,
            2 => data.insert(at, byte),
            3 if at < data.len() => drop(data.remove(at)),
            4 => data.truncate(at),
            _ => {
                let end = (at + 1 + below(rng, 40)).min(data.len());
                let piece = data[at.min(end)..end].to_vec();
                data.splice(at..at, piece);
            }
        }
    }
    data
}

/// Runs `read` on damaged copies; it says whether it accepted, and panics on what may not be accepted.
fn fuzz(name: &str, data: &[u8], mut read: impl FnMut(&[u8]) -> bool) {
    assert!(read(data), "{name}: the undamaged input is refused");
    let mut refused = 0;
    for seed in 0..ROUNDS {
        let input = damaged(&mut Rng::new(seed), data);
        if !read(&input) {
            refused += 1;
        }
    }
    // Damage in white space, or none at all, may pass; most of it may not.
    assert!(refused > ROUNDS / 2, "{name}: only {refused} of {ROUNDS} refused");
}

#[test]
fn bundles() {
    let key = EcVerifyingKey::load(&golden("signed/key.pub")).unwrap();
    let bundle = fs::read(golden("signed/sha256.sig")).unwrap();
    let signed = verify_bundle(&bundle, &key).unwrap();
    fuzz("bundle", &bundle, |input| match verify_bundle(input, &key) {
        Ok(manifest) => {
            assert_eq!(manifest, signed);
            true
        }
        Err(_) => false,
    });
}

#[test]
fn checkpoints_and_log_proofs() {
    let key = Ed25519SigningKey::from_bytes(&[3; 32]);
    let public = key.verifying_key();
    let leaves: Vec<_> = (0..21u8).map(|i| leaf_hash(&[i])).collect();
    let mut tree = Tree::new();
    for leaf in &leaves {
        tree.append(*leaf);
    }
    let checkpoint = Checkpoint::new("example.com/runs", 21, tree.root());
    let note = checkpoint.sign(&key).unwrap();
    let text = |input: &[u8]| String::from_utf8_lossy(input).into_owned();
    fuzz("checkpoint", note.as_bytes(), |input| {
        let read = Checkpoint::verify(&text(input), "example.com/runs", &public);
        read.as_ref().map(|read| assert_eq!(*read, checkpoint)).is_ok()
    });
    let hashes = inclusion_proof(leaves.as_slice(), 13, 21).unwrap();
    let proof = LogProof { index: 13, hashes, checkpoint: note, extra: None };
    fuzz("log proof", proof.to_text().as_bytes(), |input| {
        let read = LogProof::from_text(&text(input));
        let verified = read.and_then(|read| {
            read.verify(&leaves[13], "example.com/runs", &public).map(|checkpoint| (read.index, checkpoint))
        });
        verified.map(|verified| assert_eq!(verified, (13, checkpoint.clone()))).is_ok()
    });
    // A foreign leaf is never proven, whatever the text.
    for seed in 0..ROUNDS {
        let input = damaged(&mut Rng::new(seed), proof.to_text().as_bytes());
        let read = LogProof::from_text(&text(&input));
        assert!(!read.is_ok_and(|read| read.verify(&leaves[12], "example.com/runs", &public).is_ok()));
    }
}

#[test]
fn keys_and_small_texts() {
    let text = |input: &[u8]| String::from_utf8_lossy(input).into_owned();
    let read = |name: &str| fs::read(golden("keys").join(name)).unwrap();
    fuzz("P-256 secret", &read("p256.pem"), |input| EcSigningKey::from_pem(&text(input)).is_ok());
    fuzz("P-256 SEC1", &read("p256-sec1.pem"), |input| EcSigningKey::from_pem(&text(input)).is_ok());
    fuzz("P-256 public", &read("p256.pub"), |input| EcVerifyingKey::from_pem(&text(input)).is_ok());
    fuzz("Ed25519 secret", &read("ed25519.pem"), |input| Ed25519SigningKey::from_pem(&text(input)).is_ok());
    fuzz("Ed25519 public", &read("ed25519.pub"), |input| Ed25519VerifyingKey::from_pem(&text(input)).is_ok());
    let verifier = b"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    fuzz("verifier", verifier, |input| parse_verifier(&text(input)).is_ok());
    let digest = Digest::blake3(b"x").to_string();
    fuzz("digest", digest.as_bytes(), |input| text(input).parse::<Digest>().is_ok());
}
