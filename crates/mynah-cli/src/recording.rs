//! Recording in the run ledger: which ledger, which experiment, which run.
//!
//! A run that cannot be recorded is still worth its hours: trouble with a ledger that nobody named is told once
//! and the run goes on, its own folder holding everything. A ledger that was named with `--store` must
//! open.

use std::path::{Path, PathBuf};

use clap::Args;
use mynah_base::time::now_ms;
use mynah_ledger::{
    ArtifactOwner, Batch, DatasetInput, ErrorKind, Ledger, Location, Metric, NewExperiment, NewRun,
    OpenOptions, Param, Recorder, RecorderOptions, RunStatus, RunUpdate, Tag,
};
use mynah_tokenizer::Tokenizer;
use mynah_train::{Artifact, MetricsRow, RunSink};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::{home, report};

/// The tag that MLflow's clients know a child run by.
const PARENT_TAG: &str = "mlflow.parentRunId";
/// Characters of an error message that are kept.
const ERROR_CHARS_MAX: usize = 2_000;
/// Params of one call.
const PARAMS_MAX: usize = 100;

/// Where and how a run is recorded.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Recording")]
pub struct RecordOptions {
    /// Run ledger to record in (default: MYNAH_STORE, or ledger.db in MYNAH_HOME)
    #[arg(long, value_name = "FILE_OR_URL")]
    pub store: Option<String>,
    /// Experiment that the run belongs to (default: the command's name)
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Name of the run (default: one is made up)
    #[arg(long, value_name = "NAME")]
    pub run_name: Option<String>,
    /// Record nothing in the run ledger
    #[arg(long)]
    pub no_record: bool,
}

/// The ledger that is meant: as named, else `MYNAH_STORE`, else `ledger.db` in the home folder.
///
/// # Errors
/// When there is no home folder, or the name is no place of a ledger.
pub fn location(named: Option<&str>) -> Result<Location> {
    let own =
        named.map(str::to_string).or_else(|| std::env::var("MYNAH_STORE").ok().filter(|s| !s.is_empty()));
    match own {
        Some(place) => Ok(Location::parse(&place)?),
        None => Ok(Location::Sqlite(home::home()?.join("ledger.db"))),
    }
}

/// Who acts: `USER`, else the name that the system has for the owner of this process.
pub fn actor() -> String {
    let named = ["USER", "USERNAME", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).or_else(system_user).unwrap_or_default()
}

#[cfg(unix)]
fn system_user() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&id.as_str())).map(|fields| fields[0].to_string())
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

/// Makes the folder of a ledger that is a file.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(location: &Location) -> Result<()> {
    let Some(parent) = location.file().and_then(Path::parent) else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|error| Failure::io("cannot create the folder", parent, &error))
}

/// Where a ledger is, the same from any folder.
fn place(location: &Location) -> String {
    match location.file() {
        Some(file) => std::path::absolute(file).unwrap_or(file.to_path_buf()).to_string_lossy().into_owned(),
        None => location.to_string(),
    }
}

/// How the program opens a ledger.
pub fn open_options() -> OpenOptions {
    OpenOptions { actor: actor(), ..OpenOptions::default() }
}

impl RecordOptions {
    /// Opens the ledger; nothing when recording is not wanted, or is not possible in a ledger that nobody named.
    ///
    /// # Errors
    /// When the ledger that was named cannot be used.
    pub fn open(&self, experiment: &str) -> Result<Option<Recording>> {
        if self.no_record {
            return Ok(None);
        }
        let experiment = self.experiment.as_deref().unwrap_or(experiment);
        match location(self.store.as_deref()).and_then(|location| self.recording(&location, experiment)) {
            Ok(recording) => Ok(Some(recording)),
            Err(error) if self.store.is_some() => Err(error),
            Err(error) => {
                eprintln!("note: this run is not recorded in the ledger: {error}");
                Ok(None)
            }
        }
    }

