//! The pusher's side: many servers go from one version to the next, all of them or none.
//!
//! It is here and not in the program because the trainer pushes, too, and because the tests of the server need it. How a
//! call reaches a server is the caller's ([`Link`]); this crate opens no connection.

mod join;
mod lead;
mod probe;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mynah_engine::live::InFlight;
use mynah_swap::delta::{self, DeltaStats};
use mynah_swap::protocol::{CanarySpec, CommitMode, Log, UpdateSpec};
use mynah_swap::source::TensorSource;
use mynah_swap::{Hash, Manifest};
use serde_json::{Value, json};

use super::trial::Probes;
use crate::error::{Error, ErrorKind, Result};
use lead::Lead;

pub use join::{CaughtUp, catch_up};
pub use probe::expect;

/// A way to one server's `/admin/weights/`. Errors are one line, without the server's name.
pub trait Link: Sync {
    /// What people call the server: its address.
    fn name(&self) -> &str;

    /// Calls with a JSON body, and gives the JSON of the answer.
    ///
    /// # Errors
    /// What the server or the connection says.
    fn post(&self, path: &str, body: &Value) -> std::result::Result<Value, String>;

    /// Asks for bytes.
    ///
    /// # Errors
    /// What the server or the connection says.
    fn get(&self, path: &str) -> std::result::Result<Vec<u8>, String>;

    /// Sends a file as the body.
    ///
    /// # Errors
    /// What the server or the connection says.
    fn upload(&self, path: &str, file: &Path) -> std::result::Result<Value, String>;

    /// Sends bytes as the body, and writes the answer's into a file.
    ///
    /// # Errors
    /// What the server or the connection says.
    fn download(&self, path: &str, body: &[u8], file: &Path) -> std::result::Result<u64, String>;
}

/// What becomes of answers under way when the version changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They end with the version they began with.
    #[default]
    Finish,
    /// They go on with the new one over what the old one has computed.
    Continue,
    /// Their tokens are read again by the new one before they go on.
    Recompute,
    /// They fail, and are to be sent again.
    Abort,
}

impl Policy {
    /// The names on the wire.
    pub const NAMES: [&'static str; 4] = ["finish", "continue", "recompute", "abort"];

    const ALL: [Policy; 4] = [Policy::Finish, Policy::Continue, Policy::Recompute, Policy::Abort];

    /// By its name.
    pub fn from_name(name: &str) -> Option<Policy> {
        Policy::NAMES.iter().position(|known| *known == name).map(|at| Policy::ALL[at])
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Policy::NAMES[self as usize]
    }
}

impl From<Policy> for InFlight {
    fn from(policy: Policy) -> InFlight {
        match policy {
            Policy::Finish => InFlight::Finish,
            Policy::Continue => InFlight::Continue,
            Policy::Recompute => InFlight::Recompute,
            Policy::Abort => InFlight::Abort,
        }
    }
}

/// How to push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// What becomes of answers under way.
    pub policy: Policy,
    /// The push's name: letters, digits and hyphens, which no other push has.
    pub name: String,
    /// Where the stream is kept until all have it.
    pub scratch: PathBuf,
    /// What people call the version.
    pub label: Option<String>,
    /// A trial on a share of requests before all take it.
    pub canary: Option<Canary>,
    /// Servers answer with what they have until they hear the decision, instead of holding between their promise and
    /// it: no pause, and for the time of a message some answer with the old version and some with the new. One server
    /// by itself never holds.
    pub is_rolling: bool,
}

/// A trial of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// Share, times and bounds.
    pub spec: CanarySpec,
    /// What it is held against.
    pub probes: Probes,
}

/// What a push did.
#[derive(Clone, Debug)]
pub struct PushReport {
    /// The version that is served from now on.
    pub version: Hash,
    /// Its epoch.
    pub epoch: u64,
    /// The stream that each server was sent; empty for a rollback.
    pub stream: DeltaStats,
    /// Bytes that went to all servers together.
    pub sent_bytes: u64,
    /// Making and sending the stream.
    pub send_seconds: f64,
    /// From there until all had verified it, and until all served it.
    pub update_seconds: f64,
    /// What the trial showed at its end, of all servers together.
    pub canary: Option<Value>,
    /// Servers that were silent after the decision; each holds until it is reached or started anew.
    pub left: Vec<(String, String)>,
}

/// How a push that was broken off ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It had been decided, and all that can be reached have it.
    Committed,
    /// It had not been decided, so it is nowhere.
    Aborted,
    /// There was nothing to do.
    Nothing,
}

/// Servers of one model that serve the same version.
pub struct Fleet<'a> {
    links: Vec<&'a dyn Link>,
    manifest: Manifest,
    previous: Option<Hash>,
    epoch_highest: u64,
    term_highest: u64,
    signed_only: bool,
}

pub(super) fn push_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Weights, message)
}

impl From<mynah_swap::Error> for Error {
    fn from(error: mynah_swap::Error) -> Error {
        push_error(error.to_string())
    }
}

