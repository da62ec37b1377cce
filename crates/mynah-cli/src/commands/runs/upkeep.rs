//! `mynah runs gc | import`: taking out what was deleted, taking over what MLflow has.

use std::path::PathBuf;

use clap::Args;
use mynah_base::units;
use mynah_ledger::{GarbageOptions, ImportOptions, Ledger};

use super::Store;
use crate::failure::{Failure, Result};
use crate::recording;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs gc                          what would go
  mynah runs gc --older-than 30d --apply

Takes out for good what `mynah runs delete` put into the bin, and files that no run names any more. The audit log
keeps what happened to them.")]
pub struct CollectGarbage {
    #[command(flatten)]
    store: Store,
    /// Only what has been in the bin for this long: 90s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration_ms)]
    older_than: i64,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A length of time as people write it, in milliseconds.
fn duration_ms(text: &str) -> std::result::Result<i64, String> {
    let units = [("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let found = units.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)));
    let parsed = found.and_then(|(number, ms)| i64::from(number.trim().parse::<u32>().ok()?).checked_mul(ms));
    parsed.ok_or_else(|| "write a whole number and s, m, h or d, for example 30d".to_string())
}

pub fn collect_garbage(arguments: &CollectGarbage) -> Result<()> {
    let ledger = if arguments.apply { arguments.store.change()? } else { arguments.store.look()? };
    let options = GarbageOptions { older_than_ms: arguments.older_than, dry_run: !arguments.apply };
    let report = ledger.collect_garbage(&options)?;
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({
                "applied": arguments.apply, "runs": report.runs, "logged_models": report.models,
                "experiments": report.experiments, "contents": report.contents, "content_bytes": report.content_bytes,
            })
        );
        return Ok(());
    }
    let would = if arguments.apply { "took out" } else { "would take out" };
    println!(
        "{would} {} run(s), {} logged model(s), {} experiment(s), {} file(s) of {}",
        report.runs.len(),
        report.models.len(),
        report.experiments.len(),
        report.contents,
        units::bytes(report.content_bytes)
    );
    if !arguments.apply {
        report.runs.iter().for_each(|id| println!("  run {id}"));
        println!("--apply does it");
    }
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs import mlflow.db
  mynah runs import mlruns/ --store team.db

Takes over experiments, runs, points, params, tags, datasets, models and artifacts. The source is only read; a run that
is here already is left as it is, so an import that was cut short goes on when it is started again.")]
pub struct Import {
    /// MLflow's SQLite file or its folder mlruns
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// The run ledger (default: MYNAH_STORE, or ledger.db in MYNAH_HOME; made when it is absent)
    #[arg(long, value_name = "FILE_OR_URL")]
    store: Option<String>,
    /// Leave artifacts where they are
    #[arg(long)]
    no_artifacts: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn import(arguments: &Import) -> Result<()> {
    let location = recording::location(arguments.store.as_deref())?;
    recording::make_folder(&location)?;
    if !arguments.source.exists() {
        return Err(Failure::new("nothing is there to import")
            .at_path(&arguments.source)
            .advice("give MLflow's SQLite file or its folder mlruns"));
    }
    let ledger = Ledger::open(&location, recording::open_options())?;
    let options = ImportOptions { copy_artifacts: !arguments.no_artifacts };
    let report = ledger.import_mlflow(&arguments.source, &options)?;
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({
                "experiments": report.experiments, "runs": report.runs, "runs_present": report.runs_present,
                "points": report.points, "logged_models": report.logged_models,
                "registered_models": report.registered_models, "versions": report.versions,
                "artifacts": report.artifacts, "artifact_bytes": report.artifact_bytes, "notes": report.notes,
            })
        );
        return Ok(());
    }
    println!(
        "{} run(s) in {} new experiment(s), {} points, {} model version(s), {} artifact(s) of {}",
        report.runs,
        report.experiments,
        units::count(report.points as u64),
        report.versions,
        report.artifacts,
        units::bytes(report.artifact_bytes)
    );
    if report.runs_present > 0 {
        println!("{} run(s) were here already", report.runs_present);
    }
    report.notes.iter().for_each(|note| println!("note: {note}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("30d"), Ok(30 * 86_400_000));
        for bad in ["", "30", "d", "-1d", "1.5h", "1w"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }
}
