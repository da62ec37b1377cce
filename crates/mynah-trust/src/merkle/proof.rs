//! Proofs: that a leaf is in a tree, and that one tree is the beginning of another.

use super::{Hash, empty_root, node_hash, split};
use crate::digest::hex;
use crate::{Error, Result};

/// No honest proof is longer: one hash for each level of a tree of 2^64 leaves, and one more that a
/// consistency proof begins with.
pub const PROOF_HASHES_MAX: usize = 65;

/// Where the hashes of complete subtrees come from.
///
/// Implemented by slices of leaf hashes (which compute, O(n)) and by closures (which look up, for instance
/// in a table filled from [`super::Tree::append_with`]; a proof then asks for O(log n) nodes).
pub trait Nodes {
    /// The errors of looking up; also those of asking for what is not in the tree.
    type Error: From<Error>;

    /// The hash over the leaves from `index` · 2^`level` up to (`index` + 1) · 2^`level`, all of which exist.
    ///
    /// # Errors
    /// When the node cannot be had.
    fn node(&mut self, level: u32, index: u64) -> std::result::Result<Hash, Self::Error>;
}

impl Nodes for &[Hash] {
    type Error = Error;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        let range = index.checked_shl(level).and_then(|begin| {
            let end = begin.checked_add(1u64.checked_shl(level)?)?;
            self.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
        });
        let message = || format!("node {index} of level {level} lies beyond {} leaves", self.len());
        range.map(super::root).ok_or_else(|| Error::argument(message()))
    }
}

impl<E: From<Error>, F: FnMut(u32, u64) -> std::result::Result<Hash, E>> Nodes for F {
    type Error = E;

    fn node(&mut self, level: u32, index: u64) -> std::result::Result<Hash, E> {
        self(level, index)
    }
}

/// The proof that leaf `index` is in the tree of the first `size` leaves (RFC 6962, section 2.1.1).
///
/// # Errors
/// `Argument` when `index` is not below `size`; whatever `nodes` answers.
pub fn inclusion_proof<N: Nodes>(
    mut nodes: N,
    index: u64,
    size: u64,
) -> std::result::Result<Vec<Hash>, N::Error> {
    if index >= size {
        return Err(Error::argument(format!("a tree of {size} leaves has no leaf {index}")).into());
    }
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            proof.push(range_hash(&mut nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_hash(&mut nodes, begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old_size` leaves is the beginning of the tree of the first
/// `new_size` leaves (RFC 6962, section 2.1.2). It is empty when nothing has to be shown: from the empty
/// tree, and between equal sizes.
///
/// # Errors
/// `Argument` when `old_size` is above `new_size`; whatever `nodes` answers.
pub fn consistency_proof<N: Nodes>(
    mut nodes: N,
    old_size: u64,
    new_size: u64,
) -> std::result::Result<Vec<Hash>, N::Error> {
    if old_size > new_size {
        let message = format!("a tree of {new_size} leaves does not begin with {old_size} leaves");
        return Err(Error::argument(message).into());
    }
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, new_size);
    // Down to the subtree that ends where the old tree ended; what lies beside the path is the proof.
    while end != old_size {
        let middle = begin + split(end - begin);
        if old_size <= middle {
            proof.push(range_hash(&mut nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_hash(&mut nodes, begin, middle)?);
            begin = middle;
        }
    }
    // When that subtree is the whole old tree, the verifier has its hash already.
    if begin != 0 {
        proof.push(range_hash(&mut nodes, begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root over the leaves from `begin` up to `end`, a range that occurs in some tree.
fn range_hash<N: Nodes>(nodes: &mut N, begin: u64, end: u64) -> std::result::Result<Hash, N::Error> {
    let size = end - begin;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, begin >> level);
    }
    let middle = begin + split(size);
    let left = range_hash(nodes, begin, middle)?;
    let right = range_hash(nodes, middle, end)?;
    Ok(node_hash(&left, &right))
}

/// Checks that `leaf` (a leaf hash) is number `index` in the tree of `size` leaves with that root
/// (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// `Argument` when `index` is not below `size`, `Mismatch` when the proof has another length than such a
/// proof has, or does not lead to `root`.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<()> {
    if index >= size {
        return Err(Error::argument(format!("a tree of {size} leaves has no leaf {index}")));
    }
    let refuse = |why: String| {
        Error::mismatch(format!("leaf {index} is not proven to be in the log of {size} leaves: {why}"))
    };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(refuse(format!("{} hashes are too many", proof.len())));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The last node of a level without a right neighbour rises unchanged until it has a left one.
            let rise = node.trailing_zeros();
            (node, last) = (node >> rise, last >> rise);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(refuse(format!("{} hashes are too few", proof.len())));
    }
    if hash != *root {
        return Err(refuse(format!("it leads to the root {}, not {}", hex(&hash), hex(root))));
    }
    Ok(())
}

/// Checks that the tree of `new_size` leaves with `new_root` begins with the tree of `old_size` leaves with
/// `old_root` (RFC 9162, section 2.1.4.2): nothing before `old_size` was edited, removed or reordered.
///
/// # Errors
/// `Mismatch` when `old_size` is above `new_size` (the log was cut), when equal sizes have different
/// roots, or when the proof has another length or does not lead to both roots.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<()> {
    let refuse = |why: &str| {
        let message =
            format!("the log of {new_size} leaves is not proven to continue that of {old_size}: {why}");
        Err(Error::mismatch(message))
    };
    if old_size > new_size {
        return refuse("leaves are missing at the end");
    }
    for (size, root) in [(old_size, old_root), (new_size, new_root)] {
        if size == 0 && *root != empty_root() {
            return refuse("a log without leaves has another root");
        }
    }
    if old_size == 0 || old_size == new_size {
        return match proof {
            [] if old_size == 0 || old_root == new_root => Ok(()),
            [] => refuse("the roots differ"),
            _ => refuse("the proof has to be empty"),
        };
    }
    // An old tree of 2^k leaves is one node of the new tree; its hash is left out of the proof.
    let mut hashes = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return refuse("the proof is empty") };
    let rise = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> rise, (new_size - 1) >> rise);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return refuse("the proof has too many hashes");
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            let rise = node.trailing_zeros();
            (node, last) = (node >> rise, last >> rise);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return refuse("the proof has too few hashes");
    }
    if old_hash != *old_root {
        return refuse("the proof does not lead to the old root");
    }
    if new_hash != *new_root {
        return refuse("the proof does not lead to the new root");
    }
    Ok(())
}
