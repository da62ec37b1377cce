//! Products with the weights of a Llama of 0.35 B parameters (hidden 1024, feed-forward 2816, 24 layers, vocabulary
//! 32000), format by format: what a decoding step reads per second, beside what the same threads can read at
//! most, and what a prompt of 512 tokens computes per second.
//!
//! `bench_quant [--threads N] [--small] [--seconds S] [NAME…]`; one line of JSON for each format (Q8_0, …) and
//! for attention over each kind of cache (kv-F32, …). The lines of formats have `decode` (tokens/s of the products alone at 1, 4 and 8 rows), `bandwidth` (GB/s at 1 row),
//! `share` (of the measured read bandwidth), `prefill` (tokens/s at 512 rows), `gops` (its integer or float
//! operations, two for a multiply-add) and `pack` (GB/s of file bytes laid out for the kernels). The lines of
//! caches have `decode_us` (one token of one layer of 16 heads of 64 over 1024 keys), `bandwidth` (GB/s of
//! the cache it reads), `prefill_us` (512 tokens of one layer) and `gflops`.

use mynah_kernels::nn::{Rows, RowsMut};
use mynah_kernels::paged::{KvFormat, PagedAttention, PagedKv, PagedSegment, paged_attention};
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
    let wanted = |name: &str| {
        let named = |argument: &String| !argument.starts_with('-') && argument.parse::<f64>().is_err();
        arguments.iter().any(|argument| argument == name) || !arguments.iter().any(named)
    };
    let mut say = |line: String| {
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    };
    for format in Format::ALL.into_iter().filter(|format| wanted(format.name())) {
        say(measure(format, &sizes, time));
    }
    for format in [KvFormat::F32, KvFormat::F16, KvFormat::Bf16, KvFormat::Q8] {
        let name = format!("kv-{format:?}");
        if wanted(&name) {
            say(measure_attention(&name, format, time, small));
        }
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

fn measure(format: Format, sizes: &Sizes, time: Duration) -> String {
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
    // As many bytes as the model has, so that caches help both alike; and in turns, for what else the machine does
    // changes from moment to moment.
    let (mut read, mut decode) = (0.0f64, [0.0f64; 3]);
    let memory = Memory::new(bytes).expect("memory");
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
    let (rows, cols) = (3 * sizes.hidden, sizes.hidden);
    let file = vec![0x11; format.matrix_bytes(rows, cols).expect("whole blocks")];
    let pack = rate(time / 2, || drop(Matrix::from_bytes(format, rows, cols, &file))) * file.len() as f64;
    let [one, four, eight] = decode;
    format!(
        "{{\"format\":\"{}\",\"isa\":\"{}\",\"threads\":{},\"read\":{:.1},\"bandwidth\":{:.1},\"share\":{:.2},\
         \"decode\":[{one:.1},{four:.1},{eight:.1}],\"prefill\":{prefill:.0},\"gops\":{:.0},\"pack\":{:.2}}}",
        format.name(),
        cpu::isa().name(),
        pool::threads(),
        read / 1e9,
        bandwidth / 1e9,
        bandwidth / read,
        prefill * 2.0 * weights as f64 / 1e9,
        pack / 1e9,
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

/// One layer of attention over a cache.
fn measure_attention(name: &str, format: KvFormat, time: Duration, small: bool) -> String {
    const HEADS: usize = 16;
    const DIM: usize = 64;
    const PAGE: usize = 64;
    let (context, prompt) = if small { (64, 20) } else { (1024, 512) };
    let width = HEADS * DIM;
    // Layers enough to be read from memory, as a whole model is.
    let layers = if small { 1 } else { 24 };
    let rows: Vec<f32> = (0..context * width).map(|i| ((i * 31) % 199) as f32 / 99.0 - 1.0).collect();
    let places: Vec<(u32, usize)> = (0..context).map(|i| ((i / PAGE) as u32, i % PAGE)).collect();
    let pages: Vec<u32> = (0..context.div_ceil(PAGE) as u32).collect();
    let caches: Vec<PagedKv> = (0..layers)
        .map(|_| {
            let mut kv = PagedKv::new(format, HEADS, DIM, PAGE, pages.len()).expect("memory");
            kv.write(&places, Rows::new(&rows, width), Rows::new(&rows, width));
            kv
        })
        .collect();
    let config = PagedAttention { heads: HEADS, scale: 0.125, window: None, softcap: None, sinks: None };
    let mut out = vec![0.0; prompt * width];
    let mut pass = |start: usize, tokens: usize| {
        let segment = [PagedSegment { tokens, start, pages: &pages }];
        for kv in &caches {
            let out = RowsMut { data: &mut out[..tokens * width], stride: width };
            paged_attention(&config, kv, &segment, Rows::new(&rows, width), out);
        }
    };
    let decode = 1.0 / rate(time, || pass(context - 1, 1)) / layers as f64;
    let prefill = 1.0 / rate(time, || pass(0, prompt)) / layers as f64;
    // Pairs of query and key under the causal mask, two products each.
    let flops = 4.0 * (prompt * (prompt + 1) / 2 * width) as f64;
    let bytes = PagedKv::page_bytes(format, HEADS, DIM, PAGE) * pages.len();
    format!(
        "{{\"cache\":\"{name}\",\"isa\":\"{}\",\"threads\":{},\"decode_us\":{:.1},\"bandwidth\":{:.1},\
         \"prefill_us\":{:.0},\"gflops\":{:.0}}}",
        cpu::isa().name(),
        pool::threads(),
        decode * 1e6,
        bytes as f64 / decode / 1e9,
        prefill * 1e6,
        flops / prefill / 1e9,
    )
}
