//! Recycled memory: freed buffers wait in free lists, so that the second training step allocates
//! nothing and the system zeroes no new pages.
//!
//! A recycled buffer holds whatever its last user left. Debug builds fill it with NaN, so that an op
//! that reads before it writes, or leaves a hole, shows itself in the first test.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static IDLE: AtomicUsize = AtomicUsize::new(0);
static POISON: AtomicBool = AtomicBool::new(cfg!(debug_assertions));

/// Bytes that tensors hold now (rounded up to the sizes that the free lists use).
pub fn live_bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most that [`live_bytes`] has been since the start or the last [`reset_peak`].
pub fn peak_bytes() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Bytes that wait in the free lists.
pub fn idle_bytes() -> usize {
    IDLE.load(Ordering::Relaxed)
}

/// Makes the present use the peak.
pub fn reset_peak() {
    PEAK.store(live_bytes(), Ordering::Relaxed);
}

/// Gives everything in the free lists back to the system.
pub fn trim() {
    f32::free_lists().clear();
    f64::free_lists().clear();
    bf16::free_lists().clear();
    f16::free_lists().clear();
    i64::free_lists().clear();
    u8::free_lists().clear();
    bool::free_lists().clear();
}

/// Whether buffers are filled with NaN when they are handed out. On in debug builds.
pub fn set_poison(on: bool) {
    POISON.store(on, Ordering::Relaxed);
}

/// The free buffers of one element type, by their length.
pub struct FreeLists<T> {
    by_len: Mutex<BTreeMap<usize, Vec<Vec<T>>>>,
}

