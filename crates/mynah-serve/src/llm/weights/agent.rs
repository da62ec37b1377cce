//! The agent of one server: it keeps the versions, follows a pusher's coordinator, and turns what the protocol decides
//! into changes of the engine.

use std::any::Any;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use mynah_base::time::now_ms;
use mynah_engine::live::{Change, EngineHandle, InFlight, StepModel};
use mynah_models::{Decoder, Model};
use mynah_swap::manifest::{EpochGuard, Rollback};
use mynah_swap::protocol::{
    Config, Log, MemoryLog, Receiver, ReceiverAction, ReceiverRecord, ReplicaId, ToCoordinator, ToReplica,
};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};
use mynah_trust::keys::Ed25519VerifyingKey;

use super::stage::{self, manifest_of};
use super::status::Figures;
use super::versions::{Folder, Version, Versions};
use super::{Policy, WeightsConfig};

/// Messages that wait for a pusher; it asks again for what is lost.
const OUTBOX_MAX: usize = 64;
/// A push without a word from its pusher is given up after this time, unless it has been promised.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes beyond twice the weights that an upload may have: its manifest.
const UPLOAD_SLACK_BYTES: u64 = 64 << 20;
/// The receiver's own clock.
const TICK: Duration = Duration::from_millis(100);

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
    me: Weak<Hot>,
    pub(super) model: String,
    config: WeightsConfig,
    signer: Option<Ed25519VerifyingKey>,
    engine: EngineHandle,
    pub(crate) versions: Versions,
    /// Held while the manifest of the first version is computed.
    first: Mutex<()>,
    inner: Mutex<Inner>,
    /// For monitors, which must not wait for a step of the engine.
    seen: Mutex<Seen>,
    told: Condvar,
}

/// What changes. The lock is never held while files are read or a model is loaded.
struct Inner {
    live: Option<Arc<Version>>,
    previous: Option<Arc<Version>>,
    staged: Option<Arc<Version>>,
    /// No longer chosen; they go when the last answer with them is written.
    retired: Vec<Arc<Version>>,
    receiver: Option<Receiver>,
    /// The receiver's, from what it said last.
    incarnation: u64,
    log: MemoryLog,
    term: u64,
    guard: Option<EpochGuard>,
    outbox: VecDeque<ToCoordinator>,
    push: Option<Push>,
    numbers: u32,
    held_since: Option<Instant>,
    is_paused: bool,
    figures: Figures,
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
    fn not_ready(&self) -> Option<String> {
        if self.held_since.is_some() {
            let epoch = self.push.as_ref().map_or(0, |push| push.epoch);
            return Some(format!("has promised weights of epoch {epoch} and waits for the decision"));
        }
        self.is_paused.then(|| "paused by an admin".to_string())
    }
}

/// A push under way.
struct Push {
    name: String,
    target: Hash,
    epoch: u64,
    policy: Policy,
    is_rollback: bool,
    /// The signature of the manifest, or the signed order to go back.
    signature: Option<String>,
    upload: Option<PathBuf>,
    heard: Instant,
    has_promised: bool,
    is_over: bool,
}

/// What a pusher announces.
pub(super) struct Announcement {
    pub(super) push: String,
    pub(super) target: Hash,
    pub(super) epoch: u64,
    pub(super) policy: Policy,
    pub(super) is_rollback: bool,
    pub(super) signature: Option<String>,
}

fn state_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::State, message)
}

fn engine_error(error: &mynah_engine::Error) -> Error {
    state_error(error.to_string())
}

