//! `mynah weights push | rollback | catch-up`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mynah_base::units;
use mynah_models::{KvFormat, LoadOptions, Quantize};
use mynah_serve::weights::{Canary, CaughtUp, Fleet, Link, Policy, Probes, PushReport, catch_up, expect};
use mynah_swap::Manifest;
use mynah_swap::manifest::{BuildOptions, Identity, Rollback as Order, build};
use mynah_swap::protocol::{CanarySpec, Log};
use mynah_swap::source::{SafetensorsSource, TensorSource};
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::{Value, json};

use super::link::HttpLink;
use super::manifest_path;
use super::session::{Session, recover_all};
use crate::failure::{Failure, Result};
use crate::recording::RecordOptions;

/// Which servers.
#[derive(Args)]
pub struct Servers {
    /// A server's address (may be given several times)
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    pub to: Vec<String>,
    /// The servers' admin key (also MYNAH_ADMIN_KEY)
    #[arg(long, value_name = "K")]
    pub admin_key: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah serve --model old --admin-key K              a server that takes weights
  mynah weights push new --base old --to http://127.0.0.1:8000 --admin-key K
  mynah weights push new --to http://a:8000 http://b:8000 --key weights.pem
  mynah weights push new --to http://a:8000 --canary 10% --canary-seconds 60 --probe prompts.jsonl

With --base only what changed inside chunks is sent, without it changed chunks whole. A folder with a weights.manifest
is pushed under that; else it is made, one epoch after the highest that the servers have seen. When one server refuses, no
server takes it. A push that was broken off is ended by the next one from the same MYNAH_HOME. Servers that lag behind the
others are first brought to their version.

--canary tries the version on a share of the requests before all take it, and goes back by itself when requests fail more
often than before, when logits are no numbers, or when an answer to a probe is not the one that the checkpoint gives here.
A line of probes is {\"prompt\": TEXT_OR_IDS}, with \"tokens\" and \"logprobs\" where the answer is known.")]
pub struct Push {
    /// A folder of safetensors
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    #[command(flatten)]
    servers: Servers,
    /// The folder of the version that the servers have
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// What becomes of answers under way
    #[arg(long, value_name = "HOW", default_value = "finish")]
    policy: Answers,
    /// Servers answer on until they hear the decision: no pause, two versions for the time of a message
    #[arg(long)]
    rolling: bool,
    /// Sign with this Ed25519 key (default: the signature beside the manifest, where there is one)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What to call the version
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    #[command(flatten)]
    canary: CanaryOptions,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

/// A trial before the commit.
#[derive(Args)]
#[command(next_help_heading = "Canary")]
pub struct CanaryOptions {
    /// Try the version on this share of the requests first
    #[arg(long, value_name = "SHARE", value_parser = share)]
    canary: Option<f64>,
    /// For at least so long
    #[arg(long, value_name = "S", default_value_t = 30.0, requires = "canary")]
    canary_seconds: f64,
    /// And until it has answered so many requests and probes
    #[arg(long, value_name = "N", default_value_t = 10, requires = "canary")]
    canary_requests: u64,
    /// Share of requests that may fail beyond what fails on the version before
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share, requires = "canary")]
    canary_errors: f64,
    /// File of prompts, a JSON object a line, whose answers must be those of the checkpoint
    #[arg(long, value_name = "FILE", requires = "canary")]
    probe: Option<PathBuf>,
    /// How far log probabilities may be from the checkpoint's
    #[arg(long, value_name = "X", default_value_t = 0.01, requires = "probe")]
    probe_tolerance: f32,
}

/// `10%` or `0.1`.
fn share(text: &str) -> std::result::Result<f64, String> {
    let number = |text: &str| text.parse::<f64>().ok();
    let found = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| percent / 100.0),
        None => number(text),
    };
    found
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write it as 10% or 0.1, between 0 and 1".to_string())
}

/// Probes are prompts, not books.
const PROBE_BYTES_MAX: u64 = 16 << 20;

