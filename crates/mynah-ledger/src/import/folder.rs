//! A folder `mlruns`: one folder per experiment, one per run inside, one file per param, tag and metric.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::yaml::Mapping;
use super::{FoundRun, ImportReport, Source, status_of, walk};
use crate::error::{Error, Result};
use crate::metrics::Sample;
use crate::types::{
    Dataset, DatasetInput, Experiment, Lifecycle, LoggedModel, LoggedModelStatus, ModelAlias, ModelMetric,
    ModelVersion, Param, RegisteredModel, Run, Stage, Tag, VersionStatus,
};

/// A `meta.yaml`, a param or a tag is not larger.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// A line of a metric file is not longer.
const LINE_BYTES_MAX: usize = 1_000;

/// Deleted experiments lie here.
const TRASH: &str = ".trash";

/// The folder.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder itself, or the `mlruns` in it.
    pub fn open(path: &Path) -> Result<Folder> {
        for root in [path.to_path_buf(), path.join("mlruns")] {
            if folders(&root).iter().any(|name| root.join(name).join("meta.yaml").is_file()) {
                return Ok(Folder(root));
            }
        }
        let place = path.display();
        Err(Error::invalid(format!("{place} is not a folder mlruns: no folder in it has a meta.yaml")))
    }

    /// Where an experiment is: deleted ones are in the trash.
    fn experiment(&self, id: &str) -> PathBuf {
        let active = self.0.join(id);
        if active.is_dir() { active } else { self.0.join(TRASH).join(id) }
    }
}

impl Source for Folder {
    fn experiments(&self, report: &mut ImportReport) -> Result<Vec<Experiment>> {
        let mut found = Vec::new();
        for (root, lifecycle) in
            [(self.0.clone(), Lifecycle::Active), (self.0.join(TRASH), Lifecycle::Deleted)]
        {
            for id in folders(&root) {
                let folder = root.join(&id);
                if id == "models" || id == TRASH {
                    continue;
                }
                let Some(meta) = meta(&folder) else {
                    report.note(format!("{} has no readable meta.yaml and is passed over", folder.display()));
                    continue;
                };
                found.push(Experiment {
                    name: meta.filled("name").unwrap_or_else(|| format!("imported {id}")),
                    artifact_location: meta.text("artifact_location"),
                    lifecycle,
                    created_ms: meta.number("creation_time").unwrap_or_default(),
                    updated_ms: meta.number("last_update_time").unwrap_or_default(),
                    tags: pairs(&folder.join("tags"), report),
                    id,
                });
            }
        }
        Ok(found)
    }

    fn run_ids(&self, experiment: &str) -> Result<Vec<String>> {
        let folder = self.experiment(experiment);
        let mut ids = folders(&folder);
        ids.retain(|id| {
            !matches!(id.as_str(), "tags" | "datasets" | "models" | "traces") && !id.starts_with('.')
        });
        ids.retain(|id| folder.join(id).join("meta.yaml").is_file());
        Ok(ids)
    }

