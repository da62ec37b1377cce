//! `mynah py`: Python programs without CPython.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Result};

/// `mynah py`, with a command or as a session.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Without a command, an interactive session. Example:
  mynah py --allow fs.read=."
)]
pub struct Py {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    grants: Grants,
}

/// The commands.
#[derive(Subcommand)]
enum Command {
    /// Run a Python program with nothing but what it is granted
    Run(Box<Run>),
    /// Make one executable of a program: no Python, no compiler, no linker needed
    Build(super::py_build::Build),
    /// Tell what is in an executable that build made
    Inspect(super::py_build::Inspect),
    /// Find syntax errors and imports that nothing answers
    Check(super::py_build::Check),
    /// Run tests: pytest's functions, classes and fixtures, and unittest's
    Test(super::py_test::Test),
    /// Compare programs with CPython: output, exit code, exception
    Diff(super::py_diff::Diff),
    /// Time programs against other Pythons, in turns, outputs compared
    Bench(super::py_bench::Bench),
    /// List the modules of the standard library
    Stdlib(super::py_build::Stdlib),
    /// One module of `test --regrtest`, in a process of its own
    #[command(name = super::py_regrtest::WORKER, hide = true)]
    RegrtestWorker {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// What a program may do, and its bounds.
#[derive(Args, Clone)]
pub struct Grants {
    /// Capabilities: fs.read=DIR, fs.write=DIR, net.connect=HOST:PORT, net.listen=HOST:PORT, env.read=NAME, clock,
    /// random, process (also from MYNAH_CAPABILITIES)
    #[arg(long, value_name = "CAP,...")]
    pub allow: Vec<String>,
    /// Allow everything (also MYNAH_TRUSTED=1)
    #[arg(long)]
    pub trusted: bool,
    /// Seconds after which the program is ended
    #[arg(long, value_name = "S")]
    max_time: Option<f64>,
    /// Bytes of memory
    #[arg(long, value_name = "BYTES")]
    pub max_memory: Option<u64>,
    /// Steps: rounds of loops, calls, items of iterators; the same count on every machine
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Bytes of output
    #[arg(long, value_name = "BYTES")]
    pub max_output: Option<u64>,
}

impl Grants {
    /// The capabilities, with those of the environment.
    pub fn capabilities(&self) -> Result<pyc_driver::Capabilities> {
        let mut capabilities = pyc_driver::Capabilities::default();
        let variable = std::env::var("MYNAH_CAPABILITIES").ok();
        for list in variable.iter().chain(&self.allow) {
            capabilities.grant(list).map_err(|e| Failure::new(e.to_string()))?;
        }
        capabilities.trusted = self.trusted || std::env::var("MYNAH_TRUSTED").is_ok_and(|v| v == "1");
        Ok(capabilities)
    }

    /// The limit on time.
    pub fn time(&self) -> Result<Option<Duration>> {
        self.max_time
            .map(|s| {
                Duration::try_from_secs_f64(s)
                    .map_err(|_| Failure::new(format!("--max-time {s} is no number of seconds")))
            })
            .transpose()
    }

    fn options(&self, arguments: Vec<String>) -> Result<pyc_driver::Options> {
        let mut limits = pyc_driver::Limits::default();
        limits.time = self.time()?;
        limits.memory_bytes = self.max_memory;
        limits.steps = self.max_steps;
        limits.output_bytes = self.max_output;
        Ok(pyc_driver::Options {
            capabilities: self.capabilities()?,
            limits,
            arguments,
            ..Default::default()
        })
    }
}

/// Options of `mynah py run`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah py run app.py input.txt --allow fs.read=.,clock
  mynah py run --max-time 2 --max-memory 256000000 untrusted.py")]
pub struct Run {
    #[command(flatten)]
    grants: Grants,
    /// Run in a process that the system holds apart: no network, no new processes or files (Linux on x86-64, aarch64)
    #[arg(long)]
    worker: bool,
    /// What runs functions: interp (the interpreter), native (machine code from the first call), auto (machine code
    /// where it pays: functions with loops, and those that are called often)
    #[arg(long, value_name = "TIER", default_value = "interp")]
    tier: String,
    /// Run this text instead of a file; all further words are its arguments
    #[arg(short = 'c', value_name = "TEXT")]
    text: Option<String>,
    /// The program, then its arguments
    #[arg(value_name = "FILE [ARGS]", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs a command; most end the process with an exit code of their own.
pub fn run(py: &Py) -> Result<()> {
    super::py_build::install_library();
    match &py.command {
        None => super::py_repl::run(py.grants.options(Vec::new())?),
        Some(Command::Run(run)) => program(run),
        Some(Command::Build(build)) => super::py_build::build(build),
        Some(Command::Inspect(inspect)) => super::py_build::inspect(inspect),
        Some(Command::Check(check)) => super::py_build::check(check),
        Some(Command::Test(test)) => super::py_test::run(test),
        Some(Command::Diff(diff)) => super::py_diff::run(diff),
        Some(Command::Bench(bench)) => super::py_bench::run(bench),
        Some(Command::Stdlib(stdlib)) => super::py_build::stdlib(stdlib),
        Some(Command::RegrtestWorker { arguments }) => super::py_regrtest::work(arguments),
    }
}

fn program(run: &Run) -> Result<()> {
    let mut words = run.words.iter().cloned();
    let source = match &run.text {
        Some(text) => pyc_driver::Source::Text(text.clone()),
        None => match words.next() {
            Some(file) => pyc_driver::Source::File(PathBuf::from(file)),
            None => return Err(Failure::new("no program; name a file, or give its text with -c")),
        },
    };
    let fail = |e: pyc_driver::Error| Failure::new(e.to_string());
    let mut options = run.grants.options(words.collect())?;
    options.tier = run.tier.parse().map_err(fail)?;
    let source = if run.worker { source.read().map_err(fail)? } else { source };
    if run.worker {
        pyc_driver::confine(&options).map_err(fail)?;
    }
    let code = pyc_driver::run(&source, options).map_err(fail)?;
    std::process::exit(i32::from(code));
}
