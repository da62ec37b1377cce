//! What this machine can do at most: the yardstick of benchmarks.

use crate::cpu::{self, Isa};
use crate::error::Result;
use crate::pool;
use crate::quant::Buffer;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that one task reads.
const PIECE: usize = 1 << 20;

/// Memory to be read from beginning to end, as a decoding step reads weights.
#[derive(Debug)]
pub struct Memory(Buffer);

impl Memory {
    /// `len` bytes; several times the caches, or the caches are what is measured.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory) when there are not so many.
    pub fn new(len: usize) -> Result<Self> {
        let mut buffer = Buffer::zeroed(len)?;
        // Written, so that each page has memory of its own.
        pool::run_chunks_mut(buffer.bytes_mut(), PIECE, |i, piece| piece.fill(i as u8));
        Ok(Self(buffer))
    }

    /// Reads all of it on all threads; the sum of its words, so that nothing can be left out.
    pub fn read(&self) -> u64 {
        let bytes = self.0.bytes();
        let total = AtomicU64::new(0);
        pool::run_ranges(bytes.len(), PIECE, |range| {
            total.fetch_add(sum(&bytes[range]), Ordering::Relaxed);
        });
        total.into_inner()
    }

    /// Bytes a second of the fastest of the reads made within `time`, at least two.
    pub fn bandwidth(&self, time: Duration) -> f64 {
        let (start, mut best) = (Instant::now(), f64::INFINITY);
        for reads in 0.. {
            if reads >= 2 && start.elapsed() >= time {
                break;
            }
            let begin = Instant::now();
            std::hint::black_box(self.read());
            best = best.min(begin.elapsed().as_secs_f64());
        }
        self.0.bytes().len() as f64 / best
    }
}

/// The sum of the words of `bytes`, lines of 64 bytes.
fn sum(bytes: &[u8]) -> u64 {
    #[inline(always)]
    fn body(bytes: &[u8]) -> u64 {
        let mut sums = [0u64; 32];
        for lines in bytes.as_chunks::<256>().0 {
            #[cfg(target_arch = "x86_64")]
            for line in 0..4 {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                // SAFETY: a prefetch reads nothing, wherever it points.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(lines.as_ptr().wrapping_add(8192 + line * 64).cast()) };
            }
            for (sum, word) in sums.iter_mut().zip(lines.as_chunks::<8>().0) {
                *sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
        }
        sums.iter().fold(0, |sum, part| sum.wrapping_add(*part))
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512(bytes: &[u8]) -> u64 {
        body(bytes)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(bytes: &[u8]) -> u64 {
        body(bytes)
    }
    match cpu::isa() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` never names more than the processor has.
        Isa::Avx512 => unsafe { avx512(bytes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { avx2(bytes) },
        _ => body(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read() {
        let memory = Memory::new(3 * PIECE + 512).expect("memory");
        let words = |value: u8, bytes: usize| u64::from_le_bytes([value; 8]).wrapping_mul(bytes as u64 / 8);
        let want = words(1, PIECE).wrapping_add(words(2, PIECE)).wrapping_add(words(3, 512));
        for &isa in Isa::available() {
            assert_eq!(cpu::with_isa(isa, || memory.read()), want, "{}", isa.name());
        }
        assert!(memory.bandwidth(Duration::ZERO) > 0.0);
    }
}
