//! Damage to a store is found, and what can be computed again is mended once.

use crate::common::{Store, ledger, open, point, run};
use mynah_ledger::{CheckOptions, FindingKind, Metric};

fn filled() -> Option<Store> {
    let (ledger, dir) = ledger()?;
    for name in ["a", "b"] {
        let record = run(&ledger, name);
        for first in [0, 500] {
            let points =
                (first..first + 300).map(|step| Metric::new("chunked", step as f64, step, step)).collect();
            let batch = mynah_ledger::Batch { metrics: points, ..Default::default() };
            ledger.log_batch(&record.run.id, batch).unwrap();
        }
        (0..20).for_each(|step| point(&ledger, &record, "rows", 0.5, step));
        ledger.log_metric(&record.run.id, Metric::new("nan", f64::NAN, 1, 1)).unwrap();
    }
    Some(dir)
}

#[test]
fn a_sound_store_has_no_findings() {
    let Some(dir) = filled() else { return };
    let ledger = open(&dir);
    let report = ledger
        .check(&CheckOptions { read_artifacts: true, held: Some(ledger.audit_head().unwrap()) })
        .unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.series, report.points), (6, 2 * 621));
    assert_eq!(ledger.mend().unwrap(), 0);
    assert!(report.into_result().is_ok());
}

#[test]
fn damage_is_found_and_mended_where_it_can_be() {
    use FindingKind::{Chunk, Latest, Name, Orphan};
    for (sql, kind, mendable) in [
        ("UPDATE latest_metrics SET value = 7.0 WHERE run = 1", Latest, true),
        ("UPDATE latest_metrics SET value = NULL WHERE run = 2", Latest, true),
        ("DELETE FROM latest_metrics WHERE run = 1", Latest, true),
        ("UPDATE latest_metrics SET row_count = 9", Latest, true),
        ("DELETE FROM points WHERE step = 19", Latest, true),
        ("UPDATE runs SET name = 'other' WHERE id = 1", Name, true),
        ("UPDATE chunks SET data = ZEROS WHERE id = 1", Chunk, false),
        ("UPDATE chunks SET data = substr(data, 1, 100) WHERE id = 2", Chunk, false),
        ("UPDATE chunks SET step_max = 9999 WHERE id = 1", Chunk, false),
        ("UPDATE points SET run = 99 WHERE run = 1", Orphan, false),
        ("PRAGMA foreign_keys = OFF; DELETE FROM runs WHERE id = 2", Orphan, false),
    ] {
        let Some(dir) = filled() else { return };
        dir.tamper(&sql.replace("ZEROS", &dir.blob(&[0; 500])));
        let ledger = open(&dir);
        let report = ledger.check(&CheckOptions::default()).unwrap();
        assert!(report.findings.iter().any(|finding| finding.kind == kind), "{sql}: {:?}", report.findings);
        assert!(report.into_result().is_err());
        if mendable {
            assert!(ledger.mend().unwrap() > 0, "{sql}");
            assert_eq!(ledger.check(&CheckOptions::default()).unwrap().findings, [], "{sql}");
            assert_eq!(ledger.mend().unwrap(), 0, "{sql}: a second time changes nothing");
        }
    }
}
