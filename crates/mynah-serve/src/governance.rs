//! What governance keeps between requests: the policy, one index of all runs for comparison, and what was found
//! when somebody last looked. Everything but the policy is about a size of the audit log; a log that has
//! grown makes the index read on from there, and marks the rest as old.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mynah_govern::compare::DeltaIndex;
use mynah_govern::validate::{Policy, Validation, validate};
use mynah_ledger::{
    AuditHead, AuditReport, ErrorKind, Ledger, Lifecycle, Quarantine, Run, RunParts, SearchExperiments,
    SearchRuns,
};

use crate::answer::ApiError;

/// More experiments than anybody has; their runs would not fit the index either.
const EXPERIMENTS_MAX: usize = 50_000;
/// Events since the last look that are cheaper to read than all runs.
const EVENTS_MAX: usize = 20_000;
/// Runs read at once.
const RUNS_AT_ONCE: usize = 5_000;

/// Who asks, and what the answer may need beside the ledger.
pub(crate) struct Caller<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) governance: &'a Governance,
    /// The name for the record of a decision.
    pub(crate) by: &'a str,
}

impl Caller<'_> {
    /// Without a token nobody is checked, so nobody is named.
    pub(crate) const UNNAMED: &'static str = "an unnamed client";
}

/// Something found out at one moment of the store.
pub(crate) struct Dated<T> {
    /// Events that the audit log had before the looking began.
    pub(crate) size: u64,
    pub(crate) at_ms: i64,
    pub(crate) found: T,
}

/// A run that is kept apart.
#[derive(Clone)]
pub(crate) struct Apart {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) quarantine: Quarantine,
}

impl Apart {
    fn of(run: Run) -> Option<Apart> {
        Some(Apart { quarantine: run.quarantine?, id: run.id, name: run.name })
    }
}

/// What reading the whole audit log found.
pub(crate) struct Verified {
    pub(crate) head: AuditHead,
    /// The head that the log was held against: the one when the server started.
    pub(crate) held: AuditHead,
    pub(crate) report: AuditReport,
}

/// One per server, shared by all requests.
pub(crate) struct Governance {
    policy: Policy,
    index: Mutex<Option<Index>>,
    validation: Mutex<Option<Arc<Dated<Validation>>>>,
    /// The log when the server started: a log whose end is cut while it runs does not continue this one.
    held: Option<AuditHead>,
    log: Mutex<Option<Arc<Dated<Verified>>>>,
    apart: Mutex<Option<Arc<Dated<Vec<Apart>>>>>,
}

struct Index {
    runs: DeltaIndex,
    experiment_ids: Vec<String>,
    /// The log up to which it has read.
    size: u64,
}

impl Governance {
    pub(crate) fn new(policy: Policy, held: Option<AuditHead>) -> Governance {
        Governance {
            policy,
            held,
            index: Mutex::new(None),
            validation: Mutex::new(None),
            log: Mutex::new(None),
            apart: Mutex::new(None),
        }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Asks the index of all runs in use, as the ledger has them now.
    pub(crate) fn ask_index<T>(
        &self,
        ledger: &Ledger,
        ask: impl FnOnce(&DeltaIndex) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut kept = lock(&self.index);
        let size = ledger.audit_head()?.size;
        // Taken out: an index that an error or a panic left half refreshed is made anew.
        let index = match kept.take() {
            Some(index) if index.size == size => index,
            index => refreshed(ledger, index, size)?,
        };
        let index = kept.insert(index);
        ask(&index.runs)
    }

    /// The last validation of the whole store, however old.
    pub(crate) fn last_validation(&self) -> Option<Arc<Dated<Validation>>> {
        lock(&self.validation).clone()
    }

    /// A validation of the store as it is now. Others who ask meanwhile wait for it and share it.
    pub(crate) fn validation(&self, ledger: &Ledger) -> Result<Arc<Dated<Validation>>, ApiError> {
        dated(&self.validation, ledger, || Ok(validate(ledger, &self.policy, None, mynah_govern::now_ms())?))
    }

    /// Whether the audit log verifies, as it is now.
    pub(crate) fn verified_log(&self, ledger: &Ledger) -> Result<Arc<Dated<Verified>>, ApiError> {
        dated(&self.log, ledger, || {
            let head = ledger.audit_head()?;
            let held = self.held.unwrap_or(head);
            Ok(Verified { head, held, report: ledger.audit_verify(Some(held))? })
        })
    }

    /// The last verification of the log, however old.
    pub(crate) fn last_verified_log(&self) -> Option<Arc<Dated<Verified>>> {
        lock(&self.log).clone()
    }

    /// Runs in quarantine, newest first. After the first time only runs are looked at whose standing changed.
    pub(crate) fn apart(&self, ledger: &Ledger) -> Result<Arc<Dated<Vec<Apart>>>, ApiError> {
        let mut kept = lock(&self.apart);
        let size = ledger.audit_head()?.size;
        let mut apart = match kept.as_ref() {
            Some(last) if last.size == size => return Ok(Arc::clone(last)),
            Some(last) if last.size < size => changed(ledger, last)?,
            _ => None,
        };
        if apart.is_none() {
            apart = Some(all_apart(ledger)?);
        }
        let mut found = apart.unwrap_or_default();
        found.sort_by(|a, b| b.quarantine.at_ms.cmp(&a.quarantine.at_ms).then_with(|| a.id.cmp(&b.id)));
        let found = Arc::new(Dated { size, found, at_ms: mynah_govern::now_ms() });
        *kept = Some(Arc::clone(&found));
        Ok(found)
    }
}

fn all_apart(ledger: &Ledger) -> Result<Vec<Apart>, ApiError> {
    let mut search = SearchRuns {
        experiment_ids: experiment_ids(ledger)?,
        max_results: RUNS_AT_ONCE,
        ..SearchRuns::default()
    };
    let mut apart = Vec::new();
    loop {
        let page = ledger.search_runs_with(&search, &RunParts::none())?;
        apart.extend(page.items.into_iter().filter_map(|record| Apart::of(record.run)));
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(apart);
        }
    }
}

