//! Points: kept to the bit, in order, once, whether they are rows or chunks.

use crate::common::{ledger, open, run};
use mynah_ledger::{Batch, CurveRequest, ErrorKind, Metric, RecorderOptions};

fn metrics(points: &[(f64, i64, i64)]) -> Batch {
    let metrics = points.iter().map(|(value, time, step)| Metric::new("m", *value, *time, *step)).collect();
    Batch { metrics, ..Batch::default() }
}

#[test]
fn the_latest_point_follows_step_then_time_then_value() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let latest = || ledger.run(&id).unwrap().data.metrics[0].clone();
    ledger.log_batch(&id, metrics(&[(1.0, 10, 5), (2.0, 20, 3)])).unwrap();
    assert_eq!((latest().value, latest().step), (1.0, 5));
    ledger.log_batch(&id, metrics(&[(9.0, 9, 5)])).unwrap();
    assert_eq!(latest().value, 1.0, "an earlier time at the same step is not later");
    ledger.log_batch(&id, metrics(&[(0.5, 10, 5)])).unwrap();
    assert_eq!(latest().value, 1.0, "a smaller value at the same step and time is not later");
    ledger.log_batch(&id, metrics(&[(1.5, 10, 5)])).unwrap();
    assert_eq!(latest().value, 1.5);
    ledger.log_batch(&id, metrics(&[(-1.0, 0, 6)])).unwrap();
    assert_eq!((latest().value, latest().timestamp_ms), (-1.0, 0));
}

#[test]
fn values_that_are_no_numbers_are_kept() {
    let Some((ledger, dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    ledger
        .log_batch(
            &id,
            metrics(&[(f64::NAN, 1, 1), (f64::INFINITY, 2, 2), (f64::NEG_INFINITY, 3, 3), (-0.0, 4, 4)]),
        )
        .unwrap();
    drop(ledger);
    let ledger = open(&dir);
    let history = ledger.metric_history(&id, "m", None, None).unwrap().items;
    assert!(history[0].value.is_nan());
    assert_eq!((history[1].value, history[2].value), (f64::INFINITY, f64::NEG_INFINITY));
    assert!(history[3].value == 0.0 && history[3].value.is_sign_negative());
    ledger.log_batch(&id, metrics(&[(f64::NAN, 5, 5)])).unwrap();
    assert!(ledger.run(&id).unwrap().data.metric("m").unwrap().is_nan());
    ledger.log_batch(&id, metrics(&[(f64::INFINITY, 6, 6)])).unwrap();
    assert_eq!(ledger.run(&id).unwrap().data.metric("m"), Some(f64::INFINITY));
}

#[test]
fn a_repeated_point_is_one_point() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    for _ in 0..3 {
        ledger.log_batch(&id, metrics(&[(1.0, 1, 1), (1.0, 1, 1), (f64::NAN, 1, 1), (2.0, 1, 1)])).unwrap();
    }
    assert_eq!(ledger.metric_history(&id, "m", None, None).unwrap().items.len(), 3);
}

#[test]
fn histories_come_in_pages_by_time() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    ledger.log_batch(&id, metrics(&[(1.0, 30, 1), (2.0, 10, 2), (3.0, 20, 3), (4.0, 20, 2)])).unwrap();
    let page = ledger.metric_history(&id, "m", Some(3), None).unwrap();
    assert_eq!(page.items.iter().map(|metric| metric.value).collect::<Vec<_>>(), [2.0, 4.0, 3.0]);
    let page = ledger.metric_history(&id, "m", Some(3), page.next_page_token.as_deref()).unwrap();
    assert_eq!((page.items[0].value, page.items.len(), page.next_page_token), (1.0, 1, None));
    assert_eq!(ledger.metric_history(&id, "none", None, None).unwrap().items, []);
    assert_eq!(ledger.metric_history("none", "m", None, None).unwrap_err().kind(), ErrorKind::NotFound);
    let bulk = ledger.metric_history_bulk(&[id.clone(), "none".into()], "m", 3).unwrap();
    assert_eq!(bulk.len(), 3);
}

