//! Rules over one run, its metrics aside.

use std::collections::BTreeSet;

use mynah_ledger::{Lifecycle, RunStatus};

use super::finding::Finding;
use super::logged::{Logged, digest_pairs};
use super::policy::{ParamType, Policy, matches};
use crate::repair::Action;
use crate::view::{ArtifactView, Content, RunView, StoreView};

/// The tag that is also the run's name.
const NAME_TAG: &str = "mlflow.runName";
/// The tag that is also the run's parent.
const PARENT_TAG: &str = "mlflow.parentRunId";
/// Ancestors of a run at most.
const ANCESTORS_MAX: usize = 1_000;

/// All rules but those of metrics and links. `store` is absent where one run alone is looked at.
pub(super) fn check(
    view: &RunView,
    store: Option<&StoreView>,
    policy: &Policy,
    now_ms: i64,
    out: &mut Vec<Finding>,
) {
    let logged = Logged::of(&view.events);
    required(view, policy, out);
    types(view, policy, out);
    times(view, &logged, policy, now_ms, out);
    parents(view, store, out);
    budgets(view, policy, out);
    name(view, &logged, out);
    artifacts(view, &logged, out);
    if !view.is_settled {
        return;
    }
    if !logged.is_known {
        let message = "the audit log has no event of this run";
        out.push(Finding::new("run.unlogged", &view.subject(), "run", message));
        return;
    }
    // Events of a later program may mean anything; an imported run began before its log did.
    if logged.is_strange || !logged.is_whole {
        return;
    }
    state(view, store, &logged, out);
    tags(view, &logged, out);
    params(view, &logged, out);
    points(view, &logged, out);
    inputs(view, &logged, out);
}

fn required(view: &RunView, policy: &Policy, out: &mut Vec<Finding>) {
    if view.run.status != RunStatus::Finished {
        return;
    }
    let (required, data) = (&policy.required, &view.data);
    let mut missing = |kind: &str, keys: &[String], is_there: &dyn Fn(&str) -> bool| {
        for key in keys.iter().filter(|key| !is_there(key)) {
            let message = format!("the {kind} '{key}', which the policy requires, is missing");
            out.push(Finding::new("run.required", &view.subject(), format!("{kind} {key}"), message));
        }
    };
    missing("param", &required.params, &|key| data.param(key).is_some());
    missing("tag", &required.tags, &|key| data.tag(key).is_some());
    missing("metric", &required.metrics, &|key| data.metric(key).is_some());
    missing("artifact", &required.artifacts, &|path| view.artifacts.iter().any(|a| a.artifact.path == path));
    if required.dataset && data.inputs.is_empty() {
        let message = "no dataset, which the policy requires";
        out.push(Finding::new("run.required", &view.subject(), "datasets", message));
    }
}

