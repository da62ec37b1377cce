//! `mynah runs export`.

use std::io::Write as _;

use clap::Args;
use mynah_base::text::csv_field;
use mynah_govern::compare::json_number;
use mynah_ledger::{Ledger, RunRecord, SearchRuns};

use super::facts::json_of;
use super::{Store, experiments, find};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs export --all > runs.jsonl          one JSON object a run, with every point
  mynah runs export 3f2a91c0 --csv > points.csv  run, metric, step, time, value")]
pub struct Export {
    /// Runs: ids, the first characters of them, or names
    #[arg(value_name = "RUN", required_unless_present = "all")]
    runs: Vec<String>,
    /// Every run that is not deleted
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    #[command(flatten)]
    store: Store,
    /// Points as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// JSON Lines, the default
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Export) -> Result<()> {
    let ledger = arguments.store.look()?;
    let all = experiments(&ledger)?;
    let name_of = |id: &str| all.iter().find(|(known, _)| known == id).map_or("", |(_, name)| name.as_str());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let broken = |error: std::io::Error| Failure::new(format!("cannot write: {error}")).at("standard output");
    if arguments.csv {
        writeln!(out, "run_id,metric,step,timestamp_ms,value").map_err(broken)?;
    }
    let mut one = |record: &RunRecord| -> Result<()> {
        let history = history(&ledger, record)?;
        if arguments.csv {
            for (key, points) in &history {
                for (step, timestamp_ms, value) in points {
                    let key = csv_field(key);
                    writeln!(out, "{},{key},{step},{timestamp_ms},{value}", record.run.id).map_err(broken)?;
                }
            }
            return Ok(());
        }
        let mut json = json_of(record, name_of(&record.run.experiment_id));
        json["history"] = history
            .iter()
            .map(|(key, points)| {
                let points =
                    points.iter().map(|(step, ms, value)| serde_json::json!([step, ms, json_number(*value)]));
                (key.clone(), points.collect::<serde_json::Value>())
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        writeln!(out, "{json}").map_err(broken)
    };
    if !arguments.all {
        for named in &arguments.runs {
            one(&find(&ledger, named)?)?;
        }
    } else {
        let mut page_token = None;
        loop {
            let search = SearchRuns {
                experiment_ids: all.iter().map(|(id, _)| id.clone()).collect(),
                order_by: vec!["attributes.start_time ASC".to_string()],
                page_token,
                ..SearchRuns::default()
            };
            let page = ledger.search_runs(&search)?;
            page.items.iter().try_for_each(&mut one)?;
            page_token = page.next_page_token;
            if page_token.is_none() {
                break;
            }
        }
    }
    out.flush().map_err(broken)
}

type Points = Vec<(i64, i64, f64)>;

/// (step, time, value) of every point, by metric.
fn history(ledger: &Ledger, record: &RunRecord) -> Result<Vec<(String, Points)>> {
    let mut all = Vec::new();
    for metric in &record.data.metrics {
        let page = ledger.metric_history(&record.run.id, &metric.key, None, None)?;
        let points =
            page.items.into_iter().map(|point| (point.step, point.timestamp_ms, point.value)).collect();
        all.push((metric.key.clone(), points));
    }
    Ok(all)
}
