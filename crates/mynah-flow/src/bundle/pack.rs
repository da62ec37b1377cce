//! From a run in the ledger to a signed bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use mynah_ledger::{ArtifactOwner, Ledger, RunRecord};
use mynah_trust::keys::EcSigningKey;
use mynah_trust::model_signing::{Manifest, SIGNATURE_FILE, SignOptions, sign_folder};

use super::contents::{self, BUNDLE, PARAMS, TAGS};
use super::{Artifact, Bundle, Checkpoint, Code, Command, Dataset, Point, RunFacts};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Tree};
use crate::path::FlowPath;
use crate::pipeline::STATE_FOLDER;
use crate::tar;

const SYSTEM: &str = "mynah.system.";
const CONTEXT_TAG: &str = "mlflow.data.context";

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Whether checkpoints are copied into the bundle, or only named with their digests.
    pub include_checkpoints: bool,
    /// Whether the run's artifacts are.
    pub include_artifacts: bool,
}

impl Default for PackOptions {
    fn default() -> PackOptions {
        PackOptions { include_checkpoints: false, include_artifacts: true }
    }
}

/// Packs a run and signs it: to a folder, or to a file when the name ends in `.tar`. It is there whole or not at all.
///
/// # Errors
/// `Argument` when `to` exists, `Ledger` when there is no such run, `Bundle` when a checkpoint that is wanted is not the
/// one that was recorded, `Io`.
pub fn pack(
    ledger: &Ledger,
    run_id: &str,
    to: &Path,
    key: &EcSigningKey,
    options: &PackOptions,
) -> Result<(Bundle, Manifest)> {
    if to.symlink_metadata().is_ok() {
        return Err(Error::argument("exists already; name another place for the bundle").in_file(to));
    }
    let record = ledger.run(run_id)?;
    let name = to.file_name().ok_or_else(|| Error::argument("the place of the bundle has no name"))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io("create the folder", parent, &e))?;
    // A neighbour, so that the last step is one rename. The signature keeps the folder's name: give it the final one.
    let neighbour = Neighbour(parent.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id())));
    files::remove(&neighbour.0)?;
    let folder = neighbour.0.join(Path::new(name).file_stem().unwrap_or(name));
    fs::create_dir_all(&folder).map_err(|e| Error::io("create the folder", &folder, &e))?;

    let points = points(ledger, &record)?;
    let bundle = Bundle {
        checkpoints: checkpoints(&record, &folder, options)?,
        artifacts: artifacts(ledger, run_id, &folder, options)?,
        metric_points: points.len() as u64,
        ..facts(ledger, &record)?
    };
    contents::write_json(&folder, BUNDLE, &bundle)?;
    let params: BTreeMap<&str, &str> =
        record.data.params.iter().map(|p| (p.key.as_str(), p.value.as_str())).collect();
    contents::write_json(&folder, PARAMS, &params)?;
    let tags: BTreeMap<&str, &str> =
        record.data.tags.iter().map(|t| (t.key.as_str(), t.value.as_str())).collect();
    contents::write_json(&folder, TAGS, &tags)?;
    contents::write_metrics(&folder, &points)?;

    // Everything is covered, also what looks like git's.
    let sign = SignOptions { ignore_git_paths: false, ..SignOptions::default() };
    let manifest = sign_folder(&folder, &folder.join(SIGNATURE_FILE), key, &sign)?;
    let made = match to.extension().is_some_and(|extension| extension == "tar") {
        true => archive(&folder, &neighbour.0.join("archive"))?,
        false => folder,
    };
    fs::rename(&made, to).map_err(|e| Error::io("put the bundle in its place", to, &e))?;
    mynah_base::sync_dir(parent).map_err(|e| Error::io("sync the folder", parent, &e))?;
    Ok((bundle, manifest))
}

/// The folder in which a bundle is made; gone afterwards.
struct Neighbour(PathBuf);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = files::remove(&self.0);
    }
}

