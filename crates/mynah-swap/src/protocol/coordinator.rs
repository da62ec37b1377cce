//! Who leads an update.

use std::collections::BTreeMap;

use super::canary::{CanarySpec, CanaryStats, CanaryVerdict, judge};
use super::config::{CommitMode, Config, Mutation};
use super::log::{FileLog, Log};
use super::message::{ReplicaId, ToCoordinator, ToReplica};
use super::records::CoordinatorRecord;
use super::state::State;
use crate::{Error, Hash, Result};

/// What to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message with the coordinator's term.
    Send(ReplicaId, ToReplica),
    /// Tell people, metrics and the ledger.
    Report(Event),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An update began.
    Began {
        /// Its epoch.
        epoch: u64,
        /// The version.
        target: Hash,
        /// Who takes part.
        participants: usize,
    },
    /// All participants have verified it.
    Verified {
        /// Its epoch.
        epoch: u64,
    },
    /// It is decided.
    Decided {
        /// Its epoch.
        epoch: u64,
        /// Everywhere, or nowhere.
        is_commit: bool,
        /// Why it was aborted.
        reason: String,
    },
    /// All participants have carried it out.
    Closed {
        /// Its epoch.
        epoch: u64,
    },
    /// A replica serves the version.
    Joined(ReplicaId),
    /// A replica does not count any more.
    Left(ReplicaId, String),
}

/// An update to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSpec {
    /// The version.
    pub target: Hash,
    /// Its epoch, greater than any before; a signed manifest's or rollback's.
    pub epoch: u64,
    /// Whether it goes back to a version that replicas may have kept.
    pub is_rollback: bool,
    /// See there.
    pub mode: CommitMode,
    /// A trial on a share of requests before the commit.
    pub canary: Option<CanarySpec>,
    /// Where the bytes are; passed on to the replicas.
    pub source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Staging,
    Canary,
    Holding,
    Committing,
}

/// The part of an update that is not in the log.
#[derive(Debug)]
struct Round {
    spec: UpdateSpec,
    phase: Phase,
    /// When the phase began.
    since_ms: u64,
    progress: BTreeMap<ReplicaId, Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// When a lease was last granted to a participant that knows of the update.
    enrolled_ms: Option<u64>,
    is_verified: bool,
    has_precommitted: bool,
    canary: CanaryStats,
    sent_ms: u64,
}

/// What is known of a replica, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Which one.
    pub replica: ReplicaId,
    /// Whether it counts.
    pub is_member: bool,
    /// Milliseconds since it was last heard.
    pub silent_ms: u64,
    /// Why it does not serve, or where it is in an update.
    pub note: String,
}

/// The coordinator's view, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorStatus {
    /// Its term.
    pub term: u64,
    /// The version that is served.
    pub version: Option<Hash>,
    /// The one before.
    pub previous: Option<Hash>,
    /// The highest epoch seen.
    pub epoch: u64,
    /// The update under way, with the name of its phase.
    pub update: Option<(u64, Hash, &'static str)>,
    /// All replicas that were heard.
    pub members: Vec<MemberStatus>,
}

#[derive(Clone, Debug)]
struct Seen {
    heard_ms: u64,
    note: String,
    /// The incarnation that is known to have heard its welcome.
    welcomed: u64,
}

/// The coordinator of one model's replicas.
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    state: State,
    /// Records of the log that were seen.
    count: u64,
    is_leading: bool,
    /// Counted time; see the module's remarks on clocks.
    steady_ms: u64,
    last_tick_ms: u64,
    round: Option<Round>,
    seen: BTreeMap<ReplicaId, Seen>,
}

