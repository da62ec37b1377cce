//! The process beside a server: it keeps versions in a folder and follows whoever leads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mynah_trust::keys::Ed25519VerifyingKey;

use super::fetch::{Base, Fetched, fetch};
use super::store::Store;
use super::{Step, lock, now_ms};
use crate::protocol::{Config, Log, Receiver, ReceiverAction, ReplicaId, ToReplica};
use crate::transport::{Connection, Listener, Message, Transport, answer_chunks, receive, send};
use crate::{Error, ErrorKind, Hash, Result};

/// Peers that are listened to at once; more are turned away.
const CONNECTIONS_MAX: usize = 256;
/// Connections of coordinators, the one before and the one that comes, that are kept to be asked.
const LEADERS_MAX: usize = 8;
/// How long the connection of whoever leads may be on its way.
const LEADER_TIME: Duration = Duration::from_secs(10);
/// Threads that wait for peers: a peer that stalls while it proves who it is holds up one of them.
const ACCEPTING: usize = 4;
/// Why a connection ended is told to people this often at most.
const REFUSALS_EVERY: Duration = Duration::from_millis(100);

/// How to run an agent.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Its number, of which no other agent has the same.
    pub id: ReplicaId,
    /// See [`Config::for_lease`]; the same for the coordinator.
    pub lease_ms: u64,
    /// Threads that build and hash while a version is staged.
    pub threads: usize,
    /// The key that versions must be signed with; nothing: who has the token is believed.
    pub signer: Option<Ed25519VerifyingKey>,
}

/// What an agent tells people and tests.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// It waits for peers at this address; these weights are loaded and verified.
    Listening(String, Option<Hash>),
    /// Somebody leads.
    Led,
    /// A peer was turned away, or its connection broke.
    Refused(String),
    /// At this step of an update. Whoever handles it may keep the agent there.
    At(Step),
    /// Requests may be answered with this version.
    Serving(Hash),
    /// Nothing may be answered, and why.
    Idle(String),
    /// An update's version is being fetched.
    Staging(u64, Hash),
    /// A version is here and every chunk was checked.
    Staged(Hash, Fetched, Duration),
    /// A version could not be had, or is not what its manifest says; the update was vetoed.
    Vetoed(Hash, String),
    /// The version is live.
    Flipped(Hash),
    /// A version that was staged is not wanted any more.
    Discarded(Hash),
}

/// Tells people; called from several threads.
type Observe = Arc<dyn Fn(&AgentEvent) + Send + Sync>;

enum Happening {
    Said(u64, ToReplica),
    Staged(u64, Hash, Result<Fetched>, Duration),
    CaughtUp(Hash, Result<Fetched>, Duration),
}

struct Shared {
    options: AgentOptions,
    store: Store,
    transport: Arc<dyn Transport>,
    observe: Observe,
    /// Where coordinators are told things.
    hearing: Mutex<Vec<Sender<Message>>>,
    /// Connections on which coordinators answer questions.
    versions: Mutex<Vec<Box<dyn Connection>>>,
    /// A connection has come to `versions`.
    came: Condvar,
    fetching: Mutex<()>,
    peers: Mutex<BTreeMap<ReplicaId, String>>,
    connections: AtomicUsize,
    refused: Mutex<Option<Instant>>,
}

/// Runs an agent until its log cannot be written. Versions are kept in the store; the log says which is live.
///
/// # Errors
/// Whatever the log or the store answers.
pub fn run_agent(
    options: AgentOptions,
    store: Store,
    log: &mut dyn Log,
    transport: Arc<dyn Transport>,
    listener: Box<dyn Listener>,
    observe: Observe,
) -> Result<()> {
    let start = Instant::now();
    let config = Config::for_lease(options.lease_ms);
    let live = load(&store, log, &observe)?;
    if let Some(live) = &live {
        store.point(live)?;
    }
    let shared = Arc::new(Shared {
        options: options.clone(),
        store,
        transport,
        observe,
        hearing: Mutex::default(),
        versions: Mutex::default(),
        came: Condvar::new(),
        fetching: Mutex::default(),
        peers: Mutex::default(),
        connections: AtomicUsize::new(0),
        refused: Mutex::new(None),
    });
    let (to_main, inbox) = channel();
    let address = listener.address();
    let mut listeners = vec![listener];
    while listeners.len() < ACCEPTING
        && let Ok(another) = listeners[0].another()
    {
        listeners.push(another);
    }
    for listener in listeners {
        let (shared, to_main) = (shared.clone(), to_main.clone());
        thread::spawn(move || accept(listener, &shared, &to_main));
    }
    (shared.observe)(&AgentEvent::Listening(address, live));
    (shared.observe)(&AgentEvent::At(Step::Register));
    let (receiver, actions) = Receiver::open(options.id, &config, live, now_ms(start), log)?;
    let mut agent = Agent { shared, receiver, log, to_main, wanted: None, told: None };
    agent.carry_out(actions)?;
    agent.run(&inbox, start, Duration::from_millis(config.tick_ms))
}

