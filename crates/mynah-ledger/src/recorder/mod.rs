//! Recording without waiting: points go into a bounded queue, a thread of the recorder writes them.
//!
//! A call costs a lock and a push. When the queue is full the caller waits, and a counter says how often and how
//! long: dropping points would be a lie, growing without bound would end the training. The queue is emptied by
//! [`Recorder::flush`], when the last clone goes, when a thread panics, and when the process ends (see `exit`).

mod exit;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::metrics::Sample;
use crate::runs;
use crate::types::Metric;
use crate::validate;
use mynah_base::time::now_ms;

pub use exit::flush_all;

/// Points in one transaction at most: a burst must not keep other processes from the store.
const WRITE_MAX: usize = 100_000;

/// How to record.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// Points that may wait to be written.
    pub queue_points_max: usize,
    /// After the first point the thread waits this long for more, so that slow logging is not a transaction per
    /// point. A full half of the queue and a flush do not wait.
    pub linger_ms: u64,
    /// While the store cannot be written for now (disk full, locked by others, server away), points are kept and
    /// tried again; a flush gives up after this long. What will not pass is not tried again.
    pub give_up_ms: u64,
}

impl Default for RecorderOptions {
    fn default() -> RecorderOptions {
        RecorderOptions { queue_points_max: 262_144, linger_ms: 50, give_up_ms: 60_000 }
    }
}

/// What a recorder has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Points taken.
    pub accepted: u64,
    /// Points in the store.
    pub written: u64,
    /// Points that the store refused for good: the run was deleted meanwhile, the store is damaged or read-only.
    pub rejected: u64,
    /// Points that wait.
    pub queued: u64,
    /// Calls that had to wait because the queue was full.
    pub waits: u64,
    /// How long they waited in all.
    pub waited_us: u64,
    /// Times that writing failed and was tried again.
    pub retries: u64,
}

/// Records points of one run from any thread. Clones share one queue.
#[derive(Clone)]
pub struct Recorder {
    handle: Arc<Handle>,
}

/// What the clones share; the thread has only the queue, so that this goes when the last clone does.
struct Handle {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread writes what is left before it ends; its failures are in the counters.
            let _ = thread.join();
        }
    }
}

/// The queue between the callers and the thread.
struct Queue {
    state: Mutex<State>,
    /// Anything changed: points came, points went, a flush, the end.
    changed: Condvar,
    options: RecorderOptions,
}

#[derive(Default)]
struct State {
    points: VecDeque<(u32, Sample)>,
    keys: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, u32>,
    stats: RecorderStats,
    /// Flushes that wait: lingering would keep them.
    flushes: usize,
    is_closed: bool,
    /// The thread has ended; nothing will be written any more.
    is_done: bool,
    error: Option<Error>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until everything accepted before now is in the store or refused; gives how many points are in neither.
    /// What went wrong stays for [`Queue::flush`] to tell.
    fn settle(&self) -> (u64, MutexGuard<'_, State>) {
        let mut state = self.lock();
        let target = state.stats.accepted;
        let until = Instant::now() + Duration::from_millis(self.options.give_up_ms);
        state.flushes += 1;
        self.changed.notify_all();
        while state.stats.written + state.stats.rejected < target && !state.is_done && Instant::now() < until
        {
            state = self.wait_until(state, until);
        }
        state.flushes -= 1;
        (target.saturating_sub(state.stats.written + state.stats.rejected), state)
    }

    /// Waits until everything accepted before now is in the store.
    fn flush(&self) -> Result<()> {
        let (missing, mut state) = self.settle();
        match state.error.take() {
            Some(error) => Err(error),
            None if missing > 0 => Err(Error::new(
                ErrorKind::Busy,
                format!("{missing} points are still not written; the store is too slow or locked"),
            )),
            None => Ok(()),
        }
    }
}

impl Ledger {
    /// A recorder for an active run.
    ///
    /// # Errors
    /// `NotFound` when there is no such run, `Invalid` when it is deleted, `Permission` when the ledger is read-only.
    pub fn recorder(&self, run_id: &str, options: RecorderOptions) -> Result<Recorder> {
        if options.queue_points_max == 0 {
            return Err(Error::invalid("the queue of a recorder must hold at least one point"));
        }
        self.read(|connection| runs::active(connection, run_id).map(drop))?;
        if self.is_read_only() {
            return Err(Error::new(
                ErrorKind::Permission,
                "a ledger that is open for reading only cannot record",
            ));
        }
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), options });
        let (ledger, run_id, theirs) = (self.clone(), run_id.to_string(), Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name("ledger-recorder".to_string())
            .spawn(move || write_all(&ledger, &run_id, &theirs))
            .map_err(|error| Error::storage(format!("cannot start a recorder's thread: {error}")))?;
        exit::register(&queue);
        Ok(Recorder { handle: Arc::new(Handle { queue, thread: Mutex::new(Some(thread)) }) })
    }
}

impl Recorder {
    /// Records a point now.
    ///
    /// # Errors
    /// `Invalid` for a bad key; `Storage` after the recorder has ended.
    pub fn log_metric(&self, key: &str, value: f64, step: i64) -> Result<()> {
        self.push(key, Sample { step, timestamp_ms: now_ms(), value })
    }

