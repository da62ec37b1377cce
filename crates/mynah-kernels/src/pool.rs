//! The compute threads: a parallel loop over task numbers, and safe ways to split slices over it.
//!
//! One process-wide set of threads serves one caller at a time. A call gives every thread it wants a
//! pointer to the job on the caller's stack, works along, and takes back the pointers that no thread
//! has picked up by the time the work is gone, so a sleeping thread never holds up a short job. A call
//! from inside a task, or while another thread's call is being served, runs its tasks one after the
//! other on the calling thread: same tasks, same results, no waiting and no deadlock.
//!
//! Tasks are claimed by whoever is free, so a task may not care which thread runs it. How work is cut
//! into tasks depends only on the sizes given and on [`threads`]: same inputs and same thread count,
//! same bytes.

use crate::cpu::{self, Isa};
use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// More threads than this are never used.
pub const THREADS_MAX: usize = 256;

/// How long an idle thread looks for work before it sleeps. Within a training step the next parallel
/// loop usually begins sooner than this; waking a sleeper costs some 50 µs. (With 40 µs a step at depth 4 had
/// 190 wakings and took 4% longer.)
const SPIN: Duration = Duration::from_micros(300);

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREADS_HERE: Cell<usize> = const { Cell::new(0) };
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// How many threads a parallel loop started here may use: the count given to [`with_threads`], else to
/// [`set_threads`], else `MYNAH_THREADS`, else what the machine offers. Inside a task: 1.
pub fn threads() -> usize {
    if IN_TASK.get() {
        return 1;
    }
    match (THREADS_HERE.get(), THREADS.load(Ordering::Relaxed)) {
        (0, 0) => default_threads(),
        (0, everywhere) => everywhere,
        (here, _) => here,
    }
}

/// Sets the thread count of the whole process (at least 1, at most [`THREADS_MAX`]).
pub fn set_threads(count: usize) {
    THREADS.store(count.clamp(1, THREADS_MAX), Ordering::Relaxed);
}

/// Runs `body` with [`threads`] = `count` on this thread.
pub fn with_threads<R>(count: usize, body: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(&THREADS_HERE, count.clamp(1, THREADS_MAX));
    body()
}

fn default_threads() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let wanted = std::env::var("MYNAH_THREADS").ok().and_then(|text| text.parse::<usize>().ok());
        let offered = || std::thread::available_parallelism().map_or(1, |n| n.get());
        wanted.filter(|&n| n > 0).unwrap_or_else(offered).min(THREADS_MAX)
    })
}

/// Calls `task(0)`, …, `task(tasks - 1)`, each once, over up to [`threads`] threads, and returns when
/// all are done.
///
/// # Panics
/// If a task panics, the tasks not yet begun may be left out and the panic continues here.
pub fn run(tasks: usize, task: impl Fn(usize) + Sync) {
    let helpers = threads().min(tasks).saturating_sub(1);
    if helpers > 0
        && let Some(mut pool) = Pool::claim()
    {
        let panic = pool.run(helpers, tasks, &task);
        drop(pool);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    } else {
        let _restore = (tasks > 1).then(|| Restore::set(&IN_TASK, true));
        (0..tasks).for_each(task);
    }
}

/// Cuts `0..len` into ranges of whole `grain`s (the last may be shorter) and calls `task` for each.
/// There are up to four ranges a thread, so that a delayed thread holds up little.
pub fn run_ranges(len: usize, grain: usize, task: impl Fn(Range<usize>) + Sync) {
    let parts = ranges(len, grain);
    run(parts, |part| task(range(len, grain, parts, part)));
}

/// How many ranges [`run_ranges`] makes: it depends on `len`, `grain` and [`threads`] alone.
pub fn ranges(len: usize, grain: usize) -> usize {
    let grains = len.div_ceil(grain.max(1));
    if threads() == 1 { grains.min(1) } else { grains.min(threads() * 4) }
}

/// Range number `part` of `parts`, cut as [`run_ranges`] does.
pub fn range(len: usize, grain: usize, parts: usize, part: usize) -> Range<usize> {
    let grain = grain.max(1);
    let grains = len.div_ceil(grain);
    let edge = |part: usize| (grains * part / parts * grain).min(len);
    edge(part)..edge(part + 1)
}

/// Calls `task(i)` for each i < `tasks` in parallel and returns the results in order.
pub fn run_map<R: Send>(tasks: usize, task: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let mut results: Vec<Option<R>> = (0..tasks).map(|_| None).collect();
    run_chunks_mut(&mut results, 1, |i, place| place[0] = Some(task(i)));
    results.into_iter().flatten().collect()
}

/// Hands out `data` in pieces of `chunk_len` (the last may be shorter): `task(index, chunk)`.
///
/// # Panics
/// If `chunk_len` is 0, and as [`run`].
pub fn run_chunks_mut<T: Send>(data: &mut [T], chunk_len: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let data = Chunks::new(data, chunk_len);
    run(data.count(), |i| {
        // SAFETY: `run` gives each i to one call only.
        task(i, unsafe { data.get(i) })
    });
}

