//! The world: processes, network, disks, clocks, and what goes wrong with them.

use std::collections::{BinaryHeap, HashMap, VecDeque};

use mynah_base::Rng;

use super::parts::{Crash, Disk, Fetching, Happening, Node, Process, Queued, Replica, Truth};
use super::{Failure, SECONDS_A_SEED, SimulationStats};
use crate::manifest::{BuildOptions, Identity, build};
use crate::protocol::{
    Action, CanarySpec, CanaryStats, CommitMode, Config, Coordinator, CoordinatorRecord, Event, Fetch,
    FetchLimits, Log, Mutation, Receiver, ReceiverAction, ReplicaId, ToCoordinator, UpdateSpec,
};
use crate::source::{MemorySource, TensorInfo};
use crate::{ErrorKind, Hash, Manifest, Result};

const COORDINATORS: usize = 2;
/// Nothing breaks any more from here on.
const QUIET_MS: u64 = (SECONDS_A_SEED - 45) * 1_000;
const LAST_UPDATE_MS: u64 = (SECONDS_A_SEED - 20) * 1_000;
const END_MS: u64 = SECONDS_A_SEED * 1_000;
const TRACE_LINES: usize = 100;
/// The trainer, which every version can be fetched from.
const SOURCE: u32 = u32::MAX;

struct World {
    rng: Rng,
    now_ms: u64,
    order: u64,
    queue: BinaryHeap<Queued>,
    config: Config,
    mode: CommitMode,
    loss: f64,
    delay_ms_max: u64,
    processes: Vec<Process>,
    coordinators: Vec<Option<Coordinator>>,
    replicas: Vec<Replica>,
    log: Disk,
    truth: Truth,
    versions: HashMap<Hash, (Manifest, Vec<Vec<u8>>)>,
    epoch: u64,
    has_nan: bool,
    stats: SimulationStats,
    trace: Option<VecDeque<String>>,
    broken: Option<String>,
}

/// Runs one seed to its end.
///
/// # Errors
/// The promise that was broken; with `is_traced` also how it came to it.
pub fn run_seed(
    seed: u64,
    mutation: Mutation,
    is_traced: bool,
) -> std::result::Result<SimulationStats, Failure> {
    let mut world = World::new(seed, mutation, is_traced);
    world.run();
    match world.broken.take() {
        None => Ok(world.stats),
        Some(what) => {
            let trace = world.trace.unwrap_or_default().into();
            Err(Failure { seed, at_ms: world.now_ms, what, trace })
        }
    }
}

macro_rules! trace {
    ($world:expr, $($arguments:tt)*) => {
        if $world.trace.is_some() {
            let line = format!($($arguments)*);
            $world.write_trace(line);
        }
    };
}

