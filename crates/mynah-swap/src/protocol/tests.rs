//! The protocol step by step, without a world around it.

use mynah_base::Rng;

use super::*;
use crate::{ErrorKind, Hash};

fn hash(name: &str) -> Hash {
    Hash::of(name.as_bytes())
}

/// Everything that is said is heard at once.
struct Calm {
    coordinator: Coordinator,
    log: MemoryLog,
    receivers: Vec<(Receiver, MemoryLog)>,
    events: Vec<Event>,
    staged: Vec<(usize, bool)>,
    vetoes: Option<(usize, String)>,
    now_ms: u64,
}

impl Calm {
    fn new(lives: &[&str]) -> Self {
        let config = Config::default();
        let mut log = MemoryLog::new();
        let (coordinator, _) = Coordinator::lead(0, &config, 0, &mut log).unwrap();
        let mut calm = Self {
            coordinator,
            log,
            receivers: Vec::new(),
            events: Vec::new(),
            staged: Vec::new(),
            vetoes: None,
            now_ms: 0,
        };
        for live in lives {
            calm.add(live);
        }
        calm
    }

    fn add(&mut self, live: &str) {
        let (index, mut log) = (self.receivers.len(), MemoryLog::new());
        let id = ReplicaId(index as u32);
        let (receiver, actions) =
            Receiver::open(id, &Config::default(), Some(hash(live)), 0, &mut log).unwrap();
        self.receivers.push((receiver, log));
        self.carry_out(index, actions);
    }

    fn carry_out(&mut self, index: usize, actions: Vec<ReceiverAction>) {
        for action in actions {
            let (receiver, log) = &mut self.receivers[index];
            let next = match action {
                ReceiverAction::Send(message) => {
                    let bytes = message.to_bytes();
                    assert_eq!(ToCoordinator::parse(&bytes).unwrap(), message);
                    let from = ReplicaId(index as u32);
                    let actions = self.coordinator.handle(from, message, &mut self.log).unwrap();
                    self.act(actions);
                    continue;
                }
                ReceiverAction::Stage { epoch, is_retained, .. } => {
                    self.staged.push((index, is_retained));
                    match self.vetoes.clone().filter(|veto| veto.0 == index) {
                        Some((_, reason)) => receiver.staged(epoch, Err(reason)),
                        None => receiver.staged(epoch, Ok(())),
                    }
                }
                ReceiverAction::CatchUp { version, .. } => receiver.caught_up(version, Ok(()), log).unwrap(),
                ReceiverAction::Flip { .. } => receiver.flipped(log).unwrap(),
                _ => continue,
            };
            self.carry_out(index, next);
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        let term = self.coordinator.term();
        for action in actions {
            match action {
                Action::Send(to, message) => {
                    let bytes = message.to_bytes(term);
                    assert_eq!(ToReplica::parse(&bytes).unwrap(), (term, message.clone()));
                    let (receiver, log) = &mut self.receivers[to.0 as usize];
                    let actions = receiver.handle(term, message, log).unwrap();
                    self.carry_out(to.0 as usize, actions);
                }
                Action::Report(event) => self.events.push(event),
            }
        }
    }

    fn start(
        &mut self,
        target: &str,
        epoch: u64,
        is_rollback: bool,
        canary: Option<CanarySpec>,
    ) -> crate::Result<()> {
        let spec = UpdateSpec {
            target: hash(target),
            epoch,
            is_rollback,
            mode: CommitMode::Barrier,
            canary,
            source: "here".to_string(),
        };
        let actions = self.coordinator.start(spec, &mut self.log)?;
        self.act(actions);
        Ok(())
    }

    fn tick(&mut self) {
        self.now_ms += 250;
        for index in 0..self.receivers.len() {
            let actions = self.receivers[index].0.tick(self.now_ms);
            self.carry_out(index, actions);
        }
        let actions = self.coordinator.tick(self.now_ms, &mut self.log).unwrap();
        self.act(actions);
    }

    fn check_serving(&self, version: &str) {
        for (receiver, _) in &self.receivers {
            assert_eq!(receiver.serving(), Some(hash(version)), "{:?}", receiver.readiness());
            receiver.readiness().unwrap();
        }
    }
}

#[test]
fn an_update_commits_everywhere() {
    let mut calm = Calm::new(&["a", "a", "other"]);
    calm.check_serving("a");
    calm.start("b", 5, false, None).unwrap();
    calm.check_serving("b");
    assert!(!calm.coordinator.is_updating());
    assert_eq!(calm.coordinator.outcome(5), Some(true));
    assert!(calm.events.contains(&Event::Closed { epoch: 5 }));
    // Back again, and no byte moves.
    calm.staged.clear();
    calm.start("a", 6, true, None).unwrap();
    calm.check_serving("a");
    assert!(calm.staged.iter().all(|(_, is_retained)| *is_retained) && calm.staged.len() == 3);
    // A joiner catches up.
    calm.add("b");
    calm.check_serving("a");
}

#[test]
fn a_veto_stops_it_everywhere() {
    let mut calm = Calm::new(&["a", "a", "a"]);
    calm.vetoes = Some((1, "chunk 7 is damaged\n".to_string()));
    calm.start("b", 1, false, None).unwrap();
    calm.check_serving("a");
    assert_eq!(calm.coordinator.outcome(1), Some(false));
    let told = calm.events.iter().any(
        |event| matches!(event, Event::Decided { reason, .. } if reason.contains("replica 1 vetoed: chunk 7")),
    );
    assert!(told, "{:?}", calm.events);
    calm.vetoes = None;
    calm.start("b", 2, false, None).unwrap();
    calm.check_serving("b");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut calm = Calm::new(&["a"]);
    calm.start("b", 3, false, None).unwrap();
    let kind = |result: crate::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(calm.start("c", 3, false, None)), ErrorKind::Stale);
    assert_eq!(kind(calm.start("b", 4, false, None)), ErrorKind::Argument);
    assert_eq!(calm.coordinator.abort("no", &mut calm.log).unwrap_err().kind(), ErrorKind::State);
    assert_eq!(
        calm.coordinator.evict(ReplicaId(9), "", &mut calm.log).unwrap_err().kind(),
        ErrorKind::Argument
    );
    let mut empty = Calm::new(&[]);
    assert_eq!(kind(empty.start("b", 1, false, None)), ErrorKind::State);
    // Another coordinator takes the lead: this one notices at its next word.
    let (second, _) = Coordinator::lead(1, &Config::default(), 0, &mut calm.log).unwrap();
    assert_eq!(second.term(), 2);
    assert_eq!(kind(calm.start("c", 9, false, None)), ErrorKind::Stale);
    assert!(!calm.coordinator.is_leading());
}

