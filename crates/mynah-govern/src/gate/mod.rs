//! Regression gates: may this result replace that one?
//!
//! A gate names a metric with its declared direction and how much worse is too much: in absolute terms, against
//! a baseline, in per cent, or beyond the noise that repeated seeds show. The last kind is a test whose
//! false-positive rate is the number in the gate, and simulated in this crate's tests.

mod gates;
mod hooks;
mod seeds;

pub use gates::{
    EXIT_PASSED, EXIT_REGRESSED, EXIT_UNDECIDED, Gate, GateReport, GateResult, Limit, Method, Outcome,
    Weight, evaluate,
};
pub use hooks::{Call, Delivery, Hook, Notice, Runner, Sender, SystemRunner, check_hooks, fire};
pub use seeds::{GROUP_TAG, evaluate_runs, seed_runs, values};
