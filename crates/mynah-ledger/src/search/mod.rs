//! Filters and orders in MLflow's language.
//!
//! A filter is comparisons joined by AND: `metrics.loss < 0.5 AND params."model size" = 'small' AND
//! attributes.run_id IN ('…', '…') AND tags.\`team\` IS NOT NULL`. The comparators are
//! `= != > >= < <= LIKE ILIKE IN "NOT IN" "IS NULL" "IS NOT NULL"`, each where it makes sense. Keys with
//! other characters than letters, digits and `_ . / - :` are quoted with backticks or double quotes, texts with single or
//! double quotes (doubled inside).
//!
//! The parser is written by hand and knows nothing of SQL; what it gives is turned into SQL whose every value is
//! bound. No text of a user is ever part of a statement.

pub mod compile;
mod experiments;
mod models;
pub mod page;
mod parse;
mod registry;
mod runs;

pub use parse::{Clause, Direction, Field, Operator, Value, filter, order};