impl Coordinator {
    /// Takes the lead: reads the log, takes the next term, aborts what was undecided and goes on with what was
    /// decided.
    ///
    /// # Errors
    /// `Stale` when another coordinator took the term at the same time; whatever the log answers.
    pub fn lead(id: u32, config: &Config, now_ms: u64, log: &mut dyn Log) -> Result<(Self, Vec<Action>)> {
        let mut state = State::default();
        let records = log.read()?;
        for record in &records {
            state.replay(CoordinatorRecord::parse(record)?)?;
        }
        let mut coordinator = Self {
            config: config.clone(),
            state,
            count: log.count()?,
            is_leading: true,
            steady_ms: 0,
            last_tick_ms: now_ms,
            round: None,
            seen: BTreeMap::new(),
        };
        let term = coordinator.state.term + 1;
        coordinator.append(log, CoordinatorRecord::Term { term, coordinator: id })?;
        let mut actions = Vec::new();
        if let Some(open) = coordinator.state.open.clone() {
            let forgets = config.mutation == Mutation::ForgetDecision;
            if open.is_committed && !forgets {
                // All of them had promised, so all of them are under a lease, granted before this term at the latest.
                let enrolled = Progress { enrolled_ms: Some(0), ..Progress::default() };
                coordinator.round = Some(Round {
                    spec: UpdateSpec {
                        target: open.target,
                        epoch: open.epoch,
                        is_rollback: open.is_rollback,
                        mode: CommitMode::Barrier,
                        canary: None,
                        source: String::new(),
                    },
                    phase: Phase::Committing,
                    since_ms: 0,
                    progress: open.waiting.iter().map(|&replica| (replica, enrolled)).collect(),
                });
                coordinator.resend(&mut actions, true);
                coordinator.close_if_done(log, &mut actions)?;
            } else {
                coordinator.decide(
                    log,
                    false,
                    "the coordinator was replaced before a decision",
                    &mut actions,
                )?;
            }
        }
        Ok((coordinator, actions))
    }

    /// Makes a log shorter that has more than so many records: one then says what all of them add up to. Not while an
    /// update is open. Returns whether it did.
    ///
    /// # Errors
    /// Whatever the log answers.
    pub fn compact(log: &mut FileLog, records_max: usize) -> Result<bool> {
        let records = log.read()?;
        let mut state = State::default();
        for record in &records {
            state.replay(CoordinatorRecord::parse(record)?)?;
        }
        let Some(snapshot) = state.snapshot().filter(|_| records.len() > records_max.max(1)) else {
            return Ok(false);
        };
        log.compact(&[snapshot.to_bytes()]).map(|()| true)
    }

    /// Its term.
    pub fn term(&self) -> u64 {
        self.state.term
    }

    /// Whether it still leads, as far as it knows.
    pub fn is_leading(&self) -> bool {
        self.is_leading
    }

    /// The version that is served; the new one from the decision on.
    pub fn version(&self) -> Option<Hash> {
        self.state.version
    }

    /// The version before, which replicas keep.
    pub fn previous(&self) -> Option<Hash> {
        self.state.previous
    }

    /// Whether an update is under way.
    pub fn is_updating(&self) -> bool {
        self.state.open.is_some()
    }

    /// The highest epoch that was used.
    pub fn epoch_highest(&self) -> u64 {
        self.state.epoch_highest
    }

    /// How an update ended; nothing when it is open, unknown, or long ago.
    pub fn outcome(&self, epoch: u64) -> Option<bool> {
        self.state.outcomes.get(&epoch).copied()
    }

    /// Everything worth showing.
    pub fn status(&self) -> CoordinatorStatus {
        let member = |(&replica, seen): (&ReplicaId, &Seen)| MemberStatus {
            replica,
            is_member: self.state.members.contains_key(&replica),
            silent_ms: self.steady_ms - seen.heard_ms,
            note: seen.note.clone(),
        };
        CoordinatorStatus {
            term: self.state.term,
            version: self.state.version,
            previous: self.state.previous,
            epoch: self.state.epoch_highest,
            update: self.round.as_ref().map(|round| {
                let phase = match round.phase {
                    Phase::Staging => "staging",
                    Phase::Canary => "canary",
                    Phase::Holding => "precommit",
                    Phase::Committing => "committing",
                };
                (round.spec.epoch, round.spec.target, phase)
            }),
            members: self.seen.iter().map(member).collect(),
        }
    }

