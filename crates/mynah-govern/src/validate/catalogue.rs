//! The rules, as data: what each is called, how much it matters, and what a person does about it.

use super::finding::Severity;

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What policies and findings call it.
    pub id: &'static str,
    /// Unless the policy says otherwise.
    pub severity: Severity,
    /// What it finds.
    pub title: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What a person does, step by step.
    pub guidance: &'static [&'static str],
}

/// The rule of that id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

const fn row(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    why: &'static str,
    guidance: &'static [&'static str],
) -> Rule {
    Rule { id, severity, title, why, guidance }
}

use Severity::{Critical, Error, Info, Warning};

/// All rules.
pub const RULES: &[Rule] = &[
    row(
        "store.unreadable",
        Critical,
        "The store or a part of it cannot be read",
        "Nothing in it can be relied on until it can be.",
        &[
            "Stop all programs that write to the store.",
            "Copy the store, its -wal and -shm files and its artifact folder away.",
            "Restore the last backup, or recover the copy with `sqlite3 COPY .recover`.",
            "Validate the result against the last checkpoint held elsewhere.",
        ],
    ),
    row(
        "store.orphan-row",
        Error,
        "Rows of the store point to something that is not there",
        "Something was removed behind the ledger's back, and left its parts.",
        &[
            "Find the run or dataset in a backup.",
            "Restore the backup, or export what is there and start a new store.",
        ],
    ),
    row(
        "store.file-unknown",
        Warning,
        "A file in the artifact folder is not the ledger's",
        "Somebody else writes there, or a content got a wrong name.",
        &["Find out which program wrote it.", "Move it out of the artifact folder."],
    ),
    row(
        "store.upload-left",
        Info,
        "An upload was begun and never finished",
        "It takes space; no run names it.",
        &["Apply the repair, which moves it aside."],
    ),
    row(
        "store.content-orphan",
        Info,
        "A content that no run names any more",
        "It takes space. Deleted artifacts leave their contents until the garbage is collected.",
        &["Collect the garbage when nothing in the bin is needed any more."],
    ),
    row(
        "audit.log",
        Critical,
        "The audit log is not what was recorded",
        "The log is the evidence of everything else: it was edited, reordered, or its end was cut.",
        &[
            "Keep a copy of the store as it is; it is evidence.",
            "Find the last backup whose log continues the checkpoint held elsewhere.",
            "Restore it and replay what came after by hand.",
            "Record the incident in the compliance report.",
        ],
    ),
    row(
        "audit.clock",
        Warning,
        "The log's clock goes back",
        "The order of events is sure; their times are not.",
        &[
            "Check the clock of the machine that wrote these events (time synchronisation).",
            "Read the times of the events named here with care.",
        ],
    ),
    row(
        "run.gone",
        Critical,
        "A run that the log knows is not in the store",
        "It was removed behind the ledger's back: the ledger itself never removes a run without an event.",
        &[
            "Restore the run from a backup or from an exported bundle.",
            "Find out who had write access to the file.",
        ],
    ),
    row(
        "run.unlogged",
        Error,
        "A run that the log does not know",
        "It was put into the store behind the ledger's back.",
        &[
            "Find out where it came from.",
            "If it is wanted, record it again through the ledger; delete this one.",
        ],
    ),
    row(
        "run.state-differs",
        Error,
        "A run is not in the state that the log says",
        "Its row was changed behind the ledger's back.",
        &[
            "Apply the repair, which puts back what the log says.",
            "Find out who had write access to the file.",
        ],
    ),
    row(
        "run.tag-differs",
        Error,
        "A tag is not what was recorded",
        "It was changed behind the ledger's back; the log has its digest, not its text.",
        &["Restore the tag's text from a backup or an exported bundle.", "Set it again through the ledger."],
    ),
    row(
        "run.param-unlogged",
        Error,
        "There are more params than were recorded",
        "A param was put in behind the ledger's back: the run's config cannot be relied on.",
        &[
            "Compare the params with the run's configuration file or command line.",
            "Keep the run in quarantine if they differ.",
        ],
    ),
    row(
        "run.param-differs",
        Error,
        "A param is not what was recorded",
        "It was changed or removed behind the ledger's back: the run's config cannot be relied on.",
        &[
            "Compare the params with the run's configuration file or command line.",
            "Keep the run in quarantine if they differ.",
        ],
    ),
    row(
        "run.input-differs",
        Error,
        "The datasets are not those that were recorded",
        "What the model was trained on was changed behind the ledger's back.",
        &["Read the dataset's digest in the event named here.", "Log that dataset again through the ledger."],
    ),
    row(
        "run.required",
        Error,
        "A field that the policy requires is missing",
        "The run cannot be understood or repeated without it.",
        &[
            "Log the field, if its value is known for sure.",
            "Else run again with the current program, which logs it.",
        ],
    ),
    row(
        "run.type",
        Error,
        "A param is not of the type that the policy declares",
        "Programs that read it will misread it.",
        &["Params are written once: run again with a right value, or correct the policy."],
    ),
    row(
        "run.name",
        Warning,
        "The name and the name tag of a run differ",
        "Clients show one or the other.",
        &["Apply the repair, which makes them the same."],
    ),
    row(
        "run.end-missing",
        Warning,
        "A run has ended without an end time",
        "Its duration and cost are unknown.",
        &["Apply the repair, which takes the time of its last event."],
    ),
    row(
        "run.end-early",
        Warning,
        "A run is still running and has an end time",
        "One of the two is wrong: a half-written run may look finished.",
        &["See whether its process is alive.", "Set its status, or let it end."],
    ),
    row(
        "run.stale",
        Warning,
        "A run says it is running and has been silent for long",
        "Its process died without a word: what it wrote is half a run.",
        &[
            "Apply the repair, which marks it killed at its last event.",
            "Resume it from its last checkpoint, or delete it.",
        ],
    ),
    row(
        "run.time-order",
        Error,
        "A run ends before it begins",
        "A clock was wrong, or the row was changed.",
        &[
            "Compare with the times of the run's events in the audit log.",
            "Set the right end through the ledger.",
        ],
    ),
    row(
        "run.time-future",
        Warning,
        "A run begins in the future",
        "A clock was wrong.",
        &["Check the clock of the machine that made the run."],
    ),
    row(
        "run.parent-missing",
        Warning,
        "The parent of a run does not exist",
        "It is an orphan: nobody sees it below its parent.",
        &["Restore the parent, or apply the repair, which takes the tag away."],
    ),
    row(
        "run.parent-cycle",
        Error,
        "A run is its own ancestor",
        "Programs that walk up from it never end.",
        &["Decide which of the runs is the first, and delete its tag mlflow.parentRunId."],
    ),
    row(
        "metric.damaged",
        Critical,
        "Points of a metric cannot be read",
        "The history is lost unless a backup has it.",
        &[
            "Restore the store from a backup, or the run from an exported bundle.",
            "If neither exists, run again with the same seed.",
        ],
    ),
    row(
        "metric.latest",
        Error,
        "The latest value of a metric is not the last of its history",
        "Filters, comparisons and gates read the latest value.",
        &["Log the right last point again through the ledger; where that does not help, restore a backup."],
    ),
    row(
        "metric.unlogged",
        Error,
        "There are more points than were recorded",
        "Points were put in behind the ledger's back.",
        &["Compare the curve with the run's own log.", "Restore a backup, or keep the run in quarantine."],
    ),
    row(
        "metric.lost",
        Warning,
        "There are fewer points than were recorded",
        "A client that repeats a call explains it; so do points removed behind the ledger's back.",
        &["Compare the curve with the run's own log.", "Restore a backup if points are missing."],
    ),
    row(
        "metric.duplicate-step",
        Warning,
        "A step has several values",
        "Two programs wrote one run, or a resumed run repeated its steps differently.",
        &[
            "Find out which value counts; the ledger takes the latest by time.",
            "Resume from the checkpoint instead of repeating steps.",
        ],
    ),
    row(
        "metric.step-order",
        Warning,
        "Steps go back as time goes on",
        "The run was resumed from an earlier checkpoint, or two programs wrote it.",
        &["See whether the run was resumed.", "Compare both parts of the curve before trusting its end."],
    ),
    row(
        "metric.gap",
        Warning,
        "Steps are missing inside a history",
        "Points were lost or removed.",
        &[
            "Compare with the run's own log.",
            "Log the missing points again through the ledger, if they are known.",
        ],
    ),
    row(
        "metric.clock",
        Warning,
        "Times go back as steps go on",
        "The clock of the machine was set back, or points were changed.",
        &["Check the clock of the machine that trained.", "Use steps, not times, to read the curve."],
    ),
    row(
        "metric.time-range",
        Warning,
        "Points lie outside the time of their run",
        "A clock was wrong, or the points belong to another run.",
        &["Check the clocks of the machines involved.", "See whether another run's points were logged here."],
    ),
    row(
        "metric.non-finite",
        Warning,
        "A value is NaN or infinite",
        "The run diverged, or divided by nothing.",
        &[
            "Look at the curve before the first such value.",
            "Lower the learning rate or clip gradients, and run again.",
        ],
    ),
    row(
        "artifact.missing",
        Error,
        "The content of an artifact is missing",
        "The file cannot be served, loaded or reproduced.",
        &[
            "Restore the file named here from a backup of the artifact folder.",
            "Or put the artifact again from its source; its digest must be the one named here.",
        ],
    ),
    row(
        "artifact.torn",
        Error,
        "The content of an artifact has the wrong length",
        "It was cut, or another program wrote into it.",
        &[
            "Apply the repair, which moves the torn file aside.",
            "Put the artifact again from its source or a backup; its digest must be the one named here.",
        ],
    ),
    row(
        "artifact.changed",
        Critical,
        "The content of an artifact is not what its digest says",
        "A model or dataset was exchanged or damaged.",
        &[
            "Do not load the file.",
            "Apply the repair, which moves it aside.",
            "Put the artifact again from its source or a backup.",
            "Find out who had write access.",
        ],
    ),
    row(
        "artifact.row-differs",
        Critical,
        "An artifact is not the one that was recorded",
        "Its row was pointed to another content behind the ledger's back.",
        &[
            "Do not load the file.",
            "Apply the repair where it is offered: it puts back the content that the log names.",
            "Find out who had write access to the file.",
        ],
    ),
    row(
        "artifact.row-gone",
        Error,
        "An artifact that was recorded is not in the store",
        "Its row was removed behind the ledger's back.",
        &[
            "Apply the repair where it is offered, which names its content again.",
            "Else put the artifact again from its source.",
        ],
    ),
    row(
        "artifact.unlogged",
        Error,
        "An artifact that was never recorded",
        "Its row was put in behind the ledger's back.",
        &[
            "Find out where it came from; do not load it.",
            "If it is wanted, put it again through the ledger.",
        ],
    ),
    row(
        "link.differs",
        Error,
        "Two digests that must agree do not",
        "The checkpoint, its run, its data and its tokenizer do not belong together.",
        &[
            "Find out which of the two is right: see the events of both.",
            "Keep the run from serving and promotion until it is known.",
        ],
    ),
    row(
        "link.missing",
        Error,
        "A digest refers to something that is not there",
        "What it stands for cannot be checked.",
        &["Log the missing dataset or put the missing artifact; its digest must be the one named here."],
    ),
    row(
        "budget.exceeded",
        Warning,
        "A run used more than its budget",
        "It cost more than was agreed, or a figure ran away.",
        &["Look at the telemetry of the run.", "Raise the budget in the policy if it was meant."],
    ),
    row(
        "model.run-missing",
        Error,
        "A model version names a run that does not exist",
        "Nobody can say what it was trained on.",
        &["Restore the run, or archive the version."],
    ),
    row(
        "model.run-unfit",
        Error,
        "A model version in production comes from a run in quarantine or in the bin",
        "Governance keeps that run from serving.",
        &["Move the version to Archived, or clear the run.", "Promote another version."],
    ),
    row(
        "model.stage-differs",
        Error,
        "A model version is not in the stage that the log says",
        "It was promoted or withdrawn behind the ledger's back.",
        &[
            "Apply the repair, which puts back what the log says.",
            "Find out who had write access to the file.",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_every_rule_has_guidance() {
        let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        for rule in RULES {
            assert!(!rule.guidance.is_empty() && !rule.why.is_empty(), "{}", rule.id);
        }
    }
}
