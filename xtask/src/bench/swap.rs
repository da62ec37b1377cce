//! `cargo xtask bench swap`: hot weights against what they cannot avoid, measured in the same call.
//!
//! There is no peer: each case has a floor or a ceiling (entropy, copying, hashing, the transport alone) and the share
//! of it that is to be reached.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::catalogue::Bench;
use super::report::median;
use super::worker::{self, Worker};
use super::{Failure, Options, Samples, machine};

/// What a case must reach.
#[derive(Clone, Copy)]
enum Target {
    /// The work is at most so many times the floor.
    TimesFloor(f64),
    /// The rate is at least this share of the ceiling.
    Share(f64),
    /// It takes at most so many seconds.
    Seconds(f64),
}

impl Target {
    fn judge(self, value: f64) -> (bool, String) {
        match self {
            Target::TimesFloor(most) => (value <= most, format!("≤ {most}×")),
            Target::Share(least) => (value >= least, format!("≥ {least}×")),
            Target::Seconds(most) => (value <= most, format!("≤ {most} s")),
        }
    }
}

fn verdict(is_small: bool, is_met: bool) -> &'static str {
    match (is_small, is_met) {
        (true, _) => "not judged (--small)",
        (false, true) => "met",
        (false, false) => "missed",
    }
}

/// Our workers: crate and example.
const OURS: &[(&str, &str)] = &[("mynah-swap", "bench_swap"), ("mynah-mpi", "bench_shared")];

/// Cases with what people call them.
const CASES: &[(&str, &str, Target)] = &[
    ("wire-0.1", "bytes of a delta of 0.1% against the entropy floor", Target::TimesFloor(1.2)),
    ("wire-1", "bytes of a delta of 1%", Target::TimesFloor(1.2)),
    ("wire-3", "bytes of a delta of 3%", Target::TimesFloor(1.2)),
    ("stage-delta", "staging a delta against the slower of copy and hash", Target::Share(0.8)),
    ("stage-whole", "staging a whole version", Target::Share(0.8)),
    ("stage-one", "staging a delta with one thread", Target::Share(0.8)),
    (
        "push-whole",
        "a whole version over TCP against the slowest of copy, hash, transport",
        Target::Share(0.8),
    ),
    ("shared-2", "one write, two processes map and check it, against copy and hash", Target::Share(0.8)),
    ("memory", "resident memory while staging against the weights", Target::TimesFloor(2.1)),
    ("plan", "plan of a million chunks", Target::Seconds(1.0)),
];

/// What a server that answers pays, from `swap_live` of mynah-serve: field of its answer, what people call it, target.
const LIVE: &[(&str, &str, Target)] = &[
    ("staging_ratio", "tokens a second while a version comes in, against none coming in", Target::Share(0.9)),
    (
        "flip_added_steps",
        "99th percentile between tokens, added by flips, in decode steps",
        Target::TimesFloor(1.0),
    ),
];
const LIVE_CASE: &str = "live";

/// Runs all cases in turns; gives the line for scripts.
///
/// # Errors
/// When our workers do not build, or one breaks the protocol.
pub fn run(bench: &Bench, options: &Options, rounds: usize) -> Result<String, Failure> {
    println!("\n{}: {}", bench.name, bench.about);
    println!("machine: {}", machine::describe());
    let threads = options.threads.unwrap_or(bench.threads());
    let flags = bench.flags(options, threads, &[]);
    let mut workers = Vec::new();
    for (krate, example) in OURS {
        let executable = worker::build_example(krate, example)?;
        workers.push(Worker::start("mynah", &executable, &[], &flags)?);
    }
    let mut samples = vec![Samples::default(); CASES.len()];
    for round in 0..=rounds {
        eprint!("\r  round {round} of {rounds} ");
        for ((case, ..), samples) in
            CASES.iter().zip(&mut samples).filter(|((case, ..), _)| bench.wants(case, options))
        {
            let Some(worker) =
                workers.iter_mut().find(|worker| worker.cases.iter().any(|known| known == case))
            else {
                continue;
            };
            let sample = worker.run(case)?;
            // Round 0 warms caches and touches memory.
            if round > 0 {
                samples.case = (*case).to_string();
                samples.unit = sample.unit;
                samples.work = sample.work;
                samples.seconds.push(sample.seconds);
                samples.peaks.extend(sample.peak);
            }
        }
    }
    eprint!("\r                    \r");
    for worker in &mut workers {
        worker.finish()?;
    }
    let live = match bench.wants(LIVE_CASE, options) {
        true => Some(live(options)?),
        false => None,
    };
    Ok(report(bench, options, (rounds, threads), &samples, live.as_ref()))
}

