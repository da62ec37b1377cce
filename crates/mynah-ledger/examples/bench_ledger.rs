//! Measures the store: `printf 'log-batch\nsearch\n' | cargo run --release -p mynah-ledger --example bench_ledger`.
//!
//! Prints one JSON line when ready; then runs each case that it reads from standard input and answers
//! with the seconds it took. Cases: `log-async` (single metrics through a recorder, until all are committed),
//! `log-acknowledged` (single metrics, each committed before the next), `log-batch` (1,000 points a call),
//! `processes` (8 writers at once, none lost), `search` (filter and order over the runs), `search-page` (the same
//! with the data of the first 1,000 runs), `search-first` (`search` on a ledger that was opened just now). Comparison is measured in mynah-govern. Settings: `--runs N`, `--metrics N`,
//! `--dir PATH` (else a temporary folder), `--store URL` (an empty PostgreSQL database or schema instead), `--small`, and `--threads N`, which is not used: one thread writes.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use mynah_base::Rng;
use mynah_ledger::{
    Batch, Ledger, Location, Metric, NewExperiment, NewRun, OpenOptions, Param, RecorderOptions, SearchRuns,
};

const CASES: [&str; 7] =
    ["log-async", "log-acknowledged", "log-batch", "processes", "search", "search-first", "search-page"];
