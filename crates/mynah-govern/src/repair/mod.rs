//! Repair: a plan made from findings, carried out action by action, and taken back the same way.
//!
//! The plan is a value: a dry run prints the very thing that [`apply`] executes. Each action carries what it
//! expects to find, so that applying twice does nothing twice and a store that changed meanwhile is left
//! alone. Before the first action a receipt with the undo of every action is written into the ledger. What no
//! action can put right becomes a ticket with guidance.

mod action;
mod execute;
mod plan;
mod ticket;

pub use action::Action;
pub use execute::{Outcome, Receipt, StepResult, apply, receipts, undo};
pub use plan::{Plan, Step, plan};
pub use ticket::{Ticket, TicketState, close_ticket, file_tickets, tickets};

/// Where damaged contents are moved to, below the artifact folder.
pub(crate) const ASIDE: &str = "aside/";
