//! The agent of one server: it keeps the versions, and follows a pusher's coordinator. What the protocol decides is
//! carried out in [`carry`](super::carry).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use mynah_base::time::now_ms;
use mynah_engine::live::EngineHandle;
use mynah_swap::manifest::EpochGuard;
use mynah_swap::protocol::{
    Config, Log, MemoryLog, Receiver, ReceiverRecord, ReplicaId, ToCoordinator, ToReplica,
};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};
use mynah_trust::keys::Ed25519VerifyingKey;

use super::durable::{self, Found, Kept};
use super::stage::{self, manifest_of};
use super::status::Figures;
use super::trial::{Probes, Trial};
use super::versions::{Folder, Version, Versions};
use super::{Policy, WeightsConfig, carry};

/// How the refusal begins of a server that knows of no such push: pushers read it.
pub(super) const UNKNOWN_PUSH: &str = "no push of this name is under way";
/// A longer log of the receiver's is made short when the server starts.
const LOG_RECORDS_MAX: usize = 1_000;
/// Bytes beyond twice the weights that an upload may have: its manifest.
const UPLOAD_SLACK_BYTES: u64 = 64 << 20;
/// The receiver's own clock.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The protocol's times: the pusher asks many times a second.
pub(super) fn config() -> Config {
    Config {
        tick_ms: TICK.as_millis() as u64,
        heartbeat_ms: 250,
        resend_ms: 250,
        // A step of the engine may take long, and a promise waits for its end.
        hold_ms_max: 10_000,
        // A server that promised is waited for; nobody is left out while it may still serve the old version.
        may_leave_out: false,
        ..Config::default()
    }
}

/// Everything about the weights of one model.
pub(crate) struct Hot {
    /// For threads of its own.
    pub(super) me: Weak<Hot>,
    pub(super) model: String,
    pub(super) config: WeightsConfig,
    pub(super) signer: Option<Ed25519VerifyingKey>,
    pub(super) engine: EngineHandle,
    pub(crate) versions: Versions,
    /// Held while the manifest of the first version is computed.
    first: Mutex<()>,
    pub(super) inner: Mutex<Inner>,
    /// For monitors, which must not wait for a step of the engine.
    seen: Mutex<Seen>,
    pub(super) told: Condvar,
}

/// What changes. The lock is never held while files are read or a model is loaded.
pub(super) struct Inner {
    pub(super) live: Option<Arc<Version>>,
    pub(super) previous: Option<Arc<Version>>,
    pub(super) staged: Option<Arc<Version>>,
    /// No longer chosen; they go when the last answer with them is written.
    pub(super) retired: Vec<Arc<Version>>,
    pub(super) receiver: Option<Receiver>,
    /// The receiver's, from what it said last.
    pub(super) incarnation: u64,
    pub(super) log: Box<dyn Log + Send>,
    pub(super) term: u64,
    pub(super) guard: Option<EpochGuard>,
    pub(super) outbox: VecDeque<ToCoordinator>,
    pub(super) push: Option<Push>,
    pub(super) numbers: u32,
    pub(super) held_since: Option<Instant>,
    pub(super) is_paused: bool,
    pub(super) trial: Option<Trial>,
    pub(super) figures: Figures,
}

/// What monitors see.
#[derive(Clone, Debug, Default)]
struct Seen {
    live: Option<Hash>,
    epoch: u64,
    not_ready: Option<String>,
    figures: Figures,
}

impl Inner {
    /// Versions in memory.
    fn loaded(&self) -> usize {
        let known = [&self.live, &self.previous, &self.staged].into_iter().flatten().chain(&self.retired);
        known.filter(|version| version.number.is_some()).count()
    }

    fn not_ready(&self) -> Option<String> {
        if let (Some(_), Some(push)) = (self.held_since, &self.push)
            && push.in_doubt
        {
            return Some(format!(
                "was cut off after it had promised weights of epoch {} and before it heard what was decided; push or \
                 roll back once more from where push {} was run, or abort it with {{\"force\": true}} when no server \
                 has taken it",
                push.epoch, push.name
            ));
        }
        if self.held_since.is_some() {
            let epoch = self.push.as_ref().map_or(0, |push| push.epoch);
            return Some(format!("has promised weights of epoch {epoch} and waits for the decision"));
        }
        self.is_paused.then(|| "paused by an admin".to_string())
    }
}

