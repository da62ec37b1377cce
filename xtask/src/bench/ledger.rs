//! `cargo xtask bench ledger`: our store, comparison and server beside MLflow, Aim and trackio, in one run.
//!
//! Other than the benchmarks of one peer, a case here has a figure of its own to reach, and each peer offers the
//! cases that it can do at all.

use serde_json::json;

use super::catalogue::Bench;
use super::report::{amount, median, rate};
use super::worker::{self, Worker};
use super::{Failure, Options, Samples, machine, python};

/// What a case must reach.
#[derive(Clone, Copy)]
enum Target {
    /// Units a second.
    Rate(f64),
    /// Milliseconds at most.
    Milliseconds(f64),
}

/// Our workers: crate and example.
const OURS: &[(&str, &str)] =
    &[("mynah-ledger", "bench_ledger"), ("mynah-serve", "bench_rest"), ("mynah-govern", "bench_compare")];

/// Cases with what people call them.
const CASES: &[(&str, &str, Target)] = &[
    ("log-async", "single metrics, asynchronous", Target::Rate(50_000.0)),
    ("log-acknowledged", "single metrics, each committed", Target::Rate(1_000.0)),
    ("log-batch", "batches of 1,000 points", Target::Rate(200_000.0)),
    ("processes", "8 processes at once, none lost", Target::Rate(50_000.0)),
    ("search", "filter and order, 10,000 runs × 20 metrics", Target::Milliseconds(20.0)),
    ("rest-metric", "single metrics over REST, 1 client", Target::Rate(1_000.0)),
    ("rest-metric-64", "single metrics over REST, 64 clients", Target::Rate(1_000.0)),
    ("rest-batch", "batches over REST", Target::Rate(200_000.0)),
    ("rest-search", "the same search over REST", Target::Milliseconds(20.0)),
    ("compare", "10,000 runs with a baseline", Target::Milliseconds(100.0)),
    ("page", "page with 10,000 runs: rows shown", Target::Milliseconds(1_000.0)),
];

/// The peers: label, script, package.
const PEERS: &[(&str, &str, &str)] = &[
    ("mlflow", "ledger_mlflow", "mlflow"),
    ("aim", "ledger_aim", "aim"),
    ("trackio", "ledger_trackio", "trackio"),
];

struct Side {
    worker: Worker,
    samples: Vec<Samples>,
}

/// Runs everything in turns; gives the line for scripts.
///
/// # Errors
/// When our workers do not build, no peer can be started, or one breaks the protocol.
pub fn run(bench: &Bench, options: &Options, rounds: usize) -> Result<String, Failure> {
    println!("\n{}: {}", bench.name, bench.about);
    println!("machine: {}", machine::describe());
    let flags = bench.flags(options, 1, &[]);
    let mut sides: Vec<Side> = Vec::new();
    let side = |worker| Side { worker, samples: vec![Samples::default(); CASES.len()] };
    for (krate, example) in OURS {
        let executable = worker::build_example(krate, example)?;
        sides.push(side(Worker::start("mynah", &executable, &[], &flags)?));
    }
    let mut missing = Vec::new();
    for (label, script, package) in PEERS.iter().filter(|_| !options.ours_only) {
        let python = options.python.clone().unwrap_or_else(python);
        let script = worker::script_at(script)?;
        match Worker::start(label, std::path::Path::new(&python), &[script], &flags) {
            Ok(worker) => sides.push(side(worker)),
            Err(message) => {
                println!("  {label} is missing: {message}; `{python} -m pip install {package}`");
                missing.push(*label);
            }
        }
    }
    if missing.len() == PEERS.len() {
        return Err(Failure::NoPeer("no peer can be started; --ours-only measures without them".to_string()));
    }
    for round in 0..=rounds {
        eprint!("\r  round {round} of {rounds} ");
        for (index, (case, ..)) in CASES.iter().enumerate() {
            if options.case.as_ref().is_some_and(|wanted| !case.contains(wanted.as_str())) {
                continue;
            }
            for side in sides.iter_mut().filter(|side| side.worker.cases.iter().any(|known| known == case)) {
                let sample = side.worker.run(case)?;
                // Round 0 warms caches and touches memory.
                if round > 0 {
                    let samples = &mut side.samples[index];
                    samples.case = (*case).to_string();
                    samples.work = sample.work;
                    samples.unit = sample.unit;
                    samples.seconds.push(sample.seconds);
                }
            }
        }
    }
    eprint!("\r                    \r");
    for side in &mut sides {
        side.worker.finish()?;
    }
    let mut versions: Vec<&str> = sides.iter().map(|side| side.worker.version.as_str()).collect();
    versions.dedup();
    println!("mynah {}", versions.join(" · "));
    Ok(report(bench, options, rounds, &sides, &missing))
}

