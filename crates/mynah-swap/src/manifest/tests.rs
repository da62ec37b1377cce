use mynah_base::Rng;
use mynah_trust::keys::{EcSigningKey, Ed25519SigningKey};
use mynah_trust::merkle;

use super::*;
use crate::ErrorKind;
use crate::source::{MemorySource, SafetensorsSource, TensorInfo, TensorSource};

fn info(name: &str, dtype: &str, shape: &[u64]) -> TensorInfo {
    TensorInfo {
        name: name.to_string(),
        dtype: dtype.parse().unwrap(),
        shape: shape.to_vec(),
        part: None,
        group: None,
    }
}

fn random_bytes(rng: &mut Rng, info: &TensorInfo) -> Vec<u8> {
    (0..info.dtype.size_bytes(&info.shape).unwrap()).map(|_| rng.next_u64() as u8).collect()
}

fn identity() -> Identity {
    Identity {
        model: "toy".to_string(),
        config: Some(Hash::of(b"config")),
        tokenizer: Some(Hash::of(b"tokens")),
    }
}

fn options(epoch: u64) -> BuildOptions {
    BuildOptions { epoch, chunk_bytes: 64, threads: 2, ..BuildOptions::default() }
}

/// A few tensors of every kind, in an order that the seed decides.
fn example(seed: u64) -> (MemorySource, Manifest) {
    let mut infos = vec![
        info("embed.weight", "BF16", &[10, 16]),
        info("layers.0.q.qweight", "I32", &[8, 4]),
        info("layers.0.q.scales", "F16", &[2, 4]),
        info("layers.0.norm.weight", "F32", &[16]),
        info("empty", "F32", &[0, 4]),
        info("scalar", "F64", &[]),
        info("blocks", "Q4_0", &[4, 32]),
    ];
    for (offset, rows) in [(0, 5), (5, 6)] {
        let part = Some(Part { axis: 0, offset, extent: 11 });
        infos.push(TensorInfo { part, ..info("cut", "BF16", &[rows, 9]) });
    }
    crate::source::group_by_name(&mut infos);
    let mut items: Vec<(TensorInfo, Vec<u8>)> = Vec::new();
    let mut rng = Rng::new(1);
    for info in infos {
        let bytes = random_bytes(&mut rng, &info);
        items.push((info, bytes));
    }
    Rng::new(seed).shuffle(&mut items);
    let mut source = MemorySource::new();
    items.into_iter().for_each(|(info, bytes)| source.add(info, bytes).unwrap());
    let manifest = build(&source, &identity(), &options(3)).unwrap();
    (source, manifest)
}

#[test]
fn any_order_gives_the_same_bytes() {
    let (_, first) = example(1);
    for seed in 2..20 {
        assert_eq!(example(seed).1.to_bytes(), first.to_bytes());
    }
    assert_eq!(Manifest::parse(&first.to_bytes()).unwrap(), first);
    assert_eq!(
        first.tensors()[first.find("layers.0.q.scales", None).unwrap()].group.as_deref(),
        Some("layers.0.q")
    );
}

#[test]
fn the_name_of_a_version_never_changes() {
    // Versions are named in logs and signatures: a change of the canonical form needs a new magic.
    let (_, manifest) = example(1);
    assert_eq!(
        manifest.digest().to_string(),
        "blake3:03032ef4ba69fecb80dea12b1058d26bd79f05eab67abfc90899a984251d0c25"
    );
}

#[test]
fn every_byte_is_covered_and_proven() {
    let (source, manifest) = example(1);
    for (index, tensor) in manifest.tensors().iter().enumerate() {
        let at =
            source.tensors().iter().position(|t| t.name == tensor.name && t.part == tensor.part).unwrap();
        let mut reached = 0;
        for chunk in 0..tensor.chunk_range().len() {
            let range = manifest.chunk_bytes_range(tensor, chunk);
            assert_eq!(range.start, reached);
            assert!(range.end > range.start && range.start % tensor.dtype.unit_bytes() as u64 == 0);
            reached = range.end;
            let bytes = &source.bytes(at)[range.start as usize..range.end as usize];
            manifest.check_chunk(index, chunk, bytes).unwrap();
            let mut bad = bytes.to_vec();
            bad[0] ^= 1;
            assert_eq!(manifest.check_chunk(index, chunk, &bad).unwrap_err().kind(), ErrorKind::Mismatch);
            assert_eq!(
                manifest.check_chunk(index, chunk, &bad[1..]).unwrap_err().kind(),
                ErrorKind::Mismatch
            );
        }
        assert_eq!(reached, tensor.size_bytes());
    }
    let leaves = manifest.leaves();
    let size = leaves.len() as u64;
    let proof = merkle::inclusion_proof(leaves.as_slice(), 2, size).unwrap();
    merkle::verify_inclusion(&leaves[2], 2, size, &proof, manifest.root()).unwrap();
}