    /// Begins an update. Its epoch is fenced: greater than any before.
    ///
    /// # Errors
    /// `State` when one is under way or there is no version yet, `Stale` when the epoch was passed, `Argument` when
    /// the target is what is served already; whatever the log answers.
    pub fn start(&mut self, spec: UpdateSpec, log: &mut dyn Log) -> Result<Vec<Action>> {
        self.check_leading()?;
        if let Some(open) = &self.state.open {
            return Err(Error::state(format!("update {} is under way; wait for it or abort it", open.epoch)));
        }
        if spec.epoch <= self.state.epoch_highest {
            return Err(Error::stale(format!(
                "epoch {} was passed: the highest is {}",
                spec.epoch, self.state.epoch_highest
            )));
        }
        if self.state.version.is_none() || self.state.members.len() < self.config.replicas_min.max(1) {
            return Err(Error::state(format!(
                "{} replicas serve, {} are needed",
                self.state.members.len(),
                self.config.replicas_min.max(1)
            )));
        }
        if self.state.version == Some(spec.target) {
            return Err(Error::argument(format!("version {} is served already", spec.target.short())));
        }
        if spec.source.len() > 4_096 || crate::wire::check_text(&spec.source).is_err() {
            return Err(Error::argument("the source is longer than 4096 bytes or has control characters"));
        }
        let (epoch, target, is_rollback) = (spec.epoch, spec.target, spec.is_rollback);
        self.append(log, CoordinatorRecord::Begin { epoch, target, is_rollback })?;
        let participants: Vec<ReplicaId> = self.state.members.keys().copied().collect();
        let mut actions =
            vec![Action::Report(Event::Began { epoch, target, participants: participants.len() })];
        let progress = participants.into_iter().map(|replica| (replica, Progress::default())).collect();
        self.round = Some(Round { spec, phase: Phase::Staging, since_ms: self.steady_ms, progress });
        self.resend(&mut actions, true);
        Ok(actions)
    }

    /// Aborts the update under way, unless it is decided.
    ///
    /// # Errors
    /// `State` when there is none or it is decided; whatever the log answers.
    pub fn abort(&mut self, reason: &str, log: &mut dyn Log) -> Result<Vec<Action>> {
        self.check_leading()?;
        match &self.state.open {
            None => Err(Error::state("no update is under way")),
            Some(open) if open.is_committed => {
                Err(Error::state(format!("update {} is decided; roll back to undo it", open.epoch)))
            }
            Some(_) => {
                let mut actions = Vec::new();
                self.decide(log, false, reason, &mut actions)?;
                Ok(actions)
            }
        }
    }

    /// Leaves a replica out because an operator vouches that it serves nothing.
    ///
    /// # Errors
    /// `Argument` when it is no member; whatever the log answers.
    pub fn evict(&mut self, replica: ReplicaId, reason: &str, log: &mut dyn Log) -> Result<Vec<Action>> {
        self.check_leading()?;
        if !self.state.members.contains_key(&replica) {
            return Err(Error::argument(format!("{replica} is no member")));
        }
        let mut actions = Vec::new();
        self.leave_out(log, replica, reason, &mut actions)?;
        self.advance(log, &mut actions)?;
        Ok(actions)
    }

    /// Time passes.
    ///
    /// # Errors
    /// Whatever the log answers; the coordinator then leads no more.
    pub fn tick(&mut self, now_ms: u64, log: &mut dyn Log) -> Result<Vec<Action>> {
        self.check_leading()?;
        // Never more than the tick that it is: a clock that jumps ahead must not end anybody's lease.
        self.steady_ms += now_ms.saturating_sub(self.last_tick_ms).min(self.config.tick_ms);
        self.last_tick_ms = now_ms;
        let mut actions = Vec::new();
        self.leave_out_silent(log, &mut actions)?;
        self.check_timeouts(log, &mut actions)?;
        self.advance(log, &mut actions)?;
        self.resend(&mut actions, false);
        Ok(actions)
    }

