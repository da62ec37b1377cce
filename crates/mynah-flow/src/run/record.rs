//! A flow in the run ledger: the flow is a run, each of its stages a run below it.
//!
//! A flow that cannot be recorded still runs; trouble is told once.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mynah_base::time::now_ms;
use mynah_ledger::{
    ArtifactOwner, Batch, Ledger, Metric, NewRun, Param, RunStatus, RunUpdate, SearchRuns, Tag,
};

use super::{Outcome, StageReport};
use crate::pipeline::{Action, Pipeline, Stage};

const PARENT_TAG: &str = "mlflow.parentRunId";
const VALUE_CHARS_MAX: usize = 2_000;
const LOG_BYTES_MAX: u64 = 16 << 20;

/// Where flows are recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The ledger.
    pub ledger: Ledger,
    /// An experiment in it.
    pub experiment_id: String,
    /// Who runs the flow.
    pub user: String,
}

impl Recording {
    /// Marks what a killed flow left running as killed: its stages, and the flow itself unless it goes on.
    pub(crate) fn close(&self, flow_run: &str, goes_on: bool) -> mynah_ledger::Result<()> {
        let search = SearchRuns {
            experiment_ids: vec![self.experiment_id.clone()],
            filter: format!("attributes.status = 'RUNNING' and tags.`{PARENT_TAG}` = '{flow_run}'"),
            ..SearchRuns::default()
        };
        let stages = self.ledger.search_runs(&search)?.items.into_iter().map(|record| record.run.id);
        let flow = (!goes_on).then(|| flow_run.to_string());
        for run_id in stages.chain(flow) {
            let update = RunUpdate {
                status: Some(RunStatus::Killed),
                end_time_ms: Some(now_ms()),
                ..RunUpdate::default()
            };
            self.ledger.update_run(&run_id, update)?;
        }
        Ok(())
    }
}

/// The flow's run in a ledger, or none.
pub(crate) struct Recorder {
    recording: Option<Recording>,
    run_id: String,
    trouble: Mutex<Option<String>>,
}

impl Recorder {
    /// Records nothing.
    pub fn none() -> Recorder {
        Recorder { recording: None, run_id: String::new(), trouble: Mutex::new(None) }
    }

    /// Begins the flow's run, or goes on with the one it had before it was interrupted.
    pub fn begin(recording: Recording, pipeline: &Pipeline, flow_id: &str, known: Option<&str>) -> Recorder {
        let begin = || -> mynah_ledger::Result<String> {
            let ledger = &recording.ledger;
            if let Some(known) = known
                && ledger.run(known).is_ok()
            {
                let update = RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
                ledger.update_run(known, update)?;
                return Ok(known.to_string());
            }
            let tags = vec![
                Tag::new("mynah.kind", "flow"),
                Tag::new("mynah.flow.id", flow_id),
                Tag::new("mynah.flow.pipeline_digest", pipeline.digest.to_string()),
                Tag::new("mynah.folder", clip(&pipeline.folder.to_string_lossy())),
            ];
            let new = NewRun {
                experiment_id: recording.experiment_id.clone(),
                user: recording.user.clone(),
                name: Some(pipeline.name.clone()),
                tags,
                ..NewRun::default()
            };
            Ok(ledger.create_run(new)?.run.id)
        };
        match begin() {
            Ok(run_id) => Recorder { recording: Some(recording), run_id, trouble: Mutex::new(None) },
            Err(error) => Recorder {
                recording: None,
                run_id: String::new(),
                trouble: Mutex::new(Some(format!("the flow is not recorded in the ledger: {error}"))),
            },
        }
    }

    /// The flow's run, when there is one.
    pub fn run_id(&self) -> Option<&str> {
        self.recording.as_ref().map(|_| self.run_id.as_str())
    }

