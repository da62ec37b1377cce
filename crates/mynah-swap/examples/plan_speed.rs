//! How long a plan for a million chunks takes: `cargo run --release -p mynah-swap --example plan_speed`.

use std::time::Instant;

use mynah_base::Rng;
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::plan::{Plan, PlanOptions};
use mynah_swap::source::{TensorInfo, TensorSource};

/// Tensors whose bytes are a function of place and version, so that a million small chunks need no disk.
struct Synthetic {
    tensors: Vec<TensorInfo>,
    version: u64,
}

const CHUNK_BYTES: u64 = 64;
const TENSOR_CHUNKS: u64 = 2_500;

impl TensorSource for Synthetic {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> mynah_swap::Result<()> {
        let place = tensor as u64 * TENSOR_CHUNKS + offset_bytes / CHUNK_BYTES;
        // One chunk in ten differs between versions, and one tensor in twenty is new under another name.
        let seed = if Rng::for_item(7, place).chance(0.1) { self.version } else { 0 };
        let mut rng = Rng::for_item(seed, place);
        into.iter_mut().for_each(|byte| *byte = rng.next_u64() as u8);
        Ok(())
    }
}

fn main() -> mynah_swap::Result<()> {
    let manifest = |version: u64| {
        let tensor = |index: u64| TensorInfo {
            name: if index.is_multiple_of(20) && version == 2 {
                format!("moved.{index}")
            } else {
                format!("layer.{index}")
            },
            dtype: "U8".parse().expect("a known type"),
            shape: vec![TENSOR_CHUNKS, CHUNK_BYTES],
            part: None,
            group: None,
        };
        let source = Synthetic { tensors: (0..400).map(tensor).collect(), version };
        let options = BuildOptions { chunk_bytes: CHUNK_BYTES as u32, ..BuildOptions::default() };
        build(&source, &Identity { model: "toy".to_string(), ..Identity::default() }, &options)
    };
    let (from, to) = (manifest(1)?, manifest(2)?);
    for (what, from) in [("delta", Some(&from)), ("from nothing", None)] {
        let start = Instant::now();
        let plan = Plan::new(from, &to, &PlanOptions::default())?;
        println!(
            "{what}: {} chunks planned in {:.3} s ({} buckets, {:.1}% sent, digest {})",
            to.chunks().len(),
            start.elapsed().as_secs_f64(),
            plan.buckets.len(),
            100.0 * plan.delta_share(),
            plan.digest.short()
        );
    }
    Ok(())
}