/// Those who are apart now, given who was; nothing when too much happened since, or to whole experiments.
fn changed(ledger: &Ledger, last: &Dated<Vec<Apart>>) -> Result<Option<Vec<Apart>>, ApiError> {
    const KINDS: [&str; 4] = ["run.quarantine", "run.release", "run.delete", "run.restore"];
    let events = ledger.audit_events(last.size, EVENTS_MAX)?;
    if events.len() == EVENTS_MAX || events.iter().any(|event| event.subject.starts_with("experiment:")) {
        return Ok(None);
    }
    let touched = events.iter().filter(|event| KINDS.contains(&event.kind.as_str()));
    let touched: BTreeSet<&str> = touched.filter_map(|event| event.subject.strip_prefix("run:")).collect();
    let mut apart: Vec<Apart> =
        last.found.iter().filter(|run| !touched.contains(run.id.as_str())).cloned().collect();
    for id in touched {
        match ledger.run(id) {
            Ok(record) if record.run.lifecycle == Lifecycle::Active => apart.extend(Apart::of(record.run)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(apart))
}

/// What panicked while it held the lock left the last whole value there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dated<T>(
    kept: &Mutex<Option<Arc<Dated<T>>>>,
    ledger: &Ledger,
    look: impl FnOnce() -> Result<T, ApiError>,
) -> Result<Arc<Dated<T>>, ApiError> {
    let mut kept = lock(kept);
    // Before the looking: a change in between makes the answer old rather than unseen.
    let size = ledger.audit_head()?.size;
    if let Some(last) = kept.as_ref().filter(|last| last.size == size) {
        return Ok(Arc::clone(last));
    }
    let found = Arc::new(Dated { size, found: look()?, at_ms: mynah_govern::now_ms() });
    *kept = Some(Arc::clone(&found));
    Ok(found)
}

fn refreshed(ledger: &Ledger, index: Option<Index>, size: u64) -> Result<Index, ApiError> {
    let experiment_ids = experiment_ids(ledger)?;
    if let Some(mut index) = index.filter(|index| index.experiment_ids == experiment_ids) {
        index.runs.refresh(ledger)?;
        return Ok(Index { size, ..index });
    }
    // Directions are declared by whoever asks, so the index has none.
    let runs = DeltaIndex::open(ledger, &experiment_ids, &[], None)?;
    Ok(Index { runs, experiment_ids, size })
}

fn experiment_ids(ledger: &Ledger) -> Result<Vec<String>, ApiError> {
    let search = SearchExperiments { max_results: EXPERIMENTS_MAX, ..SearchExperiments::default() };
    let mut ids: Vec<String> =
        ledger.search_experiments(&search)?.items.into_iter().map(|experiment| experiment.id).collect();
    ids.sort_unstable();
    Ok(ids)
}
