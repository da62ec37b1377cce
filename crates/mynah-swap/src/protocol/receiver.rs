//! Who follows: the part of the protocol beside each server.

use super::canary::CanaryStats;
use super::config::{CommitMode, Config, Mutation};
use super::log::{FileLog, Log};
use super::message::{ReplicaId, ToCoordinator, ToReplica};
use super::records::ReceiverRecord;
use crate::{Error, Hash, Result};

/// What to do, in order: a message is sent only after what stands before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverAction {
    /// Send a message to the coordinator (to all who may be it; who does not lead ignores it).
    Send(ToCoordinator),
    /// Fetch the version into a shadow and check every chunk, then call [`Receiver::staged`].
    Stage {
        /// The update.
        epoch: u64,
        /// The version.
        target: Hash,
        /// The version before the one that is live: it was kept, and no byte moves.
        is_retained: bool,
        /// Where the bytes are.
        source: String,
    },
    /// Fetch the version from these peers, check every chunk, then call [`Receiver::caught_up`].
    CatchUp {
        /// The version.
        version: Hash,
        /// Who has it.
        peers: Vec<ReplicaId>,
    },
    /// Drop the shadow of this version, and what is being fetched for it.
    Discard {
        /// The version.
        target: Hash,
    },
    /// The shadow becomes the version, between two decode steps; the old one is kept.
    Flip {
        /// The version.
        version: Hash,
    },
    /// What [`Receiver::serving`], [`Receiver::canary`] or [`Receiver::readiness`] answer has changed.
    ServingChanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fetching,
    Verified,
    Promised,
    /// Carried out, and not yet settled.
    Decided {
        is_commit: bool,
    },
}

#[derive(Clone, Debug)]
struct Update {
    epoch: u64,
    target: Hash,
    mode: CommitMode,
    stage: Stage,
    /// Requests in a million on the shadow.
    share_ppm: u32,
    /// Counted time when the promise was made.
    promised_ms: u64,
    /// Why it could not be staged.
    veto: Option<String>,
}

/// The receiver of one replica.
#[derive(Debug)]
pub struct Receiver {
    id: ReplicaId,
    config: Config,
    incarnation: u64,
    term: u64,
    count: u64,
    live: Option<Hash>,
    previous: Option<Hash>,
    /// The highest update it has known of.
    epoch: u64,
    is_welcome: bool,
    catching_up: Option<Hash>,
    update: Option<Update>,
    /// Counted time; see the module's remarks on clocks.
    steady_ms: u64,
    last_tick_ms: u64,
    /// Counted time when the request was sent that the current lease answers.
    lease_from_ms: u64,
    sequence: u64,
    /// Sequence and counted time of heartbeats that were not answered, newest last.
    asked: Vec<(u64, u64)>,
    sent_ms: u64,
    reason: String,
    has_failed: bool,
    /// The host changes over: what was decided is not written down for good yet, and not told.
    is_flipping: bool,
    was_serving: (Option<Hash>, Option<(Hash, u32)>),
}

/// Heartbeats whose answers still count.
const ASKED_KEPT: usize = 8;

impl Receiver {
    /// The version that was live when the process stopped: what a host loads before it opens the receiver.
    ///
    /// # Errors
    /// Whatever the log answers.
    pub fn last_live(log: &mut dyn Log) -> Result<Option<Hash>> {
        let mut live = None;
        for record in log.read()? {
            if let ReceiverRecord::Live { version, .. } = ReceiverRecord::parse(&record)? {
                live = Some(version);
            }
        }
        Ok(live)
    }

