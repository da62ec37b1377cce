//! `cargo xtask bench NAME`: our worker and the peer's, side by side on the same input, in turns.
//!
//! Both sides are long-lived processes that speak one protocol (see [`worker`]). Turns (A B A B …) and
//! medians are the answer to a machine whose speed drifts: whatever slows it slows both. The last
//! line of the output is JSON for scripts; everything above it is for people.

mod catalogue;
mod engine;
mod ledger;
mod machine;
mod py;
mod report;
mod swap;
mod text;
mod worker;

use std::process::ExitCode;

use catalogue::{BENCHES, Bench, Kind};
use worker::Worker;

const HELP: &str = "\
Compare with a peer.

usage: cargo xtask bench NAME|all [options]

  --rounds N       rounds after the warm-up (default 5, at least 5 unless --small)
  --threads N      threads for both sides (default: 1 for matmul and tokenizers, all cores else)
  --depth N        only the model of this depth, for the train-* benchmarks (4 or 6)
  --files PATH…    text for the tok-* benchmarks (.txt or .jsonl; default: $MYNAH_DATA/text, then the
                   built-in corpus)
  --compile        the peer uses torch.compile
  --case TEXT      only cases whose name contains TEXT
  --small          tiny sizes, one round: to see that it runs, not to quote
  --ours-only      without the peer
  --python PATH    the Python with the peer's packages (default: $MYNAH_PYTHON, $PYTHON, then python3)

The peer is a Python package; `pip install -r xtask/peers/requirements.txt` installs all of them.
Exit code 2 when the peer cannot be started.

names:
";

/// What the user chose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub rounds: Option<usize>,
    pub threads: Option<usize>,
    pub depth: Option<usize>,
    pub compile: bool,
    pub case: Option<String>,
    pub small: bool,
    pub ours_only: bool,
    pub python: Option<String>,
    pub files: Vec<String>,
}

/// The Python that has the peers' packages.
pub fn python() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|path| !path.is_empty());
    named("MYNAH_PYTHON").or_else(|| named("PYTHON")).unwrap_or_else(|| "python3".to_string())
}

