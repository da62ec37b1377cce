//! Promotion: a model version moves to a stage when its run passes, or when somebody who may overrules the
//! refusal and signs for it.
//!
//! An override is a DSSE envelope around an in-toto statement, signed with Ed25519. It names exactly the
//! reasons that it overrules, by a digest: a finding that comes later is not covered. The record of every
//! promotion, with the whole override, is an artifact, and so in the audit log.

use mynah_ledger::{ArtifactOwner, Ledger, Lifecycle, ModelVersion, RunRecord, RunStatus, Stage, Tag};
use mynah_trust::dsse::Envelope;
use mynah_trust::keys::{Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::statement::{Statement, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::gate::{Gate, GateReport, evaluate_runs};
use crate::validate::{Approver, Finding, Policy, validate_run};
use crate::{files, now_ms};

/// The kind of statement that an override makes.
pub const OVERRIDE_TYPE: &str = "urn:mynah:promotion-override:v1";
/// The tag of a model version that names the record of its last promotion.
pub const PROMOTION_TAG: &str = "mynah.promotion";
/// Where records lie among the artifacts of their run.
pub(crate) const FOLDER: &str = "governance/promotions";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The registered model.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// The stage it is to have.
    pub stage: Stage,
    /// The run that gates compare with; nothing: that of the version that has the stage now.
    pub baseline_run: Option<String>,
}

/// Whether a promotion may happen, and why not.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// What was asked for.
    pub request: Request,
    /// The run that made the version.
    pub run_id: Option<String>,
    /// The run that gates were compared with.
    pub baseline_run: Option<String>,
    /// Findings that stand against it.
    pub findings: Vec<Finding>,
    /// What the gates decided.
    pub gates: GateReport,
    /// Why not, one line each; empty: it may.
    pub reasons: Vec<String>,
    /// Over the request and the reasons; an override names it.
    pub digest: String,
}

impl Assessment {
    /// Whether it may happen without an override.
    pub fn is_eligible(&self) -> bool {
        self.reasons.is_empty()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "model": self.request.model, "version": self.request.version, "stage": self.request.stage.as_str(),
            "run": self.run_id, "baseline_run": self.baseline_run, "eligible": self.is_eligible(),
            "reasons": self.reasons, "digest": self.digest, "gates": self.gates.to_json(),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    }
}

/// The record of a promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The registered model.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// The stage it got.
    pub stage: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// Who promoted it.
    pub by: String,
    /// When.
    pub at_ms: i64,
    /// What the gates decided, as [`GateReport::to_json`].
    pub gates: Value,
    /// What stood against it; empty: nothing did.
    pub reasons: Vec<String>,
    /// The digest of the assessment.
    pub assessment: String,
    /// Who overruled the reasons; nothing: nobody had to.
    pub approver: Option<String>,
    /// The signed override, a DSSE envelope.
    pub signed_override: Option<Value>,
}

/// Looks whether a version may have a stage: its run must have finished, be in use and not in quarantine, have no
/// finding of the policy's weight, and pass the policy's gates against the run of the version that has the stage
/// now.
///
/// # Errors
/// `NotFound` for the version; when the ledger cannot be read; `Argument` for a policy that is none.
pub fn assess(ledger: &Ledger, request: &Request, policy: &Policy) -> Result<Assessment> {
    let version = ledger.model_version(&request.model, request.version)?;
    let mut assessment = Assessment {
        request: request.clone(),
        run_id: version.run_id.clone().filter(|id| !id.is_empty()),
        baseline_run: None,
        findings: Vec::new(),
        gates: GateReport::default(),
        reasons: Vec::new(),
        digest: String::new(),
    };
    match &assessment.run_id {
        None => assessment.reasons.push("nobody knows which run made it".to_string()),
        Some(run_id) => match ledger.run(run_id) {
            Ok(record) => of_run(ledger, policy, &version, &record, &mut assessment)?,
            Err(error) if error.kind() == mynah_ledger::ErrorKind::NotFound => {
                assessment.reasons.push(format!("its run {run_id} is not in the store"));
            }
            Err(error) => return Err(error.into()),
        },
    }
    assessment.digest = digest(&assessment);
    Ok(assessment)
}

