//! The process that leads one update: it connects to all agents, waits until they are members, begins, and goes when
//! all have carried it out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::fetch::ask_manifest;
use super::offer::Offer;
use super::{Step, lock, now_ms};
use crate::protocol::{
    Action, CommitMode, Config, Coordinator, CoordinatorRecord, Event, Log, ReplicaId, ToCoordinator,
    ToReplica, UpdateSpec,
};
use crate::transport::{Message, Traffic, Transport, receive, send};
use crate::{Error, ErrorKind, Hash, Manifest, Result};

/// Between two tries to reach an agent.
const RETRY: Duration = Duration::from_millis(100);

/// How to lead.
#[derive(Clone, Debug)]
pub struct LeadOptions {
    /// See [`Config::for_lease`]; the same for the agents.
    pub lease_ms: u64,
    /// How long agents may take to be there, all of them.
    pub wait: Duration,
    /// Members that an operator vouches are off; see [`Coordinator::evict`].
    pub evict: Vec<ReplicaId>,
    /// Where deltas are kept meanwhile.
    pub scratch: PathBuf,
}

/// What to lead to.
pub enum Goal {
    /// A version, made from weights and the manifest of what the agents have and the epoch that is free.
    Version(Box<MakeOffer>),
    /// Back to the version before.
    Rollback,
    /// To the end of what another coordinator began.
    Recover,
}

/// Makes the offer when it is known what the agents have.
pub type MakeOffer = dyn Fn(&Manifest, u64) -> Result<Offer> + Send;

/// What a coordinator tells people and tests.
#[derive(Clone, Debug, PartialEq)]
pub enum LeadEvent {
    /// It leads, in this term.
    Leads(u64),
    /// An agent answers at this address.
    Connected(String, ReplicaId),
    /// An agent cannot be reached, and why.
    Trouble(String, String),
    /// The protocol went on.
    Went(Event),
    /// At this step. Whoever handles it may keep the coordinator there.
    At(Step),
}

/// How an update went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeadReport {
    /// The version that all agents serve.
    pub version: Hash,
    /// Whether an update was made; otherwise all served the version already.
    pub is_news: bool,
    /// Agents that were left out, and why.
    pub left: Vec<(ReplicaId, String)>,
    /// Bytes of versions on connections, in both directions.
    pub wire_bytes: u64,
    /// From the beginning until all had verified.
    pub stage_seconds: f64,
    /// From then until all had carried it out.
    pub commit_seconds: f64,
}

enum Happening {
    Connected(usize, ReplicaId),
    Said(ReplicaId, ToCoordinator),
    Trouble(usize, Error),
}

/// What the connections' threads share.
struct Wires {
    transport: Arc<dyn Transport>,
    lease_ms: u32,
    is_over: AtomicBool,
    offer: Mutex<Option<Arc<Offer>>>,
    wire_bytes: AtomicU64,
}

/// Leads one update.
///
/// # Errors
/// `State` when agents are missing, when one vetoes, or the update is aborted for another reason; `Signature` and
/// `Argument` when an agent does not know the token or counts other times; `Stale` when another coordinator leads;
/// whatever the log answers.
pub fn lead(
    addresses: &[String],
    goal: &Goal,
    options: &LeadOptions,
    log: &mut dyn Log,
    transport: Arc<dyn Transport>,
    observe: &dyn Fn(&LeadEvent),
) -> Result<LeadReport> {
    if addresses.is_empty() {
        return Err(Error::argument("no agents are named"));
    }
    let lease_ms =
        u32::try_from(options.lease_ms).map_err(|_| Error::argument("a lease of more than weeks"))?;
    let start = Instant::now();
    let config = Config::for_lease(options.lease_ms);
    let mut drill = Drill { log, observe };
    let (coordinator, actions) = Coordinator::lead(std::process::id(), &config, 0, &mut drill)?;
    observe(&LeadEvent::Leads(coordinator.term()));
    observe(&LeadEvent::At(Step::Register));
    let wires = Arc::new(Wires {
        transport,
        lease_ms,
        is_over: AtomicBool::new(false),
        offer: Mutex::new(None),
        wire_bytes: AtomicU64::new(0),
    });
    let (to_main, inbox) = channel();
    let mut agents = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let (sender, messages) = channel();
        let worker = |work: fn(&Wires, &str, usize, &Sender<Happening>)| {
            let (wires, address, to_main) = (wires.clone(), address.clone(), to_main.clone());
            thread::spawn(move || work(&wires, &address, index, &to_main));
        };
        worker(hear);
        worker(answer);
        let (to, address_of) = (wires.clone(), address.clone());
        thread::spawn(move || say(&to, &address_of, &messages));
        agents.push(Agent {
            address: address.clone(),
            id: None,
            to: sender,
            is_settled: false,
            trouble: None,
        });
    }
    let mut leading = Leading {
        coordinator,
        drill,
        agents,
        options,
        wires: wires.clone(),
        report: LeadReport::default(),
        verified: None,
        ended: None,
        start,
        config,
    };
    let outcome = leading.act(actions).and_then(|()| leading.run(goal, &inbox));
    wires.is_over.store(true, Ordering::Release);
    let mut report = leading.report;
    report.wire_bytes = wires.wire_bytes.load(Ordering::Acquire);
    outcome.map(|()| report)
}

