//! From evidence to statements. Pure: the same function makes the report and verifies it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bundle::FACTS;
use crate::promote::Promotion;
use crate::repair::{Outcome, Receipt, Ticket, TicketState};
use crate::view::Event;
use mynah_base::time::utc;

/// Which question a statement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What was run, by whom, when.
    Training,
    /// On what.
    Data,
    /// With which settings.
    Configuration,
    /// With what result.
    Evaluation,
    /// What came out.
    Artifacts,
    /// Who let it into use.
    Approvals,
    /// What went wrong, and what was done about it.
    Incidents,
}

impl Section {
    /// All of them, in the order of the report.
    pub const ALL: [Section; 7] = [
        Section::Training,
        Section::Data,
        Section::Configuration,
        Section::Evaluation,
        Section::Artifacts,
        Section::Approvals,
        Section::Incidents,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Section::Training => "Training",
            Section::Data => "Data",
            Section::Configuration => "Configuration",
            Section::Evaluation => "Evaluation",
            Section::Artifacts => "Artifacts",
            Section::Approvals => "Approvals",
            Section::Incidents => "Incidents",
        }
    }
}

/// One sentence and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Which question it answers.
    pub section: Section,
    /// The sentence.
    pub text: String,
    /// Events of the audit log, by their place in it.
    pub events: Vec<u64>,
}

/// Files by the event that recorded them, and the path they have.
pub(super) type Files<'a> = BTreeMap<u64, (&'a str, &'a str)>;

/// Whether an event is evidence of its own: what it says is in its text.
pub(super) fn is_evidence(kind: &str) -> bool {
    matches!(
        kind,
        "run.create"
            | "run.update"
            | "run.inputs"
            | "run.delete"
            | "run.restore"
            | "run.quarantine"
            | "run.release"
            | "artifact.put"
            | "artifact.delete"
            | "model_version.create"
            | "model_version.stage"
    )
}

/// The statements that follow from these events and files, by section, then in the order of events.
pub(super) fn derive(events: &[Event], files: &Files<'_>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut logs: Vec<&Event> = Vec::new();
    for event in events {
        if event.kind == "run.log" {
            logs.push(event);
            continue;
        }
        if let Some((path, text)) = files.get(&event.seq) {
            of_file(event, path, text, &mut statements);
            continue;
        }
        if let Some((section, text)) = of_event(event) {
            statements.push(Statement { section, text, events: vec![event.seq] });
        }
    }
    if let (Some(first), Some(last)) = (logs.first(), logs.last()) {
        let text = format!(
            "Metrics, params and tags were recorded from {} to {}.",
            utc(first.at_ms),
            utc(last.at_ms)
        );
        let mut events = vec![first.seq, last.seq];
        events.dedup();
        statements.push(Statement { section: Section::Training, text, events });
    }
    statements.sort_by_key(|statement| (statement.section, statement.events.first().copied()));
    statements
}

