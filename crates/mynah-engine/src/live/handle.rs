//! The engine's thread and the handle by which everybody else reaches it.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::check::{ModelFacts, check};
use super::constraint::GrammarCompiler;
use super::core::{Core, SinkGuard, Submission};
use super::draft::Drafter;
use super::metrics::Metrics;
use super::options::EngineOptions;
use super::request::{Cancel, Event, Request, Sink};
use super::step_model::{Codec, StepModel};
use super::weights::InFlight;
use crate::error::{Error, ErrorKind, Result};

/// What was done to the model between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that keys and values depend on was changed.
    Nothing,
    /// An adapter was loaded under this number, which no other one had before.
    AdapterLoaded(u32),
    /// The adapter of this number is gone; requests with it fail.
    AdapterUnloaded(u32),
    /// Weights were installed under this number, which no other ones had before. No request has them yet, unless it
    /// names them.
    WeightsInstalled(u32),
    /// Requests to come are computed with these weights.
    WeightsChosen {
        /// Their number.
        weights: u32,
        /// What becomes of requests that began with others, but for those on trial.
        in_flight: InFlight,
    },
    /// A share of the requests to come is computed with these weights, the others with the chosen ones.
    WeightsTried {
        /// Their number.
        weights: u32,
        /// How many of a thousand requests; 0 ends the trial, and those under way end with what they began with.
        permille: u32,
    },
    /// These weights are gone; requests with them fail. The chosen ones may not go.
    WeightsRemoved(u32),
    /// No step is taken until [`Change::Released`]; requests wait, and their deadlines pass.
    Held,
    /// Steps are taken again.
    Released,
    /// No page of an earlier request is found any more.
    CacheFlushed,
    /// What runs is put back into the queue; its tokens are read again.
    PutBack,
    /// All requests fail with [`ErrorKind::Replaced`](crate::ErrorKind::Replaced).
    Aborted,
}

/// Something to do to the model between two steps.
type Work = Box<dyn FnOnce(&mut dyn StepModel) -> Change + Send>;

enum Message {
    Submit(Box<Submission>),
    BetweenSteps(Work),
    Shutdown,
    /// Only wakes the thread, so that it looks at the flags.
    Wake,
}

/// What the engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No request.
    Idle,
    /// Working.
    Busy,
    /// In one step for longer than [`EngineOptions::stuck_after`].
    Stuck,
    /// The thread panicked; nothing works any more.
    Dead,
    /// Shut down, or drained to the end.
    Stopped,
}

/// The engine's state of health.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// What the engine is doing.
    pub state: State,
    /// Whether it takes new requests.
    pub accepts: bool,
    /// When the last step ended, before now; `None` before the first one.
    pub last_step_ago: Option<Duration>,
    /// How long the step under way has taken so far.
    pub step_running: Option<Duration>,
}

impl Health {
    /// Whether requests are answered: idle or busy. A server answers 503 otherwise.
    pub fn is_well(&self) -> bool {
        matches!(self.state, State::Idle | State::Busy)
    }
}

/// What the thread tells the handles.
struct Shared {
    facts: ModelFacts,
    codec: Arc<dyn Codec>,
    options: EngineOptions,
    started: Instant,
    /// Requests in the engine or on the way to it.
    requests: Arc<AtomicUsize>,
    accepts: AtomicBool,
    is_dead: AtomicBool,
    is_stopped: AtomicBool,
    /// Microseconds after `started`, plus one; 0 for never.
    step_began_us: AtomicU64,
    step_ended_us: AtomicU64,
    metrics: Mutex<Metrics>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    grammars: OnceLock<Result<GrammarCompiler>>,
}

impl Shared {
    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64 + 1
    }

    fn age(&self, at_us: u64) -> Option<Duration> {
        (at_us > 0).then(|| Duration::from_micros(self.now_us().saturating_sub(at_us)))
    }
}

