//! Governance on the page: what is wrong, who is kept apart, what people must do, what went to production and
//! why it may be there, and whether runs drift.

use std::collections::BTreeSet;
use std::io::Read;

use mynah_govern::drift::{DriftOptions, DriftWindow, RunSample, VALUES_MIN, dashboard};
use mynah_govern::promote::{PROMOTION_TAG, Promotion, verify_override};
use mynah_govern::repair::{self, Ticket, TicketState};
use mynah_govern::validate::{Approver, Finding, Policy, Severity, Validation};
use mynah_ledger::{ArtifactOwner, Keys, Ledger, ModelVersion, RunParts, SearchModels, SearchRuns};
use mynah_trust::dsse::Envelope;
use serde_json::{Value, json};

use super::api::owned;
use crate::answer::{ApiError, Reply, reply};
use crate::fields::Fields;
use crate::governance::{Caller, Dated};
use crate::guard::base64_decode;

/// Findings, tickets, runs kept apart and promotions that one answer holds; their counts are always whole.
const LINES_MAX: usize = 1_000;
/// Versions read at once.
const VERSIONS: usize = 10_000;
/// A record of a promotion may not be larger.
const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Runs whose drift is looked at, newest first.
const DRIFT_RUNS_MAX: usize = 50_000;
const DRIFT_WINDOW: usize = 50;

/// Everything but the validation itself, which is run when somebody asks for it.
pub(super) fn overview(caller: &Caller<'_>, _: Fields) -> Reply {
    let Caller { ledger, governance, .. } = caller;
    let policy = governance.policy();
    let apart = governance.apart(ledger)?;
    let run = |run: &crate::governance::Apart| {
        json!({"id": run.id, "name": run.name, "reason": run.quarantine.reason, "by": run.quarantine.by,
               "at_ms": run.quarantine.at_ms})
    };
    let tickets = repair::tickets(ledger)?;
    let promotions = promotions(ledger, policy)?;
    reply(&json!({
        "size": ledger.audit_head()?.size,
        "read_only": ledger.is_read_only(),
        "policy": told_policy(policy),
        "validation": governance.last_validation().map(|found| told_validation(&found)),
        "apart_count": apart.found.len(),
        "apart": apart.found.iter().take(LINES_MAX).map(run).collect::<Vec<_>>(),
        "open_ticket_count": tickets.iter().filter(|ticket| ticket.state == TicketState::Open).count(),
        "tickets": tickets.iter().take(LINES_MAX).map(told_ticket).collect::<Vec<_>>(),
        "promotion_count": promotions.len(),
        "promotions": promotions.into_iter().take(LINES_MAX).collect::<Vec<_>>(),
    }))
}

fn told_policy(policy: &Policy) -> Value {
    json!({
        "block_promotion_at": policy.block_promotion_at.as_str(),
        "quarantine_at": policy.quarantine_at.as_str(),
        "gates": policy.gates,
        "approvers": policy.approvers.iter().map(|approver| approver.name.as_str()).collect::<Vec<_>>(),
    })
}

fn told_validation(dated: &Dated<Validation>) -> Value {
    let found = &dated.found;
    let count = |severity| found.findings.iter().filter(|f| f.severity == severity).count();
    json!({
        "at_size": dated.size, "at_ms": dated.at_ms, "runs": found.runs.len(), "events": found.events,
        "counts": {"critical": count(Severity::Critical), "error": count(Severity::Error),
                   "warning": count(Severity::Warning), "info": count(Severity::Info)},
        "finding_count": found.findings.len(),
        "findings": found.findings.iter().take(LINES_MAX).map(Finding::to_json).collect::<Vec<_>>(),
    })
}

fn told_ticket(ticket: &Ticket) -> Value {
    json!({
        "id": ticket.id, "rule": ticket.rule, "severity": ticket.severity.as_str(), "subject": ticket.subject,
        "place": ticket.place, "title": ticket.title, "message": ticket.message, "why": ticket.why,
        "guidance": ticket.guidance, "open": ticket.state == TicketState::Open, "resolution": ticket.resolution,
    })
}

/// Validates the whole store, or gives what was found when the log was as long as it is now.
pub(super) fn validate(caller: &Caller<'_>, _: Fields) -> Reply {
    reply(&told_validation(&*caller.governance.validation(caller.ledger)?))
}

pub(super) fn quarantine(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.quarantine_run(fields.filled("run_id")?, fields.filled("reason")?)?;
    reply(&json!({}))
}

pub(super) fn release(ledger: &Ledger, fields: Fields) -> Reply {
    ledger.release_run(fields.filled("run_id")?)?;
    reply(&json!({}))
}

/// Files tickets for what the last validation found and no repair puts right.
pub(super) fn file_tickets(caller: &Caller<'_>, _: Fields) -> Reply {
    let found = caller.governance.last_validation();
    let found = found.ok_or_else(|| ApiError::invalid("nothing was validated yet; validate first"))?;
    let plan = repair::plan(&found.found.findings);
    writable(caller.ledger)?;
    let filed = repair::file_tickets(caller.ledger, &plan.tickets)?;
    reply(&json!({"filed": filed, "repairable": plan.steps.len()}))
}

pub(super) fn close_ticket(ledger: &Ledger, fields: Fields) -> Reply {
    let (id, resolution) = (fields.filled("id")?, fields.filled("resolution")?);
    writable(ledger)?;
    repair::close_ticket(ledger, id, resolution)?;
    reply(&json!({}))
}