/// Runs one benchmark or all.
///
/// # Errors
/// When the arguments are wrong, our worker does not build, or a worker breaks the protocol.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let (names, options) = parse(arguments)?;
    if names.is_empty() {
        print!("{HELP}");
        for bench in BENCHES {
            println!("  {:16} {}", bench.name, bench.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut peer_missing = false;
    let mut lines = Vec::new();
    for name in &names {
        let bench = BENCHES.iter().find(|bench| bench.name == name.as_str()).ok_or_else(|| {
            format!("no benchmark is called '{name}'; `cargo xtask bench --help` lists them")
        })?;
        match one(bench, &options) {
            Ok(line) => lines.push(line),
            Err(Failure::NoPeer(message)) => {
                eprintln!("{}: {message}", bench.name);
                peer_missing = true;
            }
            Err(Failure::Broken(message)) => return Err(format!("{}: {message}", bench.name)),
        }
    }
    // Together at the end, so that the last lines are for scripts also with `all`.
    for line in &lines {
        println!("{line}");
    }
    Ok(if peer_missing { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn parse(arguments: &[String]) -> Result<(Vec<String>, Options), String> {
    let mut names = Vec::new();
    let mut options = Options::default();
    let mut arguments = arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--files" {
            while let Some(path) = arguments.next_if(|next| !next.starts_with("--")) {
                let path = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
                options.files.push(path.to_string_lossy().into_owned());
            }
            continue;
        }
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: &String| {
            text.parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or(format!("{argument} needs a number, not '{text}'"))
        };
        match argument.as_str() {
            "--rounds" => options.rounds = Some(number(value()?)?),
            "--threads" => options.threads = Some(number(value()?)?),
            "--depth" => options.depth = Some(number(value()?)?),
            "--case" => options.case = Some(value()?.clone()),
            "--python" => options.python = Some(value()?.clone()),
            "--compile" => options.compile = true,
            "--small" => options.small = true,
            "--ours-only" => options.ours_only = true,
            "--help" | "-h" | "help" => return Ok((Vec::new(), options)),
            "all" => names.extend(BENCHES.iter().map(|bench| bench.name.to_string())),
            flag if flag.starts_with('-') => return Err(format!("unknown option '{flag}'; see --help")),
            name => names.push(name.to_string()),
        }
    }
    Ok((names, options))
}

/// Why a benchmark gave no line.
pub enum Failure {
    /// The peer is not installed; says how to install it.
    NoPeer(String),
    Broken(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Broken(message)
    }
}

/// Times in seconds and the rate's unit of one case on one side.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    pub case: String,
    pub work: f64,
    pub unit: String,
    pub seconds: Vec<f64>,
    /// Of the rounds in which the worker said them.
    pub cpu_seconds: Vec<f64>,
    pub peaks: Vec<f64>,
}

/// One side after all rounds.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub label: String,
    pub version: String,
    pub cases: Vec<Samples>,
    pub peak_rss_bytes: Option<u64>,
}

fn one(bench: &Bench, options: &Options) -> Result<String, Failure> {
    let rounds = if options.small { 1 } else { options.rounds.unwrap_or(5).max(5) };
    if bench.kind == Kind::Figures {
        return ledger::run(bench, options, rounds);
    }
    if bench.kind == Kind::Cases {
        return engine::run(bench, options, rounds);
    }
    if bench.kind == Kind::Programs {
        return py::run(bench, options, rounds);
    }
    if bench.kind == Kind::Bounds {
        return swap::run(bench, options, rounds);
    }
    let executable = worker::build(bench)?;
    let files = if bench.takes_files { text::files(options)? } else { Vec::new() };
    println!("\n{}: {}", bench.name, bench.about);
    println!("machine: {}", machine::describe());
    let threads = options.threads.unwrap_or(bench.threads());
    let ours = |label: &str, flags: &[String]| Worker::start(label, &executable, &[], flags);
    match bench.kind {
        Kind::Rate => {
            let flags = bench.flags(options, threads, &files);
            let mut workers = vec![ours("mynah", &flags)?];
            workers.extend(peer(bench, options, &flags)?);
            let cases = cases(bench, options, &workers)?;
            let sides = turns(workers, &cases, rounds)?;
            Ok(report::compare(bench, &sides, options, rounds))
        }
        Kind::Memory => {
            // A peak belongs to a process, so each case gets its own.
            let flags = bench.flags(options, threads, &files);
            let mut all = Vec::new();
            for case in cases(bench, options, &[ours("mynah", &flags)?])? {
                let mut workers = vec![ours("mynah", &flags)?];
                workers.extend(peer(bench, options, &flags)?);
                all.push(turns(workers, &[case], rounds)?);
            }
            Ok(report::memory(bench, &all, options, rounds))
        }
        Kind::Scaling => {
            let top = options.threads.unwrap_or(2);
            let (single, many) = (bench.flags(options, 1, &files), bench.flags(options, top, &files));
            let mut workers =
                vec![ours("mynah, 1 thread", &single)?, ours(&format!("mynah, {top} threads"), &many)?];
            workers.extend(peer(bench, options, &single)?);
            workers.extend(peer(bench, options, &many)?);
            let cases = cases(bench, options, &workers)?;
            let sides = turns(workers, &cases, rounds)?;
            Ok(report::scaling(bench, &sides, options, top, rounds))
        }
        Kind::Figures | Kind::Cases | Kind::Bounds | Kind::Programs => {
            Err(Failure::Broken("it is run elsewhere".to_string()))
        }
    }
}

/// The peer's worker; none when only ours is measured.
fn peer(bench: &Bench, options: &Options, flags: &[String]) -> Result<Option<Worker>, Failure> {
    if options.ours_only {
        return Ok(None);
    }
    let python = options.python.clone().unwrap_or_else(python);
    let script = worker::script(bench)?;
    let mut flags = flags.to_vec();
    if options.compile {
        flags.extend(["--mode".to_string(), "compile".to_string()]);
    }
    let label = if options.compile { format!("{} compiled", bench.peer) } else { bench.peer.to_string() };
    Worker::start(&label, std::path::Path::new(&python), &[script], &flags).map(Some).map_err(|message| {
        Failure::NoPeer(format!(
            "the peer ({}) is missing: {message}. Install it with `{python} -m pip install {}`, or name a \
             Python that has it in MYNAH_PYTHON; --ours-only measures without it",
            bench.peer, bench.packages
        ))
    })
}

/// The cases to run: those that every side knows and that the options want.
fn cases(bench: &Bench, options: &Options, workers: &[Worker]) -> Result<Vec<String>, String> {
    let mut cases: Vec<String> = workers[0].cases.clone();
    cases.retain(|case| {
        bench.wants(case, options) && workers.iter().all(|worker| worker.cases.contains(case))
    });
    if cases.is_empty() {
        return Err(format!("no case to run; the worker offers {}", workers[0].cases.join(", ")));
    }
    Ok(cases)
}

/// A warm-up turn, then `rounds` turns over all cases, every side once in each.
fn turns(mut workers: Vec<Worker>, cases: &[String], rounds: usize) -> Result<Vec<Side>, String> {
    let mut sides: Vec<Side> = workers
        .iter()
        .map(|worker| Side {
            label: worker.label.clone(),
            version: worker.version.clone(),
            cases: vec![Samples::default(); cases.len()],
            peak_rss_bytes: None,
        })
        .collect();
    for round in 0..=rounds {
        eprint!("\r  round {round} of {rounds} ");
        for (index, case) in cases.iter().enumerate() {
            for (worker, side) in workers.iter_mut().zip(&mut sides) {
                let sample = worker.run(case)?;
                // Round 0 warms caches, compiles kernels and touches memory.
                if round > 0 {
                    let samples = &mut side.cases[index];
                    samples.case.clone_from(case);
                    samples.work = sample.work;
                    samples.unit = sample.unit;
                    samples.seconds.push(sample.seconds);
                    samples.cpu_seconds.extend(sample.cpu_seconds);
                    samples.peaks.extend(sample.peak);
                }
            }
        }
    }
    eprint!("\r                    \r");
    for (worker, side) in workers.iter_mut().zip(&mut sides) {
        side.peak_rss_bytes = worker.finish()?;
    }
    Ok(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_string).collect() };
        let (names, options) = parse(&words("matmul --rounds 7 --depth 6 --compile --case nn")).unwrap();
        assert_eq!(names, ["matmul"]);
        assert_eq!((options.rounds, options.depth, options.compile), (Some(7), Some(6), true));
        assert_eq!(options.case.as_deref(), Some("nn"));
        assert_eq!(parse(&words("all")).unwrap().0.len(), BENCHES.len());
        assert!(parse(&words("matmul --rounds")).is_err());
        assert!(parse(&words("matmul --rounds zero")).is_err());
        assert!(parse(&words("--fast")).is_err());
    }
}
