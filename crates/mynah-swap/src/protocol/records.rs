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
