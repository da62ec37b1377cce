//! `mynah py bench`.

use std::path::PathBuf;

use clap::Args;
use pyc_driver::Runner;
use serde_json::json;

use crate::failure::{Failure, Result};

/// Options of `mynah py bench`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py bench nbody.py fannkuch.py --python python3.13 --python pypy3 --runs 5

Whole processes are timed, in turns; a ratio above 1 says that ours is quicker. Ends with 1 when outputs differ.")]
pub struct Bench {
    /// Programs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Pythons to compare with
    #[arg(long, value_name = "PYTHON", default_value = "python3")]
    python: Vec<String>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// One JSON object for each program
    #[arg(long)]
    json: bool,
}

/// Measures.
pub fn run(bench: &Bench) -> Result<()> {
    let own = std::env::current_exe().map_err(|e| Failure::new(format!("cannot find this program: {e}")))?;
    let own: Vec<String> = [&*own.display().to_string(), "py", "run", "--trusted"].map(String::from).to_vec();
    let mut runners = vec![Runner { name: "mynah".into(), command: own }];
    runners.extend(bench.python.iter().map(|p| Runner { name: p.clone(), command: vec![p.clone()] }));
    let mut differing = 0;
    let mut logs = vec![0.0; runners.len()];
    for file in &bench.files {
        if !file.is_file() {
            return Err(Failure::new("there is no such program").at_path(file));
        }
        let measured = pyc_driver::bench(file, &runners, bench.runs as usize)
            .map_err(|e| Failure::new(e.to_string()))?;
        differing += usize::from(!measured.differing.is_empty());
        let ratio = |at: usize| measured.median(at) / measured.median(0);
        for (at, log) in logs.iter_mut().enumerate() {
            *log += ratio(at).ln();
        }
        if bench.json {
            let others: Vec<_> = runners
                .iter()
                .enumerate()
                .map(|(at, runner)| {
                    json!({
                        "runner": runner.name, "median_s": measured.median(at), "ratio": ratio(at),
                        "seconds": measured.seconds[at], "exit": measured.exits[at],
                        "same_output": !measured.differing.contains(&at),
                    })
                })
                .collect();
            println!("{}", json!({ "program": file, "runners": others }));
            continue;
        }
        println!("{}", file.display());
        for (at, runner) in runners.iter().enumerate() {
            let same = if measured.differing.contains(&at) { "  OUTPUT DIFFERS" } else { "" };
            println!("  {:24} {:9.1} ms  {:6.2}x{same}", runner.name, 1e3 * measured.median(at), ratio(at));
        }
    }
    if !bench.json && bench.files.len() > 1 {
        for (at, runner) in runners.iter().enumerate().skip(1) {
            let mean = (logs[at] / bench.files.len() as f64).exp();
            println!("geometric mean against {}: {mean:.2}x", runner.name);
        }
    }
    if differing > 0 { std::process::exit(1) } else { Ok(()) }
}