fn archive(folder: &Path, to: &Path) -> Result<PathBuf> {
    let tree = Tree::read(folder)?;
    let files = tree.entries.iter().filter(|entry| entry.file.is_some());
    let files = files.map(|entry| FlowPath::parse(&entry.path)).collect::<Result<Vec<_>>>()?;
    let io = |e: &std::io::Error| Error::io("write the archive", to, e);
    let mut file = std::io::BufWriter::new(File::create(to).map_err(|e| io(&e))?);
    tar::pack(folder, &files, &mut file)?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|e| io(&e))?;
    Ok(to.to_path_buf())
}

fn facts(ledger: &Ledger, record: &RunRecord) -> Result<Bundle> {
    let RunRecord { run, data } = record;
    let tag = |key: &str| data.tag(key).map(str::to_string);
    let of_params = |is_one: &dyn Fn(&str) -> bool| -> BTreeMap<String, String> {
        let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_string();
        let params = data.params.iter().filter(|param| is_one(&last(&param.key)));
        params.map(|param| (param.key.clone(), param.value.clone())).collect()
    };
    let system = data
        .tags
        .iter()
        .filter_map(|tag| Some((tag.key.strip_prefix(SYSTEM)?.to_string(), tag.value.clone())));
    let datasets = data.inputs.iter().map(|input| Dataset {
        name: input.dataset.name.clone(),
        digest: input.dataset.digest.clone(),
        source: input.dataset.source.clone(),
        context: input.tags.iter().find(|tag| tag.key == CONTEXT_TAG).map(|tag| tag.value.clone()),
    });
    Ok(Bundle {
        version: contents::VERSION,
        run: RunFacts {
            id: run.id.clone(),
            name: run.name.clone(),
            experiment: ledger.experiment(&run.experiment_id)?.name,
            user: run.user.clone(),
            status: run.status.as_str().to_string(),
            start_time_ms: run.start_time_ms,
            end_time_ms: run.end_time_ms,
        },
        command: command(record),
        code: Code { version: tag("mynah.version"), revision: tag("mlflow.source.git.commit") },
        environment: system.collect(),
        seeds: of_params(&|name| name == "seed" || name.ends_with("_seed")),
        digests: of_params(&|name| name == "digest" || name.ends_with("_digest")),
        datasets: datasets.collect(),
        checkpoints: Vec::new(),
        artifacts: Vec::new(),
        metric_points: 0,
    })
}

/// The arguments as they were, where they were recorded one by one; else the line, cut.
fn command(record: &RunRecord) -> Option<Command> {
    let text = record.data.tag("mynah.command")?.to_string();
    let exact: Option<Vec<String>> =
        record.data.tag("mynah.arguments").and_then(|json| serde_json::from_str(json).ok());
    let is_exact = exact.is_some();
    let cut = || text.split_whitespace().skip(1).map(str::to_string).collect();
    Some(Command {
        arguments: exact.unwrap_or_else(cut),
        is_exact,
        // A stage of a larger run has a folder of its own inside the one that was named.
        output_folder: (record.data.tag("mynah.command_folder"))
            .or(record.data.tag("mynah.folder"))
            .map(str::to_string),
        working_folder: record.data.tag("mynah.working_folder").map(str::to_string),
        text,
    })
}

/// Every point of every metric: by key, step and time.
fn points(ledger: &Ledger, record: &RunRecord) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for metric in &record.data.metrics {
        let history = ledger.metric_history(&record.run.id, &metric.key, None, None)?;
        points.extend(history.items.into_iter().map(|metric| Point {
            key: metric.key,
            value: metric.value,
            timestamp_ms: metric.timestamp_ms,
            step: metric.step,
        }));
    }
    points.sort_by(|a, b| {
        (&a.key, a.step, a.timestamp_ms)
            .cmp(&(&b.key, b.step, b.timestamp_ms))
            .then(a.value.total_cmp(&b.value))
    });
    Ok(points)
}

