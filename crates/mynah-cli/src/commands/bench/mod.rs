//! `mynah bench`: how fast this machine is with a model.

mod client;
mod figures;
mod own;
mod serve;

use clap::Subcommand;

use crate::failure::Result;

#[derive(Subcommand)]
pub enum Command {
    /// Measure a model server: time to the first token, between tokens, and throughput
    Serve(serve::Serve),
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Serve(arguments) => serve::run(arguments),
    }
}
