use mynah_base::Rng;

use super::*;
use crate::ErrorKind;
use crate::manifest::{BuildOptions, Identity, Manifest, build};
use crate::source::{MemorySource, SafetensorsSource, TensorInfo, TensorSource};

fn random_bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| rng.next_u64() as u8).collect()
}

/// Changes units in one of the ways that weights change.
fn change(rng: &mut Rng, base: &[u8], unit: usize) -> Vec<u8> {
    let mut target = base.to_vec();
    let density = *rng.choose(&[0.0, 0.001, 0.01, 0.1, 0.5, 1.0]);
    let way = rng.index(4);
    for unit in target.chunks_exact_mut(unit) {
        if !rng.chance(density) {
            continue;
        }
        match way {
            0 => unit.fill_with(|| rng.next_u64() as u8),
            // One step in the last place.
            1 => unit[0] = unit[0].wrapping_add(if rng.chance(0.5) { 1 } else { 0xff }),
            // The sign alone: +0 and -0.
            2 => *unit.last_mut().unwrap() ^= 0x80,
            _ => unit.fill(0),
        }
    }
    target
}

#[test]
fn ten_thousand_round_trips() {
    for seed in 0..10_000 {
        let mut rng = Rng::new(seed);
        let unit = *rng.choose(&[1, 2, 2, 2, 4, 8, 18, 34]);
        // A few are longer than a block.
        let units = if seed % 500 == 0 { UNITS_A_BLOCK + rng.index(70_000) } else { rng.index(400) };
        let base = random_bytes(&mut rng, units * unit);
        let target = change(&mut rng, &base, unit);
        let mut delta = Vec::new();
        let changed = encode(&base, &target, unit, &mut delta);
        let expect = base.chunks(unit).zip(target.chunks(unit)).filter(|(a, b)| a != b).count();
        assert_eq!(changed, expect as u64, "seed {seed}");
        assert!(delta.len() as u64 <= patch_size_max(base.len() as u64, unit), "seed {seed}");
        let mut bytes = base.clone();
        patch(&mut bytes, &delta, unit).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(bytes == target, "seed {seed}");
    }
}

#[test]
fn bit_patterns_survive() {
    // bf16: NaNs with payloads, both zeros, infinities, subnormals, and everything next to them.
    let patterns: Vec<u16> = [0x7fc0u16, 0x7f81, 0xffff, 0x0000, 0x8000, 0x7f80, 0xff80, 0x0001]
        .iter()
        .flat_map(|&p| [p, p ^ 1])
        .collect();
    for &before in &patterns {
        for &after in &patterns {
            let mut base = 0x3f80u16.to_le_bytes().repeat(1000);
            base[300..302].copy_from_slice(&before.to_le_bytes());
            let mut target = base.clone();
            target[300..302].copy_from_slice(&after.to_le_bytes());
            let mut delta = Vec::new();
            assert_eq!(encode(&base, &target, 2, &mut delta), u64::from(before != after));
            patch(&mut base, &delta, 2).unwrap();
            assert_eq!(base, target, "{before:#x} {after:#x}");
        }
    }
}

#[test]
fn near_the_entropy_floor() {
    let units = 1 << 20;
    for (density, unit) in [(0.001, 2), (0.01, 2), (0.03, 2), (0.01, 1), (0.01, 4)] {
        let mut rng = Rng::new(9);
        let base = random_bytes(&mut rng, units * unit);
        let mut target = base.clone();
        let mut changes = 0;
        for value in target.chunks_exact_mut(unit).filter(|_| rng.chance(density)) {
            // A value that is any other.
            value[0] ^= 1 + (changes % 255) as u8;
            value[1..].iter_mut().for_each(|byte| *byte ^= (changes * 77) as u8);
            changes += 1u64;
        }
        let mut delta = Vec::new();
        encode(&base, &target, unit, &mut delta);
        let ratio = delta.len() as f64 * 8.0 / entropy_floor_bits(units as u64, changes, unit as u64);
        assert!(ratio < 1.04, "density {density} of {unit} bytes: {ratio:.4} times the floor");
    }
    // Steps of one in the last place cost a fifth of the floor for random values.
    let mut rng = Rng::new(2);
    let base = random_bytes(&mut rng, units * 2);
    let mut target = base.clone();
    let mut changes = 0;
    for value in target.as_chunks_mut::<2>().0.iter_mut().filter(|_| rng.chance(0.01)) {
        *value =
            u16::from_le_bytes(*value).wrapping_add(if changes % 2 == 0 { 1 } else { 0xffff }).to_le_bytes();
        changes += 1u64;
    }
    let mut delta = Vec::new();
    encode(&base, &target, 2, &mut delta);
    assert!((delta.len() as f64) * 8.0 < 0.45 * entropy_floor_bits(units as u64, changes, 2));
    assert!((entropy_floor_bits(1000, 500, 2) - 9000.0).abs() < 1e-9);
}

