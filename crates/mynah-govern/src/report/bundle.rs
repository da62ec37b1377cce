//! The evidence of a report: collected from a ledger, verified without one.

use std::collections::{BTreeMap, BTreeSet};

use mynah_ledger::{ArtifactOwner, AuditEvent, Ledger, Lifecycle};
use mynah_trust::dsse::Envelope;
use mynah_trust::keys::{Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::merkle::leaf_hash;
use mynah_trust::{Checkpoint, LogProof};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::statements::{Files, Statement, derive, is_evidence};
use crate::compare::json_number;
use crate::error::{Error, Result};
use crate::files;
use crate::promote::{Promotion, verify_override};
use crate::repair::{Receipt, Ticket};
use crate::validate::Approver;
use crate::view::Event;

const FORMAT: &str = "mynah-compliance/1";
/// What the run's params and results were when the report was made.
pub(super) const FACTS: &str = "governance/facts.json";
/// A bundle may not be larger.
const BUNDLE_BYTES_MAX: usize = 256 << 20;
/// Events of one report: each carries its proof.
const EVENTS_MAX: usize = 20_000;

/// An event and the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Its place in the log.
    pub seq: u64,
    /// A proof in the format c2sp.org/tlog-proof, with the event's text as its extra line and a signed checkpoint.
    pub proof: String,
}

/// A file whose digest an event records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFile {
    /// The event.
    pub seq: u64,
    /// Its path among the artifacts.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A report with all that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// `mynah-compliance/1`.
    pub format: String,
    /// The run.
    pub run_id: String,
    /// The name of the log.
    pub origin: String,
    /// The log's head when the report was made, signed.
    pub checkpoint: String,
    /// By place in the log.
    pub events: Vec<Evidence>,
    /// By event.
    pub files: Vec<EvidenceFile>,
    /// The report.
    pub statements: Vec<Statement>,
}

impl Bundle {
    /// As JSON text.
    ///
    /// # Errors
    /// None in practice; the encoder is fallible.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map_err(|error| Error::format(format!("the report cannot be written as JSON: {error}")))
    }

    /// Reads a bundle. Nothing in it is proven before [`verify`].
    ///
    /// # Errors
    /// `Format` when it is none.
    pub fn parse(text: &str) -> Result<Bundle> {
        if text.len() > BUNDLE_BYTES_MAX {
            return Err(Error::format(format!("the report has more than {BUNDLE_BYTES_MAX} bytes")));
        }
        let bundle: Bundle = serde_json::from_str(text)
            .map_err(|error| Error::format(format!("this is no report: {error}")))?;
        if bundle.format != FORMAT {
            return Err(Error::format(format!(
                "the report has the format '{}', known is {FORMAT}",
                bundle.format
            )));
        }
        Ok(bundle)
    }
}

/// What a verified bundle proves.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The log's head when the report was made.
    pub checkpoint: Checkpoint,
    /// The events, read.
    pub events: Vec<Event>,
    /// The statements, derived again.
    pub statements: Vec<Statement>,
    /// Names of those whose overrides were checked.
    pub approvers: Vec<String>,
}

/// Makes the report of a run, in the name of `by`. Its params, results and tags are first put down as an
/// artifact, so that their digest is in the log; a ledger that is read-only, or a run in the bin, gives a
/// report without them. `key` is the log's.
///
/// # Errors
/// `NotFound`; when the ledger cannot be read; `Argument` when the run has more events than a report can carry.
pub fn bundle(ledger: &Ledger, run_id: &str, key: &Ed25519SigningKey, by: &str) -> Result<Bundle> {
    attest(ledger, run_id, by)?;
    let mut events: Vec<AuditEvent> = Vec::new();
    let mut logs: Vec<AuditEvent> = Vec::new();
    for event in ledger.audit_events_of(&format!("run:{run_id}"))? {
        if event.kind == "run.log" {
            logs.push(event);
        } else if is_evidence(&event.kind) {
            events.push(event);
        }
    }
    // What was logged is in the facts; of the calls, when they began and ended.
    logs.dedup_by_key(|event| event.seq);
    let last = if logs.len() > 1 { logs.pop() } else { None };
    events.extend(logs.into_iter().take(1).chain(last));
    events.extend(of_models(ledger, run_id)?);
    let mut collected = files_of_run(ledger, run_id, &events)?;
    collected.extend(shared_files(ledger, run_id, &mut events)?);
    events.sort_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    if events.len() > EVENTS_MAX {
        let count = events.len();
        return Err(Error::argument(format!(
            "the run has {count} events; a report carries {EVENTS_MAX} at most"
        )));
    }
    collected.sort_by_key(|file| file.seq);
    let read: Vec<Event> = events.iter().map(Event::of).collect();
    let files: Files<'_> =
        collected.iter().map(|file| (file.seq, (file.path.as_str(), file.text.as_str()))).collect();
    let proofs = events
        .iter()
        .map(|event| Ok(Evidence { seq: event.seq, proof: ledger.audit_proof_text(event.seq, key)? }));
    Ok(Bundle {
        format: FORMAT.to_string(),
        run_id: run_id.to_string(),
        origin: ledger.audit_origin()?,
        checkpoint: ledger.audit_checkpoint(key)?,
        events: proofs.collect::<Result<_>>()?,
        statements: derive(&read, &files),
        files: collected,
    })
}

