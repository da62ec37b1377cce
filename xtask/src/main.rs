//! Project tasks, run as `cargo xtask NAME`: the checks that keep the map true, the status list, the
//! benchmarks against the peers and the golden files.
//!
//! The key decision is to need nothing but Cargo: facts about crates come from `cargo metadata`, facts
//! about files from `git ls-files`, and every rule is a pure function over those facts, so each has a
//! test that breaks it once. A set of ready-made tools (a licence checker, a spell checker, a markdown
//! link checker) was rejected: each would be one more thing to install before the first `git push`.

mod bench;
mod golden;
mod status;
mod stub;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Project tasks.

usage: cargo xtask NAME [options]

  tidy                 check layering, file sizes, licences, words, links and the status list
  status               rewrite docs/STATUS.md from the marks in the sources
  bench NAME|all       compare with a peer; `cargo xtask bench --help` lists names and options
  stub [--quick]       build the executables behind `mynah py build`, and the packed library, into target/stub
  golden [CRATE]       run the scripts that regenerate committed golden files (needs Python)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(rest),
        Some("status") => status::run(rest),
        Some("bench") => bench::run(rest),
        Some("stub") => stub::run(rest),
        Some("golden") => golden::run(rest),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(format!("no task is called '{other}'; `cargo xtask help` lists them")),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}
