//! The `mynah` binary: one program for the whole life of a language model.
//!
//! The key decision is that nothing is computed here. A command reads its options, calls the crates that
//! know (tokenizer, data, train, engine), shows progress and prints the result; what two commands share
//! ([`home`], [`model`], [`progress`], [`report`]) stands beside [`commands`]. Train and engine do not
//! know each other: this crate gives the one's models to the other.
//!
//! An error is one line, `error: what; where; what to do`, and an exit code that is not 0. What was on
//! the disk before a failed command is still there after it.

mod calculator;
mod commands;
mod failure;
mod home;
mod interrupt;
mod model;
mod options;
mod progress;
mod recording;
mod report;
mod stages;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use failure::Result;

/// Train your own small language model from text, evaluate it, and talk to it.
#[derive(Parser)]
#[command(
    name = "mynah",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Start here:
  mynah speedrun            train a model on the built-in text, about ten minutes on two cores
  mynah chat                talk to it
  mynah speedrun --text my.txt --out my-model     the same on your own text

Every command has --help with an example. MYNAH_HOME moves the folder where runs are kept
(default ~/.local/share/mynah); MYNAH_THREADS or --threads limits the threads."
)]
struct Cli {
    /// Threads to compute with (default: all cores, or MYNAH_THREADS)
    #[arg(long, global = true, display_order = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// From text to a chat model in one command
    Speedrun(Box<commands::speedrun::Arguments>),
    /// Talk to a model
    Chat(commands::chat::Arguments),
    /// Serve a model to OpenAI's and Anthropic's clients
    Serve(Box<commands::serve::Serve>),
    /// Measure how fast this machine serves a model
    #[command(subcommand)]
    Bench(commands::bench::Command),
    /// Let a model continue a text
    Sample(commands::sample::Arguments),
    /// Train a base model, or fine-tune one on conversations
    #[command(subcommand)]
    Train(commands::train::Command),
    /// Measure a model
    #[command(subcommand)]
    Eval(commands::eval::Command),
    /// Train and use tokenizers
    #[command(subcommand)]
    Tok(commands::tok::Command),
    /// Make, fetch and look at training data
    #[command(subcommand)]
    Data(commands::data::Command),
    /// Run pipelines: stages cached by content, resumed after any kill
    #[command(subcommand)]
    Flow(commands::flow::Command),
    /// Look at recorded runs, compare and check them, serve them to MLflow clients
    #[command(subcommand)]
    Runs(commands::runs::Command),
    /// Versions of weights: what they are, what changed, and how they get to servers
    #[command(subcommand)]
    Weights(commands::weights::Command),
    /// Run, build and test Python programs with nothing but what they are granted; a session without a command
    Py(Box<commands::py::Py>),
}

/// Counts by thread what `mynah py run --max-memory` limits.
#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn main() -> ExitCode {
    end_quietly_on_a_closed_pipe();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if let Some(threads) = cli.threads {
        mynah_kernels::pool::set_threads(threads as usize);
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `mynah … | head` closes the pipe before everything is said; that is no reason for a backtrace. 141 is what
/// a shell reports for a program that a closed pipe ended.
fn end_quietly_on_a_closed_pipe() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(141);
        }
        usual(info);
    }));
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Speedrun(arguments) => commands::speedrun::run(&arguments),
        Command::Chat(arguments) => commands::chat::run(&arguments),
        Command::Sample(arguments) => commands::sample::run(&arguments),
        Command::Train(command) => commands::train::run(&command),
        Command::Eval(command) => commands::eval::run(&command),
        Command::Tok(command) => commands::tok::run(&command),
        Command::Data(command) => commands::data::run(&command),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Bench(command) => commands::bench::run(&command),
        Command::Flow(command) => commands::flow::run(&command),
        Command::Runs(command) => commands::runs::run(&command),
        Command::Weights(command) => commands::weights::run(&command),
        Command::Py(command) => commands::py::run(&command),
    }
}

/// Help and version as clap writes them; mistakes in one line like every other error.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`mynah --help | head -1`) is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            eprintln!("{}", one_line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// The part of clap's message before the usage, on one line.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let text = text.replace("For more information, try '--help'.", "");
    format!("{}; see --help", text.trim().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let told = |sub: &&clap::Command| sub.get_name() != "help" && !sub.is_hide_set();
            for sub in command.get_subcommands().filter(told) {
                let path = format!("{path} {}", sub.get_name());
                if sub.has_subcommands() {
                    check(sub, &path);
                } else {
                    let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.contains(&path), "`{path} --help` needs an example");
                }
            }
        }
        check(&Cli::command(), "mynah");
    }

    #[test]
    fn usage_errors_are_one_line() {
        for arguments in [
            vec!["mynah", "tok", "train"],
            vec!["mynah", "nonsense"],
            vec!["mynah", "chat", "--no-such"],
            vec!["mynah", "sample", "--threads", "0"],
        ] {
            let error = Cli::try_parse_from(&arguments).err().map(|e| one_line(&e.to_string())).unwrap();
            assert!(error.starts_with("error: ") && !error.contains('\n'), "{error}");
            assert!(error.ends_with("; see --help"), "{error}");
        }
    }
}
