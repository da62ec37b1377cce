//! `mynah train`: one stage of training alone.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mynah_base::units;
use mynah_data::chat::{self, ChatOptions};
use mynah_data::{Corpus, Split};
use mynah_nn::derive::Overrides;
use mynah_tokenizer::Tokenizer;
use mynah_train::{ModelFacts, Outcome};

use super::tok::{Reading, warn};
use crate::failure::{Failure, Result};
use crate::options::{PlanOptions, RunOptions, batch_rows};
use crate::progress::Output;
use crate::recording::RecordOptions;
use crate::stages::finetune::Finetune;
use crate::stages::pretrain::Pretrain;
use crate::stages::push::PushOptions;
use crate::stages::take::TakeOptions;
use crate::stages::{Resume, peak};
use crate::{home, interrupt};

/// Depth when nothing is asked: minutes to hours on a laptop.
const DEPTH: usize = 4;
/// Tokens of validation while training.
const VALIDATION_TOKENS: usize = 32_768;
/// Tokens that go through the model at once.
const PASS_TOKENS: u64 = 4096;
/// Fine-tuning rates as a share of pretraining's, as in the recipe.
const FINETUNE_RATE: f64 = 0.8;

#[derive(Subcommand)]
pub enum Command {
    /// Pretrain a base model on text
    Base(Box<Base>),
    /// Fine-tune a model on conversations
    Sft(Box<Sft>),
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah train base --text books/ --tokenizer my-tokenizer --depth 4 --context 256 --out my-base
  mynah train base --text books/ --tokenizer my-tokenizer --depth 4 --context 256 --out my-base --resume
  mynah train base --text books/ --tokenizer my-tokenizer --explain --depth 6

Ctrl-C saves and ends. --resume needs the same options; the result is the same as without the stop.")]
pub struct Base {
    /// Text, JSON Lines or Parquet: files, folders, globs
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Text to measure on (default: a held-out part of --text)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    held_out: Vec<PathBuf>,
    /// Folder with tokenizer.json
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,
    /// Folder for the model
    #[arg(long, value_name = "DIR", required_unless_present = "explain")]
    out: Option<PathBuf>,
    /// Print how every number follows from the depth, and end
    #[arg(long)]
    explain: bool,
    /// Go on from the last checkpoint in the folder, or from that of STEP
    #[arg(long, value_name = "STEP", num_args = 0..=1)]
    resume: Option<Option<u64>>,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON (progress then goes to stderr)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    push: PushOptions,
    #[command(flatten)]
    take: TakeOptions,
    #[command(flatten)]
    record: RecordOptions,
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah train sft --model my-base --chat talks.jsonl --out my-chat