    fn recording(&self, location: &Location, experiment: &str) -> Result<Recording> {
        make_folder(location)?;
        let ledger = Ledger::open(location, open_options())?;
        let experiment_id = experiment_id(&ledger, experiment)?;
        // A stage of a flow is told its own run; one of another ledger is nobody's parent here.
        let parent = std::env::var("MYNAH_PARENT_RUN").ok().filter(|id| ledger.run(id).is_ok());
        let name = self.run_name.clone();
        Ok(Recording { ledger, experiment_id, parent, command_folder: None, name })
    }
}

/// The id of the experiment with this name, which is made when it is absent.
fn experiment_id(ledger: &Ledger, name: &str) -> mynah_ledger::Result<String> {
    let new = NewExperiment { name: name.to_string(), ..NewExperiment::default() };
    match ledger.experiment_by_name(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => match ledger.create_experiment(new) {
            // Another process was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(ledger.experiment_by_name(name)?.id),
            made => Ok(made?.id),
        },
        found => Ok(found?.id),
    }
}

/// An open ledger and what new runs in it belong to.
#[derive(Clone)]
pub struct Recording {
    ledger: Ledger,
    experiment_id: String,
    parent: Option<String>,
    /// The folder that the command was told, where a run is a stage with a folder inside it.
    command_folder: Option<PathBuf>,
    name: Option<String>,
}

/// What a run's folder remembers about its record, so that a resumed run goes on in it.
#[derive(Serialize, Deserialize)]
struct Memory {
    store: String,
    run_id: String,
}

const MEMORY: &str = "ledger.json";

impl Recording {
    /// The ledger and the experiment.
    pub fn parts(&self) -> (Ledger, String) {
        (self.ledger.clone(), self.experiment_id.clone())
    }

    /// The same for runs below `parent`, which has the folder `dir`.
    pub fn below(&self, parent: &RecordedRun, dir: &Path) -> Recording {
        let parent = parent.live.as_ref().map(|live| live.run_id.clone());
        Recording { parent, command_folder: Some(dir.to_path_buf()), name: None, ..self.clone() }
    }

    /// A run of the folder `dir`, or with `resume` the one that the folder remembers. It begins when its settings
    /// are recorded: before, the folder may turn out to be taken. `kind` says what it does: `speedrun`, `base`,
    /// `chat`, `eval`.
    pub fn begin(
        &self,
        dir: Option<&Path>,
        kind: &'static str,
        resume: bool,
        datasets: Vec<DatasetInput>,
    ) -> RecordedRun {
        let dir = dir.map(Path::to_path_buf);
        let origins = Origins::default();
        let planned = Planned { recording: self.clone(), dir, kind, resume, datasets, origins };
        RecordedRun { live: None, planned: Some(planned) }
    }

    /// Records what an evaluation found, as a run of its own.
    pub fn evaluation(&self, params: &Value, figures: &[(&str, f64)], datasets: Vec<DatasetInput>) {
        let mut run = self.begin(None, "eval", false, datasets);
        run.params(params);
        run.metrics(0, figures);
        run.end(&Ok(()), false);
    }

