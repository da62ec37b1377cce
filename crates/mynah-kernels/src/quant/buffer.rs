//! Zeroed memory for weights, aligned to a cache line.

use crate::error::{Error, ErrorKind, Result};
use memmap2::MmapMut;
use std::fmt;

/// From this size on memory comes from the system directly, in large pages where it has them: a decoding step
/// reads all weights in order, and with pages of 4 KiB it waits for address translations.
const MAPPED_FROM: usize = 1 << 20;

/// A cache line, also the widest vector.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes whose first is aligned to 64.
pub(crate) struct Buffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    Small(Vec<Line>),
    Mapped(MmapMut),
}

impl Buffer {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        let refused = || Error::new(ErrorKind::Memory, format!("no memory for {len} bytes of weights"));
        if len < MAPPED_FROM {
            return Ok(Self { memory: Memory::Small(vec![Line([0; 64]); len.div_ceil(64)]), len });
        }
        let map = MmapMut::map_anon(len).map_err(|_| refused())?;
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::HugePage)); // Systems without large pages refuse: no harm.
        Ok(Self { memory: Memory::Mapped(map), len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.memory {
            // SAFETY: the lines are len.div_ceil(64) · 64 ≥ len initialised bytes in a row.
            Memory::Small(lines) => unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), self.len) },
            Memory::Mapped(map) => &map[..self.len],
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as above, and borrowed mutably.
            Memory::Small(lines) => unsafe {
                std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), self.len)
            },
            Memory::Mapped(map) => &mut map[..self.len],
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}
