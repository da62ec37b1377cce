//! Against the published vectors, against an oracle in another language, and against flipped bits.

use super::*;
use crate::digest::{bytes_of_hex, hex};
use crate::{Error, ErrorKind, Result};
use mynah_base::Rng;

/// The eight inputs of the Certificate Transparency test suites.
const INPUTS: [&[u8]; 8] = [
    b"",
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
];

/// Their published roots, by size.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn published(digits: &str) -> Hash {
    bytes_of_hex(digits).unwrap()
}

fn numbered(count: u64) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(i.to_string().as_bytes())).collect()
}

#[test]
fn published_roots() {
    let leaves: Vec<Hash> = INPUTS.iter().map(|data| leaf_hash(data)).collect();
    let mut tree = Tree::new();
    for (size, expect) in ROOTS.iter().enumerate() {
        assert_eq!(hex(&root(&leaves[..size])), *expect, "{size}");
        assert_eq!(hex(&tree.root()), *expect, "{size}");
        if size < leaves.len() {
            tree.append(leaves[size]);
        }
    }
}

#[test]
fn published_proofs() {
    let leaves: Vec<Hash> = INPUTS.iter().map(|data| leaf_hash(data)).collect();
    let node = |level: u32, index: u64| leaves.as_slice().node(level, index).unwrap();
    for (index, size, expect) in [
        (0, 1, vec![]),
        (0, 8, vec![node(0, 1), node(1, 1), node(2, 1)]),
        (5, 8, vec![node(0, 4), node(1, 3), node(2, 0)]),
        (2, 3, vec![node(1, 0)]),
        (1, 5, vec![node(0, 0), node(1, 1), node(0, 4)]),
    ] {
        assert_eq!(inclusion_proof(leaves.as_slice(), index, size).unwrap(), expect, "{index} in {size}");
    }
    for (old, new, expect) in [
        (1, 1, vec![]),
        (1, 8, vec![node(0, 1), node(1, 1), node(2, 1)]),
        (6, 8, vec![node(1, 2), node(1, 3), node(2, 0)]),
        (2, 5, vec![node(1, 1), node(0, 4)]),
    ] {
        assert_eq!(consistency_proof(leaves.as_slice(), old, new).unwrap(), expect, "{old} to {new}");
    }
    assert_eq!(
        node(1, 1),
        published("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
        "the published inner node"
    );
}

#[test]
fn every_size_and_index_equals_the_oracle() {
    let text = include_str!("../../goldens/merkle.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    let sizes = golden["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 131);
    let leaves = numbered(130);
    let summary = |proofs: Vec<Vec<Hash>>| {
        let mut all = Sha256::new();
        for proof in proofs {
            all.update([proof.len() as u8]);
            proof.iter().for_each(|hash| all.update(hash));
        }
        hex(&all.finalize())
    };
    let mut stored = std::collections::HashMap::new();
    let mut tree = Tree::new();
    for (size, expect) in sizes.iter().enumerate() {
        let of_size = &leaves[..size];
        let size = size as u64;
        assert_eq!(hex(&root(of_size)), expect["root"], "{size}");
        assert_eq!(hex(&tree.root()), expect["root"], "{size}");
        assert_eq!(Tree::from_parts(size, tree.peaks().to_vec()).unwrap(), tree);
        let lookup = |level: u32, index: u64| -> Result<Hash> { Ok(stored[&(level, index)]) };
        let inclusion = (0..size).map(|index| inclusion_proof(lookup, index, size).unwrap()).collect();
        assert_eq!(summary(inclusion), expect["inclusion"], "{size}");
        let consistency = (1..=size).map(|old| consistency_proof(of_size, old, size).unwrap());
        let from_table = (1..=size).map(|old| consistency_proof(lookup, old, size).unwrap());
        assert!(consistency.clone().eq(from_table));
        assert_eq!(summary(consistency.collect()), expect["consistency"], "{size}");
        if let Some(leaf) = leaves.get(size as usize) {
            tree.append_with(*leaf, |level, index, hash| {
                assert!(stored.insert((level, index), *hash).is_none());
            });
        }
    }
}

#[test]
fn proofs_verify_at_every_size_and_nothing_else_does() {
    let leaves = numbered(130);
    let mut rng = Rng::new(6962);
    let mut flipped = |hash: &Hash| {
        let mut hash = *hash;
        hash[(rng.next_u64() % 32) as usize] ^= 1 << (rng.next_u64() % 8);
        hash
    };
    for size in 1..=130 {
        let whole = root(&leaves[..size as usize]);
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let proof = inclusion_proof(leaves.as_slice(), index, size).unwrap();
            verify_inclusion(leaf, index, size, &proof, &whole).unwrap();
            let refused = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
                let error = verify_inclusion(leaf, index, size, proof, root).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{index} in {size}: {error}");
            };
            refused(&flipped(leaf), index, size, &proof, &whole);
            refused(leaf, index, size, &proof, &flipped(&whole));
            for at in 0..proof.len() {
                let mut other = proof.clone();
                other[at] = flipped(&other[at]);
                refused(leaf, index, size, &other, &whole);
                refused(leaf, index, size, &proof[..at], &whole);
            }
            refused(leaf, index, size, &[proof.as_slice(), &[*leaf]].concat(), &whole);
            if size > 1 {
                refused(leaf, (index + 1) % size, size, &proof, &whole);
            }
        }
        for old in 1..size {
            let old_root = root(&leaves[..old as usize]);
            let proof = consistency_proof(leaves.as_slice(), old, size).unwrap();
            verify_consistency(old, &old_root, size, &whole, &proof).unwrap();
            let refused = |old, old_root: &Hash, size, root: &Hash, proof: &[Hash]| {
                let error = verify_consistency(old, old_root, size, root, proof).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{old} to {size}: {error}");
            };
            refused(old, &flipped(&old_root), size, &whole, &proof);
            refused(old, &old_root, size, &flipped(&whole), &proof);
            refused(size, &whole, old, &old_root, &proof);
            for at in 0..proof.len() {
                let mut other = proof.clone();
                other[at] = flipped(&other[at]);
                refused(old, &old_root, size, &whole, &other);
                refused(old, &old_root, size, &whole, &proof[..at]);
            }
            refused(old, &old_root, size, &whole, &[proof.as_slice(), &[whole]].concat());
        }
    }
}