/// A push under way.
pub(super) struct Push {
    pub(super) name: String,
    pub(super) target: Hash,
    pub(super) epoch: u64,
    pub(super) policy: Policy,
    pub(super) is_rollback: bool,
    /// The signature of the manifest, or the signed order to go back.
    pub(super) signature: Option<String>,
    pub(super) label: Option<String>,
    pub(super) probes: Option<Probes>,
    pub(super) upload: Option<PathBuf>,
    /// When its upload began.
    pub(super) upload_began: Option<Instant>,
    pub(super) heard: Instant,
    pub(super) has_promised: bool,
    /// Promised, and cut off from who decides: only that one, or an admin, ends it.
    pub(super) in_doubt: bool,
    pub(super) is_over: bool,
}

/// What a pusher announces.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    pub(super) push: String,
    pub(super) target: Hash,
    pub(super) epoch: u64,
    pub(super) policy: Policy,
    pub(super) is_rollback: bool,
    pub(super) signature: Option<String>,
    pub(super) label: Option<String>,
    pub(super) probes: Option<Probes>,
}

impl From<Announcement> for Push {
    fn from(announced: Announcement) -> Push {
        Push {
            name: announced.push,
            target: announced.target,
            epoch: announced.epoch,
            policy: announced.policy,
            is_rollback: announced.is_rollback,
            signature: announced.signature,
            label: announced.label,
            probes: announced.probes,
            upload: None,
            upload_began: None,
            heard: Instant::now(),
            has_promised: false,
            in_doubt: false,
            is_over: false,
        }
    }
}

pub(super) fn state_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::State, message)
}

pub(super) fn engine_error(error: &mynah_engine::Error) -> Error {
    state_error(error.to_string())
}

impl Hot {
    /// An agent for the model that an engine runs. Where the state's folder has a version that was committed, the model
    /// must be that one ([`resume`](super::resume)).
    ///
    /// # Errors
    /// When the key file cannot be read, or the state's folder cannot be used.
    pub(crate) fn new(model: &str, engine: EngineHandle, config: WeightsConfig) -> Result<Arc<Hot>> {
        let signer = config.signer.as_deref().map(Ed25519VerifyingKey::load).transpose()?;
        let (log, found) = open_state(&config)?;
        let inner = Inner {
            live: None,
            previous: None,
            staged: None,
            retired: Vec::new(),
            receiver: None,
            incarnation: 0,
            log,
            term: found.term,
            guard: None,
            outbox: VecDeque::new(),
            push: None,
            numbers: 0,
            held_since: None,
            is_paused: false,
            trial: None,
            figures: Figures::default(),
        };
        let hot = Arc::new_cyclic(|me| Hot {
            me: me.clone(),
            model: model.to_string(),
            config,
            signer,
            engine,
            versions: Versions::default(),
            first: Mutex::default(),
            inner: Mutex::new(inner),
            seen: Mutex::default(),
            told: Condvar::new(),
        });
        hot.take_up(found)?;
        let of_thread = Arc::downgrade(&hot);
        std::thread::Builder::new()
            .name("mynah-weights".to_string())
            .spawn(move || carry::tick_while_alive(&of_thread))
            .map_err(|error| Error::new(ErrorKind::Io, format!("no thread for the weights: {error}")))?;
        Ok(hot)
    }

