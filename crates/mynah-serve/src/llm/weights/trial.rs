//! A version on trial: a share of the requests, and prompts whose answers are known, before all servers take it.
//!
//! Who judges is the pusher's coordinator (`mynah_swap::protocol::judge`); a server starts and ends the trial when it is
//! told to, and reports what it counted. A report goes out only when all probes have been asked, or one of them has
//! shown that the version is none to be taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mynah_engine::live::{Change, EngineHandle, Event, Request, Sampling, WeightsEnds};
use mynah_swap::protocol::CanaryStats;
use serde_json::{Value, json};

use super::agent::{Hot, Inner};

/// Probes of a push.
const PROBES_MAX: usize = 1_000;
/// Tokens of a probe, its prompt and its answer each.
const PROBE_TOKENS_MAX: usize = 4_096;
/// How often a probe is sent again to an engine that is full.
const TRIES: usize = 600;
/// And how long after.
const WAIT: Duration = Duration::from_millis(50);

/// A prompt whose answer by the new version is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Token ids.
    pub prompt: Vec<u32>,
    /// The likeliest tokens, one after the other.
    pub tokens: Vec<u32>,
    /// Their log probabilities.
    pub logprobs: Vec<f32>,
}

/// What a version is held against while it is on trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    /// The probes.
    pub list: Vec<Probe>,
    /// How far a log probability may be from the known one.
    pub tolerance: f32,
}

impl Probes {
    /// As it is sent to servers.
    pub(super) fn to_json(&self) -> Value {
        let one = |probe: &Probe| json!({"prompt": probe.prompt, "tokens": probe.tokens, "logprobs": probe.logprobs});
        json!({"tolerance": self.tolerance, "list": self.list.iter().map(one).collect::<Vec<_>>()})
    }

    /// From a request.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(super) fn from_json(value: &Value) -> std::result::Result<Probes, String> {
        let tolerance = value["tolerance"].as_f64().filter(|found| (0.0..=100.0).contains(found));
        let tolerance = tolerance.ok_or("probes.tolerance must be a number from 0 to 100")? as f32;
        let list = value["list"].as_array().ok_or("probes.list must be a list")?;
        if list.len() > PROBES_MAX {
            return Err(format!("probes.list has {} probes; at most {PROBES_MAX}", list.len()));
        }
        let list = list.iter().map(probe).collect::<std::result::Result<Vec<_>, String>>()?;
        Ok(Probes { list, tolerance })
    }
}

fn probe(value: &Value) -> std::result::Result<Probe, String> {
    let ids = |field: &str| {
        let items = value[field].as_array().filter(|items| (1..=PROBE_TOKENS_MAX).contains(&items.len()));
        let ids: Option<Vec<u32>> =
            items.and_then(|items| items.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect());
        ids.ok_or_else(|| format!("a probe's {field} must be 1 to {PROBE_TOKENS_MAX} token ids"))
    };
    let (prompt, tokens) = (ids("prompt")?, ids("tokens")?);
    let logprobs: Option<Vec<f32>> = value["logprobs"]
        .as_array()
        .and_then(|items| items.iter().map(|item| item.as_f64().map(|found| found as f32)).collect());
    let logprobs = logprobs.filter(|found| found.len() == tokens.len());
    let logprobs = logprobs.ok_or("a probe's logprobs must be as many numbers as its tokens")?;
    Ok(Probe { prompt, tokens, logprobs })
}

/// What the probes showed so far.
#[derive(Clone, Copy, Debug, Default)]
struct Probed {
    asked: u64,
    mismatches: u64,
    /// Of the asked: how the engine counted them.
    ends: WeightsEnds,
    is_over: bool,
}

/// A trial under way.
pub(super) struct Trial {
    number: u32,
    base: u32,
    pub(super) share_ppm: u32,
    /// What had been counted before.
    before: BTreeMap<u32, WeightsEnds>,
    probed: Arc<Mutex<Probed>>,
    stats: CanaryStats,
}

impl Trial {
    pub(super) fn json(&self) -> Value {
        let stats = &self.stats;
        json!({
            "share": f64::from(self.share_ppm) / 1e6, "requests": stats.requests, "errors": stats.errors,
            "nans": stats.nans, "probes": stats.probes, "mismatches": stats.mismatches,
            "base_requests": stats.base_requests, "base_errors": stats.base_errors,
        })
    }
}

impl Hot {
    /// The trial begins, changes its share, or ends, as the receiver has it.
    pub(super) fn follow_trial(&self, inner: &mut Inner) {
        let wanted = inner.receiver.as_ref().and_then(|receiver| receiver.canary());
        let staged = inner.staged.as_ref().and_then(|staged| Some((staged.digest, staged.number?)));
        match (wanted, staged) {
            (Some((target, share_ppm)), Some((digest, number))) if digest == target => {
                if inner.trial.as_ref().is_none_or(|trial| trial.share_ppm != share_ppm) {
                    self.try_out(number, share_ppm);
                }
                match &mut inner.trial {
                    Some(trial) => trial.share_ppm = share_ppm,
                    None => self.begin_trial(inner, number, share_ppm),
                }
            }
            _ => self.end_trial(inner),
        }
    }

