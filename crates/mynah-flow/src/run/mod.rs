//! Running a pipeline: what can be chosen, what is told meanwhile, what comes out.

mod clean;
mod dispatch;
mod inputs;
pub(crate) mod journal;
pub(crate) mod process;
pub(crate) mod record;
mod replay;
mod stage;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_deque::Worker;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::memo::Memo;
use crate::pipeline::{Pipeline, STATE_FOLDER, StageId};

use dispatch::Dispatch;
use journal::{Journal, JournalEvent, JournalWriter, latest_journal};
use mynah_base::time::now_ms;
use record::{Recorder, Recording};
use trace::Trace;

pub use crate::cache::RestoreBy;
pub use replay::Difference;

/// How to run. Every option is explicit; the default runs what is needed on all processors.
#[derive(Clone, Debug)]
pub struct Options {
    /// Stages at once at most.
    pub workers: usize,
    /// Processors that running stages may claim together.
    pub cpus: usize,
    /// Where the cache is; nothing: in the pipeline's own state folder. Flows may share one.
    pub cache_dir: Option<PathBuf>,
    /// How outputs come out of the cache.
    pub restore_by: RestoreBy,
    /// Runs every stage, whatever the cache has.
    pub force: bool,
    /// Only these stages and what they come after; empty: all.
    pub targets: Vec<String>,
    /// The program of stages with `mynah` arguments.
    pub mynah_program: PathBuf,
    /// Part of the key of such stages.
    pub tool_version: String,
    /// The environment that stages may ask for; what they do not ask for they do not see.
    pub environment: BTreeMap<String, String>,
    /// Set by whoever interrupts the flow: programs are ended, nothing new begins.
    pub stop: Arc<AtomicBool>,
    /// How long a program may take to end politely.
    pub grace_ms: u64,
    /// A program whose log grows beyond this is ended.
    pub log_bytes_max: u64,
    /// A journal whose order of starts is to be repeated; see [`Report::differences`].
    pub replay: Option<PathBuf>,
    /// Where the flow is recorded.
    pub recording: Option<Recording>,
}

impl Default for Options {
    fn default() -> Options {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options {
            workers: cpus,
            cpus,
            cache_dir: None,
            restore_by: RestoreBy::Copy,
            force: false,
            targets: Vec::new(),
            mynah_program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mynah")),
            tool_version: format!("mynah {}", env!("CARGO_PKG_VERSION")),
            // A variable that is not UTF-8 cannot be named in a pipeline.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            stop: Arc::new(AtomicBool::new(false)),
            grace_ms: 5_000,
            log_bytes_max: 1 << 30,
            replay: None,
            recording: None,
        }
    }
}

/// How a stage went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its program ran and its outputs are there.
    Ran,
    /// Its outputs came from the cache.
    Cached,
    /// Its inputs, its program or its outputs were not right.
    Failed,
    /// Its outputs are there, and the gate's condition does not hold.
    GateFailed,
    /// Something it comes after failed.
    Skipped,
    /// The flow was interrupted before its end.
    Interrupted,
}

impl Outcome {
    /// Whether dependents may start.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Ran | Outcome::Cached)
    }

    /// `ran`, `cached`, `failed`, `gate_failed`, `skipped` or `interrupted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ran => "ran",
            Outcome::Cached => "cached",
            Outcome::Failed => "failed",
            Outcome::GateFailed => "gate_failed",
            Outcome::Skipped => "skipped",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// An output of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputDigest {
    /// As the pipeline names it.
    pub path: String,
    /// BLAKE3 over names, contents and the right to execute, in hex.
    pub digest: String,
}

/// What became of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// Its key in hex, when its inputs could be read.
    pub key: Option<String>,
    /// What it made.
    pub outputs: Vec<OutputDigest>,
    /// How often its program was started.
    pub attempts: u32,
    /// From its start to its end; of skipped ones 0.
    pub elapsed_ms: u64,
    /// Which worker it was on, from 0.
    pub worker: usize,
    /// What its last attempt printed.
    pub log: Option<PathBuf>,
    /// Why it is not a success, or what its gate saw.
    pub message: Option<String>,
    /// Its run in the ledger.
    pub ledger_run_id: Option<String>,
}