#[test]
fn denser_changes_fall_back_to_the_bytes() {
    let mut rng = Rng::new(3);
    let base = random_bytes(&mut rng, 200_000);
    let target = random_bytes(&mut rng, 200_000);
    let mut delta = Vec::new();
    encode(&base, &target, 2, &mut delta);
    assert_eq!(delta.len(), 200_002);
    let mut same = Vec::new();
    assert_eq!(encode(&base, &base, 2, &mut same), 0);
    assert_eq!(same, [0, 0]);
}

#[test]
fn hostile_patches_are_refused_or_harmless() {
    let mut rng = Rng::new(4);
    for seed in 0..20_000u64 {
        let unit = *rng.choose(&[1, 2, 4, 8, 18]);
        let units = rng.index(300);
        let base = random_bytes(&mut rng, units * unit);
        let target = change(&mut rng, &base, unit);
        let mut delta = Vec::new();
        if seed % 4 == 0 {
            delta = random_bytes(&mut rng, 40);
            delta.iter_mut().take(1).for_each(|byte| *byte &= 3);
        } else {
            encode(&base, &target, unit, &mut delta);
            for _ in 0..rng.index(3) {
                if !delta.is_empty() {
                    let at = rng.index(delta.len().min(12));
                    delta[at] = rng.next_u64() as u8;
                }
            }
            if seed % 3 == 0 {
                delta.truncate(rng.index(delta.len() + 1));
            }
        }
        let mut bytes = base.clone();
        if let Err(error) = patch(&mut bytes, &delta, unit) {
            assert_eq!(error.kind(), ErrorKind::Format);
        }
        assert_eq!(bytes.len(), base.len());
        let composed = compose_patches(&delta, &delta, base.len(), unit);
        assert!(composed.is_ok() || composed.unwrap_err().kind() == ErrorKind::Format);
    }
    assert!(patch(&mut [0; 4], &[0, 0], 2).unwrap_err().to_string().contains("goes on"));
    assert!(patch(&mut [0; 4], &[], 2).unwrap_err().to_string().contains("cut short"));
    assert!(patch(&mut [0; 5], &[0], 2).is_err());
}

#[test]
fn two_patches_as_one() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let unit = *rng.choose(&[1, 2, 2, 4, 8, 18]);
        let units = if seed % 400 == 0 { UNITS_A_BLOCK + 1_000 } else { rng.index(300) };
        let a = random_bytes(&mut rng, units * unit);
        let b = change(&mut rng, &a, unit);
        // Sometimes back to where it was.
        let c = if rng.chance(0.1) { a.clone() } else { change(&mut rng, &b, unit) };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        encode(&a, &b, unit, &mut first);
        encode(&b, &c, unit, &mut second);
        let both = compose_patches(&first, &second, a.len(), unit).unwrap();
        let mut bytes = a.clone();
        patch(&mut bytes, &both, unit).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(bytes == c, "seed {seed}");
    }
}

fn info(name: &str, dtype: &str, shape: &[u64]) -> TensorInfo {
    TensorInfo {
        name: name.to_string(),
        dtype: dtype.parse().unwrap(),
        shape: shape.to_vec(),
        part: None,
        group: None,
    }
}

type Version = (Manifest, MemorySource);

fn version(tensors: &[(TensorInfo, Vec<u8>)], epoch: u64, parent: Option<crate::Hash>) -> Version {
    let mut source = MemorySource::new();
    tensors.iter().for_each(|(info, bytes)| source.add(info.clone(), bytes.clone()).unwrap());
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions { epoch, parent, chunk_bytes: 4096, threads: 1, ..BuildOptions::default() };
    (build(&source, &identity, &options).unwrap(), source)
}

