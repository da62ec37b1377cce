//! `mynah py test`.

use std::path::PathBuf;

use clap::Args;
use pyc_driver::{Report, TestOptions, TestOutcome};
use serde_json::json;

use super::py::Grants;
use super::py_regrtest::Regrtest;
use crate::failure::{Failure, Result};

/// Options of `mynah py test`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py test tests/ -k parse --junit report.xml
  mynah py test test_app.py --json --max-time 5
  mynah py test --regrtest test_dict test_list --python python3.13

Every test runs in a fresh instance, with the limits given (60 s and 1 GiB if none are), reads the
folders of the tests, writes to its tmp_path, and may look at the clock; --allow grants more.
Fixtures: tmp_path, tmp_path_factory, capsys, monkeypatch, request, and those of the file and of conftest.py.
Ends with 1 when a test failed.")]
pub struct Test {
    /// Test files, or folders with test_*.py and *_test.py
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only tests with this in their name
    #[arg(short = 'k', value_name = "TEXT")]
    only: Option<String>,
    /// Stop after the first failure
    #[arg(short = 'x')]
    fail_fast: bool,
    /// Tests that run at the same time (default: one a core)
    #[arg(short = 'j', value_name = "N")]
    jobs: Option<usize>,
    /// Write JUnit's XML to a file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// One JSON object for each test
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    grants: Grants,
    #[command(flatten)]
    regrtest: Regrtest,
}

/// Runs tests.
pub fn run(test: &Test) -> Result<()> {
    if test.regrtest.is_asked() {
        return super::py_regrtest::run(&test.regrtest, test.json);
    }
    let fail = |e: pyc_driver::Error| Failure::new(e.to_string());
    if test.grants.max_output.is_some() {
        return Err(Failure::new(
            "--max-output is not for tests; their output is kept, and --max-memory bounds it",
        ));
    }
    let defaults = TestOptions::default();
    let options = TestOptions {
        capabilities: test.grants.capabilities()?,
        time: test.grants.time()?.or(defaults.time),
        memory_bytes: test.grants.max_memory.or(defaults.memory_bytes),
        steps: test.grants.max_steps,
        only: test.only.clone(),
        threads: test.jobs.unwrap_or(defaults.threads),
        fail_fast: test.fail_fast,
    };
    let files = pyc_driver::discover(&test.paths).map_err(fail)?;
    if files.is_empty() {
        return Err(Failure::new("no test files").advice("they are called test_*.py or *_test.py"));
    }
    let reports =
        pyc_driver::run_tests(&files, &options, &mut |report| tell(report, test.json)).map_err(fail)?;
    if let Some(path) = &test.junit {
        std::fs::write(path, pyc_driver::junit(&reports))
            .map_err(|e| Failure::io("cannot write the report", path, &e))?;
    }
    if !test.json {
        println!("{}", summary(&reports));
    }
    if reports.iter().any(|r| r.outcome.is_failure()) { std::process::exit(1) } else { Ok(()) }
}

fn tell(report: &Report, as_json: bool) {
    if as_json {
        println!(
            "{}",
            json!({
                "file": report.file, "test": report.test, "outcome": report.outcome.word(),
                "seconds": report.seconds, "message": report.message, "traceback": report.traceback,
                "output": report.output,
            })
        );
        return;
    }
    let name = if report.test.is_empty() {
        report.file.clone()
    } else {
        format!("{}::{}", report.file, report.test)
    };
    let reason = match report.outcome {
        TestOutcome::Skipped | TestOutcome::XFailed if !report.message.is_empty() => {
            format!(" ({})", report.message)
        }
        _ => String::new(),
    };
    println!("{:8}{name}{reason}", report.outcome.word());
    if report.outcome.is_failure() {
        let text = if report.traceback.is_empty() { &report.message } else { &report.traceback };
        for line in text.trim_end().lines() {
            println!("    {line}");
        }
        if !report.output.is_empty() {
            println!("    --- output");
            for line in report.output.lines() {
                println!("    {line}");
            }
        }
    }
}

fn summary(reports: &[Report]) -> String {
    let all = [
        TestOutcome::Failed,
        TestOutcome::Error,
        TestOutcome::Limit,
        TestOutcome::Passed,
        TestOutcome::Skipped,
        TestOutcome::XFailed,
        TestOutcome::XPassed,
    ];
    let parts: Vec<String> = all
        .iter()
        .map(|outcome| (reports.iter().filter(|r| r.outcome == *outcome).count(), outcome))
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {}", outcome.word()))
        .collect();
    if parts.is_empty() { "no tests".to_string() } else { parts.join(", ") }
}
