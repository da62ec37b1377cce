//! A run that is being recorded: the calls of a training loop, and how it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use mynah_base::time::now_ms;
use mynah_ledger::{
    ArtifactOwner, Batch, Dataset, DatasetInput, ErrorKind, Ledger, Location, Metric, NewRun, Param,
    Recorder, RecorderOptions, RecorderStats, Result, RunStatus, RunUpdate, Tag,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{convert, errors, gate, lookup, store};

/// Points that may wait to be written. A call that finds no room waits, with other threads running.
const QUEUE_POINTS_MAX: usize = 262_144;
/// Points in one call.
const CALL_POINTS_MAX: usize = 10_000;
/// Params or tags in one transaction, as the ledger has it.
const PAIRS_MAX: usize = 100;
/// How long a call waits for a store that cannot be written before it raises.
const PATIENCE: Duration = Duration::from_secs(60);
/// A flush comes back this often to look for signals.
const SLICE_MS: u64 = 100;
/// How often a call that waits for room looks again.
const LOOK: Duration = Duration::from_micros(500);

/// Every run of this process, for the fork.
static RUNS: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// What `mynah.runs.Run` inherits from.
#[pyclass(subclass, frozen, module = "mynah._native")]
pub struct Run {
    inner: Arc<Inner>,
}

struct Inner {
    /// The process that made it.
    process: u32,
    location: Location,
    /// As it was given.
    place: String,
    actor: String,
    run_id: String,
    experiment_id: String,
    name: String,
    state: Mutex<State>,
    /// For points without a step.
    next_step: AtomicI64,
    waits: AtomicU64,
    waited_us: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Nothing before a fork and after the end.
    live: Option<Live>,
    has_ended: bool,
    /// Counters of recorders that were closed.
    past: RecorderStats,
}

#[derive(Clone)]
struct Live {
    recorder: Recorder,
    ledger: Arc<Ledger>,
}

impl Live {
    fn open(location: &Location, actor: &str, run_id: &str) -> Result<Live> {
        let ledger = store::writing(location, false, actor)?;
        Live::of(ledger, run_id)
    }

    fn of(ledger: Arc<Ledger>, run_id: &str) -> Result<Live> {
        let options = RecorderOptions {
            queue_points_max: QUEUE_POINTS_MAX,
            give_up_ms: SLICE_MS,
            ..RecorderOptions::default()
        };
        Ok(Live { recorder: ledger.recorder(run_id, options)?, ledger })
    }

    /// One slice of a flush: whether everything is written, or an error that waiting does not mend.
    fn flush(&self) -> Result<bool> {
        match self.recorder.flush() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Busy && self.recorder.stats().queued > 0 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // Its threads are in the parent, and closing its connections here would harm the parent's.
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(state.live.take());
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue and the ledger, opened again after a fork. Only inside the gate.
    fn live(&self, py: Python<'_>) -> PyResult<Live> {
        self.check_process(py)?;
        // Whoever holds the lock for long is opening the store, and then others of us wait without the
        // interpreter's lock.
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(_) => {
                py.detach(|| drop(self.lock()));
                self.lock()
            }
        };
        if state.has_ended {
            let message = format!("the run {} has ended; start another, or resume it", self.run_id);
            return Err(errors::exception(py, "EndedError", message));
        }
        if let Some(live) = &state.live {
            return Ok(live.clone());
        }
        drop(state);
        let opened = py.detach(|| {
            let mut state = self.lock();
            if state.live.is_none() {
                state.live = Some(Live::open(&self.location, &self.actor, &self.run_id)?);
            }
            Ok(state.live.clone())
        });
        let opened = opened.map_err(|error| errors::ledger(py, &error))?;
        opened.ok_or_else(|| errors::exception(py, "EndedError", "the run has ended".to_string()))
    }

    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        let message = format!(
            "the run {} belongs to process {}, which this one was forked from; log in the parent, or start a \
             run of its own here",
            self.run_id, self.process
        );
        Err(errors::exception(py, "ForkError", message))
    }

    fn stats(&self) -> RecorderStats {
        let state = self.lock();
        let mut sum = state.past;
        if let Some(live) = &state.live {
            add(&mut sum, live.recorder.stats());
        }
        sum.waits += self.waits.load(Relaxed);
        sum.waited_us += self.waited_us.load(Relaxed);
        sum
    }

    /// Writes everything and lets go of the store; false when that takes too long.
    fn close(&self, until: Instant) -> bool {
        let Some(live) = self.lock().live.clone() else { return true };
        while !matches!(live.flush(), Ok(true)) {
            if live.recorder.stats().queued == 0 {
                break;
            }
            if Instant::now() >= until {
                return false;
            }
        }
        let mut state = self.lock();
        add(&mut state.past, live.recorder.stats());
        let others = state.live.take();
        drop(state);
        drop((others, live));
        true
    }
}

