//! The last moments: what is still queued when the process panics or ends.
//!
//! A recorder is emptied when it is dropped, and unwinding drops it. That leaves recorders that nobody drops: in
//! a static, leaked, held by another thread, or skipped by `std::process::exit`. For those there is a list of
//! all living queues, a hook that flushes them at a panic, and a value of each thread that makes recorders
//! whose destructor flushes when that thread ends, which for the main thread is the end of the process. A
//! program that ends in another thread, or by `abort`, calls [`flush_all`] itself.

use std::cell::Cell;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use super::Queue;
use crate::error::Result;

static QUEUES: Mutex<Vec<Weak<Queue>>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

thread_local! {
    static AT_THREAD_END: AtThreadEnd = const { AtThreadEnd(Cell::new(false)) };
}

struct AtThreadEnd(Cell<bool>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        settle_all();
    }
}

fn living() -> Vec<Arc<Queue>> {
    let queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    queues.iter().filter_map(Weak::upgrade).collect()
}

/// Waits as [`flush_all`] does. Nobody asked, so what went wrong is left for whoever flushes the recorder.
fn settle_all() {
    living().iter().for_each(|queue| drop(queue.settle()));
}

/// Remembers a queue, and arms the last moments.
pub fn register(queue: &Arc<Queue>) {
    let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    queues.retain(|queue| queue.strong_count() > 0);
    queues.push(Arc::downgrade(queue));
    drop(queues);
    AT_THREAD_END.with(|end| end.0.set(true));
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // First the message: if flushing takes long, it is already told.
            before(info);
            // The writing threads must not wait for themselves.
            let ours = std::thread::current().name().is_some_and(|name| name.starts_with("ledger-"));
            if !ours {
                settle_all();
            }
        }));
    });
}

/// Waits until every point of every recorder of this process is in its store. For the end of `main`, for
/// handlers of signals, and before `std::process::exit` in another thread than the main one.
///
/// # Errors
/// The first error of any recorder; the others are flushed all the same.
pub fn flush_all() -> Result<()> {
    // All of them, whatever the first one says.
    let results: Vec<Result<()>> = living().iter().map(|queue| queue.flush()).collect();
    results.into_iter().collect()
}
