//! Running tests: pytest's functions, classes and fixtures, and unittest's cases.
//!
//! **Key decision: one test, one instance.** A test gets a Python of its own, with its own modules, limits and
//! temporary folder, so that no test sees what another did, a test that hits a limit ends alone, and tests run at the
//! same time in threads. What a fixture of a wider scope makes is therefore made for each test.
//!
//! The rules of pytest are in `runner.py`, which runs in the instance; its interface is in `pytest.py`, which programs
//! import. Plain asserts are rewritten ([`pyc_front::show_asserts`]) so that they show their values.

mod instance;
mod report;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pyc_host::{Capabilities, Error};

use instance::TestFile;
pub use report::{Outcome, Report, junit};

/// How tests are run.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// What a test may do outside, besides reading the folders of the tests, writing to its temporary folder and
    /// looking at the clock.
    pub capabilities: Capabilities,
    /// Wall time of a test.
    pub time: Option<Duration>,
    /// Bytes of memory of a test.
    pub memory_bytes: Option<u64>,
    /// Steps of a test.
    pub steps: Option<u64>,
    /// Only tests with this in their name.
    pub only: Option<String>,
    /// Tests that run at the same time.
    pub threads: usize,
    /// Start no further test after one that failed.
    pub fail_fast: bool,
}

impl Default for TestOptions {
    fn default() -> TestOptions {
        TestOptions {
            capabilities: Capabilities::default(),
            time: Some(Duration::from_secs(60)),
            memory_bytes: Some(1 << 30),
            steps: None,
            only: None,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            fail_fast: false,
        }
    }
}

/// The test files among paths: files as they are, and in folders `test_*.py` and `*_test.py`.
///
/// # Errors
/// A path that does not exist, a folder that cannot be read.
pub fn discover(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut files, 0)?;
        } else if path.is_file() {
            files.push(path.clone());
        } else {
            return Err(Error::new(format!("there is no '{}'", path.display())));
        }
    }
    Ok(files)
}

const DEPTH_MAX: usize = 64;

fn walk(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<(), Error> {
    let fail = |e| Error::new(format!("cannot read the folder '{}': {e}", folder.display()));
    let mut entries: Vec<_> = std::fs::read_dir(folder).map_err(fail)?.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link to a folder may lead back up.
        let folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if folder && depth < DEPTH_MAX && !name.starts_with('.') && name != "__pycache__" {
            walk(&path, files, depth + 1)?;
        } else if name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Runs the tests of files; `tell` hears of each in the order of the files.
///
/// # Errors
/// When the interpreter itself fails. A file that cannot be read or collected is a report.
pub fn run_tests(
    files: &[PathBuf],
    options: &TestOptions,
    tell: &mut dyn FnMut(&Report),
) -> Result<Vec<Report>, Error> {
    let mut reports = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let collected = TestFile::load(file, options).and_then(|test| {
            let names = test.collect()?;
            Ok((test, names))
        });
        let (test, names) = match collected {
            Ok(found) => found,
            Err(report) => {
                let report = Report { file: name, ..*report };
                tell(&report);
                let failed = report.outcome.is_failure();
                reports.push(report);
                if failed && options.fail_fast {
                    break;
                }
                continue;
            }
        };
        let names: Vec<String> = names
            .into_iter()
            .filter(|n| options.only.as_ref().is_none_or(|o| n.contains(o.as_str())))
            .collect();
        let queue: Mutex<VecDeque<(usize, String)>> = Mutex::new(names.into_iter().enumerate().collect());
        let done: Mutex<Vec<(usize, Result<Report, Error>)>> = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..options.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().ok().and_then(|mut q| q.pop_front());
                        let Some((at, name)) = next else { break };
                        let started = Instant::now();
                        let report = test.run(&name);
                        let report = report.map(|mut r| {
                            r.seconds = started.elapsed().as_secs_f64();
                            r
                        });
                        let failed = report.as_ref().map_or(true, |r| r.outcome.is_failure());
                        if failed
                            && options.fail_fast
                            && let Ok(mut queue) = queue.lock()
                        {
                            queue.clear();
                        }
                        if let Ok(mut done) = done.lock() {
                            done.push((at, report));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(at, _)| *at);
        let mut stop = false;
        for (_, report) in done {
            let report = report?;
            tell(&report);
            stop |= report.outcome.is_failure() && options.fail_fast;
            reports.push(report);
        }
        if stop {
            break;
        }
    }
    Ok(reports)
}
