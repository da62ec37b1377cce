//! `mynah py`: Python programs without CPython.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Result};

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run a Python program with nothing but what it is granted
    Run(Box<Run>),
    /// Compare programs with CPython: output, exit code, exception
    Diff(super::py_diff::Diff),
}

/// Options of `mynah py run`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py run app.py input.txt --allow fs.read=.,clock
  mynah py run --max-time 2 --max-memory 256000000 untrusted.py")]
pub struct Run {
    /// Capabilities: fs.read=DIR, fs.write=DIR, env.read=NAME, clock, random (also from MYNAH_CAPABILITIES)
    #[arg(long, value_name = "CAP,...")]
    allow: Vec<String>,
    /// Allow everything (also MYNAH_TRUSTED=1)
    #[arg(long)]
    trusted: bool,
    /// Seconds after which the program is ended
    #[arg(long, value_name = "S")]
    max_time: Option<f64>,
    /// Bytes of memory
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<u64>,
    /// Steps: rounds of loops, calls, items of iterators; the same count on every machine
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Bytes of output
    #[arg(long, value_name = "BYTES")]
    max_output: Option<u64>,
    /// Run this text instead of a file; all further words are its arguments
    #[arg(short = 'c', value_name = "TEXT")]
    text: Option<String>,
    /// The program, then its arguments
    #[arg(value_name = "FILE [ARGS]", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs a command; it ends the process with the program's exit code.
pub fn run(command: &Command) -> Result<()> {
    let run = match command {
        Command::Run(run) => run,
        Command::Diff(diff) => return super::py_diff::run(diff),
    };
    let mut capabilities = pyc_driver::Capabilities::default();
    let variable = std::env::var("MYNAH_CAPABILITIES").ok();
    for list in variable.iter().chain(&run.allow) {
        capabilities.grant(list).map_err(|e| Failure::new(e.to_string()))?;
    }
    capabilities.trusted = run.trusted || std::env::var("MYNAH_TRUSTED").is_ok_and(|v| v == "1");
    let mut words = run.words.iter().cloned();
    let source = match &run.text {
        Some(text) => pyc_driver::Source::Text(text.clone()),
        None => match words.next() {
            Some(file) => pyc_driver::Source::File(PathBuf::from(file)),
            None => return Err(Failure::new("no program; name a file, or give its text with -c")),
        },
    };
    let time = match run.max_time {
        None => None,
        Some(s) => Some(
            Duration::try_from_secs_f64(s)
                .map_err(|_| Failure::new(format!("--max-time {s} is no number of seconds")))?,
        ),
    };
    let mut limits = pyc_driver::Limits::default();
    limits.time = time;
    limits.memory_bytes = run.max_memory;
    limits.steps = run.max_steps;
    limits.output_bytes = run.max_output;
    let options = pyc_driver::Options { capabilities, limits, arguments: words.collect() };
    let code = pyc_driver::run(&source, options).map_err(|e| Failure::new(e.to_string()))?;
    std::process::exit(i32::from(code));
}
