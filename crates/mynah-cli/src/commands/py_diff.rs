//! `mynah py diff`: programs under CPython and under ours, compared by what they print and how they end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::failure::{Failure, Result};

/// Options of `mynah py diff`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py diff examples/ --python python3.13 --json > diff.jsonl")]
pub struct Diff {
    /// A program, or a folder whose .py files are compared
    path: PathBuf,
    /// The CPython to compare with
    #[arg(long, default_value = "python3", value_name = "PYTHON")]
    python: PathBuf,
    /// One JSON object a program instead of text
    #[arg(long)]
    json: bool,
    /// Seconds a program may take in ours; one that takes longer differs
    #[arg(long, default_value_t = 60.0, value_name = "S")]
    max_time: f64,
}

/// How a program ended: what it wrote, its exit code, and the last line it wrote to stderr.
#[derive(PartialEq, Eq, Debug)]
struct Ending {
    output: String,
    exit: i32,
    error: String,
}

/// Compares and prints; the process ends with 1 when a program differs.
pub(super) fn run(options: &Diff) -> Result<()> {
    let programs = programs(&options.path)?;
    let time = Duration::try_from_secs_f64(options.max_time)
        .map_err(|_| Failure::new(format!("--max-time {} is no number of seconds", options.max_time)))?;
    let mut differing = 0;
    for program in &programs {
        let theirs = cpython(&options.python, program)?;
        let ours = ours(program, time)?;
        let same = theirs == ours;
        differing += usize::from(!same);
        let name = program.display();
        if options.json {
            let ending =
                |e: &Ending| serde_json::json!({"output": e.output, "exit": e.exit, "error": e.error});
            let line = serde_json::json!({
                "program": name.to_string(), "same": same,
                "cpython": ending(&theirs), "interp": ending(&ours),
            });
            println!("{line}");
        } else if !same {
            println!("{name}: {}", difference(&theirs, &ours));
        }
    }
    if !options.json {
        println!("{} of {} programs agree", programs.len() - differing, programs.len());
    }
    if differing > 0 { std::process::exit(1) } else { Ok(()) }
}

/// The program, or a folder's programs by name.
fn programs(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| Failure::io("cannot read the folder", path, &e))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "py"));
    found.sort();
    if found.is_empty() {
        return Err(Failure::new(format!("no .py file in '{}'", path.display())));
    }
    Ok(found)
}

fn cpython(python: &Path, program: &Path) -> Result<Ending> {
    let output = Command::new(python)
        .arg(program)
        .stdin(Stdio::null())
        .env("PYTHONHASHSEED", "0")
        .output()
        .map_err(|e| Failure::io("cannot run", python, &e))?;
    Ok(Ending {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        exit: output.status.code().unwrap_or(-1),
        error: last_line(output.status.success(), &String::from_utf8_lossy(&output.stderr)),
    })
}

fn ours(program: &Path, time: Duration) -> Result<Ending> {
    let text =
        std::fs::read_to_string(program).map_err(|e| Failure::io("cannot read the program", program, &e))?;
    let mut limits = pyc_driver::Limits::default();
    limits.time = Some(time);
    let capabilities = pyc_driver::Capabilities::trusted();
    let options = pyc_driver::Options { capabilities, limits, ..Default::default() };
    let outcome = pyc_driver::run_captured(&text, &program.display().to_string(), options)
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(Ending {
        error: last_line(outcome.exit == 0, &outcome.errors),
        output: outcome.output,
        exit: i32::from(outcome.exit),
    })
}

/// The exception's type and message; what a program that went well wrote to stderr does not count.
fn last_line(well: bool, text: &str) -> String {
    let line = if well { None } else { text.lines().rfind(|l| !l.trim().is_empty()) };
    line.unwrap_or_default().to_string()
}

/// The first thing that differs, on one line.
fn difference(theirs: &Ending, ours: &Ending) -> String {
    let (mut a, mut b) = (theirs.output.lines(), ours.output.lines());
    for number in 1.. {
        match (a.next(), b.next()) {
            (None, None) => break,
            (x, y) if x != y => {
                let shown = |l: Option<&str>| l.map_or("nothing".to_string(), |l| format!("{l:?}"));
                return format!("line {number} is {} instead of {}", shown(y), shown(x));
            }
            _ => {}
        }
    }
    if theirs.exit != ours.exit {
        return format!("exit code {} instead of {} ({})", ours.exit, theirs.exit, ours.error);
    }
    format!("ends with {:?} instead of {:?}", ours.error, theirs.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let ending =
            |output: &str, exit, error: &str| Ending { output: output.into(), exit, error: error.into() };
        let check = |a: &Ending, b: &Ending, text: &str| assert_eq!(difference(a, b), text);
        let good = ending("1\n2\n", 0, "");
        check(&good, &ending("1\n3\n", 0, ""), "line 2 is \"3\" instead of \"2\"");
        check(&good, &ending("1\n", 0, ""), "line 2 is nothing instead of \"2\"");
        check(&good, &ending("1\n2\n", 1, "E: x"), "exit code 1 instead of 0 (E: x)");
        let bad = ending("", 1, "E: y");
        check(&bad, &ending("", 1, "E: z"), "ends with \"E: z\" instead of \"E: y\"");
    }

    #[test]
    fn our_side_runs_a_program() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "print(1)\n1 / 0\n").unwrap();
        let all = programs(folder.path()).unwrap();
        let end = ours(&all[0], Duration::from_secs(60)).unwrap();
        assert_eq!((end.output.as_str(), end.exit), ("1\n", 1));
        assert_eq!(end.error, "ZeroDivisionError: division by zero");
    }
}
