//! The store: who may change it, what two handles see.

use crate::common::{ledger, open, options, place, point, run, store};
use mynah_ledger::{Batch, ErrorKind, Ledger, Metric, NewExperiment, OpenOptions, Param, SearchRuns};

#[test]
fn a_ledger_that_is_open_for_reading_changes_nothing() {
    let Some((writer, dir)) = ledger() else { return };
    let record = run(&writer, "r");
    point(&writer, &record, "m", 1.0, 1);
    let reader = Ledger::open(&place(&dir), OpenOptions { read_only: true, ..options() }).unwrap();
    assert_eq!(reader.run(&record.run.id).unwrap().data.metric("m"), Some(1.0));
    point(&writer, &record, "m", 2.0, 2);
    assert_eq!(reader.run(&record.run.id).unwrap().data.metric("m"), Some(2.0), "it sees what others commit");
    let error = reader.log_param(&record.run.id, Param::new("a", "b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(reader.recorder(&record.run.id, Default::default()).is_err());
}

#[test]
fn two_handles_on_one_store_see_each_other() {
    let Some((one, dir)) = ledger() else { return };
    let two = open(&dir);
    let record = run(&one, "r");
    std::thread::scope(|scope| {
        for (thread, ledger) in [&one, &two].into_iter().enumerate() {
            let id = record.run.id.clone();
            scope.spawn(move || {
                for step in 0..200 {
                    ledger.log_metric(&id, Metric::new(format!("m{thread}"), 1.0, 0, step)).unwrap();
                }
            });
        }
    });
    for key in ["m0", "m1"] {
        assert_eq!(one.metric_history(&record.run.id, key, None, None).unwrap().items.len(), 200);
    }
    assert_eq!(one.audit_head().unwrap(), two.audit_head().unwrap());
    assert_eq!(one.audit_verify(None).unwrap().findings, Vec::<String>::new());
}

#[test]
fn many_openers_at_once_make_one_store() {
    let Some(dir) = store() else { return };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let dir = &dir;
            scope.spawn(move || {
                let new = NewExperiment { name: format!("e{thread}"), ..NewExperiment::default() };
                open(dir).create_experiment(new).unwrap();
            });
        }
    });
    let found = open(&dir).search_experiments(&Default::default()).unwrap().items;
    assert_eq!(found.len(), 9);
}

#[test]
fn a_change_that_fails_takes_nobody_along() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    ledger.log_param(&record.run.id, Param::new("fixed", "1")).unwrap();
    let before = ledger.audit_head().unwrap().size;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (ledger, id) = (&ledger, &record.run.id);
            scope.spawn(move || {
                for n in 0..40 {
                    let fails = (thread + n) % 2 == 0;
                    let value = if fails { "2" } else { "1" };
                    // The metric is written before the param is found to be another.
                    let batch = Batch {
                        metrics: vec![Metric::new(
                            if fails { "bad" } else { "good" },
                            1.0,
                            1,
                            thread * 100 + n,
                        )],
                        params: vec![Param::new(format!("p{thread}-{n}"), "x"), Param::new("fixed", value)],
                        tags: Vec::new(),
                    };
                    assert_eq!(ledger.log_batch(id, batch).is_err(), fails);
                }
            });
        }
    });
    assert_eq!(ledger.metric_history(&record.run.id, "good", None, None).unwrap().items.len(), 160);
    let data = ledger.run(&record.run.id).unwrap().data;
    assert_eq!((data.metric("bad"), data.params.len()), (None, 161));
    assert_eq!(ledger.audit_head().unwrap().size - before, 160);
    assert_eq!(ledger.check(&Default::default()).unwrap().findings, []);
}

/// A store of the first version: readers use it as it is, a writer brings it up to date.
#[test]
fn an_older_store_is_read_and_migrated() {
    let Some((first, dir)) = ledger() else { return };
    for (name, value) in [("a", 2.0), ("b", 1.0), ("c", 3.0)] {
        point(&first, &run(&first, name), "m", value, 1);
    }
    drop(first);
    dir.tamper(
        "DROP INDEX latest_by_key; CREATE INDEX latest_by_value ON latest_metrics (key, value, run);
         DELETE FROM schema_version WHERE version > 1",
    );
    if !crate::POSTGRES {
        dir.tamper("PRAGMA user_version = 1");
    }
    let by_metric = SearchRuns {
        experiment_ids: vec!["0".into()],
        filter: "metrics.m > 1.5".into(),
        order_by: vec!["metrics.m DESC".into()],
        ..SearchRuns::default()
    };
    let names = |ledger: &Ledger| {
        let found = ledger.search_runs(&by_metric).unwrap().items;
        found.into_iter().map(|record| record.run.name).collect::<String>()
    };
    let reader = Ledger::open(&place(&dir), OpenOptions { read_only: true, ..options() }).unwrap();
    assert_eq!(names(&reader), "ca");
    let writer = open(&dir);
    assert_eq!((names(&writer), names(&reader)), ("ca".to_string(), "ca".to_string()));
    // The index is there now: it can be dropped.
    drop((reader, writer));
    dir.tamper("DROP INDEX latest_by_key");
}
