//! New weights for a model that answers (`/admin/weights/`).
//!
//! The key decision is that a version is whole before anybody is asked to take it: it is uploaded as a stream of what
//! changed, built into a folder of its own, every chunk checked against its manifest, loaded as a model beside the one
//! that serves, and installed under a number that no request has. What is left for the commit is to choose another
//! number between two steps. So a push that fails at any point before leaves nothing but a folder to be removed.
//!
//! Who decides is `mynah_swap::protocol`: each server runs a [`Receiver`](mynah_swap::protocol::Receiver), the pusher a
//! coordinator; their messages travel in the bodies of `/admin/weights/messages`, and the pusher is the one that asks.
//! Between its promise and the decision a server takes no step: its requests wait, and none is dropped. One server by
//! itself, and those of a push that is rolling, answer on with what they have until they hear the decision.
//!
//! What this host decides otherwise than the protocol allows:
//! * A server belongs to no coordinator between two pushes: it serves what it has. A pusher that falls silent before the
//!   promise is given up after a time, and its upload is removed.
//! * With a folder for it ([`WeightsConfig::keeps`]) the receiver's log and the committed versions outlive the process.
//!   One that was killed after a promise and before the decision holds when it comes back, and says so: it never
//!   guesses ([`durable`]). Without, a server that is restarted serves the folder that it is started with; only the highest
//!   epoch is in a file, so that no older version comes in again.
//! * A server that lags behind is brought to the others' version by the pusher, with what another server makes of it
//!   ([`push`]): it is not the members of the protocol that send to each other.

mod agent;
mod carry;
mod durable;
mod local;
mod priority;
mod push;
mod routes;
mod source;
mod stage;
mod status;
mod trial;
mod verbs;
mod versions;

use std::path::PathBuf;

use mynah_models::LoadOptions;

pub use durable::resume;
pub use push::{
    Canary, CaughtUp, Fleet, Link, Policy, PushOptions, PushReport, Recovered, catch_up, expect, recover,
};
pub use trial::{Probe, Probes};

pub(super) use agent::Hot;
pub(super) use routes::routes;
pub(super) use verbs::has as has_verb;
pub(super) use versions::Versions;

/// How a server takes new weights.
#[derive(Clone, Debug)]
pub struct WeightsConfig {
    /// What a caller of `/admin/` must present. It opens nothing else.
    pub admin_key: String,
    /// The folder of safetensors that the model was loaded from when no version had been committed.
    pub folder: PathBuf,
    /// How the model was loaded; new versions are loaded the same way.
    pub load: LoadOptions,
    /// Folder for versions that come in, and for the highest epoch seen. No other server may use it.
    pub state: PathBuf,
    /// Whether what was committed outlives the server: it is then in `state`, and [`resume`] says which folder to load.
    pub keeps: bool,
    /// File with the Ed25519 public key that manifests and orders to go back must be signed with; nothing: everything
    /// that an admin sends is taken.
    pub signer: Option<PathBuf>,
}