fn of_event(event: &Event) -> Option<(Section, String)> {
    let detail = &event.detail;
    let text = |key: &str| detail[key].as_str().unwrap_or_default();
    let (by, at) = (&event.by, utc(event.at_ms));
    Some(match event.kind.as_str() {
        "run.create" => {
            let user = text("user");
            let user = if user.is_empty() { String::new() } else { format!(" for {user}") };
            let done = if detail["imported"].as_bool() == Some(true) { "imported" } else { "begun" };
            (Section::Training, format!("The run '{}' was {done} by {by}{user} on {at}.", text("name")))
        }
        "run.update" => {
            let mut parts = Vec::new();
            if let Some(status) = detail["status"].as_str() {
                parts.push(format!("its status became {status}"));
            }
            if let Some(end) = detail["end_ms"].as_i64() {
                parts.push(format!("its end was set to {}", utc(end)));
            }
            if let Some(name) = detail["name"].as_str() {
                parts.push(format!("it was renamed '{name}'"));
            }
            if parts.is_empty() {
                return None;
            }
            let is_bad = matches!(detail["status"].as_str(), Some("FAILED" | "KILLED"));
            let section = if is_bad { Section::Incidents } else { Section::Training };
            (section, format!("On {at}, {by}: {}.", parts.join(", ")))
        }
        "run.inputs" => {
            let pairs = detail["datasets"].as_array().into_iter().flatten();
            let names: Vec<String> = pairs
                .map(|pair| {
                    let word = |at: usize| pair[at].as_str().unwrap_or_default();
                    format!("'{}' (digest {})", word(0), word(1))
                })
                .collect();
            if names.is_empty() {
                return None;
            }
            (Section::Data, format!("It used the data {}, recorded by {by} on {at}.", names.join(", ")))
        }
        "artifact.put" => (
            Section::Artifacts,
            format!(
                "The file '{}' ({} bytes, {}) was stored by {by} on {at}.",
                text("path"),
                detail["size_bytes"].as_u64().unwrap_or(0),
                text("digest")
            ),
        ),
        "artifact.delete" => {
            (Section::Incidents, format!("The file '{}' was deleted by {by} on {at}.", text("path")))
        }
        "run.delete" => (Section::Incidents, format!("The run was deleted by {by} on {at}.")),
        "run.restore" => (Section::Incidents, format!("The run was restored by {by} on {at}.")),
        "run.quarantine" => {
            (Section::Incidents, format!("{by} put it into quarantine on {at}: {}", text("reason")))
        }
        "run.release" => (Section::Incidents, format!("{by} took it out of quarantine on {at}.")),
        "model_version.create" => (
            Section::Artifacts,
            format!(
                "{by} made version {} of {} from it on {at}.",
                detail["version"].as_u64().unwrap_or(0),
                event.subject
            ),
        ),
        "model_version.stage" => (
            Section::Approvals,
            format!(
                "{by} moved version {} of {} to {} on {at}.",
                detail["version"].as_u64().unwrap_or(0),
                event.subject,
                text("stage")
            ),
        ),
        _ => return None,
    })
}

/// Statements from a file whose digest the event records.
fn of_file(event: &Event, path: &str, text: &str, out: &mut Vec<Statement>) {
    let mut say =
        |section: Section, text: String| out.push(Statement { section, text, events: vec![event.seq] });
    let at = utc(event.at_ms);
    if path == FACTS {
        let Ok(facts) = serde_json::from_str::<Value>(text) else { return };
        for (key, value) in facts["params"].as_object().into_iter().flatten() {
            say(Section::Configuration, format!("{key} = {}", value.as_str().unwrap_or_default()));
        }
        for (key, metric) in facts["metrics"].as_object().into_iter().flatten() {
            say(
                Section::Evaluation,
                format!("{key} = {} at step {}", plain(&metric["value"]), metric["step"]),
            );
        }
        if let Some(commit) = facts["tags"]["mlflow.source.git.commit"].as_str() {
            say(Section::Configuration, format!("code revision {commit}"));
        }
    } else if let Ok(record) = serde_json::from_str::<Promotion>(text) {
        let what = format!("version {} of {} for {}", record.version, record.model, record.stage);
        say(
            Section::Approvals,
            match (&record.approver, record.reasons.as_slice()) {
                (Some(approver), reasons) => format!(
                    "{} approved {what} on {at}. {approver} overruled and signed for: {}.",
                    record.by,
                    reasons.join("; ")
                ),
                (None, _) => format!("{} approved {what} on {at}; nothing stood against it.", record.by),
            },
        );
    } else if let Ok(ticket) = serde_json::from_str::<Ticket>(text) {
        say(
            Section::Incidents,
            match (&ticket.state, &ticket.resolution) {
                (TicketState::Closed, Some(done)) => {
                    format!("Ticket {} was closed on {at}: {}: {done}", ticket.id, ticket.title)
                }
                _ => format!(
                    "Ticket {} was opened on {at}: {} ({}): {}",
                    ticket.id, ticket.title, ticket.place, ticket.message
                ),
            },
        );
    } else if let Ok(receipt) = serde_json::from_str::<Receipt>(text) {
        for result in receipt.results.iter().filter(|result| result.outcome == Outcome::Done) {
            say(
                Section::Incidents,
                format!("{} repaired on {at}: {}", receipt.by, result.step.action.describe()),
            );
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