impl World {
    fn new(seed: u64, mutation: Mutation, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed ^ 0x6d79_6e61_6821);
        let replicas = 2 + rng.index(4);
        let config = Config {
            tick_ms: 250,
            heartbeat_ms: 500,
            lease_ms: 2_000,
            resend_ms: 300,
            enroll_ms_max: 2_500,
            stage_ms_max: 8_000,
            hold_ms_max: 1_500,
            replicas_min: 1,
            may_leave_out: rng.chance(0.8),
            mutation,
        };
        let mode = if rng.chance(0.8) { CommitMode::Barrier } else { CommitMode::Rolling };
        let process =
            |_| Process { is_up: false, paused_until_ms: 0, is_stopped: false, clock_offset_ms: 0, part: 0 };
        let replica = |_| Replica {
            receiver: None,
            disk: Disk::default(),
            weights: HashMap::new(),
            fetch: None,
            served: None,
            canary: CanaryStats::default(),
        };
        let (loss, delay_ms_max) = (*rng.choose(&[0.0, 0.01, 0.1, 0.3]), *rng.choose(&[5, 50, 400]));
        let mut world = Self {
            rng,
            now_ms: 0,
            order: 0,
            queue: BinaryHeap::new(),
            config,
            mode,
            loss,
            delay_ms_max,
            processes: (0..COORDINATORS + replicas).map(process).collect(),
            coordinators: (0..COORDINATORS).map(|_| None).collect(),
            replicas: (0..replicas).map(replica).collect(),
            log: Disk::default(),
            truth: Truth::default(),
            versions: HashMap::new(),
            epoch: 0,
            has_nan: false,
            stats: SimulationStats { simulated_seconds: SECONDS_A_SEED, ..SimulationStats::default() },
            trace: is_traced.then(VecDeque::new),
            broken: None,
        };
        let first = world.new_version();
        for index in 0..replicas {
            // Some servers start without weights, or with others.
            let version = if index == 0 || world.rng.chance(0.7) { first } else { world.new_version() };
            let bytes = world.versions[&version].1.clone();
            world.replicas[index].weights.insert(version, bytes);
            world.restart_replica(index, Some(version));
        }
        for node in 0..COORDINATORS + replicas {
            world.processes[node].is_up = true;
            let at_ms = world.rng.below(250);
            world.put(at_ms, Happening::Tick(node));
        }
        world.put(0, Happening::Lead(0));
        world.put(1_000, Happening::Update);
        world.put(500, Happening::Chaos);
        world
    }

    fn write_trace(&mut self, line: String) {
        let now_ms = self.now_ms;
        if let Some(lines) = &mut self.trace {
            if lines.len() == TRACE_LINES {
                lines.pop_front();
            }
            lines.push_back(format!("{now_ms:6} {line}"));
        }
    }

    fn put(&mut self, delay_ms: u64, happening: Happening) {
        self.order += 1;
        self.queue.push(Queued { at_ms: self.now_ms + delay_ms, order: self.order, happening });
    }

    fn is_quiet(&self) -> bool {
        self.now_ms >= QUIET_MS
    }

    /// A version of three chunks.
    fn new_version(&mut self) -> Hash {
        let bytes: Vec<u8> = (0..24).flat_map(|_| self.rng.next_u64().to_le_bytes()).collect();
        let info = TensorInfo {
            name: "w".to_string(),
            dtype: "U8".parse().unwrap_or_else(|_| unreachable!("U8 is in the table")),
            shape: vec![192],
            part: None,
            group: None,
        };
        let mut source = MemorySource::new();
        let added = source.add(info, bytes.clone());
        let identity = Identity { model: "toy".to_string(), ..Identity::default() };
        let options = BuildOptions { epoch: 1, chunk_bytes: 64, threads: 1, ..BuildOptions::default() };
        let manifest = added.and_then(|()| build(&source, &identity, &options));
        let manifest = manifest.unwrap_or_else(|e| unreachable!("a version of three chunks: {e}"));
        let digest = manifest.digest();
        self.versions.insert(digest, (manifest, bytes.chunks(64).map(<[u8]>::to_vec).collect()));
        digest
    }

    fn run(&mut self) {
        while let Some(queued) = self.queue.pop() {
            if queued.at_ms >= END_MS || self.broken.is_some() {
                break;
            }
            self.now_ms = queued.at_ms;
            self.stats.events += 1;
            self.happen(queued.happening);
        }
        if self.broken.is_none() {
            self.now_ms = END_MS;
            self.check_end();
        }
    }

    fn happen(&mut self, happening: Happening) {
        // A process that is stopped finds its messages later; its timer comes first.
        let node = match &happening {
            Happening::Tick(node) => Some(*node),
            Happening::ToReplica(index, ..) | Happening::Chunk { to: index, .. } => {
                Some(COORDINATORS + index)
            }
            Happening::Ask { to, .. } if *to != SOURCE => Some(COORDINATORS + *to as usize),
            Happening::ToCoordinator(index, ..) | Happening::Lead(index) => Some(*index),
            _ => None,
        };
        if let Some(node) = node
            && self.processes[node].paused_until_ms > self.now_ms
        {
            let later = u64::from(!matches!(happening, Happening::Tick(_)));
            let delay_ms = self.processes[node].paused_until_ms - self.now_ms + later;
            return self.put(delay_ms, happening);
        }
        match happening {
            Happening::Tick(node) => self.tick(node),
            Happening::ToReplica(index, from, term, message) => {
                if self.is_up(COORDINATORS + index) {
                    trace!(self, "replica {index} <- coordinator {from} term {term}: {message:?}");
                    self.on_replica(index, |receiver, _, log| receiver.handle(term, message, log));
                }
            }
            Happening::ToCoordinator(index, from, message) => {
                if self.is_up(index) {
                    if self.coordinators[index].is_some() {
                        trace!(self, "coordinator {index} <- {from}: {message:?}");
                    }
                    self.on_coordinator(index, |coordinator, _, log| coordinator.handle(from, message, log));
                }
            }
            Happening::Ask { to, from, version, chunk } => self.asked(to, from, version, chunk),
            Happening::Chunk { to, from, version, chunk, bytes } => {
                self.chunk_came(to, from, version, chunk, bytes)
            }
            Happening::Restart(node) => self.restart(node),
            Happening::Lead(index) => self.lead(index),
            Happening::Update => self.update(),
            Happening::Chaos => self.chaos(),
        }
    }

    fn is_up(&self, node: Node) -> bool {
        self.processes[node].is_up
    }

    fn clock(&self, node: Node) -> u64 {
        (self.now_ms as i64 + 10_000_000 + self.processes[node].clock_offset_ms).max(0) as u64
    }

    fn tick(&mut self, node: Node) {
        // Timers are a little early and never late.
        let next_ms = self.config.tick_ms - self.rng.below(self.config.tick_ms / 4);
        self.put(next_ms, Happening::Tick(node));
        self.processes[node].is_stopped = false;
        if !self.is_up(node) {
            return;
        }
        if node < COORDINATORS {
            self.on_coordinator(node, |coordinator, now_ms, log| coordinator.tick(now_ms, log));
            return;
        }
        let index = node - COORDINATORS;
        self.on_replica(index, |receiver, now_ms, _| Ok(receiver.tick(now_ms)));
        self.ask_for_chunks(index);
        self.report_canary(index);
    }

    fn report_canary(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let Some(receiver) = &replica.receiver else { return };
        let Some((version, _)) = receiver.canary() else { return };
        replica.canary.requests += 10;
        replica.canary.base_requests += 90;
        replica.canary.nans += u64::from(self.has_nan);
        let report = receiver.canary_report(replica.canary);
        let is_right = replica.weights.get(&version) == self.versions.get(&version).map(|known| &known.1);
        if !is_right {
            self.broken = Some(format!("replica {index} answers canary requests with bytes nobody verified"));
        }
        if let Some(report) = report {
            self.send_to_coordinators(index, report);
        }
    }

    /// Gives the coordinator an input and carries out what it says.
    fn on_coordinator(
        &mut self,
        index: usize,
        input: impl FnOnce(&mut Coordinator, u64, &mut dyn Log) -> Result<Vec<Action>>,
    ) {
        let now_ms = self.clock(index);
        self.arm(true, 0);
        let Some(coordinator) = &mut self.coordinators[index] else {
            self.log.next_write = None;
            return;
        };
        let term = coordinator.term();
        let result = input(coordinator, now_ms, &mut self.log);
        self.log.next_write = None;
        self.read_truth();
        match result {
            Ok(actions) => self.act(index, term, actions),
            Err(error) if error.kind() == ErrorKind::Stale => {
                trace!(self, "coordinator {index} was passed");
                self.coordinators[index] = None;
            }
            Err(error) if error.kind() == ErrorKind::Io => self.crash(index),
            Err(error) => self.broken = Some(format!("coordinator {index}: {error}")),
        }
    }

    fn act(&mut self, index: usize, term: u64, actions: Vec<Action>) {
        if self.truth.leaders.get(&term).is_some_and(|leader| *leader != index as u32) && !actions.is_empty()
        {
            self.broken = Some(format!("two coordinators lead in term {term}"));
        }
        for action in actions {
            if self.crashes_now(0.0005) {
                return self.crash(index);
            }
            match action {
                Action::Send(to, message) => {
                    let to = to.0 as usize;
                    for delay_ms in self.deliveries(index, COORDINATORS + to) {
                        self.put(delay_ms, Happening::ToReplica(to, index, term, message.clone()));
                    }
                }
                Action::Report(event) => {
                    trace!(self, "coordinator {index}: {event:?}");
                    match event {
                        Event::Joined(_) => self.stats.joins += 1,
                        Event::Left(..) => self.stats.left_out += 1,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Gives the receiver an input and carries out what it says.
    fn on_replica(
        &mut self,
        index: usize,
        input: impl FnOnce(&mut Receiver, u64, &mut dyn Log) -> Result<Vec<ReceiverAction>>,
    ) {
        let now_ms = self.clock(COORDINATORS + index);
        self.arm(false, index);
        let replica = &mut self.replicas[index];
        let Some(receiver) = &mut replica.receiver else { return };
        let result = input(receiver, now_ms, &mut replica.disk);
        replica.disk.next_write = None;
        match result {
            Ok(actions) => self.carry_out(index, actions),
            Err(error) if error.kind() == ErrorKind::Io => self.crash(COORDINATORS + index),
            Err(error) => self.broken = Some(format!("replica {index}: {error}")),
        }
        self.check_served(index);
    }

    fn carry_out(&mut self, index: usize, actions: Vec<ReceiverAction>) {
        for action in actions {
            if self.crashes_now(0.0005) {
                return self.crash(COORDINATORS + index);
            }
            match action {
                ReceiverAction::Send(message) => {
                    self.stats.vetoes += u64::from(matches!(message, ToCoordinator::Veto { .. }));
                    self.send_to_coordinators(index, message);
                }
                ReceiverAction::Stage { epoch, target, is_retained, .. } => {
                    self.replicas[index].canary = CanaryStats::default();
                    let has_it = is_retained && self.replicas[index].weights.contains_key(&target);
                    if has_it {
                        self.on_replica(index, |receiver, _, _| Ok(receiver.staged(epoch, Ok(()))));
                    } else {
                        self.fetch(index, target, Some(epoch), vec![SOURCE], is_retained);
                    }
                }
                ReceiverAction::CatchUp { version, peers } => {
                    let mut peers: Vec<u32> = peers.into_iter().map(|peer| peer.0).collect();
                    if peers.is_empty() {
                        peers.push(SOURCE);
                    }
                    self.fetch(index, version, None, peers, false);
                }
                ReceiverAction::Discard { target } => {
                    let replica = &mut self.replicas[index];
                    replica.fetch.take_if(|fetch| fetch.version == target);
                    let keeps = replica.receiver.as_ref().is_some_and(|receiver| {
                        receiver.live() == Some(target) || receiver.previous() == Some(target)
                    });
                    if !keeps {
                        replica.weights.remove(&target);
                    }
                }
                ReceiverAction::Flip { .. } => {
                    let replica = &mut self.replicas[index];
                    let kept =
                        replica.receiver.as_ref().map(|receiver| (receiver.live(), receiver.previous()));
                    if let Some((live, previous)) = kept {
                        replica
                            .weights
                            .retain(|version, _| Some(*version) == live || Some(*version) == previous);
                    }
                    self.check_served(index);
                    if self.crashes_now(0.02) {
                        return self.crash(COORDINATORS + index);
                    }
                    self.on_replica(index, |receiver, _, log| receiver.flipped(log));
                }
                ReceiverAction::ServingChanged => {}
            }
        }
    }

    fn fetch(&mut self, index: usize, version: Hash, epoch: Option<u64>, peers: Vec<u32>, is_rollback: bool) {
        let chunks = self.versions[&version].1.len();
        let limits = FetchLimits { per_peer_max: 2, interval_ms: 0, timeout_ms: 1_000, timeouts_max: 3 };
        let fetch = Fetch::new(0..chunks as u32, peers, limits);
        let chunks = vec![Vec::new(); chunks];
        self.replicas[index].fetch = Some(Fetching { version, epoch, is_rollback, fetch, chunks });
        self.ask_for_chunks(index);
    }

    fn ask_for_chunks(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let Some(fetching) = &mut self.replicas[index].fetch else { return };
        let version = fetching.version;
        let requests = fetching.fetch.poll(now_ms);
        let is_stuck = fetching.fetch.is_stuck();
        for request in requests {
            let to = if request.peer == SOURCE {
                COORDINATORS + index
            } else {
                COORDINATORS + request.peer as usize
            };
            for delay_ms in self.deliveries(COORDINATORS + index, to) {
                let ask = Happening::Ask { to: request.peer, from: index, version, chunk: request.chunk };
                self.put(delay_ms, ask);
            }
        }
        if is_stuck {
            self.end_fetch(index, Err("nobody is left to fetch from".to_string()));
        }
    }

    fn asked(&mut self, to: u32, from: usize, version: Hash, chunk: u32) {
        let known = if to == SOURCE {
            self.versions.get(&version).map(|known| &known.1)
        } else if self.is_up(COORDINATORS + to as usize) {
            self.replicas[to as usize].weights.get(&version)
        } else {
            return;
        };
        let mut bytes = known.and_then(|chunks| chunks.get(chunk as usize)).cloned();
        // Damaged on the way, or by who sends it.
        if !self.is_quiet()
            && let Some(bytes) = &mut bytes
            && self.rng.chance(0.004)
        {
            let at = self.rng.index(bytes.len());
            bytes[at] ^= 1 << self.rng.index(8);
        }
        let sender = if to == SOURCE { COORDINATORS + from } else { COORDINATORS + to as usize };
        for delay_ms in self.deliveries(sender, COORDINATORS + from) {
            let bytes = bytes.clone();
            self.put(delay_ms, Happening::Chunk { to: from, from: to, version, chunk, bytes });
        }
    }

    fn chunk_came(&mut self, index: usize, from: u32, version: Hash, chunk: u32, bytes: Option<Vec<u8>>) {
        let skips = self.config.mutation == Mutation::SkipVerification;
        let manifest = &self.versions[&version].0;
        let Some(fetching) = self.replicas[index].fetch.as_mut().filter(|fetch| fetch.version == version)
        else {
            return;
        };
        let Some(bytes) = bytes else {
            fetching.fetch.drop_peer(from);
            return self.ask_for_chunks(index);
        };
        self.stats.bytes_fetched += bytes.len() as u64;
        if fetching.is_rollback {
            self.stats.bytes_fetched_for_rollbacks += bytes.len() as u64;
        }
        let is_right = skips || manifest.check_chunk(0, chunk as usize, &bytes).is_ok();
        self.stats.chunks_refused += u64::from(!is_right);
        if fetching.fetch.came(from, chunk, is_right) {
            fetching.chunks[chunk as usize] = bytes;
        }
        if fetching.fetch.missing() == 0 {
            self.end_fetch(index, Ok(()));
        } else {
            self.ask_for_chunks(index);
        }
    }

    fn end_fetch(&mut self, index: usize, result: std::result::Result<(), String>) {
        let Some(fetching) = self.replicas[index].fetch.take() else { return };
        let version = fetching.version;
        if result.is_ok() {
            self.replicas[index].weights.insert(version, fetching.chunks);
        }
        match fetching.epoch {
            Some(epoch) => self.on_replica(index, |receiver, _, _| Ok(receiver.staged(epoch, result))),
            None => self.on_replica(index, |receiver, _, log| receiver.caught_up(version, result, log)),
        }
    }

    fn send_to_coordinators(&mut self, index: usize, message: ToCoordinator) {
        for to in 0..COORDINATORS {
            for delay_ms in self.deliveries(COORDINATORS + index, to) {
                self.put(delay_ms, Happening::ToCoordinator(to, ReplicaId(index as u32), message.clone()));
            }
        }
    }

    /// When a message arrives: never, once or twice.
    fn deliveries(&mut self, from: Node, to: Node) -> Vec<u64> {
        self.stats.messages += 1;
        let is_cut = self.processes[from].part != self.processes[to].part;
        if is_cut || (!self.is_quiet() && self.rng.chance(self.loss)) {
            self.stats.lost += 1;
            return Vec::new();
        }
        let mut delays = vec![1 + self.rng.below(self.delay_ms_max)];
        if !self.is_quiet() && self.rng.chance(0.02) {
            // Very late, so that it meets another time.
            delays[0] += self.rng.below(15_000);
        }
        if !self.is_quiet() && self.rng.chance(0.03) {
            self.stats.duplicated += 1;
            delays.push(1 + self.rng.below(self.delay_ms_max) + self.rng.below(10_000));
        }
        delays
    }

    fn crashes_now(&mut self, chance: f64) -> bool {
        !self.is_quiet() && self.rng.chance(chance)
    }

    /// Decides whether the next log write is the process's last.
    fn arm(&mut self, is_coordinator: bool, index: usize) {
        let written = if self.rng.chance(0.5) { self.rng.below(1_001) } else { self.rng.below(2) * 1_000 };
        let crash = self.crashes_now(0.01).then_some(Crash(written));
        let disk = if is_coordinator { &mut self.log } else { &mut self.replicas[index].disk };
        disk.next_write = crash;
    }

    fn crash(&mut self, node: Node) {
        if !self.processes[node].is_up {
            return;
        }
        trace!(self, "process {node} crashes");
        self.stats.crashes += 1;
        self.processes[node].is_up = false;
        if node < COORDINATORS {
            self.coordinators[node] = None;
        } else {
            let left = if self.rng.chance(0.5) { self.rng.below(1_001) } else { 0 };
            let replica = &mut self.replicas[node - COORDINATORS];
            replica.disk.stop(left);
            replica.receiver = None;
            replica.fetch = None;
            replica.served = None;
        }
        let delay_ms = 200 + self.rng.below(8_000);
        self.put(delay_ms, Happening::Restart(node));
    }

    fn restart(&mut self, node: Node) {
        if self.processes[node].is_up {
            return;
        }
        trace!(self, "process {node} starts");
        self.processes[node].is_up = true;
        self.processes[node].paused_until_ms = 0;
        if node < COORDINATORS {
            return self.lead(node);
        }
        let index = node - COORDINATORS;
        let last = Receiver::last_live(&mut self.replicas[index].disk).unwrap_or_default();
        let known = |version: &Hash| self.replicas[index].weights.contains_key(version);
        let live = last.filter(known).or_else(|| self.replicas[index].weights.keys().min().copied());
        self.restart_replica(index, live);
    }

    fn restart_replica(&mut self, index: usize, live: Option<Hash>) {
        let now_ms = self.clock(COORDINATORS + index);
        let replica = &mut self.replicas[index];
        // A loader checks what it loads; what does not fit is no version.
        let is_right = |version: &Hash| {
            self.config.mutation == Mutation::SkipVerification
                || replica.weights.get(version) == self.versions.get(version).map(|known| &known.1)
        };
        let live = live.filter(is_right);
        let id = ReplicaId(index as u32);
        match Receiver::open(id, &self.config, live, now_ms, &mut replica.disk) {
            Ok((receiver, actions)) => {
                replica.receiver = Some(receiver);
                self.carry_out(index, actions);
                self.check_served(index);
            }
            Err(error) => self.broken = Some(format!("replica {index} does not start: {error}")),
        }
    }

    fn lead(&mut self, index: usize) {
        if !self.is_up(index) || self.coordinators[index].is_some() {
            return;
        }
        self.arm(true, 0);
        let now_ms = self.clock(index);
        let led = Coordinator::lead(index as u32, &self.config, now_ms, &mut self.log);
        self.log.next_write = None;
        self.read_truth();
        match led {
            Ok((coordinator, actions)) => {
                let term = coordinator.term();
                trace!(self, "coordinator {index} leads in term {term}");
                self.stats.terms += 1;
                self.coordinators[index] = Some(coordinator);
                self.act(index, term, actions);
            }
            Err(error) if error.kind() == ErrorKind::Io => self.crash(index),
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => self.broken = Some(format!("coordinator {index} does not lead: {error}")),
        }
    }

    /// Reads what was appended to the coordinators' log.
    fn read_truth(&mut self) {
        while let Some(record) = self.log.records.get(self.truth.seen) {
            self.truth.seen += 1;
            let Ok(record) = CoordinatorRecord::parse(record) else {
                self.broken = Some("the log holds a record that cannot be read".to_string());
                return;
            };
            match record {
                CoordinatorRecord::Term { term, coordinator } => {
                    if self.truth.leaders.insert(term, coordinator).is_some() {
                        self.broken = Some(format!("term {term} was taken twice"));
                    }
                }
                CoordinatorRecord::Adopt { version } => self.truth.version = Some(version),
                CoordinatorRecord::Begin { epoch, target, .. } => {
                    self.stats.updates += 1;
                    self.truth.open = Some((epoch, target));
                }
                CoordinatorRecord::Decide { is_commit: true, .. } => {
                    self.stats.commits += 1;
                    let target = self.truth.open.map(|(_, target)| target);
                    self.truth.is_committing = true;
                    self.stats.rollbacks += u64::from(target == self.truth.previous);
                    self.truth.previous = std::mem::replace(&mut self.truth.version, target);
                }
                CoordinatorRecord::Decide { .. } => {
                    self.stats.aborts += 1;
                    self.truth.open = None;
                    self.truth.is_committing = false;
                }
                CoordinatorRecord::Close { .. } => {
                    self.truth.open = None;
                    self.truth.is_committing = false;
                }
                CoordinatorRecord::Join { .. }
                | CoordinatorRecord::Leave { .. }
                | CoordinatorRecord::Snapshot(_) => {}
            }
            for index in 0..self.replicas.len() {
                self.check_served(index);
            }
        }
    }

    fn check_served(&mut self, index: usize) {
        let is_stopped = self.processes[COORDINATORS + index].is_stopped;
        let replica = &mut self.replicas[index];
        let served = replica.receiver.as_ref().filter(|_| !is_stopped).and_then(Receiver::serving);
        let has_changed = replica.served != served;
        replica.served = served;
        let Some(version) = served else {
            if has_changed {
                trace!(self, "replica {index} serves nothing");
            }
            return;
        };
        if has_changed {
            trace!(self, "replica {index} serves {version:?}");
            let replica = &self.replicas[index];
            if replica.weights.get(&version) != self.versions.get(&version).map(|known| &known.1) {
                self.broken = Some(format!("replica {index} serves bytes nobody verified"));
            }
        }
        let is_old = self.mode == CommitMode::Rolling
            && self.truth.is_committing
            && self.truth.previous == Some(version);
        if self.truth.version != Some(version) && !is_old {
            self.broken = Some(format!(
                "replica {index} serves {version:?}, the log says {:?} (before: {:?})",
                self.truth.version, self.truth.previous
            ));
        }
    }

    /// Somebody starts or aborts an update.
    fn update(&mut self) {
        let next_ms = 1_500 + self.rng.below(6_000);
        if self.now_ms + next_ms < QUIET_MS {
            self.put(next_ms, Happening::Update);
        } else if self.now_ms < LAST_UPDATE_MS {
            self.put(LAST_UPDATE_MS - self.now_ms, Happening::Update);
        }
        let leading: Vec<usize> =
            (0..COORDINATORS).filter(|&index| self.coordinators[index].is_some()).collect();
        if leading.is_empty() {
            return;
        }
        let index = *self.rng.choose(&leading);
        if self.rng.chance(0.1) && !self.is_quiet() {
            return self.on_coordinator(index, |coordinator, _, log| {
                allow_refusal(coordinator.abort("an operator wants it so", log))
            });
        }
        // The trainer counts on from the highest epoch it knows.
        let known = self.coordinators[index].as_ref().map_or(0, Coordinator::epoch_highest);
        self.epoch = self.epoch.max(known) + 1;
        let previous = self.coordinators[index].as_ref().and_then(Coordinator::previous);
        let rollback = previous.filter(|_| self.rng.chance(0.3));
        let target = rollback.unwrap_or_else(|| self.new_version());
        let canary = self.rng.chance(0.25).then_some(CanarySpec {
            share_ppm: 100_000,
            duration_ms_min: 1_000,
            requests_min: 20,
            errors_ppm_max: 10_000,
            mismatches_ppm_max: 0,
        });
        self.has_nan = canary.is_some() && !self.is_quiet() && self.rng.chance(0.3);
        let spec = UpdateSpec {
            target,
            epoch: self.epoch,
            is_rollback: rollback.is_some(),
            mode: self.mode,
            canary,
            source: "trainer".to_string(),
        };
        trace!(self, "update {} to {target:?} asked of coordinator {index}", spec.epoch);
        self.on_coordinator(index, |coordinator, _, log| allow_refusal(coordinator.start(spec, log)));
    }

    /// Something goes wrong, or everything is mended.
    fn chaos(&mut self) {
        if self.is_quiet() {
            return self.mend();
        }
        let next_ms = (300 + self.rng.below(3_000)).min(QUIET_MS - self.now_ms);
        self.put(next_ms, Happening::Chaos);
        let node = self.rng.index(self.processes.len());
        match self.rng.index(12) {
            0 | 1 => self.crash(node),
            2 | 3 => {
                trace!(self, "the network is cut");
                self.stats.partitions += 1;
                for process in &mut self.processes {
                    process.part = self.rng.below(2) as u8;
                }
            }
            4..=6 => self.processes.iter_mut().for_each(|process| process.part = 0),
            7 | 8 => {
                // A clock that is set while its process is stopped cannot be told from a stop that was shorter.
                if self.processes[node].paused_until_ms <= self.now_ms {
                    self.stats.clock_jumps += 1;
                    let jump_ms = self.rng.below(120_000) as i64 - 60_000;
                    trace!(self, "the clock of process {node} jumps by {jump_ms} ms");
                    self.processes[node].clock_offset_ms += jump_ms;
                }
            }
            9 => {
                self.stats.pauses += 1;
                let stop_ms = self.rng.below(6_000);
                trace!(self, "process {node} stops for {stop_ms} ms");
                self.processes[node].paused_until_ms = self.now_ms + stop_ms;
                self.processes[node].is_stopped = true;
                if node >= COORDINATORS {
                    self.check_served(node - COORDINATORS);
                }
            }
            10 => {
                let index = self.rng.index(COORDINATORS);
                self.lead(index);
            }
            _ => self.evict_somebody(),
        }
    }

    /// An operator who sees that a process is down says so.
    fn evict_somebody(&mut self) {
        let down = (0..self.replicas.len()).find(|index| !self.is_up(COORDINATORS + index));
        let leader = (0..COORDINATORS).find(|&index| self.coordinators[index].is_some());
        if let (Some(down), Some(leader)) = (down, leader) {
            let replica = ReplicaId(down as u32);
            self.on_coordinator(leader, |coordinator, _, log| {
                allow_refusal(coordinator.evict(replica, "an operator says it is off", log))
            });
        }
    }

    fn mend(&mut self) {
        trace!(self, "everything is mended");
        self.delay_ms_max = 20;
        // A process that is stopped goes on when its time has come, with its timer first.
        self.processes.iter_mut().for_each(|process| process.part = 0);
        for node in 0..self.processes.len() {
            if !self.is_up(node) {
                self.restart(node);
            }
        }
        if self.coordinators.iter().all(Option::is_none) {
            self.lead(0);
        }
    }

    fn check_end(&mut self) {
        let disks = self.replicas.iter().map(|replica| &replica.disk).chain([&self.log]);
        self.stats.torn_writes = disks.map(|disk| disk.torn_writes).sum();
        let version = self.truth.version;
        for (index, replica) in self.replicas.iter().enumerate() {
            let serving = replica.receiver.as_ref().and_then(Receiver::serving);
            if serving != version {
                let why = replica.receiver.as_ref().map(Receiver::readiness);
                self.broken =
                    Some(format!("in the end replica {index} serves {serving:?}, not {version:?}: {why:?}"));
                return;
            }
        }
        if let Some((epoch, _)) = self.truth.open {
            self.broken = Some(format!("update {epoch} never ends"));
        }
        // The last update was begun by who believed to lead; that belief may have been wrong once.
        let last = self
            .coordinators
            .iter()
            .flatten()
            .filter_map(|coordinator| coordinator.outcome(self.epoch))
            .next();
        if last == Some(false) {
            self.broken = Some(format!("update {} was aborted although nothing was broken", self.epoch));
        }
    }
}

/// To be told no is no failure.
fn allow_refusal(result: Result<Vec<Action>>) -> Result<Vec<Action>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::State | ErrorKind::Argument) => Ok(Vec::new()),
        other => other,
    }
}
