//! What the rules look at: one run, and the store around it, read once through the ledger's public API.
//!
//! Everything after this module is a pure function of these values. What cannot be read (a damaged chunk, a
//! missing file) is a value here too, not an error: finding it is what validation is for.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use mynah_ledger::{
    Artifact, ArtifactOwner, AuditEvent, AuditHead, CheckOptions, CheckReport, Experiment, Ledger, Lifecycle,
    ModelVersion, Run, RunData, RunRecord, Sample, SearchExperiments, SearchModels, SearchRuns, View,
};
use serde_json::Value;

use crate::error::Result;

/// Events of one subject that the ledger gives at most; a run with more is not compared with its log.
const EVENTS_MAX: usize = 100_000;

/// One metric of a run.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its key.
    pub key: String,
    /// All points by step, time and value; or why they cannot be read.
    pub samples: std::result::Result<Vec<Sample>, String>,
}

/// What became of an artifact's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Length and digest are right.
    Sound,
    /// Only the length was looked at.
    Unchecked,
    /// The file is gone.
    Missing,
    /// The file has another length.
    Torn {
        /// The length it has.
        size_bytes: u64,
    },
    /// The length is right and the bytes are others.
    Changed {
        /// The BLAKE3 digest they have.
        digest: String,
    },
    /// The bytes are those of the digest, and the row has another length.
    Mismeasured {
        /// The length they have.
        size_bytes: u64,
    },
    /// The file cannot be read.
    Unreadable {
        /// What the system said.
        why: String,
    },
}

/// An artifact and its bytes.
#[derive(Clone, Debug)]
pub struct ArtifactView {
    /// As the ledger has it.
    pub artifact: Artifact,
    /// As the disk has it.
    pub content: Content,
}

/// An event of the audit log, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the log.
    pub seq: u64,
    /// When.
    pub at_ms: i64,
    /// Who.
    pub by: String,
    /// `run.create`, …
    pub kind: String,
    /// `run:ID`, …
    pub subject: String,
    /// Small facts.
    pub detail: Value,
}

impl Event {
    /// Reads the event's own text, which is what the log proves; its columns are not trusted.
    pub fn of(event: &AuditEvent) -> Event {
        Event::parse(&event.body).unwrap_or_else(|| Event {
            seq: event.seq,
            at_ms: event.at_ms,
            by: String::new(),
            kind: event.kind.clone(),
            subject: event.subject.clone(),
            detail: Value::Null,
        })
    }

    /// The event in a line of the log.
    pub fn parse(body: &str) -> Option<Event> {
        let body: Value = serde_json::from_str(body).ok()?;
        let text = |key: &str| body[key].as_str().map(str::to_string);
        Some(Event {
            seq: body["seq"].as_u64()?,
            at_ms: body["at_ms"].as_i64()?,
            by: text("by")?,
            kind: text("kind")?,
            subject: text("subject")?,
            detail: body["detail"].clone(),
        })
    }
}

/// A run with all that was recorded in it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Latest metrics, params, tags, inputs.
    pub data: RunData,
    /// Histories, by key.
    pub series: Vec<Series>,
    /// Artifacts, by path.
    pub artifacts: Vec<ArtifactView>,
    /// What the log says of it, oldest first.
    pub events: Vec<Event>,
    /// All its events are here, and it did not change while it was read.
    pub is_settled: bool,
    /// The run it was started from: named by the tag `mynah.init.run`.
    pub init: Option<Box<RunRecord>>,
    /// That run's artifacts.
    pub init_artifacts: Vec<Artifact>,
}

/// The tag that names the run whose checkpoint a run began with.
pub const INIT_TAG: &str = "mynah.init.run";

