//! HTTP over the run ledger: a tracking server that MLflow's clients take for their own, and the page on
//! which people look at runs.
//!
//! The key decision is that a call is data. Every call that speaks JSON is a row of a table (method, path,
//! plain function from the ledger and the request's fields to bytes), so that what surrounds all of them
//! (who may call, how large a body may be, which thread waits, how an error looks) is written once and
//! cannot be forgotten. Handlers know neither axum nor tokio and are synchronous like the ledger itself; they run
//! on a bounded number of threads that may wait for a commit.
//!
//! What a server knows beyond the ledger (its policy, an index of all runs for comparison, the last validation) is
//! kept once for all requests and brought up to date from the audit log, never rebuilt for an answer.
//!
//! Answers are written from types that borrow the ledger's values, without a tree of JSON in between; requests
//! are read through `fields` that name what is wrong in the client's own words. Artifacts are streamed
//! in both directions, a piece at a time, and a slow client never holds a thread.
//!
//! Rejected: generated protocol buffer code (hundreds of messages for sixty calls, and their JSON form would still
//! be ours to write), an extractor type per call (an error message per framework version), server-sent events for
//! the page (a connection held per viewer; a cursor into the audit log asks for what has changed and costs
//! nothing when nothing has).
//!
//! The server listens on loopback unless it is given a token, and refuses other origins: see `guard`.

mod answer;
mod app;
mod body;
mod config;
mod error;
mod fields;
mod governance;
mod guard;
mod http;
mod json;
mod llm;
mod mlflow;
mod page;
mod router;
mod server;

pub use config::ServerConfig;
pub use error::{Error, ErrorKind, Result};
pub use http::RunningServer;
pub use llm::{
    Adapter, LlmConfig, LlmServer, Meter, ModelSource, Models, Prompt, Prompter, ServedEmbedder, ServedModel,
    ServerTool, ServerTools, Tokens, WeightsConfig,
};
pub use server::Server;

/// The side that brings new weights to servers.
pub mod weights {
    pub use crate::llm::{
        Canary, CaughtUp, Fleet, Link, Policy, Probe, Probes, PushOptions, PushReport, Recovered, catch_up,
        expect, recover, resume,
    };
}
