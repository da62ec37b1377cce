//! The journal of a run: one line per event, written at once, torn at most at its end.
//!
//! A line is 16 hex digits of BLAKE3, a space, the event as JSON, a line feed. Events go out in one `write` to a file
//! opened for appending; whoever reads stops at the first line that is not whole. Nothing depends on the journal being
//! complete: it tells a replay the order of starts, and the next run which processes may have been left behind.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use mynah_trust::Digest;
use serde::{Deserialize, Serialize};

use super::{Outcome, OutputDigest};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::STATE_FOLDER;

const JOURNAL_BYTES_MAX: u64 = 256 << 20;
const FILE_NAME: &str = "journal.jsonl";

/// What is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum JournalEvent {
    /// The first line.
    Begin {
        /// The run's id, also the name of its folder.
        run_id: String,
        /// BLAKE3 of the pipeline's text, in hex.
        pipeline: String,
        /// The names of its stages.
        stages: Vec<String>,
        /// How many stages could run at once.
        workers: usize,
        /// Milliseconds since 1970.
        time_ms: i64,
    },
    /// The run was interrupted and goes on.
    Resume {
        /// Milliseconds since 1970.
        time_ms: i64,
    },
    /// The run's id in the ledger.
    Recorded {
        /// 32 hex digits.
        run_id: String,
    },
    /// A stage was given to a worker.
    Start {
        /// Its name.
        stage: String,
        /// Which worker, from 0.
        worker: usize,
        /// Milliseconds since 1970.
        time_ms: i64,
    },
    /// A program was started; it leads a process group of its own.
    Process {
        /// Of which stage.
        stage: String,
        /// From 1.
        attempt: u32,
        /// Its process id, which is also the group's.
        pid: u32,
    },
    /// A stage is settled.
    End {
        /// Its name.
        stage: String,
        /// How it went.
        outcome: Outcome,
        /// Its key in hex, when its inputs could be read.
        key: Option<String>,
        /// What it made.
        outputs: Vec<OutputDigest>,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// The last line of a run that came to its end, well or not.
    Finish {
        /// Whether every stage is as it should be.
        success: bool,
    },
}

/// A journal that has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// Its whole lines.
    pub events: Vec<JournalEvent>,
    /// How many bytes those are; what comes after is torn.
    pub whole_bytes: u64,
    /// How many bytes come after.
    pub torn_bytes: u64,
}

impl Journal {
    /// Reads a journal as far as it is whole.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Journal` when it does not begin as one or is larger than any.
    pub fn read(path: &Path) -> Result<Journal> {
        let io = |e: &std::io::Error| Error::io("read the journal", path, e);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|e| io(&e))?;
        file.take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| io(&e))?;
        let refuse = |message: &str| Err(Error::new(ErrorKind::Journal, message).in_file(path));
        if bytes.len() as u64 > JOURNAL_BYTES_MAX {
            return refuse("larger than any journal");
        }
        let mut journal = Journal::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(event) = parse(line) else { break };
            journal.events.push(event);
            journal.whole_bytes += line.len() as u64;
        }
        journal.torn_bytes = bytes.len() as u64 - journal.whole_bytes;
        match journal.events.first() {
            Some(JournalEvent::Begin { .. }) => Ok(journal),
            _ => refuse("does not begin like the journal of a flow"),
        }
    }

    /// The stages in the order in which they were started; a stage that was started again after an interruption
    /// counts where it was started last.
    pub fn starts(&self) -> Vec<&str> {
        let mut starts: Vec<&str> = Vec::new();
        for event in &self.events {
            if let JournalEvent::Start { stage, .. } = event {
                starts.retain(|known| known != stage);
                starts.push(stage);
            }
        }
        starts
    }

    /// How a stage was settled last.
    pub fn end(&self, name: &str) -> Option<&JournalEvent> {
        self.events
            .iter()
            .rev()
            .find(|event| matches!(event, JournalEvent::End { stage, .. } if stage == name))
    }

    /// Whether the run came to its end.
    pub fn is_finished(&self) -> bool {
        matches!(self.events.last(), Some(JournalEvent::Finish { .. }))
    }

    /// The digest of the pipeline it is about.
    pub fn pipeline(&self) -> Option<&str> {
        match self.events.first() {
            Some(JournalEvent::Begin { pipeline, .. }) => Some(pipeline),
            _ => None,
        }
    }

    /// The stages it is about.
    pub fn stages(&self) -> &[String] {
        match self.events.first() {
            Some(JournalEvent::Begin { stages, .. }) => stages,
            _ => &[],
        }
    }

    /// The run's id in the ledger.
    pub fn recorded(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            JournalEvent::Recorded { run_id } => Some(run_id.as_str()),
            _ => None,
        })
    }
}

