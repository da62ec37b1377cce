//! Runs CPython's own tests: `regrtest PYTHON [--update] [--library-table FILE] [NAME…]`; for development, as
//! `mynah py test --regrtest` does it. `--update` writes the ratchet instead of comparing with it.

use std::path::Path;
use std::process::Command;

use pyc_driver::regrtest::{
    Counts, JUDGED, Options, Ratchet, Status, find_tests, markdown_table, run_module, run_worker,
    stdlib_table,
};

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let code = match &words[..] {
        [word, rest @ ..] if word == "--worker" => run_worker(rest).map(i32::from),
        [python, names @ ..] => tests(python, names).map(|()| 0),
        [] => Err(String::from("usage: regrtest PYTHON [NAME…]")).map_err(|text| {
            eprintln!("{text}");
            std::process::exit(2)
        }),
    };
    match code {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    }
}

fn tests(python: &str, names: &[String]) -> Result<(), pyc_driver::Error> {
    let (tests, version) = find_tests(Path::new(python))?;
    println!("tests of CPython {version}, library of 3.14");
    let options = Options::new(tests);
    let mut names = names.to_vec();
    let update = names.iter().position(|n| n == "--update").map(|at| names.remove(at)).is_some();
    let library = names
        .iter()
        .position(|n| n == "--library-table")
        .map(|at| names.drain(at..(at + 2).min(names.len())).nth(1));
    let names: Vec<&str> =
        if names.is_empty() { JUDGED.to_vec() } else { names.iter().map(String::as_str).collect() };
    let exe = std::env::current_exe().unwrap_or_default();
    let worker = |arguments: &[String]| {
        let mut command = Command::new(&exe);
        command.arg("--worker").args(arguments);
        command
    };
    let mut rows = Vec::new();
    for name in names {
        match run_module(name, &options, &worker) {
            Ok(list) => {
                for test in list.iter().filter(|t| matches!(t.status, Status::Failed | Status::Error)) {
                    println!("{} {} | {} | {}", test.status.name(), test.id, test.why, test.place);
                }
                rows.push((name.to_string(), Counts::of(&list)));
            }
            Err(error) => println!("{error}"),
        }
    }
    println!("{}", markdown_table(&rows));
    // The ratchet: passes by module may only grow.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/py/regrtest.txt");
    let mut ratchet = Ratchet::parse(&std::fs::read_to_string(&file).unwrap_or_default())?;
    let io = |e: std::io::Error| pyc_driver::Error::new(format!("cannot write: {e}"));
    if update {
        ratchet.version = version.clone();
        for (name, counts) in &rows {
            ratchet.modules.insert(name.clone(), (counts.passed, counts.run()));
        }
        std::fs::write(&file, ratchet.text()).map_err(io)?;
    }
    if let Some(table) = library.flatten() {
        std::fs::write(table, stdlib_table(Path::new(python), &ratchet)?).map_err(io)?;
    }
    if ratchet.version != version {
        println!("skipped: the ratchet is for CPython {}", ratchet.version);
        return Ok(());
    }
    let losses = ratchet.losses(&rows);
    if !losses.is_empty() {
        println!("fewer pass: {}", losses.join("; "));
        std::process::exit(1);
    }
    Ok(())
}
