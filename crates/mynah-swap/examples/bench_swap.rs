//! Measures hot weights against what they cannot avoid:
//! `printf 'stage-delta\nwire-1\n' | cargo run --release -p mynah-swap --example bench_swap`.
//!
//! Prints one JSON line when ready; then runs each case that it reads from standard input and answers with the seconds
//! it took, the work, and the `peak`: what the same work costs at least, measured in the same call. Cases:
//!
//! - `wire-0.1`, `wire-1`, `wire-3`: bytes of a delta of bf16 weights of which that percentage changed to random
//!   values, beside the entropy floor;
//! - `stage-delta`, `stage-whole`: a stream from memory into a shadow that is there already, checked, with all threads,
//!   beside the slower of copying and hashing the same bytes alone; `stage-one` the former with one thread;
//! - `push-whole`: the same over loopback TCP with token and checksums, beside the slowest of copying, hashing and that
//!   transport alone;
//! - `memory`: the largest resident memory of a process that holds a version and stages the next, beside the weights;
//! - `plan`: a plan for a million chunks.
//!
//! Settings: `--threads N` (default: all cores), `--small`.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use mynah_base::Rng;
use mynah_swap::Manifest;
use mynah_swap::delta::{ApplyOptions, ChunkSink, ShadowSink, apply_with, entropy_floor_bits, make};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::plan::{Plan, PlanOptions};
use mynah_swap::source::{MemorySource, TensorInfo, TensorSource};
use mynah_swap::transport::{Limits, Message, Tcp, Token, Transport, receive, send};

const CASES: [&str; 9] = [
    "wire-0.1",
    "wire-1",
    "wire-3",
    "stage-delta",
    "stage-whole",
    "stage-one",
    "push-whole",
    "memory",
    "plan",
];
const TENSORS: usize = 16;
const PIECE_BYTES: usize = 1 << 20;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Version = (Manifest, MemorySource);

fn info(number: usize, size_bytes: usize) -> Outcome<TensorInfo> {
    let (name, dtype) = (format!("layer.{number:02}"), "BF16".parse()?);
    Ok(TensorInfo { name, dtype, shape: vec![size_bytes as u64 / 2], part: None, group: None })
}

fn version(epoch: u64, data: &[Vec<u8>], threads: usize) -> Outcome<Version> {
    let mut source = MemorySource::new();
    for (number, bytes) in data.iter().enumerate() {
        source.add(info(number, bytes.len())?, bytes.clone())?;
    }
    let options = BuildOptions { epoch, threads, ..BuildOptions::default() };
    let identity = Identity { model: "bench".to_string(), ..Identity::default() };
    Ok((build(&source, &identity, &options)?, source))
}

/// Changes that share of the bf16 units to other values; tells how many.
fn change(data: &mut [Vec<u8>], density: f64, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut changes = 0;
    for value in data.iter_mut().flat_map(|bytes| bytes.as_chunks_mut::<2>().0) {
        if rng.chance(density) {
            let flip = rng.below(0xffff) as u16 + 1;
            *value = (u16::from_le_bytes(*value) ^ flip).to_le_bytes();
            changes += 1;
        }
    }
    changes
}

struct Answer {
    seconds: f64,
    work: f64,
    unit: &'static str,
    peak: f64,
}

struct Bench {
    threads: usize,
    small: bool,
    data: Vec<Vec<u8>>,
    old: Version,
    new: Version,
    /// Reused, as a server's memory is.
    shadow: ShadowSink,
    delta: Vec<u8>,
    whole: Vec<u8>,
    nothing: Version,
}

