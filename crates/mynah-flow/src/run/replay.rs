//! Replays: the order of starts of a recorded run again, and what went another way.

use std::fmt;

use serde::Serialize;

use super::journal::{Journal, JournalEvent};
use super::{Outcome, OutputDigest, StageReport};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Pipeline, StageId};

/// What a replay did otherwise than the recorded run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// The stage had another key: its command, environment or inputs are not what they were.
    Key {
        /// The stage.
        stage: String,
        /// The key in the journal.
        recorded: String,
        /// The key now.
        replayed: String,
    },
    /// The stage went otherwise.
    Outcome {
        /// The stage.
        stage: String,
        /// How it went.
        recorded: Outcome,
        /// How it goes.
        replayed: Outcome,
    },
    /// The same key made another output: the stage is not a function of what it reads.
    Output {
        /// The stage.
        stage: String,
        /// The output.
        path: String,
        /// Its digest in the journal.
        recorded: String,
        /// Its digest now.
        replayed: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        match self {
            Difference::Key { stage, recorded, replayed } => {
                let (recorded, replayed) = (short(recorded), short(replayed));
                write!(
                    f,
                    "{stage}: key {replayed} instead of {recorded}; what it reads or how it is called has changed"
                )
            }
            Difference::Outcome { stage, recorded, replayed } => {
                write!(f, "{stage}: {} instead of {}", replayed.as_str(), recorded.as_str())
            }
            Difference::Output { stage, path, recorded, replayed } => {
                let (recorded, replayed) = (short(recorded), short(replayed));
                write!(f, "{stage}: {path} has digest {replayed} instead of {recorded}")
            }
        }
    }
}

/// The recorded order of starts, for this pipeline.
pub(super) fn order(pipeline: &Pipeline, wanted: &[StageId], journal: &Journal) -> Result<Vec<StageId>> {
    let mut own: Vec<&str> = wanted.iter().map(|id| pipeline.stage(*id).name.as_str()).collect();
    let mut theirs: Vec<&str> = journal.stages().iter().map(String::as_str).collect();
    own.sort_unstable();
    theirs.sort_unstable();
    let mut order = Vec::new();
    for name in journal.starts() {
        order.extend(pipeline.find(name));
    }
    // An order that this graph does not allow would wait for ever.
    let allowed = order.iter().enumerate().all(|(at, id)| {
        let after = &pipeline.stage(*id).after;
        order[at..].iter().all(|later| !after.contains(later))
    });
    if own != theirs || !allowed || order.len() != journal.starts().len() {
        let message = "the journal is of other stages, or of others that come after each other; \
                       replay it with the pipeline it was written by";
        return Err(Error::new(ErrorKind::Journal, message));
    }
    Ok(order)
}

/// The stages whose programs ran in the recording.
pub(super) fn ran(pipeline: &Pipeline, journal: &Journal) -> Vec<StageId> {
    let ran = |id: &StageId| match journal.end(&pipeline.stage(*id).name) {
        Some(JournalEvent::End { outcome, .. }) => *outcome != Outcome::Cached,
        _ => true,
    };
    pipeline.ids().filter(ran).collect()
}

/// What the replay did otherwise, stage by stage. Whether a result came from the cache is no difference.
pub(super) fn differences(journal: &Journal, stages: &[StageReport]) -> Vec<Difference> {
    let mut differences = Vec::new();
    for report in stages {
        let stage = report.name.clone();
        let Some(JournalEvent::End { outcome, key, outputs, .. }) = journal.end(&report.name) else {
            continue;
        };
        if let (Some(recorded), Some(replayed)) = (key, &report.key)
            && recorded != replayed
        {
            let (recorded, replayed) = (recorded.clone(), replayed.clone());
            differences.push(Difference::Key { stage: stage.clone(), recorded, replayed });
        }
        let same = outcome == &report.outcome || (outcome.is_success() && report.outcome.is_success());
        if !same {
            let (recorded, replayed) = (*outcome, report.outcome);
            differences.push(Difference::Outcome { stage: stage.clone(), recorded, replayed });
        }
        for OutputDigest { path, digest } in outputs {
            let now = report.outputs.iter().find(|output| output.path == *path);
            if let Some(now) = now.filter(|now| now.digest != *digest) {
                let (recorded, replayed) = (digest.clone(), now.digest.clone());
                differences.push(Difference::Output {
                    stage: stage.clone(),
                    path: path.clone(),
                    recorded,
                    replayed,
                });
            }
        }
    }
    differences
}
