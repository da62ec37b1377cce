//! What the files of a bundle say, written and read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Opened;
use crate::error::{Error, Result};
use crate::path::{FlowPath, clip};

pub(super) const BUNDLE: &str = "bundle.json";
pub(super) const PARAMS: &str = "params.json";
pub(super) const TAGS: &str = "tags.json";
pub(super) const METRICS: &str = "metrics.jsonl";

/// The version of the format that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

const JSON_BYTES_MAX: u64 = 64 << 20;
const LINE_BYTES_MAX: u64 = 4 << 10;
const POINTS_MAX: usize = 50_000_000;

/// `bundle.json`: a run, as far as somebody needs to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of the format.
    pub version: u32,
    /// The run.
    pub run: RunFacts,
    /// What was called.
    pub command: Option<Command>,
    /// Which code.
    pub code: Code,
    /// Facts about the machine and the programs, by name.
    pub environment: BTreeMap<String, String>,
    /// Params that are seeds.
    pub seeds: BTreeMap<String, String>,
    /// Params that are digests: of the tokenizer, of data.
    pub digests: BTreeMap<String, String>,
    /// What went in.
    pub datasets: Vec<Dataset>,
    /// What came out to go on from.
    pub checkpoints: Vec<Checkpoint>,
    /// Other files of the run.
    pub artifacts: Vec<Artifact>,
    /// Points in `metrics.jsonl`.
    pub metric_points: u64,
}

/// The run itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// 32 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its experiment's name.
    pub experiment: String,
    /// Who ran it.
    pub user: String,
    /// `FINISHED`, …
    pub status: String,
    /// Milliseconds since 1970.
    pub start_time_ms: i64,
    /// Milliseconds since 1970.
    pub end_time_ms: Option<i64>,
}

/// What was called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// As one line, for people.
    pub text: String,
    /// The arguments after the program's name.
    pub arguments: Vec<String>,
    /// Whether the arguments were recorded one by one; else they are the line cut at its spaces.
    pub is_exact: bool,
    /// The folder that the run wrote to.
    pub output_folder: Option<String>,
    /// The folder it was called in.
    pub working_folder: Option<String>,
}

/// Which code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// The version of the product.
    pub version: Option<String>,
    /// The git revision it was called in.
    pub revision: Option<String>,
}

/// A dataset that went in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Where it came from.
    pub source: String,
    /// `train`, `eval`, …
    pub context: Option<String>,
}

/// A checkpoint of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its name: `checkpoint`, `best`, …
    pub name: String,
    /// BLAKE3 of its manifest, in hex.
    pub digest: String,
    /// The step it was taken at.
    pub step: Option<String>,
    /// Where it was on the machine of the run.
    pub path: Option<String>,
    /// Where it is in the bundle; nothing when it is only named.
    pub included: Option<String>,
}

/// A file of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path among the run's artifacts.
    pub path: String,
    /// BLAKE3 in hex.
    pub digest: String,
    /// Its length.
    pub size_bytes: u64,
    /// Whether it lies in the bundle, under `artifacts/`.
    pub is_included: bool,
}

/// A measured point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which metric.
    pub key: String,
    /// Its value; NaN and ±∞ are kept.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// At which step.
    pub step: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    /// Shortest decimal text that gives the same bits, or `NaN`, `inf`, `-inf`.
    value: String,
    timestamp_ms: i64,
    step: i64,
}

/// Writes a JSON file.
pub(super) fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let path = folder.join(name);
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| Error::bundle(format!("cannot write {name}: {e}")))?;
    text.push(b'\n');
    std::fs::write(&path, text).map_err(|e| Error::io("write it", &path, &e))
}

/// Writes `metrics.jsonl`.
pub(super) fn write_metrics(folder: &Path, points: &[Point]) -> Result<()> {
    let path = folder.join(METRICS);
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(File::create(&path)?);
        for point in points {
            let line = Line {
                key: point.key.clone(),
                value: format!("{:?}", point.value),
                timestamp_ms: point.timestamp_ms,
                step: point.step,
            };
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|e| Error::io("write it", &path, &e))
}

