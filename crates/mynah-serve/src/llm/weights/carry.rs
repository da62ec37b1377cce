//! What the protocol decides becomes changes of the engine.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mynah_base::time::now_ms;
use mynah_engine::live::{Change, InFlight, StepModel};
use mynah_models::{Decoder, Model};
use mynah_swap::manifest::Rollback;
use mynah_swap::protocol::{Receiver, ReceiverAction, ToCoordinator};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};

use super::agent::{Hot, Inner, TICK, engine_error, state_error};
use super::durable::{self, Doubt};
use super::priority;
use super::stage::{self, Staged, Times};
use super::versions::Version;

/// Messages that wait for a pusher; it asks again for what is lost.
const OUTBOX_MAX: usize = 64;
/// A push without a word from its pusher is given up after this time, unless it has been promised.
const SILENCE: Duration = Duration::from_secs(30);

impl Hot {
    pub(super) fn tell(&self, inner: &mut Inner, message: ToCoordinator) {
        if inner.outbox.len() >= OUTBOX_MAX {
            inner.outbox.pop_front();
        }
        inner.outbox.push_back(message);
        self.told.notify_all();
    }

    /// Does what the receiver says, in its order.
    pub(super) fn carry_out(&self, inner: &mut Inner, actions: Vec<ReceiverAction>) {
        for action in actions {
            match action {
                ReceiverAction::Send(message) => {
                    inner.incarnation = message.incarnation();
                    let is_promise = matches!(message, ToCoordinator::Precommitted { .. });
                    if let (Some(push), true) = (&mut inner.push, is_promise) {
                        push.has_promised = true;
                    }
                    let holds = inner.receiver.as_ref().is_some_and(Receiver::holds);
                    if is_promise && holds && inner.held_since.is_none() {
                        // In force before it is told.
                        inner.held_since = Some(Instant::now());
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
                ReceiverAction::CatchUp { version, .. } => self.begin_catching_up(inner, version),
                ReceiverAction::Discard { .. } => {
                    // What was promised stays until it is known what became of it.
                    if !inner.push.as_ref().is_some_and(|push| push.in_doubt && !push.is_over) {
                        self.discard(inner);
                    }
                }
                ReceiverAction::Flip { version } => {
                    self.flip(inner, version);
                    let Inner { receiver: Some(receiver), log, .. } = &mut *inner else { continue };
                    match receiver.flipped(log.as_mut()) {
                        Ok(actions) => {
                            durable::forget_push(&self.config.state);
                            self.carry_out(inner, actions);
                        }
                        Err(error) => eprintln!("weights: {error}"),
                    }
                }
                ReceiverAction::ServingChanged => self.serving_changed(inner),
            }
        }
        self.show(inner);
    }

    /// Who decides has welcomed this server with what it has: the promise that it was cut off with came to nothing.
    fn serving_changed(&self, inner: &mut Inner) {
        self.follow_trial(inner);
        let is_welcome = inner.receiver.as_ref().is_some_and(|receiver| receiver.serving().is_some());
        if let Some(push) = inner.push.as_mut().filter(|push| push.in_doubt && !push.is_over)
            && is_welcome
        {
            push.in_doubt = false;
            self.discard(inner);
        }
    }

    /// The decision that this server missed was to take the version: what was staged is still there.
    fn begin_catching_up(&self, inner: &mut Inner, version: Hash) {
        let is_back = inner.push.as_ref().is_some_and(|push| push.is_rollback);
        let there = if is_back { inner.previous.clone() } else { inner.staged.clone() };
        let in_doubt = inner.push.as_ref().is_some_and(|push| push.in_doubt && !push.is_over);
        let Some(there) = there.filter(|there| in_doubt && there.digest == version) else {
            let reason = "push the version to this server by itself first".to_string();
            return self.caught_up(inner, version, Err(state_error(reason)));
        };
        self.begin_loading(inner, there, move |hot, inner, loaded| hot.caught_up(inner, version, loaded));
    }

    fn caught_up(&self, inner: &mut Inner, version: Hash, result: Result<()>) {
        let Inner { receiver: Some(receiver), log, .. } = &mut *inner else { return };
        let result = result.map_err(|error| error.to_string());
        let actions = receiver.caught_up(version, result, log.as_mut()).unwrap_or_default();
        self.carry_out(inner, actions);
    }

    /// Loads a version that lies in its folder, in a thread of its own, and puts it where it is known.
    fn begin_loading(
        &self,
        inner: &mut Inner,
        version: Arc<Version>,
        then: impl FnOnce(&Hot, &mut Inner, Result<()>) + Send + 'static,
    ) {
        if version.number.is_some() {
            return then(self, inner, Ok(()));
        }
        let Some(hot) = self.me.upgrade() else { return };
        inner.numbers += 1;
        let number = inner.numbers;
        let job = move || {
            priority::give_way();
            let loaded = stage::verify(&version.folder.path, &version.manifest)
                .and_then(|()| stage::load_model(&version.folder.path, version.digest, &hot.config.load))
                .and_then(|model| hot.install(number, model));
            let mut inner = hot.lock();
            if loaded.is_ok() {
                let known = Arc::new(Version { number: Some(number), ..Version::clone(&version) });
                hot.versions.name(number, known.digest);
                let is_same = |found: &Arc<Version>| Arc::ptr_eq(found, &version);
                if inner.previous.as_ref().is_some_and(is_same) {
                    inner.previous = Some(known);
                } else if inner.staged.as_ref().is_some_and(is_same) {
                    inner.staged = Some(known);
                } else {
                    inner.retired.push(known);
                }
            }
            then(&hot, &mut inner, loaded);
        };
        if let Err(error) = std::thread::Builder::new().name("mynah-load".to_string()).spawn(job) {
            eprintln!("weights: no thread to load a version in: {error}");
        }
    }

    fn staged(&self, inner: &mut Inner, epoch: u64, result: Result<()>) {
        let result = result.and_then(|()| self.keep_push(inner));
        if let Err(error) = &result {
            inner.figures.vetoes += 1;
            inner.figures.last_veto_epoch = epoch;
            eprintln!("weights of epoch {epoch} refused: {error}");
        }
        let Some(receiver) = &mut inner.receiver else { return };
        let actions = receiver.staged(epoch, result.map_err(|error| error.to_string()));
        self.carry_out(inner, actions);
    }

    /// What is needed to keep a promise outlives the server from here on.
    fn keep_push(&self, inner: &Inner) -> Result<()> {
        let Some(push) = inner.push.as_ref().filter(|_| self.config.keeps) else { return Ok(()) };
        if let Some(version) = &inner.staged {
            version.folder.keep();
        }
        let kept = Doubt {
            push: push.name.clone(),
            target: push.target,
            epoch: push.epoch,
            policy: push.policy,
            is_rollback: push.is_rollback,
            signature: push.signature.clone(),
            kept: None,
        };
        durable::keep_push(&self.config.state, &kept)
    }

    /// Orders to go back are checked here; versions in a thread of their own.
    fn begin_staging(&self, inner: &mut Inner, epoch: u64, target: Hash, is_retained: bool) {
        // The receiver knows what it has flipped itself; the folder knows what an earlier server had.
        let is_kept = inner.previous.as_ref().is_some_and(|kept| kept.digest == target);
        let is_retained = is_retained || inner.push.as_ref().is_some_and(|push| push.is_rollback && is_kept);
        let checked = self.check_push(inner, epoch, target, is_retained);
        let (name, upload) = match checked {
            Ok(Some(found)) => found,
            Ok(None) => {
                let Some(previous) = inner.previous.clone() else { return };
                return self.begin_loading(inner, previous, move |hot, inner, loaded| {
                    hot.staged(inner, epoch, loaded);
                });
            }
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
        priority::give_way();
        let started = Instant::now();
        let number = {
            let mut inner = self.lock();
            inner.numbers += 1;
            inner.numbers
        };
        let folder = self.config.state.join("versions").join(format!("version-{epoch}-{number}"));
        let mut times = Times::default();
        let made = stage::stage(base, upload, target, &folder, &self.config.load).and_then(|found| {
            times = found.times;
            self.check_signature(&found.manifest, push)?;
            self.check_admission(&found.manifest, epoch)?;
            self.install(number, Arc::clone(&found.model))?;
            Ok(found)
        });
        let mut inner = self.lock();
        let figures = &mut inner.figures;
        figures.stage_seconds = started.elapsed().as_secs_f64();
        figures.build_seconds_total += times.build_seconds;
        figures.load_seconds_total += times.load_seconds;
        figures.install_seconds_total +=
            (figures.stage_seconds - times.build_seconds - times.load_seconds).max(0.0);
        let current = inner.push.as_ref().filter(|found| found.name == push && !found.is_over);
        let (signature, label) =
            current.map_or((None, None), |push| (push.signature.clone(), push.label.clone()));
        let is_current = current.is_some();
        let result = made.and_then(|Staged { manifest, folder, .. }| {
            if let Some(signature) = &signature {
                write_signature(&folder.path, signature)?;
            }
            let (folder, number) = (Arc::new(folder), Some(number));
            let version = Arc::new(Version { digest: target, manifest, folder, number, signature, label });
            if let Some(number) = number {
                self.versions.name(number, target);
            }
            match is_current {
                true => inner.staged = Some(version),
                false => inner.retired.push(version),
            }
            Ok(())
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
    pub(super) fn discard(&self, inner: &mut Inner) {
        // After a commit the push is over, and there is nothing staged.
        if let Some(version) = inner.staged.take() {
            version.folder.give_up();
            inner.retired.push(version);
        }
        durable::forget_push(&self.config.state);
        self.end_trial(inner);
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
        let (policy, upload) = (push.policy, push.upload.take());
        push.is_over = true;
        let is_back = push.is_rollback;
        let next = if is_back { inner.previous.take() } else { inner.staged.take() };
        let Some(next) = next.filter(|next| next.digest == version) else { return };
        let Some(weights) = next.number else { return };
        let in_flight = InFlight::from(policy);
        next.folder.keep_if(self.config.keeps);
        // An engine that has ended has no requests to get them. Requests go on at once; the rest is done beside them.
        let _ = self.engine.between_steps(move |_| (Change::WeightsChosen { weights, in_flight }, ()));
        self.end_hold(inner);
        if let Some(path) = upload {
            let _ = std::fs::remove_file(path);
        }
        let before = inner.live.replace(next);
        if let Some(before) = std::mem::replace(&mut inner.previous, before) {
            before.folder.give_up();
            inner.retired.push(before);
        }
        inner.trial = None;
        inner.figures.committed += 1;
        inner.figures.rolled_back += u64::from(is_back);
        let epoch = inner.guard.as_ref().map_or(0, |guard| guard.highest);
        eprintln!("weights: version {} from here on (epoch {epoch})", version.short());
    }

    /// What nobody computes with any more goes, off the engine's thread.
    fn clear_retired(&self, inner: &mut Inner) -> Vec<Arc<Version>> {
        if inner.retired.is_empty() {
            return Vec::new();
        }
        let used = self.engine.metrics().weights_requests;
        let is_used =
            |version: &Arc<Version>| version.number.is_some_and(|number| used.contains_key(&number));
        let (gone, kept): (Vec<_>, Vec<_>) = inner.retired.drain(..).partition(|version| !is_used(version));
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
            self.report_trial(&mut inner);
            if let Some(receiver) = &mut inner.receiver {
                let actions = receiver.tick(now_ms() as u64);
                self.carry_out(&mut inner, actions);
            }
            self.show(&inner);
            self.clear_retired(&mut inner)
        };
        for version in gone {
            let Some(number) = version.number else { continue };
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

pub(super) fn tick_while_alive(hot: &Weak<Hot>) {
    loop {
        std::thread::sleep(TICK);
        match hot.upgrade() {
            Some(hot) => hot.tick(),
            None => return,
        }
    }
}

fn write_signature(folder: &Path, signature: &str) -> Result<()> {
    let path = stage::signature_path(folder);
    mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, signature.as_bytes()))
        .map_err(|error| Error::new(ErrorKind::Io, format!("{}: cannot be written: {error}", path.display())))
}

fn decoder(model: &mut dyn StepModel) -> Option<&mut Decoder> {
    let model: &mut dyn Any = model;
    model.downcast_mut()
}
