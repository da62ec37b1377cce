//! Staging against what it cannot avoid: `cargo run --release -p mynah-swap --example stage_speed`.
//!
//! A receiver that applies a stream must at least copy the weights into the shadow and hash every chunk. Both are
//! measured alone, with the same threads, in the same run; the slower one is the ceiling.

use std::hint::black_box;
use std::time::Instant;

use mynah_base::Rng;
use mynah_swap::delta::{ChunkSink, apply, make};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::source::{MemorySource, TensorInfo};
use mynah_swap::{Manifest, Result};

const TENSORS: usize = 16;
const TENSOR_BYTES: usize = 16 << 20;

/// Shadow weights that are there already, as a server's are.
struct Shadow(Vec<Vec<u8>>);

impl ChunkSink for Shadow {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, tensor: usize, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.0[tensor][offset_bytes as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn version(epoch: u64, data: &[Vec<u8>]) -> Result<(Manifest, MemorySource)> {
    let mut source = MemorySource::new();
    for (number, bytes) in data.iter().enumerate() {
        let info = TensorInfo {
            name: format!("layer.{number:02}"),
            dtype: "BF16".parse()?,
            shape: vec![bytes.len() as u64 / 2],
            part: None,
            group: None,
        };
        source.add(info, bytes.clone())?;
    }
    let options = BuildOptions { epoch, ..BuildOptions::default() };
    Ok((build(&source, &Identity { model: "toy".to_string(), ..Identity::default() }, &options)?, source))
}

fn best(run: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        run()?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    Ok((TENSORS * TENSOR_BYTES) as f64 / seconds / 1e9)
}

fn main() -> Result<()> {
    let mut rng = Rng::new(1);
    let mut data: Vec<Vec<u8>> = (0..TENSORS)
        .map(|_| (0..TENSOR_BYTES / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect())
        .collect();
    let old = version(1, &data)?;
    for value in data.iter_mut().flat_map(|bytes| bytes.as_chunks_mut::<2>().0) {
        if rng.chance(0.01) {
            *value = (rng.next_u64() as u16).to_le_bytes();
        }
    }
    let new = version(2, &data)?;
    let mut shadow = Shadow(data.clone());
    let copied = best(&mut || {
        for (to, from) in shadow.0.iter_mut().zip(&data) {
            black_box(to).copy_from_slice(black_box(from));
        }
        Ok(())
    })?;
    let hashed = best(&mut || version_hash(&new.1))?;
    let ceiling = copied.min(hashed);
    println!("copy {copied:.2} GB/s, hash {hashed:.2} GB/s with all threads; the ceiling is {ceiling:.2}");
    let nothing = (Manifest::nothing("toy", new.0.head().chunk_bytes)?, MemorySource::new());
    for (what, base) in [("delta of 1%", &old), ("whole version", &nothing)] {
        let mut stream = Vec::new();
        let start = Instant::now();
        make((&base.0, &base.1), (&new.0, &new.1), &mut stream)?;
        let made = start.elapsed().as_secs_f64();
        let applied = best(&mut || apply((&base.0, &base.1), &mut &stream[..], &mut shadow).map(|_| ()))?;
        println!(
            "{what}: {:.1} MB made in {made:.2} s; staged at {applied:.2} GB/s, {:.2} of the ceiling",
            stream.len() as f64 / 1e6,
            applied / ceiling
        );
    }
    Ok(())
}

/// Every chunk hashed, by the threads that [`build`] takes.
fn version_hash(source: &MemorySource) -> Result<()> {
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    black_box(build(source, &identity, &BuildOptions::default())?);
    Ok(())
}
