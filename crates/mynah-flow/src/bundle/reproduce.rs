//! Running a bundle's command again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mynah_ledger::{Ledger, Location, OpenOptions, SearchExperiments, SearchRuns};

use super::compare::{Comparison, Tolerance, compare};
use super::{Bundle, Opened, Point};
use crate::error::{Error, Result};
use crate::run::process::{self, Ending, Spec};

/// Says what a run does: `base`, `chat`, `eval`, …
const KIND_TAG: &str = "mynah.kind";

/// What a runner is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Rerun<'a> {
    /// What the run was.
    pub bundle: &'a Bundle,
    /// Its params.
    pub params: &'a BTreeMap<String, String>,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// An empty folder for everything it makes.
    pub folder: &'a Path,
}

/// What a runner gives back.
#[derive(Clone, Debug, Default)]
pub struct Rerunning {
    /// All points that the run measured.
    pub metrics: Vec<Point>,
    /// The same facts about the machine as the bundle's.
    pub environment: BTreeMap<String, String>,
}

/// Runs a recorded command again; a program does it, or a test.
pub trait Runner {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be run or does not end well.
    fn run(&mut self, rerun: &Rerun<'_>) -> Result<Rerunning>;
}

/// What came of running it again.
#[derive(Clone, Debug)]
pub struct Reproduction {
    /// The metrics, step by step.
    pub comparison: Comparison,
    /// Facts about the machine that are not the same: name, then and now. They may explain a difference.
    pub environment: Vec<(String, Option<String>, Option<String>)>,
}

/// Runs the bundle's command in `folder`, which must not exist or be empty, and compares.
///
/// # Errors
/// `Argument` when the folder holds something; what the runner returns.
pub fn reproduce(
    opened: &Opened,
    folder: &Path,
    runner: &mut dyn Runner,
    tolerance: Tolerance,
    ignore: &dyn Fn(&str) -> bool,
) -> Result<Reproduction> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, &e))?;
    let mut entries = fs::read_dir(folder).map_err(|e| Error::io("list it", folder, &e))?;
    if entries.next().is_some() {
        return Err(Error::argument("is not empty; name an empty folder to run in").in_file(folder));
    }
    let rerun = Rerun { bundle: &opened.bundle, params: &opened.params, tags: &opened.tags, folder };
    let now = runner.run(&rerun)?;
    let comparison = compare(&opened.metrics, &now.metrics, tolerance, ignore);
    let then = &opened.bundle.environment;
    let mut names: Vec<&String> = then.keys().chain(now.environment.keys()).collect();
    names.sort();
    names.dedup();
    let differs =
        |name: &&&String| !now.environment.is_empty() && then.get(**name) != now.environment.get(**name);
    let both = |name: &String| (name.clone(), then.get(name).cloned(), now.environment.get(name).cloned());
    Ok(Reproduction {
        comparison,
        environment: names.iter().filter(differs).map(|name| both(name)).collect(),
    })
}

/// Runs the command as a process of this product that records in a ledger of its own, and reads that.
///
/// An argument that named the folder of the recorded run names one inside the new folder instead; `--store` and
/// `--resume` are left out. Everything else is as it was, also paths of data: they must be there.
#[derive(Clone, Debug)]
pub struct CommandRunner {
    /// The product's program.
    pub program: PathBuf,
    /// Where it is called; nothing: where the recorded run was, else here.
    pub working_folder: Option<PathBuf>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Nothing: it may take as long as it likes.
    pub timeout: Option<Duration>,
    /// Set by whoever interrupts it.
    pub stop: Arc<AtomicBool>,
}

