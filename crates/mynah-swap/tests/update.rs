//! Everything together: real manifests and streams, logs in files, a coordinator and three replicas, and a crash of
//! any of them at any log write.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use mynah_base::Rng;
use mynah_swap::delta::{MemorySink, apply, make};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::protocol::{
    Action, CommitMode, Config, Coordinator, FileLog, Log, Receiver, ReceiverAction, ReplicaId,
    ToCoordinator, ToReplica, UpdateSpec,
};
use mynah_swap::source::{MemorySource, TensorInfo, TensorSource};
use mynah_swap::{Error, ErrorKind, Hash, Manifest, Result};

type Version = (Manifest, MemorySource);

/// A log in a file that fails at its n-th write, before or after the bytes are there.
struct Fragile {
    log: FileLog,
    writes_left: Option<(u32, bool)>,
}

impl Log for Fragile {
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        self.log.read()
    }

    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        match &mut self.writes_left {
            Some((0, is_written)) => {
                if *is_written {
                    self.log.append(expected, record)?;
                }
                Err(Error::new(ErrorKind::Io, "the machine stops"))
            }
            Some((left, _)) => {
                *left -= 1;
                self.log.append(expected, record)
            }
            None => self.log.append(expected, record),
        }
    }

    fn count(&mut self) -> Result<u64> {
        self.log.count()
    }
}

struct Replica {
    /// Nothing while it is down.
    running: Option<(Receiver, Fragile)>,
    versions: HashMap<Hash, Version>,
}

struct Town {
    folder: PathBuf,
    coordinator: Option<(Coordinator, Fragile)>,
    replicas: Vec<Replica>,
    to_replicas: VecDeque<(usize, u64, ToReplica)>,
    to_coordinator: VecDeque<(ReplicaId, ToCoordinator)>,
    /// What the trainer offers: streams by base and target.
    streams: HashMap<(Hash, Hash), Vec<u8>>,
    bytes_moved: usize,
    now_ms: u64,
}

fn version(epoch: u64, parent: Option<&Version>) -> Version {
    let mut rng = Rng::new(epoch);
    let mut source = MemorySource::new();
    for name in ["embed", "head"] {
        let info = TensorInfo {
            name: name.to_string(),
            dtype: "BF16".parse().unwrap(),
            shape: vec![64, 32],
            part: None,
            group: None,
        };
        let old = parent.map(|(_, old)| old.bytes(source.tensors().len()).to_vec());
        let mut bytes = old.unwrap_or_else(|| vec![7; 4096]);
        for _ in 0..20 {
            let at = rng.index(bytes.len());
            bytes[at] ^= rng.next_u64() as u8;
        }
        source.add(info, bytes).unwrap();
    }
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let options = BuildOptions {
        epoch,
        parent: parent.map(|(manifest, _)| manifest.digest()),
        chunk_bytes: 1024,
        threads: 1,
        ..BuildOptions::default()
    };
    (build(&source, &identity, &options).unwrap(), source)
}

impl Town {
    fn new(folder: &Path, first: &Version) -> Self {
        let replica =
            || Replica { running: None, versions: HashMap::from([(first.0.digest(), first.clone())]) };
        let mut town = Self {
            folder: folder.to_path_buf(),
            coordinator: None,
            replicas: (0..3).map(|_| replica()).collect(),
            to_replicas: VecDeque::new(),
            to_coordinator: VecDeque::new(),
            streams: HashMap::new(),
            bytes_moved: 0,
            now_ms: 0,
        };
        town.lead();
        for index in 0..3 {
            town.start_replica(index, first.0.digest());
        }
        town
    }

    fn lead(&mut self) {
        let mut log =
            Fragile { log: FileLog::open(&self.folder.join("coordinator")).unwrap(), writes_left: None };
        let (coordinator, actions) = Coordinator::lead(0, &Config::default(), self.now_ms, &mut log).unwrap();
        let term = coordinator.term();
        self.coordinator = Some((coordinator, log));
        self.act(term, actions);
    }

    fn start_replica(&mut self, index: usize, otherwise: Hash) {
        let path = self.folder.join(format!("replica-{index}"));
        let mut log = Fragile { log: FileLog::open(&path).unwrap(), writes_left: None };
        let live = Receiver::last_live(&mut log).unwrap().unwrap_or(otherwise);
        let id = ReplicaId(index as u32);
        let opened = Receiver::open(id, &Config::default(), Some(live), self.now_ms, &mut log);
        let (receiver, actions) = opened.unwrap();
        self.replicas[index].running = Some((receiver, log));
        self.carry_out(index, actions);
    }

