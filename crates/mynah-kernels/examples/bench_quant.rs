//! Products with the weights of a Llama of 0.35 B parameters (hidden 1024, feed-forward 2816, 24 layers, vocabulary
//! 32000), format by format: what a decoding step reads per second, beside what the same threads can read at
//! most, and what a prompt of 512 tokens computes per second.
//!
//! `bench_quant [--threads N] [--small] [--seconds S] [FORMAT…]`; one line of JSON a format. Lines have
//! `decode` (tokens/s of the products alone at 1, 4 and 8 rows), `bandwidth` (GB/s at 1 row),
//! `share` (of the measured read bandwidth), `prefill` (tokens/s at 512 rows) and `gops` (its integer or float
//! operations, two for a multiply-add).

use mynah_kernels::probe::Memory;
use mynah_kernels::quant::{Format, Matrix, Scratch};
use mynah_kernels::{cpu, pool};
use std::io::Write;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments, std::io::stdout().lock());
}

/// Sizes of the model.
struct Sizes {
    hidden: usize,
    inner: usize,
    layers: usize,
    vocabulary: usize,
    prompt: usize,
}

/// Measures each format and writes its line.
pub fn run(arguments: &[String], mut output: impl Write) {
    let small = arguments.iter().any(|flag| flag == "--small");
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)?.parse::<f64>().ok()
    };
    if let Some(threads) = value("--threads") {
        pool::set_threads(threads as usize);
    }
    let time = Duration::from_secs_f64(value("--seconds").unwrap_or(if small { 0.0 } else { 0.5 }));
    let sizes = match small {
        true => Sizes { hidden: 256, inner: 512, layers: 1, vocabulary: 300, prompt: 9 },
        false => Sizes { hidden: 1024, inner: 2816, layers: 24, vocabulary: 32000, prompt: 512 },
    };
    let named: Vec<Format> =
        Format::ALL.into_iter().filter(|f| arguments.iter().any(|a| a == f.name())).collect();
    for format in if named.is_empty() { Format::ALL.to_vec() } else { named } {
        let line = measure(format, &sizes, time, small);
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }
}

/// The matrices of a step in their order: fused query, key and value; output; gate and up; down; then the head.
fn model(format: Format, sizes: &Sizes) -> Vec<Matrix> {
    let matrix = |rows: usize, cols: usize| {
        let values: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919) % 251) as f32 / 2510.0 - 0.05).collect();
        // There is no rounding to the K formats here, only their bytes.
        if format.block_len() == 256 {
            let bytes = format.matrix_bytes(rows, cols).expect("whole blocks");
            let bytes: Vec<u8> = (0..bytes).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
            return Matrix::from_bytes(format, rows, cols, &bytes).expect("memory");
        }
        Matrix::from_f32(format, rows, cols, &values).expect("memory")
    };
    let &Sizes { hidden, inner, layers, vocabulary, .. } = sizes;
    let mut all = Vec::new();
    for _ in 0..layers {
        all.push(matrix(3 * hidden, hidden));
        all.push(matrix(hidden, hidden));
        all.push(matrix(2 * inner, hidden));
        all.push(matrix(hidden, inner));
    }
    all.push(matrix(vocabulary, hidden));
    all
}

fn measure(format: Format, sizes: &Sizes, time: Duration, small: bool) -> String {
    let model = model(format, sizes);
    let widest = model.iter().map(Matrix::rows).max().unwrap_or(0);
    let deepest = model.iter().map(Matrix::cols).max().unwrap_or(0);
    let x: Vec<f32> = (0..sizes.prompt.max(8) * deepest).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
    let mut y = vec![0.0; sizes.prompt.max(8) * widest];
    let mut scratch = Scratch::new();
    let mut pass = |rows: usize, matrices: &[Matrix]| {
        for matrix in matrices {
            matrix.matmul(&x[..rows * matrix.cols()], &mut y[..rows * matrix.rows()], &mut scratch);
        }
    };
    let bytes: usize = model.iter().map(Matrix::size_bytes).sum();
    // The two are measured in turns: what else the machine does changes from moment to moment.
    let (mut read, mut decode) = (0.0f64, [0.0f64; 3]);
    let memory = Memory::new(if small { 1 << 16 } else { 1 << 28 }).expect("memory");
    for _ in 0..3 {
        read = read.max(memory.bandwidth(time / 3));
        for (best, rows) in decode.iter_mut().zip([1, 4, 8]) {
            *best = best.max(rate(time / 3, || pass(rows, &model)) * rows as f64);
        }
    }
    // The head is for the last token of a prompt only.
    let body = &model[..model.len() - 1];
    let weights: usize = body.iter().map(|matrix| matrix.rows() * matrix.cols()).sum();
    let prefill = rate(time, || pass(sizes.prompt, body)) * sizes.prompt as f64;
    let bandwidth = decode[0] * bytes as f64;
    let [one, four, eight] = decode;
    format!(
        "{{\"format\":\"{}\",\"isa\":\"{}\",\"threads\":{},\"read\":{:.1},\"bandwidth\":{:.1},\"share\":{:.2},\
         \"decode\":[{one:.1},{four:.1},{eight:.1}],\"prefill\":{prefill:.0},\"gops\":{:.0}}}",
        format.name(),
        cpu::isa().name(),
        pool::threads(),
        read / 1e9,
        bandwidth / 1e9,
        bandwidth / read,
        prefill * 2.0 * weights as f64 / 1e9,
    )
}

/// Calls of `body` a second: the fastest of those made within `time`, at least one after a first.
fn rate(time: Duration, mut body: impl FnMut()) -> f64 {
    body();
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    loop {
        let begin = Instant::now();
        body();
        best = best.min(begin.elapsed().as_secs_f64());
        if start.elapsed() >= time {
            return 1.0 / best;
        }
    }
}
