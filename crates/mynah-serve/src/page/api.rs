//! The page's own API, under `/api/mynah`: what a table, a chart and a comparison need, and no more.

use std::collections::{BTreeMap, BTreeSet};

use mynah_ledger::{
    Axis, CurveRequest, Keys, Ledger, RunParts, RunRecord, SearchExperiments, SearchModels, SearchRuns,
    Thinning, View,
};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::answer::{ApiError, Reply, reply};
use crate::fields::Fields;
use crate::json::Float;
use crate::mlflow;

const EXPERIMENTS_MAX: usize = 5_000;
const ROWS: usize = 200;
const ROWS_MAX: usize = 50_000;
const COLUMNS_MAX: usize = 200;
const CURVES_MAX: usize = 1_000;
const COMPARED_MAX: usize = 200;
/// Events that one question for changes looks at.
const EVENTS_MAX: usize = 2_000;

/// What the page says about the server.
pub(super) fn info(ledger: &Ledger, _: Fields) -> Reply {
    #[derive(Serialize)]
    struct Info<'a> {
        version: &'a str,
        store: String,
        read_only: bool,
        cursor: u64,
    }
    let file = ledger.location().file().and_then(|path| path.file_name());
    reply(&Info {
        version: env!("CARGO_PKG_VERSION"),
        // The name alone: where it lies is nobody's business on the network.
        store: file.map_or("PostgreSQL".to_string(), |name| name.to_string_lossy().into_owned()),
        read_only: ledger.is_read_only(),
        cursor: ledger.audit_head()?.size,
    })
}

/// Active experiments, newest first.
pub(super) fn experiments(ledger: &Ledger, _: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found {
        experiments: Vec<Line>,
    }
    #[derive(Serialize)]
    struct Line {
        id: String,
        name: String,
        created_ms: i64,
    }
    let page = ledger.search_experiments(&SearchExperiments {
        max_results: EXPERIMENTS_MAX,
        ..SearchExperiments::default()
    })?;
    let line = |experiment: &mynah_ledger::Experiment| Line {
        id: experiment.id.clone(),
        name: experiment.name.clone(),
        created_ms: experiment.created_ms,
    };
    reply(&Found { experiments: page.items.iter().map(line).collect() })
}

/// Which columns a table of these experiments can have.
pub(super) fn columns(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found {
        metrics: Vec<String>,
        params: Vec<String>,
        tags: Vec<String>,
    }
    let ids = owned(fields.strings("experiment_ids")?);
    reply(&Found {
        metrics: ledger.metric_keys(&ids)?,
        params: ledger.param_keys(&ids)?,
        tags: ledger.tag_keys(&ids)?,
    })
}

/// A column of the table: `metrics.KEY`, `params.KEY` or `tags.KEY`.
enum Column {
    Metric(String),
    Param(String),
    Tag(String),
}

impl Column {
    fn parse(text: &str) -> Result<Column, ApiError> {
        let key = |key: &str| key.trim_matches('`').to_string();
        match text.split_once('.') {
            Some(("metrics", name)) => Ok(Column::Metric(key(name))),
            Some(("params", name)) => Ok(Column::Param(key(name))),
            Some(("tags", name)) => Ok(Column::Tag(key(name))),
            _ => Err(ApiError::invalid(format!(
                "'{text}' is no column; use metrics.KEY, params.KEY or tags.KEY"
            ))),
        }
    }
}

/// One row's values, in the order of the columns.
struct Cells<'a> {
    columns: &'a [Column],
    record: &'a RunRecord,
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_seq(Some(self.columns.len()))?;
        for column in self.columns {
            match column {
                Column::Metric(key) => cells.serialize_element(&self.record.data.metric(key).map(Float))?,
                Column::Param(key) => cells.serialize_element(&self.record.data.param(key))?,
                Column::Tag(key) => cells.serialize_element(&self.record.data.tag(key))?,
            }
        }
        cells.end()
    }
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    experiment_id: &'a str,
    user: &'a str,
    status: &'a str,
    start_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
    cells: Cells<'a>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn row<'a>(record: &'a RunRecord, columns: &'a [Column]) -> Row<'a> {
    let run = &record.run;
    Row {
        id: &run.id,
        name: &run.name,
        experiment_id: &run.experiment_id,
        user: &run.user,
        status: run.status.as_str(),
        start_ms: run.start_time_ms,
        end_ms: run.end_time_ms,
        parent_id: run.parent_id.as_deref(),
        quarantine: run.quarantine.as_ref().map(|quarantine| quarantine.reason.as_str()),
        deleted: run.lifecycle == mynah_ledger::Lifecycle::Deleted,
        cells: Cells { columns, record },
    }
}

/// What the columns show of a run, and no more: reading everything costs most of a search.
fn parts_of(columns: &[Column]) -> RunParts {
    let mut keys: [Vec<String>; 3] = Default::default();
    for column in columns {
        match column {
            Column::Metric(key) => keys[0].push(key.clone()),
            Column::Param(key) => keys[1].push(key.clone()),
            Column::Tag(key) => keys[2].push(key.clone()),
        }
    }
    let [metrics, params, tags] = keys.map(Keys::Only);
    RunParts { metrics, params, tags, inputs: false, models: false }
}