fn of_run(
    ledger: &Ledger,
    policy: &Policy,
    version: &ModelVersion,
    record: &RunRecord,
    assessment: &mut Assessment,
) -> Result<()> {
    let run = &record.run;
    let reasons = &mut assessment.reasons;
    if run.status != RunStatus::Finished {
        reasons.push(format!("the status of its run is {}", run.status.as_str()));
    }
    if run.lifecycle == Lifecycle::Deleted {
        reasons.push("its run is in the bin".to_string());
    }
    if let Some(quarantine) = &run.quarantine {
        reasons.push(format!("its run is in quarantine: {}", quarantine.reason));
    }
    let found = validate_run(ledger, &run.id, policy, now_ms())?;
    assessment.findings =
        found.findings.into_iter().filter(|f| f.severity >= policy.block_promotion_at).collect();
    let lines = assessment.findings.iter().map(|f| format!("finding {}: {} at {}", f.id, f.rule, f.place));
    reasons.extend(lines);
    let gates = policy.gates.iter().map(|gate| gate.parse()).collect::<Result<Vec<Gate>>>()?;
    if gates.is_empty() {
        return Ok(());
    }
    let baseline = match &assessment.request.baseline_run {
        Some(run_id) => Some(run_id.clone()),
        None => holder(ledger, version, assessment.request.stage)?,
    };
    let report = evaluate_runs(ledger, &gates, &run.id, baseline.as_deref())?;
    // The first version of a stage has nothing to be compared with; absolute gates still hold.
    let is_first = baseline.is_none();
    for result in &report.results {
        let is_against = match result.outcome {
            crate::gate::Outcome::Passed => false,
            crate::gate::Outcome::Failed => true,
            crate::gate::Outcome::Undecided { .. } => !is_first || result.candidate.is_none(),
        };
        if is_against && result.gate.weight == crate::gate::Weight::Fail {
            assessment.reasons.push(format!("gate {}", result.message()));
        }
    }
    assessment.baseline_run = baseline;
    assessment.gates = report;
    Ok(())
}

/// The run of the version that has the stage now.
fn holder(ledger: &Ledger, version: &ModelVersion, stage: Stage) -> Result<Option<String>> {
    if stage == Stage::None {
        return Ok(None);
    }
    let model = ledger.registered_model(&version.name)?;
    let others = model.latest_versions.into_iter();
    let mut others = others.filter(|other| other.stage == stage && other.version != version.version);
    Ok(others.find_map(|other| other.run_id.filter(|id| !id.is_empty())))
}

fn digest(assessment: &Assessment) -> String {
    let mut reasons = assessment.reasons.clone();
    reasons.sort();
    let text = json!({
        "model": assessment.request.model, "version": assessment.request.version,
        "stage": assessment.request.stage.as_str(), "run": assessment.run_id, "reasons": reasons,
    });
    blake3::hash(text.to_string().as_bytes()).to_hex().to_string()
}

/// Signs that the reasons of an assessment are overruled: by whom, and why.
///
/// # Errors
/// `Argument` without a name or a reason, or when there is nothing to overrule.
pub fn sign_override(
    assessment: &Assessment,
    approver: &str,
    why: &str,
    key: &Ed25519SigningKey,
) -> Result<Envelope> {
    if approver.trim().is_empty() || why.trim().is_empty() {
        return Err(Error::argument("an override needs the name of who overrules, and why"));
    }
    if assessment.is_eligible() {
        return Err(Error::argument("nothing stands against this promotion; there is nothing to overrule"));
    }
    let request = &assessment.request;
    let statement = Statement {
        subjects: vec![Subject {
            name: format!("{} version {} to {}", request.model, request.version, request.stage.as_str()),
            digests: [("blake3".to_string(), assessment.digest.clone())].into(),
        }],
        predicate_type: OVERRIDE_TYPE.to_string(),
        predicate: json!({
            "model": request.model, "version": request.version, "stage": request.stage.as_str(),
            "run": assessment.run_id, "reasons": assessment.reasons, "by": approver, "why": why.trim(),
            "at_ms": now_ms(),
        }),
    };
    let mut envelope = statement.to_envelope();
    envelope.sign(key, approver);
    Ok(envelope)
}

