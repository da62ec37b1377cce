//! One stage: from the cache or by its program, then its gate.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use mynah_trust::Digest;
use serde_json::{Value, json};

use super::clean::KEEP;
use super::dispatch::Cpus;
use super::inputs::{self, Found};
use super::journal::JournalEvent;
use super::process::{self, Ending, Spec};
use super::{Event, Flow, Outcome, OutputDigest, StageReport};
use crate::cache::{Action as Made, Output, tree_of};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Tree};
use crate::path::FlowPath;
use crate::pipeline::{Action, Gate, Stage, StageId};
use mynah_base::time::now_ms;

/// The longest wait before a retry.
const BACKOFF_S_MAX: f64 = 600.0;
/// A JSON file that a gate looks at.
const JSON_BYTES_MAX: u64 = 16 << 20;

/// Settles a stage in one way or another.
///
/// # Errors
/// Only what stops the whole flow: a journal that cannot be written.
pub(super) fn settle(flow: &Flow<'_>, id: StageId, worker: usize) -> Result<()> {
    let stage = flow.pipeline.stage(id);
    let mut report = StageReport {
        name: stage.name.clone(),
        outcome: Outcome::Skipped,
        key: None,
        outputs: Vec::new(),
        attempts: 0,
        elapsed_ms: 0,
        worker,
        log: None,
        message: None,
        ledger_run_id: None,
    };
    let result = match unmet(flow, stage) {
        Some((outcome, message)) => {
            (report.outcome, report.message) = (outcome, Some(message));
            Ok(())
        }
        None => run(flow, id, &mut report),
    };
    // A replay that was given this stage waits for its start, however it went.
    flow.dispatch.started(id);
    result?;
    flow.write(&JournalEvent::End {
        stage: report.name.clone(),
        outcome: report.outcome,
        key: report.key.clone(),
        outputs: report.outputs.clone(),
        elapsed_ms: report.elapsed_ms,
    })?;
    if let Some(run_id) = &report.ledger_run_id {
        flow.recorder.stage_ends(run_id, &report);
    }
    if let Some(trouble) = flow.recorder.trouble() {
        flow.note(&trouble);
    }
    flow.ends.lock().unwrap_or_else(PoisonError::into_inner)[id.index()] =
        Some((worker, flow.trace.now_us()));
    flow.observer.event(&Event::StageEnded(&report));
    flow.settled.lock().unwrap_or_else(PoisonError::into_inner)[id.index()] = Some(report);
    Ok(())
}

/// Why the stage cannot run: the flow is interrupted, or what it comes after is no success.
fn unmet(flow: &Flow<'_>, stage: &Stage) -> Option<(Outcome, String)> {
    if flow.is_stopped() {
        return Some((Outcome::Interrupted, process::interrupted().to_string()));
    }
    let settled = flow.settled.lock().unwrap_or_else(PoisonError::into_inner);
    let before = stage.after.iter().filter_map(|id| settled[id.index()].as_ref());
    let unmet = before
        .filter(|report| !report.outcome.is_success())
        .min_by_key(|r| r.outcome != Outcome::Interrupted)?;
    let outcome = match unmet.outcome {
        Outcome::Interrupted => Outcome::Interrupted,
        _ => Outcome::Skipped,
    };
    Some((outcome, format!("comes after {:?}, which is {}", unmet.name, unmet.outcome.as_str())))
}

/// Runs a stage whose predecessors are all there.
fn run(flow: &Flow<'_>, id: StageId, report: &mut StageReport) -> Result<()> {
    let stage = flow.pipeline.stage(id);
    let Some(cpus) = flow.dispatch.cpus(stage.cpus, &flow.options.stop) else {
        (report.outcome, report.message) = (Outcome::Interrupted, Some(process::interrupted().to_string()));
        return Ok(());
    };
    let worker = report.worker;
    flow.write(&JournalEvent::Start { stage: stage.name.clone(), worker, time_ms: now_ms() })?;
    flow.dispatch.started(id);
    flow.observer.event(&Event::StageBegan { name: &stage.name, worker });
    let (began, began_us) = (Instant::now(), flow.trace.now_us());
    arrows(flow, id, worker, began_us);
    flow.trace.cpus(flow.dispatch.cpus_used());
    report.ledger_run_id = flow.recorder.stage_begins(stage);

    let mut run = StageRun { flow, stage, report, cpus: Some(cpus) };
    let outcome = run.outcome();
    drop(run);
    report.elapsed_ms = began.elapsed().as_millis() as u64;
    report.outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            report.message = Some(error.to_string());
            match error.kind() {
                ErrorKind::Interrupted => Outcome::Interrupted,
                ErrorKind::Gate => Outcome::GateFailed,
                // The journal stops the flow; everything else only this stage.
                ErrorKind::Journal => return Err(error),
                _ => Outcome::Failed,
            }
        }
    };
    flow.trace.cpus(flow.dispatch.cpus_used());
    let facts = json!({
        "outcome": report.outcome.as_str(), "key": report.key, "attempts": report.attempts, "cpus": stage.cpus,
        "message": report.message, "outputs": report.outputs,
    });
    flow.trace.slice(worker, "stage", &stage.name, began_us, facts);
    Ok(())
}

