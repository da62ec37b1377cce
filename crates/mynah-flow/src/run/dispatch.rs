//! Which stage a worker runs next.
//!
//! Normally: each worker has a deque. A stage that becomes ready goes on the deque of the worker that made it so (what
//! it reads was just written); the others steal from its other end. Whoever finds nothing sleeps until something
//! becomes ready. In a replay there is one list instead, the recorded order of starts, and the next stage of it is
//! given out when it is ready and the one before has started.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use crate::pipeline::{Pipeline, StageId};

/// Sleepers look at the flow's interruption this often; everything else wakes them.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Dispatch {
    injector: Injector<StageId>,
    stealers: Vec<Stealer<StageId>>,
    /// Per stage: how many of those it comes after are not settled yet.
    waiting: Vec<AtomicUsize>,
    dependents: Vec<Vec<StageId>>,
    state: Mutex<State>,
    changed: Condvar,
    cpus_max: usize,
}

struct State {
    /// Stages that are not settled.
    unsettled: usize,
    /// Grows whenever something becomes ready.
    generation: u64,
    /// Processors in use, and the tickets of those who wait for some.
    cpus_used: usize,
    next_ticket: u64,
    serving: u64,
    replay: Option<Replay>,
}

struct Replay {
    order: Vec<StageId>,
    /// How many of them have started.
    position: usize,
    /// The next one was given out and has not started yet.
    is_given: bool,
    is_ready: Vec<bool>,
}

/// Processors, until dropped.
pub(crate) struct Cpus<'a> {
    dispatch: &'a Dispatch,
    count: usize,
}

impl Dispatch {
    /// For these stages of a pipeline; with an order for a replay. The deques belong to the workers.
    pub fn new(
        pipeline: &Pipeline,
        wanted: &[StageId],
        workers: usize,
        cpus_max: usize,
        replay: Option<Vec<StageId>>,
    ) -> (Dispatch, Vec<Worker<StageId>>) {
        let count = pipeline.stages.len();
        let mut dependents = vec![Vec::new(); count];
        let mut waiting: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        for id in wanted {
            let after = &pipeline.stage(*id).after;
            after.iter().for_each(|need| dependents[need.index()].push(*id));
            *waiting[id.index()].get_mut() = after.len();
        }
        let deques: Vec<Worker<StageId>> = (0..workers).map(|_| Worker::new_lifo()).collect();
        let ready: Vec<StageId> =
            wanted.iter().copied().filter(|id| pipeline.stage(*id).after.is_empty()).collect();
        let injector = Injector::new();
        let replay = replay.map(|mut order| {
            // Those that were not reached in the recording come last, in the order of the file.
            let rest: Vec<StageId> = wanted.iter().copied().filter(|id| !order.contains(id)).collect();
            order.extend(rest);
            let mut is_ready = vec![false; count];
            ready.iter().for_each(|id| is_ready[id.index()] = true);
            Replay { order, position: 0, is_given: false, is_ready }
        });
        if replay.is_none() {
            ready.iter().for_each(|id| injector.push(*id));
        }
        let state = State {
            unsettled: wanted.len(),
            generation: 0,
            cpus_used: 0,
            next_ticket: 0,
            serving: 0,
            replay,
        };
        let dispatch = Dispatch {
            injector,
            stealers: deques.iter().map(Worker::stealer).collect(),
            waiting,
            dependents,
            state: Mutex::new(state),
            changed: Condvar::new(),
            cpus_max,
        };
        (dispatch, deques)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The next stage for this worker; nothing when all are settled.
    pub fn next(&self, own: &Worker<StageId>) -> Option<StageId> {
        loop {
            // Read before looking: what becomes ready after the look has changed it.
            let seen = {
                let mut state = self.lock();
                if state.unsettled == 0 {
                    return None;
                }
                if state.replay.is_some() {
                    if let Some(id) = state.replay.as_mut().and_then(Replay::take) {
                        return Some(id);
                    }
                    drop(self.sleep(state));
                    continue;
                }
                state.generation
            };
            if let Some(id) = own.pop().or_else(|| self.steal()) {
                return Some(id);
            }
            let mut state = self.lock();
            while state.generation == seen && state.unsettled > 0 {
                state = self.sleep(state);
            }
        }
    }

    fn steal(&self) -> Option<StageId> {
        loop {
            let from_all = self.injector.steal();
            let stolen =
                from_all.or_else(|| self.stealers.iter().map(Stealer::steal).collect::<Steal<StageId>>());
            match stolen {
                Steal::Success(id) => return Some(id),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Waits for processors, in the order of asking: a wide stage is not overtaken for ever. A stage that wants more
    /// than there are gets all. Nothing when the flow is interrupted.
    pub fn cpus(&self, count: usize, stop: &AtomicBool) -> Option<Cpus<'_>> {
        let count = count.min(self.cpus_max);
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.serving != ticket || state.cpus_used + count > self.cpus_max {
            // Who leaves the queue would have to let the next one pass; but then all leave it.
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            state = self.sleep(state);
        }
        state.serving += 1;
        state.cpus_used += count;
        self.changed.notify_all();
        Some(Cpus { dispatch: self, count })
    }

    /// Processors in use.
    pub fn cpus_used(&self) -> usize {
        self.lock().cpus_used
    }

    /// A stage that was given out has started, or will not; a replay gives out the next one. Saying it twice is fine.
    pub fn started(&self, id: StageId) {
        let mut state = self.lock();
        if let Some(replay) = &mut state.replay
            && replay.is_given
            && replay.order.get(replay.position) == Some(&id)
        {
            replay.is_given = false;
            replay.position += 1;
            self.changed.notify_all();
        }
    }

    /// A stage is settled; what only waited for it becomes ready.
    pub fn settled(&self, id: StageId, own: &Worker<StageId>) {
        let ready = self.dependents[id.index()]
            .iter()
            .filter(|dependent| self.waiting[dependent.index()].fetch_sub(1, Ordering::AcqRel) == 1);
        let ready: Vec<StageId> = ready.copied().collect();
        let mut state = self.lock();
        state.unsettled -= 1;
        match &mut state.replay {
            Some(replay) => ready.iter().for_each(|id| replay.is_ready[id.index()] = true),
            // Last in, first out: the first of the file is pushed last.
            None => ready.iter().rev().for_each(|id| own.push(*id)),
        }
        state.generation += 1;
        self.changed.notify_all();
    }
}

impl Replay {
    fn take(&mut self) -> Option<StageId> {
        let next = *self.order.get(self.position)?;
        let may = !self.is_given && self.is_ready[next.index()];
        self.is_given |= may;
        may.then_some(next)
    }
}

impl Drop for Cpus<'_> {
    fn drop(&mut self) {
        self.dispatch.lock().cpus_used -= self.count;
        self.dispatch.changed.notify_all();
    }
}