    /// Makes a log shorter that has more than so many records: what is live and was before, what was promised, and how
    /// often it has started are kept. Returns whether it did.
    ///
    /// # Errors
    /// Whatever the log answers.
    pub fn compact(log: &mut FileLog, records_max: usize) -> Result<bool> {
        let records = log.read()?;
        if records.len() <= records_max.max(5) {
            return Ok(false);
        }
        let (mut incarnation, mut term, mut promise) = (None, None, None);
        // What was live before, and what is.
        let mut lives: Vec<(Hash, ReceiverRecord)> = Vec::new();
        for record in &records {
            let parsed = ReceiverRecord::parse(record)?;
            match parsed {
                ReceiverRecord::Incarnation { .. } => incarnation = Some(parsed),
                ReceiverRecord::Term { .. } => term = Some(parsed),
                ReceiverRecord::Live { version, .. } => {
                    lives.pop_if(|(last, _)| *last == version);
                    lives.push((version, parsed));
                    lives.drain(..lives.len().saturating_sub(2));
                    promise = None;
                }
                ReceiverRecord::Promise { .. } => promise = Some(parsed),
                ReceiverRecord::Release { .. } => promise = None,
            }
        }
        let lives = lives.into_iter().map(|(_, record)| record);
        let kept = incarnation.into_iter().chain(term).chain(lives).chain(promise);
        log.compact(&kept.map(|record| record.to_bytes()).collect::<Vec<_>>()).map(|()| true)
    }

    /// Starts, as a new incarnation that serves nothing until a coordinator has welcomed it. `live` are the weights
    /// that are loaded and verified.
    ///
    /// # Errors
    /// Whatever the log answers.
    pub fn open(
        id: ReplicaId,
        config: &Config,
        live: Option<Hash>,
        now_ms: u64,
        log: &mut dyn Log,
    ) -> Result<(Self, Vec<ReceiverAction>)> {
        let mut receiver = Self {
            id,
            config: config.clone(),
            incarnation: 0,
            term: 0,
            count: 0,
            live,
            previous: None,
            epoch: 0,
            is_welcome: false,
            catching_up: None,
            update: None,
            steady_ms: 0,
            last_tick_ms: now_ms,
            lease_from_ms: 0,
            sequence: 0,
            asked: Vec::new(),
            sent_ms: 0,
            reason: "waits for the coordinator's welcome".to_string(),
            has_failed: false,
            is_flipping: false,
            was_serving: (None, None),
        };
        let mut promised = None;
        receiver.count = log.count()?;
        for record in log.read()? {
            match ReceiverRecord::parse(&record)? {
                ReceiverRecord::Incarnation { incarnation } => receiver.incarnation = incarnation,
                ReceiverRecord::Term { term } => receiver.term = term,
                ReceiverRecord::Live { epoch, .. } => (receiver.epoch, promised) = (epoch, None),
                ReceiverRecord::Promise { epoch, .. } => promised = Some(epoch),
                ReceiverRecord::Release { .. } => promised = None,
            }
        }
        if let Some(epoch) = promised {
            receiver.reason =
                format!("had promised update {epoch} when it stopped; waits for what was decided");
        }
        receiver.is_welcome = config.mutation == Mutation::ServeAfterRestart && receiver.live.is_some();
        let mut actions = Vec::new();
        receiver.start_anew(log, &mut actions)?;
        Ok((receiver, actions))
    }

    /// Which replica it is.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// The version that requests may be answered with at this instant; nothing while holding, catching up, or
    /// without a lease that is needed.
    pub fn serving(&self) -> Option<Hash> {
        if self.has_failed || !self.is_welcome || self.is_lease_over() || self.holds() {
            return None;
        }
        self.live
    }

    /// The staged version and the share of requests, in a million, that may be answered with it.
    pub fn canary(&self) -> Option<(Hash, u32)> {
        self.serving()?;
        let update = self.update.as_ref()?;
        (update.stage == Stage::Verified && update.share_ppm > 0).then_some((update.target, update.share_ppm))
    }

    /// Whether requests may be routed here.
    ///
    /// # Errors
    /// Why not, for `/health` and people.
    pub fn readiness(&self) -> std::result::Result<(), String> {
        if self.serving().is_some() {
            return Ok(());
        }
        if self.has_failed {
            return Err(format!("its log cannot be written: {}", self.reason));
        }
        if let Some(update) = self.update.as_ref().filter(|_| self.is_welcome) {
            if self.is_lease_over() {
                return Err(format!("lost the coordinator during update {}", update.epoch));
            }
            if self.holds() {
                return Err(format!("has promised update {} and waits for the decision", update.epoch));
            }
        }
        Err(self.reason.clone())
    }

