//! Validation of a whole store, and of one run in it.

use std::collections::{BTreeMap, HashMap, HashSet};

use mynah_ledger::{
    AuditHead, FindingKind, Ledger, Lifecycle, Location, ModelVersion, OpenOptions, Run, Stage,
};
use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::policy::Policy;
use super::{links, run, series};
use crate::error::Result;
use crate::repair::Action;
use crate::view::{ArtifactView, Event, RunView, StoreView};

/// What a validation found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// By weight, then subject, then place.
    pub findings: Vec<Finding>,
    /// Runs looked at, by id.
    pub runs: Vec<Run>,
    /// Events looked at.
    pub events: u64,
}

impl Validation {
    /// The heaviest finding; nothing when there is none.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// The findings of a run.
    pub fn of_run<'a>(&'a self, run_id: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.subject.strip_prefix("run:") == Some(run_id))
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "runs": self.runs.len(), "events": self.events,
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Validates a run alone: all rules that need no other run.
///
/// # Errors
/// `NotFound`; when the store cannot be read; `Argument` for a policy that is none.
pub fn validate_run(ledger: &Ledger, run_id: &str, policy: &Policy, now_ms: i64) -> Result<Validation> {
    let view = RunView::load(ledger, run_id, policy.check_contents)?;
    let events = view.events.len() as u64;
    let findings = settle(of_run(&view, None, policy, now_ms)?, policy);
    Ok(Validation { findings, runs: vec![view.run], events })
}

/// Validates everything: each run, the registry, the audit log, the artifact folder. `held` is a head of the
/// log that was kept elsewhere; without one, a log whose end was cut may pass.
///
/// # Errors
/// `Argument` for a policy that is none. What cannot be read is a finding.
pub fn validate(
    ledger: &Ledger,
    policy: &Policy,
    held: Option<AuditHead>,
    now_ms: i64,
) -> Result<Validation> {
    let store = StoreView::load(ledger, held, policy.check_contents);
    let mut findings = Vec::new();
    let mut named = store.named_digests.clone();
    let mut ids: Vec<&String> = store.runs.keys().collect();
    ids.sort_unstable();
    for id in ids {
        match RunView::load(ledger, id, policy.check_contents) {
            Ok(view) => {
                named.extend(view.artifacts.iter().map(|artifact| artifact.artifact.digest.clone()));
                findings.extend(of_run(&view, Some(&store), policy, now_ms)?);
            }
            Err(error) => {
                findings.push(Finding::new(
                    "store.unreadable",
                    &format!("run:{id}"),
                    "run",
                    error.to_string(),
                ));
            }
        }
    }
    of_store(&store, &named, policy, now_ms, &mut findings);
    let mut runs: Vec<Run> = store.runs.into_values().collect();
    runs.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Validation { findings: settle(findings, policy), runs, events: store.check.events })
}

/// Opens a store for reading and validates it; a store that cannot even be opened is a finding.
///
/// # Errors
/// `Argument` for a policy that is none.
pub fn validate_place(
    location: &Location,
    policy: &Policy,
    held: Option<AuditHead>,
    now_ms: i64,
) -> Result<Validation> {
    let options = OpenOptions { read_only: true, create: false, ..OpenOptions::default() };
    match Ledger::open(location, options) {
        Ok(ledger) => validate(&ledger, policy, held, now_ms),
        Err(error) => {
            let findings = vec![Finding::new("store.unreadable", "store", "file", error.to_string())];
            Ok(Validation { findings: settle(findings, policy), ..Validation::default() })
        }
    }
}

fn of_run(view: &RunView, store: Option<&StoreView>, policy: &Policy, now_ms: i64) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    run::check(view, store, policy, now_ms, &mut findings);
    series::check(view, policy, &mut findings);
    links::check(view, policy, &mut findings)?;
    Ok(findings)
}

/// The policy's severities, an order, and nothing twice.
fn settle(findings: Vec<Finding>, policy: &Policy) -> Vec<Finding> {
    let mut settled: Vec<Finding> = findings
        .into_iter()
        .filter_map(|finding| Some(Finding { severity: policy.severity(finding.rule)?, ..finding }))
        .collect();
    settled.sort_by(|a, b| {
        (b.severity, &a.subject, a.rule, &a.place).cmp(&(a.severity, &b.subject, b.rule, &b.place))
    });
    let mut seen = HashSet::new();
    settled.retain(|finding| seen.insert(finding.id.clone()));
    settled
}

