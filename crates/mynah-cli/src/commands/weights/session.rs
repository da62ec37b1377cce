//! Pushes that are under way, and those that were broken off.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mynah_serve::weights::{Link, Policy, PushOptions, PushReport, Recovered, recover};
use mynah_swap::protocol::{CoordinatorRecord, FileLog, Log};
use serde_json::{Value, json};

use super::link::HttpLink;
use crate::failure::{Failure, Result};
use crate::home;

/// How long a decision is kept for servers that are away.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// A name that no other push has; it is no secret.
fn fresh_name() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = time.map_or(0, |time| time.as_nanos());
    format!("{nanoseconds:x}-{:x}", std::process::id())
}

/// Where pushes keep their logs of decisions.
fn pushes() -> Result<PathBuf> {
    let folder = home::home()?.join("weights/pushes");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::io("cannot create the folder", &folder, &error))?;
    Ok(folder)
}

/// A push's files: the log of its decisions, and who takes part. They go when it has ended.
pub struct Session {
    folder: PathBuf,
    name: String,
    pub log: FileLog,
}

impl Session {
    pub fn begin(links: &[HttpLink]) -> Result<Session> {
        let (folder, name) = (pushes()?, fresh_name());
        let urls: Vec<&str> = links.iter().map(Link::name).collect();
        Session::named(folder, name, &urls)
    }

    /// One of several pushes of one command, to one server.
    pub fn for_one(url: &str) -> Result<Session> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = pushes()?;
        let name = format!("{}-{}", fresh_name(), COUNT.fetch_add(1, Ordering::Relaxed));
        Session::named(folder, name, &[url])
    }

    fn named(folder: PathBuf, name: String, urls: &[&str]) -> Result<Session> {
        let text = json!({"push": name, "to": urls}).to_string();
        let path = folder.join(format!("{name}.json"));
        mynah_base::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))
            .map_err(|error| Failure::io("cannot write", &path, &error))?;
        let log = FileLog::open(&folder.join(format!("{name}.log")))?;
        Ok(Session { folder, name, log })
    }

    pub fn options(&self, policy: Policy) -> PushOptions {
        let (name, scratch) = (self.name.clone(), self.folder.clone());
        PushOptions { policy, name, scratch, ..PushOptions::default() }
    }

    /// How servers that lag behind are pushed to; each push has a name of its own.
    pub fn scratch() -> Result<PushOptions> {
        Ok(PushOptions { scratch: pushes()?, ..PushOptions::default() })
    }

    /// The name, and the log alone.
    pub fn into_parts(self) -> (String, FileLog) {
        (self.name, self.log)
    }

    /// Removes the files, unless a server may still wait to hear how it ended: then the next push tells it.
    pub fn end(mut self, outcome: Option<&PushReport>) {
        let is_told = outcome.is_some_and(|report| report.left.is_empty());
        let records = self.log.read().unwrap_or_default();
        let has_begun = |record: &Vec<u8>| {
            matches!(CoordinatorRecord::parse(record), Ok(CoordinatorRecord::Begin { .. }))
        };
        if !is_told && records.iter().any(has_begun) {
            return;
        }
        drop(self.log);
        for end in ["log", "json", "stream"] {
            // What cannot be removed is found to be over by the next push.
            let _ = std::fs::remove_file(self.folder.join(format!("{}.{end}", self.name)));
        }
    }
}

/// Ends what pushes to these servers left that were broken off.
pub fn recover_all(key: Option<&str>) -> Result<()> {
    let folder = pushes()?;
    let entries = std::fs::read_dir(&folder).map_err(|error| Failure::io("cannot read", &folder, &error))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| Failure::io("cannot read", &path, &error))?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let urls =
            value["to"].as_array().map(|urls| urls.iter().filter_map(Value::as_str).map(str::to_string));
        let (Some(name), Some(urls)) = (value["push"].as_str(), urls) else { continue };
        // Another process has it: that one is not broken off.
        let Ok(mut log) = FileLog::open(&path.with_extension("log")) else { continue };
        let links = HttpLink::all(&urls.collect::<Vec<_>>(), key)?;
        let links: Vec<&dyn Link> = links.iter().map(|link| link as &dyn Link).collect();
        let (found, gone) = recover(&links, name, &mut log)?;
        match found {
            Recovered::Committed => {
                eprintln!("push {name} was broken off after its decision; it is carried through")
            }
            Recovered::Aborted => eprintln!("push {name} was broken off before a decision; it is undone"),
            Recovered::Nothing => {}
        }
        // Who is away may wait for what was decided; after a week nobody believes that any more.
        let age = path.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if !gone.is_empty() && age.is_some_and(|age| age < KEPT) {
            eprintln!("push {name}: {} cannot be told yet how it ended", gone.join(", "));
            continue;
        }
        drop(log);
        for end in ["log", "json", "stream"] {
            let _ = std::fs::remove_file(path.with_extension(end));
        }
    }
    Ok(())
}