fn add(sum: &mut RecorderStats, part: RecorderStats) {
    sum.accepted += part.accepted;
    sum.written += part.written;
    sum.rejected += part.rejected;
    sum.queued += part.queued;
    sum.waits += part.waits;
    sum.waited_us += part.waited_us;
    sum.retries += part.retries;
}

/// Closes every run's store before a fork; false when one could not be written in time.
pub fn close_all(until: Instant) -> bool {
    let runs: Vec<Arc<Inner>> = {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().filter_map(Weak::upgrade).collect()
    };
    // All of them, whatever the first one says.
    let closed: Vec<bool> = runs.iter().map(|run| run.close(until)).collect();
    closed.into_iter().all(|closed| closed)
}

/// What a run begins with, found out by Python.
struct Beginning {
    experiment: String,
    name: Option<String>,
    user: String,
    tags: Vec<(String, String)>,
    parent: Option<String>,
    must_have_parent: bool,
    resume: Option<String>,
}

fn begin(place: &str, beginning: Beginning) -> Result<Inner> {
    let location = store::location(place)?;
    let create = beginning.resume.is_none();
    let ledger = store::writing(&location, create, &beginning.user)?;
    let (run, next_step) = match &beginning.resume {
        Some(named) => {
            let record = lookup::run(&ledger, named)?;
            let update = RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
            ledger.update_run(&record.run.id, update)?;
            let last = record.data.metrics.iter().map(|metric| metric.step).max();
            (record.run, last.map_or(0, |last| last.saturating_add(1)))
        }
        None => {
            let mut tags: Vec<Tag> =
                beginning.tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
            if let Some(parent) = &beginning.parent {
                match lookup::run(&ledger, parent) {
                    Ok(parent) => tags.push(Tag::new("mlflow.parentRunId", parent.run.id)),
                    Err(error) if beginning.must_have_parent => return Err(error),
                    // A parent of another ledger, from the environment, is nobody's parent here.
                    Err(_) => {}
                }
            }
            let experiment_id = lookup::experiment_id(&ledger, &beginning.experiment)?;
            let new = NewRun {
                experiment_id,
                user: beginning.user.clone(),
                name: beginning.name,
                tags,
                ..NewRun::default()
            };
            (ledger.create_run(new)?.run, 0)
        }
    };
    let live = Live::of(ledger, &run.id)?;
    Ok(Inner {
        process: std::process::id(),
        location,
        place: place.to_string(),
        actor: beginning.user,
        run_id: run.id,
        experiment_id: run.experiment_id,
        name: run.name,
        state: Mutex::new(State { live: Some(live), ..State::default() }),
        next_step: AtomicI64::new(next_step),
        waits: AtomicU64::new(0),
        waited_us: AtomicU64::new(0),
    })
}

