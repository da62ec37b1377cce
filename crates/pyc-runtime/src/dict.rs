//! The compact ordered hash table behind dicts, namespaces and class dictionaries.
//!
//! Entries stand in insertion order in one vector; an index of 32-bit numbers finds them by hash. Tables of up
//! to eight entries have no index: comparing eight hashes is quicker than hashing into a table.

use crate::object::{Kind, Value};
use crate::str::Str;

/// One item; a deleted one has the empty key.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key's hash.
    pub hash: u64,
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
}

const EMPTY: u32 = u32::MAX;
const SMALL: usize = 8;

/// What a lookup that may need `__eq__` found out so far.
pub enum Probe {
    /// The entry.
    Found(usize),
    /// No such key.
    Absent,
    /// Entry to compare by calling `__eq__`; continue with `resume` after it says no.
    Compare(usize),
}

/// An ordered map. Callers compute hashes and call `__eq__`.
#[derive(Default, Clone)]
pub struct Dict {
    entries: Vec<Entry>,
    index: Vec<u32>,
    live: usize,
    /// Changes when a key comes or goes.
    pub version: u32,
}

impl Dict {
    /// Where the vector of entries is.
    pub(crate) const ENTRIES: usize = std::mem::offset_of!(Dict, entries);
    /// Where the count of items is.
    pub(crate) const LIVE: usize = std::mem::offset_of!(Dict, live);
    /// Room for `count` items.
    pub fn with_capacity(count: usize) -> Dict {
        Dict { entries: Vec::with_capacity(count.min(1 << 20)), ..Dict::default() }
    }

