//! Runs as a graph: who is compared with whom, and who is like whom.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::delta::{ConfigChange, Delta, config_changes};
use super::goal::Goal;
use super::index::DeltaIndex;
use super::json_number;
use super::neighbours::{by_config, by_result};
use super::outliers::{Outlier, outliers, spreads};
use super::pareto::front;
use crate::error::{Error, Result};

/// Nodes of one graph: each costs a pass over the table.
const NODES_MAX: usize = 1_000;

/// What to draw.
#[derive(Clone, Debug)]
pub struct GraphOptions {
    /// Neighbours a run is linked to, by config and by result each.
    pub neighbours: usize,
    /// Goals of the Pareto front; empty: no front.
    pub goals: Vec<Goal>,
    /// Robust score from which a value is an outlier.
    pub outlier_score_min: f64,
    /// Runs that a metric must have before its outliers mean something.
    pub outlier_runs_min: usize,
}

impl Default for GraphOptions {
    fn default() -> GraphOptions {
        GraphOptions { neighbours: 3, goals: Vec::new(), outlier_score_min: 3.5, outlier_runs_min: 8 }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its metrics, by key.
    pub metrics: Vec<(String, f64)>,
    /// On the Pareto front of the goals.
    pub is_on_front: bool,
    /// Its values that stand apart.
    pub outliers: Vec<Outlier>,
}

/// Why two runs are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgeKind {
    /// `to` is the baseline of `from`.
    Baseline,
    /// `to` is among those whose config differs least from that of `from`.
    Config,
    /// `to` is among those whose results differ least from those of `from`.
    Result,
}

impl EdgeKind {
    /// `baseline`, `config` or `result`.
    pub fn as_str(self) -> &'static str {
        match self {
            EdgeKind::Baseline => "baseline",
            EdgeKind::Config => "config",
            EdgeKind::Result => "result",
        }
    }
}

/// A link, with what differs along it and the params that may explain it.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The run it starts at.
    pub from: String,
    /// The run it leads to; not always a node.
    pub to: String,
    /// Why.
    pub kind: EdgeKind,
    /// In the measure of its kind; 0 for a baseline.
    pub distance: f64,
    /// Metrics of `from` against those of `to`.
    pub deltas: Vec<Delta>,
    /// Params of `from` against those of `to`.
    pub config: Vec<ConfigChange>,
}

/// Nodes and edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In the order they were asked for.
    pub nodes: Vec<Node>,
    /// By node, then kind, then distance.
    pub edges: Vec<Edge>,
}

/// The graph of some rows of an index. Neighbours, front and outliers are those among all runs of the index;
/// an edge may therefore lead to a run that is not a node.
///
/// # Errors
/// `Argument` for more than 1,000 nodes or goals that are none; `NotFound` for a goal that no run has.
pub fn graph(index: &DeltaIndex, rows: &[usize], options: &GraphOptions) -> Result<Graph> {
    if rows.len() > NODES_MAX {
        let message = format!("a graph has at most {NODES_MAX} nodes, not {}; choose fewer runs", rows.len());
        return Err(Error::argument(message));
    }
    let table = index.table();
    let on_front: HashSet<usize> = match options.goals.as_slice() {
        [] => HashSet::new(),
        goals => front(table, goals)?.into_iter().collect(),
    };
    let apart = outliers(table, options.outlier_score_min, options.outlier_runs_min);
    let spreads = spreads(table);
    let mut graph = Graph::default();
    for row in rows.iter().copied() {
        let id = table.id(row).to_string();
        let keys = table.metric_keys().iter().enumerate();
        let mut metrics: Vec<(String, f64)> =
            keys.filter_map(|(column, key)| Some((key.clone(), table.value(row, column)?))).collect();
        metrics.sort_by(|a, b| a.0.cmp(&b.0));
        graph.nodes.push(Node {
            name: table.label(row).to_string(),
            metrics,
            is_on_front: on_front.contains(&row),
            outliers: apart.iter().filter(|outlier| outlier.run_id == id).cloned().collect(),
            id,
        });
        let mut link = |to: usize, kind: EdgeKind, distance: f64| {
            graph.edges.push(Edge {
                from: table.id(row).to_string(),
                to: table.id(to).to_string(),
                kind,
                distance,
                deltas: index.deltas_between(to, row),
                config: config_changes(table, to, row),
            });
        };
        if let Some(baseline) = index.baseline(row).filter(|baseline| *baseline != row) {
            link(baseline, EdgeKind::Baseline, 0.0);
        }
        for near in by_config(table, row, options.neighbours) {
            link(near.row, EdgeKind::Config, near.distance);
        }
        for near in by_result(table, &spreads, row, options.neighbours) {
            link(near.row, EdgeKind::Result, near.distance);
        }
    }
    Ok(graph)
}

impl Graph {
    /// `{"nodes": […], "edges": […]}`.
    pub fn to_json(&self) -> Value {
        let node = |node: &Node| {
            let metrics: Map<String, Value> =
                node.metrics.iter().map(|(key, value)| (key.clone(), json_number(*value))).collect();
            let outlier = |o: &Outlier| json!({"metric": o.metric, "value": json_number(o.value), "score": json_number(o.score)});
            json!({
                "id": node.id, "name": node.name, "metrics": metrics, "is_on_front": node.is_on_front,
                "outliers": node.outliers.iter().map(outlier).collect::<Vec<_>>(),
            })
        };
        let edge = |edge: &Edge| {
            json!({
                "from": edge.from, "to": edge.to, "kind": edge.kind.as_str(), "distance": json_number(edge.distance),
                "deltas": edge.deltas.iter().map(Delta::to_json).collect::<Vec<_>>(),
                "config": edge.config.iter().map(ConfigChange::to_json).collect::<Vec<_>>(),
            })
        };
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "edges": self.edges.iter().map(edge).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::RunFacts;
    use super::*;

    #[test]
    fn nodes_and_edges() {
        let run = |id: usize, lr: &str, loss: f64| RunFacts {
            id: format!("r{id}"),
            name: format!("run {id}"),
            baseline_id: None,
            metrics: vec![("loss".to_string(), loss)],
            config: vec![("lr".to_string(), lr.to_string()), ("seed".to_string(), id.to_string())],
        };
        let goals: Vec<Goal> = vec!["loss:min".parse().unwrap()];
        let mut index = DeltaIndex::new(&goals, Some("r0".to_string()));
        index.fill(&[run(0, "1", 2.0), run(1, "1", 1.0), run(2, "2", 1.01), run(3, "3", f64::NAN)]);
        let options = GraphOptions { neighbours: 1, goals, outlier_runs_min: 3, ..GraphOptions::default() };
        let graph = graph(&index, &[1, 3], &options).unwrap();
        let edges: Vec<_> =
            graph.edges.iter().map(|e| (&*e.from, &*e.to, e.kind.as_str(), e.distance)).collect();
        assert_eq!(
            edges[..4],
            [
                ("r1", "r0", "baseline", 0.0),
                ("r1", "r0", "config", 1.0),
                ("r1", "r2", "result", edges[2].3),
                ("r3", "r0", "baseline", 0.0)
            ]
        );
        assert!(graph.nodes[0].is_on_front && !graph.nodes[1].is_on_front);
        assert_eq!(graph.nodes[1].outliers[0].score, f64::INFINITY);
        let json = graph.to_json();
        assert_eq!(json["nodes"][1]["metrics"]["loss"], "NaN");
        assert_eq!(json["edges"][0]["deltas"][0]["verdict"], "better");
        assert_eq!(json["edges"][0]["config"][0], json!({"key": "seed", "from": "0", "to": "1"}));
    }
}
