//! placeholder
pub mod calculator;
