//! `mynah runs list`.

use clap::Args;
use mynah_base::text::csv_field;
use mynah_ledger::{RunRecord, SearchRuns, View};

use super::facts::{Column, json_of, table};
use super::{Store, experiments};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs list
  mynah runs list --filter \"metrics.loss < 2 AND params.train.seed = '0'\" --sort metrics.loss
  mynah runs list --columns name,loss,params.train.schedule.steps --csv

The filter is MLflow's: attributes, metrics, params and tags; = != < <= > >= LIKE ILIKE IN; AND.")]
pub struct List {
    #[command(flatten)]
    store: Store,
    /// Only runs that pass, for example \"metrics.loss < 2\"
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,
    /// Only of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Order: a field, \"-field\" for descending (may be given several times; default: newest first)
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Vec<String>,
    /// Columns: id, name, experiment, status, started, duration, user, metrics.KEY, params.KEY, tags.KEY
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    max: usize,
    /// Deleted runs instead
    #[arg(long)]
    deleted: bool,
    /// Print as a JSON array
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print as CSV
    #[arg(long)]
    csv: bool,
}

/// Metrics shown when no columns are asked for, as far as some run has them.
const USUAL: [&str; 7] =
    ["validation_bpb", "bits_per_byte", "loss", "spelling", "counting", "addition", "accuracy"];

pub fn run(arguments: &List) -> Result<()> {
    let ledger = arguments.store.look()?;
    let all = experiments(&ledger)?;
    let experiment_ids: Vec<String> = match &arguments.experiment {
        None => all.iter().map(|(id, _)| id.clone()).collect(),
        Some(name) => match all.iter().find(|(id, known)| known == name || id == name) {
            Some((id, _)) => vec![id.clone()],
            None => {
                let known: Vec<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
                return Err(Failure::new(format!("no experiment is called {name}"))
                    .at("--experiment")
                    .advice(format!("there are {}", known.join(", "))));
            }
        },
    };
    let mut records = Vec::new();
    let mut page_token = None;
    while records.len() < arguments.max {
        let search = SearchRuns {
            experiment_ids: experiment_ids.clone(),
            filter: arguments.filter.clone(),
            view: if arguments.deleted { View::DeletedOnly } else { View::ActiveOnly },
            order_by: arguments.sort.iter().map(|field| order(field)).collect(),
            max_results: (arguments.max - records.len()).min(1_000),
            page_token,
            skip_quarantined: false,
        };
        let page = ledger.search_runs(&search)?;
        records.extend(page.items);
        page_token = page.next_page_token;
        if page_token.is_none() {
            break;
        }
    }
    let name_of = |record: &RunRecord| {
        all.iter().find(|(id, _)| *id == record.run.experiment_id).map_or("", |(_, name)| name.as_str())
    };
    if arguments.json {
        let json: Vec<_> = records.iter().map(|record| json_of(record, name_of(record))).collect();
        println!("{}", serde_json::Value::Array(json));
        return Ok(());
    }
    let columns = columns(&arguments.columns, &records)?;
    if arguments.csv {
        let titles: Vec<String> = columns.iter().map(|column| csv_field(column.title())).collect();
        println!("{}", titles.join(","));
        for record in &records {
            let row = columns.iter().map(|column| csv_field(&column.exact(record, name_of(record))));
            println!("{}", row.collect::<Vec<_>>().join(","));
        }
        return Ok(());
    }
    if records.is_empty() {
        println!("no runs");
        return Ok(());
    }
    let now_ms = mynah_base::time::now_ms();
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| columns.iter().map(|c| clipped(&c.cell(record, name_of(record), now_ms))).collect())
        .collect();
    let titles: Vec<&str> = columns.iter().map(Column::title).collect();
    let right: Vec<bool> = columns.iter().map(Column::is_number).collect();
    print!("{}", table(&titles, &rows, &right));
    if page_token.is_some() {
        println!("(more; --max {} shows twice as many)", arguments.max.saturating_mul(2));
    }
    Ok(())
}

/// `-metrics.loss` → `metrics.loss DESC`; a bare metric gets its prefix.
fn order(field: &str) -> String {
    let (field, direction) = match field.strip_prefix('-') {
        Some(field) => (field, "DESC"),
        None => (field, "ASC"),
    };
    match Column::parse(field) {
        Ok(Column::Started) => format!("attributes.start_time {direction}"),
        Ok(Column::Name) => format!("attributes.run_name {direction}"),
        Ok(Column::Metric(key)) => format!("metrics.`{key}` {direction}"),
        Ok(Column::Param(key)) => format!("params.`{key}` {direction}"),
        Ok(Column::Tag(key)) => format!("tags.`{key}` {direction}"),
        _ => format!("{field} {direction}"),
    }
}

fn columns(asked: &[String], records: &[RunRecord]) -> Result<Vec<Column>> {
    if !asked.is_empty() {
        return asked.iter().map(|text| Column::parse(text)).collect();
    }
    let mut columns =
        vec![Column::Id, Column::Name, Column::Experiment, Column::Status, Column::Started, Column::Duration];
    let present = |key: &&str| records.iter().any(|record| record.data.metric(key).is_some());
    columns.extend(USUAL.iter().filter(|key| present(key)).map(|key| Column::Metric((*key).to_string())));
    Ok(columns)
}

/// No cell pushes the others off the screen.
fn clipped(cell: &str) -> String {
    const CHARS_MAX: usize = 32;
    let line: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_the_search() {
        for (field, expect) in [
            ("-loss", "metrics.`loss` DESC"),
            ("started", "attributes.start_time ASC"),
            ("-params.train.seed", "params.`train.seed` DESC"),
        ] {
            assert_eq!(order(field), expect);
        }
    }
}