    /// The weights that are loaded and verified, whether or not they are served.
    pub fn live(&self) -> Option<Hash> {
        self.live
    }

    /// The version before, kept for a rollback.
    pub fn previous(&self) -> Option<Hash> {
        self.previous
    }

    /// The update it takes part in.
    pub fn update_epoch(&self) -> Option<u64> {
        self.update.as_ref().map(|update| update.epoch)
    }

    /// Whether nothing may be answered until it is told what was decided.
    pub fn holds(&self) -> bool {
        self.update.as_ref().is_some_and(|u| u.stage == Stage::Promised && u.mode == CommitMode::Barrier)
    }

    /// A lease is needed from the first knowledge of an update until it is settled.
    fn is_lease_over(&self) -> bool {
        let Some(update) = &self.update else { return false };
        if self.config.mutation == Mutation::LeaseEndsAtFlip && matches!(update.stage, Stage::Decided { .. })
        {
            return false;
        }
        // Up to a tick may have passed that is not counted yet.
        self.steady_ms + self.config.tick_ms >= self.lease_from_ms + self.config.lease_ms
    }

    /// Time passes.
    pub fn tick(&mut self, now_ms: u64) -> Vec<ReceiverAction> {
        // Never less than the tick that it is: a clock that jumps back must not make a lease longer.
        self.steady_ms += now_ms.saturating_sub(self.last_tick_ms).max(self.config.tick_ms);
        self.last_tick_ms = now_ms;
        let mut actions = Vec::new();
        if self.config.mutation == Mutation::GuessWhenBlocked
            && let Some(update) = &mut self.update
            && update.stage == Stage::Promised
            && self.steady_ms > update.promised_ms + self.config.lease_ms
        {
            self.update = None;
        }
        if self.has_failed {
            return self.finish(actions);
        }
        let incarnation = self.incarnation;
        if self.steady_ms >= self.sent_ms + self.config.heartbeat_ms {
            self.sent_ms = self.steady_ms;
            if self.is_welcome {
                self.sequence += 1;
                self.asked.push((self.sequence, self.steady_ms));
                if self.asked.len() > ASKED_KEPT {
                    self.asked.remove(0);
                }
                let epoch = self.update_epoch();
                let sequence = self.sequence;
                actions.push(ReceiverAction::Send(ToCoordinator::Heartbeat { incarnation, sequence, epoch }));
                actions.extend(self.repeat());
            } else if self.catching_up.is_none() {
                actions.push(ReceiverAction::Send(ToCoordinator::Register { incarnation, live: self.live }));
            }
        }
        self.finish(actions)
    }

    /// What the coordinator should know by now, again: the first time may have been lost.
    fn repeat(&self) -> Option<ReceiverAction> {
        let update = self.update.as_ref().filter(|_| !self.is_flipping)?;
        let (incarnation, epoch, target) = (self.incarnation, update.epoch, update.target);
        if let Some(reason) = update.veto.clone() {
            return Some(ReceiverAction::Send(ToCoordinator::Veto { incarnation, epoch, reason }));
        }
        Some(ReceiverAction::Send(match update.stage {
            Stage::Fetching => ToCoordinator::Staging { incarnation, epoch },
            Stage::Verified => ToCoordinator::Verified { incarnation, epoch, target },
            Stage::Promised => ToCoordinator::Precommitted { incarnation, epoch },
            Stage::Decided { is_commit } => ToCoordinator::Decided { incarnation, epoch, is_commit },
        }))
    }

