//! The `mynah` binary.
fn main() {}
