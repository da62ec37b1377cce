//! Measures sealed shared memory: `echo shared-2 | cargo run --release -p mynah-mpi --example bench_shared`.
//!
//! Case `shared-2`: a version is written once into memory that is then sealed, and two other processes, one after the
//! other, map and check it. The `peak` is what copying it once and hashing it three times costs (the writer checks what
//! it writes, each receiver what it maps), measured in the same call. Settings: `--threads N`, `--small`.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("{}", serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": []}));
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::hint::black_box;
    use std::io::{BufRead, Write};
    use std::path::Path;
    use std::process::Command;
    use std::time::Instant;

    use mynah_base::Rng;
    use mynah_mpi::shared::{Hub, Sealed, receive};
    use mynah_swap::manifest::{BuildOptions, Identity, build};
    use mynah_swap::source::{MemorySource, TensorInfo};

    const TENSORS: usize = 16;
    const RECEIVERS: usize = 2;

    type Outcome<T> = Result<T, Box<dyn Error>>;

    fn attach(socket: &str, threads: &str) -> Outcome<()> {
        let start = Instant::now();
        black_box(receive(Path::new(socket), None, threads.parse()?)?);
        println!("{}", start.elapsed().as_secs_f64());
        Ok(())
    }

    pub fn main() -> Outcome<()> {
        let (mut threads, mut small) = (std::thread::available_parallelism().map_or(1, usize::from), false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "attach" => return attach(&value()?, &value()?),
                "--threads" => threads = value()?.parse()?,
                "--small" => small = true,
                _ => return Err(format!("unknown flag {argument}").into()),
            }
        }
        let tensor_bytes: usize = if small { 1 << 20 } else { 16 << 20 };
        let mut rng = Rng::new(1);
        let mut source = MemorySource::new();
        for number in 0..TENSORS {
            let bytes: Vec<u8> = (0..tensor_bytes / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
            let (name, dtype) = (format!("layer.{number:02}"), "BF16".parse()?);
            let info =
                TensorInfo { name, dtype, shape: vec![tensor_bytes as u64 / 2], part: None, group: None };
            source.add(info, bytes)?;
        }
        let identity = Identity { model: "bench".to_string(), ..Identity::default() };
        let manifest = build(&source, &identity, &BuildOptions::default())?;
        let path = std::env::temp_dir().join(format!("bench-shared-{}.sock", std::process::id()));
        let hub = Hub::listen(&path)?;
        hub.serve(|why| eprintln!("{why}"))?;
        println!(
            "{}",
            serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": ["shared-2"]})
        );
        for case in std::io::stdin().lock().lines() {
            let case = case?;
            if case.trim() != "shared-2" {
                return Err(format!("unknown case {case:?}").into());
            }
            let bytes = manifest.size_bytes() as f64;
            let mut room = vec![0u8; TENSORS * tensor_bytes];
            let start = Instant::now();
            for (number, room) in room.chunks_mut(tensor_bytes).enumerate() {
                black_box(room).copy_from_slice(black_box(source.bytes(number)));
            }
            let copied = start.elapsed().as_secs_f64();
            drop(room);
            let hash_all = |threads: usize| {
                let start = Instant::now();
                std::thread::scope(|scope| {
                    let (source, manifest) = (&source, &manifest);
                    for first in 0..threads {
                        scope.spawn(move || {
                            for number in (first..TENSORS).step_by(threads) {
                                let chunk_bytes = manifest.head().chunk_bytes as usize;
                                for chunk in source.bytes(number).chunks(chunk_bytes) {
                                    black_box(mynah_swap::Hash::of(black_box(chunk)));
                                }
                            }
                        });
                    }
                });
                start.elapsed().as_secs_f64()
            };
            let least = copied + hash_all(1) + RECEIVERS as f64 * hash_all(threads);
            let start = Instant::now();
            hub.offer(Sealed::write(&manifest, &source)?);
            let mut seconds = start.elapsed().as_secs_f64();
            for _ in 0..RECEIVERS {
                let mut receiver = Command::new(std::env::current_exe()?);
                let output = receiver.arg("attach").arg(&path).arg(threads.to_string()).output()?;
                // Without the start of a process, which a server has behind it.
                seconds += String::from_utf8(output.stdout)?.trim().parse::<f64>()?;
            }
            let peak = bytes / least;
            println!(
                "{}",
                serde_json::json!({"case": "shared-2", "seconds": seconds, "work": bytes, "unit": "byte", "peak": peak})
            );
            std::io::stdout().flush()?;
        }
        println!("{}", serde_json::json!({"peak_rss_bytes": null}));
        Ok(())
    }
}
