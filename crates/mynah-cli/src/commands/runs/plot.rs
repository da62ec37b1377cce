//! `mynah runs plot`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mynah_govern::compare::json_number;
use mynah_ledger::{Axis, CurveRequest, Ledger, RunRecord};

use super::{Store, find, terminal_chart};
use crate::failure::{Failure, Result};
use crate::report::chart::{Chart, Series, svg};

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs plot 3f2a91c0 --metric loss
  mynah runs plot 3f2a91c0 77b0de12 --metric validation_bpb --smooth 0.6 --out bpb.svg")]
pub struct Plot {
    /// Runs: ids, the first characters of them, or names
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    store: Store,
    /// Which metric
    #[arg(long, value_name = "KEY", default_value = "loss")]
    metric: String,
    /// What is on the horizontal axis
    #[arg(long, value_enum, default_value_t = Along::Step)]
    by: Along,
    /// Smooth: the share of the past in each value, from 0 to below 1
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    smooth: f64,
    /// Logarithms (base 10) of the values
    #[arg(long)]
    log: bool,
    /// Write an SVG picture instead of drawing in the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the points as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Along {
    Step,
    /// Seconds since the run's start
    Time,
}

const POINTS_MAX: usize = 2_000;
const ROWS: usize = 18;

pub fn run(arguments: &Plot) -> Result<()> {
    if !(0.0..1.0).contains(&arguments.smooth) {
        return Err(Failure::new(format!("a smoothing of {}", arguments.smooth))
            .at("--smooth")
            .advice("give a number from 0 to below 1"));
    }
    let ledger = arguments.store.look()?;
    let mut series = Vec::new();
    for named in &arguments.runs {
        let record = find(&ledger, named)?;
        series.push(line(&ledger, &record, arguments)?);
    }
    if arguments.json {
        let json: Vec<_> = series
            .iter()
            .map(|s| {
                let points: Vec<_> = s.points.iter().map(|p| [json_number(p.0), json_number(p.1)]).collect();
                serde_json::json!({"run": s.name, "metric": arguments.metric, "points": points})
            })
            .collect();
        println!("{}", serde_json::Value::Array(json));
        return Ok(());
    }
    let x_label = match arguments.by {
        Along::Step => "step",
        Along::Time => "seconds since the start",
    };
    let title = if arguments.log { format!("log10 {}", arguments.metric) } else { arguments.metric.clone() };
    if let Some(out) = &arguments.out {
        let chart = Chart { title: title.clone(), x_label: x_label.to_string(), y_label: title, series };
        let text = svg(&chart);
        return mynah_base::write_atomic(out, |file| std::io::Write::write_all(file, text.as_bytes()))
            .map_err(|error| Failure::io("cannot write", out, &error));
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    println!("{title} by {x_label}   {}", terminal_chart::legend(&series, colour));
    print!("{}", terminal_chart::draw(&series, columns.unwrap_or(80).clamp(30, 200), ROWS, colour));
    Ok(())
}

fn line(ledger: &Ledger, record: &RunRecord, arguments: &Plot) -> Result<Series> {
    let axis = match arguments.by {
        Along::Step => Axis::Step,
        Along::Time => Axis::Time,
    };
    let request = CurveRequest { axis, points_max: POINTS_MAX, ..CurveRequest::default() };
    let curve = ledger.metric_curve(&record.run.id, &arguments.metric, &request)?;
    if curve.point_count == 0 {
        let known: Vec<&str> = record.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
        return Err(Failure::new(format!("the run has no metric {}", arguments.metric))
            .at(&record.run.name)
            .advice(format!("it has {}", known.join(", "))));
    }
    let mut smooth: Option<f64> = None;
    let points = curve.points.iter().map(|point| {
        let x = match arguments.by {
            Along::Step => point.step as f64,
            Along::Time => (point.timestamp_ms - record.run.start_time_ms) as f64 / 1e3,
        };
        let value = match smooth {
            Some(before) => arguments.smooth * before + (1.0 - arguments.smooth) * point.value,
            None => point.value,
        };
        smooth = Some(value);
        (x, if arguments.log { value.log10() } else { value })
    });
    let points = points.collect();
    let name = format!("{} {}", &record.run.id[..super::ID_SHOWN], record.run.name);
    Ok(Series { name, points, dots: curve.point_count < 30 })
}