/// Reads all of a bundle's texts, and whether they fit together.
pub(super) fn read(folder: &Path) -> Result<Opened> {
    let version: serde_json::Value = read_json(folder, BUNDLE)?;
    match version.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            let message =
                format!("bundle.json has version {version}, this program reads {VERSION}; use a newer one");
            return Err(Error::bundle(message).in_file(folder));
        }
        None => return Err(Error::bundle("bundle.json has no version; it is no run bundle").in_file(folder)),
    }
    let bundle: Bundle = serde_json::from_value(version).map_err(|error| {
        Error::bundle(format!("bundle.json: {}", clip(&error.to_string()))).in_file(folder)
    })?;
    let opened = Opened {
        folder: folder.to_path_buf(),
        bundle,
        params: read_json(folder, PARAMS)?,
        tags: read_json(folder, TAGS)?,
        metrics: read_metrics(folder)?,
        manifest: None,
    };
    check(&opened).map_err(|error| error.in_file(folder))?;
    Ok(opened)
}

fn check(opened: &Opened) -> Result<()> {
    let bundle = &opened.bundle;
    if bundle.metric_points != opened.metrics.len() as u64 {
        let (told, found) = (bundle.metric_points, opened.metrics.len());
        return Err(Error::bundle(format!("bundle.json tells of {told} points, {METRICS} has {found}")));
    }
    let inside = bundle.checkpoints.iter().filter_map(|checkpoint| checkpoint.included.clone());
    let inside = inside
        .chain(bundle.artifacts.iter().filter(|a| a.is_included).map(|a| format!("artifacts/{}", a.path)));
    let mut seen = BTreeSet::new();
    for text in inside {
        let path = FlowPath::parse(&text).map_err(|error| Error::bundle(format!("bundle.json: {error}")))?;
        path.refuse_links(&opened.folder).map_err(|error| Error::bundle(error.to_string()))?;
        if !path.below(&opened.folder).exists() {
            return Err(Error::bundle(format!("{path} is said to be in the bundle and is not")));
        }
        if !seen.insert(text) {
            return Err(Error::bundle(format!("{path} is named twice")));
        }
    }
    Ok(())
}

fn open(folder: &Path, name: &str) -> Result<(File, u64)> {
    let path = folder.join(name);
    let metadata = std::fs::symlink_metadata(&path).map_err(|e| Error::io("open it", &path, &e))?;
    if !metadata.is_file() {
        return Err(Error::bundle("is no file").in_file(&path));
    }
    Ok((File::open(&path).map_err(|e| Error::io("open it", &path, &e))?, metadata.len()))
}

fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let (file, size_bytes) = open(folder, name)?;
    if size_bytes > JSON_BYTES_MAX {
        return Err(Error::bundle(format!("{name} is larger than {JSON_BYTES_MAX} bytes")).in_file(folder));
    }
    let mut bytes = Vec::new();
    file.take(JSON_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read it", &folder.join(name), &e))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::bundle(format!("{name}: {}", clip(&error.to_string()))).in_file(folder))
}

fn read_metrics(folder: &Path) -> Result<Vec<Point>> {
    let (file, _) = open(folder, METRICS)?;
    let mut reader = BufReader::new(file);
    let mut points = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let malformed = |what: &str| {
            Error::bundle(format!("{METRICS} line {}: {what}", points.len() + 1)).in_file(folder)
        };
        let count = reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|e| Error::io("read it", &folder.join(METRICS), &e))?;
        if count == 0 {
            return Ok(points);
        }
        if line.last() != Some(&b'\n') {
            return Err(malformed("too long, or cut off"));
        }
        if points.len() == POINTS_MAX {
            return Err(malformed("more points than any run has"));
        }
        let read: Line =
            serde_json::from_slice(&line).map_err(|error| malformed(clip(&error.to_string())))?;
        let value = read.value.parse().map_err(|_| malformed("a value that is no number"))?;
        points.push(Point { key: read.key, value, timestamp_ms: read.timestamp_ms, step: read.step });
    }
}
