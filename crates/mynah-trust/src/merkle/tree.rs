//! The growing tree, kept as the roots of its complete subtrees.

use super::{Hash, empty_root, node_hash};
use crate::{Error, Result};

/// A tree that remembers only its peaks: the roots of the complete subtrees of which it is made, largest
/// first, one for every bit of the size. Appending costs O(1) hashes on average, the root O(log n), and
/// the whole state is at most 64 hashes, small enough to store beside a log.
///
/// ```
/// use mynah_trust::merkle::{Tree, leaf_hash};
/// let mut tree = Tree::new();
/// tree.append(leaf_hash(b"first"));
/// tree.append(leaf_hash(b"second"));
/// let again = Tree::from_parts(tree.size(), tree.peaks().to_vec())?;
/// assert_eq!(again.root(), tree.root());
/// # Ok::<(), mynah_trust::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree as it was stored.
    ///
    /// # Errors
    /// `Format` when the number of peaks is not the number of one bits in `size`. Wrong hashes cannot be
    /// seen here; they give a wrong root.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self> {
        if peaks.len() != size.count_ones() as usize {
            let message =
                format!("a tree of {size} leaves has {} peaks, not {}", size.count_ones(), peaks.len());
            return Err(Error::format(message));
        }
        Ok(Self { size, peaks })
    }

    /// Appends a leaf and returns its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        self.append_with(leaf, |_, _, _| {})
    }

    /// Appends a leaf, and names each node that is complete from now on as (level, index, hash): first the
    /// leaf itself at level 0, then what it closes. Node (l, i) covers the leaves from i · 2^l up to
    /// (i + 1) · 2^l. Who stores these nodes can make proofs in O(log n), see [`super::Nodes`].
    pub fn append_with(&mut self, leaf: Hash, mut complete: impl FnMut(u32, u64, &Hash)) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        complete(0, index, &hash);
        // Each trailing one bit of the size is a peak that this leaf completes to its double.
        for level in 0..index.trailing_ones() {
            let Some(left) = self.peaks.pop() else {
                unreachable!("a tree of {index} leaves has a peak for every one bit")
            };
            hash = node_hash(&left, &hash);
            complete(level + 1, index >> (level + 1), &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
        index
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let folded = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }
}
