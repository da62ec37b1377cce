//! Executable memory.

use std::fmt;
use std::ptr::NonNull;

use super::{Entry, Layout};

/// Why machine code cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    message: String,
}

impl LoadError {
    pub(super) fn new(message: impl Into<String>) -> LoadError {
        LoadError { message: message.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

/// Machine code in memory, mapped read and execute.
pub struct Blob {
    memory: NonNull<u8>,
    size_bytes: usize,
    entries: Box<[Entry]>,
}

impl Blob {
    /// Maps code. `layout` is [`Layout::hash`] as it was when the code was made; each place gives the offsets of the
    /// direct and the array entry, and how many arguments need no binding (`u64::MAX`: any call binds).
    ///
    /// The caller vouches for `code`: it is run as it is, so it must come from our compiler, through a channel that
    /// nobody else writes to (this process, or a file whose hash was checked).
    ///
    /// # Errors
    /// When the code was made for another build of the runtime, an entry lies outside, or the system refuses.
    pub fn load(code: &[u8], layout: u64, places: &[[u64; 3]]) -> Result<Blob, LoadError> {
        if layout != Layout::current().hash() {
            return Err(LoadError::new(
                "the machine code was made for another build of the runtime; build it again",
            ));
        }
        if code.is_empty() || places.iter().any(|p| p[0].max(p[1]) >= code.len() as u64) {
            return Err(LoadError::new("the machine code has an entry outside of itself"));
        }
        let size_bytes = code.len().next_multiple_of(64 << 10);
        // SAFETY: a fresh private mapping; the copy lies inside it; it becomes executable only when no longer writable.
        let memory = unsafe {
            let address = libc::mmap(
                std::ptr::null_mut(),
                size_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if address == libc::MAP_FAILED {
                let error = std::io::Error::last_os_error();
                return Err(LoadError::new(format!("no memory for machine code: {error}")));
            }
            std::ptr::copy_nonoverlapping(code.as_ptr(), address.cast::<u8>(), code.len());
            if libc::mprotect(address, size_bytes, libc::PROT_READ | libc::PROT_EXEC) != 0 {
                let error = std::io::Error::last_os_error();
                libc::munmap(address, size_bytes);
                return Err(LoadError::new(format!("the system refuses executable memory: {error}")));
            }
            NonNull::new(address.cast::<u8>())
        };
        let Some(memory) = memory else { return Err(LoadError::new("no memory for machine code")) };
        let base = memory.as_ptr() as usize;
        let entries = places
            .iter()
            .map(|p| Entry { direct: base + p[0] as usize, array: base + p[1] as usize, simple: p[2] })
            .collect();
        Ok(Blob { memory, size_bytes, entries })
    }

    /// One for each piece of code in it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // SAFETY: mapped by `load` with this size; whoever holds the blob runs none of its code any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.size_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_code_is_refused() {
        let hash = Layout::current().hash();
        assert!(Blob::load(&[0xc3], hash ^ 1, &[]).err().unwrap().to_string().contains("another build"));
        assert!(Blob::load(&[0xc3], hash, &[[0, 1, 0]]).err().unwrap().to_string().contains("outside"));
        assert!(Blob::load(&[], hash, &[]).is_err());
        assert_eq!(Blob::load(&[0xc3], hash, &[[0, 0, 0]]).unwrap().entries().len(), 1);
    }
}