#[pymethods]
impl Run {
    #[new]
    #[pyo3(signature = (place, experiment, name, user, tags, parent, must_have_parent, resume))]
    #[expect(clippy::too_many_arguments, reason = "called from one place, mynah.runs, by position")]
    fn new(
        py: Python<'_>,
        place: &str,
        experiment: String,
        name: Option<String>,
        user: String,
        tags: Vec<(String, String)>,
        parent: Option<String>,
        must_have_parent: bool,
        resume: Option<String>,
    ) -> PyResult<Run> {
        let _pass = gate::enter(py)?;
        gate::check_untainted(py)?;
        let beginning = Beginning { experiment, name, user, tags, parent, must_have_parent, resume };
        let inner = py.detach(|| {
            let inner = Arc::new(begin(place, beginning)?);
            let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
            runs.retain(|run| run.strong_count() > 0);
            runs.push(Arc::downgrade(&inner));
            Ok(inner)
        });
        Ok(Run { inner: inner.map_err(|error| errors::ledger(py, &error))? })
    }

    /// The run's id: 32 hexadecimal characters.
    #[getter]
    fn id(&self) -> &str {
        &self.inner.run_id
    }

    /// The run's name, as it was at the start.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// The id of its experiment.
    #[getter]
    fn experiment_id(&self) -> &str {
        &self.inner.experiment_id
    }

    /// The ledger: a file, or the URL of a database without its password.
    #[getter]
    fn store(&self) -> String {
        self.inner.location.to_string()
    }

    /// The ledger, for opening it again.
    #[getter(_place)]
    fn place(&self) -> String {
        match &self.inner.location {
            Location::Sqlite(path) => path.to_string_lossy().into_owned(),
            Location::Postgres(_) => self.inner.place.clone(),
        }
    }

    /// Whether it was ended.
    #[getter]
    fn has_ended(&self, py: Python<'_>) -> bool {
        py.detach(|| self.inner.lock().has_ended)
    }