    /// The coordinator said something, in this term.
    ///
    /// # Errors
    /// Whatever the log answers; it then serves nothing until it is opened again.
    pub fn handle(
        &mut self,
        term: u64,
        message: ToReplica,
        log: &mut dyn Log,
    ) -> Result<Vec<ReceiverAction>> {
        let mut actions = Vec::new();
        if self.has_failed || term < self.term || message.incarnation() != self.incarnation {
            return Ok(self.finish(actions));
        }
        if term > self.term {
            self.append(log, ReceiverRecord::Term { term })?;
            self.term = term;
        }
        match message {
            ToReplica::Stage { epoch, base, target, is_rollback, mode, source, .. } => {
                self.stage(epoch, base, target, is_rollback, mode, source, &mut actions);
            }
            ToReplica::Canary { epoch, share_ppm, .. } => {
                if let Some(update) = self.update_of(epoch).filter(|update| update.stage == Stage::Verified) {
                    update.share_ppm = share_ppm;
                }
            }
            ToReplica::Precommit { epoch, .. } => self.precommit(epoch, log, &mut actions)?,
            ToReplica::Decision { epoch, is_commit, .. } => {
                self.decided(epoch, is_commit, log, &mut actions)?
            }
            ToReplica::Settled { epoch, .. } => {
                if self.update_of(epoch).is_some_and(|update| matches!(update.stage, Stage::Decided { .. })) {
                    self.update = None;
                }
            }
            ToReplica::Lease { sequence, .. } => {
                if let Some(at) = self.asked.iter().position(|(asked, _)| *asked == sequence) {
                    let asked_ms = match self.config.mutation {
                        Mutation::LeaseFromArrival => self.steady_ms,
                        _ => self.asked[at].1,
                    };
                    self.lease_from_ms = self.lease_from_ms.max(asked_ms);
                    self.asked.drain(..=at);
                }
            }
            ToReplica::Welcome { version, epoch, .. } => {
                if self.update.is_none()
                    && self.live == Some(version)
                    && epoch >= self.epoch
                    && !self.is_welcome
                {
                    self.welcome();
                    self.epoch = epoch;
                }
            }
            ToReplica::CatchUp { version, peers, .. } => {
                let is_news = self.catching_up != Some(version) && self.live != Some(version);
                if !self.is_welcome && self.update.is_none() && is_news {
                    if let Some(target) = self.catching_up.replace(version) {
                        actions.push(ReceiverAction::Discard { target });
                    }
                    self.reason = format!("catches up to version {}", version.short());
                    actions.push(ReceiverAction::CatchUp { version, peers });
                }
            }
            ToReplica::Reject { reason, .. } => {
                self.reason = reason;
                if let Some(update) =
                    self.update.take().filter(|u| u.stage != Stage::Decided { is_commit: true })
                {
                    actions.push(ReceiverAction::Discard { target: update.target });
                }
                self.is_welcome = false;
                self.start_anew(log, &mut actions)?;
            }
        }
        Ok(self.finish(actions))
    }

    fn update_of(&mut self, epoch: u64) -> Option<&mut Update> {
        self.update.as_mut().filter(|update| update.epoch == epoch)
    }

    fn welcome(&mut self) {
        self.is_welcome = true;
        self.catching_up = None;
        self.reason = String::new();
        // The first heartbeat is due at once.
        self.sent_ms = self.steady_ms.saturating_sub(self.config.heartbeat_ms);
    }

    #[allow(clippy::too_many_arguments)]
    fn stage(
        &mut self,
        epoch: u64,
        base: Hash,
        target: Hash,
        is_rollback: bool,
        mode: CommitMode,
        source: String,
        actions: &mut Vec<ReceiverAction>,
    ) {
        if let Some(update) = self.update_of(epoch) {
            // Asked again: say again where it stands.
            if !matches!(update.stage, Stage::Decided { .. }) {
                actions.extend(self.repeat());
            }
            return;
        }
        if epoch <= self.epoch {
            return;
        }
        // An update of a higher epoch begins only after the one before is over. A member that was not left out
        // and has not carried out a commit missed an abort.
        if let Some(update) = self.update.take()
            && !matches!(update.stage, Stage::Decided { .. })
        {
            actions.push(ReceiverAction::Discard { target: update.target });
        }
        let incarnation = self.incarnation;
        self.epoch = epoch;
        if self.live != Some(base) {
            let reason = format!(
                "the update starts at {}, here is {}",
                base.short(),
                self.live.map_or("nothing".to_string(), |live| live.short())
            );
            actions.push(ReceiverAction::Send(ToCoordinator::Veto { incarnation, epoch, reason }));
            return;
        }
        if !self.is_welcome {
            // Only members are asked, and a member's version does not change without it.
            self.welcome();
        }
        self.lease_from_ms = self.steady_ms;
        self.asked.clear();
        let (stage, share_ppm, promised_ms) = (Stage::Fetching, 0, 0);
        self.update = Some(Update { epoch, target, mode, stage, share_ppm, promised_ms, veto: None });
        let is_retained = is_rollback && self.previous == Some(target);
        actions.push(ReceiverAction::Send(ToCoordinator::Staging { incarnation, epoch }));
        actions.push(ReceiverAction::Stage { epoch, target, is_retained, source });
    }