    /// How many items.
    #[inline]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Places of entries, also deleted ones.
    pub fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The item at a place, unless deleted.
    #[inline(always)]
    pub fn entry(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at).filter(|e| !e.key.is_unbound())
    }

    /// Items in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|e| !e.key.is_unbound())
    }

    /// Shows keys and values to the collector.
    pub fn visit(&self, visit: &mut dyn FnMut(&Value)) {
        for entry in self.iter() {
            visit(&entry.key);
            visit(&entry.value);
        }
    }

    #[inline]
    fn start(&self, hash: u64) -> usize {
        (hash ^ hash >> 32) as usize & (self.index.len() - 1)
    }

    /// Finds a key by a comparison that needs no Python code. `same` answers for entries of equal hash.
    #[inline]
    fn find(&self, hash: u64, mut same: impl FnMut(&Value) -> bool) -> Option<usize> {
        if self.index.is_empty() {
            return self.entries.iter().position(|e| e.hash == hash && !e.key.is_unbound() && same(&e.key));
        }
        let mask = self.index.len() - 1;
        let mut at = self.start(hash);
        loop {
            let entry = self.index[at];
            if entry == EMPTY {
                return None;
            }
            if let Some(e) = self.entries.get(entry as usize)
                && e.hash == hash
                && !e.key.is_unbound()
                && same(&e.key)
            {
                return Some(entry as usize);
            }
            at = (at + 1) & mask;
        }
    }

    /// Finds a key; entries of equal hash that are neither identical nor plain strings or integers are given
    /// back one by one through `after` (the place after which to go on).
    pub fn probe(&self, hash: u64, key: &Value, after: Option<usize>) -> Probe {
        let mut waiting = after;
        let mut compare = None;
        let found = self.find(hash, |candidate| {
            if let Some(last) = waiting {
                if self.entries[last].key.is(candidate) {
                    waiting = None;
                }
                return false;
            }
            match quick_equal(candidate, key) {
                Some(answer) => answer,
                None => {
                    compare = Some(candidate.bits());
                    true
                }
            }
        });
        match found {
            Some(at) if compare.is_some() => Probe::Compare(at),
            Some(at) => Probe::Found(at),
            None => Probe::Absent,
        }
    }

    /// The value of an interned string.
    #[inline]
    pub fn get_interned(&self, name: &Value) -> Option<&Value> {
        self.find_interned(name).map(|at| &self.entries[at].value)
    }

    /// The place of an interned string.
    #[inline]
    pub fn find_interned(&self, name: &Value) -> Option<usize> {
        let hash = name.get::<Str>()?.hash();
        self.find(hash, |key| key.is(name) || quick_equal(key, name) == Some(true))
    }

    /// The place of a string key with this text, whose [`Str::hash_of`] this is.
    pub(crate) fn find_text(&self, hash: u64, text: &str) -> Option<usize> {
        self.find(hash, |key| key.get::<Str>().is_some_and(|s| s.is_text(text)))
    }

    /// The key at a place.
    pub(crate) fn key_at(&self, at: usize) -> &Value {
        &self.entries[at].key
    }

    /// Sets the value of an interned string; gives the former one.
    pub fn set_interned(&mut self, name: &Value, value: Value) -> Option<Value> {
        match self.find_interned(name) {
            Some(at) => Some(std::mem::replace(&mut self.entries[at].value, value)),
            None => {
                let hash = name.get::<Str>().map_or(0, Str::hash);
                self.push(hash, name.clone(), value);
                None
            }
        }
    }

    /// Removes an interned string.
    pub fn remove_interned(&mut self, name: &Value) -> Option<Value> {
        let at = self.find_interned(name)?;
        Some(self.remove_at(at).1)
    }

    /// Replaces the value at a place.
    pub fn replace_at(&mut self, at: usize, value: Value) -> Value {
        std::mem::replace(&mut self.entries[at].value, value)
    }

    /// Adds a key that is not there.
    pub fn push(&mut self, hash: u64, key: Value, value: Value) {
        self.version = self.version.wrapping_add(1);
        let at = self.entries.len();
        self.entries.push(Entry { hash, key, value });
        self.live += 1;
        if self.index.is_empty() {
            if self.entries.len() > SMALL {
                self.rebuild();
            }
        } else if (at + 1) * 3 > self.index.len() * 2 {
            self.rebuild();
        } else {
            self.link(hash, at as u32);
        }
    }

    fn link(&mut self, hash: u64, entry: u32) {
        let mask = self.index.len() - 1;
        let mut at = self.start(hash);
        while self.index[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.index[at] = entry;
    }

    fn rebuild(&mut self) {
        if self.live < self.entries.len() {
            self.entries.retain(|e| !e.key.is_unbound());
        }
        if self.entries.len() <= SMALL {
            self.index = Vec::new();
            return;
        }
        let size = (self.entries.len() * 3).next_power_of_two();
        self.index.clear();
        self.index.resize(size, EMPTY);
        for at in 0..self.entries.len() {
            self.link(self.entries[at].hash, at as u32);
        }
    }

    /// Removes the item at a place; its place stays empty until the table is rebuilt.
    pub fn remove_at(&mut self, at: usize) -> (Value, Value) {
        self.version = self.version.wrapping_add(1);
        let entry = &mut self.entries[at];
        let key = std::mem::replace(&mut entry.key, Value::UNBOUND);
        let value = std::mem::replace(&mut entry.value, Value::UNBOUND);
        self.live -= 1;
        if self.index.is_empty() {
            if at + 1 == self.entries.len() {
                self.entries.pop();
            } else if self.entries.len() > SMALL.max(self.live * 2) || self.live == 0 {
                self.entries.retain(|e| !e.key.is_unbound());
            }
        } else if self.live == 0 {
            self.entries.clear();
            self.index = Vec::new();
        }
        (key, value)
    }

    /// The place of the last item.
    pub fn last(&self) -> Option<usize> {
        self.entries.iter().rposition(|e| !e.key.is_unbound())
    }

    /// Removes everything; the caller drops it when no borrow is held.
    pub fn take(&mut self) -> Dict {
        let version = self.version.wrapping_add(1);
        std::mem::replace(self, Dict { version, ..Dict::default() })
    }
}

/// Equality where no Python code can have a say.
#[inline]
pub fn quick_equal(a: &Value, b: &Value) -> Option<bool> {
    if a.is(b) {
        return Some(true);
    }
    if a.as_small().is_some() && b.as_small().is_some() {
        return Some(false);
    }
    if a.kind() == Kind::Str && b.kind() == Kind::Str && a.is_exact() && b.is_exact() {
        if a.is_interned() && b.is_interned() {
            return Some(false);
        }
        if let (Some(a), Some(b)) = (a.get::<Str>(), b.get::<Str>()) {
            return Some(a.same(b));
        }
    }
    None
}