    fn start(&self, planned: Planned) -> Result<Live> {
        let Planned { dir, kind, resume, datasets, origins, .. } = planned;
        let dir = dir.as_deref();
        let store = place(self.ledger.location());
        let known = dir.filter(|_| resume).and_then(|dir| self.run_of(dir));
        let resumed = known.is_some();
        let run_id = match known {
            Some(run_id) => run_id,
            None => self.create(dir, kind)?,
        };
        if !resumed {
            self.record_origins(&run_id, &origins, &datasets)?;
        }
        if !datasets.is_empty() {
            self.ledger.log_inputs(&run_id, datasets, Vec::new())?;
        }
        if let Some(dir) = dir {
            let text = serde_json::json!({ "store": store, "run_id": run_id }).to_string();
            let path = dir.join(MEMORY);
            std::fs::create_dir_all(dir)
                .and_then(|()| {
                    mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))
                })
                .map_err(|error| Failure::io("cannot write", &path, &error))?;
        }
        let recorded = self.ledger.run(&run_id)?;
        let recorded_through = match resumed {
            true => recorded.data.metrics.iter().filter(|m| m.key == STEP_METRIC).map(|m| m.step).max(),
            false => None,
        };
        // Training does not wait longer than this for a ledger that cannot be written.
        let options = RecorderOptions { give_up_ms: 10_000, ..RecorderOptions::default() };
        let recorder = self.ledger.recorder(&run_id, options)?;
        Ok(Live {
            ledger: self.ledger.clone(),
            run_id,
            recorder,
            recorded_through: recorded_through.unwrap_or(-1),
        })
    }

    /// The run that a folder remembers, when it is one of this ledger.
    fn run_of(&self, dir: &Path) -> Option<String> {
        let store = place(self.ledger.location());
        let memory: Memory = serde_json::from_slice(&std::fs::read(dir.join(MEMORY)).ok()?).ok()?;
        let is_here = memory.store == store && self.ledger.run(&memory.run_id).is_ok();
        is_here.then_some(memory.run_id)
    }

    /// What the run was made from, with the digests that validation holds against each other.
    fn record_origins(&self, run_id: &str, origins: &Origins, datasets: &[DatasetInput]) -> Result<()> {
        let mut tags = Vec::new();
        if let Some(text) = &origins.tokenizer {
            let owner = ArtifactOwner::Run(run_id.to_string());
            let artifact = self.ledger.put_artifact(&owner, TOKENIZER_PATH, &mut text.as_slice())?;
            tags.push(Tag::new("mynah.tokenizer.digest", artifact.digest));
            tags.push(Tag::new("mynah.tokenizer.path", TOKENIZER_PATH));
        }
        if let [dataset] = datasets {
            tags.push(Tag::new("mynah.data.digest", &dataset.dataset.digest));
        }
        if let Some(folder) = &origins.init {
            let path = std::path::absolute(folder).unwrap_or(folder.clone());
            tags.push(Tag::new("mynah.init.path", clip(&path.to_string_lossy())));
            if let Some(init) = self.run_of(folder) {
                let manifest = std::fs::read(folder.join("manifest.json")).ok();
                let digest = manifest.map(|text| blake3::hash(&text).to_hex().to_string());
                // A run that was trained further has another checkpoint by now: then there is nothing to hold
                // against each other.
                let known = self.ledger.run(&init)?.data.tag("mynah.checkpoint.digest").map(str::to_string);
                if let Some(digest) = digest.filter(|digest| known.as_ref() == Some(digest)) {
                    tags.push(Tag::new("mynah.init.digest", digest));
                }
                tags.push(Tag::new("mynah.init.run", init));
            }
        }
        Ok(self.ledger.log_batch(run_id, Batch { tags, ..Batch::default() })?)
    }

    fn create(&self, dir: Option<&Path>, kind: &str) -> Result<String> {
        let command: Vec<String> = std::env::args().skip(1).collect();
        let mut tags = vec![
            Tag::new("mynah.kind", kind),
            Tag::new("mynah.version", env!("CARGO_PKG_VERSION")),
            Tag::new("mynah.command", clip(&format!("mynah {}", command.join(" ")))),
            Tag::new("mlflow.source.name", "mynah"),
            Tag::new("mlflow.source.type", "LOCAL"),
        ];
        tags.extend(
            report::facts().into_iter().filter(|(name, _)| !name.contains("peak")).map(|(name, value)| {
                Tag::new(format!("mynah.system.{}", name.replace(' ', "_")), clip(&value))
            }),
        );
        let here = std::env::current_dir().ok();
        let folders = [
            ("mynah.folder", dir),
            ("mynah.command_folder", self.command_folder.as_deref()),
            ("mynah.working_folder", here.as_deref()),
        ];
        for (key, folder) in folders {
            let folder = folder.map(|folder| std::path::absolute(folder).unwrap_or(folder.to_path_buf()));
            tags.extend(folder.map(|folder| Tag::new(key, clip(&folder.to_string_lossy()))));
        }
        // One by one, so that the command can be run again whatever is in them.
        let arguments = serde_json::json!(command).to_string();
        if arguments.len() <= ERROR_CHARS_MAX {
            tags.push(Tag::new("mynah.arguments", arguments));
        }
        if let Some(revision) = git_revision() {
            tags.push(Tag::new("mlflow.source.git.commit", revision));
        }
        if let Some(parent) = &self.parent {
            tags.push(Tag::new(PARENT_TAG, parent));
        }
        let name = self.name.clone().or_else(|| self.parent.is_some().then(|| kind.to_string()));
        let new = NewRun {
            experiment_id: self.experiment_id.clone(),
            user: actor(),
            name,
            tags,
            ..NewRun::default()
        };
        Ok(self.ledger.create_run(new)?.run.id)
    }
}

