//! The delta index in step with a ledger that others change.

mod common;

use common::{Store, make_run};
use mynah_govern::compare::{BASELINE_TAG, DeltaIndex, Goal, GraphOptions, graph};
use mynah_ledger::{Metric, Tag};

fn goals() -> Vec<Goal> {
    vec!["val_bpb:min".parse().unwrap()]
}

fn state(index: &DeltaIndex) -> Vec<String> {
    let mut lines: Vec<String> = index
        .table()
        .rows()
        .map(|row| {
            let baseline = index.baseline(row).map(|row| index.table().id(row));
            format!("{} {baseline:?} {:?} {:?}", index.table().id(row), index.summary(row), index.deltas(row))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_refresh_equals_opening_again() {
    let store = Store::new();
    let open =
        || DeltaIndex::open(&store.ledger, &["0".to_string()], &goals(), Some(store.base.clone())).unwrap();
    let mut index = open();
    assert_eq!(index.refresh(&store.ledger).unwrap(), 0);
    let steps: [&dyn Fn(); 8] = [
        &|| store.ledger.log_metric(&store.tuned, Metric::new("val_bpb", 0.9, 5_000, 2_000)).unwrap(),
        &|| drop(make_run(&store.ledger, "new", 0.3, &[(BASELINE_TAG, &store.tuned)])),
        &|| store.ledger.quarantine_run(&store.running, "odd").unwrap(),
        &|| store.ledger.release_run(&store.running).unwrap(),
        &|| store.ledger.delete_run(&store.tuned).unwrap(),
        &|| store.ledger.restore_run(&store.tuned).unwrap(),
        &|| store.ledger.set_tag(&store.running, Tag::new(BASELINE_TAG, &store.tuned)).unwrap(),
        &|| store.ledger.log_metric(&store.base, Metric::new("val_bpb", 1.5, 5_000, 2_000)).unwrap(),
    ];
    for (number, step) in steps.iter().enumerate() {
        step();
        assert_eq!(index.refresh(&store.ledger).unwrap(), 1, "step {number} changed one run");
        assert_eq!(state(&index), state(&open()), "step {number}");
    }
    store.ledger.delete_experiment("0").unwrap();
    index.refresh(&store.ledger).unwrap();
    assert!(index.table().is_empty());
}

#[test]
fn a_graph_from_a_ledger() {
    let store = Store::new();
    let index =
        DeltaIndex::open(&store.ledger, &["0".to_string()], &goals(), Some(store.base.clone())).unwrap();
    let rows: Vec<usize> = index.table().rows().collect();
    let graph = graph(&index, &rows, &GraphOptions { goals: goals(), ..GraphOptions::default() }).unwrap();
    assert_eq!(graph.nodes.len(), 3);
    let on_front: Vec<&str> =
        graph.nodes.iter().filter(|node| node.is_on_front).map(|node| node.id.as_str()).collect();
    assert_eq!(on_front, [store.base.as_str()]);
    let to_baseline = graph.edges.iter().filter(|edge| edge.kind.as_str() == "baseline");
    assert!(to_baseline.clone().count() == 2 && to_baseline.clone().all(|edge| edge.to == store.base));
}
