//! An update in an MPI job: rank 0 leads, the consumers follow, and the version comes as one broadcast to all of them.
//!
//! Coordinator and receivers are those of [`mynah_swap::protocol`], with their logs; their messages are MPI's. A
//! consumer joins a broadcast when rank 0 says so, whatever its receiver thinks of the update: one that has vetoed
//! takes part and throws the bytes away, because the others would wait for it.
//!
//! A rank that dies takes the job with it, in seconds. The logs say what was decided, and the next job ends it: every
//! consumer has the version on its disk before it promises.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver as Inbox, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::time::{Duration, Instant};

use mynah_swap::host::{Goal, Store, receive_stream};
use mynah_swap::protocol::{
    Action, CommitMode, Config, Coordinator, Event, Log, Receiver, ReceiverAction, ReplicaId, ToCoordinator,
    UpdateSpec,
};
use mynah_swap::transport::{Message, answer_chunks};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};

use super::stream::{Feed, broadcast_stream};
use super::{Mpi, Pending};

const TAG_PROTOCOL: u16 = 1;
const TAG_END: u16 = 2;
/// Between two looks at what has come.
const PAUSE: Duration = Duration::from_micros(200);

/// How to take part.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// See [`Config::for_lease`].
    pub lease_ms: u64,
    /// Threads that build and hash.
    pub threads: usize,
    /// The ranks that take the version; the same list on all ranks.
    pub consumers: BTreeSet<u32>,
    /// Bytes that are broadcast at once.
    pub bucket_bytes: usize,
    /// How long others may be silent.
    pub wait: Duration,
}

/// What rank 0 has besides.
pub struct Root<'a> {
    /// The log of decisions.
    pub log: &'a mut dyn Log,
    /// What to lead to.
    pub goal: Goal,
}

/// How it went, the same on all ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct JobReport {
    /// The version that all consumers have; nothing where the update was aborted.
    pub version: Option<Hash>,
    /// What rank 0 has to say.
    pub text: String,
    /// Whether the version was not taken, or not all consumers were there.
    pub has_failed: bool,
    /// Bytes that were broadcast.
    pub stream_bytes: u64,
    /// From the beginning until all had verified; rank 0 only.
    pub stage_seconds: f64,
}

/// Takes part in an update until it is over. All ranks of the job call it. `place` is a consumer's folder and log.
///
/// # Errors
/// `Argument` when the ranks do not fit the job; whatever MPI, the store or a log answers. Who fails leaves the job without
/// a word: end the process without [`Mpi::finalize`], which would wait for the others.
pub fn run_rank<'a>(
    mpi: &'a Mpi,
    place: Option<(Store, &'a mut dyn Log)>,
    root: Option<Root<'a>>,
    options: &JobOptions,
    observe: &'a dyn Fn(&str),
) -> Result<JobReport> {
    let world = mpi.world();
    let is_consumer = options.consumers.contains(&world.rank());
    if let Some(absent) = options.consumers.iter().find(|rank| **rank >= world.size()) {
        return Err(argument(format!("consumer {absent} is no rank of {}", world.size())));
    }
    if options.consumers.is_empty() || is_consumer != place.is_some() || (world.rank() == 0) != root.is_some()
    {
        return Err(argument("there are no consumers, or this rank's part does not fit them".to_string()));
    }
    // Collective: all ranks are here, consumers or not. Rank 0 is first in the group: ranks keep their order.
    let group = mpi.split(is_consumer || world.rank() == 0)?;
    let start = Instant::now();
    let config = Config::for_lease(options.lease_ms);
    let mut rank = Rank {
        mpi,
        start,
        tick: Duration::from_millis(config.tick_ms),
        next_tick: start,
        sends: Vec::new(),
        local: VecDeque::new(),
        joins: VecDeque::new(),
        ended: None,
        agent: None,
        leader: None,
        manifest: None,
        observe,
    };
    if let Some((store, log)) = place {
        rank.open_agent(store, log, &config, options.threads)?;
    }
    let (goal, mut report) = match root {
        Some(root) => (Some(rank.open_leader(root, &config)?), empty()),
        None => (None, empty()),
    };
    let rank = RefCell::new(rank);
    let outcome = match &goal {
        Some(goal) => lead(&rank, group.as_ref(), goal, options, &mut report),
        None => follow(&rank, group.as_ref(), options, &mut report),
    };
    let mut rank = rank.into_inner();
    if goal.is_some() {
        // Also when it was aborted: nobody is to wait for more.
        if let Err(error) = &outcome {
            (report.text, report.has_failed) = (error.to_string(), true);
        }
        let text = format!("{}{}", if report.has_failed { '-' } else { '+' }, report.text);
        for to in 1..world.size() {
            rank.sends.push(mpi.send(to, TAG_END, text.clone().into_bytes())?);
        }
        for pending in std::mem::take(&mut rank.sends) {
            pending.wait(options.wait, &mut || Ok(()))?;
        }
    }
    if goal.is_some() {
        return Ok(report);
    }
    outcome.map(|()| report)
}

