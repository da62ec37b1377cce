//! Logs that survive.
//!
//! ```text
//! file   = "MYNAHLG1", frames | "MYNAHLG2", count of records that went before (u64), frames
//! frame  = payload size (u32), its complement, checksum (16 bytes), payload
//! checksum = the first half of BLAKE3(checksum before, payload); before the first 16 zeros, or that of the count
//! ```
//!
//! The second form is a log that was [compacted](FileLog::compact). Counts go on where they were, so who was passed
//! before is refused after as well.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// An append-only log. An append either is there for good when it returns, or has failed; after a failure nobody
/// knows, and the writer must stop and read again.
pub trait Log {
    /// All records.
    ///
    /// # Errors
    /// `Io`; `Format` when what is there is damaged.
    fn read(&mut self) -> Result<Vec<Vec<u8>>>;

    /// Appends a record as number `expected` (from 0), durably.
    ///
    /// # Errors
    /// `Stale` when the log has another count of records: somebody else has written. `Io` when it cannot be
    /// written.
    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()>;

    /// Appends a record that is there for good only after the next [`append`](Log::append) or [`sync`](Log::sync): the
    /// end of the process does not lose it, that of the machine may, with all that was appended after it.
    ///
    /// # Errors
    /// As [`append`](Log::append).
    fn append_soon(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        self.append(expected, record)
    }

    /// What was appended soon is there for good.
    ///
    /// # Errors
    /// `Io`.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// The count of records, as it is now.
    ///
    /// # Errors
    /// `Io`.
    fn count(&mut self) -> Result<u64>;
}

/// A log that forgets: for tests and simulations.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    records: Vec<Vec<u8>>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }
}

pub(super) fn passed(expected: u64, found: u64) -> Error {
    Error::stale(format!("the log has {found} records, not {expected}: another coordinator leads"))
}

impl Log for MemoryLog {
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(self.records.clone())
    }

    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        if self.records.len() as u64 != expected {
            return Err(passed(expected, self.records.len() as u64));
        }
        self.records.push(record.to_vec());
        Ok(())
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.records.len() as u64)
    }
}

pub(crate) const MAGIC: &[u8; 8] = b"MYNAHLG1";
const MAGIC_COMPACTED: &[u8; 8] = b"MYNAHLG2";
const FRAME_HEAD_BYTES: usize = 24;
const RECORD_BYTES_MAX: usize = 1 << 20;
const LOG_BYTES_MAX: u64 = 1 << 30;

/// A log in a file, locked for one process. A record torn by a crash is cut off when the file is opened; damage
/// anywhere else is an error, because what follows it may be decisions.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    file: File,
    count: u64,
    end: u64,
    checksum: [u8; 16],
    /// A write failed: what is on the disk is unknown until it is opened again.
    is_broken: bool,
}