/// One page of the run table.
pub(super) fn runs(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        rows: Vec<Row<'a>>,
        cursor: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<&'a str>,
    }
    let columns =
        fields.strings("columns")?.into_iter().map(Column::parse).collect::<Result<Vec<_>, ApiError>>()?;
    if columns.len() > COLUMNS_MAX {
        return Err(ApiError::invalid(format!("{} columns; at most {COLUMNS_MAX}", columns.len())));
    }
    // Before the question: a change in between is then told twice rather than never.
    let cursor = ledger.audit_head()?.size;
    let search = SearchRuns {
        experiment_ids: owned(fields.strings("experiment_ids")?),
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        view: if fields.boolean_if("deleted")?.unwrap_or(false) {
            View::DeletedOnly
        } else {
            View::ActiveOnly
        },
        order_by: owned(fields.strings("order_by")?),
        max_results: fields.count("max_results", ROWS, ROWS_MAX)?,
        page_token: fields.filled_if("page_token")?.map(str::to_string),
        skip_quarantined: fields.boolean_if("skip_quarantined")?.unwrap_or(false),
    };
    let page = ledger.search_runs_with(&search, &parts_of(&columns))?;
    reply(&Found {
        rows: page.items.iter().map(|record| row(record, &columns)).collect(),
        cursor,
        next_page_token: page.next_page_token.as_deref(),
    })
}

/// Everything about one run.
pub(super) fn run(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        run: mlflow::wire::Run<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<Link>,
        children: Vec<Link>,
        versions: Vec<Version>,
        #[serde(skip_serializing_if = "Option::is_none")]
        quarantine: Option<Apart<'a>>,
        experiment: &'a str,
    }
    #[derive(Serialize)]
    struct Link {
        id: String,
        name: String,
        status: &'static str,
    }
    #[derive(Serialize)]
    struct Version {
        name: String,
        version: u64,
        stage: &'static str,
        aliases: Vec<String>,
    }
    #[derive(Serialize)]
    struct Apart<'a> {
        reason: &'a str,
        by: &'a str,
        at_ms: i64,
    }
    const CHILDREN_MAX: usize = 200;
    let link = |record: RunRecord| Link {
        id: record.run.id,
        name: record.run.name,
        status: record.run.status.as_str(),
    };
    let record = ledger.run(fields.filled("run_id")?)?;
    let experiment = ledger.experiment(&record.run.experiment_id)?;
    let of_this = SearchRuns {
        experiment_ids: vec![record.run.experiment_id.clone()],
        // The id has been found, so it is 32 hexadecimal characters and quotes nothing.
        filter: format!("tags.mlflow.parentRunId = '{}'", record.run.id),
        max_results: CHILDREN_MAX,
        ..SearchRuns::default()
    };
    let children = ledger.search_runs_with(&of_this, &RunParts::none())?;
    let versions = ledger.search_model_versions(&SearchModels {
        filter: format!("run_id = '{}'", record.run.id),
        max_results: CHILDREN_MAX,
        ..SearchModels::default()
    })?;
    let version = |version: mynah_ledger::ModelVersion| Version {
        name: version.name,
        version: version.version,
        stage: version.stage.as_str(),
        aliases: version.aliases,
    };
    // A parent may be long gone; the run is shown all the same.
    let parent = record.run.parent_id.as_deref().and_then(|id| ledger.run(id).ok()).map(link);
    reply(&Found {
        run: mlflow::wire::run(&record),
        parent,
        children: children.items.into_iter().map(link).collect(),
        versions: versions.items.into_iter().map(version).collect(),
        quarantine: record.run.quarantine.as_ref().map(|apart| Apart {
            reason: &apart.reason,
            by: &apart.by,
            at_ms: apart.at_ms,
        }),
        experiment: &experiment.name,
    })
}

/// Thinned curves of some metrics in many runs, as columns of numbers.
pub(super) fn curves(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found {
        curves: Vec<Line>,
        cursor: u64,
    }
    #[derive(Serialize)]
    struct Line {
        run_id: String,
        key: String,
        steps: Vec<i64>,
        times_ms: Vec<i64>,
        values: Vec<f64>,
        point_count: usize,
        non_finite_count: usize,
    }
    let (run_ids, keys) = (fields.strings("run_ids")?, fields.strings("keys")?);
    let count = run_ids.len().saturating_mul(keys.len());
    if count > CURVES_MAX {
        return Err(ApiError::invalid(format!("{count} curves in one question; at most {CURVES_MAX}")));
    }
    let request = CurveRequest {
        axis: match fields.string_if("axis")? {
            None | Some("step") => Axis::Step,
            Some("time") => Axis::Time,
            Some(other) => return Err(ApiError::invalid(format!("axis '{other}' is none of step, time"))),
        },
        thinning: match fields.string_if("thinning")? {
            None | Some("shape") => Thinning::LargestTriangle,
            Some("extremes") => Thinning::MinMax,
            Some(other) => {
                return Err(ApiError::invalid(format!("thinning '{other}' is none of shape, extremes")));
            }
        },
        points_max: fields.count("points", 500, 20_000)?,
        ..CurveRequest::default()
    };
    let cursor = ledger.audit_head()?.size;
    let mut curves = Vec::with_capacity(count);
    for run_id in &run_ids {
        for key in &keys {
            let curve = ledger.metric_curve(run_id, key, &request)?;
            if curve.point_count == 0 {
                continue;
            }
            curves.push(Line {
                run_id: run_id.to_string(),
                key: key.to_string(),
                steps: curve.points.iter().map(|point| point.step).collect(),
                times_ms: curve.points.iter().map(|point| point.timestamp_ms).collect(),
                values: curve.points.iter().map(|point| point.value).collect(),
                point_count: curve.point_count,
                non_finite_count: curve.non_finite_count,
            });
        }
    }
    reply(&Found { curves, cursor })
}

