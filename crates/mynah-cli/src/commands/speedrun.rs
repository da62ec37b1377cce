//! `mynah speedrun`: data → tokenizer → base model → chat model → evaluation → report.

mod assess;
mod inputs;
mod recipe;
mod state;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use mynah_base::units;
use mynah_data::Place;
use mynah_nn::derive::Plan;
use mynah_tokenizer::{Tokenizer, TrainOptions, Trainer};
use mynah_train::RunStatus;
use serde::{Deserialize, Serialize};

use super::tok::Reading;
use crate::failure::{Failure, Result};
use crate::options::{PlanOptions, RunOptions, batch_rows};
use crate::progress::Output;
use crate::recording::{RecordOptions, RecordedRun, Recording};
use crate::report::{self, Stage};
use crate::stages::finetune::Finetune;
use crate::stages::peak;
use crate::stages::pretrain::Pretrain;
use crate::stages::{Resume, has_checkpoint};
use crate::{home, interrupt};

use inputs::Inputs;
use recipe::Recipe;
use state::{Beginning, State};

/// Text that a tokenizer learns from; more does not change it for the better.
const TOKENIZER_BYTES_MAX: u64 = 2_000_000_000;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah speedrun                                            the built-in text, about ten minutes on two cores
  mynah speedrun --text notes/ 'books/*.txt' --out my-run   your own text, built-in conversations
  mynah speedrun --text notes/ --chat talks.jsonl --depth 6 --minutes 60 --out my-run
  mynah speedrun --resume                                   go on after Ctrl-C or a crash

Leaves OUT/model, OUT/tokenizer, OUT/report (and OUT/base, the model before fine-tuning).")]
pub struct Arguments {
    /// Folder of the run (default: $MYNAH_HOME/speedrun)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the unfinished run in the folder, with its options (at STEP of the unfinished stage)
    #[arg(long, value_name = "STEP", num_args = 0..=1)]
    resume: Option<Option<u64>>,
    /// Replace the run that is in the folder
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    #[command(flatten)]
    record: RecordOptions,
    #[command(flatten)]
    choices: Choices,
}

/// What decides the result of a run.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// Your own text: text, JSON Lines or Parquet; files, folders, globs
    #[arg(long, value_name = "PATH", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Your own conversations: JSON Lines with "messages", or question/answer and instruction files
    #[arg(long, value_name = "PATH", num_args = 1..)]
    chat: Vec<PathBuf>,
    /// A smoke run of some seconds: everything runs, the model is worth nothing
    #[arg(long)]
    quick: bool,
    /// Number of tokens of the tokenizer
    #[arg(long, value_name = "N")]
    vocab_size: Option<usize>,
    /// Optimizer steps of fine-tuning
    #[arg(long, value_name = "N")]
    sft_steps: Option<u64>,
    /// Held-out questions of each task in the evaluation
    #[arg(long, value_name = "N")]
    questions: Option<usize>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    run: RunOptions,
}

/// A run in progress.
struct Run {
    dir: PathBuf,
    choices: Choices,
    recipe: Recipe,
    inputs: Inputs,
    state: State,
    resume: Resume,
    /// Where the stages are recorded, below the run itself.
    recording: Option<Recording>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let dir = match &arguments.out {
        Some(out) => out.clone(),
        None => home::default_run()?,
    };
    let mut choices = absolute(&arguments.choices)?;
    if arguments.resume.is_some() && choices == Choices::default() {
        // Nobody wants to repeat the options of a run that remembers them.
        if let Some(state) = State::load(&dir)? {
            choices = state.choices;
        }
    }
    let inputs = Inputs::open(&choices, &dir)?;
    let recipe = Recipe::choose(choices.quick, inputs.own_text_bytes());
    let vocab_size = choices.vocab_size.unwrap_or(recipe.vocab_size);
    // Every setting is tried before anything is written.
    let plan = choices.plan.plan(recipe.depth, vocab_size, &recipe.plan)?;
    batch_rows(choices.run.batch_rows, &plan, recipe.pass_tokens)?;
    choices.run.seconds_max()?;
    Trainer::new(TrainOptions { vocab_size, ..TrainOptions::default() })?;

