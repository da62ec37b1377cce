//! `mynah weights coordinator`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mynah_base::units;
use mynah_swap::Manifest;
use mynah_swap::host::{Goal, LeadEvent, LeadOptions, LeadReport, Offer, lead, read_signature};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::protocol::{self, Event, FileLog, ReplicaId};
use mynah_swap::source::SafetensorsSource;
use serde_json::json;

use super::agent::{LOG_RECORDS_MAX, Wire};
use super::manifest_path;
use crate::failure::{Failure, Result};
use crate::home;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights coordinator --to 10.0.0.5:7000 10.0.0.6:7000 --from new --base old --token-file token
  mynah weights coordinator --to 10.0.0.5:7000 10.0.0.6:7000 --rollback --token-file token

Leads one update and goes: all agents take it or none does. With --base only what changed inside chunks is sent, without
it chunks that changed. What is decided is in its log before anybody hears of it; after a crash the next coordinator with
the same log (--recover, or any other update) ends what was begun. Exit code 1 when the version is not served.")]
pub struct Coordinator {
    /// An agent's address (may be given several times)
    #[arg(long, value_name = "ADDR", required = true, num_args = 1..)]
    to: Vec<String>,
    /// The folder of the new version
    #[arg(long, value_name = "DIR", required_unless_present_any = ["rollback", "recover"])]
    from: Option<PathBuf>,
    /// The folder of the version that the agents have
    #[arg(long, value_name = "DIR", requires = "from")]
    base: Option<PathBuf>,
    /// Go back to the version before; no byte moves
    #[arg(long, conflicts_with = "from")]
    rollback: bool,
    /// Only end what another coordinator began
    #[arg(long, conflicts_with_all = ["from", "rollback"])]
    recover: bool,
    /// The log of decisions (default: one for these agents under MYNAH_HOME/weights)
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long agents may take to be there
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// The number of an agent that is off for good (may be given several times)
    #[arg(long, value_name = "N")]
    evict: Vec<u32>,
    #[command(flatten)]
    wire: Wire,
}

pub fn run(arguments: &Coordinator) -> Result<()> {
    let tcp = arguments.wire.tcp()?;
    let mut addresses = arguments.to.clone();
    addresses.sort();
    addresses.dedup();
    let path = match &arguments.log {
        Some(path) => path.clone(),
        None => usual_log(&addresses)?,
    };
    let mut log = FileLog::open(&path)?;
    protocol::Coordinator::compact(&mut log, LOG_RECORDS_MAX)?;
    let scratch = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let options = LeadOptions {
        lease_ms: arguments.wire.lease_ms,
        wait: Duration::from_secs(arguments.wait.min(86_400)),
        evict: arguments.evict.iter().copied().map(ReplicaId).collect(),
        scratch: scratch.to_path_buf(),
    };
    let goal = match &arguments.from {
        Some(from) => goal(from, arguments.base.as_deref(), &options.scratch)?,
        None if arguments.rollback => Goal::Rollback,
        None => Goal::Recover,
    };
    let observe = |event: &LeadEvent| tell(&arguments.wire, event);
    let report = lead(&addresses, &goal, &options, &mut log, Arc::new(tcp), &observe)?;
    end(arguments, &report);
    Ok(())
}

/// To the version in a folder.
pub fn goal(from: &Path, base: Option<&Path>, scratch: &Path) -> Result<Goal> {
    // Refused before anybody is asked for anything.
    SafetensorsSource::open(from)?;
    let (from, base, scratch) = (from.to_path_buf(), base.map(Path::to_path_buf), scratch.to_path_buf());
    Ok(Goal::Version(Box::new(move |live, epoch| offer(&from, base.as_deref(), live, epoch, &scratch))))
}