/// Arrows from the ends of those it comes after to its start.
fn arrows(flow: &Flow<'_>, id: StageId, worker: usize, began_us: u64) {
    let ends = flow.ends.lock().unwrap_or_else(PoisonError::into_inner);
    for need in &flow.pipeline.stage(id).after {
        if let Some(end) = ends[need.index()] {
            let number = id.index() * flow.pipeline.stages.len() + need.index();
            flow.trace.arrow(number, end, (worker, began_us));
        }
    }
}

struct StageRun<'a> {
    flow: &'a Flow<'a>,
    stage: &'a Stage,
    report: &'a mut StageReport,
    /// Given back while it waits for a retry.
    cpus: Option<Cpus<'a>>,
}

impl StageRun<'_> {
    fn outcome(&mut self) -> Result<Outcome> {
        let (flow, stage) = (self.flow, self.stage);
        let found = self.slice("inputs", |_| inputs::find(flow, stage))?;
        let key = inputs::key(flow, stage, &found);
        self.report.key = Some(key.to_hex());
        let earlier = flow.cache.find(&key).filter(|made| makes_the_same(made, stage));
        let is_fresh =
            flow.options.force || flow.fresh.iter().any(|id| std::ptr::eq(flow.pipeline.stage(*id), stage));
        let usable = earlier.as_ref().filter(|_| stage.cache && !is_fresh);
        let restored = match usable {
            Some(made) => self.slice("restore", |run| run.publish(made))?,
            None => false,
        };
        let outcome = match (&stage.action, restored) {
            (_, true) => Outcome::Cached,
            (Action::Nothing, _) => Outcome::Ran,
            _ => {
                self.attempts(&found, &key, earlier.as_ref())?;
                Outcome::Ran
            }
        };
        if let Some(gate) = &stage.gate {
            self.gate(gate)?;
        }
        Ok(outcome)
    }

    /// Does something and shows how long it took.
    fn slice<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let from_us = self.flow.trace.now_us();
        let result = work(self);
        let facts = match &result {
            Ok(_) => json!({}),
            Err(error) => json!({ "error": error.to_string() }),
        };
        self.flow.trace.slice(self.report.worker, "step", name, from_us, facts);
        result
    }

    /// Runs the program until it is content or the retries are used up.
    fn attempts(&mut self, found: &[Found], key: &Digest, earlier: Option<&Made>) -> Result<()> {
        let (flow, stage) = (self.flow, self.stage);
        let mut wait_s = stage.backoff_s.min(BACKOFF_S_MAX);
        loop {
            self.report.attempts += 1;
            let attempt = self.report.attempts;
            let name = format!("attempt {attempt}");
            let error = match self.slice(&name, |run| run.attempt(found, key, earlier)) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_last = attempt > stage.retries;
            if is_last || error.kind() != ErrorKind::Stage {
                return Err(error);
            }
            let message = error.to_string();
            flow.observer.event(&Event::Retry { name: &stage.name, attempt, message: &message, wait_s });
            flow.trace.moment(self.report.worker, "retry", json!({ "message": message, "wait_s": wait_s }));
            self.wait(Duration::from_secs_f64(wait_s))?;
            wait_s = (wait_s * 2.0).min(BACKOFF_S_MAX);
        }
    }

    /// Waits without holding processors.
    fn wait(&mut self, wait: Duration) -> Result<()> {
        self.cpus = None;
        let until = Instant::now() + wait;
        while !self.flow.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.cpus = self.flow.dispatch.cpus(self.stage.cpus, &self.flow.options.stop);
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
        self.cpus.as_ref().map(drop).ok_or_else(process::interrupted)
    }

    fn attempt(&mut self, found: &[Found], key: &Digest, earlier: Option<&Made>) -> Result<()> {
        let (flow, stage) = (self.flow, self.stage);
        let began = Instant::now();
        let scratch = self.scratch(key)?;
        let (work, temporary) = (scratch.path.join("work"), scratch.path.join("tmp"));
        fs::create_dir_all(&temporary).map_err(|e| Error::io("create the folder", &temporary, &e))?;
        inputs::make_room(stage, &work)?;
        inputs::show(flow, found, &work)?;
        self.program(&work, &temporary)?;
        inputs::check_unchanged(flow, found)?;

        let mut outputs = Vec::new();
        for path in &stage.outputs {
            path.refuse_links(&work)?;
            let at = path.below(&work);
            if !at.exists() {
                let hint = process::tail(self.report.log.as_deref().unwrap_or(&work));
                return Err(Error::stage(format!(
                    "its program ended well, but there is no output {path}{hint}"
                )));
            }
            outputs.push((path, Tree::read(&at)?));
        }
        for (path, tree) in &outputs {
            flow.cache.take(tree, &path.below(&work), stage.resumable)?;
        }
        let made = Made {
            version: 1,
            key: key.to_hex(),
            stage: stage.name.clone(),
            elapsed_ms: began.elapsed().as_millis() as u64,
            outputs: outputs.into_iter().map(|(path, tree)| Output::new(path, tree)).collect(),
        };
        let has_changed = earlier.is_some_and(|earlier| !same_digests(earlier, &made));
        if has_changed && stage.cache {
            let text = format!(
                "the stage {:?} made something else than before from the same inputs; it is no function of them",
                stage.name
            );
            flow.note(&text);
        }
        // In a replay the first result stays the one of this key: others may have built on it.
        if stage.cache && !(has_changed && flow.options.replay.is_some()) {
            flow.cache.record(made.clone())?;
        }
        // From here on a kill loses nothing: the next run finds the record.
        match self.publish(&made)? {
            true => scratch.done(),
            false => {
                Err(Error::stage("the cache lost an output right after it was kept; is the disk sound?"))
            }
        }
    }

    /// The folder in which the program works; a new one unless the stage goes on with the old.
    fn scratch(&self, key: &Digest) -> Result<Scratch> {
        let all = self.flow.state_folder.join("scratch");
        if !self.stage.resumable {
            let path = all.join(format!("{}-{}", self.stage.name, self.report.attempts));
            files::remove(&path)?;
            return Ok(Scratch { path, is_kept: false });
        }
        let prefix = format!("{KEEP}{}-", self.stage.name);
        let own = format!("{prefix}{}", &key.to_hex()[..16]);
        // What was begun from other inputs is of no use any more.
        for entry in fs::read_dir(&all).map_err(|e| Error::io("list it", &all, &e))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != own
                && name.strip_prefix(&prefix).is_some_and(|rest| rest.len() == 16 && !rest.contains('-'))
            {
                files::remove(&entry.path())?;
            }
        }
        Ok(Scratch { path: all.join(own), is_kept: true })
    }

    fn program(&mut self, work: &Path, temporary: &Path) -> Result<()> {
        let (flow, stage, attempt) = (self.flow, self.stage, self.report.attempts);
        let log = self.new_log();
        self.report.log = Some(log.clone());
        let (program, arguments) = match &stage.action {
            Action::Command(command) => (command[0].clone(), &command[1..]),
            Action::Mynah(arguments) => {
                (flow.options.mynah_program.to_string_lossy().into_owned(), &arguments[..])
            }
            Action::Nothing => return Ok(()),
        };
        let mut arguments = arguments.to_vec();
        if let Some(resume) = &stage.resume
            && resume.path.below(work).exists()
        {
            arguments.extend_from_slice(&resume.arguments);
        }
        // Where a relative program is looked for when there is another current folder differs between systems.
        let is_relative = program.contains('/') && !Path::new(&program).is_absolute();
        let program = if is_relative { work.join(&program).to_string_lossy().into_owned() } else { program };
        let environment = inputs::environment(flow, stage, temporary, self.report.ledger_run_id.as_deref());
        flow.observer.event(&Event::Attempt { name: &stage.name, attempt, log: &log });
        let spec = Spec {
            program: &program,
            arguments: &arguments,
            folder: work,
            environment: &environment,
            log: &log,
            log_bytes_max: flow.options.log_bytes_max,
            timeout: stage.timeout_s.map(Duration::from_secs_f64),
            grace: Duration::from_millis(flow.options.grace_ms),
            stop: &flow.options.stop,
        };
        let ending = process::run(&spec, |pid| {
            flow.write(&JournalEvent::Process { stage: stage.name.clone(), attempt, pid })
        })?;
        match ending {
            Ending::Success => Ok(()),
            Ending::Failure(message) => Err(Error::stage(message)),
            Ending::Interrupted => Err(process::interrupted()),
        }
    }

    /// The log of this attempt; a resumed run has those of before too.
    fn new_log(&self) -> PathBuf {
        let logs = self.flow.run_folder.join("logs");
        let name = |number: u32| logs.join(format!("{}.{number}.log", self.stage.name));
        (self.report.attempts..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
    }

    /// Gives outputs their names in the pipeline's folder. Nothing is touched that is right already. `false` when the
    /// cache has lost a part.
    fn publish(&mut self, made: &Made) -> Result<bool> {
        let folder = &self.flow.pipeline.folder;
        let scratch = self.flow.state_folder.join("scratch").join(format!("{}-publish", self.stage.name));
        files::remove(&scratch)?;
        let mut built = Vec::new();
        for (number, output) in made.outputs.iter().enumerate() {
            let path = FlowPath::parse(&output.path)?;
            let at = path.below(folder);
            path.refuse_links(folder).or_else(|error| if at.is_symlink() { Ok(()) } else { Err(error) })?;
            if at.symlink_metadata().is_ok()
                && Tree::read_with(&at, Some(&self.flow.memo))
                    .is_ok_and(|tree| tree.digest().to_hex() == output.digest)
            {
                continue;
            }
            tree_of(output)?;
            fs::create_dir_all(&scratch).map_err(|e| Error::io("create the folder", &scratch, &e))?;
            let new = scratch.join(format!("new-{number}"));
            if !self.flow.cache.build(output, &new)? {
                return Ok(false);
            }
            built.push((path, new, scratch.join(format!("old-{number}"))));
        }
        // All are built before the first takes its place.
        for (path, new, old) in built {
            let at = files::make_parents(folder, &path)?;
            files::replace(&new, &at, &old)?;
        }
        files::remove(&scratch)?;
        let digest =
            |output: &Output| OutputDigest { path: output.path.clone(), digest: output.digest.clone() };
        self.report.outputs = made.outputs.iter().map(digest).collect();
        Ok(true)
    }

    /// Looks at the gate's files in the pipeline's folder.
    fn gate(&mut self, gate: &Gate) -> Result<()> {
        let refuse = |message: String| Error::new(ErrorKind::Gate, message);
        let mut values = BTreeMap::new();
        for file in gate.files() {
            let value = read_json(&self.flow.pipeline.folder, file)
                .map_err(|error| refuse(format!("the gate {gate} cannot be judged: {error}")))?;
            values.insert(file.clone(), value);
        }
        let judged = gate.holds(&values);
        let (holds, seen) =
            judged.map_err(|error| refuse(format!("the gate {gate} cannot be judged: {error}")))?;
        self.flow.trace.moment(
            self.report.worker,
            "gate",
            json!({ "gate": gate.to_string(), "holds": holds, "seen": seen }),
        );
        match holds {
            true => {
                self.report.message = Some(seen);
                Ok(())
            }
            false => Err(refuse(format!("the gate {gate} does not hold: {seen}"))),
        }
    }
}

