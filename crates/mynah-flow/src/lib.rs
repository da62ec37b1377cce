//! Running it again: a pipeline of programs that can be killed at any moment and continued, and a recorded
//! run packed so that somebody else can repeat it and see where the two part.
//!
//! The key decision is that nothing is remembered about *progress*; everything is remembered about *content*.
//! A stage is a function from the digests of its inputs, its command and the part of the environment it asks
//! for, to the digests of its outputs. Its key is the digest of all that. A stage whose key is in the cache is
//! not run but restored, so resuming after `kill -9` needs no repair: the same walk over the same graph finds
//! the finished stages in the cache and runs the others. The journal of a run serves people and replay (in which
//! order were stages started, which processes may have been left behind); a lost line of it costs nothing but that.
//!
//! For this to be true a stage must not see more than its inputs. It runs in a scratch folder that holds them
//! (as links, checked for changes afterwards) and nothing else, with an environment of a few fixed names and those it
//! lists. Its outputs come into the cache under their digests, then the action's record, then the files take
//! their names in the pipeline's folder in one rename each. Whoever is interrupted in between leaves either
//! nothing or something the cache can finish.
//!
//! Stages are processes, and heavy ones, so the scheduler is simple where it may be: a deque per worker, a stage
//! that becomes ready goes to the worker that made it so, idle workers steal, and a fair counter of processors keeps
//! wide stages from waiting for ever. A replay gives out stages in the order of a recorded journal instead, runs what
//! ran, and reports each key, outcome and digest that differs: the way to find a stage that is not a function.
//!
//! A bundle is a folder (or a `.tar` of it) with what a run was: command, params, code revision, environment, digests
//! of data and tokenizer, seeds, metrics, checkpoints or where they are. It is signed in the OpenSSF Model Signing
//! format, so that others verify it with their own tools. To reproduce is to run the command again and to compare
//! metrics step by step, bit by bit: the first step that differs says more than any summary.
//!
//! Rejected: timestamps as the reason to run again (a checkout changes them all), a database of states (two
//! truths after a crash), containers (a dependency larger than the product), a signature over an archive (archives
//! of equal content differ), and a retry of the whole flow (stages fail, flows do not).
//!
//! ```
//! use mynah_flow::{Options, Pipeline, Silent, run};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if cfg!(not(unix)) { return Ok(()) }
//! let folder = tempfile::tempdir()?;
//! let text = r#"
//!     [[stage]]
//!     name = "count"
//!     command = ["sh", "-c", "echo '{\"lines\": 3}' > count.json"]
//!     outputs = ["count.json"]
//!     gate = "count.json:lines >= 3"
//! "#;
//! let pipeline = Pipeline::parse(text, folder.path())?;
//! assert!(run(&pipeline, &Options::default(), &Silent)?.is_success());
//! # Ok(())
//! # }
//! ```

pub mod bundle;
mod cache;
mod error;
mod files;
mod memo;
mod path;
pub mod pipeline;
mod run;
mod tar;

pub use cache::{Garbage, collect_garbage};
pub use error::{Error, ErrorKind, Result};
pub use path::FlowPath;
pub use pipeline::{Pipeline, Stage, StageId};
pub use run::journal::{Journal, JournalEvent, latest_journal};
pub use run::record::Recording;
pub use run::{
    Difference, Event, Observer, Options, Outcome, OutputDigest, Report, RestoreBy, Silent, StageReport, run,
};
