//! Our side of `cargo xtask bench matmul`: matrix products at the shapes of a training step.
//!
//! Flags: `--threads N`, `--small`. A case is LAYOUT-MxNxK: c (M, N) = a (M, K) · b (K, N), where the
//! layout says which operand is stored transposed: `nt` is the forward pass (y = x·Wᵀ), `nn` the gradient
//! of the input (dx = dy·W), `tn` the gradient of the weight (dW = dyᵀ·x), `sym` x·xᵀ, whose work is
//! counted as if all of it were computed. Besides the protocol's fields an answer has `peak`, the
//! multiply-add rate in flop/s that the same threads reached on registers alone, and `cpu`, the seconds that
//! the calling thread was running (on a busy machine a fairer measure of one thread than the wall's).

use mynah_kernels::gemm::{MatMut, MatRef, Store, gemm, gemm_symmetric};
use mynah_kernels::{cpu, pool};
use std::io::{BufRead, Write};
use std::time::Instant;

/// Depth 4 (2048 tokens of dim 256, vocabulary 4096), depth 6 (2048 tokens of dim 384, vocabulary
/// 32768, in chunks of rows), then the products of the Muon step.
const CASES: &[&str] = &[
    "nt-2048x256x256",
    "nt-2048x1024x256",
    "nt-2048x256x1024",
    "nt-2048x4096x256",
    "nt-256x4096x256",
    "nn-2048x256x256",
    "nn-2048x256x1024",
    "nn-2048x1024x256",
    "nn-256x256x4096",
    "tn-256x256x2048",
    "tn-1024x256x2048",
    "tn-256x1024x2048",
    "tn-4096x256x256",
    "nt-2048x384x384",
    "nt-2048x1536x384",
    "nt-2048x384x1536",
    "nt-256x32768x384",
    "nt-64x32768x384",
    "nn-2048x384x384",
    "nn-2048x384x1536",
    "nn-2048x1536x384",
    "nn-256x384x32768",
    "tn-384x384x2048",
    "tn-1536x384x2048",
    "tn-384x1536x2048",
    "tn-32768x384x256",
    "sym-256x256x256",
    "sym-256x256x1024",
    "nn-1024x256x256",
    "sym-384x384x384",
    "sym-384x384x1536",
    "nn-1536x384x384",
];

/// Work of one answer: a case is repeated until it has done about as much, some 20 ms a core.
const WORK: f64 = 2.5e9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments, std::io::stdin().lock(), std::io::stdout().lock());
}

/// The worker: answers each line of `input`.
pub fn run(arguments: &[String], input: impl BufRead, mut output: impl Write) {
    let small = arguments.iter().any(|flag| flag == "--small");
    let value = arguments.iter().position(|flag| flag == "--threads").and_then(|i| arguments.get(i + 1));
    if let Some(threads) = value.and_then(|text| text.parse().ok()) {
        pool::set_threads(threads);
    }
    let names: Vec<String> = CASES.iter().map(|name| format!("\"{name}\"")).collect();
    let version = format!("{} {}", env!("CARGO_PKG_VERSION"), cpu::isa().name());
    let mut say = |line: String| {
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    };
    say(format!("{{\"ready\":true,\"version\":\"{version}\",\"cases\":[{}]}}", names.join(",")));
    for name in input.lines().map_while(Result::ok) {
        match Case::parse(name.trim(), small) {
            Some(case) => {
                let (seconds, cpu, work) = case.measure(if small { 0.0 } else { WORK });
                let peak = peak();
                let head = format!("{{\"case\":\"{}\",\"seconds\":{seconds:e},\"work\":{work}", name.trim());
                say(format!("{head},\"unit\":\"flop\",\"cpu\":{cpu:e},\"peak\":{peak:e}}}"));
            }
            None => eprintln!("unknown case '{name}': a case is nt|nn|tn|sym-MxNxK"),
        }
    }
    say(format!("{{\"peak_rss_bytes\":{}}}", peak_rss_bytes()));
}

struct Case<'a> {
    layout: &'a str,
    m: usize,
    n: usize,
    k: usize,
}

