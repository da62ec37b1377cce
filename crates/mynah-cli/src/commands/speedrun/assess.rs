//! The last stage: scores, samples, and the report's page.

use std::ops::ControlFlow;

use mynah_base::units;
use mynah_data::tasks::Task;
use mynah_engine::{Limits, Request, SamplingOptions};
use mynah_nn::derive::Plan;
use mynah_nn::{Gpt, GptConfig, ParamCounts};
use mynah_tokenizer::{Special, Tokenizer};
use mynah_train::MetricsRow;
use mynah_train::metrics::read_rows;

use super::{Run, bpb_text};
use crate::commands::chat::Talk;
use crate::failure::Result;
use crate::model::{self, Voice};
use crate::report::{self, Chart, Exchange, Report, Score, Series, Stage};
use crate::stages::grade::{self, Grade};
use crate::stages::measure;

const SAMPLE_TOKENS: usize = 160;
const SAMPLE_TEMPERATURE: f64 = 0.7;

/// What the evaluation found.
pub struct Assessment {
    base_bpb: f64,
    base_documents: u64,
    held_out: bool,
    chat_bpb: Option<f64>,
    grades: Vec<Grade>,
    conversations: Vec<Exchange>,
    samples: Vec<(String, String)>,
    parameters: ParamCounts,
}

impl Assessment {
    /// Names and values for the ledger; accuracies between 0 and 1.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let mut figures =
            vec![("bits_per_byte", self.base_bpb), ("parameters", self.parameters.total() as f64)];
        figures.extend(self.chat_bpb.map(|bpb| ("chat_bits_per_byte", bpb)));
        figures.extend(self.grades.iter().map(|grade| (grade.task.name(), grade.accuracy())));
        figures
    }

    /// One line for the terminal.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{:.4} bits per byte", self.base_bpb)];
        parts.extend(self.grades.iter().map(|g| format!("{} {:.0}%", g.task.name(), 100.0 * g.accuracy())));
        parts.join(", ")
    }
}

/// Measures the base model on held-out text and the chat model on held-out questions.
pub fn assess(run: &Run, tokenizer: &Tokenizer) -> Result<Assessment> {
    let base = model::load(&run.dir.join("base"), tokenizer)?;
    let (corpus, part) = run.inputs.held_out_text()?;
    let measured = measure::text(&base, tokenizer, &corpus, part, run.recipe.measured_tokens)?;
    let mut samples = Vec::new();
    for prompt in run.inputs.text_prompts(4)? {
        let text = continuation(&base, tokenizer, &prompt, run.choices.run.seed)?;
        samples.push((prompt, text));
    }
    drop(base);

    let chat = model::load(&run.dir.join("model"), tokenizer)?;
    let mut grades = Vec::new();
    if run.inputs.builtin_chat() {
        let count = run.choices.questions.unwrap_or(run.recipe.questions);
        for task in Task::ALL {
            grades.push(grade::grade(&chat, tokenizer, task, count, run.choices.run.seed)?);
        }
    }
    let mut conversations = Vec::new();
    let voice = Voice::new(&chat, tokenizer);
    for question in run.inputs.questions(8)? {
        let mut talk = Talk::new(&voice, tokenizer, SamplingOptions::greedy());
        talk.tokens_max = SAMPLE_TOKENS;
        // A question that does not fit the context is no sample.
        if let Ok(answer) = talk.ask(&question, &mut |_| true) {
            conversations.push(Exchange { question, answer: answer.text, tool_calls: answer.tool_calls });
        }
    }
    let chat_bpb = rows(run, "model").iter().rev().find_map(|row| row.validation_bpb);
    Ok(Assessment {
        base_bpb: measured.measured.bits_per_byte(),
        base_documents: measured.documents,
        held_out: run.inputs.holds_out_text()?,
        chat_bpb,
        grades,
        conversations,
        samples,
        parameters: chat.num_params(),
    })
}

