//! New weights for a model that answers (`/admin/weights/`).
//!
//! The key decision is that a version is whole before anybody is asked to take it: it is uploaded as a stream of what
//! changed, built into a folder of its own, every chunk checked against its manifest, loaded as a model beside the one
//! that serves, and installed under a number that no request has. What is left for the commit is to choose another
//! number between two steps. So a push that fails at any point before leaves nothing but a folder to be removed.
//!
//! Who decides is `mynah_swap::protocol`: each server runs a [`Receiver`](mynah_swap::protocol::Receiver), the pusher a
//! coordinator; their messages travel in the bodies of `/admin/weights/messages`, and the pusher is the one that asks.
//! Between its promise and the decision a server takes no step: its requests wait, and none is dropped.
//!
//! What this host decides otherwise than the protocol allows:
//! * A server belongs to no coordinator between two pushes: it serves what it has. A pusher that falls silent before the
//!   promise is given up after a time, and its upload is removed.
//! * The receiver's log is in memory: a server that is restarted serves the folder that it is started with. The highest
//!   epoch is in a file, so that no older version comes in again.

mod agent;
mod push;
mod routes;
mod stage;
mod status;
mod versions;

use std::path::PathBuf;

use mynah_models::LoadOptions;

pub use push::{Fleet, Link, Policy, PushOptions, PushReport, Recovered, recover};

pub(super) use agent::Hot;
pub(super) use routes::routes;
pub(super) use versions::Versions;

/// How a server takes new weights.
#[derive(Clone, Debug)]
pub struct WeightsConfig {
    /// What a caller of `/admin/` must present. It opens nothing else.
    pub admin_key: String,
    /// The folder of safetensors that the model was loaded from.
    pub folder: PathBuf,
    /// How the model was loaded; new versions are loaded the same way.
    pub load: LoadOptions,
    /// Folder for versions that come in, and for the highest epoch seen. No other server may use it.
    pub state: PathBuf,
    /// File with the Ed25519 public key that manifests and orders to go back must be signed with; nothing: everything
    /// that an admin sends is taken.
    pub signer: Option<PathBuf>,
}