/// Several runs side by side: for every param, tag and metric that one of them has, all values.
pub(super) fn compare(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found<'a> {
        rows: Vec<Row<'a>>,
        params: Vec<Line<'a, Option<&'a str>>>,
        metrics: Vec<Line<'a, Option<Float>>>,
        tags: Vec<Line<'a, Option<&'a str>>>,
    }
    #[derive(Serialize)]
    struct Line<'a, V> {
        key: &'a str,
        differs: bool,
        values: Vec<V>,
    }
    let ids = fields.strings("run_ids")?;
    if ids.is_empty() || ids.len() > COMPARED_MAX {
        return Err(ApiError::invalid(format!("{} runs to compare; give 1 to {COMPARED_MAX}", ids.len())));
    }
    let records = ids.iter().map(|id| ledger.run(id)).collect::<Result<Vec<_>, _>>()?;
    let texts = |pairs: &dyn for<'r> Fn(&'r RunRecord) -> Vec<(&'r str, &'r str)>| {
        let found: Vec<BTreeMap<String, String>> = records
            .iter()
            .map(|record| pairs(record).into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
            .collect();
        found
    };
    let params = texts(&|record| record.data.params.iter().map(|p| (&*p.key, &*p.value)).collect());
    let tags = texts(&|record| {
        record
            .data
            .tags
            .iter()
            .filter(|t| !t.key.starts_with("mlflow."))
            .map(|t| (&*t.key, &*t.value))
            .collect()
    });
    let metric_keys: BTreeSet<&str> =
        records.iter().flat_map(|record| record.data.metrics.iter().map(|metric| &*metric.key)).collect();
    let metrics = metric_keys
        .into_iter()
        .map(|key| {
            let values: Vec<Option<f64>> = records.iter().map(|record| record.data.metric(key)).collect();
            let bits = |value: &Option<f64>| value.map(f64::to_bits);
            Line {
                key,
                differs: values.iter().any(|value| bits(value) != bits(&values[0])),
                values: values.into_iter().map(|value| value.map(Float)).collect(),
            }
        })
        .collect();
    fn lines(found: &[BTreeMap<String, String>]) -> Vec<Line<'_, Option<&str>>> {
        let keys: BTreeSet<&str> = found.iter().flat_map(|map| map.keys().map(String::as_str)).collect();
        keys.into_iter()
            .map(|key| {
                let values: Vec<Option<&str>> =
                    found.iter().map(|map| map.get(key).map(String::as_str)).collect();
                Line { key, differs: values.iter().any(|value| *value != values[0]), values }
            })
            .collect()
    }
    reply(&Found {
        rows: records.iter().map(|record| row(record, &[])).collect(),
        params: lines(&params),
        metrics,
        tags: lines(&tags),
    })
}

/// What has changed since a cursor: the things themselves, each once. A page asks again with the new cursor.
pub(super) fn changes(ledger: &Ledger, fields: Fields) -> Reply {
    #[derive(Serialize)]
    struct Found {
        cursor: u64,
        subjects: BTreeSet<String>,
        /// There is more than one answer holds: ask again at once.
        more: bool,
        /// The log ends before the cursor: another store, or a restored one. Load everything again.
        reset: bool,
    }
    let after = match u64::try_from(fields.integer("after")?) {
        Ok(after) => after,
        Err(_) => return Err(ApiError::invalid("'after' is a cursor that an earlier answer gave")),
    };
    let size = ledger.audit_head()?.size;
    if after > size {
        return reply(&Found { cursor: size, subjects: BTreeSet::new(), more: false, reset: true });
    }
    let events = if after == size { Vec::new() } else { ledger.audit_events(after, EVENTS_MAX)? };
    let cursor = events.last().map_or(after, |event| event.seq + 1);
    let subjects = events.into_iter().map(|event| event.subject).collect();
    reply(&Found { cursor, subjects, more: cursor < size, reset: false })
}

pub(super) fn owned(list: Vec<&str>) -> Vec<String> {
    list.into_iter().map(str::to_string).collect()
}
