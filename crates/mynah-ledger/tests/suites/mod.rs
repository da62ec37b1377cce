//! What a ledger does, wherever it is kept: each suite runs on every database.

mod artifacts;
mod audit;
mod check;
mod import;
mod metrics;
mod processes;
mod registry;
mod runs;
mod search;
mod store;
