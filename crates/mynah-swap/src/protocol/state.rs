//! What the coordinator's log adds up to.

use std::collections::{BTreeMap, BTreeSet};

use super::message::ReplicaId;
use super::records::{CoordinatorRecord, Snapshot};
use crate::{Error, Hash, Result};

/// Outcomes that are remembered for replicas that missed them.
const OUTCOMES_KEPT: usize = 64;

/// What the log says.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) term: u64,
    pub(super) version: Option<Hash>,
    pub(super) previous: Option<Hash>,
    pub(super) epoch_highest: u64,
    /// Epoch of the last update that changed or kept the version for good.
    pub(super) epoch_closed: u64,
    pub(super) members: BTreeMap<ReplicaId, u64>,
    /// The last incarnation of each replica that was left out: it may believe things that are over, so it never
    /// joins again.
    pub(super) left: BTreeMap<ReplicaId, u64>,
    pub(super) open: Option<Open>,
    /// Epoch to what was decided.
    pub(super) outcomes: BTreeMap<u64, bool>,
}

/// An update that is not closed.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) epoch: u64,
    pub(super) target: Hash,
    pub(super) is_rollback: bool,
    pub(super) is_committed: bool,
    /// Participants that have not carried the decision out.
    pub(super) waiting: BTreeSet<ReplicaId>,
}

impl State {
    /// The only place where the state changes.
    pub(super) fn replay(&mut self, record: CoordinatorRecord) -> Result<()> {
        match record {
            CoordinatorRecord::Term { term, .. } => self.term = self.term.max(term),
            CoordinatorRecord::Adopt { version } => self.version = Some(version),
            CoordinatorRecord::Join { replica, incarnation } => {
                self.members.insert(replica, incarnation);
            }
            CoordinatorRecord::Leave { replica, incarnation, .. } => {
                if self.members.get(&replica) == Some(&incarnation) {
                    self.members.remove(&replica);
                }
                let left = self.left.entry(replica).or_default();
                *left = incarnation.max(*left);
                if let Some(open) = &mut self.open {
                    open.waiting.remove(&replica);
                }
            }
            CoordinatorRecord::Begin { epoch, target, is_rollback } => {
                self.epoch_highest = self.epoch_highest.max(epoch);
                let waiting = self.members.keys().copied().collect();
                self.open = Some(Open { epoch, target, is_rollback, is_committed: false, waiting });
            }
            CoordinatorRecord::Decide { epoch, is_commit, .. } => {
                let Some(open) = self.open.as_mut().filter(|open| open.epoch == epoch) else {
                    return Err(Error::format(format!("the log decides update {epoch}, which is not open")));
                };
                if is_commit {
                    open.is_committed = true;
                    self.previous = self.version.replace(open.target);
                } else {
                    self.open = None;
                    self.epoch_closed = epoch;
                }
                self.outcomes.insert(epoch, is_commit);
                while self.outcomes.len() > OUTCOMES_KEPT {
                    self.outcomes.pop_first();
                }
            }
            CoordinatorRecord::Close { epoch } => {
                if self.open.as_ref().is_none_or(|open| open.epoch != epoch) {
                    return Err(Error::format(format!("the log closes update {epoch}, which is not open")));
                }
                self.open = None;
                self.epoch_closed = epoch;
            }
            CoordinatorRecord::Snapshot(snapshot) => {
                let Snapshot {
                    term,
                    version,
                    previous,
                    epoch_highest,
                    epoch_closed,
                    members,
                    left,
                    outcomes,
                } = *snapshot;
                *self = Self {
                    term: term.max(self.term),
                    version,
                    previous,
                    epoch_highest,
                    epoch_closed,
                    members: members.into_iter().collect(),
                    left: left.into_iter().collect(),
                    open: None,
                    outcomes: outcomes.into_iter().collect(),
                };
            }
        }
        Ok(())
    }

    /// The record that says all of it; nothing while an update is open.
    pub(super) fn snapshot(&self) -> Option<CoordinatorRecord> {
        let pairs = |map: &BTreeMap<ReplicaId, u64>| map.iter().map(|(&id, &number)| (id, number)).collect();
        self.open.is_none().then(|| {
            CoordinatorRecord::Snapshot(Box::new(Snapshot {
                term: self.term,
                version: self.version,
                previous: self.previous,
                epoch_highest: self.epoch_highest,
                epoch_closed: self.epoch_closed,
                members: pairs(&self.members),
                left: pairs(&self.left),
                outcomes: self.outcomes.iter().map(|(&epoch, &is_commit)| (epoch, is_commit)).collect(),
            }))
        })
    }
}