/// [`run_chunks_mut`] over two slices at once: `task(index, chunk_a, chunk_b)`.
///
/// # Panics
/// If the slices do not give the same number of chunks, and as [`run_chunks_mut`].
pub fn run_chunks_mut2<A: Send, B: Send>(
    (a, chunk_a): (&mut [A], usize),
    (b, chunk_b): (&mut [B], usize),
    task: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    let (a, b) = (Chunks::new(a, chunk_a), Chunks::new(b, chunk_b));
    assert_eq!(a.count(), b.count(), "the slices have different numbers of chunks");
    run(a.count(), |i| {
        // SAFETY: `run` gives each i to one call only.
        let (a, b) = unsafe { (a.get(i), b.get(i)) };
        task(i, a, b)
    });
}

/// [`run_chunks_mut`] over three slices at once: `task(index, chunk_a, chunk_b, chunk_c)`.
///
/// # Panics
/// If the slices do not give the same number of chunks, and as [`run_chunks_mut`].
pub fn run_chunks_mut3<A: Send, B: Send, C: Send>(
    (a, chunk_a): (&mut [A], usize),
    (b, chunk_b): (&mut [B], usize),
    (c, chunk_c): (&mut [C], usize),
    task: impl Fn(usize, &mut [A], &mut [B], &mut [C]) + Sync,
) {
    let (a, b, c) = (Chunks::new(a, chunk_a), Chunks::new(b, chunk_b), Chunks::new(c, chunk_c));
    assert!(a.count() == b.count() && b.count() == c.count(), "the slices have different numbers of chunks");
    run(a.count(), |i| {
        // SAFETY: `run` gives each i to one call only.
        let (a, b, c) = unsafe { (a.get(i), b.get(i), c.get(i)) };
        task(i, a, b, c)
    });
}

/// A mutable slice that tasks share, each writing its own part: for kernels in this crate whose parts
/// are not chunks in a row (columns, tiles).
#[derive(Clone, Copy)]
pub(crate) struct Shared<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: `Shared` gives access only through `slice`, whose caller promises that parts in use at the
// same time do not overlap; sending disjoint `&mut [T]` to other threads is what `T: Send` allows.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(data: &mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len() }
    }

    /// The first element, for kernels that write in a pattern of their own; the promises of
    /// [`Shared::slice`] hold for every use.
    pub(crate) fn pointer(&self) -> *mut T {
        self.start
    }

    /// The elements in `range`.
    ///
    /// # Safety
    /// The slice given to [`Shared::new`] is still borrowed for nothing else, and no other part in use
    /// overlaps `range`.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} elements", self.len);
        // SAFETY: inside the original slice (just checked), and not aliased (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

struct Chunks<T> {
    data: Shared<T>,
    chunk_len: usize,
}

impl<T> Chunks<T> {
    fn new(data: &mut [T], chunk_len: usize) -> Self {
        assert!(chunk_len > 0, "chunks of length 0");
        Self { data: Shared::new(data), chunk_len }
    }

    fn count(&self) -> usize {
        self.data.len.div_ceil(self.chunk_len)
    }

    /// # Safety
    /// As [`Shared::slice`]: each i is used once.
    #[allow(clippy::mut_from_ref)]
    unsafe fn get(&self, i: usize) -> &mut [T] {
        let start = i * self.chunk_len;
        // SAFETY: chunks of different i do not overlap; the rest is the caller's promise.
        unsafe { self.data.slice(start..(start + self.chunk_len).min(self.data.len)) }
    }
}

/// Puts a thread-local value back when dropped, also by a panic.
struct Restore<T: Copy + 'static> {
    cell: &'static std::thread::LocalKey<Cell<T>>,
    outer: T,
}

impl<T: Copy + 'static> Restore<T> {
    fn set(cell: &'static std::thread::LocalKey<Cell<T>>, value: T) -> Self {
        Self { cell, outer: cell.replace(value) }
    }
}

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.cell.set(self.outer);
    }
}

/// One parallel loop, on its caller's stack.
struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    next: AtomicUsize,
    isa: Isa,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Claims and runs tasks until none is left.
    fn work(&self) {
        let _restore = Restore::set(&IN_TASK, true);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            cpu::with_isa(self.isa, || {
                loop {
                    let i = self.next.fetch_add(1, Ordering::Relaxed);
                    if i >= self.tasks {
                        break;
                    }
                    (self.task)(i);
                }
            })
        }));
        if let Err(payload) = outcome {
            self.next.store(self.tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }
}

/// A helper thread's letter box. `job` is null (idle), a job (offered) or [`busy`] (being worked on).
/// Only the caller that holds the pool puts a job in, or takes back one that is still offered; only
/// the helper turns offered into busy and busy into null.
struct Helper {
    job: AtomicPtr<Job<'static>>,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

fn busy() -> *mut Job<'static> {
    ptr::without_provenance_mut(1)
}

struct Pool {
    helpers: Vec<Arc<Helper>>,
    meeting: Arc<Meeting>,
}