fn types(view: &RunView, policy: &Policy, out: &mut Vec<Finding>) {
    for param in &view.data.params {
        let declared = policy.types.iter().find(|(pattern, _)| matches(pattern, &param.key));
        let Some((_, declared)) = declared else { continue };
        let text = param.value.trim();
        let (is_right, what) = match declared {
            ParamType::Integer => (text.parse::<i128>().is_ok(), "whole number"),
            ParamType::Number => (text.parse::<f64>().is_ok_and(f64::is_finite), "number"),
            ParamType::Boolean => {
                (text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"), "true or false")
            }
            ParamType::Digest => {
                let digits = text.split_once(':').map_or(text, |(_, digits)| digits);
                (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "digest")
            }
        };
        if !is_right {
            let message =
                format!("the param '{}' is '{}', which is no {what}", param.key, clip(&param.value));
            out.push(Finding::new("run.type", &view.subject(), format!("param {}", param.key), message));
        }
    }
}

fn times(view: &RunView, logged: &Logged, policy: &Policy, now_ms: i64, out: &mut Vec<Finding>) {
    let (run, subject, timing) = (&view.run, view.subject(), &policy.timing);
    if run.start_time_ms > now_ms.saturating_add(timing.clock_tolerance_ms) {
        let message = format!("it begins {} ms from now", run.start_time_ms - now_ms);
        out.push(Finding::new("run.time-future", &subject, "start time", message));
    }
    let is_open = matches!(run.status, RunStatus::Running | RunStatus::Scheduled);
    let points = view.series.iter().filter_map(|series| series.samples.as_ref().ok()).flatten();
    let last_point = points.map(|sample| sample.timestamp_ms).max();
    let last_event = view.events.last().map(|event| event.at_ms);
    let active_ms = last_event.or(last_point).unwrap_or(run.start_time_ms).max(run.start_time_ms);
    match (is_open, run.end_time_ms) {
        (_, Some(end)) if end.saturating_add(timing.clock_tolerance_ms) < run.start_time_ms => {
            let message = format!("it ends {} ms before it begins", run.start_time_ms - end);
            out.push(Finding::new("run.time-order", &subject, "end time", message));
        }
        // A run that was taken up again keeps its old end until it gets a new one.
        (true, Some(_))
            if logged.end_time_ms.is_some_and(|(_, end)| logged.status.is_none_or(|(_, at)| at <= end)) =>
        {
            let message = format!("its status is {} and it has an end time", run.status.as_str());
            out.push(Finding::new("run.end-early", &subject, "end time", message));
        }
        (false, None) => {
            let message = format!("its status is {} and it has no end time", run.status.as_str());
            let repair = Action::SetStatus {
                run_id: run.id.clone(),
                status: run.status.as_str().to_string(),
                was: run.status.as_str().to_string(),
                // The end that the log has, if it has one; else the last sign of life.
                end_time_ms: Some(logged.end_time_ms.map_or(active_ms, |(end, _)| end)),
                end_was_ms: None,
            };
            out.push(Finding::new("run.end-missing", &subject, "end time", message).with(repair));
        }
        _ => {}
    }
    let silent_ms = now_ms.saturating_sub(active_ms);
    if run.status == RunStatus::Running
        && run.lifecycle == Lifecycle::Active
        && silent_ms > timing.stale_after_ms
    {
        let message = format!("it says it is running and has been silent for {} h", silent_ms / 3_600_000);
        let repair = Action::SetStatus {
            run_id: run.id.clone(),
            status: RunStatus::Killed.as_str().to_string(),
            was: run.status.as_str().to_string(),
            end_time_ms: Some(active_ms),
            end_was_ms: run.end_time_ms,
        };
        out.push(Finding::new("run.stale", &subject, "status", message).with(repair));
    }
}

fn parents(view: &RunView, store: Option<&StoreView>, out: &mut Vec<Finding>) {
    let (Some(store), Some(parent)) = (store, &view.run.parent_id) else { return };
    if !store.runs.contains_key(parent) {
        let message = format!("its parent {} is not in the store", clip(parent));
        let repair = Action::DeleteTag {
            run_id: view.run.id.clone(),
            key: PARENT_TAG.to_string(),
            was: parent.clone(),
        };
        out.push(Finding::new("run.parent-missing", &view.subject(), "parent", message).with(repair));
        return;
    }
    let mut at = parent;
    for _ in 0..ANCESTORS_MAX {
        if *at == view.run.id {
            let message = format!("it is its own ancestor, by way of {parent}");
            out.push(Finding::new("run.parent-cycle", &view.subject(), "parent", message));
            return;
        }
        match store.runs.get(at).and_then(|run| run.parent_id.as_ref()) {
            Some(next) => at = next,
            None => return,
        }
    }
}

fn budgets(view: &RunView, policy: &Policy, out: &mut Vec<Finding>) {
    let mut exceeded = |place: String, used: f64, max: f64| {
        if used > max {
            let message = format!("{used} used, {max} allowed");
            out.push(Finding::new("budget.exceeded", &view.subject(), place, message));
        }
    };
    for series in &view.series {
        let Ok(samples) = &series.samples else { continue };
        let place = format!("metric {}", series.key);
        if let Some(max) = policy.points_max {
            exceeded(format!("{place} points"), samples.len() as f64, max as f64);
        }
        if let Some((_, budget)) = policy.budgets.iter().find(|(pattern, _)| matches(pattern, &series.key)) {
            let highest = samples.iter().map(|sample| sample.value).fold(f64::NEG_INFINITY, f64::max);
            exceeded(place, highest, budget.max);
        }
    }
    if let Some(max) = policy.artifact_bytes_max {
        let bytes: u64 = view.artifacts.iter().map(|a| a.artifact.size_bytes).sum();
        exceeded("artifact bytes".to_string(), bytes as f64, max as f64);
    }
}

fn name(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    let tag = view.data.tag(NAME_TAG).unwrap_or_default();
    if tag == view.run.name {
        return;
    }
    // What the log says, if it says one of the two; else what the clients see.
    let right = match &logged.name {
        Some((name, _)) if name == tag => tag,
        _ => &view.run.name,
    };
    let message =
        format!("it is called '{}' by its row and '{}' by its tag", clip(&view.run.name), clip(tag));
    let repair = Action::SetTag {
        run_id: view.run.id.clone(),
        key: NAME_TAG.to_string(),
        value: right.to_string(),
        was: view.data.tag(NAME_TAG).map(str::to_string),
    };
    out.push(Finding::new("run.name", &view.subject(), "name", message).with(repair));
}

fn artifacts(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    let subject = view.subject();
    let run_id = &view.run.id;
    let has_log = view.is_settled && logged.is_known && !logged.is_strange && logged.is_whole;
    for ArtifactView { artifact, content } in &view.artifacts {
        let finding = |rule, message: String| {
            Finding::new(rule, &subject, format!("artifact {}", artifact.path), message)
        };
        // Where the row itself is wrong, its content is judged by nothing.
        let is_exchanged =
            has_log && logged.artifacts.get(&artifact.path).is_some_and(|l| l.0 != artifact.digest);
        if !is_exchanged {
            let found = content_finding(&finding, &artifact.digest, artifact.size_bytes, content);
            let is_row = found.as_ref().is_some_and(|found| found.rule == "artifact.row-differs");
            let again = is_row.then(|| Action::NameContent {
                run_id: run_id.clone(),
                path: artifact.path.clone(),
                digest: artifact.digest.clone(),
                was: Some(artifact.digest.clone()),
            });
            out.extend(found.map(|found| Finding { repair: again.or(found.repair.clone()), ..found }));
        }
    }
    if !has_log {
        return;
    }
    for ArtifactView { artifact, .. } in &view.artifacts {
        let place = format!("artifact {}", artifact.path);
        match logged.artifacts.get(&artifact.path) {
            Some((digest, _)) if *digest == artifact.digest => {}
            Some((digest, seq)) => {
                let message = format!("its digest is {}, event {seq} recorded {digest}", artifact.digest);
                let repair = Action::NameContent {
                    run_id: run_id.clone(),
                    path: artifact.path.clone(),
                    digest: digest.clone(),
                    was: Some(artifact.digest.clone()),
                };
                out.push(Finding::new("artifact.row-differs", &subject, place, message).with(repair));
            }
            None => out.push(Finding::new("artifact.unlogged", &subject, place, "no event recorded it")),
        }
    }
    let have: BTreeSet<&str> = view.artifacts.iter().map(|a| a.artifact.path.as_str()).collect();
    for (path, (digest, seq)) in logged.artifacts.iter().filter(|(path, _)| !have.contains(path.as_str())) {
        let message = format!("event {seq} recorded it with the digest {digest}, and no event deleted it");
        let repair = Action::NameContent {
            run_id: run_id.clone(),
            path: path.clone(),
            digest: digest.clone(),
            was: None,
        };
        out.push(
            Finding::new("artifact.row-gone", &subject, format!("artifact {path}"), message).with(repair),
        );
    }
}

/// What is wrong with the bytes of an artifact.
pub(super) fn content_finding(
    finding: &dyn Fn(&'static str, String) -> Finding,
    digest: &str,
    size_bytes: u64,
    content: &Content,
) -> Option<Finding> {
    let aside = || Action::move_aside(digest);
    match content {
        Content::Sound | Content::Unchecked => None,
        Content::Missing => {
            Some(finding("artifact.missing", format!("its content {digest} is not on the disk")))
        }
        Content::Unreadable { why } => {
            Some(finding("artifact.missing", format!("its content {digest} cannot be read: {why}")))
        }
        Content::Mismeasured { size_bytes: found } => {
            let message = format!("its row says {size_bytes} bytes, its content {digest} has {found}");
            Some(finding("artifact.row-differs", message))
        }
        Content::Torn { size_bytes: found } => {
            let message = format!("its content {digest} has {found} bytes instead of {size_bytes}");
            Some(finding("artifact.torn", message).with(aside()))
        }
        Content::Changed { digest: found } => {
            let message = format!("its content should have the digest {digest} and has {found}");
            Some(finding("artifact.changed", message).with(aside()))
        }
    }
}

fn state(view: &RunView, store: Option<&StoreView>, logged: &Logged, out: &mut Vec<Finding>) {
    let (run, subject) = (&view.run, view.subject());
    let mut differs = |place: &str, message: String, repair: Option<Action>| {
        let finding = Finding::new("run.state-differs", &subject, place, message);
        out.push(Finding { repair, ..finding });
    };
    let run_id = || run.id.clone();
    if let Some((status, seq)) = logged.status
        && status != run.status
    {
        let message = format!("its status is {}, event {seq} says {}", run.status.as_str(), status.as_str());
        let repair = Action::SetStatus {
            run_id: run_id(),
            status: status.as_str().to_string(),
            was: run.status.as_str().to_string(),
            end_time_ms: None,
            end_was_ms: run.end_time_ms,
        };
        differs("status", message, Some(repair));
    }
    match (logged.end_time_ms, run.end_time_ms) {
        (Some((end, _)), Some(found)) if end == found => {}
        (None, None) => {}
        (Some((end, seq)), found) => {
            let message = format!("its end is {found:?}, event {seq} says {end}");
            let repair = Action::SetStatus {
                run_id: run_id(),
                status: run.status.as_str().to_string(),
                was: run.status.as_str().to_string(),
                end_time_ms: Some(end),
                end_was_ms: found,
            };
            differs("end time", message, Some(repair));
        }
        (None, Some(found)) => differs("end time", format!("its end is {found}, no event says so"), None),
    }
    // An experiment takes its runs along into the bin and out of it, without an event each.
    let subject_of_experiment = format!("experiment:{}", run.experiment_id);
    let by_experiment = store.is_none_or(|store| {
        let is_move = |kind: &str| matches!(kind, "experiment.delete" | "experiment.restore");
        store.events.iter().any(|event| event.subject == subject_of_experiment && is_move(&event.kind))
    });
    let is_deleted = run.lifecycle == Lifecycle::Deleted;
    if let Some((deleted, seq)) = logged.deleted
        && deleted != is_deleted
        && !by_experiment
    {
        let message = format!("it is {}, event {seq} says otherwise", run.lifecycle.as_str());
        let repair = if deleted {
            Action::DeleteRun { run_id: run_id() }
        } else {
            Action::RestoreRun { run_id: run_id() }
        };
        differs("lifecycle", message, Some(repair));
    }
    if let Some((reason, seq)) = &logged.quarantine {
        let found = run.quarantine.as_ref().map(|quarantine| &quarantine.reason);
        let repair = match (reason, found) {
            (Some(reason), None) => {
                Some(Action::Quarantine { run_id: run_id(), reason: reason.clone(), was: None })
            }
            // Whoever set it aside without a word may have had a reason; a person decides.
            _ => None,
        };
        if reason.is_some() != found.is_some() {
            let word = if found.is_some() { "is in" } else { "is not in" };
            differs("quarantine", format!("it {word} quarantine, event {seq} says otherwise"), repair);
        }
    }
}

/// The digest of each call covers the keys in the order it names them; it can be computed again as long as
/// none of them was set or deleted later.
fn tags(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    for (keys, digest, seq) in &logged.tag_calls {
        let unique: BTreeSet<&String> = keys.iter().collect();
        let is_last =
            |key: &&String| logged.tag_last.get(*key) == Some(seq) && !logged.tag_gone.contains(*key);
        if unique.len() != keys.len() || !unique.iter().all(is_last) {
            continue;
        }
        let values: Option<Vec<&str>> = keys.iter().map(|key| view.data.tag(key)).collect();
        let place = format!("tag {}", keys.join(", "));
        let Some(values) = values else {
            let message = format!("event {seq} recorded it, and no event deleted it");
            out.push(Finding::new("run.tag-differs", &view.subject(), place, message));
            continue;
        };
        if digest_pairs(keys.iter().map(String::as_str).zip(values)) != *digest {
            let message = format!("the text is not the one that event {seq} recorded");
            out.push(Finding::new("run.tag-differs", &view.subject(), place, message));
        }
    }
}

fn params(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    let (found, recorded) = (view.data.params.len() as u64, logged.params);
    if found > recorded {
        let message = format!("there are {found} params, {recorded} were recorded");
        out.push(Finding::new("run.param-unlogged", &view.subject(), "params", message));
    }
    // One call with all of them, or a call each: then every digest stands for one text. A call with several
    // has a digest over an order that is not kept, and says nothing about one param.
    if !logged.params_are_single {
        return;
    }
    let digests: BTreeSet<&str> = logged.single_params.iter().map(|(digest, _)| digest.as_str()).collect();
    let mut present = BTreeSet::new();
    for param in &view.data.params {
        let digest = digest_pairs([(param.key.as_str(), param.value.as_str())].into_iter());
        if !digests.contains(digest.as_str()) {
            let message = format!("no event recorded the param '{}' with this value", param.key);
            let place = format!("param {}", param.key);
            out.push(Finding::new("run.param-differs", &view.subject(), place, message));
        }
        present.insert(digest);
    }
    for (digest, seq) in logged.single_params.iter().filter(|(digest, _)| !present.contains(digest)) {
        let message = format!("the param that event {seq} recorded (digest {digest}) is not there");
        out.push(Finding::new(
            "run.param-differs",
            &view.subject(),
            format!("param of event {seq}"),
            message,
        ));
    }
}

fn points(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    let counts: Option<Vec<u64>> = view
        .series
        .iter()
        .map(|series| series.samples.as_ref().ok().map(|samples| samples.len() as u64))
        .collect();
    let Some(counts) = counts else { return };
    let (found, recorded) = (counts.iter().sum::<u64>(), logged.points);
    let message = format!("there are {found} points, {recorded} were recorded");
    if found > recorded {
        out.push(Finding::new("metric.unlogged", &view.subject(), "metrics", message));
    } else if found < recorded {
        out.push(Finding::new("metric.lost", &view.subject(), "metrics", message));
    }
}

fn inputs(view: &RunView, logged: &Logged, out: &mut Vec<Finding>) {
    let pair =
        |input: &mynah_ledger::DatasetInput| (input.dataset.name.clone(), input.dataset.digest.clone());
    let found: BTreeSet<(String, String)> = view.data.inputs.iter().map(pair).collect();
    for (name, digest) in found.iter().filter(|pair| !logged.datasets.contains_key(*pair)) {
        let message =
            format!("no event recorded the dataset '{}' with the digest {}", clip(name), clip(digest));
        out.push(Finding::new("run.input-differs", &view.subject(), format!("dataset {name}"), message));
    }
    for ((name, digest), seq) in logged.datasets.iter().filter(|(pair, _)| !found.contains(*pair)) {
        let message =
            format!("event {seq} recorded the dataset '{}' with the digest {}", clip(name), clip(digest));
        let place = format!("dataset {name} of event {seq}");
        out.push(Finding::new("run.input-differs", &view.subject(), place, message));
    }
}

/// Texts of users in messages: short, on one line.
fn clip(text: &str) -> String {
    const SHOWN: usize = 80;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{line}…") } else { line }
}
