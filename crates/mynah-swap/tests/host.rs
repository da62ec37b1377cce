//! Agents and coordinators of one process: folders, logs, real streams and chunks, a transport between threads.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mynah_base::Rng;
use mynah_swap::delta::{ChunkSink, SafetensorsSink};
use mynah_swap::host::{
    AgentEvent, AgentOptions, Goal, LeadOptions, LeadReport, Offer, Store, lead, run_agent,
};
use mynah_swap::manifest::{BuildOptions, Identity, build};
use mynah_swap::protocol::{FileLog, ReplicaId};
use mynah_swap::source::{MemorySource, SafetensorsSource, TensorInfo, TensorSource};
use mynah_swap::transport::{InProcess, Limits, Transport};
use mynah_swap::{ErrorKind, Hash, Result};

const LEASE_MS: u64 = 1_000;
const WEIGHTS: &str = "model.safetensors";

/// Weights of two tensors of which some units follow the seed.
fn write_weights(folder: &Path, seeds: std::ops::RangeInclusive<u64>) {
    std::fs::create_dir_all(folder).unwrap();
    let mut source = MemorySource::new();
    for name in ["embed", "head"] {
        let mut bytes = vec![7; 64 << 10];
        for seed in seeds.clone() {
            let mut rng = Rng::new(seed);
            (0..200).for_each(|_| bytes[rng.index(64 << 10)] = rng.next_u64() as u8);
        }
        let shape = vec![64, 512];
        let info = TensorInfo {
            name: name.to_string(),
            dtype: "BF16".parse().unwrap(),
            shape,
            part: None,
            group: None,
        };
        source.add(info, bytes).unwrap();
    }
    let options = BuildOptions { chunk_bytes: 4_096, ..BuildOptions::default() };
    let identity = Identity { model: "toy".to_string(), ..Identity::default() };
    let manifest = build(&source, &identity, &options).unwrap();
    let mut sink = SafetensorsSink::new(&folder.join(WEIGHTS)).unwrap();
    sink.begin(&manifest).unwrap();
    for tensor in 0..2 {
        sink.write(tensor, 0, source.bytes(tensor)).unwrap();
    }
    sink.finish().unwrap();
    std::fs::write(folder.join("config.json"), "{}").unwrap();
}

struct Town {
    folder: tempfile::TempDir,
    transport: InProcess,
    events: Vec<Receiver<AgentEvent>>,
    seen: Vec<Vec<AgentEvent>>,
}

