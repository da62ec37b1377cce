//! The ids of chunks seen lately.
//!
//! Words repeat: 95 to 97 chunks in a hundred are in the cache, on novels, articles and technical text of
//! one to nine megabytes, and fewer than four in a thousand are too long for it. A chunk of up to 15
//! bytes is its own key, in one 128-bit word, so that neither hashing nor comparing touches its bytes
//! again. Fixed size, two entries a set, the older one leaves.

/// 2^15 sets of two 32-byte entries: 2 MiB, about a second-level cache.
const SET_BITS: u32 = 15;
/// Longest chunk that fits a key.
const KEY_BYTES_MAX: usize = 15;
/// Most ids that fit an entry.
pub(crate) const IDS_MAX: usize = 3;

/// What the cache knows of a chunk.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Entry {
    key: u128,
    pub ids: [u32; IDS_MAX],
    pub count: u32,
}

const EMPTY: Entry = Entry { key: 0, ids: [0; IDS_MAX], count: 0 };

/// A cache of chunk → ids, used by one thread at a time.
pub(crate) struct Cache {
    sets: Vec<[Entry; 2]>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self { sets: vec![[EMPTY; 2]; 1 << SET_BITS] }
    }

    /// The key of the chunk `text[start..end]`: its bytes and, above them, its length. `None` if it is
    /// too long.
    #[inline(always)]
    pub(crate) fn key(text: &[u8], start: usize, end: usize) -> Option<u128> {
        let length = end - start;
        if length > KEY_BYTES_MAX {
            return None;
        }
        let bytes = match text.get(start..start + 16).and_then(|window| window.first_chunk::<16>()) {
            // Mostly the text goes on: load all 16 bytes at once and mask those after the chunk.
            Some(window) => u128::from_le_bytes(*window) & !(u128::MAX << (8 * length as u32)),
            None => {
                let mut window = [0; 16];
                window[..length].copy_from_slice(&text[start..end]);
                u128::from_le_bytes(window)
            }
        };
        Some(bytes | ((length as u128) << 120))
    }

    #[inline(always)]
    fn set(key: u128) -> usize {
        let mixed = (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> (64 - SET_BITS)) as usize
    }

    #[inline(always)]
    pub(crate) fn get(&self, key: u128) -> Option<&Entry> {
        let [first, second] = &self.sets[Self::set(key)];
        if first.key == key {
            Some(first)
        } else if second.key == key {
            Some(second)
        } else {
            None
        }
    }

    /// Remembers a chunk's ids, if they are few enough.
    pub(crate) fn insert(&mut self, key: u128, ids: &[u32]) {
        if ids.len() > IDS_MAX {
            return;
        }
        let mut entry = Entry { key, count: ids.len() as u32, ..EMPTY };
        entry.ids[..ids.len()].copy_from_slice(ids);
        let set = &mut self.sets[Self::set(key)];
        set[1] = set[0];
        set[0] = entry;
    }
}
