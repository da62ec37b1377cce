//! The thread that writes, and group commit.
//!
//! A change is a closure over a [`Tx`]. The thread takes every change that is waiting into one transaction; each
//! runs in a savepoint of its own, so that one that fails takes back its own work and nobody else's. Answers go
//! out after the commit: what was acknowledged survives `kill -9`, and with `full_sync` a loss of power.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::audit::log::{Event, Log};
use crate::db::Connection;
use crate::error::{Error, Result};
use mynah_base::time::now_ms;

/// Changes in one transaction: enough to share a commit, few enough that other processes get their turn.
const GROUP_MAX: usize = 256;
/// A transaction takes no more changes in after this long.
const GROUP_TIME_MAX: Duration = Duration::from_millis(40);
/// Changes that may wait; then callers wait.
const QUEUE_MAX: usize = 1_024;

/// What a change sees: the connection inside its savepoint, and the place to say what it did.
pub struct Tx<'c> {
    /// The writing connection, in a transaction.
    pub connection: &'c Connection,
    /// One time for everything in this change.
    pub now_ms: i64,
    actor: Arc<str>,
    events: Vec<Event>,
}

impl Tx<'_> {
    /// Records what was changed; goes into the audit log if the change succeeds.
    pub fn event(&mut self, kind: &'static str, subject: impl Into<String>, detail: serde_json::Value) {
        self.events.push(Event { kind, subject: subject.into(), detail });
    }

    /// Who makes the change.
    pub fn actor(&self) -> &str {
        &self.actor
    }
}

/// The sending side; the thread ends when it is dropped.
pub struct Writer {
    queue: Mutex<Option<SyncSender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
}

impl Writer {
    /// Opens a connection and starts the thread on it; where that connection is lost later, the thread opens the
    /// next one the same way.
    pub fn start(
        open: impl Fn() -> Result<Connection> + Send + 'static,
        timeout: Duration,
    ) -> Result<Writer> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let connection = open()?;
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_string())
            .spawn(move || run(connection, open, &receiver, timeout))
            .map_err(|error| Error::storage(format!("cannot start the ledger's writer thread: {error}")))?;
        let thread_id = thread.thread().id();
        Ok(Writer { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), thread_id })
    }

    /// Runs a change and waits for its commit.
    pub fn write<T, F>(&self, actor: &Arc<str>, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = sync_channel(1);
        let task = Task { actor: Arc::clone(actor), change: Some(change), outcome: None, reply };
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gone = || Error::storage("the ledger's writer thread has ended; open the ledger again");
        sender.ok_or_else(gone)?.send(Box::new(task)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && std::thread::current().id() != self.thread_id
        {
            // A panic of the thread has already been told to whoever waited for it.
            let _ = thread.join();
        }
    }
}

/// A change with its types forgotten.
trait Job: Send {
    fn actor(&self) -> Arc<str>;
    /// Runs it; on success the events to record.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// It ran, but what came after did not work.
    fn fail(&mut self, error: Error);
    /// Tells the caller.
    fn answer(self: Box<Self>);
}

struct Task<T, F> {
    actor: Arc<str>,
    change: Option<F>,
    outcome: Option<Result<T>>,
    reply: SyncSender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx) -> Result<T> + Send,
{
    fn actor(&self) -> Arc<str> {
        Arc::clone(&self.actor)
    }

    fn run(&mut self, tx: &mut Tx) -> bool {
        let Some(change) = self.change.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| change(tx))).unwrap_or_else(|panic| {
            Err(Error::storage(format!("the ledger's writer failed: {}", words(&*panic))))
        });
        let ok = outcome.is_ok();
        self.outcome = Some(outcome);
        ok
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.outcome, Some(Err(_))) {
            self.outcome = Some(Err(error));
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // The caller may have died; its change is committed all the same.
            let _ = self.reply.send(outcome);
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_string())
}

fn run(
    mut connection: Connection,
    open: impl Fn() -> Result<Connection>,
    queue: &Receiver<Box<dyn Job>>,
    timeout: Duration,
) {
    while let Ok(first) = queue.recv() {
        let mut done: Vec<Box<dyn Job>> = vec![first];
        let result =
            begin(&mut connection, &open, timeout).and_then(|()| commit_group(&connection, queue, &mut done));
        if let Err(error) = result {
            // After a failed BEGIN or COMMIT nothing of the group is in the store.
            let _ = connection.rollback();
            done.iter_mut().for_each(|job| job.fail(error.clone()));
        }
        done.into_iter().for_each(Job::answer);
    }
    // Not being able to is no harm.
    let _ = connection.tidy();
}

/// Begins a transaction. Where the connection was lost since the last one, nothing of this group has been done yet,
/// and another connection can do it.
fn begin(
    connection: &mut Connection,
    open: &impl Fn() -> Result<Connection>,
    timeout: Duration,
) -> Result<()> {
    let until = Instant::now() + timeout;
    match connection.begin_write(until) {
        Err(_) if connection.is_lost() => {
            *connection = open()?;
            connection.begin_write(until)
        }
        outcome => outcome,
    }
}

fn commit_group(
    connection: &Connection,
    queue: &Receiver<Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<()> {
    let started = Instant::now();
    let mut log = Log::load(connection)?;
    let mut at = 0;
    loop {
        if at == done.len() {
            if at >= GROUP_MAX || started.elapsed() >= GROUP_TIME_MAX {
                break;
            }
            match queue.try_recv() {
                Ok(job) => done.push(job),
                Err(_) => break,
            }
        }
        run_job(connection, &mut log, &mut *done[at])?;
        at += 1;
    }
    log.save(connection)?;
    Ok(connection.commit()?)
}

/// Runs one change in its savepoint. An error means that the transaction itself is broken.
fn run_job(connection: &Connection, log: &mut Log, job: &mut dyn Job) -> Result<()> {
    connection.begin_change()?;
    let mut tx = Tx { connection, now_ms: now_ms(), actor: job.actor(), events: Vec::new() };
    let ok = job.run(&mut tx);
    let Tx { now_ms, actor, events, .. } = tx;
    let recorded = if ok { log.append(connection, now_ms, &actor, events) } else { Ok(()) };
    if let Err(error) = &recorded {
        job.fail(error.clone());
    }
    Ok(connection.end_change(ok && recorded.is_ok())?)
}