/// A lock whose holder panicked holds plain data that is right all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a request as long as it lives.
struct Ticket(Arc<AtomicUsize>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The way to a running engine; clones reach the same one. When the last is dropped the engine finishes what it has
/// and ends.
#[derive(Clone)]
pub struct EngineHandle {
    sender: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

/// The serving engine.
pub struct Engine;

impl Engine {
    /// Starts the thread that owns the model.
    ///
    /// # Errors
    /// [`ErrorKind::Option`] for options outside their range, [`ErrorKind::Model`] for a model without pages or when
    /// the system has no thread left.
    pub fn start(
        model: Box<dyn StepModel>,
        codec: Arc<dyn Codec>,
        options: EngineOptions,
    ) -> Result<EngineHandle> {
        Self::start_with_draft(model, None, codec, options)
    }

    /// The same with a small model of the same vocabulary that guesses tokens.
    ///
    /// # Errors
    /// As [`start`](Self::start), and [`ErrorKind::Option`] for a draft model that does not fit.
    pub fn start_with_draft(
        model: Box<dyn StepModel>,
        draft: Option<Box<dyn StepModel>>,
        codec: Arc<dyn Codec>,
        options: EngineOptions,
    ) -> Result<EngineHandle> {
        options.check()?;
        let facts = ModelFacts::of(model.as_ref())?;
        let (sender, inbox) = mpsc::channel();
        let shared = Arc::new(Shared {
            facts,
            codec: codec.clone(),
            options: options.clone(),
            started: Instant::now(),
            requests: Arc::default(),
            accepts: AtomicBool::new(true),
            is_dead: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            step_began_us: AtomicU64::new(0),
            step_ended_us: AtomicU64::new(0),
            metrics: Mutex::default(),
            thread: Mutex::default(),
            grammars: OnceLock::new(),
        });
        let drafter =
            draft.map(|draft| Drafter::new(draft, facts.vocab_size, options.step_tokens)).transpose()?;
        let mut core = Core::new(model, codec, options);
        core.drafter = drafter;
        let of_thread = shared.clone();
        let thread = thread::Builder::new()
            .name("mynah-engine".into())
            .spawn(move || run(core, inbox, &of_thread))
            .map_err(|error| Error::new(ErrorKind::Model, format!("no thread for the engine: {error}")))?;
        *lock(&shared.thread) = Some(thread);
        Ok(EngineHandle { sender, shared })
    }
}

impl EngineHandle {
    /// Submits a request and gives its events to be waited for.
    ///
    /// # Errors
    /// As [`submit_to`](Self::submit_to).
    pub fn submit(&self, request: Request) -> Result<Events> {
        let (sender, receiver) = mpsc::channel();
        let sink = move |event| match sender.send(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let cancel = self.submit_to(request, Box::new(sink))?;
        Ok(Events { receiver, cancel })
    }

    /// Submits a request whose events go to a sink, and gives the means to end it. After `Ok` the sink gets a
    /// `Done` or a `Failed` in any case, unless it says `Break` before.
    ///
    /// # Errors
    /// [`ErrorKind::Prompt`] for a prompt that is empty, has unknown ids, or does not fit with `max_tokens` (with the
    /// numbers), [`ErrorKind::Option`] for an option outside its range, [`ErrorKind::Constraint`] for what cannot be
    /// enforced, [`ErrorKind::Busy`], [`ErrorKind::Draining`] and [`ErrorKind::Dead`].
    pub fn submit_to(&self, request: Request, sink: Box<dyn Sink>) -> Result<Cancel> {
        let shared = &self.shared;
        if shared.is_dead.load(Ordering::Acquire) {
            return Err(dead());
        }
        if !shared.accepts.load(Ordering::Acquire) {
            return Err(draining());
        }
        let deadline = request.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        let priority = request.priority;
        let (spec, constraint) = check(request, &shared.facts, || self.grammar_compiler())?;
        let requests_max = shared.options.requests_max;
        let ticket = Ticket(shared.requests.clone());
        if shared.requests.fetch_add(1, Ordering::AcqRel) >= requests_max {
            let message = format!("{requests_max} requests are in the engine already; try again later");
            return Err(Error::new(ErrorKind::Busy, message));
        }
        let cancel = Cancel::default();
        let submission = Submission {
            spec: Arc::new(spec),
            constraint,
            priority,
            sink: SinkGuard::new(sink, Some(Box::new(ticket))),
            cancel: cancel.clone(),
            deadline,
        };
        // When the thread is gone the submission comes back and its sink hears of it as it is dropped.
        self.sender.send(Message::Submit(Box::new(submission))).map_err(|_| dead())?;
        Ok(cancel)
    }

    /// The compiler of constraints, built from the tokenizer when it is first asked for: ask once at the start, so that
    /// the first constrained request does not wait for it.
    ///
    /// # Errors
    /// [`ErrorKind::Constraint`] when the vocabulary does not allow constraints.
    pub fn grammar_compiler(&self) -> Result<&GrammarCompiler> {
        let built = self.shared.grammars.get_or_init(|| GrammarCompiler::new(self.shared.codec.clone()));
        built.as_ref().map_err(Clone::clone)
    }

    /// Does something to the model between two steps and waits for the result: load an adapter, exchange weights.
    /// A concrete model is reached through `Any`: `(model as &mut dyn Any).downcast_mut::<Decoder>()`.
    ///
    /// # Errors
    /// [`ErrorKind::Dead`] when the engine ends before.
    pub fn between_steps<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn StepModel) -> (Change, T) + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        let work: Work = Box::new(move |model| {
            let (change, result) = work(model);
            // Who asked may have gone; the change stands.
            let _ = sender.send(result);
            change
        });
        self.sender.send(Message::BetweenSteps(work)).map_err(|_| dead())?;
        receiver.recv().map_err(|_| dead())
    }

    /// Takes no further step; when this returns none is under way. Requests wait, those to come as well, until
    /// [`release`](Self::release). An engine that is drained while it is held fails what waits.
    ///
    /// # Errors
    /// [`ErrorKind::Dead`] when the engine has ended.
    pub fn hold(&self) -> Result<()> {
        self.between_steps(|_| (Change::Held, ()))
    }

    /// Goes on after [`hold`](Self::hold).
    ///
    /// # Errors
    /// [`ErrorKind::Dead`] when the engine has ended.
    pub fn release(&self) -> Result<()> {
        self.between_steps(|_| (Change::Released, ()))
    }

    /// Forgets the prefixes of earlier requests.
    ///
    /// # Errors
    /// [`ErrorKind::Dead`] when the engine has ended.
    pub fn flush_cache(&self) -> Result<()> {
        self.between_steps(|_| (Change::CacheFlushed, ()))
    }

    /// As [`between_steps`](Self::between_steps), without waiting: for callers that have no result to wait for, or may not wait. Of an engine that has
    /// ended nothing is left to change.
    pub fn post(&self, work: impl FnOnce(&mut dyn StepModel) -> Change + Send + 'static) {
        let _ = self.sender.send(Message::BetweenSteps(Box::new(work)));
    }

    /// Takes no new requests; what is in the engine is finished, then it ends.
    pub fn drain(&self) {
        self.shared.accepts.store(false, Ordering::Release);
        let _ = self.sender.send(Message::Wake);
    }

    /// Fails what is in the engine and ends it after the step under way.
    pub fn shutdown(&self) {
        self.shared.accepts.store(false, Ordering::Release);
        let _ = self.sender.send(Message::Shutdown);
    }

    /// Waits until the engine has ended, after [`drain`](Self::drain) or [`shutdown`](Self::shutdown).
    pub fn join(&self) {
        let thread = lock(&self.shared.thread).take();
        if let Some(thread) = thread {
            // A panic is already told by `health`.
            let _ = thread.join();
        }
    }

    /// How the engine is. Never waits.
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let began = shared.step_began_us.load(Ordering::Acquire);
        let ended = shared.step_ended_us.load(Ordering::Acquire);
        let step_running = if began > ended { shared.age(began) } else { None };
        let state = if shared.is_dead.load(Ordering::Acquire) {
            State::Dead
        } else if shared.is_stopped.load(Ordering::Acquire) {
            State::Stopped
        } else if step_running.is_some_and(|time| time > shared.options.stuck_after) {
            State::Stuck
        } else if shared.requests.load(Ordering::Acquire) > 0 {
            State::Busy
        } else {
            State::Idle
        };
        Health {
            state,
            accepts: shared.accepts.load(Ordering::Acquire) && !matches!(state, State::Dead | State::Stopped),
            last_step_ago: shared.age(ended),
            step_running,
        }
    }

    /// The counters after the last step.
    pub fn metrics(&self) -> Metrics {
        lock(&self.shared.metrics).clone()
    }

    /// Requests in the engine or on the way to it.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// The most tokens of prompt and completion together: the model's context, or what all pages hold.
    pub fn context_length(&self) -> usize {
        self.shared.facts.context_length
    }

    /// The number of token ids of the model.
    pub fn vocab_size(&self) -> usize {
        self.shared.facts.vocab_size
    }

    /// The tokenizer's side of the engine.
    pub fn codec(&self) -> &Arc<dyn Codec> {
        &self.shared.codec
    }
}

