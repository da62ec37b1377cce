//! Measures comparison: `printf "compare\n" | cargo run --release -p mynah-govern --example bench_compare`.
//!
//! Prints one JSON line when ready; then runs each case that it reads from standard input and answers with the
//! seconds it took. Cases: `compare` (every run against a baseline from plain rows: deltas, config differences,
//! Pareto front of three goals, outliers), `baseline` (another baseline for all runs of an index), `update` (one
//! run changes; a thousand times), `graph` (50 runs with their neighbours among all), `open` (the index from a
//! ledger file), `refresh` (one run changes in the ledger and the index follows; a hundred times), `validate` (all rules over the ledger). Settings:
//! `--runs N`, `--metrics N`, `--threads N` (ignored, one is used), `--small`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use mynah_base::Rng;
use mynah_govern::compare::{DeltaIndex, Goal, GraphOptions, RunFacts, front, graph, outliers};
use mynah_govern::now_ms;
use mynah_govern::validate::{Policy, validate};
use mynah_ledger::{Batch, Ledger, Location, Metric, NewRun, OpenOptions, Param};

struct Settings {
    runs: usize,
    metrics: usize,
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings { runs: 10_000, metrics: 20 };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--runs" => settings.runs = value()?.parse()?,
            "--metrics" => settings.metrics = value()?.parse()?,
            "--threads" => drop(value()?),
            "--small" => settings.runs = settings.runs.min(300),
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    if settings.runs < 100 || settings.metrics < 3 {
        return Err("at least 100 runs of 3 metrics".into());
    }
    Ok(settings)
}

/// Runs of a sweep: ten params, most of them shared.
fn runs(settings: &Settings) -> Vec<RunFacts> {
    let mut rng = Rng::new(1);
    let run = |index: usize| RunFacts {
        id: format!("{index:032x}"),
        name: format!("run {index}"),
        baseline_id: None,
        metrics: (0..settings.metrics).map(|metric| (format!("metric{metric}"), rng.normal())).collect(),
        config: (0..10)
            .map(|param| {
                let choices = if param < 3 { 20 } else { 2 };
                (format!("param{param}"), rng.below(choices).to_string())
            })
            .collect(),
    };
    (0..settings.runs).map(run).collect()
}

fn fill(ledger: &Ledger, runs: &[RunFacts]) -> Result<(), Box<dyn Error>> {
    // Writers side by side share commits.
    let failed = std::thread::scope(|scope| {
        let workers: Vec<_> = runs
            .chunks(runs.len().div_ceil(16))
            .map(|part| {
                scope.spawn(move || -> Result<(), mynah_ledger::Error> {
                    for run in part {
                        ledger.create_run(NewRun {
                            experiment_id: "0".to_string(),
                            name: Some(run.name.clone()),
                            run_id: Some(run.id.clone()),
                            ..NewRun::default()
                        })?;
                        let begin = now_ms();
                        let metrics =
                            run.metrics.iter().map(|(key, value)| Metric::new(key, *value, begin, 1));
                        let params = run.config.iter().map(|(key, value)| Param::new(key, value));
                        let (metrics, params) = (metrics.collect(), params.collect());
                        ledger.log_batch(&run.id, Batch { metrics, params, ..Batch::default() })?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().map_or(None, Result::err)).next()
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let runs = runs(&settings);
    let goals: Vec<Goal> = ["metric0:min", "metric1:max", "metric2:min"]
        .iter()
        .map(|goal| goal.parse())
        .collect::<Result<_, _>>()?;
    let baseline = Some(runs[0].id.clone());
    let dir = tempfile::tempdir()?;
    let location = Location::Sqlite(dir.path().join("ledger.db"));
    let ledger =
        Ledger::open(&location, OpenOptions { actor: "bench".to_string(), ..OpenOptions::default() })?;
    fill(&ledger, &runs)?;
    let mut index = DeltaIndex::new(&goals, baseline.clone());
    index.fill(&runs);
    let mut of_ledger = DeltaIndex::open(&ledger, &["0".to_string()], &goals, baseline.clone())?;
    println!(
        "{}",
        serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"),
            "cases": ["compare", "baseline", "update", "graph", "open", "refresh", "validate"],
            "runs": settings.runs, "metrics": settings.metrics, "threads": 1})
    );
    let mut step = 1;
    for case in std::io::stdin().lock().lines() {
        let case = case?;
        let start = Instant::now();
        let (work, unit, result) = match case.trim() {
            "compare" => {
                let mut index = DeltaIndex::new(&goals, baseline.clone());
                index.fill(&runs);
                let on_front = front(index.table(), &goals)?.len();
                let apart = outliers(index.table(), 3.5, 8).len();
                (runs.len(), "run", on_front + apart)
            }
            "baseline" => {
                index.set_baseline(Some(runs[1].id.clone()));
                let on_front = front(index.table(), &goals)?.len();
                (runs.len(), "run", on_front + outliers(index.table(), 3.5, 8).len())
            }
            "update" => {
                for run in runs.iter().skip(2).cycle().take(1_000) {
                    index.put(run);
                }
                (1_000, "update", index.table().len())
            }
            "graph" => {
                let rows: Vec<usize> = (0..50).collect();
                (50, "node", graph(&index, &rows, &GraphOptions::default())?.edges.len())
            }
            "open" => {
                let index = DeltaIndex::open(&ledger, &["0".to_string()], &goals, baseline.clone())?;
                (runs.len(), "run", index.table().len())
            }
            "refresh" => {
                let mut seen = 0;
                for run in runs.iter().skip(2).take(98) {
                    step += 1;
                    ledger.log_metric(&run.id, Metric::new("metric0", 0.5, now_ms(), step))?;
                    seen += of_ledger.refresh(&ledger)?;
                }
                (98, "change", seen)
            }
            "validate" => {
                let found = validate(&ledger, &Policy::default(), None, now_ms())?;
                (found.runs.len(), "run", found.findings.len())
            }
            other => return Err(format!("no case {other:?}").into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{}",
            serde_json::json!({"case": case.trim(), "seconds": seconds, "work": work, "unit": unit, "result": result})
        );
        std::io::stdout().flush()?;
    }
    println!("{}", serde_json::json!({"peak_rss_bytes": peak_rss_bytes()}));
    Ok(())
}

/// From the kernel's account of this process; 0 where there is none.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