/// What became of a flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Its id; sorts by time.
    pub run_id: String,
    /// Whether it went on where an interrupted run was.
    pub is_resumed: bool,
    /// One per stage that was asked for, in the order of the file.
    pub stages: Vec<StageReport>,
    /// Of a replay: what went another way than recorded.
    pub differences: Vec<Difference>,
    /// The folder with `journal.jsonl`, `trace.json`, `report.json` and `logs/`.
    pub folder: PathBuf,
    /// Its run in the ledger.
    pub ledger_run_id: Option<String>,
}

impl Report {
    /// Whether every stage ran or came from the cache, and a replay saw no difference.
    pub fn is_success(&self) -> bool {
        self.differences.is_empty() && self.stages.iter().all(|stage| stage.outcome.is_success())
    }

    /// The flow in one word: the worst of its stages.
    pub fn outcome(&self) -> Outcome {
        const WORST_FIRST: [Outcome; 4] =
            [Outcome::Interrupted, Outcome::Failed, Outcome::GateFailed, Outcome::Skipped];
        let has = |outcome: &Outcome| self.stages.iter().any(|stage| stage.outcome == *outcome);
        WORST_FIRST.into_iter().find(has).unwrap_or(Outcome::Ran)
    }

    /// A stage's report.
    pub fn stage(&self, name: &str) -> Option<&StageReport> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// What an observer is told.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The flow begins, or goes on.
    Began {
        /// Its id.
        run_id: &'a str,
        /// Whether it goes on where an interrupted run was.
        is_resumed: bool,
        /// How many stages there are to settle.
        stages: usize,
    },
    /// A stage begins.
    StageBegan {
        /// Its name.
        name: &'a str,
        /// On which worker.
        worker: usize,
    },
    /// A program of a stage was started.
    Attempt {
        /// The stage's name.
        name: &'a str,
        /// From 1.
        attempt: u32,
        /// Where it prints to.
        log: &'a Path,
    },
    /// An attempt failed, and there will be another.
    Retry {
        /// The stage's name.
        name: &'a str,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        message: &'a str,
        /// The wait before the next.
        wait_s: f64,
    },
    /// A stage is settled.
    StageEnded(&'a StageReport),
    /// Something worth knowing that stops nothing.
    Note(&'a str),
}

/// Is told how a flow goes, from several threads.
pub trait Observer: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Tells nobody.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// Everything the workers share.
struct Flow<'a> {
    memo: Memo,
    pipeline: &'a Pipeline,
    options: &'a Options,
    observer: &'a dyn Observer,
    cache: Cache,
    journal: Mutex<JournalWriter>,
    trace: Trace,
    dispatch: Dispatch,
    recorder: Recorder,
    /// Stages that a replay runs whatever the cache has.
    fresh: Vec<StageId>,
    state_folder: PathBuf,
    run_folder: PathBuf,
    /// Per stage, once it is settled.
    settled: Mutex<Vec<Option<StageReport>>>,
    /// Per stage: worker and time of its end, for the arrows of the trace.
    ends: Mutex<Vec<Option<(usize, u64)>>>,
}

impl Flow<'_> {
    fn write(&self, event: &JournalEvent) -> Result<()> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).add(event)
    }

    fn note(&self, text: &str) {
        self.observer.event(&Event::Note(text));
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }
}

