//! Carrying a plan out, and taking it back.

use std::fs;
use std::path::{Component, Path, PathBuf};

use mynah_ledger::{ArtifactOwner, CheckOptions, Ledger, Lifecycle, RunStatus, RunUpdate, Stage, Tag};
use serde::{Deserialize, Serialize};

use super::ASIDE;
use super::action::Action;
use super::plan::{Plan, Step};
use crate::error::{Error, Result};
use crate::view::{content_path, digest_of};
use crate::{files, now_ms};

const FOLDER: &str = "governance/repairs";

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Written down, not yet tried: the program ended in between.
    Intended,
    /// It was done.
    Done,
    /// It had been done before.
    AlreadyDone,
    /// The store is no longer as the plan found it; nothing was touched.
    Conflict {
        /// What differs.
        why: String,
    },
    /// The ledger or the disk refused.
    Failed {
        /// What it said.
        why: String,
    },
}

/// A step and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// The step.
    pub step: Step,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a repair did; enough to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The plan's id.
    pub plan: String,
    /// Who did it.
    pub by: String,
    /// When.
    pub at_ms: i64,
    /// Step by step.
    pub results: Vec<StepResult>,
}

impl Receipt {
    /// Where it lies among the shared artifacts.
    pub fn path(&self) -> String {
        format!("{FOLDER}/{}-{}.json", self.plan, self.at_ms)
    }

    /// Steps with this outcome: done.
    pub fn done(&self) -> usize {
        self.results.iter().filter(|result| result.outcome == Outcome::Done).count()
    }
}

/// How the store stands to an action.
enum State {
    Ready,
    Done,
    Conflict(String),
}

/// Carries a plan out as `by`. What was done before is not done again; what changed since the plan was made is
/// left alone. The receipt lies in the ledger, under [`Receipt::path`], from before the first change on.
///
/// # Errors
/// When the ledger cannot be read, or the receipt cannot be written; then nothing was changed.
pub fn apply(ledger: &Ledger, plan: &Plan, by: &str) -> Result<Receipt> {
    carry_out(ledger, &plan.id, plan.steps.clone(), by)
}

/// Takes back what a receipt says was done, last step first. A step whose result somebody has changed since is
/// left alone.
///
/// # Errors
/// As [`apply`].
pub fn undo(ledger: &Ledger, receipt: &Receipt, by: &str) -> Result<Receipt> {
    let was_tried = |result: &&StepResult| matches!(result.outcome, Outcome::Done | Outcome::Intended);
    let steps = receipt
        .results
        .iter()
        .rev()
        .filter(was_tried)
        .filter_map(|result| Some(Step { action: result.step.action.inverse()?, ..result.step.clone() }));
    carry_out(ledger, &crate::short_id(&["undo", &receipt.path()]), steps.collect(), by)
}

/// All receipts, oldest first.
///
/// # Errors
/// When the ledger cannot be read.
pub fn receipts(ledger: &Ledger) -> Result<Vec<Receipt>> {
    let mut receipts: Vec<Receipt> = files::read_all(ledger, &ArtifactOwner::Shared, FOLDER)?;
    receipts.sort_by(|a, b| (a.at_ms, &a.plan).cmp(&(b.at_ms, &b.plan)));
    Ok(receipts)
}

fn carry_out(ledger: &Ledger, plan_id: &str, steps: Vec<Step>, by: &str) -> Result<Receipt> {
    let ledger = ledger.with_actor(crate::actor(by));
    let mut receipt =
        Receipt { plan: plan_id.to_string(), by: by.to_string(), at_ms: now_ms(), results: Vec::new() };
    let mut is_any_ready = false;
    for step in steps {
        let outcome = match state(&ledger, &step.action)? {
            State::Ready => Outcome::Intended,
            State::Done => Outcome::AlreadyDone,
            State::Conflict(why) => Outcome::Conflict { why },
        };
        is_any_ready |= outcome == Outcome::Intended;
        receipt.results.push(StepResult { step, outcome });
    }
    if !is_any_ready {
        return Ok(receipt);
    }
    files::write(&ledger, &ArtifactOwner::Shared, &receipt.path(), &receipt)?;
    for result in receipt.results.iter_mut().filter(|result| result.outcome == Outcome::Intended) {
        result.outcome = match execute(&ledger, &result.step.action) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed { why: error.to_string() },
        };
    }
    files::write(&ledger, &ArtifactOwner::Shared, &receipt.path(), &receipt)?;
    Ok(receipt)
}