    fn run(&self, experiment: &str, run_id: &str, report: &mut ImportReport) -> Result<FoundRun> {
        let parent = self.experiment(experiment);
        let folder = parent.join(run_id);
        let meta = meta(&folder).unwrap_or_default();
        let tags = pairs(&folder.join("tags"), report);
        let tagged = tags.iter().find(|tag| tag.key == "mlflow.runName").map(|tag| tag.value.clone());
        let name = meta.filled("run_name").or(meta.filled("name")).or(tagged).unwrap_or_default();
        let deleted = meta.get("lifecycle_stage") == Some("deleted");
        let run = Run {
            id: run_id.to_string(),
            name,
            user: meta.text("user_id"),
            status: status_of(&meta.text("status")),
            start_time_ms: meta.number("start_time").unwrap_or_default(),
            end_time_ms: meta.number("end_time"),
            lifecycle: if deleted { Lifecycle::Deleted } else { Lifecycle::Active },
            deleted_ms: meta.number("deleted_time"),
            artifact_uri: meta.text("artifact_uri"),
            ..Run::default()
        };
        let mut found = FoundRun { run, tags, ..FoundRun::default() };
        let params = pairs(&folder.join("params"), report).into_iter();
        found.params = params.map(|pair| Param { key: pair.key, value: pair.value }).collect();
        for key in files(&folder.join("metrics")) {
            let samples = metric_file(&folder.join("metrics").join(&key), report, |sample, _| sample);
            if !samples.is_empty() {
                found.series.push((key, samples));
            }
        }
        for edge in folders(&folder.join("inputs")) {
            let Some(edge) = self::meta(&folder.join("inputs").join(edge)) else { continue };
            if edge.get("source_type") != Some("DATASET") {
                found.model_inputs.extend(edge.filled("destination_id"));
                continue;
            }
            let id = edge.text("source_id");
            let Some(dataset) = safe(&id).and_then(|id| self::meta(&parent.join("datasets").join(id))) else {
                report.note(format!("the dataset '{id}' of the run {run_id} is not there"));
                continue;
            };
            let dataset = Dataset {
                name: dataset.text("name"),
                digest: dataset.text("digest"),
                source_type: dataset.text("source_type"),
                source: dataset.text("source"),
                schema: dataset.filled("schema"),
                profile: dataset.filled("profile"),
            };
            let tags = edge.inner("tags").map(|(key, value)| Tag::new(key, value)).collect();
            found.inputs.push(DatasetInput { dataset, tags });
        }
        for edge in folders(&folder.join("outputs")) {
            let Some(edge) = self::meta(&folder.join("outputs").join(edge)) else { continue };
            let step = edge.number("step").unwrap_or_default();
            found.model_outputs.extend(edge.filled("destination_id").map(|id| (id, step)));
        }
        Ok(found)
    }

    fn logged_models(&self, report: &mut ImportReport) -> Result<Vec<LoggedModel>> {
        let mut found = Vec::new();
        for root in [self.0.clone(), self.0.join(TRASH)] {
            for experiment in folders(&root).iter().filter(|id| *id != "models" && *id != TRASH) {
                let models = root.join(experiment).join("models");
                for id in folders(&models) {
                    let folder = models.join(&id);
                    let Some(meta) = meta(&folder) else { continue };
                    let status = meta.number("status").and_then(|number| usize::try_from(number).ok());
                    let deleted = meta.get("lifecycle_stage") == Some("deleted");
                    let params = pairs(&folder.join("params"), report).into_iter();
                    let mut metrics = Vec::new();
                    for key in files(&folder.join("metrics")) {
                        metrics.extend(metric_file(
                            &folder.join("metrics").join(&key),
                            report,
                            |sample, rest| ModelMetric {
                                key: key.clone(),
                                value: sample.value,
                                timestamp_ms: sample.timestamp_ms,
                                step: sample.step,
                                run_id: rest.first().map(ToString::to_string).unwrap_or_default(),
                                dataset_name: rest.get(1).map(ToString::to_string),
                                dataset_digest: rest.get(2).map(ToString::to_string),
                            },
                        ));
                    }
                    found.push(LoggedModel {
                        experiment_id: experiment.clone(),
                        name: meta.text("name"),
                        artifact_location: meta.text("artifact_location"),
                        created_ms: meta.number("creation_timestamp").unwrap_or_default(),
                        updated_ms: meta.number("last_updated_timestamp").unwrap_or_default(),
                        status: status
                            .and_then(|at| LoggedModelStatus::ALL.get(at).copied())
                            .unwrap_or_default(),
                        status_message: meta.filled("status_message"),
                        lifecycle: if deleted { Lifecycle::Deleted } else { Lifecycle::Active },
                        model_type: meta.filled("model_type"),
                        source_run_id: meta.filled("source_run_id"),
                        tags: pairs(&folder.join("tags"), report),
                        params: params.map(|pair| Param { key: pair.key, value: pair.value }).collect(),
                        metrics,
                        id,
                    });
                }
            }
        }
        Ok(found)
    }