fn toy(rng: &mut Rng) -> Vec<(TensorInfo, Vec<u8>)> {
    let mut infos = [
        info("embed", "BF16", &[100, 64]),
        info("w.qweight", "I32", &[16, 64]),
        info("w.scales", "F16", &[2, 64]),
        info("blocks", "Q8_0", &[8, 64]),
        info("norm", "F32", &[64]),
        info("qkv", "BF16", &[48, 128]),
        info("empty", "F32", &[0]),
    ];
    crate::source::group_by_name(&mut infos);
    infos
        .into_iter()
        .map(|info| {
            let bytes = random_bytes(rng, info.dtype.size_bytes(&info.shape).unwrap() as usize);
            (info, bytes)
        })
        .collect()
}

fn delta(from: &Version, to: &Version) -> (Vec<u8>, DeltaStats) {
    let mut stream = Vec::new();
    let stats = make((&from.0, &from.1), (&to.0, &to.1), &mut stream).unwrap();
    assert_eq!(stats.wire_bytes, stream.len() as u64);
    (stream, stats)
}

fn applied(from: &Version, stream: &[u8]) -> crate::Result<Version> {
    // In a sink's own memory, which held something else before, it is the same, also with several threads.
    let mut shadow = ShadowSink::reuse(from.1.clone(), 1 << 30);
    let options = ApplyOptions { threads: 3 };
    let in_place = apply_with((&from.0, &from.1), &mut &stream[..], &mut shadow, &options);
    let mut sink = MemorySink::new();
    let manifest = match apply((&from.0, &from.1), &mut &stream[..], &mut sink) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert_eq!(in_place.unwrap_err(), error);
            assert_eq!(shadow.into_source().unwrap_err().kind(), ErrorKind::State);
            return Err(error);
        }
    };
    let version = (manifest, sink.into_source()?);
    check_same(&(in_place.unwrap(), shadow.into_source().unwrap()), &version);
    Ok(version)
}

#[test]
fn a_version_without_room_is_refused() {
    let mut rng = Rng::new(12);
    let (from, to) = (version(&toy(&mut rng), 1, None), version(&toy(&mut rng), 2, None));
    let (stream, _) = delta(&from, &to);
    let mut shadow = ShadowSink::new(to.0.size_bytes() - 1);
    let refused = apply((&from.0, &from.1), &mut &stream[..], &mut shadow).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Capacity);
}

fn check_same(found: &Version, expect: &Version) {
    assert_eq!(found.0, expect.0);
    for (index, info) in found.1.tensors().iter().enumerate() {
        let at = expect.1.tensors().iter().position(|t| t.name == info.name && t.part == info.part).unwrap();
        assert!(found.1.bytes(index) == expect.1.bytes(at), "{}", info.name);
    }
}

/// Everything that can happen between two versions, by seed.
fn next(rng: &mut Rng, tensors: &[(TensorInfo, Vec<u8>)]) -> Vec<(TensorInfo, Vec<u8>)> {
    let mut next = tensors.to_vec();
    for (info, bytes) in &mut next {
        if rng.chance(0.6) {
            *bytes = change(rng, bytes, info.dtype.unit_bytes());
        }
    }
    if rng.chance(0.2) {
        let at = rng.index(next.len());
        next[at].0.name.push('x');
    }
    if rng.chance(0.2) && next.len() > 3 {
        next.remove(rng.index(next.len()));
    }
    if rng.chance(0.2) {
        let name = format!("new.{}", rng.below(1000));
        next.push((info(&name, "BF16", &[10, 300]), random_bytes(rng, 6000)));
    }
    if let Some(at) = next.iter().position(|(info, _)| info.name == "qkv")
        && rng.chance(0.2)
    {
        let (_, bytes) = next.remove(at);
        for (name, bytes) in ["q", "k", "v"].into_iter().zip(bytes.chunks(4096)) {
            next.push((info(name, "BF16", &[16, 128]), bytes.to_vec()));
        }
    }
    next
}