/// Puts down what the run says of itself now.
fn attest(ledger: &Ledger, run_id: &str, by: &str) -> Result<()> {
    let record = ledger.run(run_id)?;
    if ledger.is_read_only() || record.run.lifecycle == Lifecycle::Deleted {
        return Ok(());
    }
    let data = &record.data;
    let texts = |pairs: &mut dyn Iterator<Item = (&String, &String)>| -> Map<String, Value> {
        pairs.map(|(key, value)| (key.clone(), json!(value))).collect()
    };
    let metric = |metric: &mynah_ledger::Metric| {
        (metric.key.clone(), json!({"value": json_number(metric.value), "step": metric.step}))
    };
    let facts = json!({
        "run_id": run_id,
        "params": texts(&mut data.params.iter().map(|param| (&param.key, &param.value))),
        "tags": texts(&mut data.tags.iter().map(|tag| (&tag.key, &tag.value))),
        "metrics": data.metrics.iter().map(metric).collect::<Map<_, _>>(),
    });
    let ledger = ledger.with_actor(crate::actor(by));
    files::write(&ledger, &ArtifactOwner::Run(run_id.to_string()), FACTS, &facts)
}

/// Events of model versions that the run made.
fn of_models(ledger: &Ledger, run_id: &str) -> Result<Vec<AuditEvent>> {
    let search = mynah_ledger::SearchModels {
        filter: format!("run_id = '{run_id}'"),
        max_results: 1_000,
        ..Default::default()
    };
    let mut versions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for version in ledger.search_model_versions(&search)?.items {
        versions.entry(version.name).or_default().insert(version.version);
    }
    let mut found = Vec::new();
    for (name, versions) in versions {
        for event in ledger.audit_events_of(&format!("model:{name}"))? {
            let version = Event::of(&event).detail["version"].as_u64();
            if is_evidence(&event.kind) && version.is_some_and(|version| versions.contains(&version)) {
                found.push(event);
            }
        }
    }
    Ok(found)
}

/// Governance's records among the run's artifacts, each with the event that recorded what it is now.
fn files_of_run(ledger: &Ledger, run_id: &str, events: &[AuditEvent]) -> Result<Vec<EvidenceFile>> {
    let owner = ArtifactOwner::Run(run_id.to_string());
    let mut found = Vec::new();
    for artifact in ledger.walk_artifacts(&owner)? {
        if !artifact.path.starts_with("governance/") {
            continue;
        }
        let event = events.iter().rev().find(|event| records(event, &artifact.path, &artifact.digest));
        let (Some(event), Ok(Some(text))) = (event, text_of(ledger, &owner, &artifact.path)) else {
            continue;
        };
        found.push(EvidenceFile { seq: event.seq, path: artifact.path, text });
    }
    Ok(found)
}