/// Rows, rows that became chunks, chunks that came as such, and points below all of them.
#[test]
fn rows_and_chunks_give_one_history() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let mut expect = Vec::new();
    let mut log = |points: Vec<(f64, i64, i64)>| {
        ledger.log_batch(&id, metrics(&points)).unwrap();
        expect.extend(points.iter().map(|(value, _, step)| (*step, value.to_bits())));
    };
    // Small batches: rows, which are compacted on the way.
    for batch in 0..30 {
        log((0..100).map(|i| ((batch * 100 + i) as f64 / 7.0, batch * 100 + i, batch * 100 + i)).collect());
    }
    // Large batches: chunks at once.
    for batch in 3..6 {
        log((0..1_000).map(|i| ((batch * i) as f64, batch * 1_000 + i, batch * 1_000 + i)).collect());
    }
    // In between, before and repeated.
    log((0..500).map(|i| (0.25, i * 10, i * 10)).collect());
    log((-300..0).map(|i| (1.0, 0, i)).collect());
    ledger.log_batch(&id, metrics(&[(0.25, 100, 100)])).unwrap();
    expect.sort_unstable();
    expect.dedup();
    let sample = ledger.metric_sample(std::slice::from_ref(&id), "m", None, 100_000).unwrap();
    let mut found: Vec<(i64, u64)> =
        sample.iter().map(|(_, metric)| (metric.step, metric.value.to_bits())).collect();
    assert!(found.is_sorted_by_key(|(step, _)| *step));
    found.sort_unstable();
    assert_eq!(found, expect);
    let range = ledger.metric_sample(std::slice::from_ref(&id), "m", Some((2_990, 3_010)), 100_000).unwrap();
    assert_eq!(range.len(), expect.iter().filter(|(step, _)| (2_990..=3_010).contains(step)).count());
    let curve =
        ledger.metric_curve(&id, "m", &CurveRequest { points_max: 50, ..CurveRequest::default() }).unwrap();
    assert_eq!((curve.points.len(), curve.point_count), (50, expect.len()));
    assert_eq!((curve.points[0].step, curve.points[49].step), (-300, 5_999));
}

#[test]
fn keys_are_listed_per_experiment() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    ledger.log_batch(&id, metrics(&[(1.0, 1, 1)])).unwrap();
    ledger.log_metric(&id, Metric::new("a/b", 1.0, 1, 1)).unwrap();
    assert_eq!(ledger.metric_keys(&["0".into()]).unwrap(), ["a/b", "m"]);
    assert_eq!(ledger.tag_keys(&["0".into()]).unwrap(), ["mlflow.runName"]);
    assert!(ledger.param_keys(&["0".into()]).unwrap().is_empty());
    assert!(ledger.metric_keys(&["0;DROP".into()]).is_err());
}

#[test]
fn a_recorder_loses_nothing_in_a_burst_and_counts_its_waits() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let options = RecorderOptions { queue_points_max: 64, linger_ms: 1, ..RecorderOptions::default() };
    let recorder = ledger.recorder(&id, options).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let recorder = recorder.clone();
            std::thread::spawn(move || {
                for step in 0..5_000 {
                    recorder.log_metric(&format!("m{thread}"), f64::from(step), i64::from(step)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    recorder.flush().unwrap();
    let stats = recorder.stats();
    assert_eq!((stats.accepted, stats.written, stats.rejected, stats.queued), (20_000, 20_000, 0, 0));
    assert!(stats.waits > 0, "a queue of 64 points must have been full");
    for thread in 0..4 {
        let history = ledger.metric_history(&id, &format!("m{thread}"), None, None).unwrap().items;
        assert_eq!(history.len(), 5_000);
    }
}

#[test]
fn a_dropped_recorder_has_written_everything() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let recorder =
        ledger.recorder(&id, RecorderOptions { linger_ms: 60_000, ..RecorderOptions::default() }).unwrap();
    (0..1_000).for_each(|step| recorder.log_metric("m", 1.0, step).unwrap());
    drop(recorder);
    assert_eq!(ledger.metric_history(&id, "m", None, None).unwrap().items.len(), 1_000);
}

#[test]
fn a_recorder_says_what_the_store_refused() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let recorder =
        ledger.recorder(&id, RecorderOptions { linger_ms: 0, ..RecorderOptions::default() }).unwrap();
    assert_eq!(recorder.log_metric("../a", 1.0, 1).unwrap_err().kind(), ErrorKind::Invalid);
    let other = run(&ledger, "other").run.id;
    ledger.delete_run(&id).unwrap();
    recorder.log_metric("m", 1.0, 1).unwrap();
    // A thread that ends writes what waits, and leaves the error to who asks.
    let recording = ledger.clone();
    let ended = std::thread::spawn(move || recording.recorder(&other, RecorderOptions::default()).map(drop));
    ended.join().unwrap().unwrap();
    assert_eq!(recorder.flush().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(recorder.stats().rejected, 1);
    recorder.flush().unwrap();
    assert_eq!(ledger.recorder(&id, RecorderOptions::default()).err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn a_recorder_does_not_try_again_what_cannot_pass() {
    let Some((ledger, dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let recorder =
        ledger.recorder(&id, RecorderOptions { linger_ms: 0, ..RecorderOptions::default() }).unwrap();
    dir.tamper("ALTER TABLE metric_names RENAME TO elsewhere");
    recorder.log_metric("m", 1.0, 1).unwrap();
    let error = recorder.flush().unwrap_err();
    assert!(error.kind() == ErrorKind::Storage && !error.is_transient(), "{error}");
    let stats = recorder.stats();
    assert_eq!((stats.rejected, stats.retries, stats.queued), (1, 0, 0));
    dir.tamper("ALTER TABLE elsewhere RENAME TO metric_names");
    recorder.log_metric("m", 1.0, 2).unwrap();
    recorder.flush().unwrap();
    assert_eq!(recorder.stats().written, 1);
}
