//! `mynah chat`: one answer with `-p`, or a conversation in the terminal.

mod conversation;
mod terminal;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use mynah_engine::{Finish, Part};

use super::Sampling;
use crate::failure::{Failure, Result};
use crate::model::{LoadedModel, Voice};

pub use conversation::Talk;

/// Cooler than 1: small models wander.
pub const TEMPERATURE: f64 = 0.6;
/// The most text that is read from stdin as one prompt.
const STDIN_BYTES_MAX: u64 = 16 << 20;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah chat                                   talk to the last speedrun's model
  mynah chat --model my-run -p \"What is 17 + 25?\"    print the answer alone

In the conversation, /help lists the commands; Ctrl-C stops an answer, Ctrl-D ends.")]
pub struct Arguments {
    /// A run's folder or a model's own (default: the last speedrun)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Print the answer to this text alone, and exit; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Instructions for the whole conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Go on with a conversation that /save wrote
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    #[command(flatten)]
    sampling: Sampling,
    /// With -p: one JSON object {"answer","tool_calls","tokens","finish"}
    #[arg(long, requires = "prompt")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let model = LoadedModel::open(arguments.model.as_deref(), arguments.tokenizer.as_deref())?;
    let voice = Voice::new(&model.gpt, &model.tokenizer);
    let mut options = arguments.sampling.options(TEMPERATURE);
    // One question has one best answer; a conversation may vary.
    if arguments.prompt.is_some() && arguments.sampling.temperature.is_none() {
        options.temperature = 0.0;
    }
    options.check()?;
    let mut talk = Talk::new(&voice, &model.tokenizer, options);
    talk.tokens_max = arguments.sampling.max_tokens;
    talk.stops.clone_from(&arguments.sampling.stop);
    if let Some(file) = &arguments.load {
        talk.load(file)?;
    }
    if let Some(system) = &arguments.system {
        talk.set_system(system);
    }
    match &arguments.prompt {
        Some(prompt) => once(arguments, &mut talk, prompt),
        None if std::io::stdin().is_terminal() => terminal::interactive(&mut talk, model.folder()),
        None => terminal::from_pipe(&mut talk),
    }
}

fn once(arguments: &Arguments, talk: &mut Talk<'_>, prompt: &str) -> Result<()> {
    let from_stdin;
    let prompt = if prompt == "-" {
        from_stdin = read_stdin()?;
        from_stdin.trim_end_matches(['\r', '\n'])
    } else {
        prompt
    };
    if prompt.trim().is_empty() {
        return Err(Failure::new("the prompt is empty").at("-p").advice("write a question"));
    }
    let answer = talk.ask(prompt, &mut |_| true)?;
    if arguments.json {
        println!("{}", answer.json());
    } else {
        println!("{}", answer.text.trim());
    }
    Ok(())
}

fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(STDIN_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("cannot read", Path::new("stdin"), &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The reason an answer ended, as other programs name it.
pub fn finish_name(finish: &Finish) -> &'static str {
    match finish {
        Finish::StopToken(_) | Finish::StopText(_) => "stop",
        Finish::MaxTokens => "length",
        Finish::ContextFull => "context",
        Finish::Cancelled => "cancelled",
    }
}

/// How a part of an answer is shown.
pub(crate) fn is_tool(part: Part) -> bool {
    part != Part::Answer
}
