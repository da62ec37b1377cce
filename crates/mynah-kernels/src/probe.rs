//! What this machine can do at most: the yardstick of benchmarks.

use crate::cpu;
use crate::error::Result;
use crate::nn::simd::{Simd, kernel};
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
    /// `len` bytes, rounded up to 256; several times the caches, or the caches are what is measured.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory) when there are not so many.
    pub fn new(len: usize) -> Result<Self> {
        let mut buffer = Buffer::zeroed(len.saturating_add(255) & !255)?;
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
        cpu::Isa::Avx512 => unsafe { avx512(bytes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        cpu::Isa::Avx2 => unsafe { avx2(bytes) },
        _ => body(bytes),
    }
}

/// Operations a second on registers alone, all threads together; a multiply-add counts as two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// In f32.
    pub float: f64,
    /// On bytes with sums in 32 bits; as `float` where there are no instructions for it.
    pub byte: f64,
}

/// Measures [`Operations`] for about `time` each.
pub fn operations(time: Duration) -> Operations {
    let best = |work: fn() -> f64| {
        let (start, mut best) = (Instant::now(), 0.0f64);
        loop {
            let begin = Instant::now();
            let done: f64 = pool::run_map(pool::threads(), |_| work()).iter().sum();
            best = best.max(done / begin.elapsed().as_secs_f64());
            if start.elapsed() >= time {
                return best;
            }
        }
    };
    let float = best(float_work);
    Operations { float, byte: best(byte_work).max(float) }
}

/// Independent chains: more than the latency of a multiply-add times the ports that make them.
const CHAINS: usize = 12;
/// Steps of a measurement.
const STEPS: usize = 50_000;

kernel! { fn float_work() -> f64 = float_body }

#[inline(always)]
fn float_body<S: Simd>(s: S) -> f64 {
    let factor = s.splat(std::hint::black_box(0.5));
    let mut sums = [factor; CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = s.mul_add(*sum, factor, factor);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += s.sum(sum);
    }
    std::hint::black_box(total);
    (STEPS * CHAINS * S::LANES * 2) as f64
}

/// Byte products; 0 operations where there are no instructions for them.
fn byte_work() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        #[target_feature(enable = "avx512f,avx512vnni")]
        fn avx512() -> f64 {
            let bytes = _mm512_set1_epi8(std::hint::black_box(1));
            let mut sums = [bytes; CHAINS];
            for _ in 0..STEPS {
                // Unknown each time, or all steps are folded into one; not a sum, which would wait for memory.
                let factor = std::hint::black_box(bytes);
                for sum in &mut sums {
                    *sum = _mm512_dpbusd_epi32(*sum, bytes, factor);
                }
            }
            std::hint::black_box(sums);
            (STEPS * CHAINS * 64 * 2) as f64
        }
        #[target_feature(enable = "avx2,avxvnni")]
        fn avx2() -> f64 {
            let bytes = _mm256_set1_epi8(std::hint::black_box(1));
            let mut sums = [bytes; CHAINS];
            for _ in 0..STEPS {
                let factor = std::hint::black_box(bytes);
                for sum in &mut sums {
                    *sum = _mm256_dpbusd_avx_epi32(*sum, bytes, factor);
                }
            }
            std::hint::black_box(sums);
            (STEPS * CHAINS * 32 * 2) as f64
        }
        if cpu::vnni() {
            // SAFETY: the machine has the instructions.
            return unsafe { avx512() };
        }
        if cpu::avx_vnni() {
            // SAFETY: as above.
            return unsafe { avx2() };
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read() {
        let memory = Memory::new(3 * PIECE + 512).expect("memory");
        let words = |value: u8, bytes: usize| u64::from_le_bytes([value; 8]).wrapping_mul(bytes as u64 / 8);
        let want = words(1, PIECE).wrapping_add(words(2, PIECE)).wrapping_add(words(3, 512));
        for &isa in cpu::Isa::available() {
            assert_eq!(cpu::with_isa(isa, || memory.read()), want, "{}", isa.name());
        }
        assert!(memory.bandwidth(Duration::ZERO) > 0.0);
    }

    #[test]
    fn operations_are_counted() {
        for &isa in cpu::Isa::available() {
            let Operations { float, byte } = cpu::with_isa(isa, || operations(Duration::ZERO));
            assert!(float > 0.0 && byte >= float, "{float} and {byte} on {}", isa.name());
        }
    }
}