/// Tags `mynah.NAME.digest`, `.step` and `.path` tell of a checkpoint.
fn checkpoints(record: &RunRecord, folder: &Path, options: &PackOptions) -> Result<Vec<Checkpoint>> {
    let mut checkpoints = Vec::new();
    for tag in &record.data.tags {
        let name = tag.key.strip_prefix("mynah.").and_then(|rest| rest.strip_suffix(".digest"));
        let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('.')) else { continue };
        let of = |what: &str| record.data.tag(&format!("mynah.{name}.{what}")).map(str::to_string);
        let Some(path) = of("path") else { continue };
        let mut checkpoint = Checkpoint {
            name: name.to_string(),
            digest: tag.value.clone(),
            step: of("step"),
            path: Some(path.clone()),
            included: None,
        };
        if options.include_checkpoints {
            let inside =
                FlowPath::parse(&format!("checkpoints/{name}")).map_err(|e| Error::bundle(e.to_string()))?;
            include(&published(Path::new(&path)), &checkpoint, folder, &inside)?;
            checkpoint.included = Some(inside.to_string());
        }
        checkpoints.push(checkpoint);
    }
    Ok(checkpoints)
}

/// Where a checkpoint is now: one that a stage of a flow recorded while it ran has moved out of the scratch folder.
fn published(recorded: &Path) -> PathBuf {
    if recorded.exists() {
        return recorded.to_path_buf();
    }
    // ROOT/.mynah-flow/scratch/STAGE-1/work/PATH
    let parts: Vec<_> = recorded.iter().collect();
    let at = parts.windows(2).position(|pair| pair[0] == STATE_FOLDER && pair[1] == "scratch");
    match at {
        Some(at) if parts.get(at + 3).is_some_and(|part| *part == "work") => {
            parts[..at].iter().chain(&parts[at + 4..]).collect()
        }
        _ => recorded.to_path_buf(),
    }
}

fn include(from: &Path, checkpoint: &Checkpoint, folder: &Path, inside: &FlowPath) -> Result<()> {
    let hint = "pack it by reference (without checkpoints), or restore it first";
    let tree = Tree::read(from).map_err(|error| {
        Error::new(error.kind(), format!("the checkpoint {:?}: {error}; {hint}", checkpoint.name))
    })?;
    // The recorded digest is that of the manifest, which names the others.
    let is_it = tree
        .entries
        .iter()
        .filter_map(|entry| entry.file.as_ref())
        .any(|file| file.digest == checkpoint.digest);
    if !is_it {
        let message =
            format!("the checkpoint {:?} is not the one that was recorded; {hint}", checkpoint.name);
        return Err(Error::bundle(message).in_file(from));
    }
    let to = files::make_parents(folder, inside)?;
    for entry in &tree.entries {
        let join =
            |base: &Path| if entry.path.is_empty() { base.to_path_buf() } else { base.join(&entry.path) };
        let (from, to) = (join(from), join(&to));
        let copied =
            if entry.file.is_some() { fs::copy(&from, &to).map(drop) } else { fs::create_dir_all(&to) };
        copied.map_err(|e| Error::io("copy it into the bundle", &from, &e))?;
    }
    Ok(())
}

fn artifacts(ledger: &Ledger, run_id: &str, folder: &Path, options: &PackOptions) -> Result<Vec<Artifact>> {
    let owner = ArtifactOwner::Run(run_id.to_string());
    let mut artifacts = Vec::new();
    for artifact in ledger.walk_artifacts(&owner)? {
        if options.include_artifacts {
            let inside = FlowPath::parse(&format!("artifacts/{}", artifact.path));
            let to = files::make_parents(folder, &inside.map_err(|e| Error::bundle(e.to_string()))?)?;
            let (_, mut content) = ledger.artifact(&owner, &artifact.path)?;
            let copied = File::create(&to).and_then(|mut file| std::io::copy(&mut content, &mut file));
            copied.map_err(|e| Error::io("copy it into the bundle", &to, &e))?;
            let digest = mynah_trust::Digest::of_file(mynah_trust::Algorithm::Blake3, &to)?.to_hex();
            if digest != artifact.digest {
                let message = format!("the artifact {} is damaged in the ledger", artifact.path);
                return Err(Error::new(ErrorKind::Ledger, message));
            }
        }
        artifacts.push(Artifact {
            path: artifact.path,
            digest: artifact.digest,
            size_bytes: artifact.size_bytes,
            is_included: options.include_artifacts,
        });
    }
    Ok(artifacts)
}