fn clip(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

/// The revision of the repository that the current folder is in, by git's own files.
fn git_revision() -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let git = here.ancestors().map(|folder| folder.join(".git")).find(|git| git.is_dir())?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let revision = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_string(),
        Some(reference) => match std::fs::read_to_string(git.join(reference)) {
            Ok(revision) => revision.trim().to_string(),
            Err(_) => {
                let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
                let line = packed.lines().find(|line| line.ends_with(reference))?;
                line.split_whitespace().next()?.to_string()
            }
        },
    };
    (revision.len() >= 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())).then_some(revision)
}

/// The metric that every recorded step has.
const STEP_METRIC: &str = "tokens";

/// A run in the ledger, or nothing after the ledger gave trouble.
pub struct RecordedRun {
    planned: Option<Planned>,
    live: Option<Live>,
}

/// What is known about a run before it begins.
struct Planned {
    recording: Recording,
    dir: Option<PathBuf>,
    kind: &'static str,
    resume: bool,
    datasets: Vec<DatasetInput>,
    origins: Origins,
}

/// What a run is made from, besides its data.
#[derive(Default)]
struct Origins {
    /// The text of the tokenizer's file.
    tokenizer: Option<Vec<u8>>,
    /// The folder of the model it begins with.
    init: Option<PathBuf>,
}

/// Where the tokenizer lies among a run's artifacts.
const TOKENIZER_PATH: &str = "tokenizer/tokenizer.json";

struct Live {
    ledger: Ledger,
    run_id: String,
    recorder: Recorder,
    /// The last step of an earlier part of the run. A resumed run repeats its steps bit by bit: what is
    /// recorded need not be recorded again.
    recorded_through: i64,
}

impl RecordedRun {
    /// A run that is not recorded.
    pub fn nowhere() -> RecordedRun {
        RecordedRun { planned: None, live: None }
    }

    /// The same run, made with this tokenizer and from the model in the folder `init`.
    #[must_use]
    pub fn with_origins(mut self, tokenizer: &Tokenizer, init: Option<&Path>) -> RecordedRun {
        if let Some(planned) = &mut self.planned {
            planned.origins =
                Origins { tokenizer: Some(tokenizer.to_json()), init: init.map(Path::to_path_buf) };
        }
        self
    }

    fn give_up(&mut self, error: &str) {
        eprintln!("note: the ledger does not record this run any further: {error}");
        self.live = None;
    }

    fn with(&mut self, work: impl FnOnce(&Live) -> mynah_ledger::Result<()>) {
        if let Some(Err(error)) = self.live.as_ref().map(work) {
            self.give_up(&error.to_string());
        }
    }