impl Case<'_> {
    fn parse(name: &str, small: bool) -> Option<Case<'_>> {
        let (layout, sizes) = name.split_once('-')?;
        let sizes: Vec<usize> = sizes.split('x').map(|size| size.parse().ok()).collect::<Option<_>>()?;
        let [m, n, k] = sizes[..] else { return None };
        let shrink = |size: usize| if small { size.div_ceil(32) } else { size };
        let (m, n, k) = (shrink(m), shrink(n), shrink(k));
        ["nt", "nn", "tn", "sym"].contains(&layout).then_some(Case { layout, m, n, k })
    }

    /// Seconds, seconds this thread was running, and floating point operations.
    fn measure(&self, work: f64) -> (f64, f64, f64) {
        let &Case { layout, m, n, k } = self;
        let value = |i: usize| (i % 251) as f32 / 251.0 - 0.5;
        let (mut a, mut b, mut c) =
            (Aligned::new(m * k, value), Aligned::new(k * n, value), Aligned::new(m * n, |_| 0.0));
        let (a, b, c) = (&*a.get(), &*b.get(), c.get());
        let a = if layout == "tn" { MatRef::new(a, k, m).t() } else { MatRef::new(a, m, k) };
        let b = if layout == "nt" { MatRef::new(b, n, k).t() } else { MatRef::new(b, k, n) };
        let mut once = || {
            let c = MatMut::new(c, m, n);
            match layout {
                "sym" => gemm_symmetric(a, a.t(), c, Store::Overwrite),
                _ => gemm(a, b, c, Store::Overwrite),
            }
        };
        let flops = 2.0 * m as f64 * n as f64 * k as f64;
        let repeats = (work / flops).ceil().max(1.0) as usize;
        once();
        let (start, start_cpu) = (Instant::now(), thread_seconds());
        (0..repeats).for_each(|_| once());
        (start.elapsed().as_secs_f64(), thread_seconds() - start_cpu, flops * repeats as f64)
    }
}

/// Elements that begin at a cache line, as tensors do on both sides.
struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize, value: impl Fn(usize) -> f32) -> Self {
        let mut data = vec![0.0; len + 16];
        let start = data.as_ptr().align_offset(64);
        data[start..start + len].iter_mut().enumerate().for_each(|(i, place)| *place = value(i));
        Self { data, start, len }
    }

    fn get(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

/// Multiply-adds on registers alone, all threads together, in flop/s.
fn peak() -> f64 {
    let threads = pool::threads();
    // The best of three: an interruption says nothing about the processor.
    let once = || {
        let start = Instant::now();
        let flops = pool::run_map(threads, |_| multiply_adds());
        flops.iter().sum::<f64>() / start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

#[cfg(target_arch = "x86_64")]
fn multiply_adds() -> f64 {
    match cpu::isa() {
        // SAFETY: `isa` says that the machine has AVX-512.
        cpu::Isa::Avx512 => unsafe { avx512() },
        // SAFETY: `isa` says that the machine has AVX2 and FMA.
        cpu::Isa::Avx2 => unsafe { avx2() },
        cpu::Isa::Portable => 0.0,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply_adds() -> f64 {
    0.0
}

/// Twelve independent chains: more than the latency of a multiply-add times two ports.
#[cfg(target_arch = "x86_64")]
const CHAINS: usize = 12;
#[cfg(target_arch = "x86_64")]
const STEPS: usize = 100_000;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512() -> f64 {
    use std::arch::x86_64::*;
    let factor = _mm512_set1_ps(std::hint::black_box(0.5));
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, factor);
        }
    }
    std::hint::black_box(sums.map(|sum| _mm512_reduce_add_ps(sum)));
    (STEPS * CHAINS * 32) as f64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2() -> f64 {
    use std::arch::x86_64::*;
    let factor = _mm256_set1_ps(std::hint::black_box(0.5));
    let mut sums = [_mm256_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, factor);
        }
    }
    std::hint::black_box(sums.map(|sum| _mm256_cvtss_f32(sum)));
    (STEPS * CHAINS * 16) as f64
}

/// Seconds this thread has been running, as Linux reports it; 0 elsewhere.
fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|text| text.parse::<f64>().ok()).map_or(0.0, |nanos| nanos / 1e9)
}

/// The most memory this process has had, as Linux reports it; 0 elsewhere.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