    fn act(&mut self, term: u64, actions: Vec<Action>) {
        for action in actions {
            if let Action::Send(to, message) = action {
                self.to_replicas.push_back((to.0 as usize, term, message));
            }
        }
    }

    fn carry_out(&mut self, index: usize, actions: Vec<ReceiverAction>) {
        for action in actions {
            let next = match action {
                ReceiverAction::Send(message) => {
                    self.to_coordinator.push_back((ReplicaId(index as u32), message));
                    continue;
                }
                ReceiverAction::Stage { epoch, target, is_retained, .. } => {
                    let staged = if is_retained { Ok(()) } else { self.fetch(index, target) };
                    let Some((receiver, _)) = &mut self.replicas[index].running else { return };
                    Ok(receiver.staged(epoch, staged))
                }
                ReceiverAction::CatchUp { version, .. } => {
                    let fetched = self.fetch(index, version);
                    let Some((receiver, log)) = &mut self.replicas[index].running else { return };
                    receiver.caught_up(version, fetched, log)
                }
                ReceiverAction::Flip { .. } => {
                    let Some((receiver, log)) = &mut self.replicas[index].running else { return };
                    receiver.flipped(log)
                }
                _ => continue,
            };
            match next {
                Ok(actions) => self.carry_out(index, actions),
                Err(_) => return self.replicas[index].running = None,
            }
        }
    }

    fn fetch(&mut self, index: usize, target: Hash) -> std::result::Result<(), String> {
        let replica = &mut self.replicas[index];
        if replica.versions.contains_key(&target) {
            return Ok(());
        }
        let live = replica.running.as_ref().and_then(|(receiver, _)| receiver.live()).ok_or("no weights")?;
        let base = &replica.versions[&live];
        let stream = self.streams.get(&(live, target)).ok_or("no stream leads there")?;
        let mut sink = MemorySink::new();
        let manifest = apply((&base.0, &base.1), &mut &stream[..], &mut sink).map_err(|e| e.to_string())?;
        self.bytes_moved += stream.len();
        let source = sink.into_source().map_err(|e| e.to_string())?;
        replica.versions.insert(manifest.digest(), (manifest, source));
        Ok(())
    }

    /// Delivers until nobody has anything to say; whoever's log fails is down.
    fn settle(&mut self) {
        loop {
            if let Some((index, term, message)) = self.to_replicas.pop_front() {
                let Some((receiver, log)) = &mut self.replicas[index].running else { continue };
                match receiver.handle(term, message, log) {
                    Ok(actions) => self.carry_out(index, actions),
                    Err(_) => self.replicas[index].running = None,
                }
            } else if let Some((from, message)) = self.to_coordinator.pop_front() {
                let Some((coordinator, log)) = &mut self.coordinator else { continue };
                let term = coordinator.term();
                match coordinator.handle(from, message, log) {
                    Ok(actions) => self.act(term, actions),
                    Err(_) => self.coordinator = None,
                }
            } else {
                return self.check();
            }
            self.check();
        }
    }

    fn tick(&mut self) {
        self.now_ms += 250;
        for index in 0..self.replicas.len() {
            let Some((receiver, _)) = &mut self.replicas[index].running else { continue };
            let actions = receiver.tick(self.now_ms);
            self.carry_out(index, actions);
        }
        if let Some((coordinator, log)) = &mut self.coordinator {
            let term = coordinator.term();
            match coordinator.tick(self.now_ms, log) {
                Ok(actions) => self.act(term, actions),
                Err(_) => self.coordinator = None,
            }
        }
        self.settle();
    }

    /// All who serve, serve the same.
    fn check(&self) {
        let mut served = self.replicas.iter().filter_map(|replica| replica.running.as_ref()?.0.serving());
        if let Some(first) = served.next() {
            assert!(served.all(|version| version == first), "two versions are served");
        }
    }

    fn start(&mut self, target: Hash, epoch: u64, is_rollback: bool) {
        let spec = UpdateSpec {
            target,
            epoch,
            is_rollback,
            mode: CommitMode::Barrier,
            canary: None,
            source: "trainer".to_string(),
        };
        let Some((coordinator, log)) = &mut self.coordinator else { return };
        let term = coordinator.term();
        match coordinator.start(spec, log) {
            Ok(actions) => self.act(term, actions),
            Err(_) => self.coordinator = None,
        }
        self.settle();
    }

