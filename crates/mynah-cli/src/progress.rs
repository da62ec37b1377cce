//! What people see of a training run: a bar in a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mynah_base::units;
use mynah_engine::{Limits, Request, SamplingOptions};
use mynah_nn::Gpt;
use mynah_tokenizer::chat::{self, Conversation, Message, Role};
use mynah_tokenizer::{Special, Tokenizer};
use mynah_train::{Observer, Progress, TrainConfig};

use crate::model::Voice;

/// Plain lines come at most this often, besides those that validate.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const SAMPLE_TOKENS: usize = 48;

/// Where lines for people go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Progress on stdout: nothing else is there.
    Stdout,
    /// Progress on stderr: stdout is for JSON.
    Stderr,
}

impl Output {
    /// Prints a line for people.
    pub fn line(self, text: &str) {
        match self {
            // A reader who has gone away does not stop a training run.
            Output::Stdout => {
                drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}\n")))
            }
            Output::Stderr => eprintln!("{text}"),
        }
    }
}

/// What to let a model say while it trains.
pub enum Prompts {
    /// Texts to continue.
    Text(Vec<String>),
    /// Questions to answer.
    Chat(Vec<String>),
}

/// Shows a run as it goes.
pub struct Console {
    name: &'static str,
    output: Output,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    tokenizer: Tokenizer,
    prompts: Prompts,
}

impl Console {
    pub fn new(name: &'static str, output: Output, tokenizer: &Tokenizer, prompts: Prompts) -> Console {
        Console { name, output, bar: None, last_line: None, tokenizer: tokenizer.clone(), prompts }
    }

    /// A line for people, beside the bar.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.output.line(text),
        }
    }

    /// The figures of a step after its number.
    fn figures(progress: &Progress) -> String {
        let row = &progress.row;
        let mut text = String::new();
        let mut add = |part: String| {
            if !text.is_empty() {
                text.push_str(" · ");
            }
            text.push_str(&part);
        };
        if let Some(loss) = row.smooth_loss.or(row.loss) {
            add(format!("loss {loss:.3}"));
        }
        if let Some(bpb) = row.validation_bpb {
            add(format!("validation {bpb:.4} bits per byte"));
        }
        if let Some(rate) = row.tokens_per_second {
            add(format!("{} tokens/s", units::count(rate as u64)));
        }
        if let Some(share) = row.utilisation {
            add(format!("MFU {:.0}%", 100.0 * share));
        }
        if let Some(left) = progress.seconds_left {
            add(format!("{} left", units::duration(left)));
        }
        if !progress.position.is_empty() {
            add(progress.position.clone());
        }
        text
    }
}

impl Observer for Console {
    fn started(&mut self, config: &TrainConfig, step: u64) {
        if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
            let bar =
                ProgressBar::with_draw_target(Some(config.schedule.steps), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:28.cyan/dim} {pos}/{len}  {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar.set_prefix(self.name);
            bar.set_position(step);
            self.bar = Some(bar);
        }
        if step > 0 {
            self.say(&format!("{}: going on after step {step}", self.name));
        }
    }

    fn step(&mut self, progress: &Progress) {
        let figures = Self::figures(progress);
        let step = progress.row.step;
        match &self.bar {
            Some(bar) => {
                bar.set_length(progress.steps);
                bar.set_position(step);
                bar.set_message(figures);
                if let Some(bpb) = progress.row.validation_bpb {
                    bar.println(format!("{} step {step}: validation {bpb:.4} bits per byte", self.name));
                }
                if step >= progress.steps {
                    bar.finish();
                }
            }
            None => {
                let due = self.last_line.is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
                if due || progress.row.validation_bpb.is_some() || step >= progress.steps {
                    self.output.line(&format!("{} {step}/{}: {figures}", self.name, progress.steps));
                    self.last_line = Some(Instant::now());
                }
            }
        }
    }

    fn sample(&mut self, _step: u64, model: &Gpt) {
        let (prompts, is_chat) = match &self.prompts {
            Prompts::Text(prompts) => (prompts, false),
            Prompts::Chat(prompts) => (prompts, true),
        };
        for prompt in prompts {
            if let Some(text) = say_something(model, &self.tokenizer, prompt, is_chat) {
                let arrow = if is_chat { " → " } else { " ⟶" };
                self.say(&format!("  {prompt}{arrow}{text}"));
            }
        }
    }

    fn saved(&mut self, step: u64, path: &Path) {
        if self.bar.is_none() {
            self.output.line(&format!("{} {step}: saved {}", self.name, path.display()));
        }
    }

    fn taken(&mut self, step: u64, name: &str) {
        self.say(&format!("step {step}: goes on with weights {name}"));
    }

    fn warning(&mut self, message: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("note: {message}")),
            None => eprintln!("note: {message}"),
        }
    }
}

/// The most likely continuation, on one line; nothing when the model cannot (that is not worth ending a
/// run for).
fn say_something(gpt: &Gpt, tokenizer: &Tokenizer, prompt: &str, is_chat: bool) -> Option<String> {
    let bos = tokenizer.special(Special::Bos);
    let ids = if is_chat {
        let conversation = Conversation { messages: vec![Message::text(Role::User, prompt)] };
        chat::render_for_completion(tokenizer, &conversation).ok()?
    } else {
        let mut ids = vec![bos];
        ids.extend(tokenizer.encode_ordinary(prompt));
        ids
    };
    let request = Request {
        prompt: ids,
        rows: 1,
        first_row: 0,
        options: SamplingOptions::greedy(),
        limits: Limits {
            max_tokens: SAMPLE_TOKENS,
            stop_ids: vec![bos, tokenizer.special(Special::AssistantEnd)],
            stop_texts: Vec::new(),
        },
    };
    let voice = Voice::new(gpt, tokenizer);
    let generator = if is_chat { voice.generator() } else { voice.plain_generator() };
    let rows = generator.generate(&request, &mut |_, _| ControlFlow::Continue(())).ok()?;
    let words: Vec<&str> = rows.first()?.text.split_whitespace().collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mynah_train::metrics::MetricsRow;

    #[test]
    fn figures_leave_out_what_is_not_known() {
        let mut progress =
            Progress { row: MetricsRow::default(), steps: 10, seconds_left: None, position: String::new() };
        assert_eq!(Console::figures(&progress), "");
        progress.row.smooth_loss = Some(2.5);
        progress.row.tokens_per_second = Some(3521.0);
        progress.row.utilisation = Some(0.614);
        progress.seconds_left = Some(75.0);
        assert_eq!(Console::figures(&progress), "loss 2.500 · 3.5K tokens/s · MFU 61% · 1m 15s left");
    }
}
