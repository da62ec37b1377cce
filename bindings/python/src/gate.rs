//! The gate that every call passes, closed while the process forks.
//!
//! A call is inside from the moment it may touch a store or a queue until it does so no more. [`before_fork`] lets
//! nobody in, waits until all are out, and closes every store; so no lock of ours is held and no thread of ours runs
//! when the process is copied.
//!
//! Only atomics, and looking again instead of a condition variable: a child inherits the bytes of a lock, and one
//! that another thread held would never be opened. A thread decides to go in while it holds the interpreter's
//! lock, which the forking thread holds when it forks, so nobody is half-way in.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::{errors, run, store};

/// How often a waiting thread looks again.
const LOOK: Duration = Duration::from_micros(200);

static IS_FORKING: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// This process is a child, and its parent could not close a store in time.
static IS_TAINTED: AtomicBool = AtomicBool::new(false);
/// The fork under way found everything written.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static I_FORK: Cell<bool> = const { Cell::new(false) };
}

/// Proof of being inside; leaves when it goes.
pub struct Pass(());

impl Drop for Pass {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, SeqCst);
    }
}

/// Goes in; waits while the process forks.
pub fn enter(py: Python<'_>) -> PyResult<Pass> {
    loop {
        if !IS_FORKING.load(SeqCst) {
            INSIDE.fetch_add(1, SeqCst);
            return Ok(Pass(()));
        }
        if I_FORK.with(Cell::get) {
            let message = "the store is closed while this thread forks; record before or after the fork";
            return Err(errors::exception(py, "ForkError", message.to_string()));
        }
        py.detach(|| std::thread::sleep(LOOK));
        py.check_signals()?;
    }
}

/// Whether a store may be opened here.
pub fn check_untainted(py: Python<'_>) -> PyResult<()> {
    if !IS_TAINTED.load(SeqCst) {
        return Ok(());
    }
    let message = "this process was forked while its parent had points that could not be written; \
                   start it with the method 'spawn' or 'forkserver'";
    Err(errors::exception(py, "ForkError", message.to_string()))
}

/// Writes everything and closes every store; for `os.register_at_fork`. Calls under way and points that cannot be
/// written delay the fork by `wait_s` at most.
#[pyfunction]
pub fn before_fork(py: Python<'_>, wait_s: f64) {
    IS_FORKING.store(true, SeqCst);
    I_FORK.with(|fork| fork.set(true));
    let until = Instant::now() + Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    let closed = py.detach(|| {
        while INSIDE.load(SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let closed = INSIDE.load(SeqCst) == 0 && run::close_all(until);
        store::close_idle();
        closed
    });
    WAS_CLOSED.store(closed, SeqCst);
}

/// Lets everybody in again; stores are opened at their next use.
#[pyfunction]
pub fn after_fork_in_parent() {
    I_FORK.with(|fork| fork.set(false));
    WAS_CLOSED.store(false, SeqCst);
    IS_FORKING.store(false, SeqCst);
}

/// The child starts with nothing.
#[pyfunction]
pub fn after_fork_in_child() {
    INSIDE.store(0, SeqCst);
    // Some servers fork without asking first; then it depends on what was open.
    if !WAS_CLOSED.load(SeqCst) && store::is_any_open() {
        IS_TAINTED.store(true, SeqCst);
    }
    after_fork_in_parent();
}
