//! Claims: the first to ask gets it, everybody else does not, for ever.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use mynah_ledger::{ErrorKind, Ledger, NewExperiment, NewRun, RunStatus, RunUpdate, Tag};

use crate::error::Result;
use crate::now_ms;

/// The experiment in which governance records what it did.
pub const GOVERNANCE_EXPERIMENT: &str = "mynah-governance";

/// Hands out each key once.
pub trait Claims {
    /// Whether the key is ours: true for exactly one caller, among all processes.
    ///
    /// # Errors
    /// When it cannot be decided; then nobody may act.
    fn claim(&self, kind: &str, key: &str) -> Result<bool>;

    /// Records how the work of a claimed key went.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&self, kind: &str, key: &str, outcome: std::result::Result<(), &str>) -> Result<()>;
}

/// Claims of this process alone, for tests and for hooks without a store.
#[derive(Debug, Default)]
pub struct MemoryClaims {
    taken: Mutex<HashMap<(String, String), Option<Outcome>>>,
}

type Outcome = std::result::Result<(), String>;

impl MemoryClaims {
    /// How the work of a key went; nothing when it is not finished or was never claimed.
    pub fn outcome(&self, kind: &str, key: &str) -> Option<Outcome> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&(kind.to_string(), key.to_string())).cloned().flatten()
    }
}

impl Claims for MemoryClaims {
    fn claim(&self, kind: &str, key: &str) -> Result<bool> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind.to_string(), key.to_string());
        if taken.contains_key(&key) {
            return Ok(false);
        }
        taken.insert(key, None);
        Ok(true)
    }

    fn finish(&self, kind: &str, key: &str, outcome: std::result::Result<(), &str>) -> Result<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert((kind.to_string(), key.to_string()), Some(outcome.map_err(str::to_string)));
        Ok(())
    }
}

/// Claims in a ledger, among all processes that use it: a claim is a run of the experiment
/// [`GOVERNANCE_EXPERIMENT`] whose id is computed from the key. A run id exists once, and the ledger decides who
/// made it; so what governance did is recorded where everything else is.
#[derive(Clone, Debug)]
pub struct LedgerClaims {
    ledger: Ledger,
    by: String,
    experiment: OnceLock<String>,
}

impl LedgerClaims {
    /// Claims of this ledger, in the name of `by`.
    pub fn new(ledger: &Ledger, by: &str) -> LedgerClaims {
        let ledger = ledger.with_actor(crate::actor(by));
        LedgerClaims { ledger, by: by.to_string(), experiment: OnceLock::new() }
    }

    /// The run that stands for a key.
    pub fn run_id(kind: &str, key: &str) -> String {
        format!("{}{}", crate::short_id(&["claim", kind, key]), crate::short_id(&["claim 2", kind, key]))
    }

    fn experiment(&self) -> Result<&str> {
        if let Some(id) = self.experiment.get() {
            return Ok(id);
        }
        let by_name = || self.ledger.experiment_by_name(GOVERNANCE_EXPERIMENT);
        let id = match by_name() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new =
                    NewExperiment { name: GOVERNANCE_EXPERIMENT.to_string(), ..NewExperiment::default() };
                match self.ledger.create_experiment(new) {
                    // Another process was quicker.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => by_name()?.id,
                    made => made?.id,
                }
            }
            found => found?.id,
        };
        Ok(self.experiment.get_or_init(|| id))
    }
}

impl Claims for LedgerClaims {
    fn claim(&self, kind: &str, key: &str) -> Result<bool> {
        let new = NewRun {
            experiment_id: self.experiment()?.to_string(),
            user: self.by.clone(),
            name: Some(format!("{kind} {key}").chars().take(250).collect()),
            tags: vec![Tag::new("mynah.kind", kind), Tag::new("mynah.claim", key)],
            run_id: Some(LedgerClaims::run_id(kind, key)),
            start_time_ms: None,
        };
        match self.ledger.create_run(new) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn finish(&self, kind: &str, key: &str, outcome: std::result::Result<(), &str>) -> Result<()> {
        let run_id = LedgerClaims::run_id(kind, key);
        let status = match outcome {
            Ok(()) => RunStatus::Finished,
            Err(why) => {
                let why: String = why.chars().take(2_000).collect();
                self.ledger.set_tag(&run_id, Tag::new("mynah.error", why))?;
                RunStatus::Failed
            }
        };
        let update = RunUpdate { status: Some(status), end_time_ms: Some(now_ms()), name: None };
        self.ledger.update_run(&run_id, update)?;
        Ok(())
    }
}
