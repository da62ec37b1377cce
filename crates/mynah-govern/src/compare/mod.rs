//! Comparing runs: with a baseline, with their neighbours, with all others.
//!
//! Runs lie in a [`Table`], a column per metric, so that ten thousand of them are compared by running down
//! arrays. What is better is never guessed from a metric's name: a [`Goal`] declares it (`val_bpb:min`), and
//! a delta without a goal has a size and no verdict.

mod delta;
mod goal;
mod graph;
mod index;
mod neighbours;
mod outliers;
mod pareto;
mod table;

pub use delta::{ConfigChange, Delta, Verdict, config_changes, delta};
pub use goal::{Direction, Goal};
pub use graph::{Edge, EdgeKind, Graph, GraphOptions, Node, graph};
pub use index::{BASELINE_TAG, DeltaIndex, Summary};
pub use neighbours::{Neighbour, by_config, by_result};
pub use outliers::{Outlier, Spread, outliers, spreads};
pub use pareto::{GOALS_MAX, front};
pub use table::{RunFacts, Table};

use serde_json::{Value, json};

/// A number as JSON; what JSON has no number for becomes `"NaN"`, `"Infinity"`, `"-Infinity"`, never null.
pub fn json_number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("NaN")
    } else if value > 0.0 {
        json!("Infinity")
    } else {
        json!("-Infinity")
    }
}
