//! Which chunk to ask of which peer: stripes over all who have it, few at a time, so that peers that serve are
//! hardly disturbed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bounds of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Requests under way at one peer.
    pub per_peer_max: usize,
    /// Time between two requests to one peer: with the size of a chunk, the share of its network that is taken.
    pub interval_ms: u64,
    /// An answer that takes longer does not count any more.
    pub timeout_ms: u64,
    /// Answers that a peer may owe before it is left alone.
    pub timeouts_max: u32,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { per_peer_max: 2, interval_ms: 0, timeout_ms: 5_000, timeouts_max: 3 }
    }
}

/// Ask this peer for this chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<P> {
    /// The peer.
    pub peer: P,
    /// The chunk, by its number in the manifest.
    pub chunk: u32,
}

#[derive(Debug)]
struct Peer {
    under_way: BTreeMap<u32, u64>,
    next_ms: u64,
    timeouts: u32,
}

/// A fetch from peers. Pure: it is told what came, and says what to ask for.
#[derive(Debug)]
pub struct Fetch<P> {
    limits: FetchLimits,
    wanted: VecDeque<u32>,
    missing: BTreeSet<u32>,
    peers: BTreeMap<P, Peer>,
}

impl<P: Copy + Ord> Fetch<P> {
    /// A fetch of these chunks from these peers.
    pub fn new(
        chunks: impl IntoIterator<Item = u32>,
        peers: impl IntoIterator<Item = P>,
        limits: FetchLimits,
    ) -> Self {
        let missing: BTreeSet<u32> = chunks.into_iter().collect();
        let peer = |peer| (peer, Peer { under_way: BTreeMap::new(), next_ms: 0, timeouts: 0 });
        Self {
            limits,
            wanted: missing.iter().copied().collect(),
            missing,
            peers: peers.into_iter().map(peer).collect(),
        }
    }

    /// Chunks that are not there yet.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Whether nobody is left to ask although chunks are missing.
    pub fn is_stuck(&self) -> bool {
        !self.missing.is_empty() && self.peers.is_empty()
    }

    /// Whether a peer is still asked.
    pub fn is_asked(&self, peer: P) -> bool {
        self.peers.contains_key(&peer)
    }

    /// Takes back what was not answered in time.
    fn take_back(&mut self, now_ms: u64) {
        let limits = self.limits;
        for peer in self.peers.values_mut() {
            let late: Vec<u32> = peer
                .under_way
                .iter()
                .filter(|(_, asked_ms)| now_ms.saturating_sub(**asked_ms) >= limits.timeout_ms)
                .map(|(chunk, _)| *chunk)
                .collect();
            for chunk in late {
                peer.under_way.remove(&chunk);
                peer.timeouts += 1;
                if self.missing.contains(&chunk) {
                    self.wanted.push_front(chunk);
                }
            }
        }
        self.peers.retain(|_, peer| peer.timeouts < limits.timeouts_max);
    }

    /// The next chunk to ask of one peer; nothing when it is busy, or others have the rest under way.
    pub fn poll_peer(&mut self, peer: P, now_ms: u64) -> Option<u32> {
        self.take_back(now_ms);
        let limits = self.limits;
        let state = self.peers.get_mut(&peer)?;
        if state.under_way.len() >= limits.per_peer_max || now_ms < state.next_ms {
            return None;
        }
        let chunk = self.wanted.pop_front()?;
        state.under_way.insert(chunk, now_ms);
        state.next_ms = now_ms + limits.interval_ms;
        Some(chunk)
    }

    /// What to ask of all peers now.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Request<P>> {
        self.take_back(now_ms);
        let limits = self.limits;
        let mut requests = Vec::new();
        // One each in turn, so that a stripe goes over all peers.
        let mut is_moving = true;
        while is_moving && !self.wanted.is_empty() {
            is_moving = false;
            for (id, peer) in &mut self.peers {
                if peer.under_way.len() >= limits.per_peer_max || now_ms < peer.next_ms {
                    continue;
                }
                let Some(chunk) = self.wanted.pop_front() else { break };
                peer.under_way.insert(chunk, now_ms);
                peer.next_ms = now_ms + limits.interval_ms;
                requests.push(Request { peer: *id, chunk });
                is_moving = true;
            }
        }
        requests
    }

    /// A chunk came from a peer. `is_right` says whether it had the digest of the manifest; a peer that sends
    /// anything else is asked no more. Returns whether the chunk was still missing and is right.
    pub fn came(&mut self, peer: P, chunk: u32, is_right: bool) -> bool {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.under_way.remove(&chunk);
            state.timeouts = 0;
        }
        if is_right {
            return self.missing.remove(&chunk);
        }
        self.drop_peer(peer);
        if self.missing.contains(&chunk) && !self.wanted.contains(&chunk) {
            self.wanted.push_front(chunk);
        }
        false
    }

    /// A peer is gone or has not what is wanted.
    pub fn drop_peer(&mut self, peer: P) {
        if let Some(state) = self.peers.remove(&peer) {
            for chunk in state.under_way.into_keys().filter(|chunk| self.missing.contains(chunk)) {
                self.wanted.push_front(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_over_peers() {
        let mut fetch = Fetch::new(0..7, ["a", "b", "c"], FetchLimits::default());
        let asked = fetch.poll(0);
        assert_eq!(asked.len(), 6);
        for peer in ["a", "b", "c"] {
            assert_eq!(asked.iter().filter(|r| r.peer == peer).count(), 2);
        }
        assert!(fetch.poll(0).is_empty());
        assert!(fetch.came(asked[0].peer, asked[0].chunk, true));
        assert!(!fetch.came(asked[0].peer, asked[0].chunk, true), "twice");
        assert_eq!(fetch.poll(1), [Request { peer: "a", chunk: 6 }]);
    }

    #[test]
    fn who_lies_or_stalls_is_left_alone() {
        let limits = FetchLimits { per_peer_max: 1, timeout_ms: 10, timeouts_max: 2, interval_ms: 0 };
        let mut fetch = Fetch::new(0..4, ["liar", "sleeper", "worker"], limits);
        let mut now_ms = 0;
        let mut asked_liar = 0;
        while fetch.missing() > 0 {
            for request in fetch.poll(now_ms) {
                match request.peer {
                    "liar" => {
                        asked_liar += 1;
                        assert!(!fetch.came("liar", request.chunk, false));
                    }
                    "sleeper" => {}
                    peer => assert!(fetch.came(peer, request.chunk, true)),
                }
            }
            now_ms += 5;
            assert!(now_ms < 1_000 && !fetch.is_stuck());
        }
        assert_eq!(asked_liar, 1);
        let mut alone = Fetch::new(0..1, ["gone"], limits);
        alone.poll(0);
        alone.drop_peer("gone");
        assert!(alone.is_stuck());
    }
}