fn read_json(folder: &Path, file: &FlowPath) -> Result<Value> {
    file.refuse_links(folder)?;
    let at = file.below(folder);
    let opened = File::open(&at).map_err(|e| Error::io("open it", &at, &e))?;
    let mut bytes = Vec::new();
    opened.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read it", &at, &e))?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(Error::stage(format!("{file} is larger than {JSON_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| Error::stage(format!("{file} is no JSON: {error}")))
}

/// Whether a record has exactly the outputs that the stage names.
fn makes_the_same(made: &Made, stage: &Stage) -> bool {
    let mut own: Vec<&str> = stage.outputs.iter().map(FlowPath::as_str).collect();
    let mut theirs: Vec<&str> = made.outputs.iter().map(|output| output.path.as_str()).collect();
    own.sort_unstable();
    theirs.sort_unstable();
    own == theirs
}

fn same_digests(a: &Made, b: &Made) -> bool {
    let find = |path: &str| b.outputs.iter().find(|output| output.path == path);
    a.outputs.iter().all(|output| find(&output.path).is_some_and(|other| other.digest == output.digest))
}

/// Where a program works.
struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// Nothing in it is needed any more, also not by a stage that goes on.
    fn done(mut self) -> Result<()> {
        self.is_kept = true;
        files::remove(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed now is removed when the next flow begins.
            let _ = files::remove(&self.path);
        }
    }
}
