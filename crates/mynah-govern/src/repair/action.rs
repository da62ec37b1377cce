//! What can be done to a store without losing anything.

use serde::{Deserialize, Serialize};

/// One change, with what it expects to find. Its JSON form is part of receipts and stays readable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Sets a tag of a run.
    SetTag {
        /// The run.
        run_id: String,
        /// The tag.
        key: String,
        /// Its new text.
        value: String,
        /// Its text before; nothing when it was absent.
        was: Option<String>,
    },
    /// Deletes a tag of a run.
    DeleteTag {
        /// The run.
        run_id: String,
        /// The tag.
        key: String,
        /// Its text before.
        was: String,
    },
    /// Sets status and end of a run.
    SetStatus {
        /// The run.
        run_id: String,
        /// The new status.
        status: String,
        /// The status before.
        was: String,
        /// The new end; nothing: it stays.
        end_time_ms: Option<i64>,
        /// The end before.
        end_was_ms: Option<i64>,
    },
    /// Deletes a run into the bin.
    DeleteRun {
        /// The run.
        run_id: String,
    },
    /// Restores a run from the bin.
    RestoreRun {
        /// The run.
        run_id: String,
    },
    /// Puts a run into quarantine.
    Quarantine {
        /// The run.
        run_id: String,
        /// For people.
        reason: String,
        /// The reason before; nothing when it was in none.
        was: Option<String>,
    },
    /// Takes a run out of quarantine.
    Release {
        /// The run.
        run_id: String,
        /// The reason before.
        was: String,
    },
    /// Has the ledger compute again what follows from what it has: latest values from points, names from tags.
    Mend,
    /// Points an artifact of a run to a content that the store still has.
    NameContent {
        /// The run.
        run_id: String,
        /// The artifact.
        path: String,
        /// The content, BLAKE3.
        digest: String,
        /// The content before; nothing when the artifact was absent.
        was: Option<String>,
    },
    /// Deletes an artifact of a run; its content stays.
    DeleteArtifact {
        /// The run.
        run_id: String,
        /// The artifact.
        path: String,
        /// Its content before.
        was: String,
    },
    /// Moves a version of a model to a stage.
    SetStage {
        /// The registered model.
        model: String,
        /// The version.
        version: u64,
        /// The new stage.
        stage: String,
        /// The stage before.
        was: String,
    },
    /// Moves a file of the artifact folder aside, where nobody reads it.
    MoveAside {
        /// From the artifact folder: `ab/cdef…`.
        path: String,
    },
    /// Puts a file back that was moved aside.
    PutBack {
        /// Where it was before.
        path: String,
    },
}

impl Action {
    /// Moves the content of a digest aside.
    pub(crate) fn move_aside(digest: &str) -> Action {
        let (folder, name) = digest.split_at_checked(2).unwrap_or((digest, ""));
        Action::MoveAside { path: format!("{folder}/{name}") }
    }

    /// The change that takes this one back. What was computed again has none: it follows from what is there.
    pub fn inverse(&self) -> Option<Action> {
        Some(match self.clone() {
            Action::SetTag { run_id, key, value, was: Some(was) } => {
                Action::SetTag { run_id, key, value: was, was: Some(value) }
            }
            Action::SetTag { run_id, key, value, was: None } => Action::DeleteTag { run_id, key, was: value },
            Action::DeleteTag { run_id, key, was } => Action::SetTag { run_id, key, value: was, was: None },
            Action::SetStatus { run_id, status, was, end_time_ms, end_was_ms } => Action::SetStatus {
                run_id,
                status: was,
                was: status,
                // The ledger keeps an end once it is set; only another one can take its place.
                end_time_ms: end_was_ms,
                end_was_ms: end_time_ms.or(end_was_ms),
            },
            Action::DeleteRun { run_id } => Action::RestoreRun { run_id },
            Action::RestoreRun { run_id } => Action::DeleteRun { run_id },
            Action::Quarantine { run_id, reason, was: Some(was) } => {
                Action::Quarantine { run_id, reason: was, was: Some(reason) }
            }
            Action::Quarantine { run_id, reason, was: None } => Action::Release { run_id, was: reason },
            Action::Release { run_id, was } => Action::Quarantine { run_id, reason: was, was: None },
            Action::Mend => return None,
            Action::NameContent { run_id, path, digest, was: Some(was) } => {
                Action::NameContent { run_id, path, digest: was, was: Some(digest) }
            }
            Action::NameContent { run_id, path, digest, was: None } => {
                Action::DeleteArtifact { run_id, path, was: digest }
            }
            Action::DeleteArtifact { run_id, path, was } => {
                Action::NameContent { run_id, path, digest: was, was: None }
            }
            Action::SetStage { model, version, stage, was } => {
                Action::SetStage { model, version, stage: was, was: stage }
            }
            Action::MoveAside { path } => Action::PutBack { path },
            Action::PutBack { path } => Action::MoveAside { path },
        })
    }