impl<T: Element> FreeLists<T> {
    pub(crate) const fn new() -> Self {
        Self { by_len: Mutex::new(BTreeMap::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<Vec<T>>>> {
        // The map is whole at every point where a panic is possible.
        self.by_len.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free buffer of at least `class` and at most a quarter more.
    fn take(&self, class: usize) -> Option<Vec<T>> {
        let mut lists = self.lock();
        let (_, list) = lists.range_mut(class..=class + class / 4).find(|(_, list)| !list.is_empty())?;
        let buffer = list.pop()?;
        IDLE.fetch_sub(size_bytes::<T>(buffer.len()), Ordering::Relaxed);
        Some(buffer)
    }

    fn put(&self, buffer: Vec<T>) {
        IDLE.fetch_add(size_bytes::<T>(buffer.len()), Ordering::Relaxed);
        self.lock().entry(buffer.len()).or_default().push(buffer);
    }

    /// Frees idle buffers, largest first, until `need` more bytes fit under `limit`.
    fn make_room(&self, need: usize, limit: usize) {
        let mut lists = self.lock();
        while live_bytes() + idle_bytes() + need > limit {
            let Some(mut last) = lists.last_entry() else { return };
            match last.get_mut().pop() {
                Some(buffer) => {
                    IDLE.fetch_sub(size_bytes::<T>(buffer.len()), Ordering::Relaxed);
                }
                None => {
                    last.remove();
                }
            }
        }
    }

    fn clear(&self) {
        for (_, list) in std::mem::take(&mut *self.lock()) {
            for buffer in list {
                IDLE.fetch_sub(size_bytes::<T>(buffer.len()), Ordering::Relaxed);
            }
        }
    }
}

fn size_bytes<T>(len: usize) -> usize {
    len.saturating_mul(size_of::<T>())
}

/// Rounds up to one of eight sizes per doubling, so that nearly equal sizes share buffers.
fn size_class(len: usize) -> usize {
    const LEAST: usize = 64;
    if len <= LEAST {
        return LEAST;
    }
    let step = 1usize << (usize::BITS - 1 - len.leading_zeros()).saturating_sub(3);
    len.div_ceil(step) * step
}

/// An owned buffer of `len` elements that goes back to the free lists when dropped.
pub struct Recycled<T: Element> {
    /// All of it is initialised; only the first `len` elements are in use.
    data: Vec<T>,
    len: usize,
    /// Whether the buffer came from the free lists. Vectors made elsewhere do not join them: their user
    /// makes a new one each time, and the lists would only grow.
    ours: bool,
}

impl<T: Element> Recycled<T> {
    /// A buffer with unspecified content (NaN in debug builds) that the caller overwrites wholly.
    pub(crate) fn unfilled(op: &'static str, len: usize) -> Result<Self> {
        let (mut buffer, _) = Self::acquire(op, len)?;
        if POISON.load(Ordering::Relaxed) {
            buffer.fill(T::POISON);
        }
        Ok(buffer)
    }

    /// A buffer of zeros.
    pub(crate) fn zeroed(op: &'static str, len: usize) -> Result<Self> {
        let (mut buffer, fresh) = Self::acquire(op, len)?;
        if !fresh {
            buffer.fill(T::default());
        }
        Ok(buffer)
    }

    /// Takes over a vector.
    pub(crate) fn from_vec(data: Vec<T>) -> Self {
        add_live(size_bytes::<T>(data.len()));
        let len = data.len();
        Self { data, len, ours: false }
    }

    /// A buffer and whether it is fresh from the system, and so zero.
    fn acquire(op: &'static str, len: usize) -> Result<(Self, bool)> {
        if len == 0 {
            return Ok((Self { data: Vec::new(), len: 0, ours: false }, true));
        }
        let class = size_class(len);
        let bytes = size_bytes::<T>(class);
        if let Some(data) = T::free_lists().take(class) {
            add_live(size_bytes::<T>(data.len()));
            return Ok((Self { data, len, ours: true }, false));
        }
        // Idle buffers of other sizes may not push the footprint much above what was live at once.
        let peak = peak_bytes().max(live_bytes() + bytes);
        T::free_lists().make_room(bytes, peak + peak / 8);
        if bytes >= 1 << 28 {
            // `vec!` ends the process when the system refuses; ask politely first.
            let mut probe: Vec<u8> = Vec::new();
            probe.try_reserve_exact(bytes).map_err(|_| {
                let asked = mynah_base::units::bytes(bytes as u64);
                Error::new(ErrorKind::Memory, op, format!("the system has no {asked} of memory left"))
            })?;
        }
        add_live(bytes);
        Ok((Self { data: vec![T::default(); class], len, ours: true }, true))
    }
}

fn add_live(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

impl<T: Element> Drop for Recycled<T> {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        if !data.is_empty() {
            LIVE.fetch_sub(size_bytes::<T>(data.len()), Ordering::Relaxed);
            if self.ours {
                T::free_lists().put(data);
            }
        }
    }
}

impl<T: Element> Deref for Recycled<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[..self.len]
    }
}

impl<T: Element> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[..self.len]
    }
}

/// The memory of a storage, by element type.
pub enum Buffer {
    /// f32 data.
    F32(Recycled<f32>),
    /// f64 data.
    F64(Recycled<f64>),
    /// bf16 data.
    BF16(Recycled<bf16>),
    /// f16 data.
    F16(Recycled<f16>),
    /// i64 data.
    I64(Recycled<i64>),
    /// u8 data.
    U8(Recycled<u8>),
    /// bool data.
    Bool(Recycled<bool>),
}

impl Buffer {
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Buffer::F32(_) => DType::F32,
            Buffer::F64(_) => DType::F64,
            Buffer::BF16(_) => DType::BF16,
            Buffer::F16(_) => DType::F16,
            Buffer::I64(_) => DType::I64,
            Buffer::U8(_) => DType::U8,
            Buffer::Bool(_) => DType::Bool,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Buffer::F32(data) => data.len,
            Buffer::F64(data) => data.len,
            Buffer::BF16(data) => data.len,
            Buffer::F16(data) => data.len,
            Buffer::I64(data) => data.len,
            Buffer::U8(data) => data.len,
            Buffer::Bool(data) => data.len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_waste_at_most_an_eighth() {
        for len in (1..5000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
            let class = size_class(len);
            assert!(class >= len && (len <= 64 || class - len <= len / 8 + 1), "{len} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }
}