/// The approver who signed an override of exactly this assessment.
///
/// # Errors
/// `Refused` when nobody of them did, or it is about something else.
pub fn verify_override(
    envelope: &Envelope,
    assessment_digest: &str,
    approvers: &[Approver],
) -> Result<String> {
    for approver in approvers {
        let key = Ed25519VerifyingKey::from_pem(&approver.public_key)?;
        let Ok(statement) = Statement::verify(envelope, &key) else { continue };
        if statement.predicate_type != OVERRIDE_TYPE {
            return Err(Error::refused(format!("'{}' signed no override of a promotion", approver.name)));
        }
        let is_about_this = statement
            .subjects
            .iter()
            .any(|subject| subject.digests.get("blake3").is_some_and(|digest| digest == assessment_digest));
        if !is_about_this {
            return Err(Error::refused(
                "the override is of another assessment; assess again and have that one overruled",
            ));
        }
        if statement.predicate["by"].as_str() != Some(&approver.name) {
            return Err(Error::refused(format!(
                "the override names another person than '{}'",
                approver.name
            )));
        }
        return Ok(approver.name.clone());
    }
    Err(Error::refused("the override is signed by nobody whom the policy lets overrule"))
}

/// Promotes a version as `by`: assesses it, refuses or takes a signed override, records the decision, and
/// moves the version; what had the stage is archived.
///
/// # Errors
/// `Refused` with the reasons when it may not happen; as [`assess`]; when the ledger cannot be written.
pub fn promote(
    ledger: &Ledger,
    request: &Request,
    policy: &Policy,
    signed_override: Option<&Envelope>,
    by: &str,
) -> Result<Promotion> {
    let assessment = assess(ledger, request, policy)?;
    let approver = match (assessment.is_eligible(), signed_override) {
        (true, _) => None,
        (false, Some(envelope)) => Some(verify_override(envelope, &assessment.digest, &policy.approvers)?),
        (false, None) => {
            return Err(Error::refused(format!(
                "version {} of {} may not move to {}: {}; put it right, or have it overruled and signed",
                request.version,
                request.model,
                request.stage.as_str(),
                assessment.reasons.join("; ")
            )));
        }
    };
    let ledger = ledger.with_actor(crate::actor(by));
    let record = Promotion {
        model: request.model.clone(),
        version: request.version,
        stage: request.stage.as_str().to_string(),
        run_id: assessment.run_id.clone(),
        by: by.to_string(),
        at_ms: now_ms(),
        gates: assessment.gates.to_json(),
        reasons: assessment.reasons,
        assessment: assessment.digest,
        signed_override: approver.as_ref().and(signed_override).map(Envelope::to_json),
        approver,
    };
    // The record first: a version that moved without one would look like nobody's decision.
    let name = crate::short_id(&[
        &record.model,
        &record.version.to_string(),
        &record.stage,
        &record.at_ms.to_string(),
    ]);
    let path = format!("{FOLDER}/{name}.json");
    files::write(&ledger, &record_owner(&ledger, &record), &path, &record)?;
    ledger.set_model_version_tag(&record.model, record.version, Tag::new(PROMOTION_TAG, &path))?;
    let archives = matches!(request.stage, Stage::Staging | Stage::Production);
    ledger.transition_model_version(&record.model, record.version, request.stage, archives)?;
    Ok(record)
}

/// The run's own artifacts, where it can take any; else the shared ones.
fn record_owner(ledger: &Ledger, record: &Promotion) -> ArtifactOwner {
    let run = record.run_id.as_ref().and_then(|id| ledger.run(id).ok());
    match run.filter(|record| record.run.lifecycle == Lifecycle::Active) {
        Some(record) => ArtifactOwner::Run(record.run.id),
        None => ArtifactOwner::Shared,
    }
}