/// Tickets and receipts about the run among the shared artifacts; their events are added.
fn shared_files(ledger: &Ledger, run_id: &str, events: &mut Vec<AuditEvent>) -> Result<Vec<EvidenceFile>> {
    let subject = format!("run:{run_id}");
    let shared = ledger.audit_events_of("shared")?;
    let mut found = Vec::new();
    for artifact in ledger.walk_artifacts(&ArtifactOwner::Shared)? {
        if !artifact.path.starts_with("governance/") {
            continue;
        }
        let Ok(Some(text)) = text_of(ledger, &ArtifactOwner::Shared, &artifact.path) else { continue };
        let is_ours = match (serde_json::from_str::<Ticket>(&text), serde_json::from_str::<Receipt>(&text)) {
            (Ok(ticket), _) => ticket.subject == subject,
            (_, Ok(receipt)) => receipt.results.iter().any(|result| {
                serde_json::to_string(&result.step.action).is_ok_and(|action| action.contains(run_id))
            }),
            _ => serde_json::from_str::<Promotion>(&text)
                .is_ok_and(|record| record.run_id.as_deref() == Some(run_id)),
        };
        let event = shared.iter().rev().find(|event| records(event, &artifact.path, &artifact.digest));
        if let (true, Some(event)) = (is_ours, event) {
            events.push(event.clone());
            found.push(EvidenceFile { seq: event.seq, path: artifact.path, text });
        }
    }
    Ok(found)
}

fn text_of(ledger: &Ledger, owner: &ArtifactOwner, path: &str) -> Result<Option<String>> {
    Ok(files::read_bytes(ledger, owner, path)?.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn records(event: &AuditEvent, path: &str, digest: &str) -> bool {
    let detail = Event::of(event).detail;
    event.kind == "artifact.put"
        && detail["path"].as_str() == Some(path)
        && detail["digest"].as_str() == Some(&format!("blake3:{digest}"))
}

/// Verifies a bundle with nothing but the log's public key: every event is in the log that this key signed, every
/// file is the one that its event records, every override is signed by one of the approvers, and the
/// statements are those that follow.
///
/// # Errors
/// `Refused` when a proof, digest or signature does not fit, or a statement does not follow; `Format` when a part is
/// malformed.
pub fn verify(bundle: &Bundle, key: &Ed25519VerifyingKey, approvers: &[Approver]) -> Result<Verified> {
    let checkpoint = Checkpoint::verify(&bundle.checkpoint, &bundle.origin, key)?;
    let mut events: Vec<Event> = Vec::new();
    for evidence in &bundle.events {
        let place = |error: mynah_trust::Error| {
            let error = Error::from(error);
            Error::new(error.kind(), format!("event {}: {error}", evidence.seq))
        };
        let proof = LogProof::from_text(&evidence.proof).map_err(place)?;
        let refused = |why: &str| Error::refused(format!("event {}: {why}", evidence.seq));
        let body = proof.extra.as_deref().ok_or_else(|| refused("its text is missing"))?;
        proof.verify(&leaf_hash(body), &bundle.origin, key).map_err(place)?;
        let event = std::str::from_utf8(body).ok().and_then(Event::parse);
        let event = event.ok_or_else(|| refused("its text is no event"))?;
        if event.seq != evidence.seq || event.seq != proof.index {
            return Err(refused("its text names another place in the log"));
        }
        if events.last().is_some_and(|last| last.seq >= event.seq) {
            return Err(refused("events are not in their order"));
        }
        events.push(event);
    }
    let by_seq: BTreeMap<u64, &Event> = events.iter().map(|event| (event.seq, event)).collect();
    let mut files: Files<'_> = BTreeMap::new();
    let mut signers = Vec::new();
    for file in &bundle.files {
        let refused = |why: &str| Error::refused(format!("the file {}: {why}", file.path));
        let event = by_seq.get(&file.seq).ok_or_else(|| refused("its event is not among the evidence"))?;
        let digest = format!("blake3:{}", blake3::hash(file.text.as_bytes()).to_hex());
        let fits = event.kind == "artifact.put"
            && event.detail["path"].as_str() == Some(&file.path)
            && event.detail["digest"].as_str() == Some(&digest);
        if !fits {
            return Err(refused("it is not the one that its event records"));
        }
        if let Ok(record) = serde_json::from_str::<Promotion>(&file.text)
            && let Some(envelope) = &record.signed_override
        {
            let envelope = Envelope::parse(envelope.to_string().as_bytes())?;
            signers.push(verify_override(&envelope, &record.assessment, approvers)?);
        }
        files.insert(file.seq, (file.path.as_str(), file.text.as_str()));
    }
    let statements = derive(&events, &files);
    if statements != bundle.statements {
        return Err(Error::refused("a statement of the report does not follow from its evidence"));
    }
    Ok(Verified { checkpoint, events, statements, approvers: signers })
}
