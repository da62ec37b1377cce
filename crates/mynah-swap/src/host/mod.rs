//! Processes that carry the protocol out over a transport: one [`agent`](run_agent) beside each server, which keeps
//! versions in a folder, and a coordinator that [leads](lead) one update and goes.
//!
//! The coordinator connects to every agent three times, because a connection is read by one and written by the other
//! at a time: once to say what is to be done, once to be told, and once to be asked for versions. Agents ask each
//! other for chunks in the same way. Whatever is asked for twice is a file: a delta is made once for all agents.
//!
//! A drill ([`Step`]) stands still at one step, so that what a crash or a stall does there can be tried with the real
//! processes.

mod agent;
mod fetch;
mod lead;
mod offer;
mod store;

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

pub use agent::{AgentEvent, AgentOptions, run_agent};
pub use fetch::{Fetched, receive_stream};
pub use lead::{Goal, LeadEvent, LeadOptions, LeadReport, MakeOffer, lead};
pub use offer::Offer;
pub use store::{Staging, Store, read_signature};

/// Where an update can be interrupted. The step was begun and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An agent is about to say that it is here; a coordinator has taken the lead.
    Register,
    /// An agent is about to fetch; a coordinator has written down that an update begins.
    Stage,
    /// An agent has checked every chunk and not said so; a coordinator has heard it of all.
    Verify,
    /// An agent is asked to promise; a coordinator has all promises and no decision.
    Precommit,
    /// An agent has promised and is told to flip; a coordinator has written the decision down and told nobody.
    Commit,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Step; 5] = [Step::Register, Step::Stage, Step::Verify, Step::Precommit, Step::Commit];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Step::Register => "register",
            Step::Stage => "stage",
            Step::Verify => "verify",
            Step::Precommit => "precommit",
            Step::Commit => "commit",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|step| step.name() == text);
        found.ok_or_else(|| Error::argument(format!("{text:?} is no step of an update")))
    }
}

/// Milliseconds since the process began to look at the clock.
fn now_ms(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What the threads share is whole between two statements.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
