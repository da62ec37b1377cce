//! Worker of the `train-step`, `train-memory` and `train-scaling` benchmarks: whole training steps.
//!
//! `bench_train_step --threads N [--small] [--profile]`; the peer is `xtask/peers/train_step.py`. Says on
//! one JSON line that it is ready; then each line CASE on stdin runs one step (forward, backward, optimizer,
//! zeroed gradients) and is answered by a JSON line; the end of stdin by the peak memory. `--profile` adds
//! processor seconds and the seconds of each part to the answers.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use mynah_base::Rng;
use mynah_kernels::{cpu, pool};
use mynah_nn::{Gpt, GptConfig, Optimizer, Rates, Reduction};
use mynah_tensor::Tensor;
use serde_json::json;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

struct Case {
    name: &'static str,
    rows: usize,
    config: GptConfig,
}

fn cases(small: bool) -> Vec<Case> {
    let case = |name, depth, dim, n_head, tokens, rows, vocab| Case {
        name,
        rows,
        config: GptConfig {
            sequence_len: tokens,
            vocab_size: vocab,
            n_layer: depth,
            n_head,
            n_kv_head: n_head,
            n_embd: dim,
            short_window: small.then_some(16),
            ..GptConfig::default()
        },
    };
    if small {
        vec![case("depth4", 4, 32, 2, 32, 2, 128), case("depth6", 6, 48, 3, 48, 2, 256)]
    } else {
        vec![case("depth4", 4, 256, 2, 256, 8, 4096), case("depth6", 6, 384, 3, 512, 4, 32_768)]
    }
}

struct Trainer {
    model: Gpt,
    optimizer: Optimizer,
    ids: Tensor,
    targets: Tensor,
}

impl Trainer {
    fn new(case: &Case) -> AnyResult<Self> {
        let mut rng = Rng::new(1);
        let config = &case.config;
        let model = Gpt::new(config.clone(), &mut rng)?;
        let scale = (config.n_embd as f64 / 768.0).powf(-0.5);
        let rates = Rates {
            embedding: 0.2 * scale,
            head: 0.004 * scale,
            matrix: 0.02,
            scalar: 0.5,
            matrix_weight_decay: 0.1,
        };
        let optimizer = Optimizer::for_gpt(&model, &rates)?;
        let (rows, t) = (case.rows, config.sequence_len);
        let text: Vec<i64> =
            (0..rows * (t + 1)).map(|_| rng.below(config.vocab_size as u64) as i64).collect();
        let part = |skip: usize| {
            text.chunks(t + 1).flat_map(|row| row[skip..skip + t].to_vec()).collect::<Vec<i64>>()
        };
        let (ids, targets) = (Tensor::from_vec(part(0), &[rows, t])?, Tensor::from_vec(part(1), &[rows, t])?);
        Ok(Self { model, optimizer, ids, targets })
    }

    /// Seconds of forward, backward, optimizer, zeroing; and the loss.
    fn step(&mut self) -> AnyResult<([f64; 4], f64)> {
        let start = Instant::now();
        let loss = self.model.loss(&self.ids, &self.targets, Reduction::Mean)?;
        let forward = start.elapsed().as_secs_f64();
        loss.backward()?;
        let backward = start.elapsed().as_secs_f64();
        self.optimizer.step()?;
        let optimizer = start.elapsed().as_secs_f64();
        self.optimizer.zero_grad();
        let value = loss.item()?;
        let all = start.elapsed().as_secs_f64();
        Ok(([forward, backward - forward, optimizer - backward, all - optimizer], value))
    }
}

/// Processor seconds that this process has used, in the kernel's ticks of 10 ms: unlike the clock on the
/// wall they say something on a busy machine.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name, may hold spaces; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
    Some((ticks(14)? + ticks(15)?) / 100.0)
}

/// The largest resident size this process has had.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn main() -> AnyResult<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    if let Some(at) = args.iter().position(|arg| arg == "--threads") {
        let threads =
            args.get(at + 1).and_then(|text| text.parse().ok()).ok_or("--threads needs a number")?;
        pool::set_threads(threads);
    }
    let cases = cases(flag("--small"));
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let version = format!("mynah {} {:?}", env!("CARGO_PKG_VERSION"), cpu::isa());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"ready": true, "version": version, "cases": names}))?;
    out.flush()?;
    let mut trainers: BTreeMap<&str, Trainer> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some(case) = cases.iter().find(|case| case.name == line.trim()) else {
            writeln!(
                out,
                "{}",
                json!({"case": line.trim(), "error": format!("no such case; there are {names:?}")})
            )?;
            out.flush()?;
            continue;
        };
        if !trainers.contains_key(case.name) {
            trainers.insert(case.name, Trainer::new(case)?);
        }
        let Some(trainer) = trainers.get_mut(case.name) else { continue };
        let before = cpu_seconds();
        let (parts, loss) = trainer.step()?;
        let work = case.rows * case.config.sequence_len;
        let seconds: f64 = parts.iter().sum();
        let mut answer =
            json!({"case": case.name, "seconds": seconds, "work": work, "unit": "token", "loss": loss});
        if flag("--profile") {
            let [forward, backward, optimizer, zero] = parts;
            answer["cpu_seconds"] = json!(cpu_seconds().zip(before).map(|(after, before)| after - before));
            answer["parts"] =
                json!({"forward": forward, "backward": backward, "optimizer": optimizer, "zero": zero});
        }
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    writeln!(out, "{}", json!({"peak_rss_bytes": peak_rss_bytes()}))?;
    Ok(())
}
