//! `mynah runs tag | delete | restore | quarantine`: changes, each an event of the audit log.

use clap::Args;
use mynah_ledger::{Lifecycle, Tag};

use super::{Store, find};
use crate::failure::{Failure, Result};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  mynah runs tag 3f2a91c0 stage=candidate\n  mynah runs tag 3f2a91c0 --remove stage"
)]
pub struct TagRun {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    /// Tags to set
    #[arg(value_name = "KEY=VALUE", required_unless_present = "remove")]
    tags: Vec<String>,
    /// Tag to remove (may be given several times)
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    #[command(flatten)]
    store: Store,
}

pub fn tag(arguments: &TagRun) -> Result<()> {
    let mut tags = Vec::new();
    for text in &arguments.tags {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(format!("'{text}' is no tag")).advice("give KEY=VALUE, or --remove KEY")
        })?;
        tags.push(Tag::new(key, value));
    }
    let ledger = arguments.store.change()?;
    let id = find(&ledger, &arguments.run)?.run.id;
    tags.into_iter().try_for_each(|tag| ledger.set_tag(&id, tag))?;
    arguments.remove.iter().try_for_each(|key| ledger.delete_tag(&id, key))?;
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs delete 3f2a91c0\n  mynah runs restore 3f2a91c0")]
pub struct Delete {
    /// Ids, the first characters of them, or names
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    store: Store,
}

pub fn delete(arguments: &Delete) -> Result<()> {
    let ledger = arguments.store.change()?;
    for named in &arguments.runs {
        let run = find(&ledger, named)?.run;
        if run.lifecycle == Lifecycle::Deleted {
            println!("{} {} was deleted before", &run.id[..super::ID_SHOWN], run.name);
            continue;
        }
        ledger.delete_run(&run.id)?;
        println!("deleted {} {} (`mynah runs restore` brings it back)", &run.id[..super::ID_SHOWN], run.name);
    }
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs restore 3f2a91c0")]
pub struct Restore {
    /// Ids, the first characters of them, or names
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    store: Store,
}

pub fn restore(arguments: &Restore) -> Result<()> {
    let ledger = arguments.store.change()?;
    for named in &arguments.runs {
        let run = find(&ledger, named)?.run;
        ledger.restore_run(&run.id)?;
        println!("restored {} {}", &run.id[..super::ID_SHOWN], run.name);
    }
    Ok(())
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs quarantine 3f2a91c0 --reason \"trained on the wrong split\"
  mynah runs quarantine 3f2a91c0 --release")]
pub struct Quarantine {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    /// Why, for whoever finds it there
    #[arg(long, value_name = "TEXT", required_unless_present = "release")]
    reason: Option<String>,
    /// Let it out
    #[arg(long, conflicts_with = "reason")]
    release: bool,
    #[command(flatten)]
    store: Store,
}

pub fn quarantine(arguments: &Quarantine) -> Result<()> {
    let ledger = arguments.store.change()?;
    let run = find(&ledger, &arguments.run)?.run;
    let id = &run.id[..super::ID_SHOWN];
    match &arguments.reason {
        Some(reason) => {
            ledger.quarantine_run(&run.id, reason)?;
            println!("{id} {} is in quarantine", run.name);
        }
        None => {
            ledger.release_run(&run.id)?;
            println!("{id} {} is out of quarantine", run.name);
        }
    }
    Ok(())
}