impl Hot {
    /// An agent for the model that an engine runs. Nothing of the weights is read yet.
    ///
    /// # Errors
    /// When the key file cannot be read, or the state's folder cannot be written.
    pub(crate) fn new(model: &str, engine: EngineHandle, config: WeightsConfig) -> Result<Arc<Hot>> {
        let signer = config.signer.as_deref().map(Ed25519VerifyingKey::load).transpose()?;
        let staging = config.state.join("versions");
        let io = |error: std::io::Error| {
            Error::new(
                ErrorKind::Io,
                format!("{}: cannot be used for weights: {error}", config.state.display()),
            )
        };
        // What a server that was killed left.
        if staging.exists() {
            std::fs::remove_dir_all(&staging).map_err(io)?;
        }
        std::fs::create_dir_all(&staging).map_err(io)?;
        let inner = Inner {
            live: None,
            previous: None,
            staged: None,
            retired: Vec::new(),
            receiver: None,
            incarnation: 0,
            log: MemoryLog::new(),
            term: 0,
            guard: None,
            outbox: VecDeque::new(),
            push: None,
            numbers: 0,
            held_since: None,
            is_paused: false,
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
        let of_thread = Arc::downgrade(&hot);
        std::thread::Builder::new()
            .name("mynah-weights".to_string())
            .spawn(move || tick_while_alive(&of_thread))
            .map_err(|error| Error::new(ErrorKind::Io, format!("no thread for the weights: {error}")))?;
        Ok(hot)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
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
        let head = manifest.head();
        let mut guard =
            EpochGuard { model: head.model.clone(), tokenizer: head.tokenizer, highest: head.epoch };
        guard.highest = guard.highest.max(self.read_epoch()?);
        let digest = manifest.digest();
        let live =
            Arc::new(Version { digest, manifest, folder: Folder::of_user(&self.config.folder), number: 0 });
        let mut inner = self.lock();
        // Incarnations grow across restarts, although the log is in memory.
        let incarnation = now_ms().max(1) as u64;
        inner.log.append(0, &ReceiverRecord::Incarnation { incarnation }.to_bytes())?;
        let (receiver, actions) =
            Receiver::open(ReplicaId(0), &config(), Some(digest), now_ms() as u64, &mut inner.log)?;
        inner.receiver = Some(receiver);
        inner.guard = Some(guard);
        inner.live = Some(live);
        self.versions.name(0, digest);
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

    fn write_epoch(&self, highest: u64) -> Result<()> {
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
        inner.push = Some(Push {
            name: announced.push,
            target: announced.target,
            epoch: announced.epoch,
            policy: announced.policy,
            is_rollback: announced.is_rollback,
            signature: announced.signature,
            upload: None,
            heard: Instant::now(),
            has_promised: false,
            is_over: false,
        });
        Ok(())
    }

    /// The receiver forgets what is not promised and registers as a new incarnation.
    fn start_anew(&self, inner: &mut Inner, reason: &str) {
        let (term, incarnation) = (inner.term, inner.incarnation);
        let Inner { receiver: Some(receiver), log, .. } = inner else { return };
        let reject = ToReplica::Reject { incarnation, reason: reason.to_string() };
        let actions = receiver.handle(term, reject, log).unwrap_or_default();
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
            let path =
                found.upload.clone().ok_or_else(|| state_error("nothing was uploaded for this push"))?;
            (path, found.target, live)
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

    fn check_signature(&self, manifest: &Manifest, push: &str) -> Result<()> {
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
            let Inner { receiver: Some(receiver), log, .. } = &mut *inner else {
                return Err(state_error("no version is known"));
            };
            let actions = receiver.handle(term, message, log)?;
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
        self.give_up(&mut inner, "aborted by an admin");
        Ok(())
    }

    fn give_up(&self, inner: &mut Inner, reason: &str) {
        let epoch = inner.push.as_ref().map_or(0, |push| push.epoch);
        let (term, incarnation) = (inner.term, inner.incarnation);
        if let Inner { receiver: Some(receiver), log, .. } = inner {
            let message = ToReplica::Decision { incarnation, epoch, is_commit: false };
            let actions = receiver.handle(term, message, log).unwrap_or_default();
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

    fn apply_hold(&self, inner: &Inner) -> Result<()> {
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
    fn show(&self, inner: &Inner) {
        *self.seen() = Seen {
            live: inner.live.as_ref().map(|live| live.digest),
            epoch: inner.live.as_ref().map_or(0, |live| live.manifest.head().epoch),
            not_ready: inner.not_ready(),
            figures: inner.figures,
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

    /// Everything for people and pushers.
    pub(super) fn status(&self) -> serde_json::Value {
        let inner = self.lock();
        let not_ready = inner.not_ready();
        let version = |found: &Option<Arc<Version>>| found.as_ref().map(|found| found.json());
        let push = inner.push.as_ref().filter(|push| !push.is_over).map(|push| {
            serde_json::json!({
                "push": push.name, "version": push.target.to_string(), "epoch": push.epoch,
                "rollback": push.is_rollback, "promised": push.has_promised,
                "silent_ms": push.heard.elapsed().as_millis() as u64,
            })
        });
        let retired: Vec<_> = inner.retired.iter().map(|found| found.json()).collect();
        serde_json::json!({
            "model": inner.guard.as_ref().map_or(&self.model, |guard| &guard.model),
            "live": version(&inner.live), "previous": version(&inner.previous), "staged": version(&inner.staged),
            "retired": retired, "push": push, "ready": not_ready.is_none(), "reason": not_ready,
            "epoch_highest": inner.guard.as_ref().map_or(0, |guard| guard.highest), "term": inner.term,
            "signed_only": self.is_signed_only(), "requests": self.engine.requests(), "figures": inner.figures.json(),
        })
    }

    fn tell(&self, inner: &mut Inner, message: ToCoordinator) {
        if inner.outbox.len() >= OUTBOX_MAX {
            inner.outbox.pop_front();
        }
        inner.outbox.push_back(message);
        self.told.notify_all();
    }

    /// Does what the receiver says, in its order.
    fn carry_out(&self, inner: &mut Inner, actions: Vec<ReceiverAction>) {
        for action in actions {
            match action {
                ReceiverAction::Send(message) => {
                    inner.incarnation = message.incarnation();
                    if matches!(message, ToCoordinator::Precommitted { .. }) && inner.held_since.is_none() {
                        // In force before it is told.
                        inner.held_since = Some(Instant::now());
                        if let Some(push) = &mut inner.push {
                            push.has_promised = true;
                        }
                        if self.apply_hold(inner).is_err() {
                            // An engine that has ended serves nothing: the promise is kept.
                            continue;
                        }
                    }
                    self.tell(inner, message);
                }
                ReceiverAction::Stage { epoch, target, is_retained, .. } => {
                    self.begin_staging(inner, epoch, target, is_retained);
                }
                ReceiverAction::CatchUp { version, .. } => {
                    let Inner { receiver: Some(receiver), log, .. } = &mut *inner else { continue };
                    let reason = "push the version to this server by itself first".to_string();
                    let next = receiver.caught_up(version, Err(reason), log).unwrap_or_default();
                    self.carry_out(inner, next);
                }
                ReceiverAction::Discard { .. } => self.discard(inner),
                ReceiverAction::Flip { version } => self.flip(inner, version),
                ReceiverAction::ServingChanged => {}
            }
        }
        self.show(inner);
    }

    fn staged(&self, inner: &mut Inner, epoch: u64, result: Result<()>) {
        if let Err(error) = &result {
            inner.figures.vetoes += 1;
            inner.figures.last_veto_epoch = epoch;
            eprintln!("weights of epoch {epoch} refused: {error}");
        }
        let Some(receiver) = &mut inner.receiver else { return };
        let actions = receiver.staged(epoch, result.map_err(|error| error.to_string()));
        self.carry_out(inner, actions);
    }

    /// Orders to go back are checked here; versions in a thread of their own.
    fn begin_staging(&self, inner: &mut Inner, epoch: u64, target: Hash, is_retained: bool) {
        let checked = self.check_push(inner, epoch, target, is_retained);
        let (name, upload) = match checked {
            Ok(Some(found)) => found,
            Ok(None) => return self.staged(inner, epoch, Ok(())),
            Err(error) => return self.staged(inner, epoch, Err(error)),
        };
        let Some(base) = inner.live.clone() else { return };
        let Some(hot) = self.me.upgrade() else { return };
        let spawned = std::thread::Builder::new()
            .name("mynah-stage".to_string())
            .spawn(move || hot.stage(&name, epoch, target, &base, &upload));
        if let Err(error) = spawned {
            let error = Error::new(ErrorKind::Io, format!("no thread to stage in: {error}"));
            self.staged(inner, epoch, Err(error));
        }
    }

    /// Admits the epoch; gives what is to be staged, or nothing for a version that is kept.
    fn check_push(
        &self,
        inner: &mut Inner,
        epoch: u64,
        target: Hash,
        is_retained: bool,
    ) -> Result<Option<(String, PathBuf)>> {
        let Inner { push: Some(push), guard: Some(guard), .. } = inner else {
            return Err(state_error("no push was started here"));
        };
        if push.epoch != epoch || push.target != target || push.is_over {
            return Err(state_error("the update is not the one that was announced"));
        }
        if push.is_rollback != is_retained {
            return Err(state_error("the version to go back to is not kept here"));
        }
        if push.is_rollback {
            let order = match (&self.signer, &push.signature) {
                (Some(key), Some(order)) => Rollback::verify(order.as_bytes(), key)?,
                (Some(_), None) => {
                    return Err(Error::new(ErrorKind::Signature, "the order to go back is not signed"));
                }
                (None, _) => Rollback { model: guard.model.clone(), epoch, target },
            };
            if order.epoch != epoch || order.target != target {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    "the signed order is for another version or epoch",
                ));
            }
            guard.admit_rollback(&order)?;
            self.write_epoch(epoch)?;
            return Ok(None);
        }
        let upload = push.upload.clone().ok_or_else(|| state_error("nothing was uploaded for this push"))?;
        let found = (push.name.clone(), upload);
        // Before its content is looked at: what was seen once does not come again.
        guard.highest = guard.highest.max(epoch);
        self.write_epoch(epoch)?;
        Ok(Some(found))
    }

    /// In a thread of its own: builds, checks and loads a version, and gives it to the engine.
    fn stage(&self, push: &str, epoch: u64, target: Hash, base: &Version, upload: &Path) {
        let started = Instant::now();
        let number = {
            let mut inner = self.lock();
            inner.numbers += 1;
            inner.numbers
        };
        let folder = self.config.state.join("versions").join(format!("version-{epoch}-{number}"));
        let made = stage::stage(base, upload, target, &folder, &self.config.load).and_then(|found| {
            self.check_signature(&found.0, push)?;
            self.check_admission(&found.0, epoch)?;
            self.install(number, Arc::clone(&found.2))?;
            Ok(found)
        });
        let mut inner = self.lock();
        inner.figures.stage_seconds = started.elapsed().as_secs_f64();
        inner.figures.stage_seconds_total += inner.figures.stage_seconds;
        let is_current = inner.push.as_ref().is_some_and(|found| found.name == push && !found.is_over);
        let result = made.map(|(manifest, folder, _)| {
            let version = Arc::new(Version { digest: target, manifest, folder, number });
            self.versions.name(number, target);
            if is_current {
                inner.staged = Some(version);
            } else {
                inner.retired.push(version);
            }
        });
        if is_current {
            self.staged(&mut inner, epoch, result);
        }
    }

    /// The epoch was admitted when it was announced; model and tokenizer are known only now.
    fn check_admission(&self, manifest: &Manifest, epoch: u64) -> Result<()> {
        if manifest.head().epoch != epoch {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("the manifest is of epoch {}, announced was {epoch}", manifest.head().epoch),
            ));
        }
        let guard = self.lock().guard.clone();
        let mut guard = guard.ok_or_else(|| state_error("no version is known"))?;
        guard.highest = epoch.saturating_sub(1);
        guard.admit(manifest)
    }

    /// Weights under a number that no request has.
    fn install(&self, number: u32, model: Arc<Model>) -> Result<()> {
        let installed = self.engine.between_steps(move |found| match decoder(found) {
            None => (Change::Nothing, Err("this model takes no other weights".to_string())),
            Some(decoder) => match decoder.install(number, model) {
                Ok(()) => (Change::WeightsInstalled(number), Ok(())),
                Err(error) => (Change::Nothing, Err(error.to_string())),
            },
        });
        installed
            .map_err(|error| engine_error(&error))?
            .map_err(|error| Error::new(ErrorKind::Mismatch, error))
    }

    /// The staged version is not wanted any more.
    fn discard(&self, inner: &mut Inner) {
        // After a commit the push is over, and there is nothing staged.
        if let Some(version) = inner.staged.take() {
            inner.retired.push(version);
        }
        if let Some(push) = &mut inner.push
            && !push.is_over
        {
            push.is_over = true;
            if let Some(path) = push.upload.take() {
                let _ = std::fs::remove_file(path);
            }
            inner.figures.aborted += 1;
        }
        self.end_hold(inner);
    }

    fn end_hold(&self, inner: &mut Inner) {
        if let Some(since) = inner.held_since.take() {
            let seconds = since.elapsed().as_secs_f64();
            inner.figures.pause_seconds = seconds;
            inner.figures.pause_seconds_total += seconds;
            // An engine that has ended needs no release.
            let _ = self.apply_hold(inner);
        }
    }

    /// The commit: requests to come get the other number.
    fn flip(&self, inner: &mut Inner, version: Hash) {
        let Some(push) = &mut inner.push else { return };
        let policy = push.policy;
        push.is_over = true;
        if let Some(path) = push.upload.take() {
            let _ = std::fs::remove_file(path);
        }
        let is_back = push.is_rollback;
        let next = if is_back { inner.previous.take() } else { inner.staged.take() };
        let Some(next) = next.filter(|next| next.digest == version) else { return };
        let (weights, in_flight) = (next.number, InFlight::from(policy));
        // An engine that has ended has no requests to get them.
        let _ = self.engine.between_steps(move |_| (Change::WeightsChosen { weights, in_flight }, ()));
        let before = inner.live.replace(next);
        if let Some(before) = std::mem::replace(&mut inner.previous, before) {
            inner.retired.push(before);
        }
        inner.figures.committed += 1;
        inner.figures.rolled_back += u64::from(is_back);
        self.end_hold(inner);
        let epoch = inner.guard.as_ref().map_or(0, |guard| guard.highest);
        eprintln!("weights: version {} from here on (epoch {epoch})", version.short());
    }

    /// What nobody computes with any more goes, off the engine's thread.
    fn clear_retired(&self, inner: &mut Inner) -> Vec<Arc<Version>> {
        if inner.retired.is_empty() {
            return Vec::new();
        }
        let used = self.engine.metrics().weights_requests;
        let (gone, kept): (Vec<_>, Vec<_>) =
            inner.retired.drain(..).partition(|version| !used.contains_key(&version.number));
        inner.retired = kept;
        gone
    }

    fn tick(&self) {
        let gone = {
            let mut inner = self.lock();
            let is_silent = inner
                .push
                .as_ref()
                .is_some_and(|push| !push.is_over && !push.has_promised && push.heard.elapsed() > SILENCE);
            if is_silent {
                self.give_up(&mut inner, "the pusher fell silent");
            }
            if let Some(receiver) = &mut inner.receiver {
                let actions = receiver.tick(now_ms() as u64);
                self.carry_out(&mut inner, actions);
            }
            self.show(&inner);
            self.clear_retired(&mut inner)
        };
        for version in gone {
            let number = version.number;
            let removed = self.engine.between_steps(move |found| {
                match decoder(found).and_then(|decoder| decoder.remove(number).ok()) {
                    Some(model) => (Change::WeightsRemoved(number), Some(model)),
                    None => (Change::Nothing, None),
                }
            });
            // The memory is given back here, not on the engine's thread.
            drop(removed);
        }
    }
}

fn tick_while_alive(hot: &Weak<Hot>) {
    loop {
        std::thread::sleep(TICK);
        match hot.upgrade() {
            Some(hot) => hot.tick(),
            None => return,
        }
    }
}

/// The push of this name, which is under way; its pusher has just been heard.
fn named<'a>(inner: &'a mut Inner, name: &str) -> Result<&'a mut Push> {
    let found = inner.push.as_mut().filter(|push| push.name == name);
    let found =
        found.ok_or_else(|| state_error("no push of this name is under way; it may have been given up"))?;
    found.heard = Instant::now();
    Ok(found)
}

fn decoder(model: &mut dyn StepModel) -> Option<&mut Decoder> {
    let model: &mut dyn Any = model;
    model.downcast_mut()
}
