//! `mynah flow`: pipelines of programs, cached by content, that go on after any kill.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mynah_base::units;
use mynah_flow::{Event, Observer, Options, Pipeline, Recording, latest_journal};

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::recording::{self, RecordOptions};

#[derive(Subcommand)]
pub enum Command {
    /// Run a pipeline, or go on with an interrupted run of it
    Run(Run),
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah flow run pipeline.toml
  mynah flow run pipeline.toml --target evaluate --workers 2
  mynah flow run pipeline.toml --replay          the order of the last run again; differences are told

A pipeline:
  [[stage]]
  name = \"train\"
  mynah = [\"speedrun\", \"--quick\", \"--out\", \"run\"]
  outputs = [\"run/model\", \"run/report\"]
  [[stage]]
  name = \"evaluate\"
  needs = [\"train\"]
  command = [\"sh\", \"-c\", \"cp run/report/report.json eval.json\"]
  inputs = [\"run/report\"]
  outputs = [\"eval.json\"]

A stage whose command, inputs and environment are known from before is not run but restored. After a kill the
same command goes on. Leaves a journal, logs and a Perfetto trace.")]
pub struct Run {
    /// The pipeline
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only these stages and what they need (may be given several times)
    #[arg(long, value_name = "STAGE")]
    target: Vec<String>,
    /// Stages at once (default: all cores)
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Run every stage, whatever the cache has
    #[arg(long)]
    force: bool,
    /// Repeat the order of a journal, by default of the last run
    #[arg(long, value_name = "JOURNAL", num_args = 0..=1)]
    replay: Option<Option<PathBuf>>,
    #[command(flatten)]
    record: RecordOptions,
    /// Print the result as JSON (progress then goes to stderr)
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<()> {
    let Command::Run(arguments) = command;
    if arguments.workers == Some(0) {
        return Err(Failure::new("no workers").at("--workers 0").advice("give at least 1"));
    }
    let pipeline = Pipeline::load(&arguments.file)?;
    let folder = arguments.file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), |parent| parent.to_path_buf());
    let replay = match &arguments.replay {
        None => None,
        Some(Some(journal)) => Some(journal.clone()),
        Some(None) => Some(latest_journal(&folder)?.ok_or_else(|| {
            Failure::new("there is no run to repeat").at_path(&folder).advice("run the pipeline first")
        })?),
    };
    let recording = arguments.record.open("flow")?.map(|recording| {
        let (ledger, experiment_id) = recording.parts();
        Recording { ledger, experiment_id, user: recording::actor() }
    });
    let defaults = Options::default();
    let options = Options {
        workers: arguments.workers.unwrap_or(defaults.workers),
        force: arguments.force,
        targets: arguments.target.clone(),
        stop: interrupt::flag()?,
        replay,
        recording,
        ..defaults
    };
    let report = mynah_flow::run(&pipeline, &options, &Console { to_stderr: arguments.json })?;
    if arguments.json {
        println!("{}", serde_json::to_value(&report).unwrap_or_default());
    } else {
        report.differences.iter().for_each(|difference| println!("differs: {difference:?}"));
        println!("{} · journal, logs and trace in {}", report.outcome().as_str(), report.folder.display());
    }
    if report.is_success() {
        return Ok(());
    }
    let failed = report.stages.iter().filter(|stage| !stage.outcome.is_success()).count();
    let advice = match report.outcome() {
        mynah_flow::Outcome::Interrupted => "the same command goes on",
        _ => "mend it and run the same command: what is done stays done",
    };
    Err(Failure::new(format!("{failed} of {} stages did not succeed", report.stages.len())).advice(advice))
}

struct Console {
    to_stderr: bool,
}

impl Observer for Console {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Began { run_id, is_resumed, stages } => {
                let how = if *is_resumed { "goes on" } else { "begins" };
                format!("flow {run_id} {how}: {stages} stage(s)")
            }
            Event::StageBegan { name, .. } => format!("{name}: begins"),
            Event::Attempt { .. } => return,
            Event::Retry { name, attempt, message, wait_s } => {
                format!("{name}: attempt {attempt} failed ({message}); again in {}", units::duration(*wait_s))
            }
            Event::StageEnded(stage) => {
                let why = stage.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                let took = units::duration(stage.elapsed_ms as f64 / 1e3);
                format!("{}: {} ({took}){why}", stage.name, stage.outcome.as_str())
            }
            Event::Note(text) => format!("note: {text}"),
        };
        if self.to_stderr { eprintln!("{line}") } else { println!("{line}") }
    }
}