    fn registry(&self, report: &mut ImportReport) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>> {
        let root = self.0.join("models");
        let mut found = Vec::new();
        for name in folders(&root) {
            let folder = root.join(&name);
            let Some(meta) = meta(&folder) else { continue };
            let name = meta.filled("name").unwrap_or(name);
            let aliases = pairs(&folder.join("aliases"), report).into_iter();
            let model = RegisteredModel {
                created_ms: meta.number("creation_timestamp").unwrap_or_default(),
                updated_ms: meta.number("last_updated_timestamp").unwrap_or_default(),
                description: meta.filled("description"),
                tags: pairs(&folder.join("tags"), report),
                aliases: aliases
                    .filter_map(|pair| {
                        Some(ModelAlias { alias: pair.key, version: pair.value.trim().parse().ok()? })
                    })
                    .collect(),
                name: name.clone(),
                latest_versions: Vec::new(),
            };
            let mut versions = Vec::new();
            for version in folders(&folder) {
                let place = folder.join(&version);
                let number = version.strip_prefix("version-").and_then(|number| number.parse().ok());
                let (Some(number), Some(meta)) = (number, self::meta(&place)) else { continue };
                if meta.get("current_stage") == Some("Deleted_Internal") {
                    continue;
                }
                versions.push(ModelVersion {
                    name: name.clone(),
                    version: number,
                    created_ms: meta.number("creation_timestamp").unwrap_or_default(),
                    updated_ms: meta.number("last_updated_timestamp").unwrap_or_default(),
                    description: meta.filled("description"),
                    user: meta.filled("user_id"),
                    stage: Stage::parse(&meta.text("current_stage")).unwrap_or_default(),
                    source: meta.filled("source"),
                    storage_location: meta.filled("storage_location"),
                    run_id: meta.filled("run_id"),
                    run_link: meta.filled("run_link"),
                    model_id: meta.filled("model_id"),
                    status: VersionStatus::parse(&meta.text("status")).unwrap_or_default(),
                    status_message: meta.filled("status_message"),
                    tags: pairs(&place.join("tags"), report),
                    aliases: Vec::new(),
                });
            }
            versions.sort_by_key(|version| version.version);
            found.push((model, versions));
        }
        Ok(found)
    }
}

/// Names of the folders in a folder, in order; links count as neither.
fn folders(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut names: Vec<String> = entries
        .flatten()
        .filter(is_folder)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Paths of the files in a folder and below: a key `a/b` is a file in a folder.
fn files(path: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    walk(path, &mut String::new(), 0, &mut paths);
    paths
}

/// A name that stays in its folder.
fn safe(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\'])).then_some(name)
}

fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(TEXT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn meta(folder: &Path) -> Option<Mapping> {
    text(&folder.join("meta.yaml")).map(|text| Mapping::parse(&text))
}

/// One file per key.
fn pairs(folder: &Path, report: &mut ImportReport) -> Vec<Tag> {
    let mut pairs = Vec::new();
    for key in files(folder) {
        match text(&folder.join(&key)) {
            Some(value) => pairs.push(Tag { key, value }),
            None => report.note(format!("{} cannot be read", folder.join(&key).display())),
        }
    }
    pairs
}

/// `TIMESTAMP VALUE STEP` a line, for logged models with more words after; old files have no step.
fn metric_file<T>(path: &Path, report: &mut ImportReport, make: impl Fn(Sample, &[&str]) -> T) -> Vec<T> {
    let mut found = Vec::new();
    let Ok(file) = File::open(path) else {
        report.note(format!("{} cannot be read", path.display()));
        return found;
    };
    let mut bad = 0;
    for line in BufReader::new(file).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]);
        let words: Vec<&str> = line.split_whitespace().collect();
        let sample = || {
            Some(Sample {
                timestamp_ms: words.first()?.parse().ok()?,
                value: words.get(1)?.parse().ok()?,
                step: words.get(2).map_or(Some(0), |step| step.parse().ok())?,
            })
        };
        match sample() {
            Some(sample) => found.push(make(sample, words.get(3..).unwrap_or_default())),
            None => bad += usize::from(!words.is_empty()),
        }
    }
    if bad > 0 {
        report.note(format!("{bad} lines of {} are no points", path.display()));
    }
    found
}
