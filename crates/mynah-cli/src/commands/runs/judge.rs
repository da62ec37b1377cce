//! `mynah runs validate | gate | repair | report`: rules over what was recorded, and what follows from them.

use std::path::{Path, PathBuf};

use clap::Args;
use mynah_base::time::utc;
use mynah_govern::gate::{Gate, Notice, evaluate_runs};
use mynah_govern::repair::{self, Outcome, Plan};
use mynah_govern::validate::{Finding, Policy, Severity, Validation, validate_place, validate_run};
use mynah_govern::{now_ms, quarantine, report};

use super::audit::{signing_key, verifying_key};
use super::tell::tell;
use super::{Store, find, scheduled};
use crate::failure::{Failure, Result};
use crate::recording;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs validate                            everything: runs, registry, audit log, artifacts
  mynah runs validate 3f2a91c0 --policy policy.toml
  mynah runs validate --quarantine               runs with errors are kept apart
  mynah runs validate --schedule '0 3 * * *' --policy policy.toml     every night, until Ctrl-C

With --schedule (five fields of cron, UTC) each slot is done once, whatever number of processes keep it. The hooks of the
policy are told of findings, each once. Otherwise: ends with exit code 1 when there is an error among the findings.")]
pub struct Validate {
    /// One run (default: the whole ledger)
    #[arg(value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    store: Store,
    /// Rules, severities and limits, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A checkpoint of the audit log that was kept elsewhere
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    checkpoint: Option<PathBuf>,
    /// Put runs with findings that deserve it into quarantine
    #[arg(long)]
    quarantine: bool,
    /// Validate everything at these times until the program is ended
    #[arg(long, value_name = "CRON", conflicts_with_all = ["run", "checkpoint"])]
    schedule: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn validate(arguments: &Validate) -> Result<()> {
    let policy = policy_file(arguments.policy.as_deref())?;
    if let Some(cron) = &arguments.schedule {
        let mut told = |slot: i64, found: &Validation| match arguments.json {
            true => println!("{}", serde_json::json!({"slot_ms": slot, "validation": found.to_json()})),
            false => {
                found.findings.iter().for_each(print_finding);
                println!("{}: {} finding(s) in {} run(s)", utc(slot), found.findings.len(), found.runs.len());
            }
        };
        return scheduled::keep(&arguments.store.change()?, &policy, cron, arguments.quarantine, &mut told);
    }
    let found = match &arguments.run {
        Some(named) => {
            let ledger = arguments.store.look()?;
            validate_run(&ledger, &find(&ledger, named)?.run.id, &policy, now_ms())?
        }
        None => {
            let held = match &arguments.checkpoint {
                None => None,
                Some(path) => Some(arguments.store.look()?.audit_held(&read(path)?, &verifying_key(None)?)?),
            };
            let location = recording::location(arguments.store.named())?;
            validate_place(&location, &policy, held, now_ms())?
        }
    };
    let mut kept_apart = 0;
    if arguments.quarantine {
        let plan = quarantine::plan(&found, &policy);
        if !plan.steps.is_empty() {
            kept_apart = repair::apply(&arguments.store.change()?, &plan, &recording::actor())?.done();
        }
    }
    if arguments.json {
        let mut json = found.to_json();
        json["quarantined"] = kept_apart.into();
        println!("{json}");
    } else {
        found.findings.iter().for_each(print_finding);
        let (runs, events) = (found.runs.len(), found.events);
        println!("{} finding(s) in {runs} run(s) and {events} event(s)", found.findings.len());
        if kept_apart > 0 {
            println!("{kept_apart} run(s) put into quarantine");
        }
    }
    if !policy.hooks.is_empty() {
        let notice = Notice::of_findings(&found.findings, policy.notify_at);
        tell(&arguments.store.change()?, &policy, notice)?;
    }
    match found.worst() {
        Some(worst) if worst >= Severity::Error => {
            Err(Failure::new("validation found errors").advice("`mynah runs repair` shows what can be done"))
        }
        _ => Ok(()),
    }
}

fn print_finding(finding: &Finding) {
    let repair = if finding.is_repairable() { " (repairable)" } else { "" };
    println!(
        "{:8} {:28} {} {}: {}{repair}",
        finding.severity.as_str(),
        finding.rule,
        finding.subject,
        finding.place,
        finding.message
    );
}

/// A policy file; without one, what every honest run satisfies.
///
/// # Errors
/// When it cannot be read or is none.
pub fn policy_file(path: Option<&Path>) -> Result<Policy> {
    match path {
        None => Ok(Policy::default()),
        Some(path) => Policy::parse(&read(path)?).map_err(|error| Failure::from(error).at_path(path)),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("cannot read", path, &error))
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs gate 3f2a91c0 --gate 'validation_bpb:min at-most 1.6'
  mynah runs gate 3f2a91c0 --baseline 77b0de12 --gate 'loss:min within 2%' --gate 'spelling:max noise 0.05 warn'

A gate is METRIC:min at-most X, METRIC:max at-least X, METRIC:DIR within X, METRIC:DIR within X%, or
METRIC:DIR noise RATE [welch|bootstrap] over the seeds that share the tag mynah.group; warn makes it advice.
Exit code: 0 passed, 3 regressed, 4 undecided.")]
pub struct AskGates {
    /// The candidate: id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    store: Store,
    /// What it is compared with
    #[arg(long, value_name = "RUN")]
    baseline: Option<String>,
    /// A gate (may be given several times)
    #[arg(long, value_name = "GATE", required_unless_present = "policy")]
    gate: Vec<String>,
    /// Ask the gates of this policy too, and tell its hooks
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn gate(arguments: &AskGates) -> Result<()> {
    let policy = policy_file(arguments.policy.as_deref())?;
    let texts = policy.gates.iter().chain(&arguments.gate);
    let gates = texts.map(|text| text.parse()).collect::<mynah_govern::Result<Vec<Gate>>>()?;
    if gates.is_empty() {
        return Err(Failure::new("the policy has no gates")
            .at("--policy")
            .advice("add some, or give --gate"));
    }
    let ledger = if policy.hooks.is_empty() { arguments.store.look()? } else { arguments.store.change()? };
    let run = find(&ledger, &arguments.run)?.run.id;
    let baseline = arguments.baseline.as_ref().map(|name| find(&ledger, name)).transpose()?;
    let report =
        evaluate_runs(&ledger, &gates, &run, baseline.as_ref().map(|record| record.run.id.as_str()))?;
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        report.results.iter().for_each(|result| println!("{}", result.message()));
    }
    tell(&ledger, &policy, Notice::of_gates(&run, &report))?;
    match report.exit_code() {
        0 => Ok(()),
        code => {
            // The code says it; scripts read no text.
            std::process::exit(i32::from(code))
        }
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs repair                    what would be done, and what people must do
  mynah runs repair --apply
  mynah runs repair --undo             take the last repair back")]
pub struct Repair {
    #[command(flatten)]
    store: Store,
    /// Rules, severities and limits, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Do it, and file the tickets
    #[arg(long)]
    apply: bool,
    /// Take back what the last repair did
    #[arg(long, conflicts_with = "apply")]
    undo: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn repair(arguments: &Repair) -> Result<()> {
    let by = recording::actor();
    if arguments.undo {
        let ledger = arguments.store.change()?;
        let last = repair::receipts(&ledger)?.pop();
        let last = last.ok_or_else(|| Failure::new("nothing was repaired yet"))?;
        return print_receipt(&repair::undo(&ledger, &last, &by)?, arguments.json);
    }
    let policy = policy_file(arguments.policy.as_deref())?;
    let location = recording::location(arguments.store.named())?;
    let plan = repair::plan(&validate_place(&location, &policy, None, now_ms())?.findings);
    if !arguments.apply {
        return print_plan(&plan, arguments.json);
    }
    let ledger = arguments.store.change()?;
    let receipt = repair::apply(&ledger, &plan, &by)?;
    let filed = repair::file_tickets(&ledger, &plan.tickets)?;
    print_receipt(&receipt, arguments.json)?;
    if !arguments.json && filed > 0 {
        println!("{filed} ticket(s) filed: what people must do");
        plan.tickets.iter().for_each(print_ticket);
    }
    Ok(())
}

fn print_plan(plan: &Plan, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_value(plan).unwrap_or_default());
        return Ok(());
    }
    if plan.is_empty() {
        println!("nothing to repair");
        return Ok(());
    }
    plan.steps
        .iter()
        .for_each(|step| println!("would {}  [{}]", step.action.describe(), step.rules.join(", ")));
    plan.tickets.iter().for_each(print_ticket);
    println!("plan {}: --apply does it", plan.id);
    Ok(())
}

fn print_ticket(ticket: &repair::Ticket) {
    println!("ticket {} {} {}: {}", ticket.id, ticket.severity.as_str(), ticket.subject, ticket.message);
    ticket.guidance.iter().for_each(|line| println!("    {line}"));
}

fn print_receipt(receipt: &repair::Receipt, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_value(receipt).unwrap_or_default());
        return Ok(());
    }
    for result in &receipt.results {
        let outcome = match &result.outcome {
            Outcome::Done => "done".to_string(),
            Outcome::AlreadyDone => "done before".to_string(),
            Outcome::Intended => "not tried".to_string(),
            Outcome::Conflict { why } => format!("left alone: {why}"),
            Outcome::Failed { why } => format!("failed: {why}"),
        };
        println!("{}: {outcome}", result.step.action.describe());
    }
    println!("{} step(s) done; `mynah runs repair --undo` takes them back", receipt.done());
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs report 3f2a91c0 --out report/        report.html and evidence.json
  mynah runs report --verify report/evidence.json --key audit.pub.pem

What was trained on what by whom, how it was judged, who approved it: each statement with the events of the
audit log that prove it. The evidence verifies without the ledger.")]
pub struct MakeReport {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN", required_unless_present = "verify")]
    run: Option<String>,
    #[command(flatten)]
    store: Store,
    /// Folder for report.html and evidence.json
    #[arg(long, value_name = "DIR", default_value = "report")]
    out: PathBuf,
    /// Check evidence instead of making it
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    verify: Option<PathBuf>,
    /// The audit log's key: to sign with, or the public one to verify with (default: MYNAH_HOME/keys/audit.pem)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Who may overrule, as in a policy file
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print the statements as JSON
    #[arg(long)]
    json: bool,
}

pub fn make_report(arguments: &MakeReport) -> Result<()> {
    let approvers = policy_file(arguments.policy.as_deref())?.approvers;
    let bundle = match (&arguments.verify, &arguments.run) {
        (Some(path), _) => report::Bundle::parse(&read(path)?)?,
        (None, Some(named)) => {
            let ledger = arguments.store.change()?;
            let run = find(&ledger, named)?.run.id;
            report::bundle(&ledger, &run, &signing_key(arguments.key.as_deref())?, &recording::actor())?
        }
        (None, None) => return Err(Failure::new("no run is named")),
    };
    let key = match &arguments.verify {
        Some(_) => verifying_key(arguments.key.as_deref())?,
        None => signing_key(arguments.key.as_deref())?.verifying_key(),
    };
    let verified = report::verify(&bundle, &key, &approvers)?;
    if arguments.verify.is_none() {
        std::fs::create_dir_all(&arguments.out)
            .map_err(|error| Failure::io("cannot create the folder", &arguments.out, &error))?;
        let page = report::html(&bundle, &verified);
        for (name, text) in [("report.html", page), ("evidence.json", bundle.to_json()?)] {
            let path = arguments.out.join(name);
            mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))
                .map_err(|error| Failure::io("cannot write", &path, &error))?;
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_value(&verified.statements).unwrap_or_default());
    } else {
        let (statements, events) = (verified.statements.len(), verified.events.len());
        println!(
            "{statements} statements, each proven by the log ({events} events, checkpoint of {})",
            verified.checkpoint.size
        );
        if arguments.verify.is_none() {
            println!("{}", arguments.out.join("report.html").display());
        }
    }
    Ok(())
}