impl FileLog {
    /// Opens a log, or makes an empty one.
    ///
    /// # Errors
    /// `State` when another process has it open, `Format` when it is damaged or no log, `Io`.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |action: &'static str| move |e: std::io::Error| Error::io(action, path, &e);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open the log"))?;
        file.try_lock().map_err(|e| match e {
            std::fs::TryLockError::WouldBlock => {
                Error::new(crate::ErrorKind::State, "another process has this log open; stop that one first")
                    .in_file(path)
            }
            std::fs::TryLockError::Error(e) => Error::io("lock the log", path, &e),
        })?;
        let mut log =
            Self { path: path.to_path_buf(), file, count: 0, end: 0, checksum: [0; 16], is_broken: false };
        let bytes = log.bytes()?;
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
            // New, or torn while it was made.
            log.file.set_len(0).map_err(io("empty the log"))?;
            log.write_at(0, MAGIC, false)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            mynah_base::sync_dir(folder.unwrap_or(Path::new("."))).map_err(io("sync the folder"))?;
            log.end = MAGIC.len() as u64;
            return Ok(log);
        }
        let scanned = scan(&bytes).map_err(|e| e.in_file(path))?;
        (log.count, log.end, log.checksum) =
            (scanned.before + scanned.records.len() as u64, scanned.end as u64, scanned.checksum);
        if log.end < bytes.len() as u64 {
            log.file
                .set_len(log.end)
                .and_then(|()| log.file.sync_all())
                .map_err(io("cut the torn record off"))?;
        }
        Ok(log)
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        let io = |e: std::io::Error| Error::io("read the log", &self.path, &e);
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut self.file).take(LOG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > LOG_BYTES_MAX {
            return Err(Error::format("larger than a gibibyte; it is no log of updates").in_file(&self.path));
        }
        Ok(bytes)
    }

    /// Puts these records, which add up to the same state, in the place of all that are there. Whole or not at all;
    /// the count of records stays.
    ///
    /// # Errors
    /// `Argument` when they are not fewer; `Io`.
    pub fn compact(&mut self, records: &[Vec<u8>]) -> Result<()> {
        let io = |action: &'static str| {
            let path = self.path.clone();
            move |e: std::io::Error| Error::io(action, &path, &e)
        };
        let Some(before) = self.count.checked_sub(records.len() as u64).filter(|_| !self.is_broken) else {
            return Err(Error::argument("a compaction has fewer records than the log").in_file(&self.path));
        };
        let mut bytes = MAGIC_COMPACTED.to_vec();
        bytes.extend(before.to_le_bytes());
        let mut checksum = frame_checksum(&[0; 16], &bytes);
        for record in records {
            let framed;
            (framed, checksum) = frame(&checksum, record);
            bytes.extend(framed);
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".tmp");
        let neighbour = PathBuf::from(name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&neighbour);
        let mut file = file.map_err(io("write the shorter log"))?;
        // Ours before it has the name that others open.
        file.try_lock().map_err(|e| io("lock the shorter log")(e.into()))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io("write the shorter log"))?;
        std::fs::rename(&neighbour, &self.path).map_err(io("name the shorter log"))?;
        (self.file, self.end, self.checksum) = (file, bytes.len() as u64, checksum);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        mynah_base::sync_dir(folder.unwrap_or(Path::new("."))).map_err(io("sync the folder"))
    }

    fn write_at(&mut self, at: u64, bytes: &[u8], is_soon: bool) -> Result<()> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        let written = written.and_then(|()| if is_soon { Ok(()) } else { self.file.sync_data() });
        written.map_err(|e| self.broke(&e))
    }

    fn broke(&mut self, error: &std::io::Error) -> Error {
        self.is_broken = true;
        Error::io("write the log", &self.path, error)
    }
}

pub(crate) struct Scanned {
    /// Records that a compaction took away.
    before: u64,
    pub(crate) records: Vec<Vec<u8>>,
    /// Bytes up to the end of the last whole record.
    pub(crate) end: usize,
    pub(crate) checksum: [u8; 16],
}

/// Reads frames up to the end or to a torn one at the very end.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scanned> {
    let (before, end, checksum) = match bytes.split_at_checked(16) {
        Some((head, _)) if head.starts_with(MAGIC_COMPACTED) => {
            let mut word = [0; 8];
            word.copy_from_slice(&head[8..]);
            (u64::from_le_bytes(word), 16, frame_checksum(&[0; 16], head))
        }
        _ if bytes.starts_with(MAGIC) => (0, MAGIC.len(), [0; 16]),
        _ => return Err(Error::format("no log of updates: it does not begin with MYNAHLG1")),
    };
    let mut scanned = Scanned { before, records: Vec::new(), end, checksum };
    while let Some(rest) = bytes.get(scanned.end..).filter(|rest| !rest.is_empty()) {
        // A file that grew before its content came is zeros from some byte on.
        let written = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let Some((head, after)) = rest.split_at_checked(FRAME_HEAD_BYTES).filter(|_| written >= 8) else {
            return Ok(scanned);
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let size = word(0) as usize;
        let damaged = || {
            Error::format(format!(
                "damaged at byte {}; restore it from a copy, because decisions may be lost",
                scanned.end
            ))
        };
        if word(0) != !word(4) || size > RECORD_BYTES_MAX {
            return Err(damaged());
        }
        let payload = after.get(..size);
        let right = payload.filter(|payload| head[8..] == frame_checksum(&scanned.checksum, payload));
        let Some(payload) = right else {
            return if written <= FRAME_HEAD_BYTES + size { Ok(scanned) } else { Err(damaged()) };
        };
        scanned.checksum.copy_from_slice(&head[8..]);
        scanned.end += FRAME_HEAD_BYTES + size;
        scanned.records.push(payload.to_vec());
    }
    Ok(scanned)
}

