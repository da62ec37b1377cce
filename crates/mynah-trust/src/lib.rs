//! What makes a claim checkable by somebody who does not trust the machine that made it: digests, keys,
//! signatures, an append-only log, and signed folders.
//!
//! The key decision is to speak formats that others already verify, byte for byte, instead of one of our
//! own: the log is the Merkle tree of RFC 6962 (the one Certificate Transparency uses), its checkpoints are
//! C2SP signed notes, folders are signed in the OpenSSF Model Signing format (an in-toto statement in a DSSE
//! envelope in a Sigstore bundle). A signature nobody else can check is a claim, not a proof. Every format
//! here is tested against an implementation that shares no code with ours.
//!
//! [`merkle`] is written here because it is what the audit log exists for: a hash chain shows edits, but
//! only a tree with a checkpoint held elsewhere shows that the last lines were cut, and proves one event
//! without showing the others. The tree is split in two: proofs are planned over any source of node hashes
//! ([`merkle::Nodes`]: a slice in tests, a table in the ledger), and appending needs the O(log n) peaks only
//! ([`merkle::Tree`]). The arithmetic of curves is never written here; `ed25519-dalek` and `p256` do it.
//!
//! Rejected: JSON Web Signatures (the payload type is not signed unless one is careful), a single SHA-256
//! over a tar file (order and metadata of archives are not stable), GPG (no stable library), and keyless
//! Sigstore signing (needs a network and an identity provider; the bundle format leaves room for it).
//!
//! What comes from outside (bundles, notes, key files, folders to be verified) is bounded before it is
//! parsed and refused with one line. Verification answers with what was proven, never with a bare `true`.
//! Secret keys are wiped when dropped, have no `Debug` that shows them, and are written with mode 0600 to
//! files that did not exist before.
//!
//! A log, its checkpoint kept elsewhere, and the proof that the log only grew since:
//!
//! ```
//! use mynah_trust::keys::Ed25519SigningKey;
//! use mynah_trust::merkle::{Tree, consistency_proof, leaf_hash};
//! use mynah_trust::{Checkpoint, Result};
//!
//! # fn main() -> Result<()> {
//! let key = Ed25519SigningKey::generate()?;
//! let events = ["run created", "run finished", "run promoted"];
//! let leaves = events.map(|event| leaf_hash(event.as_bytes()));
//! let mut tree = Tree::new();
//! tree.append(leaves[0]);
//! tree.append(leaves[1]);
//! let kept = Checkpoint::new("example.com/runs", tree.size(), tree.root()).sign(&key)?;
//!
//! tree.append(leaves[2]);
//! let now = Checkpoint::new("example.com/runs", tree.size(), tree.root());
//! let proof = consistency_proof(leaves.as_slice(), 2, 3)?;
//! let kept = Checkpoint::verify(&kept, "example.com/runs", &key.verifying_key())?;
//! now.verify_continues(&kept, &proof)
//! # }
//! ```

mod checkpoint;
mod digest;
pub mod dsse;
mod encoding;
mod error;
pub mod keys;
mod log_proof;
pub mod merkle;
pub mod model_signing;
pub mod note;
pub mod statement;

pub use checkpoint::Checkpoint;
pub use digest::{Algorithm, Digest, Hasher};
pub use error::{Error, ErrorKind, Result};
pub use log_proof::LogProof;