    let digests = inputs.digests();
    let state = match state::begin(&dir, &choices, &digests, arguments.resume.is_some(), arguments.force)? {
        Beginning::Fresh => State::new(command_line(), choices.clone(), digests),
        Beginning::GoOn(state) => *state,
    };
    if state.complete {
        println!("this run is already complete in {}", dir.display());
        next_step(arguments, &dir);
        return Ok(());
    }
    let recording = arguments.record.open("speedrun")?;
    std::fs::create_dir_all(&dir).map_err(|error| Failure::io("cannot create the folder", &dir, &error))?;
    state.save(&dir)?;
    let resume = arguments.resume.map_or(Resume::No, Resume::IfAny);
    let mut recorded = match &recording {
        Some(recording) => recording.begin(Some(&dir), "speedrun", arguments.resume.is_some(), Vec::new()),
        None => RecordedRun::nowhere(),
    };
    recorded.params(&serde_json::to_value(&choices).unwrap_or_default());
    recorded.status(&RunStatus::Running);
    let recording = recording.map(|recording| recording.below(&recorded, &dir));
    let interrupt = interrupt::flag()?;
    let mut run = Run { dir, choices, recipe, inputs, state, resume, recording };
    let result = run.all(&mut recorded, &interrupt);
    recorded.end(&result, interrupt.load(Ordering::Relaxed));
    result?;
    next_step(arguments, &run.dir);
    Ok(())
}

/// Of a time limit, the share that pretraining gets.
const BASE_SHARE: f64 = 2.0 / 3.0;