    /// A replica said something.
    ///
    /// # Errors
    /// Whatever the log answers; the coordinator then leads no more.
    pub fn handle(
        &mut self,
        from: ReplicaId,
        message: ToCoordinator,
        log: &mut dyn Log,
    ) -> Result<Vec<Action>> {
        self.check_leading()?;
        let mut actions = Vec::new();
        let incarnation = message.incarnation();
        let heard_ms = self.steady_ms;
        let seen = self.seen.entry(from).or_insert(Seen { heard_ms, note: String::new(), welcomed: 0 });
        seen.heard_ms = heard_ms;
        if let ToCoordinator::Register { live, .. } = message {
            self.register(from, incarnation, live, log, &mut actions)?;
            return Ok(actions);
        }
        if self.state.members.get(&from) != Some(&incarnation) {
            // An older incarnation than the member's is a message that took long.
            if self.state.members.get(&from).is_none_or(|member| *member < incarnation) {
                let reason = "not a member in this incarnation".to_string();
                actions.push(Action::Send(from, ToReplica::Reject { incarnation, reason }));
            }
            return Ok(actions);
        }
        let current = self.round.as_ref().map(|round| round.spec.epoch);
        let of_epoch = match &message {
            ToCoordinator::Staging { epoch, .. }
            | ToCoordinator::Verified { epoch, .. }
            | ToCoordinator::Veto { epoch, .. }
            | ToCoordinator::Precommitted { epoch, .. }
            | ToCoordinator::Decided { epoch, .. }
            | ToCoordinator::CanaryReport { epoch, .. } => Some(*epoch),
            ToCoordinator::Heartbeat { epoch, .. } => *epoch,
            _ => None,
        };
        if let Some(epoch) = of_epoch.filter(|epoch| Some(*epoch) != current) {
            self.tell_outcome(from, incarnation, epoch, &message, &mut actions);
        }
        let is_current = of_epoch.is_some() && of_epoch == current;
        let settles_early = self.config.mutation == Mutation::SettleEarly;
        match message {
            ToCoordinator::Heartbeat { sequence, .. } => {
                if let Some(seen) = self.seen.get_mut(&from) {
                    seen.welcomed = incarnation;
                }
                // No lease from somebody who was passed: the next coordinator counts from its first moment on.
                if self.config.mutation != Mutation::UnfencedLog && log.count()? != self.count {
                    return Err(self.step_down(super::log::passed(self.count, log.count()?)));
                }
                if is_current
                    && let Some(progress) = self.progress(from)
                    && progress.enrolled_ms.is_some()
                {
                    progress.enrolled_ms = Some(heard_ms);
                }
                actions.push(Action::Send(from, ToReplica::Lease { incarnation, sequence }));
            }
            ToCoordinator::Leaving { .. } => {
                self.leave_out(log, from, "left by itself", &mut actions)?;
            }
            _ if !is_current => {}
            ToCoordinator::Staging { .. } => {
                if let Some(progress) = self.progress(from) {
                    progress.enrolled_ms = Some(heard_ms);
                }
                self.note(from, "staging");
            }
            ToCoordinator::Verified { target, .. } => {
                if self.state.open.as_ref().is_some_and(|open| open.target == target)
                    && let Some(progress) = self.progress(from)
                {
                    progress.is_verified = true;
                    progress.enrolled_ms = Some(heard_ms);
                }
                self.note(from, "verified");
            }
            ToCoordinator::Veto { reason, .. } => {
                let is_open = self.state.open.as_ref().is_some_and(|open| !open.is_committed);
                self.note(from, &format!("vetoed: {reason}"));
                if is_open {
                    self.decide(log, false, &format!("{from} vetoed: {reason}"), &mut actions)?;
                }
            }
            ToCoordinator::Precommitted { .. } => {
                if let Some(progress) = self.progress(from) {
                    progress.has_precommitted = true;
                    progress.enrolled_ms = Some(heard_ms);
                }
                self.note(from, "holds");
            }
            ToCoordinator::Decided { epoch, is_commit, .. } => {
                if let Some(open) = &mut self.state.open
                    && open.is_committed
                    && is_commit
                {
                    open.waiting.remove(&from);
                    // Free of its lease only once nobody can forget that it has answered: after the close. The
                    // next coordinator takes everybody for silent whose answer is not in the log.
                    if settles_early {
                        actions.push(Action::Send(from, ToReplica::Settled { incarnation, epoch }));
                    }
                    self.note(from, "serves");
                }
            }
            ToCoordinator::CanaryReport { stats, .. } => {
                if let Some(progress) = self.progress(from) {
                    progress.canary = stats;
                }
            }
            ToCoordinator::Register { .. } => {}
        }
        self.advance(log, &mut actions)?;
        Ok(actions)
    }

    fn note(&mut self, replica: ReplicaId, note: &str) {
        if let Some(seen) = self.seen.get_mut(&replica)
            && seen.note != note
        {
            seen.note = note.to_string();
        }
    }

    fn progress(&mut self, replica: ReplicaId) -> Option<&mut Progress> {
        self.round.as_mut()?.progress.get_mut(&replica)
    }