    /// What went wrong since the last call.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn with<T>(&self, work: impl FnOnce(&Recording) -> mynah_ledger::Result<T>) -> Option<T> {
        match work(self.recording.as_ref()?) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = format!("a part of the flow is missing in the ledger: {error}");
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                None
            }
        }
    }

    /// Begins the run of a stage and gives its id.
    pub fn stage_begins(&self, stage: &Stage) -> Option<String> {
        self.with(|recording| {
            let mut tags = vec![
                Tag::new("mynah.kind", "stage"),
                Tag::new(PARENT_TAG, &self.run_id),
                Tag::new("mynah.flow.stage", &stage.name),
            ];
            match &stage.action {
                Action::Command(command) => tags.push(Tag::new("mynah.command", clip(&command.join(" ")))),
                Action::Mynah(arguments) => {
                    tags.push(Tag::new("mynah.command", clip(&format!("mynah {}", arguments.join(" ")))));
                }
                Action::Nothing => {}
            }
            if let Some(gate) = &stage.gate {
                tags.push(Tag::new("mynah.flow.gate", clip(&gate.to_string())));
            }
            let new = NewRun {
                experiment_id: recording.experiment_id.clone(),
                user: recording.user.clone(),
                name: Some(stage.name.clone()),
                tags,
                ..NewRun::default()
            };
            Ok(recording.ledger.create_run(new)?.run.id)
        })
    }

    /// Ends the run of a stage.
    pub fn stage_ends(&self, run_id: &str, report: &StageReport) {
        self.with(|recording| {
            let ledger = &recording.ledger;
            let mut tags = vec![Tag::new("mynah.flow.outcome", report.outcome.as_str())];
            if let Some(message) = &report.message {
                tags.push(Tag::new("mynah.error", clip(message)));
            }
            // Outputs beyond what one call takes are in the flow's own cache.
            for output in report.outputs.iter().take(80) {
                let name: String = output
                    .path
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || "._-/ ".contains(*c))
                    .take(150)
                    .collect();
                tags.push(Tag::new(format!("mynah.flow.output.{name}"), &output.digest));
            }
            let params = report.key.iter().map(|key| Param::new("flow.key", key)).collect();
            let metrics = vec![
                Metric::new("flow.seconds", report.elapsed_ms as f64 / 1e3, now_ms(), 0),
                Metric::new("flow.attempts", f64::from(report.attempts), now_ms(), 0),
            ];
            ledger.log_batch(run_id, Batch { metrics, params, tags })?;
            if let Some(log) = &report.log {
                keep(ledger, run_id, "log.txt", log)?;
            }
            let update = RunUpdate {
                status: Some(status(report.outcome)),
                end_time_ms: Some(now_ms()),
                ..RunUpdate::default()
            };
            ledger.update_run(run_id, update).map(drop)
        });
    }

    /// Ends the flow's run.
    pub fn ends(&self, outcome: Outcome, trace: &Path) {
        self.with(|recording| {
            keep(&recording.ledger, &self.run_id, "trace.json", trace)?;
            let update = RunUpdate {
                status: Some(status(outcome)),
                end_time_ms: Some(now_ms()),
                ..RunUpdate::default()
            };
            recording.ledger.update_run(&self.run_id, update).map(drop)
        });
    }
}

fn keep(ledger: &Ledger, run_id: &str, name: &str, path: &Path) -> mynah_ledger::Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut start = std::io::Read::take(file, LOG_BYTES_MAX);
    ledger.put_artifact(&ArtifactOwner::Run(run_id.to_string()), name, &mut start).map(drop)
}

fn status(outcome: Outcome) -> RunStatus {
    match outcome {
        Outcome::Ran | Outcome::Cached => RunStatus::Finished,
        Outcome::Interrupted | Outcome::Skipped => RunStatus::Killed,
        Outcome::Failed | Outcome::GateFailed => RunStatus::Failed,
    }
}

fn clip(text: &str) -> String {
    text.chars().take(VALUE_CHARS_MAX).collect()
}
