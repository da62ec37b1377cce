//! Time of each fused kernel at the shapes of two training steps, under the worker protocol of
//! `cargo xtask bench`; with `--table`, a table for people instead.
//!
//! Flags: `--threads N`, `--small`, `--table`, and for the table `--only TEXT`, `--batch B`. A case is SETTING/KERNEL: setting
//! `a` is depth 4 (B 8, T 256, dim 256, 2 heads of 128, vocabulary 4,096), `b` depth 6 (B 4, T 512, dim
//! 384, 3 heads, vocabulary 32,768). Work is the floating point operations that the formula needs
//! (attention: only pairs inside the mask) or the bytes that must be moved at least.

use mynah_kernels::nn::{self, AttentionShape, CrossEntropyShape, LossScale, Muon, MuonMatrix, RopeNorm};
use mynah_kernels::nn::{AdamW, Rows, RowsMut, SparseRows, muon_second_len};
use mynah_kernels::{cpu, pool};
use std::io::{BufRead, Write};
use std::time::Instant;

const KERNELS: &[&str] = &[
    "attention_forward",
    "attention_backward",
    "attention_window_forward",
    "attention_window_backward",
    "rms_norm_forward",
    "rms_norm_backward",
    "rope_norm_forward",
    "rope_norm_backward",
    "gated_add_forward",
    "gated_add_backward",
    "shift_gated_add_forward",
    "shift_gated_add_backward",
    "scaled_sum_forward",
    "scaled_sum_backward",
    "relu_square_forward",
    "exp",
    "tanh",
    "log",
    "gelu",
    "embedding_forward",
    "embedding_backward",
    "cross_entropy_forward",
    "cross_entropy",
    "softmax_rows",
    "adamw",
    "adamw_rows",
    "muon_square",
    "muon_wide",
    "muon_model",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|flag| flag == "--table") {
        table(&arguments);
    } else {
        run(&arguments, std::io::stdin().lock(), std::io::stdout().lock());
    }
}

fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().position(|flag| flag == name).and_then(|i| arguments.get(i + 1)).map(String::as_str)
}

fn set_threads(arguments: &[String]) {
    if let Some(threads) = flag(arguments, "--threads").and_then(|text| text.parse().ok()) {
        pool::set_threads(threads);
    }
}

/// The worker: answers each line of `input`.
pub fn run(arguments: &[String], input: impl BufRead, mut output: impl Write) {
    set_threads(arguments);
    let small = arguments.iter().any(|flag| flag == "--small");
    let names = ["a", "b"].iter().flat_map(|s| KERNELS.iter().map(move |k| format!("\"{s}/{k}\"")));
    let names = names.collect::<Vec<_>>().join(",");
    let version = format!("{} {}", env!("CARGO_PKG_VERSION"), cpu::isa().name());
    let mut say = |line: String| {
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    };
    say(format!("{{\"ready\":true,\"version\":\"{version}\",\"cases\":[{names}]}}"));
    for name in input.lines().map_while(Result::ok) {
        let Some(case) = prepare(name.trim(), small, None) else {
            eprintln!("unknown case '{name}': a case is a/KERNEL or b/KERNEL");
            continue;
        };
        let (seconds, work, unit) = case.measure(if small { 0.0 } else { 0.02 });
        let name = name.trim();
        say(format!("{{\"case\":\"{name}\",\"seconds\":{seconds:e},\"work\":{work},\"unit\":\"{unit}\"}}"));
    }
    say(format!("{{\"peak_rss_bytes\":{}}}", peak_rss_bytes()));
}

fn table(arguments: &[String]) {
    set_threads(arguments);
    let small = arguments.iter().any(|flag| flag == "--small");
    let only = flag(arguments, "--only").unwrap_or("");
    let batch = flag(arguments, "--batch").and_then(|text| text.parse().ok());
    println!("{} threads, {}", pool::threads(), cpu::isa().name());
    for setting in ["a", "b"] {
        for kernel in KERNELS {
            let name = format!("{setting}/{kernel}");
            if !name.contains(only) {
                continue;
            }
            let Some(mut case) = prepare(&name, small, batch) else { continue };
            let mut best = f64::INFINITY;
            let (mut work, mut unit) = (0.0, "");
            // The best single run of half a second: on a busy machine only short runs go undisturbed.
            let (start, cpu_start, mut runs) = (Instant::now(), cpu_seconds(), 0);
            while best == f64::INFINITY || start.elapsed().as_secs_f64() < 0.5 {
                let seconds;
                (seconds, work, unit) = case.once(0.0);
                best = best.min(seconds);
                runs += 1;
            }
            let cpu = (cpu_seconds() - cpu_start) / f64::from(runs);
            let rate = |seconds: f64| work / seconds / 1e9;
            let (best_ms, cpu_ms) = (best * 1e3, cpu * 1e3);
            println!(
                "{name:32} best {best_ms:9.3} ms {:6.1} G{unit}/s   processor {cpu_ms:9.3} ms {:6.1} G{unit}/s",
                rate(best),
                rate(cpu)
            );
        }
    }
}

