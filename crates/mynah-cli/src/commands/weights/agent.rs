//! `mynah weights agent`, and what it has in common with the coordinator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use mynah_base::units;
use mynah_swap::host::{AgentEvent, AgentOptions, Step, Store, run_agent};
use mynah_swap::protocol::{FileLog, Receiver, ReplicaId};
use mynah_swap::transport::{Limits, Tcp, TlsClient, TlsServer, Token, Transport};
use mynah_trust::keys::Ed25519VerifyingKey;
use serde_json::{Value, json};

use super::shared::Share;
use crate::failure::{Failure, Result};

/// The variable with the token, where no file is named.
pub const TOKEN_VARIABLE: &str = "MYNAH_WEIGHTS_TOKEN";
/// A log with more records is made shorter when it is opened.
pub const LOG_RECORDS_MAX: usize = 1_000;
/// A token file is not larger.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// What an agent and its coordinator need in the same way.
#[derive(Args, Clone)]
pub struct Wire {
    /// A file with the token that agents and coordinators share (also MYNAH_WEIGHTS_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust these authorities (PEM) and connect with TLS
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The name in the agents' certificates, where it is not their address
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,
    /// How long an agent serves during an update without hearing from the coordinator; the same for all
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub lease_ms: u64,
    /// Stand still at this step of an update, to try what a crash or a stall does there
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(Step::ALL.map(Step::name)))]
    stop_at: Option<String>,
    /// Print events as JSON lines
    #[arg(long)]
    pub json: bool,
}

impl Wire {
    /// The transport, without a certificate of its own.
    pub fn tcp(&self) -> Result<Tcp> {
        let token = match &self.token_file {
            Some(path) => {
                let size = std::fs::metadata(path).map_err(|e| Failure::io("cannot read", path, &e))?.len();
                if size > TOKEN_BYTES_MAX {
                    return Err(Failure::new("too large for a token").at_path(path));
                }
                std::fs::read_to_string(path).map_err(|e| Failure::io("cannot read", path, &e))?
            }
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
                Failure::new("no token")
                    .advice(format!("give all sides the same one: --token-file FILE, or {TOKEN_VARIABLE}"))
            })?,
        };
        let limits = Limits {
            // Who proves nothing in two leases is no peer.
            handshake_timeout: Duration::from_millis((2 * self.lease_ms).min(10_000)),
            ..Limits::default()
        };
        let tcp = Tcp::new(Token::new(&token)?, limits);
        Ok(match &self.tls_ca {
            Some(path) => tcp.with_client(TlsClient::from_file(path, self.tls_name.as_deref())?),
            None => tcp,
        })
    }

    /// Stands still for good when this is the step to stop at.
    pub fn at(&self, step: Step) {
        if self.stop_at.as_deref() != Some(step.name()) {
            return;
        }
        self.tell(&json!({"event": "stopped", "step": step.name()}), || format!("stands still at {step}"));
        loop {
            std::thread::park();
        }
    }

    /// Prints an event for programs or for people.
    pub fn tell(&self, json: &Value, text: impl FnOnce() -> String) {
        // A reader who has gone away does not stop an update.
        let line = if self.json { json.to_string() } else { text() };
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{line}\n")));
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  openssl rand -hex 32 > token
  mynah weights manifest replica --model chat        once, for the checkpoint that lies there
  mynah weights agent --listen 10.0.0.5:7000 --id 0 --dir replica --token-file token
  mpirun -n 4 mynah weights agent --mpi --dir replicas --from new --base old       (built with --features mpi)

The agent keeps the version that is live and the one before under DIR/versions; the link DIR/live names the one that is
live. Every chunk is checked before a version takes its name. Its log (DIR/agent.log) makes it go on after a crash where
it was. Without TLS what goes over the wire is authenticated and not secret.")]
pub struct Agent {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", required_unless_present = "mpi")]
    listen: Option<String>,
    /// The folder with the checkpoint; an empty one is filled from the other agents. Under --mpi each rank has its own,
    /// DIR/rank-0 and so on
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub job: Job,
    /// The agent's number; no two have the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    id: u32,
    /// Give the live version to processes of this machine as sealed shared memory, at this Unix socket
    #[arg(long, value_name = "SOCKET")]
    share: Option<PathBuf>,
    /// Take only versions that this Ed25519 key has signed (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "mpi")]
    weights_key: Option<PathBuf>,
    /// Its certificate chain (PEM): listen with TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub wire: Wire,
}

/// An update among the ranks of an MPI job.
#[derive(Args)]
pub struct Job {
    /// One update among the ranks that mpirun has started: rank 0 leads, the version comes as a broadcast
    #[arg(long, conflicts_with_all = ["listen", "share", "stop_at"])]
    pub mpi: bool,
    /// The folder of the new version, on rank 0 (without it a broken-off update is ended)
    #[arg(long, value_name = "DIR", requires = "mpi")]
    pub from: Option<PathBuf>,
    /// The folder of the version that the ranks have
    #[arg(long, value_name = "DIR", requires = "from")]
    pub base: Option<PathBuf>,
    /// Go back to the version before; no byte moves
    #[arg(long, requires = "mpi", conflicts_with = "from")]
    pub rollback: bool,
    /// The ranks that take the version (default: all)
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "mpi")]
    pub consumers: Vec<u32>,
    /// Bytes that are broadcast at once
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, requires = "mpi", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub bucket_bytes: u32,
}