fn of_store(
    store: &StoreView,
    named: &HashSet<String>,
    policy: &Policy,
    now_ms: i64,
    out: &mut Vec<Finding>,
) {
    for line in &store.unreadable {
        let part = line.split(':').next().unwrap_or_default();
        out.push(Finding::new("store.unreadable", "store", part, line.clone()));
    }
    for found in &store.check.findings {
        let line = found.message.clone();
        match found.kind {
            FindingKind::Database => out.push(Finding::new("store.unreadable", "store", "database", line)),
            FindingKind::Orphan => {
                out.push(Finding::new("store.orphan-row", "store", found.subject.clone(), line));
            }
            FindingKind::Audit => {
                let place = line.split(':').next().unwrap_or_default().to_string();
                out.push(Finding::new("audit.log", "audit", place, line));
            }
            // A series that no run's latest values name is seen only here.
            FindingKind::Latest if found.mendable => {
                let at_run =
                    out.iter().any(|own| own.rule == "metric.latest" && own.subject == found.subject);
                if !at_run {
                    let finding = Finding::new("metric.latest", &found.subject, "metrics", line);
                    out.push(finding.with(Action::Mend));
                }
            }
            FindingKind::Chunk => {
                let at_run =
                    out.iter().any(|own| own.rule == "metric.damaged" && own.subject == found.subject);
                if !at_run {
                    out.push(Finding::new("metric.damaged", &found.subject, "metrics", line));
                }
            }
            // The rules over runs say the same, with the place and the repair.
            _ => {}
        }
    }
    for (seq, by_ms) in store.clock_steps.iter().filter(|(_, by)| *by > policy.timing.clock_tolerance_ms) {
        let message = format!("event {seq} is {by_ms} ms older than one before it");
        out.push(Finding::new("audit.clock", "audit", format!("event {seq}"), message));
    }
    for (run_id, seq) in &store.created_runs {
        if !store.runs.contains_key(run_id) && !store.unknown_runs.contains(run_id) {
            let message = format!("event {seq} made it, no event removed it, and it is not there");
            out.push(Finding::new("run.gone", &format!("run:{run_id}"), "run", message));
        }
    }
    for (subject, ArtifactView { artifact, content }) in &store.others {
        let finding = |rule, message: String| {
            Finding::new(rule, subject, format!("artifact {}", artifact.path), message)
        };
        out.extend(run::content_finding(&finding, &artifact.digest, artifact.size_bytes, content));
    }
    files(store, named, policy, now_ms, out);
    models(store, out);
}

fn files(store: &StoreView, named: &HashSet<String>, policy: &Policy, now_ms: i64, out: &mut Vec<Finding>) {
    // While a part of the store cannot be read, what it names is unknown, and nothing is an orphan.
    if !store.unreadable.is_empty() {
        return;
    }
    for file in &store.files {
        let place = format!("file {}", file.path);
        let is_old = now_ms.saturating_sub(file.modified_ms) > policy.timing.orphan_after_ms;
        match &file.digest {
            None if file.path.starts_with("incoming/") => {
                if is_old {
                    let message = format!("{} bytes of an upload that never ended", file.size_bytes);
                    let repair = Action::MoveAside { path: file.path.clone() };
                    out.push(Finding::new("store.upload-left", "store", place, message).with(repair));
                }
            }
            // What governance moved aside is its own.
            None if file.path.starts_with(crate::repair::ASIDE) => {}
            None => {
                let message = format!("{} bytes; no content of the ledger has this name", file.size_bytes);
                out.push(Finding::new("store.file-unknown", "store", place, message));
            }
            Some(digest) if !named.contains(digest) && is_old => {
                let message = format!("{} bytes that no artifact names", file.size_bytes);
                out.push(Finding::new("store.content-orphan", "store", place, message));
            }
            Some(_) => {}
        }
    }
}