/// What a checkpoint is for: each way to falsify a log shows against an older root held elsewhere.
#[test]
fn falsified_logs_are_not_consistent() {
    let honest = numbered(100);
    let held = root(&honest[..60]);
    let mut edited = honest.clone();
    edited[17] = leaf_hash(b"something else");
    let mut removed = honest.clone();
    removed.remove(17);
    let mut swapped = honest.clone();
    swapped.swap(3, 4);
    for log in [edited, removed, swapped] {
        let size = log.len() as u64;
        let proof = consistency_proof(log.as_slice(), 60, size).unwrap();
        assert!(verify_consistency(60, &held, size, &root(&log), &proof).is_err());
    }
    let cut = &honest[..59];
    assert!(consistency_proof(cut, 60, 59).is_err());
    assert!(verify_consistency(60, &held, 59, &root(cut), &[]).is_err());
}

#[test]
fn sizes_at_the_edge() {
    let leaf = leaf_hash(b"x");
    let is = |kind, result: Result<()>| assert_eq!(result.unwrap_err().kind(), kind);
    is(ErrorKind::Argument, verify_inclusion(&leaf, 0, 0, &[], &empty_root()));
    is(ErrorKind::Argument, verify_inclusion(&leaf, 1, 1, &[], &leaf));
    verify_inclusion(&leaf, 0, 1, &[], &leaf).unwrap();
    let most = vec![leaf; PROOF_HASHES_MAX];
    is(ErrorKind::Mismatch, verify_inclusion(&leaf, u64::MAX - 1, u64::MAX, &most, &leaf));
    is(ErrorKind::Mismatch, verify_inclusion(&leaf, 0, u64::MAX, &most, &leaf));
    is(ErrorKind::Mismatch, verify_consistency(u64::MAX - 1, &leaf, u64::MAX, &leaf, &most));
    is(ErrorKind::Mismatch, verify_consistency(1 << 63, &leaf, u64::MAX, &leaf, &most));

    verify_consistency(0, &empty_root(), 0, &empty_root(), &[]).unwrap();
    verify_consistency(0, &empty_root(), 7, &leaf, &[]).unwrap();
    is(ErrorKind::Mismatch, verify_consistency(0, &leaf, 7, &leaf, &[]));
    is(ErrorKind::Mismatch, verify_consistency(0, &leaf, 0, &leaf, &[]));
    is(ErrorKind::Mismatch, verify_consistency(0, &empty_root(), 7, &leaf, &[leaf]));
    is(ErrorKind::Mismatch, verify_consistency(7, &leaf, 7, &leaf, &[leaf]));
    is(ErrorKind::Mismatch, verify_consistency(7, &leaf, 7, &empty_root(), &[]));

    let leaves = numbered(5);
    let of = |size| inclusion_proof(leaves.as_slice(), 0, size).map(drop);
    is(ErrorKind::Argument, of(0));
    is(ErrorKind::Argument, of(6));
    assert!(Tree::from_parts(5, vec![leaf]).is_err());
    assert!(Tree::from_parts(5, vec![leaf; 2]).is_ok());
}

/// The caller's own error type passes through.
#[test]
fn lookups_may_fail() {
    #[derive(Debug)]
    enum Store {
        Gone(u32, u64),
        Trust(Error),
    }
    impl From<Error> for Store {
        fn from(error: Error) -> Self {
            Store::Trust(error)
        }
    }
    let lookup = |level, index| Err(Store::Gone(level, index));
    assert!(matches!(inclusion_proof(lookup, 0, 4), Err(Store::Gone(1, 1))));
    assert!(matches!(inclusion_proof(lookup, 4, 4), Err(Store::Trust(e)) if e.kind() == ErrorKind::Argument));
}
