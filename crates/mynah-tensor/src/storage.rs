//! Shared memory of tensors: one buffer, a lock that never waits, and a version that counts writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Buffer, Recycled};

/// A buffer that tensors and their views share.
///
/// Reads may overlap, also on one thread (`x * x`). Nothing ever waits for the lock, so nothing can
/// deadlock: a write during a read, or the reverse, is an error that says so.
pub(crate) struct Storage {
    buffer: RwLock<Buffer>,
    version: AtomicU64,
    dtype: DType,
    len: usize,
}

impl Storage {
    pub fn new<T: Element>(buffer: Recycled<T>) -> Self {
        let buffer = T::wrap(buffer);
        let (dtype, len) = (buffer.dtype(), buffer.len());
        Self { buffer: RwLock::new(buffer), version: AtomicU64::new(0), dtype, len }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Grows with every write access.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn read(&self, op: &'static str) -> Result<Reader<'_>> {
        match self.buffer.try_read() {
            Ok(guard) => Ok(Reader { guard, op }),
            // A panic inside a write leaves unspecified numbers, but whole ones.
            Err(TryLockError::Poisoned(poisoned)) => Ok(Reader { guard: poisoned.into_inner(), op }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::InUse,
                op,
                "the tensor is being written at this moment (by an enclosing with_..._mut or another thread)",
            )),
        }
    }

    pub fn write(&self, op: &'static str) -> Result<Writer<'_>> {
        let guard = match self.buffer.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    ErrorKind::InUse,
                    op,
                    "the tensor is in use at this moment (by an enclosing with_... or another thread), so it cannot be written",
                ));
            }
        };
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(Writer { guard, op })
    }
}

/// Read access to a storage.
pub(crate) struct Reader<'a> {
    guard: RwLockReadGuard<'a, Buffer>,
    op: &'static str,
}

impl Reader<'_> {
    /// The whole storage as elements of type `T`.
    pub fn all<T: Element>(&self) -> Result<&[T]> {
        let found = self.guard.dtype();
        T::unwrap_ref(&self.guard).ok_or_else(|| wrong_type::<T>(self.op, found))
    }
}

/// Write access to a storage.
pub(crate) struct Writer<'a> {
    guard: RwLockWriteGuard<'a, Buffer>,
    op: &'static str,
}

impl Writer<'_> {
    /// The whole storage as elements of type `T`.
    pub fn all<T: Element>(&mut self) -> Result<&mut [T]> {
        let (op, found) = (self.op, self.guard.dtype());
        T::unwrap_mut(&mut self.guard).ok_or_else(|| wrong_type::<T>(op, found))
    }
}

fn wrong_type<T: Element>(op: &'static str, found: DType) -> Error {
    Error::dtype(op, format!("the tensor holds {found}, not {}: convert with to_dtype", T::DTYPE))
}
