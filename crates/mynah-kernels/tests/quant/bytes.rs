//! Random weights as a file has them.

use half::{bf16, f16};
use mynah_base::Rng;
use mynah_kernels::quant::Format;

/// Row-major bytes of rows × cols values around 1 / √cols.
pub fn weights(format: Format, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let spread = 1.0 / (cols as f64).sqrt();
    let count = rows * cols;
    if format.is_float() {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let value = (rng.normal() * spread) as f32;
            match format {
                Format::F32 => bytes.extend(value.to_le_bytes()),
                Format::Bf16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
                _ => bytes.extend(f16::from_f32(value).to_le_bytes()),
            }
        }
        return bytes;
    }
    let mut bytes: Vec<u8> =
        (0..format.matrix_bytes(rows, cols).expect("a size")).map(|_| rng.next_u64() as u8).collect();
    // Any bytes are codes; the f16 scales must be numbers, of about the right size.
    let (at, range) = match format {
        Format::Q8_0 => (&[0][..], 64.0),
        Format::Q4_0 => (&[0][..], 5.0),
        Format::Q4K => (&[0, 2][..], 32.0 * 8.0),
        Format::Q5K => (&[0, 2][..], 32.0 * 16.0),
        _ => (&[208][..], 64.0 * 16.0),
    };
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for &at in at {
            let scale = f16::from_f64(spread / range * rng.uniform_in(0.5, 2.0));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}
