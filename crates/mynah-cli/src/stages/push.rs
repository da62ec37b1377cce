//! Weights go into live servers while they are trained.
//!
//! Each push is `mynah weights push` in a process of its own: training goes on beside it, and what goes wrong there does
//! not end a training run. One push is under way at a time; the next waits for it, so that a server gets every version
//! that was due.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;
use mynah_base::units;
use mynah_nn::{Gpt, checkpoint};
use mynah_train::{Observer, Progress, TrainConfig};
use serde_json::Value;

use crate::commands::serve::ADMIN_KEY_VARIABLE;
use crate::failure::{Failure, Result};
use crate::progress::Console;

/// Where weights go while they are trained.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Pushing into live servers")]
pub struct PushOptions {
    /// Push the weights into this server (may be given several times), one of `mynah serve --admin-key`
    #[arg(long, value_name = "URL", num_args = 1..)]
    push_to: Vec<String>,
    /// After every N steps, and at the end
    #[arg(long, value_name = "N", default_value_t = 10, requires = "push_to", value_parser = clap::value_parser!(u64).range(1..))]
    push_every: u64,
    /// What becomes of answers under way: finish, continue, recompute, abort
    #[arg(long, value_name = "HOW", default_value = "finish", requires = "push_to", value_parser = ["finish", "continue", "recompute", "abort"])]
    push_policy: String,
    /// Sign what is pushed with this Ed25519 key
    #[arg(long, value_name = "FILE", requires = "push_to")]
    push_key: Option<PathBuf>,
    /// The servers' admin key (also MYNAH_ADMIN_KEY)
    #[arg(long, value_name = "K", requires = "push_to")]
    admin_key: Option<String>,
}

impl PushOptions {
    /// What pushes, if something is to be pushed. `folder` is the run's.
    ///
    /// # Errors
    /// When there is no admin key, or this program is not found.
    pub fn start(&self, folder: &Path) -> Result<Option<Pusher>> {
        if self.push_to.is_empty() {
            return Ok(None);
        }
        let key = self.admin_key.clone().or_else(|| std::env::var(ADMIN_KEY_VARIABLE).ok());
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| {
            Failure::new("no admin key").advice("give the servers' one: --admin-key K, or MYNAH_ADMIN_KEY")
        })?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
        Ok(Some(Pusher {
            options: self.clone(),
            key,
            program,
            folder: folder.join("pushes"),
            under_way: None,
            pushed: None,
        }))
    }
}

/// A push that is under way.
struct UnderWay {
    step: u64,
    weights: PathBuf,
    process: Child,
}

/// Pushes versions one after the other.
pub struct Pusher {
    options: PushOptions,
    key: String,
    program: PathBuf,
    /// Where versions lie until they have been pushed.
    folder: PathBuf,
    under_way: Option<UnderWay>,
    /// The weights that the servers have: what the next push sends is the difference.
    pushed: Option<PathBuf>,
}

impl Pusher {
    /// Begins to push the weights of a step; gives lines for people.
    fn push(&mut self, step: u64, model: &Gpt) -> Vec<String> {
        let mut lines = self.finish();
        if let Err(error) = self.begin(step, model) {
            lines.push(format!("step {step}: not pushed: {error}"));
        }
        lines
    }

    fn begin(&mut self, step: u64, model: &Gpt) -> Result<()> {
        let weights = self.folder.join(format!("step-{step:08}"));
        fs::create_dir_all(&weights)
            .map_err(|error| Failure::io("cannot create the folder", &weights, &error))?;
        checkpoint::save_model(&weights, model)?;
        let options = &self.options;
        let mut command = Command::new(&self.program);
        command.args(["weights", "push", "--json", "--no-record", "--policy", &options.push_policy]);
        for server in &options.push_to {
            command.args(["--to", server]);
        }
        if let Some(key) = &options.push_key {
            command.arg("--key").arg(key);
        }
        if let Some(base) = &self.pushed {
            command.arg("--base").arg(base);
        }
        // A command line can be read by everybody on the machine.
        command.arg("--").arg(&weights).env(ADMIN_KEY_VARIABLE, &self.key);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command
            .spawn()
            .map_err(|error| Failure::io("cannot start the push with", &self.program, &error))?;
        self.under_way = Some(UnderWay { step, weights, process });
        Ok(())
    }

    /// Waits for the push that is under way; gives a line for people.
    pub fn finish(&mut self) -> Vec<String> {
        let Some(UnderWay { step, weights, process }) = self.under_way.take() else { return Vec::new() };
        // One line of JSON, and one of an error: neither fills a pipe.
        let line = match process.wait_with_output() {
            Ok(output) if output.status.success() => {
                let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
                self.keep(weights);
                let servers = match self.options.push_to.as_slice() {
                    [one] => one.clone(),
                    several => format!("{} servers", several.len()),
                };
                format!(
                    "step {step}: pushed to {servers}, {} in {:.2} s",
                    units::bytes(report["sent_bytes"].as_u64().unwrap_or(0)),
                    report["send_seconds"].as_f64().unwrap_or(0.0)
                        + report["update_seconds"].as_f64().unwrap_or(0.0)
                )
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
                self.forget(&weights);
                format!("step {step}: the push failed and training goes on: {why}")
            }
            Err(error) => {
                self.forget(&weights);
                format!("step {step}: the push failed and training goes on: {error}")
            }
        };
        vec![line]
    }

    /// These weights are the servers' now.
    fn keep(&mut self, weights: PathBuf) {
        if let Some(before) = self.pushed.replace(weights) {
            self.forget(&before);
        }
    }

    /// What cannot be removed costs space and nothing else.
    fn forget(&self, weights: &Path) {
        let _ = fs::remove_dir_all(weights);
    }
}

impl Drop for Pusher {
    /// A push that is under way is not left alone: the next would wait for its end.
    fn drop(&mut self) {
        self.finish();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The console, and the servers that get the weights.
pub struct Watching {
    pub console: Console,
    pub pusher: Option<Pusher>,
}

impl Watching {
    /// Waits for the last push.
    pub fn finish(&mut self) {
        let lines = self.pusher.as_mut().map(Pusher::finish).unwrap_or_default();
        lines.iter().for_each(|line| self.console.say(line));
    }
}

impl Observer for Watching {
    fn started(&mut self, config: &TrainConfig, step: u64) {
        self.console.started(config, step);
    }

    fn step(&mut self, progress: &Progress) {
        self.console.step(progress);
    }

    fn weights(&mut self, step: u64, is_last: bool, model: &Gpt) {
        let Some(pusher) = &mut self.pusher else { return };
        if is_last || step.is_multiple_of(pusher.options.push_every) {
            let lines = pusher.push(step, model);
            lines.iter().for_each(|line| self.console.say(line));
        }
    }

    fn taken(&mut self, step: u64, name: &str) {
        self.console.taken(step, name);
    }

    fn sample(&mut self, step: u64, model: &Gpt) {
        self.console.sample(step, model);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.console.saved(step, path);
    }

    fn warning(&mut self, message: &str) {
        self.console.warning(message);
    }
}