    fn try_out(&self, weights: u32, share_ppm: u32) {
        let permille = if share_ppm == 0 { 0 } else { (share_ppm / 1_000).clamp(1, 1_000) };
        // An engine that has ended gives nothing to anybody.
        let _ = self.engine.between_steps(move |_| (Change::WeightsTried { weights, permille }, ()));
    }

    fn begin_trial(&self, inner: &mut Inner, number: u32, share_ppm: u32) {
        let probed = Arc::new(Mutex::new(Probed::default()));
        let base = inner.live.as_ref().and_then(|live| live.number).unwrap_or(0);
        let before = self.engine.metrics().weights_ends;
        let probes = inner.push.as_ref().and_then(|push| push.probes.clone()).unwrap_or_default();
        let (engine, of_thread) = (self.engine.clone(), Arc::clone(&probed));
        let spawned = std::thread::Builder::new()
            .name("mynah-probe".to_string())
            .spawn(move || ask_all(&engine, number, &probes, &of_thread));
        if let Err(error) = spawned {
            eprintln!("weights: no thread for probes: {error}");
        }
        inner.trial = Some(Trial { number, base, share_ppm, before, probed, stats: CanaryStats::default() });
    }

    /// Requests on trial end with the version that they began with.
    pub(super) fn end_trial(&self, inner: &mut Inner) {
        if let Some(trial) = inner.trial.take() {
            self.try_out(trial.number, 0);
        }
    }

    /// Counts, and tells who judges.
    pub(super) fn report_trial(&self, inner: &mut Inner) {
        let Inner { trial: Some(trial), receiver: Some(receiver), .. } = &mut *inner else { return };
        let probed = *trial.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.engine.metrics().weights_ends;
        let count = |number: u32| {
            let ends = now.get(&number).copied().unwrap_or_default();
            let before = trial.before.get(&number).copied().unwrap_or_default();
            let less = |now: u64, before: u64| now.saturating_sub(before);
            WeightsEnds {
                completed: less(ends.completed, before.completed),
                failed: less(ends.failed, before.failed),
                broken: less(ends.broken, before.broken),
            }
        };
        let (new, base) = (count(trial.number), count(trial.base));
        // Probes are no requests.
        let completed = new.completed.saturating_sub(probed.ends.completed);
        let failed = new.failed.saturating_sub(probed.ends.failed);
        trial.stats = CanaryStats {
            requests: completed + failed,
            errors: failed,
            nans: new.broken,
            probes: probed.asked,
            mismatches: probed.mismatches,
            base_requests: base.completed + base.failed,
            base_errors: base.failed,
        };
        let is_bad = trial.stats.nans > 0 || trial.stats.mismatches > 0;
        if (probed.is_over || is_bad)
            && let Some(message) = receiver.canary_report(trial.stats)
        {
            self.tell(inner, message);
        }
    }
}

/// Asks all probes, one after the other: requests of users come between.
fn ask_all(engine: &EngineHandle, weights: u32, probes: &Probes, probed: &Mutex<Probed>) {
    for probe in &probes.list {
        let found = ask(engine, weights, probe, probes.tolerance);
        let mut probed = probed.lock().unwrap_or_else(PoisonError::into_inner);
        probed.asked += 1;
        match found {
            Some(is_same) => {
                probed.mismatches += u64::from(!is_same);
                probed.ends.completed += 1;
            }
            None => {
                probed.mismatches += 1;
                probed.ends.failed += 1;
            }
        }
    }
    probed.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
}

/// Whether the answer is the known one; nothing when there was none.
fn ask(engine: &EngineHandle, weights: u32, probe: &Probe, tolerance: f32) -> Option<bool> {
    for _ in 0..TRIES {
        let request = Request {
            weights: Some(weights),
            max_tokens: Some(probe.tokens.len()),
            sampling: Sampling::greedy(),
            ignore_end: true,
            logprobs: Some(0),
            ..Request::new(probe.prompt.clone())
        };
        let events = match engine.submit(request) {
            Ok(events) => events,
            Err(error) if error.kind() == mynah_engine::ErrorKind::Busy => {
                std::thread::sleep(WAIT);
                continue;
            }
            // It does not fit the model: other than what was expected.
            Err(_) => return Some(false),
        };
        let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Piece(piece) => {
                    tokens.extend(piece.tokens.iter().map(|token| token.id));
                    logprobs.extend(
                        piece.tokens.iter().filter_map(|token| Some(token.logprobs.as_ref()?.logprob)),
                    );
                }
                Event::Failed(_) => return None,
                Event::Prompt(_) | Event::Finished { .. } | Event::Done(_) => {}
            }
        }
        let is_near = |(found, known): (&f32, &f32)| (found - known).abs() <= tolerance;
        let are_near =
            logprobs.len() == probe.logprobs.len() && logprobs.iter().zip(&probe.logprobs).all(is_near);
        return Some(tokens == probe.tokens && are_near);
    }
    None
}
