//! The figures of a run, one row a step, as JSON Lines and as CSV.
//!
//! The JSON Lines file is the record; the CSV holds the same rows. A row is appended in one write, so a kill
//! can tear the last line only. On resume both files are brought back to the checkpoint's step: torn and
//! later rows go, and the run writes them again, so that the files look as if it had never stopped.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use mynah_base::write_atomic;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The figures after one optimizer step. The ones before `seconds` depend on seed and data alone; the
/// others on the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow {
    /// Optimizer steps done.
    pub step: u64,
    /// Tokens read since the start of the run.
    pub tokens: u64,
    /// Mean loss of the step in nats per trained token; none at step 0, before any training.
    pub loss: Option<f64>,
    /// The loss smoothed over about ten steps.
    pub smooth_loss: Option<f64>,
    /// Learning rate as a share of the full rate.
    pub learning_rate: Option<f64>,
    /// Validation bits per byte, at the steps that measured it.
    pub validation_bpb: Option<f64>,
    /// Seconds of training since the start of the run.
    pub seconds: f64,
    /// Tokens per second of this step.
    pub tokens_per_second: Option<f64>,
    /// Floating-point operations per second of this step as a share of the machine's measured peak.
    pub utilisation: Option<f64>,
}

const CSV_HEADER: &str =
    "step,tokens,loss,smooth_loss,learning_rate,validation_bpb,seconds,tokens_per_second,utilisation\n";

impl MetricsRow {
    fn to_csv(&self) -> String {
        let cell = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => value.to_string(),
            _ => String::new(),
        };
        format!(
            "{},{},{},{},{},{},{},{},{}\n",
            self.step,
            self.tokens,
            cell(self.loss),
            cell(self.smooth_loss),
            cell(self.learning_rate),
            cell(self.validation_bpb),
            self.seconds,
            cell(self.tokens_per_second),
            cell(self.utilisation)
        )
    }
}

/// The two files of a run, open for appending.
#[derive(Debug)]
pub struct MetricsLog {
    json_path: PathBuf,
    csv_path: PathBuf,
    json: File,
    csv: File,
}

impl MetricsLog {
    /// Opens `metrics.jsonl` and `metrics.csv` in a folder with the rows up to step `keep_through` kept;
    /// `None` starts both anew.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn open(dir: &Path, keep_through: Option<u64>) -> Result<Self> {
        let (json_path, csv_path) = (dir.join("metrics.jsonl"), dir.join("metrics.csv"));
        let kept = match keep_through {
            Some(step) => read_rows(&json_path)?.into_iter().filter(|row| row.step <= step).collect(),
            None => Vec::new(),
        };
        replace(&json_path, |w| kept.iter().try_for_each(|row| w.write_all(&json_line(row))))?;
        replace(&csv_path, |w| {
            w.write_all(CSV_HEADER.as_bytes())?;
            kept.iter().try_for_each(|row| w.write_all(row.to_csv().as_bytes()))
        })?;
        let append =
            |path: &Path| OpenOptions::new().append(true).open(path).map_err(|e| Error::io("open", path, &e));
        Ok(Self { json: append(&json_path)?, csv: append(&csv_path)?, json_path, csv_path })
    }

    /// Appends one row to both files.
    ///
    /// # Errors
    /// When a file cannot be written, for example because the disk is full.
    pub fn append(&mut self, row: &MetricsRow) -> Result<()> {
        self.json.write_all(&json_line(row)).map_err(|e| Error::io("write", &self.json_path, &e))?;
        self.csv.write_all(row.to_csv().as_bytes()).map_err(|e| Error::io("write", &self.csv_path, &e))
    }

    /// Makes all rows durable; called before a checkpoint counts on them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.json.sync_data().map_err(|e| Error::io("sync", &self.json_path, &e))?;
        self.csv.sync_data().map_err(|e| Error::io("sync", &self.csv_path, &e))
    }
}

/// The rows of a `metrics.jsonl`. A torn last line is dropped; a missing file has no rows.
///
/// # Errors
/// When the file exists but cannot be read.
pub fn read_rows(path: &Path) -> Result<Vec<MetricsRow>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("open", path, &e)),
    };
    let mut reader = BufReader::new(file);
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(|e| Error::io("read", path, &e))?;
        match serde_json::from_slice(&line) {
            Ok(row) if line.ends_with(b"\n") => rows.push(row),
            _ => return Ok(rows),
        }
    }
}

fn json_line(row: &MetricsRow) -> Vec<u8> {
    // A plain struct of numbers always serializes; NaN becomes null.
    let mut line = serde_json::to_vec(row).unwrap_or_default();
    line.push(b'\n');
    line
}

fn replace(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    write_atomic(path, write).map_err(|e| Error::io("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn row(step: u64) -> MetricsRow {
        MetricsRow {
            step,
            tokens: step * 64,
            loss: (step > 0).then_some(1.0 / (step as f64 + 0.1)),
            validation_bpb: step.is_multiple_of(2).then_some(2.5),
            seconds: step as f64 * 0.25,
            ..MetricsRow::default()
        }
    }

    fn write(dir: &Path, steps: std::ops::Range<u64>, keep_through: Option<u64>) {
        let mut log = MetricsLog::open(dir, keep_through).unwrap();
        steps.for_each(|step| log.append(&row(step)).unwrap());
        log.sync().unwrap();
    }

    fn both(dir: &Path) -> (String, String) {
        let read = |name| fs::read_to_string(dir.join(name)).unwrap();
        (read("metrics.jsonl"), read("metrics.csv"))
    }

    #[test]
    fn a_resumed_run_leaves_the_files_of_one_that_never_stopped() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0..20, None);
        let expect = both(dir.path());
        assert_eq!(expect.1.lines().count(), 21);
        assert_eq!(expect.1.lines().nth(3).unwrap(), "2,128,0.47619047619047616,,,2.5,0.5,,");
        // Stopped at 13 with the last line torn at every place, resumed from the checkpoint at 10.
        write(dir.path(), 0..13, None);
        let whole = fs::read(dir.path().join("metrics.jsonl")).unwrap();
        let last_line = row(12);
        for cut in [1, 2, 40, json_line(&last_line).len() - 1] {
            fs::write(dir.path().join("metrics.jsonl"), &whole[..whole.len() - cut]).unwrap();
            write(dir.path(), 11..20, Some(10));
            assert_eq!(both(dir.path()), expect);
            write(dir.path(), 0..13, None);
        }
    }

    #[test]
    fn numbers_that_are_none_stay_readable() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = MetricsLog::open(dir.path(), None).unwrap();
        log.append(&MetricsRow { loss: Some(f64::NAN), ..row(1) }).unwrap();
        let rows = read_rows(&dir.path().join("metrics.jsonl")).unwrap();
        assert_eq!(rows[0].loss, None);
        assert_eq!(read_rows(&dir.path().join("absent")).unwrap(), []);
    }
}