fn dead() -> Error {
    Error::new(ErrorKind::Dead, "the engine has ended; restart the server")
}

fn draining() -> Error {
    Error::new(ErrorKind::Draining, "the engine is being shut down and takes no new requests")
}

/// The events of a request, to be waited for one after the other; ends after `Done` or `Failed`. Dropping it
/// cancels the request.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    cancel: Cancel,
}

impl Events {
    /// The means to end the request from elsewhere.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The next event, if one comes in this time.
    pub fn next_within(&self, time: Duration) -> Option<Event> {
        self.receiver.recv_timeout(time).ok()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.receiver.recv().ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// How often an engine that is held looks for requests that were cancelled or are too late.
const HELD_LOOK: Duration = Duration::from_millis(20);

/// The thread: takes messages, steps while there is work, sleeps while there is none.
fn run(core: Core, inbox: mpsc::Receiver<Message>, shared: &Shared) {
    // Outside the panic guard, so that it can be emptied after a panic.
    let mut core = core;
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| work(&mut core, &inbox, shared)));
    if outcome.is_err() {
        shared.is_dead.store(true, Ordering::Release);
        let message = "the engine failed in the middle of a step; restart the server";
        let error = Error::new(ErrorKind::Dead, message);
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| core.abandon(&error)));
        if told.is_err() {
            // Dropping the core tells the sinks that are left.
            drop(core);
        }
    }
    shared.accepts.store(false, Ordering::Release);
    shared.is_stopped.store(true, Ordering::Release);
    // What is still in the inbox is dropped with it; each sink hears of that as it goes.
}

