//! What is said, and its bytes.

use std::fmt;

use super::canary::CanaryStats;
use super::config::CommitMode;
use crate::wire::{Reader, Writer};
use crate::{Error, Hash, Result};

/// A replica, by the number its operator gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}", self.0)
    }
}

/// From the coordinator. Every message goes with the coordinator's term.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ToReplica {
    /// Fetch and verify `target`, and say when it is done. Whoever gets it is a member at `base`.
    Stage {
        incarnation: u64,
        epoch: u64,
        base: Hash,
        target: Hash,
        is_rollback: bool,
        mode: CommitMode,
        /// Where the bytes are; the hosts' business.
        source: String,
    },
    /// Serve this share of requests on the staged version.
    Canary { incarnation: u64, epoch: u64, share_ppm: u32 },
    /// Hold, and promise to do what will be decided.
    Precommit { incarnation: u64, epoch: u64 },
    /// What was decided.
    Decision { incarnation: u64, epoch: u64, is_commit: bool },
    /// The coordinator knows that the decision was carried out.
    Settled { incarnation: u64, epoch: u64 },
    /// The answer to heartbeat `sequence`.
    Lease { incarnation: u64, sequence: u64 },
    /// A member from now on: serve `version`, the state after update `epoch`.
    Welcome { incarnation: u64, version: Hash, epoch: u64 },
    /// Fetch `version` from these members, then register again.
    CatchUp { incarnation: u64, version: Hash, peers: Vec<ReplicaId> },
    /// Not a member any more: stop serving, and register as a new incarnation.
    Reject { incarnation: u64, reason: String },
}

/// To the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ToCoordinator {
    /// Here I am, serving nothing; these are my weights.
    Register { incarnation: u64, live: Option<Hash> },
    /// Alive; the update I take part in.
    Heartbeat { incarnation: u64, sequence: u64, epoch: Option<u64> },
    /// I know of the update, and serve under a lease from here on.
    Staging { incarnation: u64, epoch: u64 },
    /// Every chunk is there and right.
    Verified { incarnation: u64, epoch: u64, target: Hash },
    /// Not with me.
    Veto { incarnation: u64, epoch: u64, reason: String },
    /// I hold and will do what is decided.
    Precommitted { incarnation: u64, epoch: u64 },
    /// I did.
    Decided { incarnation: u64, epoch: u64, is_commit: bool },
    /// What the canary showed so far.
    CanaryReport { incarnation: u64, epoch: u64, stats: CanaryStats },
    /// I have stopped serving and am going.
    Leaving { incarnation: u64 },
}

const TEXT_BYTES_MAX: usize = 4_096;
const PEERS_MAX: usize = 100_000;

impl ToReplica {
    /// The bytes of the message with its term.
    pub fn to_bytes(&self, term: u64) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(term);
        match self {
            Self::Stage { incarnation, epoch, base, target, is_rollback, mode, source } => {
                w.u8(0);
                w.u64(*incarnation);
                w.u64(*epoch);
                w.hash(base);
                w.hash(target);
                w.u8(u8::from(*is_rollback));
                w.u8(u8::from(*mode == CommitMode::Rolling));
                w.text(source);
            }
            Self::Canary { incarnation, epoch, share_ppm } => {
                w.u8(1);
                w.u64(*incarnation);
                w.u64(*epoch);
                w.u32(*share_ppm);
            }
            Self::Precommit { incarnation, epoch } => {
                w.u8(2);
                w.u64(*incarnation);
                w.u64(*epoch);
            }
            Self::Decision { incarnation, epoch, is_commit } => {
                w.u8(3);
                w.u64(*incarnation);
                w.u64(*epoch);
                w.u8(u8::from(*is_commit));
            }
            Self::Settled { incarnation, epoch } => {
                w.u8(4);
                w.u64(*incarnation);
                w.u64(*epoch);
            }
            Self::Lease { incarnation, sequence } => {
                w.u8(5);
                w.u64(*incarnation);
                w.u64(*sequence);
            }
            Self::Welcome { incarnation, version, epoch } => {
                w.u8(6);
                w.u64(*incarnation);
                w.hash(version);
                w.u64(*epoch);
            }
            Self::CatchUp { incarnation, version, peers } => {
                w.u8(7);
                w.u64(*incarnation);
                w.hash(version);
                w.u32(peers.len() as u32);
                peers.iter().for_each(|peer| w.u32(peer.0));
            }
            Self::Reject { incarnation, reason } => {
                w.u8(8);
                w.u64(*incarnation);
                w.text(reason);
            }
        }
        w.0
    }

    /// The term and the message in these bytes.
    ///
    /// # Errors
    /// `Format` when they are malformed.
    pub fn parse(bytes: &[u8]) -> Result<(u64, Self)> {
        let mut r = Reader::new(bytes, "a coordinator's message");
        let term = r.u64("the term")?;
        let kind = r.u8("the kind")?;
        let incarnation = r.u64("the incarnation")?;
        let message = match kind {
            0 => Self::Stage {
                incarnation,
                epoch: r.u64("the epoch")?,
                base: r.hash("the base")?,
                target: r.hash("the target")?,
                is_rollback: r.flag("whether it is a rollback")?,
                mode: if r.flag("the mode")? { CommitMode::Rolling } else { CommitMode::Barrier },
                source: r.text(TEXT_BYTES_MAX, "the source")?,
            },
            1 => Self::Canary { incarnation, epoch: r.u64("the epoch")?, share_ppm: r.u32("the share")? },
            2 => Self::Precommit { incarnation, epoch: r.u64("the epoch")? },
            3 => {
                Self::Decision { incarnation, epoch: r.u64("the epoch")?, is_commit: r.flag("the decision")? }
            }
            4 => Self::Settled { incarnation, epoch: r.u64("the epoch")? },
            5 => Self::Lease { incarnation, sequence: r.u64("the sequence")? },
            6 => Self::Welcome { incarnation, version: r.hash("the version")?, epoch: r.u64("the epoch")? },
            7 => {
                let version = r.hash("the version")?;
                let count = r.u32("the peers")? as usize;
                if count > PEERS_MAX {
                    return Err(r.malformed(format!("names {count} peers")));
                }
                let peers = (0..count).map(|_| r.u32("a peer").map(ReplicaId)).collect::<Result<_>>()?;
                Self::CatchUp { incarnation, version, peers }
            }
            8 => Self::Reject { incarnation, reason: r.text(TEXT_BYTES_MAX, "the reason")? },
            other => return Err(unknown(other)),
        };
        r.end()?;
        Ok((term, message))
    }

    /// The incarnation it is for.
    pub fn incarnation(&self) -> u64 {
        match self {
            Self::Stage { incarnation, .. }
            | Self::Canary { incarnation, .. }
            | Self::Precommit { incarnation, .. }
            | Self::Decision { incarnation, .. }
            | Self::Settled { incarnation, .. }
            | Self::Lease { incarnation, .. }
            | Self::Welcome { incarnation, .. }
            | Self::CatchUp { incarnation, .. }
            | Self::Reject { incarnation, .. } => *incarnation,
        }
    }
}

