//! What the world is made of.

use std::collections::{BTreeMap, HashMap};

use crate::protocol::log::{MAGIC, frame, scan};
use crate::protocol::{CanaryStats, Fetch, Log, Receiver, ReplicaId, ToCoordinator, ToReplica};
use crate::{Error, ErrorKind, Hash, Result};

/// A process: coordinators first, then replicas.
pub(super) type Node = usize;

#[derive(Debug)]
pub(super) enum Happening {
    Tick(Node),
    ToReplica(usize, Node, u64, ToReplica),
    ToCoordinator(usize, ReplicaId, ToCoordinator),
    Ask { to: u32, from: usize, version: Hash, chunk: u32 },
    Chunk { to: usize, from: u32, version: Hash, chunk: u32, bytes: Option<Vec<u8>> },
    Restart(Node),
    Lead(usize),
    Update,
    Chaos,
}

pub(super) struct Queued {
    pub(super) at_ms: u64,
    pub(super) order: u64,
    pub(super) happening: Happening,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the largest first.
        (other.at_ms, other.order).cmp(&(self.at_ms, self.order))
    }
}

/// A disk with a log in the form of [`crate::protocol::FileLog`], whose writes may be the last thing that a
/// process does.
pub(super) struct Disk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Vec<u8>>,
    pub(super) checksum: [u8; 16],
    /// Up to here the bytes are whole records.
    pub(super) end: usize,
    /// Up to here they outlive a crash.
    pub(super) synced: (usize, usize, [u8; 16]),
    /// What the next write does: nothing special, or the crash that comes with it.
    pub(super) next_write: Option<Crash>,
    pub(super) torn_writes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let (records, checksum) = (Vec::new(), [0; 16]);
        let (end, synced) = (MAGIC.len(), (MAGIC.len(), 0, [0; 16]));
        Self { bytes: MAGIC.to_vec(), records, checksum, end, synced, next_write: None, torn_writes: 0 }
    }
}

impl Disk {
    /// The machine stops: of what was not synced this much is there, in thousandths.
    pub(super) fn stop(&mut self, thousandths: u64) {
        let (end, records, checksum) = self.synced;
        if end == self.end {
            return;
        }
        self.torn_writes += 1;
        self.bytes.truncate(end + (self.end - end) * thousandths as usize / 1000);
        if self.bytes.len() < self.end {
            self.records.truncate(records);
            (self.end, self.checksum) = (end, checksum);
        }
    }
}

/// A crash at a write: this much of the record's frame, in thousandths, is on the disk.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Crash(pub(super) u64);

impl Log for Disk {
    /// What opening a file does: a torn frame at the end is cut off.
    fn read(&mut self) -> Result<Vec<Vec<u8>>> {
        let scanned = scan(&self.bytes)?;
        self.bytes.truncate(scanned.end);
        (self.checksum, self.end) = (scanned.checksum, scanned.end);
        self.records.clone_from(&scanned.records);
        self.sync()?;
        Ok(scanned.records)
    }

    fn append(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        if self.records.len() as u64 != expected {
            return Err(Error::stale("passed"));
        }
        // Whoever writes next has opened the log again, or holds it open behind a store that has.
        self.bytes.truncate(self.end);
        let (frame, checksum) = frame(&self.checksum, record);
        if let Some(Crash(thousandths)) = self.next_write.take() {
            let written = frame.len() * thousandths as usize / 1000;
            self.torn_writes += u64::from(written > 0 && written < frame.len());
            self.bytes.extend_from_slice(&frame[..written]);
            if written == frame.len() {
                (self.checksum, self.end) = (checksum, self.bytes.len());
                self.records.push(record.to_vec());
            }
            self.sync()?;
            return Err(Error::new(ErrorKind::Io, "crash at a write"));
        }
        self.bytes.extend_from_slice(&frame);
        (self.checksum, self.end) = (checksum, self.bytes.len());
        self.records.push(record.to_vec());
        self.sync()
    }

    fn append_soon(&mut self, expected: u64, record: &[u8]) -> Result<()> {
        let synced = self.synced;
        let written = self.append(expected, record);
        self.synced = synced;
        written
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = (self.end, self.records.len(), self.checksum);
        Ok(())
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.records.len() as u64)
    }
}

pub(super) struct Process {
    pub(super) is_up: bool,
    pub(super) paused_until_ms: u64,
    /// It was stopped, and its timer has not told it yet.
    pub(super) is_stopped: bool,
    pub(super) clock_offset_ms: i64,
    /// Which part of a cut network it is in.
    pub(super) part: u8,
}

pub(super) struct Replica {
    pub(super) receiver: Option<Receiver>,
    pub(super) disk: Disk,
    /// Weights on the disk, as they came.
    pub(super) weights: HashMap<Hash, Vec<Vec<u8>>>,
    pub(super) fetch: Option<Fetching>,
    pub(super) served: Option<Hash>,
    pub(super) canary: CanaryStats,
}

pub(super) struct Fetching {
    pub(super) version: Hash,
    pub(super) epoch: Option<u64>,
    pub(super) is_rollback: bool,
    pub(super) fetch: Fetch<u32>,
    pub(super) chunks: Vec<Vec<u8>>,
}

/// What the log says, as far as promises are about it.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) seen: usize,
    pub(super) version: Option<Hash>,
    pub(super) previous: Option<Hash>,
    pub(super) open: Option<(u64, Hash)>,
    pub(super) is_committing: bool,
    pub(super) leaders: BTreeMap<u64, u32>,
}