#[test]
fn a_canary_decides() {
    let spec = CanarySpec {
        share_ppm: 200_000,
        duration_ms_min: 500,
        requests_min: 10,
        errors_ppm_max: 0,
        mismatches_ppm_max: 0,
    };
    for has_nan in [false, true] {
        let mut calm = Calm::new(&["a", "a"]);
        calm.start("b", 1, false, Some(spec)).unwrap();
        calm.check_serving("a");
        for (receiver, _) in &calm.receivers {
            assert_eq!(receiver.canary(), Some((hash("b"), 200_000)));
        }
        for _ in 0..4 {
            for index in 0..2 {
                let stats = CanaryStats { requests: 20, nans: u64::from(has_nan), ..CanaryStats::default() };
                if let Some(report) = calm.receivers[index].0.canary_report(stats) {
                    calm.carry_out(index, vec![ReceiverAction::Send(report)]);
                }
            }
            calm.tick();
        }
        calm.check_serving(if has_nan { "a" } else { "b" });
        assert!(calm.receivers.iter().all(|(receiver, _)| receiver.canary().is_none()));
    }
}

#[test]
fn who_promised_waits_for_the_next_coordinator() {
    let config = Config::default();
    let (mut shared, mut own_log) = (MemoryLog::new(), MemoryLog::new());
    let id = ReplicaId(0);
    let (mut coordinator, _) = Coordinator::lead(0, &config, 0, &mut shared).unwrap();
    let (mut receiver, _) = Receiver::open(id, &config, Some(hash("a")), 0, &mut own_log).unwrap();
    // Messages by hand, to stop at any point.
    let hello = ToCoordinator::Register { incarnation: 1, live: Some(hash("a")) };
    let mut actions = coordinator.handle(id, hello, &mut shared).unwrap();
    let spec = UpdateSpec {
        target: hash("b"),
        epoch: 1,
        is_rollback: false,
        mode: CommitMode::Barrier,
        canary: None,
        source: String::new(),
    };
    actions.extend(coordinator.start(spec, &mut shared).unwrap());
    for action in actions {
        if let Action::Send(_, message) = action {
            receiver.handle(1, message, &mut own_log).unwrap();
        }
    }
    assert_eq!(receiver.serving(), Some(hash("a")));
    receiver.staged(1, Ok(()));
    receiver.handle(1, ToReplica::Precommit { incarnation: 1, epoch: 1 }, &mut own_log).unwrap();
    assert_eq!(receiver.serving(), None);
    assert!(receiver.readiness().unwrap_err().contains("promised"));
    for step in 1..1_000 {
        receiver.tick(step * 250);
        assert_eq!(receiver.serving(), None, "it never guesses");
    }
    assert!(receiver.readiness().unwrap_err().contains("lost the coordinator"));
    // The next coordinator finds no decision in the log, so there was none.
    let (second, actions) = Coordinator::lead(1, &config, 0, &mut shared).unwrap();
    assert_eq!(second.outcome(1), Some(false));
    for action in actions {
        if let Action::Send(_, message) = action {
            receiver.handle(second.term(), message, &mut own_log).unwrap();
        }
    }
    receiver.handle(second.term(), ToReplica::Settled { incarnation: 1, epoch: 1 }, &mut own_log).unwrap();
    assert_eq!(receiver.serving(), Some(hash("a")));
    // The old coordinator is not heard any more.
    receiver
        .handle(1, ToReplica::Decision { incarnation: 1, epoch: 1, is_commit: true }, &mut own_log)
        .unwrap();
    assert_eq!(receiver.serving(), Some(hash("a")));
}

