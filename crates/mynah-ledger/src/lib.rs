//! The run ledger: every experiment, run, metric, artifact and model in one SQLite file, or in a PostgreSQL database
//! for a team, and a log that can prove what happened to them.
//!
//! The key decision is one writer thread per process and group commit. Whoever changes something hands a
//! closure to that thread; it takes all that are waiting into one transaction, so that a thousand small
//! acknowledged writes cost a few commits, and many processes at once meet only at the commit. Reads go past
//! the writer, on a pool of connections, and see the last commit (SQLite's write-ahead log, PostgreSQL's
//! snapshots). Both databases do the same things in the same order; what differs is in `db` alone.
//!
//! Metric points arrive as rows and age into chunks: a few kilobytes of delta-coded points per run and key.
//! The latest point of each metric lies apart, clustered by run and indexed by metric, so that a filter, an
//! order or a comparison over ten thousand runs reads one index and no history.
//!
//! Every change appends an event to an append-only Merkle tree in the same transaction (see `audit`). Rejected:
//! a hash chain (cutting its end goes unnoticed), an embedded key-value store (no SQL for whoever
//! comes after us), points only as rows (ten times the bytes, and a deletion takes minutes), and a connection
//! per caller (eight writers then wait for each other in SQLite's busy loop).
//!
//! The semantics are those of MLflow's SQL store, so that its clients can be served: params are written once,
//! the latest metric is the one of the highest step, deleted things can be restored. Unlike it, NaN and ±∞ stay
//! what they are, and nothing is cut to fit: what is too long is refused.
//!
//! ```
//! use mynah_ledger::{Ledger, Location, NewRun, OpenOptions, RecorderOptions};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("runs.db");
//! let ledger = Ledger::open(&Location::Sqlite(path), OpenOptions::default())?;
//! let run = ledger.create_run(NewRun { experiment_id: "0".into(), ..NewRun::default() })?.run;
//! let recorder = ledger.recorder(&run.id, RecorderOptions::default())?;
//! recorder.log_metric("loss", 3.2, 1)?; // does not wait for the disk
//! recorder.flush()?;
//! assert_eq!(ledger.run(&run.id)?.data.metric("loss"), Some(3.2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifacts;
pub mod audit;
mod check;
mod db;
mod error;
mod experiments;
mod garbage;
mod ids;
mod import;
mod ledger;
mod logging;
mod metrics;
mod models;
mod recorder;
mod registry;
mod run_data;
mod runs;
pub mod search;
mod store;
mod types;
pub mod validate;

pub use artifacts::{Artifact, ArtifactEntry, ArtifactOwner};
pub use audit::{AuditEvent, AuditHead, AuditProof, AuditReport};
pub use check::{CheckOptions, CheckReport, Finding, FindingKind};
pub use db::postgres::PostgresAddress;
pub use error::{Error, ErrorKind, Result};
pub use garbage::{GarbageOptions, GarbageReport};
pub use import::{ImportOptions, ImportReport};
pub use ledger::{Ledger, Location, OpenOptions};
pub use metrics::Sample;
pub use metrics::curve::{Axis, Curve, CurveRequest, Thinning};
pub use recorder::{Recorder, RecorderOptions, RecorderStats, flush_all};
pub use types::*;

/// The schema version that this program writes, and the newest it reads.
pub const SCHEMA_VERSION: i64 = store::schema::VERSION;
