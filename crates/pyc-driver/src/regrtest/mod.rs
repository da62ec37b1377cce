//! CPython's own tests, run from an installed CPython in our interpreter.
//!
//! **Key decision: each module runs in a process of its own, and each test method is reported as it ends.** A method
//! that hangs or ends the process costs only itself: the parent kills the process, counts the method as an error, and
//! starts another one that leaves out what ran already. The process reads the tests from that CPython's `Lib/test`
//! (nothing else of it), with the library that programs here always have, which is CPython 3.14's; so a test of what
//! an older library said can fail for being older.
//!
//! What a run may do outside: read the folder of tests, write one temporary folder, read the clock, random numbers.
//!
//! Rejected: instances in one process (native stack overflow and memory are the process's); skip lists (a test that
//! cannot pass here is counted as what it is).

mod report;
mod stdlib;
mod worker;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use pyc_host::Error;

pub use report::{Counts, Ratchet, markdown_table};
pub use stdlib::stdlib_table;
pub use worker::run_worker;

/// The modules that the product is judged by.
pub const JUDGED: &[&str] = &[
    "test_grammar",
    "test_dict",
    "test_list",
    "test_set",
    "test_tuple",
    "test_int",
    "test_float",
    "test_bool",
    "test_str",
    "test_bytes",
    "test_fstring",
    "test_generators",
    "test_coroutines",
    "test_exceptions",
    "test_class",
    "test_descr",
    "test_super",
    "test_scope",
    "test_patma",
    "test_with",
    "test_contextlib",
    "test_itertools",
    "test_functools",
    "test_collections",
    "test_dataclasses",
    "test_enum",
    "test_re",
    "test_json",
    "test_math",
    "test_statistics",
    "test_random",
    "test_datetime",
    "test_string",
    "test_textwrap",
    "test_heapq",
    "test_bisect",
    "test_builtin",
    "test_unittest",
];

/// What to run and within which bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tests' folder, as [`find_tests`] gives it.
    pub tests: PathBuf,
    /// The longest a method may take.
    pub method_time: Duration,
    /// Memory of a process in bytes.
    pub memory_bytes: u64,
}

impl Options {
    /// The usual bounds: 20 s a method, 2 GiB.
    pub fn new(tests: PathBuf) -> Options {
        Options { tests, method_time: Duration::from_secs(20), memory_bytes: 2 << 30 }
    }
}

/// How a method ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// As it should.
    Passed,
    /// An assertion did not hold.
    Failed,
    /// Anything else was raised, or a bound was hit.
    Error,
    /// The test says that it does not apply.
    Skipped,
}

impl Status {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Error => "error",
            Status::Skipped => "skipped",
        }
    }

    fn parse(word: &str) -> Status {
        match word {
            "passed" => Status::Passed,
            "failed" => Status::Failed,
            "skipped" => Status::Skipped,
            _ => Status::Error,
        }
    }
}

/// One test method.
#[derive(Clone, Debug)]
pub struct Test {
    /// The module's name.
    pub module: String,
    /// `module.Class.method`; the second of the same name ends in `#2`.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// The last line of what was raised, or the reason of a skip.
    pub why: String,
    /// The last places of the traceback.
    pub place: String,
    /// Its time.
    pub seconds: f64,
}

/// The folder `test` of an installed CPython and its version, asked from the interpreter itself.
///
/// # Errors
/// When it cannot be run or has no tests.
pub fn find_tests(python: &Path) -> Result<(PathBuf, String), Error> {
    let ask = "import os, sys; print(os.path.dirname(os.__file__)); print('%d.%d.%d' % sys.version_info[:3])";
    let answer = Command::new(python)
        .args(["-I", "-c", ask])
        .output()
        .map_err(|e| Error::new(format!("cannot run '{}': {e}", python.display())))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let mut lines = text.lines();
    let (Some(library), Some(version)) = (lines.next(), lines.next()) else {
        return Err(Error::new(format!("'{}' did not say where its library is", python.display())));
    };
    let tests = Path::new(library).join("test");
    if !tests.join("support/__init__.py").is_file() {
        return Err(Error::new(format!(
            "the CPython of '{}' has no tests in '{}'; install one that has them (distributions package them apart)",
            python.display(),
            tests.display()
        )));
    }
    Ok((tests, version.to_string()))
}

/// Restarts of a module's process after tests that ended it.
const STARTS_MAX: usize = 200;

/// Time for what is outside methods: imports, fixtures.
const IDLE: Duration = Duration::from_secs(120);