fn compare<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T, before: &T, what: &str) -> State {
    if found == wanted {
        State::Done
    } else if found == before {
        State::Ready
    } else {
        State::Conflict(format!("{what} is {found:?}, expected was {before:?}"))
    }
}

fn state(ledger: &Ledger, action: &Action) -> Result<State> {
    let record = |run_id: &str| match ledger.run(run_id) {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind() == mynah_ledger::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    let gone = |run_id: &str| State::Conflict(format!("there is no run {run_id}"));
    Ok(match action {
        Action::SetTag { run_id, key, value, was } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            let found = record.data.tag(key).map(str::to_string);
            // The name is kept twice; both must be right before this is done.
            if key == "mlflow.runName" && found == *was && record.run.name != *value {
                return Ok(State::Ready);
            }
            compare(&found, &Some(value.clone()), was, "the tag")
        }
        Action::DeleteTag { run_id, key, was } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            compare(&record.data.tag(key).map(str::to_string), &None, &Some(was.clone()), "the tag")
        }
        Action::SetStatus { run_id, status, was, end_time_ms, end_was_ms } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            let found = (record.run.status.as_str().to_string(), record.run.end_time_ms);
            let wanted = (status.clone(), end_time_ms.or(found.1));
            compare(&found, &wanted, &(was.clone(), *end_was_ms), "status and end")
        }
        Action::DeleteRun { run_id } | Action::RestoreRun { run_id } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            let wants_deleted = matches!(action, Action::DeleteRun { .. });
            let is_deleted = record.run.lifecycle == Lifecycle::Deleted;
            if is_deleted == wants_deleted { State::Done } else { State::Ready }
        }
        Action::Quarantine { run_id, reason, was } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            let found = record.run.quarantine.map(|quarantine| quarantine.reason);
            compare(&found, &Some(reason.clone()), was, "the reason of the quarantine")
        }
        Action::Release { run_id, was } => {
            let Some(record) = record(run_id)? else { return Ok(gone(run_id)) };
            let found = record.run.quarantine.map(|quarantine| quarantine.reason);
            compare(&found, &None, &Some(was.clone()), "the reason of the quarantine")
        }
        Action::Mend => {
            let report = ledger.check(&CheckOptions::default())?;
            if report.findings.iter().any(|finding| finding.mendable) { State::Ready } else { State::Done }
        }
        Action::NameContent { run_id, path, digest, was } => {
            let found = artifact_digest(ledger, run_id, path)?;
            let place = content_path(ledger.artifact_dir(), digest);
            // A row with the right digest and the wrong length is put right by the same step.
            let is_mismeasured = found.as_ref() == Some(digest)
                && fs::metadata(&place)
                    .is_ok_and(|file| artifact_size(ledger, run_id, path) != Some(file.len()));
            if is_mismeasured {
                return Ok(State::Ready);
            }
            match compare(&found, &Some(digest.clone()), was, "the artifact's digest") {
                State::Ready => match digest_of(&place) {
                    Ok(sound) if sound == *digest => State::Ready,
                    Ok(_) => {
                        State::Conflict(format!("the content {digest} is damaged; restore it from a backup"))
                    }
                    Err(error) => State::Conflict(format!(
                        "the content {digest} cannot be read ({error}); restore it from a backup"
                    )),
                },
                other => other,
            }
        }
        Action::DeleteArtifact { run_id, path, was } => compare(
            &artifact_digest(ledger, run_id, path)?,
            &None,
            &Some(was.clone()),
            "the artifact's digest",
        ),
        Action::SetStage { model, version, stage, was } => match ledger.model_version(model, *version) {
            Ok(found) => compare(&found.stage.as_str().to_string(), stage, was, "the stage"),
            Err(error) if error.kind() == mynah_ledger::ErrorKind::NotFound => {
                State::Conflict(error.to_string())
            }
            Err(error) => return Err(error.into()),
        },
        Action::MoveAside { path } => {
            let (from, to) = aside(ledger.artifact_dir(), path)?;
            // Restored meanwhile, or never damaged: a sound content stays where it is.
            if digest_of(&from).is_ok_and(|digest| digest == path.replace('/', "")) {
                return Ok(State::Conflict(format!("the content {path} is sound")));
            }
            moved(&from, &to)
        }
        Action::PutBack { path } => {
            let (to, from) = aside(ledger.artifact_dir(), path)?;
            moved(&from, &to)
        }
    })
}

