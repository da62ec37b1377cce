//! The corpus in `testdata/py`: every program prints what CPython printed, or is listed in `known.txt`.
//!
//! `PYC_CORPUS_UPDATE=1` writes the list anew; it may only shrink, so look at what it adds. Every program also leaves
//! no object behind when its instance has ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use pyc_driver::{Capabilities, Limits, Options, Tier, run_captured};

/// Counts, for the limit on memory.
#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/py")
}

/// Name and text of an area's programs.
fn cases(text: &str) -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("# === ") {
            cases.push((name.trim_end_matches('\n').to_string(), String::new()));
        } else if let Some((_, text)) = cases.last_mut() {
            text.push_str(line);
        }
    }
    for (_, text) in &mut cases {
        let length = text.trim_end_matches('\n').len();
        text.truncate(length);
        text.push('\n');
    }
    cases
}

/// The records of an area by name.
fn records(text: &str) -> BTreeMap<String, String> {
    let mut records: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.split_terminator('\n') {
        if let Some(next) = line.strip_prefix("=== ") {
            name = next.to_string();
            records.insert(name.clone(), String::new());
        } else if !line.starts_with("differs ")
            && let Some(record) = records.get_mut(&name)
        {
            record.push_str(line);
            record.push('\n');
        }
    }
    records
}

/// Programs that take memory without end here, and so are bounded (others ask for more than there is on purpose).
const BOUNDED: &[&str] = &["reentrancy/ordereddict_and_defaultdict_reentry"];

/// The type `type`, which is its own type.
const IMMORTAL: usize = 1;

/// The exit code of a program that a limit ended.
const LIMIT_EXIT: u8 = 124;

/// Runs a program; gives its record and how many blocks of memory it left behind.
fn record(id: &str, text: &str, tier: Tier) -> (String, usize) {
    let mut limits = Limits::default();
    // None comes near it; a busy machine makes one slow now and then.
    limits.time = Some(Duration::from_secs(60));
    limits.memory_bytes = BOUNDED.contains(&id).then_some(256 << 20);
    let options = Options { capabilities: Capabilities::trusted(), limits, arguments: Vec::new(), tier };
    let outcome = match run_captured(text, "case.py", options) {
        Ok(outcome) => outcome,
        Err(error) => return (format!("failed {error}\n"), 0),
    };
    let mut record = String::new();
    let unterminated = !outcome.output.is_empty() && !outcome.output.ends_with('\n');
    for line in outcome.output.split_terminator('\n') {
        record.push_str(&format!("|{line}\n"));
    }
    if unterminated {
        record.push_str("unterminated\n");
    }
    if outcome.exit != 0 {
        record.push_str(&format!("exit {}\n", outcome.exit));
        if let Some(last) = outcome.errors.lines().rfind(|l| !l.trim().is_empty()) {
            record.push_str(&format!("error {last}\n"));
        }
    }
    // What a limit ended was not taken apart.
    let leaked = if outcome.exit == LIMIT_EXIT { 0 } else { outcome.leaked_blocks.saturating_sub(IMMORTAL) };
    (record, leaked)
}

#[test]
fn programs_print_what_cpython_prints() {
    compare_all(Tier::Interp);
}

#[test]
fn machine_code_prints_what_cpython_prints() {
    compare_all(Tier::Native);
}

fn compare_all(tier: Tier) {
    let only = std::env::var("PYC_CORPUS_ONLY").ok();
    let mut work = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries.iter().filter(|p| p.extension().is_some_and(|e| e == "py")) {
        let area = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = records(&std::fs::read_to_string(path.with_extension("out")).unwrap());
        for (name, text) in cases(&std::fs::read_to_string(path).unwrap()) {
            let id = format!("{area}/{name}");
            if only.as_ref().is_none_or(|o| id.starts_with(o.as_str())) {
                work.push((id, text, expected.get(&name).cloned().unwrap_or_default()));
            }
        }
    }
    let total = work.len();
    assert!(total > 0, "the corpus is empty");
    let failed: Mutex<Vec<(String, String, String)>> = Mutex::new(Vec::new());
    let leaking: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());
    let next = Mutex::new(work.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((id, text, expected)) = next.lock().unwrap().next() else { break };
                    let (got, leaked) = record(&id, &text, tier);
                    if leaked > 0 {
                        leaking.lock().unwrap().push((id.clone(), leaked));
                    }
                    if got != expected {
                        failed.lock().unwrap().push((id, expected, got));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    check_leaks(&leaking.into_inner().unwrap());
    let known_path = folder().join("known.txt");
    let known_text = std::fs::read_to_string(&known_path).unwrap_or_default();
    let known: BTreeMap<&str, &str> = known_text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| l.split_once(' ').unwrap_or((l, "")))
        .collect();
    if std::env::var("PYC_CORPUS_UPDATE").is_ok() {
        let mut text = String::from(
            "# Programs whose output differs from CPython's, and why. The list may only shrink.\n",
        );
        for (id, expected, got) in &failed {
            let reason =
                known.get(id.as_str()).map_or_else(|| first_difference(expected, got), |r| (*r).to_string());
            text.push_str(&format!("{id} {reason}\n"));
        }
        std::fs::write(known_path, text).unwrap();
        println!("{} of {total} agree", total - failed.len());
        return;
    }
    let mut wrong = String::new();
    for (id, expected, got) in &failed {
        if !known.contains_key(id.as_str()) {
            wrong.push_str(&format!("--- {id}\nexpected:\n{expected}got:\n{got}"));
        }
    }
    if only.is_none() {
        for id in known.keys().filter(|id| !failed.iter().any(|(f, _, _)| f == *id)) {
            wrong.push_str(&format!("--- {id} agrees now: remove it from known.txt\n"));
        }
    }
    println!("{} of {total} agree", total - failed.len());
    assert!(wrong.is_empty(), "{wrong}");
}

/// Programs that leave objects behind: cycles through the native `functools` are not seen by the collector yet.
const LEAKING: &[&str] = &[
    "collections_itertools/functools_singledispatchmethod",
    "numeric_lib/ipaddress_uuid",
    "stdlib_misc/email_basic",
    "stdlib_misc/mimetypes_webbrowser_free",
    "text_data/html_url_parse",
];

/// Nothing of a program outlives its instance.
fn check_leaks(leaking: &[(String, usize)]) {
    let leaking: Vec<_> = leaking.iter().filter(|(id, _)| !LEAKING.contains(&id.as_str())).collect();
    let shown = &leaking[..leaking.len().min(40)];
    assert!(leaking.is_empty(), "{} programs leave objects behind: {shown:?}", leaking.len());
}

/// The last line of what came instead, shortened: usually the exception.
fn first_difference(expected: &str, got: &str) -> String {
    let line = match got.lines().rfind(|l| l.starts_with("error ") || l.starts_with("failed ")) {
        Some(line) => line.to_string(),
        None => match got.lines().zip(expected.lines()).find(|(a, b)| a != b) {
            Some((a, b)) => format!("prints {a:?} instead of {b:?}"),
            None => "prints another number of lines".to_string(),
        },
    };
    line.chars().take(160).collect()
}
