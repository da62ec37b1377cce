//! `mynah runs audit`: the append-only log of every change.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mynah_base::time;
use mynah_trust::keys::{Ed25519SigningKey, Ed25519VerifyingKey};

use super::{Store, find};
use crate::failure::{Failure, Result};
use crate::home;

#[derive(Subcommand)]
pub enum Audit {
    /// Read the whole log, compute everything again, and compare with a checkpoint kept elsewhere
    Verify(Verify),
    /// Sign the log as it is now; keep the result where the ledger's owner cannot change it
    Checkpoint(Sign),
    /// Prove that an event is in the log, on one page that verifies without the ledger
    Proof(Proof),
    /// The events, newest last
    Log(Log),
    /// Print the public half of a signing key; the key is made when it is absent
    Key(PublicKey),
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs audit key > audit.pub.pem              for whoever verifies the log
  mynah runs audit key --key alice.pem              for the approvers of a policy file")]
pub struct PublicKey {
    /// The signing key, Ed25519 (default: MYNAH_HOME/keys/audit.pem)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:
  mynah runs audit checkpoint --out held.txt
  mynah runs audit verify --checkpoint held.txt

Without a checkpoint kept elsewhere, a log that was cut and computed again passes: a chain of hashes can
always be written anew by who owns the file.")]
pub struct Verify {
    #[command(flatten)]
    store: Store,
    /// A checkpoint that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Public key of who signed it (default: of MYNAH_HOME/keys/audit.pem)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs audit checkpoint --out held.txt")]
pub struct Sign {
    #[command(flatten)]
    store: Store,
    /// Signing key (default: MYNAH_HOME/keys/audit.pem, made when it is absent)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to write (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs audit proof 12 --out proof.txt")]
pub struct Proof {
    /// Number of the event, from `mynah runs audit log`
    #[arg(value_name = "EVENT")]
    event: u64,
    #[command(flatten)]
    store: Store,
    /// Signing key (default: MYNAH_HOME/keys/audit.pem, made when it is absent)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to write (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah runs audit log --run 3f2a91c0")]
pub struct Log {
    #[command(flatten)]
    store: Store,
    /// Only events of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// The last so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    max: usize,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Audit) -> Result<()> {
    match command {
        Audit::Verify(arguments) => verify(arguments),
        Audit::Checkpoint(arguments) => {
            let text = arguments.store.look()?.audit_checkpoint(&signing_key(arguments.key.as_deref())?)?;
            write(&text, arguments.out.as_deref())
        }
        Audit::Proof(arguments) => {
            let key = signing_key(arguments.key.as_deref())?;
            write(&arguments.store.look()?.audit_proof_text(arguments.event, &key)?, arguments.out.as_deref())
        }
        Audit::Log(arguments) => log(arguments),
        Audit::Key(arguments) => {
            let key = match &arguments.key {
                None => signing_key(None)?,
                Some(path) => Ed25519SigningKey::load_or_create(path)?,
            };
            print!("{}", key.verifying_key().to_pem()?);
            Ok(())
        }
    }
}

fn verify(arguments: &Verify) -> Result<()> {
    let ledger = arguments.store.look()?;
    let held = match &arguments.checkpoint {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::io("cannot read", path, &error))?;
            Some(ledger.audit_held(&text, &verifying_key(arguments.key.as_deref())?)?)
        }
    };
    let report = ledger.audit_verify(held)?;
    if arguments.json {
        let held = held.map(|held| held.size);
        println!(
            "{}",
            serde_json::json!({"events": report.events, "held_events": held, "findings": report.findings})
        );
    } else {
        report.findings.iter().for_each(|finding| println!("{finding}"));
        if report.findings.is_empty() {
            let against = match held {
                Some(held) => format!(" and continues the checkpoint of {} events", held.size),
                None => "; no checkpoint from elsewhere was given, so a cut end would not show".to_string(),
            };
            println!("the log of {} events is whole{against}", report.events);
        }
    }
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("the audit log is damaged: {count} finding(s)"))
            .advice("restore the ledger from a backup that verifies")),
    }
}

fn log(arguments: &Log) -> Result<()> {
    let ledger = arguments.store.look()?;
    let events = match &arguments.run {
        Some(named) => {
            let mut events = ledger.audit_events_of(&format!("run:{}", find(&ledger, named)?.run.id))?;
            events.drain(..events.len().saturating_sub(arguments.max));
            events
        }
        None => {
            let size = ledger.audit_head()?.size;
            ledger.audit_events(size.saturating_sub(arguments.max as u64), arguments.max)?
        }
    };
    for event in events {
        if arguments.json {
            println!("{}", event.body);
        } else {
            println!("{:>7}  {}  {:24} {}", event.seq, time::utc(event.at_ms), event.kind, event.subject);
        }
    }
    Ok(())
}

fn default_key() -> Result<PathBuf> {
    Ok(home::home()?.join("keys/audit.pem"))
}

/// The audit log's signing key, made at its usual place when none is named.
///
/// # Errors
/// When it cannot be read or made.
pub fn signing_key(named: Option<&Path>) -> Result<Ed25519SigningKey> {
    match named {
        Some(path) => Ok(Ed25519SigningKey::load(path)?),
        None => {
            let path = default_key()?;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .map_err(|error| Failure::io("cannot create the folder", folder, &error))?;
            }
            Ok(Ed25519SigningKey::load_or_create(&path)?)
        }
    }
}

/// The public half: as named, else of the usual signing key.
///
/// # Errors
/// When it cannot be read.
pub fn verifying_key(named: Option<&Path>) -> Result<Ed25519VerifyingKey> {
    match named {
        Some(path) => Ok(Ed25519VerifyingKey::load(path)?),
        None => Ok(Ed25519SigningKey::load(&default_key()?)?.verifying_key()),
    }
}

fn write(text: &str, out: Option<&Path>) -> Result<()> {
    match out {
        None => {
            print!("{text}");
            Ok(())
        }
        Some(path) => mynah_base::write_atomic(path, |file| std::io::Write::write_all(file, text.as_bytes()))
            .map_err(|error| Failure::io("cannot write", path, &error)),
    }
}
