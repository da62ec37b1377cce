//! The Merkle tree of RFC 6962, section 2.1 (unchanged in RFC 9162, section 2.1) with SHA-256.
//!
//! A tree of n leaves splits at the largest power of two below n; a leaf hash is SHA-256(0x00 ‖ data), a
//! node SHA-256(0x01 ‖ left ‖ right). The different first bytes are what keeps a node from passing as a leaf.
//!
//! Sizes and indices are `u64` counts of leaves; a proof is a list of at most 64 + 1 hashes, nearest sibling
//! first. Verification needs no tree, only the proof and the two ends it connects.

mod proof;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

pub use proof::{
    Nodes, PROOF_HASHES_MAX, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use tree::Tree;

/// The hash of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

static EMPTY: LazyLock<Hash> = LazyLock::new(|| Sha256::digest(b"").into());

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    *EMPTY
}

/// The hash of a leaf that holds `data`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// The hash of a node over two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over leaf hashes, straight from the definition. This is the oracle for [`Tree`].
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The largest power of two smaller than `size`, for a size of two or more.
fn split(size: u64) -> u64 {
    debug_assert!(size >= 2);
    1 << (63 - (size - 1).leading_zeros())
}