/// Does something for every server at once.
fn everywhere<T: Send>(
    links: &[&dyn Link],
    job: impl Fn(&dyn Link) -> std::result::Result<T, String> + Sync,
) -> Vec<std::result::Result<T, String>> {
    let job = &job;
    std::thread::scope(|scope| {
        let threads: Vec<_> = links.iter().map(|&link| scope.spawn(move || job(link))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("the call panicked".to_string()))
        };
        threads.into_iter().map(join).collect()
    })
}

/// The first error, with its server.
fn all<T>(links: &[&dyn Link], results: Vec<std::result::Result<T, String>>) -> Result<Vec<T>> {
    let named = results
        .into_iter()
        .zip(links)
        .map(|(result, link)| result.map_err(|error| push_error(format!("{}: {error}", link.name()))));
    named.collect()
}

impl<'a> Fleet<'a> {
    /// Asks all servers what they serve. Those that have not computed their manifest do so now.
    ///
    /// # Errors
    /// `Weights` when a server cannot be reached, or they serve different versions; the message names it.
    pub fn open(links: Vec<&'a dyn Link>) -> Result<Fleet<'a>> {
        let Some(first) = links.first().copied() else { return Err(push_error("name at least one server")) };
        let statuses = all(&links, everywhere(&links, |link| link.post("/admin/weights/init", &json!({}))))?;
        let version = |status: &Value| status["live"]["version"].as_str().unwrap_or("nothing").to_string();
        let common = version(&statuses[0]);
        for (status, link) in statuses.iter().zip(&links) {
            let found = version(status);
            if found != common {
                return Err(push_error(format!(
                    "{} serves {found}, {} serves {common}; bring them together first: mynah weights catch-up, or push \
                     the version to one of them by itself",
                    link.name(),
                    first.name()
                )));
            }
        }
        let bytes =
            first.get("/admin/weights/manifest").map_err(|e| push_error(format!("{}: {e}", first.name())))?;
        let manifest = Manifest::parse(&bytes)?;
        if manifest.digest().to_string() != common {
            return Err(push_error(format!(
                "{}: its version changed while it was asked; try again",
                first.name()
            )));
        }
        let most =
            |field: &str| statuses.iter().filter_map(|status| status[field].as_u64()).max().unwrap_or(0);
        let previous: Vec<Option<Hash>> = statuses
            .iter()
            .map(|status| status["previous"]["version"].as_str().and_then(|text| text.parse().ok()))
            .collect();
        let previous = previous[0].filter(|one| previous.iter().all(|other| *other == Some(*one)));
        let signed_only = statuses.iter().any(|status| status["signed_only"] == true);
        let (epoch_highest, term_highest) = (most("epoch_highest"), most("term"));
        Ok(Fleet { links, manifest, previous, epoch_highest, term_highest, signed_only })
    }

    /// What all of them serve.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The version before, when all have kept it.
    pub fn previous(&self) -> Option<Hash> {
        self.previous
    }

    /// The least epoch that all take.
    pub fn epoch_next(&self) -> u64 {
        self.epoch_highest + 1
    }

    /// Whether one of them takes only what is signed.
    pub fn is_signed_only(&self) -> bool {
        self.signed_only
    }

    /// Brings a version to all of them. With the weights of the version that is served (`base`), changed chunks are
    /// sent as what changed in them; without, whole. Chunks that are the same are never sent.
    ///
    /// # Errors
    /// `Weights` when a server refuses or cannot be reached: then all serve what they served before. The message names
    /// the server and its reason.
    pub fn push(
        &self,
        target: (&Manifest, &dyn TensorSource),
        base: Option<&dyn TensorSource>,
        signature: Option<&str>,
        options: &PushOptions,
        log: &mut dyn Log,
    ) -> Result<PushReport> {
        let started = Instant::now();
        let whole = target.0.onto(&self.manifest)?;
        let version = whole.digest();
        if version == self.manifest.digest() {
            return Err(push_error(format!("version {} is served already", version.short())));
        }
        let stream = options.scratch.join(format!("{}.stream", options.name));
        let made = self.make_stream(target, base, &stream);
        let report = made.and_then(|stats| self.push_stream(&whole, &stream, stats, signature, options, log));
        let _ = std::fs::remove_file(&stream);
        let mut report = report?;
        report.send_seconds = started.elapsed().as_secs_f64() - report.update_seconds;
        Ok(report)
    }

    /// Brings a version to all of them that is a stream already ([`make_stream`](Self::make_stream)).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_stream(
        &self,
        whole: &Manifest,
        stream: &Path,
        stats: DeltaStats,
        signature: Option<&str>,
        options: &PushOptions,
        log: &mut dyn Log,
    ) -> Result<PushReport> {
        let started = Instant::now();
        let (version, epoch) = (whole.digest(), whole.head().epoch);
        let announced = json!({
            "push": options.name, "version": version.to_string(), "epoch": epoch,
            "policy": options.policy.name(), "signature": signature, "label": options.label,
            "probes": options.canary.as_ref().map(|canary| canary.probes.to_json()),
        });
        let path = format!("/admin/weights/update?push={}", options.name);
        let sent = everywhere(&self.links, |link| {
            link.post("/admin/weights/start", &announced)?;
            link.upload(&path, stream)?;
            link.post("/admin/weights/finish", &json!({"push": options.name}))
        });
        if let Err(error) = all(&self.links, sent) {
            self.abandon(&options.name);
            return Err(error);
        }
        let send_seconds = started.elapsed().as_secs_f64();
        let mut report = self.update(version, epoch, false, options, log)?;
        report.sent_bytes = stats.wire_bytes * self.links.len() as u64;
        (report.stream, report.send_seconds) = (stats, send_seconds);
        Ok(report)
    }

