//! `mynah eval humaneval`: programming tasks, graded by running what the model wrote.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use mynah_engine::{Limits, Request, SamplingOptions};
use mynah_tokenizer::Special;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::model::{LoadedModel, Voice};
use crate::recording::RecordOptions;
use crate::stages::code::{CodeJudge, Judged};

/// Options of `mynah eval humaneval`.
#[derive(Args)]
#[command(after_help = "\
Example:
  mynah eval humaneval --data HumanEval.jsonl.gz --model my-run --samples 5 --temperature 0.8
  mynah eval humaneval --data HumanEval.jsonl.gz --canonical

Each completion runs with its tests in a process of its own, without files, network and clock.
--canonical grades the data's own solutions instead of a model's: the check of the checker.")]
pub struct HumanEval {
    /// The tasks: JSON Lines, also gzipped
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// A run's folder or a model's own (default: the last speedrun)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Another tokenizer than the one beside the model
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Grade the data's own solutions
    #[arg(long, conflicts_with_all = ["model", "tokenizer", "samples", "temperature"])]
    canonical: bool,
    /// Only the first N tasks
    #[arg(long, value_name = "N")]
    tasks: Option<usize>,
    /// Completions of each task
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples: u32,
    /// 0 is always the likeliest completion
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// The longest completion in tokens
    #[arg(long, value_name = "N", default_value_t = 384)]
    max_tokens: usize,
    /// Seed of the completions
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// One JSON object for each task, then one for all
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

/// A task.
struct Task {
    id: String,
    prompt: String,
    canonical: String,
    tests: String,
}

/// Where the function is over: the next thing at the margin.
const ENDS: [&str; 6] = ["\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n@"];

const DATA_BYTES_MAX: u64 = 64 << 20;

fn read(path: &Path) -> Result<Vec<Task>> {
    let bytes = std::fs::read(path).map_err(|e| Failure::io("cannot read the tasks", path, &e))?;
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(&*bytes).take(DATA_BYTES_MAX).read_to_string(&mut text)
    } else {
        (&*bytes).take(DATA_BYTES_MAX).read_to_string(&mut text)
    };
    read.map_err(|e| Failure::io("cannot read the tasks", path, &e))?;
    let mut tasks = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let place = format!("{} line {}", path.display(), number + 1);
        let task: Value = serde_json::from_str(line)
            .map_err(|e| Failure::new(format!("a task is not JSON: {e}")).at(&place))?;
        let part = |key: &str| {
            task[key]
                .as_str()
                .map(str::to_string)
                .ok_or_else(|| Failure::new(format!("a task has no '{key}'")).at(&place))
        };
        tasks.push(Task {
            id: part("task_id")?,
            prompt: part("prompt")?,
            canonical: part("canonical_solution")?,
            tests: format!("{}\ncheck({})\n", part("test")?, part("entry_point")?),
        });
    }
    if tasks.is_empty() {
        return Err(Failure::new("there are no tasks").at_path(path));
    }
    Ok(tasks)
}

/// Completes and grades.
pub fn run(options: &HumanEval) -> Result<()> {
    let recording = options.record.open("eval")?;
    let mut tasks = read(&options.data)?;
    tasks.truncate(options.tasks.unwrap_or(usize::MAX));
    let judge = CodeJudge::new()?;
    let model = match options.canonical {
        true => None,
        false => Some(LoadedModel::open(options.model.as_deref(), options.tokenizer.as_deref())?),
    };
    let voice = model.as_ref().map(|m| Voice::new(&m.gpt, &m.tokenizer));
    let (mut solved, mut count, mut rewards) = (0, 0, 0.0);
    for task in &tasks {
        let completions = match (&voice, &model) {
            (Some(voice), Some(model)) => complete(voice, model, task, options)?,
            _ => vec![task.canonical.clone()],
        };
        let judged: Vec<_> =
            completions.iter().map(|c| judge.judge(&format!("{}{c}", task.prompt), &task.tests)).collect();
        let right = judged.iter().filter(|j| j.passed).count();
        count += judged.len();
        rewards += judged.iter().map(Judged::reward).sum::<f64>();
        solved += usize::from(right > 0);
        if options.json {
            let errors: Vec<&str> = judged.iter().filter(|j| !j.passed).map(|j| j.error.as_str()).collect();
            let line = json!({ "task": task.id, "samples": judged.len(), "passed": right, "errors": errors });
            println!("{line}");
        } else if right < judged.len() {
            let error = judged.iter().find(|j| !j.passed).map_or("", |j| &j.error);
            println!("{}: {right} of {} pass ({error})", task.id, judged.len());
        }
    }
    let pass_at_1 = rewards / count.max(1) as f64;
    if let Some(recording) = recording {
        let params = json!({
            "model": model.as_ref().map(LoadedModel::folder), "data": options.data, "samples": options.samples,
            "temperature": options.temperature, "seed": options.seed,
        });
        recording.evaluation(&params, &[("humaneval_pass_at_1", pass_at_1)], Vec::new());
    }
    if options.json {
        println!("{}", json!({ "tasks": tasks.len(), "solved": solved, "pass_at_1": pass_at_1 }));
    } else {
        println!(
            "pass@1 {:.1}%  ({solved} of {} tasks solved by some sample)",
            100.0 * pass_at_1,
            tasks.len()
        );
    }
    Ok(())
}

fn complete(voice: &Voice, model: &LoadedModel, task: &Task, options: &HumanEval) -> Result<Vec<String>> {
    let bos = model.tokenizer.special(Special::Bos);
    let mut prompt = vec![bos];
    prompt.extend(model.tokenizer.encode_ordinary(&task.prompt));
    let request = Request {
        prompt,
        rows: options.samples as usize,
        first_row: 0,
        options: SamplingOptions {
            temperature: options.temperature,
            seed: options.seed,
            ..SamplingOptions::default()
        },
        limits: Limits {
            max_tokens: options.max_tokens,
            stop_ids: vec![bos],
            stop_texts: ENDS.iter().map(|e| e.to_string()).collect(),
        },
    };
    let rows = voice.plain_generator().generate(&request, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}
