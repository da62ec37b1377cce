//! Where a run tells what it was, what it measured and what it made.
//!
//! Training writes to this trait only; the file sink below is the simplest of its implementations, a run
//! database another.

use std::path::{Path, PathBuf};

use mynah_base::write_atomic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;

use crate::error::{Error, Result};
use crate::metrics::{MetricsLog, MetricsRow};

/// The state of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// In progress (or killed without a word).
    Running,
    /// All steps done.
    Completed,
    /// Stopped on request after saving.
    Interrupted,
    /// Stopped by this error.
    Failed(String),
}

/// A file or folder that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is: `checkpoint`, `model`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The step at which it was made.
    pub step: u64,
    /// BLAKE3 of its manifest, which names the digest of every file.
    pub digest: String,
}

/// Records one run.
pub trait RunSink {
    /// The run's settings; called once at its start and again when it is resumed.
    ///
    /// # Errors
    /// When the record cannot be written; training then stops.
    fn params(&mut self, params: &Value) -> Result<()>;

    /// The run goes on from the checkpoint of this step: forget rows and artifacts of later ones.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn resume(&mut self, step: u64) -> Result<()>;

    /// The figures of a step.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn metrics(&mut self, row: &MetricsRow) -> Result<()>;

    /// The run goes on, after this step, with weights from elsewhere, number `epoch` of their series.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn taken(&mut self, _step: u64, _name: &str, _epoch: u64) -> Result<()> {
        Ok(())
    }

    /// Makes everything recorded so far durable; a checkpoint that counts on it follows.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn sync(&mut self) -> Result<()>;

    /// The run made something.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn artifact(&mut self, artifact: &Artifact) -> Result<()>;

    /// The run's state changed.
    ///
    /// # Errors
    /// As [`params`](Self::params).
    fn status(&mut self, status: &RunStatus) -> Result<()>;
}

/// Records nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl RunSink for NoSink {
    fn params(&mut self, _: &Value) -> Result<()> {
        Ok(())
    }
    fn resume(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
    fn metrics(&mut self, _: &MetricsRow) -> Result<()> {
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
    fn artifact(&mut self, _: &Artifact) -> Result<()> {
        Ok(())
    }
    fn status(&mut self, _: &RunStatus) -> Result<()> {
        Ok(())
    }
}

/// What `run.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// The state of the run.
    pub status: RunStatus,
    /// Its settings.
    pub params: Value,
    /// What it made.
    pub artifacts: Vec<Artifact>,
}

/// Records a run as `run.json`, `metrics.jsonl` and `metrics.csv` in one folder.
#[derive(Debug)]
pub struct FileSink {
    dir: PathBuf,
    run: RunFile,
    /// Opened by the first call that knows whether the run is new or resumed.
    log: Option<MetricsLog>,
}

impl FileSink {
    /// A sink in this folder, which is made if need be. Nothing is written before the run starts.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io("make the folder", dir, &e))?;
        let run = RunFile { status: RunStatus::Running, params: Value::Null, artifacts: Vec::new() };
        Ok(Self { dir: dir.to_path_buf(), run, log: None })
    }

    fn write(&self) -> Result<()> {
        let path = self.dir.join("run.json");
        let text = serde_json::to_vec_pretty(&self.run)
            .map_err(|e| Error::io("write", &path, &std::io::Error::other(e)))?;
        write_atomic(&path, |w| w.write_all(&text)).map_err(|e| Error::io("write", &path, &e))
    }

    fn log(&mut self) -> Result<&mut MetricsLog> {
        let log = match self.log.take() {
            Some(log) => log,
            None => MetricsLog::open(&self.dir, None)?,
        };
        Ok(self.log.insert(log))
    }
}

impl RunSink for FileSink {
    fn params(&mut self, params: &Value) -> Result<()> {
        self.run.params = params.clone();
        self.write()
    }

    fn resume(&mut self, step: u64) -> Result<()> {
        let path = self.dir.join("run.json");
        let earlier = std::fs::read(&path).ok().and_then(|b| serde_json::from_slice::<RunFile>(&b).ok());
        self.run.artifacts = earlier.map(|run| run.artifacts).unwrap_or_default();
        self.run.artifacts.retain(|artifact| artifact.step <= step);
        self.log = Some(MetricsLog::open(&self.dir, Some(step))?);
        self.write()
    }

    fn metrics(&mut self, row: &MetricsRow) -> Result<()> {
        self.log()?.append(row)
    }

    fn sync(&mut self) -> Result<()> {
        self.log()?.sync()
    }

    fn artifact(&mut self, artifact: &Artifact) -> Result<()> {
        self.run.artifacts.retain(|old| (&old.name, old.step) != (&artifact.name, artifact.step));
        self.run.artifacts.push(artifact.clone());
        self.write()
    }

    fn status(&mut self, status: &RunStatus) -> Result<()> {
        self.run.status = status.clone();
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resume_forgets_what_came_later() {
        let dir = tempfile::tempdir().unwrap();
        let made = |step| Artifact {
            name: "checkpoint".into(),
            path: format!("checkpoints/{step}").into(),
            step,
            digest: "d".into(),
        };
        let mut sink = FileSink::new(dir.path()).unwrap();
        sink.params(&serde_json::json!({"seed": 1})).unwrap();
        for step in 1..=3 {
            sink.metrics(&MetricsRow { step, ..Default::default() }).unwrap();
            sink.artifact(&made(step)).unwrap();
        }
        drop(sink);
        let mut sink = FileSink::new(dir.path()).unwrap();
        sink.resume(2).unwrap();
        sink.params(&serde_json::json!({"seed": 1})).unwrap();
        sink.artifact(&made(2)).unwrap();
        sink.status(&RunStatus::Failed("disk full".into())).unwrap();
        let run: RunFile =
            serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
        assert_eq!(run.artifacts, [made(1), made(2)]);
        assert_eq!(run.status, RunStatus::Failed("disk full".into()));
        let rows = crate::metrics::read_rows(&dir.path().join("metrics.jsonl")).unwrap();
        assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2]);
    }
}