/// A server with streams and pushes, in a process of its own; it takes its own medians over its pushes.
fn live(options: &Options) -> Result<Value, Failure> {
    let executable = worker::build_example("mynah-serve", "swap_live")?;
    let mut command = Command::new(executable);
    command.args(options.small.then_some("--small")).stderr(Stdio::null());
    let output = command.output().map_err(|error| format!("swap_live does not start ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(serde_json::from_str(text.trim()).map_err(|error| format!("swap_live said {text:?} ({error})"))?)
}

fn report_live(found: &Value, is_small: bool, lines: &mut Vec<Value>) -> bool {
    let figure = |field: &str| found[field].as_f64().unwrap_or(f64::NAN);
    println!(
        "  a server of {:.0} MB, {} streams, {} pushes: {:.0} tokens/s, {:.1} ms a step, staged in {:.1} s",
        figure("model_bytes") / 1e6,
        found["streams"],
        found["pushes"],
        figure("idle_tokens_per_s"),
        figure("step_ms"),
        figure("stage_seconds"),
    );
    let mut all_met = true;
    for (field, about, target) in LIVE {
        let value = figure(field);
        let (is_met, wanted) = target.judge(value);
        all_met &= is_met;
        println!("  {about}\n    {value:>7.3}   {:<28} {wanted}: {}", "", verdict(is_small, is_met));
        lines.push(json!({"case": field, "value": value, "target": wanted, "met": is_met}));
    }
    all_met
}

fn report(
    bench: &Bench,
    options: &Options,
    (rounds, threads): (usize, usize),
    samples: &[Samples],
    live: Option<&Value>,
) -> String {
    let mut lines = Vec::new();
    let mut all_met = true;
    for ((case, about, target), samples) in CASES.iter().zip(samples).filter(|(_, s)| !s.seconds.is_empty()) {
        // Each round's figure against its own floor or ceiling: whatever slows one slows both.
        let values: Vec<f64> = match target {
            Target::Seconds(_) => samples.seconds.clone(),
            Target::TimesFloor(_) => samples.peaks.iter().map(|floor| samples.work / floor).collect(),
            Target::Share(_) => {
                let rates = samples.seconds.iter().map(|seconds| samples.work / seconds);
                rates.zip(&samples.peaks).map(|(rate, ceiling)| rate / ceiling).collect()
            }
        };
        let value = median(&values);
        let (is_met, wanted) = target.judge(value);
        all_met &= is_met;
        let verdict = verdict(options.small, is_met);
        let rates: Vec<f64> = samples.seconds.iter().map(|seconds| samples.work / seconds / 1e9).collect();
        let detail = match target {
            Target::Share(_) => format!("{:.2} GB/s of {:.2}", median(&rates), median(&samples.peaks) / 1e9),
            Target::TimesFloor(_) => {
                format!("{:.2} MB on {:.2}", samples.work / 1e6, median(&samples.peaks) / 1e6)
            }
            Target::Seconds(_) => format!("{:.0} chunks", samples.work),
        };
        println!("  {about}\n    {value:>7.3}   {detail:<28} {wanted}: {verdict}");
        lines.push(json!({
            "case": case, "value": value, "target": wanted, "met": is_met,
            "gb_per_s": median(&rates), "bound": median(&samples.peaks), "spread": values,
        }));
    }
    if let Some(found) = live {
        all_met &= report_live(found, options.small, &mut lines);
    }
    json!({
        "name": bench.name, "rounds": rounds, "threads": threads, "machine": machine::describe(), "cases": lines, "live": live,
        "met": all_met && !options.small, "small": options.small,
    })
    .to_string()
}
