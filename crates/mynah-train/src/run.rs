//! The training loop.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mynah_base::Rng;
use mynah_data::Batch;
use mynah_kernels::pool;
use mynah_nn::derive::Schedule;
use mynah_nn::{Gpt, Optimizer, Reduction, checkpoint};
use serde_json::json;

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::config::{TrainConfig, WatchConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::{bits_per_byte, model_error, tensor_error, tensors};
use crate::incoming::WeightSource;
use crate::metrics::MetricsRow;
use crate::observer::{Observer, Progress};
use crate::sink::{Artifact, RunSink, RunStatus};
use crate::source::BatchSource;
use crate::state::{self, LoopState, Machine};

/// How fast the moving average of the loss forgets.
const AVERAGE_DECAY: f64 = 0.9;
/// Steps before the speed is believed: the first ones fill caches and memory pools.
const WARM_STEPS: u64 = 5;
/// Share of a time limit left for validation, checkpoints and slower steps.
const TIME_RESERVE: f64 = 0.05;

/// Where the weights come from.
#[expect(clippy::large_enum_variant, reason = "there is one of these a run")]
pub enum Start {
    /// Freshly drawn from the seed.
    Fresh,
    /// A pretrained model, with its optimizer's momentum when a folder of its checkpoint is given.
    Pretrained {
        /// The model to go on with.
        model: Gpt,
        /// A folder with the optimizer's state.
        optimizer_dir: Option<PathBuf>,
    },
    /// The checkpoint of this step in the run's folder, by default the latest.
    Resume(Option<u64>),
}

/// Data to train on and to validate with.
pub struct Data<'a> {
    /// Training batches.
    pub train: &'a mut dyn BatchSource,
    /// Validation batches, the same at every validation.
    pub validation: &'a [Batch],
    /// Bytes of each token, 0 for special ones.
    pub token_bytes: &'a [u32],
}

/// Who is told what happens, and who may stop it.
pub struct Hooks<'a> {
    /// Watches.
    pub observer: &'a mut dyn Observer,
    /// Records.
    pub sink: &'a mut dyn RunSink,
    /// Set to true (by Ctrl-C) to save and stop after the current step.
    pub interrupt: &'a AtomicBool,
    /// Where other weights may come from meanwhile.
    pub weights: Option<&'a mut dyn WeightSource>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Completed,
    /// It was asked to stop, and saved.
    Interrupted,
}

/// What a run leaves.
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The trained model.
    pub model: Gpt,
    /// The state of the loop at the end.
    pub state: LoopState,
    /// Seconds trained, over all resumptions.
    pub seconds: f64,
}

/// Trains, or goes on training, in the folder `dir`, and leaves the model there.
///
/// # Errors
/// [`ErrorKind::Config`] for settings that cannot work, differ from those of the run that is resumed, or a
/// folder that is taken; [`ErrorKind::Checkpoint`] for one that cannot be used; [`ErrorKind::NotFinite`] when
/// the loss is no number; [`ErrorKind::Io`] when the disk refuses. The last good checkpoint stays in each case.
pub fn train<'a>(
    config: &TrainConfig,
    watch: &'a WatchConfig,
    dir: &Path,
    start: Start,
    data: Data<'a>,
    hooks: Hooks<'a>,
) -> Result<Outcome> {
    config.check()?;
    let mut run = Run::begin(config, watch, dir, start, data, hooks)?;
    let result = run.steps();
    let status = match &result {
        Ok(End::Completed) => RunStatus::Completed,
        Ok(End::Interrupted) => RunStatus::Interrupted,
        Err(error) => RunStatus::Failed(error.to_string()),
    };
    let recorded = run.hooks.sink.status(&status);
    // The error of the run is worth more than that of telling about it.
    let end = result?;
    recorded?;
    Ok(Outcome { end, model: run.model, state: run.state, seconds: run.machine.seconds })
}

struct Run<'a> {
    watch: &'a WatchConfig,
    store: CheckpointStore,
    data: Data<'a>,
    hooks: Hooks<'a>,
    model: Gpt,
    optimizer: Optimizer,
    schedule: Schedule,
    state: LoopState,
    machine: Machine,
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    speed: Speed,
}

