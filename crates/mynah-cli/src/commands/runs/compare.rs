//! `mynah runs compare`: every run against its baseline, with the settings that explain the difference.

use clap::Args;
use mynah_govern::compare::{Delta, DeltaIndex, Goal, GraphOptions, Verdict, config_changes, front, graph};

use super::facts::{short, table};
use super::{ID_SHOWN, Store, experiments, find};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs compare 3f2a91c0 77b0de12 --goal validation_bpb:min
  mynah runs compare --experiment train --baseline 3f2a91c0 --goal validation_bpb:min --goal loss:min
  mynah runs compare --experiment train --goal loss:min --graph > graph.json

Which way a metric is better is said, never guessed: METRIC:min or METRIC:max. Runs in quarantine stay out.
A run names its own baseline with the tag mynah.baseline.")]
pub struct Compare {
    /// Runs; the first is the baseline unless --baseline names one (default: all of --experiment)
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    store: Store,
    /// All runs of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// What the others are compared with
    #[arg(long, value_name = "RUN")]
    baseline: Option<String>,
    /// A metric and which way it is better (may be given several times)
    #[arg(long, value_name = "METRIC:min|max")]
    goal: Vec<String>,
    /// Print everything as JSON
    #[arg(long, conflicts_with_all = ["csv", "graph"])]
    json: bool,
    /// Print as CSV
    #[arg(long, conflicts_with = "graph")]
    csv: bool,
    /// Print the graph: runs, baselines, nearest neighbours by settings and by results, front, outliers
    #[arg(long)]
    graph: bool,
}

/// Settings and metrics that are shown of one run; --json has all.
const SHOWN: usize = 12;

pub fn run(arguments: &Compare) -> Result<()> {
    let goals =
        arguments.goal.iter().map(|text| text.parse()).collect::<mynah_govern::Result<Vec<Goal>>>()?;
    let ledger = arguments.store.look()?;
    let mut named = arguments.runs.iter().map(|name| find(&ledger, name)).collect::<Result<Vec<_>>>()?;
    let baseline = match &arguments.baseline {
        Some(name) => Some(find(&ledger, name)?.run.id),
        None => named.first().map(|record| record.run.id.clone()),
    };
    if arguments.baseline.is_none() && named.len() > 1 {
        named.remove(0);
    }
    let all = experiments(&ledger)?;
    let experiment_ids: Vec<String> = match &arguments.experiment {
        Some(name) => {
            let found = all.iter().find(|(id, known)| known == name || id == name);
            let (id, _) = found
                .ok_or_else(|| Failure::new(format!("no experiment is called {name}")).at("--experiment"))?;
            vec![id.clone()]
        }
        None if named.is_empty() => {
            return Err(Failure::new("nothing to compare").advice("name runs, or an --experiment"));
        }
        None => all.iter().map(|(id, _)| id.clone()).collect(),
    };
    let index = DeltaIndex::open(&ledger, &experiment_ids, &goals, baseline.clone())?;
    let mut rows = Vec::new();
    for record in &named {
        let row = index.table().row(&record.run.id);
        rows.push(row.ok_or_else(|| {
            Failure::new(format!("{} takes no part in comparisons", record.run.name))
                .advice("it is deleted, in quarantine, or of another experiment")
        })?);
    }
    if named.is_empty() {
        rows.extend(index.table().rows());
    }
    if arguments.csv {
        print!("{}", index.to_csv());
        return Ok(());
    }
    if arguments.graph {
        let options = GraphOptions { goals, ..GraphOptions::default() };
        println!("{}", graph(&index, &rows, &options)?.to_json());
        return Ok(());
    }
    if arguments.json {
        let json: Vec<_> = rows.iter().map(|&row| index.to_json(row)).collect();
        println!("{}", serde_json::Value::Array(json));
        return Ok(());
    }
    if rows.len() > 1 {
        return print_table(&index, &rows, &goals);
    }
    for row in rows {
        print_run(&index, row);
    }
    Ok(())
}

fn print_run(index: &DeltaIndex, row: usize) {
    let names = index.table();
    let Some(baseline) = index.baseline(row) else {
        println!("{} has no baseline; name one with --baseline", names.label(row));
        return;
    };
    let of = |row: usize| format!("{} {}", &names.id(row)[..ID_SHOWN], names.label(row));
    println!("{} against {}", of(row), of(baseline));
    let deltas: Vec<Vec<String>> = index.deltas(row).iter().map(cells).collect();
    println!();
    print!(
        "{}",
        table(&["metric", "baseline", "here", "difference", ""], &deltas, &[false, true, true, true, false])
    );
    let changes = config_changes(names, baseline, row);
    if changes.is_empty() {
        println!("\nthe settings are the same");
        return;
    }
    let rest = changes.len().saturating_sub(SHOWN);
    let rows: Vec<Vec<String>> = changes
        .iter()
        .take(SHOWN)
        .map(|change| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_string());
            vec![change.key.clone(), text(&change.from), text(&change.to)]
        })
        .collect();
    println!();
    print!("{}", table(&["setting", "baseline", "here"], &rows, &[false; 3]));
    if rest > 0 {
        println!("(and {rest} more; --json shows all)");
    }
}

fn cells(delta: &Delta) -> Vec<String> {
    let verdict = match delta.verdict {
        Verdict::Undirected => "",
        other => other.as_str(),
    };
    vec![
        delta.metric.clone(),
        short(delta.baseline),
        short(delta.value),
        format!("{}{}", if delta.difference > 0.0 { "+" } else { "" }, short(delta.difference)),
        verdict.to_string(),
    ]
}

fn print_table(index: &DeltaIndex, rows: &[usize], goals: &[Goal]) -> Result<()> {
    let names = index.table();
    let on_front = if goals.is_empty() { Vec::new() } else { front(names, goals)? };
    let mut titles = vec!["id", "name", "better", "worse", "settings"];
    titles.extend(goals.iter().map(|goal| goal.metric.as_str()));
    titles.push("");
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|&row| {
            let s = index.summary(row).unwrap_or_default();
            let mut cells = vec![names.id(row)[..ID_SHOWN].to_string(), names.label(row).to_string()];
            cells.extend([s.better, s.worse, s.config_changes].map(|count| count.to_string()));
            cells.extend(goals.iter().map(|goal| {
                let value = names.column(&goal.metric).and_then(|column| names.value(row, column));
                value.map(short).unwrap_or_default()
            }));
            cells.push(if on_front.contains(&row) { "on the front" } else { "" }.to_string());
            cells
        })
        .collect();
    let mut right = vec![false, false];
    right.resize(titles.len() - 1, true);
    right.push(false);
    print!("{}", table(&titles, &cells, &right));
    Ok(())
}
