//! The engine without its thread: requests go in, [`Core::step`] moves all of them by one step of the model.
//!
//! A step is: end what was cancelled or is too late; decide who takes part (`schedule`); run the model, while
//! another thread computes the masks of constrained sequences; choose tokens and tell the clients (`settle`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use mynah_models::{Logits, Segment};

use super::constraint::Constraint;
use super::draft::Drafter;
use super::handle::Change;
use super::masks::MaskWorker;
use super::metrics::Metrics;
use super::options::EngineOptions;
use super::pages::PagePool;
use super::prefix::PrefixTree;
use super::queue::FairQueue;
use super::request::{Cancel, Event, Failed, Finish, Piece, Sink, Usage};
use super::schedule::Planned;
use super::sequence::Sequence;
use super::speculate::DRAFT_ROOM_START;
use super::step_model::{Codec, StepModel};
use super::weights::{InFlight, WeightsTable};
use super::writer::{Spec, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::sampler::Sampler;

/// A request that has been checked, on its way to the engine.
pub(super) struct Submission {
    pub spec: Arc<Spec>,
    pub constraint: Option<Box<dyn Constraint>>,
    pub priority: i32,
    pub sink: SinkGuard,
    pub cancel: Cancel,
    pub deadline: Option<Instant>,
}

/// A sink that is told the end in any case: when it is dropped before, it gets an error.
pub(super) struct SinkGuard {
    sink: Option<Box<dyn Sink>>,
    /// Held as long as the request lives, to count the requests in the engine.
    _ticket: Option<Box<dyn Send>>,
}

impl SinkGuard {
    pub fn new(sink: Box<dyn Sink>, ticket: Option<Box<dyn Send>>) -> Self {
        Self { sink: Some(sink), _ticket: ticket }
    }

    /// Delivers an event; false when the client is gone.
    fn send(&mut self, event: Event) -> bool {
        let Some(sink) = &mut self.sink else { return false };
        let is_last = matches!(event, Event::Done(_) | Event::Failed(_));
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| sink.event(event)));
        let goes_on = matches!(taken, Ok(ControlFlow::Continue(())));
        if is_last || !goes_on {
            self.sink = None;
        }
        goes_on
    }
}

impl Drop for SinkGuard {
    fn drop(&mut self) {
        let message = "the engine ended before the request did";
        self.send(Event::Failed(Failed(Error::new(ErrorKind::Dead, message))));
    }
}

/// A request in the engine.
pub(super) struct Live {
    sink: SinkGuard,
    pub cancel: Cancel,
    pub deadline: Option<Instant>,
    /// Samples without an end.
    pub unfinished: usize,
    pub usage: Usage,
    pub is_prompt_told: bool,
    pub adapter: Option<u32>,
    /// Given when the first sample is admitted, unless the request names them.
    pub weights: Option<u32>,
    /// The request names its weights.
    is_pinned: bool,
}

impl Live {
    /// Tells the client; one that is gone cancels its request.
    pub fn tell(&mut self, event: Event) {
        if !self.sink.send(event) {
            self.cancel.cancel();
        }
    }
}

/// Everything of an engine but its thread.
pub(super) struct Core {
    pub model: Box<dyn StepModel>,
    pub codec: Arc<dyn Codec>,
    pub options: EngineOptions,
    pub pool: PagePool,
    pub tree: PrefixTree,
    pub queue: FairQueue,
    /// By [`Sequence::order`]: the last one is the first to be put back.
    pub running: Vec<Sequence>,
    pub requests: BTreeMap<u64, Live>,
    /// Free slots of a model with recurrent state.
    pub slots: Vec<u32>,
    pub sampler: Sampler,
    pub metrics: Metrics,
    pub page_tokens: usize,
    pub vocab_size: usize,
    pub is_recurrent: bool,
    masks: Option<MaskWorker>,
    logits: Vec<f32>,
    arrivals: u64,
    pub step_number: u64,
    pub weights: WeightsTable,
    /// No step is to be taken.
    pub is_held: bool,
    pub drafter: Option<Drafter>,
    /// The numbers of the adapters that are loaded.
    adapters: BTreeSet<u32>,
}

