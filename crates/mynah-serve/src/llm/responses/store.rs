//! Answers that are kept, so that later requests can go on from them. In memory, bounded, each its client's own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::items::Item;

/// An answer with all that was before it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(super) response: Value,
    /// The items of its own request.
    pub(super) input: Vec<Arc<Item>>,
    /// The whole conversation: what was before, its input, its output.
    pub(super) conversation: Vec<Arc<Item>>,
}

/// The kept answers.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    /// By name: whose it is, what it is, how large it is.
    found: HashMap<String, (String, Arc<Stored>, usize)>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Inner {
    fn remove(&mut self, id: &str) {
        if let Some((_, _, size_bytes)) = self.found.remove(id) {
            self.bytes -= size_bytes;
            self.order.retain(|other| other != id);
        }
    }
}

impl Store {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Store {
        Store { inner: Mutex::default(), count_max, bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer; the oldest make room. One that is larger than all room is not kept.
    pub(super) fn put(&self, client: &str, id: &str, stored: Stored) {
        // Items that several answers share count for each: the bound holds all the same.
        let items = stored.conversation.iter().map(|item| size_of(&item.json) * 2);
        let size_bytes = size_of(&stored.response) + items.sum::<usize>();
        if size_bytes > self.bytes_max || self.count_max == 0 {
            return;
        }
        let mut inner = self.lock();
        while inner.order.len() >= self.count_max || inner.bytes + size_bytes > self.bytes_max {
            let Some(oldest) = inner.order.front().cloned() else { break };
            inner.remove(&oldest);
        }
        inner.bytes += size_bytes;
        inner.order.push_back(id.to_string());
        inner.found.insert(id.to_string(), (client.to_string(), Arc::new(stored), size_bytes));
    }

    /// An answer of this client.
    pub(super) fn get(&self, client: &str, id: &str) -> Option<Arc<Stored>> {
        let inner = self.lock();
        inner.found.get(id).filter(|(owner, ..)| owner == client).map(|(_, stored, _)| Arc::clone(stored))
    }

    /// Forgets an answer of this client; whether there was one. Answers that came after it keep what they know.
    pub(super) fn delete(&self, client: &str, id: &str) -> bool {
        let mut inner = self.lock();
        let is_there = inner.found.get(id).is_some_and(|(owner, ..)| owner == client);
        if is_there {
            inner.remove(id);
        }
        is_there
    }

    /// An item of any answer of this client.
    pub(super) fn item(&self, client: &str, id: &str) -> Option<Arc<Item>> {
        let inner = self.lock();
        let own = inner.found.values().filter(|(owner, ..)| owner == client);
        own.flat_map(|(_, stored, _)| &stored.conversation).find(|item| item.id() == id).cloned()
    }
}

/// About the bytes of a value: its texts and a bit for everything else.
fn size_of(value: &Value) -> usize {
    const OTHER: usize = 48;
    match value {
        Value::String(text) => OTHER + text.len(),
        Value::Array(items) => OTHER + items.iter().map(size_of).sum::<usize>(),
        Value::Object(fields) => {
            OTHER + fields.iter().map(|(name, value)| OTHER + name.len() + size_of(value)).sum::<usize>()
        }
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(text: &str) -> Stored {
        Stored { response: json!(text), input: Vec::new(), conversation: Vec::new() }
    }

    #[test]
    fn the_oldest_make_room_and_clients_see_their_own() {
        let store = Store::new(2, 1_000);
        for id in ["a", "b", "c"] {
            store.put("one", id, answer("x"));
        }
        assert!(store.get("one", "a").is_none() && store.get("one", "b").is_some());
        assert!(store.get("two", "b").is_none() && !store.delete("two", "b"));
        assert!(store.delete("one", "b") && store.get("one", "b").is_none());
        store.put("one", "large", answer(&"x".repeat(940)));
        assert!(store.get("one", "large").is_some() && store.get("one", "c").is_none());
        store.put("one", "too large", answer(&"x".repeat(1_000)));
        assert!(store.get("one", "too large").is_none() && store.get("one", "large").is_some());
    }
}