/// The version that was live when the process stopped, or the checkpoint in the folder; read and checked. Weights
/// that are damaged are put aside: they come anew from peers.
fn load(store: &Store, log: &mut dyn Log, observe: &Observe) -> Result<Option<Hash>> {
    // Before the first update the log names none.
    let live = match (Receiver::last_live(log)?.or_else(|| store.pointed()), store.versions()?.as_slice()) {
        (Some(live), _) => live,
        (None, [only]) => *only,
        (None, []) if store.is_empty() => return Ok(None),
        (None, []) => return store.adopt().map(Some),
        (None, _) => {
            return Err(Error::state(
                "the folder has several versions and neither its log nor its link says which is live; \
                 remove all but one",
            ));
        }
    };
    match store.check(&live) {
        Ok(_) => Ok(Some(live)),
        Err(error) => {
            observe(&AgentEvent::Refused(format!("version {} is put aside: {error}", live.short())));
            store.remove(&live)?;
            Ok(None)
        }
    }
}

struct Agent<'a> {
    shared: Arc<Shared>,
    receiver: Receiver,
    log: &'a mut dyn Log,
    to_main: Sender<Happening>,
    /// The update that is being staged.
    wanted: Option<(u64, Hash)>,
    /// What people were told last.
    told: Option<std::result::Result<Hash, String>>,
}

