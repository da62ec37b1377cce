//! `mynah runs register | promote`: model versions, and the stage that they may have.

use std::path::{Path, PathBuf};

use clap::Args;
use mynah_govern::promote::{Assessment, Request, assess, promote, sign_override};
use mynah_ledger::{ArtifactOwner, ErrorKind, NewModelVersion, Stage};
use mynah_trust::dsse::Envelope;
use mynah_trust::keys::Ed25519SigningKey;

use super::judge::policy_file;
use super::{Store, find};
use crate::failure::{Failure, Result};
use crate::recording;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs register 3f2a91c0 --model assistant
  mynah runs register 3f2a91c0 --model assistant --artifact model/weights.safetensors

Makes the next version of the model, and the model when it is the first.")]
pub struct Register {
    /// The run that made it: id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    /// Name of the registered model
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Which of the run's artifacts it is (default: its checkpoint manifest, else all of them)
    #[arg(long, value_name = "PATH")]
    artifact: Option<String>,
    #[command(flatten)]
    store: Store,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn register(arguments: &Register) -> Result<()> {
    let ledger = arguments.store.change()?;
    let record = find(&ledger, &arguments.run)?;
    let run_id = record.run.id.clone();
    let artifact = match &arguments.artifact {
        Some(path) => {
            let files = ledger.walk_artifacts(&ArtifactOwner::Run(run_id.clone()))?;
            let inside = format!("{}/", path.trim_end_matches('/'));
            if !files.iter().any(|file| file.path == *path || file.path.starts_with(&inside)) {
                return Err(Failure::new(format!("the run has no artifact {path}"))
                    .at("--artifact")
                    .advice("`mynah runs show` lists them"));
            }
            Some(path.clone())
        }
        None => record.data.tag("mynah.checkpoint.manifest").map(str::to_string),
    };
    match ledger.create_registered_model(&arguments.model, Vec::new(), None) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    let source = format!("runs:/{run_id}/{}", artifact.unwrap_or_default());
    let version = ledger.create_model_version(NewModelVersion {
        name: arguments.model.clone(),
        source: source.trim_end_matches('/').to_string(),
        run_id: Some(run_id),
        run_link: None,
        description: None,
        model_id: None,
        user: Some(recording::actor()),
        tags: Vec::new(),
    })?;
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({
                "model": version.name, "version": version.version, "source": version.source, "run": version.run_id,
            })
        );
    } else {
        let source = version.source.as_deref().unwrap_or_default();
        println!("{} version {} is {source}", version.name, version.version);
    }
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs promote assistant 3 --to production --dry-run
  mynah runs promote assistant 3 --to production --policy policy.toml
  mynah runs promote assistant 3 --to production --policy policy.toml \\
      --overrule 'the gap is the power cut of Monday' --as alice --key alice.pem --out override.json
  mynah runs promote assistant 3 --to production --policy policy.toml --override override.json

A version may be promoted when its run has finished, is not in quarantine, has no finding of the policy's weight,
and passes the policy's gates against the version that has the stage now. What stands against it can be overruled
by somebody whom the policy lists as approver: the signed override is recorded with the promotion.")]
pub struct Promote {
    /// Registered model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    // Not the id `version`: that is the flag every command has.
    #[arg(id = "model_version", value_name = "VERSION")]
    version: u64,
    /// Stage: production, staging, archived or none
    #[arg(long = "to", value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    store: Store,
    /// Rules, gates and approvers, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The run that gates compare with (default: that of the version that has the stage now)
    #[arg(long, value_name = "RUN")]
    baseline: Option<String>,
    /// Only say whether it may, and why not
    #[arg(long)]
    dry_run: bool,
    /// A signed override of what stands against it
    #[arg(long = "override", value_name = "FILE", conflicts_with = "dry_run")]
    signed_override: Option<PathBuf>,
    /// Sign an override instead of promoting, and say why
    #[arg(long, value_name = "WHY", requires_all = ["approver", "key", "out"], conflicts_with_all = ["signed_override", "dry_run"])]
    overrule: Option<String>,
    /// Who overrules, as the policy names them
    #[arg(long = "as", value_name = "NAME", requires = "overrule")]
    approver: Option<String>,
    /// The approver's Ed25519 key
    #[arg(long, value_name = "FILE", requires = "overrule")]
    key: Option<PathBuf>,
    /// Where the override is written
    #[arg(long, value_name = "FILE", requires = "overrule")]
    out: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Ended because it may not be promoted.
const EXIT_REFUSED: i32 = 3;

pub fn run(arguments: &Promote) -> Result<()> {
    let policy = policy_file(arguments.policy.as_deref())?;
    let stage = Stage::parse(&arguments.stage).ok_or_else(|| {
        Failure::new(format!("'{}' is no stage", arguments.stage))
            .at("--to")
            .advice("give production, staging, archived or none")
    })?;
    let looks = arguments.dry_run || arguments.overrule.is_some();
    let ledger = if looks { arguments.store.look()? } else { arguments.store.change()? };
    let baseline = arguments.baseline.as_ref().map(|name| find(&ledger, name)).transpose()?;
    let request = Request {
        model: arguments.model.clone(),
        version: arguments.version,
        stage,
        baseline_run: baseline.map(|record| record.run.id),
    };
    if arguments.dry_run {
        let assessment = assess(&ledger, &request, &policy)?;
        print_assessment(&assessment, arguments.json);
        if !assessment.is_eligible() {
            std::process::exit(EXIT_REFUSED);
        }
        return Ok(());
    }
    if let (Some(why), Some(approver), Some(key), Some(out)) =
        (&arguments.overrule, &arguments.approver, &arguments.key, &arguments.out)
    {
        let assessment = assess(&ledger, &request, &policy)?;
        let envelope = sign_override(&assessment, approver, why, &Ed25519SigningKey::load(key)?)?;
        write(out, &envelope)?;
        print_assessment(&assessment, arguments.json);
        if !arguments.json {
            println!("overruled by {approver}: {}", out.display());
        }
        return Ok(());
    }
    let envelope = match &arguments.signed_override {
        None => None,
        Some(path) => {
            let text = std::fs::read(path).map_err(|error| Failure::io("cannot read", path, &error))?;
            Some(Envelope::parse(&text)?)
        }
    };
    let promotion = promote(&ledger, &request, &policy, envelope.as_ref(), &recording::actor())?;
    if arguments.json {
        println!("{}", serde_json::to_value(&promotion).unwrap_or_default());
    } else {
        println!("{} version {} is in {}", promotion.model, promotion.version, promotion.stage);
        if let Some(approver) = &promotion.approver {
            println!("overruled by {approver}: {}", promotion.reasons.join("; "));
        }
    }
    Ok(())
}

fn print_assessment(assessment: &Assessment, json: bool) {
    if json {
        println!("{}", assessment.to_json());
        return;
    }
    let request = &assessment.request;
    let may = if assessment.is_eligible() { "may" } else { "may not" };
    println!("{} version {} {may} move to {}", request.model, request.version, request.stage.as_str());
    assessment.gates.results.iter().for_each(|result| println!("  gate {}", result.message()));
    assessment.reasons.iter().for_each(|reason| println!("  against it: {reason}"));
}

fn write(path: &Path, envelope: &Envelope) -> Result<()> {
    let text = envelope.to_json().to_string();
    mynah_base::write_atomic(path, |file| std::io::Write::write_all(file, text.as_bytes()))
        .map_err(|error| Failure::io("cannot write", path, &error))
}