impl Bench {
    fn new(threads: usize, small: bool) -> Outcome<Bench> {
        let tensor_bytes = if small { 1 << 20 } else { 16 << 20 };
        let mut rng = Rng::new(1);
        let mut data: Vec<Vec<u8>> = (0..TENSORS)
            .map(|_| (0..tensor_bytes / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect())
            .collect();
        let old = version(1, &data, threads)?;
        change(&mut data, 0.01, 2);
        let new = version(2, &data, threads)?;
        let nothing = (Manifest::nothing("bench", new.0.head().chunk_bytes)?, MemorySource::new());
        let (mut delta, mut whole) = (Vec::new(), Vec::new());
        make((&old.0, &old.1), (&new.0, &new.1), &mut delta)?;
        make((&nothing.0, &nothing.1), (&new.0, &new.1), &mut whole)?;
        let shadow = ShadowSink::reuse(old.1.clone(), u64::MAX);
        Ok(Bench { threads, small, data, old, new, shadow, delta, whole, nothing })
    }

    fn size_bytes(&self) -> f64 {
        self.new.0.size_bytes() as f64
    }

    fn run(&mut self, case: &str) -> Outcome<Answer> {
        match case {
            "wire-0.1" => self.wire(0.001),
            "wire-1" => self.wire(0.01),
            "wire-3" => self.wire(0.03),
            "stage-delta" => self.stage(true, self.threads),
            "stage-whole" => self.stage(false, self.threads),
            "stage-one" => self.stage(true, 1),
            "push-whole" => self.push(),
            "memory" => self.memory(),
            "plan" => self.plan(),
            _ => Err(format!("unknown case {case:?}").into()),
        }
    }

    fn wire(&self, density: f64) -> Outcome<Answer> {
        let mut data: Vec<Vec<u8>> = (0..TENSORS).map(|number| self.old.1.bytes(number).to_vec()).collect();
        let changes = change(&mut data, density, 3);
        let target = version(2, &data, self.threads)?;
        let mut stream = Vec::new();
        let start = Instant::now();
        let stats = make((&self.old.0, &self.old.1), (&target.0, &target.1), &mut stream)?;
        let seconds = start.elapsed().as_secs_f64();
        let floor_bytes = entropy_floor_bits(target.0.size_bytes() / 2, changes, 2) / 8.0;
        Ok(Answer { seconds, work: stats.wire_bytes as f64, unit: "byte", peak: floor_bytes })
    }

    /// Bytes a second of copying alone, and of hashing alone.
    fn parts(&mut self, threads: usize) -> Outcome<(f64, f64)> {
        let (bytes, threads) = (self.size_bytes(), threads.clamp(1, TENSORS));
        let a_thread = TENSORS.div_ceil(threads);
        let mut room = self.shadow.memory().ok_or("a shadow has memory")?;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (to, from) in room.chunks_mut(a_thread).zip(self.data.chunks(a_thread)) {
                scope.spawn(move || {
                    for (to, from) in to.iter_mut().zip(from) {
                        black_box(&mut **to).copy_from_slice(black_box(from));
                    }
                });
            }
        });
        let copied = bytes / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let chunk_bytes = self.new.0.head().chunk_bytes as usize;
        std::thread::scope(|scope| {
            for tensors in self.data.chunks(a_thread) {
                scope.spawn(move || {
                    for chunk in tensors.iter().flat_map(|tensor| tensor.chunks(chunk_bytes)) {
                        black_box(mynah_swap::Hash::of(black_box(chunk)));
                    }
                });
            }
        });
        Ok((copied, bytes / start.elapsed().as_secs_f64()))
    }

    fn stage(&mut self, is_delta: bool, threads: usize) -> Outcome<Answer> {
        let (copied, hashed) = self.parts(threads)?;
        let (base, stream) = if is_delta { (&self.old, &self.delta) } else { (&self.nothing, &self.whole) };
        let options = ApplyOptions { threads };
        let start = Instant::now();
        apply_with((&base.0, &base.1), &mut &stream[..], &mut self.shadow, &options)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Answer { seconds, work: self.size_bytes(), unit: "byte", peak: copied.min(hashed) })
    }

    /// A whole version over loopback, and the transport alone.
    fn push(&mut self) -> Outcome<Answer> {
        let (copied, hashed) = self.parts(self.threads)?;
        let tcp = Tcp::new(Token::new("a token for measurements only")?, Limits::default());
        let mut seconds = [0.0; 2];
        for (is_staged, seconds) in [false, true].into_iter().zip(&mut seconds) {
            let mut listener = tcp.listen("127.0.0.1:0")?;
            let address = listener.address();
            let (whole, tcp, shadow, nothing) = (&self.whole, &tcp, &mut self.shadow, &self.nothing);
            let options = ApplyOptions { threads: self.threads };
            let start = Instant::now();
            std::thread::scope(|scope| -> Outcome<()> {
                let sender = scope.spawn(move || -> Outcome<()> {
                    let mut to = tcp.connect(&address)?;
                    for piece in whole.chunks(PIECE_BYTES) {
                        send(to.as_mut(), &Message::Piece(piece.to_vec()))?;
                    }
                    Ok(send(to.as_mut(), &Message::Piece(Vec::new()))?)
                });
                let mut from = Pieces { connection: listener.accept()?, piece: Vec::new(), at: 0 };
                if is_staged {
                    apply_with((&nothing.0, &nothing.1), &mut from, shadow, &options)?;
                } else {
                    while from.next()? {}
                }
                sender.join().map_err(|_| "the sender panicked")?
            })?;
            *seconds = start.elapsed().as_secs_f64();
        }
        let carried = self.size_bytes() / seconds[0];
        let peak = copied.min(hashed).min(carried);
        Ok(Answer { seconds: seconds[1], work: self.size_bytes(), unit: "byte", peak })
    }

    /// In a process of its own: nothing else counts.
    fn memory(&self) -> Outcome<Answer> {
        let start = Instant::now();
        let program = std::env::current_exe()?;
        let mut command = std::process::Command::new(program);
        command.arg("memory").arg((self.new.0.size_bytes() / TENSORS as u64).to_string());
        let output = command.output()?;
        let text = String::from_utf8(output.stdout)?;
        let peak_bytes = text.trim().parse::<f64>().map_err(|e| format!("{text:?}: {e}"))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Answer { seconds, work: peak_bytes, unit: "byte", peak: self.size_bytes() })
    }

    fn plan(&self) -> Outcome<Answer> {
        let tensors = if self.small { 20 } else { 400 };
        let (from, to) = (synthetic(1, tensors)?, synthetic(2, tensors)?);
        let start = Instant::now();
        black_box(Plan::new(Some(&from), &to, &PlanOptions::default())?);
        let seconds = start.elapsed().as_secs_f64();
        Ok(Answer { seconds, work: to.chunks().len() as f64, unit: "chunk", peak: 0.0 })
    }
}