pub fn run(arguments: &Agent) -> Result<()> {
    if arguments.job.mpi {
        return super::mpi::run(arguments);
    }
    let mut tcp = arguments.wire.tcp()?;
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        tcp = tcp.with_server(TlsServer::from_files(certificate, key)?);
    }
    let dir = &arguments.dir;
    std::fs::create_dir_all(dir).map_err(|error| Failure::io("cannot create the folder", dir, &error))?;
    // The log first: it is locked, so no two agents work in one folder.
    let mut log = FileLog::open(&dir.join("agent.log"))?;
    Receiver::compact(&mut log, LOG_RECORDS_MAX)?;
    let store = Store::open(dir)?;
    let listener = tcp.listen(arguments.listen.as_deref().unwrap_or_default())?;
    let share = arguments.share.as_deref().map(|socket| Share::open(socket, dir)).transpose()?;
    let options = AgentOptions {
        id: ReplicaId(arguments.id),
        lease_ms: arguments.wire.lease_ms,
        threads: mynah_kernels::pool::threads(),
        signer: arguments.weights_key.as_deref().map(Ed25519VerifyingKey::load).transpose()?,
    };
    let (wire, id) = (arguments.wire.clone(), options.id);
    let observe = move |event: &AgentEvent| {
        tell(&wire, id, event);
        if let (Some(share), AgentEvent::Listening(_, Some(_)) | AgentEvent::Flipped(_)) = (&share, event) {
            share.renew();
        }
    };
    Ok(run_agent(options, store, &mut log, Arc::new(tcp), listener, Arc::new(observe))?)
}

fn tell(wire: &Wire, id: ReplicaId, event: &AgentEvent) {
    let version = |version: &mynah_swap::Hash| version.to_string();
    let (json, text) = match event {
        AgentEvent::At(step) => return wire.at(*step),
        AgentEvent::Listening(address, live) => (
            json!({"event": "listening", "address": address, "version": live.as_ref().map(version)}),
            format!(
                "listens at {address} with {}",
                live.map_or("no weights".to_string(), |live| format!("version {}", live.short()))
            ),
        ),
        AgentEvent::Led => (json!({"event": "led"}), "is led by a coordinator".to_string()),
        AgentEvent::Refused(why) => (json!({"event": "refused", "reason": why}), format!("refused: {why}")),
        AgentEvent::Serving(live) => (
            json!({"event": "serving", "version": version(live)}),
            format!("may answer with version {}", live.short()),
        ),
        AgentEvent::Idle(why) => (json!({"event": "idle", "reason": why}), format!("answers nothing: {why}")),
        AgentEvent::Staging(epoch, target) => (
            json!({"event": "staging", "epoch": epoch, "version": version(target)}),
            format!("fetches version {} for update {epoch}", target.short()),
        ),
        AgentEvent::Staged(target, fetched, took) => (
            json!({
                "event": "staged", "version": version(target), "wire_bytes": fetched.traffic.received_bytes,
                "size_bytes": fetched.size_bytes, "was_here": fetched.was_here, "seconds": took.as_secs_f64(),
            }),
            format!(
                "has version {} and checked its {}: {} received in {:.2} s",
                target.short(),
                units::bytes(fetched.size_bytes),
                units::bytes(fetched.traffic.received_bytes),
                took.as_secs_f64()
            ),
        ),
        AgentEvent::Vetoed(target, why) => (
            json!({"event": "vetoed", "version": version(target), "reason": why}),
            format!("vetoes version {}: {why}", target.short()),
        ),
        AgentEvent::Flipped(live) => (
            json!({"event": "flipped", "version": version(live)}),
            format!("version {} is live", live.short()),
        ),
        AgentEvent::Discarded(target) => (
            json!({"event": "discarded", "version": version(target)}),
            format!("dropped version {}", target.short()),
        ),
    };
    wire.tell(&json, || format!("agent {}: {text}", id.0));
}