    /// A replica that takes part in an update that is over learns how it ended.
    fn tell_outcome(
        &mut self,
        from: ReplicaId,
        incarnation: u64,
        epoch: u64,
        message: &ToCoordinator,
        actions: &mut Vec<Action>,
    ) {
        match (self.state.outcomes.get(&epoch), message) {
            (Some(&outcome), ToCoordinator::Decided { is_commit, .. }) if outcome == *is_commit => {
                actions.push(Action::Send(from, ToReplica::Settled { incarnation, epoch }));
            }
            (Some(&is_commit), _) => {
                actions.push(Action::Send(from, ToReplica::Decision { incarnation, epoch, is_commit }));
            }
            // From before what is remembered: it must start anew.
            (None, _) if epoch < self.state.epoch_closed => {
                let reason = format!("update {epoch} is long over");
                actions.push(Action::Send(from, ToReplica::Reject { incarnation, reason }));
            }
            (None, _) => {}
        }
    }

    fn register(
        &mut self,
        from: ReplicaId,
        incarnation: u64,
        live: Option<Hash>,
        log: &mut dyn Log,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        match self.state.members.get(&from).copied() {
            // A message from before, or a replica that lost its log and counts up again.
            Some(member) if member > incarnation => {
                let reason = "an older incarnation than the member's".to_string();
                actions.push(Action::Send(from, ToReplica::Reject { incarnation, reason }));
                return Ok(());
            }
            Some(member) if member < incarnation => {
                // It serves nothing since it started anew, so it can be left out at once.
                self.leave_out(log, from, "started anew", actions)?;
                self.advance(log, actions)?;
            }
            _ => {}
        }
        if self.state.left.get(&from).is_some_and(|left| *left >= incarnation) {
            let reason = "this incarnation was left out".to_string();
            actions.push(Action::Send(from, ToReplica::Reject { incarnation, reason }));
            return Ok(());
        }
        let Some(version) = self.state.version else {
            let Some(live) = live else {
                self.note(from, "has no weights, and no version is known");
                return Ok(());
            };
            self.append(log, CoordinatorRecord::Adopt { version: live })?;
            return self.register(from, incarnation, Some(live), log, actions);
        };
        let epoch = self.state.epoch_closed;
        let is_idle = self.state.open.is_none() || self.config.mutation == Mutation::JoinDuringUpdate;
        if self.state.members.contains_key(&from) {
            // Its welcome was lost. While an update is under way, the update's messages welcome it.
            if is_idle && live == Some(version) {
                actions.push(Action::Send(from, ToReplica::Welcome { incarnation, version, epoch }));
            } else if live != Some(version)
                && self.seen.get(&from).is_none_or(|seen| seen.welcomed != incarnation)
            {
                // It joined by a message that had taken long, and has other weights by now.
                let reason = "has not the version that it joined with".to_string();
                actions.push(Action::Send(from, ToReplica::Reject { incarnation, reason }));
            }
        } else if live != Some(version) {
            let peers = self.state.members.keys().copied().collect();
            self.note(from, "catches up");
            actions.push(Action::Send(from, ToReplica::CatchUp { incarnation, version, peers }));
        } else if is_idle {
            self.append(log, CoordinatorRecord::Join { replica: from, incarnation })?;
            self.note(from, "serves");
            actions.push(Action::Report(Event::Joined(from)));
            actions.push(Action::Send(from, ToReplica::Welcome { incarnation, version, epoch }));
        } else {
            self.note(from, "waits for the end of an update");
        }
        Ok(())
    }

    /// Takes a member out, in the log first.
    fn leave_out(
        &mut self,
        log: &mut dyn Log,
        replica: ReplicaId,
        reason: &str,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        let Some(&incarnation) = self.state.members.get(&replica) else { return Ok(()) };
        self.append(log, CoordinatorRecord::Leave { replica, incarnation, reason: reason.to_string() })?;
        if let Some(round) = &mut self.round {
            round.progress.remove(&replica);
        }
        self.note(replica, &format!("left out: {reason}"));
        actions.push(Action::Report(Event::Left(replica, reason.to_string())));
        actions.push(Action::Send(replica, ToReplica::Reject { incarnation, reason: reason.to_string() }));
        Ok(())
    }