    /// What it does, in one line for people.
    pub fn describe(&self) -> String {
        match self {
            Action::SetTag { run_id, key, value, .. } => {
                format!("set the tag {key} of run {run_id} to '{value}'")
            }
            Action::DeleteTag { run_id, key, .. } => format!("delete the tag {key} of run {run_id}"),
            Action::SetStatus { run_id, status, end_time_ms: Some(end), .. } => {
                format!("set the status of run {run_id} to {status}, its end to {end}")
            }
            Action::SetStatus { run_id, status, .. } => format!("set the status of run {run_id} to {status}"),
            Action::DeleteRun { run_id } => format!("delete run {run_id} into the bin"),
            Action::RestoreRun { run_id } => format!("restore run {run_id} from the bin"),
            Action::Quarantine { run_id, reason, .. } => {
                format!("put run {run_id} into quarantine: {reason}")
            }
            Action::Release { run_id, .. } => format!("take run {run_id} out of quarantine"),
            Action::Mend => "compute latest values and names again".to_string(),
            Action::NameContent { run_id, path, digest, .. } => {
                format!("point the artifact {path} of run {run_id} to the content {digest}")
            }
            Action::DeleteArtifact { run_id, path, .. } => {
                format!("delete the artifact {path} of run {run_id}")
            }
            Action::SetStage { model, version, stage, .. } => {
                format!("move version {version} of model {model} to {stage}")
            }
            Action::MoveAside { path } => format!("move the file {path} of the artifact folder aside"),
            Action::PutBack { path } => format!("put the file {path} of the artifact folder back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_taken_back_twice_is_itself() {
        let text = str::to_string;
        let run_id = text("r");
        for action in [
            Action::SetTag { run_id: run_id.clone(), key: text("k"), value: text("v"), was: Some(text("w")) },
            Action::SetTag { run_id: run_id.clone(), key: text("k"), value: text("v"), was: None },
            Action::DeleteTag { run_id: run_id.clone(), key: text("k"), was: text("v") },
            Action::DeleteRun { run_id: run_id.clone() },
            Action::Quarantine { run_id: run_id.clone(), reason: text("x"), was: None },
            Action::Quarantine { run_id: run_id.clone(), reason: text("x"), was: Some(text("y")) },
            Action::NameContent { run_id: run_id.clone(), path: text("p"), digest: text("d"), was: None },
            Action::NameContent {
                run_id: run_id.clone(),
                path: text("p"),
                digest: text("d"),
                was: Some(text("e")),
            },
            Action::SetStage { model: text("m"), version: 1, stage: text("None"), was: text("Production") },
            Action::MoveAside { path: text("ab/cd") },
            Action::SetStatus {
                run_id: run_id.clone(),
                status: text("KILLED"),
                was: text("RUNNING"),
                end_time_ms: Some(2),
                end_was_ms: Some(1),
            },
        ] {
            assert_eq!(action.inverse().unwrap().inverse().unwrap(), action);
            let json = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), action, "{json}");
            assert!(!action.describe().is_empty());
        }
    }
}