/// A record as it is written, and the checksum that the next one goes on from.
pub(crate) fn frame(before: &[u8; 16], record: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let checksum = frame_checksum(before, record);
    let size = record.len() as u32;
    let mut frame = size.to_le_bytes().to_vec();
    frame.extend((!size).to_le_bytes());
    frame.extend(checksum);
    frame.extend(record);
    (frame, checksum)
}

fn frame_checksum(before: &[u8; 16], payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(payload);
    let mut checksum = [0; 16];
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    checksum
}

impl Log for FileLog {
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        let bytes = self.bytes()?;
        Ok(scan(&bytes).map_err(|e| e.in_file(&self.path))?.records)
    }

    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        self.put(expected, record, false)
    }

    fn append_soon(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        self.put(expected, record, true)
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.broke(&error))
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.count)
    }
}

impl FileLog {
    fn put(&mut self, expected: u64, record: &[u8], is_soon: bool) -> Result<()> {
        if expected != self.count {
            return Err(passed(expected, self.count));
        }
        if self.is_broken || record.len() > RECORD_BYTES_MAX {
            return Err(Error::new(crate::ErrorKind::Io, "an earlier write failed; open the log again")
                .in_file(&self.path));
        }
        let (frame, checksum) = frame(&self.checksum, record);
        self.write_at(self.end, &frame, is_soon)?;
        self.end += frame.len() as u64;
        self.count += 1;
        self.checksum = checksum;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mynah_base::Rng;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_compacted_log_counts_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = FileLog::open(&path).unwrap();
        (0..10u8).for_each(|i| log.append(u64::from(i), &[i; 50]).unwrap());
        let long = std::fs::metadata(&path).unwrap().len();
        assert_eq!(log.compact(&vec![Vec::new(); 11]).unwrap_err().kind(), ErrorKind::Argument);
        log.compact(&[b"all".to_vec(), b"of it".to_vec()]).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < long / 2);
        assert_eq!(FileLog::open(&path).unwrap_err().kind(), ErrorKind::State, "still locked");
        // Who has not seen everything is passed, as before.
        assert_eq!(log.append(2, b"late").unwrap_err().kind(), ErrorKind::Stale);
        log.append(10, b"next").unwrap();
        drop(log);
        let good = std::fs::read(&path).unwrap();
        let mut log = FileLog::open(&path).unwrap();
        assert_eq!(log.read().unwrap(), [&b"all"[..], b"of it", b"next"]);
        assert_eq!(log.count().unwrap(), 11);
        drop(log);
        for at in 8..good.len() - 60 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(FileLog::open(&path).unwrap_err().kind(), ErrorKind::Format, "byte {at}");
        }
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let records: Vec<Vec<u8>> = (0..6u8).map(|i| vec![i; usize::from(i) * 7]).collect();
        let mut log = FileLog::open(&path).unwrap();
        assert_eq!(FileLog::open(&path).unwrap_err().kind(), ErrorKind::State);
        for (number, record) in records.iter().enumerate() {
            assert_eq!(log.append(number as u64 + 1, record).unwrap_err().kind(), ErrorKind::Stale);
            log.append(number as u64, record).unwrap();
        }
        assert_eq!(log.read().unwrap(), records);
        drop(log);
        let good = std::fs::read(&path).unwrap();
        let mut rng = Rng::new(1);
        for length in 0..good.len() {
            let mut torn = good[..length].to_vec();
            // A crash leaves a part, or a part and zeros where the rest was to be.
            if length > 8 && rng.chance(0.3) {
                torn.resize(good.len(), 0);
            }
            std::fs::write(&path, &torn).unwrap();
            let mut log = FileLog::open(&path).unwrap();
            let found = log.read().unwrap();
            assert_eq!(found, records[..found.len()], "cut at {length}");
            log.append(found.len() as u64, b"next").unwrap();
            drop(log);
            let mut log = FileLog::open(&path).unwrap();
            assert_eq!(log.read().unwrap().last().unwrap(), b"next");
        }
        for at in 8..good.len() - 60 {
            let mut bad = good.clone();
            bad[at] ^= 1 << rng.index(8);
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(FileLog::open(&path).unwrap_err().kind(), ErrorKind::Format, "byte {at}");
        }
        std::fs::write(&path, b"something else").unwrap();
        assert!(FileLog::open(&path).unwrap_err().to_string().contains("MYNAHLG1"));
    }
}
