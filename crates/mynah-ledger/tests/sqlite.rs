//! SQLite: everything a ledger does, and the file itself: who may open it, what is refused untouched.

mod common;
mod suites;

use std::fs;

use common::{ledger, options, place, point, run, store};
use mynah_ledger::{ErrorKind, Ledger, Location, OpenOptions, SCHEMA_VERSION};

/// For the suites: in a file.
const POSTGRES: bool = false;

#[test]
fn locations_are_files_and_urls() {
    assert_eq!(Location::parse("runs.db").unwrap().path().to_str(), Some("runs.db"));
    assert_eq!(Location::parse("sqlite:///runs.db").unwrap().path().to_str(), Some("runs.db"));
    assert_eq!(Location::parse("sqlite:////data/runs.db").unwrap().path().to_str(), Some("/data/runs.db"));
    for text in ["postgres://ann@host/runs", "postgresql://ann@host/runs?sslmode=disable"] {
        let location = Location::parse(text).unwrap();
        assert_eq!(
            (location.to_string().as_str(), location.file()),
            ("postgresql://ann@host:5432/runs", None)
        );
    }
    assert!(Location::parse("").is_err() && Location::parse("mysql://host/db").is_err());
}

#[test]
fn an_absent_store_is_made_only_on_request() {
    let Some(dir) = store() else { return };
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
    let Some(dir) = store() else { return };
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
    let Some((first, dir)) = ledger() else { return };
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
    let Some((first, dir)) = ledger() else { return };
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
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let Some((first, dir)) = ledger() else { return };
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
fn a_torn_file_is_an_error_and_no_crash() {
    let Some((first, dir)) = ledger() else { return };
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