impl Agent<'_> {
    fn run(&mut self, inbox: &Inbox<Happening>, start: Instant, tick: Duration) -> Result<()> {
        let mut next = Instant::now() + tick;
        loop {
            let happened = match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(happening) => Some(happening),
                Err(RecvTimeoutError::Timeout) => None,
                // Impossible while this struct holds a sender.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if Instant::now() >= next {
                // Before anything is answered: the process may have been stopped for long.
                let actions = self.receiver.tick(now_ms(start));
                self.carry_out(actions)?;
                next = Instant::now() + tick;
            }
            if let Some(happening) = happened {
                let actions = self.handle(happening)?;
                self.carry_out(actions)?;
            }
        }
    }

    fn observe(&self, event: AgentEvent) {
        (self.shared.observe)(&event);
    }

    fn handle(&mut self, happening: Happening) -> Result<Vec<ReceiverAction>> {
        match happening {
            Happening::Said(term, message) => {
                match message {
                    ToReplica::Precommit { epoch, .. } if self.receiver.update_epoch() == Some(epoch) => {
                        self.observe(AgentEvent::At(Step::Precommit));
                    }
                    ToReplica::Decision { epoch, is_commit: true, .. }
                        if self.receiver.update_epoch() == Some(epoch) =>
                    {
                        self.observe(AgentEvent::At(Step::Commit));
                    }
                    _ => {}
                }
                self.receiver.handle(term, message, self.log)
            }
            Happening::Staged(epoch, target, result, took) => {
                if self.wanted != Some((epoch, target)) {
                    // The update was given up meanwhile.
                    self.discard(target)?;
                    return Ok(Vec::new());
                }
                match &result {
                    Ok(fetched) => {
                        self.observe(AgentEvent::Staged(target, *fetched, took));
                        self.observe(AgentEvent::At(Step::Verify));
                    }
                    Err(error) => self.observe(AgentEvent::Vetoed(target, error.to_string())),
                }
                Ok(self.receiver.staged(epoch, result.map(|_| ()).map_err(|e| e.to_string())))
            }
            Happening::CaughtUp(version, result, took) => {
                match &result {
                    Ok(fetched) => self.observe(AgentEvent::Staged(version, *fetched, took)),
                    Err(error) => self.observe(AgentEvent::Vetoed(version, error.to_string())),
                }
                self.receiver.caught_up(version, result.map(|_| ()).map_err(|e| e.to_string()), self.log)
            }
        }
    }

    fn carry_out(&mut self, actions: Vec<ReceiverAction>) -> Result<()> {
        for action in actions {
            match action {
                ReceiverAction::Send(message) => {
                    let message = Message::ToCoordinator(self.receiver.id(), message);
                    // Whoever is gone is forgotten; who leads comes again.
                    lock(&self.shared.hearing)
                        .retain(|coordinator| coordinator.send(message.clone()).is_ok());
                }
                ReceiverAction::Stage { epoch, target, .. } => {
                    self.wanted = Some((epoch, target));
                    self.observe(AgentEvent::Staging(epoch, target));
                    self.observe(AgentEvent::At(Step::Stage));
                    let to_main = self.to_main.clone();
                    self.fetch(target, Vec::new(), move |result, took| {
                        // The process is going when nobody listens.
                        let _ = to_main.send(Happening::Staged(epoch, target, result, took));
                    });
                }
                ReceiverAction::CatchUp { version, peers } => {
                    let to_main = self.to_main.clone();
                    self.fetch(version, peers, move |result, took| {
                        let _ = to_main.send(Happening::CaughtUp(version, result, took));
                    });
                }
                ReceiverAction::Discard { target } => {
                    self.wanted = None;
                    self.discard(target)?;
                }
                ReceiverAction::Flip { version } => {
                    self.shared.store.point(&version)?;
                    let kept: Vec<Hash> =
                        [Some(version), self.receiver.previous()].into_iter().flatten().collect();
                    let told = self.receiver.flipped(self.log)?;
                    self.carry_out(told)?;
                    self.shared.store.keep(&kept)?;
                    self.observe(AgentEvent::Flipped(version));
                }
                ReceiverAction::ServingChanged => {}
            }
        }
        let why = || self.receiver.readiness().err().unwrap_or_default();
        let now = self.receiver.serving().ok_or_else(why);
        if self.told.as_ref() != Some(&now) {
            self.observe(match &now {
                Ok(version) => AgentEvent::Serving(*version),
                Err(reason) => AgentEvent::Idle(reason.clone()),
            });
            self.told = Some(now);
        }
        Ok(())
    }

    fn discard(&self, target: Hash) -> Result<()> {
        if ![self.receiver.live(), self.receiver.previous()].contains(&Some(target)) {
            self.shared.store.remove(&target)?;
        }
        self.observe(AgentEvent::Discarded(target));
        Ok(())
    }

    /// Fetches a version in a thread of its own: the protocol's times go on meanwhile.
    fn fetch(
        &self,
        target: Hash,
        peers: Vec<ReplicaId>,
        done: impl FnOnce(Result<Fetched>, Duration) + Send + 'static,
    ) {
        let shared = self.shared.clone();
        let live = self.receiver.live();
        thread::spawn(move || {
            let started = Instant::now();
            done(shared.fetch(live, target, &peers), started.elapsed());
        });
    }
}

impl Shared {
    fn fetch(&self, live: Option<Hash>, target: Hash, peers: &[ReplicaId]) -> Result<Fetched> {
        let base: Option<Base> = match live {
            Some(live) => {
                let (manifest, source) = self.store.load(&live)?;
                Some((live, manifest, source))
            }
            None => None,
        };
        // Two updates may want the same version, one after the other.
        let _one_at_a_time = lock(&self.fetching);
        let known = lock(&self.peers).clone();
        let asked = peers.iter().filter(|peer| **peer != self.options.id);
        let connected = asked.filter_map(|peer| {
            let connection = self.transport.connect(known.get(peer)?);
            connection.map_err(|error| self.refuse(format!("{peer}: {error}"))).ok()
        });
        let connected: Vec<_> = connected.collect();
        let (store, base, threads) = (&self.store, base.as_ref(), self.options.threads);
        let signer = self.options.signer.as_ref();
        if store.has(&target) || !connected.is_empty() {
            let mut leader = lock(&self.versions).pop();
            let fetched = fetch(store, base, target, leader.as_mut(), connected, threads, signer);
            return self.put_back(leader, fetched);
        }
        let deadline = Instant::now() + LEADER_TIME;
        loop {
            let mut leader = self.leader(deadline);
            let is_last = leader.is_none() || Instant::now() >= deadline;
            let fetched = fetch(store, base, target, leader.as_mut(), Vec::new(), threads, signer);
            match self.put_back(leader, fetched) {
                // A connection of somebody who is gone; who leads now connects or has connected.
                Err(error) if error.kind() == ErrorKind::Io && !is_last => {}
                outcome => return outcome,
            }
        }
    }