impl<'a> Run<'a> {
    fn begin(
        config: &TrainConfig,
        watch: &'a WatchConfig,
        dir: &Path,
        start: Start,
        data: Data<'a>,
        mut hooks: Hooks<'a>,
    ) -> Result<Self> {
        let machine = Machine { seconds: 0.0, threads: pool::threads() };
        let fresh = LoopState {
            version: LoopState::VERSION,
            step: 0,
            steps: config.schedule.steps,
            tokens: 0,
            average_loss: 0.0,
            validation_bpb: None,
            validation_bpb_best: None,
            source: serde_json::Value::Null,
            taken: None,
            config: config.clone(),
        };
        let kept = watch.checkpoints_kept;
        let (store, model, optimizer_dir, state, machine, resumed) = match start {
            Start::Fresh => {
                let store = CheckpointStore::create(dir, kept)?;
                let model =
                    Gpt::new(config.model.clone(), &mut Rng::new(config.seed)).map_err(model_error)?;
                (store, model, None, fresh, machine, None)
            }
            Start::Pretrained { model, optimizer_dir } => {
                if *model.config() != config.model {
                    let message = "the pretrained model has another shape than the run's settings say";
                    return Err(Error::new(ErrorKind::Config, message));
                }
                (CheckpointStore::create(dir, kept)?, model, optimizer_dir, fresh, machine, None)
            }
            Start::Resume(step) => {
                let store = CheckpointStore::open(dir, kept)?;
                let Checkpoint { step, path, .. } = store.checked(step)?;
                let (state, earlier) = state::read(&path, step)?;
                config.check_same(&state.config)?;
                let model = checkpoint::load_model(&path).map_err(model_error)?;
                let machine = Machine { seconds: earlier.seconds, ..machine };
                (store, model, Some(path), state, machine, Some((step, earlier.threads)))
            }
        };
        let mut optimizer = Optimizer::for_gpt(&model, &config.rates).map_err(model_error)?;
        match (&optimizer_dir, resumed) {
            (Some(dir), Some(_)) => checkpoint::load_optimizer(dir, &mut optimizer).map_err(model_error)?,
            (Some(dir), None) => state::warm_start(&mut optimizer, dir)?,
            (None, _) => {}
        }
        let params = json!({ "train": config, "watch": watch, "threads": machine.threads });
        if let Some((step, threads)) = resumed {
            data.train.restore(&state.source)?;
            store.set_latest(step)?;
            hooks.sink.resume(step)?;
            if threads != machine.threads {
                hooks.observer.warning(&format!(
                    "the run used {threads} threads so far and goes on with {}: sums may round differently, so \
                     the weights will not be the same bytes as without the stop",
                    machine.threads
                ));
            }
        }
        hooks.sink.params(&params)?;
        hooks.sink.status(&RunStatus::Running)?;
        hooks.observer.started(config, state.step);
        if let Some(source) = &mut hooks.weights {
            source.begin(state.taken.as_deref());
        }
        let schedule = with_steps(&config.schedule, state.steps);
        let saved = resumed.map(|(step, _)| step);
        let speed = Speed::default();
        Ok(Self { watch, store, data, hooks, model, optimizer, schedule, state, machine, saved, speed })
    }