impl CanaryOptions {
    /// What the servers are told; `None` without a trial. The probes' answers are computed here, as the servers load it.
    fn canary(&self, checkpoint: &Path, first: &HttpLink) -> Result<Option<Canary>> {
        let Some(share) = self.canary else { return Ok(None) };
        if share < 0.001 {
            return Err(Failure::new("a canary gets at least 0.1% of the requests").at("--canary"));
        }
        if !(0.0..=604_800.0).contains(&self.canary_seconds) {
            return Err(Failure::new("a canary lasts 0 to 604800 seconds").at("--canary-seconds"));
        }
        let probes = match &self.probe {
            None => Probes::default(),
            Some(path) => {
                let size = path.metadata().map_err(|error| Failure::io("cannot read", path, &error))?.len();
                if size > PROBE_BYTES_MAX {
                    return Err(Failure::new("too large for a file of probes").at_path(path));
                }
                let lines = std::fs::read_to_string(path)
                    .map_err(|error| Failure::io("cannot read", path, &error))?;
                let load = loading(first)?;
                Probes { list: expect(checkpoint, &load, &lines)?, tolerance: self.probe_tolerance }
            }
        };
        let ppm = |share: f64| (share * 1e6).round() as u32;
        Ok(Some(Canary {
            spec: CanarySpec {
                share_ppm: ppm(share),
                duration_ms_min: (self.canary_seconds * 1e3) as u64,
                requests_min: self.canary_requests,
                errors_ppm_max: ppm(self.canary_errors),
                mismatches_ppm_max: 0,
            },
            probes,
        }))
    }
}

/// How a server loads versions.
fn loading(link: &HttpLink) -> Result<LoadOptions> {
    let at = |why: String| Failure::new(why).at(link.name());
    let bytes = link.get("/admin/weights/status").map_err(at)?;
    let status: Value =
        serde_json::from_slice(&bytes).map_err(|error| at(format!("the answer is no JSON: {error}")))?;
    let quantize = match status["load"]["quantize"].as_str() {
        None => None,
        Some("q8") => Some(Quantize::Q8),
        Some("q4") => Some(Quantize::Q4),
        Some(other) => {
            return Err(at(format!("it rounds weights to {other}, which this program does not know")));
        }
    };
    let cache_format = match status["load"]["cache_format"].as_str() {
        Some("f32") => KvFormat::F32,
        Some("f16") => KvFormat::F16,
        Some("q8") => KvFormat::Q8,
        other => return Err(at(format!("its cache is {other:?}, which this program does not know"))),
    };
    let context_length = status["load"]["context_length"].as_u64().map(|length| length as usize);
    Ok(LoadOptions { quantize, cache_format, context_length, ..LoadOptions::default() })
}

/// What `--policy` names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Answers {
    /// They end with the version they began with
    Finish,
    /// They go on with the new one over what the old one has computed
    Continue,
    /// Their tokens are read again by the new one
    Recompute,
    /// They fail and are to be sent again
    Abort,
}

impl From<Answers> for Policy {
    fn from(answers: Answers) -> Policy {
        match answers {
            Answers::Finish => Policy::Finish,
            Answers::Continue => Policy::Continue,
            Answers::Recompute => Policy::Recompute,
            Answers::Abort => Policy::Abort,
        }
    }
}

pub fn push(arguments: &Push) -> Result<()> {
    let params = json!({
        "checkpoint": arguments.checkpoint, "to": arguments.servers.to,
        "policy": Policy::from(arguments.policy).name(), "rolling": arguments.rolling,
        "canary": arguments.canary.canary, "label": arguments.label,
    });
    let servers = arguments.servers.to.len();
    let outcome = recorded(&arguments.record, "push", params, servers, || push_now(arguments))?;
    tell(&outcome, servers, arguments.json)
}

/// Does it as a run of the ledger, where one is kept.
fn recorded(
    record: &RecordOptions,
    name: &'static str,
    params: Value,
    servers: usize,
    job: impl FnOnce() -> Result<PushReport>,
) -> Result<PushReport> {
    let mut run = record.open("weights")?.map(|recording| recording.begin(None, name, false, Vec::new()));
    if let Some(run) = &mut run {
        run.params(&params);
    }
    let outcome = job();
    if let Some(mut run) = run {
        if let Ok(report) = &outcome {
            run.params(&json!({"version": report.version.to_string(), "epoch": report.epoch}));
            run.metrics(0, &figures(report, servers));
        }
        run.end(&outcome, false);
    }
    outcome
}