    /// Begins the run with its settings: every leaf of the JSON is a param. A param is written once; one that a resumed run has
    /// changed becomes a tag.
    pub fn params(&mut self, params: &Value) {
        if let Some(plan) = self.planned.take() {
            match plan.recording.clone().start(plan) {
                Ok(live) => self.live = Some(live),
                Err(error) => return self.give_up(&error.to_string()),
            }
        }
        let mut flat = Vec::new();
        flatten("", params, &mut flat);
        self.with(|live| {
            let known = live.ledger.run(&live.run_id)?.data;
            let (mut new, mut changed) = (Vec::new(), Vec::new());
            for (key, value) in flat {
                match known.param(&key) {
                    None => new.push(Param::new(key, clip(&value))),
                    Some(old) if old == clip(&value) => {}
                    Some(_) => changed.push(Tag::new(format!("mynah.resumed.{key}"), clip(&value))),
                }
            }
            for params in new.chunks(PARAMS_MAX) {
                live.ledger.log_batch(&live.run_id, Batch { params: params.to_vec(), ..Batch::default() })?;
            }
            changed.into_iter().try_for_each(|tag| live.ledger.set_tag(&live.run_id, tag))
        });
    }

    /// Tags.
    pub fn tags(&mut self, tags: Vec<Tag>) {
        self.with(|live| tags.into_iter().try_for_each(|tag| live.ledger.set_tag(&live.run_id, tag)));
    }

    /// Figures of a step, written in the background.
    pub fn metrics(&mut self, step: u64, figures: &[(&str, f64)]) {
        self.with(|live| {
            let step = i64::try_from(step).unwrap_or(i64::MAX);
            if step <= live.recorded_through {
                return Ok(());
            }
            let now = now_ms();
            let points: Vec<Metric> =
                figures.iter().map(|(key, value)| Metric::new(*key, *value, now, step)).collect();
            live.recorder.log_metrics(&points)
        });
    }

    /// Waits until everything is in the store.
    pub fn flush(&mut self) {
        self.with(|live| live.recorder.flush());
    }

    /// Keeps a file with the run.
    pub fn file(&mut self, name: &str, path: &Path) {
        self.with(|live| {
            let Ok(mut file) = std::fs::File::open(path) else { return Ok(()) };
            live.ledger.put_artifact(&ArtifactOwner::Run(live.run_id.clone()), name, &mut file).map(drop)
        });
    }

    /// How the run goes.
    pub fn status(&mut self, status: &mynah_train::RunStatus) {
        use mynah_train::RunStatus as Train;
        self.with(|live| {
            live.recorder.flush()?;
            let (state, message) = match status {
                Train::Running => (RunStatus::Running, None),
                Train::Completed => (RunStatus::Finished, None),
                Train::Interrupted => (RunStatus::Killed, None),
                Train::Failed(message) => (RunStatus::Failed, Some(message)),
            };
            if let Some(message) = message {
                live.ledger.set_tag(&live.run_id, Tag::new("mynah.error", clip(message)))?;
            }
            let end_time_ms = (state != RunStatus::Running).then(now_ms);
            let update = RunUpdate { status: Some(state), end_time_ms, ..RunUpdate::default() };
            live.ledger.update_run(&live.run_id, update).map(drop)
        });
    }

    /// The status that a result stands for.
    pub fn end<T>(&mut self, result: &Result<T>, interrupted: bool) {
        use mynah_train::RunStatus as Train;
        self.status(&match result {
            Ok(_) => Train::Completed,
            Err(_) if interrupted => Train::Interrupted,
            Err(error) => Train::Failed(error.to_string()),
        });
    }
}

/// Every leaf of a JSON value with its path: `train.model.n_layer`, `schedule.momentum.0`.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let below = |name: &str| if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&below(name), value, out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| flatten(&below(&i.to_string()), value, out));
        }
        Value::String(text) => out.push((prefix.to_string(), text.clone())),
        Value::Null => out.push((prefix.to_string(), "none".to_string())),
        other => out.push((prefix.to_string(), other.to_string())),
    }
}

/// Training records in the ledger as it does in its folder.
impl RunSink for RecordedRun {
    fn params(&mut self, params: &Value) -> mynah_train::Result<()> {
        RecordedRun::params(self, params);
        Ok(())
    }

    /// The steps that come again are the same; see [`Live::recorded_through`].
    fn resume(&mut self, _: u64) -> mynah_train::Result<()> {
        Ok(())
    }

