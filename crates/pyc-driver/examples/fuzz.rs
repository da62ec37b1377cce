//! Compares generated programs with an installed CPython, in each tier of ours:
//! `fuzz --count N --python PYTHON [--from SEED] [--tier interp,native]`. Prints differences (also of steps between
//! tiers) and how many there were.

#[path = "../tests/fuzz/grammar.rs"]
mod grammar;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use grammar::{Seed, in_function, program};
use pyc_driver::{Capabilities, Limits, Options, Tier, run_captured};

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

/// Programs that one process of CPython runs.
const BATCH: u64 = 500;

/// Reads programs as JSON and writes what each printed.
const RUNNER: &str = "
import sys, io, json, contextlib
out = []
for text in json.load(sys.stdin):
    sink = io.StringIO()
    try:
        with contextlib.redirect_stdout(sink):
            exec(compile(text, 'case.py', 'exec'), {'__name__': '__main__'})
    except BaseException as error:
        sink.write(f'uncaught {type(error).__name__}\\n')
    out.append(sink.getvalue())
json.dump(out, sys.stdout)
";

/// What a program prints, and its steps.
fn ours(text: &str, tier: Tier) -> (String, u64) {
    let mut limits = Limits::default();
    limits.time = Some(Duration::from_secs(20));
    limits.memory_bytes = Some(1 << 30);
    let options = Options { capabilities: Capabilities::default(), limits, tier, ..Options::default() };
    match run_captured(text, "case.py", options) {
        Ok(outcome) if outcome.exit == 0 => (outcome.output, outcome.steps),
        Ok(outcome) => (format!("{}exit {} {}", outcome.output, outcome.exit, outcome.errors), outcome.steps),
        Err(error) => (format!("failed: {error}"), 0),
    }
}

fn theirs(python: &str, texts: &[String]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut child = Command::new(python)
        .args(["-c", RUNNER])
        .env("PYTHONHASHSEED", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let input = serde_json::to_vec(texts)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&input)?;
    }
    let output = child.wait_with_output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| words.iter().position(|w| w == name).and_then(|at| words.get(at + 1));
    let count: u64 = value("--count").map_or(Ok(10_000), |n| n.parse())?;
    let first: u64 = value("--from").map_or(Ok(0), |n| n.parse())?;
    let python =
        value("--python").ok_or("usage: fuzz --count N --python PYTHON [--from SEED] [--tier T,...]")?;
    let tiers = value("--tier").map_or("interp,native", String::as_str).split(',');
    let tiers = tiers.map(str::parse).collect::<Result<Vec<Tier>, _>>()?;
    let (mut differences, mut shown) = (0, 0);
    let mut at = first;
    while at < first + count {
        let end = (at + BATCH).min(first + count);
        let texts: Vec<String> = (at..end)
            .map(|number| {
                let text = program(&mut Seed::new(number));
                if number % 2 == 0 { text } else { in_function(&text) }
            })
            .collect();
        for ((number, text), expected) in (at..end).zip(&texts).zip(theirs(python, &texts)?) {
            let mut steps = None;
            let mut wrong = Vec::new();
            for tier in &tiers {
                let (got, count) = ours(text, *tier);
                if got != expected {
                    let line = got.lines().zip(expected.lines()).find(|(a, b)| a != b);
                    wrong.push(format!("{}: ours and CPython's first difference: {line:?}", tier.name()));
                }
                let first = *steps.get_or_insert(count);
                if count != first {
                    wrong.push(format!("{}: {count} steps instead of {first}", tier.name()));
                }
            }
            differences += u64::from(!wrong.is_empty());
            for line in wrong {
                if shown < 40 {
                    shown += 1;
                    println!("program {number}: {line}");
                }
            }
        }
        at = end;
    }
    let names: Vec<&str> = tiers.iter().map(|t| t.name()).collect();
    println!("{differences} of {count} programs differ ({} and CPython)", names.join(", "));
    Ok(())
}