impl Run {
    fn all(&mut self, recorded: &mut RecordedRun, interrupt: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        if self.choices.quick {
            println!("a smoke run: everything runs, the model is worth nothing");
        }
        println!("run folder {}", self.dir.display());
        self.data()?;
        let tokenizer = self.tokenizer()?;
        let plan = self.choices.plan.plan(self.recipe.depth, tokenizer.vocab_size(), &self.recipe.plan)?;
        let peak = peak::flops();
        self.base(&tokenizer, &plan, peak, interrupt)?;
        self.model(&tokenizer, &plan, peak, interrupt)?;
        self.evaluate(&tokenizer, &plan, recorded)?;
        println!("report   {}", self.dir.join("report/report.html").display());
        println!("done in {}", units::duration(start.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Runs a stage unless it is complete, and records it.
    fn stage(&mut self, name: &str, work: impl FnOnce(&mut Run) -> Result<String>) -> Result<()> {
        if let Some(done) = self.state.stage(name) {
            println!("{name:8} {} (already complete)", done.result);
            return Ok(());
        }
        let start = Instant::now();
        let result = work(self)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{name:8} {result} ({})", units::duration(seconds));
        let stage = Stage { name: name.to_string(), seconds, result };
        self.state.finish(&self.dir.clone(), stage)
    }

    /// The built-in corpus, where the user gave no text or no conversations of their own.
    fn data(&mut self) -> Result<()> {
        for note in self.inputs.notes() {
            println!("{note}");
        }
        self.stage("data", |run| run.inputs.make(run.recipe.made, run.choices.run.seed))
    }

    fn tokenizer(&mut self) -> Result<Tokenizer> {
        let folder = self.dir.join("tokenizer");
        self.stage("tok", |run| {
            let vocab_size = run.choices.vocab_size.unwrap_or(run.recipe.vocab_size);
            let mut trainer = Trainer::new(TrainOptions { vocab_size, ..TrainOptions::default() })?;
            let corpus = run.inputs.text()?;
            let mut read = 0;
            for document in corpus.documents(Place::default()) {
                let text = document?.text;
                read += text.len() as u64;
                trainer.feed(&text);
                if read >= TOKENIZER_BYTES_MAX {
                    break;
                }
            }
            let (tokenizer, report) = trainer.finish()?;
            tokenizer.save(&run.dir.join("tokenizer"))?;
            Ok(format!("{} tokens from {}", tokenizer.vocab_size(), units::bytes(report.bytes)))
        })?;
        Ok(Tokenizer::load(&folder)?)
    }

    fn base(&mut self, tokenizer: &Tokenizer, plan: &Plan, peak: f64, interrupt: &AtomicBool) -> Result<()> {
        self.stage("base", |run| {
            let dir = run.dir.join("base");
            run.clear_unless_resumable(&dir)?;
            let text = run.inputs.text()?;
            let (held_out, part) = run.inputs.held_out_text()?;
            let outcome = Pretrain {
                plan,
                run: &run.choices.run.share(BASE_SHARE),
                batch_rows: batch_rows(run.choices.run.batch_rows, plan, run.recipe.pass_tokens)?,
                tokenizer,
                text: &text,
                validation: (&held_out, part),
                validation_tokens: run.recipe.validation_tokens,
                prompts: run.inputs.text_prompts(1)?,
                dir: &dir,
                resume: run.resume,
                output: Output::Stdout,
                peak_flops: Some(peak),
                interrupt,
                recording: run.recording.as_ref(),
                push: None,
                take: None,
            }
            .train()?;
            Ok(format!(
                "{} parameters, {} steps, {} tokens{}",
                units::count(outcome.model.num_params().total() as u64),
                outcome.state.step,
                units::count(outcome.state.tokens),
                bpb_text(outcome.state.validation_bpb)
            ))
        })
    }

    fn model(&mut self, tokenizer: &Tokenizer, plan: &Plan, peak: f64, interrupt: &AtomicBool) -> Result<()> {
        self.stage("chat", |run| {
            let dir = run.dir.join("model");
            run.clear_unless_resumable(&dir)?;
            let outcome = Finetune {
                base: &run.dir.join("base"),
                plan: Some(plan),
                run: &run.choices.run.share(1.0 - BASE_SHARE),
                steps: Some(run.choices.sft_steps.unwrap_or(run.recipe.finetune_steps)),
                rate_factor: run.recipe.finetune_rate,
                tokenizer,
                chat: run.inputs.chat()?,
                held_out: run.inputs.held_out_chat()?,
                validation_tokens: run.recipe.validation_tokens,
                prompts: run.inputs.questions(2)?,
                dir: &dir,
                resume: run.resume,
                output: Output::Stdout,
                peak_flops: Some(peak),
                interrupt,
                recording: run.recording.as_ref(),
                push: None,
                take: None,
            }
            .train()?;
            Ok(format!(
                "{} steps, {} tokens of conversations{}",
                outcome.state.step,
                units::count(outcome.state.tokens),
                bpb_text(outcome.state.validation_bpb)
            ))
        })
    }

    fn evaluate(&mut self, tokenizer: &Tokenizer, plan: &Plan, recorded: &mut RecordedRun) -> Result<()> {
        let start = Instant::now();
        let assessment = assess::assess(self, tokenizer)?;
        let seconds = start.elapsed().as_secs_f64();
        let result = assessment.summary();
        println!("{:8} {result} ({})", "eval", units::duration(seconds));
        let mut stages = self.state.stages.clone();
        stages.push(Stage { name: "eval".to_string(), seconds, result: result.clone() });
        let figures = assessment.figures();
        let page = assess::page(self, plan, assessment, stages)?;
        report::write(&page, &self.dir.join("report"))?;
        recorded.metrics(0, &figures);
        for name in ["report.html", "report.md", "report.json"] {
            recorded.file(&format!("report/{name}"), &self.dir.join("report").join(name));
        }
        self.state.complete = true;
        self.state.finish(&self.dir.clone(), Stage { name: "eval".to_string(), seconds, result })
    }

    /// A folder of a stage that did not come to its first checkpoint holds nothing to go on from.
    fn clear_unless_resumable(&self, dir: &Path) -> Result<()> {
        let resumable = self.resume != Resume::No && has_checkpoint(dir);
        if resumable || !dir.exists() {
            return Ok(());
        }
        std::fs::remove_dir_all(dir).map_err(|error| Failure::io("cannot remove", dir, &error))
    }
}

fn bpb_text(bpb: Option<f64>) -> String {
    bpb.map(|bpb| format!(", {bpb:.4} bits per byte")).unwrap_or_default()
}

/// The choices with paths that mean the same from any folder.
fn absolute(choices: &Choices) -> Result<Choices> {
    let paths = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| {
                std::path::absolute(path).map_err(|error| Failure::io("cannot use the path", path, &error))
            })
            .collect::<Result<Vec<_>>>()
    };
    Ok(Choices { text: paths(&choices.text)?, chat: paths(&choices.chat)?, ..choices.clone() })
}

/// The command as it was given, ready for a shell.
fn command_line() -> String {
    let mut words = vec!["mynah".to_string()];
    words.extend(std::env::args().skip(1).map(|word| quoted(&word)));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c));
    if plain { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// What to do now, as a command that works from here.
fn next_step(arguments: &Arguments, dir: &Path) {
    let program = std::env::args().next().unwrap_or_else(|| "mynah".to_string());
    let program = if program.contains("target/") { "cargo run --release --" } else { "mynah" };
    let model = match &arguments.out {
        Some(_) => format!(" --model {}", quoted(&dir.display().to_string())),
        None => String::new(),
    };
    println!("now run `mynah chat`: {program} chat{model}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("books/a.txt"), "books/a.txt");
        assert_eq!(quoted("my books/*.txt"), "'my books/*.txt'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