impl Core {
    pub fn new(model: Box<dyn StepModel>, codec: Arc<dyn Codec>, options: EngineOptions) -> Self {
        let is_recurrent = model.has_recurrent_state();
        let slot_count = if is_recurrent { model.slot_count().min(options.running_max) } else { 0 };
        Self {
            pool: PagePool::new(model.page_count()),
            tree: PrefixTree::new(model.page_tokens()),
            queue: FairQueue::default(),
            running: Vec::new(),
            requests: BTreeMap::new(),
            slots: (0..slot_count as u32).rev().collect(),
            sampler: Sampler::default(),
            metrics: Metrics::default(),
            page_tokens: model.page_tokens(),
            vocab_size: model.vocab_size(),
            is_recurrent,
            masks: None,
            logits: Vec::new(),
            arrivals: 0,
            step_number: 0,
            weights: WeightsTable::new(),
            is_held: false,
            drafter: None,
            adapters: options.adapters.iter().copied().collect(),
            model,
            codec,
            options,
        }
    }

    /// Whether no request is in the engine.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Takes a request in.
    pub fn submit(&mut self, submission: Submission) {
        let Submission { spec, constraint, priority, sink, cancel, deadline } = submission;
        let request = self.arrivals;
        let usage = Usage { prompt_tokens: spec.prompt.len(), ..Usage::default() };
        let (unfinished, adapter, weights) = (spec.samples, spec.adapter, spec.weights);
        let live = Live {
            sink,
            cancel,
            deadline,
            unfinished,
            usage,
            is_prompt_told: false,
            adapter,
            weights,
            is_pinned: weights.is_some(),
        };
        self.requests.insert(request, live);
        if let Some(weights) = weights
            && !self.weights.has(weights)
        {
            self.arrivals += 1;
            self.fail(request, &Error::new(ErrorKind::Option, format!("there are no weights {weights}")));
            return;
        }
        if let Some(adapter) = spec.adapter
            && !self.adapters.contains(&adapter)
        {
            // The number is taken even so: two requests must not share one.
            self.arrivals += 1;
            let message = format!("no adapter is loaded under the number {adapter}");
            self.fail(request, &Error::new(ErrorKind::Option, message));
            return;
        }
        // Recurrent state cannot be copied, so there each sample reads the prompt itself.
        let (readers, forks) = if self.is_recurrent { (spec.samples, 0) } else { (1, spec.samples - 1) };
        for sample in 0..readers {
            let constraint = constraint.as_ref().map(|constraint| constraint.fork());
            let mut sequence = self.sequence(request, sample, priority, &spec, constraint);
            sequence.forks = forks;
            sequence.is_scoring = spec.prompt_logprobs.is_some();
            self.queue.push_back(sequence);
        }
    }

    /// A new sequence that has not read anything.
    pub fn sequence(
        &mut self,
        request: u64,
        sample: usize,
        rank: i32,
        spec: &Arc<Spec>,
        constraint: Option<Box<dyn Constraint>>,
    ) -> Sequence {
        let arrival = self.arrivals;
        self.arrivals += 1;
        Sequence {
            request,
            sample,
            arrival,
            rank,
            spec: spec.clone(),
            writer: Writer::new(spec, sample, constraint, self.vocab_size),
            tokens: spec.prompt.clone(),
            computed: 0,
            pages: Vec::new(),
            slot: None,
            weights: self.weights.chosen(),
            is_mixed: false,
            spans: Vec::new(),
            forks: 0,
            is_scoring: false,
            prompt_logprobs: Vec::new(),
            is_charged: false,
            preemptions: 0,
            waiting_since: self.step_number,
            draft_count: 0,
            draft_room: DRAFT_ROOM_START.min(self.options.draft_tokens_max),
        }
    }

