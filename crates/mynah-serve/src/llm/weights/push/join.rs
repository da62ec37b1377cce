//! Servers that lag behind the others: one that was started anew with the folder of an old version, one that was off
//! when the others took a newer one.
//!
//! They get the others' very version, under its own epoch and signature. A server that has it makes the stream (chunks that
//! are different from what the late one has, whole), in a thread that gives way to its requests; the pusher passes it on.

use mynah_swap::Manifest;
use mynah_swap::delta::DeltaStats;
use mynah_swap::protocol::Log;
use serde_json::{Value, json};

use super::{Fleet, Link, PushOptions, PushReport, all, everywhere, push_error};
use crate::error::Result;

/// A server that was brought to the others' version.
#[derive(Clone, Debug)]
pub struct CaughtUp {
    /// Which one.
    pub server: String,
    /// What it took.
    pub report: PushReport,
}

fn version(status: &Value) -> &str {
    status["live"]["version"].as_str().unwrap_or("nothing")
}

fn seen(status: &Value) -> u64 {
    status["epoch_highest"].as_u64().unwrap_or(0)
}

/// Brings servers that lag behind to the version of those that have seen the highest epoch. `log` gives each of them a log
/// of decisions of its own, with its name.
///
/// # Errors
/// `Weights` when a server cannot be reached or refuses, or when it cannot be said whose version is the newest: two that
/// have seen the same epoch serve different ones.
pub fn catch_up(
    links: &[&dyn Link],
    options: &PushOptions,
    mut log: impl FnMut(&str) -> std::result::Result<(String, Box<dyn Log>), String>,
) -> Result<Vec<CaughtUp>> {
    let statuses = all(links, everywhere(links, |link| link.post("/admin/weights/init", &json!({}))))?;
    let Some(first) = statuses.iter().max_by_key(|status| seen(status)) else { return Ok(Vec::new()) };
    let behind: Vec<usize> =
        (0..links.len()).filter(|&at| version(&statuses[at]) != version(first)).collect();
    if let Some(&other) = behind.iter().find(|&&at| seen(&statuses[at]) == seen(first)) {
        return Err(push_error(format!(
            "{} serves {} and others serve {}, and all have seen epoch {}; push the version that is wanted to each of \
             them by itself",
            links[other].name(),
            version(&statuses[other]),
            version(first),
            seen(first)
        )));
    }
    let Some(leader) = statuses.iter().zip(links).find(|(status, _)| version(status) == version(first))
    else {
        return Ok(Vec::new());
    };
    let leader = *leader.1;
    let said = |error: String| push_error(format!("{}: {error}", leader.name()));
    let manifest = Manifest::parse(&leader.get("/admin/weights/manifest").map_err(said)?)?;
    let signature = first["signature"].as_str();
    let mut done = Vec::new();
    for at in behind {
        let late = links[at];
        let base = late.get("/admin/weights/manifest");
        let base = base.map_err(|error| push_error(format!("{}: {error}", late.name())))?;
        let (name, mut log) = log(late.name()).map_err(push_error)?;
        let stream = options.scratch.join(format!("{name}.stream"));
        let fleet = Fleet::open(vec![late])?;
        let fetched = leader.download("/admin/weights/stream", &base, &stream).map_err(said);
        let options = PushOptions { name, canary: None, ..options.clone() };
        let sent = fetched.and_then(|size_bytes| {
            let stats = DeltaStats { wire_bytes: size_bytes, ..DeltaStats::default() };
            fleet.push_stream(&manifest, &stream, stats, signature, &options, log.as_mut())
        });
        let _ = std::fs::remove_file(&stream);
        done.push(CaughtUp { server: late.name().to_string(), report: sent? });
    }
    Ok(done)
}
