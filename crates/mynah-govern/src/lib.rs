//! What a ledger's runs are worth: compared, gated, validated, repaired, promoted, reported.
//!
//! The key decision is to keep judging and doing apart. Judging is pure functions over plain values that are
//! read once ([`view::RunView`], [`compare::Table`]): the same input gives the same findings, plans and
//! reports, in a test or on a million points. Doing is a thin layer that carries a plan out through
//! the ledger's public API, expecting what the plan expects, and leaving a receipt with its undo.
//!
//! The second decision is to take the audit log as the witness. The log is provable against a checkpoint held
//! elsewhere; rows are not. A row that says something else than the log was changed behind the ledger's back, and
//! the log says how to put it right. Everything governance decides (tickets, receipts, approvals, overrides)
//! is itself an artifact of the ledger, and so in the log.
//!
//! Rejected: guessing from a metric's name whether more is better (it is declared, or there is no verdict);
//! repairing in place without a plan (nobody can look at it first); deleting what is suspicious (quarantine hides
//! it and loses nothing); a rule language (rules are functions, their severities and limits are a policy
//! file); thresholds on noise without a false-positive rate.
//!
//! Validate a ledger, see what would be done, and do it:
//!
//! ```
//! use mynah_govern::repair::{apply, file_tickets, plan};
//! use mynah_govern::validate::{Policy, validate};
//! use mynah_ledger::{Ledger, Location, OpenOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let file = dir.path().join("ledger.db");
//! let ledger = Ledger::open(&Location::Sqlite(file), OpenOptions::default())?;
//! let policy = Policy::parse("quarantine_at = 'critical'")?;
//! let found = validate(&ledger, &policy, None, mynah_govern::now_ms())?;
//! let plan = plan(&found.findings);
//! println!("{}", serde_json::to_string_pretty(&plan)?);
//! let receipt = apply(&ledger, &plan, "alice")?;
//! file_tickets(&ledger, &plan.tickets)?;
//! assert_eq!(receipt.done(), plan.steps.len());
//! # Ok(())
//! # }
//! ```

pub mod compare;
pub mod drift;
mod error;
mod files;
pub mod gate;
pub mod promote;
pub mod quarantine;
pub mod repair;
pub mod report;
pub mod schedule;
pub mod stats;
pub mod validate;
pub mod view;

pub use error::{Error, ErrorKind, Result};
pub use mynah_base::time::now_ms;

/// 16 hexadecimal characters of BLAKE3 over texts, each after its length.
fn short_id(texts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_string()
}

/// Who acts, in the audit log, when governance does on somebody's behalf.
fn actor(by: &str) -> String {
    format!("governance for {by}")
}