    fn metrics(&mut self, row: &MetricsRow) -> mynah_train::Result<()> {
        let mut figures = vec![(STEP_METRIC, row.tokens as f64), ("seconds", row.seconds)];
        let optional = [
            ("loss", row.loss),
            ("smooth_loss", row.smooth_loss),
            ("learning_rate", row.learning_rate),
            ("validation_bpb", row.validation_bpb),
            ("tokens_per_second", row.tokens_per_second),
            ("utilisation", row.utilisation),
        ];
        figures.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value?))));
        RecordedRun::metrics(self, row.step, &figures);
        Ok(())
    }

    fn sync(&mut self) -> mynah_train::Result<()> {
        self.flush();
        Ok(())
    }

    fn artifact(&mut self, artifact: &Artifact) -> mynah_train::Result<()> {
        let path = std::path::absolute(&artifact.path).unwrap_or(artifact.path.clone());
        let tag =
            |what: &str, value: String| Tag::new(format!("mynah.{}.{what}", artifact.name), clip(&value));
        // The manifest names the digest of every file; its own digest is that of the whole. It lies in the ledger,
        // the files where training put them.
        let manifest = format!("{}/manifest.json", artifact.name);
        self.file(&manifest, &path.join("manifest.json"));
        self.tags(vec![
            tag("digest", artifact.digest.clone()),
            tag("manifest", manifest),
            tag("step", artifact.step.to_string()),
            tag("path", path.to_string_lossy().into_owned()),
        ]);
        Ok(())
    }

    fn status(&mut self, status: &mynah_train::RunStatus) -> mynah_train::Result<()> {
        RecordedRun::status(self, status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_flat_params() {
        let mut flat = Vec::new();
        flatten("", &serde_json::json!({"a": {"b": [1, true], "c": null}, "d": "x"}), &mut flat);
        let flat: Vec<(&str, &str)> = flat.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(flat, [("a.b.0", "1"), ("a.b.1", "true"), ("a.c", "none"), ("d", "x")]);
    }

    fn options(store: &Path) -> RecordOptions {
        RecordOptions { store: Some(store.display().to_string()), ..RecordOptions::default() }
    }

    #[test]
    fn a_resumed_run_goes_on_in_its_record_without_points_twice() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("ledger.db");
        let folder = dir.path().join("run");
        let recording = options(&store).open("tests").unwrap().unwrap();
        for (resume, steps, rate) in [(false, 1..=3, 0.5), (true, 2..=5, 0.25)] {
            let mut run = recording.begin(Some(&folder), "base", resume, Vec::new());
            run.params(&serde_json::json!({"seed": 1, "rate": rate}));
            steps.for_each(|step| run.metrics(step, &[(STEP_METRIC, step as f64), ("loss", f64::NAN)]));
            run.end(&Ok(()), false);
        }
        let ledger = Ledger::open(&Location::Sqlite(store), OpenOptions::default()).unwrap();
        let experiment = ledger.experiment_by_name("tests").unwrap();
        let search = mynah_ledger::SearchRuns { experiment_ids: vec![experiment.id], ..Default::default() };
        let page = ledger.search_runs(&search).unwrap();
        let [run] = page.items.as_slice() else { panic!("{} runs instead of one", page.items.len()) };
        assert_eq!(run.run.status, RunStatus::Finished);
        assert_eq!((run.data.param("seed"), run.data.param("rate")), (Some("1"), Some("0.5")));
        assert_eq!(run.data.tag("mynah.resumed.rate"), Some("0.25"));
        let history = ledger.metric_history(&run.run.id, STEP_METRIC, None, None).unwrap();
        assert_eq!(history.items.iter().map(|metric| metric.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(run.data.metric("loss").unwrap().is_nan());
    }

    #[test]
    fn a_named_ledger_must_open_and_another_is_only_missed() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken.db");
        std::fs::write(&broken, "this is no database, however often you look at it").unwrap();
        assert!(options(&broken).open("tests").is_err());
        let none = RecordOptions { no_record: true, ..options(&broken) };
        assert!(none.open("tests").unwrap().is_none());
    }
}