#[test]
fn streams_make_the_version() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let old = toy(&mut rng);
        let from = version(&old, 1, None);
        let to = version(&next(&mut rng, &old), 2, Some(from.0.digest()));
        let (stream, stats) = delta(&from, &to);
        check_same(&applied(&from, &stream).unwrap_or_else(|e| panic!("seed {seed}: {e}")), &to);
        let head = read_head(&mut &stream[..]).unwrap();
        assert_eq!(u64::from(head.records), stats.whole_chunks + stats.patched_chunks + stats.copied_chunks);
        // A whole version is a stream from nothing.
        let nothing = (Manifest::nothing("toy", 4096).unwrap(), MemorySource::new());
        let (stream, stats) = delta(&nothing, &to);
        check_same(&applied(&nothing, &stream).unwrap(), &to);
        assert_eq!(stats.whole_chunks, to.0.chunks().len() as u64);
        // A placebo moves the manifest and nothing else.
        let again = version(&old, 2, Some(from.0.digest()));
        let (stream, stats) = delta(&from, &again);
        assert_eq!(stats.whole_chunks + stats.patched_chunks + stats.copied_chunks, 0);
        assert_eq!(stream.len(), again.0.to_bytes().len() + 48);
    }
}

#[test]
fn streams_from_outside_are_checked() {
    let mut rng = Rng::new(5);
    let old = toy(&mut rng);
    let from = version(&old, 1, None);
    let mut changed = old.clone();
    changed[0].1[77] ^= 4;
    changed[5].1 = random_bytes(&mut rng, changed[5].1.len());
    let to = version(&changed, 2, None);
    let (stream, _) = delta(&from, &to);
    let other = version(&changed, 3, None);
    let error = applied(&other, &stream).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Mismatch && error.to_string().contains("starts at version"),
        "{error}"
    );
    // The right manifest over damaged weights.
    let mut damaged = from.clone();
    damaged.1.bytes_mut(3)[0] ^= 1;
    assert_eq!(applied(&damaged, &stream).unwrap_err().kind(), ErrorKind::Mismatch);
    let mut missing = MemorySource::new();
    missing.add(old[0].0.clone(), old[0].1.clone()).unwrap();
    assert!(applied(&(from.0.clone(), missing), &stream).unwrap_err().to_string().contains("have no"));
    for length in (0..stream.len()).step_by(97) {
        assert!(applied(&from, &stream[..length]).is_err());
    }
    let mut longer = stream.clone();
    longer.push(0);
    assert!(applied(&from, &longer).is_err());
    let records = to.0.to_bytes().len() + 44;
    for _ in 0..1_500 {
        let mut bad = stream.clone();
        let at = if rng.chance(0.5) { records + rng.index(40) } else { rng.index(bad.len()) };
        bad[at] = rng.next_u64() as u8;
        // Whatever was changed: an error, or the very bytes that the signed manifest names.
        if let Ok(found) = applied(&from, &bad) {
            assert!(found.0 != to.0 || bad == stream || found.1.bytes(0) == to.1.bytes(0));
            for (index, tensor) in found.0.tensors().iter().enumerate() {
                for chunk in 0..tensor.chunk_range().len() {
                    let range = found.0.chunk_bytes_range(tensor, chunk);
                    let bytes = &found.1.bytes(index)[range.start as usize..range.end as usize];
                    found.0.check_chunk(index, chunk, bytes).unwrap();
                }
            }
        }
    }
}

#[test]
fn factors_travel_alone() {
    let mut rng = Rng::new(6);
    let mut tensors = toy(&mut rng);
    let big = info("trunk", "BF16", &[512, 512]);
    tensors.push((big.clone(), random_bytes(&mut rng, 512 * 512 * 2)));
    for name in ["lora.a", "lora.b"] {
        tensors.push((info(name, "BF16", &[4, 64]), random_bytes(&mut rng, 512)));
    }
    let from = version(&tensors, 1, None);
    let mut factors = MemorySource::new();
    for name in ["lora.a", "lora.b"] {
        factors.add(info(name, "BF16", &[4, 64]), random_bytes(&mut rng, 512)).unwrap();
    }
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions {
        epoch: 2,
        parent: Some(from.0.digest()),
        is_partial: true,
        chunk_bytes: 4096,
        threads: 1,
    };
    let partial = build(&factors, &identity, &options).unwrap();
    let mut stream = Vec::new();
    let stats = make((&from.0, &from.1), (&partial, &factors), &mut stream).unwrap();
    let whole = partial.onto(&from.0).unwrap();
    assert_eq!((stats.whole_chunks, stats.patched_chunks, stats.copied_chunks), (2, 0, 0));
    assert_eq!(stats.wire_bytes, (whole.to_bytes().len() + 48 + 2 * (13 + 512)) as u64);
    let found = applied(&from, &stream).unwrap();
    assert_eq!(found.0, whole);
}

