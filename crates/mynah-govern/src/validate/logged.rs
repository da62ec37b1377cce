//! What the audit log says a run should be like: its events, folded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mynah_ledger::RunStatus;
use serde_json::Value;

use crate::view::{Event, RUN_KINDS};

/// The run as its events tell it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logged {
    /// Any event at all.
    pub is_known: bool,
    /// An event of a kind that this program does not know is among them: nothing can be said for sure.
    pub is_strange: bool,
    /// It was made by the ledger, not imported: the log has all of it.
    pub is_whole: bool,
    /// The last status and its event.
    pub status: Option<(RunStatus, u64)>,
    /// The last end and its event.
    pub end_time_ms: Option<(i64, u64)>,
    /// The last name and its event.
    pub name: Option<(String, u64)>,
    /// Whether the run itself was deleted last, and its event; deletions of its experiment are not in here.
    pub deleted: Option<(bool, u64)>,
    /// Whether it is in quarantine, with the reason, and the event.
    pub quarantine: Option<(Option<String>, u64)>,
    /// Points of all calls but repeated ones; a point in two different calls counts again.
    pub points: u64,
    /// Digests of the calls with points.
    points_digests: HashSet<String>,
    /// Params of all calls; repeated ones count again.
    pub params: u64,
    /// Digests of calls with one param each: (digest, event).
    pub single_params: Vec<(String, u64)>,
    /// Every call had one param.
    pub params_are_single: bool,
    /// Calls that set tags: keys, digest, event.
    pub tag_calls: Vec<(Vec<String>, String, u64)>,
    /// The last event that set or deleted a tag.
    pub tag_last: HashMap<String, u64>,
    /// Tags deleted last.
    pub tag_gone: BTreeSet<String>,
    /// Artifacts: digest and event.
    pub artifacts: BTreeMap<String, (String, u64)>,
    /// Name and digest of datasets, with the event.
    pub datasets: BTreeMap<(String, String), u64>,
}

impl Logged {
    /// Folds events, oldest first.
    pub fn of(events: &[Event]) -> Logged {
        let mut logged =
            Logged { params_are_single: true, is_known: !events.is_empty(), ..Logged::default() };
        for event in events {
            logged.take(event);
        }
        logged
    }

    fn take(&mut self, event: &Event) {
        let (seq, detail) = (event.seq, &event.detail);
        let text = |key: &str| detail[key].as_str().map(str::to_string);
        match event.kind.as_str() {
            "run.create" => {
                // What an import brought along has no events of its own.
                self.is_whole = detail["imported"].as_bool() != Some(true);
                self.status = Some((RunStatus::Running, seq));
                self.deleted = Some((false, seq));
                self.quarantine = Some((None, seq));
                self.name = text("name").map(|name| (name, seq));
            }
            "run.update" => {
                if let Some(status) = detail["status"].as_str().and_then(RunStatus::parse) {
                    self.status = Some((status, seq));
                }
                if let Some(end) = detail["end_ms"].as_i64() {
                    self.end_time_ms = Some((end, seq));
                }
                if let Some(name) = text("name") {
                    self.set_tag("mlflow.runName", seq);
                    self.name = Some((name, seq));
                }
            }
            "run.log" => self.take_log(detail, seq),
            "run.untag" => {
                if let Some(key) = text("key") {
                    self.tag_last.insert(key.clone(), seq);
                    self.tag_gone.insert(key);
                }
            }
            "run.inputs" => {
                for pair in detail["datasets"].as_array().into_iter().flatten() {
                    if let (Some(name), Some(digest)) = (pair[0].as_str(), pair[1].as_str()) {
                        self.datasets.insert((name.to_string(), digest.to_string()), seq);
                    }
                }
            }
            "run.delete" => self.deleted = Some((true, seq)),
            "run.restore" => self.deleted = Some((false, seq)),
            "run.quarantine" => self.quarantine = Some((text("reason"), seq)),
            "run.release" => self.quarantine = Some((None, seq)),
            "artifact.put" => {
                if let (Some(path), Some(digest)) = (text("path"), text("digest")) {
                    let digest = digest.strip_prefix("blake3:").unwrap_or(&digest).to_string();
                    self.artifacts.insert(path, (digest, seq));
                }
            }
            "artifact.delete" => {
                let path = text("path").unwrap_or_default();
                let folder = format!("{path}/");
                self.artifacts.retain(|own, _| !path.is_empty() && *own != path && !own.starts_with(&folder));
            }
            kind if RUN_KINDS.contains(&kind) => {}
            _ => self.is_strange = true,
        }
    }