    fn steps(&mut self) -> Result<End> {
        if self.state.step == 0 && self.saved.is_none() && self.watch.validate_every > 0 {
            self.validate()?;
            let row = MetricsRow {
                validation_bpb: self.state.validation_bpb,
                seconds: self.machine.seconds,
                ..MetricsRow::default()
            };
            self.report(row)?;
        }
        while self.state.step < self.state.steps {
            if self.hooks.interrupt.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(End::Interrupted);
            }
            self.take_weights()?;
            let mut row = self.step()?;
            let last = self.state.step == self.state.steps;
            let due = |every: u64| every > 0 && (last || self.state.step.is_multiple_of(every));
            let (validates, samples, saves) =
                (due(self.watch.validate_every), due(self.watch.sample_every), due(self.watch.save_every));
            if validates {
                self.validate()?;
                row.validation_bpb = self.state.validation_bpb;
            }
            self.report(row)?;
            self.hooks.observer.weights(self.state.step, last, &self.model);
            if samples {
                self.hooks.observer.sample(self.state.step, &self.model);
            }
            if saves || last {
                self.save()?;
            }
            self.fit_to_time_limit();
        }
        self.save()?;
        Ok(End::Completed)
    }

    /// Goes on with weights from elsewhere, if there are some.
    fn take_weights(&mut self) -> Result<()> {
        let step = self.state.step;
        let polled = self.hooks.weights.as_mut().map_or(Ok(None), |source| source.poll(step));
        let incoming = match polled {
            Ok(None) => return Ok(()),
            Ok(Some(incoming)) if incoming.model.config() == self.model.config() => incoming,
            Ok(Some(incoming)) => {
                let why = format!("{} is a model of another configuration", incoming.name);
                self.hooks.observer.warning(&format!("other weights were not taken: {why}"));
                return Ok(());
            }
            Err(why) => {
                self.hooks.observer.warning(&format!("other weights were not taken: {why}"));
                return Ok(());
            }
        };
        self.model.copy_weights(&incoming.model).map_err(model_error)?;
        self.optimizer.adapt_state(incoming.optimizer);
        self.hooks.observer.taken(step, &incoming.name);
        self.hooks.sink.taken(step, &incoming.name, incoming.epoch)?;
        self.state.taken = Some(incoming.name);
        Ok(())
    }

    /// One optimizer step.
    fn step(&mut self) -> Result<MetricsRow> {
        let begun = Instant::now();
        let config = &self.state.config;
        let settings = self.schedule.at(self.state.step);
        self.optimizer.apply(&settings);
        let mut batches = Vec::with_capacity(config.accumulation_steps);
        for _ in 0..config.accumulation_steps {
            batches.push(self.data.train.next_batch()?);
        }
        let loss = accumulate(&self.model, &batches, self.state.step)?;
        if !loss.is_finite() {
            let message = format!(
                "the loss of step {} is {loss}; {}; try a lower learning rate or a longer warmup",
                self.state.step + 1,
                match self.saved {
                    Some(step) => format!("the checkpoint of step {step} is the last good one"),
                    None => "there is no checkpoint yet".to_string(),
                }
            );
            return Err(Error::new(ErrorKind::NotFinite, message));
        }
        self.optimizer.step().map_err(model_error)?;
        self.optimizer.zero_grad();

        let tokens: u64 = batches.iter().map(|batch| batch.inputs.len() as u64).sum();
        let state = &mut self.state;
        state.step += 1;
        state.tokens += tokens;
        state.average_loss = AVERAGE_DECAY * state.average_loss + (1.0 - AVERAGE_DECAY) * loss;
        // The power is exact enough at any step: it only goes to 0.
        let weight = 1.0 - AVERAGE_DECAY.powf(state.step as f64);
        let seconds = begun.elapsed().as_secs_f64();
        self.machine.seconds += seconds;
        self.speed.push(seconds);
        let tokens_per_second = tokens as f64 / seconds;
        let flops = tokens_per_second * self.model.flops_per_token();
        Ok(MetricsRow {
            step: state.step,
            tokens: state.tokens,
            loss: Some(loss),
            smooth_loss: Some(state.average_loss / weight),
            learning_rate: Some(settings.lr_multiplier),
            validation_bpb: None,
            seconds: self.machine.seconds,
            tokens_per_second: Some(tokens_per_second),
            utilisation: self.watch.peak_flops.map(|peak| flops / peak),
        })
    }

    fn validate(&mut self) -> Result<()> {
        if self.data.validation.is_empty() {
            return Ok(());
        }
        let measured = bits_per_byte(&self.model, self.data.validation, self.data.token_bytes)?;
        let found = measured.bits_per_byte();
        self.state.validation_bpb = Some(found).filter(|bpb| bpb.is_finite());
        let best = &mut self.state.validation_bpb_best;
        *best = Some(best.map_or(found, |best| best.min(found))).filter(|bpb| bpb.is_finite());
        Ok(())
    }

    fn report(&mut self, row: MetricsRow) -> Result<()> {
        self.hooks.sink.metrics(&row)?;
        let seconds_left = self.speed.seconds_left(self.state.steps - self.state.step);
        let position = self.data.train.describe();
        self.hooks.observer.step(&Progress { row, steps: self.state.steps, seconds_left, position });
        Ok(())
    }

    /// Saves the state after the current step, once.
    fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.state.step) {
            return Ok(());
        }
        self.hooks.sink.sync()?;
        self.state.source = self.data.train.state()?;
        let (model, optimizer, state, machine) = (&self.model, &self.optimizer, &self.state, &self.machine);
        let saved = self.store.save(state.step, |dir| state::write(dir, model, optimizer, state, machine))?;
        self.saved = Some(saved.step);
        let name = "checkpoint".to_string();
        let path = saved.path.clone();
        self.hooks.sink.artifact(&Artifact { name, path, step: saved.step, digest: saved.digest })?;
        self.hooks.observer.saved(saved.step, &saved.path);
        Ok(())
    }

    /// Once, after the first steps: sets the number of steps to what the time limit allows.
    fn fit_to_time_limit(&mut self) {
        let Some(limit) = self.state.config.seconds_max else { return };
        let done = self.state.step;
        if done != WARM_STEPS {
            return;
        }
        let Some(each) = self.speed.seconds_left(1) else { return };
        let left = limit * (1.0 - TIME_RESERVE) - self.machine.seconds;
        let more = (left / each).max(0.0) as u64;
        if done + more < self.state.steps {
            self.state.steps = done + more;
            self.schedule = with_steps(&self.state.config.schedule, self.state.steps);
            self.hooks.observer.warning(&format!(
                "the time limit of {limit} seconds allows {} steps instead of {}",
                self.state.steps, self.state.config.schedule.steps
            ));
        }
    }
}

