//! Who is admitted next: ranks first, and within a rank a fair turn for each client.
//!
//! Clients of one rank take turns by deficit round robin (Shreedhar and Varghese, 1995): on its turn a client may
//! spend [`QUANTUM`] tokens more, and what it does not spend stays with it while it has requests waiting. So ten
//! clients get a tenth each, whether their requests are many or long.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::sequence::Sequence;

/// Tokens that one turn is worth.
const QUANTUM: i64 = 1024;

#[derive(Default)]
struct Client {
    deficit: i64,
    waiting: VecDeque<Sequence>,
}

/// The clients of one rank; the first one is on turn.
#[derive(Default)]
struct Class {
    ring: VecDeque<Arc<str>>,
    clients: HashMap<Arc<str>, Client>,
}

/// Waiting sequences.
#[derive(Default)]
pub(super) struct FairQueue {
    classes: BTreeMap<i32, Class>,
    len: usize,
}

impl FairQueue {
    pub fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Behind all others of its client.
    pub fn push_back(&mut self, sequence: Sequence) {
        self.client(&sequence, false).waiting.push_back(sequence);
        self.len += 1;
    }

    /// Before all others of its client, which becomes the one on turn: for what has been admitted before.
    pub fn push_front(&mut self, sequence: Sequence) {
        self.client(&sequence, true).waiting.push_front(sequence);
        self.len += 1;
    }

    /// The next one to admit, without taking it. Stays the same until something is pushed, taken or promoted.
    pub fn head(&mut self) -> Option<&Sequence> {
        let class = self.classes.values_mut().next_back()?;
        class.turn();
        class.clients.get(class.ring.front()?)?.waiting.front()
    }

    /// Takes what [`head`](Self::head) shows.
    pub fn pop(&mut self) -> Option<Sequence> {
        let mut entry = self.classes.last_entry()?;
        let class = entry.get_mut();
        class.turn();
        let name = class.ring.front()?.clone();
        let client = class.clients.get_mut(&name)?;
        let mut sequence = client.waiting.pop_front()?;
        // Who is alone owes nothing to those who come later.
        client.deficit = if class.ring.len() == 1 { 0 } else { client.deficit - sequence.cost() };
        sequence.is_charged = true;
        if client.waiting.is_empty() {
            class.clients.remove(&name);
            class.ring.pop_front();
            if class.ring.is_empty() {
                entry.remove();
            }
        }
        self.len -= 1;
        Some(sequence)
    }

    /// Takes all sequences for which `takes` is true, in the order of their ranks and turns.
    pub fn take(&mut self, takes: impl Fn(&Sequence) -> bool) -> Vec<Sequence> {
        let mut taken = Vec::new();
        for class in self.classes.values_mut().rev() {
            let mut ring = std::mem::take(&mut class.ring);
            ring.retain(|name| {
                let Some(client) = class.clients.get_mut(name) else { return false };
                let (out, stay) = client.waiting.drain(..).partition::<Vec<_>, _>(&takes);
                taken.extend(out);
                client.waiting = stay.into();
                if client.waiting.is_empty() {
                    class.clients.remove(name);
                    return false;
                }
                true
            });
            class.ring = ring;
        }
        self.classes.retain(|_, class| !class.ring.is_empty());
        self.len -= taken.len();
        taken
    }

    /// Raises everything below the highest rank that has waited since `step` or longer to the next rank that
    /// somebody waits in, so that no rank waits forever.
    pub fn promote(&mut self, step: u64, now: u64) {
        let Some((&highest, _)) = self.classes.last_key_value() else { return };
        let ranks: Vec<i32> = self.classes.keys().copied().collect();
        for mut sequence in self.take(|sequence| sequence.rank < highest && sequence.waiting_since <= step) {
            let next = ranks.iter().copied().find(|&rank| rank > sequence.rank);
            sequence.rank = next.unwrap_or(highest);
            sequence.waiting_since = now;
            self.push_back(sequence);
        }
    }

    fn client(&mut self, sequence: &Sequence, on_turn: bool) -> &mut Client {
        let class = self.classes.entry(sequence.rank).or_default();
        let name = &sequence.spec.client;
        if on_turn {
            class.ring.retain(|other| other != name);
            class.ring.push_front(name.clone());
        } else if !class.clients.contains_key(name) {
            class.ring.push_back(name.clone());
        }
        class.clients.entry(name.clone()).or_default()
    }
}

impl Class {
    /// Passes the turn on until it is with a client that can pay for its next sequence.
    fn turn(&mut self) {
        while let Some(name) = self.ring.front() {
            let Some(client) = self.clients.get_mut(name) else { return };
            let Some(next) = client.waiting.front() else { return };
            if client.deficit >= next.cost() || self.ring.len() == 1 {
                return;
            }
            client.deficit += QUANTUM;
            self.ring.rotate_left(1);
        }
    }
}