/// What is recorded of a push.
fn figures(report: &PushReport, servers: usize) -> Vec<(&'static str, f64)> {
    vec![
        ("servers", servers as f64),
        ("servers_left", report.left.len() as f64),
        ("wire_bytes", report.sent_bytes as f64),
        ("stream_bytes", report.stream.wire_bytes as f64),
        ("chunks_whole", report.stream.whole_chunks as f64),
        ("chunks_patched", report.stream.patched_chunks as f64),
        ("send_seconds", report.send_seconds),
        ("update_seconds", report.update_seconds),
    ]
}

fn push_now(arguments: &Push) -> Result<PushReport> {
    let key = arguments.servers.admin_key.as_deref();
    let links = HttpLink::all(&arguments.servers.to, key)?;
    let source = SafetensorsSource::open(&arguments.checkpoint)?;
    let base = arguments.base.as_deref().map(SafetensorsSource::open).transpose()?;
    recover_all(key)?;
    bring_together(&links)?;
    let fleet = Fleet::open(links.iter().map(|link| link as &dyn Link).collect())?;
    let canary = arguments.canary.canary(&arguments.checkpoint, &links[0])?;
    let (manifest, found) = manifest(&arguments.checkpoint, &source, &fleet)?;
    let signature = match &arguments.key {
        // What is signed is what is served: the whole version.
        Some(path) => Some(manifest.onto(fleet.manifest())?.sign(&Ed25519SigningKey::load(path)?)),
        None => found,
    };
    if fleet.is_signed_only() && signature.is_none() {
        return Err(Failure::new("the servers take only signed weights").advice("push with --key FILE"));
    }
    let mut session = Session::begin(&links)?;
    let mut options = session.options(arguments.policy.into());
    (options.canary, options.label) = (canary, arguments.label.clone());
    options.is_rolling = arguments.rolling;
    let base = base.as_ref().map(|base| base as &dyn TensorSource);
    let outcome = fleet.push((&manifest, &source), base, signature.as_deref(), &options, &mut session.log);
    session.end(outcome.as_ref().ok());
    Ok(outcome?)
}