/// Frames as something to read.
struct Pieces {
    connection: Box<dyn mynah_swap::transport::Connection>,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces {
    fn next(&mut self) -> mynah_swap::Result<bool> {
        (self.piece, self.at) = match receive(self.connection.as_mut())? {
            Some(Message::Piece(piece)) => (piece, 0),
            _ => (Vec::new(), 0),
        };
        Ok(!self.piece.is_empty())
    }
}

impl std::io::Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.piece.len() && !self.next().map_err(std::io::Error::other)? {
            return Ok(0);
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Tensors whose bytes are a function of place and version, so that a million small chunks need no disk.
struct Synthetic {
    tensors: Vec<TensorInfo>,
    version: u64,
}

const SMALL_CHUNK_BYTES: u64 = 64;
const TENSOR_CHUNKS: u64 = 2_500;

impl TensorSource for Synthetic {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> mynah_swap::Result<()> {
        let place = tensor as u64 * TENSOR_CHUNKS + offset_bytes / SMALL_CHUNK_BYTES;
        // One chunk in ten differs between versions, and one tensor in twenty is new under another name.
        let seed = if Rng::for_item(7, place).chance(0.1) { self.version } else { 0 };
        let mut rng = Rng::for_item(seed, place);
        into.iter_mut().for_each(|byte| *byte = rng.next_u64() as u8);
        Ok(())
    }
}

fn synthetic(version: u64, tensors: u64) -> Outcome<Manifest> {
    let dtype = "U8".parse()?;
    let tensor = |number: u64| TensorInfo {
        name: match number.is_multiple_of(20) && version == 2 {
            true => format!("moved.{number}"),
            false => format!("layer.{number}"),
        },
        dtype,
        shape: vec![TENSOR_CHUNKS, SMALL_CHUNK_BYTES],
        part: None,
        group: None,
    };
    let source = Synthetic { tensors: (0..tensors).map(tensor).collect(), version };
    let options = BuildOptions { chunk_bytes: SMALL_CHUNK_BYTES as u32, ..BuildOptions::default() };
    Ok(build(&source, &Identity { model: "bench".to_string(), ..Identity::default() }, &options)?)
}

/// Holds a version, stages the next from a file, and says the largest resident memory.
fn measure_memory(tensor_bytes: usize) -> Outcome<()> {
    let path = std::env::temp_dir().join(format!("bench-swap-{}.delta", std::process::id()));
    let data = |density: f64| {
        let mut rng = Rng::new(1);
        let mut data: Vec<Vec<u8>> = (0..TENSORS)
            .map(|_| (0..tensor_bytes / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect())
            .collect();
        change(&mut data, density, 2);
        data
    };
    let old = {
        let (from, to) = (version(1, &data(0.0), 1)?, version(2, &data(0.01), 1)?);
        make((&from.0, &from.1), (&to.0, &to.1), &mut std::fs::File::create(&path)?)?;
        from
    };
    // From here on counts: the process holds one version and nothing else.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let mut input = std::io::BufReader::with_capacity(PIECE_BYTES, std::fs::File::open(&path)?);
    std::fs::remove_file(&path)?;
    let mut shadow = ShadowSink::new(u64::MAX);
    apply_with((&old.0, &old.1), &mut input, &mut shadow, &ApplyOptions::default())?;
    let peak = peak_rss_bytes(Path::new("/proc/self/status")).ok_or("the system does not say it")?;
    black_box((shadow.into_source()?, old));
    println!("{peak}");
    Ok(())
}

fn peak_rss_bytes(status: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn main() -> Outcome<()> {
    let (mut threads, mut small) = (std::thread::available_parallelism().map_or(1, usize::from), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "memory" => return measure_memory(value()?.parse()?),
            "--threads" => threads = value()?.parse()?,
            "--small" => small = true,
            _ => return Err(format!("unknown flag {argument}").into()),
        }
    }
    let mut bench = Bench::new(threads, small)?;
    println!("{}", serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": CASES}));
    for case in std::io::stdin().lock().lines() {
        let case = case?;
        let case = case.trim();
        let Answer { seconds, work, unit, peak } = bench.run(case)?;
        println!(
            "{}",
            serde_json::json!({"case": case, "seconds": seconds, "work": work, "unit": unit, "peak": peak})
        );
        std::io::stdout().flush()?;
    }
    println!("{}", serde_json::json!({"peak_rss_bytes": peak_rss_bytes(Path::new("/proc/self/status"))}));
    Ok(())
}