    /// Goes on with what an earlier server left.
    fn take_up(&self, found: Found) -> Result<()> {
        let version = |kept: Kept, number: Option<u32>| {
            let folder =
                if kept.is_users { Folder::of_user(&kept.folder) } else { Folder::kept(&kept.folder) };
            Arc::new(Version {
                digest: kept.manifest.digest(),
                manifest: kept.manifest,
                folder: Arc::new(folder),
                number,
                signature: kept.signature,
                label: None,
            })
        };
        match found.live {
            Some(live) => self.begin(version(live, Some(0)))?,
            None if found.doubt.is_some() => self.init()?,
            None => {}
        }
        let mut inner = self.lock();
        inner.previous = found.previous.map(|kept| version(kept, None));
        let Some(doubt) = found.doubt else { return Ok(()) };
        inner.staged = doubt.kept.map(|kept| version(kept, None));
        let announced = Announcement {
            push: doubt.push,
            target: doubt.target,
            epoch: doubt.epoch,
            policy: doubt.policy,
            is_rollback: doubt.is_rollback,
            signature: doubt.signature,
            ..Announcement::default()
        };
        inner.push = Some(Push { has_promised: true, in_doubt: true, ..Push::from(announced) });
        inner.held_since = Some(Instant::now());
        self.apply_hold(&inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside leaves plain data that is right all the same.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_signed_only(&self) -> bool {
        self.signer.is_some()
    }

    /// Computes the manifest of what was served from the start, once.
    pub(super) fn init(&self) -> Result<()> {
        let _turn = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().live.is_some() {
            return Ok(());
        }
        let manifest = manifest_of(&self.config.folder, &self.model)?;
        if self.config.keeps {
            durable::keep_base(&self.config.state, &manifest)?;
        }
        let signature = std::fs::read_to_string(stage::signature_path(&self.config.folder)).ok();
        let folder = Arc::new(Folder::of_user(&self.config.folder));
        let digest = manifest.digest();
        self.begin(Arc::new(Version { digest, manifest, folder, number: Some(0), signature, label: None }))
    }

    /// The version that the engine has is known from here on.
    fn begin(&self, live: Arc<Version>) -> Result<()> {
        let head = live.manifest.head();
        let mut guard =
            EpochGuard { model: head.model.clone(), tokenizer: head.tokenizer, highest: head.epoch };
        guard.highest = guard.highest.max(self.read_epoch()?);
        let mut inner = self.lock();
        if !self.config.keeps {
            // Incarnations grow across restarts, although the log is in memory.
            let incarnation = now_ms().max(1) as u64;
            inner.log.append(0, &ReceiverRecord::Incarnation { incarnation }.to_bytes())?;
        }
        let (receiver, actions) =
            Receiver::open(ReplicaId(0), &config(), Some(live.digest), now_ms() as u64, inner.log.as_mut())?;
        inner.receiver = Some(receiver);
        inner.guard = Some(guard);
        self.versions.name(0, live.digest);
        inner.live = Some(live);
        self.carry_out(&mut inner, actions);
        Ok(())
    }

    fn epoch_file(&self) -> PathBuf {
        self.config.state.join("epoch")
    }

    fn read_epoch(&self) -> Result<u64> {
        let path = self.epoch_file();
        let bad = |what: String| Error::new(ErrorKind::Format, format!("{}: {what}", path.display()));
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| bad("is not a number; remove it".to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(bad(format!("cannot be read: {error}"))),
        }
    }

    pub(super) fn write_epoch(&self, highest: u64) -> Result<()> {
        let path = self.epoch_file();
        mynah_base::write_atomic(&path, |file| {
            std::io::Write::write_all(file, highest.to_string().as_bytes())
        })
        .map_err(|error| Error::new(ErrorKind::Io, format!("{}: cannot be written: {error}", path.display())))
    }

    /// The manifest of the version that is served.
    pub(super) fn manifest(&self) -> Result<Vec<u8>> {
        self.init()?;
        let live = self.lock().live.clone();
        live.map(|live| live.manifest.to_bytes()).ok_or_else(|| state_error("no version is known"))
    }

    /// A push begins: this server is its own until it ends.
    pub(super) fn start(&self, announced: Announcement) -> Result<()> {
        self.init()?;
        let mut inner = self.lock();
        if let Some(push) = inner.push.as_ref().filter(|push| !push.is_over) {
            if push.name == announced.push {
                return Err(state_error("this push has been started already"));
            }
            return Err(state_error(format!(
                "another push, of version {}, is under way; wait for it, or abort it",
                push.target.short()
            )));
        }
        let guard = inner.guard.as_ref().ok_or_else(|| state_error("no version is known"))?;
        if announced.epoch <= guard.highest {
            return Err(Error::new(
                ErrorKind::Stale,
                format!(
                    "epoch {} was passed: the highest seen is {}; make the manifest again with a greater one, or go \
                     back with mynah weights rollback",
                    announced.epoch, guard.highest
                ),
            ));
        }
        if inner.live.as_ref().is_some_and(|live| live.digest == announced.target) {
            return Err(state_error(format!("version {} is served already", announced.target.short())));
        }
        if self.signer.is_some() && announced.signature.is_none() {
            return Err(Error::new(
                ErrorKind::Signature,
                "this server takes only signed versions; sign it: mynah weights sign, or push --key",
            ));
        }
        if announced.is_rollback && inner.previous.as_ref().is_none_or(|kept| kept.digest != announced.target)
        {
            return Err(state_error(format!(
                "version {} is not kept here; kept is {}",
                announced.target.short(),
                inner.previous.as_ref().map_or("none".to_string(), |kept| kept.digest.short())
            )));
        }
        // A new coordinator: what an earlier one was told does not count any more.
        inner.outbox.clear();
        self.start_anew(&mut inner, "a new push begins");
        inner.push = Some(Push::from(announced));
        Ok(())
    }

    /// The receiver forgets what is not promised and registers as a new incarnation.
    pub(super) fn start_anew(&self, inner: &mut Inner, reason: &str) {
        let (term, incarnation) = (inner.term, inner.incarnation);
        let Inner { receiver: Some(receiver), log, .. } = inner else { return };
        let reject = ToReplica::Reject { incarnation, reason: reason.to_string() };
        let actions = receiver.handle(term, reject, log.as_mut()).unwrap_or_default();
        self.carry_out(inner, actions);
    }

    /// Where the bytes of a push go, and how many may come.
    pub(super) fn begin_upload(&self, push: &str) -> Result<(PathBuf, u64)> {
        let mut inner = self.lock();
        let size_bytes = inner.live.as_ref().map_or(0, |live| live.manifest.size_bytes());
        let staging = self.config.state.join("versions");
        let found = named(&mut inner, push)?;
        if found.is_rollback {
            return Err(state_error("an order to go back has no upload"));
        }
        if found.upload.is_some() {
            return Err(state_error("this push has its upload already"));
        }
        let path = staging.join(format!("upload-{}", found.epoch));
        found.upload = Some(path.clone());
        found.upload_began = Some(Instant::now());
        Ok((path, size_bytes.saturating_mul(2).saturating_add(UPLOAD_SLACK_BYTES)))
    }

    /// Bytes have come.
    pub(super) fn received(&self, push: &str, bytes: u64) -> Result<()> {
        let mut inner = self.lock();
        inner.figures.received_bytes += bytes;
        named(&mut inner, push).map(drop)
    }

    /// The upload broke off or was refused.
    pub(super) fn fail_upload(&self, push: &str) {
        let mut inner = self.lock();
        if let Ok(found) = named(&mut inner, push)
            && let Some(path) = found.upload.take()
        {
            let _ = std::fs::remove_file(path);
        }
    }

    /// The upload is there: refuses at once what can never be staged.
    pub(super) fn finish_upload(&self, push: &str) -> Result<()> {
        let (path, target, live) = {
            let mut inner = self.lock();
            let live = inner.live.clone().ok_or_else(|| state_error("no version is known"))?;
            let found = named(&mut inner, push)?;
            let seconds = found.upload_began.take().map_or(0.0, |began| began.elapsed().as_secs_f64());
            let path =
                found.upload.clone().ok_or_else(|| state_error("nothing was uploaded for this push"))?;
            let target = found.target;
            inner.figures.receive_seconds_total += seconds;
            (path, target, live)
        };
        let checked = stage::read_head(&path).and_then(|head| {
            stage::check_head(&head, &live, target)?;
            self.check_signature(&head.manifest, push)
        });
        if checked.is_err() {
            self.fail_upload(push);
        }
        checked
    }

    pub(super) fn check_signature(&self, manifest: &Manifest, push: &str) -> Result<()> {
        let Some(key) = &self.signer else { return Ok(()) };
        let signature = named(&mut self.lock(), push)?.signature.clone();
        let signature =
            signature.ok_or_else(|| Error::new(ErrorKind::Signature, "the version is not signed"))?;
        manifest.verify(signature.as_bytes(), key)
    }

    /// Takes a coordinator's messages, and gives what is to be told; waits a little when there is nothing.
    pub(super) fn exchange(&self, push: &str, messages: &[Vec<u8>], wait: Duration) -> Result<Vec<Vec<u8>>> {
        let mut inner = self.lock();
        named(&mut inner, push)?;
        for bytes in messages {
            let (term, message) = ToReplica::parse(bytes)?;
            inner.term = inner.term.max(term);
            if let (ToReplica::Reject { incarnation, .. }, true) = (&message, term >= inner.term)
                && *incarnation == inner.incarnation
                && let Some(push) = inner.push.as_mut().filter(|push| push.has_promised && !push.is_over)
            {
                // Left out by who decided: the promise stays one until it is told what became of it.
                push.in_doubt = true;
            }
            let Inner { receiver: Some(receiver), log, .. } = &mut *inner else {
                return Err(state_error("no version is known"));
            };
            let actions = receiver.handle(term, message, log.as_mut())?;
            self.carry_out(&mut inner, actions);
        }
        if inner.outbox.is_empty() && !wait.is_zero() {
            let waited = self.told.wait_timeout_while(inner, wait, |inner| inner.outbox.is_empty());
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(inner.outbox.drain(..).map(|message| message.to_bytes()).collect())
    }

    /// Gives a push up. A promise is only taken back by force: who says so vouches that nobody else has committed.
    pub(super) fn abort(&self, push: Option<&str>, force: bool) -> Result<()> {
        let mut inner = self.lock();
        let found = match push {
            Some(name) => named(&mut inner, name)?,
            None => inner.push.as_mut().ok_or_else(|| state_error("no push is under way"))?,
        };
        if found.is_over {
            return Err(state_error("no push is under way"));
        }
        if found.has_promised && !force {
            return Err(state_error(
                "the update is promised: the pusher decides. Run the push again where it was run, or abort with \
                 {\"force\": true} when you know that no server has taken it",
            ));
        }
        found.in_doubt = false;
        self.give_up(&mut inner, "aborted by an admin");
        Ok(())
    }

    pub(super) fn give_up(&self, inner: &mut Inner, reason: &str) {
        let epoch = inner.push.as_ref().map_or(0, |push| push.epoch);
        let (term, incarnation) = (inner.term, inner.incarnation);
        if let Inner { receiver: Some(receiver), log, .. } = inner {
            let message = ToReplica::Decision { incarnation, epoch, is_commit: false };
            let actions = receiver.handle(term, message, log.as_mut()).unwrap_or_default();
            self.carry_out(inner, actions);
        }
        self.discard(inner);
        self.start_anew(inner, reason);
    }

    /// Operator's pause: no step is taken until `resume`.
    pub(super) fn pause(&self, pauses: bool) -> Result<()> {
        let mut inner = self.lock();
        inner.is_paused = pauses;
        self.apply_hold(&inner)
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.engine.flush_cache().map_err(|error| engine_error(&error))
    }

    pub(super) fn apply_hold(&self, inner: &Inner) -> Result<()> {
        self.show(inner);
        let holds = inner.is_paused || inner.held_since.is_some();
        let done = if holds { self.engine.hold() } else { self.engine.release() };
        done.map_err(|error| engine_error(&error))
    }

    /// Why the server is not ready, if it is not.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.seen().not_ready.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows monitors what has changed.
    pub(super) fn show(&self, inner: &Inner) {
        *self.seen() = Seen {
            live: inner.live.as_ref().map(|live| live.digest),
            epoch: inner.live.as_ref().map_or(0, |live| live.manifest.head().epoch),
            not_ready: inner.not_ready(),
            figures: Figures {
                is_ready: inner.not_ready().is_none(),
                is_staged: inner.staged.is_some(),
                loaded: inner.loaded(),
                trial_ppm: inner.trial.as_ref().map_or(0, |trial| trial.share_ppm),
                ..inner.figures
            },
        };
    }

    /// The version that requests get, when it is known.
    pub(crate) fn live(&self) -> Option<Hash> {
        self.seen().live
    }

    pub(crate) fn figures(&self) -> (Figures, u64) {
        let seen = self.seen();
        (seen.figures, seen.epoch)
    }

    /// How versions are loaded: a pusher's probes are computed likewise.
    fn loading(&self) -> serde_json::Value {
        let load = &self.config.load;
        let quantize = load.quantize.map(|rounding| format!("{rounding:?}").to_lowercase());
        let cache = format!("{:?}", load.cache_format).to_lowercase();
        serde_json::json!({"quantize": quantize, "cache_format": cache, "context_length": load.context_length})
    }

    /// Everything for people and pushers.
    pub(super) fn status(&self) -> serde_json::Value {
        let inner = self.lock();
        let not_ready = inner.not_ready();
        let version = |found: &Option<Arc<Version>>| found.as_ref().map(|found| found.json());
        let push = inner.push.as_ref().filter(|push| !push.is_over).map(|push| {
            serde_json::json!({
                "push": push.name, "version": push.target.to_string(), "epoch": push.epoch,
                "rollback": push.is_rollback, "promised": push.has_promised, "in_doubt": push.in_doubt,
                "silent_ms": push.heard.elapsed().as_millis() as u64,
            })
        });
        let retired: Vec<_> = inner.retired.iter().map(|found| found.json()).collect();
        serde_json::json!({
            "model": inner.guard.as_ref().map_or(&self.model, |guard| &guard.model),
            "live": version(&inner.live), "previous": version(&inner.previous), "staged": version(&inner.staged),
            "retired": retired, "push": push, "ready": not_ready.is_none(), "reason": not_ready,
            "epoch_highest": inner.guard.as_ref().map_or(0, |guard| guard.highest), "term": inner.term,
            "signature": inner.live.as_ref().and_then(|live| live.signature.as_ref()), "keeps": self.config.keeps, "load": self.loading(),
            "canary": inner.trial.as_ref().map(Trial::json), "signed_only": self.is_signed_only(), "requests": self.engine.requests(), "figures": inner.figures.json(),
        })
    }
}

/// The log, and what an earlier server left. Where nothing is kept, what it left goes.
fn open_state(config: &WeightsConfig) -> Result<(Box<dyn Log + Send>, Found)> {
    if config.keeps {
        let mut log = durable::open_log(&config.state)?;
        Receiver::compact(&mut log, LOG_RECORDS_MAX)?;
        let found = durable::find(config, &mut log)?;
        durable::clean(config, &found)?;
        return Ok((Box::new(log), found));
    }
    let staging = config.state.join("versions");
    let io = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("{}: cannot be used for weights: {error}", config.state.display()))
    };
    if staging.exists() {
        std::fs::remove_dir_all(&staging).map_err(io)?;
    }
    std::fs::create_dir_all(&staging).map_err(io)?;
    Ok((Box::new(MemoryLog::new()), Found::default()))
}

/// The push of this name, which is under way; its pusher has just been heard.
pub(super) fn named<'a>(inner: &'a mut Inner, name: &str) -> Result<&'a mut Push> {
    let found = inner.push.as_mut().filter(|push| push.name == name);
    let found = found.ok_or_else(|| state_error(format!("{UNKNOWN_PUSH}; it may have been given up")))?;
    found.heard = Instant::now();
    Ok(found)
}
