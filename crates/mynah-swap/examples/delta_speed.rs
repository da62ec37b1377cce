//! The codec against memory and against entropy:
//! `cargo run --release -p mynah-swap --example delta_speed`.
//!
//! Prints, for bf16 elements of which a share changed to random values, the bytes as a multiple of the entropy
//! floor, and the speed of both directions as a share of what copying the same bytes takes in the same run.

use std::hint::black_box;
use std::time::Instant;

use mynah_base::Rng;
use mynah_swap::delta::{encode, entropy_floor_bits, patch};

const CHUNK_BYTES: usize = 1 << 20;

fn main() -> mynah_swap::Result<()> {
    let size_bytes = 256 << 20;
    let mut rng = Rng::new(1);
    let base: Vec<u8> = (0..size_bytes / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    let mut copy = vec![0; size_bytes];
    let best = |run: &mut dyn FnMut()| {
        let once = |run: &mut dyn FnMut()| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        (0..3).map(|_| once(run)).fold(f64::INFINITY, f64::min)
    };
    let memcpy =
        size_bytes as f64 / best(&mut || black_box(&mut copy).copy_from_slice(black_box(&base))) / 1e9;
    println!("memcpy {memcpy:.2} GB/s");
    for density in [0.001, 0.01, 0.03] {
        let mut target = base.clone();
        let mut changes = 0u64;
        for value in target.as_chunks_mut::<2>().0 {
            if rng.chance(density) {
                let flip = rng.below(0xffff) as u16 + 1;
                *value = (u16::from_le_bytes(*value) ^ flip).to_le_bytes();
                changes += 1;
            }
        }
        let mut patches: Vec<Vec<u8>> = vec![Vec::new(); size_bytes / CHUNK_BYTES];
        let encoded = best(&mut || {
            let chunks = base.chunks(CHUNK_BYTES).zip(target.chunks(CHUNK_BYTES));
            for (out, (a, b)) in patches.iter_mut().zip(chunks) {
                out.clear();
                encode(a, b, 2, out);
            }
        });
        let wire: usize = patches.iter().map(Vec::len).sum();
        let floor = entropy_floor_bits(size_bytes as u64 / 2, changes, 2) / 8.0;
        let mut shadow = base.clone();
        let mut failed = None;
        let patched = best(&mut || {
            shadow.copy_from_slice(&base);
            for (chunk, delta) in shadow.chunks_mut(CHUNK_BYTES).zip(&patches) {
                failed = failed.take().or(patch(chunk, delta, 2).err());
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        assert!(shadow == target, "the patch is exact");
        let rate = |seconds: f64| size_bytes as f64 / seconds / 1e9;
        println!(
            "density {:.1}%: {:.4} x the floor; encode {:.2} GB/s ({:.2} of memcpy), copy and patch {:.2} GB/s ({:.2})",
            density * 100.0,
            wire as f64 / floor,
            rate(encoded),
            rate(encoded) / memcpy,
            rate(patched),
            rate(patched) / memcpy
        );
    }
    Ok(())
}