/// Where the caller waits for helpers that are still at work.
#[derive(Default)]
struct Meeting {
    caller_waits: AtomicBool,
    lock: Mutex<()>,
    helper_done: Condvar,
}

impl Pool {
    /// The pool, unless another thread is using it.
    fn claim() -> Option<MutexGuard<'static, Pool>> {
        static POOL: OnceLock<Mutex<Pool>> = OnceLock::new();
        let pool = POOL.get_or_init(|| Mutex::new(Pool { helpers: Vec::new(), meeting: Arc::default() }));
        match pool.try_lock() {
            Ok(pool) => Some(pool),
            // A task's panic passes through `run` only after every helper is done: the pool is whole.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs the job on this thread and up to `helpers` others; returns what the first panic carried.
    fn run(
        &mut self,
        helpers: usize,
        tasks: usize,
        task: &(dyn Fn(usize) + Sync),
    ) -> Option<Box<dyn Any + Send>> {
        self.grow(helpers);
        let helpers = &self.helpers[..helpers.min(self.helpers.len())];
        let job = Job { task, tasks, next: AtomicUsize::new(0), isa: cpu::isa(), panic: Mutex::new(None) };
        // The lifetime is erased here. SAFETY of every use by a helper: between the offers below and
        // `wait_for` nothing can unwind (`work` catches the tasks' panics), and `wait_for` returns
        // only when every letter box is null again, after which no helper touches the job.
        let pointer = (&raw const job).cast_mut().cast::<Job<'static>>();
        for helper in helpers {
            helper.job.store(pointer, Ordering::SeqCst);
            if helper.asleep.load(Ordering::SeqCst)
                && let Some(thread) = helper.thread.get()
            {
                thread.unpark();
            }
        }
        job.work();
        self.wait_for(helpers, pointer);
        job.panic.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back offers nobody took, then waits for the helpers at work.
    fn wait_for(&self, helpers: &[Arc<Helper>], job: *mut Job<'static>) {
        for helper in helpers {
            let _ = helper.job.compare_exchange(job, ptr::null_mut(), Ordering::SeqCst, Ordering::SeqCst);
        }
        let done = || helpers.iter().all(|helper| helper.job.load(Ordering::SeqCst).is_null());
        if spin_until(done) {
            return;
        }
        // Either a helper's store of null comes before our store of `caller_waits` in the one order of
        // SeqCst operations, and `done` sees it; or the helper sees `caller_waits` and notifies, which
        // it can only do while we wait, for the lock is ours otherwise.
        self.meeting.caller_waits.store(true, Ordering::SeqCst);
        let mut guard = lock(&self.meeting.lock);
        while !done() {
            guard = self.meeting.helper_done.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.meeting.caller_waits.store(false, Ordering::SeqCst);
    }

    /// Starts threads until there are `wanted`, or as many as the system gives.
    fn grow(&mut self, wanted: usize) {
        while self.helpers.len() < wanted {
            let helper = Arc::new(Helper {
                job: AtomicPtr::new(ptr::null_mut()),
                asleep: AtomicBool::new(false),
                thread: OnceLock::new(),
            });
            let (its, meeting) = (Arc::clone(&helper), Arc::clone(&self.meeting));
            let name = format!("mynah-{}", self.helpers.len() + 1);
            let Ok(handle) = std::thread::Builder::new().name(name).spawn(move || its.serve(&meeting)) else {
                break;
            };
            let _ = helper.thread.set(handle.thread().clone());
            self.helpers.push(helper);
        }
    }
}

impl Helper {
    fn serve(&self, meeting: &Meeting) {
        loop {
            let offered = self.next_job();
            // The caller may have taken the offer back in the meantime.
            if self.job.compare_exchange(offered, busy(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
                continue;
            }
            // SAFETY: the letter box went from this pointer to busy, so the caller that put it in stays
            // in `wait_for`, with the job alive, until the store of null below.
            unsafe { &*offered }.work();
            self.job.store(ptr::null_mut(), Ordering::SeqCst);
            if meeting.caller_waits.load(Ordering::SeqCst) {
                drop(lock(&meeting.lock));
                meeting.helper_done.notify_all();
            }
        }
    }

    fn next_job(&self) -> *mut Job<'static> {
        loop {
            let mut job = ptr::null_mut();
            let found = spin_until(|| {
                job = self.job.load(Ordering::SeqCst);
                !job.is_null()
            });
            if found {
                return job;
            }
            // As with `caller_waits`: either we see the job, or its giver sees `asleep` and unparks us.
            // An unpark before the park makes the park return at once.
            self.asleep.store(true, Ordering::SeqCst);
            while self.job.load(Ordering::SeqCst).is_null() {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}

/// Polls `done` for at most [`SPIN`]; says whether it came true.
fn spin_until(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..64 {
        if done() {
            return true;
        }
        std::hint::spin_loop();
    }
    let start = Instant::now();
    while start.elapsed() < SPIN {
        for _ in 0..8 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
    }
    done()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