    /// Points that the store refused for good, because somebody deleted the run meanwhile. 0 otherwise.
    #[getter]
    fn dropped(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.inner.stats().rejected)
    }

    /// Calls that had to wait because the queue was full.
    #[getter]
    fn waits(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.inner.stats().waits)
    }

    /// The counters of the queue: points ``accepted``, ``written``, ``dropped`` and ``queued``; calls that had
    /// to wait (``waits``) and for how long (``waited_us``); ``retries`` of writing.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.inner.stats());
        let dict = PyDict::new(py);
        for (name, count) in [
            ("accepted", stats.accepted),
            ("written", stats.written),
            ("dropped", stats.rejected),
            ("queued", stats.queued),
            ("waits", stats.waits),
            ("waited_us", stats.waited_us),
            ("retries", stats.retries),
        ] {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }

    /// Records figures of one step, without waiting for the disk.
    ///
    /// Every value is one number: int, float, or what has ``__float__`` or ``item()`` (NumPy and PyTorch scalars;
    /// one on a GPU is fetched from there). NaN and infinities are kept. Without ``step`` it is one more than
    /// the highest so far. All figures are recorded, or none and an error names the one that is wrong.
    ///
    /// >>> run.log({"loss": 0.5, "accuracy": 0.9}, step=10)
    #[pyo3(signature = (metrics, step=None, *, timestamp_ms=None))]
    fn log(
        &self,
        py: Python<'_>,
        metrics: &Bound<'_, PyAny>,
        step: Option<i64>,
        timestamp_ms: Option<i64>,
    ) -> PyResult<()> {
        let figures = convert::figures(metrics)?;
        self.record(py, figures, step, timestamp_ms)
    }

    /// Records one figure, as :meth:`log` does.
    ///
    /// >>> run.log_metric("loss", 0.5, step=10)
    #[pyo3(signature = (key, value, step=None, *, timestamp_ms=None))]
    fn log_metric(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        step: Option<i64>,
        timestamp_ms: Option<i64>,
    ) -> PyResult<()> {
        let key = convert::key_text(key)?;
        let value = convert::number(&key, value)?;
        self.record(py, vec![(key, value)], step, timestamp_ms)
    }

    /// Waits until everything that was logged is in the store.
    ///
    /// Raises ``BusyError`` when that takes longer than ``timeout_s`` seconds (nothing is lost, the points still
    /// wait), or the store's error when it refused points.
    ///
    /// >>> run.flush()
    #[pyo3(signature = (timeout_s=60.0))]
    fn flush(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        let patience = Duration::try_from_secs_f64(timeout_s).unwrap_or(PATIENCE);
        self.flush_within(py, patience)
    }

    #[pyo3(name = "_log_pairs")]
    fn log_pairs(&self, py: Python<'_>, pairs: Vec<(String, String)>, as_tags: bool) -> PyResult<()> {
        let run_id = &self.inner.run_id;
        self.with_ledger(py, |ledger| {
            pairs.chunks(PAIRS_MAX).try_for_each(|pairs| {
                let mut batch = Batch::default();
                if as_tags {
                    batch.tags = pairs.iter().map(|(key, value)| Tag::new(key, value)).collect();
                } else {
                    batch.params = pairs.iter().map(|(key, value)| Param::new(key, value)).collect();
                }
                ledger.log_batch(run_id, batch)
            })
        })
    }

    #[pyo3(name = "_log_file")]
    fn log_file(&self, py: Python<'_>, path: PathBuf, to: &str) -> PyResult<()> {
        let opened = py.detach(|| std::fs::File::open(&path));
        let mut file = opened.map_err(|error| errors::file("cannot read", &path, &error))?;
        let owner = ArtifactOwner::Run(self.inner.run_id.clone());
        self.with_ledger(py, |ledger| ledger.put_artifact(&owner, to, &mut file).map(drop))
    }

    #[pyo3(name = "_log_dataset")]
    #[expect(clippy::too_many_arguments, reason = "called from one place, mynah.runs, by position")]
    fn log_dataset(
        &self,
        py: Python<'_>,
        name: String,
        digest: String,
        source_type: String,
        source: String,
        schema: Option<String>,
        profile: Option<String>,
        context: String,
    ) -> PyResult<()> {
        let dataset = Dataset { name, digest, source_type, source, schema, profile };
        let tags = vec![Tag::new("mlflow.data.context", context)];
        let input = DatasetInput { dataset, tags };
        self.with_ledger(py, |ledger| ledger.log_inputs(&self.inner.run_id, vec![input], Vec::new()))
    }

    #[pyo3(name = "_digest")]
    fn digest(&self, py: Python<'_>, path: PathBuf) -> PyResult<String> {
        let digest = py.detach(|| mynah_govern::view::digest_of(&path));
        digest.map_err(|error| errors::file("cannot read", &path, &error))
    }

    #[pyo3(name = "_end")]
    fn end(&self, py: Python<'_>, status: &str, tags: Vec<(String, String)>) -> PyResult<()> {
        let parsed = RunStatus::parse(status)
            .filter(|status| matches!(status, RunStatus::Finished | RunStatus::Failed | RunStatus::Killed));
        let Some(status) = parsed else {
            let message = format!("a run ends as FINISHED, FAILED or KILLED, not as '{status}'");
            return Err(errors::exception(py, "InvalidError", message));
        };
        self.flush_within(py, PATIENCE)?;
        if !tags.is_empty() {
            self.log_pairs(py, tags, true)?;
        }
        let update = RunUpdate { status: Some(status), end_time_ms: Some(now_ms()), ..RunUpdate::default() };
        self.with_ledger(py, |ledger| ledger.update_run(&self.inner.run_id, update).map(drop))?;
        let _pass = gate::enter(py)?;
        py.detach(|| {
            let mut state = self.inner.lock();
            state.has_ended = true;
            let live = state.live.take();
            drop(state);
            // Points that another thread logged just now are written here.
            let stats = live.as_ref().map(|live| live.recorder.stats());
            drop(live);
            if let Some(stats) = stats {
                let written = RecorderStats { written: stats.written + stats.queued, queued: 0, ..stats };
                add(&mut self.inner.lock().past, written);
            }
        });
        Ok(())
    }
}