/// The journal of the latest run of the pipeline in this folder.
///
/// # Errors
/// `Io` when the folder cannot be listed. A folder without runs gives nothing.
pub fn latest_journal(folder: &Path) -> Result<Option<PathBuf>> {
    let runs = folder.join(STATE_FOLDER).join("runs");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("list it", &runs, &error)),
    };
    // Ids begin with the time, in digits that sort.
    let journals = entries.flatten().map(|entry| entry.path().join(FILE_NAME));
    Ok(journals.filter(|path| path.is_file()).max())
}

fn parse(line: &[u8]) -> Option<JournalEvent> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (check, text) = line.split_once(' ')?;
    (check == check_of(text)).then(|| serde_json::from_str(text).ok())?
}

fn check_of(text: &str) -> String {
    Digest::blake3(text.as_bytes()).to_hex()[..16].to_string()
}

/// A journal that is being written.
pub(crate) struct JournalWriter {
    path: PathBuf,
    file: File,
}

impl JournalWriter {
    /// A new journal in a run's folder.
    pub fn create(run_folder: &Path, begin: &JournalEvent) -> Result<JournalWriter> {
        let path = run_folder.join(FILE_NAME);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let mut writer =
            JournalWriter { file: file.map_err(|e| Error::io("create the journal", &path, &e))?, path };
        writer.add(begin)?;
        Ok(writer)
    }

    /// Goes on with a journal; what is torn at its end is cut off.
    pub fn resume(path: &Path, journal: &Journal) -> Result<JournalWriter> {
        let io = |e: &std::io::Error| Error::io("go on with the journal", path, e);
        let file = OpenOptions::new().append(true).open(path).map_err(|e| io(&e))?;
        file.set_len(journal.whole_bytes).map_err(|e| io(&e))?;
        Ok(JournalWriter { path: path.to_path_buf(), file })
    }

    /// Adds a line, in one write.
    pub fn add(&mut self, event: &JournalEvent) -> Result<()> {
        let text = serde_json::to_string(event)
            .map_err(|e| Error::new(ErrorKind::Journal, format!("cannot write the event: {e}")))?;
        let line = format!("{} {text}\n", check_of(&text));
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io("write the journal", &self.path, &e))
    }

    #[cfg(test)]
    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> JournalEvent {
        JournalEvent::Begin {
            run_id: "1".to_string(),
            pipeline: "p".to_string(),
            stages: vec!["a\nb".to_string()],
            workers: 1,
            time_ms: 5,
        }
    }

    fn start(stage: &str) -> JournalEvent {
        JournalEvent::Start { stage: stage.to_string(), worker: 0, time_ms: 6 }
    }

    #[test]
    fn a_torn_end_is_cut_wherever_it_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = JournalWriter::create(dir.path(), &begin()).unwrap();
        ["a", "b", "a"].iter().for_each(|stage| writer.add(&start(stage)).unwrap());
        let path = writer.path().to_path_buf();
        let whole = Journal::read(&path).unwrap();
        assert_eq!(whole.starts(), ["b", "a"]);
        assert_eq!((whole.events.len(), whole.torn_bytes), (4, 0));
        let text = fs::read(&path).unwrap();
        let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for cut in last..text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let torn = Journal::read(&path).unwrap();
            assert_eq!((torn.events.len(), torn.whole_bytes), (3, last as u64));
            let mut writer = JournalWriter::resume(&path, &torn).unwrap();
            writer.add(&start("a")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }

    #[test]
    fn damage_ends_what_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = JournalWriter::create(dir.path(), &begin()).unwrap();
        writer.add(&start("a")).unwrap();
        writer.add(&JournalEvent::Finish { success: true }).unwrap();
        let path = writer.path().to_path_buf();
        assert!(Journal::read(&path).unwrap().is_finished());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"time_ms\":6", "\"time_ms\":7")).unwrap();
        let journal = Journal::read(&path).unwrap();
        assert_eq!(journal.events, [begin()]);
        assert!(journal.torn_bytes > 0 && !journal.is_finished());
        fs::write(&path, text.replace("\"time_ms\":5", "\"time_ms\":7")).unwrap();
        assert_eq!(Journal::read(&path).unwrap_err().kind(), ErrorKind::Journal);
        fs::write(&path, [0xFF; 100]).unwrap();
        assert_eq!(Journal::read(&path).unwrap_err().kind(), ErrorKind::Journal);
    }
}