    fn precommit(&mut self, epoch: u64, log: &mut dyn Log, actions: &mut Vec<ReceiverAction>) -> Result<()> {
        let (incarnation, steady_ms) = (self.incarnation, self.steady_ms);
        let flips = self.config.mutation == Mutation::FlipAtPrecommit;
        let Some(update) = self.update_of(epoch) else { return Ok(()) };
        let target = update.target;
        match update.stage {
            Stage::Verified => {
                update.share_ppm = 0;
                update.stage = Stage::Promised;
                update.promised_ms = steady_ms;
                self.append(log, ReceiverRecord::Promise { epoch, target })?;
                actions.push(ReceiverAction::Send(ToCoordinator::Precommitted { incarnation, epoch }));
                if flips {
                    return self.decided(epoch, true, log, actions);
                }
            }
            Stage::Promised => {
                actions.push(ReceiverAction::Send(ToCoordinator::Precommitted { incarnation, epoch }))
            }
            // Not asked before it was verified; a message of another update.
            Stage::Fetching | Stage::Decided { .. } => {}
        }
        Ok(())
    }

    fn decided(
        &mut self,
        epoch: u64,
        is_commit: bool,
        log: &mut dyn Log,
        actions: &mut Vec<ReceiverAction>,
    ) -> Result<()> {
        let incarnation = self.incarnation;
        let Some(update) = self.update_of(epoch) else { return Ok(()) };
        let (target, stage) = (update.target, update.stage);
        match (stage, is_commit) {
            (Stage::Decided { is_commit }, _) => {
                if self.is_flipping {
                    return Ok(());
                }
                actions.push(ReceiverAction::Send(ToCoordinator::Decided { incarnation, epoch, is_commit }));
                return Ok(());
            }
            (Stage::Promised, true) => {
                // Requests wait: a promise whose end is lost with the machine is decided once more by who decided it.
                self.append_soon(log, ReceiverRecord::Live { version: target, epoch })?;
                self.previous = self.live.replace(target);
                self.is_flipping = true;
                if let Some(update) = self.update_of(epoch) {
                    update.stage = Stage::Decided { is_commit };
                }
                actions.push(ReceiverAction::Flip { version: target });
                return Ok(());
            }
            // A commit is decided only over promises; this one is of somebody who does not follow the protocol.
            (_, true) => return Ok(()),
            (stage, false) => {
                if stage == Stage::Promised {
                    self.append(log, ReceiverRecord::Release { epoch })?;
                }
                actions.push(ReceiverAction::Discard { target });
            }
        }
        if let Some(update) = self.update_of(epoch) {
            update.stage = Stage::Decided { is_commit };
        }
        actions.push(ReceiverAction::Send(ToCoordinator::Decided { incarnation, epoch, is_commit }));
        Ok(())
    }

    /// The host has carried out a [`ReceiverAction::Flip`], and does nothing else before it says so: from here on the
    /// version stays, and the coordinator is told.
    ///
    /// # Errors
    /// Whatever the log answers; it then serves nothing until it is opened again.
    pub fn flipped(&mut self, log: &mut dyn Log) -> Result<Vec<ReceiverAction>> {
        if !std::mem::take(&mut self.is_flipping) {
            return Ok(Vec::new());
        }
        let synced = log.sync();
        self.settle(synced)?;
        let actions = self.repeat().into_iter().collect();
        Ok(self.finish(actions))
    }

