//! The page on which people talk to a model: its files, its logic, and the page in a real browser.

#[allow(dead_code, reason = "the tests over a socket use more of it")]
#[path = "../llm/common.rs"]
mod common;
#[allow(dead_code, reason = "the runs' page uses more of it")]
#[path = "../browser/devtools.rs"]
mod devtools;
mod files;
mod held;
mod logic;
mod talk;