struct Agent {
    address: String,
    id: Option<ReplicaId>,
    to: Sender<Message>,
    /// Takes part in no update, as it said last.
    is_settled: bool,
    trouble: Option<Error>,
}

/// Stands still around the writes that decide.
struct Drill<'a> {
    log: &'a mut dyn Log,
    observe: &'a dyn Fn(&LeadEvent),
}

impl Log for Drill<'_> {
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        self.log.read()
    }

    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        let parsed = CoordinatorRecord::parse(record)?;
        let is_commit = matches!(parsed, CoordinatorRecord::Decide { is_commit: true, .. });
        if is_commit {
            (self.observe)(&LeadEvent::At(Step::Precommit));
        }
        self.log.append(expected, record)?;
        match parsed {
            _ if is_commit => (self.observe)(&LeadEvent::At(Step::Commit)),
            CoordinatorRecord::Begin { .. } => (self.observe)(&LeadEvent::At(Step::Stage)),
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Result<u64> {
        self.log.count()
    }
}

struct Leading<'a> {
    coordinator: Coordinator,
    drill: Drill<'a>,
    agents: Vec<Agent>,
    options: &'a LeadOptions,
    wires: Arc<Wires>,
    report: LeadReport,
    verified: Option<Instant>,
    /// How the update of an epoch ended.
    ended: Option<(u64, bool, String)>,
    start: Instant,
    config: Config,
}

