//! `mynah eval`: how good is a model?

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mynah_data::Corpus;
use mynah_data::tasks::Task;

use super::tok::{Reading, warn};
use crate::failure::{Failure, Result};
use crate::model::LoadedModel;
use crate::recording::RecordOptions;
use crate::stages::{grade, measure, text_dataset};

#[derive(Subcommand)]
pub enum Command {
    /// Bits per byte on a text: how well the model predicts it, whatever its tokenizer
    Bpb(Bpb),
    /// Ask held-out questions: spelling, counting letters, addition
    Tasks(Tasks),
    /// Programming tasks, graded by running what the model wrote
    #[command(name = "humaneval")]
    HumanEval(Box<super::humaneval::HumanEval>),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah eval bpb --model my-run held-out.txt --json\n\nEach document is read on its own, in windows of the model's context; lower is better."
)]
pub struct Bpb {
    /// Text, JSON Lines or Parquet: files, folders, globs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A run's folder or a model's own (default: the last speedrun)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Stop after about this many tokens
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    tokens_max: u64,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah eval tasks --model my-run --tasks spelling,addition --questions 200"
)]
pub struct Tasks {
    /// A run's folder or a model's own (default: the last speedrun)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Which tasks: spelling, counting, length, addition (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tasks: Vec<String>,
    /// Questions of each task
    #[arg(long, value_name = "N", default_value_t = 100)]
    questions: usize,
    /// Seed of the questions
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Show some wrong answers
    #[arg(long)]
    mistakes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Bpb(arguments) => bpb(arguments),
        Command::Tasks(arguments) => tasks(arguments),
        Command::HumanEval(options) => super::humaneval::run(options),
    }
}

fn bpb(arguments: &Bpb) -> Result<()> {
    // A ledger that was named and cannot be used is told before the work, not after it.
    let recording = arguments.record.open("eval")?;
    let model = LoadedModel::open(arguments.model.as_deref(), arguments.tokenizer.as_deref())?;
    let corpus = Corpus::open(&arguments.files, arguments.reading.options())?;
    let result = measure::text(&model.gpt, &model.tokenizer, &corpus, None, arguments.tokens_max)?;
    warn(result.replaced, result.skipped);
    let measured = result.measured;
    if let Some(recording) = recording {
        let params = serde_json::json!({ "model": model.folder(), "files": arguments.files });
        let figures = [("bits_per_byte", measured.bits_per_byte()), ("loss", measured.loss())];
        recording.evaluation(&params, &figures, vec![text_dataset(&corpus, "eval")?]);
    }
    if arguments.json {
        let json = serde_json::json!({
            "bits_per_byte": measured.bits_per_byte(), "loss": measured.loss(), "bytes": measured.bytes,
            "tokens": measured.tokens, "documents": result.documents, "model": model.folder(),
        });
        println!("{json}");
    } else {
        println!(
            "{:.4} bits per byte ({:.4} nats a token; {} tokens, {} documents)",
            measured.bits_per_byte(),
            measured.loss(),
            measured.tokens,
            result.documents
        );
    }
    Ok(())
}

fn tasks(arguments: &Tasks) -> Result<()> {
    let mut chosen = Vec::new();
    for name in &arguments.tasks {
        chosen.push(Task::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = Task::ALL.iter().map(|task| task.name()).collect();
            Failure::new(format!("no task is called '{name}'"))
                .at("--tasks")
                .advice(format!("choose from {}", known.join(", ")))
        })?);
    }
    if chosen.is_empty() {
        chosen.extend(Task::ALL);
    }
    if arguments.questions == 0 {
        return Err(Failure::new("no questions to ask").at("--questions 0").advice("ask at least one"));
    }
    let recording = arguments.record.open("eval")?;
    let model = LoadedModel::open(arguments.model.as_deref(), arguments.tokenizer.as_deref())?;
    let mut grades = Vec::new();
    for task in chosen {
        let grade = grade::grade(&model.gpt, &model.tokenizer, task, arguments.questions, arguments.seed)?;
        if !arguments.json {
            println!(
                "{:10} {:5.1}%  ({} of {})",
                task.name(),
                100.0 * grade.accuracy(),
                grade.right,
                grade.questions
            );
            if arguments.mistakes {
                for (question, answer, expected) in &grade.mistakes {
                    println!("    asked: {question}\n    said:  {answer}\n    right: {expected}");
                }
            }
        }
        grades.push(grade);
    }
    if let Some(recording) = recording {
        let params = serde_json::json!({
            "model": model.folder(), "questions": arguments.questions, "seed": arguments.seed,
        });
        let figures: Vec<(&str, f64)> = grades.iter().map(|g| (g.task.name(), g.accuracy())).collect();
        recording.evaluation(&params, &figures, Vec::new());
    }
    if arguments.json {
        let json: Vec<_> = grades.iter().map(grade::Grade::json).collect();
        println!("{}", serde_json::Value::Array(json));
    }
    Ok(())
}
