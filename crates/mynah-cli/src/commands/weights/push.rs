//! `mynah weights push | rollback | status`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use mynah_base::units;
use mynah_serve::weights::{Fleet, Link, Policy, PushOptions, PushReport, Recovered, recover};
use mynah_swap::Manifest;
use mynah_swap::manifest::{BuildOptions, Identity, Rollback as Order, build};
use mynah_swap::protocol::{CoordinatorRecord, FileLog, Log};
use mynah_swap::source::{SafetensorsSource, TensorSource};
use mynah_trust::keys::Ed25519SigningKey;
use serde_json::{Value, json};

use super::link::HttpLink;
use super::manifest_path;
use crate::failure::{Failure, Result};
use crate::home;

/// Which servers.
#[derive(Args)]
pub struct Servers {
    /// A server's address (may be given several times)
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    to: Vec<String>,
    /// The servers' admin key (also MYNAH_ADMIN_KEY)
    #[arg(long, value_name = "K")]
    admin_key: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  mynah serve --model old --admin-key K              a server that takes weights
  mynah weights push new --base old --to http://127.0.0.1:8000 --admin-key K
  mynah weights push new --to http://a:8000 http://b:8000 --key weights.pem

With --base only what changed inside chunks is sent, without it changed chunks whole. A folder with a weights.manifest
is pushed under that; else it is made, one epoch after the highest that the servers have seen. When one server refuses, no
server takes it. A push that was broken off is ended by the next one from the same MYNAH_HOME.")]
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
    /// Sign with this Ed25519 key (default: the signature beside the manifest, where there is one)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
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

/// Where pushes keep their logs of decisions.
fn pushes() -> Result<PathBuf> {
    let folder = home::home()?.join("weights/pushes");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::io("cannot create the folder", &folder, &error))?;
    Ok(folder)
}

/// A push's files: the log of its decisions, and who takes part. They go when it has ended.
struct Session {
    folder: PathBuf,
    name: String,
    log: FileLog,
}

impl Session {
    fn begin(links: &[HttpLink]) -> Result<Session> {
        let folder = pushes()?;
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanoseconds = time.map_or(0, |time| time.as_nanos());
        // A name that no other push has; it is no secret.
        let name = format!("{nanoseconds:x}-{:x}", std::process::id());
        let urls: Vec<&str> = links.iter().map(Link::name).collect();
        let text = json!({"push": name, "to": urls}).to_string();
        let path = folder.join(format!("{name}.json"));
        mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))
            .map_err(|error| Failure::io("cannot write", &path, &error))?;
        let log = FileLog::open(&folder.join(format!("{name}.log")))?;
        Ok(Session { folder, name, log })
    }

    fn options(&self, policy: Policy) -> PushOptions {
        PushOptions { policy, name: self.name.clone(), scratch: self.folder.clone() }
    }

    /// Removes the files, unless a decision was made that not all are known to have heard: then the next push goes on
    /// with it.
    fn end(mut self) {
        let records = self.log.read().unwrap_or_default();
        let mut is_open = false;
        for record in records.iter().filter_map(|record| CoordinatorRecord::parse(record).ok()) {
            match record {
                CoordinatorRecord::Decide { is_commit, .. } => is_open = is_commit,
                CoordinatorRecord::Close { .. } => is_open = false,
                _ => {}
            }
        }
        if is_open {
            return;
        }
        drop(self.log);
        for end in ["log", "json", "stream"] {
            // What cannot be removed is found to be over by the next push.
            let _ = std::fs::remove_file(self.folder.join(format!("{}.{end}", self.name)));
        }
    }
}

/// Ends what pushes to these servers left that were broken off.
fn recover_all(key: Option<&str>) -> Result<()> {
    let folder = pushes()?;
    let entries = std::fs::read_dir(&folder).map_err(|error| Failure::io("cannot read", &folder, &error))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| Failure::io("cannot read", &path, &error))?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let urls =
            value["to"].as_array().map(|urls| urls.iter().filter_map(Value::as_str).map(str::to_string));
        let (Some(name), Some(urls)) = (value["push"].as_str(), urls) else { continue };
        // Another process has it: that one is not broken off.
        let Ok(mut log) = FileLog::open(&path.with_extension("log")) else { continue };
        let links = HttpLink::all(&urls.collect::<Vec<_>>(), key)?;
        let links: Vec<&dyn Link> = links.iter().map(|link| link as &dyn Link).collect();
        match recover(&links, name, &mut log)? {
            Recovered::Committed => {
                eprintln!("push {name} was broken off after its decision; it is carried through")
            }
            Recovered::Aborted => eprintln!("push {name} was broken off before a decision; it is undone"),
            Recovered::Nothing => {}
        }
        drop(log);
        for end in ["log", "json", "stream"] {
            let _ = std::fs::remove_file(path.with_extension(end));
        }
    }
    Ok(())
}