impl Town {
    /// Agents with the weights of seed 1, and folders of more versions.
    fn new(agents: u32, empty: u32) -> Town {
        let folder = tempfile::tempdir().unwrap();
        for last in 1..=3 {
            write_weights(&folder.path().join(format!("v{last}")), 1..=last);
        }
        let mut town = Town {
            folder,
            transport: InProcess::new(Limits::default()),
            events: Vec::new(),
            seen: Vec::new(),
        };
        for id in 0..agents {
            write_weights(&town.path(&format!("agent-{id}")), 1..=1);
            town.make_manifest(&format!("agent-{id}"));
            town.start(id);
        }
        for id in agents..agents + empty {
            std::fs::create_dir_all(town.path(&format!("agent-{id}"))).unwrap();
            town.start(id);
        }
        town
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_manifest(&self, name: &str) {
        let source = SafetensorsSource::open(&self.path(name)).unwrap();
        let identity = Identity { model: "toy".to_string(), ..Identity::default() };
        let options = BuildOptions { chunk_bytes: 4_096, ..BuildOptions::default() };
        build(&source, &identity, &options).unwrap().save(&self.path(name).join("weights.manifest")).unwrap();
    }

    fn start(&mut self, id: u32) {
        let (to_test, events) = channel();
        let to_test = Mutex::new(to_test);
        let dir = self.path(&format!("agent-{id}"));
        let transport = self.transport.clone();
        let listener = transport.listen(&format!("agent-{id}")).unwrap();
        std::thread::spawn(move || {
            let store = Store::open(&dir).unwrap();
            let mut log = FileLog::open(&dir.join("agent.log")).unwrap();
            let options = AgentOptions { id: ReplicaId(id), lease_ms: LEASE_MS, threads: 2, signer: None };
            let observe = Arc::new(move |event: &AgentEvent| {
                let _ = to_test.lock().unwrap().send(event.clone());
            });
            run_agent(options, store, &mut log, Arc::new(transport), listener, observe)
        });
        self.events.push(events);
        self.seen.push(Vec::new());
    }

    fn lead(&self, goal: &Goal) -> Result<LeadReport> {
        self.lead_with(goal, LEASE_MS)
    }

    fn lead_with(&self, goal: &Goal, lease_ms: u64) -> Result<LeadReport> {
        let mut log = FileLog::open(&self.path("coordinator.log")).unwrap();
        let addresses: Vec<String> = (0..self.events.len()).map(|id| format!("agent-{id}")).collect();
        let options = LeadOptions {
            lease_ms,
            wait: Duration::from_secs(20),
            evict: Vec::new(),
            scratch: self.folder.path().to_path_buf(),
        };
        lead(&addresses, goal, &options, &mut log, Arc::new(self.transport.clone()), &|_| {})
    }

    fn to(&self, name: &str, base: Option<&str>) -> Goal {
        let (from, base) = (self.path(name), base.map(|base| self.path(base)));
        let scratch = self.folder.path().to_path_buf();
        Goal::Version(Box::new(move |live, epoch| {
            let source = SafetensorsSource::open(&from)?;
            let identity = Identity { model: live.head().model.clone(), ..Identity::default() };
            let options = BuildOptions {
                epoch: epoch.max(live.head().epoch + 1),
                parent: Some(live.digest()),
                chunk_bytes: 4_096,
                ..BuildOptions::default()
            };
            let manifest = build(&source, &identity, &options)?;
            let base = base.as_deref().map(SafetensorsSource::open).transpose()?;
            Ok(Offer::new(manifest, source, base.map(|base| (live.clone(), base)), scratch.clone()))
        }))
    }

    /// Waits until an agent has told something like this, since the beginning.
    fn await_event(&mut self, id: usize, is_it: impl Fn(&AgentEvent) -> bool) -> AgentEvent {
        loop {
            if let Some(event) = self.seen[id].iter().find(|event| is_it(event)) {
                return event.clone();
            }
            let event = self.events[id].recv_timeout(Duration::from_secs(20));
            let event = event.unwrap_or_else(|_| panic!("agent {id} said only {:?}", self.seen[id]));
            self.seen[id].push(event);
        }
    }

    /// The names of an agent's versions.
    fn kept(&self, id: u32) -> Vec<String> {
        let listed = std::fs::read_dir(self.path(&format!("agent-{id}/versions"))).unwrap();
        listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// All agents serve the version, and its link leads to the weights of this folder.
    fn check(&mut self, version: Hash, name: &str) {
        for id in 0..self.events.len() {
            self.await_event(id, |event| *event == AgentEvent::Serving(version));
            let live = std::fs::read(self.path(&format!("agent-{id}/live/{WEIGHTS}"))).unwrap();
            assert!(live == std::fs::read(self.path(&format!("{name}/{WEIGHTS}"))).unwrap(), "agent {id}");
        }
    }
}

#[test]
fn a_version_comes_as_a_delta_goes_back_and_comes_in_chunks() {
    let mut town = Town::new(3, 0);
    let first = town.lead(&town.to("v2", Some("v1"))).unwrap();
    assert!(first.is_news && first.left.is_empty(), "{first:?}");
    town.check(first.version, "v2");
    let delta = town.await_event(0, |event| matches!(event, AgentEvent::Staged(..)));
    let AgentEvent::Staged(_, fetched, _) = delta else { unreachable!() };
    // 400 of 64 Ki units changed, and every chunk has some.
    assert!((500..20_000).contains(&fetched.traffic.received_bytes), "{fetched:?}");
    assert!(first.wire_bytes >= 3 * fetched.traffic.received_bytes, "{first:?}");
    // Once more is nothing new, and moves nothing.
    let again = town.lead(&town.to("v2", Some("v1"))).unwrap();
    assert!(!again.is_news && again.wire_bytes == 0, "{again:?}");
    let back = town.lead(&Goal::Rollback).unwrap();
    assert!(back.is_news && back.wire_bytes == 0, "{back:?}");
    town.check(back.version, "v1");
    // Nobody has the old version at hand: chunks that changed come whole.
    let third = town.lead(&town.to("v3", None)).unwrap();
    town.check(third.version, "v3");
    assert!(town.path("agent-0/live/config.json").is_file());
    // The version that is live and the one before, no more.
    assert_eq!(town.kept(0).len(), 2);
}

#[test]
fn an_agent_with_damaged_weights_vetoes_and_says_what() {
    let mut town = Town::new(2, 0);
    let before = town.lead(&Goal::Recover).unwrap().version;
    town.check(before, "v1");
    let weights = town.path(&format!("agent-1/live/{WEIGHTS}"));
    let mut bytes = std::fs::read(&weights).unwrap();
    let at = bytes.len() - 1_000;
    bytes[at] ^= 4;
    std::fs::write(&weights, bytes).unwrap();
    let refused = town.lead(&town.to("v2", Some("v1"))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::State);
    for part in ["replica 1 at agent-1 vetoed", "chunk 15 of head"] {
        assert!(refused.to_string().contains(part), "{part} in {refused}");
    }
    // The other one goes on with what it had; nothing is left of the new version.
    town.await_event(0, |event| matches!(event, AgentEvent::Discarded(_)));
    // When it was given up while it came, it goes when it is there, and that is told once more.
    while town.kept(0) != [before.to_string().trim_start_matches("blake3:")] {
        let next = town.events[0].recv_timeout(Duration::from_secs(20)).unwrap();
        town.seen[0].push(next);
    }
    let seen = town.seen[0].iter().filter(|event| matches!(event, AgentEvent::Flipped(_))).count();
    assert_eq!(seen, 0);
}

#[test]
fn damaged_weights_are_put_aside_at_the_start_and_come_anew() {
    let mut town = Town::new(1, 0);
    let dir = town.path("agent-1");
    write_weights(&dir, 1..=1);
    town.make_manifest("agent-1");
    let store = Store::open(&dir).unwrap();
    store.point(&store.adopt().unwrap()).unwrap();
    drop(store);
    let weights = dir.join("live").join(WEIGHTS);
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    town.start(1);
    town.await_event(
        1,
        |event| matches!(event, AgentEvent::Refused(why) if why.contains("chunk 15 of head")),
    );
    town.await_event(1, |event| matches!(event, AgentEvent::Listening(_, None)));
    let now = town.lead(&Goal::Recover).unwrap();
    town.check(now.version, "v1");
}

#[test]
fn a_late_one_catches_up_from_the_others() {
    let mut town = Town::new(2, 1);
    // The empty one is no member and gets the version from those that are.
    let now = town.lead(&Goal::Recover).unwrap();
    assert_eq!(now.wire_bytes, 0);
    town.check(now.version, "v1");
    let next = town.lead(&town.to("v2", Some("v1"))).unwrap();
    town.check(next.version, "v2");
}

#[test]
fn other_times_and_other_models_are_refused() {
    let town = Town::new(1, 0);
    let refused = town.lead_with(&Goal::Recover, LEASE_MS + 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Argument);
    assert!(refused.to_string().contains("agent-0: the coordinator has a lease of 1001 ms"), "{refused}");
    let (from, scratch) = (town.path("v2"), town.folder.path().to_path_buf());
    let foreign = Goal::Version(Box::new(move |live, epoch| {
        let source = SafetensorsSource::open(&from)?;
        let identity = Identity { model: "another".to_string(), ..Identity::default() };
        let parent = Some(live.digest());
        let options = BuildOptions { epoch, parent, chunk_bytes: 4_096, ..BuildOptions::default() };
        Ok(Offer::new(build(&source, &identity, &options)?, source, None, scratch.clone()))
    }));
    let refused = town.lead(&foreign).unwrap_err();
    assert!(refused.to_string().contains("weights of \"another\", here is \"toy\""), "{refused}");
    assert!(SafetensorsSource::open(&town.path("agent-0/live")).unwrap().tensors().len() == 2);
}