/// The gradients of the mean loss over all trained tokens of the batches, added up in the parameters; gives
/// that mean.
fn accumulate(model: &Gpt, batches: &[Batch], step: u64) -> Result<f64> {
    let trained: usize = batches.iter().map(|batch| batch.targets.iter().filter(|&&t| t >= 0).count()).sum();
    if trained == 0 {
        let message = format!("the batch of step {} has no token to train on", step + 1);
        return Err(Error::new(ErrorKind::Data, message));
    }
    let mut total = 0.0;
    for batch in batches {
        let (ids, targets) = tensors(batch)?;
        // Batches may have different numbers of trained tokens; each token weighs the same.
        let loss = if batches.len() == 1 {
            model.loss(&ids, &targets, Reduction::Mean).map_err(model_error)?
        } else {
            let sum = model.loss(&ids, &targets, Reduction::Sum).map_err(model_error)?;
            sum.mul_scalar(1.0 / trained as f64).map_err(tensor_error)?
        };
        total += loss.item().map_err(tensor_error)?;
        if total.is_finite() {
            loss.backward().map_err(tensor_error)?;
        }
    }
    Ok(total)
}

/// The same schedule stretched or cut to this number of steps; the warmup stays.
fn with_steps(schedule: &Schedule, steps: u64) -> Schedule {
    if steps == schedule.steps {
        return schedule.clone();
    }
    let share = schedule.warmdown_steps as f64 / schedule.steps.max(1) as f64;
    Schedule { steps, warmdown_steps: (share * steps as f64).round() as u64, ..schedule.clone() }
}

/// Seconds a step, smoothed.
#[derive(Debug, Default)]
struct Speed {
    steps: u64,
    average: f64,
}

impl Speed {
    fn push(&mut self, seconds: f64) {
        self.steps += 1;
        if self.steps <= 2 {
            self.average = seconds;
        } else {
            self.average = 0.9 * self.average + 0.1 * seconds;
        }
    }

    fn seconds_left(&self, steps: u64) -> Option<f64> {
        (self.steps >= WARM_STEPS).then_some(self.average * steps as f64)
    }
}
