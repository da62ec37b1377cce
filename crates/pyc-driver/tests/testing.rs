//! The test runner on a file whose tests end in every way.

use std::path::Path;

use pyc_driver::{Report, TestOptions, discover, run_tests};

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn run(only: Option<&str>) -> Vec<Report> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let files = discover(&[folder]).unwrap();
    let mut options =
        TestOptions { steps: Some(20_000_000), only: only.map(str::to_string), ..TestOptions::default() };
    options.threads = 2;
    let mut told = 0;
    let reports = run_tests(&files, &options, &mut |_| told += 1).unwrap();
    assert_eq!(told, reports.len());
    reports
}

#[test]
fn every_test_ends_as_it_should() {
    let reports = run(None);
    let endings: Vec<String> = reports.iter().map(|r| format!("{} {}", r.test, r.outcome.word())).collect();
    let expect = "\
test_passes passed
test_values_are_shown failed
test_lists_differ failed
test_teardown passed
test_teardown_fails error
test_sum[1-2-3] passed
test_sum[2-2-5] failed
test_sum[zeros] passed
test_letters[a] passed
test_letters[b] passed
test_raises passed
test_did_not_raise failed
test_skipped skipped
test_expected xfailed
test_files passed
test_output passed
test_patch passed
test_near passed
test_unknown_fixture error
test_prints_and_fails failed
test_endless limit
TestClass::test_method passed
TestClass::test_fresh passed
Case::test_equal passed
Case::test_left_out skipped
Case::test_not_equal failed";
    assert_eq!(endings.join("\n"), expect, "{reports:#?}");
    let of = |name: &str| reports.iter().find(|r| r.test == name).unwrap();
    assert!(
        of("test_values_are_shown").message.contains("the answer\nassert 41 == 42"),
        "{:?}",
        of("test_values_are_shown")
    );
    assert!(of("test_lists_differ").message.contains("At index 1 diff: 2 != 5"));
    assert!(of("test_did_not_raise").message.contains("DID NOT RAISE <class 'KeyError'>"));
    assert_eq!(of("test_skipped").message, "not today");
    assert!(of("test_unknown_fixture").message.contains("'nowhere' is not found"));
    let failed = of("test_prints_and_fails");
    assert_eq!(failed.output, "before the end\n");
    assert!(
        failed.traceback.contains("ValueError: gone wrong") && !failed.traceback.contains("runner"),
        "{}",
        failed.traceback
    );
    assert!(of("test_endless").message.contains("step limit"));
}

#[test]
fn a_file_that_is_wrong_is_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test_bad.py");
    std::fs::write(&file, "def test(:\n").unwrap();
    let reports = run_tests(&[file], &TestOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].outcome.is_failure() && reports[0].message.contains("test_bad.py:1:"), "{reports:?}");
}