impl Leading<'_> {
    fn run(&mut self, goal: &Goal, inbox: &Inbox<Happening>) -> Result<()> {
        let options = self.options;
        for replica in &options.evict {
            let actions =
                self.coordinator.evict(*replica, "an operator says that it is off", &mut self.drill)?;
            self.act(actions)?;
        }
        let deadline = Instant::now() + options.wait;
        self.until(inbox, &mut |leading| {
            if leading.are_all_members() && !leading.coordinator.is_updating() {
                return Ok(true);
            }
            // Waiting does not help against these.
            let hopeless = |agent: &&Agent| {
                agent.trouble.as_ref().is_some_and(|e| !matches!(e.kind(), ErrorKind::Io | ErrorKind::Format))
            };
            if let Some(agent) = leading.agents.iter().find(hopeless) {
                return Err(agent.missing());
            }
            if Instant::now() < deadline { Ok(false) } else { Err(leading.who_is_missing()) }
        })?;
        let Some(live) = self.coordinator.version() else { return Err(self.who_is_missing()) };
        self.report.version = live;
        let spec = match goal {
            Goal::Recover => return self.settle(inbox),
            Goal::Rollback => {
                let target = self.coordinator.previous();
                let target =
                    target.ok_or_else(|| Error::state("there is no version before to go back to"))?;
                (target, self.coordinator.epoch_highest() + 1, true)
            }
            Goal::Version(make) => {
                let base = self.manifest_of(&live)?;
                let offer = make(&base, self.coordinator.epoch_highest() + 1)?;
                if offer.version() == live || offer.manifest().root() == base.root() {
                    return self.settle(inbox);
                }
                let epoch = offer.manifest().head().epoch.max(self.coordinator.epoch_highest() + 1);
                let target = offer.version();
                *lock(&self.wires.offer) = Some(Arc::new(offer));
                (target, epoch, false)
            }
        };
        let (target, epoch, is_rollback) = spec;
        let mode = CommitMode::Barrier;
        let spec = UpdateSpec { target, epoch, is_rollback, mode, canary: None, source: String::new() };
        let began = Instant::now();
        let actions = self.coordinator.start(spec, &mut self.drill)?;
        self.act(actions)?;
        self.until(inbox, &mut |leading| Ok(leading.ended.is_some() && !leading.coordinator.is_updating()))?;
        let done = Instant::now();
        let verified = self.verified.unwrap_or(done);
        self.report.stage_seconds = (verified - began).as_secs_f64();
        self.report.commit_seconds = (done - verified).as_secs_f64();
        // Also after an abort: who has not heard of it serves under a lease that ends with this process.
        self.settle(inbox)?;
        match self.ended.take() {
            Some((_, false, reason)) => {
                Err(Error::state(format!("no agent takes it: {}", self.named(&reason))))
            }
            _ => {
                (self.report.version, self.report.is_news) = (target, true);
                Ok(())
            }
        }
    }

    /// Replicas by their addresses, where a reason names one.
    fn named(&self, reason: &str) -> String {
        let mut reason = reason.to_string();
        for agent in &self.agents {
            if let Some(id) = agent.id
                && reason.starts_with(&format!("{id} "))
            {
                reason = format!("{id} at {}{}", agent.address, &reason[id.to_string().len()..]);
            }
        }
        reason
    }

    fn are_all_members(&self) -> bool {
        let status = self.coordinator.status();
        let is_member = |id: ReplicaId| status.members.iter().any(|m| m.replica == id && m.is_member);
        self.agents.iter().all(|agent| agent.is_settled && agent.id.is_some_and(is_member))
    }

    fn who_is_missing(&self) -> Error {
        let status = self.coordinator.status();
        for agent in &self.agents {
            let Some(id) = agent.id else { return agent.missing() };
            let note = status.members.iter().find(|m| m.replica == id);
            if !note.is_some_and(|m| m.is_member) || !agent.is_settled {
                let note = note.map_or("it says nothing", |m| m.note.as_str());
                return Error::state(format!("{}: {id} is not ready in time: {note}", agent.address));
            }
        }
        Error::state("a member that is not named takes part in an update; name it, or say that it is off")
    }

    /// What agents have; any of them.
    fn manifest_of(&self, version: &Hash) -> Result<Manifest> {
        let mut problem = None;
        for agent in &self.agents {
            let asked = self.wires.transport.connect(&agent.address);
            match asked.and_then(|mut agent| ask_manifest(agent.as_mut(), version)) {
                Ok(Some(manifest)) => return Ok(manifest),
                Ok(None) => {}
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| {
            Error::state(format!("no agent has the manifest of version {}", version.short()))
        }))
    }

    /// Goes on until all agents that answer take part in no update any more, or their leases have ended.
    fn settle(&mut self, inbox: &Inbox<Happening>) -> Result<()> {
        self.agents.iter_mut().for_each(|agent| agent.is_settled = false);
        let until = Instant::now() + Duration::from_millis(2 * self.options.lease_ms);
        self.until(inbox, &mut |leading| {
            let left: BTreeSet<ReplicaId> = leading.report.left.iter().map(|(replica, _)| *replica).collect();
            let is_done = |agent: &Agent| agent.is_settled || agent.id.is_none_or(|id| left.contains(&id));
            Ok(leading.agents.iter().all(is_done) || Instant::now() >= until)
        })
    }

    fn until(
        &mut self,
        inbox: &Inbox<Happening>,
        is_done: &mut dyn FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let tick = Duration::from_millis(self.config.tick_ms);
        let mut next = Instant::now();
        while !is_done(self)? {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(happening) => self.handle(happening)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(tick),
            }
            if Instant::now() >= next {
                let actions = self.coordinator.tick(now_ms(self.start), &mut self.drill)?;
                self.act(actions)?;
                next = Instant::now() + tick;
            }
        }
        Ok(())
    }

    fn handle(&mut self, happening: Happening) -> Result<()> {
        match happening {
            Happening::Connected(index, id) => {
                let taken = self.agents.iter().enumerate().find(|(at, a)| *at != index && a.id == Some(id));
                if let Some((_, other)) = taken {
                    return Err(Error::argument(format!(
                        "{} and {} both say that they are {id}; give each agent a number of its own",
                        other.address, self.agents[index].address
                    )));
                }
                let agent = &mut self.agents[index];
                (agent.id, agent.trouble) = (Some(id), None);
                (self.drill.observe)(&LeadEvent::Connected(agent.address.clone(), id));
            }
            Happening::Said(from, message) => {
                if let Some(agent) = self.agents.iter_mut().find(|agent| agent.id == Some(from)) {
                    match message {
                        ToCoordinator::Heartbeat { epoch, .. } => agent.is_settled = epoch.is_none(),
                        ToCoordinator::Register { .. } => agent.is_settled = false,
                        _ => {}
                    }
                }
                let actions = self.coordinator.handle(from, message, &mut self.drill)?;
                self.act(actions)?;
            }
            Happening::Trouble(index, error) => {
                let agent = &mut self.agents[index];
                if agent.trouble.as_ref() != Some(&error) {
                    (self.drill.observe)(&LeadEvent::Trouble(agent.address.clone(), error.to_string()));
                }
                agent.trouble = Some(error);
            }
        }
        Ok(())
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<()> {
        for action in actions {
            match action {
                Action::Send(to, message) => {
                    let Some(agent) = self.agents.iter().find(|agent| agent.id == Some(to)) else { continue };
                    if matches!(message, ToReplica::CatchUp { .. }) {
                        let known = self.agents.iter().filter_map(|a| Some((a.id?, a.address.clone())));
                        let _ = agent.to.send(Message::Peers(known.collect()));
                    }
                    // Its thread ends with this process only.
                    let _ = agent.to.send(Message::ToReplica(self.coordinator.term(), message));
                }
                Action::Report(event) => {
                    match &event {
                        Event::Verified { .. } => {
                            self.verified = Some(Instant::now());
                            (self.drill.observe)(&LeadEvent::At(Step::Verify));
                        }
                        Event::Decided { epoch, is_commit, reason } => {
                            self.ended = Some((*epoch, *is_commit, reason.clone()));
                        }
                        Event::Left(replica, why) => self.report.left.push((*replica, why.clone())),
                        _ => {}
                    }
                    (self.drill.observe)(&LeadEvent::Went(event));
                }
            }
        }
        Ok(())
    }
}