/// Runs a module. `worker` makes the command that runs [`run_worker`] with these arguments.
///
/// # Errors
/// When the process cannot be started, or the module cannot be loaded (with the traceback).
pub fn run_module(
    module: &str,
    options: &Options,
    worker: &dyn Fn(&[String]) -> Command,
) -> Result<Vec<Test>, Error> {
    let sane = module.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b));
    if !sane || module.is_empty() {
        return Err(Error::new(format!("'{module}' is no name of a test module")));
    }
    let file = options.tests.join(module.replace('.', "/"));
    if !file.is_dir() && !file.with_extension("py").is_file() {
        return Err(Error::new(format!("there is no '{module}' in '{}'", options.tests.display())));
    }
    let mut tests: BTreeMap<String, Test> = BTreeMap::new();
    let mut order = Vec::new();
    for start in 0..STARTS_MAX {
        let folder = Scratch::new(module, start)?;
        let done: Vec<&str> = order.iter().map(String::as_str).collect();
        let list = folder.0.join("done");
        std::fs::write(&list, done.join("\n"))
            .map_err(|e| Error::new(format!("cannot write a file: {e}")))?;
        let arguments = [
            module.to_string(),
            options.tests.display().to_string(),
            list.display().to_string(),
            options.memory_bytes.to_string(),
        ];
        let mut command = worker(&arguments);
        command.current_dir(&folder.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|e| Error::new(format!("cannot start a worker: {e}")))?;
        let ended = follow(child, options, &mut |test: Test| {
            if !tests.contains_key(&test.id) {
                order.push(test.id.clone());
            }
            tests.insert(test.id.clone(), Test { module: module.to_string(), ..test });
        });
        match ended {
            Ended::Finished => break,
            Ended::During(id, why) => {
                order.push(id.clone());
                let test = Test {
                    module: module.to_string(),
                    id: id.clone(),
                    status: Status::Error,
                    why,
                    place: String::new(),
                    seconds: options.method_time.as_secs_f64(),
                };
                tests.insert(id, test);
            }
            Ended::Outside(why) if tests.is_empty() => {
                return Err(Error::new(format!("{module} cannot be loaded: {why}")));
            }
            // What had not run yet is unknown: one error stands for all of it.
            Ended::Outside(why) => {
                let id = format!("{module} (outside its methods; the rest did not run)");
                order.push(id.clone());
                let test = Test {
                    module: module.to_string(),
                    id: id.clone(),
                    status: Status::Error,
                    why,
                    place: String::new(),
                    seconds: 0.0,
                };
                tests.insert(id, test);
                break;
            }
        }
    }
    Ok(order.iter().filter_map(|id| tests.get(id).cloned()).collect())
}

/// A folder that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new(module: &str, start: usize) -> Result<Scratch, Error> {
        let name = format!("mynah-regrtest-{}-{module}-{start}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::new(format!("cannot make the folder '{}': {e}", path.display())))?;
        Ok(Scratch(path.canonicalize().unwrap_or(path)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

enum Ended {
    Finished,
    /// While this test ran, for this reason.
    During(String, String),
    Outside(String),
}

/// A line that the worker wrote: flat JSON with strings only.
type Line = BTreeMap<String, String>;

fn follow(mut child: Child, options: &Options, report: &mut dyn FnMut(Test)) -> Ended {
    let (sender, lines): (_, Receiver<Option<Line>>) = channel();
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let Some(out) = out else { return };
        for line in BufReader::new(out).split(b'\n') {
            let Ok(line) = line else { break };
            let Some(at) = line.iter().position(|b| *b == 0x1e) else { continue };
            if let Some(parsed) = report::parse_line(&line[at + 1..])
                && sender.send(Some(parsed)).is_err()
            {
                return;
            }
        }
        let _ = sender.send(None);
    });
    let errors = child.stderr.take();
    let listener = std::thread::spawn(move || {
        let mut tail: std::collections::VecDeque<String> = std::collections::VecDeque::new();
        for line in errors.into_iter().flat_map(|e| BufReader::new(e).lines()).map_while(Result::ok) {
            if tail.len() == 40 {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        tail.into_iter().collect::<Vec<_>>().join("\n")
    });
    let mut running: Option<String> = None;
    let mut finished = false;
    let why = loop {
        let patience = if running.is_some() { options.method_time } else { IDLE };
        match lines.recv_timeout(patience) {
            Ok(Some(line)) => {
                let get = |key: &str| line.get(key).cloned().unwrap_or_default();
                match get("event").as_str() {
                    "start" => running = Some(get("id")),
                    "end" => {
                        running = None;
                        report(Test {
                            module: String::new(),
                            id: get("id"),
                            status: Status::parse(&get("outcome")),
                            why: get("why"),
                            place: get("at"),
                            seconds: get("seconds").parse().unwrap_or(0.0),
                        });
                    }
                    "finished" => finished = true,
                    _ => {}
                }
            }
            Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                break match child.wait() {
                    Ok(status) => format!("the process ended ({status})"),
                    Err(error) => format!("the process is lost: {error}"),
                };
            }
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                break format!("time limit of {} s", patience.as_secs());
            }
        }
    };
    let _ = reader.join();
    let errors = listener.join().unwrap_or_default();
    match running {
        _ if finished => Ended::Finished,
        Some(id) => {
            let last = errors.lines().last().unwrap_or("").to_string();
            Ended::During(id, if last.is_empty() { why } else { format!("{why}: {last}") })
        }
        None => Ended::Outside(format!("{why}\n{errors}")),
    }
}