impl ToCoordinator {
    /// The bytes of the message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let mut head = |kind: u8| {
            w.u8(kind);
            w.u64(self.incarnation());
        };
        match self {
            Self::Register { live, .. } => {
                head(0);
                w.option(live.as_ref(), Writer::hash);
            }
            Self::Heartbeat { sequence, epoch, .. } => {
                head(1);
                w.u64(*sequence);
                w.option(*epoch, Writer::u64);
            }
            Self::Staging { epoch, .. } => {
                head(2);
                w.u64(*epoch);
            }
            Self::Verified { epoch, target, .. } => {
                head(3);
                w.u64(*epoch);
                w.hash(target);
            }
            Self::Veto { epoch, reason, .. } => {
                head(4);
                w.u64(*epoch);
                w.text(reason);
            }
            Self::Precommitted { epoch, .. } => {
                head(5);
                w.u64(*epoch);
            }
            Self::Decided { epoch, is_commit, .. } => {
                head(6);
                w.u64(*epoch);
                w.u8(u8::from(*is_commit));
            }
            Self::CanaryReport { epoch, stats, .. } => {
                head(7);
                w.u64(*epoch);
                for count in [
                    stats.requests,
                    stats.errors,
                    stats.nans,
                    stats.probes,
                    stats.mismatches,
                    stats.base_requests,
                    stats.base_errors,
                ] {
                    w.u64(count);
                }
            }
            Self::Leaving { .. } => head(8),
        }
        w.0
    }

    /// The message in these bytes.
    ///
    /// # Errors
    /// `Format` when they are malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a replica's message");
        let kind = r.u8("the kind")?;
        let incarnation = r.u64("the incarnation")?;
        let message = match kind {
            0 => Self::Register { incarnation, live: r.option("the version", Reader::hash)? },
            1 => Self::Heartbeat {
                incarnation,
                sequence: r.u64("the sequence")?,
                epoch: r.option("the epoch", Reader::u64)?,
            },
            2 => Self::Staging { incarnation, epoch: r.u64("the epoch")? },
            3 => Self::Verified { incarnation, epoch: r.u64("the epoch")?, target: r.hash("the target")? },
            4 => Self::Veto {
                incarnation,
                epoch: r.u64("the epoch")?,
                reason: r.text(TEXT_BYTES_MAX, "the reason")?,
            },
            5 => Self::Precommitted { incarnation, epoch: r.u64("the epoch")? },
            6 => {
                Self::Decided { incarnation, epoch: r.u64("the epoch")?, is_commit: r.flag("the decision")? }
            }
            7 => {
                let epoch = r.u64("the epoch")?;
                let mut count = || r.u64("a count");
                let stats = CanaryStats {
                    requests: count()?,
                    errors: count()?,
                    nans: count()?,
                    probes: count()?,
                    mismatches: count()?,
                    base_requests: count()?,
                    base_errors: count()?,
                };
                Self::CanaryReport { incarnation, epoch, stats }
            }
            8 => Self::Leaving { incarnation },
            other => return Err(unknown(other)),
        };
        r.end()?;
        Ok(message)
    }

    /// The incarnation of the sender.
    pub fn incarnation(&self) -> u64 {
        match self {
            Self::Register { incarnation, .. }
            | Self::Heartbeat { incarnation, .. }
            | Self::Staging { incarnation, .. }
            | Self::Verified { incarnation, .. }
            | Self::Veto { incarnation, .. }
            | Self::Precommitted { incarnation, .. }
            | Self::Decided { incarnation, .. }
            | Self::CanaryReport { incarnation, .. }
            | Self::Leaving { incarnation } => *incarnation,
        }
    }
}

fn unknown(kind: u8) -> Error {
    Error::format(format!("a message of kind {kind}, which is unknown; are both sides of the same release?"))
}