    /// Moves everything by one step. A failing model fails the requests that took part, nothing else.
    pub fn step(&mut self) {
        self.step_number += 1;
        self.sweep();
        let mut plan = self.schedule();
        self.draft(&mut plan);
        if !plan.is_empty() {
            let started = Instant::now();
            let result = self.run_model(&plan);
            self.metrics.step_took(started.elapsed());
            match result {
                Ok(mut logits) => {
                    self.settle(&plan, &mut logits);
                    self.logits = logits;
                }
                Err(error) => {
                    let mut requests: Vec<u64> =
                        plan.iter().map(|planned| self.running[planned.index].request).collect();
                    requests.dedup();
                    requests.into_iter().for_each(|request| self.fail(request, &error));
                }
            }
        }
        self.measure();
    }

    /// Ends requests that were cancelled or whose time is up.
    pub fn sweep(&mut self) {
        let cancelled: Vec<u64> =
            self.requests.iter().filter(|(_, live)| live.cancel.is_cancelled()).map(|(&id, _)| id).collect();
        for request in cancelled {
            self.metrics.cancellations += 1;
            self.end(request);
        }
        let has_deadlines = self.requests.values().any(|live| live.deadline.is_some());
        if !has_deadlines {
            return;
        }
        let now = Instant::now();
        let late = |live: &Live| live.deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<u64> = self.requests.iter().filter(|(_, live)| late(live)).map(|(&id, _)| id).collect();
        for request in late {
            let written = self.requests.get(&request).map_or(0, |live| live.usage.completion_tokens);
            let message = format!("the request's deadline passed after {written} tokens of the completion");
            self.fail(request, &Error::new(ErrorKind::Deadline, message));
        }
    }

    /// Ends all samples of a request as cancelled.
    fn end(&mut self, request: u64) {
        let mut sequences = self.take_sequences(request);
        sequences.sort_by_key(|sequence| sequence.sample);
        let Some(mut live) = self.requests.remove(&request) else { return };
        let mut told = Vec::new();
        for sequence in &mut sequences {
            let mut piece = Piece { sample: sequence.sample, text: String::new(), tokens: Vec::new() };
            sequence.writer.end(Finish::Cancelled, &mut piece);
            if !piece.text.is_empty() || !piece.tokens.is_empty() {
                live.tell(Event::Piece(piece));
            }
            let spans = std::mem::take(&mut sequence.spans);
            told.push((sequence.sample, sequence.writer.completion_tokens(), spans));
            told.extend((0..sequence.forks).map(|fork| (fork + 1, 0, Vec::new())));
        }
        for (sample, completion_tokens, spans) in told {
            live.tell(Event::Finished { sample, finish: Finish::Cancelled, completion_tokens, spans });
        }
        let usage = live.usage;
        live.tell(Event::Done(usage));
    }

    /// Ends a request with an error.
    pub fn fail(&mut self, request: u64, error: &Error) {
        // What a failed step wrote is unknown, so no page of it may be found again.
        for mut sequence in self.take_running(request) {
            sequence.computed = 0;
            self.give_back(&mut sequence);
        }
        self.queue.take(|sequence| sequence.request == request);
        if let Some(mut live) = self.requests.remove(&request) {
            self.metrics.failures += 1;
            if let Some(weights) = live.weights
                && error.kind() != ErrorKind::Replaced
            {
                let ends = self.metrics.weights_ends.entry(weights).or_default();
                ends.failed += 1;
                ends.broken += u64::from(error.kind() == ErrorKind::Logits);
            }
            live.tell(Event::Failed(Failed(error.clone())));
        }
    }

    /// Fails everything.
    pub fn fail_all(&mut self, error: &Error) {
        let requests: Vec<u64> = self.requests.keys().copied().collect();
        requests.into_iter().for_each(|request| self.fail(request, error));
    }