    /// Leaves participants out whose lease has surely ended, or gives up because of them.
    fn leave_out_silent(&mut self, log: &mut dyn Log, actions: &mut Vec<Action>) -> Result<()> {
        let Some(round) = &self.round else { return Ok(()) };
        let after_ms = match self.config.mutation {
            Mutation::LeaveOutWithoutLease => self.config.resend_ms,
            _ => 2 * self.config.lease_ms,
        };
        let waits_for = |replica: &ReplicaId| {
            round.phase != Phase::Committing
                || self.state.open.as_ref().is_some_and(|open| open.waiting.contains(replica))
        };
        let is_over = |progress: &Progress| {
            progress.enrolled_ms.is_some_and(|granted_ms| self.steady_ms >= granted_ms + after_ms)
        };
        let silent: Vec<ReplicaId> = round
            .progress
            .iter()
            .filter(|(replica, progress)| is_over(progress) && waits_for(replica))
            .map(|(replica, _)| *replica)
            .collect();
        let is_decided = round.phase == Phase::Committing;
        for replica in silent {
            if !is_decided && !self.config.may_leave_out {
                return self.decide(log, false, &format!("{replica} is silent"), actions);
            }
            self.leave_out(log, replica, "silent until its lease had ended", actions)?;
        }
        Ok(())
    }

    fn check_timeouts(&mut self, log: &mut dyn Log, actions: &mut Vec<Action>) -> Result<()> {
        let Some(round) = &self.round else { return Ok(()) };
        let elapsed_ms = self.steady_ms - round.since_ms;
        let name = |pick: fn(&Progress) -> bool| {
            let names: Vec<String> = round
                .progress
                .iter()
                .filter(|(_, p)| pick(p))
                .take(8)
                .map(|(replica, _)| replica.to_string())
                .collect();
            names.join(", ")
        };
        let problem = match round.phase {
            Phase::Staging if elapsed_ms > self.config.stage_ms_max => {
                Some(format!("not verified in time by {}", name(|p| !p.is_verified)))
            }
            Phase::Staging
                if elapsed_ms > self.config.enroll_ms_max
                    && round.progress.values().any(|progress| progress.enrolled_ms.is_none()) =>
            {
                Some(format!("no answer from {}", name(|p| p.enrolled_ms.is_none())))
            }
            Phase::Holding if elapsed_ms > self.config.hold_ms_max => {
                Some(format!("no promise in time from {}", name(|p| !p.has_precommitted)))
            }
            _ => None,
        };
        problem.map_or(Ok(()), |problem| self.decide(log, false, &problem, actions))
    }

    /// Goes on to the next phase when this one is done.
    fn advance(&mut self, log: &mut dyn Log, actions: &mut Vec<Action>) -> Result<()> {
        let is_hasty = self.config.mutation == Mutation::DecideEarly;
        let replicas_min = self.config.replicas_min.max(1);
        let steady_ms = self.steady_ms;
        loop {
            let Some(round) = &mut self.round else { return Ok(()) };
            if round.phase != Phase::Committing && round.progress.len() < replicas_min {
                let left =
                    format!("{} participants are left, {replicas_min} are needed", round.progress.len());
                return self.decide(log, false, &left, actions);
            }
            match round.phase {
                Phase::Staging if round.progress.values().all(|progress| progress.is_verified) => {
                    actions.push(Action::Report(Event::Verified { epoch: round.spec.epoch }));
                    round.phase = if round.spec.canary.is_some() { Phase::Canary } else { Phase::Holding };
                }
                Phase::Canary => {
                    let Some(canary) = &round.spec.canary else { return Ok(()) };
                    let stats =
                        round.progress.values().fold(CanaryStats::default(), |sum, p| sum.plus(p.canary));
                    match judge(canary, &stats, steady_ms - round.since_ms) {
                        CanaryVerdict::Wait => return Ok(()),
                        CanaryVerdict::Pass => round.phase = Phase::Holding,
                        CanaryVerdict::Fail(reason) => {
                            return self.decide(log, false, &format!("the canary failed: {reason}"), actions);
                        }
                    }
                }
                Phase::Holding => {
                    let mut promised = round.progress.values().map(|progress| progress.has_precommitted);
                    let is_done = if is_hasty { promised.any(|is| is) } else { promised.all(|is| is) };
                    return if is_done { self.decide(log, true, "", actions) } else { Ok(()) };
                }
                Phase::Committing => return self.close_if_done(log, actions),
                Phase::Staging => return Ok(()),
            }
            round.since_ms = steady_ms;
            self.resend(actions, true);
        }
    }

