//! A run as a row: columns by name, values as text and as JSON.

use mynah_base::{time, units};
use mynah_govern::compare::json_number;
use mynah_ledger::{Lifecycle, RunRecord};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Result};

/// A column of a table of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Id,
    Name,
    Experiment,
    Status,
    Started,
    Duration,
    User,
    Metric(String),
    Param(String),
    Tag(String),
}

impl Column {
    /// `id`, `name`, …, `metrics.KEY`, `params.KEY`, `tags.KEY`; a bare word that is none of these is a metric.
    ///
    /// # Errors
    /// When the text is empty.
    pub fn parse(text: &str) -> Result<Column> {
        let text = text.trim();
        let word = text.strip_prefix("attributes.").unwrap_or(text);
        Ok(match word {
            "" => return Err(Failure::new("a column without a name").at("--columns")),
            "id" | "run_id" => Column::Id,
            "name" | "run_name" => Column::Name,
            "experiment" => Column::Experiment,
            "status" => Column::Status,
            "started" | "start_time" => Column::Started,
            "duration" => Column::Duration,
            "user" => Column::User,
            _ => match word.split_once('.') {
                Some(("metrics", key)) => Column::Metric(key.to_string()),
                Some(("params", key)) => Column::Param(key.to_string()),
                Some(("tags", key)) => Column::Tag(key.to_string()),
                _ => Column::Metric(word.to_string()),
            },
        })
    }

    pub fn title(&self) -> &str {
        match self {
            Column::Id => "id",
            Column::Name => "name",
            Column::Experiment => "experiment",
            Column::Status => "status",
            Column::Started => "started (UTC)",
            Column::Duration => "duration",
            Column::User => "user",
            Column::Metric(key) | Column::Param(key) | Column::Tag(key) => key,
        }
    }

    /// Numbers stand on the right.
    pub fn is_number(&self) -> bool {
        matches!(self, Column::Metric(_) | Column::Duration)
    }

    /// The cell, short enough for a terminal.
    pub fn cell(&self, record: &RunRecord, experiment: &str, now_ms: i64) -> String {
        let run = &record.run;
        match self {
            Column::Id => run.id[..run.id.len().min(super::ID_SHOWN)].to_string(),
            Column::Name => run.name.clone(),
            Column::Experiment => experiment.to_string(),
            Column::Status => status(record),
            Column::Started => time::utc(run.start_time_ms)[..16].to_string(),
            Column::Duration => {
                let end = run.end_time_ms.unwrap_or(now_ms);
                units::duration((end - run.start_time_ms).max(0) as f64 / 1e3)
            }
            Column::User => run.user.clone(),
            Column::Metric(key) => record.data.metric(key).map(short).unwrap_or_default(),
            Column::Param(key) => record.data.param(key).unwrap_or_default().to_string(),
            Column::Tag(key) => record.data.tag(key).unwrap_or_default().to_string(),
        }
    }

    /// The cell with every digit, for CSV.
    pub fn exact(&self, record: &RunRecord, experiment: &str) -> String {
        let run = &record.run;
        match self {
            Column::Id => run.id.clone(),
            Column::Started => run.start_time_ms.to_string(),
            Column::Duration => run
                .end_time_ms
                .map(|end| ((end - run.start_time_ms) as f64 / 1e3).to_string())
                .unwrap_or_default(),
            Column::Metric(key) => record.data.metric(key).map(|v| v.to_string()).unwrap_or_default(),
            other => other.cell(record, experiment, run.start_time_ms),
        }
    }
}

/// The status in one word, with what outranks it.
pub fn status(record: &RunRecord) -> String {
    let run = &record.run;
    let mut text = run.status.as_str().to_lowercase();
    if run.quarantine.is_some() {
        text.push_str(", quarantined");
    }
    if run.lifecycle == Lifecycle::Deleted {
        text.push_str(", deleted");
    }
    text
}

/// A figure in at most about eight characters.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if value == value.trunc() && size < 1e6 {
        return format!("{value}");
    }
    match size {
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// Everything about a run as JSON.
pub fn json_of(record: &RunRecord, experiment: &str) -> Value {
    let run = &record.run;
    let texts = |pairs: Vec<(&String, &String)>| -> Map<String, Value> {
        pairs.into_iter().map(|(key, value)| (key.clone(), json!(value))).collect()
    };
    let metrics: Map<String, Value> = record
        .data
        .metrics
        .iter()
        .map(|m| {
            (
                m.key.clone(),
                json!({"value": json_number(m.value), "step": m.step, "timestamp_ms": m.timestamp_ms}),
            )
        })
        .collect();
    let inputs: Vec<Value> = record
        .data
        .inputs
        .iter()
        .map(|input| json!({"name": input.dataset.name, "digest": input.dataset.digest}))
        .collect();
    json!({
        "run_id": run.id, "name": run.name, "experiment_id": run.experiment_id, "experiment": experiment,
        "status": run.status.as_str(), "start_time_ms": run.start_time_ms, "end_time_ms": run.end_time_ms,
        "user": run.user, "parent_id": run.parent_id, "deleted": run.lifecycle == Lifecycle::Deleted,
        "artifact_uri": run.artifact_uri,
        "quarantine": run.quarantine.as_ref().map(|q| json!({"reason": q.reason, "by": q.by, "at_ms": q.at_ms})),
        "metrics": metrics,
        "params": texts(record.data.params.iter().map(|p| (&p.key, &p.value)).collect()),
        "tags": texts(record.data.tags.iter().map(|t| (&t.key, &t.value)).collect()),
        "datasets": inputs,
    })
}

/// Rows under titles, columns as wide as they need.
pub fn table(titles: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let mut out = String::new();
    let titles: Vec<String> = titles.iter().map(|title| title.to_string()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let cells = row.iter().zip(&widths).zip(right).map(|((cell, &width), &right)| {
            if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_not_wrong() {
        for (value, expect) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.2500"),
            (123.456, "123.5"),
            (4_194_304.0, "4.194e6"),
            (1e-5, "1.000e-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short(value), expect);
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        for (text, expect) in [
            ("attributes.start_time", Column::Started),
            ("loss", Column::Metric("loss".into())),
            ("metrics.a.b", Column::Metric("a.b".into())),
            ("params.train.seed", Column::Param("train.seed".into())),
            ("tags.mynah.kind", Column::Tag("mynah.kind".into())),
        ] {
            assert_eq!(Column::parse(text).unwrap(), expect);
        }
        assert!(Column::parse(" ").is_err());
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["a".to_string(), "1.5".to_string()], vec!["long".to_string(), "10".to_string()]];
        assert_eq!(table(&["x", "n"], &rows, &[false, true]), "x       n\na     1.5\nlong   10\n");
    }
}