fn continuation(gpt: &Gpt, tokenizer: &Tokenizer, prompt: &str, seed: u64) -> Result<String> {
    let bos = tokenizer.special(Special::Bos);
    let mut ids = vec![bos];
    ids.extend(tokenizer.encode_ordinary(prompt));
    let request = Request {
        prompt: ids,
        rows: 1,
        first_row: 0,
        options: SamplingOptions { temperature: SAMPLE_TEMPERATURE, seed, ..SamplingOptions::default() },
        limits: Limits { max_tokens: SAMPLE_TOKENS, stop_ids: vec![bos], stop_texts: Vec::new() },
    };
    let voice = Voice::new(gpt, tokenizer);
    let rows = voice.plain_generator().generate(&request, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(rows.into_iter().next().map(|row| row.text).unwrap_or_default())
}

/// The report of a run.
pub fn page(run: &Run, plan: &Plan, found: Assessment, stages: Vec<Stage>) -> Result<Report> {
    let total: f64 = stages.iter().map(|stage| stage.seconds).sum();
    let pair = |name: &str, value: String| (name.to_string(), value);
    let mut highlights = vec![
        pair("bits per byte", format!("{:.3}", found.base_bpb)),
        pair("parameters", units::count(found.parameters.total() as u64)),
    ];
    for grade in &found.grades {
        highlights.push(pair(grade.task.name(), format!("{:.0}%", 100.0 * grade.accuracy())));
    }
    highlights.push(pair("total time", units::duration(total)));
    if let Some(peak) = report::peak_memory_bytes() {
        highlights.push(pair("peak memory", units::bytes(peak)));
    }
    Ok(Report {
        title: "Mynah speedrun".to_string(),
        notice: run.choices.quick.then(|| {
            "This was a smoke run (--quick): it shows that everything runs, and its scores mean nothing."
                .to_string()
        }),
        command: run.state.command.clone(),
        highlights,
        scores: scores(&found),
        charts: charts(run),
        conversations: found.conversations,
        samples: found.samples,
        settings: settings(run, plan, &found.parameters),
        stages,
        system: report::facts(),
    })
}

fn scores(found: &Assessment) -> Vec<Score> {
    let mut scores = vec![Score {
        name: "bits per byte, base model".to_string(),
        value: format!("{:.4}", found.base_bpb),
        note: match found.held_out {
            true => format!("{} held-out documents, each on its own", found.base_documents),
            false => "on text the model learned from: a single document leaves none to hold out".to_string(),
        },
        number: found.base_bpb,
    }];
    if let Some(bpb) = found.chat_bpb {
        scores.push(Score {
            name: "bits per byte, chat model".to_string(),
            value: format!("{bpb:.4}"),
            note: "the assistant's words in held-out conversations".to_string(),
            number: bpb,
        });
    }
    for grade in &found.grades {
        scores.push(Score {
            name: grade.task.name().to_string(),
            value: format!("{:.1}%", 100.0 * grade.accuracy()),
            note: format!("{} of {} held-out questions, most likely answer", grade.right, grade.questions),
            number: grade.accuracy(),
        });
    }
    scores
}

/// The recorded figures of a stage; a record that cannot be read leaves out a picture, not the report.
fn rows(run: &Run, stage: &str) -> Vec<MetricsRow> {
    read_rows(&run.dir.join(stage).join("metrics.jsonl")).unwrap_or_default()
}

fn charts(run: &Run) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (stage, name) in [("base", "Pretraining"), ("model", "Fine-tuning")] {
        let rows = rows(run, stage);
        let points = |value: fn(&MetricsRow) -> Option<f64>| -> Vec<(f64, f64)> {
            rows.iter().filter_map(|row| value(row).map(|y| (row.step as f64, y))).collect()
        };
        let series = |name: &str, points, dots| Series { name: name.to_string(), points, dots };
        let loss = points(|row| row.smooth_loss.or(row.loss));
        if loss.len() > 1 {
            charts.push(Chart {
                title: format!("{name} loss"),
                x_label: "step".to_string(),
                y_label: "nats a token".to_string(),
                series: vec![series("training", loss, false)],
            });
        }
        let bpb = points(|row| row.validation_bpb);
        if bpb.len() > 1 {
            charts.push(Chart {
                title: format!("{name} validation"),
                x_label: "step".to_string(),
                y_label: "bits per byte".to_string(),
                series: vec![series("validation", bpb, true)],
            });
        }
    }
    charts
}

fn settings(run: &Run, plan: &Plan, parameters: &ParamCounts) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut add = |name: &str, value: String| settings.push((name.to_string(), value));
    let GptConfig { n_layer, n_embd, n_head, n_kv_head, sequence_len, vocab_size, .. } = plan.config;
    add("text", run.inputs.text_name());
    add("conversations", run.inputs.chat_name());
    add("depth", n_layer.to_string());
    add("width", n_embd.to_string());
    add("heads", format!("{n_head} (key/value {n_kv_head})"));
    add("context", format!("{sequence_len} tokens"));
    add("vocabulary", vocab_size.to_string());
    add(
        "parameters",
        format!(
            "{} (embedding {}, value embeddings {}, matrices {}, head {})",
            units::count(parameters.total() as u64),
            units::count(parameters.embedding as u64),
            units::count(parameters.value_embeddings as u64),
            units::count(parameters.matrices as u64),
            units::count(parameters.head as u64)
        ),
    );
    add("batch", format!("{} tokens", plan.batch_tokens));
    add("pretraining steps", plan.steps.to_string());
    add("fine-tuning steps", run.choices.sft_steps.unwrap_or(run.recipe.finetune_steps).to_string());
    add("seed", run.choices.run.seed.to_string());
    for (name, row) in [("base", rows(run, "base")), ("model", rows(run, "model"))] {
        if let Some(last) = row.last() {
            let rate = last.tokens as f64 / last.seconds.max(1e-9);
            add(
                &format!("{name}: last step"),
                format!(
                    "{}, {} tokens/s{}{}",
                    last.step,
                    units::count(rate as u64),
                    last.utilisation.map(|u| format!(", MFU {:.0}%", 100.0 * u)).unwrap_or_default(),
                    bpb_text(last.validation_bpb)
                ),
            );
        }
    }
    for line in plan.explain().lines() {
        if let Some((name, rule)) = line.split_once(':') {
            add(&format!("rule: {}", name.trim()), rule.trim().to_string());
        }
    }
    settings
}