impl Run {
    fn record(
        &self,
        py: Python<'_>,
        figures: Vec<(String, f64)>,
        step: Option<i64>,
        timestamp_ms: Option<i64>,
    ) -> PyResult<()> {
        if figures.len() > CALL_POINTS_MAX {
            let message =
                format!("one call may have {CALL_POINTS_MAX} figures, this one has {}", figures.len());
            return Err(errors::exception(py, "InvalidError", message));
        }
        let next = &self.inner.next_step;
        let step = match step {
            Some(step) => {
                next.fetch_max(step.saturating_add(1), Relaxed);
                step
            }
            None => next.fetch_add(1, Relaxed),
        };
        let timestamp_ms = timestamp_ms.unwrap_or_else(now_ms);
        let points: Vec<Metric> = figures
            .into_iter()
            .map(|(key, value)| Metric { key, value, timestamp_ms, step, ..Metric::default() })
            .collect();
        self.push(py, &points)
    }

    /// Queues the points; while there is no room, lets other threads run and looks for signals.
    fn push(&self, py: Python<'_>, points: &[Metric]) -> PyResult<()> {
        let mut began = None;
        loop {
            let pass = gate::enter(py)?;
            let live = self.inner.live(py)?;
            // The queue takes more than this counts, so a push that follows does not wait.
            if live.recorder.stats().queued as usize + points.len() <= QUEUE_POINTS_MAX {
                if let Some(began) = began {
                    self.count_wait(began);
                }
                return live.recorder.log_metrics(points).map_err(|error| errors::ledger(py, &error));
            }
            drop((live, pass));
            let began = *began.get_or_insert_with(Instant::now);
            if began.elapsed() >= PATIENCE {
                self.count_wait(began);
                let message = format!(
                    "{} points wait to be written and the store takes none; is the disk full, or does another \
                     process hold it? these figures were not recorded",
                    QUEUE_POINTS_MAX
                );
                return Err(errors::exception(py, "BusyError", message));
            }
            py.detach(|| std::thread::sleep(LOOK));
            py.check_signals()?;
        }
    }

    fn count_wait(&self, began: Instant) {
        self.inner.waits.fetch_add(1, Relaxed);
        self.inner.waited_us.fetch_add(began.elapsed().as_micros() as u64, Relaxed);
    }

    fn flush_within(&self, py: Python<'_>, patience: Duration) -> PyResult<()> {
        let began = Instant::now();
        loop {
            let pass = gate::enter(py)?;
            self.inner.check_process(py)?;
            // A run that has ended, or was closed for a fork, has nothing that waits.
            let live = py.detach(|| self.inner.lock().live.clone());
            let Some(live) = live else { return Ok(()) };
            let flushed = py.detach(|| live.flush());
            if flushed.map_err(|error| errors::ledger(py, &error))? {
                return Ok(());
            }
            let queued = live.recorder.stats().queued;
            drop((live, pass));
            if began.elapsed() >= patience {
                let message = format!("{queued} points still wait; the store is locked, slow or full");
                return Err(errors::exception(py, "BusyError", message));
            }
            py.check_signals()?;
        }
    }

    /// Does something in the ledger at once, without the interpreter's lock.
    fn with_ledger(&self, py: Python<'_>, work: impl FnOnce(&Ledger) -> Result<()> + Send) -> PyResult<()> {
        let _pass = gate::enter(py)?;
        let live = self.inner.live(py)?;
        py.detach(|| work(&live.ledger)).map_err(|error| errors::ledger(py, &error))
    }
}