struct Case {
    run: Box<dyn FnMut()>,
    work: f64,
    unit: &'static str,
}

impl Case {
    fn measure(mut self, seconds_least: f64) -> (f64, f64, &'static str) {
        (self.run)();
        self.once(seconds_least)
    }

    /// Seconds of one run, the mean of as many as take `seconds_least`.
    fn once(&mut self, seconds_least: f64) -> (f64, f64, &'static str) {
        let start = Instant::now();
        let mut repeats = 0;
        while repeats == 0 || start.elapsed().as_secs_f64() < seconds_least {
            (self.run)();
            repeats += 1;
        }
        (start.elapsed().as_secs_f64() / f64::from(repeats), self.work, self.unit)
    }
}

fn fill(len: usize) -> Vec<f32> {
    let mut rng = mynah_base::Rng::new(len as u64);
    (0..len).map(|_| rng.uniform_in(-1.0, 1.0) as f32).collect()
}

#[expect(clippy::too_many_lines, reason = "a flat list of cases")]
fn prepare(name: &str, small: bool, given_batch: Option<usize>) -> Option<Case> {
    let (setting, kernel) = name.split_once('/')?;
    let (batch, tokens, dim, heads, vocab) = match (setting, small) {
        ("a", false) => (8, 256, 256, 2, 4096),
        ("b", false) => (4, 512, 384, 3, 32768),
        ("a", true) => (1, 8, 32, 2, 40),
        ("b", true) => (1, 12, 48, 3, 70),
        _ => return None,
    };
    let batch = given_batch.unwrap_or(batch);
    let (head_dim, n) = (dim / heads, batch * tokens);
    let case =
        |work: usize, unit: &'static str, run: Box<dyn FnMut()>| Some(Case { run, work: work as f64, unit });
    let (x, z, dy) = (fill(n * dim), fill(n * dim + 1)[1..].to_vec(), fill(n * dim + 2)[2..].to_vec());
    let (mut y, mut out) = (vec![0.0f32; n * dim], vec![0.0f32; n * dim]);
    let mut inv = vec![1.0f32; n * heads];
    let gate = fill(n * heads);
    let bytes = n * dim * 4;
    let ids: Vec<i64> = (0..n).map(|i| (i * 7919 % vocab) as i64).collect();
    match kernel {
        "attention_forward"
        | "attention_backward"
        | "attention_window_forward"
        | "attention_window_backward" => {
            let window = kernel.contains("window").then_some(128.min(tokens / 2));
            let scale = 1.0 / (head_dim as f64).sqrt();
            let kv_heads = heads;
            let shape =
                AttentionShape { batch, tokens, heads, kv_heads, head_dim, causal: true, window, scale };
            let pairs: usize =
                (0..tokens).map(|i| i.min(window.unwrap_or(i)) + 1).sum::<usize>() * batch * heads;
            let (q, k, v, mut lse) = (x.clone(), z, dy.clone(), vec![0.0; n * heads]);
            let (mut dq, mut dk) = (vec![0.0; n * dim], vec![0.0; n * dim]);
            fn rows(data: &[f32], dim: usize) -> Rows<'_, f32> {
                Rows::new(data, dim)
            }
            nn::attention_forward(
                &shape,
                rows(&q, dim),
                rows(&k, dim),
                rows(&v, dim),
                RowsMut::new(&mut y, dim),
                &mut lse,
            );
            if kernel.ends_with("forward") {
                case(
                    4 * pairs * head_dim,
                    "flop",
                    Box::new(move || {
                        let out = RowsMut::new(&mut out, dim);
                        nn::attention_forward(
                            &shape,
                            rows(&q, dim),
                            rows(&k, dim),
                            rows(&v, dim),
                            out,
                            &mut lse,
                        );
                    }),
                )
            } else {
                case(
                    10 * pairs * head_dim,
                    "flop",
                    Box::new(move || {
                        nn::attention_backward(
                            &shape,
                            rows(&q, dim),
                            rows(&k, dim),
                            rows(&v, dim),
                            rows(&y, dim),
                            &lse,
                            rows(&dy, dim),
                            RowsMut::new(&mut dq, dim),
                            RowsMut::new(&mut dk, dim),
                            RowsMut::new(&mut out, dim),
                        );
                    }),
                )
            }
        }
        "rms_norm_forward" => case(
            2 * bytes,
            "byte",
            Box::new(move || nn::rms_norm_forward(&x, dim, f32::EPSILON, &mut y, &mut inv[..n])),
        ),
        "rms_norm_backward" => case(
            3 * bytes,
            "byte",
            Box::new(move || nn::rms_norm_backward(&x, &inv[..n], &dy, dim, &mut y, false)),
        ),
        "rope_norm_forward" | "rope_norm_backward" => {
            let (cos, sin) = (fill(tokens * head_dim / 2), fill(tokens * head_dim / 2));
            let forward = kernel == "rope_norm_forward";
            case(
                if forward { 2 * bytes } else { 3 * bytes },
                "byte",
                Box::new(move || {
                    let config = RopeNorm {
                        tokens,
                        heads,
                        head_dim,
                        tables: Some((&cos[..], &sin[..])),
                        pos0: 0,
                        norm_eps: Some(f32::EPSILON),
                        scale: 1.2,
                    };
                    if forward {
                        nn::rope_norm_forward(&config, &x, dim, &mut y, &mut inv);
                    } else {
                        nn::rope_norm_backward(&config, &x, &inv, &dy, &mut y, dim);
                    }
                }),
            )
        }
        "gated_add_forward" => {
            case(3 * bytes, "byte", Box::new(move || nn::gated_add_forward(&x, &gate, &z, head_dim, &mut y)))
        }
        "gated_add_backward" => case(
            3 * bytes,
            "byte",
            Box::new(move || nn::gated_add_backward(&gate, &z, &dy, head_dim, &mut inv, &mut y)),
        ),
        "shift_gated_add_forward" => case(
            2 * bytes,
            "byte",
            Box::new(move || nn::shift_gated_add_forward(&x, &gate[..n], tokens, dim, &mut y)),
        ),
        "shift_gated_add_backward" => case(
            3 * bytes,
            "byte",
            Box::new(move || {
                nn::shift_gated_add_backward(&x, &gate[..n], &dy, tokens, dim, &mut y, &mut inv[..n]);
            }),
        ),
        "scaled_sum_forward" => {
            case(3 * bytes, "byte", Box::new(move || nn::scaled_sum_forward(0.9, &x, 0.1, &z, &mut y)))
        }
        "scaled_sum_backward" => case(
            5 * bytes,
            "byte",
            Box::new(move || {
                nn::scaled_sum_backward(0.9, &x, 0.1, &z, &dy, &mut y, &mut out);
            }),
        ),
        "relu_square_forward" => {
            case(2 * bytes, "byte", Box::new(move || nn::relu_square_forward(&x, &mut y)))
        }
        "exp" => case(2 * bytes, "byte", Box::new(move || nn::exp(&x, &mut y))),
        "tanh" => case(2 * bytes, "byte", Box::new(move || nn::tanh(&x, &mut y))),
        "log" => case(2 * bytes, "byte", Box::new(move || nn::log(&x, &mut y))),
        "gelu" => case(2 * bytes, "byte", Box::new(move || nn::gelu(&x, &mut y))),
        "embedding_forward" => {
            let weights = fill(vocab * dim);
            case(2 * bytes, "byte", Box::new(move || nn::embedding_forward(&weights, dim, &ids, &mut y)))
        }
        "embedding_backward" => {
            let mut rows = SparseRows::default();
            case(2 * bytes, "byte", Box::new(move || nn::embedding_backward(&ids, &dy, dim, &mut rows)))
        }
        "cross_entropy_forward" | "cross_entropy" => {
            let shape = CrossEntropyShape { dim, vocab, softcap: Some(15.0) };
            let w: Vec<f32> = fill(vocab * dim).iter().map(|w| 0.1 * w).collect();
            let (mut dw, mut losses) = (vec![0.0; vocab * dim], vec![0.0; n]);
            let flops = 2 * n * dim * vocab;
            if kernel == "cross_entropy_forward" {
                return case(
                    flops,
                    "flop",
                    Box::new(move || nn::linear_cross_entropy_forward(&shape, &x, &w, &ids, &mut losses)),
                );
            }
            let scale = LossScale::Mean;
            case(
                3 * flops,
                "flop",
                Box::new(move || {
                    nn::linear_cross_entropy(
                        &shape,
                        &x,
                        &w,
                        &ids,
                        scale,
                        &mut losses,
                        &mut y,
                        &mut dw,
                        false,
                    );
                }),
            )
        }
        "softmax_rows" => {
            let logits = fill(64 * vocab);
            let mut probabilities = vec![0.0; 64 * vocab];
            let bytes = 2 * logits.len() * 4;
            case(bytes, "byte", Box::new(move || nn::softmax_rows(&logits, vocab, &mut probabilities)))
        }
        "adamw" | "adamw_rows" => {
            let config = AdamW { lr: 1e-3, beta1: 0.8, beta2: 0.95, eps: 1e-10, weight_decay: 0.01, step: 5 };
            let len = vocab * dim;
            let (mut p, mut m, mut v) = (fill(len), vec![0.0; len], vec![0.1; len]);
            if kernel == "adamw" {
                let g = fill(len + 1)[1..].to_vec();
                return case(
                    7 * 4 * len,
                    "byte",
                    Box::new(move || nn::adamw_step(&config, &mut p, &g, &mut m, &mut v)),
                );
            }
            let mut grad = SparseRows::default();
            nn::embedding_backward(&ids, &dy, dim, &mut grad);
            case(
                6 * 4 * len + 4 * grad.rows.len(),
                "byte",
                Box::new(move || {
                    nn::adamw_step_rows(&config, dim, &mut p, &grad.ids, &grad.rows, &mut m, &mut v)
                }),
            )
        }
        "muon_square" | "muon_wide" | "muon_model" => {
            // muon_model: the matrices of all layers, four squares and two of the MLP each.
            let layers = if small { 1 } else { batch_layers(setting) };
            let shapes: Vec<(usize, usize)> = match kernel {
                "muon_square" => vec![(dim, dim)],
                "muon_wide" => vec![(dim, 4 * dim)],
                _ => (0..layers)
                    .flat_map(|_| {
                        [(dim, dim), (dim, dim), (dim, dim), (dim, dim), (4 * dim, dim), (dim, 4 * dim)]
                    })
                    .collect(),
            };
            let flops = shapes.iter().map(|&(m, n)| muon_flops(m.min(n), m.max(n))).sum();
            let mut own: Vec<[Vec<f32>; 4]> = shapes
                .iter()
                .map(|&(m, n)| [fill(m * n), fill(m * n), vec![0.0; m * n], vec![0.0; muon_second_len(m, n)]])
                .collect();
            case(
                flops,
                "flop",
                Box::new(move || {
                    let mut matrices: Vec<MuonMatrix<'_, f32>> = shapes
                        .iter()
                        .zip(&mut own)
                        .map(|(&(rows, cols), [param, grad, momentum, second])| MuonMatrix {
                            rows,
                            cols,
                            lr_factor: 1.0,
                            param,
                            grad,
                            momentum,
                            second,
                        })
                        .collect();
                    nn::muon_step_many(&Muon { lr: 1e-4, ..Muon::default() }, &mut matrices);
                }),
            )
        }
        _ => None,
    }
}

fn batch_layers(setting: &str) -> usize {
    if setting == "a" { 4 } else { 6 }
}

/// Five iterations of X·Xᵀ, A·A and B·X for a short side of `m`, as if no product were symmetric.
fn muon_flops(m: usize, n: usize) -> usize {
    5 * (2 * m * m * n + 2 * m * m * m + 2 * m * m * n)
}

/// Processor time of the main thread, which with `--threads 1` does all the work; 0 where /proc does not say.
/// On a busy machine it says more than the clock.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) * 1e-9
}

/// The most memory this process has held, or 0 where /proc does not say.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
