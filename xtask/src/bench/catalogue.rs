//! The benchmarks, as data.

use super::Options;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work per second; the ratio is ours over the peer's, so more is better.
    Rate,
    /// Peak memory of the process; the ratio is ours over the peer's, so less is better.
    Memory,
    /// Our rate with many threads over our rate with one.
    Scaling,
    /// Cases with figures of their own, several workers of ours and several peers: see `ledger.rs`.
    Figures,
    /// Rates against one peer, where each case has a ratio of its own to reach: see `engine.rs`.
    Cases,
    /// Python programs as processes: see `py.rs`.
    Programs,
    /// No peer: each case against a floor or ceiling that is measured in the same call: see `swap.rs`.
    Bounds,
}

/// One benchmark.
pub struct Bench {
    pub name: &'static str,
    pub about: &'static str,
    /// The crate that holds our worker, and its example.
    pub krate: &'static str,
    pub example: &'static str,
    /// The peer, its script in `xtask/peers` (without `.py`), and what pip needs.
    pub peer: &'static str,
    pub script: &'static str,
    pub packages: &'static str,
    pub kind: Kind,
    /// The ratio we want: at least this (`Rate`, `Scaling`), at most this (`Memory`).
    pub target: f64,
    pub single_thread: bool,
    /// The only case of a worker that offers several.
    pub case: Option<&'static str>,
    /// Both sides read the same text files.
    pub takes_files: bool,
}

/// Every benchmark that `all` runs, in that order.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "matmul",
        about: "matrix multiply at the model's shapes against PyTorch's MKL, one thread each",
        krate: "mynah-kernels",
        example: "bench_matmul",
        peer: "torch",
        script: "matmul",
        packages: "torch numpy",
        kind: Kind::Rate,
        target: 1.0,
        single_thread: true,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "train-step",
        about: "one whole training step (forward, backward, optimizer), tokens/s, against PyTorch",
        krate: "mynah-nn",
        example: "bench_train_step",
        peer: "torch",
        script: "train_step",
        packages: "torch numpy",
        kind: Kind::Rate,
        target: 2.0,
        single_thread: false,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "train-memory",
        about: "peak memory of a process that trains, against PyTorch",
        krate: "mynah-nn",
        example: "bench_train_step",
        peer: "torch",
        script: "train_step",
        packages: "torch numpy",
        kind: Kind::Memory,
        target: 1.0,
        single_thread: false,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "train-scaling",
        about: "training step with 2 threads over 1 thread, and PyTorch's for comparison",
        krate: "mynah-nn",
        example: "bench_train_step",
        peer: "torch",
        script: "train_step",
        packages: "torch numpy",
        kind: Kind::Scaling,
        target: 1.8,
        single_thread: false,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "tok-train",
        about: "training a tokenizer against rustbpe, one thread each",
        krate: "mynah-tokenizer",
        example: "bench_tokenizer",
        peer: "rustbpe",
        script: "tok_train",
        packages: "rustbpe",
        kind: Kind::Rate,
        target: 2.0,
        single_thread: true,
        case: Some("train"),
        takes_files: true,
    },
    Bench {
        name: "tok-encode",
        about: "encoding documents against tiktoken with the same ranks, one thread each",
        krate: "mynah-tokenizer",
        example: "bench_tokenizer",
        peer: "tiktoken",
        script: "tok_encode",
        packages: "tiktoken rustbpe",
        kind: Kind::Rate,
        target: 3.0,
        single_thread: true,
        case: Some("encode"),
        takes_files: true,
    },
    Bench {
        name: "ledger",
        about: "the run ledger against MLflow (SQLite), Aim and trackio",
        krate: "mynah-ledger",
        example: "bench_ledger",
        peer: "mlflow",
        script: "ledger_mlflow",
        packages: "mlflow aim trackio",
        kind: Kind::Figures,
        target: 1.0,
        single_thread: true,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "py",
        about: "Python programs from start to exit against CPython (--python), interpreted and as machine code",
        krate: "pyc-driver",
        example: "run",
        peer: "CPython",
        script: "",
        packages: "",
        kind: Kind::Programs,
        target: 4.0,
        single_thread: true,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "swap",
        about: "hot weights against entropy, copying, hashing and the transport alone",
        krate: "mynah-swap",
        example: "bench_swap",
        peer: "none",
        script: "",
        packages: "",
        kind: Kind::Bounds,
        target: 1.0,
        single_thread: false,
        case: None,
        takes_files: false,
    },
    Bench {
        name: "engine",
        about: "decoding, prompts and 8 streams of a served model, tokens/s, against llama.cpp",
        krate: "mynah-models",
        example: "bench_engine",
        peer: "llama.cpp",
        script: "step_speed",
        packages: "llama-cpp-python",
        kind: Kind::Cases,
        target: 1.5,
        single_thread: false,
        case: None,
        takes_files: false,
    },
];

impl Bench {
    /// Threads when the user names none.
    pub fn threads(&self) -> usize {
        if self.single_thread { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// What both workers are started with.
    pub fn flags(&self, options: &Options, threads: usize, files: &[String]) -> Vec<String> {
        let mut flags = vec!["--threads".to_string(), threads.to_string()];
        if options.small {
            flags.push("--small".to_string());
        }
        if !files.is_empty() {
            flags.push("--files".to_string());
            flags.extend(files.iter().cloned());
        }
        flags
    }

    /// Whether a case is to run: `--depth 4` is the case `depth4`, `--case` a part of the name.
    pub fn wants(&self, case: &str, options: &Options) -> bool {
        self.case.is_none_or(|only| only == case)
            && options.depth.is_none_or(|depth| !case.starts_with("depth") || case == format!("depth{depth}"))
            && options.case.as_ref().is_none_or(|text| case.contains(text.as_str()))
    }

    /// The ratio we want; a compiled peer is to be beaten, not doubled.
    pub fn target(&self, options: &Options) -> f64 {
        if self.name == "train-step" && options.compile { 1.0 } else { self.target }
    }

    /// The target as people write it.
    pub fn target_text(&self, options: &Options) -> String {
        let sign = if self.kind == Kind::Memory { "≤" } else { "≥" };
        format!("{sign} {:.1}", self.target(options))
    }

    /// Whether a ratio reaches the target.
    pub fn met(&self, ratio: f64, options: &Options) -> bool {
        let target = self.target(options);
        if self.kind == Kind::Memory { ratio <= target } else { ratio >= target }
    }
}
