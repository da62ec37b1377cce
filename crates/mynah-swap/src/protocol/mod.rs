//! How many servers go from one version to the next: everywhere or nowhere.
//!
//! A [`Coordinator`] leads, [`Receiver`]s follow, one beside each server. Both are pure state machines: they are
//! given messages and the time, and answer with actions, which the host carries out **in their order**. They read no clock and open no
//! connection; what must survive a crash goes into a [`Log`] before the action that depends on it is returned.
//!
//! ```text
//! coordinator      receiver
//! Stage        ->  fetches into a shadow, checks every chunk against the manifest
//!              <-  Staging (I know of it: from here on I serve under a lease), Verified or Veto
//! [Canary      ->  serves a share of requests on the new version  <- CanaryReport]
//! Precommit    ->  holds: finishes the current decode step and serves nothing
//!              <-  Precommitted
//! *decision into the log*
//! Decision     ->  flips the pointer and serves on, or drops the shadow and serves on
//!              <-  Decided
//! *close into the log, when all have answered*
//! Settled      ->  free of the lease
//! ```
//!
//! # What "all" means
//!
//! A replica *serves* version v when its [`Receiver::serving`] says v at that instant; requests are answered, and
//! readiness is true, only then. **With [`CommitMode::Barrier`], at every instant all replicas that serve, serve
//! the same version.** During the commit round some serve nothing: they hold between two decode steps, requests
//! wait and are not dropped. The decision is made when all participants hold, so before it nobody serves the new
//! version and after it nobody serves the old one. With [`CommitMode::Rolling`] participants go on serving
//! the old version until they hear the decision; during a commit round, and only then, versions v-1 and v are both
//! served. In a canary the share goes to a version that every participant has verified, and the rest of the
//! requests is as above.
//!
//! # Who may be left out
//!
//! A silent replica may still serve, behind a partition. So an update waits for every member, and aborts when one
//! vetoes or does not answer, with one exception: a member that has acknowledged that it takes part
//! (`Staging`) serves under a lease from then on until it is settled. It stops serving by itself when it has not reached the
//! coordinator for [`Config::lease_ms`], so the coordinator may leave it out after twice that time. Without an
//! update under way there is no lease: servers go on serving when the coordinator is gone. A member that never
//! acknowledged is only left out when it comes back as a new incarnation or when an operator vouches that it is
//! off ([`Coordinator::evict`]).
//!
//! # The blocking window
//!
//! In two-phase commit, who has promised and loses the coordinator can neither go on nor back (Gray, 1978;
//! Skeen, 1981). Here such a replica holds, is not ready and says why, and never guesses: it learns the outcome
//! from the next coordinator, which reads it in the log. An update without a decision in the log is aborted by
//! the next coordinator (presumed abort); one with a decision is carried through.
//!
//! # Terms
//!
//! A coordinator takes a new term by a conditional append to the log: an append succeeds only where the writer
//! has seen everything before, so two never lead in one term, and one that was passed fails at its next append.
//! It looks at the log before it grants leases, so no lease is granted after it was passed. Receivers ignore
//! terms below the highest they have seen.
//!
//! # Clocks
//!
//! Only [`tick`](Receiver::tick) counts time, and leases are safe as long as hosts call it at least every
//! [`Config::tick_ms`] on a receiver (a host that was stopped calls it before it serves again), and a coordinator's timer does not run at twice its
//! rate. A receiver counts at least `tick_ms` for a tick, a coordinator at most that: clocks that jump forward or
//! back end leases early, never late.

mod canary;
mod config;
mod coordinator;
mod fetch;
pub(crate) mod log;
mod message;
mod receiver;
mod records;
mod state;
#[cfg(test)]
mod tests;

pub use canary::{CanarySpec, CanaryStats, CanaryVerdict, judge};
pub use config::{CommitMode, Config, Mutation};
pub use coordinator::{Action, Coordinator, CoordinatorStatus, Event, MemberStatus, UpdateSpec};
pub use fetch::{Fetch, FetchLimits, Request};
pub use log::{FileLog, Log, MemoryLog};
pub use message::{ReplicaId, ToCoordinator, ToReplica};
pub use receiver::{Receiver, ReceiverAction};
pub use records::{CoordinatorRecord, ReceiverRecord, Snapshot};
