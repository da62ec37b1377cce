//! PostgreSQL: everything a ledger does, and the server: what it refuses, what it says, what it survives.
//!
//! Skipped with a line where no server can be had; `MYNAH_TEST_POSTGRES` names one to use (in schemas of its own).

mod common;
mod suites;

use common::cluster::connect;
use common::{ledger, options, place, point, run, store};
use mynah_ledger::{ErrorKind, Ledger, Location, OpenOptions, SCHEMA_VERSION};

/// For the suites: on a server.
const POSTGRES: bool = true;

#[test]
fn an_absent_store_is_made_only_on_request() {
    let Some(dir) = store() else { return };
    let refused = Ledger::open(&place(&dir), OpenOptions { create: false, ..options() }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let refused = Ledger::open(&place(&dir), OpenOptions { read_only: true, ..options() }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(connect(&dir.text()).query_one(tables, &[]).unwrap().get::<_, i64>(0), 0);
}

#[test]
fn tables_of_another_program_are_refused_and_untouched() {
    let Some(dir) = store() else { return };
    dir.tamper("CREATE TABLE alembic_version (version_num text)");
    let refused = Ledger::open(&place(&dir), options()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Storage);
    assert!(refused.to_string().contains("another program"), "{refused}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(connect(&dir.text()).query_one(tables, &[]).unwrap().get::<_, i64>(0), 1);
}

#[test]
fn a_newer_store_is_refused() {
    let Some((first, dir)) = ledger() else { return };
    run(&first, "r");
    drop(first);
    dir.tamper(&format!("INSERT INTO schema_version VALUES ({}, 0, 'newer')", SCHEMA_VERSION + 1));
    for read_only in [false, true] {
        let error = Ledger::open(&place(&dir), OpenOptions { read_only, ..options() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerSchema);
        assert!(error.to_string().contains("untouched"), "{error}");
    }
}

#[test]
fn errors_say_what_is_wrong_and_no_password() {
    let Some(dir) = store() else { return };
    let text = dir.text().replace("mynah@", "mynah:s3cret@").replace("/postgres?", "/nobodys?");
    let error = Ledger::open(&Location::parse(&text).unwrap(), options()).unwrap_err();
    if common::cluster::is_ours() {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let nobody = Location::parse("postgresql://ann:s3cret@127.0.0.1:9/x").unwrap();
    let error = Ledger::open(&nobody, options()).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("127.0.0.1:9"), "{error}");
    assert!(!error.to_string().contains("s3cret") && !format!("{nobody:?}").contains("s3cret"), "{error}");
}

/// A server that was started again meanwhile is no error to anybody who comes after that.
#[test]
fn a_lost_connection_is_opened_again() {
    let Some(dir) = store() else { return };
    let name = format!("mynah_lost_{}", std::process::id());
    let location = Location::parse(&format!("{}&application_name={name}", dir.text())).unwrap();
    let ledger = Ledger::open(&location, options()).unwrap();
    let record = run(&ledger, "r");
    for step in 0..3 {
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1";
        assert!(connect(&dir.text()).query(end, &[&name]).unwrap().len() >= 2, "one writes, one reads");
        point(&ledger, &record, "m", 1.0, step);
        assert_eq!(ledger.run(&record.run.id).unwrap().data.metrics[0].step, step);
    }
    assert_eq!(ledger.check(&Default::default()).unwrap().findings, []);
}

#[test]
fn a_text_with_a_nul_is_refused() {
    let Some((ledger, _dir)) = ledger() else { return };
    assert_eq!(ledger.run("a\0b").unwrap_err().kind(), ErrorKind::Invalid);
    let record = run(&ledger, "r");
    assert_eq!(ledger.quarantine_run(&record.run.id, "a\0b").unwrap_err().kind(), ErrorKind::Invalid);
}