    /// The host has staged the update's version and checked every chunk, or could not.
    pub fn staged(&mut self, epoch: u64, result: std::result::Result<(), String>) -> Vec<ReceiverAction> {
        let mut actions = Vec::new();
        let incarnation = self.incarnation;
        if let Some(update) = self.update_of(epoch).filter(|update| update.stage == Stage::Fetching) {
            let target = update.target;
            actions.push(ReceiverAction::Send(match result {
                Ok(()) => {
                    update.stage = Stage::Verified;
                    ToCoordinator::Verified { incarnation, epoch, target }
                }
                Err(mut reason) => {
                    reason.retain(|c| !c.is_control());
                    reason.truncate(reason.floor_char_boundary(4_000));
                    update.veto = Some(reason.clone());
                    ToCoordinator::Veto { incarnation, epoch, reason }
                }
            }));
        }
        self.finish(actions)
    }

    /// The host has fetched a version and checked every chunk, or could not.
    ///
    /// # Errors
    /// Whatever the log answers.
    pub fn caught_up(
        &mut self,
        version: Hash,
        result: std::result::Result<(), String>,
        log: &mut dyn Log,
    ) -> Result<Vec<ReceiverAction>> {
        let mut actions = Vec::new();
        if self.catching_up == Some(version) && !self.is_welcome && self.update.is_none() && !self.has_failed
        {
            self.catching_up = None;
            match result {
                Ok(()) => {
                    self.append(log, ReceiverRecord::Live { version, epoch: self.epoch })?;
                    self.previous = None;
                    self.live = Some(version);
                    self.reason = "has caught up and waits for the coordinator's welcome".to_string();
                    actions.push(ReceiverAction::Flip { version });
                    let (incarnation, live) = (self.incarnation, self.live);
                    actions.push(ReceiverAction::Send(ToCoordinator::Register { incarnation, live }));
                }
                Err(reason) => self.reason = format!("cannot catch up: {reason}"),
            }
        }
        Ok(self.finish(actions))
    }

    /// The host reports what its canary showed.
    pub fn canary_report(&self, stats: CanaryStats) -> Option<ToCoordinator> {
        self.canary()?;
        let epoch = self.update_epoch()?;
        Some(ToCoordinator::CanaryReport { incarnation: self.incarnation, epoch, stats })
    }

    /// The host stops for good: nothing is served from here on. The message tells the coordinator, so that updates
    /// need not wait.
    pub fn leave(&mut self) -> ToCoordinator {
        self.is_welcome = false;
        self.has_failed = true;
        self.reason = "is going".to_string();
        ToCoordinator::Leaving { incarnation: self.incarnation }
    }

    /// A new incarnation: whatever was sent to the old one does not count any more.
    fn start_anew(&mut self, log: &mut dyn Log, actions: &mut Vec<ReceiverAction>) -> Result<()> {
        let incarnation = self.incarnation + 1;
        self.append(log, ReceiverRecord::Incarnation { incarnation })?;
        self.incarnation = incarnation;
        if let Some(target) = self.catching_up.take() {
            actions.push(ReceiverAction::Discard { target });
        }
        actions.push(ReceiverAction::Send(ToCoordinator::Register { incarnation, live: self.live }));
        Ok(())
    }

    fn append(&mut self, log: &mut dyn Log, record: ReceiverRecord) -> Result<()> {
        let written = log.append(self.count, &record.to_bytes());
        self.settle(written)?;
        self.count += 1;
        Ok(())
    }

    fn append_soon(&mut self, log: &mut dyn Log, record: ReceiverRecord) -> Result<()> {
        let written = log.append_soon(self.count, &record.to_bytes());
        self.settle(written)?;
        self.count += 1;
        Ok(())
    }

    fn settle(&mut self, written: Result<()>) -> Result<()> {
        written.map_err(|error| {
            // What is on the disk is unknown: better silent than wrong.
            self.has_failed = true;
            self.reason = error.to_string();
            Error::new(error.kind(), format!("{}: {error}", self.id))
        })
    }

    fn finish(&mut self, mut actions: Vec<ReceiverAction>) -> Vec<ReceiverAction> {
        let serving = (self.serving(), self.canary());
        if serving != self.was_serving {
            self.was_serving = serving;
            // Before what is sent: a promise goes out only when the hold is in force.
            actions.insert(0, ReceiverAction::ServingChanged);
        }
        actions
    }
}
