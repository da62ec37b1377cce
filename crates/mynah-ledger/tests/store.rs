//! The file itself: who may open it, what is refused untouched, what two handles see.

mod common;

use std::fs;

use common::{ledger, open, options, place, point, run};
use mynah_ledger::{
    Batch, ErrorKind, Ledger, Location, Metric, NewExperiment, OpenOptions, Param, SCHEMA_VERSION,
};

#[test]
fn locations_are_files_and_sqlite_urls() {
    assert_eq!(Location::parse("runs.db").unwrap().path().to_str(), Some("runs.db"));
    assert_eq!(Location::parse("sqlite:///runs.db").unwrap().path().to_str(), Some("runs.db"));
    assert_eq!(Location::parse("sqlite:////data/runs.db").unwrap().path().to_str(), Some("/data/runs.db"));
    assert!(Location::parse("").is_err() && Location::parse("mysql://host/db").is_err());
}

#[test]
fn an_absent_store_is_made_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Ledger::open(&place(&dir), OpenOptions { create: false, ..options() }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let refused = Ledger::open(&place(&dir), OpenOptions { read_only: true, ..options() }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let nowhere = Location::Sqlite(dir.path().join("no/such/folder/ledger.db"));
    assert_eq!(Ledger::open(&nowhere, options()).unwrap_err().kind(), ErrorKind::NotFound);
    let folder = Location::Sqlite(dir.path().to_path_buf());
    assert_eq!(Ledger::open(&folder, options()).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_is_not_a_ledger_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let foreign = dir.path().join("foreign.db");
    let other = rusqlite::Connection::open(&foreign).unwrap();
    other.execute_batch("CREATE TABLE alembic_version (version_num TEXT)").unwrap();
    drop(other);
    for bytes in [b"hello".to_vec(), vec![0; 5_000], fs::read(&foreign).unwrap()] {
        fs::write(&path, &bytes).unwrap();
        let error = Ledger::open(&place(&dir), options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was made beside it");
    }
}

#[test]
fn a_newer_store_is_refused_and_untouched() {
    let (first, dir) = ledger();
    run(&first, "r");
    drop(first);
    let path = dir.path().join("ledger.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    newer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(newer);
    let files = || {
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        (names, fs::read(&path).unwrap())
    };
    let before = files();
    for read_only in [false, true] {
        let error = Ledger::open(&place(&dir), OpenOptions { read_only, ..options() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerSchema);
        assert!(error.to_string().contains("untouched"), "{error}");
    }
    assert!(files() == before);
}

#[test]
fn a_newer_store_whose_version_is_still_in_the_log_is_refused_too() {
    let (first, dir) = ledger();
    drop(first);
    let path = dir.path().join("ledger.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(Ledger::open(&place(&dir), options()).unwrap_err().kind(), ErrorKind::NewerSchema);
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_ledger_that_is_open_for_reading_changes_nothing() {
    let (writer, dir) = ledger();
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
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let (first, dir) = ledger();
    let record = run(&first, "r");
    drop(first);
    let permissions = fs::metadata(dir.path()).unwrap().permissions();
    let mut refused = permissions.clone();
    refused.set_readonly(true);
    fs::set_permissions(dir.path(), refused.clone()).unwrap();
    fs::set_permissions(dir.path().join("ledger.db"), refused).unwrap();
    if fs::write(dir.path().join("probe"), b"").is_ok() {
        eprintln!("this user may write to read-only folders: skipped");
    } else {
        assert_eq!(Ledger::open(&place(&dir), options()).unwrap_err().kind(), ErrorKind::Permission);
        let reader = Ledger::open(&place(&dir), OpenOptions { read_only: true, ..options() }).unwrap();
        assert_eq!(reader.run(&record.run.id).unwrap().run.name, "r");
    }
    fs::set_permissions(dir.path(), permissions).unwrap();
}

#[test]
fn two_handles_on_one_store_see_each_other() {
    let (one, dir) = ledger();
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
    let dir = tempfile::tempdir().unwrap();
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
fn a_torn_file_is_an_error_and_no_crash() {
    let (first, dir) = ledger();
    let record = run(&first, "r");
    for step in 0..200 {
        point(&first, &record, "m", 1.0, step);
    }
    drop(first);
    let path = dir.path().join("ledger.db");
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 40_000, "{} bytes: the log was not brought into the file", whole.len());
    for keep in [50, 100, 4_096, 10_000, whole.len() / 2] {
        fs::write(&path, &whole[..keep]).unwrap();
        let outcome = Ledger::open(&place(&dir), options()).and_then(|ledger| {
            ledger.metric_history(&record.run.id, "m", None, None)?;
            ledger.audit_verify(None)
        });
        if let Ok(report) = outcome {
            assert!(!report.findings.is_empty(), "{keep} of {} bytes passed", whole.len());
        }
    }
}

/// Changes of many threads share transactions; one that fails takes back its own work only.
#[test]
fn a_change_that_fails_takes_nobody_along() {
    let (ledger, _dir) = ledger();
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