impl RunView {
    /// Reads a run. With `contents` the bytes of its artifacts are read and their digests computed.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot be read at all.
    pub fn load(ledger: &Ledger, run_id: &str, contents: bool) -> Result<RunView> {
        let subject = format!("run:{run_id}");
        let mut tries = 0;
        loop {
            let before = ledger.audit_events_of(&subject)?;
            let RunRecord { run, data } = ledger.run(run_id)?;
            let series = data.metrics.iter().map(|metric| series(ledger, run_id, &metric.key)).collect();
            let owner = ArtifactOwner::Run(run_id.to_string());
            let artifacts = ledger.walk_artifacts(&owner)?;
            let after = ledger.audit_events_of(&subject)?;
            tries += 1;
            // Reads are snapshots, each of its own moment: a run that is being written is read again.
            let is_still = before.last().map(|event| event.seq) == after.last().map(|event| event.seq);
            if !is_still && tries < 4 {
                continue;
            }
            let init_id = data.tag(INIT_TAG).filter(|id| *id != run_id);
            let init = init_id.and_then(|id| ledger.run(id).ok()).map(Box::new);
            let init_artifacts = init.as_ref().map(|init| ArtifactOwner::Run(init.run.id.clone()));
            let init_artifacts = init_artifacts.and_then(|owner| ledger.walk_artifacts(&owner).ok());
            return Ok(RunView {
                series,
                artifacts: artifacts.into_iter().map(|a| artifact_view(ledger, a, contents)).collect(),
                events: after.iter().map(Event::of).collect(),
                is_settled: is_still && after.len() < EVENTS_MAX,
                init,
                init_artifacts: init_artifacts.unwrap_or_default(),
                run,
                data,
            });
        }
    }

    /// `run:ID`.
    pub fn subject(&self) -> String {
        format!("run:{}", self.run.id)
    }
}

fn series(ledger: &Ledger, run_id: &str, key: &str) -> Series {
    let samples = match ledger.metric_history(run_id, key, None, None) {
        Ok(page) => {
            let sample = |m: &mynah_ledger::Metric| Sample {
                step: m.step,
                timestamp_ms: m.timestamp_ms,
                value: m.value,
            };
            let mut samples: Vec<Sample> = page.items.iter().map(sample).collect();
            samples.sort_by_key(Sample::identity);
            Ok(samples)
        }
        Err(error) => Err(error.to_string()),
    };
    Series { key: key.to_string(), samples }
}

fn artifact_view(ledger: &Ledger, artifact: Artifact, contents: bool) -> ArtifactView {
    let place = content_path(ledger.artifact_dir(), &artifact.digest);
    let content = content(&place, &artifact, contents);
    ArtifactView { artifact, content }
}

/// Where the bytes of a digest lie, as the ledger lays them out: `ab/cdef…`.
pub fn content_path(artifact_dir: &Path, digest: &str) -> PathBuf {
    // A hostile row may hold anything; only digits of a digest may become a path.
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (folder, name) = if is_digest { digest.split_at(2) } else { ("no-digest", "none") };
    artifact_dir.join(folder).join(name)
}

/// Compares a file with what it should be.
pub fn content(place: &Path, artifact: &Artifact, read: bool) -> Content {
    let metadata = match fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Content::Missing,
        Err(error) => return Content::Unreadable { why: error.to_string() },
    };
    let size_bytes = metadata.len();
    let fits = size_bytes == artifact.size_bytes;
    if fits && !read {
        return Content::Unchecked;
    }
    match digest_of(place) {
        Ok(digest) if digest == artifact.digest && fits => Content::Sound,
        // It is the row that is wrong.
        Ok(digest) if digest == artifact.digest => Content::Mismeasured { size_bytes },
        Ok(_) if !fits => Content::Torn { size_bytes },
        Ok(digest) => Content::Changed { digest },
        Err(error) => Content::Unreadable { why: error.to_string() },
    }
}

/// BLAKE3 of a file, in hexadecimal.
pub fn digest_of(place: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(place)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

/// A file of the artifact folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// From the artifact folder, with `/`.
    pub path: String,
    /// The digest that its place stands for; nothing for a file that is no content.
    pub digest: Option<String>,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last written; 0 when the system does not say.
    pub modified_ms: i64,
}

