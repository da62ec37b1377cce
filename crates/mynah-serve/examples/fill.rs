//! Fills a ledger with runs to look at: `cargo run --release -p mynah-serve --example fill -- runs.db 10000`.
//!
//! Runs have ten params and twenty metrics, which depend on the params and on seeded noise; the first hundred have long
//! histories.

use mynah_base::Rng;
use mynah_ledger::{
    Batch, Ledger, Location, Metric, NewExperiment, NewRun, OpenOptions, Param, RunStatus, RunUpdate, Tag,
};

const LONG_RUNS: usize = 100;
const LONG_STEPS: usize = 10_000;
const BATCH: usize = 1_000;
const START_MS: i64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().unwrap_or_else(|| "runs.db".to_string());
    let count: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let ledger = Ledger::open(&Location::parse(&store)?, OpenOptions::default())?;
    let name = format!("sweep of {count}");
    let experiment = ledger.create_experiment(NewExperiment { name, ..NewExperiment::default() })?;
    let mut rng = Rng::new(7);
    for place in 0..count {
        let depth = 2 + 2 * rng.below(6);
        let rate = [0.0003, 0.001, 0.003, 0.01][rng.below(4) as usize];
        let run = ledger.create_run(NewRun {
            experiment_id: experiment.id.clone(),
            user: ["ada", "grace", "alan"][rng.below(3) as usize].to_string(),
            start_time_ms: Some(START_MS + place as i64 * 60_000),
            name: Some(format!("run-{place:05}")),
            tags: vec![Tag::new("owner", "sweep")],
            run_id: None,
        })?;
        let id = &run.run.id;
        let floor = 0.8 + 2.0 / depth as f64 + f64::abs(f64::log10(rate) + 2.7) * 0.1;
        let mut params =
            vec![Param::new("depth", depth.to_string()), Param::new("learning_rate", rate.to_string())];
        params.extend((2..10).map(|number| Param::new(format!("param_{number}"), rng.below(4).to_string())));
        let last = (0..20).map(|number| {
            let value = floor + f64::from(number) * 0.1 + rng.uniform() * 0.05;
            let key = if number == 0 { "val_bpb".to_string() } else { format!("metric_{number:02}") };
            Metric::new(key, value, START_MS + place as i64 * 60_000, 100)
        });
        ledger.log_batch(id, Batch { metrics: last.collect(), params, tags: Vec::new() })?;
        if place < LONG_RUNS {
            for first in (0..LONG_STEPS).step_by(BATCH) {
                let points = (first..first + BATCH).map(|step| {
                    let value = floor + 3.0 / (1.0 + step as f64 / 50.0) + (rng.uniform() - 0.5) * 0.1;
                    Metric::new(
                        "loss",
                        value,
                        START_MS + place as i64 * 60_000 + step as i64 * 100,
                        step as i64,
                    )
                });
                ledger.log_batch(id, Batch { metrics: points.collect(), ..Batch::default() })?;
            }
        }
        let status = if rng.below(20) == 0 { RunStatus::Failed } else { RunStatus::Finished };
        let end = START_MS + place as i64 * 60_000 + 1_000_000;
        ledger.update_run(id, RunUpdate { status: Some(status), end_time_ms: Some(end), name: None })?;
    }
    println!("{store}: {count} runs in experiment {}", experiment.id);
    Ok(())
}