impl Agent {
    fn missing(&self) -> Error {
        match &self.trouble {
            // A connect error names the address itself.
            Some(error) if error.to_string().starts_with(&self.address) => error.clone(),
            Some(error) => Error::new(error.kind(), format!("{}: {error}", self.address)),
            None => Error::state(format!("{}: nobody answers", self.address)),
        }
    }
}

/// Hears what an agent says, and connects again when the connection breaks.
fn hear(wires: &Wires, address: &str, index: usize, to_main: &Sender<Happening>) {
    while !wires.is_over.load(Ordering::Acquire) {
        let Err(error) = hear_once(wires, address, index, to_main) else { continue };
        if to_main.send(Happening::Trouble(index, error)).is_err() {
            return;
        }
        thread::sleep(RETRY);
    }
}

fn hear_once(wires: &Wires, address: &str, index: usize, to_main: &Sender<Happening>) -> Result<()> {
    let mut connection = wires.transport.connect(address)?;
    send(connection.as_mut(), &Message::Hear { lease_ms: wires.lease_ms })?;
    let gone = || Error::new(ErrorKind::Io, "the agent has ended the connection");
    let mut own = None;
    loop {
        let happening = match receive(connection.as_mut())?.ok_or_else(gone)? {
            Message::Agent(id) => {
                own = Some(id);
                Happening::Connected(index, id)
            }
            Message::Refused(why) => return Err(Error::argument(why)),
            Message::ToCoordinator(from, message) if Some(from) == own => Happening::Said(from, message),
            _ => return Err(Error::signature("the agent speaks for another one")),
        };
        if to_main.send(happening).is_err() {
            return Ok(());
        }
    }
}

/// Answers an agent's questions for versions.
fn answer(wires: &Wires, address: &str, _: usize, _: &Sender<Happening>) {
    while !wires.is_over.load(Ordering::Acquire) {
        // Until there is an offer, nothing can be asked for.
        let offer = lock(&wires.offer).clone();
        let connected = offer.and_then(|offer| Some((offer, wires.transport.connect(address).ok()?)));
        if let Some((offer, mut connection)) = connected {
            let mut counted = 0;
            let mut count = |traffic: Traffic| {
                let now = traffic.sent_bytes + traffic.received_bytes;
                wires.wire_bytes.fetch_add(now - counted, Ordering::AcqRel);
                counted = now;
            };
            let served = send(connection.as_mut(), &Message::Versions)
                .and_then(|()| offer.serve(connection.as_mut(), &mut count));
            if served.is_ok() {
                continue;
            }
        }
        thread::sleep(RETRY / 10);
    }
}

/// Says to an agent what is to be done; what cannot be said is lost, and the protocol says it again.
fn say(wires: &Wires, address: &str, messages: &Inbox<Message>) {
    let mut connection = None;
    for message in messages {
        if connection.is_none() {
            let lead = Message::Lead { lease_ms: wires.lease_ms };
            connection = wires.transport.connect(address).ok();
            if let Some(to) = &mut connection
                && send(to.as_mut(), &lead).is_err()
            {
                connection = None;
            }
        }
        if let Some(to) = &mut connection
            && send(to.as_mut(), &message).is_err()
        {
            connection = None;
        }
    }
}