impl Runner for CommandRunner {
    fn run(&mut self, rerun: &Rerun<'_>) -> Result<Rerunning> {
        let command = rerun.bundle.command.as_ref();
        let command =
            command.ok_or_else(|| Error::bundle("the run recorded no command; there is nothing to run"))?;
        let folder =
            std::path::absolute(rerun.folder).map_err(|e| Error::io("use the folder", rerun.folder, &e))?;
        let output = folder.join("run");
        let (mut arguments, mut skip_value) = (Vec::new(), None);
        for argument in &command.arguments {
            match (skip_value.take(), argument.as_str()) {
                (Some("--store"), _) => continue,
                (Some("--resume"), step) if step.bytes().all(|byte| byte.is_ascii_digit()) => continue,
                (_, "--store") => skip_value = Some("--store"),
                (_, "--resume") => skip_value = Some("--resume"),
                (_, text) if text.starts_with("--store=") || text.starts_with("--resume=") => {}
                (_, text) => arguments.push(moved(text, command.output_folder.as_deref(), &output)),
            }
        }
        let store = folder.join("ledger.db");
        let mut environment = self.environment.clone();
        environment.insert("MYNAH_STORE".to_string(), store.to_string_lossy().into_owned());
        let recorded = command.working_folder.as_ref().map(PathBuf::from).filter(|folder| folder.is_dir());
        let here = self.working_folder.clone().or(recorded).unwrap_or_else(|| PathBuf::from("."));
        let spec = Spec {
            program: &self.program.to_string_lossy(),
            arguments: &arguments,
            folder: &here,
            environment: &environment,
            log: &folder.join("log.txt"),
            log_bytes_max: 1 << 30,
            timeout: self.timeout,
            grace: Duration::from_secs(10),
            stop: &self.stop,
        };
        match process::run(&spec, |_| Ok(()))? {
            Ending::Success => {}
            Ending::Interrupted => return Err(process::interrupted()),
            Ending::Failure(message) => {
                return Err(Error::stage(format!("running it again failed: {message}")));
            }
        }
        read(&store, rerun.tags.get(KIND_TAG).map(String::as_str))
    }
}

/// The argument, or the new folder when it named the old one.
fn moved(argument: &str, old: Option<&str>, new: &Path) -> String {
    let Some(old) = old.map(Path::new) else { return argument.to_string() };
    let (option, value) = match argument.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (Some(option), value),
        _ => (None, argument),
    };
    let relative = value.strip_prefix("./").unwrap_or(value).trim_end_matches('/');
    // A relative argument is the end of the recorded path, part by part.
    if relative.is_empty() || !old.ends_with(relative) {
        return argument.to_string();
    }
    let new = new.to_string_lossy();
    option.map_or(new.to_string(), |option| format!("{option}={new}"))
}

/// What the run of this kind recorded, in the ledger that was made for it; without a kind the run that is no other's
/// child.
fn read(store: &Path, kind: Option<&str>) -> Result<Rerunning> {
    let options = OpenOptions { read_only: true, create: false, ..OpenOptions::default() };
    let ledger = Ledger::open(&Location::Sqlite(store.to_path_buf()), options)?;
    let experiments = ledger.search_experiments(&SearchExperiments::default())?.items;
    let search = SearchRuns {
        experiment_ids: experiments.into_iter().map(|experiment| experiment.id).collect(),
        ..SearchRuns::default()
    };
    let mut runs = ledger.search_runs(&search)?.items;
    match kind {
        Some(kind) => runs.retain(|record| record.data.tag(KIND_TAG) == Some(kind)),
        None => runs.retain(|record| record.run.parent_id.is_none()),
    }
    let [record] = runs.as_slice() else {
        let kind = kind.map_or(String::new(), |kind| format!(" of the kind {kind:?}"));
        let message = format!("running it again recorded {} runs{kind}, not one", runs.len());
        return Err(Error::bundle(message).in_file(store));
    };
    let mut metrics = Vec::new();
    for metric in &record.data.metrics {
        for point in ledger.metric_history(&record.run.id, &metric.key, None, None)?.items {
            let (timestamp_ms, step) = (point.timestamp_ms, point.step);
            metrics.push(Point { key: point.key, value: point.value, timestamp_ms, step });
        }
    }
    let system = record.data.tags.iter();
    let system = system
        .filter_map(|tag| Some((tag.key.strip_prefix("mynah.system.")?.to_string(), tag.value.clone())));
    Ok(Rerunning { metrics, environment: system.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_folder_is_replaced_and_nothing_else() {
        let new = Path::new("new");
        let old = Some("a/b/out");
        for (argument, expect) in [
            ("out", "new"),
            ("b/out", "new"),
            ("./b/out/", "new"),
            ("a/b/out", "new"),
            ("--out=b/out", "--out=new"),
            ("ut", "ut"),
            ("data", "data"),
            ("--out", "--out"),
            ("", ""),
        ] {
            assert_eq!(moved(argument, old, new), expect);
        }
        assert_eq!(moved("out", None, new), "out");
    }
}
