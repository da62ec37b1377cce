//! A file as a slice of bytes, without reading it first.

use crate::error::{Error, ErrorKind, Result};
use memmap2::Mmap;
use std::fs::{self, File};
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

/// A read-only map of a regular file. The bytes are read from disk when they are first looked at, and the
/// system may take their memory back at any time, so a model can be larger than what the process keeps.
///
/// The file must not be changed while it is mapped. Writing to it changes bytes under the eyes of their
/// reader, and truncating it makes the system kill the process (SIGBUS) when a lost page is looked at:
/// that is so for every program that maps files. Model files are replaced by renaming a new one over
/// them, which leaves the old one, and this map, as they were. Readers of a mapped file check what they
/// copy out of it, never what they will look at again later.
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps the whole file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it is not a regular file or cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let fail =
            |error: io::Error| Error::new(ErrorKind::Io, format!("cannot map {}: {error}", path.display()));
        // Asked before opening too: opening a named pipe would wait for its writer.
        let regular = |is_file: bool| {
            let message = "not a regular file";
            if is_file { Ok(()) } else { Err(fail(io::Error::new(io::ErrorKind::InvalidInput, message))) }
        };
        regular(fs::metadata(path).map_err(fail)?.is_file())?;
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        regular(metadata.is_file())?;
        if metadata.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is read-only and private to this value, and every borrow of it ends with the
        // value. What the type system cannot see is another process writing to the file: the bytes of a
        // slice would then change while it is borrowed. No type is read from the map but u8, for which every
        // bit pattern is valid, and the documentation above makes unchanged files a condition of use.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        Ok(Self { map: Some(map) })
    }

    /// Tells the system that the bytes in `range` will not be needed soon: the memory of the whole pages
    /// in it is given back; looking at them again reads the file again. A range beyond the end is cut.
    pub fn advise_dont_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            const PAGE: usize = 4096;
            let start = range.start.checked_next_multiple_of(PAGE).unwrap_or(usize::MAX);
            let end = if range.end >= map.len() { map.len() } else { range.end / PAGE * PAGE };
            if start < end {
                // SAFETY: the mapping is of a file and never written to, so a page that is dropped comes
                // back with the same bytes.
                let advised = unsafe {
                    map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
                };
                // It is advice: a system with larger pages may refuse it, and nothing is lost.
                drop(advised);
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Tells the system that the bytes in `range` are about to be read in order.
    pub fn advise_will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            let end = range.end.min(map.len());
            if range.start < end {
                drop(map.advise_range(memmap2::Advice::WillNeed, range.start, end - range.start));
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_shows_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &bytes).expect("written");
        let map = MappedFile::open(&path).expect("mapped");
        assert_eq!(&*map, &bytes[..]);
        map.advise_will_need(0..usize::MAX);
        map.advise_dont_need(5000..usize::MAX);
        map.advise_dont_need(usize::MAX - 1..usize::MAX);
        map.advise_dont_need(0..10);
        assert_eq!(&*map, &bytes[..], "dropped pages come back");
        fs::remove_file(&path).expect("removed");
        assert_eq!(map.len(), bytes.len(), "a removed file stays mapped");
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("empty");
        fs::write(&path, b"").expect("written");
        let map = MappedFile::open(&path).expect("mapped");
        assert!(map.is_empty());
        map.advise_dont_need(0..10);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = MappedFile::open(folder.path()).expect_err("a folder is no file");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let missing = MappedFile::open(&folder.path().join("missing")).expect_err("not there");
        assert!(missing.to_string().contains("missing"), "{missing}");
    }
}
