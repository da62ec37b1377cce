//! One file a command: its options with their help, and what it does with them.

pub mod bench;
pub mod chat;
pub mod data;
pub mod eval;
pub mod flow;
mod humaneval;
pub mod py;
mod py_bench;
mod py_build;
mod py_diff;
mod py_regrtest;
mod py_repl;
mod py_test;
mod python_tool;
pub mod runs;
pub mod sample;
pub mod serve;
pub mod speedrun;
pub mod tok;
pub mod train;
pub mod weights;

use clap::Args;
use mynah_engine::SamplingOptions;

/// How to choose tokens, for every command that generates.
#[derive(Args, Clone, Debug)]
pub struct Sampling {
    /// 0 always takes the most likely token; higher is more varied
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Choose among the K most likely tokens only (0: all)
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Choose among the most likely tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub top_p: f64,
    /// Drop tokens less likely than this fraction of the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub min_p: f64,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The most new tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_tokens: usize,
    /// End the answer before this text (may be given several times)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}

impl Sampling {
    /// The engine's options; `temperature` is the command's own default.
    pub fn options(&self, temperature: f64) -> SamplingOptions {
        SamplingOptions {
            temperature: self.temperature.unwrap_or(temperature),
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: self.seed,
        }
    }
}
