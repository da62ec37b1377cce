//! The Python package `mynah`: a façade over the ledger and over versions of weights. Nothing depends on it.
//!
//! The key decision is where the line between the two languages runs. What happens on every training step (reading a
//! dict of figures, queueing them, waiting for room) is here, and a call never waits for the disk. What
//! happens once a run (which script, which revision, what to do with an exception) is Python in `python/mynah`, where
//! its readers look for it. `mynah.runs.Run` inherits from [`run::Run`], so that the hot calls have no Python
//! frame between them and the queue.
//!
//! The second decision is about `fork`. SQLite forbids carrying a connection into a child process, and a child has
//! none of its parent's threads. So before a fork everything is written and every store is closed; the parent opens
//! again at its next call, the child starts with nothing and is told so (see `gate`). Rejected: keeping the
//! connections and leaking them in the child (a store that the child then opens itself shares SQLite's stale view
//! of locks with its parent), and a process of its own for writing (one more thing that dies alone).
//!
//! Nothing waits with the interpreter's lock held: a call that has to wait lets other threads run and looks for
//! signals, so that Ctrl-C works while a store is locked.

mod convert;
mod errors;
mod gate;
mod lookup;
mod query;
mod run;
mod store;
mod weights;

/// The compiled half of the package; `mynah.runs` is what people use.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::gate::{after_fork_in_child, after_fork_in_parent, before_fork};
    #[pymodule_export]
    use crate::query::{artifacts, compare, get, history, read_artifact, save_artifact, search};
    #[pymodule_export]
    use crate::run::Run;
    #[pymodule_export]
    use crate::store::close;
    #[pymodule_export]
    use crate::weights::Weights;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
