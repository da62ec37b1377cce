//! `cargo xtask bench py`: Python programs under CPython and under ours, as processes in turns.
//!
//! The programs are `testdata/py_bench`. Each is run from start to exit, so a time holds starting, reading, compiling
//! and ending as well. Outputs are compared before anything is timed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use super::catalogue::Bench;
use super::report::median;
use super::{Failure, Options, machine, python, worker};
use crate::workspace;

/// Programs with the ratio that is wanted, over CPython's time; the others should not be slower than it.
const TARGETS: &[(&str, f64)] = &[
    ("fib", 12.0),
    ("nbody", 8.0),
    ("spectral_norm", 10.0),
    ("fannkuch", 6.0),
    ("mandelbrot", 10.0),
    ("binary_trees", 2.0),
    ("dicts", 1.5),
    ("lists", 1.5),
    ("strings", 1.5),
];
const AT_LEAST: f64 = 0.9;
const MEAN: f64 = 4.0;

/// One way to run a program.
struct Side {
    label: String,
    program: PathBuf,
    tier: Option<&'static str>,
}

impl Side {
    /// Runs a program: its output and the seconds from start to exit.
    fn run(&self, script: &Path) -> Result<(String, f64), String> {
        let mut command = Command::new(&self.program);
        if let Some(tier) = self.tier {
            command.env("TIER", tier);
        }
        let start = Instant::now();
        let output = command
            .arg(script)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cannot run '{}': {e}", self.program.display()))?;
        let seconds = start.elapsed().as_secs_f64();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().last().unwrap_or_default();
            return Err(format!("{} fails on {}: {last}", self.label, script.display()));
        }
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), seconds))
    }
}

/// Runs all programs in turns; gives the line for scripts.
///
/// # Errors
/// When there is no Python, ours does not build, or an output differs.
pub fn run(bench: &Bench, options: &Options, rounds: usize) -> Result<String, Failure> {
    println!("\n{}: {}", bench.name, bench.about);
    println!("machine: {}", machine::describe());
    let ours = worker::build_example(bench.krate, bench.example)?;
    let mut sides = vec![
        Side { label: "auto".into(), program: ours.clone(), tier: Some("auto") },
        Side { label: "interp".into(), program: ours, tier: Some("interp") },
    ];
    if !options.ours_only {
        let path = options.python.clone().unwrap_or_else(python);
        let version = Command::new(&path).arg("--version").output().map_err(|e| {
            Failure::NoPeer(format!("'{path}' cannot be run ({e}); name a Python in --python"))
        })?;
        let label = String::from_utf8_lossy(&version.stdout).trim().to_string();
        sides.push(Side { label, program: path.into(), tier: None });
    }
    let folder = workspace::root().join("testdata/py_bench");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "py"))
        .collect();
    scripts.sort();
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    scripts.retain(|path| options.case.as_ref().is_none_or(|case| name(path).contains(case)));
    let mut times = vec![vec![Vec::new(); sides.len()]; scripts.len()];
    for round in 0..=rounds {
        eprint!("\r  round {round} of {rounds} ");
        for (script, times) in scripts.iter().zip(&mut times) {
            let mut expected: Option<String> = None;
            for (side, times) in sides.iter().zip(times.iter_mut()).rev() {
                let (output, seconds) = side.run(script)?;
                match &expected {
                    None => expected = Some(output),
                    Some(first) if *first != output => {
                        let name = name(script);
                        let last = sides.last().map_or("", |s| s.label.as_str());
                        return Err(
                            format!("{name}: {} prints something else than {last}", side.label).into()
                        );
                    }
                    Some(_) => {}
                }
                // Round 0 warms caches.
                if round > 0 {
                    times.push(seconds);
                }
            }
        }
    }
    eprint!("\r                    \r");
    let mut rows = Vec::new();
    let mut logs = [0.0; 2];
    let mut met = true;
    println!(
        "  {:<16}{:>10}{:>10}{:>10}  {:>8}{:>8}  wanted",
        "", "auto ms", "interp ms", "peer ms", "auto", "interp"
    );
    for (script, times) in scripts.iter().zip(&times) {
        let medians: Vec<f64> = times.iter().map(|t| median(t)).collect();
        let spread = |t: &[f64]| {
            let (low, high) = t.iter().fold((f64::MAX, 0f64), |(l, h), x| (l.min(*x), h.max(*x)));
            (high - low) / median(t) * 100.0
        };
        let name = name(script);
        let wanted = TARGETS.iter().find(|(n, _)| *n == name).map_or(AT_LEAST, |(_, t)| *t);
        let ratios: Vec<f64> = match medians.get(2) {
            Some(peer) => medians[..2].iter().map(|ours| peer / ours).collect(),
            None => vec![f64::NAN; 2],
        };
        met &= ratios[0].is_nan() || ratios[0] >= wanted;
        for (log, ratio) in logs.iter_mut().zip(&ratios) {
            *log += ratio.ln() / scripts.len() as f64;
        }
        println!(
            "  {name:<16}{:>10.1}{:>10.1}{:>10.1}  {:>7.2}x{:>7.2}x  {wanted}x  (spread {:.0}%, {:.0}%)",
            medians[0] * 1e3,
            medians[1] * 1e3,
            medians.get(2).copied().unwrap_or(f64::NAN) * 1e3,
            ratios[0],
            ratios[1],
            spread(&times[0]),
            times.get(2).map_or(0.0, |t| spread(t)),
        );
        rows.push(json!({ "name": name, "seconds": medians, "ratio": ratios[0], "wanted": wanted }));
    }
    let mean = logs[0].exp();
    met &= mean.is_nan() || mean >= MEAN;
    println!("  geometric mean: auto {mean:.2}x (wanted {MEAN}x), interpreter {:.2}x", logs[1].exp());
    let labels: Vec<&str> = sides.iter().map(|s| s.label.as_str()).collect();
    Ok(json!({ "bench": bench.name, "sides": labels, "rounds": rounds, "mean": mean, "met": met, "programs": rows })
        .to_string())
}