fn models(store: &StoreView, out: &mut Vec<Finding>) {
    let stages = logged_stages(&store.events);
    for version in &store.versions {
        let subject = format!("model:{}", version.name);
        let place = format!("version {}", version.version);
        if let Some(run_id) = version.run_id.as_deref().filter(|id| !id.is_empty()) {
            match store.runs.get(run_id) {
                None => {
                    let message = format!("it was made by the run {run_id}, which is not in the store");
                    out.push(Finding::new("model.run-missing", &subject, place.clone(), message));
                }
                Some(run) if version.stage == Stage::Production => {
                    let why = match (&run.quarantine, run.lifecycle) {
                        (Some(quarantine), _) => Some(format!("is in quarantine ({})", quarantine.reason)),
                        (None, Lifecycle::Deleted) => Some("is in the bin".to_string()),
                        (None, Lifecycle::Active) => None,
                    };
                    if let Some(why) = why {
                        let message = format!("it is in production and its run {run_id} {why}");
                        out.push(Finding::new("model.run-unfit", &subject, place.clone(), message));
                    }
                }
                Some(_) => {}
            }
        }
        out.extend(stage(version, &stages, &subject, &place));
    }
}

fn stage(
    version: &ModelVersion,
    stages: &HashMap<(String, u64), (String, u64)>,
    subject: &str,
    place: &str,
) -> Option<Finding> {
    let (stage, seq) = stages.get(&(version.name.clone(), version.version))?;
    if stage == version.stage.as_str() {
        return None;
    }
    let message = format!("its stage is {}, event {seq} says {stage}", version.stage.as_str());
    let repair = Action::SetStage {
        model: version.name.clone(),
        version: version.version,
        stage: stage.clone(),
        was: version.stage.as_str().to_string(),
    };
    Some(Finding::new("model.stage-differs", subject, place, message).with(repair))
}

/// The stage of each version as the log tells it, with the event that said so.
fn logged_stages(events: &[Event]) -> HashMap<(String, u64), (String, u64)> {
    let mut models: BTreeMap<String, BTreeMap<u64, (String, u64)>> = BTreeMap::new();
    for event in events {
        let Some(name) = event.subject.strip_prefix("model:") else { continue };
        let (detail, seq) = (&event.detail, event.seq);
        let version = detail["version"].as_u64().unwrap_or(0);
        match event.kind.as_str() {
            "model_version.create" => {
                models.entry(name.to_string()).or_default().insert(version, ("None".to_string(), seq));
            }
            "model_version.stage" => {
                let stage = detail["stage"].as_str().unwrap_or_default();
                let versions = models.entry(name.to_string()).or_default();
                if detail["archived"].as_u64().unwrap_or(0) > 0 {
                    let others = versions.iter_mut().filter(|(other, _)| **other != version);
                    others
                        .filter(|(_, own)| own.0 == stage)
                        .for_each(|(_, own)| *own = ("Archived".to_string(), seq));
                }
                versions.insert(version, (stage.to_string(), seq));
            }
            "model_version.delete" => {
                models.entry(name.to_string()).or_default().remove(&version);
            }
            "model.delete" => {
                models.remove(name);
            }
            "model.rename" => {
                if let (Some(versions), Some(to)) = (models.remove(name), detail["to"].as_str()) {
                    models.insert(to.to_string(), versions);
                }
            }
            _ => {}
        }
    }
    let flat = models.into_iter().flat_map(|(name, versions)| {
        versions.into_iter().map(move |(version, stage)| ((name.clone(), version), stage))
    });
    flat.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_fold() {
        let event = |seq: u64, kind: &str, subject: &str, detail: Value| Event {
            seq,
            at_ms: 0,
            by: String::new(),
            kind: kind.to_string(),
            subject: subject.to_string(),
            detail,
        };
        let stages = logged_stages(&[
            event(0, "model_version.create", "model:a", json!({"version": 1})),
            event(1, "model_version.create", "model:a", json!({"version": 2})),
            event(
                2,
                "model_version.stage",
                "model:a",
                json!({"version": 1, "stage": "Production", "archived": 0}),
            ),
            event(
                3,
                "model_version.stage",
                "model:a",
                json!({"version": 2, "stage": "Production", "archived": 1}),
            ),
            event(4, "model.rename", "model:a", json!({"to": "b"})),
            event(5, "model_version.create", "model:b", json!({"version": 3})),
            event(6, "model_version.delete", "model:b", json!({"version": 3})),
            event(7, "model_version.create", "model:c", json!({"version": 1})),
            event(8, "model.delete", "model:c", json!({})),
        ]);
        let of = |name: &str, version| stages.get(&(name.to_string(), version)).map(|stage| stage.0.as_str());
        assert_eq!(of("b", 1), Some("Archived"));
        assert_eq!(of("b", 2), Some("Production"));
        assert_eq!((of("a", 1), of("b", 3), of("c", 1)), (None, None, None));
    }
}
