//! `cargo xtask bench engine`: prompts and decoding beside llama.cpp, on the same files with random weights.
//!
//! Each case has a ratio of its own to reach. The result is also a table in markdown, for docs/performance.md.

use serde_json::json;

use super::catalogue::Bench;
use super::report::{median, rate, spread};
use super::worker::{self, Worker};
use super::{Failure, Options, Samples, machine, peer, turns};
use crate::workspace;

/// What people call the cases, by their ends, and the ratio each must reach.
const KINDS: &[(&str, &str, f64)] = &[
    ("-decode", "decode", 1.5),
    ("-prefill-512", "prompt of 512", 2.0),
    ("-streams-8", "8 streams together", 1.5),
];

/// Where the files with random weights are kept, below the target folder.
const MODELS: &str = "target/bench-models";

/// Runs everything in turns; gives the line for scripts. Without the peer ours is measured alone.
///
/// # Errors
/// When our worker does not build, or one breaks the protocol.
pub fn run(bench: &Bench, options: &Options, rounds: usize) -> Result<String, Failure> {
    println!("\n{}: {}", bench.name, bench.about);
    println!("machine: {}", machine::describe());
    let executable = worker::build(bench)?;
    let threads = options.threads.unwrap_or(bench.threads());
    let mut flags = bench.flags(options, threads, &[]);
    flags.extend(["--models".to_string(), workspace::root().join(MODELS).to_string_lossy().into_owned()]);
    // Ours is ready when the files are there, so it comes first.
    let mut workers = vec![Worker::start("mynah", &executable, &[], &flags)?];
    match peer(bench, options, &flags) {
        Ok(peer) => workers.extend(peer),
        Err(Failure::NoPeer(message)) => println!("  skipped: {message}"),
        Err(other) => return Err(other),
    }
    let cases: Vec<String> =
        workers[0].cases.iter().filter(|case| bench.wants(case, options)).cloned().collect();
    if cases.is_empty() {
        let known = workers[0].cases.join(", ");
        return Err(Failure::Broken(format!("no case to run; the worker offers {known}")));
    }
    let versions: Vec<String> =
        workers.iter().map(|worker| format!("{} {}", worker.label, worker.version)).collect();
    let sides = turns(workers, &cases, rounds)?;
    println!(
        "{}, {threads} threads, {}, {rounds} rounds, medians (slowest–fastest)\n",
        versions.join(" · "),
        if options.small { "a tiny model" } else { "0.35 B weights" }
    );
    println!("| case | mynah, tokens/s | llama.cpp | ratio | target |\n|---|---:|---:|---:|---|");
    let mut lines = Vec::new();
    let mut all_met = sides.len() > 1;
    for (index, case) in cases.iter().enumerate() {
        let ours = &sides[0].cases[index];
        let peer = sides.get(1).map(|side| &side.cases[index]);
        let ratio = peer.map(|peer| rate(ours) / rate(peer));
        let (about, target) = kind(case);
        let is_met = ratio.map(|ratio| ratio >= target);
        all_met &= is_met == Some(true);
        println!(
            "| {about} | {} | {} | {} | ≥ {target}×{} |",
            cell(ours),
            peer.map_or("–".to_string(), cell),
            ratio.map_or("–".to_string(), |ratio| format!("{ratio:.2}×")),
            match is_met {
                Some(true) => ": met",
                Some(false) => ": **missed**",
                None => "",
            }
        );
        lines.push(json!({
            "case": case, "ours": rate(ours), "peer": peer.map(rate), "ratio": ratio, "target": target, "met": is_met,
            "seconds": median(&ours.seconds), "unit": "token/s",
        }));
    }
    println!();
    Ok(json!({
        "name": bench.name, "rounds": rounds, "threads": threads, "machine": machine::describe(), "cases": lines,
        "met": all_met && !options.small, "small": options.small, "versions": versions,
    })
    .to_string())
}

/// `q8_0-decode` → `Q8_0 decode` and its target.
fn kind(case: &str) -> (String, f64) {
    let found = KINDS.iter().find(|(end, ..)| case.ends_with(end));
    found.map_or((case.to_string(), 1.0), |(end, about, target)| {
        (format!("{} {about}", case.trim_end_matches(end).to_uppercase()), *target)
    })
}

/// The rate at the median time, with the slowest and the fastest round.
fn cell(samples: &Samples) -> String {
    let (low, high) = spread(samples);
    let median = rate(samples);
    format!("{median:.1} ({:.1}–{:.1})", median * low / 100.0, median * high / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_have_names_and_targets() {
        assert_eq!(kind("q8_0-decode"), ("Q8_0 decode".to_string(), 1.5));
        assert_eq!(kind("q4_0-prefill-512"), ("Q4_0 prompt of 512".to_string(), 2.0));
        let samples = Samples { work: 10.0, seconds: vec![1.0, 2.0, 4.0], ..Samples::default() };
        assert_eq!(cell(&samples), "5.0 (2.5–10.0)");
    }
}
