//! What a speedrun remembers of itself: `speedrun.json` in its folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Choices;
use crate::failure::{Failure, Result};
use crate::report::Stage;

const FILE: &str = "speedrun.json";
const VERSION: u32 = 1;
const BYTES_MAX: u64 = 16 << 20;
/// What a speedrun makes in its folder, and so what `--force` may remove.
const OWN: &[&str] = &["data", "tokenizer", "base", "model", "report", FILE];

/// The record of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The command that began the run.
    pub command: String,
    pub choices: Choices,
    /// Digests of the inputs when the run began.
    pub inputs: Vec<String>,
    /// The stages that are complete, in order.
    pub stages: Vec<Stage>,
    pub complete: bool,
}

/// How a run begins.
#[derive(Debug)]
pub enum Beginning {
    Fresh,
    /// The same run was here before; its complete stages need not be done again.
    GoOn(Box<State>),
}

impl State {
    pub fn new(command: String, choices: Choices, inputs: Vec<String>) -> State {
        State { version: VERSION, command, choices, inputs, stages: Vec::new(), complete: false }
    }

    /// The record in a folder; none when there is no run.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn load(dir: &Path) -> Result<Option<State>> {
        let path = dir.join(FILE);
        let Ok(meta) = std::fs::metadata(&path) else { return Ok(None) };
        let damaged = |what: String| {
            Failure::new(what)
                .at_path(&path)
                .advice("start anew with --force, or choose another folder with --out")
        };
        if meta.len() > BYTES_MAX {
            return Err(damaged("too large for a run's record".to_string()));
        }
        let text = std::fs::read(&path).map_err(|error| Failure::io("cannot read", &path, &error))?;
        let state: State = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("the run's record is damaged: {error}")))?;
        if state.version != VERSION {
            return Err(damaged(format!("the run's record has version {}, not {VERSION}", state.version)));
        }
        Ok(Some(state))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When the disk refuses; the old record is then untouched.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::new(error.to_string()))?;
        mynah_base::write_atomic(&path, |writer| writer.write_all(&text))
            .map_err(|error| Failure::io("cannot write", &path, &error))
    }

    /// A stage that is complete.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Records a stage as complete.
    ///
    /// # Errors
    /// As [`State::save`].
    pub fn finish(&mut self, dir: &Path, stage: Stage) -> Result<()> {
        self.stages.retain(|old| old.name != stage.name);
        self.stages.push(stage);
        self.save(dir)
    }
}

/// Whether a run may begin in a folder, given what the user asked for.
///
/// # Errors
/// When another run or other files are there, or there is nothing to resume.
pub fn begin(
    dir: &Path,
    choices: &Choices,
    inputs: &[String],
    resume: bool,
    force: bool,
) -> Result<Beginning> {
    // The record is the first thing a run writes: without it, nothing here is ours to remove.
    if force && !resume && dir.join(FILE).is_file() {
        remove_own(dir)?;
        return Ok(Beginning::Fresh);
    }
    match State::load(dir)? {
        None if resume => Err(Failure::new("there is no run to resume")
            .at_path(dir)
            .advice("start one without --resume, or check --out")),
        None => match foreign(dir)? {
            Some(path) => Err(Failure::new("the folder holds other files")
                .at_path(&path)
                .advice("choose another with --out")),
            None => Ok(Beginning::Fresh),
        },
        Some(state) if state.choices != *choices => {
            Err(Failure::new("the folder holds a run with other options").at_path(dir).advice(format!(
                "choose another with --out, or replace it with --force (it was: {})",
                state.command
            )))
        }
        Some(state) if state.inputs != inputs => {
            Err(Failure::new("the texts of this run have changed since it began")
                .at_path(dir)
                .advice("choose another folder with --out, or start anew with --force"))
        }
        Some(state) if !state.complete && !resume => {
            Err(Failure::new("the folder holds a run that is not complete")
                .at_path(dir)
                .advice("go on with --resume, or start anew with --force"))
        }
        Some(state) => Ok(Beginning::GoOn(Box::new(state))),
    }
}

/// The first thing in the folder, when there is something.
fn foreign(dir: &Path) -> Result<Option<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().and_then(|entry| entry.ok()).map(|entry| entry.path())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("cannot read the folder", dir, &error)),
    }
}

/// Removes what a speedrun made, and nothing else.
fn remove_own(dir: &Path) -> Result<()> {
    for name in OWN {
        let path = dir.join(name);
        let result = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::io("cannot remove", &path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(dir: &Path, choices: &Choices, inputs: &[String], resume: bool) -> String {
        begin(dir, choices, inputs, resume, false).unwrap_err().to_string()
    }

    #[test]
    fn a_run_is_not_overwritten_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let inputs = vec!["digest".to_string()];
        let choices = Choices::default();
        assert!(matches!(begin(&run, &choices, &inputs, false, false).unwrap(), Beginning::Fresh));
        assert!(message(&run, &choices, &inputs, true).contains("no run to resume"));
        std::fs::create_dir_all(run.join("model")).unwrap();
        assert!(message(&run, &choices, &inputs, false).contains("other files"));
        assert!(begin(&run, &choices, &inputs, false, true).is_err() && run.join("model").exists());

        let mut state = State::new("mynah speedrun".into(), choices.clone(), inputs.clone());
        state.save(&run).unwrap();
        assert!(message(&run, &choices, &inputs, false).contains("not complete"));
        assert!(matches!(begin(&run, &choices, &inputs, true, false).unwrap(), Beginning::GoOn(_)));
        let other = Choices { quick: true, ..choices.clone() };
        assert!(message(&run, &other, &inputs, true).contains("other options"));
        assert!(message(&run, &choices, &["changed".to_string()], true).contains("have changed"));

        state.complete = true;
        state.finish(&run, Stage { name: "base".into(), ..Stage::default() }).unwrap();
        match begin(&run, &choices, &inputs, false, false).unwrap() {
            Beginning::GoOn(state) => {
                assert!(state.stage("base").is_some() && state.stage("model").is_none())
            }
            Beginning::Fresh => panic!("a complete run is not done again"),
        }
        std::fs::write(run.join("mine.txt"), "mine").unwrap();
        assert!(matches!(begin(&run, &other, &inputs, false, true).unwrap(), Beginning::Fresh));
        assert!(run.join("mine.txt").exists() && !run.join("model").exists());
    }

    #[test]
    fn a_damaged_record_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"version\":").unwrap();
        assert!(message(dir.path(), &Choices::default(), &[], false).contains("damaged"));
        // --force starts anew even then.
        assert!(begin(dir.path(), &Choices::default(), &[], false, true).is_ok());
    }
}