fn report(bench: &Bench, options: &Options, rounds: usize, sides: &[Side], missing: &[&str]) -> String {
    let mut lines = Vec::new();
    let mut all_met = true;
    for (index, (case, about, target)) in CASES.iter().enumerate() {
        let measured = |side: &&Side| !side.samples[index].seconds.is_empty();
        let mut found = sides.iter().filter(measured);
        let Some(ours) = found.next() else { continue };
        let (ours, is_met) = (&ours.samples[index], |value: f64| match target {
            Target::Rate(least) => value >= *least,
            Target::Milliseconds(most) => value <= *most,
        });
        let value = figure(ours, *target);
        all_met &= is_met(value);
        let verdict = match options.small {
            true => "not judged (--small)",
            false if is_met(value) => "met",
            false => "missed",
        };
        let wanted = match target {
            Target::Rate(least) => format!("≥ {}/s", amount(*least, &ours.unit)),
            Target::Milliseconds(most) => format!("≤ {most} ms"),
        };
        println!("  {about}");
        println!("    {:9} {:>34}   {wanted}: {verdict}", "mynah", text(ours, *target));
        let mut peers = Vec::new();
        for side in found {
            let peer = &side.samples[index];
            let ratio = rate(ours) / rate(peer);
            println!(
                "    {:9} {:>34}   we are {ratio:.1} times as fast",
                side.worker.label,
                text(peer, *target)
            );
            peers.push(json!({"peer": side.worker.label, "value": figure(peer, *target), "ratio": ratio}));
        }
        lines.push(json!({
            "case": case, "value": value, "unit": unit(ours, *target), "target": wanted,
            "met": is_met(value), "peers": peers,
        }));
    }
    json!({
        "name": bench.name, "rounds": rounds, "machine": machine::describe(), "cases": lines, "missing": missing,
        "met": all_met && !options.small, "small": options.small,
        "versions": sides.iter().map(|side| json!({"label": side.worker.label, "version": side.worker.version}))
            .collect::<Vec<_>>(),
    })
    .to_string()
}

/// The median in the unit of the target.
fn figure(samples: &Samples, target: Target) -> f64 {
    match target {
        Target::Rate(_) => rate(samples),
        Target::Milliseconds(_) => 1_000.0 * median(&samples.seconds),
    }
}

fn unit(samples: &Samples, target: Target) -> String {
    match target {
        Target::Rate(_) => format!("{}/s", samples.unit),
        Target::Milliseconds(_) => "ms".to_string(),
    }
}

/// Median and spread.
fn text(samples: &Samples, target: Target) -> String {
    let ends =
        samples.seconds.iter().fold((f64::INFINITY, 0.0f64), |(low, high), s| (low.min(*s), high.max(*s)));
    match target {
        Target::Rate(_) => {
            let at = |seconds: f64| format!("{}/s", amount(samples.work / seconds, &samples.unit));
            format!("{} ({} to {})", at(median(&samples.seconds)), at(ends.1), at(ends.0))
        }
        Target::Milliseconds(_) => {
            let ms = |seconds: f64| format!("{:.1} ms", 1_000.0 * seconds);
            format!("{} ({} to {})", ms(median(&samples.seconds)), ms(ends.0), ms(ends.1))
        }
    }
}