fn empty() -> JobReport {
    JobReport { version: None, text: String::new(), has_failed: false, stream_bytes: 0, stage_seconds: 0.0 }
}

fn argument(message: String) -> Error {
    Error::new(ErrorKind::Argument, message)
}

fn state(message: String) -> Error {
    Error::new(ErrorKind::State, message)
}

type Staged = (u64, Hash, Result<Manifest>);

struct Agent<'a> {
    receiver: Receiver,
    log: &'a mut dyn Log,
    store: Arc<Store>,
    threads: usize,
    /// The update that waits for its broadcast.
    wanted: Option<(u64, Hash)>,
    to_self: Sender<Staged>,
    staged: Inbox<Staged>,
    told: Option<Option<Hash>>,
}

struct Leader<'a> {
    coordinator: Coordinator,
    log: &'a mut dyn Log,
    /// Consumers that take part in no update, as they said last.
    settled: BTreeSet<u32>,
    left: BTreeSet<u32>,
    decided: Option<(bool, String)>,
    verified: Option<Instant>,
}

struct Rank<'a> {
    mpi: &'a Mpi,
    start: Instant,
    tick: Duration,
    next_tick: Instant,
    sends: Vec<Pending>,
    /// What rank 0 says to itself.
    local: VecDeque<Message>,
    joins: VecDeque<Hash>,
    ended: Option<String>,
    agent: Option<Agent<'a>>,
    leader: Option<Leader<'a>>,
    /// The answer to a question for a manifest.
    manifest: Option<Vec<u8>>,
    observe: &'a dyn Fn(&str),
}

impl<'a> Rank<'a> {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn tell(&self, text: String) {
        (self.observe)(&text);
    }

    fn open_agent(
        &mut self,
        store: Store,
        log: &'a mut dyn Log,
        config: &Config,
        threads: usize,
    ) -> Result<()> {
        let live = match Receiver::last_live(log)?.or_else(|| store.pointed()) {
            Some(live) => live,
            None if store.is_empty() => {
                return Err(state("this rank's folder has no checkpoint".to_string()));
            }
            None => store.adopt()?,
        };
        store.check(&live)?;
        store.point(&live)?;
        let id = ReplicaId(self.mpi.world().rank());
        let (receiver, actions) = Receiver::open(id, config, Some(live), self.now_ms(), log)?;
        let (to_self, staged) = channel();
        let store = Arc::new(store);
        self.agent = Some(Agent { receiver, log, store, threads, wanted: None, to_self, staged, told: None });
        self.carry_out(actions)
    }

    fn open_leader(&mut self, root: Root<'a>, config: &Config) -> Result<Goal> {
        let (coordinator, actions) = Coordinator::lead(std::process::id(), config, self.now_ms(), root.log)?;
        self.leader = Some(Leader {
            coordinator,
            log: root.log,
            settled: BTreeSet::new(),
            left: BTreeSet::new(),
            decided: None,
            verified: None,
        });
        self.act(actions)?;
        Ok(root.goal)
    }

    fn send(&mut self, to: u32, message: Message) -> Result<()> {
        if to == self.mpi.world().rank() {
            self.local.push_back(message);
        } else {
            self.sends.push(self.mpi.send(to, TAG_PROTOCOL, message.to_bytes())?);
        }
        Ok(())
    }