const WRITERS: usize = 8;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Settings {
    runs: usize,
    metrics: usize,
    small: bool,
    dir: Option<PathBuf>,
    store: Option<String>,
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Outcome<Settings> {
    let mut settings = Settings { runs: 10_000, metrics: 20, small: false, dir: None, store: None };
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--runs" => settings.runs = value()?.parse()?,
            "--metrics" => settings.metrics = value()?.parse()?,
            "--threads" => drop(value()?),
            "--dir" => settings.dir = Some(value()?.into()),
            "--store" => settings.store = Some(value()?),
            "--small" => settings.small = true,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    if settings.small {
        settings.runs = settings.runs.min(200);
    }
    Ok(settings)
}

fn open(place: &str) -> Outcome<Ledger> {
    Ok(Ledger::open(&Location::parse(place)?, OpenOptions::default())?)
}

fn new_run(ledger: &Ledger, experiment: &str) -> Outcome<String> {
    Ok(ledger.create_run(NewRun { experiment_id: experiment.into(), ..NewRun::default() })?.run.id)
}

/// An experiment of many runs with metrics and params; gives its id.
fn fill(ledger: &Ledger, settings: &Settings) -> Outcome<String> {
    let new = NewExperiment { name: "many".into(), ..NewExperiment::default() };
    let experiment = ledger.create_experiment(new)?.id;
    let mut rng = Rng::new(1);
    for index in 0..settings.runs {
        let run = new_run(ledger, &experiment)?;
        let metrics = (0..settings.metrics)
            .map(|key| Metric::new(format!("metric_{key:02}"), rng.uniform(), 1_000 + index as i64, 1))
            .collect();
        let params =
            vec![Param::new("depth", rng.below(12).to_string()), Param::new("index", index.to_string())];
        ledger.log_batch(&run, Batch { metrics, params, tags: Vec::new() })?;
    }
    Ok(experiment)
}

struct Bench {
    settings: Settings,
    place: String,
    ledger: Ledger,
    experiment: String,
    rounds: i64,
}

impl Bench {
    /// The seconds, the work, its unit.
    fn run(&mut self, case: &str) -> Outcome<(f64, f64, &'static str)> {
        let small = self.settings.small;
        // Every round logs at fresh steps, so that no point is a repetition.
        self.rounds += 1;
        let base = self.rounds * 10_000_000;
        match case {
            "log-async" => {
                let points = if small { 2_000 } else { 500_000 };
                let run = new_run(&self.ledger, "0")?;
                let recorder = self.ledger.recorder(&run, RecorderOptions::default())?;
                let start = Instant::now();
                for step in 0..points {
                    recorder.log_metric("loss", step as f64 * 0.5, base + step)?;
                }
                recorder.flush()?;
                let seconds = start.elapsed().as_secs_f64();
                if recorder.stats().written != points as u64 {
                    return Err(format!("{:?}", recorder.stats()).into());
                }
                Ok((seconds, points as f64, "metric"))
            }
            "log-acknowledged" => {
                let points = if small { 50 } else { 5_000 };
                let run = new_run(&self.ledger, "0")?;
                let start = Instant::now();
                for step in 0..points {
                    self.ledger.log_metric(&run, Metric::new("loss", 0.5, step, base + step))?;
                }
                Ok((start.elapsed().as_secs_f64(), points as f64, "metric"))
            }
            "log-batch" => {
                let calls = if small { 3 } else { 300 };
                let run = new_run(&self.ledger, "0")?;
                let batches: Vec<Batch> = (0..calls).map(|call| batch(base + call * 50)).collect();
                let points: usize = batches.iter().map(|batch| batch.metrics.len()).sum();
                let start = Instant::now();
                for batch in batches {
                    self.ledger.log_batch(&run, batch)?;
                }
                Ok((start.elapsed().as_secs_f64(), points as f64, "point"))
            }
            "processes" => self.processes(if small { 100 } else { 10_000 }),
            "search" | "search-first" | "search-page" => {
                let search = SearchRuns {
                    experiment_ids: vec![self.experiment.clone()],
                    filter: "metrics.metric_03 < 0.5 AND params.depth != '3'".into(),
                    order_by: vec!["metrics.metric_07 DESC".into()],
                    max_results: if case == "search-page" { 1_000 } else { 1 },
                    ..SearchRuns::default()
                };
                let fresh = if case == "search-first" { Some(open(&self.place)?) } else { None };
                let ledger = fresh.as_ref().unwrap_or(&self.ledger);
                let start = Instant::now();
                let found = ledger.search_runs(&search)?.items.len();
                let seconds = start.elapsed().as_secs_f64();
                if found == 0 {
                    return Err("the search found nothing".into());
                }
                Ok((seconds, self.settings.runs as f64, "run"))
            }
            other => Err(format!("no case {other:?}: one of {}", CASES.join(", ")).into()),
        }
    }

    /// Several processes write to one store at once; every point must be there afterwards.
    fn processes(&mut self, points: i64) -> Outcome<(f64, f64, &'static str)> {
        let runs = (0..WRITERS).map(|_| new_run(&self.ledger, "0")).collect::<Outcome<Vec<_>>>()?;
        let start = Instant::now();
        let mut writers = Vec::new();
        for run in &runs {
            let mut writer = Command::new(std::env::current_exe()?);
            writer.args(["write", &self.place, run, &points.to_string()]);
            writers.push(writer.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        }
        for mut writer in writers {
            if !writer.wait()?.success() {
                return Err("a writer failed".into());
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        for run in &runs {
            let found = self.ledger.metric_history(run, "loss", None, None)?.items.len();
            if found as i64 != points {
                return Err(format!("{found} of {points} points are there").into());
            }
        }
        Ok((seconds, (WRITERS as i64 * points) as f64, "point"))
    }
}

/// 1,000 points: 20 keys at 50 steps.
fn batch(first_step: i64) -> Batch {
    let point = |i: i64| {
        let step = first_step + i / 20;
        Metric::new(format!("metric_{:02}", i % 20), step as f64 * 0.1, 1_700_000_000_000 + step * 10, step)
    };
    Batch { metrics: (0..1_000).map(point).collect(), ..Batch::default() }
}

/// One of the eight: a hundred points a call, each call acknowledged.
fn write(mut arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let mut next = || arguments.next().ok_or("write STORE RUN POINTS");
    let (place, run, points) = (next()?, next()?, next()?.parse::<i64>()?);
    let ledger = open(&place)?;
    for first in (0..points).step_by(100) {
        let steps = first..(first + 100).min(points);
        let metrics = steps.map(|step| Metric::new("loss", step as f64, step, step)).collect();
        ledger.log_batch(&run, Batch { metrics, ..Batch::default() })?;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "write").is_some() {
        return write(arguments);
    }
    let settings = settings(arguments)?;
    let temporary = match &settings.dir {
        Some(dir) => dir.join(format!("bench-ledger-{}", std::process::id())),
        None => std::env::temp_dir().join(format!("bench-ledger-{}", std::process::id())),
    };
    std::fs::create_dir_all(&temporary)?;
    let file = temporary.join("ledger.db").to_string_lossy().into_owned();
    let place = settings.store.clone().unwrap_or(file);
    let outcome = work(settings, place);
    std::fs::remove_dir_all(&temporary)?;
    outcome
}

fn work(settings: Settings, place: String) -> Outcome<()> {
    let ledger = open(&place)?;
    let experiment = fill(&ledger, &settings)?;
    println!(
        "{}",
        serde_json::json!({"ready": true, "version": env!("CARGO_PKG_VERSION"), "cases": CASES,
            "runs": settings.runs, "metrics": settings.metrics})
    );
    let mut bench = Bench { settings, place, ledger, experiment, rounds: 0 };
    for case in std::io::stdin().lock().lines() {
        let case = case?;
        let (seconds, work, unit) = bench.run(case.trim())?;
        println!(
            "{}",
            serde_json::json!({"case": case.trim(), "seconds": seconds, "work": work, "unit": unit})
        );
        std::io::stdout().flush()?;
    }
    println!("{}", serde_json::json!({"peak_rss_bytes": peak_rss_bytes()}));
    Ok(())
}

/// The most memory that this process has had, where the system says it.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
