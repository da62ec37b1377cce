//! Training: batches in, a model, its figures and its checkpoints out.
//!
//! The key decision is that one loop trains everything. Pretraining and fine-tuning differ in where weights
//! and batches come from and in the numbers of [`TrainConfig`], not in code: [`train`] takes a [`Start`], a
//! [`BatchSource`] and settings in which every option is explicit. What happens around the loop is told
//! through two traits, [`Observer`] for people (progress, samples) and [`RunSink`] for records (settings,
//! figures, artifacts); the loop knows no terminal, no database and no generation.
//!
//! Exactness is the other one. Equal settings, data and thread count give equal bytes, and so does any
//! number of stops in between: a checkpoint has weights, optimizer, position of the data and the loop's
//! counters, and what depends on the machine is kept in a file of its own. A kill at any moment leaves a
//! whole checkpoint ([`checkpoint`]) and figures that resume as if nothing had happened ([`metrics`]).
//!
//! Rejected: falling back to an older checkpoint when the latest is damaged. Work would silently be lost;
//! the error names the damaged file and the step to resume from instead. Rejected too: a background thread
//! that prepares batches: tokenizing takes a few thousandths of a step, and the position of the data must be
//! that of the batches used.

pub mod checkpoint;
mod config;
mod error;
pub mod eval;
mod incoming;
pub mod metrics;
mod observer;
mod run;
pub mod sink;
mod source;
pub mod state;

pub use config::{Stage, TrainConfig, WatchConfig};
pub use error::{Error, ErrorKind, Result};
pub use incoming::{Incoming, WeightSource};
pub use metrics::MetricsRow;
pub use observer::{NoObserver, Observer, Progress};
pub use run::{Data, End, Hooks, Outcome, Start, train};
pub use sink::{Artifact, FileSink, NoSink, RunSink, RunStatus};
pub use source::{BatchSource, PackedSource, validation_batches};
pub use state::ModelFacts;
