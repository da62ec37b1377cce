//! Validation: rules over a run and over the store, each finding with its place, its weight and whether it can
//! be repaired.
//!
//! Most rules compare the store with its own audit log. The log is what the checkpoint held elsewhere proves;
//! a row that says something else than the log was changed behind the ledger's back, and the log says what it
//! was. That is also what makes such a row repairable.

mod catalogue;
mod finding;
mod links;
mod logged;
mod policy;
mod run;
mod series;
mod store;

pub use catalogue::{RULES, Rule, rule};
pub use finding::{Finding, Severity};
pub use policy::{Approver, Budget, Level, Link, NonFinite, ParamType, Place, Policy, matches};
pub use store::{Validation, validate, validate_place, validate_run};