  mynah train sft --model my-base --chat talks.jsonl --out my-chat --push-to http://127.0.0.1:8000 --push-every 5

Conversations are JSON Lines with \"messages\", or question/answer and instruction/response files.
Ctrl-C saves and ends; --resume goes on.")]
pub struct Sft {
    /// Folder of the base model, or of a run
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Files of conversations
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    chat: Vec<PathBuf>,
    /// Conversations to measure on
    #[arg(long, value_name = "PATH", num_args = 1..)]
    held_out: Vec<PathBuf>,
    /// Folder for the model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Optimizer steps (default: once through all conversations)
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Learning rates as a share of pretraining's
    #[arg(long, value_name = "X", default_value_t = FINETUNE_RATE)]
    rate: f64,
    /// Refuse records that are no conversations instead of skipping and counting them
    #[arg(long)]
    strict: bool,
    /// Go on from the last checkpoint in the folder, or from that of STEP
    #[arg(long, value_name = "STEP", num_args = 0..=1)]
    resume: Option<Option<u64>>,
    /// Print the result as JSON (progress then goes to stderr)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    push: PushOptions,
    #[command(flatten)]
    take: TakeOptions,
    #[command(flatten)]
    record: RecordOptions,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Base(arguments) => base(arguments),
        Command::Sft(arguments) => sft(arguments),
    }
}

fn base(arguments: &Base) -> Result<()> {
    let tokenizer = Tokenizer::load(&arguments.tokenizer)?;
    let plan = arguments.plan.plan(DEPTH, tokenizer.vocab_size(), &Overrides::default())?;
    let rows = batch_rows(arguments.run.batch_rows, &plan, PASS_TOKENS)?;
    let out = match (&arguments.out, arguments.explain) {
        (Some(out), false) => out,
        _ => {
            print!("{}", plan.explain());
            return Ok(());
        }
    };
    let text = Corpus::open(&arguments.text, arguments.reading.options())?;
    let other;
    let validation = if arguments.held_out.is_empty() {
        (&text, Some(Split::Validation))
    } else {
        other = Corpus::open(&arguments.held_out, arguments.reading.options())?;
        (&other, None)
    };
    let recording = arguments.record.open("train")?;
    let interrupt = interrupt::flag()?;
    let outcome = Pretrain {
        plan: &plan,
        run: &arguments.run,
        batch_rows: rows,
        tokenizer: &tokenizer,
        text: &text,
        validation,
        validation_tokens: VALIDATION_TOKENS,
        prompts: vec!["The".to_string()],
        dir: out,
        resume: arguments.resume.map_or(Resume::No, Resume::From),
        output: output(arguments.json),
        peak_flops: Some(peak::flops()),
        interrupt: &interrupt,
        recording: recording.as_ref(),
        push: Some(&arguments.push),
        take: Some(&arguments.take),
    }
    .train();
    keep_tokenizer(out, &tokenizer)?;
    done(&outcome?, out, arguments.json);
    Ok(())
}

fn sft(arguments: &Sft) -> Result<()> {
    if !(arguments.rate > 0.0 && arguments.rate.is_finite()) {
        return Err(Failure::new(format!("the rate is {}", arguments.rate))
            .at("--rate")
            .advice("give a number above 0"));
    }
    let folders = home::find_model(Some(&arguments.model), arguments.tokenizer.as_deref())?;
    let tokenizer = Tokenizer::load(&folders.tokenizer)?;
    let options = ChatOptions { strict: arguments.strict, ..ChatOptions::default() };
    let loaded = chat::load(&arguments.chat, &options)?;
    warn(loaded.replaced, 0);
    output(arguments.json).line(&loaded.summary());
    let held_out = match arguments.held_out.as_slice() {
        [] => Vec::new(),
        paths => chat::load(paths, &options)?.conversations,
    };
    let recording = arguments.record.open("train")?;
    let interrupt = interrupt::flag()?;
    let outcome = Finetune {
        base: &folders.model,
        plan: None,
        run: &arguments.run,
        steps: arguments.steps,
        rate_factor: arguments.rate,
        tokenizer: &tokenizer,
        chat: loaded.conversations,
        held_out,
        validation_tokens: VALIDATION_TOKENS,
        prompts: vec!["Hello!".to_string()],
        dir: &arguments.out,
        resume: arguments.resume.map_or(Resume::No, Resume::From),
        output: output(arguments.json),
        peak_flops: Some(peak::flops()),
        interrupt: &interrupt,
        recording: recording.as_ref(),
        push: Some(&arguments.push),
        take: Some(&arguments.take),
    }
    .train();
    keep_tokenizer(&arguments.out, &tokenizer)?;
    done(&outcome?, &arguments.out, arguments.json);
    Ok(())
}

/// Puts the tokenizer beside the model, so that the folder alone is enough to use it, also when training was
/// interrupted. A folder with another tokenizer's model is left alone.
fn keep_tokenizer(out: &Path, tokenizer: &Tokenizer) -> Result<()> {
    match ModelFacts::load(out)? {
        Some(facts) if facts.tokenizer_digest == tokenizer.digest() => {
            Ok(tokenizer.save(&out.join("tokenizer"))?)
        }
        _ => Ok(()),
    }
}

fn output(json: bool) -> Output {
    if json { Output::Stderr } else { Output::Stdout }
}

fn done(outcome: &Outcome, out: &Path, json: bool) {
    let state = &outcome.state;
    if json {
        let json = serde_json::json!({
            "out": out, "steps": state.step, "tokens": state.tokens, "seconds": outcome.seconds,
            "validation_bpb": state.validation_bpb, "parameters": outcome.model.num_params().total(),
        });
        println!("{json}");
        return;
    }
    println!(
        "{} parameters, {} steps, {} tokens, {}{} in {}",
        units::count(outcome.model.num_params().total() as u64),
        state.step,
        units::count(state.tokens),
        state.validation_bpb.map(|bpb| format!("{bpb:.4} bits per byte, ")).unwrap_or_default(),
        units::duration(outcome.seconds),
        out.display()
    );
}