    /// Writes what leads from the served version to another into a file; bases as in [`push`](Self::push).
    ///
    /// # Errors
    /// `Weights` when the weights are not those of their manifest, or the file cannot be written.
    pub fn make_stream(
        &self,
        target: (&Manifest, &dyn TensorSource),
        base: Option<&dyn TensorSource>,
        path: &Path,
    ) -> Result<DeltaStats> {
        let io =
            |error: std::io::Error| push_error(format!("{}: cannot be written: {error}", path.display()));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(io)?);
        let stats = match base {
            Some(base) => delta::make((&self.manifest, base), target, &mut out)?,
            None => delta::make_chunks(&self.manifest, target, &mut out)?,
        };
        out.flush().map_err(io)?;
        Ok(stats)
    }

    /// Goes back to the version before, of which no byte moves. `order`: the signed order, where servers want one.
    ///
    /// # Errors
    /// As [`push`](Self::push), and when the servers have not kept a common version.
    pub fn rollback(
        &self,
        epoch: u64,
        order: Option<&str>,
        options: &PushOptions,
        log: &mut dyn Log,
    ) -> Result<PushReport> {
        let target = self.previous.ok_or_else(|| {
            push_error("there is no version before this one that all servers have kept; push it instead")
        })?;
        let announced = json!({
            "push": options.name, "version": target.to_string(), "epoch": epoch, "policy": options.policy.name(),
            "rollback": true, "signature": order,
        });
        let started = everywhere(&self.links, |link| link.post("/admin/weights/start", &announced));
        if let Err(error) = all(&self.links, started) {
            self.abandon(&options.name);
            return Err(error);
        }
        self.update(target, epoch, true, options, log)
    }

    /// A trial lasts until every server has asked all its probes, or something was asked at all.
    fn spec(&self, canary: &Canary) -> CanarySpec {
        let probes = canary.probes.list.len() * self.links.len();
        CanarySpec { requests_min: canary.spec.requests_min.max(probes as u64).max(1), ..canary.spec }
    }

    /// Tells all that a push is over before it has begun to be decided.
    fn abandon(&self, name: &str) {
        // Who cannot be told gives it up by itself.
        let _ = everywhere(&self.links, |link| link.post("/admin/weights/abort", &json!({"push": name})));
    }

    fn update(
        &self,
        target: Hash,
        epoch: u64,
        is_rollback: bool,
        options: &PushOptions,
        log: &mut dyn Log,
    ) -> Result<PushReport> {
        let started = Instant::now();
        let spec = UpdateSpec {
            target,
            epoch,
            is_rollback,
            mode: match options.is_rolling || self.links.len() == 1 {
                true => CommitMode::Rolling,
                false => CommitMode::Barrier,
            },
            canary: options.canary.as_ref().map(|canary| self.spec(canary)),
            source: format!("upload {}", options.name),
        };
        let mut lead = Lead::begin(&self.links, &options.name, self.term_highest, log)?;
        let outcome = lead.carry_through(spec, log);
        if outcome.is_err() {
            self.abandon(&options.name);
        }
        let left = outcome?;
        let canary = lead.canary();
        Ok(PushReport {
            canary,
            version: target,
            epoch,
            stream: DeltaStats::default(),
            sent_bytes: 0,
            send_seconds: 0.0,
            update_seconds: started.elapsed().as_secs_f64(),
            left,
        })
    }
}

/// Carries through, or undoes, what a push that was broken off left: the log says which. The servers are those of the
/// push, in its order. Gives those that could not be told: the log is needed until they are back.
///
/// # Errors
/// `Weights` when the log is damaged or in use.
pub fn recover(links: &[&dyn Link], name: &str, log: &mut dyn Log) -> Result<(Recovered, Vec<String>)> {
    if log.count()? == 0 {
        // It ended before anything was to be decided: who has heard of it need not wait for it to fall silent.
        let _ = everywhere(links, |link| link.post("/admin/weights/abort", &json!({"push": name})));
        return Ok((Recovered::Nothing, Vec::new()));
    }
    Lead::begin(links, name, 0, log)?.recover(log)
}