#[test]
fn a_joiner_reaches_the_newest_version() {
    let mut rng = Rng::new(7);
    let mut tensors = toy(&mut rng);
    let mut versions = vec![version(&tensors, 1, None)];
    let mut chain = Chain::new();
    let mut streams = std::collections::HashMap::new();
    for epoch in 2..=51 {
        let parent = &versions[versions.len() - 1];
        tensors = next(&mut rng, &tensors);
        let new = version(&tensors, epoch, Some(parent.0.digest()));
        let (stream, stats) = delta(parent, &new);
        let (from, to) = (parent.0.digest(), new.0.digest());
        chain.add(crate::delta::Link { from: Some(from), to, size_bytes: stats.wire_bytes });
        streams.insert((from, to), stream);
        versions.push(new);
    }
    let (first, last) = (&versions[0], &versions[50]);
    let (have, want) = (first.0.digest(), last.0.digest());
    // Step by step.
    let mut at = first.clone();
    for link in chain.route(Some(have), want).unwrap() {
        at = applied(&at, &streams[&(link.from.unwrap(), link.to)]).unwrap();
    }
    check_same(&at, last);
    // Compacted to one step.
    let digests: std::collections::HashMap<_, _> = versions.iter().map(|v| (v.0.digest(), &v.0)).collect();
    for links_max in [1, 3, 10] {
        let mut streams = streams.clone();
        let mut chain = chain.clone();
        for (a, b, c) in chain.compaction(Some(have), want, links_max).unwrap() {
            let both = compose(digests[&a], &streams[&(a, b)], &streams[&(b, c)]).unwrap();
            // Worth less than the two steps together, so that the route takes it.
            chain.add(crate::delta::Link { from: Some(a), to: c, size_bytes: 1 });
            streams.insert((a, c), both);
        }
        let way = chain.route(Some(have), want).unwrap();
        assert!(way.len() <= links_max, "{} steps, {links_max} wanted", way.len());
        let mut at = first.clone();
        for link in way {
            at = applied(&at, &streams[&(link.from.unwrap(), link.to)]).unwrap();
        }
        check_same(&at, last);
    }
    // An anchor is the way for who has nothing, and for whom the deltas cost more.
    assert_eq!(chain.route(None, want).unwrap_err().kind(), ErrorKind::Mismatch);
    chain.add(crate::delta::Link { from: None, to: versions[48].0.digest(), size_bytes: 10 });
    assert_eq!(chain.route(None, want).unwrap().len(), 3);
    assert_eq!(chain.route(Some(have), want).unwrap()[0].from, None);
    assert!(chain.route(Some(want), want).unwrap().is_empty());
    assert!(chain.compaction(Some(want), want, 1).unwrap().is_empty());
    assert_eq!(
        compose(&versions[1].0, &streams[&(have, versions[1].0.digest())], &[]).unwrap_err().kind(),
        ErrorKind::Format
    );
}

#[test]
fn files_are_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut rng = Rng::new(8);
    let mut tensors = toy(&mut rng);
    tensors.retain(|(info, _)| info.name != "blocks");
    let from = version(&tensors, 1, None);
    tensors[0].1[5] ^= 1;
    let to = version(&tensors, 2, None);
    let (stream, _) = delta(&from, &to);
    {
        let mut sink = SafetensorsSink::new(&path).unwrap();
        assert!(apply((&from.0, &from.1), &mut &stream[..stream.len() - 1], &mut sink).is_err());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut sink = SafetensorsSink::new(&path).unwrap();
    apply((&from.0, &from.1), &mut &stream[..], &mut sink).unwrap();
    let source = SafetensorsSource::open(&path).unwrap();
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions { epoch: 2, chunk_bytes: 4096, ..BuildOptions::default() };
    assert_eq!(build(&source, &identity, &options).unwrap(), to.0);
    // What safetensors has no form for.
    let blocks = version(&toy(&mut rng), 1, None);
    let mut sink = SafetensorsSink::new(&path).unwrap();
    assert_eq!(sink.begin(&blocks.0).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(MemorySink::new().into_source().unwrap_err().kind(), ErrorKind::State);
}