    fn check_all_serve(&self, version: &Version) {
        for replica in &self.replicas {
            let (receiver, _) = replica.running.as_ref().unwrap();
            assert_eq!(receiver.serving(), Some(version.0.digest()), "{:?}", receiver.readiness());
            let held = &replica.versions[&version.0.digest()];
            for tensor in 0..2 {
                let name = &held.1.tensors()[tensor].name;
                let at = version.1.tensors().iter().position(|t| t.name == *name).unwrap();
                assert!(held.1.bytes(tensor) == version.1.bytes(at), "{name}");
            }
        }
    }
}

fn stream(from: &Version, to: &Version) -> Vec<u8> {
    let mut out = Vec::new();
    make((&from.0, &from.1), (&to.0, &to.1), &mut out).unwrap();
    out
}

#[test]
fn versions_come_and_go_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut newest = version(1, None);
    let mut town = Town::new(folder.path(), &newest);
    town.settle();
    town.check_all_serve(&newest);
    let mut before = newest.clone();
    for epoch in 2..12 {
        let next = version(epoch, Some(&newest));
        town.streams.insert((newest.0.digest(), next.0.digest()), stream(&newest, &next));
        town.start(next.0.digest(), epoch, false);
        town.check_all_serve(&next);
        before = std::mem::replace(&mut newest, next);
    }
    let moved = town.bytes_moved;
    town.start(before.0.digest(), 12, true);
    town.check_all_serve(&before);
    assert_eq!(town.bytes_moved, moved, "a rollback moves nothing");
}

#[test]
fn a_damaged_stream_on_one_replica_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let first = version(1, None);
    let mut town = Town::new(folder.path(), &first);
    town.settle();
    let second = version(2, Some(&first));
    let mut damaged = stream(&first, &second);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    town.streams.insert((first.0.digest(), second.0.digest()), damaged);
    town.start(second.0.digest(), 2, false);
    town.check_all_serve(&first);
    let (coordinator, _) = town.coordinator.as_ref().unwrap();
    assert_eq!(coordinator.outcome(2), Some(false));
}

/// Stops the coordinator (3) or a replica at its n-th log write during an update, starts it again, and sees that
/// all end on one version and the next update goes through.
#[test]
fn a_crash_at_any_write_ends_well() {
    let (mut crashes, mut commits) = (0, 0);
    for who in 0..4 {
        for write in 0..4 {
            for is_written in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let versions = {
                    let first = version(1, None);
                    let second = version(2, Some(&first));
                    let third = version(3, Some(&second));
                    [first, second, third]
                };
                let mut town = Town::new(folder.path(), &versions[0]);
                for (a, b) in [(0, 1), (1, 2), (0, 2), (1, 0)] {
                    let key = (versions[a].0.digest(), versions[b].0.digest());
                    town.streams.insert(key, stream(&versions[a], &versions[b]));
                }
                town.settle();
                let fragile = Some((write, is_written));
                match who {
                    3 => town.coordinator.as_mut().unwrap().1.writes_left = fragile,
                    _ => town.replicas[who].running.as_mut().unwrap().1.writes_left = fragile,
                }
                town.start(versions[1].0.digest(), 2, false);
                for _ in 0..12 {
                    town.tick();
                }
                let is_down = |replica: &Replica| replica.running.is_none();
                crashes += u32::from(town.coordinator.is_none() || town.replicas.iter().any(is_down));
                if town.coordinator.is_none() {
                    town.lead();
                }
                for index in 0..3 {
                    let replica = &mut town.replicas[index];
                    if let Some((_, log)) = &mut replica.running {
                        log.writes_left = None;
                    } else {
                        town.start_replica(index, versions[0].0.digest());
                    }
                }
                town.coordinator.as_mut().unwrap().1.writes_left = None;
                for _ in 0..100 {
                    town.tick();
                }
                let (coordinator, _) = town.coordinator.as_ref().unwrap();
                assert!(!coordinator.is_updating(), "who {who} write {write}");
                let is_new = coordinator.version() == Some(versions[1].0.digest());
                commits += u32::from(is_new);
                town.check_all_serve(&versions[usize::from(is_new)]);
                town.start(versions[2].0.digest(), 9, false);
                town.check_all_serve(&versions[2]);
            }
        }
    }
    // Both ends were seen, and most runs had a crash.
    assert!(crashes > 16 && commits > 8 && commits < 32, "{crashes} crashes, {commits} commits");
}
