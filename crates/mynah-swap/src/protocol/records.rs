//! What the logs hold.

use super::message::ReplicaId;
use crate::wire::{Reader, Writer};
use crate::{Error, Hash, Result};

/// A line of the coordinator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CoordinatorRecord {
    /// A coordinator leads from here on.
    Term { term: u64, coordinator: u32 },
    /// The first version, taken from the first replica.
    Adopt { version: Hash },
    /// A replica serves the version.
    Join { replica: ReplicaId, incarnation: u64 },
    /// A replica does not count any more.
    Leave { replica: ReplicaId, incarnation: u64, reason: String },
    /// An update is under way, with all members.
    Begin { epoch: u64, target: Hash, is_rollback: bool },
    /// It is decided.
    Decide { epoch: u64, is_commit: bool, reason: String },
    /// All participants have carried the decision out.
    Close { epoch: u64 },
    /// What all records before add up to, when no update is open.
    Snapshot(Box<Snapshot>),
}

/// See [`CoordinatorRecord::Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub term: u64,
    pub version: Option<Hash>,
    pub previous: Option<Hash>,
    pub epoch_highest: u64,
    pub epoch_closed: u64,
    /// Members with their incarnations.
    pub members: Vec<(ReplicaId, u64)>,
    /// The last incarnations of those that were left out.
    pub left: Vec<(ReplicaId, u64)>,
    /// Epochs, and whether they were committed.
    pub outcomes: Vec<(u64, bool)>,
}

/// A line of a receiver's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ReceiverRecord {
    /// The process started, or registered anew.
    Incarnation { incarnation: u64 },
    /// The highest term seen.
    Term { term: u64 },
    /// These weights are whole and verified here.
    Live { version: Hash, epoch: u64 },
    /// Will do what is decided about the update.
    Promise { epoch: u64, target: Hash },
    /// The update was aborted.
    Release { epoch: u64 },
}

const TEXT_BYTES_MAX: usize = 4_096;

impl CoordinatorRecord {
    /// The record's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Term { term, coordinator } => {
                w.u8(0);
                w.u64(*term);
                w.u32(*coordinator);
            }
            Self::Adopt { version } => {
                w.u8(1);
                w.hash(version);
            }
            Self::Join { replica, incarnation } => {
                w.u8(2);
                w.u32(replica.0);
                w.u64(*incarnation);
            }
            Self::Leave { replica, incarnation, reason } => {
                w.u8(3);
                w.u32(replica.0);
                w.u64(*incarnation);
                w.text(reason);
            }
            Self::Begin { epoch, target, is_rollback } => {
                w.u8(4);
                w.u64(*epoch);
                w.hash(target);
                w.u8(u8::from(*is_rollback));
            }
            Self::Decide { epoch, is_commit, reason } => {
                w.u8(5);
                w.u64(*epoch);
                w.u8(u8::from(*is_commit));
                w.text(reason);
            }
            Self::Close { epoch } => {
                w.u8(6);
                w.u64(*epoch);
            }
            Self::Snapshot(snapshot) => {
                w.u8(7);
                w.u64(snapshot.term);
                w.option(snapshot.version.as_ref(), Writer::hash);
                w.option(snapshot.previous.as_ref(), Writer::hash);
                w.u64(snapshot.epoch_highest);
                w.u64(snapshot.epoch_closed);
                for replicas in [&snapshot.members, &snapshot.left] {
                    w.u32(replicas.len() as u32);
                    for (replica, incarnation) in replicas {
                        w.u32(replica.0);
                        w.u64(*incarnation);
                    }
                }
                w.u32(snapshot.outcomes.len() as u32);
                for (epoch, is_commit) in &snapshot.outcomes {
                    w.u64(*epoch);
                    w.u8(u8::from(*is_commit));
                }
            }
        }
        w.0
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Format` when they are malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a record of the coordinator's log");
        let record = match r.u8("the kind")? {
            0 => Self::Term { term: r.u64("the term")?, coordinator: r.u32("the coordinator")? },
            1 => Self::Adopt { version: r.hash("the version")? },
            2 => Self::Join {
                replica: ReplicaId(r.u32("the replica")?),
                incarnation: r.u64("the incarnation")?,
            },
            3 => Self::Leave {
                replica: ReplicaId(r.u32("the replica")?),
                incarnation: r.u64("the incarnation")?,
                reason: r.text(TEXT_BYTES_MAX, "the reason")?,
            },
            4 => Self::Begin {
                epoch: r.u64("the epoch")?,
                target: r.hash("the target")?,
                is_rollback: r.flag("whether it is a rollback")?,
            },
            5 => Self::Decide {
                epoch: r.u64("the epoch")?,
                is_commit: r.flag("the decision")?,
                reason: r.text(TEXT_BYTES_MAX, "the reason")?,
            },
            6 => Self::Close { epoch: r.u64("the epoch")? },
            7 => {
                let mut snapshot = Snapshot {
                    term: r.u64("the term")?,
                    version: r.option("the version", Reader::hash)?,
                    previous: r.option("the version before", Reader::hash)?,
                    epoch_highest: r.u64("the highest epoch")?,
                    epoch_closed: r.u64("the last epoch")?,
                    ..Snapshot::default()
                };
                for replicas in [&mut snapshot.members, &mut snapshot.left] {
                    for _ in 0..r.u32("a count")? {
                        replicas.push((ReplicaId(r.u32("a replica")?), r.u64("an incarnation")?));
                    }
                }
                for _ in 0..r.u32("a count")? {
                    snapshot.outcomes.push((r.u64("an epoch")?, r.flag("a decision")?));
                }
                Self::Snapshot(Box::new(snapshot))
            }
            other => {
                return Err(Error::format(format!("a record of kind {other}; it is of a newer release")));
            }
        };
        r.end()?;
        Ok(record)
    }
}

impl ReceiverRecord {
    /// The record's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Incarnation { incarnation } => {
                w.u8(0);
                w.u64(*incarnation);
            }
            Self::Term { term } => {
                w.u8(1);
                w.u64(*term);
            }
            Self::Live { version, epoch } => {
                w.u8(2);
                w.hash(version);
                w.u64(*epoch);
            }
            Self::Promise { epoch, target } => {
                w.u8(3);
                w.u64(*epoch);
                w.hash(target);
            }
            Self::Release { epoch } => {
                w.u8(4);
                w.u64(*epoch);
            }
        }
        w.0
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Format` when they are malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a record of the receiver's log");
        let record = match r.u8("the kind")? {
            0 => Self::Incarnation { incarnation: r.u64("the incarnation")? },
            1 => Self::Term { term: r.u64("the term")? },
            2 => Self::Live { version: r.hash("the version")?, epoch: r.u64("the epoch")? },
            3 => Self::Promise { epoch: r.u64("the epoch")?, target: r.hash("the target")? },
            4 => Self::Release { epoch: r.u64("the epoch")? },
            other => {
                return Err(Error::format(format!("a record of kind {other}; it is of a newer release")));
            }
        };
        r.end()?;
        Ok(record)
    }
}