/// The ledger says so itself, but as governance hears it, it is an error of storage.
fn writable(ledger: &Ledger) -> Result<(), ApiError> {
    if !ledger.is_read_only() {
        return Ok(());
    }
    Err(ApiError::new(
        crate::answer::Code::PermissionDenied,
        "this store is served read-only; nothing was changed",
    ))
}

/// All promotions of versions that there are, newest first, each with its gates and its override.
fn promotions(ledger: &Ledger, policy: &Policy) -> Result<Vec<Value>, ApiError> {
    let mut found: Vec<(i64, Value)> = Vec::new();
    let mut search = SearchModels { max_results: VERSIONS, ..SearchModels::default() };
    let mut folders = BTreeSet::new();
    loop {
        let page = ledger.search_model_versions(&search)?;
        for version in &page.items {
            let Some(tag) = version.tags.iter().find(|tag| tag.key == PROMOTION_TAG) else { continue };
            // The tag names the last record; those before lie beside it, with those of the run's other versions.
            let folder = tag.value.rsplit_once('/').map_or("", |(folder, _)| folder);
            for owner in owners(version) {
                if folders.insert((format!("{owner:?}"), folder.to_string())) {
                    for record in records(ledger, &owner, folder)? {
                        found.push((record.at_ms, told_promotion(ledger, &record, policy)));
                    }
                }
            }
        }
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            break;
        }
    }
    found.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    Ok(found.into_iter().map(|(_, told)| told).collect())
}

/// Records lie with their run, or with nobody's when the run can take none.
fn owners(version: &ModelVersion) -> Vec<ArtifactOwner> {
    let run = version.run_id.clone().filter(|id| !id.is_empty()).map(ArtifactOwner::Run);
    run.into_iter().chain([ArtifactOwner::Shared]).collect()
}

/// The records in a folder. One that is malformed is validation's to name, and a tag may say anything.
fn records(ledger: &Ledger, owner: &ArtifactOwner, folder: &str) -> Result<Vec<Promotion>, ApiError> {
    let entries = match ledger.list_artifacts(owner, folder) {
        Ok(entries) => entries,
        Err(error) => match ApiError::from(error) {
            error if error.is_internal() => return Err(error),
            _ => return Ok(Vec::new()),
        },
    };
    let read = |path: &str| -> Option<Promotion> {
        let (_, file) = ledger.artifact(owner, path).ok()?;
        let mut bytes = Vec::new();
        file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    Ok(entries.iter().filter(|entry| !entry.is_dir).filter_map(|entry| read(&entry.path)).collect())
}

fn told_promotion(ledger: &Ledger, record: &Promotion, policy: &Policy) -> Value {
    let stage =
        ledger.model_version(&record.model, record.version).ok().map(|version| version.stage.as_str());
    json!({
        "model": record.model, "version": record.version, "stage": record.stage, "stage_now": stage,
        "run_id": record.run_id, "by": record.by, "at_ms": record.at_ms, "gates": record.gates,
        "reasons": record.reasons,
        "override": record.signed_override.as_ref().map(|signed| told_override(signed, record, &policy.approvers)),
    })
}

/// Who overruled and why, and whether the signature is that of somebody whom this server's policy names.
fn told_override(signed: &Value, record: &Promotion, approvers: &[Approver]) -> Value {
    let verified = Envelope::parse(signed.to_string().as_bytes())
        .map_err(|error| error.to_string())
        .and_then(|signed| {
            verify_override(&signed, &record.assessment, approvers).map_err(|error| error.to_string())
        });
    let payload =
        signed["payload"].as_str().and_then(|text| base64_decode(text.as_bytes())).unwrap_or_default();
    let statement: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let said = |name: &str| statement["predicate"][name].as_str().unwrap_or_default().to_string();
    json!({"by": said("by"), "why": said("why"), "verified": verified.is_ok(), "problem": verified.err()})
}

/// Windows of runs against the first window.
pub(super) fn drift(ledger: &Ledger, fields: Fields) -> Reply {
    let window_runs = fields.count("window_runs", DRIFT_WINDOW, DRIFT_RUNS_MAX)?;
    if window_runs < VALUES_MIN {
        return Err(ApiError::invalid(format!("a window has at least {VALUES_MIN} runs")));
    }
    let search = SearchRuns {
        experiment_ids: owned(fields.strings("experiment_ids")?),
        filter: fields.string_if("filter")?.unwrap_or_default().to_string(),
        max_results: DRIFT_RUNS_MAX,
        skip_quarantined: true,
        ..SearchRuns::default()
    };
    // What samples are made of.
    let parts = RunParts { metrics: Keys::All, inputs: true, ..RunParts::none() };
    let page = ledger.search_runs_with(&search, &parts)?;
    let samples: Vec<RunSample> = page.items.iter().map(RunSample::of).collect();
    let options = DriftOptions::default();
    let windows = dashboard(&samples, window_runs, &options)?;
    let names: BTreeSet<&str> =
        windows.iter().flat_map(|window| &window.report.rows).map(|row| row.name.as_str()).collect();
    let window = |window: &DriftWindow| json!({"from_ms": window.from_ms, "to_ms": window.to_ms, "report": window.report.to_json()});
    reply(&json!({
        "runs": samples.len(), "window_runs": window_runs, "names": names,
        "false_positive_rate": options.false_positive_rate, "psi_min": options.psi_min,
        "windows": windows.iter().map(window).collect::<Vec<_>>(),
    }))
}
