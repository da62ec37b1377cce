//! `mynah runs show`.

use clap::Args;
use mynah_base::{time, units};
use mynah_ledger::{ArtifactOwner, Ledger, RunRecord, SearchRuns};

use super::facts::{json_of, short, status, table};
use super::{Store, experiments, find};
use crate::failure::Result;

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs show 3f2a91c0\n  mynah runs show 3f2a91c0 --json")]
pub struct Show {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    store: Store,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Show) -> Result<()> {
    let ledger = arguments.store.look()?;
    let record = find(&ledger, &arguments.run)?;
    let all = experiments(&ledger)?;
    let experiment = all.iter().find(|(id, _)| *id == record.run.experiment_id);
    let experiment = experiment.map_or("", |(_, name)| name.as_str());
    let artifacts = ledger.walk_artifacts(&ArtifactOwner::Run(record.run.id.clone()))?;
    let children = children(&ledger, &record)?;
    if arguments.json {
        let mut json = json_of(&record, experiment);
        json["artifacts"] = artifacts
            .iter()
            .map(|a| serde_json::json!({"path": a.path, "size_bytes": a.size_bytes, "digest": a.digest}))
            .collect();
        json["children"] = children.iter().map(|child| child.run.id.clone()).collect();
        println!("{json}");
        return Ok(());
    }
    let run = &record.run;
    let mut facts = vec![
        ("run", format!("{} ({})", run.name, run.id)),
        ("experiment", experiment.to_string()),
        ("status", status(&record)),
        ("started", format!("{} by {}", time::utc(run.start_time_ms), run.user)),
    ];
    if let Some(end) = run.end_time_ms {
        facts.push(("took", units::duration((end - run.start_time_ms).max(0) as f64 / 1e3)));
    }
    facts.extend(run.parent_id.as_ref().map(|parent| ("parent", parent.clone())));
    facts.extend(run.quarantine.as_ref().map(|q| ("quarantine", format!("{} (by {})", q.reason, q.by))));
    for (name, value) in facts {
        println!("{name:12}{value}");
    }
    for child in &children {
        println!("{:12}{} {} ({})", "child", &child.run.id[..super::ID_SHOWN], child.run.name, status(child));
    }
    section(
        "metrics",
        record.data.metrics.iter().map(|m| vec![m.key.clone(), short(m.value), format!("step {}", m.step)]),
    );
    section("params", record.data.params.iter().map(|p| vec![p.key.clone(), p.value.clone()]));
    section("tags", record.data.tags.iter().map(|t| vec![t.key.clone(), t.value.clone()]));
    section(
        "datasets",
        record.data.inputs.iter().map(|i| vec![i.dataset.name.clone(), i.dataset.digest.clone()]),
    );
    section(
        "artifacts",
        artifacts
            .iter()
            .map(|a| vec![a.path.clone(), units::bytes(a.size_bytes), a.digest[..16].to_string()]),
    );
    Ok(())
}

fn children(ledger: &Ledger, record: &RunRecord) -> Result<Vec<RunRecord>> {
    let search = SearchRuns {
        experiment_ids: vec![record.run.experiment_id.clone()],
        filter: format!("tags.mlflow.parentRunId = '{}'", record.run.id),
        order_by: vec!["attributes.start_time ASC".to_string()],
        max_results: 100,
        ..SearchRuns::default()
    };
    Ok(ledger.search_runs(&search)?.items)
}

fn section(title: &str, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    let Some(width) = rows.first().map(Vec::len) else { return };
    println!();
    let titles: Vec<&str> = std::iter::once(title).chain(std::iter::repeat("")).take(width).collect();
    print!("{}", table(&titles, &rows, &vec![false; width]));
}
