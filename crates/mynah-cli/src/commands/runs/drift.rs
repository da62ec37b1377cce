//! `mynah runs drift`: do the runs of today look like those of before?

use std::path::PathBuf;

use clap::Args;
use mynah_base::time::utc;
use mynah_govern::drift::{DriftOptions, DriftWindow, RunSample, dashboard, page};
use mynah_govern::gate::Notice;
use mynah_ledger::{Ledger, RunRecord, SearchRuns};

use super::facts::table;
use super::judge::policy_file;
use super::tell::tell;
use super::{Store, experiments};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs drift --experiment train
  mynah runs drift --experiment nightly --window 20 --out drift.html
  mynah runs drift --experiment nightly --policy policy.toml       tells the policy's hooks

Runs by their beginning are cut into windows; each is compared with the first by Kolmogorov-Smirnov and chi-squared
tests of every metric, and of which data was used. --rate is the chance that a report without any drift names
some. Ends with exit code 3 when the last window drifts.")]
pub struct ShowDrift {
    #[command(flatten)]
    store: Store,
    /// Runs of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: String,
    /// Which of them (see `mynah runs list --help`)
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// Runs a window
    #[arg(long, value_name = "N", default_value_t = 20)]
    window: usize,
    /// False-positive rate of the whole report
    #[arg(long, value_name = "P", default_value_t = DriftOptions::default().false_positive_rate)]
    rate: f64,
    /// Smallest population stability index that is worth naming
    #[arg(long, value_name = "PSI", default_value_t = DriftOptions::default().psi_min)]
    smallest: f64,
    /// Write the dashboard as a page
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tell this policy's hooks
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

const EXIT_DRIFT: i32 = 3;
/// Runs of one question to the ledger.
const PAGE_RUNS: usize = 1_000;

pub fn run(arguments: &ShowDrift) -> Result<()> {
    let policy = policy_file(arguments.policy.as_deref())?;
    let hooks = !policy.hooks.is_empty();
    let ledger = if hooks { arguments.store.change()? } else { arguments.store.look()? };
    let all = experiments(&ledger)?;
    let named = &arguments.experiment;
    let found = all.iter().find(|(id, name)| name == named || id == named);
    let (id, name) =
        found.ok_or_else(|| Failure::new(format!("no experiment is called {named}")).at("--experiment"))?;
    let samples = samples(&ledger, id, &arguments.filter)?;
    let options = DriftOptions { false_positive_rate: arguments.rate, psi_min: arguments.smallest };
    let windows = dashboard(&samples, arguments.window, &options)?;
    if let Some(path) = &arguments.out {
        let html = page(&windows, &options);
        mynah_base::write_atomic(path, |file| std::io::Write::write_all(file, html.as_bytes()))
            .map_err(|error| Failure::io("cannot write", path, &error))?;
    }
    if arguments.json {
        let windows: Vec<_> = windows
            .iter()
            .map(
                |w| serde_json::json!({"from_ms": w.from_ms, "to_ms": w.to_ms, "report": w.report.to_json()}),
            )
            .collect();
        println!(
            "{}",
            serde_json::json!({
                "experiment": name, "runs": samples.len(), "window": arguments.window,
                "false_positive_rate": options.false_positive_rate, "psi_min": options.psi_min, "windows": windows,
            })
        );
    } else {
        print_windows(&windows, samples.len(), arguments);
    }
    let Some(last) = windows.last() else { return Ok(()) };
    tell(&ledger, &policy, Notice::of_drift(name, last))?;
    if !last.report.drifting().is_empty() {
        std::process::exit(EXIT_DRIFT);
    }
    Ok(())
}

fn samples(ledger: &Ledger, experiment: &str, filter: &str) -> Result<Vec<RunSample>> {
    let mut samples = Vec::new();
    let mut search = SearchRuns {
        experiment_ids: vec![experiment.to_string()],
        filter: filter.to_string(),
        max_results: PAGE_RUNS,
        ..SearchRuns::default()
    };
    loop {
        let page = ledger.search_runs(&search)?;
        // What is kept apart says nothing about what is usual.
        let kept = |record: &&RunRecord| record.run.quarantine.is_none();
        samples.extend(page.items.iter().filter(kept).map(RunSample::of));
        match page.next_page_token {
            Some(token) => search.page_token = Some(token),
            None => return Ok(samples),
        }
    }
}

fn print_windows(windows: &[DriftWindow], runs: usize, arguments: &ShowDrift) {
    if windows.is_empty() {
        println!(
            "{runs} run(s) are too few: two windows of {} are needed (--window takes 8 or more)",
            arguments.window
        );
        return;
    }
    let mut rows = Vec::new();
    for window in windows {
        let drifting: Vec<String> = window
            .report
            .rows
            .iter()
            .filter(|row| row.is_drift)
            .map(|row| format!("{} (index {:.2})", row.name, row.psi))
            .collect();
        let drifting = if drifting.is_empty() { "no drift".to_string() } else { drifting.join(", ") };
        let compared = window.report.rows.len().to_string();
        rows.push(vec![utc(window.from_ms), utc(window.to_ms), compared, drifting]);
    }
    print!("{}", table(&["FROM", "TO", "COMPARED", "DRIFT"], &rows, &[false, false, true, false]));
    if let Some(path) = &arguments.out {
        println!("{}", path.display());
    }
}
