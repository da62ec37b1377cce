//! `mynah runs watch`.

use std::time::Duration;

use clap::Args;
use mynah_ledger::{RunRecord, RunStatus};

use super::facts::{json_of, short, status};
use super::{Store, find};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Example:
  mynah runs watch 3f2a91c0 --metrics loss,validation_bpb

Prints a line whenever a figure is new and ends with the run; Ctrl-C ends it before.")]
pub struct Watch {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    store: Store,
    /// Which metrics (default: all)
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    interval: f64,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Watch) -> Result<()> {
    if !(0.01..=3600.0).contains(&arguments.interval) {
        return Err(Failure::new(format!("{} seconds between two looks", arguments.interval))
            .at("--interval")
            .advice("give between 0.01 and 3600"));
    }
    let ledger = arguments.store.look()?;
    let id = find(&ledger, &arguments.run)?.run.id;
    let mut shown = String::new();
    loop {
        let record = ledger.run(&id)?;
        let line =
            if arguments.json { json_of(&record, "").to_string() } else { line(&record, &arguments.metrics) };
        if line != shown {
            println!("{line}");
            shown = line;
        }
        if !matches!(record.run.status, RunStatus::Running | RunStatus::Scheduled) {
            if !arguments.json {
                println!("{}", status(&record));
            }
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs_f64(arguments.interval));
    }
}

/// `step 120 · loss 2.31 · …`, a metric of an earlier step with its own.
fn line(record: &RunRecord, wanted: &[String]) -> String {
    let metrics = record.data.metrics.iter();
    let metrics: Vec<_> = metrics.filter(|m| wanted.is_empty() || wanted.contains(&m.key)).collect();
    let step = metrics.iter().map(|m| m.step).max().unwrap_or(0);
    let mut parts = vec![format!("step {step}")];
    parts.extend(metrics.iter().map(|m| {
        let at = if m.step == step { String::new() } else { format!(" (step {})", m.step) };
        format!("{} {}{at}", m.key, short(m.value))
    }));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mynah_ledger::{Metric, RunData};

    #[test]
    fn a_line_names_the_step_and_what_is_older() {
        let metrics = vec![Metric::new("loss", 2.5, 0, 7), Metric::new("validation_bpb", 1.0, 0, 5)];
        let record = RunRecord { data: RunData { metrics, ..RunData::default() }, ..RunRecord::default() };
        assert_eq!(line(&record, &[]), "step 7 · loss 2.5000 · validation_bpb 1 (step 5)");
        assert_eq!(line(&record, &["loss".to_string()]), "step 7 · loss 2.5000");
    }
}