    /// Records points with their own times. Their models and datasets are not kept here; use
    /// [`Ledger::log_batch`](crate::Ledger::log_batch) for those.
    ///
    /// # Errors
    /// `Invalid` for a bad key or time, before any of them is taken.
    pub fn log_metrics(&self, metrics: &[Metric]) -> Result<()> {
        metrics.iter().try_for_each(validate::metric)?;
        metrics.iter().try_for_each(|metric| {
            let sample = Sample { step: metric.step, timestamp_ms: metric.timestamp_ms, value: metric.value };
            self.push(&metric.key, sample)
        })
    }

    /// Waits until every point taken before this call is in the store, and tells what went wrong since the
    /// last flush.
    ///
    /// # Errors
    /// The store's error for points that it refused; `Busy` when the time is up (the points are kept).
    pub fn flush(&self) -> Result<()> {
        self.handle.queue.flush()
    }

    /// The counters.
    pub fn stats(&self) -> RecorderStats {
        self.handle.queue.lock().stats
    }

    fn push(&self, key: &str, sample: Sample) -> Result<()> {
        let queue = &self.handle.queue;
        let mut state = queue.lock();
        let number = match state.numbers.get(key) {
            Some(number) => *number,
            None => {
                validate::key("metric", key)?;
                let (name, number): (Arc<str>, u32) = (key.into(), state.keys.len() as u32);
                state.keys.push(Arc::clone(&name));
                state.numbers.insert(name, number);
                number
            }
        };
        if state.points.len() >= queue.options.queue_points_max && !state.is_done {
            let began = Instant::now();
            while state.points.len() >= queue.options.queue_points_max && !state.is_done {
                state = queue.wait(state);
            }
            state.stats.waits += 1;
            state.stats.waited_us += began.elapsed().as_micros() as u64;
        }
        if state.is_done {
            return Err(Error::storage("the recorder has ended; its points can no longer be written"));
        }
        let len = state.points.len();
        state.points.push_back((number, sample));
        state.stats.accepted += 1;
        state.stats.queued += 1;
        // The thread needs to hear of the first point and of the half that ends its waiting, not of each.
        if len == 0 || len == queue.options.queue_points_max / 2 {
            queue.changed.notify_all();
        }
        Ok(())
    }
}

/// The thread: takes what waits, writes it, until the queue is closed and empty.
fn write_all(ledger: &Ledger, run_id: &str, queue: &Queue) {
    loop {
        let batch = take(queue);
        if batch.is_empty() {
            break;
        }
        let count: usize = batch.iter().map(|(_, samples)| samples.len()).sum();
        let outcome = write(ledger, run_id, batch, queue);
        let mut state = queue.lock();
        state.stats.queued -= count as u64;
        match outcome {
            Ok(()) => state.stats.written += count as u64,
            Err(error) => {
                state.stats.rejected += count as u64;
                state.error = Some(error);
            }
        }
        queue.changed.notify_all();
    }
    queue.lock().is_done = true;
    queue.changed.notify_all();
}

/// What is to be written next, by key; nothing when all is done.
fn take(queue: &Queue) -> Vec<(String, Vec<Sample>)> {
    let mut state = queue.lock();
    while state.points.is_empty() {
        if state.is_closed {
            return Vec::new();
        }
        state = queue.wait(state);
    }
    let until = Instant::now() + Duration::from_millis(queue.options.linger_ms);
    let half = queue.options.queue_points_max / 2;
    while !state.is_closed && state.flushes == 0 && state.points.len() <= half && Instant::now() < until {
        state = queue.wait_until(state, until);
    }
    let count = state.points.len().min(WRITE_MAX);
    let mut series: Vec<Vec<Sample>> = vec![Vec::new(); state.keys.len()];
    for (key, sample) in state.points.drain(..count) {
        series[key as usize].push(sample);
    }
    // Whoever waited for room may go on.
    queue.changed.notify_all();
    let names = state.keys.iter().map(|key| key.to_string());
    names.zip(series).filter(|(_, samples)| !samples.is_empty()).collect()
}

/// Writes a batch, again and again while that may help (the store is busy or full, the server away); a refusal, a
/// constraint or a damaged store is final.
fn write(ledger: &Ledger, run_id: &str, batch: Vec<(String, Vec<Sample>)>, queue: &Queue) -> Result<()> {
    let mut pause_ms = 10;
    let until = Instant::now() + Duration::from_millis(queue.options.give_up_ms);
    loop {
        match ledger.log_samples(run_id, batch.clone()) {
            Err(error) if error.is_transient() => {
                let mut state = queue.lock();
                state.stats.retries += 1;
                // While somebody can still ask, the points wait; nobody is left to ask after the last clone.
                if state.is_closed && Instant::now() >= until {
                    return Err(error);
                }
                drop(state);
                std::thread::sleep(Duration::from_millis(pause_ms));
                pause_ms = (pause_ms * 2).min(1_000);
            }
            other => return other,
        }
    }
}