    /// The newest connection on which versions can be asked for: of whoever leads now.
    fn leader(&self, deadline: Instant) -> Option<Box<dyn Connection>> {
        let mut versions = lock(&self.versions);
        loop {
            if let Some(leader) = versions.pop() {
                return Some(leader);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.came.wait_timeout(versions, left);
            versions = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// After an error nobody knows where in a stream a connection is.
    fn put_back(&self, leader: Option<Box<dyn Connection>>, fetched: Result<Fetched>) -> Result<Fetched> {
        if let (Some(leader), Ok(_)) = (leader, &fetched) {
            lock(&self.versions).push(leader);
        }
        fetched
    }

    fn refuse(&self, why: String) {
        let mut last = lock(&self.refused);
        if last.is_none_or(|last| last.elapsed() >= REFUSALS_EVERY) {
            *last = Some(Instant::now());
            (self.observe)(&AgentEvent::Refused(why));
        }
    }
}

fn accept(mut listener: Box<dyn Listener>, shared: &Arc<Shared>, to_main: &Sender<Happening>) {
    loop {
        let connection = match listener.accept() {
            Ok(connection) => connection,
            Err(error) => {
                shared.refuse(error.to_string());
                continue;
            }
        };
        if shared.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            shared.refuse(format!("{CONNECTIONS_MAX} peers are connected already"));
            continue;
        }
        let (shared, to_main) = (shared.clone(), to_main.clone());
        thread::spawn(move || {
            if let Err(error) = speak(connection, &shared, &to_main) {
                shared.refuse(error.to_string());
            }
            shared.connections.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// What a connection is for, its first message says.
fn speak(mut connection: Box<dyn Connection>, shared: &Shared, to_main: &Sender<Happening>) -> Result<()> {
    let Some(first) = receive(connection.as_mut())? else { return Ok(()) };
    match first {
        Message::Lead { lease_ms } => {
            check_lease(connection.as_mut(), lease_ms, shared)?;
            (shared.observe)(&AgentEvent::Led);
            while let Some(message) = receive(connection.as_mut())? {
                match message {
                    Message::ToReplica(term, message) => {
                        let _ = to_main.send(Happening::Said(term, message));
                    }
                    Message::Peers(peers) => *lock(&shared.peers) = peers.into_iter().collect(),
                    _ => return Err(Error::format("who leads says something else than what is to be done")),
                }
            }
            Ok(())
        }
        Message::Hear { lease_ms } => {
            check_lease(connection.as_mut(), lease_ms, shared)?;
            let (sender, messages) = channel();
            send(connection.as_mut(), &Message::Agent(shared.options.id))?;
            lock(&shared.hearing).push(sender);
            for message in messages {
                send(connection.as_mut(), &message)?;
            }
            Ok(())
        }
        Message::Versions => {
            let mut versions = lock(&shared.versions);
            if versions.len() >= LEADERS_MAX {
                versions.remove(0);
            }
            versions.push(connection);
            shared.came.notify_all();
            Ok(())
        }
        question => {
            send(connection.as_mut(), &answer_chunks(question, &shared.store)?)?;
            crate::transport::serve_chunks(connection.as_mut(), &shared.store)
        }
    }
}

/// Leases are safe only where both sides count the same times.
fn check_lease(connection: &mut dyn Connection, lease_ms: u32, shared: &Shared) -> Result<()> {
    let ours = shared.options.lease_ms;
    if u64::from(lease_ms) == ours {
        return Ok(());
    }
    let why =
        format!("the coordinator has a lease of {lease_ms} ms, this agent one of {ours}; give both the same");
    send(connection, &Message::Refused(why.clone()))?;
    Err(Error::argument(why))
}
