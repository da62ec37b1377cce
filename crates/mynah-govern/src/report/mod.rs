//! The compliance report of a run: what was trained on what, by whom, how it was evaluated, who approved it, what
//! went wrong. Each statement names the events of the audit log that it rests on.
//!
//! The report is a function of its evidence. A [`Bundle`] is that evidence: the events with their proofs, the
//! files whose digests the events record, and the statements. [`verify`] needs nothing else (no ledger, no
//! network): it checks every proof against the log's key, every file against its event, and then
//! derives the statements again and compares.

mod bundle;
mod html;
mod statements;

pub use bundle::{Bundle, Evidence, EvidenceFile, Verified, bundle, verify};
pub(crate) use html::STYLE;
pub use html::html;
pub use statements::{Section, Statement};