    /// Tells all clients of an error without touching anything that a panic may have left in disorder.
    pub fn abandon(&mut self, error: &Error) {
        for (_, mut live) in std::mem::take(&mut self.requests) {
            live.tell(Event::Failed(Failed(error.clone())));
        }
    }

    /// The model was changed: pages of old weights are not found any more.
    pub fn changed(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::AdapterLoaded(adapter) => {
                self.adapters.insert(adapter);
            }
            Change::AdapterUnloaded(adapter) => {
                self.adapters.remove(&adapter);
                let message = "the request's adapter was unloaded before it was done";
                self.fail_those(
                    |live| live.adapter == Some(adapter),
                    &Error::new(ErrorKind::Option, message),
                );
            }
            Change::WeightsInstalled(weights) => self.weights.install(weights),
            Change::WeightsTried { weights, permille } => self.weights.try_out(weights, permille),
            Change::WeightsChosen { weights, in_flight } => {
                self.weights.choose(weights);
                self.move_over(weights, in_flight);
            }
            Change::WeightsRemoved(weights) => {
                self.weights.remove(weights);
                let message = "the weights that the request was computed with were removed";
                let error = Error::new(ErrorKind::Replaced, message);
                self.fail_those(|live| live.weights == Some(weights), &error);
                self.tree.remove_weights(weights, &mut self.pool);
                self.metrics.weights_ends.remove(&weights);
            }
            Change::Held => self.is_held = true,
            Change::Released => self.is_held = false,
            Change::PutBack => {
                for mut sequence in std::mem::take(&mut self.running) {
                    self.give_back(&mut sequence);
                    self.queue.push_front(sequence);
                }
            }
            Change::Aborted => {
                let message = "the request was ended by an admin, who replaces the weights; send it again";
                self.fail_all(&Error::new(ErrorKind::Replaced, message));
            }
            Change::CacheFlushed => {
                for weights in self.weights.installed() {
                    self.tree.remove_weights(weights, &mut self.pool);
                }
            }
        }
    }

    fn fail_those(&mut self, which: impl Fn(&Live) -> bool, error: &Error) {
        let found = self.requests.iter().filter(|(_, live)| which(live));
        let found: Vec<u64> = found.map(|(&request, _)| request).collect();
        found.into_iter().for_each(|request| self.fail(request, error));
    }

    /// What has begun with other weights goes on as the policy says. Requests that named their weights stay with
    /// them.
    fn move_over(&mut self, weights: u32, in_flight: InFlight) {
        let table = &self.weights;
        let moves = |live: &Live| {
            !live.is_pinned && live.weights.is_some_and(|old| old != weights && !table.is_on_trial(old))
        };
        let moving: BTreeSet<u64> =
            self.requests.iter().filter(|(_, live)| moves(live)).map(|(&request, _)| request).collect();
        match in_flight {
            InFlight::Finish => {}
            InFlight::Abort => {
                let message = "the weights were replaced before the request was done; send it again";
                let error = Error::new(ErrorKind::Replaced, message);
                moving.into_iter().for_each(|request| self.fail(request, &error));
            }
            InFlight::Continue | InFlight::Recompute => {
                for (_, live) in self.requests.iter_mut().filter(|(request, _)| moving.contains(request)) {
                    live.weights = Some(weights);
                }
                for mut sequence in std::mem::take(&mut self.running) {
                    if !moving.contains(&sequence.request) {
                        self.running.push(sequence);
                    } else if in_flight == InFlight::Continue {
                        // Its full pages can still be found by others of its old weights.
                        self.share(&mut sequence);
                        (sequence.weights, sequence.is_mixed) = (weights, true);
                        self.running.push(sequence);
                    } else {
                        self.give_back(&mut sequence);
                        self.queue.push_front(sequence);
                    }
                }
            }
        }
    }

    fn take_sequences(&mut self, request: u64) -> Vec<Sequence> {
        let mut sequences = self.take_running(request);
        sequences.iter_mut().for_each(|sequence| self.give_back(sequence));
        sequences.extend(self.queue.take(|sequence| sequence.request == request));
        sequences
    }

    /// Takes a request's sequences out of the running ones.
    fn take_running(&mut self, request: u64) -> Vec<Sequence> {
        let (taken, stay) =
            self.running.drain(..).partition(|sequence: &Sequence| sequence.request == request);
        self.running = stay;
        taken
    }

    /// Runs the model over the plan; masks are computed meanwhile. Gives the logits.
    fn run_model(&mut self, plan: &[Planned]) -> Result<Vec<f32>> {
        if self.is_recurrent {
            for planned in plan.iter().filter(|planned| planned.start == 0) {
                if let Some(slot) = self.running[planned.index].slot {
                    self.model.clear_slot(slot)?;
                }
            }
        }
        self.start_masks(plan);
        let mut segments = Vec::with_capacity(plan.len());
        let mut rows = 0;
        for planned in plan {
            let sequence = &self.running[planned.index];
            let end = planned.start + planned.count + planned.drafted;
            segments.push(Segment {
                tokens: &sequence.tokens[planned.start..end],
                start: planned.start,
                pages: &sequence.pages[..end.div_ceil(self.page_tokens)],
                slot: sequence.slot.unwrap_or(0),
                weights: sequence.weights,
                adapter: sequence.spec.adapter,
                logits: planned.logits,
            });
            rows += planned.rows();
        }
        if cfg!(debug_assertions) {
            for segment in &segments {
                let written = &segment.pages[segment.start / self.page_tokens..];
                assert!(written.iter().all(|&page| self.pool.is_private(page)), "a shared page is written");
            }
        }
        self.metrics.step_tokens += segments.iter().map(|segment| segment.tokens.len() as u64).sum::<u64>();
        let mut logits = std::mem::take(&mut self.logits);
        let result = self.model.step(&segments, &mut logits);
        drop(segments);
        self.collect_masks();
        result?;
        if logits.len() != rows * self.vocab_size {
            let message = format!(
                "the model gave {} logits for {rows} rows of {}; this is a bug in the model",
                logits.len(),
                self.vocab_size
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
        Ok(logits)
    }

    /// Sends out the constraints of the sequences that choose a token after this step.
    fn start_masks(&mut self, plan: &[Planned]) {
        for planned in plan {
            let sequence = &mut self.running[planned.index];
            if planned.logits == Logits::None || planned.start + planned.count < sequence.known_len() {
                continue;
            }
            if self.masks.is_none() && sequence.writer.is_constrained() {
                // Without a thread the mask is computed when it is needed.
                self.masks = MaskWorker::start().ok();
            }
            if let Some(worker) = &mut self.masks
                && let Some((constraint, mask)) = sequence.writer.lend_constraint()
            {
                worker.send(planned.index, constraint, mask);
            }
        }
    }

    fn collect_masks(&mut self) {
        let Some(worker) = &mut self.masks else { return };
        while let Some(masked) = worker.receive() {
            let writer = &mut self.running[masked.index].writer;
            match masked.result {
                Ok((constraint, mask)) => writer.return_constraint(constraint, mask),
                Err(error) => writer.lose_constraint(error),
            }
        }
    }

    /// Copies the state into the metrics.
    pub fn measure(&mut self) {
        let metrics = &mut self.metrics;
        metrics.queued = self.queue.len();
        metrics.running = self.running.len();
        metrics.pages = self.pool.count();
        metrics.pages_free = self.pool.free_count();
        metrics.pages_cached = self.pool.available_count() - self.pool.free_count();
        metrics.pages_used = metrics.pages - metrics.pages_free - metrics.pages_cached;
        metrics.weights = self.weights.chosen();
        metrics.weights_requests.clear();
        for weights in self.requests.values().filter_map(|live| live.weights) {
            *metrics.weights_requests.entry(weights).or_default() += 1;
        }
    }
}