#[test]
fn chunks_of_ranks_lie_on_the_grid_of_the_whole() {
    // 64 rows of 24 bytes; cut into 2 and into 3 ranks, most chunks are the same chunks.
    let mut rng = Rng::new(4);
    let whole: Vec<u8> = (0..64 * 24).map(|_| rng.next_u64() as u8).collect();
    let cut = |ranks: u64| {
        let mut source = MemorySource::new();
        for rank in 0..ranks {
            let (from, to) = (64 * rank / ranks, 64 * (rank + 1) / ranks);
            let part = Some(Part { axis: 0, offset: from, extent: 64 });
            let bytes = whole[from as usize * 24..to as usize * 24].to_vec();
            source.add(TensorInfo { part, ..info("w", "BF16", &[to - from, 12]) }, bytes).unwrap();
        }
        build(&source, &identity(), &options(1)).unwrap()
    };
    let (one, three) = (cut(1), cut(3));
    let shared = three.chunks().iter().filter(|chunk| one.chunks().contains(chunk)).count();
    assert_eq!(one.chunks().len(), 24);
    // Two cuts, each through one chunk at most.
    assert!(shared >= 22 && three.chunks().len() <= 26, "{shared} of {}", three.chunks().len());
}

#[test]
fn bytes_from_outside_are_bounded_and_canonical() {
    let good = example(1).1.to_bytes();
    for length in 0..good.len() {
        assert!(Manifest::parse(&good[..length]).is_err(), "cut at {length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(Manifest::parse(&longer).is_err());
    let mut rng = Rng::new(11);
    for round in 0..4_000 {
        let mut bytes = good.clone();
        for _ in 0..=rng.index(3) {
            let at = rng.index(bytes.len().min(600));
            bytes[at] = *rng.choose(&[0, 1, 0x7f, 0x80, 0xff, rng.clone().next_u64() as u8]);
        }
        if let Ok(parsed) = Manifest::parse(&bytes) {
            assert_eq!(parsed.to_bytes(), bytes, "round {round}");
        }
    }
    for _ in 0..2_000 {
        let noise: Vec<u8> = (0..rng.index(200)).map(|_| rng.next_u64() as u8).collect();
        assert!(Manifest::parse(&noise).is_err());
        let mut headed = good[..rng.index(150) + 20].to_vec();
        headed.extend(noise);
        assert!(Manifest::parse(&headed).is_err());
    }
}

#[test]
fn one_changed_bit_is_another_root() {
    let good = example(1).1.to_bytes();
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        if let Ok(parsed) = Manifest::parse(&bytes) {
            // Only what the head says of itself may differ without another field noticing.
            assert_ne!(parsed.digest(), example(1).1.digest(), "byte {at}");
        }
    }
}

#[test]
fn impossible_tensors_are_refused() {
    let check = |infos: &[TensorInfo], expect: &str| {
        let mut source = MemorySource::new();
        for info in infos {
            let size = info.dtype.size_bytes(&info.shape).unwrap() as usize;
            source.add(info.clone(), vec![0; size]).unwrap();
        }
        let error = build(&source, &identity(), &options(1)).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    let part = |offset, extent, axis, rows| TensorInfo {
        part: Some(Part { axis, offset, extent }),
        ..info("w", "U8", &[rows, 4])
    };
    check(&[info("a", "U8", &[1]), info("a", "U8", &[1])], "twice");
    check(&[info("", "U8", &[1])], "0 bytes");
    check(&[info("a\u{1b}[2J", "U8", &[1])], "control");
    check(&[info(&"n".repeat(1025), "U8", &[1])], "1024");
    check(&[info("a", "U8", &[1; 9])], "8 dimensions");
    check(&[part(3, 4, 0, 2)], "no part");
    check(&[part(0, 4, 2, 2)], "no part");
    check(&[part(u64::MAX, 4, 0, 2)], "no part");
    check(&[part(0, 4, 0, 2), part(1, 4, 0, 2)], "overlap");
    check(&[part(0, 4, 0, 2), part(2, 5, 0, 2)], "different wholes");
    let source = MemorySource::new();
    for (model, chunk_bytes) in [("", 64), ("a\n", 64), ("a", 63), ("a", 96), ("a", 1 << 30)] {
        let identity = Identity { model: model.to_string(), ..Identity::default() };
        let options = BuildOptions { chunk_bytes, ..BuildOptions::default() };
        assert_eq!(build(&source, &identity, &options).unwrap_err().kind(), ErrorKind::Argument, "{model:?}");
    }
}

#[test]
fn signatures_of_both_kinds() {
    let (_, manifest) = example(1);
    let (key, stranger) = (Ed25519SigningKey::generate().unwrap(), Ed25519SigningKey::generate().unwrap());
    let signature = manifest.sign(&key);
    manifest.verify(signature.as_bytes(), &key.verifying_key()).unwrap();
    let error = manifest.verify(signature.as_bytes(), &stranger.verifying_key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Signature);
    let (source, _) = example(1);
    let other = build(&source, &identity(), &options(4)).unwrap();
    assert_eq!(
        other.verify(signature.as_bytes(), &key.verifying_key()).unwrap_err().kind(),
        ErrorKind::Mismatch
    );

    let key = EcSigningKey::generate();
    let bundle = openssf_bundle(&manifest, &key).unwrap();
    openssf_verify(&manifest, bundle.as_bytes(), &key.verifying_key()).unwrap();
    let error = openssf_verify(&other, bundle.as_bytes(), &key.verifying_key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    // The bundle verifies as a signature of the folder that holds the manifest alone.
    let folder = tempfile::tempdir().unwrap();
    manifest.save(&folder.path().join(OPENSSF_PATH)).unwrap();
    let signature = folder.path().join("model.sig");
    std::fs::write(&signature, &bundle).unwrap();
    let options = mynah_trust::model_signing::VerifyOptions::default();
    mynah_trust::model_signing::verify_folder(folder.path(), &signature, &key.verifying_key(), &options)
        .unwrap();
    // And a signature of a whole folder vouches for the manifest in it.
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let sign = mynah_trust::model_signing::SignOptions::default();
    mynah_trust::model_signing::sign_folder(folder.path(), &signature, &key, &sign).unwrap();
    openssf_verify(&manifest, &std::fs::read(&signature).unwrap(), &key.verifying_key()).unwrap();
    assert_eq!(Manifest::load(&folder.path().join(OPENSSF_PATH)).unwrap(), manifest);
}

#[test]
fn nothing_older_comes_in_again_but_a_signed_rollback() {
    let (source, third) = example(1);
    let epoch = |epoch| build(&source, &identity(), &options(epoch)).unwrap();
    let mut guard = EpochGuard { model: "toy".to_string(), tokenizer: identity().tokenizer, highest: 2 };
    guard.admit(&third).unwrap();
    assert_eq!(guard.admit(&third).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(guard.admit(&epoch(2)).unwrap_err().kind(), ErrorKind::Stale);
    guard.admit(&epoch(7)).unwrap();

    let key = Ed25519SigningKey::generate().unwrap();
    let order = Rollback { model: "toy".to_string(), epoch: 8, target: third.digest() };
    let signed = order.sign(&key).unwrap();
    let read = Rollback::verify(signed.as_bytes(), &key.verifying_key()).unwrap();
    assert_eq!(read, order);
    guard.admit_rollback(&read).unwrap();
    assert_eq!(guard.admit_rollback(&read).unwrap_err().kind(), ErrorKind::Stale);
    let stranger = Ed25519SigningKey::generate().unwrap().verifying_key();
    assert_eq!(Rollback::verify(signed.as_bytes(), &stranger).unwrap_err().kind(), ErrorKind::Signature);
    // A signed manifest does not pass as an order.
    let manifest_signature = third.sign(&key);
    assert!(Rollback::verify(manifest_signature.as_bytes(), &key.verifying_key()).is_err());

    let foreign = Identity { model: "other".to_string(), ..identity() };
    let foreign = build(&source, &foreign, &options(20)).unwrap();
    assert_eq!(guard.admit(&foreign).unwrap_err().kind(), ErrorKind::Mismatch);
    let retokenized = Identity { tokenizer: Some(Hash::of(b"new tokens")), ..identity() };
    let retokenized = build(&source, &retokenized, &options(20)).unwrap();
    assert!(guard.admit(&retokenized).unwrap_err().to_string().contains("tokenizer"));
    assert_eq!(guard.highest, 8);
}

#[test]
fn a_partial_version_keeps_what_it_does_not_name() {
    let (_, whole) = example(1);
    let mut adapter = MemorySource::new();
    adapter.add(info("layers.0.norm.weight", "F32", &[16]), vec![7; 64]).unwrap();
    adapter.add(info("lora.a", "BF16", &[4, 4]), vec![1; 32]).unwrap();
    let options = BuildOptions { parent: Some(whole.digest()), is_partial: true, ..options(4) };
    let partial = build(&adapter, &identity(), &options).unwrap();
    let full = partial.onto(&whole).unwrap();
    assert_eq!(full.tensors().len(), whole.tensors().len() + 1);
    assert!(!full.head().is_partial);
    let at = |m: &Manifest, name: &str| *m.tensors()[m.find(name, None).unwrap()].content();
    assert_eq!(at(&full, "layers.0.norm.weight"), at(&partial, "layers.0.norm.weight"));
    assert_eq!(at(&full, "embed.weight"), at(&whole, "embed.weight"));
    assert_eq!(partial.onto(&full).unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(Manifest::parse(&partial.to_bytes()).unwrap(), partial);
}

#[test]
fn checkpoints_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = |header: &str, data: &[u8]| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    };
    let header = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},
        "b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
    let good = file(header, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, &good).unwrap();
    std::fs::write(folder.path().join("optimizer.safetensors"), b"not even a header").unwrap();
    std::fs::write(folder.path().join("config.json"), b"{}").unwrap();
    let source = SafetensorsSource::open(folder.path()).unwrap();
    let identity = Identity::of_folder("toy", folder.path()).unwrap();
    assert_eq!(identity.config, Some(Hash::of(b"{}")));
    let manifest = build(&source, &identity, &options(1)).unwrap();
    let b = &manifest.tensors()[manifest.find("b", None).unwrap()];
    assert_eq!(manifest.chunks()[b.chunk_range()], [Hash::of(&[9, 10, 11, 12])]);
    assert!(source.read(0, 7, &mut [0; 2]).is_err());

    for (header, data_bytes, expect) in [
        (
            r#"{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"w":{"dtype":"BF16","shape":[0],"data_offsets":[8,8]}}"#,
            8,
            "twice",
        ),
        (r#"{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,7]}}"#, 8, "does not fill"),
        (r#"{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}"#, 7, "does not fill"),
        (r#"{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}"#, 9, "follow the last"),
        (r#"{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[1,9]}}"#, 9, "starts at 1"),
        (r#"{"w":{"dtype":"X","shape":[2,2],"data_offsets":[0,8]}}"#, 8, "element type"),
        ("[]", 0, "cannot be read"),
    ] {
        std::fs::write(&path, file(header, &vec![0; data_bytes])).unwrap();
        let opened = SafetensorsSource::open(folder.path());
        let error = opened.and_then(|source| build(&source, &identity, &options(1))).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }
    let mut rng = Rng::new(5);
    for _ in 0..300 {
        let mut bytes = good.clone();
        let at = rng.index(bytes.len());
        bytes[at] = rng.next_u64() as u8;
        bytes.truncate(good.len() - rng.index(2) * rng.index(good.len()));
        std::fs::write(&path, bytes).unwrap();
        if let Ok(source) = SafetensorsSource::open(&path) {
            assert!(source.tensors().iter().all(|t| t.dtype.size_bytes(&t.shape).unwrap() <= 12));
        }
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(SafetensorsSource::open(empty.path()).unwrap_err().to_string().contains("checkpoint"));
    let index = r#"{"weight_map":{"w":"../../etc/passwd"}}"#;
    std::fs::write(empty.path().join("model.safetensors.index.json"), index).unwrap();
    assert_eq!(SafetensorsSource::open(empty.path()).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn the_views_name_everything() {
    let (_, manifest) = example(1);
    let json = manifest.to_json(true);
    assert_eq!(json["epoch"], 3);
    assert_eq!(json["tensors"].as_array().unwrap().len(), manifest.tensors().len());
    let digests =
        json["tensors"].as_array().unwrap().iter().flat_map(|t| t["chunk_digests"].as_array().unwrap());
    assert_eq!(digests.count(), manifest.chunks().len());
    let text = manifest.to_text();
    assert!(manifest.tensors().iter().all(|tensor| text.contains(&tensor.label())), "{text}");
}