/// The version in a folder, under its own manifest or one that follows what the agents have.
fn offer(
    from: &Path,
    base: Option<&Path>,
    live: &Manifest,
    epoch: u64,
    scratch: &Path,
) -> mynah_swap::Result<Offer> {
    let source = SafetensorsSource::open(from)?;
    let path = manifest_path(from);
    let mut signature = None;
    let manifest = if from.is_dir() && path.is_file() {
        let mut name = path.clone().into_os_string();
        name.push(".sig");
        signature = read_signature(Path::new(&name));
        Manifest::load(&path)?.onto(live)?
    } else {
        let head = live.head();
        let mut identity = Identity::of_folder(&head.model, from)?;
        // The tokenizer need not lie beside the weights.
        identity.tokenizer = identity.tokenizer.or(head.tokenizer);
        let options = BuildOptions {
            epoch: epoch.max(head.epoch.saturating_add(1)),
            parent: Some(live.digest()),
            chunk_bytes: head.chunk_bytes,
            ..BuildOptions::default()
        };
        build(&source, &identity, &options)?
    };
    let base = base.map(SafetensorsSource::open).transpose()?.map(|base| (live.clone(), base));
    Ok(Offer::new(manifest, source, base, scratch.to_path_buf()).with_signature(signature))
}

/// One log for a set of agents, wherever the coordinator is started.
fn usual_log(addresses: &[String]) -> Result<PathBuf> {
    let folder = home::home()?.join("weights");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::io("cannot create the folder", &folder, &error))?;
    let name = mynah_swap::Hash::of(addresses.join("\n").as_bytes());
    Ok(folder.join(format!("coordinator-{}.log", name.short())))
}

fn end(arguments: &Coordinator, report: &LeadReport) {
    let left: Vec<_> = report.left.iter().map(|(id, why)| json!({"agent": id.0, "reason": why})).collect();
    let json = json!({
        "event": "ended", "version": report.version.to_string(), "is_news": report.is_news, "left": left,
        "wire_bytes": report.wire_bytes, "stage_seconds": report.stage_seconds,
        "commit_seconds": report.commit_seconds,
    });
    arguments.wire.tell(&json, || {
        let version = report.version.short();
        if !report.is_news {
            return format!("all agents serve version {version}");
        }
        let mut text = format!(
            "version {version} is served: {} sent, verified everywhere after {:.2} s, taken in {:.3} s",
            units::bytes(report.wire_bytes),
            report.stage_seconds,
            report.commit_seconds
        );
        for (id, why) in &report.left {
            text.push_str(&format!("\n{id} was left out: {why}"));
        }
        text
    });
}

fn tell(wire: &Wire, event: &LeadEvent) {
    let (json, text) = match event {
        LeadEvent::At(step) => return wire.at(*step),
        LeadEvent::Leads(term) => (json!({"event": "leads", "term": term}), format!("leads in term {term}")),
        LeadEvent::Connected(address, id) => {
            (json!({"event": "connected", "address": address, "agent": id.0}), format!("{address} is {id}"))
        }
        LeadEvent::Trouble(address, why) => {
            (json!({"event": "trouble", "address": address, "reason": why}), format!("{address}: {why}"))
        }
        LeadEvent::Went(event) => match event {
            Event::Began { epoch, target, participants } => (
                json!({"event": "began", "epoch": epoch, "version": target.to_string(), "agents": participants}),
                format!("update {epoch} to version {} begins with {participants} agents", target.short()),
            ),
            Event::Verified { epoch } => (
                json!({"event": "verified", "epoch": epoch}),
                format!("update {epoch}: every chunk is right everywhere"),
            ),
            Event::Decided { epoch, is_commit, reason } => (
                json!({"event": "decided", "epoch": epoch, "is_commit": is_commit, "reason": reason}),
                match is_commit {
                    true => format!("update {epoch} is decided: everywhere"),
                    false => format!("update {epoch} is decided: nowhere, {reason}"),
                },
            ),
            Event::Closed { epoch } => {
                (json!({"event": "closed", "epoch": epoch}), format!("update {epoch} is carried out"))
            }
            Event::Joined(id) => (json!({"event": "joined", "agent": id.0}), format!("{id} joins")),
            Event::Left(id, why) => {
                (json!({"event": "left", "agent": id.0, "reason": why}), format!("{id} is left out: {why}"))
            }
        },
    };
    wire.tell(&json, || text);
}
