//! `mynah weights diff | plan`.

use std::path::PathBuf;

use clap::Args;
use mynah_base::units;
use mynah_swap::Plan;
use mynah_swap::plan::{Change, PlanOptions};
use serde_json::json;

use super::load;
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(after_help = "Example:\n  mynah weights diff old new\n\nExit code 1 when there is a difference.")]
pub struct Diff {
    /// A manifest, or a folder with one
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The other
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn diff(arguments: &Diff) -> Result<()> {
    let (from, to) = (load(&arguments.from)?, load(&arguments.to)?);
    let whole = if to.head().is_partial { to.onto(&from)? } else { to };
    let plan = Plan::new(Some(&from), &whole, &PlanOptions::default())?;
    let changed: Vec<_> = whole
        .tensors()
        .iter()
        .zip(&plan.tensors)
        .filter(|(_, plan)| plan.change != Change::Unchanged)
        .collect();
    let removed: Vec<String> =
        plan.removed.iter().map(|&index| from.tensors()[index as usize].label()).collect();
    if arguments.json {
        let tensors: Vec<_> = changed
            .iter()
            .map(|(tensor, plan)| {
                json!({
                    "tensor": tensor.label(), "change": plan.change.name(), "size_bytes": tensor.size_bytes(),
                    "changed_bytes": plan.send_bytes,
                })
            })
            .collect();
        let (from, to) = (from.digest().to_string(), whole.digest().to_string());
        println!("{}", json!({ "from": from, "to": to, "tensors": tensors, "removed": removed }));
    } else {
        for (tensor, plan) in &changed {
            println!(
                "{:10} {}  {} of {} in changed chunks",
                plan.change.name(),
                tensor.label(),
                units::bytes(plan.send_bytes),
                units::bytes(tensor.size_bytes())
            );
        }
        removed.iter().for_each(|name| println!("removed    {name}"));
    }
    let count = changed.len() + removed.len();
    if count == 0 {
        if !arguments.json {
            println!("the weights are the same");
        }
        return Ok(());
    }
    Err(Failure::new(format!("{count} tensors differ")))
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights plan --from old --to new --explain
  mynah weights plan --from old.manifest --to new.manifest --json

The plan's digest is the same wherever and in whatever order it is computed.")]
pub struct MakePlan {
    /// What servers have: a manifest, or a folder with one (nothing: they have no weights)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// What they are to have
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// No bucket is larger
    #[arg(long, value_name = "BYTES")]
    bucket_bytes: Option<u64>,
    /// Ranks of a tensor-parallel group
    #[arg(long, value_name = "N", default_value_t = 1)]
    ranks: u32,
    /// Refuse what does not fit into this memory
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,
    /// Say tensor by tensor what happens and why
    #[arg(long)]
    explain: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn plan(arguments: &MakePlan) -> Result<()> {
    let from = arguments.from.as_deref().map(load).transpose()?;
    let to = load(&arguments.to)?;
    let defaults = PlanOptions::default();
    let options = PlanOptions {
        bucket_bytes_max: arguments.bucket_bytes.unwrap_or(defaults.bucket_bytes_max),
        ranks: arguments.ranks,
        ..defaults
    };
    let plan = Plan::new(from.as_ref(), &to, &options)?;
    if let Some(memory_bytes) = arguments.memory_bytes {
        plan.check_memory(memory_bytes)?;
    }
    let whole = match &from {
        Some(from) if to.head().is_partial => to.onto(from)?,
        _ => to,
    };
    if arguments.json {
        println!("{}", plan.to_json(&whole));
    } else if arguments.explain {
        print!("{}", plan.explain(from.as_ref(), &whole));
    } else {
        println!(
            "{} of {} in {} buckets ({:.2}%), about {:.1} s, at most {} of memory; plan {}",
            units::bytes(plan.send_bytes),
            units::bytes(whole.size_bytes()),
            plan.buckets.len(),
            plan.delta_share() * 100.0,
            plan.estimate.total_seconds,
            units::bytes(plan.estimate.peak_bytes),
            plan.digest.short()
        );
    }
    Ok(())
}