#[test]
fn bytes_from_outside_are_bounded() {
    let mut rng = Rng::new(1);
    let stage = ToReplica::Stage {
        incarnation: 1,
        epoch: 2,
        base: hash("a"),
        target: hash("b"),
        is_rollback: false,
        mode: CommitMode::Rolling,
        source: "there".to_string(),
    };
    let catch_up =
        ToReplica::CatchUp { incarnation: 1, version: hash("a"), peers: vec![ReplicaId(3), ReplicaId(4)] };
    let veto = ToCoordinator::Veto { incarnation: 1, epoch: 2, reason: "no".to_string() };
    let record =
        CoordinatorRecord::Leave { replica: ReplicaId(1), incarnation: 2, reason: "why".to_string() };
    let own = ReceiverRecord::Promise { epoch: 3, target: hash("b") };
    let all = CoordinatorRecord::Snapshot(Box::new(Snapshot {
        term: 4,
        version: Some(hash("b")),
        previous: None,
        epoch_highest: 9,
        epoch_closed: 8,
        members: vec![(ReplicaId(0), 1), (ReplicaId(1), 7)],
        left: vec![(ReplicaId(2), 3)],
        outcomes: vec![(7, true), (8, false)],
    }));
    let samples = [
        stage.to_bytes(3),
        catch_up.to_bytes(3),
        veto.to_bytes(),
        record.to_bytes(),
        own.to_bytes(),
        all.to_bytes(),
    ];
    for sample in &samples {
        for _ in 0..3_000 {
            let mut bytes = sample.clone();
            let at = rng.index(bytes.len());
            bytes[at] = rng.next_u64() as u8;
            bytes.truncate(bytes.len() - rng.index(2) * rng.index(bytes.len()));
            if let Ok((term, message)) = ToReplica::parse(&bytes) {
                assert_eq!(message.to_bytes(term), bytes);
            }
            if let Ok(message) = ToCoordinator::parse(&bytes) {
                assert_eq!(message.to_bytes(), bytes);
            }
            if let Ok(record) = CoordinatorRecord::parse(&bytes) {
                assert_eq!(record.to_bytes(), bytes);
            }
            if let Ok(record) = ReceiverRecord::parse(&bytes) {
                assert_eq!(record.to_bytes(), bytes);
            }
        }
    }
    let huge = [&3u64.to_le_bytes()[..], &[7], &[0; 8], &[0; 32], &u32::MAX.to_le_bytes()].concat();
    assert!(ToReplica::parse(&huge).unwrap_err().to_string().contains("peers"));
}