fn moved(from: &Path, to: &Path) -> State {
    match (from.exists(), to.exists()) {
        (true, false) => State::Ready,
        (false, true) => State::Done,
        (true, true) => State::Conflict(format!("{} is there already", to.display())),
        (false, false) => State::Conflict(format!("there is no file {}", from.display())),
    }
}

/// A file of the artifact folder, and where it is moved to. A receipt is read back from a file: its paths are not
/// trusted.
fn aside(artifact_dir: &Path, path: &str) -> Result<(PathBuf, PathBuf)> {
    let parts: Vec<Component> = Path::new(path).components().collect();
    let is_inside = parts.len() == 2 && parts.iter().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside || path.starts_with(ASIDE) {
        return Err(Error::argument(format!("'{path}' is no file of the artifact folder")));
    }
    Ok((artifact_dir.join(path), artifact_dir.join(ASIDE).join(path.replace('/', "-"))))
}

fn artifact_digest(ledger: &Ledger, run_id: &str, path: &str) -> Result<Option<String>> {
    let artifacts = ledger.walk_artifacts(&ArtifactOwner::Run(run_id.to_string()))?;
    Ok(artifacts.into_iter().find(|artifact| artifact.path == path).map(|artifact| artifact.digest))
}

fn artifact_size(ledger: &Ledger, run_id: &str, path: &str) -> Option<u64> {
    let artifacts = ledger.walk_artifacts(&ArtifactOwner::Run(run_id.to_string())).ok()?;
    artifacts.into_iter().find(|artifact| artifact.path == path).map(|artifact| artifact.size_bytes)
}

fn execute(ledger: &Ledger, action: &Action) -> Result<()> {
    match action {
        Action::SetTag { run_id, key, value, .. } => ledger.set_tag(run_id, Tag::new(key, value))?,
        Action::DeleteTag { run_id, key, .. } => ledger.delete_tag(run_id, key)?,
        Action::SetStatus { run_id, status, end_time_ms, .. } => {
            let status = RunStatus::parse(status)
                .ok_or_else(|| Error::argument(format!("'{status}' is no status of a run")))?;
            let update = RunUpdate { status: Some(status), end_time_ms: *end_time_ms, name: None };
            ledger.update_run(run_id, update)?;
        }
        Action::DeleteRun { run_id } => ledger.delete_run(run_id)?,
        Action::RestoreRun { run_id } => ledger.restore_run(run_id)?,
        Action::Quarantine { run_id, reason, .. } => ledger.quarantine_run(run_id, reason)?,
        Action::Release { run_id, .. } => ledger.release_run(run_id)?,
        Action::Mend => {
            ledger.mend()?;
        }
        Action::NameContent { run_id, path, digest, .. } => {
            let place = content_path(ledger.artifact_dir(), digest);
            let mut file = fs::File::open(&place)
                .map_err(|error| Error::storage(format!("cannot read {}: {error}", place.display())))?;
            ledger.put_artifact(&ArtifactOwner::Run(run_id.clone()), path, &mut file)?;
        }
        Action::DeleteArtifact { run_id, path, .. } => {
            ledger.delete_artifacts(&ArtifactOwner::Run(run_id.clone()), path)?;
        }
        Action::SetStage { model, version, stage, .. } => {
            let stage = Stage::parse(stage)
                .ok_or_else(|| Error::argument(format!("'{stage}' is no stage of a model version")))?;
            ledger.transition_model_version(model, *version, stage, false)?;
        }
        Action::MoveAside { path } => {
            let (from, to) = aside(ledger.artifact_dir(), path)?;
            rename(&from, &to)?;
        }
        Action::PutBack { path } => {
            let (to, from) = aside(ledger.artifact_dir(), path)?;
            rename(&from, &to)?;
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| mynah_base::sync_dir(parent))
        .map_err(|error| {
            Error::storage(format!("cannot move {} to {}: {error}", from.display(), to.display()))
        })
}