/// The store around the runs.
#[derive(Clone, Debug, Default)]
pub struct StoreView {
    /// All experiments, deleted ones too.
    pub experiments: Vec<Experiment>,
    /// All runs, deleted ones too, without their data.
    pub runs: HashMap<String, Run>,
    /// All versions of all registered models.
    pub versions: Vec<ModelVersion>,
    /// What the ledger finds wrong with its own file, rows and log.
    pub check: CheckReport,
    /// Events that no run is the subject of: models, experiments.
    pub events: Vec<Event>,
    /// Runs that the log says were made, with the place of that event.
    pub created_runs: HashMap<String, u64>,
    /// Runs whose last event is of a kind that this program does not know: how they ended is not judged.
    pub unknown_runs: HashSet<String>,
    /// Places where the log's clock goes back: (event, milliseconds).
    pub clock_steps: Vec<(u64, i64)>,
    /// Files in the artifact folder.
    pub files: Vec<StoredFile>,
    /// Digests that shared artifacts and logged models name.
    pub named_digests: HashSet<String>,
    /// Artifacts of logged models and of nobody, each with its owner: `logged_model:ID` or `store`.
    pub others: Vec<(String, ArtifactView)>,
    /// What could not be read, one line each.
    pub unreadable: Vec<String>,
    /// The event that comes next.
    next_event: u64,
    /// The highest time of an event so far.
    latest_ms: i64,
}

/// Kinds of events about runs that this program understands.
pub const RUN_KINDS: &[&str] = &[
    "run.create",
    "run.update",
    "run.log",
    "run.inputs",
    "run.outputs",
    "run.untag",
    "run.delete",
    "run.restore",
    "run.quarantine",
    "run.release",
    "artifact.put",
    "artifact.delete",
];

impl StoreView {
    /// Reads the store. `held` is a head of the audit log that was kept elsewhere. What cannot be read becomes
    /// a line of `unreadable`.
    pub fn load(ledger: &Ledger, held: Option<AuditHead>, contents: bool) -> StoreView {
        let mut view = StoreView::default();
        let mut unreadable = Vec::new();
        let mut part = |what: &str, result: Result<()>| {
            if let Err(error) = result {
                unreadable.push(format!("{what}: {error}"));
            }
        };
        // The log first: what is made while the rest is read is then new to it, and not missing from the store.
        part("experiments", load_experiments(ledger, &mut view));
        part("audit log", load_log(ledger, &mut view));
        // Artifacts are read with their runs.
        let options = CheckOptions { read_artifacts: false, held };
        part("database", ledger.check(&options).map(|report| view.check = report).map_err(Into::into));
        part("runs", load_runs(ledger, &mut view));
        part("model versions", load_versions(ledger, &mut view));
        part("artifacts", load_others(ledger, contents, &mut view));
        part("artifact folder", load_files(ledger.artifact_dir(), &mut view));
        view.unreadable = unreadable;
        view
    }

    /// Whether a run is in use and not kept apart.
    pub fn is_active(&self, run_id: &str) -> bool {
        self.runs.get(run_id).is_some_and(|run| run.lifecycle == Lifecycle::Active)
    }
}

fn load_experiments(ledger: &Ledger, view: &mut StoreView) -> Result<()> {
    let mut search =
        SearchExperiments { view: View::All, max_results: 50_000, ..SearchExperiments::default() };
    loop {
        let page = ledger.search_experiments(&search)?;
        view.experiments.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(());
        }
    }
}

fn load_runs(ledger: &Ledger, view: &mut StoreView) -> Result<()> {
    let experiment_ids = view.experiments.iter().map(|experiment| experiment.id.clone()).collect();
    let mut search =
        SearchRuns { experiment_ids, view: View::All, max_results: 5_000, ..SearchRuns::default() };
    loop {
        let page = ledger.search_runs(&search)?;
        view.runs.extend(page.items.into_iter().map(|record| (record.run.id.clone(), record.run)));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(());
        }
    }
}