#[test]
fn compacted_logs_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = FileLog::open(&folder.path().join("coordinator")).unwrap();
    let mut append = |record: CoordinatorRecord| {
        let count = log.count().unwrap();
        log.append(count, &record.to_bytes()).unwrap();
    };
    append(CoordinatorRecord::Term { term: 1, coordinator: 0 });
    append(CoordinatorRecord::Adopt { version: hash("a") });
    append(CoordinatorRecord::Join { replica: ReplicaId(0), incarnation: 1 });
    append(CoordinatorRecord::Join { replica: ReplicaId(1), incarnation: 5 });
    append(CoordinatorRecord::Leave { replica: ReplicaId(1), incarnation: 5, reason: "gone".to_string() });
    for (epoch, target, is_commit) in [(2, "b", true), (3, "c", false), (4, "d", true)] {
        append(CoordinatorRecord::Begin { epoch, target: hash(target), is_rollback: false });
        append(CoordinatorRecord::Decide { epoch, is_commit, reason: String::new() });
        if is_commit {
            append(CoordinatorRecord::Close { epoch });
        }
    }
    let count = log.count().unwrap();
    assert!(!Coordinator::compact(&mut log, count as usize).unwrap());
    assert!(Coordinator::compact(&mut log, 5).unwrap());
    assert_eq!((log.count().unwrap(), log.read().unwrap().len()), (count, 1));
    let (leader, _) = Coordinator::lead(7, &Config::default(), 0, &mut log).unwrap();
    assert_eq!((leader.version(), leader.previous()), (Some(hash("d")), Some(hash("b"))));
    assert_eq!((leader.term(), leader.epoch_highest()), (2, 4));
    assert_eq!([2, 3, 4].map(|epoch| leader.outcome(epoch)), [Some(true), Some(false), Some(true)]);
    // With an update open, it stays as it is.
    let count = log.count().unwrap();
    let begin = CoordinatorRecord::Begin { epoch: 5, target: hash("e"), is_rollback: false };
    log.append(count, &begin.to_bytes()).unwrap();
    assert!(!Coordinator::compact(&mut log, 1).unwrap());

    let mut log = FileLog::open(&folder.path().join("receiver")).unwrap();
    for start in 0..6 {
        let (mut receiver, _) =
            Receiver::open(ReplicaId(3), &Config::default(), Some(hash("a")), 0, &mut log).unwrap();
        let incarnation = start + 1;
        let reject = ToReplica::Reject { incarnation: 99, reason: String::new() };
        receiver.handle(start + 1, reject, &mut log).unwrap();
        let lease = ToReplica::Lease { incarnation, sequence: 1 };
        receiver.handle(start + 2, lease, &mut log).unwrap();
    }
    let count = log.count().unwrap();
    let live = |version: &str, epoch| ReceiverRecord::Live { version: hash(version), epoch };
    for record in [
        live("a", 1),
        live("b", 2),
        live("d", 3),
        live("d", 4),
        ReceiverRecord::Promise { epoch: 5, target: hash("e") },
    ] {
        let count = log.count().unwrap();
        log.append_soon(count, &record.to_bytes()).unwrap();
    }
    log.sync().unwrap();
    assert!(Receiver::compact(&mut log, 5).unwrap());
    let records = log.read().unwrap();
    assert_eq!((log.count().unwrap(), records.len()), (count + 5, 5));
    // What is served, and what can be gone back to.
    let lives: Vec<_> = records.iter().map(|record| ReceiverRecord::parse(record).unwrap()).collect();
    assert_eq!(lives[2..4], [live("b", 2), live("d", 4)]);
    assert_eq!(Receiver::last_live(&mut log).unwrap(), Some(hash("d")));
    let (receiver, actions) =
        Receiver::open(ReplicaId(3), &Config::default(), Some(hash("d")), 0, &mut log).unwrap();
    assert!(receiver.readiness().unwrap_err().contains("had promised update 5"));
    let register = ToCoordinator::Register { incarnation: 7, live: Some(hash("d")) };
    assert!(actions.contains(&ReceiverAction::Send(register)), "{actions:?}");
}
