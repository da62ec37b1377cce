use mynah_base::Rng;

use super::*;
use crate::manifest::{BuildOptions, Identity, build};
use crate::source::{MemorySource, Part, TensorInfo, group_by_name};

type Item = (String, &'static str, Vec<u64>, Option<Part>, Vec<u8>);

fn item(name: &str, dtype: &'static str, shape: &[u64], seed: u64) -> Item {
    let size = dtype.parse::<crate::DType>().unwrap().size_bytes(shape).unwrap();
    let mut rng = Rng::new(seed);
    let bytes = (0..size).map(|_| rng.next_u64() as u8).collect();
    (name.to_string(), dtype, shape.to_vec(), None, bytes)
}

fn manifest(items: &[Item], order: u64) -> Manifest {
    let mut items = items.to_vec();
    Rng::new(order).shuffle(&mut items);
    let mut infos: Vec<TensorInfo> = items
        .iter()
        .map(|(name, dtype, shape, part, _)| TensorInfo {
            name: name.clone(),
            dtype: dtype.parse().unwrap(),
            shape: shape.clone(),
            part: *part,
            group: None,
        })
        .collect();
    group_by_name(&mut infos);
    let mut source = MemorySource::new();
    for (info, item) in infos.into_iter().zip(items) {
        source.add(info, item.4).unwrap();
    }
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    build(&source, &identity, &BuildOptions { chunk_bytes: 64, threads: 1, ..BuildOptions::default() })
        .unwrap()
}

fn old_items() -> Vec<Item> {
    vec![
        item("embed", "BF16", &[32, 16], 1),
        item("layer.qweight", "I32", &[8, 16], 2),
        item("layer.scales", "F16", &[2, 16], 3),
        item("norm", "F32", &[16], 4),
        item("old_name", "F32", &[40], 5),
        item("qkv", "BF16", &[12, 32], 6),
        item("gone", "U8", &[100], 7),
    ]
}

/// One of everything: changed, renamed, split, removed, added, reformed.
fn new_items() -> Vec<Item> {
    let mut items = old_items();
    items[0].4[100] ^= 1;
    items[1].4[5] ^= 1;
    items[2].4[1] ^= 1;
    items[3] = item("norm", "F32", &[4, 4], 4);
    items[4].0 = "new_name".to_string();
    let (_, dtype, _, _, qkv) = items.remove(5);
    for (index, name) in ["q", "k", "v"].into_iter().enumerate() {
        items.push((
            name.to_string(),
            dtype,
            vec![4, 32],
            None,
            qkv[index * 256..(index + 1) * 256].to_vec(),
        ));
    }
    items.retain(|item| item.0 != "gone");
    items.push(item("fresh", "U8", &[70], 9));
    items
}

fn options() -> PlanOptions {
    PlanOptions { bucket_bytes_max: 256, ..PlanOptions::default() }
}

fn change_of(plan: &Plan, to: &Manifest, name: &str) -> (Change, u64, u64, u64) {
    let plan = &plan.tensors[to.find(name, None).unwrap()];
    (plan.change, plan.keep_bytes, plan.copy_bytes, plan.send_bytes)
}

/// Rebuilds every chunk's digest from the old manifest, the copies and the buckets: nothing missing, nothing twice.
fn check_complete(plan: &Plan, from: Option<&Manifest>, to: &Manifest, cap: u64) {
    let mut have: Vec<Vec<Option<Hash>>> =
        to.tensors().iter().map(|t| vec![None; t.chunk_range().len()]).collect();
    let mut put = |tensor: usize, chunk: usize, hash: Hash| {
        assert_eq!(have[tensor][chunk].replace(hash), None, "chunk {chunk} of {tensor} twice");
    };
    let digest =
        |m: &Manifest, tensor: usize, chunk: usize| m.chunks()[m.tensors()[tensor].first_chunk + chunk];
    for bucket in &plan.buckets {
        assert!(bucket.size_bytes <= cap && bucket.size_bytes > 0 && bucket.ranks != 0);
        assert_eq!(bucket.size_bytes, bucket.pieces.iter().map(|p| p.size_bytes).sum::<u64>());
        for piece in &bucket.pieces {
            for chunk in piece.first_chunk..piece.first_chunk + piece.count {
                put(piece.tensor as usize, chunk as usize, digest(to, piece.tensor as usize, chunk as usize));
            }
        }
    }
    for (index, tensor) in plan.tensors.iter().enumerate() {
        for copy in &tensor.copies {
            for i in 0..copy.count {
                let source = digest(from.unwrap(), copy.from_tensor as usize, (copy.from_chunk + i) as usize);
                put(index, (copy.to_chunk + i) as usize, source);
            }
        }
    }
    for (index, chunks) in have.iter().enumerate() {
        for (chunk, hash) in chunks.iter().enumerate() {
            let kept = || {
                let partner = plan.tensors[index].from_tensor.unwrap() as usize;
                digest(from.unwrap(), partner, chunk)
            };
            assert_eq!(hash.unwrap_or_else(kept), digest(to, index, chunk), "chunk {chunk} of {index}");
        }
    }
    assert_eq!(plan.send_bytes, plan.buckets.iter().map(|b| b.size_bytes).sum::<u64>());
    assert_eq!(plan.keep_bytes + plan.copy_bytes + plan.send_bytes, to.size_bytes());
}

#[test]
fn everything_that_can_happen_to_a_tensor() {
    let (from, to) = (manifest(&old_items(), 1), manifest(&new_items(), 2));
    let plan = Plan::new(Some(&from), &to, &options()).unwrap();
    check_complete(&plan, Some(&from), &to, 256);
    for (name, expect) in [
        ("embed", (Change::Changed, 960, 0, 64)),
        ("layer.qweight", (Change::Changed, 448, 0, 64)),
        ("layer.scales", (Change::Changed, 0, 0, 64)),
        ("norm", (Change::Reformed, 0, 64, 0)),
        ("new_name", (Change::Renamed, 0, 160, 0)),
        ("q", (Change::Split, 0, 256, 0)),
        ("v", (Change::Split, 0, 256, 0)),
        ("fresh", (Change::Added, 0, 0, 70)),
    ] {
        assert_eq!(change_of(&plan, &to, name), expect, "{name}");
    }
    let removed: Vec<&str> = plan.removed.iter().map(|&t| from.tensors()[t as usize].name.as_str()).collect();
    assert_eq!(removed, ["gone", "qkv"]);
    let text = plan.explain(Some(&from), &to);
    for part in
        ["renamed   new_name", "from old_name", "from qkv", "with the group layer", "removed   2", "fresh"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(plan.to_json(&to)["send_bytes"], plan.send_bytes);
    // The other way round, three tensors become one.
    let back = Plan::new(Some(&to), &from, &options()).unwrap();
    check_complete(&back, Some(&to), &from, 256);
    assert_eq!(change_of(&back, &from, "qkv"), (Change::Merged, 0, 768, 0));
}

#[test]
fn the_digest_does_not_depend_on_the_order() {
    let expect = Plan::new(Some(&manifest(&old_items(), 0)), &manifest(&new_items(), 0), &options()).unwrap();
    // The digest is part of what receivers agree on: the same plan on every machine and in every release.
    assert_eq!(
        expect.digest.to_string(),
        "blake3:902d38d353d6c83d975de49bcb25653dffafec0f4d9ddf51ba557244aa89f27a"
    );
    let mut cuts = vec![
        CutRule { pattern: "*".to_string(), axis: 0 },
        CutRule { pattern: "emb*".to_string(), axis: 1 },
        CutRule { pattern: "*bed".to_string(), axis: 1 },
    ];
    let with = |cuts: &[CutRule]| PlanOptions { ranks: 2, cuts: cuts.to_vec(), ..options() };
    let (from, to) = (manifest(&old_items(), 0), manifest(&new_items(), 0));
    let cut = Plan::new(Some(&from), &to, &with(&cuts)).unwrap();
    for order in 1..10 {
        let (from, to) = (manifest(&old_items(), order), manifest(&new_items(), order * 7));
        assert_eq!(Plan::new(Some(&from), &to, &options()).unwrap(), expect);
        Rng::new(order).shuffle(&mut cuts);
        assert_eq!(Plan::new(Some(&from), &to, &with(&cuts)).unwrap(), cut);
    }
    assert_ne!(cut.digest, expect.digest);
}

#[test]
fn each_rank_gets_what_it_holds() {
    // 8 rows of 128 bytes: two chunks a row.
    let to = manifest(&[item("a", "U8", &[8, 128], 1), item("b", "U8", &[128], 2)], 0);
    let rules =
        |axis| PlanOptions { ranks: 2, cuts: vec![CutRule { pattern: "a".to_string(), axis }], ..options() };
    let bytes_of = |plan: &Plan, ranks: u64| -> u64 {
        plan.buckets.iter().filter(|b| b.ranks == ranks).map(|b| b.size_bytes).sum()
    };
    let rows = Plan::new(None, &to, &rules(0)).unwrap();
    check_complete(&rows, None, &to, 256);
    assert_eq!((bytes_of(&rows, 1), bytes_of(&rows, 2), bytes_of(&rows, 3)), (512, 512, 128));
    let columns = Plan::new(None, &to, &rules(1)).unwrap();
    check_complete(&columns, None, &to, 256);
    assert_eq!((bytes_of(&columns, 1), bytes_of(&columns, 2), bytes_of(&columns, 3)), (512, 512, 128));
    assert_eq!(columns.estimate.rank_bytes, 512 + 128);
    // Rows of 48 bytes: chunks hold parts of both halves.
    let to = manifest(&[item("a", "U8", &[8, 48], 1)], 0);
    let mixed = Plan::new(None, &to, &rules(1)).unwrap();
    assert_eq!(bytes_of(&mixed, 3), 384);
    let error = Plan::new(None, &to, &rules(2)).unwrap_err();
    assert!(error.to_string().contains("axis 2"), "{error}");
}

/// The rule for ranks against the definition: which rank holds each byte.
#[test]
fn ranks_by_byte() {
    let mut rng = Rng::new(3);
    for _ in 0..200 {
        let shape: Vec<u64> = (0..3).map(|_| rng.below(6) + 2).collect();
        let axis = rng.index(3) as u8;
        let ranks = rng.below(shape[usize::from(axis)].min(5)) as u32 + 1;
        let (whole, cut_at) = (shape[0] + 3, rng.below(3));
        let mut one = item("a", "BF16", &shape, 1);
        one.3 = (rng.chance(0.5)).then_some(Part { axis: 0, offset: cut_at, extent: whole });
        let (offset, extent) = match one.3 {
            Some(part) if axis == 0 => (part.offset, part.extent),
            _ => (0, shape[usize::from(axis)]),
        };
        let to = manifest(&[one], 0);
        let options =
            PlanOptions { ranks, cuts: vec![CutRule { pattern: "a".to_string(), axis }], ..options() };
        let plan = Plan::new(None, &to, &options).unwrap();
        let strides = [shape[1] * shape[2] * 2, shape[2] * 2, 2];
        for (bucket, piece) in plan.buckets.iter().flat_map(|b| b.pieces.iter().map(move |p| (b, p))) {
            for chunk in piece.first_chunk..piece.first_chunk + piece.count {
                let range = to.chunk_bytes_range(&to.tensors()[0], chunk as usize);
                let mut expect = 0;
                for byte in range {
                    let index = offset + byte / strides[usize::from(axis)] % shape[usize::from(axis)];
                    let rank =
                        (0..u64::from(ranks)).find(|r| index < extent * (r + 1) / u64::from(ranks)).unwrap();
                    expect |= 1 << rank;
                }
                if ranks > 1 {
                    assert_eq!(bucket.ranks, expect, "{shape:?} axis {axis} ranks {ranks} chunk {chunk}");
                }
            }
        }
    }
}

#[test]
fn groups_share_a_bucket() {
    let items = [
        item("a.weight", "U8", &[150], 1),
        item("m.qweight", "U8", &[100], 2),
        item("m.scales", "F16", &[20], 3),
        item("z", "U8", &[30], 4),
    ];
    let to = manifest(&items, 0);
    let plan = Plan::new(None, &to, &options()).unwrap();
    check_complete(&plan, None, &to, 256);
    let group: Vec<usize> = ["m.qweight", "m.scales"].map(|name| to.find(name, None).unwrap()).to_vec();
    for bucket in &plan.buckets {
        let held = group.iter().filter(|&&t| bucket.pieces.iter().any(|p| p.tensor as usize == t)).count();
        assert!(held == 0 || held == 2);
    }
}

#[test]
fn random_pairs_are_complete_and_never_above_the_cap() {
    let mut rng = Rng::new(8);
    for round in 0..150 {
        let random = |rng: &mut Rng| -> Vec<Item> {
            let mut items = Vec::new();
            for name in ["a", "b", "c", "d", "e.weight", "e.scales"] {
                if rng.chance(0.8) {
                    let rows = rng.below(9) * 8;
                    items.push(item(name, "U8", &[rows, 16], rng.below(4)));
                }
            }
            for (index, offset) in [0u64, 5].into_iter().enumerate() {
                if rng.chance(0.5) {
                    let mut part = item("s", "BF16", &[5, 8], 77 + index as u64);
                    part.3 = Some(Part { axis: 0, offset, extent: 10 });
                    items.push(part);
                }
            }
            items
        };
        let (from, to) = (manifest(&random(&mut rng), round), manifest(&random(&mut rng), round));
        let cap = 64 + rng.below(400);
        let options = PlanOptions { bucket_bytes_max: cap, ..PlanOptions::default() };
        check_complete(&Plan::new(Some(&from), &to, &options).unwrap(), Some(&from), &to, cap);
        check_complete(&Plan::new(None, &to, &options).unwrap(), None, &to, cap);
        let same = Plan::new(Some(&to), &to, &options).unwrap();
        assert_eq!((same.send_bytes, same.copy_bytes, same.buckets.len()), (0, 0, 0));
    }
}

#[test]
fn impossible_plans_are_refused() {
    let (from, to) = (manifest(&old_items(), 1), manifest(&new_items(), 2));
    let check = |options: PlanOptions, expect: &str| {
        let error = Plan::new(Some(&from), &to, &options).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(PlanOptions { bucket_bytes_max: 63, ..options() }, "cannot hold a chunk");
    check(PlanOptions { ranks: 0, ..options() }, "0 ranks");
    check(PlanOptions { ranks: 65, ..options() }, "65 ranks");
    let cut = |axis| CutRule { pattern: "q".to_string(), axis };
    check(PlanOptions { ranks: 2, cuts: vec![cut(0), cut(1)], ..options() }, "different axes");
    let plan = Plan::new(Some(&from), &to, &options()).unwrap();
    plan.check_memory(plan.estimate.peak_bytes).unwrap();
    let error = plan.check_memory(plan.estimate.peak_bytes - 1).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Capacity);
}