/// Runs a pipeline, goes on with an interrupted run of it, or replays one.
///
/// Stages that fail, and all that come after them, are told in the report; the others run.
///
/// # Errors
/// `Busy` when another flow runs in the folder, `Argument` for a target that is no stage, `Journal` when the journal
/// to be replayed is of other stages, `Io` when the state folder cannot be used.
pub fn run(pipeline: &Pipeline, options: &Options, observer: &dyn Observer) -> Result<Report> {
    let began = Instant::now();
    let wanted = wanted(pipeline, &options.targets)?;
    // Without links in it: programs that were left behind are known by this path.
    let folder =
        fs::canonicalize(&pipeline.folder).map_err(|e| Error::io("use the folder", &pipeline.folder, &e))?;
    let state_folder = folder.join(STATE_FOLDER);
    let _lock = clean::prepare(&state_folder)?;
    let recorded = options.replay.as_ref().map(|path| Journal::read(path)).transpose()?;
    let replay = recorded.as_ref().map(|journal| replay::order(pipeline, &wanted, journal)).transpose()?;
    let fresh = recorded.as_ref().map_or(Vec::new(), |journal| replay::ran(pipeline, journal));

    let previous = previous(&pipeline.folder, observer)?;
    let unfinished = previous.filter(|(_, journal)| !journal.is_finished());
    clean::scratch(&state_folder, observer)?;
    let left_behind = unfinished.as_ref().and_then(|(_, journal)| journal.recorded().map(str::to_string));
    let names: Vec<&str> = wanted.iter().map(|id| pipeline.stage(*id).name.as_str()).collect();
    let goes_on = unfinished.filter(|(_, journal)| {
        let same = journal.pipeline() == Some(&pipeline.digest.to_hex()) && journal.stages() == names;
        same && !options.force && options.replay.is_none()
    });
    let is_resumed = goes_on.is_some();
    let known = goes_on.as_ref().and_then(|(_, journal)| journal.recorded().map(str::to_string));
    let (mut journal, run_folder) = match goes_on {
        Some((path, read)) => go_on(&path, &read)?,
        None => begin(pipeline, options, &state_folder, &wanted)?,
    };
    let run_id = run_folder.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());

    if let (Some(recording), Some(left_behind)) = (&options.recording, &left_behind)
        && let Err(error) = recording.close(left_behind, is_resumed)
    {
        observer
            .event(&Event::Note(&format!("the killed flow still looks as if it ran in the ledger: {error}")));
    }
    let recorder = match &options.recording {
        Some(recording) => Recorder::begin(recording.clone(), pipeline, &run_id, known.as_deref()),
        None => Recorder::none(),
    };
    if let Some(ledger_run) = recorder.run_id()
        && known.as_deref() != Some(ledger_run)
    {
        journal.add(&JournalEvent::Recorded { run_id: ledger_run.to_string() })?;
    }
    let cache_dir = options.cache_dir.clone().unwrap_or_else(|| state_folder.join("cache"));
    let cache = Cache::open(&cache_dir, options.restore_by)?;
    cache.clean();
    let workers = options.workers.clamp(1, wanted.len());
    let (dispatch, deques) = Dispatch::new(pipeline, &wanted, workers, options.cpus.max(1), replay);
    let memo_path = state_folder.join("digests.json");
    let memo = if options.force { Memo::empty(&memo_path) } else { Memo::load(&memo_path) };
    let flow = Flow {
        memo,
        pipeline,
        options,
        observer,
        cache,
        journal: Mutex::new(journal),
        trace: Trace::new(&pipeline.name, workers),
        dispatch,
        recorder,
        fresh,
        state_folder,
        run_folder: run_folder.clone(),
        settled: Mutex::new(vec![None; pipeline.stages.len()]),
        ends: Mutex::new(vec![None; pipeline.stages.len()]),
    };
    observer.event(&Event::Began { run_id: &run_id, is_resumed, stages: wanted.len() });
    let trouble: Mutex<Option<Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for (worker, deque) in deques.into_iter().enumerate() {
            let (flow, trouble) = (&flow, &trouble);
            scope.spawn(move || {
                while let Some(id) = flow.dispatch.next(&deque) {
                    let _settled = Settled { flow, id, deque: &deque };
                    // A stage's own failure is in its report; this is a journal that cannot be written.
                    if let Err(error) = stage::settle(flow, id, worker) {
                        flow.options.stop.store(true, Ordering::Relaxed);
                        trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    if let Some(error) = trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let settled = flow.settled.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut report = Report {
        run_id,
        is_resumed,
        stages: settled.into_iter().flatten().collect(),
        differences: Vec::new(),
        folder: run_folder,
        ledger_run_id: flow.recorder.run_id().map(str::to_string),
    };
    if let Some(recorded) = &recorded {
        report.differences = replay::differences(recorded, &report.stages);
    }
    finish(&flow, &report, began)?;
    Ok(report)
}

/// Settles a stage in the schedule whatever happens to its worker: the others would wait for ever.
struct Settled<'a> {
    flow: &'a Flow<'a>,
    id: StageId,
    deque: &'a Worker<StageId>,
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The observer's fault, or ours: nothing may be built on this stage.
            self.flow.options.stop.store(true, Ordering::Relaxed);
            self.flow.dispatch.started(self.id);
        }
        self.flow.dispatch.settled(self.id, self.deque);
    }
}

/// The last words: trace, report, ledger, journal.
fn finish(flow: &Flow<'_>, report: &Report, began: Instant) -> Result<()> {
    let trace = report.folder.join("trace.json");
    let facts = json!({
        "run_id": report.run_id, "pipeline": flow.pipeline.name, "pipeline_digest": flow.pipeline.digest.to_string(),
        "outcome": report.outcome().as_str(), "elapsed_ms": began.elapsed().as_millis() as u64,
    });
    flow.trace.save(&trace, facts)?;
    flow.memo.save()?;
    let text = serde_json::to_vec_pretty(report)
        .map_err(|e| Error::stage(format!("cannot write the report: {e}")))?;
    let path = report.folder.join("report.json");
    mynah_base::write_atomic(&path, |file| file.write_all(&text))
        .map_err(|e| Error::io("write it", &path, &e))?;
    flow.recorder.ends(report.outcome(), &trace);
    if let Some(trouble) = flow.recorder.trouble() {
        flow.note(&trouble);
    }
    // An interrupted run is not finished: the next one goes on with it.
    if report.outcome() != Outcome::Interrupted {
        flow.write(&JournalEvent::Finish { success: report.is_success() })?;
    }
    Ok(())
}

/// The stages that were asked for, and all they come after, in the order of the file.
fn wanted(pipeline: &Pipeline, targets: &[String]) -> Result<Vec<StageId>> {
    if targets.is_empty() {
        return Ok(pipeline.ids().collect());
    }
    let mut is_wanted = vec![false; pipeline.stages.len()];
    let mut waiting = Vec::new();
    for target in targets {
        let id = pipeline.find(target);
        waiting.push(
            id.ok_or_else(|| Error::argument(format!("there is no stage {:?}", crate::path::clip(target))))?,
        );
    }
    while let Some(id) = waiting.pop() {
        if !std::mem::replace(&mut is_wanted[id.index()], true) {
            waiting.extend(&pipeline.stage(id).after);
        }
    }
    Ok(pipeline.ids().filter(|id| is_wanted[id.index()]).collect())
}

/// The journal of the run before this one; a damaged one is told and left alone.
fn previous(folder: &Path, observer: &dyn Observer) -> Result<Option<(PathBuf, Journal)>> {
    let Some(path) = latest_journal(folder)? else { return Ok(None) };
    match Journal::read(&path) {
        Ok(journal) => Ok(Some((path, journal))),
        Err(error) => {
            observer.event(&Event::Note(&format!("the run before this one cannot be gone on with: {error}")));
            Ok(None)
        }
    }
}

fn go_on(path: &Path, read: &Journal) -> Result<(JournalWriter, PathBuf)> {
    let mut journal = JournalWriter::resume(path, read)?;
    journal.add(&JournalEvent::Resume { time_ms: now_ms() })?;
    Ok((journal, path.parent().unwrap_or(path).to_path_buf()))
}

fn begin(
    pipeline: &Pipeline,
    options: &Options,
    state_folder: &Path,
    wanted: &[StageId],
) -> Result<(JournalWriter, PathBuf)> {
    let runs = state_folder.join("runs");
    let (run_id, time_ms) = clean::new_run_id(&runs)?;
    let folder = runs.join(&run_id);
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).map_err(|e| Error::io("create the folder", &logs, &e))?;
    let begin = JournalEvent::Begin {
        run_id,
        pipeline: pipeline.digest.to_hex(),
        stages: wanted.iter().map(|id| pipeline.stage(*id).name.clone()).collect(),
        workers: options.workers,
        time_ms,
    };
    Ok((JournalWriter::create(&folder, &begin)?, folder))
}