/// Brings servers that lag behind to the version of the others.
fn bring_together(links: &[HttpLink]) -> Result<Vec<CaughtUp>> {
    let all: Vec<&dyn Link> = links.iter().map(|link| link as &dyn Link).collect();
    let options = Session::scratch()?;
    let done = catch_up(&all, &options, |url| {
        let session = Session::for_one(url).map_err(|failure| failure.to_string())?;
        let (name, log) = session.into_parts();
        Ok((name, Box::new(log) as Box<dyn Log>))
    })?;
    for late in &done {
        eprintln!(
            "{} lagged behind; it serves version {} now ({} sent)",
            late.server,
            late.report.version.short(),
            units::bytes(late.report.sent_bytes)
        );
    }
    Ok(done)
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah weights catch-up --to http://a:8000 http://late:8000 --admin-key K

The others' version is the one that is served by those that have seen the highest epoch. One of them makes the stream.")]
pub struct CatchUp {
    #[command(flatten)]
    servers: Servers,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

pub fn catch_up_all(arguments: &CatchUp) -> Result<()> {
    let key = arguments.servers.admin_key.as_deref();
    let links = HttpLink::all(&arguments.servers.to, key)?;
    recover_all(key)?;
    let done = bring_together(&links)?;
    for late in &done {
        let params = json!({"to": [late.server.clone()]});
        recorded(&arguments.record, "catch-up", params, 1, || Ok(late.report.clone()))?;
    }
    if arguments.json {
        let one = |late: &CaughtUp| {
            json!({
                "server": late.server, "version": late.report.version.to_string(), "epoch": late.report.epoch,
                "sent_bytes": late.report.sent_bytes, "update_seconds": late.report.update_seconds,
            })
        };
        println!("{}", Value::Array(done.iter().map(one).collect()));
    } else if done.is_empty() {
        println!("all serve the same version");
    }
    Ok(())
}

/// The manifest of a folder and its signature; one is made where there is none.
fn manifest(
    folder: &Path,
    source: &SafetensorsSource,
    fleet: &Fleet<'_>,
) -> Result<(Manifest, Option<String>)> {
    let path = manifest_path(folder);
    if folder.is_dir() && path.is_file() {
        let mut name = path.clone().into_os_string();
        name.push(".sig");
        return Ok((Manifest::load(&path)?, std::fs::read_to_string(PathBuf::from(name)).ok()));
    }
    let head = fleet.manifest().head();
    let mut identity = Identity::of_folder(&head.model, folder)?;
    // The tokenizer need not lie beside the weights.
    identity.tokenizer = identity.tokenizer.or(head.tokenizer);
    let options = BuildOptions {
        epoch: fleet.epoch_next(),
        parent: Some(fleet.manifest().digest()),
        chunk_bytes: head.chunk_bytes,
        ..BuildOptions::default()
    };
    Ok((build(source, &identity, &options)?, None))
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah weights rollback --to http://127.0.0.1:8000 --admin-key K")]
pub struct Rollback {
    #[command(flatten)]
    servers: Servers,
    /// What becomes of answers under way
    #[arg(long, value_name = "HOW", default_value = "finish")]
    policy: Answers,
    /// Servers answer on until they hear the decision: no pause, two versions for the time of a message
    #[arg(long)]
    rolling: bool,
    /// Sign the order with this Ed25519 key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

pub fn rollback(arguments: &Rollback) -> Result<()> {
    let params = json!({
        "to": arguments.servers.to, "policy": Policy::from(arguments.policy).name(), "rolling": arguments.rolling,
    });
    let servers = arguments.servers.to.len();
    let report = recorded(&arguments.record, "rollback", params, servers, || rollback_now(arguments))?;
    tell(&report, servers, arguments.json)
}

fn rollback_now(arguments: &Rollback) -> Result<PushReport> {
    let key = arguments.servers.admin_key.as_deref();
    let links = HttpLink::all(&arguments.servers.to, key)?;
    recover_all(key)?;
    let fleet = Fleet::open(links.iter().map(|link| link as &dyn Link).collect())?;
    let epoch = fleet.epoch_next();
    let order = match (&arguments.key, fleet.previous()) {
        (Some(path), Some(target)) => {
            let order = Order { model: fleet.manifest().head().model.clone(), epoch, target };
            Some(order.sign(&Ed25519SigningKey::load(path)?)?)
        }
        _ => None,
    };
    let mut session = Session::begin(&links)?;
    let mut options = session.options(arguments.policy.into());
    options.is_rolling = arguments.rolling;
    let outcome = fleet.rollback(epoch, order.as_deref(), &options, &mut session.log);
    session.end(outcome.as_ref().ok());
    Ok(outcome?)
}

fn tell(report: &PushReport, servers: usize, as_json: bool) -> Result<()> {
    if as_json {
        let left: Vec<_> =
            report.left.iter().map(|(name, why)| json!({"server": name, "reason": why})).collect();
        let stream = &report.stream;
        println!(
            "{}",
            json!({
                "version": report.version.to_string(), "epoch": report.epoch, "servers": servers,
                "stream_bytes": stream.wire_bytes, "sent_bytes": report.sent_bytes,
                "size_bytes": stream.size_bytes, "whole_chunks": stream.whole_chunks,
                "patched_chunks": stream.patched_chunks, "copied_chunks": stream.copied_chunks,
                "send_seconds": report.send_seconds, "update_seconds": report.update_seconds,
                "canary": report.canary, "left": left,
            })
        );
    } else {
        println!(
            "{} version {} (epoch {}): {} sent in {:.2} s, staged and taken in {:.2} s",
            if servers == 1 { "1 server serves".to_string() } else { format!("{servers} servers serve") },
            report.version.short(),
            report.epoch,
            units::bytes(report.sent_bytes),
            report.send_seconds,
            report.update_seconds
        );
    }
    match report.left.first() {
        None => Ok(()),
        Some((name, why)) => {
            Err(Failure::new(format!("the version is decided, but a server was left behind: {why}"))
                .at(name)
                .advice("start that server anew, and push to it by itself"))
        }
    }
}