/// Versions, and the log up to them: when a model changes in between, both are read again. One that never holds still is
/// left out: nobody can say of which moment its rows are.
fn load_versions(ledger: &Ledger, view: &mut StoreView) -> Result<()> {
    const TRIES_MAX: usize = 5;
    for round in 1.. {
        view.versions.clear();
        let mut search = SearchModels { max_results: 10_000, ..SearchModels::default() };
        loop {
            let page = ledger.search_model_versions(&search)?;
            view.versions.extend(page.items);
            search.page_token = page.next_page_token;
            if search.page_token.is_none() {
                break;
            }
        }
        let known = view.events.len();
        load_log(ledger, view)?;
        let changed = |event: &Event| event.subject.strip_prefix("model:").map(str::to_string);
        let changed: HashSet<String> = view.events[known..].iter().filter_map(changed).collect();
        if changed.is_empty() || round == TRIES_MAX {
            view.versions.retain(|version| !changed.contains(&version.name));
            break;
        }
    }
    // The log has grown since the runs were read: what it made in between is read now.
    let gone = view.created_runs.keys().filter(|id| !view.runs.contains_key(*id));
    let mut made_since = Vec::new();
    for run_id in gone {
        if let Ok(record) = ledger.run(run_id) {
            made_since.push(record.run);
        }
    }
    view.runs.extend(made_since.into_iter().map(|run| (run.id.clone(), run)));
    Ok(())
}

/// The log from where it was last read.
fn load_log(ledger: &Ledger, view: &mut StoreView) -> Result<()> {
    loop {
        let page = ledger.audit_events(view.next_event, 20_000)?;
        let Some(last) = page.last() else { return Ok(()) };
        view.next_event = last.seq + 1;
        for event in &page {
            if event.at_ms < view.latest_ms {
                view.clock_steps.push((event.seq, view.latest_ms - event.at_ms));
            }
            view.latest_ms = view.latest_ms.max(event.at_ms);
            let Some(run_id) = event.subject.strip_prefix("run:") else {
                view.events.push(Event::of(event));
                continue;
            };
            if event.kind == "run.create" {
                view.created_runs.insert(run_id.to_string(), event.seq);
            }
            if RUN_KINDS.contains(&event.kind.as_str()) {
                view.unknown_runs.remove(run_id);
            } else {
                view.unknown_runs.insert(run_id.to_string());
            }
        }
    }
}

fn load_others(ledger: &Ledger, contents: bool, view: &mut StoreView) -> Result<()> {
    let add = |subject: &str, owner: &ArtifactOwner, view: &mut StoreView| -> Result<()> {
        for artifact in ledger.walk_artifacts(owner)? {
            view.named_digests.insert(artifact.digest.clone());
            view.others.push((subject.to_string(), artifact_view(ledger, artifact, contents)));
        }
        Ok(())
    };
    add("store", &ArtifactOwner::Shared, view)?;
    let experiment_ids: Vec<String> =
        view.experiments.iter().map(|experiment| experiment.id.clone()).collect();
    let mut search =
        mynah_ledger::SearchLoggedModels { experiment_ids, max_results: 5_000, ..Default::default() };
    loop {
        let page = ledger.search_logged_models(&search)?;
        for model in page.items {
            add(&format!("logged_model:{}", model.id), &ArtifactOwner::Model(model.id.clone()), view)?;
        }
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(());
        }
    }
}

/// Walks the two levels that the ledger makes; a deeper folder is a stranger and is named as such.
fn load_files(dir: &Path, view: &mut StoreView) -> Result<()> {
    let failed = |error: std::io::Error| crate::Error::storage(format!("{}: {error}", dir.display()));
    let folders = match fs::read_dir(dir) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for folder in folders {
        let folder = folder.map_err(failed)?;
        let name = folder.file_name().to_string_lossy().into_owned();
        if !folder.file_type().map_err(failed)?.is_dir() {
            view.files.push(stored(&folder.path(), &name, None));
            continue;
        }
        for file in fs::read_dir(folder.path()).map_err(failed)? {
            let file = file.map_err(failed)?;
            let rest = file.file_name().to_string_lossy().into_owned();
            let digest = format!("{name}{rest}");
            let is_digest =
                name.len() == 2 && digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
            view.files.push(stored(&file.path(), &format!("{name}/{rest}"), is_digest.then_some(digest)));
        }
    }
    view.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}

fn stored(place: &Path, path: &str, digest: Option<String>) -> StoredFile {
    let metadata = fs::metadata(place).ok();
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let modified_ms =
        modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_millis() as i64);
    StoredFile { path: path.to_string(), digest, size_bytes: metadata.map_or(0, |m| m.len()), modified_ms }
}