    /// Makes the decision durable, then tells it.
    fn decide(
        &mut self,
        log: &mut dyn Log,
        is_commit: bool,
        reason: &str,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        let Some(epoch) = self.state.open.as_ref().map(|open| open.epoch) else { return Ok(()) };
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(4_000));
        self.append(log, CoordinatorRecord::Decide { epoch, is_commit, reason: reason.clone() })?;
        actions.push(Action::Report(Event::Decided { epoch, is_commit, reason }));
        if is_commit {
            if let Some(round) = &mut self.round {
                round.phase = Phase::Committing;
                round.since_ms = self.steady_ms;
            }
            self.resend(actions, true);
            return self.close_if_done(log, actions);
        }
        // Nobody has to have heard of an abort before the next update: its first message says as much.
        for (&replica, &incarnation) in &self.state.members {
            actions.push(Action::Send(replica, ToReplica::Decision { incarnation, epoch, is_commit }));
        }
        self.round = None;
        Ok(())
    }

    fn close_if_done(&mut self, log: &mut dyn Log, actions: &mut Vec<Action>) -> Result<()> {
        let is_done = |open: &&super::state::Open| open.is_committed && open.waiting.is_empty();
        let Some(epoch) = self.state.open.as_ref().filter(is_done).map(|open| open.epoch) else {
            return Ok(());
        };
        self.append(log, CoordinatorRecord::Close { epoch })?;
        self.round = None;
        for (&replica, &incarnation) in &self.state.members {
            actions.push(Action::Send(replica, ToReplica::Settled { incarnation, epoch }));
        }
        actions.push(Action::Report(Event::Closed { epoch }));
        Ok(())
    }

    /// Sends what was not answered, when it is time or at once.
    fn resend(&mut self, actions: &mut Vec<Action>, at_once: bool) {
        let Some(round) = &mut self.round else { return };
        let base = self.state.version.unwrap_or_default();
        let spec = &round.spec;
        let epoch = spec.epoch;
        for (&replica, progress) in &mut round.progress {
            let Some(&incarnation) = self.state.members.get(&replica) else { continue };
            if !at_once && self.steady_ms < progress.sent_ms + self.config.resend_ms {
                continue;
            }
            let message = match round.phase {
                Phase::Staging if !progress.is_verified => ToReplica::Stage {
                    incarnation,
                    epoch,
                    base,
                    target: spec.target,
                    is_rollback: spec.is_rollback,
                    mode: spec.mode,
                    source: spec.source.clone(),
                },
                Phase::Canary => {
                    let share_ppm = spec.canary.map_or(0, |canary| canary.share_ppm);
                    ToReplica::Canary { incarnation, epoch, share_ppm }
                }
                Phase::Holding if !progress.has_precommitted => ToReplica::Precommit { incarnation, epoch },
                Phase::Committing
                    if self.state.open.as_ref().is_some_and(|open| open.waiting.contains(&replica)) =>
                {
                    ToReplica::Decision { incarnation, epoch, is_commit: true }
                }
                _ => continue,
            };
            progress.sent_ms = self.steady_ms;
            actions.push(Action::Send(replica, message));
        }
    }

    fn check_leading(&self) -> Result<()> {
        if self.is_leading { Ok(()) } else { Err(Error::stale("this coordinator does not lead any more")) }
    }

    fn step_down(&mut self, error: Error) -> Error {
        self.is_leading = false;
        error
    }

    /// Into the log, then into the state; after a failure nothing is known, so it leads no more.
    fn append(&mut self, log: &mut dyn Log, record: CoordinatorRecord) -> Result<()> {
        let expected = match self.config.mutation {
            Mutation::UnfencedLog => log.count().unwrap_or(self.count),
            _ => self.count,
        };
        log.append(expected, &record.to_bytes()).map_err(|e| self.step_down(e))?;
        self.count = expected + 1;
        self.state.replay(record)
    }
}