pub fn push(arguments: &Push) -> Result<()> {
    let key = arguments.servers.admin_key.as_deref();
    let links = HttpLink::all(&arguments.servers.to, key)?;
    let source = SafetensorsSource::open(&arguments.checkpoint)?;
    let base = arguments.base.as_deref().map(SafetensorsSource::open).transpose()?;
    recover_all(key)?;
    let fleet = Fleet::open(links.iter().map(|link| link as &dyn Link).collect())?;
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
    let options = session.options(arguments.policy.into());
    let base = base.as_ref().map(|base| base as &dyn TensorSource);
    let outcome = fleet.push((&manifest, &source), base, signature.as_deref(), &options, &mut session.log);
    session.end();
    tell(&outcome?, links.len(), arguments.json)
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
    /// Sign the order with this Ed25519 key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn rollback(arguments: &Rollback) -> Result<()> {
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
    let options = session.options(arguments.policy.into());
    let outcome = fleet.rollback(epoch, order.as_deref(), &options, &mut session.log);
    session.end();
    tell(&outcome?, links.len(), arguments.json)
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
                "send_seconds": report.send_seconds, "update_seconds": report.update_seconds, "left": left,
            })
        );
    } else {
        println!(
            "{servers} servers serve version {} (epoch {}): {} sent in {:.2} s, staged and taken in {:.2} s",
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

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah weights status --to http://a:8000 http://b:8000 --admin-key K --watch"
)]
pub struct Status {
    #[command(flatten)]
    servers: Servers,
    /// Again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print as JSON, one line a look
    #[arg(long)]
    json: bool,
}

pub fn status(arguments: &Status) -> Result<()> {
    let links = HttpLink::all(&arguments.servers.to, arguments.servers.admin_key.as_deref())?;
    loop {
        let found: Vec<_> = links.iter().map(|link| (link.name(), look(link))).collect();
        if arguments.json {
            let value: Vec<Value> = found
                .iter()
                .map(|(name, status)| match status {
                    Ok(status) => json!({"server": name, "status": status}),
                    Err(why) => json!({"server": name, "error": why}),
                })
                .collect();
            println!("{}", Value::Array(value));
        } else {
            found.iter().for_each(|(name, status)| println!("{}", line(name, status)));
        }
        if !arguments.watch {
            return match found.into_iter().find_map(|(name, status)| Some((name, status.err()?))) {
                Some((name, why)) => Err(Failure::new(why).at(name)),
                None => Ok(()),
            };
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn look(link: &HttpLink) -> std::result::Result<Value, String> {
    let bytes = link.get("/admin/weights/status")?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the answer is no JSON: {error}"))
}

fn line(name: &str, status: &std::result::Result<Value, String>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(why) => return format!("{name}: {why}"),
    };
    let short = |value: &Value| -> String {
        let text = value["version"].as_str().unwrap_or_default();
        let digits = text.trim_start_matches("blake3:");
        if digits.is_empty() { "-".to_string() } else { digits.chars().take(12).collect() }
    };
    let figures = &status["figures"];
    let push = match &status["push"] {
        Value::Null => String::new(),
        push => format!(", push of {} (epoch {}) under way", short(push), push["epoch"]),
    };
    let ready = match status["reason"].as_str() {
        None => "ready".to_string(),
        Some(why) => format!("NOT READY: {why}"),
    };
    format!(
        "{name}: {} {} (epoch {}), before {}; {ready}{push}; {} requests; {} received, {} taken, {} given up, last stage \
         {:.2} s, last pause {:.1} ms",
        status["model"].as_str().unwrap_or("-"),
        short(&status["live"]),
        status["live"]["epoch"].as_u64().unwrap_or(0),
        short(&status["previous"]),
        status["requests"],
        units::bytes(figures["received_bytes"].as_u64().unwrap_or(0)),
        figures["committed"],
        figures["aborted"],
        figures["stage_seconds"].as_f64().unwrap_or(0.0),
        figures["pause_seconds"].as_f64().unwrap_or(0.0) * 1e3,
    )
}