/// Runs until all handles are gone, a drain is over, or a shutdown is asked for.
fn work(core: &mut Core, inbox: &mpsc::Receiver<Message>, shared: &Shared) {
    let mut is_open = true;
    loop {
        loop {
            let stays = is_open && shared.accepts.load(Ordering::Acquire);
            let message = if core.is_held && stays && !core.is_idle() {
                inbox.recv_timeout(HELD_LOOK).map_err(|error| match error {
                    mpsc::RecvTimeoutError::Timeout => mpsc::TryRecvError::Empty,
                    mpsc::RecvTimeoutError::Disconnected => mpsc::TryRecvError::Disconnected,
                })
            } else if core.is_idle() && stays {
                inbox.recv().map_err(|_| mpsc::TryRecvError::Disconnected)
            } else {
                inbox.try_recv()
            };
            match message {
                Ok(Message::Submit(submission)) => core.submit(*submission),
                Ok(Message::BetweenSteps(work)) => {
                    let change = work(core.model.as_mut());
                    core.changed(change);
                }
                Ok(Message::Shutdown) => {
                    core.fail_all(&draining());
                    publish(core, shared);
                    return;
                }
                Ok(Message::Wake) => {}
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    is_open = false;
                    break;
                }
            }
        }
        if core.is_idle() && !(is_open && shared.accepts.load(Ordering::Acquire)) {
            publish(core, shared);
            return;
        }
        if core.is_held {
            if is_open && shared.accepts.load(Ordering::Acquire) {
                core.sweep();
            } else {
                core.fail_all(&draining());
            }
            publish(core, shared);
            continue;
        }
        shared.step_began_us.store(shared.now_us(), Ordering::Release);
        core.step();
        shared.step_ended_us.store(shared.now_us(), Ordering::Release);
        publish(core, shared);
    }
}

fn publish(core: &mut Core, shared: &Shared) {
    core.measure();
    lock(&shared.metrics).clone_from(&core.metrics);
}