    fn take_log(&mut self, detail: &Value, seq: u64) {
        // A client that repeats a call whose answer was lost changes nothing, and its digest shows it.
        let is_new = match detail["points_digest"].as_str() {
            Some(digest) => self.points_digests.insert(digest.to_string()),
            None => true,
        };
        if is_new {
            self.points += detail["points"].as_u64().unwrap_or(0);
        }
        let params = detail["params"].as_u64().unwrap_or(0);
        self.params += params;
        match (params, detail["params_digest"].as_str()) {
            (0, _) => {}
            (1, Some(digest)) => self.single_params.push((digest.to_string(), seq)),
            _ => self.params_are_single = false,
        }
        let keys = detail["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let keys: Vec<String> = keys.map(str::to_string).collect();
        for key in &keys {
            self.set_tag(key, seq);
        }
        if let (false, Some(digest)) = (keys.is_empty(), detail["tags_digest"].as_str()) {
            self.tag_calls.push((keys, digest.to_string(), seq));
        }
    }

    fn set_tag(&mut self, key: &str, seq: u64) {
        self.tag_last.insert(key.to_string(), seq);
        self.tag_gone.remove(key);
    }
}

/// The digest that the ledger writes for pairs of texts: BLAKE3 over each text after its length.
pub(crate) fn digest_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in pairs {
        for text in [key, value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn events(list: &[(&str, Value)]) -> Vec<Event> {
        let event = |(seq, (kind, detail)): (usize, &(&str, Value))| Event {
            seq: seq as u64,
            at_ms: 0,
            by: String::new(),
            kind: (*kind).to_string(),
            subject: "run:x".to_string(),
            detail: detail.clone(),
        };
        list.iter().enumerate().map(event).collect()
    }

    #[test]
    fn events_fold_into_a_run() {
        let logged = Logged::of(&events(&[
            ("run.create", json!({"name": "a"})),
            (
                "run.log",
                json!({"params": 1, "params_digest": "p", "points": 3, "tags": ["x", "y"], "tags_digest": "t"}),
            ),
            ("run.log", json!({"points": 2, "points_digest": "d"})),
            ("run.log", json!({"points": 2, "points_digest": "d"})),
            ("run.untag", json!({"key": "x"})),
            ("artifact.put", json!({"path": "d/f", "digest": "blake3:00"})),
            ("artifact.put", json!({"path": "df", "digest": "blake3:11"})),
            ("artifact.delete", json!({"path": "d"})),
            ("run.update", json!({"status": "FINISHED", "end_ms": 5, "name": "b"})),
            ("run.quarantine", json!({"reason": "r"})),
            ("run.delete", json!({})),
            ("run.inputs", json!({"datasets": [["d", "1"]]})),
        ]));
        assert!(logged.is_known && logged.is_whole && !logged.is_strange);
        assert_eq!((logged.points, logged.params), (5, 1));
        assert_eq!(logged.status, Some((RunStatus::Finished, 8)));
        assert_eq!(logged.name.unwrap().0, "b");
        assert_eq!(logged.deleted, Some((true, 10)));
        assert_eq!(logged.quarantine, Some((Some("r".to_string()), 9)));
        assert_eq!(logged.tag_last["x"], 4);
        assert!(logged.tag_gone.contains("x") && !logged.tag_gone.contains("y"));
        assert_eq!(logged.artifacts.keys().collect::<Vec<_>>(), ["df"]);
        assert_eq!(logged.datasets.len(), 1);
        assert!(Logged::of(&events(&[("run.later", json!({}))])).is_strange);
        assert!(!Logged::of(&[]).is_known);
        assert!(!Logged::of(&events(&[("run.create", json!({"imported": true}))])).is_whole);
    }
}