    /// Does what there is to do, and does not wait.
    fn pump(&mut self) -> Result<()> {
        loop {
            let (from, message) = match self.local.pop_front() {
                Some(message) => (self.mpi.world().rank(), message),
                None => match self.mpi.poll(TAG_PROTOCOL)? {
                    Some((from, bytes)) => (from, Message::parse(bytes)?),
                    None => break,
                },
            };
            self.handle(from, message)?;
        }
        if let Some((0, bytes)) = self.mpi.poll(TAG_END)? {
            self.ended = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        while let Some(staged) = self.agent.as_ref().and_then(|agent| agent.staged.try_recv().ok()) {
            self.staged(staged)?;
        }
        if Instant::now() >= self.next_tick {
            self.next_tick = Instant::now() + self.tick;
            let now_ms = self.now_ms();
            if let Some(agent) = &mut self.agent {
                let actions = agent.receiver.tick(now_ms);
                self.carry_out(actions)?;
            }
            if let Some(leader) = &mut self.leader {
                let actions = leader.coordinator.tick(now_ms, leader.log)?;
                self.act(actions)?;
            }
        }
        let mut failed = Ok(());
        self.sends.retain_mut(|pending| match pending.test() {
            Ok(is_done) => !is_done,
            Err(error) => {
                failed = Err(error);
                false
            }
        });
        failed
    }

    fn handle(&mut self, from: u32, message: Message) -> Result<()> {
        match message {
            Message::ToReplica(term, message) if from == 0 => {
                let Some(agent) = &mut self.agent else { return Ok(()) };
                let actions = agent.receiver.handle(term, message, agent.log)?;
                self.carry_out(actions)
            }
            Message::ToCoordinator(id, message) if id.0 == from => {
                let Some(leader) = &mut self.leader else { return Ok(()) };
                match &message {
                    ToCoordinator::Heartbeat { epoch: None, .. } => drop(leader.settled.insert(from)),
                    ToCoordinator::Heartbeat { .. } | ToCoordinator::Register { .. } => {
                        leader.settled.remove(&from);
                    }
                    _ => {}
                }
                let actions = leader.coordinator.handle(id, message, leader.log)?;
                self.act(actions)
            }
            // Rank 0 begins the broadcast to that version.
            Message::AskStream { target, .. } if from == 0 => {
                self.joins.push_back(target);
                Ok(())
            }
            Message::Manifest(bytes) => {
                self.manifest = Some(bytes);
                Ok(())
            }
            question @ Message::AskManifest(_) => {
                let Some(agent) = &self.agent else { return Ok(()) };
                let answer = answer_chunks(question, agent.store.as_ref())?;
                self.send(from, answer)
            }
            _ => Err(Error::new(
                ErrorKind::Format,
                format!("rank {from} says something that has no place here"),
            )),
        }
    }

    fn carry_out(&mut self, actions: Vec<ReceiverAction>) -> Result<()> {
        for action in actions {
            let Some(agent) = &mut self.agent else { return Ok(()) };
            match action {
                ReceiverAction::Send(message) => {
                    let message = Message::ToCoordinator(agent.receiver.id(), message);
                    self.send(0, message)?;
                }
                ReceiverAction::Stage { epoch, target, .. } => {
                    agent.wanted = Some((epoch, target));
                    if agent.store.has(&target) {
                        // From before, and to go back to: no broadcast is needed for it.
                        agent.wanted = None;
                        let (store, to_self) = (agent.store.clone(), agent.to_self.clone());
                        std::thread::spawn(move || {
                            let _ = to_self.send((epoch, target, store.check(&target)));
                        });
                    }
                }
                ReceiverAction::CatchUp { version, .. } => {
                    let checked = match agent.store.has(&version) {
                        true => agent.store.check(&version).map(|_| ()).map_err(|e| e.to_string()),
                        false => {
                            Err(format!("version {} is not in its folder; copy it there", version.short()))
                        }
                    };
                    if let Err(why) = &checked {
                        (self.observe)(&format!("cannot catch up: {why}"));
                    }
                    let actions = agent.receiver.caught_up(version, checked, agent.log)?;
                    self.carry_out(actions)?;
                }
                ReceiverAction::Discard { target } => {
                    agent.wanted = None;
                    if ![agent.receiver.live(), agent.receiver.previous()].contains(&Some(target)) {
                        agent.store.remove(&target)?;
                    }
                }
                ReceiverAction::Flip { version } => {
                    agent.store.point(&version)?;
                    let kept: Vec<Hash> =
                        [Some(version), agent.receiver.previous()].into_iter().flatten().collect();
                    agent.store.keep(&kept)?;
                    let told = agent.receiver.flipped(agent.log)?;
                    self.carry_out(told)?;
                }
                ReceiverAction::ServingChanged => {}
            }
        }
        if let Some(agent) = &mut self.agent {
            let serving = agent.receiver.serving();
            if agent.told != Some(serving) {
                agent.told = Some(serving);
                let text = match serving {
                    Some(version) => format!("may answer with version {}", version.short()),
                    None => {
                        format!("answers nothing: {}", agent.receiver.readiness().err().unwrap_or_default())
                    }
                };
                self.tell(text);
            }
        }
        Ok(())
    }

    fn staged(&mut self, (epoch, target, result): Staged) -> Result<()> {
        let text = match &result {
            Ok(manifest) => {
                format!("has version {} and checked its {} bytes", target.short(), manifest.size_bytes())
            }
            Err(error) => format!("vetoes version {}: {error}", target.short()),
        };
        self.tell(text);
        let Some(agent) = &mut self.agent else { return Ok(()) };
        let actions = agent.receiver.staged(epoch, result.map(|_| ()).map_err(|e| e.to_string()));
        self.carry_out(actions)
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<()> {
        for action in actions {
            let Some(leader) = &mut self.leader else { return Ok(()) };
            match action {
                Action::Send(to, message) => {
                    let message = Message::ToReplica(leader.coordinator.term(), message);
                    if to.0 < self.mpi.world().size() {
                        self.send(to.0, message)?;
                    }
                }
                Action::Report(Event::Verified { .. }) => leader.verified = Some(Instant::now()),
                Action::Report(Event::Decided { is_commit, reason, .. }) => {
                    leader.decided = Some((is_commit, reason));
                }
                Action::Report(Event::Left(replica, why)) => {
                    leader.left.insert(replica.0);
                    self.tell(format!("{replica} is left out: {why}"));
                }
                Action::Report(_) => {}
            }
        }
        Ok(())
    }
}

/// Pumps until something holds.
fn until(rank: &RefCell<Rank>, is_done: &mut dyn FnMut(&mut Rank) -> Result<bool>) -> Result<()> {
    loop {
        {
            let mut rank = rank.borrow_mut();
            rank.pump()?;
            if is_done(&mut rank)? {
                return Ok(());
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn lead(
    rank: &RefCell<Rank>,
    group: Option<&super::Group>,
    goal: &Goal,
    options: &JobOptions,
    report: &mut JobReport,
) -> Result<()> {
    let deadline = Instant::now() + options.wait;
    until(rank, &mut |rank| {
        let Some(leader) = &rank.leader else { return Ok(true) };
        let members = leader.coordinator.status().members;
        let is_ready = |consumer: &u32| {
            leader.settled.contains(consumer)
                && members.iter().any(|m| m.replica.0 == *consumer && m.is_member)
        };
        let Some(missing) = options.consumers.iter().find(|consumer| !is_ready(consumer)) else {
            return Ok(!leader.coordinator.is_updating());
        };
        if Instant::now() < deadline {
            return Ok(false);
        }
        let note =
            members.iter().find(|m| m.replica.0 == *missing).map_or("says nothing", |m| m.note.as_str());
        Err(state(format!("rank {missing} is not ready in time: {note}")))
    })?;
    let (live, previous, epoch) = {
        let rank = rank.borrow();
        let Some(leader) = &rank.leader else { return Ok(()) };
        let Some(live) = leader.coordinator.version() else {
            return Err(state("nobody has weights".to_string()));
        };
        (live, leader.coordinator.previous(), leader.coordinator.epoch_highest() + 1)
    };
    report.version = Some(live);
    let (target, epoch, file) = match goal {
        Goal::Recover => {
            report.text = format!("all consumers have version {}", live.short());
            return settle(rank, options);
        }
        Goal::Rollback => {
            let target =
                previous.ok_or_else(|| state("there is no version before to go back to".to_string()))?;
            (target, epoch, None)
        }
        Goal::Version(make) => {
            let base = ask_manifest(rank, &live, options)?;
            let offer = make(&base, epoch)?;
            if offer.version() == live || offer.manifest().root() == base.root() {
                report.text = format!("all consumers have version {}", live.short());
                return settle(rank, options);
            }
            let path = offer.stream_file(&base)?;
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let opened = opened.map_err(|e| {
                Error::new(ErrorKind::Io, format!("{}: cannot read the stream: {e}", path.display()))
            })?;
            (offer.version(), offer.manifest().head().epoch.max(epoch), Some((opened, path, offer)))
        }
    };
    let began = Instant::now();
    {
        let mut rank = rank.borrow_mut();
        let Some(leader) = &mut rank.leader else { return Ok(()) };
        let (mode, is_rollback) = (CommitMode::Barrier, file.is_none());
        let spec =
            UpdateSpec { target, epoch, is_rollback, mode, canary: None, source: "broadcast".to_string() };
        leader.decided = None;
        let actions = leader.coordinator.start(spec, leader.log)?;
        rank.act(actions)?;
        if file.is_some() {
            // After what was said of the update, in the same order of messages.
            for consumer in options.consumers.iter().filter(|rank| **rank != 0) {
                rank.send(*consumer, Message::AskStream { base: live, target })?;
            }
        }
    }
    if let (Some(((length, file), path, _offer)), Some(group)) = (file, group) {
        // Its own part, when it is a consumer, is made of the same file.
        until(rank, &mut |rank| {
            Ok(rank
                .agent
                .as_ref()
                .is_none_or(|a| a.wanted.is_some() || a.receiver.update_epoch() != Some(epoch)))
        })?;
        {
            let mut rank = rank.borrow_mut();
            if let Some(agent) = &mut rank.agent
                && let Some((epoch, target)) = agent.wanted.take()
            {
                let own = File::open(&path).map_err(|e| {
                    Error::new(ErrorKind::Io, format!("{}: cannot read: {e}", path.display()))
                })?;
                spawn_stage(agent, epoch, target, BufReader::with_capacity(1 << 20, own));
            }
        }
        let mut input = BufReader::with_capacity(1 << 20, file);
        report.stream_bytes = broadcast_stream(
            group,
            0,
            Feed::Root(&mut input, length),
            options.bucket_bytes,
            options.wait,
            &mut || rank.borrow_mut().pump(),
        )?;
    }
    until(rank, &mut |rank| {
        let Some(leader) = &rank.leader else { return Ok(true) };
        Ok(leader.decided.is_some() && !leader.coordinator.is_updating())
    })?;
    settle(rank, options)?;
    let rank = rank.borrow();
    let Some(leader) = &rank.leader else { return Ok(()) };
    let verified = leader.verified.unwrap_or_else(Instant::now);
    report.stage_seconds = (verified - began).as_secs_f64();
    match &leader.decided {
        Some((false, reason)) => {
            report.version = Some(live);
            Err(state(format!("no consumer takes it: {}", reason.replace("replica ", "rank "))))
        }
        _ => {
            report.version = Some(target);
            report.text = format!("all consumers have version {}", target.short());
            Ok(())
        }
    }
}

/// Until all consumers that answer take part in no update.
fn settle(rank: &RefCell<Rank>, options: &JobOptions) -> Result<()> {
    if let Some(leader) = &mut rank.borrow_mut().leader {
        leader.settled.clear();
    }
    let until_then = Instant::now() + Duration::from_millis(2 * options.lease_ms);
    until(rank, &mut |rank| {
        let Some(leader) = &rank.leader else { return Ok(true) };
        let is_done = |consumer: &u32| leader.settled.contains(consumer) || leader.left.contains(consumer);
        Ok(options.consumers.iter().all(is_done) || Instant::now() >= until_then)
    })
}

/// What the consumers have; the first of them is asked.
fn ask_manifest(rank: &RefCell<Rank>, version: &Hash, options: &JobOptions) -> Result<Manifest> {
    let Some(first) = options.consumers.first() else { return Err(argument("no consumers".to_string())) };
    rank.borrow_mut().send(*first, Message::AskManifest(*version))?;
    let deadline = Instant::now() + options.wait;
    let mut bytes = None;
    until(rank, &mut |rank| {
        bytes = rank.manifest.take();
        if bytes.is_none() && Instant::now() >= deadline {
            return Err(state(format!("rank {first} does not say what it has")));
        }
        Ok(bytes.is_some())
    })?;
    let manifest = Manifest::parse(&bytes.unwrap_or_default())?;
    if manifest.digest() != *version {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!("rank {first} has another version than it says"),
        ));
    }
    Ok(manifest)
}

fn follow(
    rank: &RefCell<Rank>,
    group: Option<&super::Group>,
    options: &JobOptions,
    report: &mut JobReport,
) -> Result<()> {
    loop {
        until(rank, &mut |rank| Ok(rank.ended.is_some() || !rank.joins.is_empty()))?;
        let (ended, join) = {
            let mut rank = rank.borrow_mut();
            (rank.ended.clone(), rank.joins.pop_front())
        };
        if let (Some(target), Some(group)) = (join, group) {
            report.stream_bytes += join_broadcast(rank, group, target, options)?;
            continue;
        }
        if let Some(text) = ended {
            let live = rank.borrow().agent.as_ref().and_then(|agent| agent.receiver.live());
            (report.version, report.has_failed) = (live, text.starts_with('-'));
            report.text = text.get(1..).unwrap_or_default().to_string();
            return Ok(());
        }
    }
}

fn join_broadcast(
    rank: &RefCell<Rank>,
    group: &super::Group,
    target: Hash,
    options: &JobOptions,
) -> Result<u64> {
    let (to_stage, buckets) = sync_channel(1);
    let (spent, spare) = channel();
    if let Some(agent) = &mut rank.borrow_mut().agent
        && let Some((epoch, wanted)) = agent.wanted.take_if(|(_, wanted)| *wanted == target)
    {
        spawn_stage(agent, epoch, wanted, Buckets { buckets, bucket: Vec::new(), at: 0, spent });
    }
    // Otherwise the other end is gone with this block, and the bytes are thrown away.
    let mut take = |bucket: Vec<u8>| hand_over(rank, &to_stage, &spare, bucket);
    let mut idle = || rank.borrow_mut().pump();
    broadcast_stream(group, 0, Feed::Take(&mut take), options.bucket_bytes, options.wait, &mut idle)
}

/// Gives a bucket to the thread that builds, and takes one back that it has done with.
fn hand_over(
    rank: &RefCell<Rank>,
    to_stage: &SyncSender<Vec<u8>>,
    spare: &Inbox<Vec<u8>>,
    mut bucket: Vec<u8>,
) -> Result<Vec<u8>> {
    loop {
        match to_stage.try_send(bucket) {
            Ok(()) => return Ok(spare.try_recv().unwrap_or_default()),
            // It has failed, and its veto is on its way.
            Err(TrySendError::Disconnected(same)) => return Ok(same),
            Err(TrySendError::Full(same)) => bucket = same,
        }
        rank.borrow_mut().pump()?;
        std::thread::sleep(PAUSE);
    }
}

fn spawn_stage(agent: &Agent, epoch: u64, target: Hash, mut input: impl Read + Send + 'static) {
    let (store, to_self, threads) = (agent.store.clone(), agent.to_self.clone(), agent.threads);
    let live = agent.receiver.live();
    std::thread::spawn(move || {
        let staged = match live {
            Some(live) => receive_stream(&store, &live, target, &mut input, threads),
            None => Err(state("there are no weights to start at".to_string())),
        };
        // The rank is going when nobody listens.
        let _ = to_self.send((epoch, target, staged));
    });
}

/// The broadcast as something to read.
struct Buckets {
    buckets: Inbox<Vec<u8>>,
    bucket: Vec<u8>,
    at: usize,
    spent: Sender<Vec<u8>>,
}

impl Read for Buckets {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bucket.len() {
            let next = match self.buckets.try_recv() {
                Err(TryRecvError::Empty) => self.buckets.recv().ok(),
                other => other.ok(),
            };
            let Some(next) = next else { return Ok(0) };
            let done = std::mem::replace(&mut self.bucket, next);
            self.at = 0;
            // Who sends may be done already.
            let _ = self.spent.send(done);
        }
        let rest = &self.bucket[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
